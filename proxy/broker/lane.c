/*
 * The publisher's end of a lane keeps credits as absolute counts of deliveries, so that a frame
 * that is lost or late never makes credit out of nothing (B10-05).
 */
#include "broker/lane.h"

#include <stdio.h>

#include "base/mem.h"
#include "broker/member.h"

#define UNUSED_MS  1000	 /* credit that is not used goes back (B10-05) */
#define IDLE_MS	   60000 /* a lane without traffic is closed */
#define COOL_MIN   50
#define COOL_MAX   5000
#define REOPEN_MIN 1000 /* B11-06 */
#define OPENED_MS  5000 /* as for a welcome (B11-01) */

static struct slice id_key(const uint32_t *id)
{
	return slice_make(id, sizeof *id);
}

/* Frames name lanes by number: a late one finds nothing. */
struct lane *lane_by_id(struct desk *desk, uint32_t id)
{
	return map_get(&desk->lanes, id_key(&id));
}

/* A member is a sidecar and a name. */
struct lane *lane_find(struct group *group, const uint8_t sidecar[16], const char *name)
{
	LIST_FOR_EACH(node, &group->lanes) {
		struct lane *lane = LIST_ENTRY(node, struct lane, node);

		if (memcmp(lane->sidecar, sidecar, sizeof lane->sidecar) == 0 &&
			strcmp(lane->name, name) == 0) {
			return lane;
		}
	}
	return NULL;
}

/* Closed: it is opened when there is something to send. */
struct lane *lane_create(struct group *group, const struct plan_member *member)
{
	struct desk *desk = group->topic->desk;
	struct lane *lane = mem_zalloc(sizeof *lane);

	lane->group = group;
	lane->id = desk->next_lane++;
	memcpy(lane->sidecar, member->sidecar, sizeof lane->sidecar);
	(void)snprintf(lane->name, sizeof lane->name, "%s", member->name);
	lane->local = member->local;
	list_init(&lane->link_node);
	list_push_back(&group->lanes, &lane->node);
	(void)map_set(&desk->lanes, id_key(&lane->id), lane);
	return lane;
}

/* References to messages go back. */
static void discard_frame(struct desk_mail *mail)
{
	frame_destroy(container_of(mail, struct frame, mail));
}

/* On the home worker of a member in this sidecar. */
static void run_member(struct desk *desk, struct desk_mail *mail)
{
	member_receive(desk, container_of(mail, struct frame, mail));
}

/* False: it did not go; the frame stays the caller's. */
static bool send_frame(struct lane *lane, struct frame *frame)
{
	struct desk *desk = lane->group->topic->desk;
	struct broker *broker = desk->broker;
	struct desk *home;

	if (!desk->server) {
		return false; /* the desk ends, and with it everybody it could tell */
	}
	frame->origin = (struct frame_origin){desk->index, UINT32_MAX, 0};
	if (!lane->local) {
		if (!lane->link || !link_send(lane->link, frame)) {
			return false;
		}
		frame_destroy(frame);
		return true;
	}
	/* Delivery inside one sidecar uses the same frames over a mailbox. */
	home = &broker->desks[names_home(slice_from_string(lane->group->name),
		slice_from_string(lane->name), broker->workers)];
	desk_post(home, &frame->mail, run_member, discard_frame);
	return true;
}

/* A courtesy: the other side also notices the end of the link. */
static void send_close(struct lane *lane)
{
	struct frame *frame = frame_create(true, FRAME_CLOSE, lane->id);

	if (lane->state == LANE_CLOSED || !send_frame(lane, frame)) {
		frame_destroy(frame);
	}
}

/* What flies on it lands with that outcome. */
static void land_all(struct lane *lane, unsigned kind)
{
	struct group *group = lane->group;
	struct frame_outcome outcome = {.kind = kind};

	for (size_t i = group->pendings.count; lane->outstanding > 0 && i > 0; i--) {
		struct pending *pending;

		/* Results may free entries: the map moves its last one into the gap. */
		if (i > group->pendings.count) {
			continue;
		}
		pending = group->pendings.entries[i - 1].value;
		if (pending->state == PENDING_FLIES && pending->lane == lane) {
			group_result(group, lane, pending->seq, &outcome);
		}
	}
	ASSERT(lane->outstanding == 0);
}

