/*
 * A topic's owner gives the numbers, keeps the index and feeds its groups. Messages are visible
 * to groups only after their commit, so nobody ever receives what a crash could take back
 * (B10-01).
 */
#include "broker/topic.h"

#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/group.h"
#include "broker/lane.h"
#include "broker/names.h"

/* A backlog is read in order: one request of the disk thread brings what the next turns need. */
#define READ_AHEAD    16
#define READ_TRIES    50 /* a tick apart: what the disk cannot give is lost */
#define TICKS_RELEASE 10 /* give back once a second */
#define DEAD_SHARE    10 /* of spool.bytes (B10-10) */
#define REFUSALS_MAX  65536
#define ROOM_SLACK    ((uint64_t)1 << 20) /* batches that are on their way */

static void run_topic(struct task *task);

/* NULL: nothing was ever published to it here, and no group asked for it. */
struct topic *topic_find(struct desk *desk, struct slice name)
{
	return map_get(&desk->topics, name);
}

/* Topics stay until the process ends: their number is part of every id. */
static struct topic *make(struct desk *desk, struct slice name)
{
	struct topic *topic = mem_zalloc(sizeof *topic);
	struct slice base, group;
	char *copy = mem_alloc(name.size + 1);

	memcpy(copy, name.data, name.size);
	copy[name.size] = '\0';
	topic->desk = desk;
	topic->name = copy;
	topic->dead_letters = names_dead_letter(name, &base, &group);
	list_init(&topic->groups);
	task_init(&topic->task, run_topic);
	topic->counters = counters_topic(&desk->broker->counters, copy);
	(void)map_set(&desk->topics, name, topic);
	if (!topic->dead_letters) {
		atomic_fetch_add(&desk->broker->topics, 1);
	}
	return topic;
}

/* Policies make a topic known; else auto_topics decides. */
struct topic *topic_open(struct desk *desk, struct slice name, enum reason *ret_reason)
{
	struct topic *topic = topic_find(desk, name);
	struct slice base, group;
	bool named = false;

	if (topic) {
		return topic;
	}
	if (!names_dead_letter(name, &base, &group)) {
		for (size_t i = 0; i < desk->plan->policy_count; i++) {
			named = named ||
				names_match(
					slice_from_string(desk->plan->policies[i].pattern), name);
		}
		if (!desk->plan->auto_topics && !named) {
			*ret_reason = REASON_unknown_topic;
			return NULL;
		}
		/* L2, of the whole sidecar; a few desks at the border may each let one more
		 * in. */
		if (atomic_load(&desk->broker->topics) >= DESK_TOPICS_MAX) {
			*ret_reason = REASON_too_many_topics;
			return NULL;
		}
	}
	/* The spool has a place for so many numbers, dead letters too. */
	if (atomic_fetch_add(&desk->broker->topic_places, 1) >= SPOOL_TOPICS_MAX) {
		atomic_fetch_sub(&desk->broker->topic_places, 1);
		*ret_reason = REASON_too_many_topics;
		return NULL;
	}
	topic = make(desk, name);
	topic_plan_changed(topic);
	return topic;
}

/* Before the worker runs. */
void topic_adopt(struct desk *desk, struct spool_topic *found)
{
	struct topic *topic = make(desk, slice_from_string(found->name));
	size_t count;
	struct spool_message *messages = spool_take_messages(found, &count);

	topic->number = found->number;
	topic->named = true;
	topic->last_seq = topic->committed_seq = found->last_seq;
	for (size_t i = 0; i < count; i++) {
		struct topic_entry entry = {.at = messages[i]};

		topic_add(topic, &entry);
	}
	mem_free(messages);
	MAP_FOR_EACH(entry, &found->cursors)
	{
		struct cursor_image image;
		int status = cursor_decode(buf_slice(entry->value), &image);

		ASSERT(status == 0); /* recovery decoded it */
		(void)group_create(topic, image.group, NULL, &image);
		cursor_image_fini(&image);
	}
	for (size_t i = 0; topic->dead_letters && i < topic->count; i++) {
		const struct topic_entry *entry = &topic->entries[topic->first + i];

		if (topic_entry_refused(entry)) {
			dead_drop(topic, entry->at.seq);
		}
	}
}

