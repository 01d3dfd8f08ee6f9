/* Responses as raw frames: http.md 19 W-03, W-04, W-06, W-14, W-15 on the client side. */
#include "h2_rig.h"

struct row {
	const char *name;
	struct slice fields;
	const char *log; /* NULL: 502 upstream_protocol */
};

#define BAD(name, fields)                                                                          \
	{                                                                                          \
		name, SLICE(fields), NULL                                                          \
	}

static const struct row rows[] = {
	{"plain", SLICE(":status:200"), "0> 200 end;"},
	{"fields", SLICE(":status:404|x:a|set-cookie:1|set-cookie:2"),
		"0> 404 x=a set-cookie=1 set-cookie=2 end;"},
	{"304 with length", SLICE(":status:304|content-length:7"), "0> 304 declared 7 end;"},
	{"length 0", SLICE(":status:200|content-length:0"), "0> 200 length 0 end;"},
	{"599", SLICE(":status:599"), "0> 599 end;"},
	BAD("upper case", ":status:200|X:a"),
	BAD("NUL", ":status:200|x:a\0b"),
	BAD("LF", ":status:200|x:a\nb"),
	BAD("edge blank", ":status:200|x:a "),
	BAD("connection", ":status:200|connection:close"),
	BAD("alias", ":status:200|content_length:7"),
	BAD("transfer-encoding", ":status:200|transfer-encoding:chunked"),
	BAD("no status", "x:a"),
	BAD("empty status", ":status:"),
	BAD("99", ":status:099"),
	BAD("600", ":status:600"),
	BAD("two digits", ":status:20"),
	BAD("101", ":status:101"),
	BAD("status twice", ":status:200|:status:200"),
	BAD("path", ":status:200|:path:/"),
	BAD("late", "x:a|:status:200"),
	BAD("length that never comes", ":status:200|content-length:5"),
	BAD("two lengths", ":status:200|content-length:0|content-length:0"),
	BAD("list", ":status:200|content-length:0, 0"),
	BAD("interim with end", ":status:103"),
};

static void heads(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (size_t step = 0; step < 2; step++) {
			struct rig rig;
			struct buf text;

			print_message("%s\n", rows[i].name);
			rig_start(&rig, true);
			buf_init(&text);
			rig_request(&rig, METHOD_GET, 0, true);
			rig_request(&rig, METHOD_GET, 0, true);
			rig_output(&rig, &text);
			rig_headers(&rig, 1, rows[i].fields, true);
			rig_headers(&rig, 3, SLICE(":status:204"), true);
			rig_feed(&rig, step);
			rig_output(&rig, &text);
			/* The other stream is unharmed. */
			assert_non_null(strstr(rig_log(&rig), "1> 204 end;"));
			if (rows[i].log) {
				assert_non_null(strstr(rig_log(&rig), rows[i].log));
				assert_string_equal(buf_string(&text), "");
			} else {
				assert_non_null(
					strstr(rig_log(&rig), "0> reset upstream_protocol 0;"));
				assert_null(strstr(rig_log(&rig), "0> 2"));
			}
			buf_fini(&text);
			rig_fini(&rig);
		}
	}
}

