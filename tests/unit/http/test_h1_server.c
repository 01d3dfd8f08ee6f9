#include <stdio.h>
#include <stdlib.h>

#include "../base/test_main.h"
#include "h1_peer.h"
#include "h1_rows.h"

/* What one feeding showed, as the verdict column has it. */
static void server_verdict(struct h1_peer *peer, struct buf *ret_text)
{
	struct buf output;
	const char *text;
	const char *reason;

	buf_init(&output);
	text = h1_peer_output(peer, &output);
	reason = strstr(text, "\"reason\":\"");
	buf_append_string(ret_text, h1_peer_log(peer));
	if (reason != NULL) {
		const char *line = reason;
		const char *word = reason + strlen("\"reason\":\"");

		while (line > text && strncmp(line, "HTTP/1.1 ", 9) != 0) {
			line--;
		}
		buf_appendf(ret_text, "%s!%.3s %.*s", ret_text->size > 0 ? " " : "", line + 9,
			(int)strcspn(word, "\""), word);
		/* RE-08, H1-39 */
		assert_true(peer->codec->closing);
		assert_non_null(strstr(line, "Connection: close\r\n"));
		assert_string_equal(
			reason_word(peer->codec->close_reason), reason_word(peer->codec->detail));
		assert_true(peer->codec->refused_size > 0);
	} else if (peer->codec->closing) {
		buf_append_string(ret_text, ret_text->size > 0 ? " closed" : "silent");
	} else if (peer->codec->in.size > 0) {
		buf_append_string(ret_text, ret_text->size > 0 ? " ~" : "~");
	}
	buf_fini(&output);
}

/* All wrong rows are shown, not the first alone. */
static unsigned server_failures;

static void server_check(const struct h1_row *row, size_t piece, size_t split, const char *prefix)
{
	struct h1_peer peer;
	struct buf verdict;
	struct buf expected;
	size_t place = 0;

	h1_peer_init(&peer, false);
	buf_init(&verdict);
	buf_init(&expected);
	while (place < row->input.size) {
		size_t size = row->input.size - place;

		size = place < split && size > split - place ? split - place : size;
		size = piece > 0 && size > piece ? piece : size;
		h1_peer_feed(&peer, row->input.data + place, size);
		place += size;
	}
	if (h1_row_has(row, "eof")) {
		h1_peer_eof(&peer, 0);
	}
	server_verdict(&peer, &verdict);
	buf_append_string(&expected, prefix);
	if (prefix[0] != 0) {
		buf_append_string(&expected,
			row->verdict.data[0] == '!' || row->verdict.data[0] == '~' ? " " : " | ");
	}
	buf_append_slice(&expected, row->verdict);
	if (prefix[0] != 0 && slice_equal(row->verdict, SLICE("silent"))) {
		expected.size = strlen(prefix);
		buf_append_string(&expected, " closed");
	}
	if (strcmp(buf_string(&verdict), buf_string(&expected)) != 0) {
		print_error("line %u %s piece %zu split %zu:\n got: %.300s\nwant: %.300s\n",
			row->line, row->id, piece, split, buf_string(&verdict),
			buf_string(&expected));
		server_failures++;
	}
	buf_fini(&verdict);
	buf_fini(&expected);
	h1_peer_fini(&peer);
}