/* Groups keep their cursors on disk. */
void topic_free(struct topic *topic)
{
	LIST_FOR_EACH_SAFE(node, &topic->groups) {
		group_destroy(LIST_ENTRY(node, struct group, node), COUNTERS_DROPS, false);
	}
	for (size_t i = 0; i < topic->count; i++) {
		struct message *message = topic->entries[topic->first + i].message;

		if (message) {
			list_unlink(&message->cache_node);
			message_unref(message);
		}
	}
	mem_free(topic->entries);
	mem_free(topic->refusals);
	mem_free(topic->replays);
	mem_free(topic->name);
	mem_free(topic);
}

/* An own record beside the messages: the name of the topic, or a cursor. */
struct note {
	struct spool_job job;
	struct topic *topic;
	char group[72];
	uint64_t serial; /* of the group: a later one may have its name */
	uint64_t floor;
	uint64_t refused; /* a number; 0: another kind of note */
	struct buf body;
};

/* The log may hold it or not; the next checkpoint says it again. */
static void discard_note(struct spool_job *job)
{
	struct note *note = container_of(job, struct note, job);

	buf_fini(&note->body);
	mem_free(note);
}

/* It waits for the tick, since the disk is full just now. */
static void refuse(struct topic *topic, uint64_t seq)
{
	if (topic->refusal_count == REFUSALS_MAX) {
		return; /* the next start reports it as lost */
	}
	topic->refusals =
		mem_realloc(topic->refusals, (topic->refusal_count + 1) * sizeof *topic->refusals);
	topic->refusals[topic->refusal_count++] = seq;
}

/* Groups pass the number like one that is not theirs; the record goes when all of them have. */
static void add_refused(struct topic *topic, uint64_t seq, const struct spool_job *job)
{
	struct topic_entry entry = {.at = {.lsn = job->entry.lsn,
					    .seq = seq,
					    .time_ms = job->entry.record.time_ms,
					    .length = job->entry.record.length,
					    .flags = job->entry.record.flags}};

	topic_add(topic, &entry);
	if (topic->dead_letters) {
		dead_drop(topic, seq); /* nothing to replay */
	}
	topic_wake(topic);
}

/* A group that went meanwhile needs no word. */
static void on_note(struct spool_job *job)
{
	struct note *note = container_of(job, struct note, job);

	if (note->refused != 0 && job->entry.status == 0) {
		add_refused(note->topic, note->refused, job);
	} else if (note->refused != 0 && job->entry.status == -ENOSPC) {
		refuse(note->topic, note->refused);
	}
	if (note->group[0] != '\0') {
		struct group *group = group_find(note->topic, slice_from_string(note->group));

		if (group && group->serial == note->serial) {
			group_wrote(group, note->floor, job->entry.lsn, job->entry.status == 0);
		}
	} else if (note->refused == 0) {
		note->topic->naming = false;
		note->topic->named = job->entry.status == 0;
	}
	discard_note(job);
}

/* Beside messages in the same log, so their order is one. */
static void write_note(struct topic *topic, struct note *note, uint8_t type)
{
	struct spool_entry *entry = &note->job.entry;

	entry->body = buf_slice(&note->body);
	entry->reserve = true;
	entry->record = (struct record){.type = type,
		.flags = note->refused != 0 ? RECORD_REFUSED : 0,
		.topic = topic->number,
		.seq = note->refused,
		.length = (uint32_t)(RECORD_HEADER + note->body.size),
		.time_ms = desk_wall_ms(topic->desk),
		.pcrc = record_pcrc(slice_make(NULL, 0), entry->body)};
	note->topic = topic;
	note->job.sync = note->refused != 0;
	note->job.loop = topic->desk->loop;
	note->job.gate = topic->desk->gate;
	note->job.done = on_note;
	note->job.discard = discard_note;
	spool_thread_append(topic->desk->broker->thread, &note->job);
}

/* The first record of a topic gives it its number. Where a full disk refused it, it is written
 * again: without it the next start would not know whose messages those are. */
static void bind_number(struct topic *topic)
{
	struct note *note;

	if (topic->named || topic->naming) {
		return;
	}
	/* Never given twice, also not after a restart: recovery sets the counter behind the
	 * largest it found. */
	if (topic->number == 0) {
		topic->number = atomic_fetch_add(&topic->desk->broker->topic_numbers, 1) + 1;
	}
	topic->naming = true;
	note = mem_zalloc(sizeof *note);
	buf_init(&note->body);
	buf_append_string(&note->body, topic->name);
	write_note(topic, note, RECORD_TOPIC);
}

