/* Attempts over real sockets: MS-01..05, MC-01, MC-03, MA-04, MT-01, MR-10. */
#include "support.h"

#include <string.h>

#include "net/listener.h"
#include "net/resolver.h"
#include "net/transport.h"
#include "upstream/service_state.h"

static bool ended(const struct caller *caller)
{
	return caller->done || caller->reset || caller->attempt.failure != REASON_ok;
}

/* Repeats on other instances while nothing was sent, as the exchange does (F0 is free). */
static unsigned call_with_retries(struct fixture *fixture, struct caller *caller)
{
	unsigned attempts = 0;

	do {
		attempts++;
		caller_start(caller);
		TURN_UNTIL(fixture, ended(caller));
		if (caller->done) {
			caller_finish(caller, CLASS_OK);
			return attempts;
		}
		assert_int_equal(attempt_progress(&caller->attempt, true), CLASS_F0);
		caller_finish(caller, CLASS_F0);
	} while (selection_left(&caller->selection));
	return attempts;
}

/* With one of three dead no call fails, and nobody is asked twice. */
static void test_refused_goes_elsewhere(void **state)
{
	struct fixture *fixture = *state;
	struct server servers[2] = {0};
	struct service *service = service_of(fixture, "orders");
	uint16_t ports[3];
	unsigned refused = 0;

	server_start(&servers[0], fixture);
	server_start(&servers[1], fixture);
	ports[0] = servers[0].port;
	ports[1] = closed_port();
	ports[2] = servers[1].port;
	give_set(fixture, "orders", ports, 3, INSTANCE_HTTP1);
	for (int i = 0; i < 50; i++) {
		struct caller caller;

		caller_init(&caller, fixture, service);
		refused += call_with_retries(fixture, &caller) - 1;
		assert_true(caller.done);
		for (unsigned a = 0; a < caller.selection.tried_count; a++) {
			for (unsigned b = 0; b < a; b++) {
				assert_memory_not_equal(
					caller.selection.tried[a], caller.selection.tried[b], 16);
			}
		}
	}
	assert_in_range(refused, 1, 2); /* once seen, it stands in tier 4 */
	assert_int_equal(fixture->verdicts, 1);
	assert_int_equal(fixture->last_verdict, TIER_UNREACHABLE);
	assert_int_equal(fixture->last_verdict_id[1], 2);
	assert_int_equal(service_tier(service, fixture->last_verdict_id), TIER_UNREACHABLE);
	assert_int_equal(service_active(service), 0);
	server_stop(&servers[0]);
	server_stop(&servers[1]);
}

static void test_all_refused(void **state)
{
	struct fixture *fixture = *state;
	struct service *service = service_of(fixture, "orders");
	uint16_t ports[3] = {closed_port(), closed_port(), closed_port()};
	struct caller caller;

	give_set(fixture, "orders", ports, 3, INSTANCE_SIDECAR);
	caller_init(&caller, fixture, service);
	assert_int_equal(selection_candidates(&caller.selection), 3);
	assert_int_equal(call_with_retries(fixture, &caller), 3);
	assert_false(caller.done);
	assert_int_equal(caller.attempt.failure, REASON_connect_refused);
	assert_int_equal(caller.selection.tried_count, 3);
	/* No fourth: MS-01 outranks everything. */
	assert_int_equal(caller_start(&caller), ATTEMPT_FAILED);
	assert_int_equal(caller.attempt.failure, REASON_all_unreachable);
	caller_finish(&caller, CLASS_F0);
}

/* MS-05, MC-03: a request waits while nobody can be reached; a good probe wakes it. */
static void test_probe_wakes_waiters(void **state)
{
	struct fixture *fixture = *state;
	struct server server = {0};
	struct service *service = service_of(fixture, "orders");
	struct caller first, second;
	uint16_t port = closed_port();
	uint64_t dials;

	give_set(fixture, "orders", &port, 1, INSTANCE_HTTP1);
	caller_init(&first, fixture, service);
	call_with_retries(fixture, &first);
	assert_int_equal(first.attempt.failure, REASON_connect_refused);
	caller_init(&second, fixture, service);
	assert_int_equal(caller_start(&second), ATTEMPT_WAIT);
	dials = upstream_stats(fixture->upstream)->dials;
	server.port = port;
	server_start(&server, fixture);
	TURN_UNTIL(fixture, second.done);
	assert_int_equal(upstream_stats(fixture->upstream)->dials, dials + 1);
	assert_int_equal(fixture->last_verdict, TIER_UP);
	caller_finish(&second, CLASS_OK);
	server_stop(&server);
}

