/*
 * topic_index: which messages of a topic are in the spool, and giving them back (B9-10): only what
 * every durable cursor has behind it on disk, from the front.
 */
#include "base/log.h"
#include "base/mem.h"
#include "broker/group.h"

#define HISTORY_LEAST_MS 10000
#define DROP_SCAN_MAX	 65536 /* what was dropped and still waits for its cursors is passed */
#define DEAD_AGE_MS	 UINT64_C(604800000) /* 7 d (B10-10) */

/* The gauges of the topic. */
static void count_messages(struct topic *topic)
{
	counters_set(&topic->counters->messages, topic->count - topic->refused);
	counters_set(&topic->counters->bytes, topic->bytes);
}

void topic_add(struct topic *topic, const struct topic_entry *entry)
{
	size_t at;

	if (topic->first + topic->count == topic->capacity) {
		/* The front that was given back is used again before more is taken. */
		if (topic->first > topic->capacity / 2) {
			memmove(topic->entries, topic->entries + topic->first,
				topic->count * sizeof *topic->entries);
			topic->first = 0;
		} else {
			topic->capacity = topic->capacity > 0 ? topic->capacity * 2 : 64;
			topic->entries = mem_realloc(
				topic->entries, topic->capacity * sizeof *topic->entries);
		}
	}
	/* At the end, but for a refused number, which is noted behind later messages. */
	at = topic->first + topic->count;
	while (at > topic->first && topic->entries[at - 1].at.seq > entry->at.seq) {
		topic->entries[at] = topic->entries[at - 1];
		at--;
	}
	ASSERT(at == topic->first || topic->entries[at - 1].at.seq < entry->at.seq);
	topic->entries[at] = *entry;
	topic->count++;
	topic->refused += topic_entry_refused(entry);
	topic->bytes += record_padded(entry->at.length);
	count_messages(topic);
}

