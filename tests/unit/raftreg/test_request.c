/* Requests on their way: gathered, relayed, bound to reads (registry.md RD-08, RN-02, RN-03). */
#include "bare.h"

#include "base/mem.h"

static int setup(void **state)
{
	(void)state;
	bare_create();
	bare_publish();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	bare_destroy();
	return 0;
}

static void session_id(uint8_t id[16], unsigned number)
{
	memset(id, 0, 16);
	id[0] = (uint8_t)number;
	id[1] = (uint8_t)(number >> 8);
	id[2] = 9;
}

static void request(unsigned slot, enum packet_kind kind, uint64_t number, unsigned session)
{
	uint8_t id[16];
	struct packet frame = {.kind = kind,
		.number = number,
		.incarnation = 1,
		.boot = 1,
		.ttl_ms = 6000,
		.host = SLICE("127.0.0.1"),
		.identity = SLICE("test")};

	session_id(id, session);
	frame.session = slice_make(id, 16);
	bare_send(slot, &frame, NULL, 0);
}

static void answer_relayed(uint64_t id, enum packet_code code)
{
	const struct packet answer = {
		.kind = PACKET_ANSWER, .number = id, .code = code, .index = 7, .digest = 5};
	struct buf bytes;

	buf_init(&bytes);
	packet_encode(&answer, &bytes);
	node_request_answered(bare.node, buf_slice(&bytes));
	buf_fini(&bytes);
	loop_turn(bare.node->loop, 0);
	loop_turn(bare.node->loop, 0);
}

/* Items of a relayed frame; numbers and ids are appended. */
static size_t batch_of(size_t i, uint64_t *ids)
{
	struct packet frame;
	struct slice rest, bytes;
	struct item item;
	size_t count = 0;

	assert_true(i < bare.relay_count);
	assert_int_equal(packet_decode(buf_slice(&bare.relayed[i]), &frame), 0);
	assert_int_equal(packet_scan(buf_slice(&bare.relayed[i]), PACKET_RELAY_MAX), 0);
	assert_int_equal(frame.kind, PACKET_RENEW);
	for (rest = frame.items; packet_next_item(&rest, &bytes); count++) {
		assert_int_equal(item_decode(bytes, &item), 0);
		assert_int_equal(item.op, ITEM_SESSION);
		assert_int_equal(item.number, 1);
		ids[count] = item.generation;
	}
	return count;
}

/* At the beginning of time: however slow the machine is, no request is too old. */
static void tick(void)
{
	node_request_tick(bare.node, 0);
}

/* RN-02: whatever came since the last tick is one frame; answers find their way back one by one. */
static void test_renewals_travel_together(void **state)
{
	static uint64_t ids[8192];

	(void)state;
	for (unsigned i = 0; i < 40; i++) {
		bare_open(i, DOOR_SESSION);
		request(i, PACKET_RENEW, 100 + i, i);
		request(i, PACKET_RENEW, 200 + i, i);
	}
	bare_turn();
	assert_int_equal(bare.relay_count, 0);
	request(0, PACKET_CLOSE, 300, 0);
	bare_turn();
	assert_int_equal(bare.relay_count, 1); /* commands do not wait */
	tick();
	assert_int_equal(bare.relay_count, 2);
	assert_int_equal(batch_of(1, ids), 80);
	tick();
	assert_int_equal(bare.relay_count, 2);
	answer_relayed(ids[3], CODE_SESSION_LOST); /* the second of stream 1 */
	assert_int_equal(bare_frame(1, 0).number, 201);
	assert_int_equal(bare_frame(1, 0).code, CODE_SESSION_LOST);
	answer_relayed(ids[2], CODE_OK);
	assert_int_equal(bare_frame(1, 1).number, 101);
	assert_int_equal(bare_frame(1, 1).digest, 5);
	/* The other one does not lead any more: they go again with the next tick. */
	answer_relayed(ids[4], CODE_NOT_LEADER);
	assert_string_equal(bare_kinds(2), "");
	bare_turn();
	tick();
	assert_int_equal(bare.relay_count, 3);
	assert_int_equal(batch_of(2, ids), 1);
	/* One that left is not asked for. */
	bare_close(5);
	answer_relayed(ids[0], CODE_OK);
	assert_int_equal(bare_frame(2, 0).number, 102);
}

/* Nobody to take them: they wait, and none is lost or doubled. */
static void test_no_leader(void **state)
{
	static uint64_t ids[8192];

	(void)state;
	bare_open(0, DOOR_SESSION);
	for (unsigned i = 0; i < 5000; i++) {
		request(0, PACKET_RENEW, 1 + i, i);
	}
	bare.node->now.leader = 0;
	tick();
	bare.node->now.leader = 2;
	bare.relay_down = true;
	tick();
	assert_int_equal(bare.relay_count, 0);
	bare.relay_down = false;
	tick();
	assert_int_equal(bare.relay_count, 2);
	assert_int_equal(batch_of(0, ids) + batch_of(1, ids), 5000);
	answer_relayed(ids[0], CODE_OK);
	assert_int_equal(bare.streams[0].count, 1);
}

