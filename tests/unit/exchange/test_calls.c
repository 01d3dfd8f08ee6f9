/* Whole calls through the data path: versions, bodies, retries, refusals. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exchange/exchange_steps.h"
#include "net/transport.h"
#include "rig.h"

static int setup(void **state)
{
	struct rig *rig = test_malloc(sizeof(*rig));

	rig_init(rig);
	rig_start(rig);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	rig_fini(*state);
	test_free(*state);
	return 0;
}

static const enum instance_protocol protocols[] = {INSTANCE_HTTP1, INSTANCE_H2C, INSTANCE_SIDECAR};

static void check_record(struct rig *rig, uint16_t status, enum reason reason, bool inbound)
{
	struct access_record record;

	rig_record(rig, &record);
	assert_int_equal(record.status, status);
	assert_string_equal(reason_word((enum reason)record.reason), reason_word(reason));
	assert_int_equal(record.inbound, inbound);
}

static void all_version_pairs(void **state)
{
	struct rig *rig = *state;

	for (int down = 0; down < 2; down++) {
		for (unsigned up = 0; up < 3; up++) {
			struct rig_request request = {.path = "/fields?q=1"};
			char service[16];
			struct rig_call *call;

			snprintf(service, sizeof(service), "s%d%u", down, up);
			rig_service(rig, service, 2, protocols[up]);
			request.authority = service;
			call = rig_once(rig, "outbound", down == 1, &request);
			assert_false(call->reset);
			assert_int_equal(call->head->status, 200);
			assert_string_equal(rig_field(call, "via"),
				up == 0 ? "1.1 pillion-o-3f2a91c0" : "2 pillion-o-3f2a91c0");
			assert_null(rig_field(call, "x-pillion-forged"));
			assert_string_equal(rig_field(call, "x-origin"), "yes");
			if (protocols[up] == INSTANCE_SIDECAR) {
				assert_non_null(
					strstr(buf_string(&call->body), "x-pillion-service: s"));
				assert_non_null(
					strstr(buf_string(&call->body), "x-pillion-hops: 1"));
			} else {
				assert_null(strstr(buf_string(&call->body), "x-pillion-"));
			}
			assert_non_null(strstr(buf_string(&call->body), "traceparent: 00-"));
			assert_non_null(strstr(buf_string(&call->body), "x-request-id: "));
			check_record(rig, 200, REASON_ok, false);
		}
	}
}

static void bodies_pass_both_ways(void **state)
{
	struct rig *rig = *state;
	size_t size = 300000;
	char *body = test_malloc(size + 1);

	memset(body, 'b', size);
	body[size] = '\0';
	for (int down = 0; down < 2; down++) {
		for (unsigned up = 0; up < 3; up++) {
			for (int chunked = 0; chunked < 2; chunked++) {
				struct rig_request request = {.method = "POST",
					.path = "/echo",
					.body = body,
					.chunked = chunked == 1};
				struct rig_client *client = rig_client(rig, "outbound", down == 1);
				struct rig_call *call;

				rig_service(rig, "orders", 2, protocols[up]);
				call = rig_call(client, &request);
				rig_wait(call);
				assert_false(call->reset);
				assert_int_equal(call->head->status, 200);
				assert_int_equal(call->body.size, size);
				rig_client_close(client);
				rig_turn(rig, 4);
				check_record(rig, 200, REASON_ok, false);
			}
		}
	}
	test_free(body);
}

/* mesh.md 0: the debug row, for who may ask and does. */
static void a_debug_row_says_why(void **state)
{
	struct rig *rig = *state;
	struct rig_request request = {.path = "/fields", .fields = {"x-pillion-debug", "1", NULL}};
	struct rig_call *call;

	rig_service(rig, "orders", 1, INSTANCE_HTTP1);
	call = rig_once(rig, "outbound", false, &request);
	assert_string_equal(rig_field(call, "x-pillion-attempts"), "1");
	assert_int_equal(strlen(rig_field(call, "x-pillion-instance")), 32);
	assert_non_null(strstr(rig_field(call, "x-pillion-registry"), ";mode=connecting"));
	exchange_server_set_registry(rig->server, REGISTRY_STALE, loop_now_ms(rig->loop) - 3250);
	call = rig_once(rig, "outbound", false, &request);
	assert_memory_equal(rig_field(call, "x-pillion-registry"), "idx=812;age=", 12);
	assert_non_null(strstr(rig_field(call, "x-pillion-registry"), "s;mode=stale"));
	request.fields[0] = NULL;
	call = rig_once(rig, "outbound", false, &request);
	assert_null(rig_field(call, "x-pillion-registry"));
	assert_null(rig_field(call, "x-pillion-instance"));
}

