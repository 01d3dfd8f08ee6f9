/* Connections over memory transports: SN-01..03, H1-39, MT-01, B-05, the ends. */
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "net/transport.h"
#include "upstream/connection_internal.h"

struct wire {
	struct fixture *fixture;
	struct connection *connection;
	struct transport *far; /* the test's end */
	uint8_t received[1 << 20];
	size_t received_size;
	ssize_t ended; /* IO_EOF or -errno once the far end saw it */
	unsigned streams, opened, closed;
	enum reason why;
	char detail[256];
	struct stream *stream;
	bool hold;
	bool no_credit;
	bool reset_stream;
	enum reason stream_why;
	size_t body_in;
	bool body_end;
	size_t answer_size;
};

/* Head and bytes, but not the end. */
static void wire_begin_answer(struct wire *wire, size_t size)
{
	struct stream *stream = wire->stream;
	struct arena arena;
	struct head head;
	uint8_t bytes[1000];

	wire->stream = NULL;
	arena_init(&arena);
	head_init(&head, &arena, HEAD_RESPONSE);
	head.status = 200;
	head.body = BODY_LENGTH;
	head.length = size;
	assert_int_equal(stream->codec->ops->send_head(stream, &head, size == 0), 0);
	memset(bytes, 'x', sizeof(bytes));
	for (size_t sent = 0; sent < size;) {
		size_t part = size - sent < sizeof(bytes) ? size - sent : sizeof(bytes);

		chain_append_copy(&stream->out, &wire->fixture->pool, bytes, part);
		sent += part;
	}
	arena_fini(&arena);
	if (size > 0) {
		stream->codec->ops->send_more(stream, false);
	}
}

static void wire_answer(struct wire *wire)
{
	struct stream *stream = wire->stream;

	wire_begin_answer(wire, wire->answer_size);
	if (wire->answer_size > 0) {
		stream->codec->ops->send_more(stream, true);
	}
	stream_reset(stream, REASON_ok);
}

static void wire_on_head(struct stream *stream, struct head *head, bool end)
{
	struct wire *wire = stream->owner;

	if (head->kind == HEAD_RESPONSE) {
		wire->body_end = end;
		return;
	}
	if (end && !wire->hold) {
		wire_answer(wire);
	}
}

static void wire_on_body(struct stream *stream, struct chain *body, bool end)
{
	struct wire *wire = stream->owner;
	size_t size = body->size;

	wire->body_in += size;
	wire->body_end = end;
	chain_clear(body);
	if (!wire->no_credit) {
		stream->codec->ops->credit(stream, size);
	}
	if (end && !stream->codec->client && !wire->hold) {
		wire_answer(wire);
	}
}

static void wire_on_sent(struct stream *stream, size_t n)
{
	(void)stream;
	(void)n;
}

static void wire_on_reset(struct stream *stream, enum reason why)
{
	struct wire *wire = stream->owner;

	wire->reset_stream = true;
	wire->stream_why = why;
	wire->stream = NULL;
	stream_reset(stream, why);
}

static const struct stream_ops wire_stream_ops = {
	.on_head = wire_on_head,
	.on_body = wire_on_body,
	.on_sent = wire_on_sent,
	.on_reset = wire_on_reset,
};

static void wire_on_stream(struct connection *connection, struct stream *stream)
{
	struct wire *wire = connection_owner(connection);

	wire->streams++;
	wire->stream = stream;
	stream->ops = &wire_stream_ops;
	stream->owner = wire;
	assert_ptr_equal(connection_of_stream(stream), connection);
}

static void wire_on_open(struct connection *connection)
{
	struct wire *wire = connection_owner(connection);

	wire->opened++;
	assert_true(connection_is_open(connection));
}

static void wire_on_change(struct connection *connection)
{
	assert_non_null(connection_codec(connection));
}

static void wire_on_closed(struct connection *connection, enum reason why, const char *detail)
{
	struct wire *wire = connection_owner(connection);

	wire->closed++;
	wire->why = why;
	snprintf(wire->detail, sizeof(wire->detail), "%s", detail ? detail : "");
	wire->connection = NULL;
}

static const struct connection_events wire_events = {
	.on_open = wire_on_open,
	.on_stream = wire_on_stream,
	.on_change = wire_on_change,
	.on_closed = wire_on_closed,
};

