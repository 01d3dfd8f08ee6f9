/* Pools over real sockets: http.md 13 (C-01..C-05), H1-32, MT-03, T-13. */
#include "support.h"

#include <string.h>

#include "net/listener.h"
#include "net/transport.h"

static void test_h1_connection_is_reused(void **state)
{
	struct fixture *fixture = *state;
	struct server server = {0};
	struct service *service = service_of(fixture, "orders");

	server_start(&server, fixture);
	give_set(fixture, "orders", &server.port, 1, INSTANCE_HTTP1);
	for (int i = 0; i < 5; i++) {
		call_once(fixture, service);
	}
	assert_int_equal(server.accepted, 1);
	assert_int_equal(server.requests, 5);
	assert_int_equal(upstream_stats(fixture->upstream)->reused, 4);
	assert_int_equal(upstream_stats(fixture->upstream)->connections, 1);
	assert_int_equal(service_active(service), 0);
	server_stop(&server);
}

static void test_h1_close_is_not_reused(void **state)
{
	struct fixture *fixture = *state;
	struct server server = {.close_after = true};
	struct service *service = service_of(fixture, "orders");

	server_start(&server, fixture);
	give_set(fixture, "orders", &server.port, 1, INSTANCE_HTTP1);
	call_once(fixture, service);
	call_once(fixture, service);
	assert_int_equal(server.accepted, 2);
	TURN_UNTIL(fixture, upstream_stats(fixture->upstream)->connections == 0);
	server_stop(&server);
}

/* The server closes an idle connection: the next call must not meet its end. */
static void test_stale_keep_alive(void **state)
{
	struct fixture *fixture = *state;
	struct server server = {0};
	struct service *service = service_of(fixture, "orders");

	server_start(&server, fixture);
	give_set(fixture, "orders", &server.port, 1, INSTANCE_HTTP1);
	call_once(fixture, service);
	assert_int_equal(server.connection_count, 1);
	/* Closed behind our back: the FIN is there, our loop has not looked at it yet. */
	assert_int_equal(transport_shutdown(connection_transport(server.connections[0])), 0);
	call_once(fixture, service);
	assert_int_equal(server.accepted, 2);
	TURN_UNTIL(fixture, upstream_stats(fixture->upstream)->connections == 1);
	server_stop(&server);
}

/* H1-32: bytes that nobody asked for close the connection and are counted. */
static void test_bytes_on_idle(void **state)
{
	struct fixture *fixture = *state;
	struct server server = {0};
	struct service *service = service_of(fixture, "orders");
	struct iovec vector = {(void *)(uintptr_t) "HTTP/1.1 200 OK\r\n\r\n", 19};

	server_start(&server, fixture);
	give_set(fixture, "orders", &server.port, 1, INSTANCE_HTTP1);
	call_once(fixture, service);
	assert_int_equal(
		transport_write(connection_transport(server.connections[0]), &vector, 1), 19);
	TURN_UNTIL(fixture, upstream_stats(fixture->upstream)->connections == 0);
	assert_int_equal(upstream_stats(fixture->upstream)->unsolicited_bytes, 19);
	call_once(fixture, service);
	assert_int_equal(server.accepted, 2);
	server_stop(&server);
}

/* C-03: the connection that was used last is used next. */
static void test_idle_list_is_lifo(void **state)
{
	struct fixture *fixture = *state;
	struct server server = {.hold = true};
	struct service *service = service_of(fixture, "orders");
	struct caller callers[3];
	const struct connection *last;
	const struct codec *codec;

	server_start(&server, fixture);
	give_set(fixture, "orders", &server.port, 1, INSTANCE_HTTP1);
	for (int i = 0; i < 3; i++) {
		caller_init(&callers[i], fixture, service);
		caller_start(&callers[i]);
	}
	TURN_UNTIL(fixture, server.held_count == 3);
	server_release(&server, 3);
	TURN_UNTIL(fixture, callers[0].done && callers[1].done && callers[2].done);
	for (int i = 0; i < 2; i++) {
		caller_finish(&callers[i], CLASS_OK);
		fixture_turn(fixture, 3);
	}
	codec = callers[2].attempt.stream->codec;
	last = codec->owner;
	caller_finish(&callers[2], CLASS_OK);
	fixture_turn(fixture, 3);
	assert_int_equal(upstream_stats(fixture->upstream)->connections, 3);

	caller_init(&callers[0], fixture, service);
	assert_int_equal(caller_start(&callers[0]), ATTEMPT_READY);
	assert_ptr_equal(connection_of_stream(callers[0].attempt.stream), last);
	assert_true(callers[0].attempt.stream->reused);
	caller_finish(&callers[0], CLASS_CANCELLED);
	server_stop(&server);
}

