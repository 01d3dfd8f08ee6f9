/* Where a request's name stands and what it resolves to (mesh.md MX-01). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "exchange/route.h"
#include "net/loop.h"

struct fixture {
	struct loop *loop;
	struct block_pool pool;
	struct rng rng;
	struct http_limits limits;
	struct upstream *upstream;
	struct listener_snapshot listeners[3];
	struct config_snapshot snapshot;
};

static void on_unknown(void *owner, const char *name)
{
	(void)owner;
	(void)name;
}

static void on_verdict(void *owner, const char *service, const uint8_t id[16], enum tier tier)
{
	(void)owner;
	(void)service;
	(void)id;
	(void)tier;
}

static void give_set(struct fixture *fixture, const char *name, const char *address)
{
	struct instance_set *set = instance_set_create(name, 1);

	set->known = true;
	assert_true(address_parse(slice_from_string(address), false, &set->instances[0].address));
	set->instances[0].host = instance_set_string(set, "10.0.0.7");
	set->instances[0].port = address_port(&set->instances[0].address);
	set->instances[0].id[0] = 1;
	set->instances[0].weight = 100;
	upstream_update(fixture->upstream, set);
	instance_set_unref(set);
}

static int setup(void **state)
{
	struct fixture *fixture = test_calloc(1, sizeof(*fixture));
	struct upstream_options options = {.pool = &fixture->pool,
		.limits = &fixture->limits,
		.rng = &fixture->rng,
		.workers = 1,
		.on_unknown = on_unknown,
		.on_verdict = on_verdict};
	static const char *const addresses[] = {"0.0.0.0:7440", "127.0.0.1:7441", "127.0.0.1:9101"};

	assert_int_equal(loop_create(&fixture->loop), 0);
	block_pool_init(&fixture->pool, 4);
	rng_seed(&fixture->rng, 3);
	http_limits_default(&fixture->limits);
	options.loop = fixture->loop;
	fixture->upstream = upstream_create(&options);
	for (int i = 0; i < 3; i++) {
		fixture->listeners[i].kind = i == 0   ? LISTENER_INBOUND
					     : i == 1 ? LISTENER_OUTBOUND
						      : LISTENER_SERVICE;
		assert_true(address_parse(
			slice_from_string(addresses[i]), false, &fixture->listeners[i].address));
	}
	fixture->listeners[2].service = "orders";
	fixture->snapshot.listeners = fixture->listeners;
	fixture->snapshot.listener_count = 3;
	fixture->snapshot.service_name = "own.with.dots";
	give_set(fixture, "known.example.com", "10.0.0.7:7440");
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	upstream_destroy(fixture->upstream);
	for (int i = 0; i < 8; i++) {
		loop_turn(fixture->loop, 0);
	}
	loop_destroy(fixture->loop);
	block_pool_fini(&fixture->pool);
	test_free(fixture);
	return 0;
}

enum { OUT = 1, PORT = 2 }; /* index of the listener */

struct row {
	int listener;
	const char *authority;
	bool absolute;
	const char *wanted, *micro, *x_micro;
	const char *path; /* gRPC when set */
	const char *name; /* NULL: bad_name */
	bool external;
	uint16_t port;
	bool own;
};

