/* Listeners, endpoints, in-process clients, drain, the own application, egress, reload. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "net/resolver.h"
#include "net/transport.h"
#include "rig.h"

static int setup(void **state)
{
	struct rig *rig = test_malloc(sizeof(*rig));

	rig_init(rig);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	rig_fini(*state);
	test_free(*state);
	return 0;
}

static void check_record(struct rig *rig, uint16_t status, enum reason reason)
{
	struct access_record record;

	rig_record(rig, &record);
	assert_int_equal(record.status, status);
	assert_string_equal(reason_word((enum reason)record.reason), reason_word(reason));
}

static void a_listener_may_belong_to_one_service(void **state)
{
	struct rig *rig = *state;
	struct rig_request request = {.path = "/fields", .authority = "127.0.0.1:9101"};
	struct rig_call *call;

	rig_start(rig);
	rig_service(rig, "orders", 1, INSTANCE_HTTP1);
	call = rig_once(rig, "orders-port", false, &request);
	assert_int_equal(call->head->status, 200);
	/* MA-05: our own address means nothing to whom it is sent. */
	assert_non_null(strstr(buf_string(&call->body), "authority: orders\n"));
	request.authority = "anything.example";
	call = rig_once(rig, "orders-port", false, &request);
	assert_non_null(strstr(buf_string(&call->body), "authority: anything.example\n"));
}

struct served_endpoint {
	unsigned opened;
	bool mesh_peer;
	unsigned direction;
	size_t body;
	char trace[33];
};

static void endpoint_on_request(struct unary *unary, struct slice body)
{
	struct served_endpoint *served = unary_owner(unary);

	served->body = body.size;
	unary_reply_plain(unary, 200, SLICE("text/plain"), SLICE("from the endpoint"));
}

static const struct unary_ops endpoint_ops = {.on_request = endpoint_on_request};

static void endpoint_open(void *context, const struct endpoint_request *request)
{
	struct served_endpoint *served = context;

	served->opened++;
	served->mesh_peer = request->mesh_peer;
	served->direction = request->direction;
	assert_int_equal(request->trace_id.size, 32);
	unary_accept(request, 100, &endpoint_ops, served);
}

static void endpoints_come_first(void **state)
{
	static const struct {
		const char *listener, *path, *authority;
		bool endpoint;
	} rows[] = {
		{"outbound", "/v1/pub/t", "127.0.0.1:7441", true},
		{"outbound", "/v1/pub/t", "localhost", true},
		{"outbound", "/v1/pub/t", "pillion", true},
		{"outbound", "/v1/pub/t", "orders", false},
		{"inbound", "/v1/pub/t", "own", false},
		{"orders-port", "/v1/pub/t", "localhost", false},
		{"inbound", "/pillion.v1.Registry/Watch", "x", true},
		{"outbound", "/pillion.v1.Registry/Watch", "x", false},
	};
	struct rig *rig = *state;
	struct served_endpoint served = {0};
	struct endpoint endpoints[] = {
		{SLICE("/v1/pub/"), ENDPOINT_OUTBOUND, endpoint_open, &served},
		{SLICE("/pillion.v1.Registry/"), ENDPOINT_INBOUND, endpoint_open, &served},
	};

	rig->snapshot->endpoints = endpoints;
	rig->snapshot->endpoint_count = 2;
	rig_start(rig);
	rig_service(rig, "orders", 1, INSTANCE_HTTP1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int h2 = 0; h2 < 2; h2++) {
			struct rig_request request = {.method = "POST",
				.path = rows[i].path,
				.authority = rows[i].authority,
				.body = "twelve bytes"};
			unsigned before = served.opened;
			struct rig_call *call = rig_once(rig, rows[i].listener, h2 == 1, &request);

			assert_int_equal(served.opened - before, rows[i].endpoint);
			if (rows[i].endpoint) {
				assert_int_equal(call->head->status, 200);
				assert_string_equal(buf_string(&call->body), "from the endpoint");
				assert_int_equal(served.body, 12);
			}
		}
	}
	rig->snapshot->endpoint_count = 0;
}

/* One that answers when the test wants it to, or never. */
static struct unary *held;

static void held_on_request(struct unary *unary, struct slice body)
{
	(void)body;
	held = unary;
}

