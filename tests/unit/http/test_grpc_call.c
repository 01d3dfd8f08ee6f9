/* Calls on both sides, once over the in-process pair and once over two HTTP/2 codecs (W-16). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "http/grpc.h"
#include "http/h2.h"
#include "http/local.h"

struct line {
	bool h2;
	struct block_pool pool;
	struct http_limits limits;
	struct codec *client; /* of the local pair: both */
	struct codec *server;
	struct chain to_server;
	struct chain to_client;
	struct grpc_call call;	/* the client's */
	struct grpc_call other; /* the server's */
	struct grpc_call_options options;
	struct buf log;
	struct stream *raw; /* the server's stream, where a test plays the server by hand */
	bool by_hand;
	bool echo;
	int finish_status; /* the server finishes at half-close; -1: not */
};

static const char *name_of(const struct grpc_call *call)
{
	return call->server ? "server" : "client";
}

static void on_message(struct grpc_call *call, struct slice message)
{
	struct line *line = call->owner;

	if (message.size > 40) {
		buf_appendf(&line->log, "%s got %zu bytes;", name_of(call), message.size);
	} else {
		buf_appendf(&line->log, "%s got %.*s;", name_of(call), (int)message.size,
			(const char *)message.data);
	}
	if (call->server && line->echo) {
		assert_int_equal(grpc_call_send(call, message), 0);
	}
}

static void on_half_close(struct grpc_call *call)
{
	struct line *line = call->owner;

	buf_appendf(&line->log, "%s half-closed;", name_of(call));
	if (call->server && line->finish_status >= 0) {
		grpc_call_finish(call, line->finish_status, SLICE("done \xc3\xa9%"));
	}
}

static void on_closed(struct grpc_call *call, int status, struct slice text)
{
	struct line *line = call->owner;

	buf_appendf(&line->log, "%s closed %d %.*s;", name_of(call), status, (int)text.size,
		(const char *)text.data);
	grpc_call_fini(call);
}

static void on_drained(struct grpc_call *call)
{
	struct line *line = call->owner;

	buf_appendf(&line->log, "%s drained;", name_of(call));
}

static const struct grpc_call_ops call_ops = {on_message, on_half_close, on_closed, on_drained};

/* A server played by hand only looks. */
static void raw_head(struct stream *stream, struct head *head, bool end)
{
	struct line *line = stream->codec->owner;

	if (line->by_hand) {
		return;
	}
	assert_true(head_is_grpc(head));
	assert_true(head->te_trailers);
	assert_true(slice_equal(head->path, SLICE("/pillion.v1.T/M")));
	assert_true(slice_equal(head->authority, SLICE("a")));
	assert_true(slice_equal(head_find_name(head, SLICE("x-extra"))->value, SLICE("1")));
	assert_int_equal(stream->ended_in, end);
	grpc_call_accept(&line->other, stream, &line->options);
}

static void raw_body(struct stream *stream, struct chain *body, bool end)
{
	(void)end;
	stream->codec->ops->credit(stream, body->size);
}

static void raw_sent(struct stream *stream, size_t n)
{
	assert_true(stream->sent >= n);
}

static void raw_reset(struct stream *stream, enum reason why)
{
	struct line *line = stream->codec->owner;

	buf_appendf(&line->log, "raw reset %s %u;", reason_word(why), stream->h2_error);
	line->raw = NULL;
	stream_reset(stream, why);
}

static const struct stream_ops raw_ops = {raw_head, raw_body, raw_sent, raw_reset};

static void on_stream(struct codec *codec, struct stream *stream)
{
	struct line *line = codec->owner;

	line->raw = stream;
	stream->ops = &raw_ops;
}

static void on_change(struct codec *codec)
{
	assert_non_null(codec);
}

static const struct codec_events events = {.on_stream = on_stream, .on_change = on_change};

static void run_h2(struct line *line)
{
	for (int i = 0; i < 1000; i++) {
		if (line->client->has_output) {
			line->client->ops->produce(line->client, &line->to_server, 65536);
		}
		if (line->server->has_output) {
			line->server->ops->produce(line->server, &line->to_client, 65536);
		}
		if (line->to_server.size + line->to_client.size == 0) {
			return;
		}
		chain_move(&line->server->in, &line->to_server);
		chain_move(&line->client->in, &line->to_client);
		line->server->ops->receive(line->server, false, 0);
		line->client->ops->receive(line->client, false, 0);
	}
	fail_msg("no end");
}

