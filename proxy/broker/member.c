/*
 * The subscriber's side. Credits are one pool per member, given first come, first served;
 * whatever cannot be handed to the consumer now goes back as RETURNED, which costs nobody
 * anything.
 */
#include "broker/member.h"

#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/answer.h"
#include "broker/directory.h"
#include "broker/lane.h"

#define BUSY_MIN_MS	      1000 /* A5 */
#define BUSY_MAX_MS	      60000
#define ENDPOINT_MIN_MS	      5000 /* B7-08 */
#define INFRA_MIN_MS	      50   /* A8 */
#define INFRA_MAX_MS	      5000
#define WORKED_MS	      UINT64_C(600000)
#define FETCHED_MS	      UINT64_C(300000) /* B6-07 */
#define DEFAULT_WAIT_MS	      30000
#define DEFAULT_PROCESSING_MS UINT64_C(900000)
/* B10-12: as long as a publisher may take to come back with a new lane. */
#define KEPT_MS 60000

struct inlet_key {
	struct frame_origin origin;
	uint32_t lane;
	uint32_t zero;
};

/* Zeroed, because the whole of it is hashed. */
static struct slice key_of(struct inlet_key *key, const struct frame_origin *origin, uint32_t lane)
{
	memset(key, 0, sizeof *key);
	key->origin = *origin;
	key->lane = lane;
	return slice_make(key, sizeof *key);
}

/* Lane numbers are unique only together with where they came from. */
static struct inlet *find_inlet(struct desk *desk, const struct frame_origin *origin, uint32_t lane)
{
	struct inlet_key key;

	return map_get(&desk->inlets, key_of(&key, origin, lane));
}

/* Groups and names hold no slash. */
static void print_key(struct slice group, struct slice name, char ret_key[static 160])
{
	(void)snprintf(ret_key, 160, "%.*s/%.*s", (int)group.size, (const char *)group.data,
		(int)name.size, (const char *)name.data);
}

/* NULL: no such member lives on this worker. */
struct member *member_find(struct desk *desk, struct slice group, struct slice name)
{
	char key[160];

	print_key(group, name, key);
	return map_get(&desk->members, slice_from_string(key));
}

/* On the publisher's desk of this sidecar. */
static void run_lane(struct desk *desk, struct desk_mail *mail)
{
	lane_receive(desk, container_of(mail, struct frame, mail));
}

/* On the worker that has the stream. */
static void run_link(struct desk *desk, struct desk_mail *mail)
{
	link_in_send(desk, container_of(mail, struct frame, mail));
}

/* The receiver is gone; what it would have learned is lost with it. */
static void discard_frame(struct desk_mail *mail)
{
	frame_destroy(container_of(mail, struct frame, mail));
}

/* Back the way the lane came: to its owner's desk, or to the worker that has its link. */
static void send_down(struct desk *desk, const struct frame_origin *origin, struct frame *frame)
{
	struct desk *target = &desk->broker->desks[origin->worker];

	ASSERT(origin->worker < desk->broker->workers && !frame->up);
	frame->origin = *origin;
	desk_post(target, &frame->mail, origin->slot == UINT32_MAX ? run_lane : run_link,
		discard_frame);
}

/* Once a turn: results first, then answers to readers, then new credit (B11-05). */
static void flush_results(struct task *task)
{
	struct member *member = container_of(task, struct member, task);

	LIST_FOR_EACH(node, &member->inlets) {
		struct inlet *inlet = LIST_ENTRY(node, struct inlet, node);

		if (inlet->results) {
			send_down(member->desk, &inlet->origin, inlet->results);
			inlet->results = NULL;
		}
	}
	fetch_flush(member, false);
	member_grant(member);
}

/* By the plan, or by a fetch that came before its plan. */
struct member *member_create(struct desk *desk, struct slice group, struct slice name)
{
	struct member *member = mem_zalloc(sizeof *member);