/* T-13, C-04: idle connections go away by themselves. */
static void test_idle_connections_expire(void **state)
{
	struct fixture *fixture = *state;
	struct server server = {0};
	struct service *service = service_of(fixture, "orders");

	fixture->policy.pool_idle_ms = 30;
	server_start(&server, fixture);
	give_set(fixture, "orders", &server.port, 1, INSTANCE_HTTP1);
	call_once(fixture, service);
	assert_int_equal(upstream_stats(fixture->upstream)->connections, 1);
	TURN_UNTIL(fixture, upstream_stats(fixture->upstream)->connections == 0);
	TURN_UNTIL(fixture, server.open == 0);
	server_stop(&server);
}

/* T-13: `Keep-Alive: timeout=N` of the server bounds the idle time. */
static void test_keep_alive_field(void **state)
{
	static const char answer[] =
		"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok";
	struct fixture *fixture = *state;
	struct server server = {.raw = true};
	struct service *service = service_of(fixture, "orders");
	struct caller caller;
	struct iovec vector = {(void *)(uintptr_t)answer, sizeof(answer) - 1};

	server_start(&server, fixture);
	give_set(fixture, "orders", &server.port, 1, INSTANCE_HTTP1);
	caller_init(&caller, fixture, service);
	caller_start(&caller);
	TURN_UNTIL(fixture, caller.ready_calls == 1 && server.raw_count == 1);
	fixture_turn(fixture, 3);
	assert_int_equal(transport_write(server.raw_transports[0], &vector, 1), sizeof(answer) - 1);
	TURN_UNTIL(fixture, caller.done);
	caller_finish(&caller, CLASS_OK);
	TURN_UNTIL(fixture, upstream_stats(fixture->upstream)->connections == 0);
	server_stop(&server);
}

/* MT-03: what must not run twice takes no connection that idled for long. */
static void test_non_idempotent_takes_young_ones(void **state)
{
	struct fixture *fixture = *state;
	struct server server = {0};
	struct service *service = service_of(fixture, "orders");
	struct caller caller;

	server_start(&server, fixture);
	give_set(fixture, "orders", &server.port, 1, INSTANCE_HTTP1);
	call_once(fixture, service);
	caller_init(&caller, fixture, service);
	caller.attempt.non_idempotent = true;
	assert_int_equal(caller_start(&caller), ATTEMPT_READY); /* young enough */
	TURN_UNTIL(fixture, caller.done);
	caller_finish(&caller, CLASS_OK);
	fixture_sleep(fixture, 520);
	caller_init(&caller, fixture, service);
	caller.attempt.non_idempotent = true;
	assert_int_equal(caller_start(&caller), ATTEMPT_WAIT);
	TURN_UNTIL(fixture, caller.done);
	assert_int_equal(server.accepted, 2);
	caller_finish(&caller, CLASS_OK);
	server_stop(&server);
}

