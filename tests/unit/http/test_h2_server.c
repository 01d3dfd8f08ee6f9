/* Requests as raw frames: http.md 19 W-03 to W-07, H2-13 to H2-19, own answers. */
#include "h2_rig.h"

#define BASE ":method:GET|:scheme:http|:authority:a.b|:path:/"

struct row {
	const char *name;
	struct slice fields;
	const char *log; /* NULL: malformed, nobody hears of it */
};

#define BAD(name, fields)                                                                          \
	{                                                                                          \
		name, SLICE(fields), NULL                                                          \
	}

static const struct row rows[] = {
	{"plain", SLICE(BASE), "0> GET a.b / end;"},
	{"query", SLICE(":method:GET|:scheme:https|:authority:a|:path:/x?y=%zz"),
		"0> GET a /x?y=%zz end;"},
	{"authority in other case", SLICE(":method:GET|:scheme:http|:authority:A.B:80|:path:/"),
		"0> GET a.b:80 / end;"},
	{"path is normalised", SLICE(":method:GET|:scheme:http|:authority:a|:path:/x/../%61"),
		"0> GET a /a end;"},
	{"asterisk", SLICE(":method:OPTIONS|:scheme:http|:authority:a|:path:*"),
		"0> OPTIONS a * end;"},
	{"extension method", SLICE(":method:BREW|:scheme:http|:authority:a|:path:/"),
		"0> BREW a / end;"},
	{"fields", SLICE(BASE "|x-a:1|x-a:2|accept:*/*"),
		"0> GET a.b / x-a=1 x-a=2 accept=*/* end;"},
	{"te", SLICE(BASE "|te:trailers"), "0> GET a.b / end;"},
	{"obs-text and inner blanks", SLICE(BASE "|x:a\xff\t b"), "0> GET a.b / x=a\xff\t b end;"},
	{"crumbs", SLICE(BASE "|cookie:a=1|x:y|cookie:b=2"),
		"0> GET a.b / x=y cookie=a=1; b=2 end;"},
	{"http2-settings", SLICE(BASE "|http2-settings:AAMA"), "0> GET a.b / end;"},
	{"proxy-authorization", SLICE(BASE "|proxy-authorization:x"), "0> GET a.b / end;"},
	/* W-03 */
	BAD("upper case", BASE "|X-a:1"),
	BAD("blank in name", BASE "|x a:1"),
	BAD("NUL in name", BASE "|x\0a:1"),
	BAD("0x80 in name", BASE "|x\x80:1"),
	BAD("NUL in value", BASE "|x:a\0b"),
	BAD("CR in value", BASE "|x:a\rb"),
	BAD("LF in value", BASE "|x:a\nb"),
	BAD("DEL in value", BASE "|x:a\x7f"),
	BAD("leading blank", BASE "|x: a"),
	BAD("trailing blank", BASE "|x:a "),
	BAD("trailing tab", BASE "|x:a\t"),
	BAD("connection", BASE "|connection:x"),
	BAD("keep-alive", BASE "|keep-alive:1"),
	BAD("upgrade", BASE "|upgrade:h2c"),
	BAD("te: gzip", BASE "|te:gzip"),
	BAD("two te", BASE "|te:trailers|te:trailers"),
	BAD("alias", BASE "|content_length:5"),
	/* W-04 */
	BAD("empty path", ":method:GET|:scheme:http|:authority:a|:path:"),
	BAD("no slash", ":method:GET|:scheme:http|:authority:a|:path:a"),
	BAD("asterisk with GET", ":method:GET|:scheme:http|:authority:a|:path:*"),
	BAD("fragment", ":method:GET|:scheme:http|:authority:a|:path:/#"),
	BAD("blank in path", ":method:GET|:scheme:http|:authority:a|:path:/ "),
	BAD("0x80 in path", ":method:GET|:scheme:http|:authority:a|:path:/\x80"),
	BAD("absolute form", ":method:GET|:scheme:http|:authority:a|:path:http://a/"),
	BAD("above root", ":method:GET|:scheme:http|:authority:a|:path:/../a"),
	BAD("ftp", ":method:GET|:scheme:ftp|:authority:a|:path:/"),
	BAD("scheme with more", ":method:GET|:scheme:http://x/?|:authority:a|:path:/"),
	BAD("blank in method", ":method:GE T|:scheme:http|:authority:a|:path:/"),
	BAD("empty method", ":method:|:scheme:http|:authority:a|:path:/"),
	BAD("33 bytes of method", ":method:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA|:scheme:http|"
				  ":authority:a|:path:/"),
	BAD("no method", ":scheme:http|:authority:a|:path:/"),
	BAD("no scheme", ":method:GET|:authority:a|:path:/"),
	BAD("no path", ":method:GET|:scheme:http|:authority:a"),
	BAD("path twice", BASE "|:path:/"),
	BAD("unknown pseudo-field", BASE "|:foo:1"),
	BAD("status", BASE "|:status:200"),
	BAD("late", ":method:GET|:scheme:http|:authority:a|x:y|:path:/"),
	BAD("protocol", ":method:CONNECT|:protocol:websocket|:scheme:http|:authority:a|:path:/"),
	/* W-05 */
	{"host in other case", SLICE(BASE "|host:A.b"), "0> GET a.b / end;"},
	{"only host", SLICE(":method:GET|:scheme:http|:path:/|host:A"), "0> GET a / end;"},
	BAD("another host", BASE "|host:c"),
	BAD("list of hosts", ":method:GET|:scheme:http|:authority:a,b|:path:/"),
	BAD("userinfo", ":method:GET|:scheme:http|:authority:u@a|:path:/"),
	BAD("neither", ":method:GET|:scheme:http|:path:/"),
	BAD("host twice", BASE "|host:a.b|host:a.b"),
	BAD("empty host", ":method:GET|:scheme:http|:path:/|host:"),
	/* W-07 */
	BAD("transfer-encoding", BASE "|transfer-encoding:chunked"),
	BAD("list of lengths", BASE "|content-length:5, 5"),
	BAD("sign", BASE "|content-length:+5"),
	BAD("length twice", BASE "|content-length:0|content-length:0"),
	BAD("20 digits", BASE "|content-length:00000000000000000000"),
};