static void test_probes_back_off(void **state)
{
	struct fixture *fixture = *state;
	struct service *service = service_of(fixture, "orders");
	struct caller caller;
	uint16_t port = closed_port();
	uint64_t start_ms;

	give_set(fixture, "orders", &port, 1, INSTANCE_HTTP1);
	caller_init(&caller, fixture, service);
	call_with_retries(fixture, &caller);
	start_ms = loop_now_ms(fixture->loop);
	TURN_UNTIL(fixture, upstream_stats(fixture->upstream)->dial_failures == 4);
	/* One by the request, then probes after 100, 200 and 400 ms, each 20 % early at most. */
	assert_true(loop_now_ms(fixture->loop) - start_ms >= 560 - 20);
}

/* MA-04: an unknown name is asked for once, waits a little, then fails; the set wakes it. */
static void test_unknown_service(void **state)
{
	struct fixture *fixture = *state;
	struct server server = {0};
	struct service *service = service_of(fixture, "orders");
	struct caller caller;
	struct instance_set *absent;

	server_start(&server, fixture);
	assert_int_equal(fixture->unknown, 1);
	assert_ptr_equal(service_of(fixture, "orders"), service);
	assert_int_equal(fixture->unknown, 1);
	assert_false(upstream_knows(fixture->upstream, SLICE("orders")));

	caller_init(&caller, fixture, service);
	assert_int_equal(caller_start(&caller), ATTEMPT_WAIT);
	assert_int_equal(service_queued(service), 1);
	give_set(fixture, "orders", &server.port, 1, INSTANCE_HTTP1);
	TURN_UNTIL(fixture, caller.done);
	caller_finish(&caller, CLASS_OK);
	assert_true(upstream_knows(fixture->upstream, SLICE("orders")));

	absent = instance_set_create("orders", 0);
	absent->known = true;
	absent->absent = true;
	upstream_update(fixture->upstream, absent);
	instance_set_unref(absent);
	caller_init(&caller, fixture, service);
	assert_int_equal(caller_start(&caller), ATTEMPT_FAILED);
	assert_int_equal(caller.attempt.failure, REASON_service_unknown);
	caller_finish(&caller, CLASS_F0);

	service = service_of(fixture, "silent");
	caller_init(&caller, fixture, service);
	assert_int_equal(caller_start(&caller), ATTEMPT_WAIT);
	TURN_UNTIL(fixture, caller.ready_calls == 1);
	assert_int_equal(caller.attempt.failure, REASON_service_unknown);
	caller_finish(&caller, CLASS_F0);
	/* The answer is still owed: later calls do not wait again. */
	caller_init(&caller, fixture, service);
	assert_int_equal(caller_start(&caller), ATTEMPT_FAILED);
	caller_finish(&caller, CLASS_F0);
	server_stop(&server);
}

static void test_no_instance(void **state)
{
	struct fixture *fixture = *state;
	struct service *service;
	struct caller caller;
	uint16_t port = closed_port();

	fixture->policy.queue_timeout_ms = 30;
	service = service_of(fixture, "orders");
	give_set(fixture, "orders", &port, 0, INSTANCE_HTTP1);
	caller_init(&caller, fixture, service);
	assert_int_equal(caller_start(&caller), ATTEMPT_WAIT);
	TURN_UNTIL(fixture, caller.ready_calls == 1);
	assert_int_equal(caller.attempt.failure, REASON_no_instance);
	caller_finish(&caller, CLASS_F0);
}

/* MC-03: after three seconds without anybody requests do not wait any more. */
static void test_none_for_long(void **state)
{
	struct fixture *fixture = *state;
	struct service *service = service_of(fixture, "orders");
	struct caller caller;
	uint16_t port = closed_port();

	give_set(fixture, "orders", &port, 1, INSTANCE_HTTP1);
	caller_init(&caller, fixture, service);
	call_with_retries(fixture, &caller);
	assert_int_not_equal(service->none_since_ms, 0);
	caller_init(&caller, fixture, service);
	assert_int_equal(caller_start(&caller), ATTEMPT_WAIT);
	caller_finish(&caller, CLASS_CANCELLED);
	service->none_since_ms -= SERVICE_NONE_MS;
	caller_init(&caller, fixture, service);
	assert_int_equal(caller_start(&caller), ATTEMPT_FAILED);
	assert_int_equal(caller.attempt.failure, REASON_all_unreachable);
	caller_finish(&caller, CLASS_F0);
}