	ASSERT(group.size < sizeof member->group && name.size < sizeof member->name);
	member->desk = desk;
	memcpy(member->group, group.data, group.size);
	memcpy(member->name, name.data, name.size);
	print_key(group, name, member->key);
	list_init(&member->inlets);
	list_init(&member->parked);
	map_init(&member->leases);
	task_init(&member->task, flush_results);
	member->fetched_ms = desk_now_ms(desk);
	(void)map_set(&desk->members, slice_from_string(member->key), member);
	return member;
}

/* Credit that the publisher holds. */
static unsigned unused(const struct inlet *inlet)
{
	return inlet->limit > inlet->delivered ? (unsigned)(inlet->limit - inlet->delivered) : 0;
}

/* The one place where a delivery ends; all counts change here. */
static void free_delivery(struct delivery *delivery)
{
	struct member *member = delivery->member;
	uint64_t counter = delivery->lease.counter;

	timer_cancel(&delivery->timer);
	if (delivery->push) {
		push_cancel(delivery);
	}
	list_unlink(&delivery->node);
	(void)map_remove(&member->leases, slice_make(&counter, sizeof counter));
	ASSERT(member->open > 0);
	member->open--;
	member->open_bytes -= message_size(delivery->message);
	message_unref(delivery->message);
	mem_free(delivery);
}

/* The lane is gone. What the consumer has in hand goes on; nobody hears of its outcome. */
static void destroy_inlet(struct inlet *inlet)
{
	struct member *member = inlet->member;
	struct inlet_key key;
	struct list_node *node;

	while ((node = list_pop_front(&inlet->deliveries))) {
		LIST_ENTRY(node, struct delivery, node)->inlet = NULL;
	}
	member->granted -= unused(inlet);
	(void)map_remove(&member->desk->inlets, key_of(&key, &inlet->origin, inlet->lane));
	list_unlink(&inlet->node);
	frame_destroy(inlet->results);
	mem_free(inlet);
}

/* Its publisher takes back what it sent there, and asks again after a rest (B11-06). */
static void refuse_lane(struct desk *desk, const struct frame_origin *origin, uint32_t lane)
{
	struct frame *opened = frame_create(false, FRAME_OPENED, lane);

	opened->status = 404;
	(void)snprintf(opened->reason, sizeof opened->reason, "no such member");
	send_down(desk, origin, opened);
}

/* Parked readers are answered, open leases go back, publishers are told that it is gone: behind the
 * results, so that what has none then was never taken. */
void member_destroy(struct member *member)
{
	struct desk *desk = member->desk;

	fetch_flush(member, true);
	while (member->leases.count > 0) {
		struct frame_outcome back = {.kind = RESULT_RETURNED};

		member_settle(member->leases.entries[member->leases.count - 1].value, &back);
	}
	flush_results(&member->task);
	LIST_FOR_EACH_SAFE(node, &member->inlets) {
		struct inlet *inlet = LIST_ENTRY(node, struct inlet, node);

		refuse_lane(desk, &inlet->origin, inlet->lane);
		destroy_inlet(inlet);
	}
	task_cancel(&member->task);
	(void)map_remove(&desk->members, slice_from_string(member->key));
	map_fini(&member->leases);
	mem_free(member->kept);
	mem_free(member);
}

/* Pushed to the own application, whose health gates delivery. */
static bool to_app(const struct member *member)
{
	return member->settings && member->settings->push.kind == CONFIG_PUSH_APP;
}