static void wire_far_ready(struct transport *transport, int mask)
{
	struct wire *wire = transport->owner;
	ssize_t n = transport_read(transport, wire->received + wire->received_size,
		sizeof(wire->received) - wire->received_size);

	(void)mask;
	if (n > 0) {
		wire->received_size += (size_t)n;
	} else if (n < 0) {
		wire->ended = n;
		transport_want(transport, 0);
	}
}

static struct wire *wire_create(struct fixture *fixture, bool client, bool h2, size_t capacity)
{
	struct wire *wire = mem_zalloc(sizeof(*wire));
	struct transport *near;
	struct connection_options options = {
		.loop = fixture->loop,
		.pool = &fixture->pool,
		.limits = &fixture->limits,
		.events = &wire_events,
		.owner = wire,
	};

	wire->fixture = fixture;
	wire->answer_size = 2;
	transport_mem_pair(fixture->loop, capacity, &near, &wire->far);
	wire->far->owner = wire;
	wire->far->on_ready = wire_far_ready;
	transport_want(wire->far, TRANSPORT_READ);
	wire->connection =
		client ? connection_adopt(&options, near, h2) : connection_accept(&options, near);
	assert_ptr_equal(connection_transport(wire->connection), near);
	return wire;
}

static void wire_destroy(struct wire *wire)
{
	struct fixture *fixture = wire->fixture;

	if (wire->connection) {
		connection_close(wire->connection, REASON_shutdown, false);
	}
	for (int i = 0; i < 5 && !wire->closed; i++) {
		fixture_turn(fixture, 1);
	}
	assert_int_equal(wire->closed, 1);
	if (wire->far) {
		transport_close(wire->far, false);
	}
	fixture_turn(fixture, 2);
	mem_free(wire);
}

#define wire_blocked(wire) ((wire)->connection->codec && (wire)->connection->codec->blocked)

static void wire_say(struct wire *wire, const char *text, size_t size)
{
	struct iovec vector = {(void *)(uintptr_t)text, size};

	assert_int_equal(transport_write(wire->far, &vector, 1), size);
}

static bool wire_heard(const struct wire *wire, const char *text)
{
	return memmem(wire->received, wire->received_size, text, strlen(text)) != NULL;
}

static const char request[] = "GET /a HTTP/1.1\r\nHost: orders\r\n\r\n";

static void test_h1_byte_by_byte(void **state)
{
	struct wire *wire = wire_create(*state, false, false, 4096);

	for (size_t i = 0; i < sizeof(request) - 1; i++) {
		wire_say(wire, request + i, 1);
		fixture_turn(*state, 2);
		assert_int_equal(wire->streams, i + 2 == sizeof(request) ? 1 : 0);
	}
	TURN_UNTIL(wire->fixture, wire_heard(wire, "\r\n\r\nxx"));
	assert_false(connection_codec(wire->connection)->h2);
	assert_int_equal(connection_written(wire->connection), wire->received_size);
	assert_int_equal(
		connection_written(wire->connection), connection_codec(wire->connection)->produced);
	/* B-06: an idle connection holds no block. */
	fixture_turn(*state, 3);
	assert_int_equal(wire->fixture->pool.live, 0);
	wire_destroy(wire);
}

static void test_h2_preface_byte_by_byte(void **state)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
	struct wire *wire = wire_create(*state, false, false, 65536);

	for (size_t i = 0; i < sizeof(preface) - 1; i++) {
		wire_say(wire, preface + i, 1);
		fixture_turn(*state, 2);
		if (i < 23) {
			assert_null(connection_codec(wire->connection));
		}
	}
	assert_true(connection_codec(wire->connection)->h2);
	TURN_UNTIL(wire->fixture, wire->received_size > 9);
	assert_int_equal(wire->received[3], 4); /* SETTINGS */
	wire_destroy(wire);
}

static void test_first_bytes_that_close(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
		bool end;
		enum reason why;
	} rows[] = {
		{"\x16\x03\x01", 3, false, REASON_tls_unexpected},
		{"", 0, true, REASON_downstream_closed},
		{"PRI * HT", 8, true, REASON_downstream_closed},
		{"GET / HT", 8, true, REASON_downstream_closed},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct wire *wire = wire_create(*state, false, false, 4096);

		if (rows[i].size > 0) {
			wire_say(wire, rows[i].bytes, rows[i].size);
		}
		if (rows[i].end) {
			assert_int_equal(transport_shutdown(wire->far), 0);
		}
		TURN_UNTIL(wire->fixture, wire->closed == 1);
		assert_int_equal(wire->why, rows[i].why);
		fixture_turn(*state, 2);
		assert_int_equal(wire->received_size, 0); /* without a byte */
		wire_destroy(wire);
	}
}