static void held_on_gone(struct unary *unary)
{
	assert_ptr_equal(held, unary);
	held = NULL;
}

static const struct unary_ops held_ops = {held_on_request, held_on_gone};

static void held_open(void *context, const struct endpoint_request *request)
{
	(void)context;
	unary_accept(request, 100, &held_ops, NULL);
}

static void text_is(const struct access_record *record, enum access_text which, const char *text)
{
	struct slice slice = access_record_text(record, which);

	assert_int_equal(slice.size, strlen(text));
	assert_memory_equal(slice.data, text, slice.size);
}

/* C-13: requests that endpoints serve are accepted requests too. */
static void endpoints_leave_records(void **state)
{
	struct rig *rig = *state;
	struct served_endpoint served = {0};
	struct endpoint endpoints[] = {
		{SLICE("/v1/pub/"), ENDPOINT_OUTBOUND, endpoint_open, &served},
		{SLICE("/v1/pub/held"), ENDPOINT_OUTBOUND, held_open, &served},
	};
	struct reply reply = {.reason = REASON_unknown_topic, .grpc = -1};

	rig->snapshot->endpoints = endpoints;
	rig->snapshot->endpoint_count = 2;
	rig_start(rig);
	for (int h2 = 0; h2 < 2; h2++) {
		struct rig_request request = {.method = "POST",
			.path = "/v1/pub/t",
			.authority = "pillion",
			.body = "twelve bytes",
			.fields = {"traceparent",
				"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", NULL}};
		struct rig_client *client = rig_client(rig, "outbound", h2 == 1);
		struct access_record record;
		struct rig_call *call;

		rig_wait(rig_call(client, &request));
		rig_record(rig, &record);
		assert_int_equal(record.status, 200);
		assert_int_equal(record.reason, REASON_ok);
		assert_int_equal(record.outcome, OUTCOME_PROCESSED);
		assert_int_equal(record.request_bytes, 12);
		assert_int_equal(record.response_bytes, strlen("from the endpoint"));
		assert_int_equal(record.version, h2 ? HTTP_2 : HTTP_1_1);
		assert_false(record.failed || record.inbound);
		text_is(&record, ACCESS_METHOD, "POST");
		text_is(&record, ACCESS_PATH, "/v1/pub/t");
		text_is(&record, ACCESS_AUTHORITY, "pillion");
		text_is(&record, ACCESS_TRACE_ID, "4bf92f3577b34da6a3ce929d0e0e4736");
		request.path = "/v1/pub/held";
		call = rig_call(client, &request);
		RIG_UNTIL(rig, held != NULL);
		reply.outcome = OUTCOME_NOT_PROCESSED;
		unary_reply_reason(held, &reply);
		held = NULL;
		rig_wait(call);
		rig_record(rig, &record);
		assert_int_equal(record.status, 404);
		assert_int_equal(record.reason, REASON_unknown_topic);
		assert_int_equal(record.outcome, OUTCOME_NOT_PROCESSED);
		assert_true(record.failed);
		(void)rig_call(client, &request);
		RIG_UNTIL(rig, held != NULL);
		rig_client_close(client);
		RIG_UNTIL(rig, held == NULL);
		rig_turn(rig, 5);
		rig_record(rig, &record);
		assert_int_equal(record.status, 0);
		assert_true(record.reason == REASON_downstream_closed ||
			    record.reason == REASON_downstream_reset);
		assert_int_equal(record.outcome, OUTCOME_UNKNOWN);
	}
	rig->snapshot->endpoint_count = 0;
}

/* ---- in-process clients ---- */

struct near {
	struct stream *stream;
	uint16_t status;
	size_t body;
	bool done, reset;
	struct arena arena;
};

static void near_on_head(struct stream *stream, struct head *head, bool end)
{
	struct near *near = stream->owner;

	near->status = head->kind == HEAD_RESPONSE ? head->status : near->status;
	near->done = near->done || end;
}

static void near_on_body(struct stream *stream, struct chain *body, bool end)
{
	struct near *near = stream->owner;

	near->body += body->size;
	stream->codec->ops->credit(stream, body->size);
	near->done = near->done || end;
}

