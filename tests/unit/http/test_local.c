/* The in-process pair: heads, bodies, trailers, resets; spans, not copies; the window. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/buf.h"
#include "http/local.h"

struct room {
	struct block_pool pool;
	struct http_limits limits;
	struct codec *codec;
	struct buf log;
	struct stream *far;
	struct stream *near;
	bool credit;
	const uint8_t *last_bytes;
	unsigned changes;
};

static struct room *room_of(struct stream *stream)
{
	return stream->codec->owner;
}

static const char *side(struct stream *stream)
{
	return room_of(stream)->near == stream ? "near" : "far";
}

static void on_head(struct stream *stream, struct head *head, bool end)
{
	static const char *const kinds[] = {"request", "interim", "response", "trailers"};

	buf_appendf(&room_of(stream)->log, "%s %s %u %.*s%s;", side(stream), kinds[head->kind],
		head->status, (int)head->path.size, (const char *)head->path.data,
		end ? " end" : "");
}

static void on_body(struct stream *stream, struct chain *body, bool end)
{
	struct room *room = room_of(stream);
	size_t size = body->size;

	buf_appendf(&room->log, "%s body %zu%s;", side(stream), size, end ? " end" : "");
	room->last_bytes = size > 0 ? chain_span(body, 0).data : NULL;
	if (room->credit) {
		stream->codec->ops->credit(stream, size);
	}
}

static void on_sent(struct stream *stream, size_t n)
{
	buf_appendf(&room_of(stream)->log, "%s sent %zu;", side(stream), n);
}

static void let_go(struct stream *stream, enum reason why)
{
	struct room *room = room_of(stream);

	if (room->near == stream) {
		room->near = NULL;
	} else {
		room->far = NULL;
	}
	stream_reset(stream, why);
}

static void on_reset(struct stream *stream, enum reason why)
{
	buf_appendf(&room_of(stream)->log, "%s reset %s %u%s;", side(stream), reason_word(why),
		stream->h2_error, stream->unprocessed ? " unprocessed" : "");
	let_go(stream, why);
}

static const struct stream_ops ops = {on_head, on_body, on_sent, on_reset};

static void on_stream(struct codec *codec, struct stream *stream)
{
	struct room *room = codec->owner;

	room->far = stream;
	stream->ops = &ops;
}

static void on_change(struct codec *codec)
{
	struct room *room = codec->owner;

	room->changes++;
}

static const struct codec_events events = {.on_stream = on_stream, .on_change = on_change};

static void room_init(struct room *room)
{
	struct codec_options options;

	memset(room, 0, sizeof(*room));
	block_pool_init(&room->pool, 4);
	http_limits_default(&room->limits);
	buf_init(&room->log);
	room->credit = true;
	options = (struct codec_options){
		.events = &events, .owner = room, .pool = &room->pool, .limits = &room->limits};
	room->codec = local_create(&options);
}

static const char *run(struct room *room)
{
	for (int i = 0; i < 1000 && room->codec->again; i++) {
		room->codec->ops->receive(room->codec, false, 0);
	}
	assert_false(room->codec->has_output);
	return buf_string(&room->log);
}

static void room_fini(struct room *room)
{
	if (room->near) {
		let_go(room->near, REASON_shutdown);
	}
	run(room);
	if (room->far) {
		let_go(room->far, REASON_shutdown);
	}
	run(room);
	assert_int_equal(room->codec->streams_active, 0);
	room->codec->ops->destroy(room->codec);
	buf_fini(&room->log);
	block_pool_fini(&room->pool);
}

static void request(struct room *room, bool end)
{
	struct head head;

	room->near = room->codec->ops->open(room->codec);
	assert_non_null(room->near);
	room->near->ops = &ops;
	head_init(&head, &room->near->arena, HEAD_REQUEST);
	head_set_method(&head, METHOD_POST, SLICE("POST"));
	head.path = SLICE("/p");
	head.body = end ? BODY_NONE : BODY_UNKNOWN;
	assert_int_equal(room->codec->ops->send_head(room->near, &head, end), 0);
}

static void answer(struct room *room, enum head_kind kind, uint16_t status, bool end)
{
	struct head head;

	head_init(&head, &room->far->arena, kind);
	head.status = status;
	if (kind == HEAD_TRAILERS) {
		head_add(&head, SLICE("grpc-status"), SLICE("0"));
	}
	assert_int_equal(room->codec->ops->send_head(room->far, &head, end), 0);
}

static void body(struct room *room, struct stream *stream, size_t size, bool end)
{
	uint8_t *bytes = arena_alloc(&stream->arena, size + 1);

	chain_append_copy(&stream->out, &room->pool, bytes, size);
	stream->codec->ops->send_more(stream, end);
}

static void exchange(void **state)
{
	struct room room;

	(void)state;
	room_init(&room);
	request(&room, false);
	body(&room, room.near, 5, true);
	assert_null(room.far); /* calls only mark */
	assert_string_equal(run(&room), "far request 0 /p;far body 5 end;near sent 5;");
	buf_clear(&room.log);
	answer(&room, HEAD_INTERIM, 103, false);
	answer(&room, HEAD_RESPONSE, 200, false);
	body(&room, room.far, 3, false);
	answer(&room, HEAD_TRAILERS, 0, true);
	let_go(room.far, REASON_ok); /* what is queued still arrives */
	assert_string_equal(run(&room),
		"near interim 103 ;near response 200 ;near body 3;near trailers 0  end;");
	assert_true(room.near->ended_in && room.near->ended_out);
	assert_true(room.near->head_end > 0);
	let_go(room.near, REASON_ok);
	run(&room);
	assert_int_equal(room.codec->streams_active, 0);
	room_fini(&room);
}

