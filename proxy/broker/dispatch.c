/*
 * dispatch: which message goes to which member now (B10-02, B10-03): due redeliveries before new
 * ones, inside the window, to one of two random members that have credit.
 */
#include "base/mem.h"
#include "broker/group.h"
#include "broker/lane.h"

#define TURN_MAX     64 /* messages of a group per turn */
#define DEMAND_MAX   64
#define DEMAND_LANES 8

/* B10-03: whether any member of our zone could take one now. */
static bool any_near(const struct group *group, uint64_t now_ms)
{
	if (group->near_lanes == 0) {
		return false;
	}
	LIST_FOR_EACH(node, &group->lanes) {
		const struct lane *lane = LIST_ENTRY(node, struct lane, node);

		if (lane->near && lane_ready(lane, now_ms)) {
			return true;
		}
	}
	return false;
}

/* Fewer deliveries outstanding for what it can take. */
static bool less_busy(const struct lane *a, const struct lane *b)
{
	return (uint64_t)a->outstanding * b->weight < (uint64_t)b->outstanding * a->weight;
}

/* Two random ready lanes, of our zone if there are any; the less busy one. */
struct lane *dispatch_choose(struct group *group, uint64_t now_ms)
{
	struct desk *desk = group->topic->desk;
	bool near = any_near(group, now_ms);
	struct lane *picked[2] = {NULL, NULL};
	uint64_t seen = 0;

	LIST_FOR_EACH(node, &group->lanes) {
		struct lane *lane = LIST_ENTRY(node, struct lane, node);

		if ((near && !lane->near) || !lane_ready(lane, now_ms)) {
			continue;
		}
		/* Reservoir of two. */
		if (seen < 2) {
			picked[seen] = lane;
		} else {
			uint64_t at = rng_below(&desk->rng, seen + 1);

			if (at < 2) {
				picked[at] = lane;
			}
		}
		seen++;
	}
	/* Among equals the coin decides: the first place is not random. */
	if (picked[1] && (less_busy(picked[1], picked[0]) ||
				 (!less_busy(picked[0], picked[1]) && rng_below(&desk->rng, 2)))) {
		return picked[1];
	}
	return picked[0];
}

/* Up to eight members without credit, in our zone or not, beginning at a random one. True: one that
 * was not waiting for credit already does now. */
static bool ask(struct group *group, uint64_t now_ms, bool near)
{
	uint32_t want = group->backlog < DEMAND_MAX ? (uint32_t)group->backlog : DEMAND_MAX;
	uint64_t count = 0, skip, asked = 0;
	bool any = false;

	LIST_FOR_EACH(node, &group->lanes) {
		count++;
	}
	skip = count > 0 ? rng_below(&group->topic->desk->rng, count) : 0;
	for (uint64_t round = 0; round < 2; round++) {
		uint64_t place = 0;

		LIST_FOR_EACH(node, &group->lanes) {
			struct lane *lane = LIST_ENTRY(node, struct lane, node);
			bool turn = round == 0 ? place >= skip : place < skip;
			bool before = lane->demanded;

			place++;
			if (turn && lane->near == near && lane->usable && !lane->drained &&
				asked < DEMAND_LANES && now_ms >= lane->hold_until_ms &&
				lane->limit <= lane->used) {
				lane_demand(lane, want);
				asked++;
				any = any || (lane->demanded && !before);
			}
		}
	}
	return any;
}

/* No credit anywhere. Our zone is asked first; the others when it has none to give, or their unused
 * credit would draw every second message away. */
static void demand(struct group *group, uint64_t now_ms)
{
	if (group->near_lanes == 0 || !ask(group, now_ms, true)) {
		(void)ask(group, now_ms, false);
	}
}

/* The first message never looked at that this group wants; passes what is none of its own. */
static struct topic_entry *fresh(struct group *group)
{
	struct topic *topic = group->topic;

	for (;;) {
		struct topic_entry *entry;

		/* Numbers that an earlier start had settled out of order are passed in one leap
		 * when the last one below them is done. */
		if (group->next <= group->cursor.floor) {
			group->next = group->cursor.floor + 1;
		}
		entry = topic_after(topic, group->next - 1);
		if (!entry) {
			return NULL;
		}
		/* Numbers that no record has: lost or never written. They hold nothing up, also
		 * when they are more than a window: the floor may follow. */
		while (group->next < entry->at.seq &&
			group->next - group->cursor.floor <= CURSOR_WINDOW) {
			group_pass(group, group->next++);
		}
		if (entry->at.seq - group->cursor.floor > CURSOR_WINDOW) {
			return NULL; /* B10-02: this group waits, no other */
		}
		if (cursor_done(&group->cursor, entry->at.seq) ||
			group_pending(group, entry->at.seq)) {
			group->next++;
			continue;
		}
		if (!group_wants(group, entry)) {
			group_pass(group, entry->at.seq);
			group->next++;
			continue;
		}
		return entry;
	}
}

/* An expiry is a wall time; the comparison uses the slewed clock, so a step expires nothing
 * in masse. */
static bool expired(const struct group *group, const struct topic_entry *entry)
{
	return entry->at.expiry_ms != 0 && entry->at.expiry_ms <= desk_wall_ms(group->topic->desk);
}