static void check_row(const struct row *row, size_t step)
{
	struct rig rig;
	struct buf text;
	const char *output;

	rig_start(&rig, false);
	buf_init(&text);
	rig_headers(&rig, 1, row->fields, true);
	rig_headers(&rig, 3, SLICE(BASE), true);
	rig_feed(&rig, step);
	output = rig_output(&rig, &text);
	if (row->log) {
		char wanted[512];

		snprintf(wanted, sizeof(wanted), "%s1> GET a.b / end;", row->log);
		assert_string_equal(rig_log(&rig), wanted);
		assert_string_equal(output, "");
	} else {
		/* RST_STREAM(PROTOCOL_ERROR), and the next stream is unharmed. */
		assert_string_equal(rig_log(&rig), "0> GET a.b / end;");
		assert_string_equal(output, "R1 1;");
	}
	buf_fini(&text);
	rig_fini(&rig);
}

static void heads(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		print_message("%s\n", rows[i].name);
		check_row(&rows[i], 0);
		check_row(&rows[i], 1);
	}
}

static void empty_name(void **state)
{
	struct rig rig;
	struct buf block;

	(void)state;
	rig_start(&rig, false);
	buf_init(&block);
	rig_hpack_list(&block, SLICE(BASE));
	rig_hpack(&block, SLICE(""), SLICE("x"));
	rig_frame(&rig, NGHTTP2_HEADERS, 5, 1, buf_slice(&block));
	rig_feed(&rig, 0);
	assert_string_equal(rig_output(&rig, &block), "R1 1;");
	assert_string_equal(rig_log(&rig), "");
	buf_fini(&block);
	rig_fini(&rig);
}

/* W-06, for requests: where the end stands x how long the content-length is. */
struct body_row {
	char end;	 /* 'h', 'd', 't': HEADERS, DATA, trailers */
	int length;	 /* -1: absent */
	const char *log; /* first piece may be missing when the library finds the fault first */
	bool ok;
};

