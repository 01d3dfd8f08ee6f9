/* What a watcher is sent, and when (registry.md 9), one turn at a time. */
#include "bare.h"

#include "base/mem.h"

static int setup(void **state)
{
	(void)state;
	bare_create();
	bare_publish(); /* what was recovered before is not kept for anybody */
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	bare_destroy();
	return 0;
}

static void subscribe(unsigned slot, uint64_t number, const char *name, uint64_t cursor)
{
	size_t length = strlen(name);
	bool prefix = length > 0 && name[length - 1] == '*';
	const struct packet frame = {.kind = PACKET_SUBSCRIBE,
		.number = number,
		.index = cursor,
		.flags = (name[0] == '/' ? PACKET_RECORDS : 0u) |
			 (prefix ? (unsigned)PACKET_PREFIX : 0u),
		.name = slice_make((const uint8_t *)name, length - (prefix ? 1 : 0))};

	bare_send(slot, &frame, NULL, 0);
}

static void bookmark(void)
{
	static uint64_t now_ms = 1000000;

	now_ms += 1000;
	fanout_tick(bare.node->fanout, now_ms);
	loop_turn(bare.node->loop, 0);
	loop_turn(bare.node->loop, 0);
}

/* The sum that a client with these sets has. */
static uint64_t digest_of(const char *const *names)
{
	const struct state *state = &bare.node->state;
	uint64_t digest = 0;

	for (; *names; names++) {
		const struct state_set *set =
			state_set(state, **names == '/', slice_from_string(*names));

		if (set && set->members.count > 0) {
			digest += state_view_digest(
				state->uuid, set->records, set->name, set->digest);
		}
	}
	return digest;
}

/* RW-03, first case: deltas, those of this subscription and only what is behind the cursor. */
static void test_resume_in_the_ring(void **state)
{
	uint64_t cursor;
	struct packet frame;

	(void)state;
	bare_register(1, "a", 80);
	bare_register(2, "b", 80);
	bare_publish();
	cursor = bare.node->state.applied;
	bare_register(1, "a", 81);
	bare_publish();
	bare_register(2, "b", 81);
	bare_register(3, "a", 82);
	bare_publish();
	bare_open(0, DOOR_SESSION);
	subscribe(0, 1, "a", cursor);
	assert_string_equal(bare_kinds(0), "BDDE");
	assert_int_equal(bare_frame(0, 0).flags & PACKET_FULL, 0);
	frame = bare_frame(0, 1);
	assert_true(slice_equal(frame.name, SLICE("a")) && frame.from <= cursor);
	assert_int_equal(bare_frame(0, 2).from, frame.index);
	frame = bare_frame(0, 3);
	assert_int_equal(frame.index, bare.node->state.applied);
	assert_true(frame.digest == digest_of((const char *[]){"a", NULL}));
	bare_take(0);
	/* From the end of it there is nothing to say. */
	subscribe(0, 2, "b", bare.node->state.applied);
	assert_string_equal(bare_kinds(0), "BE");
	bare_take(0);
	/* All, by prefix, in the order in which it happened. */
	bare_open(1, DOOR_SESSION);
	subscribe(1, 1, "*", cursor);
	assert_string_equal(bare_kinds(1), "BDDDE");
}

