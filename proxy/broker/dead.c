/* dead: dead letters (B10-10) and their replay (B10-11). */
#include <stdio.h>

#include "base/log.h"
#include "base/clock.h"
#include "base/mem.h"
#include "broker/group.h"
#include "broker/names.h"

#define RETRY_READ_MS 20
#define RETRY_FULL_MS 30000
#define REPLAYS_MAX   100000

/* Longer texts are cut: an attribute of ours must not make the message invalid. */
static void put(struct message *message, const char *name, struct slice value)
{
	if (value.size > MESSAGE_ATTRIBUTE_VALUE_MAX) {
		value.size = MESSAGE_ATTRIBUTE_VALUE_MAX;
	}
	record_put_attribute(&message->attributes, slice_from_string(name), value);
}

/* Attributes are text, numbers too. */
static void put_number(struct message *message, const char *name, uint64_t number)
{
	char text[24];

	(void)snprintf(text, sizeof text, "%llu", (unsigned long long)number);
	put(message, name, slice_from_string(text));
}

/* RFC 3339, as CloudEvents wants times. */
static void put_time(struct message *message, const char *name, uint64_t wall_ms)
{
	char text[CLOCK_TEXT_SIZE];

	clock_format_wall(wall_ms, text);
	put(message, name, slice_from_string(text));
}

/* Names that only a sidecar writes; the publisher's were removed when it published. */
static bool own_attribute(struct slice name)
{
	return slice_starts_with(name, SLICE("dlq")) || slice_starts_with(name, SLICE("pillion")) ||
	       slice_equal(name, SLICE("deliverycount")) ||
	       slice_equal(name, SLICE("firstattempt")) || slice_equal(name, SLICE("lastattempt"));
}

/* A copy of what the publisher said, without what this sidecar added. */
static struct message *copy_message(const struct message *from)
{
	struct slice rest = buf_slice(&from->attributes), name, value;
	struct message *message = message_create();

	while (record_next_attribute(&rest, &name, &value) == 1) {
		if (!own_attribute(name)) {
			record_put_attribute(&message->attributes, name, value);
		}
	}
	buf_append_slice(&message->body, buf_slice(&from->body));
	return message;
}

/* B10-10: why, what the application answered, where the original stood, and how often and
 * when it was tried. */
static void describe(struct message *message, const struct group *group,
	const struct pending *pending, enum counters_death death)
{
	put(message, "dlqreason", slice_from_string(counters_death_word(death)));
	put_number(message, "dlqstatus", pending->status);
	if (pending->detail && pending->detail[0] != '\0') {
		put(message, "dlqdata", slice_from_string(pending->detail));
	}
	put(message, "dlqtopic", slice_from_string(group->topic->name));
	put(message, "dlqgroup", slice_from_string(group->name));
	put_number(message, "dlqseq", pending->seq);
	put_number(message, "deliverycount", (uint64_t)pending->app + pending->suspect);
	if (pending->first_wall_ms > 0) {
		put_time(message, "firstattempt", pending->first_wall_ms);
		put_time(message, "lastattempt", pending->last_wall_ms);
	}
}

/* The message waits with its group, and nothing is forgotten. */
static void no_place(
	struct group *group, struct pending *pending, const char *name, enum reason reason)
{
	log_event(LOG_LEVEL_WARN, "broker", 6003, "a dead letter found no place and waits",
		(struct log_field[]){LOG_TEXT("pillion.topic", name),
			LOG_TEXT("pillion.reason", reason_word(reason))},
		2);
	group_schedule(group, pending, desk_now_ms(group->topic->desk) + RETRY_FULL_MS);
}

/* Only now is the original done for its group. */
static void on_dead(struct publication *publication)
{
	struct group *group =
		group_find(publication->source, slice_from_string(publication->source_group));
	struct pending *pending = group ? group_pending(group, publication->source_seq) : NULL;

	if (!pending || pending->state != PENDING_DIES) {
		return; /* the group is gone */
	}
	if (publication->reason != REASON_ok) {
		no_place(group, pending, publication->topic_name, publication->reason);
		topic_wake(group->topic);
		return;
	}
	counters_add(&group->counters->dead[pending->death], 1);
	log_event(LOG_LEVEL_WARN, "broker", 6003, "a message became a dead letter",
		(struct log_field[]){LOG_TEXT("pillion.topic", group->topic->name),
			LOG_TEXT("pillion.group", group->name),
			LOG_NUMBER("pillion.seq", pending->seq),
			LOG_TEXT("pillion.reason", counters_death_word(pending->death)),
			LOG_NUMBER("http.response.status_code", pending->status)},
		5);
	group_pending_free(group, pending);
	group_done(group, publication->source_seq);
	topic_wake(group->topic);
}

/* A dead letter is kept as safely as the message it was. */
static bool wants_fsync(const struct topic *topic)
{
	return plan_policy(topic->desk->plan, slice_from_string(topic->name))->durability ==
	       CONFIG_DURABILITY_FSYNC;
}

/* The message stays with its group, in state DIES, until the letter is committed; a full
 * quota or a busy disk only delays that. */