static const struct body_row body_rows[] = {
	{'h', -1, "0> POST a / end;", true},
	{'h', 0, "0> POST a / end;", true},
	{'h', 5, "", false},
	{'d', -1, "0> POST a /;0> body 5 end;", true},
	{'d', 5, "0> POST a / length 5;0> body 5 end;", true},
	{'d', 4, "0> POST a / length 4;", false},
	{'d', 6, "0> POST a / length 6;", false},
	{'t', -1, "0> POST a /;0> body 5;0> trailers x=1 end;", true},
	{'t', 5, "0> POST a / length 5;0> body 5;0> trailers x=1 end;", true},
	{'t', 4, "0> POST a / length 4;", false},
	{'t', 6, "0> POST a / length 6;", false},
};

static void body_row(const struct body_row *row, size_t step)
{
	char fields[256];
	struct rig rig;
	struct buf text;

	rig_start(&rig, false);
	buf_init(&text);
	snprintf(fields, sizeof(fields), row->length < 0 ? RIG_POST : RIG_POST "|content-length:%d",
		row->length);
	rig_headers(&rig, 1, slice_from_string(fields), row->end == 'h');
	if (row->end != 'h') {
		rig_data(&rig, 1, 5, row->end == 'd');
	}
	if (row->end == 't') {
		rig_headers(&rig, 1, SLICE("x:1"), true);
	}
	rig_feed(&rig, step);
	rig_headers(&rig, 3, SLICE(RIG_GET), true);
	rig_feed(&rig, step);
	rig_output(&rig, &text);
	if (row->ok) {
		assert_string_equal(buf_string(&text), "");
		assert_non_null(strstr(rig_log(&rig), row->log));
	} else {
		assert_string_equal(buf_string(&text), "R1 1;");
		assert_int_equal(strncmp(rig_log(&rig), row->log, strlen(row->log)), 0);
		assert_null(strstr(rig_log(&rig), "0> body 5 end"));
		assert_null(strstr(rig_log(&rig), "trailers"));
		if (row->end != 'h') {
			assert_non_null(strstr(rig_log(&rig), "0> reset h2_malformed 0;"));
		}
	}
	assert_non_null(strstr(rig_log(&rig), "> GET a / end;"));
	buf_fini(&text);
	rig_fini(&rig);
}

static void bodies(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(body_rows); i++) {
		print_message("%c %d\n", body_rows[i].end, body_rows[i].length);
		body_row(&body_rows[i], 0);
	}
}

/* Pieces of one turn come as one; a second step shows that the count is the same. */
static void bodies_bytewise(void **state)
{
	struct rig rig;

	(void)state;
	rig_start(&rig, false);
	rig_headers(&rig, 1, SLICE(RIG_POST), false);
	rig_data(&rig, 1, 3, false);
	rig_data(&rig, 1, 0, true);
	rig_feed(&rig, 1);
	assert_string_equal(
		rig_log(&rig), "0> POST a /;0> body 1;0> body 1;0> body 1;0> body 0 end;");
	assert_int_equal(rig.streams[0]->received, 3);
	assert_true(rig.streams[0]->ended_in);
	rig_fini(&rig);
}