static const struct row rows[] = {
	/* A, C: Host and :authority */
	{OUT, "orders", 0, 0, 0, 0, 0, "orders", false, 0, false},
	{OUT, "orders:80", 0, 0, 0, 0, 0, "orders", false, 80, false},
	{OUT, "orders.", 0, 0, 0, 0, 0, "orders", false, 0, false},
	{OUT, "orders.:8080", 0, 0, 0, 0, 0, "orders", false, 8080, false},
	{OUT, "ORDERS", 0, 0, 0, 0, 0, "orders", false, 0, false},
	{OUT, "orders.pillion", 0, 0, 0, 0, 0, "orders", false, 0, false},
	{OUT, "orders.pillion:7441", 0, 0, 0, 0, 0, "orders", false, 7441, false},
	{OUT, "Orders.Pillion.", 0, 0, 0, 0, 0, "orders", false, 0, false},
	{OUT, "a.b.pillion", 0, 0, 0, 0, 0, "a.b", false, 0, false},
	{OUT, "pillion", 0, 0, 0, 0, 0, "pillion", false, 0, false},
	{OUT, ".pillion", 0, 0, 0, 0, 0, NULL, false, 0, false},
	{OUT, "o", 0, 0, 0, 0, 0, "o", false, 0, false},
	{OUT, "a_b-c", 0, 0, 0, 0, 0, "a_b-c", false, 0, false},
	{OUT, "-a", 0, 0, 0, 0, 0, NULL, false, 0, false},
	{OUT, "a-", 0, 0, 0, 0, 0, NULL, false, 0, false},
	{OUT, "a~b", 0, 0, 0, 0, 0, NULL, false, 0, false},
	{OUT, "a..", 0, 0, 0, 0, 0, NULL, false, 0, false},
	{OUT, "orders:0", 0, 0, 0, 0, 0, NULL, false, 0, false},
	{OUT, "orders:65536", 0, 0, 0, 0, 0, NULL, false, 0, false},
	{OUT, "own.with.dots", 0, 0, 0, 0, 0, "own.with.dots", false, 0, false},
	{OUT, "known.example.com", 0, 0, 0, 0, 0, "known.example.com", false, 0, false},
	{OUT, "unknown.example.com", 0, 0, 0, 0, 0, "unknown.example.com", true, 0, false},
	{OUT, "unknown.example.com:8443", 0, 0, 0, 0, 0, "unknown.example.com", true, 8443, false},
	/* literals */
	{OUT, "10.0.0.7:7440", 0, 0, 0, 0, 0, "known.example.com", false, 7440, false},
	{OUT, "10.0.0.7:7442", 0, 0, 0, 0, 0, "10.0.0.7", true, 7442, false},
	{OUT, "10.0.0.7", 0, 0, 0, 0, 0, "10.0.0.7", true, 0, false},
	{OUT, "[2001:db8::1]:80", 0, 0, 0, 0, 0, "2001:db8::1", true, 80, false},
	{OUT, "[2001:db8::1]", 0, 0, 0, 0, 0, "2001:db8::1", true, 0, false},
	{OUT, "[2001:db8::1", 0, 0, 0, 0, 0, NULL, false, 0, false},
	{OUT, "[2001:db8::1]x", 0, 0, 0, 0, 0, NULL, false, 0, false},
	{OUT, "1.2.3.4", 0, 0, 0, 0, 0, "1.2.3.4", true, 0, false},
	{OUT, "1.2.3", 0, 0, 0, 0, 0, "1.2.3", true, 0, false},
	{OUT, "1.2.3.4.", 0, 0, 0, 0, 0, "1.2.3.4", true, 0, false},
	/* our own addresses alone name nobody */
	{OUT, "127.0.0.1:7441", 0, 0, 0, 0, 0, NULL, false, 0, true},
	{OUT, "localhost:7441", 0, 0, 0, 0, 0, NULL, false, 0, true},
	{OUT, "127.0.0.1:7440", 0, 0, 0, 0, 0, NULL, false, 0, true},
	{OUT, "localhost:7440", 0, 0, 0, 0, 0, NULL, false, 0, true},
	{OUT, "", 0, 0, 0, 0, 0, NULL, false, 0, true},
	{OUT, "localhost", 0, 0, 0, 0, 0, "localhost", false, 0, false},
	{OUT, "127.0.0.1:7999", 0, 0, 0, 0, 0, "127.0.0.1", true, 7999, false},
	/* B: absolute form */
	{OUT, "orders.pillion", true, 0, 0, 0, 0, "orders", false, 0, false},
	{OUT, "shop.example:8080", true, 0, 0, 0, 0, "shop.example", true, 8080, false},
	{OUT, "127.0.0.1:7441", true, 0, 0, 0, 0, NULL, false, 0, true},
	/* x-pillion-service comes before the authority */
	{OUT, "other", 0, "orders", 0, 0, 0, "orders", false, 0, false},
	{OUT, "other", 0, "Orders", 0, 0, 0, "orders", false, 0, false},
	{OUT, "other", 0, "a.b.c", 0, 0, 0, "a.b.c", false, 0, false},
	{OUT, "other", 0, "orders.pillion", 0, 0, 0, "orders", false, 0, false},
	{OUT, "other", 0, "or ders", 0, 0, 0, NULL, false, 0, false},
	{OUT, "127.0.0.1:7441", 0, "orders", 0, 0, 0, "orders", false, 0, true},
	/* F: go-micro */
	{OUT, "127.0.0.1:7441", 0, 0, "go.micro.srv.greeter", 0, 0, "go.micro.srv.greeter", false,
		0, true},
	{OUT, "127.0.0.1:7441", 0, 0, 0, "greeter", 0, "greeter", false, 0, true},
	{OUT, "127.0.0.1:7441", 0, 0, "first", "second", 0, "first", false, 0, true},
	{OUT, "other", 0, "orders", "micro", 0, 0, "orders", false, 0, false},
	{OUT, "other", 0, 0, "micro", 0, 0, "micro", false, 0, false},
	/* D: the gRPC path, only when the authority is ours */
	{OUT, "127.0.0.1:7441", 0, 0, 0, 0, "/greeter.Say/Hello", "greeter", false, 0, true},
	{OUT, "localhost:7441", 0, 0, 0, 0, "/go.micro.srv.greeter.Say/Hello",
		"go.micro.srv.greeter", false, 0, true},
	{OUT, "127.0.0.1:7441", 0, 0, 0, 0, "/Say/Hello", NULL, false, 0, true},
	{OUT, "127.0.0.1:7441", 0, 0, 0, 0, "/.Say/Hello", NULL, false, 0, true},
	{OUT, "127.0.0.1:7441", 0, 0, 0, 0, "/", NULL, false, 0, true},
	{OUT, "stock", 0, 0, 0, 0, "/shop.Stock/Get", "stock", false, 0, false},
	/* E: a listener of its own */
	{PORT, "anything.at.all", 0, 0, 0, 0, 0, "orders", false, 0, false},
	{PORT, "127.0.0.1:9101", 0, 0, 0, 0, 0, "orders", false, 0, true},
	{PORT, "x", 0, "other", "micro", 0, "/a.B/C", "orders", false, 0, false},
};