/* RW-03, the other two: whole sets with a change behind the cursor, also empty ones; everything. */
static void test_resume_beyond_the_ring(void **state)
{
	uint64_t cursor;

	(void)state;
	bare_register(1, "a", 80);
	bare_register(2, "b", 80);
	bare_register(3, "c", 80);
	bare_publish();
	cursor = bare.node->state.applied;
	bare_register(1, "a", 81);
	bare_register(2, "b", 0);
	bare_publish();
	fanout_reset(bare.node->fanout); /* the ring is empty now, and knows that */
	bare_open(0, DOOR_SESSION);
	subscribe(0, 1, "*", cursor);
	assert_string_equal(bare_kinds(0), "BSSE");
	assert_int_equal(bare_frame(0, 0).flags & PACKET_FULL, 0);
	assert_int_equal(bare_frame(0, 2).flags & PACKET_ABSENT, PACKET_ABSENT);
	bare_open(1, DOOR_SESSION);
	bare.node->state.horizon = cursor + 1;
	subscribe(1, 1, "*", cursor);
	assert_string_equal(bare_kinds(1), "BSSE");
	assert_int_equal(bare_frame(1, 0).flags & PACKET_FULL, PACKET_FULL);
	assert_true(slice_equal(bare_frame(1, 2).name, SLICE("c")));
	/* An index that nobody has committed is of another log (RW-10). */
	bare_open(2, DOOR_SESSION);
	subscribe(2, 1, "a", bare.node->state.applied + 1);
	assert_int_equal(bare_frame(2, 0).flags & PACKET_FULL, PACKET_FULL);
}

/* A replica that was cut off for long applies the end of a service and its forgetting in one turn:
 * no delta can be made of that, so its watchers begin anew instead of keeping what is gone. */
static void test_forgotten_untold(void **state)
{
	uint64_t cursor;

	(void)state;
	bare_register(1, "a", 80);
	bare_register(2, "b", 80);
	bare_publish();
	cursor = bare.node->state.applied;
	bare_open(0, DOOR_SESSION);
	subscribe(0, 1, "a", 0);
	bare_take(0);
	bare_register(1, "a", 0);
	bare_forget(bare.node->state.applied);
	assert_null(state_set(&bare.node->state, false, SLICE("a")));
	node_wake(bare.node);
	for (int i = 0; i < 100 && bare.streams[0].status < 0; i++) {
		bare_turn();
	}
	assert_int_equal(bare.streams[0].status, 14);
	bare_open(1, DOOR_SESSION);
	subscribe(1, 1, "*", cursor);
	assert_string_equal(bare_kinds(1), "BSE");
	assert_int_equal(bare_frame(1, 0).flags & PACKET_FULL, PACKET_FULL);
	assert_true(slice_equal(bare_frame(1, 1).name, SLICE("b")));
	/* One that was told before it was forgotten costs nobody the stream. */
	bare_take(1);
	bare_register(2, "b", 0);
	bare_publish();
	bare_forget(bare.node->state.applied);
	node_wake(bare.node);
	bare_turn();
	bare_turn();
	assert_int_equal(bare.streams[1].status, -1);
	assert_string_equal(bare_kinds(1), "D");
}

/* A way over the ring that is longer than the window is none: the sets go whole. */
static void test_a_long_way(void **state)
{
	uint64_t cursor;

	(void)state;
	bare_record("/x", "k", 1000, false);
	bare_publish();
	cursor = bare.node->state.applied;
	for (unsigned i = 0; i < 300; i++) {
		bare_record("/x", "k", 1000, false);
		bare_publish();
	}
	bare_open(0, DOOR_SESSION);
	subscribe(0, 1, "/x", cursor);
	assert_string_equal(bare_kinds(0), "BSE");
	bare_take(0);
	bare_open(1, DOOR_SESSION);
	subscribe(1, 1, "/x", cursor + 100);
	assert_int_equal(bare.streams[1].count, 202);
}

/* The ring's bounds: what fell out is not promised. */
static void test_the_ring_is_bounded(void **state)
{
	uint64_t first;

	(void)state;
	bare_record("/x", "k0", 4000, false);
	bare_publish();
	first = bare.node->state.applied;
	/* 140 deltas of 64 records of 4 KB each are more than 32 MiB. */
	for (unsigned round = 0; round < 140; round++) {
		for (unsigned i = 0; i < 64; i++) {
			char key[16];

			(void)snprintf(key, sizeof key, "k%u", i);
			bare_record("/x", key, 4000, false);
		}
		bare_publish();
	}
	bare_open(0, DOOR_SESSION);
	subscribe(0, 1, "/y", first);
	/* Not in the ring: but nothing below that name changed, which its state tells as well. */
	assert_string_equal(bare_kinds(0), "BE");
	bare.node->state.horizon = first + 1;
	subscribe(0, 2, "/z", first);
	assert_int_equal(bare_frame(0, 2).flags & PACKET_FULL, PACKET_FULL);
}