/* What still flies is taken back first; its late results will find no lane. */
void lane_destroy(struct lane *lane, unsigned kind)
{
	struct desk *desk = lane->group->topic->desk;

	lane->usable = false;
	send_close(lane);
	land_all(lane, kind);
	if (lane->link) {
		link_detach(lane);
	}
	(void)map_remove(&desk->lanes, id_key(&lane->id));
	list_unlink(&lane->node);
	mem_free(lane);
}

/* The lane itself stays, for it is the member's; it opens again after a rest. */
void lane_lost(struct lane *lane, unsigned kind, uint64_t retry_ms)
{
	struct desk *desk = lane->group->topic->desk;

	if (lane->link) {
		link_detach(lane);
	}
	lane->state = LANE_CLOSED;
	lane->limit = lane->used = 0;
	lane->demanded = false;
	lane->drained = false; /* whoever answers next is another process */
	lane->window = 1;
	lane->hold_until_ms = desk_now_ms(desk) + retry_ms;
	land_all(lane, kind);
	topic_wake(lane->group->topic);
}

/* Credit, no pause, and after a pause no more than the window allows (B10-08). */
bool lane_ready(const struct lane *lane, uint64_t now_ms)
{
	return lane->usable && !lane->drained && lane->state == LANE_OPEN &&
	       lane->used < lane->limit && now_ms >= lane->hold_until_ms &&
	       (lane->window == 0 || lane->outstanding < lane->window) &&
	       (lane->local || (lane->link && link_ready(lane->link)));
}

/* The demand follows without waiting for the answer: no round trip is lost. */
static bool open_lane(struct lane *lane)
{
	struct group *group = lane->group;
	struct frame *frame = frame_create(true, FRAME_OPEN, lane->id);

	(void)snprintf(frame->topic, sizeof frame->topic, "%s", group->topic->name);
	(void)snprintf(frame->group, sizeof frame->group, "%s", group->name);
	(void)snprintf(frame->member, sizeof frame->member, "%s", lane->name);
	frame->ack_wait_ms = group->settings ? group->settings->ack_wait_ms : 30000;
	if (!send_frame(lane, frame)) {
		frame_destroy(frame);
		return false;
	}
	lane->state = LANE_OPENING;
	lane->opened_ms = desk_now_ms(group->topic->desk);
	lane->limit = lane->used = 0;
	return true;
}

/* One demand at a time; the member remembers it until it can give something. */
void lane_demand(struct lane *lane, uint32_t want)
{
	struct desk *desk = lane->group->topic->desk;
	struct frame *frame;

	if (lane->demanded) {
		return;
	}
	if (!lane->local && !lane->link && link_attach(lane) < 0) {
		lane->hold_until_ms = desk_now_ms(desk) + REOPEN_MIN;
		return;
	}
	if (!lane->local && !link_ready(lane->link)) {
		return; /* the link wakes the topic when it is up */
	}
	if (lane->state == LANE_CLOSED && !open_lane(lane)) {
		return;
	}
	frame = frame_create(true, FRAME_DEMAND, lane->id);
	frame->want = want;
	frame->used = lane->used;
	if (!send_frame(lane, frame)) {
		frame_destroy(frame);
		return;
	}
	lane->demanded = want > 0;
	lane->active_ms = desk_now_ms(desk);
}

/* The caller lets everything in the frame land where this fails. */
bool lane_deliver(struct lane *lane, struct frame *frame)
{
	ASSERT(frame->kind == FRAME_DELIVER && frame->item_count > 0);
	if (!send_frame(lane, frame)) {
		frame_destroy(frame);
		return false;
	}
	return true;
}

/* Doubling, so that a member that cannot be reached is asked ever more rarely. */
static void cool(struct lane *lane, uint64_t now_ms)
{
	lane->cool_ms = lane->cool_ms == 0 ? COOL_MIN : lane->cool_ms * 2;
	lane->cool_ms = lane->cool_ms > COOL_MAX ? COOL_MAX : lane->cool_ms;
	if (lane->hold_until_ms < now_ms + lane->cool_ms) {
		lane->hold_until_ms = now_ms + lane->cool_ms;
	}
	lane->window = 1;
}

/* Credit that is not used goes back; a grant under way is then late and used all the same. */
static void give_back(struct lane *lane)
{
	struct frame *frame = frame_create(true, FRAME_DEMAND, lane->id);

	frame->used = lane->used;
	if (!send_frame(lane, frame)) {
		frame_destroy(frame);
		return;
	}
	lane->limit = lane->used;
	lane->demanded = false;
}