/* MC-01 and the queue: order, expiry, cancel, full, shed. */
static void test_active_limit(void **state)
{
	struct fixture *fixture = *state;
	struct server server = {.hold = true};
	struct service *service;
	struct caller callers[5];

	fixture->policy.active_max = 1;
	fixture->policy.queued_max = 3;
	fixture->policy.queue_timeout_ms = 4000;
	service = service_of(fixture, "orders");
	server_start(&server, fixture);
	give_set(fixture, "orders", &server.port, 1, INSTANCE_HTTP1);
	for (int i = 0; i < 4; i++) {
		caller_init(&callers[i], fixture, service);
		assert_int_equal(caller_start(&callers[i]), ATTEMPT_WAIT);
		TURN_UNTIL(fixture, server.held_count == 1);
	}
	caller_init(&callers[4], fixture, service);
	assert_int_equal(caller_start(&callers[4]), ATTEMPT_FAILED);
	assert_int_equal(callers[4].attempt.failure, REASON_queue_full);
	caller_finish(&callers[4], CLASS_F0);
	caller_init(&callers[4], fixture, service);
	callers[4].attempt.later_attempt = true;
	assert_int_equal(caller_start(&callers[4]), ATTEMPT_FAILED);
	assert_int_equal(callers[4].attempt.failure, REASON_retry_shed);
	caller_finish(&callers[4], CLASS_F0);

	caller_finish(&callers[2], CLASS_CANCELLED);
	server.hold = false;
	server_release(&server, 1);
	TURN_UNTIL(fixture, callers[0].done);
	caller_finish(&callers[0], CLASS_OK);
	TURN_UNTIL(fixture, callers[1].done);
	assert_int_equal(callers[3].ready_calls, 0);
	/* The slot is not given back: the next one waits in vain. */
	TURN_UNTIL(fixture, callers[3].ready_calls == 1);
	assert_int_equal(callers[3].attempt.failure, REASON_queue_timeout);
	caller_finish(&callers[3], CLASS_F0);
	caller_finish(&callers[1], CLASS_OK);
	assert_int_equal(callers[2].ready_calls, 0);
	assert_int_equal(service_active(service) + service_queued(service), 0);
	server_stop(&server);
}

static void test_deadline_in_queue(void **state)
{
	struct fixture *fixture = *state;
	struct server server = {.raw = true};
	struct service *service = service_of(fixture, "orders");
	struct caller caller;

	server_start(&server, fixture);
	give_set(fixture, "orders", &server.port, 1, INSTANCE_SIDECAR);
	caller_init(&caller, fixture, service);
	caller.attempt.deadline_ms = loop_now_ms(fixture->loop) + 20;
	assert_int_equal(caller_start(&caller), ATTEMPT_WAIT);
	TURN_UNTIL(fixture, caller.ready_calls == 1);
	assert_int_equal(caller.attempt.failure, REASON_deadline_exceeded);
	caller_finish(&caller, CLASS_F0);
	caller_init(&caller, fixture, service);
	caller.attempt.deadline_ms = loop_now_ms(fixture->loop);
	assert_int_equal(caller_start(&caller), ATTEMPT_FAILED);
	assert_int_equal(caller.attempt.failure, REASON_deadline_exceeded);
	caller_finish(&caller, CLASS_F0);
	server_stop(&server);
}

/* The instance that was chosen leaves the set while the attempt waits for its connection. */
static void test_update_while_waiting(void **state)
{
	struct fixture *fixture = *state;
	struct server silent = {.raw = true};
	struct server server = {0};
	struct service *service = service_of(fixture, "orders");
	struct instance_set *set;
	struct caller caller;

	server_start(&silent, fixture);
	server_start(&server, fixture);
	give_set(fixture, "orders", &silent.port, 1, INSTANCE_SIDECAR);
	caller_init(&caller, fixture, service);
	assert_int_equal(caller_start(&caller), ATTEMPT_WAIT);
	TURN_UNTIL(fixture, silent.accepted == 1);
	set = make_set("orders", &server.port, 1, INSTANCE_SIDECAR);
	set->instances[0].id[5] = 1; /* somebody else */
	upstream_update(fixture->upstream, set);
	TURN_UNTIL(fixture, caller.done);
	assert_memory_equal(caller.chosen, set->instances[0].id, 16);
	instance_set_unref(set);
	caller_finish(&caller, CLASS_OK);
	assert_int_equal(upstream_stats(fixture->upstream)->connections, 1);
	server_stop(&silent);
	server_stop(&server);
}