static void test_head_timeout_while_sniffing(void **state)
{
	struct fixture *fixture = *state;
	struct wire *wire;

	fixture->limits.head_timeout_ms = 20;
	wire = wire_create(fixture, false, false, 4096);
	wire_say(wire, "PRI", 3);
	TURN_UNTIL(fixture, wire->closed == 1);
	assert_int_equal(wire->why, REASON_head_timeout);
	wire_destroy(wire);
}

/* L-02: what was refused before an exchange existed is told, escaped; H1-39: then it lingers. */
static void test_refused_head_lingers(void **state)
{
	static const char bad[] = "GET / HTTP/1.1\r\nHo st: a\x01\r\n\r\n";
	struct wire *wire = wire_create(*state, false, false, 4096);

	wire_say(wire, bad, sizeof(bad) - 1);
	TURN_UNTIL(wire->fixture, wire->ended != 0);
	assert_int_equal(wire->ended, IO_EOF);
	assert_true(wire_heard(wire, "HTTP/1.1 400 "));
	assert_int_equal(wire->closed, 0); /* our side is shut, the rest is discarded */
	wire_say(wire, "more", 4);
	fixture_turn(*state, 3);
	assert_int_equal(wire->closed, 0);
	assert_int_equal(transport_shutdown(wire->far), 0);
	TURN_UNTIL(wire->fixture, wire->closed == 1);
	assert_int_equal(wire->why, REASON_bad_header);
	assert_non_null(strstr(wire->detail, "Ho st"));
	assert_non_null(strstr(wire->detail, "\\u0001"));
	assert_non_null(strstr(wire->detail, "\\u000D"));
	wire_destroy(wire);
}

static void test_lingering_is_bounded(void **state)
{
	struct wire *wire = wire_create(*state, false, false, 200000);
	static char bytes[8192];
	size_t said = 0;

	wire_say(wire, "\r\r\r\r", 4);
	TURN_UNTIL(wire->fixture, wire->ended == IO_EOF);
	memset(bytes, 'y', sizeof(bytes));
	while (said < (size_t)17 * 1024 * 1024 && wire->closed == 0) {
		wire_say(wire, bytes, sizeof(bytes));
		fixture_turn(*state, 2);
		said += sizeof(bytes);
	}
	TURN_UNTIL(wire->fixture, wire->closed == 1);
	/* A body of the usual size is taken whole before the answer could be lost. */
	assert_true(said >= (size_t)16 * 1024 * 1024);
	wire_destroy(wire);
}

/* A request that came whole, then half-closed: who closes before the answer does not wait.
 */
static void test_peer_leaves_during_exchange(void **state)
{
	struct wire *wire = wire_create(*state, false, false, 4096);

	wire->hold = true;
	wire_say(wire, request, sizeof(request) - 1);
	TURN_UNTIL(wire->fixture, wire->stream != NULL);
	transport_close(wire->far, true);
	wire->far = NULL;
	TURN_UNTIL(wire->fixture, wire->closed == 1);
	assert_true(wire->reset_stream);
	assert_int_equal(wire->stream_why, REASON_downstream_reset);
	assert_int_equal(wire->why, REASON_downstream_reset);
	wire_destroy(wire);
}

static const char upload[] = "POST /a HTTP/1.1\r\nHost: orders\r\nContent-Length: 1000000\r\n\r\n";

/* Bytes of a body until nothing more is taken: reading pauses, some of them are unread. */
static void wire_fill(struct wire *wire)
{
	static const char bytes[4096];
	unsigned idle = 0;

	while (idle < 20) {
		struct iovec vector = {(void *)(uintptr_t)bytes, sizeof(bytes)};
		ssize_t n = transport_write(wire->far, &vector, 1);

		assert_true(n >= 0);
		idle = n > 0 ? 0 : idle + 1;
		fixture_turn(wire->fixture, 1);
	}
	assert_int_equal(transport_peek(connection_transport(wire->connection)), 1);
	assert_int_equal(connection_transport(wire->connection)->wanted & TRANSPORT_READ, 0);
}