static void near_on_sent(struct stream *stream, size_t n)
{
	(void)stream;
	(void)n;
}

static void near_on_reset(struct stream *stream, enum reason why)
{
	struct near *near = stream->owner;

	(void)why;
	near->reset = true;
	near->done = true;
}

static const struct stream_ops near_ops = {near_on_head, near_on_body, near_on_sent, near_on_reset};

static void near_call(struct rig *rig, enum local_kind kind, const char *path, struct near *near)
{
	struct codec *codec = exchange_server_local(rig->server, kind);
	struct head head;

	memset(near, 0, sizeof(*near));
	arena_init(&near->arena);
	near->stream = codec->ops->open(codec);
	assert_non_null(near->stream);
	near->stream->ops = &near_ops;
	near->stream->owner = near;
	head_init(&head, &near->arena, HEAD_REQUEST);
	head_set_method(&head, METHOD_POST, SLICE("POST"));
	head.authority = SLICE("orders");
	head.path = slice_from_string(path);
	head.body = BODY_LENGTH;
	head.length = 5;
	assert_int_equal(codec->ops->send_head(near->stream, &head, false), 0);
	chain_append_copy(&near->stream->out, exchange_server_pool(rig->server), "event", 5);
	codec->ops->send_more(near->stream, true);
	RIG_UNTIL(rig, near->done);
	stream_reset(near->stream, near->reset ? REASON_downstream_closed : REASON_ok);
	rig_turn(rig, 5);
	arena_fini(&near->arena);
}

static void in_process_clients(void **state)
{
	struct rig *rig = *state;
	struct near near;

	rig_start(rig);
	rig_service(rig, "orders", 1, INSTANCE_H2C);
	near_call(rig, LOCAL_OUTBOUND, "/echo", &near);
	assert_int_equal(near.status, 200);
	assert_int_equal(near.body, 5);
	near_call(rig, LOCAL_TO_APP, "/echo", &near);
	assert_int_equal(near.status, 200);
	near_call(rig, LOCAL_TO_APP_RAW, "/status/503", &near);
	assert_int_equal(near.status, 503);
	/* A client of our own may call what nobody outside may. */
	near_call(rig, LOCAL_TO_APP_RAW, "/pillion.v1.x", &near);
	assert_int_equal(near.status, 200);
	exchange_server_set_app(rig->server, true, true, false);
	near_call(rig, LOCAL_TO_APP, "/echo", &near);
	assert_int_equal(near.status, 503);
}

/* ---- the own application ---- */

static void app_states(void **state)
{
	struct rig *rig = *state;
	struct rig_request request = {.path = "/echo", .authority = "own"};
	struct rig_call *call;

	rig_start(rig);
	exchange_server_set_app(rig->server, false, true, false);
	call = rig_once(rig, "inbound", false, &request);
	assert_int_equal(call->head->status, 503);
	check_record(rig, 503, REASON_app_not_ready);
	exchange_server_set_app(rig->server, true, false, true);
	call = rig_once(rig, "inbound", false, &request);
	assert_int_equal(call->head->status, 200);
	assert_string_equal(rig_field(call, "via"), "2 pillion-i-3f2a91c0");
	check_record(rig, 200, REASON_ok);
	/* Failing checks after the first pass do not stop requests (MH-03). */
	exchange_server_set_app(rig->server, false, false, true);
	call = rig_once(rig, "inbound", false, &request);
	assert_int_equal(call->head->status, 200);
	check_record(rig, 200, REASON_ok);
	listener_destroy(rig->origins[0].listener, false);
	rig->origins[0].listener = NULL;
	exchange_server_set_app(rig->server, true, false, false);
	call = rig_once(rig, "inbound", false, &request);
	assert_int_equal(call->head->status, 503);
	check_record(rig, 503, REASON_app_unreachable);
}

