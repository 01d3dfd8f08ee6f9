#include <errno.h>

#include "../base/test_main.h"
#include "h1_peer.h"

/* One client stream, its arena and a request head to fill. */
struct writer {
	struct h1_peer peer;
	struct arena arena;
	struct head head;
	struct stream *stream;
	struct buf text;
};

static void writer_init(struct writer *writer, enum method method)
{
	h1_peer_init(&writer->peer, true);
	writer->peer.hold = true;
	arena_init(&writer->arena);
	buf_init(&writer->text);
	head_init(&writer->head, &writer->arena, HEAD_REQUEST);
	head_set_method(&writer->head, method, SLICE("PURGE"));
	writer->head.authority = SLICE("h:1");
	writer->head.path = SLICE("/p");
	writer->stream = writer->peer.codec->ops->open(writer->peer.codec);
	assert_non_null(writer->stream);
	writer->peer.events.on_stream(writer->peer.codec, writer->stream);
}

static void writer_fini(struct writer *writer)
{
	buf_fini(&writer->text);
	arena_fini(&writer->arena);
	h1_peer_fini(&writer->peer);
}

static int writer_send(struct writer *writer, bool end)
{
	int result = writer->peer.codec->ops->send_head(writer->stream, &writer->head, end);

	h1_peer_run(&writer->peer);
	return result;
}

static const char *writer_text(struct writer *writer)
{
	return h1_peer_output(&writer->peer, &writer->text);
}

/* H1-41, X-01, X-05, MM-03: what stands in the head, what does not, and how it is spelled. */
static void test_fields(void **state)
{
	static const char *const fields[][2] = {{"accept", "*/*"}, {"cookie", "a=1"},
		{"x-my_own", "  kept"}, {"connection", "x"}, {"content-length", "99"},
		{"transfer-encoding", "gzip"}, {"te", "trailers"}, {"upgrade", "h2c"},
		{"host", "evil"}, {"expect", "100-continue"}, {"keep-alive", "1"},
		{"cookie", "b=2"}, {"accept", "text/html"}, {"etag", ""}};
	struct writer writer;

	(void)state;
	writer_init(&writer, METHOD_GET);
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		head_add(&writer.head, slice_from_string(fields[i][0]),
			slice_from_string(fields[i][1]));
	}
	writer.head.has_query = true;
	writer.head.query = SLICE("q?");
	/* Facts of the downstream hop are none of this one's. */
	writer.head.close = true;
	assert_int_equal(writer_send(&writer, true), 0);
	assert_string_equal(writer_text(&writer),
		"GET /p?q? HTTP/1.1\r\nHost: h:1\r\nAccept: */*\r\nCookie: a=1; b=2\r\n"
		"X-My_own:   kept\r\nAccept: text/html\r\nETag: \r\n\r\n");
	writer_fini(&writer);
}