static void slow_reader_holds_the_origin_back(void **state)
{
	struct rig *rig = *state;

	for (int down = 0; down < 2; down++) {
		for (unsigned up = 0; up < 3; up++) {
			struct rig_request request = {
				.path = up == 1 ? "/stream/2000000" : "/big/2000000", .slow = true};
			struct rig_client *client = rig_client(rig, "outbound", down == 1);
			struct block_pool *pool = exchange_server_pool(rig->server);
			struct rig_call *call;

			rig_service(rig, "orders", 1, protocols[up]);
			call = rig_call(client, &request);
			rig_turn(rig, 400);
			assert_false(call->done);
			/* Two windows, what lies in the transports, and partly used blocks. */
			assert_true(pool->live_bytes < 1024 * 1024);
			while (!call->done) {
				rig_call_credit(call);
				loop_turn(rig->loop, 1);
			}
			assert_int_equal(call->body.size, 2000000);
			rig_wait(call);
			rig_client_close(client);
			rig_turn(rig, 4);
			check_record(rig, 200, REASON_ok, false);
		}
	}
}

static void grpc_keeps_its_trailers(void **state)
{
	struct rig *rig = *state;
	struct rig_request request = {.method = "POST",
		.path = "/grpc/full",
		.body = "12345",
		.chunked = true,
		.fields = {"content-type", "application/grpc", "te", "trailers", NULL}};
	struct rig_call *call;

	rig_service(rig, "orders", 1, INSTANCE_H2C);
	call = rig_once(rig, "outbound", true, &request);
	assert_int_equal(call->head->status, 200);
	assert_non_null(call->trailers);
	assert_string_equal(rig_field(call, "grpc-status"), "0");
	assert_string_equal(rig_field(call, "x-tail"), "end");
	check_record(rig, 200, REASON_ok, false);
}

static void grpc_failures_take_its_form(void **state)
{
	struct rig *rig = *state;
	struct rig_request request = {.method = "POST",
		.path = "/x.Y/Z",
		.authority = "nobody",
		.body = "12345",
		.chunked = true,
		.fields = {"content-type", "application/grpc", NULL}};
	struct rig_call *call = rig_once(rig, "outbound", true, &request);

	assert_int_equal(call->head->status, 200);
	assert_string_equal(rig_field(call, "grpc-status"), "14");
	assert_string_equal(rig_field(call, "x-pillion-outcome"), "not-processed");
	assert_null(call->trailers);
	assert_int_equal(call->body.size, 0);
	assert_int_equal(rig->asked_unknown, 1);
	check_record(rig, 200, REASON_service_unknown, false);
}

/* H2-38: what an upstream says by its reset reaches a gRPC client as the status that means it. */
static void grpc_resets_keep_their_meaning(void **state)
{
	static const struct {
		const char *path;
		const char *status;
	} rows[] = {{"/reset", "13"}, {"/cancel", "1"}};
	struct rig *rig = *state;

	rig_service(rig, "orders", 1, INSTANCE_H2C);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rig_request request = {.method = "POST",
			.path = rows[i].path,
			.fields = {"content-type", "application/grpc", NULL}};
		struct rig_call *call = rig_once(rig, "outbound", true, &request);

		assert_string_equal(rig_field(call, "grpc-status"), rows[i].status);
		assert_string_equal(rig_field(call, "x-pillion-outcome"), "unknown");
		check_record(rig, 200, REASON_upstream_reset, false);
	}
}

