/*
 * Entries are found by the worker once, when a topic or group appears, and then only added to.
 */
#include "broker/counters.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "broker/frame.h"

/* The value of `dlqreason` and of the label `reason`. */
const char *counters_death_word(enum counters_death death)
{
	static const char *const words[COUNTERS_DEATHS] = {
		"status", "max_deliver", "poison", "expired", "translation", "terminated"};

	ASSERT(death < COUNTERS_DEATHS);
	return words[death];
}

/* B1-03: nothing leaves without one of these words. */
static const char *drop_word(unsigned drop)
{
	static const char *const words[COUNTERS_DROPS] = {
		"ephemeral", "expired", "group_removed", "full", "command"};

	return words[drop];
}

/* The two entries for `other` exist from the start, so that counting never fails. */
void counters_init(struct counters *counters)
{
	int status = pthread_mutex_init(&counters->lock, NULL);

	ASSERT(status == 0);
	list_init(&counters->topics);
	list_init(&counters->groups);
	(void)snprintf(counters->other_topic.topic, sizeof counters->other_topic.topic, "other");
	(void)snprintf(counters->other_group.topic, sizeof counters->other_group.topic, "other");
	(void)snprintf(counters->other_group.group, sizeof counters->other_group.group, "other");
}

/* Workers are gone by now: nobody holds an entry any more. */
void counters_fini(struct counters *counters)
{
	LIST_FOR_EACH_SAFE(node, &counters->topics) {
		mem_free(LIST_ENTRY(node, struct counters_topic, node));
	}
	LIST_FOR_EACH_SAFE(node, &counters->groups) {
		mem_free(LIST_ENTRY(node, struct counters_group, node));
	}
	(void)pthread_mutex_destroy(&counters->lock);
}

/* Called once per topic and process; the lock is never taken on the way of a message. */
struct counters_topic *counters_topic(struct counters *counters, const char *topic)
{
	struct counters_topic *entry = &counters->other_topic;

	(void)pthread_mutex_lock(&counters->lock);
	if (counters->topic_count < COUNTERS_LABELS) {
		entry = mem_zalloc(sizeof *entry);
		(void)snprintf(entry->topic, sizeof entry->topic, "%s", topic);
		list_push_back(&counters->topics, &entry->node);
		counters->topic_count++;
	}
	(void)pthread_mutex_unlock(&counters->lock);
	return entry;
}

/* A group that went and comes again goes on with the counters that it had. */
static struct counters_group *find_group(
	struct counters *counters, const char *topic, const char *group)
{
	LIST_FOR_EACH(node, &counters->groups) {
		struct counters_group *entry = LIST_ENTRY(node, struct counters_group, node);

		if (strcmp(entry->topic, topic) == 0 && strcmp(entry->group, group) == 0) {
			return entry;
		}
	}
	return NULL;
}

/* The same for groups; beyond the limit all share the entry `other`, which keeps sums right. */
struct counters_group *counters_group(
	struct counters *counters, const char *topic, const char *group)
{
	struct counters_group *entry;

	(void)pthread_mutex_lock(&counters->lock);
	entry = find_group(counters, topic, group);
	if (!entry && counters->group_count < COUNTERS_LABELS) {
		entry = mem_zalloc(sizeof *entry);
		(void)snprintf(entry->topic, sizeof entry->topic, "%s", topic);
		(void)snprintf(entry->group, sizeof entry->group, "%s", group);
		list_push_back(&counters->groups, &entry->node);
		counters->group_count++;
	}
	(void)pthread_mutex_unlock(&counters->lock);
	return entry ? entry : &counters->other_group;
}

/* Levels are labels, so that a topic that changed its level shows both. */
static void print_topic(const struct counters_topic *topic, struct buf *text)
{
	static const char *const levels[] = {"fsync", "os"};

	for (unsigned i = 0; i < 2; i++) {
		buf_appendf(text,
			"pillion_pubsub_accepted_total{topic=\"%s\",durability=\"%s\"} %llu\n",
			topic->topic, levels[i], (unsigned long long)topic->accepted[i]);
	}
	buf_appendf(text, "pillion_pubsub_topic_messages{topic=\"%s\"} %llu\n", topic->topic,
		(unsigned long long)topic->messages);
	buf_appendf(text, "pillion_pubsub_topic_bytes{topic=\"%s\"} %llu\n", topic->topic,
		(unsigned long long)topic->bytes);
}

