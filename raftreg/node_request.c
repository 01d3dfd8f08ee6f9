/*
 * Requests of sessions: checked, proposed, relayed, read, answered (registry.md RD-05..RD-08).
 * A request is in exactly one list, that of its state. Commands of many sessions share an entry
 * and a sync; one session has at most one command in the log, and its outcome decides the next.
 * Answers that a deposed leader could get wrong (unchanged, session lost, renewed) wait for a
 * confirmed read.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "raftreg/lease.h"
#include "raftreg/node.h"
#include "raftreg/peers.h"

#define PAYLOAD_MAX  (RAFT_ENTRY_BYTES_MAX - 4096) /* gathered commands, and their frame */
#define PAYLOADS_MAX 16				   /* a turn */
#define RENEWALS_MAX 4096 /* in one relayed frame: 184 KiB, 20,000 fields (RT-05) */

/* From whatever lists it is in; the origin keeps no pointer to it afterwards. */
static void free_request(struct raftreg_node *node, struct node_request *request)
{
	list_unlink(&request->node);
	list_unlink(&request->origin_node);
	buf_fini(&request->bytes);
	mem_free(request);
	ASSERT(node->request_count > 0);
	node->request_count--;
}

/* The only place that changes a request's state. */
static void move_to(
	struct raftreg_node *node, struct node_request *request, enum node_request_state state)
{
	struct list_node *lists[] = {[REQUEST_WAITING] = &node->waiting,
		[REQUEST_PROPOSED] = &node->proposed,
		[REQUEST_RELAYED] = &node->relayed,
		[REQUEST_READING] = &node->reading_list};

	list_unlink(&request->node);
	request->state = state;
	list_push_back(lists[state], &request->node);
}

/* Ends the request. An origin that left is answered by nobody. */
static void reply(
	struct raftreg_node *node, struct node_request *request, const struct state_result *result)
{
	struct packet answer = {.kind = PACKET_ANSWER,
		.number = request->number,
		.code = result->code,
		.index = result->index,
		.digest = result->digest,
		.boot = result->boot,
		.text = slice_from_string(result->text)};

	if (result->code == CODE_RETRY_LATER) {
		answer.retry_after_ms = 1000;
	}
	if (request->origin) {
		request->origin->reply(request->origin, &answer);
	}
	free_request(node, request);
}

/* The index tells a client how far this replica is, whatever the outcome (RA-01). */
static void reply_code(struct raftreg_node *node, struct node_request *request,
	enum packet_code code, const char *text)
{
	reply(node, request,
		&(struct state_result){.code = code, .index = node->state.applied, .text = text});
}

/* From the applied state of this replica, which may be behind the leader's (RV-01). */
static void answer_set(
	struct raftreg_node *node, struct node_origin *origin, const struct packet *ask)
{
	const struct state_set *set =
		state_set(&node->state, (ask->flags & PACKET_RECORDS) != 0, ask->name);
	struct packet answer = {.kind = PACKET_ANSWER,
		.number = ask->number,
		.name = ask->name,
		.index = node->state.applied,
		.flags = (ask->flags & PACKET_RECORDS) |
			 (state_set_is_known(set) ? 0u : (unsigned)PACKET_ABSENT)};
	struct buf items;

	buf_init(&items);
	if (set) {
		MAP_FOR_EACH(entry, &set->members)
		{
			struct item item;

			state_member_item(entry->value, &item);
			packet_put_item(&items, &item);
		}
	}
	answer.items = buf_slice(&items);
	origin->reply(origin, &answer);
	buf_fini(&items);
}

/* Names that have instances now; empty ones are kept for resuming watches, not for people. */
static void answer_list(
	struct raftreg_node *node, struct node_origin *origin, const struct packet *ask)
{
	struct packet answer = {
		.kind = PACKET_ANSWER, .number = ask->number, .index = node->state.applied};
	struct buf items;

	buf_init(&items);
	MAP_FOR_EACH(entry, &node->state.sets)
	{
		const struct state_set *set = entry->value;
		const struct item item = {.op = ITEM_ADDRESS, .content = set->name};

		if (set->records || !state_set_is_known(set)) {
			continue;
		}
		packet_put_item(&items, &item);
	}
	answer.items = buf_slice(&items);
	origin->reply(origin, &answer);
	buf_fini(&items);
}

