/*
 * Entries are found by the worker once, when a topic or group appears, and then only added to.
 */
#include "broker/counters.h"

#include <stddef.h>
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

/* The two entries named `other` come with the first name beyond the limit. */
void counters_init(struct counters *counters)
{
	int status = pthread_mutex_init(&counters->lock, NULL);

	ASSERT(status == 0);
	list_init(&counters->topics);
	list_init(&counters->groups);
	counters->topic_count = counters->group_count = 0;
	counters->other_topic = NULL;
	counters->other_group = NULL;
}

static struct counters_topic *add_topic(struct counters *counters, const char *topic)
{
	struct counters_topic *entry = mem_zalloc(sizeof *entry);

	(void)snprintf(entry->topic, sizeof entry->topic, "%s", topic);
	list_push_back(&counters->topics, &entry->node);
	counters->topic_count++;
	return entry;
}

static struct counters_group *add_group(
	struct counters *counters, const char *topic, const char *group)
{
	struct counters_group *entry = mem_zalloc(sizeof *entry);

	(void)snprintf(entry->topic, sizeof entry->topic, "%s", topic);
	(void)snprintf(entry->group, sizeof entry->group, "%s", group);
	list_push_back(&counters->groups, &entry->node);
	counters->group_count++;
	return entry;
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
	struct counters_topic *entry;

	(void)pthread_mutex_lock(&counters->lock);
	if (counters->topic_count < COUNTERS_LABELS) {
		entry = add_topic(counters, topic);
	} else {
		if (!counters->other_topic) {
			counters->other_topic = add_topic(counters, "other");
		}
		entry = counters->other_topic;
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
		entry = add_group(counters, topic, group);
	}
	if (!entry) {
		if (!counters->other_group) {
			counters->other_group = add_group(counters, "other", "other");
		}
		entry = counters->other_group;
	}
	(void)pthread_mutex_unlock(&counters->lock);
	return entry;
}

/* The value of the label `reason` of what a damaged disk took; no other loss is known. */
static const char *lost_word(unsigned lost)
{
	(void)lost;
	return "corrupt";
}

static const char *death_word(unsigned death)
{
	return counters_death_word((enum counters_death)death);
}

/* B19-01, B19-02: a metric of all groups. Its words stand side by side in the entry. */
struct family {
	const char *name, *type, *help;
	size_t offset;	     /* of the first word */
	unsigned first, end; /* of the words that are printed */
	const char *label;   /* NULL: one number without a label of its own */
	const char *(*word)(unsigned index);
};

#define COLUMN(column) offsetof(struct counters_group, column), 0, 1, NULL, NULL

static const struct family families[] = {
	{"group_accepted_total", "counter", "Messages that a group is to get.", COLUMN(accepted)},
	{"delivered_total", "counter", "Deliveries handed to a member.", COLUMN(delivered)},
	{"acked_total", "counter", "Messages that the application has settled.", COLUMN(acked)},
	{"replayed_total", "counter", "Messages that came back by a replay.", COLUMN(replayed)},
	{"skipped_total", "counter", "Messages that a seek has passed over.", COLUMN(skipped)},
	{"lost_total", "counter", "Messages that damage to the spool has taken.",
		offsetof(struct counters_group, lost), 0, 1, "reason", lost_word},
	{"redelivered_total", "counter", "Deliveries that must be made again, by their outcome.",
		offsetof(struct counters_group, redelivered), RESULT_APP, RESULT_KINDS, "class",
		frame_result_word},
	{"dead_lettered_total", "counter", "Messages moved to the dead-letter topic.",
		offsetof(struct counters_group, dead), 0, COUNTERS_DEATHS, "reason", death_word},
	{"dropped_total", "counter", "Messages that left without a delivery.",
		offsetof(struct counters_group, dropped), 0, COUNTERS_DROPS, "reason", drop_word},
	{"backlog_messages", "gauge", "Messages that are not settled.", COLUMN(backlog)},
	{"in_flight", "gauge", "Deliveries without an outcome.", COLUMN(in_flight)},
	{"retrying", "gauge", "Messages that wait for their next attempt.", COLUMN(retrying)},
	{"members", "gauge", "Members of a group.", COLUMN(members)},
};

/* The format wants every family declared once, in front of all of its lines; therefore families
 * are the outer loop everywhere below, and entries the inner one. */
void counters_begin(struct buf *text, const char *name, const char *type, const char *help)
{
	ASSERT(name != NULL && help[0] != '\0');
	buf_appendf(text, "# HELP pillion_%s %s\n# TYPE pillion_%s %s\n", name, help, name, type);
}

