/*
 * A group's cursor is written by its owner alone (one log, one writer), so no rebalancing
 * exists; the price is that each publisher knows how far the group came only in its own log.
 */
#include "broker/group.h"

#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/lane.h"

#define CHECKPOINT_MS	100 /* B8-03 */
#define CHECKPOINT_ACKS 1000
#define EPHEMERAL_MS	60000 /* B3-03 */

struct group *group_find(struct topic *topic, struct slice name)
{
	LIST_FOR_EACH(node, &topic->groups) {
		struct group *group = LIST_ENTRY(node, struct group, node);

		if (slice_equal(name, slice_from_string(group->name))) {
			return group;
		}
	}
	return NULL;
}

/* A redelivery became due, or a pause ended. */
static void on_timer(struct timer *timer)
{
	topic_wake(container_of(timer, struct group, timer)->topic);
}

/* B3-04: `new` is the first message with time_ms >= created_ms, so that a publisher that hears of
 * the group later begins at the same place. */
static uint64_t first_floor(const struct topic *topic, const struct plan_group *settings)
{
	for (size_t i = 0; i < topic->count; i++) {
		const struct topic_entry *entry = &topic->entries[topic->first + i];

		if (!settings || settings->earliest || entry->at.time_ms >= settings->created_ms) {
			return entry->at.seq - 1;
		}
	}
	return topic->committed_seq;
}

/* At creation, over what is in the spool; from then on it is kept by counting. */
static void count_backlog(struct group *group)
{
	struct topic *topic = group->topic;

	for (struct topic_entry *entry = topic_after(topic, group->cursor.floor); entry;
		entry = topic_after(topic, entry->at.seq)) {
		if (!cursor_done(&group->cursor, entry->at.seq) && group_wants(group, entry)) {
			group->backlog++;
		}
	}
	counters_set(&group->counters->backlog, group->backlog);
	counters_add(&group->counters->accepted, group->backlog);
}

/* Budgets of messages that are gone or done meanwhile are dropped with them. */
static void take_image(struct group *group, const struct cursor_image *image)
{
	cursor_init(&group->cursor, image->cursor.floor);
	for (uint32_t i = 1; i <= image->cursor.capacity; i++) {
		if (cursor_done(&image->cursor, image->cursor.floor + i)) {
			(void)cursor_mark(&group->cursor, image->cursor.floor + i);
		}
	}
	group->written_floor = group->durable_floor = image->cursor.floor;
	for (size_t i = 0; i < image->budget_count; i++) {
		struct pending *pending;

		if (cursor_done(&group->cursor, image->budgets[i].seq) ||
			!topic_at(group->topic, image->budgets[i].seq)) {
			continue;
		}
		pending = group_pending_make(group, image->budgets[i].seq);
		pending->app = image->budgets[i].app;
		pending->suspect = image->budgets[i].suspect;
		group_schedule(group, pending, 0);
	}
}

/* From a record of the spool, or as a declaration says. NULL beyond the limits L2 and L3:
 * the group is then ignored here, and its messages stay unclaimed. */
struct group *group_create(struct topic *topic, const char *name, const struct plan_group *settings,
	const struct cursor_image *image)
{
	struct broker *broker = topic->desk->broker;
	struct group *group;

	if (topic->group_count >= DESK_GROUPS_MAX ||
		atomic_load(&broker->cursors) >= DESK_CURSORS_MAX) {
		log_event(LOG_LEVEL_WARN, "broker", 6004, "too many groups, one is ignored here",
			(struct log_field[]){LOG_TEXT("pillion.topic", topic->name),
				LOG_TEXT("pillion.group", name)},
			2);
		return NULL;
	}
	group = mem_zalloc(sizeof *group);
	(void)snprintf(group->name, sizeof group->name, "%s", name);
	group->topic = topic;
	group->serial = topic->desk->next_generation++;
	group->hidden = strcmp(name, TOPIC_DLQ_GROUP) == 0;
	group->durable = image != NULL || group->hidden || (settings && settings->durable);
	map_init(&group->pendings);
	list_init(&group->lanes);
	timer_init(&group->timer, on_timer);
	group->counters = counters_group(&broker->counters, topic->name, name);
	list_push_back(&topic->groups, &group->node);
	topic->group_count++;
	atomic_fetch_add(&broker->cursors, 1);
	if (image) {
		take_image(group, image);
	} else {
		cursor_init(&group->cursor,
			group->hidden ? topic->committed_seq : first_floor(topic, settings));
		if (group->hidden) {
			cursor_init(&group->cursor,
				topic->count > 0 ? topic->entries[topic->first].at.seq - 1
						 : topic->committed_seq);
		}
		group->dirty = group->durable;
		group->dirty_since_ms = 0;
	}
	group->next = group->cursor.floor + 1;
	count_backlog(group);
	return group;
}

