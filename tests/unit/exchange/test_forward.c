/* Own fields by who sent them, Via, X-Forwarded-*, deadlines of a leg, ids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "exchange/forward.h"
#include "exchange/identity.h"

static struct arena arena;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

static void head_make(struct head *head, enum head_kind kind)
{
	head_init(head, &arena, kind);
	head->authority = SLICE("orders");
	head->path = SLICE("/");
}

static const char *value_of(const struct head *head, const char *name)
{
	const struct field *field = head_find_name(head, slice_from_string(name));

	if (field == NULL) {
		return NULL;
	}
	return (const char *)arena_copy(head->arena, field->value).data;
}

enum { APP = 1, MESH = 2, OTHER = 4, SELF = 8 };

/* M0-05: who may say what; the effect on the wishes, or the field that stays for endpoints. */
static const struct {
	const char *name, *value;
	int believed;
} fields[] = {
	{"x-pillion-service", "orders", APP | MESH | SELF},
	{"x-pillion-deadline", "500", APP | MESH | OTHER | SELF},
	{"x-pillion-attempt", "3", APP | MESH | SELF},
	{"x-pillion-debug", "1", APP | MESH | SELF},
	{"x-pillion-hops", "4", MESH | SELF},
	{"x-pillion-ttl", "5s", APP | MESH | SELF},
	{"x-pillion-durability", "fsync", APP | MESH | SELF},
	{"x-pillion-delay", "5s", APP | SELF},
	{"x-pillion-topic", "t", SELF},
	{"x-pillion-admin", "1", MESH | SELF},
	{"x-pillion-reason", "ok", MESH | SELF},
	{"x-pillion-bogus", "1", SELF},
	{"x-forwarded-client-cert", "x", SELF},
};

static bool was_believed(const struct head *head, const struct forward_wishes *wishes, size_t i)
{
	switch (i) {
	case 0:
		return wishes->service.size > 0;
	case 1:
		return wishes->deadline_ms == 500;
	case 2:
		return wishes->attempt == 3;
	case 3:
		return wishes->debug;
	case 4:
		return wishes->hops == 4;
	default:
		return value_of(head, fields[i].name) != NULL;
	}
}

static void own_fields_by_sender(void **state)
{
	static const struct {
		int bit;
		enum forward_peer peer;
	} peers[] = {{APP, FORWARD_FROM_APP}, {MESH, FORWARD_FROM_MESH},
		{OTHER, FORWARD_FROM_OTHER}, {SELF, FORWARD_FROM_SELF}};

	(void)state;
	for (size_t p = 0; p < 4; p++) {
		for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
			struct forward_wishes wishes;
			struct head head;
			unsigned stripped;
			bool believed;

			head_make(&head, HEAD_REQUEST);
			head_add(&head, SLICE("x-other"), SLICE("stays"));
			head_add(&head, slice_from_string(fields[i].name),
				slice_from_string(fields[i].value));
			stripped = forward_trust(&head, peers[p].peer, &wishes);
			believed = (fields[i].believed & peers[p].bit) != 0;
			assert_int_equal(was_believed(&head, &wishes, i), believed);
			assert_int_equal(stripped, believed ? 0 : 1);
			assert_string_equal(value_of(&head, "x-other"), "stays");
		}
	}
}

static void bad_values_are_nothing(void **state)
{
	static const char *const bad[][2] = {{"x-pillion-deadline", "0"},
		{"x-pillion-deadline", "86400001"}, {"x-pillion-deadline", "5s"},
		{"x-pillion-deadline", ""}, {"x-pillion-attempt", "100"},
		{"x-pillion-attempt", "-1"}, {"x-pillion-hops", "11"}, {"x-pillion-debug", "2"}};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct forward_wishes wishes;
		struct head head;

		head_make(&head, HEAD_REQUEST);
		head_add(&head, slice_from_string(bad[i][0]), slice_from_string(bad[i][1]));
		forward_trust(&head, FORWARD_FROM_MESH, &wishes);
		assert_int_equal(wishes.deadline_ms + wishes.attempt + wishes.hops, 0);
		assert_false(wishes.debug);
		assert_null(value_of(&head, bad[i][0]));
	}
	/* Twice is not once. */
	for (int k = 0; k < 2; k++) {
		struct forward_wishes wishes;
		struct head head;
		struct slice name = k ? SLICE("x-pillion-service") : SLICE("x-pillion-deadline");

		head_make(&head, HEAD_REQUEST);
		head_add(&head, name, SLICE("7"));
		head_add(&head, name, SLICE("7"));
		forward_trust(&head, FORWARD_FROM_MESH, &wishes);
		assert_int_equal(wishes.deadline_ms + wishes.service.size, 0);
		assert_int_equal(head.field_count, 0);
	}
}