/* Whole, byte by byte, split at every position, and behind another request. */
static void server_check_row(const struct h1_row *row)
{
	static const char first[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	bool huge = h1_row_has(row, "huge");
	struct h1_row second = *row;
	struct buf both;

	unsigned failed = server_failures;

	server_check(row, 0, 0, "");
	server_check(row, huge ? 7 : 1, 0, "");
	for (size_t split = 1; split < row->input.size; split++) {
		if (huge || h1_row_has(row, "long") || row->input.size > 2000) {
			split += row->input.size / 16;
		}
		server_check(row, 0, split, "");
		if (server_failures != failed) {
			return;
		}
	}
	buf_init(&both);
	buf_append_string(&both, first);
	buf_append_slice(&both, row->input);
	second.input = buf_slice(&both);
	server_check(&second, 0, 0, "GET / @a none");
	server_check(&second, 0, sizeof(first) + 2, "GET / @a none");
	buf_fini(&both);
}

static void test_rows(void **state)
{
	(void)state;
	assert_true(h1_rows_each(TEST_DATA "/h1.tsv", server_check_row) > 300);
	assert_int_equal(server_failures, 0);
}

static void server_feed(struct h1_peer *peer, const char *text)
{
	h1_peer_feed(peer, text, strlen(text));
}

static const char *const server_get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
static const char *const server_expect =
	"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";

/* H1-37: 100 when the owner wants bytes, once; never after the body began, nor unasked. */
static void test_expect(void **state)
{
	struct h1_peer peer;
	struct buf text;

	(void)state;
	h1_peer_init(&peer, false);
	buf_init(&text);
	peer.hold = true;
	server_feed(&peer, server_expect);
	assert_string_equal(h1_peer_output(&peer, &text), "");
	peer.codec->ops->credit(peer.stream, 0);
	peer.codec->ops->credit(peer.stream, 0);
	h1_peer_run(&peer);
	assert_string_equal(h1_peer_output(&peer, &text), "HTTP/1.1 100 Continue\r\n\r\n");
	server_feed(&peer, "ok");
	h1_peer_answer(&peer, 200, "x");
	h1_peer_run(&peer);
	assert_string_equal(
		h1_peer_output(&peer, &text), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
	/* The client did not wait. */
	server_feed(&peer, server_expect);
	server_feed(&peer, "o");
	peer.codec->ops->credit(peer.stream, 0);
	server_feed(&peer, "k");
	h1_peer_answer(&peer, 200, "");
	h1_peer_run(&peer);
	assert_string_equal(
		h1_peer_output(&peer, &text), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	/* A refusal replaces it, and the body that may still come is not read: Close. */
	server_feed(&peer, server_expect);
	h1_peer_answer(&peer, 503, "");
	h1_peer_run(&peer);
	assert_string_equal(h1_peer_output(&peer, &text),
		"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
		"Connection: close\r\n\r\n");
	assert_true(peer.codec->closing && peer.codec->linger);
	buf_fini(&text);
	h1_peer_fini(&peer);
}

static void server_send_interim(struct h1_peer *peer, uint16_t status)
{
	struct arena arena;
	struct head head;

	arena_init(&arena);
	head_init(&head, &arena, HEAD_INTERIM);
	head.status = status;
	head_add(&head, SLICE("link"), SLICE("x"));
	assert_int_equal(peer->codec->ops->send_head(peer->stream, &head, false), 0);
	arena_fini(&arena);
	h1_peer_run(peer);
}

/* */
static void test_interim(void **state)
{
	struct h1_peer peer;
	struct buf text;

	(void)state;
	buf_init(&text);
	h1_peer_init(&peer, false);
	peer.hold = true;
	server_feed(&peer, server_get);
	server_send_interim(&peer, 103);
	server_send_interim(&peer, 100);
	server_send_interim(&peer, 101);
	assert_string_equal(
		h1_peer_output(&peer, &text), "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
	peer.limits.interim = false;
	server_send_interim(&peer, 103);
	assert_string_equal(h1_peer_output(&peer, &text), "");
	h1_peer_fini(&peer);

	h1_peer_init(&peer, false);
	peer.hold = true;
	server_feed(&peer, "GET / HTTP/1.0\r\n\r\n");
	server_send_interim(&peer, 103);
	assert_string_equal(h1_peer_output(&peer, &text), "");
	h1_peer_fini(&peer);
	buf_fini(&text);
}

/* A response of a given form to a request, in one call or two. */
static void server_respond(
	struct h1_peer *peer, const struct head *form, const char *body, bool cut)
{
	struct stream *stream = peer->stream;
	struct arena arena;
	struct head head = *form;

	arena_init(&arena);
	head.arena = &arena;
	assert_int_equal(peer->codec->ops->send_head(stream, &head, false), 0);
	chain_append_copy(&stream->out, &peer->pool, body, strlen(body));
	peer->codec->ops->send_more(stream, !cut);
	if (cut) {
		h1_peer_run(peer);
	}
	peer->stream = NULL;
	stream_reset(stream, cut ? REASON_upstream_truncated : REASON_ok);
	h1_peer_run(peer);
	arena_fini(&arena);
}

/* H1-42, H1-38, MM-04: how the end of a response is told. */
static void test_response_forms(void **state)
{
	static const struct {
		const char *request;
		struct head form;
		const char *expected;
		bool closing;
	} cases[] = {
		{"GET / HTTP/1.1", {.status = 200, .body = BODY_LENGTH, .length = 2},
			"200 OK\r\nContent-Length: 2\r\n\r\nok", false},
		{"GET / HTTP/1.1", {.status = 200, .body = BODY_UNKNOWN},
			"200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", false},
		{"GET / HTTP/1.1", {.status = 299, .body = BODY_UNTIL_CLOSE},
			"299 \r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", false},
		{"GET / HTTP/1.0", {.status = 200, .body = BODY_UNKNOWN},
			"200 OK\r\nConnection: close\r\n\r\nok", true},
		{"GET / HTTP/1.0", {.status = 200, .body = BODY_LENGTH, .length = 2},
			"200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", true},
		{"HEAD / HTTP/1.1",
			{.status = 200, .has_declared_length = true, .declared_length = 77},
			"200 OK\r\nContent-Length: 77\r\n\r\n", false},
		{"HEAD / HTTP/1.1", {.status = 200, .body = BODY_LENGTH, .length = 2},
			"200 OK\r\nContent-Length: 2\r\n\r\n", false},
		{"HEAD / HTTP/1.1", {.status = 200, .body = BODY_UNKNOWN}, "200 OK\r\n\r\n", false},
		{"GET / HTTP/1.1",
			{.status = 304, .has_declared_length = true, .declared_length = 5},
			"304 Not Modified\r\nContent-Length: 5\r\n\r\n", false},
		{"GET / HTTP/1.1", {.status = 204, .body = BODY_UNKNOWN}, "204 No Content\r\n\r\n",
			false},
		{"GET / HTTP/1.1", {.status = 404, .body = BODY_NONE},
			"404 Not Found\r\nContent-Length: 0\r\n\r\n", false},
		{"GET / HTTP/1.1", {.status = 200, .body = BODY_LENGTH, .length = 2, .close = true},
			"200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct head form = cases[i].form;
		struct h1_peer peer;
		struct buf text;

		h1_peer_init(&peer, false);
		buf_init(&text);
		peer.hold = true;
		server_feed(&peer, cases[i].request);
		server_feed(&peer, "\r\nHost: a\r\n\r\n");
		form.kind = HEAD_RESPONSE;
		server_respond(&peer, &form,
			form.body == BODY_NONE && form.status == 404 ? "" : "ok", false);
		h1_peer_output(&peer, &text);
		assert_string_equal(buf_string(&text) + strlen("HTTP/1.1 "), cases[i].expected);
		assert_int_equal(peer.codec->closing, cases[i].closing);
		buf_fini(&text);
		h1_peer_fini(&peer);
	}
}

/* MM-07: a body that is cut never looks complete. */
static void test_cut(void **state)
{
	static const struct {
		const char *request;
		enum body_kind body;
		bool reset;
		const char *tail;
	} cases[] = {
		{"GET / HTTP/1.1", BODY_UNKNOWN, false, "\r\n2\r\nok\r\n"},
		{"GET / HTTP/1.1", BODY_LENGTH, false, "\r\nok"},
		/* Only RST tells HTTP/1.0 that something is missing. */
		{"GET / HTTP/1.0", BODY_UNKNOWN, true, "\r\nok"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct head form = {
			.kind = HEAD_RESPONSE, .status = 200, .body = cases[i].body, .length = 10};
		struct h1_peer peer;
		struct buf text;

		h1_peer_init(&peer, false);
		buf_init(&text);
		peer.hold = true;
		server_feed(&peer, cases[i].request);
		server_feed(&peer, "\r\nHost: a\r\n\r\n");
		server_respond(&peer, &form, "ok", true);
		h1_peer_output(&peer, &text);
		assert_true(slice_ends_with(buf_slice(&text), slice_from_string(cases[i].tail)));
		assert_true(peer.codec->closing);
		assert_false(peer.codec->linger);
		assert_int_equal(peer.codec->close_reset, cases[i].reset);
		assert_int_equal(peer.codec->close_reason, REASON_upstream_truncated);
		buf_fini(&text);
		h1_peer_fini(&peer);
	}
}

/* MM-06: an owner that breaks its own promise is told, and the response is cut. */
static void test_broken_promise(void **state)
{
	static const char *const bodies[] = {"short", "much too long"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		struct head form = {
			.kind = HEAD_RESPONSE, .status = 200, .body = BODY_LENGTH, .length = 10};
		struct h1_peer peer;
		struct buf text;
		struct arena arena;

		h1_peer_init(&peer, false);
		buf_init(&text);
		arena_init(&arena);
		form.arena = &arena;
		peer.hold = true;
		server_feed(&peer, server_get);
		assert_int_equal(peer.codec->ops->send_head(peer.stream, &form, false), 0);
		chain_append_copy(&peer.stream->out, &peer.pool, bodies[i], strlen(bodies[i]));
		peer.codec->ops->send_more(peer.stream, true);
		h1_peer_run(&peer);
		assert_string_equal(h1_peer_log(&peer), "GET / @a none !reset:internal_error");
		stream_reset(peer.stream, REASON_internal_error);
		peer.stream = NULL;
		assert_true(peer.codec->closing);
		assert_false(peer.codec->has_output);
		arena_fini(&arena);
		buf_fini(&text);
		h1_peer_fini(&peer);
	}
}

/* to HTTP/1 downstream only with TE: trailers, only behind chunks. */
static void test_trailers(void **state)
{
	static const struct {
		const char *fields;
		enum body_kind body;
		const char *end;
		unsigned dropped;
	} cases[] = {
		{"TE: trailers\r\n", BODY_UNKNOWN, "0\r\nX: y\r\nGrpc: z\r\n\r\n", 0},
		{"TE: gzip;q=1, Trailers\r\n", BODY_UNKNOWN, "0\r\nX: y\r\nGrpc: z\r\n\r\n", 0},
		{"", BODY_UNKNOWN, "2\r\nok\r\n0\r\n\r\n", 2},
		{"TE: trailers\r\n", BODY_LENGTH, "\r\n\r\nok", 2},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct head form = {
			.kind = HEAD_RESPONSE, .status = 200, .body = cases[i].body, .length = 2};
		struct h1_peer peer;
		struct arena arena;
		struct head trailers;
		struct buf text;

		h1_peer_init(&peer, false);
		buf_init(&text);
		arena_init(&arena);
		form.arena = &arena;
		peer.hold = true;
		server_feed(&peer, "GET / HTTP/1.1\r\nHost: a\r\n");
		server_feed(&peer, cases[i].fields);
		server_feed(&peer, "\r\n");
		assert_int_equal(peer.codec->ops->send_head(peer.stream, &form, false), 0);
		chain_append_copy(&peer.stream->out, &peer.pool, "ok", 2);
		head_init(&trailers, &arena, HEAD_TRAILERS);
		head_add(&trailers, SLICE("x"), SLICE("y"));
		head_add(&trailers, SLICE("grpc"), SLICE("z"));
		assert_int_equal(peer.codec->ops->send_head(peer.stream, &trailers, true), 0);
		arena_fini(&arena);
		h1_peer_run(&peer);
		h1_peer_output(&peer, &text);
		assert_true(slice_ends_with(buf_slice(&text), slice_from_string(cases[i].end)));
		assert_int_equal(peer.codec->trailers_dropped, cases[i].dropped);
		buf_fini(&text);
		h1_peer_fini(&peer);
	}
}

static void server_at(struct h1_peer *peer, uint64_t now_ms)
{
	peer->now_ms = now_ms;
	peer->codec->ops->receive(peer->codec, false, now_ms);
	h1_peer_run(peer);
}

/* T-03, T-02, H1-40 */
static void test_timers(void **state)
{
	struct h1_peer peer;
	struct buf text;

	(void)state;
	buf_init(&text);
	/* No byte at all: silent close. */
	h1_peer_init(&peer, false);
	assert_int_equal(peer.codec->next_deadline_ms, 1000 + peer.limits.head_timeout_ms);
	server_at(&peer, 1000 + peer.limits.head_timeout_ms - 1);
	assert_false(peer.codec->closing);
	server_at(&peer, 1000 + peer.limits.head_timeout_ms);
	assert_true(peer.codec->closing);
	assert_string_equal(h1_peer_output(&peer, &text), "");
	h1_peer_fini(&peer);
	/* One byte a second does not buy time. */
	h1_peer_init(&peer, false);
	for (unsigned i = 0; i < 10; i++) {
		peer.now_ms = 1000 + i * 1000;
		assert_false(peer.codec->closing);
		server_feed(&peer, "G");
	}
	server_at(&peer, 11000);
	assert_non_null(strstr(h1_peer_output(&peer, &text), "HTTP/1.1 408 Request Timeout\r\n"));
	assert_int_equal(peer.codec->close_reason, REASON_head_timeout);
	assert_true(peer.codec->linger);
	h1_peer_fini(&peer);
	/* Idle after a response; a lone empty line is no byte of a head. */
	h1_peer_init(&peer, false);
	server_feed(&peer, server_get);
	h1_peer_output(&peer, &text);
	assert_int_equal(peer.codec->next_deadline_ms, 1000 + peer.limits.idle_timeout_ms);
	server_feed(&peer, "\r\n");
	assert_int_equal(peer.codec->next_deadline_ms, 1000 + peer.limits.idle_timeout_ms);
	peer.now_ms = 5000;
	server_feed(&peer, "GET");
	assert_int_equal(peer.codec->next_deadline_ms, 5000 + peer.limits.head_timeout_ms);
	server_feed(&peer, " / HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_int_equal(peer.streams, 2);
	h1_peer_output(&peer, &text);
	server_at(&peer, 5000 + peer.limits.idle_timeout_ms);
	assert_true(peer.codec->closing);
	assert_int_equal(peer.codec->close_reason, REASON_ok);
	assert_string_equal(h1_peer_output(&peer, &text), "");
	h1_peer_fini(&peer);
	buf_fini(&text);
}

/* B-06: half a head that waits holds about its own size, and is read when the rest comes. */
static void test_trickle(void **state)
{
	struct h1_peer peer;
	size_t pinned = 0;

	(void)state;
	h1_peer_init(&peer, false);
	for (const char *text = server_get; *text != 0; text++) {
		h1_peer_feed(&peer, text, 1);
		for (uint32_t i = 0; i < peer.codec->in.count; i++) {
			pinned = peer.codec->in.spans[i].block->capacity;
			assert_true(pinned < 256);
		}
	}
	assert_true(pinned > 0);
	assert_int_equal(peer.streams, 1);
	h1_peer_fini(&peer);
}

/* H1-36: one by one, and a bounded number of bytes waits. */
static void test_pipeline(void **state)
{
	struct h1_peer peer;
	struct buf text;

	(void)state;
	h1_peer_init(&peer, false);
	buf_init(&text);
	peer.hold = true;
	server_feed(&peer, server_get);
	while (peer.codec->want_read) {
		server_feed(&peer, server_get);
	}
	assert_true(peer.codec->in.size < 16 * 1024 + 100);
	assert_int_equal(peer.streams, 1);
	for (unsigned i = 2; i < 10; i++) {
		h1_peer_answer(&peer, 200, "x");
		/* Let go, but not yet written: the next head waits. */
		assert_int_equal(peer.streams, i - 1);
		h1_peer_run(&peer);
		assert_int_equal(peer.streams, i);
	}
	/* Draining: the one under way gets Close, the others are not served (D-04). */
	peer.codec->ops->drain(peer.codec, true);
	h1_peer_output(&peer, &text);
	h1_peer_answer(&peer, 200, "x");
	h1_peer_run(&peer);
	assert_non_null(strstr(h1_peer_output(&peer, &text), "Connection: close\r\n"));
	assert_true(peer.codec->closing && peer.codec->linger);
	assert_int_equal(peer.streams, 9);
	buf_fini(&text);
	h1_peer_fini(&peer);
}

/* D-03 */
static void test_drain(void **state)
{
	struct h1_peer peer;

	(void)state;
	h1_peer_init(&peer, false);
	peer.codec->ops->drain(peer.codec, false);
	assert_true(peer.codec->closing && peer.codec->linger);
	h1_peer_fini(&peer);
	/* A head that began to arrive is served. */
	h1_peer_init(&peer, false);
	server_feed(&peer, "GET / HTTP/1.1\r\n");
	peer.codec->ops->drain(peer.codec, false);
	assert_false(peer.codec->closing);
	server_feed(&peer, "Host: a\r\n\r\n");
	assert_int_equal(peer.streams, 1);
	assert_true(peer.codec->closing);
	h1_peer_fini(&peer);
}

/* a client that leaves before the answer; one that leaves when it is complete. */
static void test_client_leaves(void **state)
{
	struct h1_peer peer;
	struct buf text;

	(void)state;
	buf_init(&text);
	h1_peer_init(&peer, false);
	peer.hold = true;
	server_feed(&peer, server_get);
	h1_peer_eof(&peer, 0);
	assert_string_equal(h1_peer_log(&peer), "GET / @a none !reset:downstream_closed");
	h1_peer_answer(&peer, 200, "nobody reads this");
	h1_peer_run(&peer);
	assert_string_equal(h1_peer_output(&peer, &text), "");
	assert_true(peer.codec->closing);
	assert_false(peer.codec->linger);
	h1_peer_fini(&peer);

	h1_peer_init(&peer, false);
	peer.hold = true;
	server_feed(&peer, server_get);
	h1_peer_eof(&peer, -104);
	assert_string_equal(h1_peer_log(&peer), "GET / @a none !reset:downstream_reset");
	h1_peer_fini(&peer);

	/* Complete but unwritten: it is still delivered. */
	h1_peer_init(&peer, false);
	peer.hold = true;
	server_feed(&peer, server_get);
	h1_peer_answer(&peer, 200, "last");
	h1_peer_eof(&peer, 0);
	assert_non_null(strstr(h1_peer_output(&peer, &text), "last"));
	assert_true(peer.codec->closing);
	h1_peer_fini(&peer);
	buf_fini(&text);
}

/* Invariant A and want_read; the reply that a fault inside the body still gets (H1-26). */
static void test_body(void **state)
{
	static uint8_t data[100000];
	struct h1_peer peer;
	struct stream *stream;
	struct buf text;

	(void)state;
	buf_init(&text);
	h1_peer_init(&peer, false);
	peer.hold = true;
	peer.no_credit = true;
	server_feed(&peer, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
	stream = peer.stream;
	h1_peer_feed(&peer, data, sizeof(data));
	assert_int_equal(stream->received, stream->window);
	assert_false(peer.codec->want_read);
	while (!stream->ended_in) {
		size_t held = (size_t)(stream->received - stream->credited);

		peer.codec->ops->credit(stream, held < 1000 ? held : 1000);
		h1_peer_run(&peer);
	}
	assert_int_equal(stream->received, 100000);
	h1_peer_answer(&peer, 200, "");
	h1_peer_run(&peer);
	assert_false(peer.codec->closing);
	h1_peer_output(&peer, &text);

	peer.no_credit = false;
	server_feed(&peer, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx");
	h1_peer_answer(&peer, 400, "bad");
	h1_peer_run(&peer);
	assert_non_null(strstr(h1_peer_output(&peer, &text), "Connection: close\r\n\r\nbad"));
	assert_true(peer.codec->closing && peer.codec->linger);
	assert_int_equal(peer.codec->close_reason, REASON_bad_chunk);
	h1_peer_fini(&peer);
	buf_fini(&text);
}

/* H1-35: an answer that ends before the request did is written, with Close, and nothing more read.
 */
static void test_early_answer(void **state)
{
	struct h1_peer peer;
	struct buf text;

	(void)state;
	buf_init(&text);
	h1_peer_init(&peer, false);
	peer.hold = true;
	server_feed(&peer, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345");
	h1_peer_answer(&peer, 200, "early");
	server_feed(&peer, "67890GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_string_equal(h1_peer_output(&peer, &text),
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nearly");
	assert_true(peer.codec->closing && peer.codec->linger);
	assert_int_equal(peer.streams, 1);
	h1_peer_fini(&peer);
	buf_fini(&text);
}

/* An owner that lets go without an answer: the connection ends without a byte. */
static void test_let_go(void **state)
{
	struct h1_peer peer;

	(void)state;
	h1_peer_init(&peer, false);
	peer.hold = true;
	server_feed(&peer, server_get);
	stream_reset(peer.stream, REASON_drain_cut);
	peer.stream = NULL;
	assert_true(peer.codec->closing);
	assert_false(peer.codec->has_output || peer.codec->linger);
	assert_int_equal(peer.codec->close_reason, REASON_drain_cut);
	h1_peer_fini(&peer);
}

/* T-10, D-05: a response that is queued whole is dropped when nobody waits for it any more. */
static void test_let_go_for_a_reason(void **state)
{
	static const enum reason reasons[] = {REASON_ok, REASON_flush_timeout};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		struct h1_peer peer;
		struct head form = {.kind = HEAD_RESPONSE, .status = 200, .body = BODY_LENGTH};
		struct arena arena;

		h1_peer_init(&peer, false);
		peer.hold = true;
		server_feed(&peer, server_get);
		arena_init(&arena);
		form.arena = &arena;
		assert_int_equal(peer.codec->ops->send_head(peer.stream, &form, true), 0);
		arena_fini(&arena);
		stream_reset(peer.stream, reasons[i]);
		peer.stream = NULL;
		assert_int_equal(peer.codec->has_output, reasons[i] == REASON_ok);
		assert_int_equal(peer.codec->closing, reasons[i] != REASON_ok);
		h1_peer_run(&peer);
		h1_peer_fini(&peer);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_expect),
		cmocka_unit_test(test_interim),
		cmocka_unit_test(test_response_forms),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_broken_promise),
		cmocka_unit_test(test_trailers),
		cmocka_unit_test(test_timers),
		cmocka_unit_test(test_trickle),
		cmocka_unit_test(test_pipeline),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_client_leaves),
		cmocka_unit_test(test_body),
		cmocka_unit_test(test_early_answer),
		cmocka_unit_test(test_let_go),
		cmocka_unit_test(test_let_go_for_a_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