void dead_letter(struct group *group, struct pending *pending, enum counters_death death)
{
	struct topic *topic = group->topic, *target;
	struct topic_entry *entry = topic_at(topic, pending->seq);
	struct publication *publication;
	enum reason reason = REASON_ok;
	char name[288];

	ASSERT(pending->state != PENDING_FLIES);
	group_unschedule(group, pending);
	pending->state = PENDING_DIES;
	pending->death = death;
	if (topic->dead_letters || !entry) {
		/* B10-10: the groups of dead letters have none; they try on. */
		pending->state = PENDING_WAITS;
		group_schedule(group, pending, desk_now_ms(topic->desk) + RETRY_FULL_MS);
		return;
	}
	if (!entry->message) {
		topic_read(topic, entry);
		group_schedule(group, pending, desk_now_ms(topic->desk) + RETRY_READ_MS);
		return;
	}
	(void)snprintf(name, sizeof name, "%s.dlq.%s", topic->name, group->name);
	target = topic_open(topic->desk, slice_from_string(name), &reason);
	if (!target) {
		no_place(group, pending, name, reason);
		return;
	}
	publication = publication_create();
	publication->message = copy_message(entry->message);
	publication->message->time_ms = desk_wall_ms(topic->desk);
	describe(publication->message, group, pending, death);
	(void)snprintf(publication->topic_name, sizeof publication->topic_name, "%s", name);
	publication->flags = RECORD_DEAD_LETTER;
	publication->wants_fsync = wants_fsync(topic);
	publication->source = topic;
	publication->source_seq = pending->seq;
	(void)snprintf(
		publication->source_group, sizeof publication->source_group, "%s", group->name);
	publication->on_committed = on_dead;
	topic_publish(target, publication);
}

/* Made when first needed: most dead-letter topics are never touched by a command. */
struct group *dead_cursor(struct topic *dead)
{
	struct group *group = group_find(dead, SLICE(TOPIC_DLQ_GROUP));

	ASSERT(dead->dead_letters);
	return group ? group : group_create(dead, TOPIC_DLQ_GROUP, NULL, NULL);
}

/* Settled means that the hidden cursor has it behind it; the bytes go with the next release. */
void dead_drop(struct topic *dead, uint64_t seq)
{
	struct group *cursor = dead_cursor(dead);

	/* Numbers before the first that is left were settled long ago. */
	if (cursor && dead->count > 0) {
		cursor_raise(&cursor->cursor, dead->entries[dead->first].at.seq - 1);
	}
	if (cursor && topic_at(dead, seq) && seq > cursor->cursor.floor &&
		seq - cursor->cursor.floor <= CURSOR_WINDOW) {
		group_done(cursor, seq);
	}
}

/* The original topic has it again: the dead letter is settled. */
static void on_replayed(struct publication *publication)
{
	if (publication->reason != REASON_ok) {
		log_event(LOG_LEVEL_WARN, "broker", 6003, "a dead letter was not replayed",
			(struct log_field[]){LOG_TEXT("pillion.topic", publication->topic_name),
				LOG_TEXT("pillion.reason", reason_word(publication->reason))},
			2);
		return;
	}
	dead_drop(publication->source, publication->source_seq);
}

/* False: its bytes are still on the disk and were asked for; the topic wakes when they are
 * there. */
static bool replay_now(struct topic *dead, uint64_t seq)
{
	struct topic_entry *entry = topic_at(dead, seq);
	struct group *cursor = dead_cursor(dead);
	struct slice base, group;
	struct publication *publication;
	struct topic *target;
	enum reason reason = REASON_ok;

	if (!entry || !cursor || cursor_done(&cursor->cursor, seq)) {
		return true;
	}
	if (!entry->message) {
		topic_read(dead, entry);
		return false;
	}
	(void)names_dead_letter(slice_from_string(dead->name), &base, &group);
	target = topic_open(dead->desk, base, &reason);
	if (!target) {
		return true;
	}
	publication = publication_create();
	publication->message = copy_message(entry->message);
	publication->message->time_ms = desk_wall_ms(dead->desk);
	record_put_attribute(
		&publication->message->attributes, SLICE(RECORD_ONLY_ATTRIBUTE), group);
	(void)snprintf(publication->topic_name, sizeof publication->topic_name, "%s", target->name);
	memcpy(publication->source_group, group.data, group.size);
	publication->flags = RECORD_ONLY_GROUP;
	publication->wants_fsync = wants_fsync(target);
	publication->source = dead;
	publication->source_seq = seq;
	publication->on_committed = on_replayed;
	topic_publish(target, publication);
	return true;
}

/* Those that still wait keep their order. */
void dead_run(struct topic *dead)
{
	size_t kept = 0;

	for (size_t i = 0; i < dead->replay_count; i++) {
		if (!replay_now(dead, dead->replays[i])) {
			dead->replays[kept++] = dead->replays[i];
		}
	}
	dead->replay_count = kept;
}

/* Only noted here. The command answers what was begun; a second command for the same letter
 * changes nothing. */
void dead_replay(struct topic *dead, uint64_t seq)
{
	for (size_t i = 0; i < dead->replay_count; i++) {
		if (dead->replays[i] == seq) {
			return;
		}
	}
	if (dead->replay_count == REPLAYS_MAX) {
		return;
	}
	dead->replays =
		mem_realloc(dead->replays, (dead->replay_count + 1) * sizeof *dead->replays);
	dead->replays[dead->replay_count++] = seq;
	topic_wake(dead);
}