/* `forget` also writes it into the log; else the cursor stays for the next start. */
void group_destroy(struct group *group, enum counters_drop why, bool forget)
{
	struct topic *topic = group->topic;

	LIST_FOR_EACH_SAFE(node, &group->lanes) {
		lane_destroy(LIST_ENTRY(node, struct lane, node), RESULT_RETURNED);
	}
	while (group->pendings.count > 0) {
		group_pending_free(group, group->pendings.entries[0].value);
	}
	if (forget && topic->number != 0 && group->durable && topic->desk->broker->thread) {
		struct buf body;

		buf_init(&body);
		cursor_encode_removed(slice_from_string(group->name), &body);
		topic_write_cursor(group, buf_slice(&body), 0);
		buf_fini(&body);
	}
	if (why < COUNTERS_DROPS) {
		counters_add(&group->counters->dropped[why], group->backlog);
		counters_set(&group->counters->backlog, 0);
	}
	timer_cancel(&group->timer);
	atomic_fetch_sub(&topic->desk->broker->cursors, 1);
	list_unlink(&group->node);
	topic->group_count--;
	cursor_fini(&group->cursor);
	map_fini(&group->pendings);
	mem_free(group->heap);
	mem_free(group);
}

/* A replayed dead letter is for one group alone. */
bool group_wants(const struct group *group, const struct topic_entry *entry)
{
	return !topic_entry_refused(entry) &&
	       (entry->at.only == 0 ||
		       entry->at.only == record_key_crc(slice_from_string(group->name)));
}

/* Counted when committed, before anything is sent. */
void group_notice(struct group *group, const struct topic_entry *entry)
{
	ASSERT(!group->hidden && entry->at.seq > group->cursor.floor);
	group->backlog++;
	counters_add(
		entry->at.only != 0 ? &group->counters->replayed : &group->counters->accepted, 1);
	counters_set(&group->counters->backlog, group->backlog);
}

/* The first change starts the clock of the checkpoint. */
static void touch(struct group *group)
{
	if (group->durable && group->dirty++ == 0) {
		group->dirty_since_ms = desk_now_ms(group->topic->desk);
	}
}

/* Numbers that are none of the group's: lost ones, refused ones, other groups' replays. They
 * count nowhere. */
void group_pass(struct group *group, uint64_t seq)
{
	if (seq - group->cursor.floor <= CURSOR_WINDOW && cursor_mark(&group->cursor, seq)) {
		touch(group);
	}
}

/* The one place where the backlog shrinks, whatever the reason was. */
void group_done(struct group *group, uint64_t seq)
{
	if (!cursor_mark(&group->cursor, seq)) {
		return;
	}
	if (!group->hidden) {
		ASSERT(group->backlog > 0);
		group->backlog--;
		counters_set(&group->counters->backlog, group->backlog);
	}
	touch(group);
	if (group->dirty >= CHECKPOINT_ACKS) {
		group_checkpoint(group, true);
	}
}

/* The attempts that were counted must survive a restart, or a poisonous message would be
 * tried for ever. */
static size_t gather_budgets(const struct group *group, struct cursor_budget *budgets)
{
	size_t count = 0;

	MAP_FOR_EACH(entry, &group->pendings)
	{
		const struct pending *pending = entry->value;

		if ((pending->app > 0 || pending->suspect > 0) && count < CURSOR_BUDGETS_MAX) {
			budgets[count++] = (struct cursor_budget){
				pending->seq, pending->app, pending->suspect};
		}
	}
	return count;
}

/* B8-03. One record at a time is under way, so that the last one written is the newest. */
void group_checkpoint(struct group *group, bool force)
{
	struct desk *desk = group->topic->desk;
	struct cursor_budget *budgets;
	struct buf body;
	size_t count;

	if (group->dirty == 0 || group->writing || !group->durable || !desk->broker->thread ||
		(!force && desk_now_ms(desk) - group->dirty_since_ms < CHECKPOINT_MS)) {
		return;
	}
	if (group->topic->number == 0 ||
		atomic_load(&spool_thread_numbers(desk->broker->thread)->failed)) {
		return; /* nothing to be behind yet, or nothing is written any more */
	}
	budgets = mem_alloc(CURSOR_BUDGETS_MAX * sizeof *budgets);
	count = gather_budgets(group, budgets);
	buf_init(&body);
	cursor_encode(slice_from_string(group->name), &group->cursor, budgets, count, &body);
	topic_write_cursor(group, buf_slice(&body), group->cursor.floor);
	buf_fini(&body);
	mem_free(budgets);
	group->dirty = 0;
	group->writing = true;
}

