/* The token bucket and the counts of one header block: each at limit - 1, limit, limit + 1. */
#include "h2_rig.h"

enum odd {
	ODD_PING,
	ODD_PRIORITY,
	ODD_SETTINGS,
	ODD_EMPTY_DATA,
	ODD_PADDED_DATA,
	ODD_UNKNOWN,
	ODD_WINDOW_UPDATE,
	ODD_MALFORMED,
	ODD_RESET,
	ODD_COUNT
};

static void put_odd(struct rig *rig, enum odd odd, uint32_t i)
{
	static const uint8_t zeros[8];
	static const uint8_t padded[3] = {2, 0, 0};
	uint32_t id = 3 + 2 * i;

	switch (odd) {
	case ODD_PING:
		rig_frame(rig, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, slice_make(zeros, 8));
		break;
	case ODD_PRIORITY:
		rig_frame(rig, NGHTTP2_PRIORITY, 0, 1, slice_make(zeros, 5));
		break;
	case ODD_SETTINGS:
		rig_frame(rig, NGHTTP2_SETTINGS, 0, 0, SLICE(""));
		break;
	case ODD_EMPTY_DATA:
		rig_frame(rig, NGHTTP2_DATA, 0, 1, SLICE(""));
		break;
	case ODD_PADDED_DATA:
		rig_frame(rig, NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, slice_make(padded, 3));
		break;
	case ODD_UNKNOWN:
		rig_frame(rig, 0xee, 0, 0, slice_make(zeros, 3));
		break;
	case ODD_WINDOW_UPDATE:
		rig_u32_frame(rig, NGHTTP2_WINDOW_UPDATE, 0, 1);
		break;
	case ODD_MALFORMED:
		rig_headers(rig, id, SLICE(RIG_GET "|te:gzip"), true);
		break;
	case ODD_RESET:
		rig_headers(rig, id, SLICE(RIG_GET), true);
		rig_u32_frame(rig, NGHTTP2_RST_STREAM, id, NGHTTP2_CANCEL);
		break;
	case ODD_COUNT:
		break;
	}
}

/* So many of each kind are free on a connection with one open stream. */
static const uint32_t free_of_charge[ODD_COUNT] = {[ODD_PING] = 1, [ODD_WINDOW_UPDATE] = 7};

static bool floods(enum odd odd, uint32_t count, uint64_t pause_ms)
{
	struct rig rig;
	struct buf text;
	bool closed;

	rig_start(&rig, false);
	rig.quiet = true;
	buf_init(&text);
	rig_headers(&rig, 1, SLICE(RIG_POST), false);
	rig_feed(&rig, 0);
	for (uint32_t i = 0; i < count && !rig.codec->closing; i++) {
		put_odd(&rig, odd, i);
		rig_feed(&rig, 0);
		rig_produce(&rig);
		rig.now_ms += pause_ms;
	}
	closed = rig.codec->closing;
	rig_output(&rig, &text);
	if (closed) {
		assert_int_equal(rig.codec->close_reason, REASON_h2_flood);
		assert_non_null(strstr(buf_string(&text), " 11;")); /* ENHANCE_YOUR_CALM */
		assert_false(rig.codec->want_read);
	}
	buf_fini(&text);
	rig_fini(&rig);
	return closed;
}

static void limits(void **state)
{
	(void)state;
	for (int odd = 0; odd < ODD_COUNT; odd++) {
		uint32_t most = 200 + free_of_charge[odd];

		print_message("%d\n", odd);
		assert_false(floods((enum odd)odd, most - 1, 0));
		assert_false(floods((enum odd)odd, most, 0));
		assert_true(floods((enum odd)odd, most + 1, 0));
		/* 20 a second are always welcome. */
		assert_false(floods((enum odd)odd, 1000, 50));
	}
}

/* A peer that measures the way asks once for each DATA frame that it gets, and no more. */
static void pings_that_follow_data(void **state)
{
	struct rig rig;
	struct buf text;

	(void)state;
	rig_start(&rig, false);
	rig.quiet = true;
	buf_init(&text);
	for (uint32_t i = 0; i < 500; i++) {
		rig_headers(&rig, 1 + 2 * i, SLICE(RIG_GET), true);
		rig_feed(&rig, 0);
		rig_answer(&rig, i, 200, 10, true);
		rig_let_go(rig.streams[i], REASON_ok);
		rig_output(&rig, &text);
		rig_frame(&rig, NGHTTP2_PING, 0, 0, SLICE("12345678"));
		rig_feed(&rig, 0);
		assert_false(rig.codec->closing);
	}
	/* One was free by its time. */
	for (uint32_t i = 0; i < 202; i++) {
		assert_false(rig.codec->closing);
		rig_frame(&rig, NGHTTP2_PING, 0, 0, SLICE("12345678"));
		rig_feed(&rig, 0);
		rig_output(&rig, &text);
	}
	assert_int_equal(rig.codec->close_reason, REASON_h2_flood);
	buf_fini(&text);
	rig_fini(&rig);
}

/* W-13 in small: resets after the client's own deadline cost nothing. */
static void check_expired(struct slice request)
{
	struct rig rig;

	rig_start(&rig, false);
	rig.quiet = true;
	for (uint32_t id = 1; id < 2001; id += 100) {
		for (uint32_t i = 0; i < 100; i += 2) {
			rig_headers(&rig, id + i, request, false);
		}
		rig_feed(&rig, 0);
		rig.now_ms += 99;
		for (uint32_t i = 0; i < 100; i += 2) {
			rig_u32_frame(&rig, NGHTTP2_RST_STREAM, id + i, NGHTTP2_CANCEL);
		}
		rig_feed(&rig, 0);
		rig_produce(&rig);
	}
	assert_false(rig.codec->closing);
	rig_fini(&rig);
}