static void a_stale_connection_to_the_app_is_replaced(void **state)
{
	static const struct {
		const char *method;
		uint16_t status;
		unsigned asked;
	} rows[] = {{"GET", 200, 2}, {"POST", 502, 1}};
	struct rig *rig = *state;

	rig_start(rig);
	for (size_t i = 0; i < 2; i++) {
		struct rig_request first = {.path = "/echo", .authority = "own"};
		struct rig_request second = {
			.method = rows[i].method, .path = "/reset", .authority = "own"};
		struct rig_client *client = rig_client(rig, "inbound", true);
		struct access_record record;
		struct rig_call *call;
		unsigned before;

		second.body = rows[i].method[0] == 'P' ? "x" : NULL;
		call = rig_call(client, &first);
		rig_wait(call);
		rig_record(rig, &record);
		before = rig->origins[0].requests;
		rig->origins[0].behave = "/reset";
		rig->second = "/echo";
		call = rig_call(client, &second);
		rig_wait(call);
		rig->second = NULL;
		rig->origins[0].behave = NULL;
		assert_int_equal(call->head->status, rows[i].status);
		assert_int_equal(rig->origins[0].requests - before, rows[i].asked);
		rig_record(rig, &record);
		assert_int_equal(record.attempts, rows[i].asked);
		rig_client_close(client);
	}
}

/* ---- drain ---- */

static void drain_serves_http1_and_refuses_http2(void **state)
{
	struct rig *rig = *state;
	struct rig_request request = {.path = "/hang", .authority = "own"};
	struct rig_request other = {.path = "/echo", .authority = "orders"};
	struct rig_client *client;
	struct rig_call *call;
	struct access_record *records = mem_alloc(4 * sizeof(*records));

	rig_start(rig);
	rig_service(rig, "orders", 1, INSTANCE_HTTP1);
	client = rig_client(rig, "inbound", true);
	call = rig_call(client, &request);
	RIG_UNTIL(rig, rig->origins[0].requests == 1);
	exchange_server_drain_inbound(rig->server);
	rig_turn(rig, 5);
	/* Outbound goes on serving (ML-24). */
	assert_int_equal(rig_once(rig, "outbound", true, &other)->head->status, 200);
	assert_int_equal(exchange_server_inbound_active(rig->server), 1);
	assert_int_equal(exchange_server_cut_inbound(rig->server), 1);
	rig_wait(call);
	assert_true(call->reset);
	assert_int_equal(exchange_server_inbound_active(rig->server), 0);
	assert_int_equal(exchange_server_take_records(rig->server, records, 4), 2);
	assert_int_equal(records[1].reason, REASON_drain_cut);
	mem_free(records);
	rig_client_close(client);
}

/* ---- the form of answers ---- */

static void answers_in_each_form(void **state)
{
	struct rig *rig = *state;
	struct rig_call *call;

	rig_start(rig);
	for (int h2 = 0; h2 < 2; h2++) {
		struct rig_request json = {.path = "/x", .authority = "nobody"};
		struct rig_request head = {.method = "HEAD", .path = "/x", .authority = "nobody"};

		call = rig_once(rig, "outbound", h2 == 1, &json);
		assert_int_equal(call->head->status, 503);
		assert_string_equal(rig_field(call, "content-type"), "application/json");
		assert_string_equal(rig_field(call, "cache-control"), "no-store");
		assert_string_equal(rig_field(call, "x-pillion-outcome"), "not-processed");
		assert_non_null(strstr(rig_field(call, "x-pillion-reason"), "by=o-3f2a91c0"));
		assert_non_null(rig_field(call, "date"));
		assert_non_null(strstr(buf_string(&call->body), "\"service\":\"nobody\""));
		call = rig_once(rig, "outbound", h2 == 1, &head);
		assert_int_equal(call->head->status, 503);
		assert_int_equal(call->body.size, 0);
	}
	for (int i = 0; i < 2; i++) {
		struct rig_request grpc = {.method = "POST",
			.path = "/a.B/C",
			.authority = i == 0 ? "nobody" : "127.0.0.1:7441",
			.body = "x",
			.chunked = true,
			.fields = {"content-type", "application/grpc+proto", "grpc-timeout",
				i == 0 ? "1S" : "1s", NULL}};

		call = rig_once(rig, "outbound", true, &grpc);
		assert_int_equal(call->head->status, 200);
		assert_string_equal(rig_field(call, "content-type"), "application/grpc+proto");
		assert_string_equal(rig_field(call, "grpc-status"), i == 0 ? "14" : "3");
		assert_memory_equal(rig_field(call, "grpc-message"),
			i == 0 ? "service_unknown: " : "bad_deadline: ", 14);
	}
}