/* X-09, C-12: a client is gone whether or not what it sent before was read. */
static void test_peer_leaves_while_reading_pauses(void **state)
{
	static const struct {
		bool close, reset;
		enum reason why;
	} rows[] = {
		{false, false, REASON_downstream_truncated},
		{true, false, REASON_downstream_truncated},
		{true, true, REASON_downstream_reset},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct wire *wire = wire_create(*state, false, false, 4096);

		wire->no_credit = true;
		wire_say(wire, upload, sizeof(upload) - 1);
		wire_fill(wire);
		assert_false(wire->reset_stream);
		if (rows[i].close) {
			transport_close(wire->far, rows[i].reset);
			wire->far = NULL;
		} else {
			assert_int_equal(transport_shutdown(wire->far), 0);
		}
		TURN_UNTIL(wire->fixture, wire->closed == 1);
		assert_true(wire->reset_stream);
		assert_int_equal(wire->stream_why, rows[i].why);
		assert_int_equal(wire->why, rows[i].why);
		wire_destroy(wire);
	}
}

/* An end while bytes wait for credit is told too, here by our own close. */
static void test_close_while_bytes_wait_for_credit(void **state)
{
	struct wire *wire = wire_create(*state, false, false, 200000);

	wire->no_credit = true;
	wire_say(wire, upload, sizeof(upload) - 1);
	for (int i = 0; i < 20; i++) {
		static const char bytes[4096];

		wire_say(wire, bytes, sizeof(bytes));
	}
	TURN_UNTIL(wire->fixture, wire->body_in == wire->fixture->limits.h2_stream_window);
	fixture_turn(*state, 3);
	assert_true(connection_codec(wire->connection)->in.size > 0);
	connection_close(wire->connection, REASON_drain_cut, true);
	TURN_UNTIL(wire->fixture, wire->closed == 1);
	assert_true(wire->reset_stream);
	wire_destroy(wire);
}

/* connection_close tells every open stream before on_closed, and the peer sees what was asked for.
 */
static void test_close_with_open_stream(void **state)
{
	for (int reset = 0; reset < 2; reset++) {
		struct wire *wire = wire_create(*state, false, false, 4096);

		wire->hold = true;
		wire_say(wire, request, sizeof(request) - 1);
		TURN_UNTIL(wire->fixture, wire->stream != NULL);
		connection_close(wire->connection, REASON_drain_cut, reset != 0);
		connection_close(wire->connection, REASON_ok, false); /* the first one wins */
		assert_int_equal(wire->closed, 0);
		TURN_UNTIL(wire->fixture, wire->closed == 1);
		assert_true(wire->reset_stream);
		assert_int_equal(wire->why, REASON_drain_cut);
		TURN_UNTIL(wire->fixture, wire->ended != 0);
		assert_int_equal(wire->ended, reset ? -ECONNRESET : IO_EOF);
		wire_destroy(wire);
	}
}

/* B-05: a slow reader fills the bounded queue, not more; then everything arrives. */
static void test_slow_reader(void **state)
{
	struct wire *wire = wire_create(*state, false, false, 4096);

	wire->answer_size = 600000;
	transport_want(wire->far, 0);
	wire_say(wire, request, sizeof(request) - 1);
	fixture_turn(*state, 20);
	assert_true(wire->connection->out.size > 0);
	assert_true(wire->connection->out.size <= CONNECTION_OUT_MAX + 2 * BLOCK_SIZE);
	assert_int_equal(connection_written(wire->connection), 4096);
	transport_mem_throttle(wire->far, 1000);
	transport_want(wire->far, TRANSPORT_READ);
	TURN_UNTIL(wire->fixture, wire->received_size > 600000);
	fixture_turn(*state, 5);
	assert_int_equal(connection_written(wire->connection), wire->received_size);
	assert_int_equal(wire->closed, 0); /* kept alive */
	wire_say(wire, request, sizeof(request) - 1);
	TURN_UNTIL(wire->fixture, wire->streams == 2);
	wire_destroy(wire);
}