static void batch(unsigned slot, const unsigned *sessions, size_t count)
{
	const struct packet frame = {.kind = PACKET_RENEW};
	struct item *items = mem_zalloc(count * sizeof *items);
	uint8_t(*id)[16] = mem_zalloc(count * sizeof *id);

	for (size_t i = 0; i < count; i++) {
		session_id(id[i], sessions[i]);
		items[i] = (struct item){.op = ITEM_SESSION,
			.content = slice_make(id[i], 16),
			.number = 1,
			.generation = 50 + sessions[i]};
	}
	bare_send(slot, &frame, items, count);
	mem_free(items);
	mem_free(id);
}

static void await_answers(unsigned slot, size_t count)
{
	while (bare.streams[slot].count < count) {
		bare_turn();
	}
	assert_int_equal(bare.streams[slot].count, count);
}

/* RN-03: one read for all of them, begun after they came; nothing is written. */
static void test_the_leader_reads_once(void **state)
{
	struct raftreg_node *node = bare.node;
	uint8_t id[16];
	uint64_t reads, submitted, applied, before;

	(void)state;
	bare_lead();
	bare_open(0, DOOR_RELAY);
	request(0, PACKET_OPEN, 1, 1);
	request(0, PACKET_OPEN, 2, 2);
	await_answers(0, 2);
	bare_take(0);
	reads = atomic_load(&node->reads);
	submitted = bare.submitted;
	applied = node->state.applied;
	session_id(id, 1);
	before = node_now_ms(node);
	state_session(&node->state, slice_make(id, 16))->deadline_ms = 0;
	batch(0, (const unsigned[]){1, 3, 2}, 3);
	await_answers(0, 3);
	assert_int_equal(atomic_load(&node->reads), reads + 1);
	assert_int_equal(bare.submitted, submitted);
	assert_int_equal(node->state.applied, applied);
	assert_int_equal(bare_frame(0, 0).number, 51);
	assert_int_equal(bare_frame(0, 0).code, CODE_OK);
	assert_int_equal(bare_frame(0, 1).number, 53);
	assert_int_equal(bare_frame(0, 1).code, CODE_SESSION_LOST);
	assert_int_equal(bare_frame(0, 2).number, 52);
	assert_in_range(state_session(&node->state, slice_make(id, 16))->deadline_ms, before + 6000,
		node_now_ms(node) + 6000);
	bare_take(0);
	/* A read that is under way says nothing of what comes after it began. */
	node->reading = 1u << 20;
	batch(0, (const unsigned[]){1, 2}, 2);
	bare_turn();
	node_request_read(node, 1u << 20, false);
	assert_int_equal(bare.streams[0].count, 0);
	LIST_FOR_EACH(place, &node->reading_list) {
		assert_false(LIST_ENTRY(place, struct node_request, node)->confirmed);
	}
	await_answers(0, 2);
	assert_int_equal(atomic_load(&node->reads), reads + 3);
	bare_take(0);
	/* What is no batch of renewals changes nothing; a sidecar cannot send one for others. */
	batch(0, NULL, 0);
	await_answers(0, 1);
	assert_int_equal(bare_frame(0, 0).code, CODE_SESSION_LOST);
	bare_open(1, DOOR_SESSION);
	batch(1, (const unsigned[]){1, 2}, 2);
	await_answers(1, 1);
	assert_int_equal(bare_frame(1, 0).code, CODE_SESSION_LOST);
}

/* RD-08: what was relayed here is answered once and for all when this one does not lead. */
static void test_relayed_once(void **state)
{
	(void)state;
	bare_open(0, DOOR_RELAY);
	batch(0, (const unsigned[]){1, 2}, 2);
	await_answers(0, 2);
	assert_int_equal(bare_frame(0, 0).code, CODE_NOT_LEADER);
	assert_int_equal(bare_frame(0, 1).number, 52);
	tick();
	assert_int_equal(bare.relay_count, 0);
}

/* RB-03: a newcomer says hello once a connection. Without a leader for long it is not forgotten as
 * long as that lasts. */
static void test_a_patient_newcomer(void **state)
{
	struct raftreg_node *node = bare.node;
	uint64_t now = node_now_ms(node);

	(void)state;
	bare_lead();
	bare_open(0, DOOR_CONTROL);
	bare_hello(0, 77);
	bare_open(1, DOOR_CONTROL);
	bare_hello(1, 78);
	assert_int_equal(node->candidate_count, 2);
	bare_close(1);
	node->now.role = RAFT_FOLLOWER; /* nobody may admit it now */
	node_member_tick(node, now + 60000);
	node_member_tick(node, now + 120000);
	assert_int_equal(node->candidate_count, 1);
	assert_int_equal(node->candidates[0].replica.id, 77);
	node->now.role = RAFT_LEADER;
	node_member_tick(node, now + 180000);
	for (int i = 0; i < 100 && !member_conf_has(&node->conf, 77); i++) {
		node_wake(node);
		bare_turn();
	}
	assert_true(member_conf_has(&node->conf, 77));
	bare_close(0);
	node_member_tick(node, now + 240000);
	assert_int_equal(node->candidate_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_renewals_travel_together, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_leader, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_leader_reads_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_relayed_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_patient_newcomer, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