/* The same behind the head: in trailers (G-09). */
static void grpc_resets_behind_the_head(void **state)
{
	struct rig *rig = *state;
	struct rig_request request = {.method = "POST",
		.path = "/cut/unknown",
		.fields = {"content-type", "application/grpc", NULL}};
	struct rig_client *client = rig_client(rig, "outbound", true);
	struct rig_call *call;

	rig_service(rig, "orders", 1, INSTANCE_H2C);
	call = rig_call(client, &request);
	RIG_UNTIL(rig, call->body.size == 4);
	rig_served_reset(
		LIST_ENTRY(rig->origins[0].served.next, struct rig_served, node), REASON_drain_cut);
	rig_wait(call);
	assert_non_null(call->trailers);
	assert_string_equal(rig_field(call, "grpc-status"), "1");
	check_record(rig, 200, REASON_upstream_reset, false);
	rig_client_close(client);
}

static void grpc_needs_http2(void **state)
{
	struct rig *rig = *state;
	struct rig_request request = {.method = "POST",
		.path = "/x.Y/Z",
		.body = "12345",
		.chunked = true,
		.fields = {"content-type", "application/grpc", NULL}};
	struct rig_call *call;

	rig_service(rig, "orders", 1, INSTANCE_HTTP1);
	call = rig_once(rig, "outbound", true, &request);
	assert_string_equal(rig_field(call, "grpc-status"), "12");
	assert_int_equal(rig->origins[0].requests, 0);
	check_record(rig, 200, REASON_grpc_needs_h2, false);
	/* The same to the own application, before anything is opened. */
	request.authority = "own";
	call = rig_once(rig, "inbound", true, &request);
	assert_string_equal(rig_field(call, "grpc-status"), "12");
	assert_int_equal(rig->origins[0].requests, 0);
	check_record(rig, 200, REASON_grpc_needs_h2, true);
}

static void raw_ready(struct transport *transport, int mask)
{
	(void)transport;
	(void)mask;
}

/* Reads until the text is there; what came before it counts. */
static void raw_expect(struct rig *rig, struct transport *near, char *text, const char *what)
{
	size_t size = strlen(text);

	for (int turn = 0; strstr(text, what) == NULL; turn++) {
		ssize_t n;

		assert_true(turn < 1000);
		loop_turn(rig->loop, 2);
		n = transport_read(near, text + size, 4000 - size);
		size += n > 0 ? (size_t)n : 0;
		text[size] = '\0';
	}
}

/* H1-37: 100 only when the upstream stream is open; a refusal before that replaces it. */
static void expectations_are_met(void **state)
{
	struct rig *rig = *state;

	rig_service(rig, "orders", 1, INSTANCE_H2C);
	for (int known = 0; known < 2; known++) {
		const char *request =
			known ? "POST /echo HTTP/1.1\r\nHost: orders\r\nContent-Length: 5\r\n"
				"Expect: 100-continue\r\n\r\n"
			      : "POST /echo HTTP/1.1\r\nHost: nobody\r\nContent-Length: 5\r\n"
				"Expect: 100-continue\r\n\r\n";
		struct iovec vector = {(void *)(uintptr_t)request, strlen(request)};
		struct transport *near;
		struct transport *far;
		char text[4001] = "";

		transport_mem_pair(rig->loop, 65536, &near, &far);
		near->on_ready = raw_ready;
		exchange_server_accept(rig->server, "outbound", far);
		assert_int_equal(transport_write(near, &vector, 1), vector.iov_len);
		if (known) {
			raw_expect(rig, near, text, "HTTP/1.1 100 Continue\r\n\r\n");
			vector = (struct iovec){(void *)(uintptr_t) "later", 5};
			assert_int_equal(transport_write(near, &vector, 1), 5);
			raw_expect(rig, near, text, "\r\n\r\nlater");
			assert_non_null(strstr(text, "HTTP/1.1 200"));
		} else {
			raw_expect(rig, near, text, "service_unknown");
			assert_null(strstr(text, "HTTP/1.1 100"));
		}
		transport_close(near, false);
		rig_turn(rig, 5);
	}
}

static void unknown_service_is_said(void **state)
{
	struct rig *rig = *state;
	struct rig_request request = {.authority = "nobody"};
	struct rig_call *call = rig_once(rig, "outbound", false, &request);

	assert_int_equal(call->head->status, 503);
	assert_memory_equal(rig_field(call, "x-pillion-reason"), "service_unknown;", 16);
	assert_non_null(strstr(buf_string(&call->body), "\"reason\":\"service_unknown\""));
	assert_string_equal(rig_field(call, "retry-after"), "1");
	check_record(rig, 503, REASON_service_unknown, false);
}