static void answer_members(
	struct raftreg_node *node, struct node_origin *origin, const struct packet *ask)
{
	struct packet answer = {
		.kind = PACKET_ANSWER, .number = ask->number, .index = node->state.applied};
	struct buf json;

	buf_init(&json);
	node_status_members(node, &json);
	answer.text = buf_slice(&json);
	origin->reply(origin, &answer);
	buf_fini(&json);
}

/* Copied: it may have to wait for a leader, a read or a sync. */
static void keep_request(struct raftreg_node *node, struct node_origin *origin, struct slice bytes)
{
	struct node_request *request = mem_zalloc(sizeof *request);
	int decoded;

	list_init(&request->node);
	list_init(&request->origin_node);
	buf_init(&request->bytes);
	buf_append_slice(&request->bytes, bytes);
	decoded = packet_decode(buf_slice(&request->bytes), &request->frame);
	ASSERT(decoded == 0);
	request->origin = origin;
	request->relayed_here = origin->relay;
	list_push_back(&origin->requests, &request->origin_node);
	request->number = request->frame.number;
	request->received_ms = node_now_ms(node);
	request->deadline_ms = request->received_ms + NODE_REQUEST_MS;
	node->request_count++;
	move_to(node, request, REQUEST_WAITING);
	node_wake(node);
}

static void take_command(
	struct raftreg_node *node, struct node_origin *origin, struct slice bytes, uint64_t number)
{
	struct packet busy = {.kind = PACKET_ANSWER,
		.number = number,
		.code = CODE_RETRY_LATER,
		.retry_after_ms = 1000};

	if (node->request_count >= NODE_REQUESTS_MAX) {
		origin->reply(origin, &busy);
	} else {
		keep_request(node, origin, bytes);
	}
}

/* RN-02: from another replica, each with the number that it wants to be answered under. All of them
 * join the same read (RN-03). */
static void take_renewals(
	struct raftreg_node *node, struct node_origin *origin, const struct packet *batch)
{
	struct slice rest = batch->items;
	struct slice encoded;
	struct item item;
	struct buf bytes;

	buf_init(&bytes);
	while (packet_next_item(&rest, &encoded)) {
		struct packet renewal = {.kind = PACKET_RENEW};

		if (item_decode(encoded, &item) < 0 || item.op != ITEM_SESSION ||
			item.content.size != 16) {
			continue;
		}
		renewal.number = item.generation;
		renewal.session = item.content;
		renewal.incarnation = item.number;
		buf_clear(&bytes);
		packet_encode(&renewal, &bytes);
		take_command(node, origin, buf_slice(&bytes), renewal.number);
	}
	buf_fini(&bytes);
}

static bool has_items(const struct packet *frame)
{
	struct slice rest = frame->items;
	struct slice item;

	return packet_next_item(&rest, &item);
}

/* Questions are answered at once, from here; commands and renewals wait for the turn. */
void node_request_take(struct raftreg_node *node, struct node_origin *origin, struct slice bytes)
{
	struct packet frame;

	if (packet_decode(bytes, &frame) < 0) {
		return;
	}
	switch (frame.kind) {
	case PACKET_GET:
		answer_set(node, origin, &frame);
		break;
	case PACKET_LIST:
		answer_list(node, origin, &frame);
		break;
	case PACKET_MEMBERS:
		answer_members(node, origin, &frame);
		break;
	case PACKET_RENEW:
		if (origin->relay && has_items(&frame)) {
			take_renewals(node, origin, &frame);
			break;
		}
		take_command(node, origin, bytes, frame.number);
		break;
	case PACKET_OPEN:
	case PACKET_REGISTER:
	case PACKET_CLOSE:
		take_command(node, origin, bytes, frame.number);
		break;
	default: /* RD-08: leases are decided by the leader alone, never asked for */
		break;
	}
}