static const char *run(struct line *line)
{
	if (line->h2) {
		run_h2(line);
	} else {
		for (int i = 0; i < 1000 && line->client->again; i++) {
			line->client->ops->receive(line->client, false, 0);
		}
	}
	return buf_string(&line->log);
}

static void line_init(struct line *line, bool h2)
{
	struct codec_options options;

	memset(line, 0, sizeof(*line));
	line->h2 = h2;
	line->finish_status = 0;
	block_pool_init(&line->pool, 4);
	http_limits_default(&line->limits);
	buf_init(&line->log);
	chain_init(&line->to_server);
	chain_init(&line->to_client);
	options = (struct codec_options){.events = &events,
		.owner = line,
		.pool = &line->pool,
		.limits = &line->limits,
		.client = true};
	if (h2) {
		line->client = h2_create(&options);
		options.client = false;
		line->server = h2_create(&options);
		run(line);
	} else {
		line->client = local_create(&options);
	}
	line->options = (struct grpc_call_options){
		.ops = &call_ops, .owner = line, .message_max = 100000, .queue_max = 1000};
}

static void line_fini(struct line *line)
{
	grpc_call_fini(&line->call);
	grpc_call_fini(&line->other);
	run(line);
	if (line->by_hand && line->raw) {
		stream_reset(line->raw, REASON_shutdown);
	}
	run(line);
	chain_fini(&line->to_server);
	chain_fini(&line->to_client);
	line->client->ops->destroy(line->client);
	if (line->server) {
		line->server->ops->destroy(line->server);
	}
	buf_fini(&line->log);
	block_pool_fini(&line->pool);
}

static void open_call(struct line *line)
{
	static const struct field extra[] = {
		{{(const uint8_t *)"x-extra", 7}, {(const uint8_t *)"1", 1}, 0, false}};
	struct grpc_request request = {.path = SLICE("/pillion.v1.T/M"),
		.authority = SLICE("a"),
		.extra = extra,
		.extra_count = 1};

	assert_int_equal(grpc_call_open(&line->call, line->client, &request, &line->options), 0);
}

static void bidirectional(struct line *line)
{
	line->echo = true;
	open_call(line);
	assert_int_equal(grpc_call_send(&line->call, SLICE("one")), 0);
	assert_int_equal(grpc_call_send(&line->call, SLICE("")), 0);
	run(line);
	assert_string_equal(
		buf_string(&line->log), "server got one;server got ;client got one;client got ;");
	buf_clear(&line->log);
	assert_int_equal(grpc_call_send(&line->call, SLICE("two")), 0);
	grpc_call_finish(&line->call, 0, SLICE(""));
	assert_int_equal(grpc_call_send(&line->call, SLICE("three")), -EPIPE);
	run(line);
	assert_string_equal(buf_string(&line->log),
		"server got two;server half-closed;server closed 0 done \xc3\xa9%;"
		"client got two;client closed 0 done \xc3\xa9%;");
	assert_true(line->call.closed && line->other.closed);
	assert_int_equal(grpc_call_send(&line->call, SLICE("x")), -EPIPE);
	assert_int_equal(line->client->streams_active, 0);
}

static void no_messages(struct line *line)
{
	line->finish_status = 5;
	open_call(line);
	grpc_call_finish(&line->call, 0, SLICE(""));
	assert_string_equal(run(line), "server half-closed;server closed 5 done \xc3\xa9%;client "
				       "closed 5 done \xc3\xa9%;");
}

static void large_message(struct line *line)
{
	uint8_t *bytes = mem_zalloc(100001);

	line->options.queue_max = 300000;
	line->echo = true;
	open_call(line);
	assert_int_equal(grpc_call_send(&line->call, slice_make(bytes, 100000)), 0);
	assert_string_equal(run(line), "server got 100000 bytes;client got 100000 bytes;");
	/* One byte more than message_max: the server says so at the prefix. */
	buf_clear(&line->log);
	assert_int_equal(grpc_call_send(&line->call, slice_make(bytes, 100001)), 0);
	run(line);
	assert_non_null(strstr(buf_string(&line->log), "server closed 8 message too large;"));
	assert_non_null(strstr(buf_string(&line->log), "client closed 8 message too large;"));
	mem_free(bytes);
}