/* path at the first origin, method; status, reason, times the origins were asked */
struct retry_row {
	const char *method, *first, *second;
	uint16_t status;
	enum reason reason;
	unsigned asked;
};

static void failures_are_tried_elsewhere(void **state)
{
	static const struct retry_row rows[] = {
		{"GET", "/status/503", "/echo", 200, REASON_ok, 2},
		{"POST", "/status/503", "/echo", 503, REASON_upstream_status, 1},
		{"GET", "/status/500", "/echo", 500, REASON_upstream_status, 1},
		{"POST", "/status/503/not-processed", "/echo", 200, REASON_ok, 2},
		{"POST", "/status/421", "/echo", 200, REASON_ok, 2},
		{"GET", "/reset", "/echo", 200, REASON_ok, 2},
		{"POST", "/reset", "/echo", 502, REASON_upstream_reset, 1},
		{"GET", "/status/503", "/status/502", 502, REASON_upstream_status, 2},
		{"GET", "/status/503/retry-no", "/echo", 503, REASON_upstream_status, 1},
		{"GET", "/status/429", "/echo", 429, REASON_upstream_status, 1},
		{"GET", "/status/429/after", "/echo", 200, REASON_ok, 2},
		{"GET", "/status/503", "/reset", 503, REASON_upstream_status, 2},
	};
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig_request request = {.method = rows[i].method,
			.path = "/x",
			.body = rows[i].method[0] == 'P' ? "payload" : NULL};
		unsigned before = rig->origins[0].requests + rig->origins[1].requests;
		struct access_record record;
		struct rig_call *call;
		char name[32];

		/* A sidecar's answer is believed; a fresh name forgets what was learnt. */
		snprintf(name, sizeof(name), "row%zu", i);
		request.authority = name;
		rig_service(rig, name, 2, INSTANCE_SIDECAR);
		rig->origins[0].behave = rows[i].first;
		rig->origins[1].behave = rows[i].first;
		rig->second = rows[i].second;
		call = rig_once(rig, "outbound", false, &request);
		rig->second = NULL;
		assert_int_equal(call->head->status, rows[i].status);
		assert_int_equal(rig->origins[0].requests + rig->origins[1].requests - before,
			rows[i].asked);
		rig_record(rig, &record);
		assert_string_equal(
			reason_word((enum reason)record.reason), reason_word(rows[i].reason));
		assert_int_equal(record.attempts, rows[i].asked);
	}
}

static void dead_instances_cost_nothing(void **state)
{
	struct rig *rig = *state;
	struct rig_request request = {.method = "POST", .path = "/echo", .body = "once"};

	rig_service(rig, "orders", 2, INSTANCE_H2C);
	listener_destroy(rig->origins[1].listener, false);
	rig->origins[1].listener = NULL;
	for (int i = 0; i < 10; i++) {
		struct rig_call *call = rig_once(rig, "outbound", false, &request);
		struct access_record record;

		assert_int_equal(call->head->status, 200);
		rig_record(rig, &record);
		assert_int_equal(record.status, 200);
	}
	assert_int_equal(rig->origins[0].requests, 10);
}

static void nobody_reachable(void **state)
{
	struct rig *rig = *state;
	struct rig_request request = {.path = "/echo"};
	struct rig_call *call;

	rig_service(rig, "orders", 2, INSTANCE_H2C);
	for (int i = 0; i < 2; i++) {
		listener_destroy(rig->origins[i].listener, false);
		rig->origins[i].listener = NULL;
	}
	call = rig_once(rig, "outbound", false, &request);
	assert_int_equal(call->head->status, 503);
	assert_memory_equal(rig_field(call, "x-pillion-reason"), "connect_refused;", 16);
	assert_non_null(strstr(rig_field(call, "x-pillion-reason"), "attempts=2;retry=none_left"));
	check_record(rig, 503, REASON_connect_refused, false);
}