/* The deadline has come, whatever the clock says. */
static void wire_expire_flush(struct wire *wire)
{
	wire->connection->flush_deadline_ms = loop_now_ms(wire->fixture->loop);
	connection_arm(wire->connection);
}

/* T-10: an answer that is complete here and that the peer does not take. */
static void test_flush_timeout(void **state)
{
	struct wire *wire = wire_create(*state, false, false, 4096);

	wire->answer_size = 100000;
	transport_want(wire->far, 0);
	wire_say(wire, request, sizeof(request) - 1);
	TURN_UNTIL(wire->fixture, wire_blocked(wire));
	assert_true(wire->connection->flush_deadline_ms < CONNECTION_NEVER);
	wire_expire_flush(wire);
	TURN_UNTIL(wire->fixture, wire->closed == 1);
	assert_int_equal(wire->why, REASON_flush_timeout);
	transport_want(wire->far, TRANSPORT_READ);
	TURN_UNTIL(wire->fixture, wire->ended != 0);
	assert_int_equal(wire->ended, -ECONNRESET);
	wire_destroy(wire);
}

/* T-10 also runs when the stream ended after the transport had become full. */
static void test_flush_timeout_of_a_late_end(void **state)
{
	struct wire *wire = wire_create(*state, false, false, 4096);
	struct stream *stream;

	wire->hold = true;
	transport_want(wire->far, 0);
	wire_say(wire, request, sizeof(request) - 1);
	TURN_UNTIL(wire->fixture, wire->stream != NULL);
	stream = wire->stream;
	wire_begin_answer(wire, 100000);
	TURN_UNTIL(wire->fixture, wire_blocked(wire));
	assert_int_equal(wire->connection->flush_deadline_ms, CONNECTION_NEVER);
	stream->codec->ops->send_more(stream, true);
	stream_reset(stream, REASON_ok);
	TURN_UNTIL(wire->fixture, wire->connection->flush_deadline_ms < CONNECTION_NEVER);
	transport_want(wire->far, TRANSPORT_READ);
	TURN_UNTIL(wire->fixture, wire->received_size > 100000);
	fixture_turn(*state, 5);
	assert_int_equal(wire->connection->flush_deadline_ms, CONNECTION_NEVER);
	wire_destroy(wire);
}

/* T-10: a full buffer takes nothing, but the peer reads it: only silence is cut. */
static void test_a_slow_reader_is_no_stuck_flush(void **state)
{
	struct wire *wire = wire_create(*state, false, false, 4096);
	uint8_t bytes[1000];

	wire->answer_size = 100000;
	transport_want(wire->far, 0);
	transport_mem_low_water(connection_transport(wire->connection), 4096);
	wire_say(wire, request, sizeof(request) - 1);
	TURN_UNTIL(wire->fixture, wire_blocked(wire));
	assert_int_equal(wire->connection->flush_owed, 4096);
	for (size_t owed = 3096; owed > 1000; owed -= sizeof(bytes)) {
		assert_int_equal(transport_read(wire->far, bytes, sizeof(bytes)), sizeof(bytes));
		wire_expire_flush(wire);
		TURN_UNTIL(wire->fixture, wire->connection->flush_owed == owed);
		fixture_turn(*state, 5);
		assert_true(wire->closed == 0 && wire_blocked(wire));
	}
	wire_expire_flush(wire);
	TURN_UNTIL(wire->fixture, wire->closed == 1);
	assert_int_equal(wire->why, REASON_flush_timeout);
	wire_destroy(wire);
}