static void ends_on_heads(void **state)
{
	struct room room;

	(void)state;
	room_init(&room);
	request(&room, true);
	run(&room);
	answer(&room, HEAD_RESPONSE, 204, true);
	assert_string_equal(run(&room), "far request 0 /p end;near response 204  end;");
	room_fini(&room);
}

/* Spans move; what is not credited holds the rest back. */
static void window(void **state)
{
	struct room room;
	struct block *block;

	(void)state;
	room_init(&room);
	room.credit = false;
	request(&room, false);
	block = block_create(&room.pool);
	block->used = 100;
	chain_append_block(&room.near->out, block, block->data, 100);
	room.codec->ops->send_more(room.near, false);
	run(&room);
	assert_ptr_equal(room.last_bytes, block->data);
	block_unref(block);
	buf_clear(&room.log);
	body(&room, room.near, 70000, true);
	assert_string_equal(run(&room), "far body 65435;near sent 65435;");
	assert_int_equal(room.near->out.size, 4565);
	buf_clear(&room.log);
	room.codec->ops->credit(room.far, 1000);
	assert_string_equal(run(&room), "far body 1000;near sent 1000;");
	buf_clear(&room.log);
	room.codec->ops->credit(room.far, 60000);
	assert_string_equal(run(&room), "far body 3565 end;near sent 3565;");
	room_fini(&room);
}

static void resets(void **state)
{
	static const struct {
		enum reason why;
		const char *log;
	} rows[] = {
		{REASON_h2_refused, "near reset refused_stream 7 unprocessed;"},
		{REASON_upstream_truncated, "near reset upstream_reset 2;"},
		{REASON_deadline_exceeded, "near reset upstream_reset 8;"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct room room;

		room_init(&room);
		request(&room, false);
		run(&room);
		buf_clear(&room.log);
		let_go(room.far, rows[i].why);
		assert_string_equal(run(&room), rows[i].log);
		room_fini(&room);
	}
}

/* The caller leaves before, while and after the far end knows of the request. */
static void caller_leaves(void **state)
{
	(void)state;
	for (int when = 0; when < 4; when++) {
		struct room room;

		room_init(&room);
		request(&room, when == 3);
		if (when > 0) {
			run(&room);
		}
		if (when > 1) {
			answer(&room, HEAD_RESPONSE, 200, when == 3);
			run(&room);
		}
		buf_clear(&room.log);
		let_go(room.near, REASON_ok);
		assert_string_equal(
			run(&room), when == 1 || when == 2 ? "far reset downstream_reset 8;" : "");
		room_fini(&room);
	}
}

/* An answer to a caller that stopped taking it and left: nothing stays behind. */
static void flush_to_nobody(void **state)
{
	struct room room;

	(void)state;
	room_init(&room);
	room.credit = false;
	request(&room, true);
	run(&room);
	answer(&room, HEAD_RESPONSE, 200, false);
	body(&room, room.far, 100000, true);
	let_go(room.far, REASON_ok);
	run(&room);
	assert_int_equal(room.codec->streams_active, 1);
	let_go(room.near, REASON_deadline_exceeded);
	run(&room);
	assert_int_equal(room.codec->streams_active, 0);
	room_fini(&room);
}

static void spare_and_drain(void **state)
{
	struct room room;
	struct stream *streams[100];

	(void)state;
	room_init(&room);
	for (int i = 0; i < 100; i++) {
		request(&room, true);
		run(&room);
		streams[i] = room.near;
		stream_reset(room.far, REASON_deadline_exceeded);
		room.far = NULL;
		room.near = NULL;
	}
	(void)streams;
	room.codec->ops->drain(room.codec, false);
	assert_null(room.codec->ops->open(room.codec));
	room_fini(&room);
}

static void limit(void **state)
{
	struct room room;
	struct stream *first;

	(void)state;
	room_init(&room);
	room.limits.h2_streams = 2;
	request(&room, true);
	first = room.near;
	request(&room, true);
	assert_null(room.codec->ops->open(room.codec));
	assert_int_equal(room.codec->ops->spare_streams(room.codec), 0);
	stream_reset(first, REASON_ok);
	run(&room);
	assert_int_equal(room.codec->ops->spare_streams(room.codec), 1);
	room_fini(&room);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(exchange),
		cmocka_unit_test(ends_on_heads),
		cmocka_unit_test(window),
		cmocka_unit_test(resets),
		cmocka_unit_test(caller_leaves),
		cmocka_unit_test(flush_to_nobody),
		cmocka_unit_test(spare_and_drain),
		cmocka_unit_test(limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