/* RE-21: one instance may have acted, the other cannot be reached: no 503 may be said, in whatever
 * order they were asked. */
static void no_promise_after_a_lost_answer(void **state)
{
	struct rig *rig = *state;
	struct access_record record;

	rig->origins[0].behave = "/reset";
	listener_destroy(rig->origins[1].listener, false);
	rig->origins[1].listener = NULL;
	for (int i = 0; i < 12; i++) {
		char name[16];
		struct rig_request request = {.path = "/x", .authority = name};
		struct rig_call *call;

		snprintf(name, sizeof(name), "lost%d", i);
		rig_service(rig, name, 2, INSTANCE_H2C);
		call = rig_once(rig, "outbound", false, &request);
		assert_int_equal(call->head->status, 502);
		assert_string_equal(rig_field(call, "x-pillion-outcome"), "unknown");
		rig_record(rig, &record);
		assert_int_equal(record.attempts, 2);
	}
}

static void refusals(void **state)
{
	static const struct {
		const char *listener, *method, *path, *field, *value;
		uint16_t status;
		enum reason reason;
	} rows[] = {
		{"outbound", "TRACE", "/", NULL, NULL, 405, REASON_method_forbidden},
		{"outbound", "GET", "/pillion.v1.Raft/Step", NULL, NULL, 403, REASON_reserved_path},
		{"inbound", "GET", "/pillion.v1.Raft/Step", NULL, NULL, 403, REASON_reserved_path},
		{"outbound", "GET", "/", "via", "1.1 pillion-o-3f2a91c0", 508, REASON_loop},
		{"inbound", "GET", "/", "x-pillion-hops", "10", 508, REASON_loop},
		{"inbound", "GET", "/", "x-pillion-service", "other", 421, REASON_wrong_service},
		{"outbound", "GET", "/", "x-pillion-service", "no such", 400, REASON_bad_name},
	};
	struct rig *rig = *state;

	rig_service(rig, "orders", 1, INSTANCE_HTTP1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig_request request = {.method = rows[i].method,
			.path = rows[i].path,
			.fields = {rows[i].field, rows[i].value, NULL}};
		struct rig_call *call = rig_once(rig, rows[i].listener, i % 2 == 0, &request);

		assert_int_equal(call->head->status, rows[i].status);
		check_record(rig, rows[i].status, rows[i].reason, rows[i].listener[0] == 'i');
	}
}

static void inbound_reaches_the_app(void **state)
{
	struct rig *rig = *state;
	struct rig_request request = {.path = "/fields",
		.authority = "own",
		.fields = {"x-pillion-service", "own", "x-pillion-deadline", "50000",
			"x-pillion-attempt", "2", "x-pillion-hops", "3", "x-pillion-bogus", "1",
			NULL}};
	struct rig_call *call = rig_once(rig, "inbound", true, &request);
	const char *seen = buf_string(&call->body);

	assert_int_equal(call->head->status, 200);
	assert_non_null(strstr(seen, "x-pillion-attempt: 2"));
	assert_non_null(strstr(seen, "x-pillion-deadline: 4"));
	assert_null(strstr(seen, "x-pillion-service"));
	assert_null(strstr(seen, "x-pillion-hops"));
	assert_null(strstr(seen, "bogus"));
	assert_non_null(strstr(seen, "x-forwarded-for: 127.0.0.1"));
	check_record(rig, 200, REASON_ok, true);
}

static void deadline_ends_it(void **state)
{
	struct rig *rig = *state;
	struct rig_request request = {
		.path = "/hang", .fields = {"x-pillion-deadline", "400", NULL}};
	struct rig_request grpc = {.method = "POST",
		.path = "/hang",
		.body = "x",
		.chunked = true,
		.fields = {"content-type", "application/grpc", "grpc-timeout", "400m", NULL}};
	struct rig_call *call;

	rig_service(rig, "orders", 1, INSTANCE_H2C);
	call = rig_once(rig, "outbound", false, &request);
	assert_int_equal(call->head->status, 504);
	assert_string_equal(rig_field(call, "x-pillion-outcome"), "unknown");
	check_record(rig, 504, REASON_deadline_exceeded, false);
	call = rig_once(rig, "outbound", true, &grpc);
	assert_string_equal(rig_field(call, "grpc-status"), "4");
	check_record(rig, 200, REASON_deadline_exceeded, false);
	RIG_UNTIL(rig, rig->origins[0].resets == 2);
}