/* T-10 holds for HTTP/2 too: a stream that only waits for a peer that takes nothing. */
static void test_flush_timeout_of_h2(void **state)
{
	static const char bytes[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
				    "\0\0\0\4\1\0\0\0\0\0\0\6\1\5\0\0\0\1\x82\x86\x84\x41\1a";
	struct wire *wire = wire_create(*state, false, false, 4096);
	struct stream *stream;

	wire->hold = true;
	wire->connection->out_max = 8192;
	transport_want(wire->far, 0);
	wire_say(wire, bytes, sizeof(bytes) - 1);
	TURN_UNTIL(wire->fixture, wire->stream != NULL);
	stream = wire->stream;
	wire_begin_answer(wire, 50000);
	TURN_UNTIL(wire->fixture, wire_blocked(wire));
	assert_int_equal(wire->connection->flush_deadline_ms, CONNECTION_NEVER);
	stream->codec->ops->send_more(stream, true);
	stream_reset(stream, REASON_ok);
	TURN_UNTIL(wire->fixture, wire->connection->flush_deadline_ms < CONNECTION_NEVER);
	wire_expire_flush(wire);
	TURN_UNTIL(wire->fixture, wire->closed == 1);
	assert_int_equal(wire->why, REASON_flush_timeout);
	wire_destroy(wire);
}

static void test_pipelined_requests(void **state)
{
	struct wire *wire = wire_create(*state, false, false, 65536);
	char bytes[3 * sizeof(request)];

	snprintf(bytes, sizeof(bytes), "%s%s%s", request, request, request);
	wire_say(wire, bytes, strlen(bytes));
	TURN_UNTIL(wire->fixture, wire->streams == 3);
	fixture_turn(*state, 5);
	assert_int_equal(wire->closed, 0);
	connection_drain(wire->connection);
	TURN_UNTIL(wire->fixture, wire->ended == IO_EOF);
	assert_int_equal(transport_shutdown(wire->far), 0);
	TURN_UNTIL(wire->fixture, wire->closed == 1);
	assert_int_equal(wire->why, REASON_ok);
	wire_destroy(wire);
}

static void wire_request(struct wire *wire)
{
	struct codec *codec = connection_codec(wire->connection);
	struct arena arena;
	struct head head;

	wire->stream = codec->ops->open(codec);
	assert_non_null(wire->stream);
	wire->stream->ops = &wire_stream_ops;
	wire->stream->owner = wire;
	arena_init(&arena);
	head_init(&head, &arena, HEAD_REQUEST);
	head_set_method(&head, METHOD_POST, slice_make(NULL, 0));
	head.scheme = SLICE("http");
	head.authority = SLICE("orders");
	head.path = SLICE("/");
	head.body = BODY_LENGTH;
	head.length = 100000;
	assert_int_equal(codec->ops->send_head(wire->stream, &head, false), 0);
	arena_fini(&arena);
}

/* MT-01: a head of which the transport took only a part cannot have been understood. */
static void test_client_counts_written_bytes(void **state)
{
	struct wire *wire = wire_create(*state, true, false, 10);

	TURN_UNTIL(wire->fixture, wire->opened == 1);
	transport_want(wire->far, 0);
	wire_request(wire);
	fixture_turn(*state, 4);
	assert_int_equal(connection_written(wire->connection), 10);
	assert_int_equal(wire->stream->head_begin, 0);
	assert_true(wire->stream->head_end > 10);
	transport_want(wire->far, TRANSPORT_READ);
	TURN_UNTIL(wire->fixture, connection_written(wire->connection) >= wire->stream->head_end);
	transport_close(wire->far, true);
	wire->far = NULL;
	TURN_UNTIL(wire->fixture, wire->closed == 1);
	assert_true(wire->reset_stream);
	assert_int_equal(wire->stream_why, REASON_upstream_reset);
	wire_destroy(wire);
}

/* C-12: an upstream that takes nothing is told at once that nobody waits for it. */
static void test_a_cancelled_request_is_reset(void **state)
{
	static const char bytes[50000];
	struct wire *wire = wire_create(*state, true, false, 4096);

	TURN_UNTIL(wire->fixture, wire->opened == 1);
	transport_want(wire->far, 0);
	wire_request(wire);
	chain_append_copy(&wire->stream->out, &wire->fixture->pool, bytes, sizeof(bytes));
	wire->stream->codec->ops->send_more(wire->stream, false);
	TURN_UNTIL(wire->fixture, wire_blocked(wire));
	assert_true(wire->connection->out.size > 0);
	stream_reset(wire->stream, REASON_downstream_reset);
	connection_close(wire->connection, REASON_ok, false);
	TURN_UNTIL(wire->fixture, wire->closed == 1);
	transport_want(wire->far, TRANSPORT_READ);
	TURN_UNTIL(wire->fixture, wire->ended != 0);
	assert_int_equal(wire->ended, -ECONNRESET);
	wire_destroy(wire);
}

/* An upstream ends behind bytes that we could not read yet: that is no failure. */
static void test_upstream_ends_while_reading_pauses(void **state)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\n\r\n";
	struct wire *wire = wire_create(*state, true, false, 4096);
	size_t credited;

	wire->no_credit = true;
	TURN_UNTIL(wire->fixture, wire->opened == 1);
	wire_request(wire);
	TURN_UNTIL(wire->fixture, wire->received_size > 20);
	wire_say(wire, answer, sizeof(answer) - 1);
	wire_fill(wire);
	assert_int_equal(transport_shutdown(wire->far), 0);
	fixture_turn(*state, 5);
	assert_false(wire->reset_stream || wire->body_end);
	wire->no_credit = false;
	credited = wire->body_in;
	wire->stream->codec->ops->credit(wire->stream, credited);
	TURN_UNTIL(wire->fixture, wire->body_end);
	assert_true(wire->body_in > credited);
	assert_false(wire->reset_stream);
	stream_reset(wire->stream, REASON_ok);
	TURN_UNTIL(wire->fixture, wire->closed == 1);
	wire_destroy(wire);
}