static void test_idle_list_is_bounded(void **state)
{
	struct fixture *fixture = *state;
	struct server server = {.hold = true};
	struct service *service;
	struct caller callers[4];

	fixture->policy.h1_idle = 2;
	service = service_of(fixture, "orders");
	server_start(&server, fixture);
	give_set(fixture, "orders", &server.port, 1, INSTANCE_HTTP1);
	for (int i = 0; i < 4; i++) {
		caller_init(&callers[i], fixture, service);
		caller_start(&callers[i]);
	}
	TURN_UNTIL(fixture, server.held_count == 4);
	server_release(&server, 4);
	for (int i = 0; i < 4; i++) {
		TURN_UNTIL(fixture, callers[i].done);
		caller_finish(&callers[i], CLASS_OK);
	}
	fixture_turn(fixture, 5);
	/* A burst keeps what it opened for a moment; then the longest idle ones go. */
	assert_int_equal(upstream_stats(fixture->upstream)->connections, 4);
	TURN_UNTIL(fixture, upstream_stats(fixture->upstream)->connections <= 2);
	assert_int_equal(upstream_stats(fixture->upstream)->connections, 2);
	server_stop(&server);
}

/* C-05: one connection until it has no spare stream, then another; never more than allowed. */
static void test_h2_stream_limits(void **state)
{
	struct fixture *fixture = *state;
	struct server server = {.hold = true};
	struct service *service;
	struct caller callers[8];

	fixture->limits.h2_streams = 3;
	fixture->policy.h2_connections = 2;
	service = service_of(fixture, "orders");
	server_start(&server, fixture);
	give_set(fixture, "orders", &server.port, 1, INSTANCE_SIDECAR);
	for (int i = 0; i < 8; i++) {
		caller_init(&callers[i], fixture, service);
		assert_int_equal(caller_start(&callers[i]), ATTEMPT_WAIT);
	}
	TURN_UNTIL(fixture, server.held_count == 6);
	fixture_sleep(fixture, 30);
	assert_int_equal(server.held_count, 6); /* 2 connections x 3 streams; two wait */
	assert_int_equal(server.accepted, 2);
	assert_int_equal(service_queued(service), 2);
	server.hold = false;
	server_release(&server, 6);
	for (int i = 0; i < 8; i++) {
		TURN_UNTIL(fixture, callers[i].done);
		assert_int_equal(callers[i].status, 200);
		caller_finish(&callers[i], CLASS_OK);
		fixture_turn(fixture, 3);
	}
	assert_int_equal(server.accepted, 2);
	assert_int_equal(service_queued(service), 0);
	assert_int_equal(service_active(service), 0);
	server_stop(&server);
}

/* H2-36, C-05: a connection that goes away takes the place of none, however long its streams last.
 */
static void test_h2_connections_that_go_away(void **state)
{
	struct fixture *fixture = *state;
	struct server server = {.hold = true};
	struct service *service;
	struct caller callers[3];

	fixture->policy.h2_connections = 2;
	service = service_of(fixture, "orders");
	server_start(&server, fixture);
	give_set(fixture, "orders", &server.port, 1, INSTANCE_H2C);
	for (unsigned i = 0; i < 3; i++) {
		caller_init(&callers[i], fixture, service);
		assert_int_equal(caller_start(&callers[i]), ATTEMPT_WAIT);
		TURN_UNTIL(fixture, server.held_count == i + 1);
		connection_drain(server.connections[i]);
		TURN_UNTIL(fixture, callers[i].attempt.stream->codec->draining);
	}
	assert_int_equal(server.accepted, 3);
	server_release(&server, 3);
	for (int i = 0; i < 3; i++) {
		TURN_UNTIL(fixture, callers[i].done);
		assert_int_equal(callers[i].status, 200);
		caller_finish(&callers[i], CLASS_OK);
	}
	TURN_UNTIL(fixture, upstream_stats(fixture->upstream)->connections == 0);
	server_stop(&server);
}

/* connections_max: waiters are served by connections that come back, in their order. */
static void test_connection_limit_and_order(void **state)
{
	struct fixture *fixture = *state;
	struct server server = {.hold = true};
	struct service *service;
	struct caller callers[4];

	fixture->policy.connections_max = 1;
	service = service_of(fixture, "orders");
	server_start(&server, fixture);
	give_set(fixture, "orders", &server.port, 1, INSTANCE_HTTP1);
	for (int i = 0; i < 4; i++) {
		caller_init(&callers[i], fixture, service);
		assert_int_equal(caller_start(&callers[i]), ATTEMPT_WAIT);
	}
	for (int i = 0; i < 4; i++) {
		TURN_UNTIL(fixture, server.held_count == 1);
		assert_int_equal(callers[i].ready_calls, 1);
		server_release(&server, 1);
		TURN_UNTIL(fixture, callers[i].done);
		caller_finish(&callers[i], CLASS_OK);
	}
	assert_true(callers[0].order < callers[1].order && callers[1].order < callers[2].order &&
		    callers[2].order < callers[3].order);
	assert_int_equal(server.accepted, 1);
	server_stop(&server);
}