/* Everything that can say no stands here, so that granting is one subtraction. */
unsigned member_capacity(const struct member *member)
{
	const struct plan *plan = member->desk->plan;
	unsigned most = member->settings ? member->settings->max_in_flight : 0;
	unsigned taken = member->open + member->granted;

	/* B7-02: nothing is pushed until the application is ready. */
	if (!member->settings || plan->draining || member->gone_410 ||
		desk_now_ms(member->desk) < member->hold_until_ms ||
		member->open_bytes >= member->settings->max_in_flight_bytes ||
		(to_app(member) && !plan->app_ready)) {
		return 0;
	}
	/* B6-02: a fetching member's window is what its readers ask for, not more. */
	if (member->settings->push.kind == CONFIG_PUSH_NONE) {
		unsigned wanted = fetch_wanted(member);

		most = most < member->open + wanted ? most : member->open + wanted;
	} else if (member->busy_ms > 0 || member->endpoint_ms > 0 || member->infra_ms > 0) {
		most = 1; /* after a pause one message probes (B7-08, B10-08) */
	}
	return most > taken ? most - taken : 0;
}

/* In the order in which lanes came; an empty pool leaves their wishes standing. */
void member_grant(struct member *member)
{
	unsigned capacity = member_capacity(member);

	LIST_FOR_EACH(node, &member->inlets) {
		struct inlet *inlet = LIST_ENTRY(node, struct inlet, node);
		unsigned given = inlet->want < capacity ? inlet->want : capacity;
		struct frame *frame;

		if (given == 0) {
			continue;
		}
		/* A publisher may have sent a little beyond its credit; what it took is not given
		 * again. */
		if (inlet->limit < inlet->delivered) {
			inlet->limit = inlet->delivered;
		}
		inlet->limit += given;
		inlet->most = inlet->limit > inlet->most ? inlet->limit : inlet->most;
		inlet->want -= given;
		member->granted += given;
		capacity -= given;
		frame = frame_create(false, FRAME_GRANT, inlet->lane);
		frame->limit = inlet->limit;
		send_down(member->desk, &inlet->origin, frame);
	}
}

/* A result without its lane would be wasted: the caller knows that there is one. */
static void answer(struct inlet *inlet, uint64_t seq, const struct frame_outcome *outcome)
{
	struct frame_outcome full = *outcome;
	struct member *member = inlet->member;

	full.first = full.last = seq;
	if (inlet->results && inlet->results->result_count >= FRAME_ITEMS_MAX) {
		send_down(member->desk, &inlet->origin, inlet->results);
		inlet->results = NULL;
	}
	if (!inlet->results) {
		inlet->results = frame_create(false, FRAME_RESULTS, inlet->lane);
	}
	frame_add_result(inlet->results, &full);
	/* Gathered over the turn, sent once (B11-05). */
	loop_queue(member->desk->loop, &member->task);
}

/* All extensions together never pass max_processing, so that a consumer that only extends cannot
 * hold a message for ever. The publisher hears of it by an empty frame: any word of a lane starts
 * its guard anew (B11-04). */
void member_extend(struct delivery *delivery)
{
	const struct plan_local *settings = delivery->member->settings;
	struct desk *desk = delivery->member->desk;
	uint64_t until = desk_now_ms(desk) + (settings ? settings->ack_wait_ms : DEFAULT_WAIT_MS);
	uint64_t most = delivery->started_ms +
			(settings ? settings->max_processing_ms : DEFAULT_PROCESSING_MS);
	struct inlet *inlet = delivery->inlet;

	timer_arm(desk->loop, &delivery->timer, until < most ? until : most);
	if (inlet && !inlet->results) {
		inlet->results = frame_create(false, FRAME_RESULTS, inlet->lane);
		loop_queue(inlet->member->desk->loop, &inlet->member->task);
	}
}

/* To every publisher that has a lane here. */
static void send_hold(struct member *member, uint32_t delay_ms, uint32_t status)
{
	LIST_FOR_EACH(node, &member->inlets) {
		struct inlet *inlet = LIST_ENTRY(node, struct inlet, node);
		struct frame *frame = frame_create(false, FRAME_HOLD, inlet->lane);

		frame->delay_ms = delay_ms;
		frame->status = status;
		send_down(member->desk, &inlet->origin, frame);
	}
}