/* The body is copied: the cursor goes on changing. */
void topic_write_cursor(struct group *group, struct slice body, uint64_t floor)
{
	struct topic *topic = group->topic;
	struct note *note = mem_zalloc(sizeof *note);

	bind_number(topic);
	(void)snprintf(note->group, sizeof note->group, "%s", group->name);
	note->serial = group->serial;
	note->floor = floor;
	buf_init(&note->body);
	buf_append_slice(&note->body, body);
	write_note(topic, note, RECORD_CURSOR);
}

/* B1-03: so that the next start does not take those numbers for lost messages. */
static void note_refusals(struct topic *topic)
{
	size_t count = topic->refusal_count;

	topic->refusal_count = 0;
	for (size_t i = 0; i < count; i++) {
		struct note *note = mem_zalloc(sizeof *note);

		note->refused = topic->refusals[i];
		buf_init(&note->body);
		for (unsigned j = 0; j < 8; j++) {
			buf_append_byte(&note->body, (uint8_t)(note->refused >> (8 * j)));
		}
		write_note(topic, note, RECORD_LOST);
	}
}

/* Dead letters have a share of their own, so that they can neither fill the spool nor be
 * crowded out. */
static uint64_t byte_limit(const struct topic *topic, const struct config_topic *policy)
{
	uint64_t spool = topic->desk->broker->spool_bytes;

	if (topic->dead_letters) {
		return spool / DEAD_SHARE;
	}
	return policy->bytes > 0 ? policy->bytes : spool / 2;
}

/* On this desk; the others do it when they meet the limit themselves. */
static void relieve_all(struct desk *desk, unsigned relief)
{
	MAP_FOR_EACH(entry, &desk->topics)
	{
		topic_release(entry->value, relief);
	}
}

/* B9-09: history first, then unclaimed ones, then the refusal. */
static enum reason make_room(struct topic *topic, const struct config_topic *policy, uint64_t size)
{
	const struct spool_numbers *numbers = spool_thread_numbers(topic->desk->broker->thread);
	uint64_t limit = byte_limit(topic, policy);

	for (unsigned relief = 1; relief <= 2 && topic->bytes + size > limit; relief++) {
		topic_release(topic, relief);
	}
	if (topic->bytes + size > limit) {
		/* B9-09: dropping loses messages, so only who wrote it out gets it; dead letters
		 * have been dropped by the application once already. */
		if (policy->on_full != CONFIG_ON_FULL_DROP_OLDEST || topic->dead_letters) {
			return REASON_topic_full;
		}
		topic_drop_oldest(topic, size);
	}
	if (topic->dead_letters || atomic_load(&numbers->room) >= size + ROOM_SLACK) {
		return REASON_ok;
	}
	relieve_all(topic->desk, 1);
	relieve_all(topic->desk, 2);
	/* Space comes back when the disk thread has deleted a segment: later publishes see it. */
	return atomic_load(&numbers->room) >= size + ROOM_SLACK ? REASON_ok : REASON_spool_full;
}

/* Index, memory, groups, then the answer: whoever hears of the 200 finds the message
 * delivered or waiting. */
static void on_committed(struct spool_job *job)
{
	struct publication *publication = container_of(job, struct publication, job);
	struct topic *topic = publication->topic;
	struct topic_entry entry = {.at = {.lsn = job->entry.lsn,
					    .seq = publication->seq,
					    .time_ms = publication->message->time_ms,
					    .expiry_ms = publication->message->expiry_ms,
					    .length = job->entry.record.length,
					    .attributes = job->entry.record.attributes,
					    .flags = job->entry.record.flags,
					    .only = record_only(job->entry.attributes)}};

	/* B9-08: the number stays used, for a later message must never be taken for this one. */
	if (job->entry.status < 0) {
		if (job->entry.status == -ENOSPC) {
			refuse(topic, publication->seq);
		}
		publication_finish(publication,
			job->entry.status == -ENOSPC ? REASON_spool_full : REASON_spool_error);
		return;
	}
	topic_add(topic, &entry);
	topic->committed_seq = publication->seq;
	topic_keep(topic, topic_at(topic, publication->seq), publication->message);
	counters_add(&topic->counters->accepted[publication->fsync ? 0 : 1], 1);
	LIST_FOR_EACH(node, &topic->groups) {
		struct group *group = LIST_ENTRY(node, struct group, node);

		/* B5-07: the number in the answer is that of the groups known at this moment
		 * (B1-01). */
		if (!group->hidden && group_wants(group, &entry)) {
			publication->groups++;
			group_notice(group, &entry);
		}
	}
	topic_wake(topic);
	publication_finish(publication, REASON_ok);
}

/* The loop is gone before the answer could come. */
static void discard_publication(struct spool_job *job)
{
	struct publication *publication = container_of(job, struct publication, job);

	publication->counted_bytes = 0; /* the broker may be gone */
	publication_destroy(publication);
}