/* Ranges are walked number by number: each is a message of its own. */
static void take_results(struct lane *lane, const struct frame *frame)
{
	struct group *group = lane->group;
	uint64_t now_ms = desk_now_ms(group->topic->desk);

	for (size_t i = 0; i < frame->result_count; i++) {
		const struct frame_outcome *outcome = &frame->results[i];

		bool garbled = outcome->kind == RESULT_INFRA &&
			       slice_equal(outcome->detail, SLICE(FRAME_DETAIL_CRC));

		for (uint64_t seq = outcome->first; seq <= outcome->last; seq++) {
			if (garbled) {
				topic_forget(group->topic, seq); /* B11-03 */
			}
			if (lane->link) {
				link_note_sum(lane->link, !garbled);
			}
			group_result(group, lane, seq, outcome);
		}
		if (outcome->kind == RESULT_INFRA) {
			cool(lane, now_ms);
		} else if (outcome->kind == RESULT_RETURNED) {
			/* The member takes none now: it says when it does again. */
			give_back(lane);
		}
	}
}

/* B11-06: refused lanes rest; an unknown member is gone until its record changes. */
static void take_opened(struct lane *lane, const struct frame *frame)
{
	uint64_t now_ms = desk_now_ms(lane->group->topic->desk);

	if (frame->status == 0) {
		lane->state = LANE_OPEN;
		return;
	}
	(void)snprintf(lane->group->last_error, sizeof lane->group->last_error,
		"member %s refused: %u %s", lane->name, frame->status, frame->reason);
	lane->state = LANE_CLOSED;
	lane->demanded = false;
	lane->hold_until_ms = now_ms + REOPEN_MIN;
	/* The member is gone, or never was: what has no result yet was not taken. */
	land_all(lane, RESULT_RETURNED);
}

/* Every word of the member shows that it lives (B11-04). */
void lane_receive(struct desk *desk, struct frame *frame)
{
	struct lane *lane = lane_by_id(desk, frame->lane);

	ASSERT(!frame->up);
	if (!lane) {
		frame_destroy(frame);
		return; /* a late word of a lane that was closed */
	}
	lane->active_ms = desk_now_ms(desk);
	switch ((enum frame_down)frame->kind) {
	case FRAME_OPENED:
		take_opened(lane, frame);
		break;
	case FRAME_GRANT:
		if (frame->limit > lane->limit) {
			lane->limit = frame->limit;
		}
		lane->demanded = false;
		break;
	case FRAME_RESULTS:
		take_results(lane, frame);
		break;
	case FRAME_HOLD:
		lane->hold_until_ms = lane->active_ms + frame->delay_ms;
		lane->window = 1;
		break;
	case FRAME_DRAIN:
		lane->drained = true;
		break;
	case FRAME_WELCOME:
		break; /* the link's */
	}
	topic_wake(lane->group->topic);
	frame_destroy(frame);
}

/* A frame may find nobody, when its member's worker just begins or ends: asking again is harmless,
 * and not asking would leave the lane silent for ever. */
static void ask_again(struct lane *lane, uint64_t idle)
{
	if (lane->demanded && idle >= UNUSED_MS) {
		lane->demanded = false;
	}
	if (lane->state == LANE_OPENING &&
		desk_now_ms(lane->group->topic->desk) - lane->opened_ms >= OPENED_MS) {
		lane->state = LANE_CLOSED;
		lane->limit = lane->used = 0;
		lane->demanded = false;
	}
}

/* Unused credit goes back after a second, an idle lane after a minute. */
void lane_tick(struct lane *lane)
{
	struct desk *desk = lane->group->topic->desk;
	uint64_t idle = desk_now_ms(desk) - lane->active_ms;

	if (lane->state == LANE_CLOSED || lane->outstanding > 0) {
		return;
	}
	ask_again(lane, idle);
	if (lane->limit > lane->used && idle >= UNUSED_MS) {
		give_back(lane);
	}
	if (idle > IDLE_MS && lane->group->backlog == 0) {
		send_close(lane);
		if (lane->link) {
			link_detach(lane);
		}
		lane->state = LANE_CLOSED;
		lane->demanded = false;
	}
}