static void queue_bound(struct line *line)
{
	uint8_t bytes[195] = {0};

	line->finish_status = -1;
	open_call(line);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(grpc_call_send(&line->call, slice_make(bytes, 195)), 0);
	}
	assert_int_equal(grpc_call_queued(&line->call), 1000);
	assert_int_equal(grpc_call_send(&line->call, slice_make(bytes, 0)), -ENOBUFS);
	assert_int_equal(grpc_call_queued(&line->call), 1000);
	run(line);
	assert_non_null(strstr(buf_string(&line->log), "client drained;"));
	assert_int_equal(grpc_call_send(&line->call, slice_make(bytes, 0)), 0);
}

/* A paused reader gets at most a window, then the rest when it goes on. */
static void pause(struct line *line)
{
	uint8_t *bytes = mem_zalloc(20000);
	size_t queued;

	line->options.queue_max = 1000000;
	line->finish_status = -1;
	open_call(line);
	run(line);
	grpc_call_pause(&line->other, true);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(grpc_call_send(&line->call, slice_make(bytes, 20000)), 0);
	}
	run(line);
	queued = grpc_call_queued(&line->call);
	assert_int_equal(queued, 10 * 20005 - 65535);
	assert_string_equal(buf_string(&line->log),
		"server got 20000 bytes;server got 20000 bytes;server got 20000 bytes;");
	grpc_call_pause(&line->other, false);
	run(line);
	assert_int_equal(grpc_call_queued(&line->call), 0);
	mem_free(bytes);
}

static void client_cancels(struct line *line)
{
	open_call(line);
	assert_int_equal(grpc_call_send(&line->call, SLICE("x")), 0);
	run(line);
	buf_clear(&line->log);
	grpc_call_fini(&line->call);
	grpc_call_fini(&line->call);
	assert_string_equal(run(line), "server closed 1 downstream_reset;");
}

static void server_cancels(struct line *line)
{
	open_call(line);
	run(line);
	buf_clear(&line->log);
	grpc_call_fini(&line->other);
	assert_string_equal(run(line), "client closed 1 upstream_reset;");
}

/* The server ends first: the client still hears the status (GR-08). */
static void server_ends_first(struct line *line)
{
	line->finish_status = -1;
	open_call(line);
	run(line);
	buf_clear(&line->log);
	assert_int_equal(grpc_call_send(&line->other, SLICE("last")), 0);
	grpc_call_finish(&line->other, 9, SLICE("early"));
	assert_string_equal(
		run(line), "server closed 9 early;client got last;client closed 9 early;");
	assert_int_equal(line->client->streams_active, 0);
}

/* What a server that is not one of ours may answer. */
static void strange_answers(struct line *line)
{
	static const struct {
		uint16_t status;
		const char *grpc_status; /* NULL: none */
		const char *message;
		struct slice body;
		bool trailers;
		const char *log;
	} rows[] = {
		{200, "0", "", SLICE("\0\0\0\0\1a"), true, "client got a;client closed 0 ;"},
		{200, "0", "", SLICE("\0\0\0\0\2a"), true,
			"client closed 13 the response ended inside a message;"},
		{200, NULL, "", SLICE("\0\0\0\0\1a"), true, "client got a;client closed 2 ;"},
		{200, NULL, "", SLICE("\0\0\0\0\1a"), false,
			"client got a;client closed 2 no status came;"},
		{200, "x", "", SLICE(""), true, "client closed 2 ;"},
		{200, "99", "a%20%C3%A9%zz%4", SLICE(""), true,
			"client closed 99 a \xc3\xa9%zz%4;"},
		{200, "7", "no", SLICE(""), false, "client closed 7 no;"}, /* Trailers-Only */
		{503, NULL, "", SLICE(""), false, "client closed 14 ;"},
		{404, NULL, "", SLICE("page"), false,
			"client closed 12 HTTP status that is not 200;"},
		{200, "0", "", SLICE("\1\0\0\0\0"), true, "client closed 13 compressed message;"},
		{200, "0", "", SLICE("\2\0\0\0\0"), true, "client closed 13 broken message frame;"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct stream *raw;
		struct head head;
		struct head *ending = &head;
		bool alone = rows[i].body.size == 0 && !rows[i].trailers;
		bool late;

		line->by_hand = true;
		buf_clear(&line->log);
		open_call(line);
		run(line);
		raw = line->raw;
		head_init(&head, &raw->arena, HEAD_RESPONSE);
		head.status = rows[i].status;
		head.body = BODY_UNKNOWN;
		if (alone && rows[i].grpc_status) {
			head_add(&head, SLICE("grpc-status"),
				slice_from_string(rows[i].grpc_status));
			head_add(&head, SLICE("grpc-message"), slice_from_string(rows[i].message));
		}
		assert_int_equal(raw->codec->ops->send_head(raw, &head, alone), 0);
		late = !alone;
		if (late) {
			chain_append_copy(
				&raw->out, &line->pool, rows[i].body.data, rows[i].body.size);
			raw->codec->ops->send_more(raw, !rows[i].trailers);
		}
		if (rows[i].trailers) {
			head_init(ending, &raw->arena, HEAD_TRAILERS);
			head_add(ending, SLICE("x"), SLICE("y"));
			if (rows[i].grpc_status) {
				head_add(ending, SLICE("grpc-status"),
					slice_from_string(rows[i].grpc_status));
				head_add(ending, SLICE("grpc-message"),
					slice_from_string(rows[i].message));
			}
			assert_int_equal(raw->codec->ops->send_head(raw, ending, true), 0);
		}
		line->raw = NULL;
		stream_reset(raw, REASON_ok);
		print_message("%zu\n", i);
		assert_string_equal(run(line), rows[i].log);
		assert_true(line->call.closed);
	}
}

/* GR-09: codes of a reset before any trailer. */
static void reset_status(struct line *line)
{
	static const struct {
		enum reason why;
		const char *log;
	} rows[] = {{REASON_h2_refused, "client closed 14 refused_stream;"},
		{REASON_internal_error, "client closed 13 upstream_reset;"},
		{REASON_deadline_exceeded, "client closed 1 upstream_reset;"}};

	line->by_hand = true;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct stream *raw;

		buf_clear(&line->log);
		open_call(line);
		run(line);
		raw = line->raw;
		line->raw = NULL;
		stream_reset(raw, rows[i].why);
		assert_string_equal(run(line), rows[i].log);
	}
}

