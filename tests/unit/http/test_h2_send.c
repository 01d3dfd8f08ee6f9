/* DATA out: windows exact, turns, what was sent where (H2-31..33, B-03, MT-01, MM-07). */
#include "h2_rig.h"

/* RFC 9113 6.9: never a byte beyond the window, and on again after WINDOW_UPDATE. */
static void window_exact(void **state)
{
	struct rig rig;
	struct buf text;

	(void)state;
	rig_start(&rig, false);
	rig.let_go = false;
	rig.room = SIZE_MAX / 2;
	buf_init(&text);
	rig_headers(&rig, 1, SLICE(RIG_GET), true);
	rig_feed(&rig, 0);
	rig_answer(&rig, 0, 200, 70000, true);
	assert_string_equal(
		rig_output(&rig, &text), "H1 :status=200;D1 16384;D1 16384;D1 16384;D1 16383;");
	assert_false(rig.codec->has_output);
	rig_u32_frame(&rig, NGHTTP2_WINDOW_UPDATE, 1, 1);
	rig_feed(&rig, 0);
	assert_string_equal(rig_output(&rig, &text), ""); /* the connection's is shut too */
	rig_u32_frame(&rig, NGHTTP2_WINDOW_UPDATE, 0, 10000);
	rig_feed(&rig, 0);
	assert_string_equal(rig_output(&rig, &text), "D1 1;");
	rig_u32_frame(&rig, NGHTTP2_WINDOW_UPDATE, 1, 4464);
	rig_feed(&rig, 0);
	assert_string_equal(rig_output(&rig, &text), "D1 4464 end;");
	assert_int_equal(rig.streams[0]->sent, 70000);
	buf_fini(&text);
	rig_fini(&rig);
}

/* The peer's window is given back only for what was credited; the connection's at once (B-03). */
static void credit_exact(void **state)
{
	struct rig rig;
	struct buf text;

	(void)state;
	rig_start(&rig, false);
	rig.credit = false;
	buf_init(&text);
	rig_headers(&rig, 1, SLICE(RIG_POST), false);
	rig_data(&rig, 1, 65535, false);
	rig_headers(&rig, 3, SLICE(RIG_POST), false);
	rig_data(&rig, 3, 65535, false);
	rig_feed(&rig, 0);
	assert_int_equal(rig.bodies, 131070);
	assert_string_equal(rig_output(&rig, &text), ""); /* far from half of 1 MiB */
	rig.codec->ops->credit(rig.streams[1], 32766);
	assert_string_equal(rig_output(&rig, &text), "");
	rig.codec->ops->credit(rig.streams[1], 1);
	assert_string_equal(rig_output(&rig, &text), "W3 32767;");
	/* Stream 1 stalls for ever; 16 others go on through the same connection. */
	for (uint32_t id = 5; id < 37; id += 2) {
		rig_headers(&rig, id, SLICE(RIG_POST), false);
		rig_data(&rig, id, 60000, true);
		rig_feed(&rig, 0);
		rig_produce(&rig);
	}
	assert_int_equal(rig.bodies, 131070 + 16 * 60000);
	/* One byte beyond stream 1's window. */
	rig_data(&rig, 1, 1, false);
	rig_feed(&rig, 0);
	rig_output(&rig, &text);
	assert_non_null(strstr(buf_string(&text), "R1 3;"));
	assert_non_null(strstr(rig_log(&rig), "0> reset h2_malformed 0;"));
	buf_fini(&text);
	rig_fini(&rig);
}

/* H2-32: one frame of at most 16 KiB a turn. */
static void turns(void **state)
{
	struct rig rig;
	struct buf text;

	(void)state;
	rig_start(&rig, false);
	buf_init(&text);
	for (uint32_t id = 1; id < 7; id += 2) {
		rig_headers(&rig, id, SLICE(RIG_GET), true);
	}
	rig_u32_frame(&rig, NGHTTP2_WINDOW_UPDATE, 0, 1000000);
	rig_feed(&rig, 0);
	rig_answer(&rig, 0, 200, 40000, true);
	rig_answer(&rig, 1, 200, 40000, true);
	rig_answer(&rig, 2, 200, 5, true);
	assert_string_equal(rig_output(&rig, &text),
		"H1 :status=200;H3 :status=200;H5 :status=200;"
		"D1 16384;D3 16384;D5 5 end;D1 16384;D3 16384;D1 7232 end;D3 7232 end;");
	buf_fini(&text);
	rig_fini(&rig);
}