/* A longer pause replaces a shorter one, never the other way round. */
void member_hold(struct member *member, uint32_t delay_ms, uint32_t status)
{
	uint64_t until = desk_now_ms(member->desk) + delay_ms;

	if (until <= member->hold_until_ms) {
		return;
	}
	member->hold_until_ms = until;
	send_hold(member, delay_ms, status);
}

/* Everything that a pause left behind, also the waits that had grown, so that the next failure
 * starts from the least one again. */
void member_resume(struct member *member)
{
	member->gone_410 = false;
	member->hold_until_ms = 0;
	member->endpoint_ms = member->busy_ms = member->infra_ms = 0;
	send_hold(member, 0, 0);
	member_grant(member);
}

/* From the least to the most, doubling. */
static uint32_t grow(uint32_t *wait_ms, uint32_t least, uint32_t most)
{
	*wait_ms = *wait_ms == 0 ? least : *wait_ms * 2 > most ? most : *wait_ms * 2;
	return *wait_ms;
}

/* What an outcome means for the member itself: nothing, or a pause. */
static void judge(struct member *member, struct frame_outcome *outcome)
{
	uint64_t now_ms = desk_now_ms(member->desk);

	switch ((enum frame_result)outcome->kind) {
	case RESULT_ACK:
		member->acked_ms = now_ms;
		member->busy_ms = member->endpoint_ms = member->infra_ms = 0;
		break;
	case RESULT_BUSY:
		member_hold(member,
			outcome->delay_ms > 0 ? outcome->delay_ms
					      : grow(&member->busy_ms, BUSY_MIN_MS, BUSY_MAX_MS),
			outcome->status);
		outcome->delay_ms = 0;
		break;
	case RESULT_ENDPOINT:
		/* B7-08: that answer means for ever, so no probe is sent; a new declaration or
		 * `groups resume` ends it. */
		member->gone_410 = outcome->status == 410;
		member_hold(member, grow(&member->endpoint_ms, ENDPOINT_MIN_MS, BUSY_MAX_MS),
			outcome->status);
		log_event(LOG_LEVEL_WARN, "broker", 6004,
			"the address of a subscription does not take messages",
			(struct log_field[]){LOG_TEXT("pillion.member", member->key),
				LOG_NUMBER("http.response.status_code", outcome->status)},
			2);
		break;
	case RESULT_INFRA:
		member_hold(member, grow(&member->infra_ms, INFRA_MIN_MS, INFRA_MAX_MS), 0);
		break;
	case RESULT_APP:
	case RESULT_DEAD:
		/* Somebody answered for the message itself: the address is right and
		 * reachable. */
		member->infra_ms = member->endpoint_ms = 0;
		break;
	case RESULT_SUSPECT:
	case RESULT_RETURNED:
	case RESULT_KINDS:
		break;
	}
}

/* B10-12: nobody heard of it; the publisher's next lane does. All other outcomes would be ignored
 * there. */
static void keep_ack(const struct delivery *delivery)
{
	struct member *member = delivery->member;
	struct kept_ack *kept;

	if (!member->kept) {
		member->kept = mem_zalloc(MEMBER_KEPT * sizeof *member->kept);
	}
	kept = &member->kept[member->kept_next++ % MEMBER_KEPT];
	kept->log = delivery->log;
	kept->seq = delivery->seq;
	kept->at_ms = desk_now_ms(member->desk);
	(void)snprintf(kept->topic, sizeof kept->topic, "%s", delivery->topic);
}

/* When a lane of the same log and topic opens again. */
static void tell_kept(struct inlet *inlet)
{
	struct member *member = inlet->member;
	struct frame_outcome ack = {.kind = RESULT_ACK};
	uint64_t now_ms = desk_now_ms(member->desk);

	for (unsigned i = 0; member->kept && i < MEMBER_KEPT; i++) {
		struct kept_ack *kept = &member->kept[i];

		if (kept->seq != 0 && kept->log == inlet->log && now_ms - kept->at_ms < KEPT_MS &&
			strcmp(kept->topic, inlet->topic) == 0) {
			answer(inlet, kept->seq, &ack);
			kept->seq = 0;
		}
	}
}