/* What was asked goes on, only the answer is not wanted any more. */
void node_request_forget(struct raftreg_node *node, struct node_origin *origin)
{
	struct list_node *place;

	while ((place = list_pop_front(&origin->requests)) != NULL) {
		struct node_request *request = LIST_ENTRY(place, struct node_request, origin_node);

		request->origin = NULL;
		/* A sidecar that leaves does not wait for the answer to its CLOSE. */
		if (request->state != REQUEST_PROPOSED && request->frame.kind != PACKET_CLOSE) {
			free_request(node, request);
		}
	}
}

static bool has_leader_elsewhere(const struct raftreg_node *node)
{
	return node->now.leader != 0 && node->now.leader != node->self.id;
}

/* Renewals of other sidecars gather until the next tick (RN-02). */
static bool is_gathered(const struct node_request *request)
{
	return request->frame.kind == PACKET_RENEW && !request->relayed_here;
}

/* To the leader as known here; while there is none the request waits until its deadline. */
static void relay(struct raftreg_node *node, struct node_request *request)
{
	struct packet frame = request->frame;
	struct buf bytes;

	if (request->relayed_here) {
		reply_code(node, request, CODE_NOT_LEADER, NULL); /* once only (RD-08) */
		return;
	}
	if (!has_leader_elsewhere(node) || is_gathered(request)) {
		return;
	}
	buf_init(&bytes);
	request->id = ++node->next_id;
	frame.number = request->id;
	packet_copy(&frame, &bytes);
	if (peers_relay(node->peers, node->now.leader, buf_slice(&bytes))) {
		move_to(node, request, REQUEST_RELAYED);
	}
	buf_fini(&bytes);
}

/* One frame with up to RENEWALS_MAX of them; false: nobody took it. */
static bool relay_batch(struct raftreg_node *node, struct list_node *renewals)
{
	const struct packet frame = {.kind = PACKET_RENEW};
	struct list_node sent;
	struct list_node *place;
	struct buf bytes;
	size_t count = 0;
	bool taken;

	list_init(&sent);
	buf_init(&bytes);
	packet_encode(&frame, &bytes);
	while (count++ < RENEWALS_MAX && (place = list_pop_front(renewals)) != NULL) {
		struct node_request *request = LIST_ENTRY(place, struct node_request, node);
		struct item item = {.op = ITEM_SESSION,
			.content = request->frame.session,
			.number = request->frame.incarnation};

		item.generation = request->id = ++node->next_id;
		packet_put_item(&bytes, &item);
		list_push_back(&sent, place);
	}
	taken = peers_relay(node->peers, node->now.leader, buf_slice(&bytes));
	buf_fini(&bytes);
	while ((place = list_pop_front(&sent)) != NULL) {
		move_to(node, LIST_ENTRY(place, struct node_request, node),
			taken ? REQUEST_RELAYED : REQUEST_WAITING);
	}
	return taken;
}

/* RN-02: thousands of sidecars cost the leader one frame a tick and replica. */
static void relay_renewals(struct raftreg_node *node)
{
	struct list_node renewals;
	bool taken = true;

	if (!has_leader_elsewhere(node) || node->conf.voters.count < node->serve_voters) {
		return;
	}
	list_init(&renewals);
	LIST_FOR_EACH_SAFE(place, &node->waiting) {
		if (is_gathered(LIST_ENTRY(place, struct node_request, node))) {
			list_unlink(place);
			list_push_back(&renewals, place);
		}
	}
	while (taken && !list_empty(&renewals)) {
		taken = relay_batch(node, &renewals);
	}
	list_move_all(&node->waiting, &renewals);
}

/* The read must begin after the request came (RN-03): it joins the next one, never the one
 * under way. */
static void want_read(struct raftreg_node *node, struct node_request *request)
{
	request->cookie = 0;
	request->confirmed = false;
	node->read_wanted = true;
	move_to(node, request, REQUEST_READING);
}

struct gather {
	struct raftreg_node *node;
	struct buf payload;
	struct list_node list; /* requests in the payload */
	size_t count;
	bool refused; /* the core takes nothing more this turn */
};