/* The same on a client session, where the library has another scheduler. */
static void turns_client(void **state)
{
	struct rig rig;
	struct buf text;
	const char *at;

	(void)state;
	rig_start(&rig, true);
	buf_init(&text);
	rig_u32_frame(&rig, NGHTTP2_WINDOW_UPDATE, 0, 1000000);
	rig_feed(&rig, 0);
	rig_request(&rig, METHOD_POST, 40000, true);
	rig_request(&rig, METHOD_POST, 40000, true);
	at = strchr(rig_output(&rig, &text), 'D');
	assert_non_null(at);
	assert_string_equal(at, "D1 16384;D3 16384;D1 16384;D3 16384;D1 7232 end;D3 7232 end;");
	buf_fini(&text);
	rig_fini(&rig);
}

/* produce stops at about its bound and goes on in the next call, still in turn. */
static void bounded(void **state)
{
	struct rig rig;
	struct chain out;

	(void)state;
	rig_start(&rig, false);
	chain_init(&out);
	for (uint32_t id = 1; id < 5; id += 2) {
		rig_headers(&rig, id, SLICE(RIG_GET), true);
	}
	rig_u32_frame(&rig, NGHTTP2_WINDOW_UPDATE, 0, 1000000);
	rig_feed(&rig, 0);
	rig_answer(&rig, 0, 200, 65000, true);
	rig_answer(&rig, 1, 200, 65000, true);
	while (rig.codec->has_output) {
		size_t before = out.size;

		rig.codec->ops->produce(rig.codec, &out, 20000);
		assert_true(out.size - before <= 20000 + 16384 + 9);
		assert_true(out.size > before);
	}
	assert_true(out.size > 130000);
	assert_int_equal(rig.codec->produced - rig.wire.size, out.size);
	chain_fini(&out);
	rig_fini(&rig);
}

/* A body moves as spans: what the owner put in is what comes out, not a copy. */
static void no_copy(void **state)
{
	struct rig rig;
	struct chain out;
	struct block *block;
	bool found = false;

	(void)state;
	rig_start(&rig, false);
	chain_init(&out);
	rig_headers(&rig, 1, SLICE(RIG_GET), true);
	rig_feed(&rig, 0);
	rig_answer(&rig, 0, 200, 0, false);
	block = block_create(&rig.pool);
	memset(block->data, 'x', 5000);
	block->used = 5000;
	chain_append_block(&rig.streams[0]->out, block, block->data, 5000);
	rig.codec->ops->send_more(rig.streams[0], true);
	rig.codec->ops->produce(rig.codec, &out, 65536);
	for (uint32_t i = 0; i < out.count; i++) {
		found = found || chain_span(&out, i).data == block->data;
	}
	assert_true(found);
	block_unref(block);
	chain_fini(&out);
	rig_fini(&rig);
}

/* And the other way: DATA of at least 1 KiB is a span of the block that was read. */
static struct block *fed_block;
static bool fed_seen;

static void look_at_body(struct stream *stream, struct chain *body, bool end)
{
	(void)end;
	fed_seen = body->count == 1 && body->spans[body->head].block == fed_block;
	stream->codec->ops->credit(stream, body->size);
}

static void no_copy_in(void **state)
{
	struct rig rig;
	struct stream_ops ops;

	(void)state;
	rig_start(&rig, false);
	rig_headers(&rig, 1, SLICE(RIG_POST), false);
	rig_feed(&rig, 0);
	ops = *rig.streams[0]->ops;
	ops.on_body = look_at_body;
	rig.streams[0]->ops = &ops;
	rig_data(&rig, 1, 1024, false);
	fed_block = block_create(&rig.pool);
	memcpy(fed_block->data, rig.input.data, rig.input.size);
	fed_block->used = (uint32_t)rig.input.size;
	chain_append_block(&rig.codec->in, fed_block, fed_block->data, rig.input.size);
	rig.codec->ops->receive(rig.codec, false, rig.now_ms);
	assert_true(fed_seen);
	block_unref(fed_block);
	rig_fini(&rig);
}

/* MT-01: the head's bytes in the output, also behind other frames. */
static void head_place(void **state)
{
	struct rig rig;
	struct rig_frame frame;
	uint64_t at = 0;

	(void)state;
	rig_init(&rig, true);
	rig_preface(&rig);
	rig_feed(&rig, 0);
	rig_request(&rig, METHOD_POST, 10, true);
	rig_request(&rig, METHOD_GET, 0, true);
	assert_int_equal(rig.streams[0]->head_end, 0);
	rig_produce(&rig);
	assert_int_equal(rig.codec->produced, rig.wire.size);
	while (rig_next(&rig, &frame)) {
		at = (uint64_t)(frame.payload - rig.wire.data);
		if (frame.type == NGHTTP2_HEADERS) {
			struct stream *stream = rig.streams[frame.id == 1 ? 0 : 1];

			assert_int_equal(stream->head_begin, at - 9);
			assert_int_equal(stream->head_end, at + frame.length);
		}
	}
	rig_fini(&rig);
}