static void a_cut_answer_is_a_cut(void **state)
{
	struct rig *rig = *state;
	struct rig_request request = {.path = "/cut"};

	for (int down = 0; down < 2; down++) {
		for (unsigned up = 0; up < 3; up++) {
			struct rig_client *client = rig_client(rig, "outbound", down == 1);
			struct rig_call *call;
			char name[16];

			snprintf(name, sizeof(name), "cut%d%u", down, up);
			request.authority = name;
			rig_service(rig, name, 1, protocols[up]);
			call = rig_call(client, &request);
			RIG_UNTIL(rig, call->body.size > 0);
			rig_cut_origins(rig);
			rig_wait(call);
			assert_true(call->reset);
			rig_client_close(client);
			rig_turn(rig, 4);
			{
				struct access_record record;

				rig_record(rig, &record);
				assert_int_equal(record.status, 200);
				assert_true(record.failed);
			}
		}
	}
}

static void a_client_that_leaves_cancels(void **state)
{
	struct rig *rig = *state;
	struct rig_request request = {.path = "/hang"};

	for (int down = 0; down < 2; down++) {
		struct rig_client *client = rig_client(rig, "outbound", down == 1);
		unsigned before = rig->origins[0].requests;

		rig_service(rig, "orders", 1, INSTANCE_H2C);
		rig_call(client, &request)->slow = true;
		RIG_UNTIL(rig, rig->origins[0].requests > before);
		rig_client_close(client);
		RIG_UNTIL(rig, rig->origins[0].resets == (unsigned)down + 1);
		assert_int_equal(exchange_server_outbound_active(rig->server), 0);
		{
			struct access_record record;

			rig_record(rig, &record);
			assert_int_equal(record.status, 0);
		}
	}
}

static void sends_a_lot(struct rig *rig, struct rig_request *request, struct rig_client *client)
{
	/* More than the window, our queue and the buffers of both sockets. */
	request->body_size = 32 << 20;
	request->body = test_calloc(1, request->body_size);
	(void)rig_call(client, request);
	RIG_UNTIL(rig, exchange_server_outbound_active(rig->server) == 1);
	rig_turn(rig, 100);
}

/* T-08: the client may stay for ever, the upstream's patience is measured all the same. */
static void an_upstream_that_takes_nothing(void **state)
{
	struct rig *rig = *state;

	rig->service.policy.response_timeout_ms = 50;
	for (int down = 0; down < 2; down++) {
		for (unsigned up = 0; up < 3; up++) {
			struct rig_request request = {.method = "POST", .path = "/stall"};
			struct rig_client *client = rig_client(rig, "outbound", down == 1);

			rig_service(rig, "orders", 1, protocols[up]);
			sends_a_lot(rig, &request, client);
			RIG_UNTIL(rig, exchange_server_outbound_active(rig->server) == 0);
			check_record(rig, 504, REASON_response_timeout, false);
			RIG_UNTIL(rig, rig->origins[0].resets == (unsigned)down * 3 + up + 1);
			rig_client_close(client);
			rig_turn(rig, 4);
			test_free((void *)(uintptr_t)request.body);
		}
	}
}

/* T-08 counts from the last byte that the upstream took, also when all of them were given away. */
static void an_upstream_that_takes_the_rest_slowly(void **state)
{
	struct rig *rig = *state;
	struct rig_request request = {.method = "POST", .path = "/hang", .body = "x"};
	struct rig_client *client = rig_client(rig, "outbound", false);
	struct exchange *x;

	rig_service(rig, "orders", 1, INSTANCE_HTTP1);
	(void)rig_call(client, &request);
	RIG_UNTIL(rig, rig->origins[0].requests == 1);
	RIG_UNTIL(rig, exchange_server_outbound_active(rig->server) == 1);
	x = LIST_ENTRY(rig->server->exchanges.next, struct exchange, node);
	assert_true(x->req.sent_end);
	/* As if the end was given long ago and the last byte were taken only now. */
	x->times.request_complete_ms = 1;
	x->req.taken_ms = UINT64_MAX / 2;
	timer_cancel(&x->timer);
	exchange_mark(x);
	rig_turn(rig, 4);
	assert_int_equal(exchange_server_outbound_active(rig->server), 1);
	x->req.taken_ms = 1;
	timer_cancel(&x->timer);
	exchange_mark(x);
	RIG_UNTIL(rig, exchange_server_outbound_active(rig->server) == 0);
	check_record(rig, 504, REASON_response_timeout, false);
	rig_client_close(client);
}