/* RD-04: the wall clock is for display and for GC's age, written once by the leader
 * so that every replica applies the same. */
static void begin_gather(struct gather *gather)
{
	buf_clear(&gather->payload);
	state_begin_entry(&gather->payload, clock_wall_ms());
	list_init(&gather->list);
	gather->count = 0;
}

/* RC-08: taken whole or not at all; refused ones wait for the next turn. */
static void propose(struct gather *gather)
{
	struct raftreg_node *node = gather->node;
	struct raft_payload *payload;
	struct raft_event event = {.kind = RAFT_PROPOSE};
	enum raft_refusal refusal;
	struct list_node *place;

	if (gather->count == 0) {
		return;
	}
	payload = raft_payload_create(gather->payload.data, (uint32_t)gather->payload.size);
	event.u.propose.payloads = &payload;
	event.u.propose.count = 1;
	refusal = node_step(node, &event);
	raft_payload_unref(payload);
	for (size_t ordinal = 0; (place = list_pop_front(&gather->list)) != NULL; ordinal++) {
		struct node_request *request = LIST_ENTRY(place, struct node_request, node);
		struct state_session *session = state_session(&node->state, request->frame.session);

		if (refusal != RAFT_OK) {
			gather->refused = true;
			move_to(node, request, REQUEST_WAITING);
			continue;
		}
		request->index = node->now.accepted_index;
		request->term = node->now.term;
		request->ordinal = ordinal;
		if (session) {
			session->register_pending = request->index;
		}
		move_to(node, request, REQUEST_PROPOSED);
	}
	atomic_fetch_add(&node->proposals, gather->count);
	begin_gather(gather);
}

/* Without the number: it is the origin's business, and equal commands should be equal bytes. */
static void add_command(struct gather *gather, struct node_request *request)
{
	struct packet command = request->frame;
	struct buf bytes;

	command.number = 0;
	buf_init(&bytes);
	packet_copy(&command, &bytes);
	if (bytes.size > PAYLOAD_MAX) {
		buf_fini(&bytes);
		reply_code(gather->node, request, CODE_QUOTA, "bytes");
		return;
	}
	if (gather->payload.size + bytes.size > PAYLOAD_MAX) {
		propose(gather);
	}
	state_add_command(&gather->payload, buf_slice(&bytes));
	buf_fini(&bytes);
	list_unlink(&request->node);
	list_push_back(&gather->list, &request->node);
	gather->count++;
}

/* On the leader: answer, read, or put it into the next entry. */
static void decide(struct gather *gather, struct node_request *request)
{
	struct raftreg_node *node = gather->node;
	const struct state_session *session = state_session(&node->state, request->frame.session);

	if (request->frame.kind == PACKET_RENEW) {
		want_read(node, request);
		return;
	}
	/* RD-05: one command of a session in the log at a time; its outcome decides the next. */
	if (session && (session->register_pending > node->state.applied ||
			       session->lease_pending > node->state.applied)) {
		return;
	}
	request->result = state_check(&node->state, &request->frame);
	switch (request->result.code) {
	case CODE_OK:
		if (node->space.full) { /* RS-14 */
			reply_code(node, request, CODE_DISK_FULL, NULL);
			break;
		}
		if (node->state.bytes > node->settings.state_bytes_max &&
			request->frame.kind != PACKET_CLOSE) {
			reply_code(node, request, CODE_QUOTA, "state_bytes_max");
			break;
		}
		add_command(gather, request);
		break;
	case CODE_UNCHANGED: /* RD-06: a deposed leader cannot say these */
	case CODE_SESSION_LOST:
		want_read(node, request);
		break;
	default:
		reply(node, request, &request->result);
		break;
	}
}

/* RN-06: a session whose SUSPECT or EXPIRE is in the log is answered by what comes of it. */
static void finish_renewal(struct raftreg_node *node, struct node_request *request)
{
	struct state_session *session = state_session(&node->state, request->frame.session);

	if (!session || session->incarnation != request->frame.incarnation) {
		reply(node, request,
			&(struct state_result){.code = CODE_SESSION_LOST,
				.index = node->state.applied,
				.boot = session ? session->boot : 0,
				.text = "session"});
		return;
	}
	/* RN-06: never "renewed" and then deleted: what is under way ends first. */
	if (session->lease_pending > node->state.applied) {
		return;
	}
	if (session->suspect) {
		(void)lease_revive(node, session);
		return;
	}
	lease_extend(node, session, request->received_ms);
	reply(node, request,
		&(struct state_result){
			.code = CODE_OK, .index = node->state.applied, .digest = session->digest});
}