/* H1-35: an early answer is delivered although the rest of the request could not be sent. */
static void test_early_answer_before_reset(void **state)
{
	static const char answer[] = "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno";
	struct wire *wire = wire_create(*state, true, false, 65536);

	TURN_UNTIL(wire->fixture, wire->opened == 1);
	wire_request(wire);
	TURN_UNTIL(wire->fixture, wire->received_size > 20);
	wire_say(wire, answer, sizeof(answer) - 1);
	assert_int_equal(transport_shutdown(wire->far), 0);
	TURN_UNTIL(wire->fixture, wire->body_end);
	assert_int_equal(wire->body_in, 2);
	assert_false(wire->reset_stream);
	stream_reset(wire->stream, REASON_ok);
	TURN_UNTIL(wire->fixture, wire->closed == 1);
	wire_destroy(wire);
}

/* Usable only after the peer's SETTINGS, and not a byte earlier. */
static void test_h2_client_waits_for_settings(void **state)
{
	static const char settings[] = "\0\0\6\4\0\0\0\0\0\0\3\0\0\0\1";
	struct wire *wire = wire_create(*state, true, true, 65536);

	for (size_t i = 0; i < sizeof(settings) - 1; i++) {
		assert_int_equal(wire->opened, 0);
		wire_say(wire, settings + i, 1);
		fixture_turn(*state, 3);
	}
	assert_int_equal(wire->opened, 1);
	assert_int_equal(connection_codec(wire->connection)
				 ->ops->spare_streams(connection_codec(wire->connection)),
		1);
	wire_destroy(wire);
}

static void test_h2_client_meets_end_early(void **state)
{
	struct wire *wire = wire_create(*state, true, true, 65536);

	fixture_turn(*state, 2);
	assert_int_equal(transport_shutdown(wire->far), 0);
	TURN_UNTIL(wire->fixture, wire->closed == 1);
	assert_int_equal(wire->opened, 0);
	assert_int_equal(wire->why, REASON_upstream_closed);
	wire_destroy(wire);
}

static void test_drain_before_anything(void **state)
{
	struct wire *wire = wire_create(*state, false, false, 4096);

	connection_drain(wire->connection);
	TURN_UNTIL(wire->fixture, wire->closed == 1);
	wire_destroy(wire);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		ROW(test_h1_byte_by_byte),
		ROW(test_h2_preface_byte_by_byte),
		ROW(test_first_bytes_that_close),
		ROW(test_head_timeout_while_sniffing),
		ROW(test_refused_head_lingers),
		ROW(test_lingering_is_bounded),
		ROW(test_peer_leaves_during_exchange),
		ROW(test_peer_leaves_while_reading_pauses),
		ROW(test_close_while_bytes_wait_for_credit),
		ROW(test_close_with_open_stream),
		ROW(test_slow_reader),
		ROW(test_flush_timeout),
		ROW(test_flush_timeout_of_a_late_end),
		ROW(test_a_slow_reader_is_no_stuck_flush),
		ROW(test_flush_timeout_of_h2),
		ROW(test_pipelined_requests),
		ROW(test_client_counts_written_bytes),
		ROW(test_a_cancelled_request_is_reset),
		ROW(test_upstream_ends_while_reading_pauses),
		ROW(test_early_answer_before_reset),
		ROW(test_h2_client_waits_for_settings),
		ROW(test_h2_client_meets_end_early),
		ROW(test_drain_before_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