/* Judged for the member first: a pause must stand before new credit is given. */
void member_settle(struct delivery *delivery, const struct frame_outcome *outcome)
{
	struct member *member = delivery->member;
	struct frame_outcome judged = *outcome;
	bool worked =
		member->acked_ms != 0 && desk_now_ms(member->desk) - member->acked_ms < WORKED_MS;

	judged.kind = answer_adjust((enum frame_result)judged.kind, judged.status, worked);
	counters_add(&member->desk->broker->counters.answers[judged.kind], 1);
	judge(member, &judged);
	if (delivery->inlet) {
		answer(delivery->inlet, delivery->seq, &judged);
	} else if (judged.kind == RESULT_ACK) {
		keep_ack(delivery);
	}
	free_delivery(delivery);
	loop_queue(member->desk->loop, &member->task);
}

/* Within the ring of remembered leases; older ones are unknown. */
bool member_late(struct member *member, const struct lease *lease, bool ack)
{
	for (unsigned i = 0; i < MEMBER_LATE; i++) {
		const struct late_lease *late = &member->late[i];
		struct frame_outcome outcome = {.kind = RESULT_ACK};
		struct inlet *inlet;

		if (late->lease.counter != lease->counter || late->lease.counter == 0 ||
			late->lease.random != lease->random) {
			continue;
		}
		inlet = find_inlet(member->desk, &late->origin, late->lane);
		if (inlet && ack) {
			answer(inlet, late->seq, &outcome);
		}
		return true;
	}
	return false;
}

/* B11-04: the subscriber's clock decides, the publisher's is only a guard. A late ack of a
 * fetched message still counts (B6-05), so its lease is remembered. */
static void on_ack_wait(struct timer *timer)
{
	struct delivery *delivery = container_of(timer, struct delivery, timer);
	struct member *member = delivery->member;
	struct frame_outcome late = {.kind = RESULT_SUSPECT};

	if (push_decide(delivery)) {
		return;
	}
	if (!delivery->push && delivery->inlet) {
		member->late[member->late_next++ % MEMBER_LATE] =
			(struct late_lease){delivery->lease, delivery->inlet->origin,
				delivery->inlet->lane, delivery->seq};
	}
	member_settle(delivery, &late); /* A9 */
}

/* The lease is drawn here: half a counter, half unguessable (B6-06). */
static struct delivery *make_delivery(struct inlet *inlet, const struct frame_item *item)
{
	struct member *member = inlet->member;
	struct desk *desk = member->desk;
	struct delivery *delivery = mem_zalloc(sizeof *delivery);
	uint64_t wait = member->settings ? member->settings->ack_wait_ms : DEFAULT_WAIT_MS;

	delivery->inlet = inlet;
	delivery->member = member;
	delivery->message = message_ref(item->message);
	delivery->seq = item->seq;
	delivery->log = inlet->log;
	delivery->attempt = item->attempt;
	(void)snprintf(delivery->topic, sizeof delivery->topic, "%s", inlet->topic);
	/* The worker in the counter keeps leases of one sidecar apart. */
	delivery->lease.counter = desk->next_generation++ << 8 | desk->index;
	rng_system_bytes(&delivery->lease.random, sizeof delivery->lease.random);
	delivery->started_ms = desk_now_ms(desk);
	timer_init(&delivery->timer, on_ack_wait);
	timer_arm(desk->loop, &delivery->timer, delivery->started_ms + wait);
	list_push_back(&inlet->deliveries, &delivery->node);
	(void)map_set(&member->leases,
		slice_make(&delivery->lease.counter, sizeof delivery->lease.counter), delivery);
	member->open++;
	member->open_bytes += message_size(delivery->message);
	return delivery;
}