static void bad_deadlines(void **state)
{
	static const struct {
		const char *timeout;
		const char *status;
	} rows[] = {{"0m", "4"}, {"1s", "3"}, {"123456789m", "3"}, {"S", "3"}, {"-1S", "3"},
		{"", "3"}, {"99999999n", "0"}, {"1S", "0"}};
	struct rig *rig = *state;

	rig_start(rig);
	rig_service(rig, "orders", 1, INSTANCE_H2C);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig_request grpc = {.method = "POST",
			.path = "/grpc/full",
			.body = "x",
			.chunked = true,
			.fields = {"content-type", "application/grpc", "grpc-timeout",
				rows[i].timeout, NULL}};
		struct rig_call *call = rig_once(rig, "outbound", true, &grpc);

		assert_string_equal(rig_field(call, "grpc-status"), rows[i].status);
	}
	/* Only the two good ones were ever sent (MD-03). */
	assert_int_equal(rig->origins[0].requests, 2);
}

static void options_with_max_forwards(void **state)
{
	struct rig *rig = *state;
	struct rig_request request = {
		.method = "OPTIONS", .path = "/fields", .fields = {"max-forwards", "0", NULL}};
	struct rig_call *call;

	rig_start(rig);
	rig_service(rig, "orders", 1, INSTANCE_HTTP1);
	call = rig_once(rig, "outbound", false, &request);
	assert_int_equal(call->head->status, 200);
	assert_non_null(rig_field(call, "allow"));
	assert_int_equal(rig->origins[0].requests, 0);
	request.fields[1] = "5";
	call = rig_once(rig, "outbound", false, &request);
	assert_non_null(strstr(buf_string(&call->body), "max-forwards: 4"));
}

/* ---- egress ---- */

static void addresses_that_are_always_refused(void **state)
{
	static const struct {
		const char *authority;
		uint16_t status;
		enum reason reason;
	} rows[] = {
		{"127.0.0.1:9999", 403, REASON_egress_denied},
		{"127.9.9.9", 403, REASON_egress_denied},
		{"0.0.0.0:80", 403, REASON_egress_denied},
		{"169.254.169.254", 403, REASON_egress_denied},
		{"224.0.0.1", 403, REASON_egress_denied},
		{"[::1]:9999", 403, REASON_egress_denied},
		{"[::]:9999", 403, REASON_egress_denied},
		{"[fe80::1]:80", 403, REASON_egress_denied},
		{"[ff02::1]:80", 403, REASON_egress_denied},
		{"[::ffff:127.0.0.1]:80", 403, REASON_egress_denied},
		{"no.such.name.invalid", 503, REASON_dns_failed},
	};
	struct rig *rig = *state;

	rig_start(rig);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig_request request = {.authority = rows[i].authority};
		struct rig_call *call = rig_once(rig, "outbound", i % 2 == 0, &request);

		assert_int_equal(call->head->status, rows[i].status);
		check_record(rig, rows[i].status, rows[i].reason);
	}
}

static void allowed_addresses_are_dialled(void **state)
{
	struct rig *rig = *state;
	struct address_prefix allowed;
	struct rig_request request = {.path = "/fields"};
	char authority[32];
	struct rig_call *call;

	assert_true(address_prefix_parse(SLICE("127.0.0.1/32"), &allowed));
	rig->snapshot->egress_prefixes = &allowed;
	rig->snapshot->egress_prefix_count = 1;
	rig->snapshot->egress_allow = false;
	rig_start(rig);
	snprintf(authority, sizeof(authority), "127.0.0.1:%u",
		address_port(&rig->origins[2].address));
	request.authority = authority;
	call = rig_once(rig, "outbound", false, &request);
	assert_int_equal(call->head->status, 200);
	assert_null(strstr(buf_string(&call->body), "x-pillion-"));
	assert_int_equal(rig->origins[2].requests, 1);
	request.authority = "10.1.2.3";
	call = rig_once(rig, "outbound", false, &request);
	assert_int_equal(call->head->status, 403);
}

/* ---- reload, overload, numbers ---- */