static void broken_requests(struct line *line)
{
	static const struct {
		struct slice body;
		const char *log;
	} rows[] = {
		{SLICE("\1\0\0\0\1a"), "server closed 13 compressed message;"},
		{SLICE("\3\0\0\0\1a"), "server closed 13 broken message frame;"},
		{SLICE("\0\0\0\0\2a"), "server closed 13 the stream ended inside a message;"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct stream *stream;

		buf_clear(&line->log);
		open_call(line);
		stream = line->call.stream;
		chain_append_copy(&stream->out, &line->pool, rows[i].body.data, rows[i].body.size);
		grpc_call_finish(&line->call, 0, SLICE(""));
		run(line);
		assert_non_null(strstr(buf_string(&line->log), rows[i].log));
		assert_non_null(strstr(buf_string(&line->log), "client closed 13"));
	}
}

static void twice(void (*scene)(struct line *line))
{
	for (int h2 = 0; h2 < 2; h2++) {
		struct line *line = mem_alloc(sizeof(*line));

		line_init(line, h2);
		scene(line);
		line_fini(line);
		mem_free(line);
	}
}

#define SCENE(name)                                                                                \
	static void test_##name(void **state)                                                      \
	{                                                                                          \
		(void)state;                                                                       \
		twice(name);                                                                       \
	}

SCENE(bidirectional)
SCENE(no_messages)
SCENE(large_message)
SCENE(queue_bound)
SCENE(pause)
SCENE(client_cancels)
SCENE(server_cancels)
SCENE(server_ends_first)
SCENE(strange_answers)
SCENE(reset_status)
SCENE(broken_requests)

/* No spare stream, and a codec that lost its connection. */
static void refused_open(void **state)
{
	struct grpc_request request = {.path = SLICE("/a"), .authority = SLICE("a")};
	struct line line;

	(void)state;
	line_init(&line, true);
	line.limits.h2_streams = 1;
	line.finish_status = -1;
	open_call(&line);
	assert_int_equal(
		grpc_call_open(&line.other, line.client, &request, &line.options), -EAGAIN);
	run(&line);
	line.client->ops->receive(line.client, true, 0);
	assert_non_null(strstr(buf_string(&line.log), "client closed 2 upstream_truncated;"));
	line_fini(&line);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bidirectional),
		cmocka_unit_test(test_no_messages),
		cmocka_unit_test(test_large_message),
		cmocka_unit_test(test_queue_bound),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_client_cancels),
		cmocka_unit_test(test_server_cancels),
		cmocka_unit_test(test_server_ends_first),
		cmocka_unit_test(test_strange_answers),
		cmocka_unit_test(test_reset_status),
		cmocka_unit_test(test_broken_requests),
		cmocka_unit_test(refused_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