/* A waiter whose owner gave up leaves without a trace; its connect may serve another one (C-04). */
static void test_cancelled_waiter(void **state)
{
	struct fixture *fixture = *state;
	struct server server = {0};
	struct service *service = service_of(fixture, "orders");
	struct caller caller;

	server_start(&server, fixture);
	give_set(fixture, "orders", &server.port, 1, INSTANCE_HTTP1);
	caller_init(&caller, fixture, service);
	assert_int_equal(caller_start(&caller), ATTEMPT_WAIT);
	caller_finish(&caller, CLASS_CANCELLED);
	assert_int_equal(service_active(service), 0);
	assert_int_equal(service_queued(service), 0);
	TURN_UNTIL(fixture, server.accepted == 1);
	fixture_turn(fixture, 5);
	assert_int_equal(caller.ready_calls, 0);
	call_once(fixture, service);
	assert_int_equal(server.accepted, 1);
	server_stop(&server);
}

/* A peer that answers the preface as HTTP/1 is no sidecar. */
static void test_peer_that_is_no_sidecar(void **state)
{
	struct fixture *fixture = *state;
	struct server server = {.raw = true};
	struct service *service = service_of(fixture, "orders");
	struct caller caller;
	struct iovec vector = {(void *)(uintptr_t) "HTTP/1.1 400 Bad Request\r\n\r\n", 28};

	server_start(&server, fixture);
	give_set(fixture, "orders", &server.port, 1, INSTANCE_SIDECAR);
	caller_init(&caller, fixture, service);
	assert_int_equal(caller_start(&caller), ATTEMPT_WAIT);
	TURN_UNTIL(fixture, server.raw_count == 1);
	assert_int_equal(transport_write(server.raw_transports[0], &vector, 1), 28);
	TURN_UNTIL(fixture, caller.ready_calls == 1);
	assert_null(caller.attempt.stream);
	assert_int_equal(caller.attempt.failure, REASON_peer_not_pillion);
	assert_int_equal(attempt_progress(&caller.attempt, true), CLASS_F0);
	caller_finish(&caller, CLASS_F0);
	server_stop(&server);
}

/* A connection that opens and never says SETTINGS is not usable: T-04. */
static void test_silent_peer(void **state)
{
	struct fixture *fixture = *state;
	struct server server = {.raw = true};
	struct service *service;
	struct caller caller;

	fixture->policy.connect_timeout_ms = 50;
	service = service_of(fixture, "orders");
	server_start(&server, fixture);
	give_set(fixture, "orders", &server.port, 1, INSTANCE_SIDECAR);
	caller_init(&caller, fixture, service);
	assert_int_equal(caller_start(&caller), ATTEMPT_WAIT);
	TURN_UNTIL(fixture, caller.ready_calls == 1);
	assert_int_equal(caller.attempt.failure, REASON_connect_timeout);
	caller_finish(&caller, CLASS_F0);
	server_stop(&server);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		ROW(test_h1_connection_is_reused),
		ROW(test_h1_close_is_not_reused),
		ROW(test_stale_keep_alive),
		ROW(test_bytes_on_idle),
		ROW(test_idle_list_is_lifo),
		ROW(test_idle_connections_expire),
		ROW(test_keep_alive_field),
		ROW(test_non_idempotent_takes_young_ones),
		ROW(test_idle_list_is_bounded),
		ROW(test_h2_stream_limits),
		ROW(test_h2_connections_that_go_away),
		ROW(test_connection_limit_and_order),
		ROW(test_cancelled_waiter),
		ROW(test_peer_that_is_no_sidecar),
		ROW(test_silent_peer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