static void exchanges_keep_their_snapshot(void **state)
{
	struct rig *rig = *state;
	struct rig_request request = {
		.path = "/hang", .fields = {"x-pillion-deadline", "1500", NULL}};
	struct rig_request quick = {.path = "/echo"};
	struct rig_client *client;
	struct rig_call *call;
	struct config_snapshot *next;
	struct access_record *records = mem_alloc(4 * sizeof(*records));

	rig_start(rig);
	rig_service(rig, "orders", 1, INSTANCE_HTTP1);
	client = rig_client(rig, "outbound", true);
	call = rig_call(client, &request);
	RIG_UNTIL(rig, rig->origins[0].requests == 1);
	next = rig_copy_snapshot(rig);
	next->generation = 8;
	exchange_server_set_snapshot(rig->server, next);
	snapshot_unref(next);
	/* The old connection serves new requests by the new one. */
	rig_wait(rig_call(client, &quick));
	rig_wait(call);
	assert_int_equal(exchange_server_take_records(rig->server, records, 4), 2);
	assert_int_equal(records[0].generation, 8);
	assert_int_equal(records[1].generation, 7);
	assert_int_equal(records[1].reason, REASON_deadline_exceeded);
	mem_free(records);
	rig_client_close(client);
}

/* ---- strangers (SN-08) ---- */

enum { STRANGERS = 1024 }; /* the default of per_source_max; one worker */

static void stranger_ready(struct transport *transport, int mask)
{
	assert_non_null(transport);
	(void)mask;
}

/* A connection from that address; the stranger's end. */
static struct transport *stranger(struct rig *rig, const char *listener, const char *address)
{
	struct transport *near;
	struct transport *far;

	transport_mem_pair(rig->loop, 16, &near, &far);
	near->on_ready = stranger_ready;
	assert_true(address_parse(slice_from_string(address), false, &far->peer));
	exchange_server_accept(rig->server, listener, far);
	return near;
}

static bool is_closed(struct transport *near)
{
	return transport_peek(near) == IO_EOF;
}

static void count_refused(void *context, const struct stats_listener *listener)
{
	uint64_t *refused = context;

	*refused += listener->closed[REASON_source_limit];
}

static void ignore_series(void *context, const struct stats_series *series)
{
	(void)context;
	(void)series;
}

static void a_stranger_holds_so_many_connections(void **state)
{
	static struct transport *theirs[STRANGERS];
	struct rig *rig = *state;
	struct transport *more[5];
	uint64_t refused = 0;
	struct stats_walk walk = {ignore_series, count_refused, &refused};

	rig_start(rig);
	for (unsigned i = 0; i < STRANGERS; i++) {
		theirs[i] = stranger(rig, "inbound", "192.0.2.7:40000");
		assert_false(is_closed(theirs[i]));
	}
	more[0] = stranger(rig, "inbound", "192.0.2.7:50000");
	assert_true(is_closed(more[0]));
	/* Others, mesh peers and the own application's listener have nothing to do with it. */
	more[1] = stranger(rig, "inbound", "192.0.2.8:50000");
	assert_false(is_closed(more[1]));
	more[2] = stranger(rig, "inbound", "127.0.0.1:50000");
	assert_false(is_closed(more[2]));
	more[3] = stranger(rig, "outbound", "192.0.2.7:50000");
	assert_false(is_closed(more[3]));
	/* A place that becomes free is given again. */
	transport_close(theirs[0], false);
	rig_turn(rig, 5);
	theirs[0] = stranger(rig, "inbound", "192.0.2.7:40000");
	assert_false(is_closed(theirs[0]));
	more[4] = stranger(rig, "inbound", "192.0.2.7:50001");
	assert_true(is_closed(more[4]));
	stats_walk(exchange_server_stats(rig->server), &walk);
	assert_int_equal(refused, 2);
	for (unsigned i = 0; i < STRANGERS; i++) {
		transport_close(theirs[i], false);
	}
	for (unsigned i = 0; i < 5; i++) {
		transport_close(more[i], false);
	}
	rig_turn(rig, 5);
}