/* The publisher sent it twice on one lane, which only a confused one does. */
static bool in_hand(const struct inlet *inlet, uint64_t seq)
{
	LIST_FOR_EACH(node, &inlet->deliveries) {
		if (LIST_ENTRY(node, struct delivery, node)->seq == seq) {
			return true;
		}
	}
	return false;
}

/* Counted as delivered in any case, so that both sides agree on the credit. */
static void take_item(struct inlet *inlet, const struct frame_item *item)
{
	struct member *member = inlet->member;
	struct frame_outcome back = {.kind = RESULT_RETURNED};
	bool remote = inlet->origin.slot != UINT32_MAX;
	struct delivery *delivery;

	/* What was sent beyond the credit was never taken from the pool. */
	if (unused(inlet) > 0) {
		ASSERT(member->granted > 0);
		member->granted--;
	}
	inlet->delivered++;
	if (remote && record_pcrc(buf_slice(&item->message->attributes),
			      buf_slice(&item->message->body)) != item->message->pcrc) {
		back.kind = RESULT_INFRA; /* B11-03 */
		back.detail = SLICE(FRAME_DETAIL_CRC);
		answer(inlet, item->seq, &back);
		return;
	}
	if (remote && !message_valid(item->message)) {
		back.kind = RESULT_DEAD; /* it could not become a request */
		answer(inlet, item->seq, &back);
		return;
	}
	/* Sent before the publisher knew of the pause, or beyond what was ever granted. */
	if (!member->settings || member->desk->plan->draining || member->gone_410 ||
		desk_now_ms(member->desk) < member->hold_until_ms ||
		(to_app(member) && !member->desk->plan->app_ready) ||
		inlet->delivered > inlet->most + 2 || in_hand(inlet, item->seq)) {
		answer(inlet, item->seq, &back);
		return;
	}
	delivery = make_delivery(inlet, item);
	if (member->settings->push.kind != CONFIG_PUSH_NONE) {
		push_start(delivery);
	} else if (!fetch_take(member, delivery)) {
		member_settle(delivery, &back);
	}
}

/* A lane that is opened twice begins anew. */
static void open_inlet(struct desk *desk, const struct frame *frame)
{
	struct member *member = member_find(
		desk, slice_from_string(frame->group), slice_from_string(frame->member));
	struct inlet *inlet = find_inlet(desk, &frame->origin, frame->lane);
	struct inlet_key key;

	if (inlet) {
		destroy_inlet(inlet);
	}
	if (!member || !member->settings ||
		names_readable_topic(slice_from_string(frame->topic)) != REASON_ok) {
		refuse_lane(desk, &frame->origin, frame->lane);
		return;
	}
	inlet = mem_zalloc(sizeof *inlet);
	inlet->member = member;
	inlet->origin = frame->origin;
	inlet->lane = frame->lane;
	inlet->log = frame->log;
	(void)snprintf(inlet->topic, sizeof inlet->topic, "%s", frame->topic);
	list_init(&inlet->deliveries);
	list_push_back(&member->inlets, &inlet->node);
	(void)map_set(&desk->inlets, key_of(&key, &inlet->origin, inlet->lane), inlet);
	send_down(desk, &frame->origin, frame_create(false, FRAME_OPENED, inlet->lane));
	/* B10-12: acks that found no lane go out before the first delivery could repeat their
	 * messages. */
	tell_kept(inlet);
	if (desk_now_ms(desk) < member->hold_until_ms) {
		struct frame *hold = frame_create(false, FRAME_HOLD, inlet->lane);

		hold->delay_ms = (uint32_t)(member->hold_until_ms - desk_now_ms(desk));
		send_down(desk, &frame->origin, hold);
	}
}

/* An absurd wish is cut to the window: nobody can use more. */
static void take_demand(struct inlet *inlet, const struct frame *frame)
{
	if (frame->want == 0) {
		/* Only the publisher gives unused credit back (B10-05). */
		inlet->member->granted -= unused(inlet);
		inlet->limit = inlet->delivered;
		inlet->want = 0;
	} else {
		inlet->want = frame->want < CURSOR_WINDOW ? frame->want : CURSOR_WINDOW;
	}
	member_grant(inlet->member);
}