/* RW-04: above the window names only; whole sets of the newest view once there is room. */
static void test_a_slow_reader(void **state)
{
	static char value[16];

	(void)state;
	bare_open(0, DOOR_SESSION);
	subscribe(0, 1, "/*", 0);
	bare_take(0);
	for (unsigned i = 0; i < 400; i++) {
		(void)snprintf(value, sizeof value, "k%u", i % 8);
		bare_record("/x", value, 1000, false);
		bare_record(i % 2 ? "/y" : "/z", value, 1000, false);
		bare_publish();
	}
	assert_true(bare.streams[0].bytes < DOOR_WINDOW + 4096);
	bookmark(); /* RW-05: not while something is missing */
	assert_null(strchr(bare_kinds(0), 'K'));
	bare_take(0);
	assert_string_equal(bare_kinds(0), "SSS");
	bare_take(0);
	bookmark();
	assert_string_equal(bare_kinds(0), "K");
	assert_true(bare_frame(0, 0).digest == digest_of((const char *[]){"/x", "/y", "/z", NULL}));
	bare_record("/x", "k1", 10, false);
	bare_publish();
	assert_string_equal(bare_kinds(0), "KD");
}

/* RW-05: behind all that is not newer, with what the watched sets add up to, each once. */
static void test_bookmarks(void **state)
{
	const struct packet unsubscribe = {.kind = PACKET_UNSUBSCRIBE, .number = 2};

	(void)state;
	bare_register(1, "a", 80);
	bare_register(2, "ab", 80);
	bare_register(3, "b", 80);
	bare_publish();
	bare_open(0, DOOR_SESSION);
	bookmark();
	assert_int_equal(bare_frame(0, 0).digest, 0);
	assert_int_equal(bare_frame(0, 0).seq, 0);
	subscribe(0, 1, "a", 0);
	subscribe(0, 2, "a*", 0);
	bare_take(0);
	bare_register(1, "a", 81); /* not published yet when the bookmark is due */
	bookmark();
	assert_string_equal(bare_kinds(0), "DK");
	assert_int_equal(bare_frame(0, 1).index, bare.node->state.applied);
	assert_int_equal(bare_frame(0, 1).seq, 2);
	assert_true(bare_frame(0, 1).digest == digest_of((const char *[]){"a", "ab", NULL}));
	bare_take(0);
	bare_send(0, &unsubscribe, NULL, 0);
	bare_register(3, "b", 81);
	bookmark();
	assert_int_equal(bare_frame(0, 0).seq, 3);
	assert_true(bare_frame(0, 0).digest == digest_of((const char *[]){"a", NULL}));
	bare_take(0);
	bare_register(1, "a", 0);
	bookmark();
	assert_int_equal(bare_frame(0, 1).digest, 0);
}