static void too_many_exchanges(void **state)
{
	struct rig *rig = *state;
	struct rig_request request = {.path = "/hang"};
	struct rig_client *client;
	struct rig_call *call;

	rig->snapshot->exchange.exchanges_max = 3;
	rig_start(rig);
	rig_service(rig, "orders", 1, INSTANCE_H2C);
	client = rig_client(rig, "outbound", true);
	for (int i = 0; i < 3; i++) {
		rig_call(client, &request);
	}
	call = rig_call(client, &request);
	RIG_UNTIL(rig, call->done);
	assert_int_equal(call->head->status, 503);
	check_record(rig, 503, REASON_overloaded);
	rig_wait(call);
	rig_client_close(client);
}

struct totals {
	uint64_t requests, failures, attempts, retries, in_flight;
};

static void add_totals(void *context, const struct stats_series *series)
{
	struct totals *totals = context;

	for (int protocol = 0; protocol < STATS_PROTOCOLS; protocol++) {
		for (int class = 0; class < STATS_CLASSES; class ++) {
			totals->requests += series->requests[protocol][class];
			totals->failures += class == 5 ? series->requests[protocol][class] : 0;
		}
	}
	for (int class = 0; class <= CLASS_CANCELLED; class ++) {
		totals->attempts += series->attempts[class];
	}
	totals->retries += series->retries[RETRY_STOP_NONE];
	totals->in_flight += series->in_flight;
}

static void numbers_add_up(void **state)
{
	struct rig *rig = *state;
	struct rig_request good = {.path = "/echo"};
	struct rig_request bad = {.path = "/status/503"};
	struct totals totals = {0};
	struct stats_walk walk = {.on_series = add_totals, .context = &totals};

	rig_start(rig);
	rig_service(rig, "orders", 2, INSTANCE_H2C);
	for (int i = 0; i < 3; i++) {
		rig_once(rig, "outbound", i % 2 == 0, &good);
	}
	rig_once(rig, "outbound", true, &bad);
	stats_walk(exchange_server_stats(rig->server), &walk);
	assert_int_equal(totals.requests, 4);
	assert_int_equal(totals.failures, 1);
	assert_int_equal(totals.attempts, 5);
	assert_int_equal(totals.retries, 1);
	assert_int_equal(totals.in_flight, 0);
	assert_int_equal(exchange_server_stats(rig->server)->overhead[0].count, 4);
}

/* MT-20: one instance after the other fails, and the callers do not multiply it. */
static void retries_have_a_budget(void **state)
{
	struct rig *rig = *state;
	struct rig_request request = {.path = "/status/503"};
	struct rig_client *client;
	bool refused = false;

	rig_start(rig);
	rig_service(rig, "orders", 4, INSTANCE_H2C);
	client = rig_client(rig, "outbound", true);
	for (int i = 0; i < 40; i++) {
		struct rig_call *call = rig_call(client, &request);

		rig_wait(call);
		assert_int_equal(call->head->status, 503);
	}
	for (int i = 0; i < 4; i++) {
		refused = refused || rig->origins[i].requests > 0;
	}
	assert_true(refused);
	assert_true(rig->origins[0].requests + rig->origins[1].requests + rig->origins[2].requests +
			    rig->origins[3].requests <=
		    40 + 20 + 8 + 10);
	rig_client_close(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_listener_may_belong_to_one_service, setup, teardown),
		cmocka_unit_test_setup_teardown(endpoints_come_first, setup, teardown),
		cmocka_unit_test_setup_teardown(endpoints_leave_records, setup, teardown),
		cmocka_unit_test_setup_teardown(in_process_clients, setup, teardown),
		cmocka_unit_test_setup_teardown(app_states, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_stale_connection_to_the_app_is_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(
			drain_serves_http1_and_refuses_http2, setup, teardown),
		cmocka_unit_test_setup_teardown(answers_in_each_form, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_deadlines, setup, teardown),
		cmocka_unit_test_setup_teardown(options_with_max_forwards, setup, teardown),
		cmocka_unit_test_setup_teardown(addresses_that_are_always_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(allowed_addresses_are_dialled, setup, teardown),
		cmocka_unit_test_setup_teardown(exchanges_keep_their_snapshot, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_stranger_holds_so_many_connections, setup, teardown),
		cmocka_unit_test_setup_teardown(too_many_exchanges, setup, teardown),
		cmocka_unit_test_setup_teardown(numbers_add_up, setup, teardown),
		cmocka_unit_test_setup_teardown(retries_have_a_budget, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