/* One line; topics and groups need no escaping, their form allows no quote and no line end. */
static void print_number(const struct counters_group *group, const char *name, const char *label,
	const char *value, uint64_t number, struct buf *text)
{
	buf_appendf(text, "pillion_pubsub_%s{topic=\"%s\",group=\"%s\"", name, group->topic,
		group->group);
	if (label) {
		buf_appendf(text, ",%s=\"%s\"", label, value);
	}
	buf_appendf(text, "} %llu\n", (unsigned long long)number);
}

/* The terms of the law of B1-03, and gauges beside them. */
static void print_group(const struct counters_group *group, struct buf *text)
{
	print_number(group, "group_accepted_total", NULL, NULL, group->accepted, text);
	print_number(group, "delivered_total", NULL, NULL, group->delivered, text);
	print_number(group, "acked_total", NULL, NULL, group->acked, text);
	print_number(group, "replayed_total", NULL, NULL, group->replayed, text);
	print_number(group, "skipped_total", NULL, NULL, group->skipped, text);
	print_number(group, "lost_total", "reason", "corrupt", group->lost, text);
	for (unsigned i = RESULT_APP; i < RESULT_KINDS; i++) {
		if (group->redelivered[i] > 0) {
			print_number(group, "redelivered_total", "class", frame_result_word(i),
				group->redelivered[i], text);
		}
	}
	for (unsigned i = 0; i < COUNTERS_DEATHS; i++) {
		if (group->dead[i] > 0) {
			print_number(group, "dead_lettered_total", "reason", counters_death_word(i),
				group->dead[i], text);
		}
	}
	for (unsigned i = 0; i < COUNTERS_DROPS; i++) {
		if (group->dropped[i] > 0) {
			print_number(group, "dropped_total", "reason", drop_word(i),
				group->dropped[i], text);
		}
	}
	print_number(group, "backlog_messages", NULL, NULL, group->backlog, text);
	print_number(group, "in_flight", NULL, NULL, group->in_flight, text);
	print_number(group, "retrying", NULL, NULL, group->retrying, text);
	print_number(group, "members", NULL, NULL, group->members, text);
}

/* The lock keeps the lists; the words themselves are read while workers go on counting. */
void counters_print(struct counters *counters, struct buf *ret_text)
{
	(void)pthread_mutex_lock(&counters->lock);
	LIST_FOR_EACH(node, &counters->topics) {
		print_topic(LIST_ENTRY(node, struct counters_topic, node), ret_text);
	}
	LIST_FOR_EACH(node, &counters->groups) {
		print_group(LIST_ENTRY(node, struct counters_group, node), ret_text);
	}
	(void)pthread_mutex_unlock(&counters->lock);
	for (unsigned i = 0; i < REASON_COUNT; i++) {
		uint64_t count = counters->refused[i];

		if (count > 0) {
			buf_appendf(ret_text, "pillion_pubsub_refused_total{reason=\"%s\"} %llu\n",
				reason_word((enum reason)i), (unsigned long long)count);
		}
	}
	for (unsigned i = RESULT_ACK; i < RESULT_KINDS; i++) {
		buf_appendf(ret_text, "pillion_pubsub_answers_total{class=\"%s\"} %llu\n",
			frame_result_word(i), (unsigned long long)counters->answers[i]);
	}
	buf_appendf(ret_text, "pillion_pubsub_link_errors_total %llu\n",
		(unsigned long long)counters->link_errors);
	buf_appendf(ret_text, "pillion_pubsub_removed_attributes_total %llu\n",
		(unsigned long long)counters->removed_attributes);
	buf_appendf(ret_text, "pillion_pubsub_denied_total{act=\"accept\"} %llu\n",
		(unsigned long long)counters->denied);
}