/* RW-08: 64 readers with a view that they do not take; the next one is told to come again. */
static void test_full_syncs(void **state)
{
	const struct packet unsubscribe = {.kind = PACKET_UNSUBSCRIBE, .number = 1};
	uint64_t cursor;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		char key[16];

		(void)snprintf(key, sizeof key, "k%u", i);
		bare_record("/x", key, 4000, false);
	}
	bare_publish();
	cursor = bare.node->state.applied;
	bare_record("/y", "k", 10, false);
	bare_publish();
	for (unsigned i = 0; i < 64; i++) {
		bare_open(i, DOOR_SESSION);
		subscribe(i, 1, "/x", 0);
		assert_string_equal(bare_kinds(i), "BSE");
	}
	bare_open(64, DOOR_SESSION);
	subscribe(64, 1, "/y", 0);
	assert_string_equal(bare_kinds(64), "A");
	assert_int_equal(bare_frame(64, 0).code, CODE_RETRY_LATER);
	assert_int_equal(bare_frame(64, 0).number, 1);
	assert_true(bare_frame(64, 0).retry_after_ms > 0);
	bare_take(64);
	/* It has no such subscription; one that resumes needs no full sync. */
	bare_send(64, &unsubscribe, NULL, 0);
	assert_int_equal(bare_frame(64, 0).code, CODE_INVALID);
	bare_take(64);
	subscribe(64, 2, "/y", cursor);
	assert_string_equal(bare_kinds(64), "BDE");
	/* Who is at it may go on. */
	subscribe(5, 2, "/y", 0);
	assert_string_equal(bare_kinds(5), "BSEBSE");
	/* One took its view, another left: two may come. */
	bare_take(7);
	bare_close(8);
	bare_open(65, DOOR_SESSION);
	subscribe(65, 1, "/x", 0);
	subscribe(64, 3, "/x", 0);
	assert_string_equal(bare_kinds(65), "BSE");
	assert_string_equal(bare_kinds(64), "BDEBSE");
	bare_open(66, DOOR_SESSION);
	subscribe(66, 1, "/x", 0);
	assert_string_equal(bare_kinds(66), "A");
	/* Readers that take nothing for long are let go. */
	bookmark();
	for (unsigned i = 0; i < 12; i++) {
		bookmark();
	}
	assert_int_equal(bare.streams[9].status, 14);
	assert_int_equal(bare.streams[66].status, -1);
	subscribe(66, 2, "/x", 0);
	assert_non_null(strchr(bare_kinds(66), 'S'));
}

/* RW-04: whoever asks and does not read the answers is let go; who reads may ask for ever. */
static void test_unread_answers(void **state)
{
	const struct packet get = {
		.kind = PACKET_GET, .number = 1, .flags = PACKET_RECORDS, .name = SLICE("/x")};
	const struct packet small = {
		.kind = PACKET_GET, .number = 1, .flags = PACKET_RECORDS, .name = SLICE("/y")};

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		char key[16];

		(void)snprintf(key, sizeof key, "k%u", i);
		bare_record("/x", key, 4000, false);
	}
	bare_publish();
	bare_open(0, DOOR_SESSION);
	for (unsigned i = 0; i < 300; i++) {
		bare_send(0, &get, NULL, 0);
		bare_take(0);
	}
	assert_int_equal(bare.streams[0].status, -1);
	for (unsigned i = 0; i < 300 && bare.streams[0].status < 0; i++) {
		bare_send(0, i % 2 ? &get : &small, NULL, 0);
	}
	assert_int_equal(bare.streams[0].status, 14);
	assert_true(bare.streams[0].bytes < 5u << 20);
}

/* RB-02: a sidecar that belongs to a cluster ends what an empty replica would begin by itself. */
static void test_a_veto(void **state)
{
	const uint8_t uuid[16] = {5};
	const struct packet first = {.kind = PACKET_HELLO};
	const struct packet hello = {.kind = PACKET_HELLO, .uuid = slice_make(uuid, 16)};
	struct raftreg_node *node = bare.node;
	struct wire_hello said;

	(void)state;
	bare_lead(); /* for its core only */
	node->settings.with_seeds = true;
	node->has_cluster = false;
	bare_greet(0, &first);
	assert_int_equal(bare.streams[0].status, 14);
	assert_false(node->birth.known);
	node_fill_hello(node, &said);
	assert_true(said.with_seeds);
	bare_greet(1, &hello);
	assert_int_equal(bare.streams[1].status, 14);
	assert_true(node->birth.known);
	node_fill_hello(node, &said);
	assert_false(said.with_seeds);
	node->has_cluster = true;
	node->birth.known = false;
	bare_greet(2, &hello);
	assert_false(node->birth.known);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_resume_in_the_ring, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resume_beyond_the_ring, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forgotten_untold, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_long_way, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_ring_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_slow_reader, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bookmarks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_syncs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unread_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_veto, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