/* An instance that leaves the set finishes what it was given; then its connection goes. */
static void test_removed_while_active(void **state)
{
	struct fixture *fixture = *state;
	struct server server = {.hold = true};
	struct service *service = service_of(fixture, "orders");
	struct caller caller;

	server_start(&server, fixture);
	give_set(fixture, "orders", &server.port, 1, INSTANCE_HTTP1);
	caller_init(&caller, fixture, service);
	caller_start(&caller);
	TURN_UNTIL(fixture, server.held_count == 1);
	give_set(fixture, "orders", &server.port, 0, INSTANCE_HTTP1);
	fixture_turn(fixture, 5);
	assert_non_null(caller.attempt.instance);
	assert_int_equal(caller.attempt.instance->port, server.port);
	server_release(&server, 1);
	TURN_UNTIL(fixture, caller.done);
	caller_finish(&caller, CLASS_OK);
	TURN_UNTIL(fixture, server.open == 0);
	assert_int_equal(upstream_stats(fixture->upstream)->connections, 0);
	server_stop(&server);
}

/* Learnt state and pools survive a swap of the set (ML-40). */
static void test_pool_survives_update(void **state)
{
	struct fixture *fixture = *state;
	struct server server = {0};
	struct service *service = service_of(fixture, "orders");

	server_start(&server, fixture);
	for (int i = 0; i < 3; i++) {
		give_set(fixture, "orders", &server.port, 1, INSTANCE_SIDECAR);
		call_once(fixture, service);
	}
	assert_int_equal(server.accepted, 1);
	server_stop(&server);
}

/* MS-03: draining and suspect instances come after the healthy ones; a good answer clears a doubt.
 */
static void test_tiers(void **state)
{
	struct fixture *fixture = *state;
	struct server servers[3] = {0};
	struct service *service = service_of(fixture, "orders");
	uint16_t ports[3];
	uint32_t counts[TIER_COUNT];
	struct instance_set *set;
	struct caller caller;

	for (int i = 0; i < 3; i++) {
		server_start(&servers[i], fixture);
		ports[i] = servers[i].port;
	}
	set = make_set("orders", ports, 3, INSTANCE_HTTP1);
	set->instances[0].health = INSTANCE_DRAINING;
	set->instances[1].health = INSTANCE_FAILING;
	upstream_update(fixture->upstream, set);
	instance_set_unref(set);
	for (int i = 0; i < 20; i++) {
		call_once(fixture, service);
	}
	assert_int_equal(servers[2].requests, 20);
	service_tier_counts(service, counts);
	assert_int_equal(counts[TIER_UP], 1);
	assert_int_equal(counts[TIER_DRAINING], 1);
	assert_int_equal(counts[TIER_FAILING], 1);

	caller_init(&caller, fixture, service);
	caller_start(&caller);
	TURN_UNTIL(fixture, caller.done);
	attempt_set_tier(&caller.attempt, TIER_DRAINING); /* its answer said so */
	caller_finish(&caller, CLASS_F1);
	assert_int_equal(fixture->last_verdict, TIER_DRAINING);
	service_tier_counts(service, counts);
	assert_int_equal(counts[TIER_DRAINING], 2);

	set = make_set("orders", ports, 3, INSTANCE_HTTP1);
	set->known = false; /* from disk */
	set->instances[2].health = INSTANCE_FAILING;
	upstream_update(fixture->upstream, set);
	instance_set_unref(set);
	service_tier_counts(service, counts);
	assert_int_equal(counts[TIER_SUSPECT], 2);
	for (int i = 0; i < 30; i++) {
		call_once(fixture, service);
	}
	service_tier_counts(service, counts);
	/* Half of the weight is trusted again, so that the panic rule ends (MS-04). */
	assert_int_equal(counts[TIER_SUSPECT], 1);
	assert_int_equal(counts[TIER_UP], 1);
	for (int i = 0; i < 3; i++) {
		server_stop(&servers[i]);
	}
}