/* W-06 for responses. */
static void bodies(void **state)
{
	static const struct {
		char end;
		int length;
		const char *log;
	} body_rows[] = {
		{'d', -1, "0> 200;0> body 5 end;"},
		{'d', 5, "0> 200 length 5;0> body 5 end;"},
		{'d', 4, NULL},
		{'d', 6, NULL},
		{'t', -1, "0> 200;0> body 5;0> trailers x=1 end;"},
		{'t', 5, "0> 200 length 5;0> body 5;0> trailers x=1 end;"},
		{'t', 4, NULL},
		{'t', 6, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(body_rows); i++) {
		char fields[128];
		struct rig rig;
		struct buf text;

		rig_start(&rig, true);
		buf_init(&text);
		rig_request(&rig, METHOD_GET, 0, true);
		rig_output(&rig, &text);
		snprintf(fields, sizeof(fields),
			body_rows[i].length < 0 ? ":status:200" : ":status:200|content-length:%d",
			body_rows[i].length);
		rig_headers(&rig, 1, slice_from_string(fields), false);
		rig_data(&rig, 1, 5, body_rows[i].end == 'd');
		if (body_rows[i].end == 't') {
			rig_headers(&rig, 1, SLICE("x:1"), true);
		}
		rig_feed(&rig, 0);
		rig_output(&rig, &text);
		if (body_rows[i].log) {
			assert_string_equal(rig_log(&rig), body_rows[i].log);
		} else {
			assert_non_null(strstr(rig_log(&rig), "reset upstream_protocol"));
			assert_null(strstr(rig_log(&rig), " end"));
		}
		buf_fini(&text);
		rig_fini(&rig);
	}
}

/* HEAD and 204 have no body, whatever is said. */
static void head_request(void **state)
{
	struct rig rig;
	struct buf text;

	(void)state;
	rig_start(&rig, true);
	buf_init(&text);
	rig_request(&rig, METHOD_HEAD, 0, true);
	rig_request(&rig, METHOD_HEAD, 0, true);
	rig_output(&rig, &text);
	rig_headers(&rig, 1, SLICE(":status:200|content-length:70"), true);
	rig_headers(&rig, 3, SLICE(":status:200|content-length:70"), false);
	rig_data(&rig, 3, 70, true);
	rig_feed(&rig, 0);
	rig_output(&rig, &text);
	assert_non_null(strstr(rig_log(&rig), "0> 200 declared 70 end;"));
	assert_non_null(strstr(rig_log(&rig), "1> reset upstream_protocol"));
	buf_fini(&text);
	rig_fini(&rig);
}

/* X-07, H1-33: 100 ends here, others pass, the ninth is too many. */
static void interims(void **state)
{
	struct rig rig;
	struct buf text;

	(void)state;
	rig_start(&rig, true);
	buf_init(&text);
	rig_request(&rig, METHOD_GET, 0, true);
	rig_request(&rig, METHOD_GET, 0, true);
	rig_output(&rig, &text);
	rig_headers(&rig, 1, SLICE(":status:100"), false);
	rig_headers(&rig, 1, SLICE(":status:103|link:x"), false);
	rig_headers(&rig, 1, SLICE(":status:200"), true);
	for (int i = 0; i < 9; i++) {
		rig_headers(&rig, 3, SLICE(":status:102"), false);
	}
	rig_feed(&rig, 0);
	assert_non_null(strstr(rig_log(&rig), "0> 103 link=x;0> 200 end;"));
	assert_non_null(strstr(rig_log(&rig), "1> 102;1> reset upstream_protocol 0;"));
	assert_string_equal(rig_output(&rig, &text), "R3 1;");
	buf_fini(&text);
	rig_fini(&rig);
}

/* W-15: what an upstream may do wrong with one stream while another goes on. */
static void faults(void **state)
{
	(void)state;
	for (int fault = 0; fault < 7; fault++) {
		struct rig rig;
		struct buf text;
		const char *word = "upstream_protocol 0";

		rig_start(&rig, true);
		buf_init(&text);
		rig_request(&rig, METHOD_GET, 0, true);
		rig_request(&rig, METHOD_GET, 0, true);
		rig_output(&rig, &text);
		switch (fault) {
		case 0: /* HEADERS twice */
			rig_headers(&rig, 1, SLICE(":status:200"), false);
			rig_headers(&rig, 1, SLICE(":status:200"), false);
			break;
		case 1: /* trailers without end */
			rig_headers(&rig, 1, SLICE(":status:200"), false);
			rig_headers(&rig, 1, SLICE("x:1"), false);
			break;
		case 2:
			rig_u32_frame(&rig, NGHTTP2_RST_STREAM, 1, NGHTTP2_CANCEL);
			word = "upstream_reset 8";
			break;
		case 3:
			rig_headers(&rig, 1, SLICE(":status:200"), false);
			rig_u32_frame(&rig, NGHTTP2_RST_STREAM, 1, NGHTTP2_INTERNAL_ERROR);
			word = "upstream_reset 2";
			break;
		case 4:
			rig_headers(&rig, 1, SLICE(":status:200"), false);
			rig_data(&rig, 1, 5, false);
			rig_u32_frame(&rig, NGHTTP2_RST_STREAM, 1, NGHTTP2_NO_ERROR);
			word = "upstream_reset 0";
			break;
		case 5:
			rig_u32_frame(&rig, NGHTTP2_RST_STREAM, 1, NGHTTP2_REFUSED_STREAM);
			word = "refused_stream 7 unprocessed";
			break;
		default:
			rig_headers(&rig, 1, SLICE(":status:200"), false);
			rig_u32_frame(&rig, NGHTTP2_WINDOW_UPDATE, 1, 0x7fffffff);
			break;
		}
		rig_feed(&rig, 0);
		rig_output(&rig, &text);
		rig_headers(&rig, 3, SLICE(":status:204"), true);
		rig_feed(&rig, 0);
		print_message("%d: %s\n", fault, rig_log(&rig));
		assert_non_null(strstr(rig_log(&rig), word));
		assert_non_null(strstr(rig_log(&rig), "1> 204 end;"));
		assert_false(rig.codec->closing);
		buf_fini(&text);
		rig_fini(&rig);
	}
}

/* Faults of the connection: all streams end, with GOAWAY. */
static void connection_faults(void **state)
{
	static const uint8_t push[] = {0, 0, 0, 2, 0x82};
	static const uint8_t huge[] = {0x88, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f};

	(void)state;
	for (int fault = 0; fault < 4; fault++) {
		struct rig rig;
		struct buf text;

		rig_start(&rig, true);
		buf_init(&text);
		rig_request(&rig, METHOD_GET, 0, true);
		rig_output(&rig, &text);
		if (fault == 0) {
			rig_frame(&rig, NGHTTP2_PUSH_PROMISE, NGHTTP2_FLAG_END_HEADERS, 1,
				slice_make(push, sizeof(push)));
		} else if (fault == 1) {
			rig_frame(&rig, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1,
				slice_make(huge, sizeof(huge)));
		} else if (fault == 2) {
			/* DATA first: the library ends the connection, not the stream alone. */
			rig_data(&rig, 1, 5, false);
		} else {
			rig_headers(&rig, 9, SLICE(":status:200"), true);
		}
		rig_feed(&rig, 0);
		rig_output(&rig, &text);
		print_message("%d: %s %s\n", fault, rig_log(&rig), buf_string(&text));
		assert_non_null(strstr(buf_string(&text), "G 0 "));
		assert_true(rig.codec->closing);
		assert_non_null(strstr(rig_log(&rig), "0> reset upstream_protocol"));
		assert_int_equal(rig.codec->ops->spare_streams(rig.codec), 0);
		buf_fini(&text);
		rig_fini(&rig);
	}
}

/* H2-19: 502 for one stream. */
static void head_too_large(void **state)
{
	struct rig rig;
	struct buf text;
	struct buf block;

	(void)state;
	rig_start(&rig, true);
	buf_init(&text);
	buf_init(&block);
	rig_request(&rig, METHOD_GET, 0, true);
	rig_output(&rig, &text);
	rig_hpack_list(&block, SLICE(":status:200"));
	for (int i = 0; i < 101; i++) {
		rig_hpack(&block, SLICE("x"), SLICE("y"));
	}
	rig_frame(&rig, NGHTTP2_HEADERS, 5, 1, buf_slice(&block));
	rig_feed(&rig, 0);
	assert_string_equal(rig_log(&rig), "0> reset upstream_head_too_large 0;");
	assert_false(rig.codec->closing);
	buf_fini(&text);
	buf_fini(&block);
	rig_fini(&rig);
}

static void put_goaway(struct rig *rig, uint32_t last_id, uint32_t code)
{
	uint8_t bytes[8] = {(uint8_t)(last_id >> 24), (uint8_t)(last_id >> 16),
		(uint8_t)(last_id >> 8), (uint8_t)last_id, 0, 0, 0, (uint8_t)code};

	rig_frame(rig, NGHTTP2_GOAWAY, 0, 0, slice_make(bytes, sizeof(bytes)));
}

/* W-14, H2-36: last id below two open streams; the others finish, then the connection ends. */
static void goaway(void **state)
{
	struct rig rig;
	struct buf text;

	(void)state;
	rig_start(&rig, true);
	buf_init(&text);
	for (int i = 0; i < 3; i++) {
		rig_request(&rig, METHOD_GET, 0, true);
	}
	rig_output(&rig, &text);
	put_goaway(&rig, 1, NGHTTP2_NO_ERROR);
	rig_feed(&rig, 0);
	assert_true(rig.codec->draining);
	assert_false(rig.codec->closing);
	assert_null(rig.codec->ops->open(rig.codec));
	assert_non_null(strstr(rig_log(&rig), "1> reset refused_stream 0 unprocessed;"));
	assert_non_null(strstr(rig_log(&rig), "2> reset refused_stream 0 unprocessed;"));
	rig_headers(&rig, 1, SLICE(":status:200"), true);
	rig_feed(&rig, 0);
	assert_non_null(strstr(rig_log(&rig), "0> 200 end;"));
	rig_let_go(rig.streams[0], REASON_ok);
	assert_true(rig.codec->closing);
	buf_fini(&text);
	rig_fini(&rig);
}

/* A request that was submitted but not yet sent when the GOAWAY came. */
static void goaway_before_send(void **state)
{
	struct rig rig;

	(void)state;
	rig_start(&rig, true);
	rig_request(&rig, METHOD_GET, 0, true);
	rig_produce(&rig);
	rig_request(&rig, METHOD_GET, 0, true);
	put_goaway(&rig, 1, NGHTTP2_NO_ERROR);
	rig_feed(&rig, 0);
	rig_produce(&rig);
	assert_non_null(strstr(rig_log(&rig), "1> reset refused_stream 0 unprocessed;"));
	assert_int_equal(rig.streams[0]->head_end - rig.streams[0]->head_begin > 9, 1);
	rig_fini(&rig);
}

/* The connection goes: what the owner hears depends on how far the response was. */
static void lost(void **state)
{
	static const struct {
		int input_error;
		const char *words[3];
	} ends[] = {{0, {"upstream_closed", "upstream_truncated", "end;"}},
		{-104, {"upstream_reset", "upstream_reset", "end;"}}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		struct rig rig;

		rig_start(&rig, true);
		for (int n = 0; n < 3; n++) {
			rig_request(&rig, METHOD_GET, 0, true);
		}
		rig_produce(&rig);
		rig_headers(&rig, 3, SLICE(":status:200"), false);
		rig_headers(&rig, 5, SLICE(":status:200"), true);
		rig_feed(&rig, 0);
		rig.codec->input_error = ends[i].input_error;
		rig.codec->ops->receive(rig.codec, true, rig.now_ms);
		for (int n = 0; n < 3; n++) {
			char wanted[64];

			snprintf(wanted, sizeof(wanted), n < 2 ? "%d> reset %s 0;" : "%d> 200 %s",
				n, ends[i].words[n]);
			assert_non_null(strstr(rig_log(&rig), wanted));
		}
		assert_null(strstr(rig_log(&rig), "2> reset"));
		assert_true(rig.codec->closing);
		assert_false(rig.codec->has_output);
		rig_fini(&rig);
	}
}

/* H2-34, and reset before and after the request was sent. */
static void spare_streams(void **state)
{
	static const uint8_t two[] = {0, 3, 0, 0, 0, 2};
	struct rig rig;
	struct buf text;

	(void)state;
	rig_start(&rig, true);
	buf_init(&text);
	assert_int_equal(rig.codec->ops->spare_streams(rig.codec), 100);
	rig_frame(&rig, NGHTTP2_SETTINGS, 0, 0, slice_make(two, sizeof(two)));
	rig_feed(&rig, 0);
	assert_int_equal(rig.codec->ops->spare_streams(rig.codec), 2);
	rig_request(&rig, METHOD_POST, 0, false);
	rig_request(&rig, METHOD_GET, 0, true);
	assert_null(rig.codec->ops->open(rig.codec));
	assert_false(rig.streams[0]->reused);
	assert_true(rig.streams[1]->reused);
	rig_let_go(rig.streams[0], REASON_deadline_exceeded);
	assert_int_equal(rig.codec->ops->spare_streams(rig.codec), 1);
	rig_output(&rig, &text);
	assert_null(strstr(buf_string(&text), "H1")); /* taken back before it was sent */
	rig_let_go(rig.streams[1], REASON_downstream_reset);
	assert_string_equal(rig_output(&rig, &text), "R3 8;");
	rig_adopt(&rig, rig.codec->ops->open(rig.codec));
	rig_let_go(rig.streams[2], REASON_ok); /* opened, nothing sent */
	assert_int_equal(rig.codec->streams_active, 0);
	buf_fini(&text);
	rig_fini(&rig);
}

/* H2-38: a server that ended first may stop the request (RFC 9113 8.1). */
static void early_response(void **state)
{
	struct rig rig;
	struct buf text;

	(void)state;
	rig_start(&rig, true);
	buf_init(&text);
	rig_request(&rig, METHOD_POST, 100, false);
	rig_output(&rig, &text);
	rig_headers(&rig, 1, SLICE(":status:200"), true);
	rig_u32_frame(&rig, NGHTTP2_RST_STREAM, 1, NGHTTP2_NO_ERROR);
	rig_feed(&rig, 0);
	assert_string_equal(rig_log(&rig), "0> 200 end;");
	chain_append_copy(&rig.streams[0]->out, &rig.pool, "abc", 3);
	rig.codec->ops->send_more(rig.streams[0], true);
	assert_string_equal(rig_output(&rig, &text), "");
	buf_fini(&text);
	rig_fini(&rig);
}

static void start_pings(struct rig *rig, struct buf *text)
{
	rig_start(rig, true);
	rig->limits.h2_ping_ms = 10000;
	rig->limits.h2_ping_wait_ms = 5000;
	buf_init(text);
	rig_tick(rig, 60000);
	rig_output(rig, text);
}

/* H2-37: asked only while streams are open; any byte is an answer; silence is the end. */
static void pings(void **state)
{
	struct rig rig;
	struct buf text;

	(void)state;
	start_pings(&rig, &text);
	assert_true(rig.codec->next_deadline_ms > rig.now_ms + 60000);
	rig_request(&rig, METHOD_POST, 0, false);
	rig_tick(&rig, 1); /* nothing was heard for a minute */
	assert_non_null(strstr(rig_output(&rig, &text), "P"));
	assert_int_equal(rig.codec->next_deadline_ms, rig.now_ms + 5000);
	rig_tick(&rig, 4999);
	rig_headers(&rig, 1, SLICE(":status:200"), false);
	rig_feed(&rig, 0);
	rig_tick(&rig, 9999);
	assert_string_equal(rig_output(&rig, &text), "");
	rig_tick(&rig, 1);
	assert_string_equal(rig_output(&rig, &text), "P;");
	rig_tick(&rig, 4999);
	assert_false(rig.codec->closing);
	rig_tick(&rig, 1);
	assert_true(rig.codec->closing);
	assert_int_equal(rig.codec->close_reason, REASON_upstream_reset);
	assert_string_equal(rig_log(&rig), "0> 200;0> reset upstream_reset 0;");
	buf_fini(&text);
	rig_fini(&rig);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(heads),
		cmocka_unit_test(bodies),
		cmocka_unit_test(head_request),
		cmocka_unit_test(interims),
		cmocka_unit_test(faults),
		cmocka_unit_test(connection_faults),
		cmocka_unit_test(head_too_large),
		cmocka_unit_test(goaway),
		cmocka_unit_test(goaway_before_send),
		cmocka_unit_test(lost),
		cmocka_unit_test(spare_streams),
		cmocka_unit_test(early_response),
		cmocka_unit_test(pings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