/* What the publisher left out (B2-03); the id needs the number. */
static void fill_message(struct topic *topic, struct publication *publication)
{
	struct message *message = publication->message;
	char id[80];

	if (message_attribute(message, SLICE("id")).data == NULL) {
		(void)snprintf(id, sizeof id, "%016llx-%x-%llu",
			(unsigned long long)topic->desk->broker->log, topic->number,
			(unsigned long long)publication->seq);
		record_put_attribute(&message->attributes, SLICE("id"), slice_from_string(id));
	}
	message->pcrc = record_pcrc(buf_slice(&message->attributes), buf_slice(&message->body));
}

/* The number is given last, when nothing can refuse it any more but the disk itself. */
void topic_publish(struct topic *topic, struct publication *publication)
{
	struct desk *desk = topic->desk;
	const struct config_topic *policy = plan_policy(desk->plan, slice_from_string(topic->name));
	struct message *message = publication->message;
	struct spool_entry *entry = &publication->job.entry;
	uint64_t ttl = publication->ttl_ms > 0 ? publication->ttl_ms : (uint64_t)policy->ttl_ms;
	enum reason reason;

	if (!desk->broker->thread ||
		atomic_load(&spool_thread_numbers(desk->broker->thread)->failed)) {
		publication_finish(publication, REASON_spool_failed);
		return;
	}
	/* Room for an id that is made here, and for padding. */
	reason = make_room(topic, policy, message_size(message) + 128);
	if (reason != REASON_ok) {
		publication_finish(publication, reason);
		return;
	}
	bind_number(topic);
	publication->topic = topic;
	publication->seq = ++topic->last_seq;
	publication->fsync =
		publication->wants_fsync || policy->durability == CONFIG_DURABILITY_FSYNC;
	/* B10-10: dead letters are kept by their age and do not expire a second time. */
	if (ttl > 0 && message->expiry_ms == 0 && !topic->dead_letters) {
		message->expiry_ms = message->time_ms + ttl;
	}
	fill_message(topic, publication);
	entry->attributes = buf_slice(&message->attributes);
	entry->body = buf_slice(&message->body);
	entry->reserve = topic->dead_letters;
	entry->record = (struct record){.type = RECORD_MSG,
		.flags = publication->flags,
		.topic = topic->number,
		.seq = publication->seq,
		.time_ms = message->time_ms,
		.expiry_ms = message->expiry_ms,
		.key_crc = record_key_crc(message_attribute(message, SLICE("partitionkey"))),
		.attributes = (uint16_t)message->attributes.size,
		.length = (uint32_t)message_size(message),
		.pcrc = message->pcrc};
	publication->job.sync = publication->fsync;
	publication->job.loop = desk->loop;
	publication->job.gate = desk->gate;
	publication->job.done = on_committed;
	publication->job.discard = discard_publication;
	spool_thread_append(desk->broker->thread, &publication->job);
}

struct topic_read_job {
	struct spool_read read;
	struct topic *topic;
	uint64_t seq;
};

/* The index forgets with its desk that it asked. */
static void discard_read(struct spool_read *read)
{
	mem_free(container_of(read, struct topic_read_job, read));
}

/* A record that went bad on the disk is lost for every group, by number (B9-07). */
static void lose(struct topic *topic, const struct topic_entry *entry)
{
	log_event(LOG_LEVEL_ERROR, "broker", 6002, "a message of the spool cannot be read",
		(struct log_field[]){LOG_TEXT("pillion.topic", topic->name),
			LOG_NUMBER("pillion.seq", entry->at.seq)},
		2);
	LIST_FOR_EACH(node, &topic->groups) {
		struct group *group = LIST_ENTRY(node, struct group, node);
		struct pending *pending = group_pending(group, entry->at.seq);

		/* Its bytes are with a member already, so for that group nothing is lost. */
		if (pending && pending->state == PENDING_FLIES) {
			continue;
		}
		if (pending) {
			group_pending_free(group, pending);
		}
		if (!cursor_done(&group->cursor, entry->at.seq) && group_wants(group, entry) &&
			entry->at.seq - group->cursor.floor <= CURSOR_WINDOW) {
			counters_add(&group->counters->lost, 1);
			group_done(group, entry->at.seq);
		}
	}
}