static void print_accepted(const struct counters *counters, struct buf *text)
{
	static const char *const levels[] = {"fsync", "os"};

	counters_begin(text, "pubsub_accepted_total", "counter",
		"Publishes answered 200, by the level that they reached.");
	LIST_FOR_EACH(node, &counters->topics) {
		const struct counters_topic *topic = LIST_ENTRY(node, struct counters_topic, node);

		/* Levels are labels, so that a topic that changed its level shows both. */
		for (unsigned i = 0; i < 2; i++) {
			buf_appendf(text,
				"pillion_pubsub_accepted_total{topic=\"%s\",durability=\"%s\"} "
				"%llu\n",
				topic->topic, levels[i], (unsigned long long)topic->accepted[i]);
		}
	}
}

static void print_topics(const struct counters *counters, struct buf *text)
{
	print_accepted(counters, text);
	counters_begin(text, "pubsub_topic_messages", "gauge", "Messages in the spool.");
	LIST_FOR_EACH(node, &counters->topics) {
		const struct counters_topic *topic = LIST_ENTRY(node, struct counters_topic, node);

		buf_appendf(text, "pillion_pubsub_topic_messages{topic=\"%s\"} %llu\n",
			topic->topic, (unsigned long long)topic->messages);
	}
	counters_begin(text, "pubsub_topic_bytes", "gauge", "Bytes of them.");
	LIST_FOR_EACH(node, &counters->topics) {
		const struct counters_topic *topic = LIST_ENTRY(node, struct counters_topic, node);

		buf_appendf(text, "pillion_pubsub_topic_bytes{topic=\"%s\"} %llu\n", topic->topic,
			(unsigned long long)topic->bytes);
	}
}

/* Topics and groups need no escaping, their form allows no quote and no line end. Of the many
 * words of a labelled family only those that ever counted are worth a line. */
static void print_group(
	const struct counters_group *group, const struct family *family, struct buf *text)
{
	const _Atomic uint64_t *words =
		(const void *)((const unsigned char *)group + family->offset);

	for (unsigned i = family->first; i < family->end; i++) {
		uint64_t number = words[i];

		if (number == 0 && family->end > 1) {
			continue;
		}
		buf_appendf(text, "pillion_pubsub_%s{topic=\"%s\",group=\"%s\"", family->name,
			group->topic, group->group);
		if (family->label) {
			buf_appendf(text, ",%s=\"%s\"", family->label, family->word(i));
		}
		buf_appendf(text, "} %llu\n", (unsigned long long)number);
	}
}

/* The terms of the law of B1-03, and gauges beside them. */
static void print_groups(const struct counters *counters, struct buf *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		char name[64];

		(void)snprintf(name, sizeof name, "pubsub_%s", families[i].name);
		counters_begin(text, name, families[i].type, families[i].help);
		LIST_FOR_EACH(node, &counters->groups) {
			print_group(
				LIST_ENTRY(node, struct counters_group, node), &families[i], text);
		}
	}
}

/* Refusals have many reasons, of which a sidecar meets few; answers have few classes, all shown. */
static void print_verdicts(const struct counters *counters, struct buf *text)
{
	counters_begin(text, "pubsub_refused_total", "counter",
		"Refused publishes and fetches, by reason.");
	for (unsigned i = 0; i < REASON_COUNT; i++) {
		uint64_t count = counters->refused[i];

		if (count > 0) {
			buf_appendf(text, "pillion_pubsub_refused_total{reason=\"%s\"} %llu\n",
				reason_word((enum reason)i), (unsigned long long)count);
		}
	}
	counters_begin(text, "pubsub_answers_total", "counter",
		"Answers of the application to deliveries, by their class.");
	for (unsigned i = RESULT_ACK; i < RESULT_KINDS; i++) {
		buf_appendf(text, "pillion_pubsub_answers_total{class=\"%s\"} %llu\n",
			frame_result_word(i), (unsigned long long)counters->answers[i]);
	}
}

void counters_single(
	struct buf *text, const char *name, const char *type, const char *help, uint64_t number)
{
	counters_begin(text, name, type, help);
	buf_appendf(text, "pillion_%s %llu\n", name, (unsigned long long)number);
}

/* The lock keeps the lists; the words themselves are read while workers go on counting. */
void counters_print(struct counters *counters, struct buf *ret_text)
{
	(void)pthread_mutex_lock(&counters->lock);
	print_topics(counters, ret_text);
	print_groups(counters, ret_text);
	(void)pthread_mutex_unlock(&counters->lock);
	print_verdicts(counters, ret_text);
	counters_single(ret_text, "pubsub_link_errors_total", "counter",
		"Links to other sidecars that ended by an error.", counters->link_errors);
	counters_single(ret_text, "pubsub_removed_attributes_total", "counter",
		"Attributes of publishes that are not for publishers to set.",
		counters->removed_attributes);
	counters_begin(ret_text, "pubsub_denied_total", "counter", "Acts that were not allowed.");
	buf_appendf(ret_text, "pillion_pubsub_denied_total{act=\"accept\"} %llu\n",
		(unsigned long long)counters->denied);
}