static void loops_are_seen(void **state)
{
	static const struct {
		const char *via;
		bool loop;
	} rows[] = {
		{"1.1 pillion-o-3f2a91c0", true},
		{"1.1 other, 2 pillion-o-3f2a91c0", true},
		{"1.0 pillion-o-3f2a91c0 (comment)", true},
		{"1.1 pillion-i-3f2a91c0", false},
		{"1.1 pillion-o-3f2a91c1", false},
		{"1.1 xpillion-o-3f2a91c0", false},
		{"", false},
		{",,,", false},
		{"1 pillion-a,1 pillion-b,1 pillion-c,1 pillion-d,1 pillion-e,1 pillion-f,"
		 "1 pillion-g,1 pillion-h,1 pillion-i,1 pillion-j",
			false},
		{"1 pillion-a,1 pillion-b,1 pillion-c,1 pillion-d,1 pillion-e,1 pillion-f,"
		 "1 pillion-g,1 pillion-h,1 pillion-i,1 pillion-j,1 pillion-k",
			true},
	};
	char text[32];
	struct slice own = forward_via(HTTP_2, false, "3f2a91c0", text);

	(void)state;
	assert_string_equal(text, "2 pillion-o-3f2a91c0");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct head head;

		head_make(&head, HEAD_REQUEST);
		head_add(&head, SLICE("via"), slice_from_string(rows[i].via));
		assert_int_equal(forward_is_loop(&head, own), rows[i].loop);
	}
}