/* Only a leader whose own term has applied may answer (RM-16). */
static void finish_reads(struct raftreg_node *node)
{
	LIST_FOR_EACH_SAFE(place, &node->reading_list) {
		struct node_request *request = LIST_ENTRY(place, struct node_request, node);

		if (!request->confirmed || !node->leading) {
			continue;
		}
		if (request->frame.kind == PACKET_RENEW) {
			finish_renewal(node, request);
		} else {
			reply(node, request, &request->result);
		}
	}
}

/* One at a time; everything that came meanwhile shares the next. */
static void start_read(struct raftreg_node *node)
{
	struct raft_event event = {.kind = RAFT_READ};

	if (!node->read_wanted || node->reading != 0 || !node_is_leader(node)) {
		return;
	}
	node->read_wanted = false;
	node->reading = ++node->next_id;
	LIST_FOR_EACH(place, &node->reading_list) {
		struct node_request *request = LIST_ENTRY(place, struct node_request, node);

		if (request->cookie == 0) {
			request->cookie = node->reading;
		}
	}
	event.u.read.cookie = node->reading;
	if (node_step(node, &event) != RAFT_OK) {
		node_request_read(node, node->reading, true);
	}
}

/* Called while effects are absorbed: marks only. */
void node_request_read(struct raftreg_node *node, uint64_t cookie, bool failed)
{
	if (cookie != node->reading) {
		return;
	}
	node->reading = 0;
	atomic_fetch_add(&node->reads, 1);
	LIST_FOR_EACH(place, &node->reading_list) {
		struct node_request *request = LIST_ENTRY(place, struct node_request, node);

		if (request->cookie == cookie) {
			request->confirmed = !failed;
			request->cookie = failed ? 0 : cookie;
			node->read_wanted = node->read_wanted || failed;
		}
	}
	if (!failed) {
		lease_confirmed(node);
		node_wake(node);
	}
}

/* Once a turn: decide, propose what was gathered, finish what was confirmed, begin the next
 * read. */
void node_request_turn(struct raftreg_node *node)
{
	struct gather gather = {.node = node};
	bool serving = node->conf.voters.count >= node->serve_voters;

	buf_init(&gather.payload);
	begin_gather(&gather);
	LIST_FOR_EACH_SAFE(place, &node->waiting) {
		struct node_request *request = LIST_ENTRY(place, struct node_request, node);

		if (!serving || gather.refused) {
			break; /* RB-02: not before the others are in */
		}
		if (!node_is_leader(node)) {
			relay(node, request);
		} else if (node->leading) {
			decide(&gather, request);
		}
	}
	propose(&gather);
	buf_fini(&gather.payload);
	finish_reads(node);
	start_read(node);
}

/* Relayed requests are answered about in the order in which they were sent: the first few are
 * looked at. */
void node_request_answered(struct raftreg_node *node, struct slice bytes)
{
	struct packet answer;

	if (packet_decode(bytes, &answer) < 0 || answer.kind != PACKET_ANSWER) {
		return;
	}
	LIST_FOR_EACH_SAFE(place, &node->relayed) {
		struct node_request *request = LIST_ENTRY(place, struct node_request, node);

		if (request->id != answer.number) {
			continue;
		}
		if (answer.code == CODE_NOT_LEADER) {
			move_to(node, request, REQUEST_WAITING); /* the tick tries again */
			return;
		}
		answer.number = request->number;
		if (request->origin) {
			request->origin->reply(request->origin, &answer);
		}
		free_request(node, request);
		return;
	}
}

