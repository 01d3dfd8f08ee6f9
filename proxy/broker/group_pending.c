/*
 * group_pending: messages that were handed out or wait for their next time, and what an outcome
 * means for them (B10-07).
 */
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/group.h"
#include "broker/lane.h"

#define DEFAULT_MAX_DELIVER 16
#define HEAP_NONE	    SIZE_MAX

static const uint32_t default_backoff_ms[] = {100, 1000, 10000, 60000};

/* The bytes of the number in memory: never written, so their order does not matter. */
static struct slice key_of(const uint64_t *seq)
{
	return slice_make(seq, sizeof *seq);
}

/* NULL: it was never handed out, or is done. */
struct pending *group_pending(struct group *group, uint64_t seq)
{
	return map_get(&group->pendings, key_of(&seq));
}

/* Most messages have one only while they fly. */
struct pending *group_pending_make(struct group *group, uint64_t seq)
{
	struct pending *pending = mem_zalloc(sizeof *pending);

	ASSERT(!group_pending(group, seq));
	pending->seq = seq;
	pending->place = HEAP_NONE;
	(void)map_set(&group->pendings, key_of(&seq), pending);
	return pending;
}

/* Among equals the older message goes first. */
static bool before(const struct pending *a, const struct pending *b)
{
	return a->due_ms < b->due_ms || (a->due_ms == b->due_ms && a->seq < b->seq);
}

/* Each pending knows its place, so that it can be taken out of the middle. */
static void place(struct group *group, size_t at, struct pending *pending)
{
	group->heap[at] = pending;
	pending->place = at;
}