static void test_verdict_of_another_worker(void **state)
{
	struct fixture *fixture = *state;
	struct server servers[2] = {0};
	struct service *service = service_of(fixture, "orders");
	uint16_t ports[2];
	uint8_t id[16] = {0xaa, 1};

	server_start(&servers[0], fixture);
	server_start(&servers[1], fixture);
	ports[0] = servers[0].port;
	ports[1] = servers[1].port;
	give_set(fixture, "orders", ports, 2, INSTANCE_HTTP1);
	upstream_apply_verdict(fixture->upstream, "orders", id, TIER_UNREACHABLE);
	upstream_apply_verdict(fixture->upstream, "nobody", id, TIER_UNREACHABLE);
	assert_int_equal(service_tier(service, id), TIER_UNREACHABLE);
	assert_int_equal(fixture->verdicts, 0);
	for (int i = 0; i < 10; i++) {
		call_once(fixture, service);
	}
	assert_int_equal(servers[0].requests, 0);
	upstream_apply_verdict(fixture->upstream, "orders", id, TIER_UP);
	assert_int_equal(service_tier(service, id), TIER_UP);
	server_stop(&servers[0]);
	server_stop(&servers[1]);
}

/* MT-01: the counters say how far a request got. */
static void test_progress(void **state)
{
	struct fixture *fixture = *state;
	struct server server = {.hold = true};
	struct service *service = service_of(fixture, "orders");
	struct caller caller;

	server_start(&server, fixture);
	give_set(fixture, "orders", &server.port, 1, INSTANCE_HTTP1);
	caller_init(&caller, fixture, service);
	caller.hold = true;
	assert_int_equal(caller_start(&caller), ATTEMPT_WAIT);
	assert_int_equal(attempt_progress(&caller.attempt, false), CLASS_F0);
	TURN_UNTIL(fixture, caller.ready_calls == 1);
	assert_int_equal(attempt_progress(&caller.attempt, false), CLASS_F1);
	caller_finish(&caller, CLASS_CANCELLED);

	caller_init(&caller, fixture, service);
	caller_start(&caller);
	TURN_UNTIL(fixture, server.held_count == 1);
	assert_int_equal(attempt_progress(&caller.attempt, false), CLASS_F2);
	assert_int_equal(attempt_progress(&caller.attempt, true), CLASS_F3);
	/* The server dies with the request in its hands. */
	connection_close(server.connections[0], REASON_shutdown, true);
	server.held_count = 0;
	TURN_UNTIL(fixture, caller.reset);
	assert_int_equal(caller.why, REASON_upstream_reset);
	assert_int_equal(attempt_progress(&caller.attempt, true), CLASS_F3);
	caller_finish(&caller, CLASS_F3);
	assert_int_equal(service_tier(service, caller.chosen), TIER_UP);
	server_stop(&server);
}

/* The own application: one address, no tiers; F0 once more on a fresh connection. */
static void test_fixed_target(void **state)
{
	struct fixture *fixture = *state;
	struct server server = {0};
	struct fixed_target target = {.name = "app", .protocol = INSTANCE_HTTP1};
	struct service *service;
	struct caller caller;
	uint16_t port = closed_port();

	assert_true(address_parse(SLICE("127.0.0.1:1"), false, &target.address));
	address_set_port(&target.address, port);
	service = upstream_fixed(fixture->upstream, &target);
	assert_ptr_equal(upstream_fixed(fixture->upstream, &target), service);
	assert_true(service_is_fixed(service));
	caller_init(&caller, fixture, service);
	assert_int_equal(caller_start(&caller), ATTEMPT_WAIT);
	TURN_UNTIL(fixture, caller.ready_calls == 1);
	assert_int_equal(caller.attempt.failure, REASON_connect_refused);
	assert_int_equal(fixture->verdicts, 0);
	server.port = port;
	server_start(&server, fixture);
	assert_int_equal(attempt_restart_fresh(&caller.attempt), ATTEMPT_WAIT);
	TURN_UNTIL(fixture, caller.done);
	caller_finish(&caller, CLASS_OK);
	fixture_turn(fixture, 3);

	/* A fresh one takes no connection that was used before. */
	caller_init(&caller, fixture, service);
	assert_int_equal(caller_start(&caller), ATTEMPT_READY);
	TURN_UNTIL(fixture, caller.done);
	caller.done = false;
	assert_int_equal(attempt_restart_fresh(&caller.attempt), ATTEMPT_WAIT);
	TURN_UNTIL(fixture, caller.done);
	assert_int_equal(server.accepted, 2);
	caller_finish(&caller, CLASS_OK);
	server_stop(&server);
}