/* W-03, W-04, W-07 in trailers. */
static void trailers(void **state)
{
	static const struct row trailer_rows[] = {
		{"plain", SLICE("grpc-status:0|x:1"), "0> trailers grpc-status=0 x=1 end;"},
		{"length is dropped or refused", SLICE("content-length:5"), NULL},
		{"X-06", SLICE("authorization:x|x:1|cookie:a|content-type:b|host:a"),
			"0> trailers x=1 end;"},
		BAD("pseudo-field", ":path:/"),
		BAD("upper case", "X:1"),
		BAD("connection", "connection:x"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(trailer_rows); i++) {
		const struct row *row = &trailer_rows[i];
		struct rig rig;
		struct buf text;

		print_message("%s\n", row->name);
		rig_start(&rig, false);
		buf_init(&text);
		rig_headers(&rig, 1, SLICE(RIG_POST), false);
		rig_data(&rig, 1, 2000, false);
		rig_headers(&rig, 1, row->fields, true);
		rig_feed(&rig, 0);
		rig_output(&rig, &text);
		if (row->log) {
			assert_non_null(strstr(rig_log(&rig), "0> body 2000;"));
			assert_non_null(strstr(rig_log(&rig), row->log));
			assert_string_equal(buf_string(&text), "");
		} else if (buf_string(&text)[0] == 'R') {
			assert_string_equal(buf_string(&text), "R1 1;");
			assert_non_null(strstr(rig_log(&rig), "0> reset h2_malformed 0;"));
			assert_null(strstr(rig_log(&rig), "trailers"));
		} else {
			assert_non_null(strstr(rig_log(&rig), "0> trailers end;"));
		}
		buf_fini(&text);
		rig_fini(&rig);
	}
}

/* H2-18: HEADERS without END_STREAM after the head. */
static void second_head(void **state)
{
	struct rig rig;
	struct buf text;

	(void)state;
	rig_start(&rig, false);
	buf_init(&text);
	rig_headers(&rig, 1, SLICE(RIG_POST), false);
	rig_headers(&rig, 1, SLICE("x:1"), false);
	rig_feed(&rig, 0);
	assert_string_equal(rig_output(&rig, &text), "R1 1;");
	assert_string_equal(rig_log(&rig), "0> POST a /;0> reset h2_malformed 0;");
	buf_fini(&text);
	rig_fini(&rig);
}

/* H2-19: fields and bytes at the limit and one beyond; the answer is made here. */
static void too_large(void **state)
{
	static const struct {
		size_t fields, bytes;
		const char *word;
	} sizes[] = {{99, 0, NULL}, {100, 0, NULL}, {101, 0, "too_many_fields"}, {1, 65535, NULL},
		{1, 65536, NULL}, {1, 65537, "head_too_large"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct rig rig;
		struct buf text;
		struct buf block;
		/* `:method` GET and so on cost 42 + 43 + 43 + 38 bytes. */
		size_t rest = sizes[i].bytes > 0 ? sizes[i].bytes - 166 - 33 : 1;
		char *value = mem_zalloc(rest + 1);

		rig_start(&rig, false);
		buf_init(&text);
		buf_init(&block);
		memset(value, 'v', rest);
		rig_hpack_list(&block, SLICE(RIG_GET));
		for (size_t n = 0; n < sizes[i].fields; n++) {
			rig_hpack(&block, SLICE("x"), slice_make(value, rest));
		}
		/* 4 CONTINUATION frames hold what does not fit one frame. */
		for (size_t at = 0; at < block.size;) {
			size_t size = block.size - at < 16384 ? block.size - at : 16384;

			rig_frame(&rig, at == 0 ? NGHTTP2_HEADERS : NGHTTP2_CONTINUATION,
				(uint8_t)((at == 0 ? NGHTTP2_FLAG_END_STREAM : 0) |
					  (at + size == block.size ? NGHTTP2_FLAG_END_HEADERS : 0)),
				1, slice_make(block.data + at, size));
			at += size;
		}
		rig.quiet = true;
		rig_feed(&rig, 0);
		rig_output(&rig, &text);
		assert_int_equal(rig.count, sizes[i].word ? 0 : 1);
		if (sizes[i].word) {
			assert_non_null(strstr(buf_string(&text), "H1 :status=431"));
			assert_non_null(strstr(buf_string(&text), sizes[i].word));
			assert_non_null(strstr(buf_string(&text), "end;"));
		}
		mem_free(value);
		buf_fini(&block);
		buf_fini(&text);
		rig_fini(&rig);
	}
}

/* An answer before the request ended: complete, then RST_STREAM(NO_ERROR) (RFC 9113 8.1). */
static void early_answer(void **state)
{
	struct rig rig;
	struct buf text;

	(void)state;
	rig_start(&rig, false);
	buf_init(&text);
	rig_headers(&rig, 1, SLICE(RIG_POST "|expect:something"), false);
	rig_feed(&rig, 0);
	rig_output(&rig, &text);
	assert_non_null(strstr(buf_string(&text), "H1 :status=417"));
	assert_non_null(strstr(buf_string(&text), " end;R1 0;"));
	assert_int_equal(rig.codec->streams_active, 0);
	rig_headers(&rig, 3, SLICE(RIG_POST), false);
	rig_feed(&rig, 0);
	rig_answer(&rig, 0, 200, 5, true);
	rig_let_go(rig.streams[0], REASON_ok);
	assert_int_equal(rig.codec->streams_active, 1); /* it counts until it is sent (H2-30) */
	assert_string_equal(rig_output(&rig, &text), "H3 :status=200;D3 5 end;R3 0;");
	assert_int_equal(rig.codec->streams_active, 0);
	buf_fini(&text);
	rig_fini(&rig);
}

static void expect_continue(void **state)
{
	struct rig rig;
	struct buf text;
	struct head head;

	(void)state;
	rig_start(&rig, false);
	buf_init(&text);
	rig_headers(&rig, 1, SLICE(RIG_POST "|expect:100-Continue"), false);
	rig_feed(&rig, 0);
	head_init(&head, &rig.streams[0]->arena, HEAD_INTERIM);
	head.status = 100;
	assert_int_equal(rig.codec->ops->send_head(rig.streams[0], &head, false), 0);
	rig_answer(&rig, 0, 204, 0, true);
	assert_string_equal(rig_output(&rig, &text), "H1 :status=100;H1 :status=204 end;");
	assert_true(rig.streams[0]->head_end > rig.streams[0]->head_begin);
	buf_fini(&text);
	rig_fini(&rig);
}

/* W-15 mirrored: the client resets in each phase. */
static void client_resets(void **state)
{
	(void)state;
	for (int phase = 0; phase < 4; phase++) {
		struct rig rig;
		struct buf text;

		rig_start(&rig, false);
		buf_init(&text);
		rig_headers(&rig, 1, SLICE(RIG_POST), phase == 3);
		if (phase > 0) {
			rig_data(&rig, 1, phase == 3 ? 0 : 5, false);
		}
		if (phase == 3) {
			buf_clear(&rig.input);
			rig_headers(&rig, 1, SLICE(RIG_POST), true);
		}
		rig_feed(&rig, 0);
		if (phase > 1) {
			rig_answer(&rig, 0, 200, 5, false);
			rig_output(&rig, &text);
		}
		rig_u32_frame(&rig, NGHTTP2_RST_STREAM, 1, NGHTTP2_CANCEL);
		rig_feed(&rig, 0);
		assert_non_null(strstr(rig_log(&rig), "0> reset downstream_reset 8;"));
		assert_int_equal(rig.codec->streams_active, 0);
		assert_string_equal(rig_output(&rig, &text), "");
		buf_fini(&text);
		rig_fini(&rig);
	}
}

/* H2-38: what the client reads when the owner gives up. */
static void reset_codes(void **state)
{
	static const struct {
		enum reason why;
		const char *output;
	} codes[] = {{REASON_h2_malformed, "R1 1;"}, {REASON_h2_refused, "R1 7;"},
		{REASON_deadline_exceeded, "R1 8;"}, {REASON_slow_reader, "R1 8;"},
		{REASON_upstream_truncated, "R1 2;"}, {REASON_drain_cut, "R1 8;"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		struct rig rig;
		struct buf text;

		rig_start(&rig, false);
		buf_init(&text);
		rig_headers(&rig, 1, SLICE(RIG_POST), false);
		rig_feed(&rig, 0);
		rig_let_go(rig.streams[0], codes[i].why);
		assert_string_equal(rig_output(&rig, &text), codes[i].output);
		buf_fini(&text);
		rig_fini(&rig);
	}
}

/* H2-30: a stream counts until its owner let go, not until its RST_STREAM. */
static void concurrency(void **state)
{
	struct rig rig;
	struct buf text;

	(void)state;
	rig_init(&rig, false);
	rig.limits.h2_streams = 3;
	rig.let_go = false;
	rig_preface(&rig);
	for (uint32_t id = 1; id <= 7; id += 2) {
		rig_headers(&rig, id, SLICE(RIG_POST), false);
		if (id < 7) {
			rig_u32_frame(&rig, NGHTTP2_RST_STREAM, id, NGHTTP2_CANCEL);
		}
	}
	rig_feed(&rig, 0);
	buf_init(&text);
	assert_non_null(strstr(rig_output(&rig, &text), "R7 7;"));
	assert_int_equal(rig.count, 3);
	rig_let_go(rig.streams[1], REASON_downstream_reset);
	rig_headers(&rig, 9, SLICE(RIG_GET), true);
	rig_feed(&rig, 0);
	assert_int_equal(rig.count, 4);
	buf_fini(&text);
	rig_fini(&rig);
}

/* RFC 9113 5.1.1, and frames on streams that ended (5.1). */
static void stream_ids(void **state)
{
	struct rig rig;
	struct buf text;

	(void)state;
	buf_init(&text);
	rig_start(&rig, false);
	rig_headers(&rig, 5, SLICE(RIG_GET), true);
	rig_feed(&rig, 0);
	rig_headers(&rig, 3, SLICE(RIG_GET), true);
	rig_feed(&rig, 0);
	assert_string_equal(rig_output(&rig, &text), "G 5 1;");
	assert_true(rig.codec->closing);
	assert_int_equal(rig.codec->close_reason, REASON_h2_protocol);
	assert_non_null(strstr(rig_log(&rig), "0> reset h2_protocol"));
	rig_fini(&rig);
	rig_start(&rig, false);
	rig_headers(&rig, 2, SLICE(RIG_GET), true);
	rig_feed(&rig, 0);
	assert_non_null(strstr(rig_output(&rig, &text), "G 0 1;"));
	assert_true(rig.codec->closing);
	rig_fini(&rig);
	rig_start(&rig, false);
	rig_headers(&rig, 1, SLICE(RIG_GET), true);
	rig_feed(&rig, 0);
	rig_frame(&rig, NGHTTP2_PRIORITY, 0, 0, SLICE("\0\0\0\3\1"));
	rig_feed(&rig, 0);
	assert_non_null(strstr(rig_output(&rig, &text), "G 1 1;"));
	rig_fini(&rig);
	buf_fini(&text);
}

/* RFC 9113 5.1: DATA, HEADERS after the client's END_STREAM or RST_STREAM, while the stream lives
 * and after it is gone; but not after a reset of ours. */
static void after_the_end(void **state)
{
	(void)state;
	for (int row = 0; row < 8; row++) {
		struct rig rig;
		struct buf text;

		rig_start(&rig, false);
		buf_init(&text);
		rig_headers(&rig, 1, SLICE(RIG_POST), (row & 1) == 0);
		if (row & 1) {
			rig_u32_frame(&rig, NGHTTP2_RST_STREAM, 1, NGHTTP2_CANCEL);
		}
		rig_feed(&rig, 0);
		if (row & 2 && (row & 1) == 0) {
			rig_answer(&rig, 0, 204, 0, true);
			rig_let_go(rig.streams[0], REASON_ok);
			rig_output(&rig, &text);
		}
		if (row & 4) {
			rig_headers(&rig, 1, SLICE("x:1"), true);
		} else {
			rig_data(&rig, 1, 5, true);
		}
		rig_feed(&rig, 0);
		assert_non_null(strstr(rig_output(&rig, &text), "G 1 5;"));
		assert_int_equal(rig.codec->close_reason, REASON_h2_protocol);
		buf_fini(&text);
		rig_fini(&rig);
	}
}

static void after_our_reset(void **state)
{
	struct rig rig;
	struct buf text;

	(void)state;
	rig_start(&rig, false);
	buf_init(&text);
	rig_headers(&rig, 1, SLICE(RIG_POST), false);
	rig_feed(&rig, 0);
	rig_let_go(rig.streams[0], REASON_deadline_exceeded);
	assert_string_equal(rig_output(&rig, &text), "R1 8;");
	rig_data(&rig, 1, 16000, false);
	rig_headers(&rig, 1, SLICE("x:1"), true);
	rig_feed(&rig, 0);
	assert_string_equal(rig_output(&rig, &text), "");
	assert_false(rig.codec->closing);
	buf_fini(&text);
	rig_fini(&rig);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(after_the_end),
		cmocka_unit_test(after_our_reset),
		cmocka_unit_test(heads),
		cmocka_unit_test(empty_name),
		cmocka_unit_test(bodies),
		cmocka_unit_test(bodies_bytewise),
		cmocka_unit_test(trailers),
		cmocka_unit_test(second_head),
		cmocka_unit_test(too_large),
		cmocka_unit_test(early_answer),
		cmocka_unit_test(expect_continue),
		cmocka_unit_test(client_resets),
		cmocka_unit_test(reset_codes),
		cmocka_unit_test(concurrency),
		cmocka_unit_test(stream_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
