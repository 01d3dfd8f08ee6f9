#include <errno.h>

#include "../base/test_main.h"
#include "h1_peer.h"
#include "h1_rows.h"

/* All wrong rows are shown, not the first alone. */
static unsigned client_failures;

static void client_verdict(struct h1_peer *peer, struct buf *ret_text)
{
	struct codec *codec = peer->codec;
	const char *log = h1_peer_log(peer);

	/* The separator before a reset that came first is of no interest. */
	buf_append_string(ret_text, log[0] == ' ' ? log + 1 : log);
	buf_append_string(ret_text, ret_text->size > 0 ? " " : "");
	buf_append_string(ret_text, codec->closing    ? "closed"
				    : codec->reusable ? "reused"
						      : "waiting");
	if (codec->unsolicited_bytes > 0) {
		buf_appendf(ret_text, " +%llu", (unsigned long long)codec->unsolicited_bytes);
	}
	assert_true(codec->ops->spare_streams(codec) == (codec->reusable ? 1 : 0));
	assert_false(codec->closing && codec->reusable);
}

static void client_check(const struct h1_row *row, size_t piece, size_t split)
{
	struct h1_peer peer;
	struct buf verdict;
	size_t place = 0;
	bool same;

	h1_peer_init(&peer, true);
	buf_init(&verdict);
	if (!h1_row_has(row, "early")) {
		h1_peer_request(&peer, h1_row_has(row, "head") ? METHOD_HEAD : METHOD_GET, true);
		h1_peer_run(&peer);
	}
	while (place < row->input.size && !peer.codec->closing) {
		size_t size = row->input.size - place;

		size = place < split && size > split - place ? split - place : size;
		size = piece > 0 && size > piece ? piece : size;
		h1_peer_feed(&peer, row->input.data + place, size);
		place += size;
	}
	if (h1_row_has(row, "fin") || h1_row_has(row, "rst")) {
		h1_peer_eof(&peer, h1_row_has(row, "rst") ? -ECONNRESET : 0);
	}
	client_verdict(&peer, &verdict);
	same = slice_equal(buf_slice(&verdict), row->verdict);
	/* How many surplus bytes are seen before the close depends on the split. */
	if (!same && memchr(row->verdict.data, '+', row->verdict.size) != NULL &&
		piece + split > 0) {
		size_t size = slice_find(row->verdict, '+') - 1;

		same = verdict.size >= size && memcmp(verdict.data, row->verdict.data, size) == 0;
	}
	if (!same) {
		print_error("line %u %s piece %zu split %zu:\n got: %.300s\nwant: %.300s\n",
			row->line, row->id, piece, split, buf_string(&verdict),
			(const char *)row->verdict.data);
		client_failures++;
	}
	buf_fini(&verdict);
	h1_peer_fini(&peer);
}

static void client_check_row(const struct h1_row *row)
{
	unsigned failed = client_failures;

	client_check(row, 0, 0);
	client_check(row, 1, 0);
	for (size_t split = 1; split < row->input.size; split++) {
		if (h1_row_has(row, "long") || row->input.size > 2000) {
			split += row->input.size / 16;
		}
		client_check(row, 0, split);
		if (client_failures != failed) {
			return;
		}
	}
}

static void test_rows(void **state)
{
	(void)state;
	assert_true(h1_rows_each(TEST_DATA "/h1_responses.tsv", client_check_row) > 80);
	assert_int_equal(client_failures, 0);
}

static const char *const client_ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

static void client_feed(struct h1_peer *peer, const char *text)
{
	h1_peer_feed(peer, text, strlen(text));
}