/* MM-07: an owner that promised another length than it sends is cut, never ended. */
static void broken_promise(void **state)
{
	(void)state;
	for (int row = 0; row < 3; row++) {
		struct rig rig;
		struct buf text;
		struct head head;
		struct stream *stream;

		rig_start(&rig, false);
		buf_init(&text);
		rig_headers(&rig, 1, SLICE(RIG_GET), true);
		rig_feed(&rig, 0);
		stream = rig.streams[0];
		head_init(&head, &stream->arena, HEAD_RESPONSE);
		head.status = 200;
		head.body = BODY_LENGTH;
		head.length = 5;
		assert_int_equal(rig.codec->ops->send_head(stream, &head, false), 0);
		chain_append_copy(&stream->out, &rig.pool, "abcdef",
			row == 0   ? 4
			: row == 1 ? 6
				   : 5);
		rig.codec->ops->send_more(stream, true);
		rig_output(&rig, &text);
		assert_non_null(strstr(buf_string(&text), "content-length=5"));
		if (row < 2) {
			assert_null(strstr(buf_string(&text), "end"));
			assert_non_null(strstr(rig_log(&rig), "reset internal_error"));
			assert_non_null(strstr(buf_string(&text), "R1 2;"));
		} else {
			assert_non_null(strstr(buf_string(&text), "D1 5 end;"));
		}
		buf_fini(&text);
		rig_fini(&rig);
	}
}

/* Trailers follow the body, without an empty DATA frame between. */
static void trailers(void **state)
{
	(void)state;
	for (int body = 0; body < 2; body++) {
		struct rig rig;
		struct buf text;
		struct head head;
		struct stream *stream;

		rig_start(&rig, false);
		buf_init(&text);
		rig_headers(&rig, 1, SLICE(RIG_GET), true);
		rig_feed(&rig, 0);
		stream = rig.streams[0];
		rig_answer(&rig, 0, 200, 0, false);
		if (body == 0) {
			rig_output(&rig, &text);
		} else {
			chain_append_copy(&stream->out, &rig.pool, "abc", 3);
		}
		head_init(&head, &stream->arena, HEAD_TRAILERS);
		head_add(&head, SLICE("grpc-status"), SLICE("0"));
		assert_int_equal(rig.codec->ops->send_head(stream, &head, true), 0);
		rig_output(&rig, &text);
		assert_non_null(strstr(buf_string(&text), "H1 grpc-status=0 end;"));
		assert_int_equal(strstr(buf_string(&text), "D1 3;") != NULL, body);
		assert_null(strstr(buf_string(&text), "D1 0"));
		assert_true(stream->ended_out);
		buf_fini(&text);
		rig_fini(&rig);
	}
}

/* H2-33. */
static void head_too_large(void **state)
{
	struct rig rig;
	struct head head;
	char *value = mem_zalloc(140000);

	(void)state;
	rig_start(&rig, true);
	rig_adopt(&rig, rig.codec->ops->open(rig.codec));
	head_init(&head, &rig.streams[0]->arena, HEAD_REQUEST);
	head_set_method(&head, METHOD_GET, SLICE("GET"));
	head.path = SLICE("/");
	memset(value, 'v', 140000);
	head_add(&head, SLICE("x"), slice_make(value, 140000));
	assert_int_equal(rig.codec->ops->send_head(rig.streams[0], &head, true), -7);
	head.fields[0].value.size = 131072 - 12 - 12 * 5 - 64;
	assert_int_equal(rig.codec->ops->send_head(rig.streams[0], &head, true), 0);
	rig_produce(&rig);
	assert_true(rig.streams[0]->head_end > 60000);
	mem_free(value);
	rig_fini(&rig);
}

/* H2-31: who asks and does not read is not listened to, then closed. */
static void outbound_bound(void **state)
{
	struct http_limits limits;
	struct rig rig;

	(void)state;
	http_limits_default(&limits);
	limits.h2_tokens = 1000000;
	limits.h2_streams = 2000;
	rig_init_with(&rig, false, &limits);
	rig_preface(&rig);
	rig.quiet = true;
	for (uint32_t id = 1; id <= 99; id += 2) {
		rig_headers(&rig, id, SLICE(RIG_GET "|te:gzip"), true);
	}
	rig_feed(&rig, 0);
	assert_true(rig.codec->want_read);
	for (uint32_t id = 101; id <= 999; id += 2) {
		rig_headers(&rig, id, SLICE(RIG_GET "|te:gzip"), true);
	}
	rig_feed(&rig, 2000);
	assert_false(rig.codec->closing);
	assert_false(rig.codec->want_read);
	assert_true(rig.codec->in.size > 0);
	rig_produce(&rig);
	assert_true(rig.codec->want_read);
	assert_true(rig.codec->again);
	while (rig.codec->again) {
		rig_tick(&rig, 0);
		rig_produce(&rig);
	}
	assert_int_equal(rig.codec->in.size, 0);
	rig_fini(&rig);
}