/* B9-11: judged at dispatch. */
static void expire(struct group *group, struct topic_entry *entry, struct pending *pending)
{
	const struct config_topic *policy =
		plan_policy(group->topic->desk->plan, slice_from_string(group->topic->name));

	if (policy->expired == CONFIG_EXPIRED_DROP) {
		uint64_t seq = entry->at.seq;

		if (pending) {
			group_pending_free(group, pending);
		}
		counters_add(&group->counters->dropped[COUNTERS_DROP_EXPIRED], 1);
		group_done(group, seq);
		return;
	}
	if (!pending) {
		pending = group_pending_make(group, entry->at.seq);
	}
	dead_letter(group, pending, COUNTERS_EXPIRED);
}

/* A frame that the link would not take comes back as RETURNED: not counted, tried again at
 * once. */
static void flush_lane(struct lane *lane, struct frame *frame)
{
	struct group *group = lane->group;
	size_t count = frame->item_count;
	uint64_t *seqs = mem_alloc((count + 1) * sizeof *seqs);

	for (size_t i = 0; i < count; i++) {
		seqs[i] = frame->items[i].seq;
	}
	if (!lane_deliver(lane, frame)) {
		struct frame_outcome back = {.kind = RESULT_RETURNED};

		for (size_t i = 0; i < count; i++) {
			group_result(group, lane, seqs[i], &back);
		}
	}
	mem_free(seqs);
}

/* One frame at a time is being filled: runs of messages mostly go to one member. */
struct filling {
	struct lane *lane;
	struct frame *frame;
	size_t bytes;
};

/* Also with nothing gathered. */
static void flush(struct filling *filling)
{
	if (filling->frame) {
		flush_lane(filling->lane, filling->frame);
	}
	*filling = (struct filling){NULL, NULL, 0};
}

/* All counts change here and in one other place, where a delivery lands: so they always agree. */
static void hand_out(struct group *group, struct lane *lane, struct topic_entry *entry,
	struct pending *pending, struct filling *filling)
{
	struct desk *desk = group->topic->desk;
	size_t size = message_size(entry->message);

	if (filling->frame &&
		(filling->lane != lane || filling->frame->item_count == FRAME_ITEMS_MAX ||
			filling->bytes + size > FRAME_BYTES_MAX)) {
		flush(filling);
	}
	if (!pending) {
		pending = group_pending_make(group, entry->at.seq);
		pending->first_wall_ms = desk_wall_ms(desk);
	}
	group_unschedule(group, pending);
	pending->state = PENDING_FLIES;
	pending->lane = lane;
	pending->sent_ms = desk_now_ms(desk);
	lane->outstanding++;
	lane->used++;
	lane->active_ms = pending->sent_ms;
	group->in_flight++;
	atomic_fetch_add(&desk->broker->delivering, 1);
	counters_add(&group->counters->delivered, 1);
	if (!filling->frame) {
		filling->frame = frame_create(true, FRAME_DELIVER, lane->id);
		filling->lane = lane;
	}
	frame_add_item(filling->frame, entry->at.seq, (uint32_t)pending->app + pending->suspect + 1,
		entry->message);
	filling->bytes += size;
}

enum step { STEP_DONE, STEP_STALLED, STEP_IDLE };

/* One message: a due one before a new one. Stalled means that something else must happen
 * first: credit, bytes from the disk, or the end of a pause. */
static enum step step(struct group *group, uint64_t now_ms, struct filling *filling)
{
	struct pending *pending = group_due(group, now_ms);
	struct topic_entry *entry;
	struct lane *lane;

	entry = pending ? topic_at(group->topic, pending->seq) : fresh(group);
	if (pending && !entry) {
		/* Dropped while it waited. */
		uint64_t seq = pending->seq;

		group_pending_free(group, pending);
		group_pass(group, seq);
		return STEP_DONE;
	}
	if (!entry) {
		return STEP_IDLE;
	}
	if (pending && pending->state == PENDING_DIES) {
		dead_letter(group, pending, pending->death);
		return STEP_DONE;
	}
	if (expired(group, entry)) {
		if (!pending) {
			group->next = entry->at.seq + 1;
		}
		expire(group, entry, pending);
		return STEP_DONE;
	}
	lane = dispatch_choose(group, now_ms);
	if (!lane) {
		demand(group, now_ms);
		return STEP_STALLED;
	}
	if (!entry->message) {
		topic_read(group->topic, entry);
		return STEP_STALLED;
	}
	if (!pending) {
		group->next = entry->at.seq + 1;
	}
	hand_out(group, lane, entry, pending, filling);
	return STEP_DONE;
}

/* When nothing else wakes the group: the next redelivery, or the end of a pause. */
static void arm(struct group *group, uint64_t now_ms)
{
	uint64_t due = group->heap_count > 0 ? group->heap[0]->due_ms : UINT64_MAX;

	LIST_FOR_EACH(node, &group->lanes) {
		const struct lane *lane = LIST_ENTRY(node, struct lane, node);

		if (group->backlog > 0 && lane->hold_until_ms > now_ms &&
			lane->hold_until_ms < due) {
			due = lane->hold_until_ms;
		}
	}
	if (due > now_ms && due != UINT64_MAX) {
		timer_arm(group->topic->desk->loop, &group->timer, due);
	}
}

/* True: the group's share of the turn was used up and there may be more (B10-02). */
bool dispatch_run(struct group *group)
{
	uint64_t now_ms = desk_now_ms(group->topic->desk);
	struct filling filling = {NULL, NULL, 0};
	enum step last = STEP_DONE;

	if (!group->topic->desk->broker->thread) {
		return false;
	}
	for (unsigned i = 0; i < TURN_MAX && last == STEP_DONE; i++) {
		last = step(group, now_ms, &filling);
	}
	flush(&filling);
	arm(group, now_ms);
	return last == STEP_DONE;
}