static void expired_deadlines(void **state)
{
	(void)state;
	check_expired(SLICE(RIG_POST "|grpc-timeout:100m"));
	check_expired(SLICE(RIG_POST "|x-pillion-deadline:100"));
	check_expired(SLICE(RIG_POST "|grpc-timeout:100m|x-pillion-deadline:1000"));
}

/* H2-19: more than 1,000 fields, or four times the bytes of a head, end the connection. */
static void fields_of_a_block(void **state)
{
	static const struct {
		size_t count;
		size_t value;
		bool closed;
	} blocks[] = {{996, 1, false}, {997, 1, true}, {63, 4096, false}, {64, 4096, true}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(blocks); i++) {
		struct rig rig;
		struct buf block;
		struct buf text;
		char *value = mem_zalloc(blocks[i].value);

		rig_start(&rig, false);
		buf_init(&block);
		buf_init(&text);
		memset(value, 'v', blocks[i].value);
		rig_hpack_list(&block, SLICE(RIG_GET));
		/* One entry in the dynamic table, then references to it (index 62). */
		buf_append_byte(&block, 0x40);
		buf_append_byte(&block, 1);
		buf_append_byte(&block, 'x');
		if (blocks[i].value == 1) {
			buf_append_string(&block, "\1v");
		} else {
			/* 4096 = 32 + 1 + 4063: the largest entry that stays. */
			static const uint8_t length[] = {0x7f, 0xe0, 0x1e};

			buf_append(&block, length, sizeof(length));
			buf_append(&block, value, 4063);
		}
		for (size_t n = 1; n < blocks[i].count; n++) {
			buf_append_byte(&block, 0xbe);
		}
		rig_frame(&rig, NGHTTP2_HEADERS, 5, 1, buf_slice(&block));
		rig_feed(&rig, 0);
		rig_output(&rig, &text);
		assert_int_equal(rig.codec->closing, blocks[i].closed);
		assert_int_equal(rig.count, 0);
		if (!blocks[i].closed) {
			assert_non_null(strstr(buf_string(&text), ":status=431"));
		}
		mem_free(value);
		buf_fini(&block);
		buf_fini(&text);
		rig_fini(&rig);
	}
}

/* H2-20: CONTINUATION frames by number, bytes and time. */
static void continuations(void **state)
{
	static const struct {
		int frames;
		size_t size;
		uint64_t pause_ms;
		bool closed;
	} floods_of[] = {{7, 1, 0, false}, {8, 1, 0, false}, {9, 1, 0, true}, {4, 16384, 0, true},
		{3, 16384, 0, false}, {5, 1, 1999, false}, {5, 1, 2001, true}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(floods_of); i++) {
		struct rig rig;
		struct buf block;
		uint8_t *bytes = mem_zalloc(16384);

		rig_start(&rig, false);
		rig.quiet = true;
		buf_init(&block);
		rig_hpack_list(&block, SLICE(RIG_GET));
		rig_frame(&rig, NGHTTP2_HEADERS, 0, 1, buf_slice(&block));
		rig_feed(&rig, 0);
		assert_int_equal(rig.codec->next_deadline_ms, rig.now_ms + 10000);
		/* 0x20 is a table size update to 0: takes no room, but only at a block's start;
		 * a single-byte indexed field (0x82) fails later as a repeated pseudo-field. */
		memset(bytes, 0x90, 16384); /* accept-encoding, static table */
		for (int n = 0; n < floods_of[i].frames && !rig.codec->closing; n++) {
			rig_tick(&rig, floods_of[i].pause_ms);
			rig_frame(&rig, NGHTTP2_CONTINUATION, 0, 1,
				slice_make(bytes, floods_of[i].size == 1 ? 1 : 900));
			if (floods_of[i].size > 1) {
				buf_clear(&rig.input);
				memset(bytes, 0, 16384);
				bytes[1] = 1;
				bytes[2] = 'x';
				bytes[3] = 0x7f;
				bytes[4] = 0x80 | ((16384 - 6 - 127) & 0x7f);
				bytes[5] = (16384 - 6 - 127) >> 7;
				memset(bytes + 6, 'v', 16384 - 6);
				rig_frame(
					&rig, NGHTTP2_CONTINUATION, 0, 1, slice_make(bytes, 16384));
			}
			rig_feed(&rig, 0);
		}
		rig_produce(&rig);
		print_message("%zu\n", i);
		assert_int_equal(rig.codec->closing, floods_of[i].closed);
		if (floods_of[i].closed) {
			assert_int_equal(rig.codec->close_reason, REASON_h2_flood);
		}
		mem_free(bytes);
		buf_fini(&block);
		rig_fini(&rig);
	}
}

/* A header block that is ignored leaves no timer behind. */
static void ignored_block(void **state)
{
	struct rig rig;

	(void)state;
	rig_start(&rig, false);
	rig_headers(&rig, 1, SLICE(RIG_POST), false);
	rig_feed(&rig, 0);
	rig_let_go(rig.streams[0], REASON_deadline_exceeded);
	rig_produce(&rig);
	rig_headers(&rig, 1, SLICE("x:1"), true);
	rig_headers(&rig, 3, SLICE(RIG_POST), false);
	rig_headers(&rig, 5, SLICE(RIG_POST "|te:gzip"), true);
	rig_feed(&rig, 0);
	rig_produce(&rig);
	rig_tick(&rig, 20000);
	assert_false(rig.codec->closing);
	rig_fini(&rig);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits),
		cmocka_unit_test(pings_that_follow_data),
		cmocka_unit_test(expired_deadlines),
		cmocka_unit_test(fields_of_a_block),
		cmocka_unit_test(continuations),
		cmocka_unit_test(ignored_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