/* Requests wait in the order of the log, so only the first can be meant. */
void node_request_applied(struct raftreg_node *node, uint64_t index, uint64_t term, size_t ordinal,
	const struct state_result *result)
{
	while (!list_empty(&node->proposed)) {
		struct node_request *request =
			LIST_ENTRY(node->proposed.next, struct node_request, node);
		struct state_session *session;

		if (request->index > index ||
			(request->index == index && request->ordinal > ordinal)) {
			return;
		}
		if (request->index < index || request->ordinal < ordinal || request->term != term) {
			reply_code(node, request, CODE_MAYBE, NULL);
			continue;
		}
		session = state_session(&node->state, request->frame.session);
		if (session && result->code == CODE_OK && node_is_leader(node)) {
			/* A command is a sign of life as good as a renewal. */
			session->seen_ms = node_now_ms(node);
			session->deadline_ms = session->seen_ms + session->ttl_ms;
		}
		reply(node, request, result);
		return;
	}
}

/* RD-07: what was in the log when leadership went has an unknown outcome. */
void node_request_lost(struct raftreg_node *node)
{
	while (!list_empty(&node->proposed)) {
		reply_code(node, LIST_ENTRY(node->proposed.next, struct node_request, node),
			CODE_MAYBE, NULL);
	}
	LIST_FOR_EACH_SAFE(place, &node->reading_list) {
		move_to(node, LIST_ENTRY(place, struct node_request, node), REQUEST_WAITING);
	}
	node->reading = 0;
	node->read_wanted = false;
}

/* The leader is another one, or cannot be reached: repetition is safe, seq and incarnation tell. */
void node_request_relay_lost(struct raftreg_node *node)
{
	LIST_FOR_EACH_SAFE(place, &node->relayed) {
		move_to(node, LIST_ENTRY(place, struct node_request, node), REQUEST_WAITING);
	}
	node_wake(node);
}

/* Oldest first; a renewal that timed out did not happen, a command may have. */
static void expire(
	struct raftreg_node *node, struct list_node *list, uint64_t now_ms, enum packet_code code)
{
	LIST_FOR_EACH_SAFE(place, list) {
		struct node_request *request = LIST_ENTRY(place, struct node_request, node);

		if (now_ms >= request->deadline_ms) {
			reply_code(node, request,
				request->frame.kind == PACKET_RENEW ? CODE_NO_QUORUM : code, NULL);
		}
	}
}

/* RD-07: what was certainly not proposed gets NO_QUORUM and may be repeated as
 * anything; what may be in the log gets MAYBE and must be repeated as it was. */
void node_request_tick(struct raftreg_node *node, uint64_t now_ms)
{
	expire(node, &node->waiting, now_ms, CODE_NO_QUORUM);
	expire(node, &node->reading_list, now_ms, CODE_NO_QUORUM);
	expire(node, &node->relayed, now_ms, CODE_MAYBE);
	expire(node, &node->proposed, now_ms, CODE_MAYBE);
	relay_renewals(node);
}

/* Nobody is answered: the streams are gone before the requests. */
void node_request_fini(struct raftreg_node *node)
{
	struct list_node *lists[] = {
		&node->waiting, &node->reading_list, &node->proposed, &node->relayed};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		while (!list_empty(lists[i])) {
			free_request(node, LIST_ENTRY(lists[i]->next, struct node_request, node));
		}
	}
	ASSERT(node->request_count == 0);
}

/* Decided here and now by this leader: never relayed, never repeated (RD-08). */
bool node_request_propose(struct raftreg_node *node, struct slice command)
{
	struct raft_event event = {.kind = RAFT_PROPOSE};
	struct raft_payload *payload;
	enum raft_refusal refusal;
	struct buf bytes;

	if (node->space.full) {
		return false; /* RS-14 */
	}
	buf_init(&bytes);
	state_begin_entry(&bytes, clock_wall_ms());
	state_add_command(&bytes, command);
	payload = raft_payload_create(bytes.data, (uint32_t)bytes.size);
	buf_fini(&bytes);
	event.u.propose.payloads = &payload;
	event.u.propose.count = 1;
	refusal = node_step(node, &event);
	raft_payload_unref(payload);
	return refusal == RAFT_OK;
}