static void check_row(struct fixture *fixture, const struct row *row, struct arena *arena)
{
	struct route route = {.name = {NULL, 0}};
	struct head head;
	struct route_query query = {
		.snapshot = &fixture->snapshot,
		.upstream = fixture->upstream,
		.listener = &fixture->listeners[row->listener],
		.head = &head,
		.wanted = slice_from_string(row->wanted),
		.grpc = row->path != NULL,
		.arena = arena,
	};

	head_init(&head, arena, HEAD_REQUEST);
	head.authority = slice_from_string(row->authority);
	head.absolute_form = row->absolute;
	head.path = slice_from_string(row->path ? row->path : "/");
	if (row->micro != NULL) {
		head_add(&head, SLICE("micro-service"), slice_from_string(row->micro));
	}
	if (row->x_micro != NULL) {
		head_add(&head, SLICE("x-micro-service"), slice_from_string(row->x_micro));
	}
	if (row->name == NULL) {
		assert_int_equal(route_resolve(&query, &route), REASON_bad_name);
		return;
	}
	assert_int_equal(route_resolve(&query, &route), REASON_ok);
	assert_int_equal(route.name.size, strlen(row->name));
	assert_memory_equal(route.name.data, row->name, route.name.size);
	assert_int_equal(route.external, row->external);
	assert_int_equal(route.port, row->port);
	assert_int_equal(route.own_address, row->own);
}

static void names_resolve(void **state)
{
	assert_true(sizeof(rows) / sizeof(rows[0]) >= 60);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena arena;

		arena_init(&arena);
		check_row(*state, &rows[i], &arena);
		arena_fini(&arena);
	}
}

static void long_names(void **state)
{
	struct fixture *fixture = *state;
	char name[300];
	struct row row = {.listener = OUT, .authority = name, .name = name};
	struct arena arena;

	memset(name, 'a', sizeof(name));
	name[253] = '\0';
	arena_init(&arena);
	check_row(fixture, &row, &arena);
	name[253] = 'a';
	name[254] = '\0';
	row.name = NULL;
	check_row(fixture, &row, &arena);
	arena_fini(&arena);
}

static void broker_paths_need_our_own_name(void **state)
{
	static const struct {
		const char *authority;
		bool ours;
	} names[] = {{"127.0.0.1:7441", true}, {"localhost", true}, {"localhost:7441", true},
		{"pillion", true}, {"PILLION:80", true}, {"orders", false},
		{"orders.pillion", false}, {"10.0.0.7:7441", false}, {"", false}};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct arena arena;
		struct head head;
		struct route_query query = {.snapshot = &fixture->snapshot, .head = &head};

		arena_init(&arena);
		head_init(&head, &arena, HEAD_REQUEST);
		head.authority = slice_from_string(names[i].authority);
		assert_int_equal(route_is_local_api(&query), names[i].ours);
		arena_fini(&arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(names_resolve, setup, teardown),
		cmocka_unit_test_setup_teardown(long_names, setup, teardown),
		cmocka_unit_test_setup_teardown(broker_paths_need_our_own_name, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