/* Frames of lanes that are gone are ignored: their publisher was told, or learns it by the link. */
void member_receive(struct desk *desk, struct frame *frame)
{
	struct inlet *inlet = find_inlet(desk, &frame->origin, frame->lane);

	ASSERT(frame->up);
	switch ((enum frame_up)frame->kind) {
	case FRAME_OPEN:
		open_inlet(desk, frame);
		break;
	case FRAME_DEMAND:
		if (inlet) {
			take_demand(inlet, frame);
		}
		break;
	case FRAME_DELIVER:
		for (size_t i = 0; inlet && i < frame->item_count; i++) {
			take_item(inlet, &frame->items[i]);
		}
		break;
	case FRAME_CLOSE:
		if (inlet) {
			struct member *member = inlet->member;

			destroy_inlet(inlet);
			member_grant(member);
		}
		break;
	case FRAME_HELLO:
		break; /* the link's */
	}
	frame_destroy(frame);
}

/* The consumer's work goes on: its outcome is kept for the next lane. */
void member_origin_lost(struct desk *desk, const struct frame_origin *origin)
{
	for (size_t i = desk->inlets.count; i > 0; i--) {
		struct inlet *inlet = desk->inlets.entries[i - 1].value;

		if (memcmp(&inlet->origin, origin, sizeof *origin) == 0) {
			struct member *member = inlet->member;

			destroy_inlet(inlet);
			member_grant(member);
		}
	}
}

/* Members that nobody needs end here, never inside a callback. */
void member_tick(struct member *member)
{
	uint64_t now_ms = desk_now_ms(member->desk);

	fetch_flush(member, false);
	if (member->hold_until_ms != 0 && now_ms >= member->hold_until_ms) {
		member->hold_until_ms = 0;
	}
	if (member->hold_until_ms == 0) {
		member_grant(member);
	}
	if (member->fetched && list_empty(&member->parked) && member->open == 0 &&
		now_ms - member->fetched_ms > FETCHED_MS) {
		directory_fetch_ended(member->desk, member->group, member->name);
		member->fetched_ms = now_ms;
	}
	if (!member->settings && member->open == 0 && list_empty(&member->parked) &&
		now_ms - member->fetched_ms > FETCHED_MS) {
		member_destroy(member);
	}
}

/* Members of this sidecar that live here: as the plan says. */
void member_plan_changed(struct desk *desk)
{
	const struct plan *plan = desk->plan;

	MAP_FOR_EACH(entry, &desk->members)
	{
		struct member *member = entry->value;

		member->settings = NULL;
	}
	for (size_t i = 0; i < plan->local_count; i++) {
		const struct plan_local *local = &plan->locals[i];
		struct slice group = slice_from_string(local->group);
		struct slice name = slice_from_string(local->name);
		struct member *member;

		/* Every desk reads the same plan and keeps its own share of it. */
		if (names_home(group, name, desk->broker->workers) != desk->index) {
			continue;
		}
		member = member_find(desk, group, name);
		if (!member) {
			member = member_create(desk, group, name);
		}
		member->settings = local;
	}
	for (size_t i = desk->members.count; i > 0; i--) {
		struct member *member = desk->members.entries[i - 1].value;

		if (plan->draining) {
			LIST_FOR_EACH(node, &member->inlets) {
				struct inlet *inlet = LIST_ENTRY(node, struct inlet, node);

				send_down(desk, &inlet->origin,
					frame_create(false, FRAME_DRAIN, inlet->lane));
			}
			fetch_flush(member, true);
		}
		if (!member->settings && member->open == 0 && list_empty(&member->parked)) {
			member_destroy(member);
		} else {
			member_grant(member);
		}
	}
}