static void test_name_that_does_not_resolve(void **state)
{
	struct fixture *fixture = *state;
	struct fixed_target target = {
		.name = "x.invalid", .host = "x.invalid", .port = 80, .protocol = INSTANCE_HTTP1};
	struct caller caller;

	caller_init(&caller, fixture, upstream_fixed(fixture->upstream, &target));
	assert_int_equal(caller_start(&caller), ATTEMPT_WAIT);
	TURN_UNTIL(fixture, caller.ready_calls == 1);
	assert_int_equal(caller.attempt.failure, REASON_dns_failed); /* no resolver here */
	caller_finish(&caller, CLASS_F0);
}

/* A name with several addresses: the next one is tried when one refuses ("localhost" is ::1 too).
 */
static void test_name_that_resolves(void **state)
{
	struct fixture *fixture = *state;
	struct server server = {0};
	struct fixed_target target = {
		.name = "localhost", .host = "localhost", .protocol = INSTANCE_HTTP1};
	struct resolver *resolver;

	assert_int_equal(resolver_create(&resolver), 0);
	fixture->upstream->options.resolver = resolver;
	server_start(&server, fixture);
	target.port = server.port;
	call_once(fixture, upstream_fixed(fixture->upstream, &target));
	assert_int_equal(server.requests, 1);
	server_stop(&server);
	resolver_destroy(resolver);
}

/* MS-03, H2-36: a sidecar that says GOAWAY under our feet is left for the others. */
static void test_goaway_of_a_sidecar(void **state)
{
	struct fixture *fixture = *state;
	struct server server = {.hold = true};
	struct service *service = service_of(fixture, "orders");
	struct caller caller;

	server_start(&server, fixture);
	give_set(fixture, "orders", &server.port, 1, INSTANCE_SIDECAR);
	caller_init(&caller, fixture, service);
	caller_start(&caller);
	TURN_UNTIL(fixture, server.held_count == 1);
	connection_drain(server.connections[0]);
	TURN_UNTIL(fixture, fixture->verdicts == 1);
	assert_int_equal(fixture->last_verdict, TIER_DRAINING);
	server_release(&server, 1);
	TURN_UNTIL(fixture, caller.done);
	caller_finish(&caller, CLASS_OK);
	TURN_UNTIL(fixture, upstream_stats(fixture->upstream)->connections == 0);
	server.hold = false;
	call_once(fixture, service); /* nobody else is there, so it is used still */
	assert_int_equal(server.accepted, 2);
	server_stop(&server);
}

static void test_round_robin(void **state)
{
	struct fixture *fixture = *state;
	struct server servers[2] = {0};
	struct service *service;
	uint16_t ports[2];

	fixture->policy.selector = SELECTOR_ROUND_ROBIN;
	service = service_of(fixture, "orders");
	for (int i = 0; i < 2; i++) {
		server_start(&servers[i], fixture);
		ports[i] = servers[i].port;
	}
	give_set(fixture, "orders", ports, 2, INSTANCE_HTTP1);
	for (int i = 0; i < 20; i++) {
		call_once(fixture, service);
	}
	assert_int_equal(servers[0].requests, 10);
	assert_int_equal(servers[1].requests, 10);
	server_stop(&servers[0]);
	server_stop(&servers[1]);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		ROW(test_refused_goes_elsewhere),
		ROW(test_all_refused),
		ROW(test_probe_wakes_waiters),
		ROW(test_probes_back_off),
		ROW(test_unknown_service),
		ROW(test_no_instance),
		ROW(test_none_for_long),
		ROW(test_active_limit),
		ROW(test_deadline_in_queue),
		ROW(test_update_while_waiting),
		ROW(test_removed_while_active),
		ROW(test_pool_survives_update),
		ROW(test_tiers),
		ROW(test_verdict_of_another_worker),
		ROW(test_progress),
		ROW(test_fixed_target),
		ROW(test_name_that_does_not_resolve),
		ROW(test_name_that_resolves),
		ROW(test_goaway_of_a_sidecar),
		ROW(test_round_robin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