static void origin_fields(void **state)
{
	static const struct {
		enum forward_peer peer;
		bool inbound;
		const char *forwarded_for, *proto, *host;
	} rows[] = {
		{FORWARD_FROM_OTHER, true, "10.0.0.9", "http", "orders"},
		{FORWARD_FROM_MESH, true, "1.2.3.4", "https", "public"},
		{FORWARD_FROM_APP, false, "1.2.3.4", "https", "public"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct forward_hop hop = {.inbound = rows[i].inbound,
			.peer = rows[i].peer,
			.peer_host = SLICE("10.0.0.9"),
			.via = SLICE("1.1 pillion-i-3f2a91c0")};
		const struct field *field;
		struct head head;
		unsigned lines = 0;

		head_make(&head, HEAD_REQUEST);
		head_add(&head, SLICE("x-forwarded-for"), SLICE("1.2.3.4"));
		head_add(&head, SLICE("x-forwarded-proto"), SLICE("https"));
		head_add(&head, SLICE("x-forwarded-host"), SLICE("public"));
		head_add(&head, SLICE("forwarded"), SLICE("for=1.2.3.4"));
		head_add(&head, SLICE("upgrade"), SLICE("h2c"));
		head_add(&head, SLICE("keep-alive"), SLICE("x"));
		head_add(&head, SLICE("proxy-authorization"), SLICE("z"));
		forward_request(&head, &hop);
		assert_string_equal(value_of(&head, "x-forwarded-for"), rows[i].forwarded_for);
		assert_string_equal(value_of(&head, "x-forwarded-proto"), rows[i].proto);
		assert_string_equal(value_of(&head, "x-forwarded-host"), rows[i].host);
		assert_null(value_of(&head, "upgrade"));
		assert_null(value_of(&head, "keep-alive"));
		assert_null(value_of(&head, "proxy-authorization"));
		assert_string_equal(value_of(&head, "via"), "1.1 pillion-i-3f2a91c0");
		for (field = head_find(&head, TOKEN_x_forwarded_for); field;
			field = head_find_next(&head, field)) {
			lines++;
		}
		assert_int_equal(lines, rows[i].peer == FORWARD_FROM_MESH ? 2 : 1);
		assert_int_equal(head_find(&head, TOKEN_forwarded) != NULL,
			rows[i].peer != FORWARD_FROM_OTHER);
	}
}

static void deadlines_of_a_leg(void **state)
{
	static const struct {
		uint64_t left_ns;
		bool mesh, grpc;
		const char *ms, *timeout;
	} rows[] = {
		{UINT64_MAX, true, true, NULL, NULL},
		{1874600000, true, true, "1874", "1874600u"},
		{1874600000, false, true, NULL, "1874600u"},
		{999999, true, false, "1", NULL},
		{1, true, true, "1", "1n"},
		{0, true, true, "1", "1n"},
		{100000000000000, true, false, "86400000", NULL},
		{1000000, true, true, "1", "1000000n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct forward_leg leg = {.mesh = rows[i].mesh,
			.grpc = rows[i].grpc,
			.service = SLICE("orders"),
			.hops = 2,
			.attempt = 1,
			.left_ns = rows[i].left_ns};
		struct head head;

		head_make(&head, HEAD_REQUEST);
		forward_attempt(&head, &leg);
		/* A second attempt replaces what the first one wrote. */
		leg.attempt = 2;
		forward_attempt(&head, &leg);
		if (rows[i].ms != NULL) {
			assert_string_equal(value_of(&head, "x-pillion-deadline"), rows[i].ms);
		} else {
			assert_null(value_of(&head, "x-pillion-deadline"));
		}
		if (rows[i].timeout != NULL) {
			assert_string_equal(value_of(&head, "grpc-timeout"), rows[i].timeout);
		} else {
			assert_null(value_of(&head, "grpc-timeout"));
		}
		assert_string_equal(value_of(&head, "x-pillion-attempt"), "2");
		if (rows[i].mesh) {
			assert_string_equal(value_of(&head, "x-pillion-hops"), "2");
			assert_string_equal(value_of(&head, "x-pillion-service"), "orders");
		}
		if (rows[i].grpc) {
			assert_string_equal(value_of(&head, "grpc-previous-rpc-attempts"), "1");
		}
	}
}

static void answers_keep_only_words_of_sidecars(void **state)
{
	(void)state;
	for (int mesh = 0; mesh < 2; mesh++) {
		struct head head;
		struct head trailers;

		head_make(&head, HEAD_RESPONSE);
		head_add(&head, SLICE("x-pillion-reason"), SLICE("no_instance;code=PIL5022"));
		head_add(&head, SLICE("x-pillion-outcome"), SLICE("not-processed"));
		head_add(&head, SLICE("x-pillion-retry"), SLICE("no"));
		head_add(&head, SLICE("x-pillion-ack"), SLICE("later"));
		head_add(&head, SLICE("connection"), SLICE("close"));
		forward_response(&head, mesh == 1, false, SLICE("2 pillion-o-3f2a91c0"));
		assert_int_equal(value_of(&head, "x-pillion-reason") != NULL, mesh == 1);
		assert_int_equal(value_of(&head, "x-pillion-outcome") != NULL, mesh == 1);
		assert_null(value_of(&head, "x-pillion-retry"));
		assert_null(value_of(&head, "x-pillion-ack"));
		assert_null(value_of(&head, "connection"));
		assert_string_equal(value_of(&head, "via"), "2 pillion-o-3f2a91c0");
		head_make(&trailers, HEAD_TRAILERS);
		head_add(&trailers, SLICE("x-pillion-reason"), SLICE("x"));
		head_add(&trailers, SLICE("content-length"), SLICE("5"));
		head_add(&trailers, SLICE("x-tail"), SLICE("5"));
		assert_int_equal(forward_response(&trailers, false, false, SLICE("v")), 2);
		assert_int_equal(trailers.field_count, 1);
	}
}

static void trace_ids(void **state)
{
	static const struct {
		const char *parent;
		bool kept;
	} rows[] = {
		{"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true},
		{"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", true},
		{"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", true},
		{"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", false},
		{"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false},
		{"00-00000000000000000000000000000000-00f067aa0ba902b7-01", false},
		{"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false},
		{"00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false},
		{"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", false},
		{"", false},
		{"00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false},
	};
	struct rng rng;

	(void)state;
	rng_seed(&rng, 9);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct head head;
		struct slice id;

		head_make(&head, HEAD_REQUEST);
		head_add(&head, SLICE("tracestate"), SLICE("a=b"));
		head_add(&head, SLICE("traceparent"), slice_from_string(rows[i].parent));
		id = identity_trace(&head, &rng);
		assert_int_equal(id.size, 32);
		assert_int_equal(head_find(&head, TOKEN_trace_state) != NULL, rows[i].kept);
		if (rows[i].kept) {
			assert_memory_equal(id.data, rows[i].parent + 3, 32);
			assert_string_equal(value_of(&head, "traceparent"), rows[i].parent);
		} else {
			assert_int_equal(head_value(&head, TOKEN_trace_parent).size, 55);
		}
	}
}

static void request_ids(void **state)
{
	static const struct {
		const char *id;
		bool believed, kept;
	} rows[] = {{"7c1e", true, true}, {"7c1e", false, false}, {"a b", true, false},
		{"", true, false}, {"A-._:z9", true, true}};
	struct rng rng;

	(void)state;
	rng_seed(&rng, 9);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct head head;
		struct slice id;

		head_make(&head, HEAD_REQUEST);
		head_add(&head, SLICE("x-request-id"), slice_from_string(rows[i].id));
		id = identity_request(&head, &rng, rows[i].believed);
		assert_int_equal(id.size, rows[i].kept ? strlen(rows[i].id) : 36);
		if (!rows[i].kept) {
			assert_int_equal(id.data[14], '4');
			assert_non_null(strchr("89ab", id.data[19]));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(own_fields_by_sender, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_values_are_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(loops_are_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(origin_fields, setup, teardown),
		cmocka_unit_test_setup_teardown(deadlines_of_a_leg, setup, teardown),
		cmocka_unit_test_setup_teardown(
			answers_keep_only_words_of_sidecars, setup, teardown),
		cmocka_unit_test_setup_teardown(trace_ids, setup, teardown),
		cmocka_unit_test_setup_teardown(request_ids, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