/* H1-42, X-02 for requests. */
static void test_framing(void **state)
{
	static const struct {
		enum method method;
		enum body_kind body;
		uint64_t length;
		bool end;
		const char *tail;
	} cases[] = {
		{METHOD_GET, BODY_NONE, 0, true, "Host: h:1\r\n\r\n"},
		{METHOD_HEAD, BODY_NONE, 0, true, "Host: h:1\r\n\r\n"},
		{METHOD_DELETE, BODY_NONE, 0, true, "Host: h:1\r\n\r\n"},
		{METHOD_OPTIONS, BODY_NONE, 0, true, "Host: h:1\r\n\r\n"},
		{METHOD_POST, BODY_NONE, 0, true, "Content-Length: 0\r\n\r\n"},
		{METHOD_OTHER, BODY_NONE, 0, true, "Content-Length: 0\r\n\r\n"},
		{METHOD_PUT, BODY_UNKNOWN, 0, true, "Content-Length: 0\r\n\r\n"},
		{METHOD_GET, BODY_LENGTH, 0, true, "Content-Length: 0\r\n\r\n"},
		{METHOD_GET, BODY_LENGTH, INT64_MAX, false,
			"Content-Length: 9223372036854775807\r\n\r\n"},
		{METHOD_GET, BODY_UNKNOWN, 0, false, "Transfer-Encoding: chunked\r\n\r\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct writer writer;

		writer_init(&writer, cases[i].method);
		writer.head.body = cases[i].body;
		writer.head.length = cases[i].length;
		assert_int_equal(writer_send(&writer, cases[i].end), 0);
		writer_text(&writer);
		assert_true(
			slice_ends_with(buf_slice(&writer.text), slice_from_string(cases[i].tail)));
		writer_fini(&writer);
	}
}

/* H1-42: at most 16 KiB a chunk; small bodies share the block of their head. */
static void test_chunks(void **state)
{
	static uint8_t data[40000];
	struct writer writer;
	const char *text;

	(void)state;
	writer_init(&writer, METHOD_POST);
	writer.head.body = BODY_UNKNOWN;
	assert_int_equal(writer.peer.codec->ops->send_head(writer.stream, &writer.head, false), 0);
	chain_append_copy(&writer.stream->out, &writer.peer.pool, "small", 5);
	writer.peer.codec->ops->send_more(writer.stream, false);
	h1_peer_run(&writer.peer);
	assert_int_equal(writer.peer.out.count, 1);
	text = writer_text(&writer);
	assert_non_null(strstr(text, "\r\n\r\n5\r\nsmall\r\n"));
	memset(data, 'd', sizeof(data));
	chain_append_copy(&writer.stream->out, &writer.peer.pool, data, sizeof(data));
	writer.peer.codec->ops->send_more(writer.stream, true);
	h1_peer_run(&writer.peer);
	text = writer_text(&writer);
	assert_memory_equal(text, "4000\r\nd", 7);
	assert_memory_equal(text + 6 + 16384, "\r\n4000\r\nd", 9);
	assert_memory_equal(text + 6 + 16384 + 8 + 16384, "\r\n1c40\r\nd", 9);
	assert_true(slice_ends_with(buf_slice(&writer.text), SLICE("d\r\n0\r\n\r\n")));
	assert_int_equal(writer.stream->sent, 5 + sizeof(data));
	writer_fini(&writer);
}

/* produce keeps to its bound, and continues where it stopped. */
static void test_bound(void **state)
{
	static uint8_t data[10000];
	struct writer writer;
	struct codec *codec;

	(void)state;
	writer_init(&writer, METHOD_POST);
	codec = writer.peer.codec;
	writer.head.body = BODY_LENGTH;
	writer.head.length = sizeof(data);
	assert_int_equal(codec->ops->send_head(writer.stream, &writer.head, false), 0);
	chain_append_copy(&writer.stream->out, &writer.peer.pool, data, sizeof(data));
	codec->ops->send_more(writer.stream, true);
	for (unsigned calls = 0; codec->has_output; calls++) {
		size_t before = writer.peer.out.size;

		codec->ops->produce(codec, &writer.peer.out, 100);
		assert_true(writer.peer.out.size - before <= 100);
		assert_true(calls < 200);
	}
	assert_int_equal(writer.stream->sent, sizeof(data));
	assert_int_equal(codec->produced, writer.peer.out.size);
	writer_fini(&writer);
}

/* an HTTP/1 upstream gets no trailers; they still end the body. */
static void test_no_trailers_upstream(void **state)
{
	struct writer writer;
	struct head trailers;

	(void)state;
	writer_init(&writer, METHOD_POST);
	writer.head.body = BODY_UNKNOWN;
	assert_int_equal(writer_send(&writer, false), 0);
	writer_text(&writer);
	head_init(&trailers, &writer.arena, HEAD_TRAILERS);
	head_add(&trailers, SLICE("x"), SLICE("y"));
	assert_int_equal(writer.peer.codec->ops->send_head(writer.stream, &trailers, true), 0);
	h1_peer_run(&writer.peer);
	assert_string_equal(writer_text(&writer), "0\r\n\r\n");
	assert_int_equal(writer.peer.codec->trailers_dropped, 1);
	writer_fini(&writer);
}

/* H2-33: a head that cannot be sent leaves no byte. The largest accepted one can. */
static void test_too_large(void **state)
{
	static uint8_t value[200000];

	(void)state;
	memset(value, 'v', sizeof(value));
	for (int large = 0; large <= 1; large++) {
		struct writer writer;

		writer_init(&writer, METHOD_GET);
		head_add(
			&writer.head, SLICE("x"), slice_make(value, large ? sizeof(value) : 65000));
		assert_int_equal(writer_send(&writer, true), large ? -E2BIG : 0);
		assert_int_equal(writer.peer.out.size > 0, !large);
		assert_int_equal(writer.stream->head_out, !large);
		writer_fini(&writer);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_framing),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_no_trailers_upstream),
		cmocka_unit_test(test_too_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
