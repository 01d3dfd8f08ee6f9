/* The codec as a whole: first flight, timers, drain, farewells, memory (H2-01..09, T-02, D-03). */
#include "h2_rig.h"

#include "http/h2_internal.h"

static void first_flight(void **state)
{
	static const struct {
		bool client;
		uint16_t id;
		uint32_t value;
	} settings[] = {{false, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 100},
		{false, NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, 65536},
		{false, NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
		{true, NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
		{true, NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, 65536}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		struct rig rig;
		struct rig_frame frame;
		bool found = false;

		rig_init(&rig, settings[i].client);
		rig_produce(&rig);
		assert_true(rig_next(&rig, &frame));
		assert_int_equal(frame.type, NGHTTP2_SETTINGS);
		for (size_t at = 0; at < frame.length; at += 6) {
			uint16_t id = (uint16_t)(frame.payload[at] << 8 | frame.payload[at + 1]);

			/* Extended CONNECT is not offered. */
			assert_int_not_equal(id, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL);
			found = found || (id == settings[i].id && rig_u32(frame.payload + at + 2) ==
									  settings[i].value);
		}
		assert_true(found);
		assert_true(rig_next(&rig, &frame));
		assert_int_equal(frame.type, NGHTTP2_WINDOW_UPDATE);
		assert_int_equal(rig_u32(frame.payload), 1024 * 1024 - 65535);
		assert_false(rig_next(&rig, &frame));
		rig_fini(&rig);
	}
}

/* H2-08. */
static void settings_timeout(void **state)
{
	struct rig rig;
	struct buf text;

	(void)state;
	rig_init(&rig, false);
	buf_init(&text);
	buf_append_string(&rig.input, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	rig_frame(&rig, NGHTTP2_SETTINGS, 0, 0, SLICE(""));
	rig_headers(&rig, 1, SLICE(RIG_GET), true);
	rig_feed(&rig, 0);
	rig_output(&rig, &text);
	assert_int_equal(rig.codec->next_deadline_ms, 11000);
	rig_tick(&rig, 9999);
	assert_false(rig.codec->closing);
	rig_tick(&rig, 1);
	assert_true(rig.codec->closing);
	assert_int_equal(rig.codec->close_reason, REASON_h2_settings_timeout);
	assert_string_equal(rig_output(&rig, &text), "G 1 4;");
	assert_false(rig.codec->has_output);
	buf_fini(&text);
	rig_fini(&rig);
}

/* T-02: only without streams, only on the server. */
static void idle(void **state)
{
	struct rig rig;
	struct buf text;

	(void)state;
	rig_start(&rig, false);
	buf_init(&text);
	rig_headers(&rig, 1, SLICE(RIG_GET), true);
	rig_feed(&rig, 0);
	rig_tick(&rig, 200000);
	assert_false(rig.codec->closing);
	rig_answer(&rig, 0, 200, 0, true);
	rig_let_go(rig.streams[0], REASON_ok);
	rig_output(&rig, &text);
	rig_tick(&rig, 50);
	assert_int_equal(rig.codec->next_deadline_ms, rig.now_ms + 90000);
	rig_tick(&rig, 89999);
	assert_false(rig.codec->closing);
	rig_tick(&rig, 1);
	assert_true(rig.codec->closing);
	assert_int_equal(rig.codec->close_reason, REASON_idle_timeout);
	assert_string_equal(rig_output(&rig, &text), "G 1 0;");
	buf_fini(&text);
	rig_fini(&rig);
	rig_start(&rig, true);
	rig_tick(&rig, 1000000);
	assert_false(rig.codec->closing);
	rig_fini(&rig);
}

/* D-03, D-06: notice, PING; the true last id after its answer or a second; then the end. */
static void drain(void **state)
{
	(void)state;
	for (int way = 0; way < 3; way++) {
		struct rig rig;
		struct rig_frame frame;
		struct buf text;
		uint8_t opaque[8] = {0};

		rig_start(&rig, false);
		buf_init(&text);
		rig_headers(&rig, 1, SLICE(RIG_GET), true);
		rig_feed(&rig, 0);
		rig.codec->ops->drain(rig.codec, way == 2);
		assert_true(rig.codec->draining);
		if (way < 2) {
			rig_produce(&rig);
			while (rig_next(&rig, &frame)) {
				if (frame.type == NGHTTP2_PING) {
					memcpy(opaque, frame.payload, 8);
				} else {
					assert_int_equal(frame.type, NGHTTP2_GOAWAY);
					assert_int_equal(rig_u32(frame.payload), 0x7fffffff);
				}
			}
			/* Sent before the notice arrived: still served. */
			rig_headers(&rig, 3, SLICE(RIG_GET), true);
			if (way == 0) {
				rig_frame(&rig, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0,
					slice_make(opaque, 8));
			}
			rig_feed(&rig, 0);
			assert_int_equal(rig.count, 2);
			rig_tick(&rig, 1000);
			assert_string_equal(rig_output(&rig, &text), "G 3 0;");
			rig_answer(&rig, 1, 204, 0, true);
			rig_let_go(rig.streams[1], REASON_ok);
		} else {
			assert_string_equal(rig_output(&rig, &text), "G 1 0;");
		}
		/* Beyond the last id nothing is looked at. */
		rig_headers(&rig, 5, SLICE(RIG_GET), true);
		rig_feed(&rig, 0);
		assert_int_equal(rig.count, way < 2 ? 2 : 1);
		assert_false(rig.codec->closing);
		rig_answer(&rig, 0, 200, 5, true);
		rig_let_go(rig.streams[0], REASON_ok);
		rig_output(&rig, &text);
		assert_non_null(strstr(buf_string(&text), "D1 5 end;"));
		assert_true(rig.codec->closing);
		assert_int_equal(rig.codec->close_reason, REASON_ok);
		buf_fini(&text);
		rig_fini(&rig);
	}
}

static void drain_idle(void **state)
{
	struct rig rig;
	struct buf text;

	(void)state;
	buf_init(&text);
	for (int client = 0; client < 2; client++) {
		rig_start(&rig, client);
		rig.codec->ops->drain(rig.codec, false);
		rig_output(&rig, &text);
		rig_tick(&rig, 1000);
		rig_output(&rig, &text);
		assert_true(rig.codec->closing);
		assert_int_equal(rig.codec->ops->spare_streams(rig.codec), 0);
		rig_fini(&rig);
	}
	buf_fini(&text);
}

/* What ends the connection, and what the peer reads then. */
static void farewells(void **state)
{
	static const uint8_t big[] = {0x7f, 0xff, 0xff, 0xff};
	static const uint8_t ping[] = {1, 2, 3};

	(void)state;
	for (int fault = 0; fault < 7; fault++) {
		struct rig rig;
		struct buf text;
		const char *goaway = "G 0 1;";

		if (fault == 0) {
			rig_init(&rig, false);
			buf_append_string(&rig.input, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
		} else if (fault == 1) {
			rig_init(&rig, false);
			buf_append_string(&rig.input, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
			rig_headers(&rig, 1, SLICE(RIG_GET), true);
		} else {
			rig_start(&rig, false);
		}
		buf_init(&text);
		switch (fault) {
		case 2:
			rig_frame(&rig, NGHTTP2_PING, 0, 0, slice_make(ping, 3));
			goaway = "G 0 6;";
			break;
		case 3:
			rig_frame(&rig, NGHTTP2_WINDOW_UPDATE, 0, 0, slice_make(big, 4));
			goaway = "G 0 3;";
			break;
		case 4:
			rig_frame(&rig, NGHTTP2_HEADERS, 5, 1, SLICE("\xff\xff\xff\xff\xff\xff"));
			goaway = "G 1 9;";
			break;
		case 5:
			rig_frame(&rig, NGHTTP2_CONTINUATION, 4, 1, SLICE("x"));
			break;
		case 6:
			rig_frame(&rig, NGHTTP2_DATA, 0, 0, SLICE("x"));
			break;
		default:
			break;
		}
		rig_feed(&rig, 0);
		rig_output(&rig, &text);
		print_message("%d: %s\n", fault, buf_string(&text));
		assert_non_null(strstr(buf_string(&text), goaway));
		/* The first flight is never left out. */
		assert_int_equal(rig.wire.data[3], NGHTTP2_SETTINGS);
		assert_true(rig.codec->closing);
		assert_int_equal(rig.codec->close_reason, REASON_h2_protocol);
		/* Nothing more is taken or said. */
		rig_headers(&rig, 1, SLICE(RIG_GET), true);
		rig_feed(&rig, 0);
		assert_string_equal(rig_output(&rig, &text), "");
		assert_int_equal(rig.count, 0);
		buf_fini(&text);
		rig_fini(&rig);
	}
}

/* A request and a fault in the very first bytes, before anything was sent. */
static void early_fault(void **state)
{
	struct rig rig;
	struct buf text;

	(void)state;
	rig_init(&rig, false);
	buf_init(&text);
	rig_preface(&rig);
	rig_headers(&rig, 1, SLICE(RIG_POST), false);
	rig_headers(&rig, 3, SLICE(RIG_POST "|te:gzip"), false);
	rig_frame(&rig, NGHTTP2_HEADERS, 5, 5, SLICE("\xff\xff\xff\xff\xff\xff"));
	rig_frame(&rig, NGHTTP2_PRIORITY, 0, 0, SLICE("12345"));
	rig_feed(&rig, 40);
	rig_headers(&rig, 7, SLICE(RIG_GET), true);
	rig_feed(&rig, 0);
	rig_output(&rig, &text);
	assert_int_equal(strncmp(buf_string(&text), "S;W0 983041;", 12), 0);
	assert_non_null(strstr(buf_string(&text), "G "));
	assert_true(rig.codec->closing && rig.codec->linger);
	assert_non_null(strstr(rig_log(&rig), "0> reset h2_protocol"));
	buf_fini(&text);
	rig_fini(&rig);
}

/* What a client sends behind its GOAWAY is read away: a RST would take the last bytes from it. */
static void client_says_goaway(void **state)
{
	static const uint8_t last[8];
	struct rig rig;

	(void)state;
	rig_start(&rig, false);
	assert_false(rig.codec->closing);
	rig_frame(&rig, NGHTTP2_GOAWAY, 0, 0, slice_make(last, sizeof last));
	rig_feed(&rig, 0);
	assert_true(rig.codec->closing && rig.codec->linger);
	rig_fini(&rig);
}

/* The peer leaves while streams are open. */
static void end_of_input(void **state)
{
	struct rig rig;

	(void)state;
	rig_start(&rig, false);
	rig_headers(&rig, 1, SLICE(RIG_GET), true);
	rig_headers(&rig, 3, SLICE(RIG_POST), false);
	rig_feed(&rig, 0);
	rig.codec->ops->receive(rig.codec, true, rig.now_ms);
	assert_non_null(strstr(rig_log(&rig), "0> reset downstream_closed 0;"));
	assert_non_null(strstr(rig_log(&rig), "1> reset downstream_truncated 0;"));
	assert_true(rig.codec->closing);
	assert_false(rig.codec->has_output);
	rig_fini(&rig);
}

/* After the connection failed, an owner may still do what it was about to do. */
static void late_owner(void **state)
{
	struct rig rig;
	struct head head;
	struct stream *stream;

	(void)state;
	rig_start(&rig, false);
	rig.let_go = false;
	rig.credit = false;
	rig_headers(&rig, 1, SLICE(RIG_POST), false);
	rig_data(&rig, 1, 2000, false);
	rig_feed(&rig, 0);
	rig_frame(&rig, NGHTTP2_DATA, 0, 0, SLICE("x"));
	rig_feed(&rig, 0);
	rig_produce(&rig);
	stream = rig.streams[0];
	head_init(&head, &stream->arena, HEAD_RESPONSE);
	head.status = 200;
	head.body = BODY_UNKNOWN;
	rig.codec->ops->credit(stream, 2000);
	assert_int_equal(rig.codec->ops->send_head(stream, &head, false), 0);
	chain_append_copy(&stream->out, &rig.pool, "abc", 3);
	rig.codec->ops->send_more(stream, true);
	rig.codec->ops->drain(rig.codec, true);
	rig_let_go(stream, REASON_ok);
	assert_int_equal(rig.codec->streams_active, 0);
	rig_fini(&rig);
}

/* H2-06: what the library holds is counted and bounded. */
static void memory(void **state)
{
	struct rig rig;
	struct h2 *h2;

	(void)state;
	rig_start(&rig, false);
	h2 = h2_of(rig.codec);
	assert_true(h2->memory > 1000 && h2->memory < 65536);
	h2->memory += 2 * 1024 * 1024;
	rig_frame(&rig, NGHTTP2_PING, 0, 0, SLICE("12345678"));
	rig_feed(&rig, 0);
	assert_true(rig.codec->closing);
	assert_int_equal(rig.codec->close_reason, REASON_h2_memory);
	h2->memory -= 2 * 1024 * 1024;
	rig_fini(&rig);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_flight),
		cmocka_unit_test(settings_timeout),
		cmocka_unit_test(idle),
		cmocka_unit_test(drain),
		cmocka_unit_test(drain_idle),
		cmocka_unit_test(farewells),
		cmocka_unit_test(early_fault),
		cmocka_unit_test(client_says_goaway),
		cmocka_unit_test(end_of_input),
		cmocka_unit_test(late_owner),
		cmocka_unit_test(memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