/* The entry may have been given back while the bytes were read. */
static void on_read(struct spool_read *read)
{
	struct topic_read_job *job = container_of(read, struct topic_read_job, read);
	struct topic *topic = job->topic;
	struct topic_entry *entry = topic_at(topic, job->seq);
	bool again = true; /* else the tick asks again: an error may pass */

	if (entry) {
		entry->reading = false;
		if (read->status == 0) {
			entry->failures = 0;
			topic_keep(topic, entry, read->message);
		} else if (read->status == -EBADMSG || ++entry->failures == READ_TRIES) {
			entry->failures = 0;
			lose(topic, entry);
		} else {
			again = false;
		}
	}
	message_unref(read->message);
	mem_free(job);
	if (again) {
		topic_wake(topic);
	}
}

/* Some more behind it: readers of the disk mostly go on. */
void topic_read(struct topic *topic, struct topic_entry *entry)
{
	size_t place = (size_t)(entry - topic->entries);

	for (size_t i = 0; i < READ_AHEAD && place + i < topic->first + topic->count; i++) {
		struct topic_entry *one = &topic->entries[place + i];
		struct topic_read_job *job;

		if (one->message || one->reading || topic_entry_refused(one)) {
			continue;
		}
		one->reading = true;
		job = mem_zalloc(sizeof *job);
		job->topic = topic;
		job->seq = one->at.seq;
		job->read.lsn = one->at.lsn;
		job->read.length = one->at.length;
		job->read.loop = topic->desk->loop;
		job->read.gate = topic->desk->gate;
		job->read.done = on_read;
		job->read.discard = discard_read;
		spool_thread_read(topic->desk->broker->thread, &job->read);
	}
}

/* Once a turn, however many reasons there are. */
void topic_wake(struct topic *topic)
{
	if (topic->desk->server) {
		loop_queue(topic->desk->loop, &topic->task);
	}
}

/* Groups in turn, none of them twice before the others. */
static void run_topic(struct task *task)
{
	struct topic *topic = container_of(task, struct topic, task);
	bool more = false;

	if (!topic->desk->server) {
		return;
	}
	/* Each group gets its share of the turn: a busy one delays the others by that at most. */
	LIST_FOR_EACH(node, &topic->groups) {
		struct group *group = LIST_ENTRY(node, struct group, node);

		if (!group->hidden && dispatch_run(group)) {
			more = true;
		}
	}
	if (topic->dead_letters && topic->replay_count > 0) {
		dead_run(topic);
	}
	if (more) {
		topic_wake(topic);
	}
}

/* Checkpoints often, releases once a second. */
void topic_tick(struct topic *topic)
{
	LIST_FOR_EACH_SAFE(node, &topic->groups) {
		group_tick(LIST_ENTRY(node, struct group, node));
	}
	if (topic->number != 0 && topic->desk->broker->thread &&
		!atomic_load(&spool_thread_numbers(topic->desk->broker->thread)->failed)) {
		bind_number(topic);
		note_refusals(topic);
	}
	if (topic->desk->ticks % TICKS_RELEASE == 0) {
		topic_release(topic, 0);
	}
}

/* A removal names a pattern, like the group it removes. */
static bool removed(const struct plan *plan, const struct topic *topic, const char *group)
{
	for (size_t i = 0; i < plan->removed_count; i++) {
		if (strcmp(plan->removed[i].group, group) == 0 &&
			names_match(slice_from_string(plan->removed[i].pattern),
				slice_from_string(topic->name))) {
			return true;
		}
	}
	return false;
}

/* Groups and members follow the plan; a durable group that it does not name stays (B3-03). */
void topic_plan_changed(struct topic *topic)
{
	const struct plan *plan = topic->desk->plan;
	struct slice name = slice_from_string(topic->name);

	LIST_FOR_EACH_SAFE(node, &topic->groups) {
		struct group *group = LIST_ENTRY(node, struct group, node);

		group->settings = NULL;
		if (removed(plan, topic, group->name)) {
			group_destroy(group, COUNTERS_DROP_REMOVED, true);
		}
	}
	for (size_t i = 0; i < plan->group_count; i++) {
		const struct plan_group *settings = &plan->groups[i];
		struct group *group;

		if (!names_match(slice_from_string(settings->pattern), name)) {
			continue;
		}
		group = group_find(topic, slice_from_string(settings->group));
		if (!group) {
			group = group_create(topic, settings->group, settings, NULL);
		}
		if (group && !group->settings) {
			group->settings = settings;
		}
	}
	LIST_FOR_EACH(node, &topic->groups) {
		struct group *group = LIST_ENTRY(node, struct group, node);

		group_set_settings(group, group->settings);
	}
}