/* Streams that were let go with their answer queued go on, and are cut when the peer never reads.
 */
static void flush(void **state)
{
	struct rig rig;
	struct buf text;

	(void)state;
	rig_start(&rig, false);
	buf_init(&text);
	rig_headers(&rig, 1, SLICE(RIG_GET), true);
	rig_feed(&rig, 0);
	rig_answer(&rig, 0, 200, 70000, true);
	rig_let_go(rig.streams[0], REASON_ok);
	rig_output(&rig, &text);
	assert_non_null(strstr(buf_string(&text), "D1 16383;"));
	rig_u32_frame(&rig, NGHTTP2_WINDOW_UPDATE, 0, 10000);
	rig_u32_frame(&rig, NGHTTP2_WINDOW_UPDATE, 1, 1000);
	rig_feed(&rig, 0);
	assert_string_equal(rig_output(&rig, &text), "D1 1000;");
	assert_int_equal(rig.codec->streams_active, 1);
	assert_int_equal(rig.codec->next_deadline_ms, rig.now_ms + 30000);
	rig_tick(&rig, 0);
	rig_tick(&rig, 29999);
	assert_string_equal(rig_output(&rig, &text), "");
	rig_tick(&rig, 1);
	assert_string_equal(rig_output(&rig, &text), "R1 8;");
	assert_int_equal(rig.codec->streams_active, 0);
	buf_fini(&text);
	rig_fini(&rig);
}

/* T-10: while the transport is full its own clock runs; each piece that goes starts a stream's
 * anew; and what is cut is no reason to wake up again at once. */
static void flush_clock(void **state)
{
	struct rig rig;
	struct buf text;

	(void)state;
	rig_start(&rig, false);
	buf_init(&text);
	rig_headers(&rig, 1, SLICE(RIG_GET), true);
	rig_headers(&rig, 3, SLICE(RIG_GET), true);
	rig_feed(&rig, 0);
	for (size_t i = 0; i < 2; i++) {
		rig_answer(&rig, i, 200, 40000, true);
		rig_let_go(rig.streams[i], REASON_ok);
	}
	rig_output(&rig, &text);
	assert_int_equal(rig.codec->streams_flushing, 2);
	rig_tick(&rig, 0);
	rig.codec->blocked = true;
	rig_tick(&rig, 30000);
	assert_int_equal(rig.codec->next_deadline_ms, rig.now_ms + 30000);
	assert_string_equal(rig_output(&rig, &text), "");
	rig.codec->blocked = false;
	rig_tick(&rig, 20000);
	rig_u32_frame(&rig, NGHTTP2_WINDOW_UPDATE, 0, 1000);
	rig_feed(&rig, 0);
	assert_non_null(strstr(rig_output(&rig, &text), " 1000;"));
	rig_tick(&rig, 10000);
	/* One of the two got nothing since the transport had room. */
	assert_non_null(strstr(rig_output(&rig, &text), " 8;"));
	assert_int_equal(rig.codec->streams_flushing, 1);
	assert_true(rig.codec->next_deadline_ms > rig.now_ms);
	rig_tick(&rig, 20000);
	assert_string_equal(rig_output(&rig, &text), "");
	rig_tick(&rig, 10000);
	assert_non_null(strstr(rig_output(&rig, &text), " 8;"));
	assert_int_equal(rig.codec->streams_flushing, 0);
	assert_int_equal(rig.codec->streams_active, 0);
	buf_fini(&text);
	rig_fini(&rig);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(window_exact),
		cmocka_unit_test(credit_exact),
		cmocka_unit_test(turns),
		cmocka_unit_test(turns_client),
		cmocka_unit_test(bounded),
		cmocka_unit_test(no_copy),
		cmocka_unit_test(no_copy_in),
		cmocka_unit_test(head_place),
		cmocka_unit_test(broken_promise),
		cmocka_unit_test(trailers),
		cmocka_unit_test(head_too_large),
		cmocka_unit_test(outbound_bound),
		cmocka_unit_test(flush),
		cmocka_unit_test(flush_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