/* The hole moves, the entry is put once. */
static void sift_up(struct group *group, size_t at, struct pending *pending)
{
	while (at > 0 && before(pending, group->heap[(at - 1) / 2])) {
		place(group, at, group->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	place(group, at, pending);
}

/* The same towards the leaves. */
static void sift_down(struct group *group, size_t at, struct pending *pending)
{
	for (;;) {
		size_t child = 2 * at + 1;

		if (child + 1 < group->heap_count &&
			before(group->heap[child + 1], group->heap[child])) {
			child++;
		}
		if (child >= group->heap_count || !before(group->heap[child], pending)) {
			break;
		}
		place(group, at, group->heap[child]);
		at = child;
	}
	place(group, at, pending);
}

/* The last entry fills the gap and may have to go either way. */
void group_unschedule(struct group *group, struct pending *pending)
{
	size_t at = pending->place;
	struct pending *last;

	if (at == HEAP_NONE) {
		return;
	}
	pending->place = HEAP_NONE;
	last = group->heap[--group->heap_count];
	if (last == pending) {
		return;
	}
	if (at > 0 && before(last, group->heap[(at - 1) / 2])) {
		sift_up(group, at, last);
	} else {
		sift_down(group, at, last);
	}
}

/* Also moves one that waits already. */
void group_schedule(struct group *group, struct pending *pending, uint64_t due_ms)
{
	group_unschedule(group, pending);
	pending->due_ms = due_ms;
	if (group->heap_count == group->heap_capacity) {
		group->heap_capacity = group->heap_capacity > 0 ? group->heap_capacity * 2 : 16;
		group->heap = mem_realloc(group->heap, group->heap_capacity * sizeof *group->heap);
	}
	sift_up(group, group->heap_count++, pending);
}

/* Looked at, not taken: whoever hands it out unschedules it. */
struct pending *group_due(struct group *group, uint64_t now_ms)
{
	return group->heap_count > 0 && group->heap[0]->due_ms <= now_ms ? group->heap[0] : NULL;
}

/* It is no longer in the hands of a member. */
static void land(struct group *group, struct pending *pending)
{
	if (pending->state != PENDING_FLIES) {
		return;
	}
	ASSERT(pending->lane && pending->lane->outstanding > 0 && group->in_flight > 0);
	pending->lane->outstanding--;
	pending->lane = NULL;
	pending->state = PENDING_WAITS;
	group->in_flight--;
	atomic_fetch_sub(&group->topic->desk->broker->delivering, 1);
}

/* Whatever state it is in. */
void group_pending_free(struct group *group, struct pending *pending)
{
	land(group, pending);
	group_unschedule(group, pending);
	(void)map_remove(&group->pendings, key_of(&pending->seq));
	mem_free(pending->detail);
	mem_free(pending);
}

/* The n-th failure waits the n-th time; the last repeats. */
static uint64_t backoff(const struct group *group, unsigned failures)
{
	const struct plan_group *settings = group->settings;
	size_t count = settings && settings->backoff_count > 0 ? settings->backoff_count
							       : ARRAY_SIZE(default_backoff_ms);
	const uint32_t *waits =
		settings && settings->backoff_count > 0 ? settings->backoff_ms : default_backoff_ms;
	uint64_t wait = waits[failures > count ? count - 1 : failures > 0 ? failures - 1 : 0];

	/* +-20 % */
	return wait - wait / 5 + rng_below(&group->topic->desk->rng, wait / 5 * 2 + 1);
}

/* What `pillion groups` shows, and what a dead letter will tell. */
static void note_error(
	struct group *group, struct pending *pending, const struct frame_outcome *outcome)
{
	struct desk *desk = group->topic->desk;

	group->last_error_ms = desk_wall_ms(desk);
	(void)snprintf(group->last_error, sizeof group->last_error, "%s %u",
		frame_result_word(outcome->kind), outcome->status);
	if (!pending) {
		return;
	}
	pending->status = outcome->status;
	mem_free(pending->detail);
	pending->detail = mem_zalloc(outcome->detail.size + 1);
	for (size_t i = 0; i < outcome->detail.size; i++) {
		uint8_t byte = outcome->detail.data[i];

		/* Printable, since it becomes an attribute (B10-10). */
		pending->detail[i] = (char)(byte >= 0x20 && byte < 0x7F ? byte : '?');
	}
}

/* The class of DEAD knows two origins. */
static enum counters_death death_of(const struct frame_outcome *outcome)
{
	/* A `term` carries its reason as the detail; a failed translation is status 0 as well. */
	return outcome->status == 0 ? COUNTERS_TERMINATED : COUNTERS_STATUS;
}

/* One attempt was counted: again later, or the budget is used up. */
static void failed(struct group *group, struct pending *pending,
	const struct frame_outcome *outcome, uint64_t wait_ms)
{
	unsigned most = group->settings && group->settings->max_deliver > 0
				? group->settings->max_deliver
				: DEFAULT_MAX_DELIVER;

	if ((unsigned)pending->app + pending->suspect >= most) {
		dead_letter(group, pending,
			outcome->kind == RESULT_SUSPECT ? COUNTERS_POISON : COUNTERS_MAX_DELIVER);
		return;
	}
	group_schedule(group, pending, desk_now_ms(group->topic->desk) + wait_ms);
}

/* A late acknowledgement counts like one in time, whichever lane has the message now (B10-12). */
static void acked(struct group *group, struct lane *lane, uint64_t seq, struct pending *pending)
{
	if (lane && lane->window > 0) {
		lane->window = lane->window >= 128 ? 0 : lane->window * 2;
	}
	if (lane) {
		lane->cool_ms = 0;
	}
	group_pending_free(group, pending);
	if (!cursor_done(&group->cursor, seq)) {
		counters_add(&group->counters->acked, 1);
		group_done(group, seq);
	}
}

/* A counted attempt is part of the checkpoint (B9-04). */
static void touch_budget(struct group *group)
{
	if (group->durable && group->dirty++ == 0) {
		group->dirty_since_ms = desk_now_ms(group->topic->desk);
	}
}

/* The heart of B10-07: only APP and SUSPECT cost an attempt, and infrastructure never does
 * (B1-04). */
void group_result(
	struct group *group, struct lane *lane, uint64_t seq, const struct frame_outcome *outcome)
{
	struct pending *pending = group_pending(group, seq);
	bool mine = pending && pending->state == PENDING_FLIES && pending->lane == lane;

	if (!pending || pending->state == PENDING_DIES) {
		return;
	}
	if (outcome->kind == RESULT_ACK) {
		acked(group, lane, seq, pending);
		return;
	}
	/* B10-12: a late result of a delivery that was made again counts only as an ACK. */
	if (!mine) {
		return;
	}
	land(group, pending);
	pending->last_wall_ms = desk_wall_ms(group->topic->desk);
	counters_add(&group->counters->redelivered[outcome->kind], 1);
	note_error(group, pending, outcome);
	switch (outcome->kind) {
	case RESULT_APP:
		pending->app++;
		touch_budget(group);
		failed(group, pending, outcome,
			outcome->delay_ms > 0 ? outcome->delay_ms - 1
					      : backoff(group, pending->app));
		break;
	case RESULT_SUSPECT:
		pending->suspect++;
		touch_budget(group);
		failed(group, pending, outcome, 0);
		break;
	case RESULT_DEAD:
		dead_letter(group, pending, death_of(outcome));
		break;
	default: /* INFRA, BUSY, RETURNED, ENDPOINT: nothing is counted, ever (B1-04) */
		group_schedule(group, pending, 0);
		break;
	}
}