/* C-02, H1-43: the next exchange on the same connection, which then counts as reused (C-11). */
static void test_reuse(void **state)
{
	struct h1_peer peer;
	struct buf text;

	(void)state;
	h1_peer_init(&peer, true);
	buf_init(&text);
	for (int i = 0; i < 3; i++) {
		h1_peer_request(&peer, METHOD_GET, true);
		assert_int_equal(peer.stream->reused, i > 0);
		assert_null(peer.codec->ops->open(peer.codec));
		h1_peer_run(&peer);
		assert_string_equal(
			h1_peer_output(&peer, &text), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
		client_feed(&peer, client_ok);
		assert_null(peer.stream);
		assert_true(peer.codec->reusable);
	}
	/* Nothing is opened on a connection that the peer closed (C-03). */
	h1_peer_eof(&peer, 0);
	assert_true(peer.codec->closing);
	assert_null(peer.codec->ops->open(peer.codec));
	buf_fini(&text);
	h1_peer_fini(&peer);
}

/* H1-32, C-09: bytes that come before a byte of the request left are no response to it. */
static void test_bytes_before_request(void **state)
{
	struct h1_peer peer;

	(void)state;
	h1_peer_init(&peer, true);
	peer.hold = true;
	h1_peer_request(&peer, METHOD_POST, true);
	chain_append_copy(&peer.codec->in, &peer.pool, client_ok, strlen(client_ok));
	peer.codec->ops->receive(peer.codec, false, 1);
	assert_string_equal(h1_peer_log(&peer), " !reset:upstream_closed:unprocessed");
	assert_false(peer.codec->has_output);
	stream_reset(peer.stream, REASON_upstream_closed);
	peer.stream = NULL;
	assert_true(peer.codec->closing);
	h1_peer_fini(&peer);
}

/* A reset after a byte of the request went out proves nothing (MT-01). */
static void test_head_offsets(void **state)
{
	struct h1_peer peer;

	(void)state;
	h1_peer_init(&peer, true);
	peer.hold = true;
	h1_peer_request(&peer, METHOD_GET, true);
	assert_int_equal(peer.stream->head_begin, 0);
	assert_int_equal(peer.stream->head_end, strlen("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
	h1_peer_run(&peer);
	assert_int_equal(peer.codec->produced, peer.stream->head_end);
	h1_peer_eof(&peer, -ECONNRESET);
	assert_string_equal(h1_peer_log(&peer), " !reset:upstream_reset");
	h1_peer_fini(&peer);
}

/* H1-35: a final response that ends before the request did costs the connection. */
static void test_early_response(void **state)
{
	struct h1_peer peer;

	(void)state;
	h1_peer_init(&peer, true);
	h1_peer_request(&peer, METHOD_POST, false);
	chain_append_copy(&peer.stream->out, &peer.pool, "half", 4);
	peer.codec->ops->send_more(peer.stream, false);
	h1_peer_run(&peer);
	client_feed(&peer, client_ok);
	assert_string_equal(h1_peer_log(&peer), "200 len2\"ok\"");
	assert_true(peer.codec->closing);
	assert_false(peer.codec->reusable);
	h1_peer_fini(&peer);
}

/* C-12: a request that is cut is cut by RST, one that was sent whole ends with the connection. */
static void test_cancelled_request(void **state)
{
	(void)state;
	for (int whole = 0; whole < 2; whole++) {
		struct h1_peer peer;
		struct stream *stream;

		h1_peer_init(&peer, true);
		h1_peer_request(&peer, METHOD_POST, whole == 1);
		h1_peer_run(&peer);
		stream = peer.stream;
		peer.stream = NULL;
		stream_reset(stream, REASON_downstream_closed);
		assert_true(peer.codec->closing);
		assert_int_equal(peer.codec->close_reset, whole == 0);
		h1_peer_fini(&peer);
	}
}

/* a body that broke its promise costs the connection, never the next request. */
static void test_broken_promise(void **state)
{
	static const struct {
		const char *body;
		bool end;
	} cases[] = {{"12345", true}, {"1234567890x", false}, {"", true}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct h1_peer peer;
		struct arena arena;
		struct head head;
		struct stream *stream;

		h1_peer_init(&peer, true);
		stream = peer.codec->ops->open(peer.codec);
		peer.events.on_stream(peer.codec, stream);
		arena_init(&arena);
		head_init(&head, &arena, HEAD_REQUEST);
		head_set_method(&head, METHOD_POST, SLICE("POST"));
		head.path = SLICE("/");
		head.body = BODY_LENGTH;
		head.length = 10;
		assert_int_equal(peer.codec->ops->send_head(stream, &head, false), 0);
		chain_append_copy(&stream->out, &peer.pool, cases[i].body, strlen(cases[i].body));
		peer.codec->ops->send_more(stream, cases[i].end);
		h1_peer_run(&peer);
		assert_string_equal(h1_peer_log(&peer), " !reset:internal_error");
		assert_true(peer.codec->closing);
		arena_fini(&arena);
		h1_peer_fini(&peer);
	}
}

/* Invariant A: no more than the window is given without credit; the rest waits, also over an end of
 * input. */
static void test_window(void **state)
{
	struct h1_peer peer;
	static uint8_t data[100000];
	struct stream *stream;

	(void)state;
	h1_peer_init(&peer, true);
	peer.hold = true;
	peer.no_credit = true;
	h1_peer_request(&peer, METHOD_GET, true);
	h1_peer_run(&peer);
	stream = peer.stream;
	client_feed(&peer, "HTTP/1.1 200 OK\r\n\r\n");
	h1_peer_feed(&peer, data, sizeof(data));
	assert_int_equal(peer.body.size, stream->window);
	assert_false(peer.codec->want_read);
	h1_peer_eof(&peer, 0);
	assert_false(stream->ended_in);
	peer.codec->ops->credit(stream, 10);
	assert_true(peer.codec->again);
	h1_peer_run(&peer);
	assert_int_equal(peer.body.size, stream->window + 10);
	peer.codec->ops->credit(stream, stream->received - stream->credited);
	h1_peer_run(&peer);
	assert_true(stream->ended_in);
	assert_string_equal(h1_peer_log(&peer), "200 close#100000");
	h1_peer_fini(&peer);
}

/* T-13 */
static void test_keep_alive(void **state)
{
	struct h1_peer peer;

	(void)state;
	h1_peer_init(&peer, true);
	h1_peer_request(&peer, METHOD_GET, true);
	h1_peer_run(&peer);
	client_feed(&peer, "HTTP/1.1 204 x\r\nKeep-Alive: max=5, Timeout=7\r\n\r\n");
	assert_int_equal(peer.codec->keep_alive_s, 7);
	h1_peer_request(&peer, METHOD_GET, true);
	h1_peer_run(&peer);
	client_feed(&peer, "HTTP/1.1 204 x\r\nKeep-Alive: timeout=x\r\n\r\n");
	assert_int_equal(peer.codec->keep_alive_s, 0);
	peer.codec->ops->drain(peer.codec, true);
	assert_true(peer.codec->closing);
	h1_peer_fini(&peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_reuse),
		cmocka_unit_test(test_bytes_before_request),
		cmocka_unit_test(test_head_offsets),
		cmocka_unit_test(test_early_response),
		cmocka_unit_test(test_cancelled_request),
		cmocka_unit_test(test_broken_promise),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_keep_alive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