/* Index of the first entry with a number >= seq, or count. */
static size_t lower_bound(const struct topic *topic, uint64_t seq)
{
	size_t low = 0, high = topic->count;

	/* Numbers are dense but for losses: the guess is nearly always right. */
	if (high > 0 && topic->entries[topic->first].at.seq <= seq) {
		uint64_t guess = seq - topic->entries[topic->first].at.seq;

		if (guess < high && topic->entries[topic->first + guess].at.seq == seq) {
			return (size_t)guess;
		}
	}
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (topic->entries[topic->first + middle].at.seq < seq) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

/* NULL: given back, lost, or never committed. */
struct topic_entry *topic_at(struct topic *topic, uint64_t seq)
{
	size_t place = lower_bound(topic, seq);

	if (place < topic->count && topic->entries[topic->first + place].at.seq == seq) {
		return &topic->entries[topic->first + place];
	}
	return NULL;
}

/* How everybody walks: by number, over gaps. */
struct topic_entry *topic_after(struct topic *topic, uint64_t seq)
{
	size_t place = lower_bound(topic, seq + 1);

	return place < topic->count ? &topic->entries[topic->first + place] : NULL;
}

/* The index keeps where it is on disk. */
static void uncache(struct topic *topic, struct topic_entry *entry)
{
	struct message *message = entry->message;

	if (!message) {
		return;
	}
	list_unlink(&message->cache_node);
	message->topic = NULL;
	topic->desk->cache_bytes -= message_size(message);
	entry->message = NULL;
	message_unref(message);
}

/* Oldest out first: what was just published is most likely wanted next. */
void topic_keep(struct topic *topic, struct topic_entry *entry, struct message *message)
{
	struct desk *desk = topic->desk;
	size_t most = DESK_CACHE_BYTES / desk->broker->workers;

	if (entry->message) {
		return;
	}
	entry->message = message_ref(message);
	message->topic = topic;
	message->seq = entry->at.seq;
	list_push_back(&desk->cache, &message->cache_node);
	desk->cache_bytes += message_size(message);
	while (desk->cache_bytes > most && desk->cache.next != &message->cache_node) {
		struct message *oldest = LIST_ENTRY(desk->cache.next, struct message, cache_node);
		struct topic_entry *its = topic_at(oldest->topic, oldest->seq);

		ASSERT(its && its->message == oldest);
		uncache(oldest->topic, its);
	}
}

/* What is in memory may be what is wrong. */
void topic_forget(struct topic *topic, uint64_t seq)
{
	struct topic_entry *entry = topic_at(topic, seq);

	if (entry) {
		uncache(topic, entry);
	}
}

enum fate { FATE_STAYS, FATE_HISTORY, FATE_UNCLAIMED };

/* What may become of the oldest message, apart from ages and sizes. */
static enum fate judge(const struct topic *topic, const struct topic_entry *entry)
{
	bool claimed = false;

	LIST_FOR_EACH(node, &topic->groups) {
		const struct group *group = LIST_ENTRY(node, struct group, node);
		uint64_t floor = group->durable ? group->durable_floor : group->cursor.floor;

		if (group->hidden) {
			continue;
		}
		claimed = true;
		if (floor < entry->at.seq) {
			return FATE_STAYS;
		}
	}
	return claimed ? FATE_HISTORY : FATE_UNCLAIMED;
}

/* Dropped or replayed, and the cursor that says so is durable. */
static bool dead_done(const struct topic *topic, const struct topic_entry *entry)
{
	LIST_FOR_EACH(node, &topic->groups) {
		const struct group *group = LIST_ENTRY(node, struct group, node);

		if (group->hidden) {
			return group->durable_floor >= entry->at.seq;
		}
	}
	return false;
}

/* The order of B9-09: history by age and size, unclaimed ones by theirs, dead letters by
 * theirs. */
static bool may_go(struct topic *topic, const struct topic_entry *entry, unsigned relief)
{
	const struct config_topic *policy =
		plan_policy(topic->desk->plan, slice_from_string(topic->name));
	uint64_t now = desk_wall_ms(topic->desk);
	uint64_t age = now > entry->at.time_ms ? now - entry->at.time_ms : 0;
	enum fate fate = judge(topic, entry);

	if (topic->dead_letters) {
		if (age > DEAD_AGE_MS) {
			dead_drop(
				topic, entry->at.seq); /* counted, and gone when that is durable */
		}
		return fate != FATE_STAYS && dead_done(topic, entry);
	}
	switch (fate) {
	case FATE_STAYS:
		return false;
	case FATE_HISTORY:
		return relief > 0 ||
		       (age > HISTORY_LEAST_MS && (age > (uint64_t)policy->history.age_ms ||
							  topic->bytes > policy->history.bytes));
	case FATE_UNCLAIMED:
		return relief > 1 || age > (uint64_t)policy->unclaimed.age_ms ||
		       topic->bytes > policy->unclaimed.bytes ||
		       (entry->at.expiry_ms != 0 && entry->at.expiry_ms < now);
	}
	return false;
}

/* Counted per segment, so that one mail serves a run. */
static void give_back(struct topic *topic, uint64_t segment, uint64_t count)
{
	if (count > 0 && topic->desk->broker->thread) {
		spool_thread_release(topic->desk->broker->thread, segment, count);
	}
}

/* From the front: the index stays one run without holes of its own. */
void topic_release(struct topic *topic, unsigned relief)
{
	uint64_t segment = 0, count = 0;

	while (topic->count > 0) {
		struct topic_entry *entry = &topic->entries[topic->first];

		if (!may_go(topic, entry, relief)) {
			break;
		}
		if (entry->at.lsn >> 32 != segment) {
			give_back(topic, segment, count);
			segment = entry->at.lsn >> 32;
			count = 0;
		}
		count++;
		topic->bytes -= record_padded(entry->at.length);
		topic->refused -= topic_entry_refused(entry);
		uncache(topic, entry);
		topic->first++;
		topic->count--;
	}
	give_back(topic, segment, count);
	count_messages(topic);
}

/* For one group; true: something was dropped. */
static bool drop_for(struct group *group, const struct topic_entry *entry)
{
	uint64_t seq = entry->at.seq;
	struct pending *pending = group_pending(group, seq);

	if (group->hidden || cursor_done(&group->cursor, seq) ||
		seq - group->cursor.floor > CURSOR_WINDOW ||
		(pending && pending->state != PENDING_WAITS)) {
		return false;
	}
	if (pending) {
		group_pending_free(group, pending);
	}
	if (!group_wants(group, entry)) {
		group_pass(group, seq);
		return false;
	}
	counters_add(&group->counters->dropped[COUNTERS_DROP_FULL], 1);
	group_done(group, seq);
	return true;
}

/* Only by on_full: drop_oldest, counted for each group that loses something. The cursors pass them;
 * they leave the disk when those cursors are on it. */
void topic_drop_oldest(struct topic *topic, uint64_t bytes)
{
	uint64_t freed = 0;

	for (size_t i = 0; i < topic->count && i < DROP_SCAN_MAX && freed < bytes; i++) {
		const struct topic_entry *entry = &topic->entries[topic->first + i];
		bool dropped = false;

		LIST_FOR_EACH(node, &topic->groups) {
			dropped = drop_for(LIST_ENTRY(node, struct group, node), entry) || dropped;
		}
		freed += dropped ? record_padded(entry->at.length) : 0;
	}
}