/* The record stands in the log; whether it is durable is asked later, against the sync of
 * the log. */
void group_wrote(struct group *group, uint64_t floor, uint64_t lsn, bool good)
{
	group->writing = false;
	if (!good) {
		/* B9-08: after a failure nothing more is marked done on disk; messages still go
		 * out. A full disk is tried again, for only cursors give space back. */
		touch(group);
		return;
	}
	group->written_floor = floor;
	group->written_lsn = lsn;
}

/* Only a cursor that a power cut cannot take back may let messages go (B9-10). */
static void follow_durable(struct group *group)
{
	const struct broker *broker = group->topic->desk->broker;

	if (group->written_floor > group->durable_floor && broker->thread &&
		atomic_load(&spool_thread_numbers(broker->thread)->synced_lsn) >
			group->written_lsn) {
		group->durable_floor = group->written_floor;
	}
}

/* Only for other sidecars: in the own one the member's timer is enough. */
static void check_guard(struct group *group)
{
	struct desk *desk = group->topic->desk;
	uint32_t wait = group->settings ? group->settings->ack_wait_ms : 30000;
	uint64_t bound = (uint64_t)wait + 5000;

	/* B11-04: the subscriber runs ack_wait and may extend it; silence of its lane is what
	 * counts. */
	LIST_FOR_EACH_SAFE(node, &group->lanes) {
		struct lane *lane = LIST_ENTRY(node, struct lane, node);

		lane_tick(lane);
		if (lane->outstanding > 0 && !lane->local &&
			desk_now_ms(desk) - lane->active_ms > bound) {
			lane_lost(lane, RESULT_SUSPECT, 1000);
		}
	}
}

/* An ephemeral group without a member goes after a minute, with its backlog counted. */
void group_tick(struct group *group)
{
	struct desk *desk = group->topic->desk;

	follow_durable(group);
	group_checkpoint(group, false);
	if (group->hidden) {
		return;
	}
	check_guard(group);
	LIST_FOR_EACH_SAFE(node, &group->lanes) {
		struct lane *lane = LIST_ENTRY(node, struct lane, node);

		if (!lane->wanted && lane->outstanding == 0) {
			lane_destroy(lane, RESULT_RETURNED);
		}
	}
	counters_set(&group->counters->retrying, group->heap_count);
	counters_set(&group->counters->in_flight, group->in_flight);
	if (group->settings || group->durable) {
		group->gone_since_ms = 0;
	} else if (group->gone_since_ms == 0) {
		group->gone_since_ms = desk_now_ms(desk);
	} else if (desk_now_ms(desk) - group->gone_since_ms > EPHEMERAL_MS) {
		group_destroy(group, COUNTERS_DROP_EPHEMERAL, false);
		return;
	}
	if (group->backlog > 0) {
		topic_wake(group->topic);
	}
}

/* The members of the plan, one lane each; one that left stays until what flies on it landed. */
void group_set_settings(struct group *group, const struct plan_group *settings)
{
	unsigned count = 0;

	group->settings = settings;
	group->near_lanes = 0;
	LIST_FOR_EACH(node, &group->lanes) {
		LIST_ENTRY(node, struct lane, node)->wanted = false;
	}
	for (size_t i = 0; settings && i < settings->member_count; i++) {
		const struct plan_member *member = &settings->members[i];
		struct lane *lane = lane_find(group, member->sidecar, member->name);

		if (!lane) {
			lane = lane_create(group, member);
		}
		lane->wanted = true;
		lane->usable = member->usable;
		lane->drained = false;
		(void)snprintf(lane->host, sizeof lane->host, "%s", member->host);
		lane->port = member->port;
		lane->near = member->near;
		group->near_lanes += member->near;
		lane->weight = member->weight > 0 ? member->weight : 1;
		count++;
	}
	LIST_FOR_EACH(node, &group->lanes) {
		struct lane *lane = LIST_ENTRY(node, struct lane, node);

		lane->usable = lane->usable && lane->wanted;
	}
	counters_set(&group->counters->members, count);
}