/* C-12: also when reading pauses because the upstream takes nothing. */
static void a_client_that_leaves_an_upload_cancels(void **state)
{
	struct rig *rig = *state;

	for (int down = 0; down < 2; down++) {
		for (unsigned up = 0; up < 3; up++) {
			struct rig_request request = {.method = "POST", .path = "/stall"};
			struct rig_client *client = rig_client(rig, "outbound", down == 1);
			struct access_record record;

			rig_service(rig, "orders", 1, protocols[up]);
			sends_a_lot(rig, &request, client);
			assert_int_equal(exchange_server_outbound_active(rig->server), 1);
			rig_client_close(client);
			RIG_UNTIL(rig, exchange_server_outbound_active(rig->server) == 0);
			rig_record(rig, &record);
			assert_int_equal(record.status, 0);
			assert_true(record.reason == REASON_downstream_truncated ||
				    record.reason == REASON_downstream_reset);
			RIG_UNTIL(rig, rig->origins[0].resets == (unsigned)down * 3 + up + 1);
			test_free((void *)(uintptr_t)request.body);
		}
	}
}

static void early_answers_are_delivered(void **state)
{
	struct rig *rig = *state;
	size_t size = 1000000;
	char *body = test_malloc(size + 1);

	memset(body, 'b', size);
	body[size] = '\0';
	for (int down = 0; down < 2; down++) {
		for (unsigned up = 0; up < 3; up++) {
			struct rig_request request = {
				.method = "POST", .path = "/early/status/413", .body = body};
			struct rig_call *call;

			rig_service(rig, "orders", 1, protocols[up]);
			call = rig_once(rig, "outbound", down == 1, &request);
			assert_non_null(call->head);
			assert_int_equal(call->head->status, 413);
			assert_int_equal(call->body.size, 7);
			check_record(rig, 413, REASON_upstream_status, false);
		}
	}
	test_free(body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_version_pairs, setup, teardown),
		cmocka_unit_test_setup_teardown(bodies_pass_both_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(a_debug_row_says_why, setup, teardown),
		cmocka_unit_test_setup_teardown(slow_reader_holds_the_origin_back, setup, teardown),
		cmocka_unit_test_setup_teardown(grpc_keeps_its_trailers, setup, teardown),
		cmocka_unit_test_setup_teardown(grpc_failures_take_its_form, setup, teardown),
		cmocka_unit_test_setup_teardown(grpc_resets_keep_their_meaning, setup, teardown),
		cmocka_unit_test_setup_teardown(grpc_resets_behind_the_head, setup, teardown),
		cmocka_unit_test_setup_teardown(grpc_needs_http2, setup, teardown),
		cmocka_unit_test_setup_teardown(expectations_are_met, setup, teardown),
		cmocka_unit_test_setup_teardown(unknown_service_is_said, setup, teardown),
		cmocka_unit_test_setup_teardown(failures_are_tried_elsewhere, setup, teardown),
		cmocka_unit_test_setup_teardown(dead_instances_cost_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_reachable, setup, teardown),
		cmocka_unit_test_setup_teardown(no_promise_after_a_lost_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(inbound_reaches_the_app, setup, teardown),
		cmocka_unit_test_setup_teardown(deadline_ends_it, setup, teardown),
		cmocka_unit_test_setup_teardown(a_cut_answer_is_a_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(a_client_that_leaves_cancels, setup, teardown),
		cmocka_unit_test_setup_teardown(an_upstream_that_takes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(
			an_upstream_that_takes_the_rest_slowly, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_client_that_leaves_an_upload_cancels, setup, teardown),
		cmocka_unit_test_setup_teardown(early_answers_are_delivered, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
