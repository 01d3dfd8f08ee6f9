/* CT-04, CT-05, CT-08: wire in. The bytes are hex; see schema/ for the types. */
#include "codec_test.h"

#include "base/mem.h"

struct row {
	const char *wire;
	const char *json;
	const char *fault;
	const char *option;
};

static void check_row(struct codec_test *test, const char *message, const struct row *row)
{
	struct buf wire = codec_test_unhex(row->wire);
	bool done;

	translate_options_init(&test->options);
	codec_test_set_option(&test->options, row->option);
	done = codec_test_to_json(test, message, buf_slice(&wire));
	buf_fini(&wire);
	if (row->fault) {
		if (done || strcmp(codec_fault_name(test->fault.kind), row->fault) != 0) {
			fail_msg("%s: %s: expected %s, found %s", message, row->wire, row->fault,
				done ? buf_string(&test->out) : test->fault.text);
		}
		return;
	}
	if (!done) {
		fail_msg("%s: %s: %s", message, row->wire, test->fault.text);
	}
	if (strcmp(buf_string(&test->out), row->json) != 0) {
		fail_msg("%s: %s: %s", message, row->wire, buf_string(&test->out));
	}
}

static void check_rows(const char *message, const struct row *rows, size_t count)
{
	struct codec_test test;

	codec_test_open(&test);
	for (size_t i = 0; i < count; i++) {
		check_row(&test, message, &rows[i]);
	}
	codec_test_close(&test);
}

#define CHECK(message, rows) check_rows(message, rows, ARRAY_SIZE(rows))

/* WI-01..03. What came again is printed in the order of the schema, else in that of the wire. */
static void test_merging(void **state)
{
	static const struct row m[] = {
		{"", "{}", NULL, NULL},
		/* the example of codec.md 6 */
		{"0a0161 12020506 1a021007 1008 1a030a0162",
			"{\"name\":\"a\",\"v\":[5,6,8],\"sub\":{\"name\":\"b\",\"v\":[7]}}", NULL,
			NULL},
		{"0a0161 0a0162", "{\"name\":\"b\"}", NULL, NULL},
		{"0a0161 0a00", "{}", NULL, NULL},
		{"1001 1002 120103", "{\"v\":[1,2,3]}", NULL, NULL},
		{"1001 0a0161 1002", "{\"name\":\"a\",\"v\":[1,2]}", NULL, NULL},
		{"1a00 1a00", "{\"sub\":{}}", NULL, NULL},
		{"1a041a021001 1a051a030a0178", "{\"sub\":{\"sub\":{\"name\":\"x\",\"v\":[1]}}}",
			NULL, NULL},
		{"1200", "{}", NULL, NULL},
		{"1200 0a0161 1200", "{\"name\":\"a\"}", NULL, NULL},
		{"1200 0a0161 1200", "{\"name\":\"a\",\"v\":[]}", NULL, "emit_defaults"},
		{"0a00 0a00", "{\"name\":\"\",\"v\":[]}", NULL, "emit_defaults"},
		{"", "{\"name\":\"\",\"v\":[]}", NULL, "emit_defaults"},
	};
	static const struct row all[] = {
		{"f80101 82020178 f80102", "{\"pInt32\":2}", NULL, NULL},
		{"82020178 f80100", "{\"pInt32\":0}", NULL, NULL},
		/* pAll {fBool}, pInt32, pAll {fInt32 = 3}: the first pAll was cleared */
		{"8a02024001 f80101 8a02022803", "{\"pAll\":{\"fInt32\":3}}", NULL, NULL},
		{"8a02024001 8a02022803", "{\"pAll\":{\"fInt32\":3,\"fBool\":true}}", NULL, NULL},
		{"f80101 8a02028001", NULL, "wire_truncated", NULL},
		/* what is overwritten is still checked */
		{"f80101 8a02028001 f80101", NULL, "wire_truncated", NULL},
		{"820201ff f80101", NULL, "wire_utf8", NULL},
		{"f80101 820201ff f80101", NULL, "wire_utf8", NULL},
		{"9a03050a01611001 9a03050a01611002", "{\"mString\":{\"a\":2}}", NULL, NULL},
		{"9a03050a01611001 4001 9a03050a01621002",
			"{\"fBool\":true,\"mString\":{\"a\":1,\"b\":2}}", NULL, NULL},
		{"9a0300", "{\"mString\":{\"\":0}}", NULL, NULL},
		{"9a03030a0161", "{\"mString\":{\"a\":0}}", NULL, NULL},
		{"9a03021005", "{\"mString\":{\"\":5}}", NULL, NULL},
		{"9a030510050a0161", "{\"mString\":{\"a\":5}}", NULL, NULL},
		/* within an entry the last counts, unknown fields do not */
		{"9a030a 0a0161 0a0162 1001 1805", "{\"mString\":{\"b\":1}}", NULL, NULL},
		{"b2030b 0a0161 12022801 12024001",
			"{\"mAll\":{\"a\":{\"fInt32\":1,\"fBool\":true}}}", NULL, NULL},
		{"b203030a0161", "{\"mAll\":{\"a\":{}}}", NULL, NULL},
		{"a20302 0801 a20302 0801", "{\"mInt32\":{\"1\":\"\"}}", NULL, NULL},
		{"aa03040801 1001 aa0304 0800 1001",
			"{\"mBool\":{\"true\":\"GREEN\",\"false\":\"GREEN\"}}", NULL, NULL},
		{"9a0302 18", NULL, "wire_truncated", NULL},
		{"9a0303 0a01ff", NULL, "wire_utf8", NULL},
		/* packed and not, both ways and mixed */
		{"c80201 ca02020203 c80204", "{\"rInt32\":[1,2,3,4]}", NULL, NULL},
		{"f80202 fa020104", "{\"rUnpacked\":[1,2]}", NULL, NULL},
		{"820308 01000000 02000000 850303000000", "{\"rFixed32\":[1,2,3]}", NULL, NULL},
		{"820307 01000000 020000", NULL, "wire_length", NULL},
		{"f80101 f80101 820307 01000000 020000", NULL, "wire_length", NULL},
		{"ca020180", NULL, "wire_truncated", NULL},
	};

	(void)state;
	CHECK("t3.M", m);
	CHECK("t3.All", all);
}

/* WI-04, WI-05, WI-08. */
static void test_tags_and_varints(void **state)
{
	static const struct row rows[] = {
		{"2805", "{\"fInt32\":5}", NULL, NULL},
		{"a88000 05", "{\"fInt32\":5}", NULL, NULL},
		{"a880808000 05", "{\"fInt32\":5}", NULL, NULL},
		{"a88080808000 05", NULL, "wire_tag", NULL},
		{"a8808080808080808000 05", NULL, "wire_tag", NULL},
		{"a880808010 05", NULL, "wire_tag", NULL},
		{"00 05", NULL, "wire_tag", NULL},
		{"05 05", NULL, "wire_tag", NULL},
		{"2e", NULL, "wire_tag", NULL},
		{"2f", NULL, "wire_tag", NULL},
		{"a8", NULL, "wire_truncated", NULL},
		{"28", NULL, "wire_truncated", NULL},
		{"2880", NULL, "wire_truncated", NULL},
		{"28ffffffffffffffffff01", "{\"fInt32\":-1}", NULL, NULL},
		{"28ffffffffffffffffff7f", "{\"fInt32\":-1}", NULL, NULL},
		{"28ffffffffffffffffffff01", NULL, "wire_varint", NULL},
		{"288080808010", "{}", NULL, NULL},
		{"288180808010", "{\"fInt32\":1}", NULL, NULL},
		{"4080808080808080808001", "{\"fBool\":true}", NULL, NULL},
		{"4002", "{\"fBool\":true}", NULL, NULL},
		{"18ffffffffffffffffff01", "{\"fInt64\":\"-1\"}", NULL, NULL},
		{"70fdffffffffffffffff01", "{\"fColor\":\"BLUE\"}", NULL, NULL},
		{"70fdffffff0f", "{\"fColor\":\"BLUE\"}", NULL, NULL},
		{"7011", "{\"fColor\":17}", NULL, NULL},
		{"7001", "{\"fColor\":1}", NULL, "enum_numbers"},
		{"8801ffffffff0f", "{\"fSint32\":-2147483648}", NULL, NULL},
		{"09 0000000000", NULL, "wire_truncated", NULL},
		{"3d 000000", NULL, "wire_truncated", NULL},
		{"4a 05 61", NULL, "wire_truncated", NULL},
		{"4a ffffffff0f 61", NULL, "wire_truncated", NULL},
		{"4a ffffffffffffffffff01 61", NULL, "wire_truncated", NULL},
		{"4a ffffffffffffffffffff01", NULL, "wire_varint", NULL},
		{"4a01ff", NULL, "wire_utf8", NULL},
		{"4a02c080", NULL, "wire_utf8", NULL},
		{"4a03eda080", NULL, "wire_utf8", NULL},
		{"4a01c3 62", NULL, "wire_utf8", NULL},
		{"6201ff", "{\"fBytes\":\"/w==\"}", NULL, NULL},
		{"4a04 22 5c 00 1f", "{\"fString\":\"\\\"\\\\\\u0000\\u001f\"}", NULL, NULL},
	};

	(void)state;
	CHECK("t3.All", rows);
}

/* WI-06: unknown numbers, and types that do not fit. */
static void test_unknown(void **state)
{
	static const struct row rows[] = {
		{"a03f 05 2805", "{\"fInt32\":5}", NULL, NULL},
		{"2a 00 2805", "{\"fInt32\":5}", NULL, NULL},
		{"2d 00000000", "{}", NULL, NULL},
		{"48 05", "{}", NULL, NULL},
		{"58 05", "{}", NULL, NULL},
		{"d002 05", "{}", NULL, NULL},
		{"a23f 02 ffff", "{}", NULL, NULL},
		{"a33f a43f", "{}", NULL, NULL},
		{"a33f 0801 a33f a43f 0a00 a43f 2805", "{\"fInt32\":5}", NULL, NULL},
		{"a33f", NULL, "wire_group", NULL},
		{"a33f ac3f", NULL, "wire_group", NULL},
		{"a33f 0b a43f 0c", NULL, "wire_group", NULL},
		{"a43f", NULL, "wire_group", NULL},
		{"0c", NULL, "wire_group", NULL},
		{"5a01 0c", NULL, "wire_group", NULL},
		{"5a02 a33f a43f", NULL, "wire_group", NULL},
		{"a33f 08", NULL, "wire_truncated", NULL},
		{"a33f 00 a43f", NULL, "wire_tag", NULL},
	};

	(void)state;
	CHECK("t3.All", rows);
}

/* Groups, closed enums, extensions of proto2. */
static void test_proto2(void **state)
{
	static const struct row rows[] = {
		{"0800 1200", "{\"oInt32\":0,\"qString\":\"\"}", NULL, NULL},
		{"1801 1a020203", "{\"rInt32\":[1,2,3]}", NULL, NULL},
		{"4b 0801 4c", "{\"mygroup\":{\"a\":1}}", NULL, NULL},
		{"4b 1b 0802 1c 4c", "{\"mygroup\":{\"inner\":{\"a\":2}}}", NULL, NULL},
		{"4b 0801 4c 4b 1b 1c 4c", "{\"mygroup\":{\"a\":1,\"inner\":{}}}", NULL, NULL},
		{"4b 13 0801 14 4c 0801 4b 1b 0802 1c 4c",
			"{\"oInt32\":1,\"mygroup\":{\"inner\":{\"a\":2}}}", NULL, NULL},
		{"53 0a0178 54 53 54", "{\"rep\":[{\"s\":\"x\"},{}]}", NULL, NULL},
		{"53 54 0801 53 0a02ffff 54", NULL, "wire_utf8", NULL},
		/* a group whose last byte looks like the beginning of a tag */
		{"4b 150000008f 4c 4b 0801 4c", "{\"mygroup\":{\"a\":1}}", NULL, NULL},
		{"4b 0801 cc8000 4b 4c", "{\"mygroup\":{\"a\":1}}", NULL, NULL},
		{"4b 0801", NULL, "wire_group", NULL},
		{"4b 0801 54", NULL, "wire_group", NULL},
		{"4b 1b 4c 1c", NULL, "wire_group", NULL},
		{"4c", NULL, "wire_group", NULL},
		{"2802", "{\"oClosed\":\"TWO\"}", NULL, NULL},
		{"2803", "{}", NULL, NULL},
		{"2802 2803", "{\"oClosed\":\"TWO\"}", NULL, NULL},
		{"2803 2802", "{\"oClosed\":\"TWO\"}", NULL, NULL},
		{"3001 3003 3002", "{\"rClosed\":[\"ONE\",\"TWO\"]}", NULL, NULL},
		{"3003", "{}", NULL, NULL},
		{"3203010302", "{\"rClosed\":[\"ONE\",\"TWO\"]}", NULL, NULL},
		{"3a03010309", "{\"rClosedPacked\":[\"ONE\",\"NINE\"]}", NULL, NULL},
		{"3001 0801 3203030209", "{\"oInt32\":1,\"rClosed\":[\"ONE\",\"TWO\",\"NINE\"]}",
			NULL, NULL},
		{"42050a01611001 42050a01621003", "{\"mClosed\":{\"a\":\"ONE\"}}", NULL, NULL},
		{"42050a01611001 42050a01611003", "{\"mClosed\":{\"a\":\"ONE\"}}", NULL, NULL},
		{"42050a01611003 42050a01611001 42050a01611002", "{\"mClosed\":{\"a\":\"TWO\"}}",
			NULL, NULL},
		{"42030a0161", "{\"mClosed\":{\"a\":\"ZERO\"}}", NULL, NULL},
		{"6805 6003", "{\"pInt32\":5}", NULL, NULL},
		{"6805 6001", "{\"pClosed\":\"ONE\"}", NULL, NULL},
		{"a006 05 aa06 0161", "{\"[t2.ext_int32]\":5,\"[t2.ext_strings]\":[\"a\"]}", NULL,
			NULL},
		{"f806 05", "{}", NULL, NULL},
	};

	(void)state;
	CHECK("t2.Old", rows);
}

static void test_known_types(void **state)
{
	static const struct row rows[] = {
		{"ea0300", "{\"wTime\":\"1970-01-01T00:00:00Z\"}", NULL, NULL},
		{"ea0304 0801 1002", "{\"wTime\":\"1970-01-01T00:00:01.000000002Z\"}", NULL, NULL},
		{"ea0302 0801 ea0302 1002", "{\"wTime\":\"1970-01-01T00:00:01.000000002Z\"}", NULL,
			NULL},
		{"ea0306 0801 0803 1805", "{\"wTime\":\"1970-01-01T00:00:03Z\"}", NULL, NULL},
		{"ea0306 1080 94ebdc03", NULL, "wire_wkt", NULL},
		{"ea030b 10ffffffffffffffffff01", NULL, "wire_wkt", NULL},
		{"ea0307 0880dcbfa8b107", NULL, "wire_wkt", NULL},
		{"ea0307 0880d8bfb4af07", "{\"wTime\":\"9995-01-03T06:26:08Z\"}", NULL, NULL},
		{"ea0307 08ffffffffff7f", NULL, "wire_wkt", NULL},
		{"f20302 0801", "{\"wDuration\":\"1s\"}", NULL, NULL},
		{"f2030d 0801 10ffffffffffffffffff01", NULL, "wire_wkt", NULL},
		{"f2030b 10ffffffffffffffffff01", "{\"wDuration\":\"-0.000000001s\"}", NULL, NULL},
		{"fa0308 0a01610a03625f63", "{\"wMask\":\"a,bC\"}", NULL, NULL},
		{"fa0303 0a0141", NULL, "wire_wkt", NULL},
		{"fa0304 0a02615f", NULL, "wire_wkt", NULL},
		{"fa0305 0a03615f31", NULL, "wire_wkt", NULL},
		{"fa0303 0a01ff", NULL, "wire_utf8", NULL},
		{"fa0302 0a00", NULL, "wire_wkt", NULL},
		{"fa0305 0a03612c62", NULL, "wire_wkt", NULL},
		{"fa0303 0a0161 4001 fa0303 0a0162", "{\"fBool\":true,\"wMask\":\"a,b\"}", NULL,
			NULL},
		{"820409 0a07 0a0161 12022001", "{\"wStruct\":{\"a\":true}}", NULL, NULL},
		{"820409 0a07 0a0161 12022001 820409 0a07 0a0161 12022000",
			"{\"wStruct\":{\"a\":false}}", NULL, NULL},
		{"820405 0a03 0a0161", NULL, "wire_wkt", NULL},
		{"8a0400", NULL, "wire_wkt", NULL},
		{"8a0402 0800", "{\"wValue\":null}", NULL, NULL},
		{"8a0409 11 000000000000f83f", "{\"wValue\":1.5}", NULL, NULL},
		{"8a0409 11 000000000000f87f", NULL, "wire_wkt", NULL},
		{"8a0409 11 000000000000f07f", NULL, "wire_wkt", NULL},
		{"8a0404 0800 2001", "{\"wValue\":true}", NULL, NULL},
		{"8a0406 3200 2001 3200", "{\"wValue\":[]}", NULL, NULL},
		{"8a0410 3206 0a0422020800 3206 0a0422020800", NULL, "wire_wkt", NULL},
		{"8a040c 3204 0a022001 3204 0a022000", "{\"wValue\":[true,false]}", NULL, NULL},
		{"8a040c 3204 0a022001 2001 3202 0a00", NULL, "wire_wkt", NULL},
		{"920404 0a022001", "{\"wList\":[true]}", NULL, NULL},
		{"920404 0a022001 4001 920404 0a020800", "{\"fBool\":true,\"wList\":[true,null]}",
			NULL, NULL},
		{"920402 0a00", NULL, "wire_wkt", NULL},
		{"aa0400", "{\"wInt32\":0}", NULL, NULL},
		{"aa0402 0805 aa0400", "{\"wInt32\":5}", NULL, NULL},
		{"aa0402 0805 aa0402 0806", "{\"wInt32\":6}", NULL, NULL},
		{"d804 00", "{}", NULL, NULL},
	};

	(void)state;
	CHECK("t3.All", rows);
}

static void test_any(void **state)
{
	static const struct row rows[] = {
		{"", "{}", NULL, NULL},
		{"0a06 782f74332e4d", "{\"@type\":\"x/t3.M\"}", NULL, NULL},
		{"0a06 782f74332e4d 1203 0a0161", "{\"@type\":\"x/t3.M\",\"name\":\"a\"}", NULL,
			NULL},
		{"1203 0a0161 0a06 782f74332e4d", "{\"@type\":\"x/t3.M\",\"name\":\"a\"}", NULL,
			NULL},
		{"1203 0a0162 1203 0a0161 0a06 782f74332e4d",
			"{\"@type\":\"x/t3.M\",\"name\":\"a\"}", NULL, NULL},
		/* irregular inside of the Any */
		{"0a06 782f74332e4d 1209 0a0161 1001 0a0162 08", NULL, "wire_any", NULL},
		{"0a06 782f74332e4d 1208 0a0161 1001 0a0162",
			"{\"@type\":\"x/t3.M\",\"name\":\"b\","
			"\"v\":[1]}",
			NULL, NULL},
		{"1203 0a0161", NULL, "wire_any", NULL},
		{"0a06 782f74332e58", NULL, "wire_any", NULL},
		{"0a04 74332e4d", NULL, "wire_any", NULL},
		{"0a06 782f74332e58 1202 0102", "{\"@type\":\"x/t3.X\",\"value\":\"AQI=\"}", NULL,
			"any_raw"},
		{"0a04 74332e4d", NULL, "wire_any", "any_raw"},
		{"0a02 782f", NULL, "wire_any", "any_raw"},
		{"0a06 782f74332e4d 1201 0a", NULL, "wire_any", NULL},
		{"0a06 782f74332e4d 1203 0a01ff", NULL, "wire_utf8", NULL},
		{"0a01ff", NULL, "wire_any", NULL},
		{"0a1a 782f676f6f676c652e70726f746f6275662e4475726174696f6e 1202 0801",
			"{\"@type\":\"x/google.protobuf.Duration\",\"value\":\"1s\"}", NULL, NULL},
		{"0a17 782f676f6f676c652e70726f746f6275662e456d707479",
			"{\"@type\":\"x/google.protobuf.Empty\"}", NULL, NULL},
	};

	(void)state;
	CHECK("google.protobuf.Any", rows);
}

/* ER-06 for wire: message, path, rule, offset. */
static void test_fault_texts(void **state)
{
	static const struct {
		const char *wire;
		const char *text;
	} rows[] = {
		{"4a01ff", "t3.All.f_string: invalid UTF-8 at byte 2"},
		{"da0200 da0203 4a01ff", "t3.All.r_all[1].f_string: invalid UTF-8 at byte 8"},
		{"b20308 0a0161 12034a01ff", "t3.All.m_all[0].f_string: invalid UTF-8 at byte 10"},
		{"a33f", "t3.All: unmatched group at byte 2"},
		{"00", "t3.All: invalid tag at byte 0"},
		{"f80101 8a02034a01ff f80101", "t3.All.p_all.f_string: invalid UTF-8 at byte 8"},
	};
	struct codec_test test;

	(void)state;
	codec_test_open(&test);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct buf wire = codec_test_unhex(rows[i].wire);

		assert_false(codec_test_to_json(&test, "t3.All", buf_slice(&wire)));
		assert_string_equal(test.fault.text, rows[i].text);
		buf_fini(&wire);
	}
	codec_test_close(&test);
}

/* `depth` levels of one byte pair of tag and length, from the inside out. */
static void nest(struct buf *wire, uint8_t tag, int depth)
{
	struct buf inner;

	buf_init(&inner);
	buf_clear(wire);
	for (int i = 0; i < depth; i++) {
		size_t size = wire->size;

		buf_clear(&inner);
		buf_append_byte(&inner, tag);
		while (size >= 0x80) {
			buf_append_byte(&inner, (uint8_t)(size | 0x80));
			size >>= 7;
		}
		buf_append_byte(&inner, (uint8_t)size);
		buf_append_slice(&inner, buf_slice(wire));
		buf_clear(wire);
		buf_append_slice(wire, buf_slice(&inner));
	}
	buf_fini(&inner);
}

static void test_depth(void **state)
{
	static const struct {
		const char *message;
		uint8_t tag;
		int passes; /* levels that pass, one more faults */
	} rows[] = {{"t3.M", 0x1a, 99}, {"t3.All", 0x5a, 99}};
	struct codec_test test;
	struct buf wire;

	(void)state;
	codec_test_open(&test);
	buf_init(&wire);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		nest(&wire, rows[i].tag, rows[i].passes);
		assert_true(codec_test_to_json(&test, rows[i].message, buf_slice(&wire)));
		nest(&wire, rows[i].tag, rows[i].passes + 1);
		assert_false(codec_test_to_json(&test, rows[i].message, buf_slice(&wire)));
		assert_int_equal(test.fault.kind, CODEC_FAULT_WIRE_DEPTH);
		/* the same with a field that comes again, so in careful mode */
		nest(&wire, rows[i].tag, rows[i].passes);
		buf_append(&wire, "\xa8\x01\x01\xa8\x01\x01", i ? 6 : 0);
		assert_true(codec_test_to_json(&test, rows[i].message, buf_slice(&wire)));
	}
	/* groups, known (proto2, 9) and unknown (1000), opened 100 and 1000000 times */
	for (int known = 0; known < 2; known++) {
		for (int count = 98; count <= 1000000; count += count > 101 ? 900000 : 1) {
			buf_clear(&wire);
			for (int i = 0; i < count; i++) {
				if (known) {
					buf_append_byte(&wire, i ? 0x13 : 0x4b);
				} else {
					buf_append(&wire, "\xc3\x3e", 2);
				}
			}
			for (int i = count - 1; i >= 0; i--) {
				if (known) {
					buf_append_byte(&wire, i ? 0x14 : 0x4c);
				} else {
					buf_append(&wire, "\xc4\x3e", 2);
				}
			}
			if (codec_test_to_json(&test, "t2.Old", buf_slice(&wire))) {
				assert_true(count <= 99);
			} else {
				assert_true(count > 99);
				assert_int_equal(test.fault.kind, CODEC_FAULT_WIRE_DEPTH);
			}
		}
	}
	buf_fini(&wire);
	codec_test_close(&test);
}

/* A cut at each byte faults or gives what stands before it, and nothing is read behind it. */
static void test_truncation(void **state)
{
	static const char json[] =
		"{\"fDouble\":1.5,\"fFloat\":2.5,\"fInt64\":\"-5\",\"fFixed64\":\"7\",\"fFixed32\":"
		"8,"
		"\"fString\":\"text\",\"fAll\":{\"fInt32\":300},\"fBytes\":\"AQID\",\"rInt32\":[1,"
		"300],"
		"\"rString\":[\"a\",\"bc\"],\"mString\":{\"k\":1,\"l\":2},\"wTime\":"
		"\"2000-01-01T00:00:00.5Z\",\"wStruct\":{\"a\":[1,{\"b\":null}]},\"wAny\":{\"@"
		"type\":"
		"\"x/t3.M\",\"v\":[1,2]}}";
	struct codec_test test;
	struct buf wire;

	(void)state;
	codec_test_open(&test);
	assert_true(codec_test_to_wire(&test, "t3.All", SLICE("{}")));
	assert_true(codec_test_to_wire(&test, "t3.All", slice_make(json, sizeof(json) - 1)));
	wire = test.out;
	buf_init(&test.out);
	for (int again = 0; again < 2; again++) {
		for (size_t size = 0; size < wire.size; size++) {
			(void)codec_test_to_json(&test, "t3.All", slice_make(wire.data, size));
		}
		assert_true(codec_test_to_json(&test, "t3.All", buf_slice(&wire)));
		/* oInt32 twice: the second round is careful */
		buf_append(&wire, "\xa8\x01\x01\xa8\x01\x01", 6);
	}
	assert_true(codec_context_slow_paths(test.context) > 0);
	/* every single bit flipped */
	for (size_t bit = 0; bit < wire.size * 8; bit++) {
		wire.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		(void)codec_test_to_json(&test, "t3.All", buf_slice(&wire));
		wire.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	buf_fini(&wire);
	codec_test_close(&test);
}

static void test_limits(void **state)
{
	struct codec_test test;
	struct buf wire = codec_test_unhex("4a0a 30313233343536373839");

	(void)state;
	codec_test_open(&test);
	test.options.max_json = 24;
	assert_true(codec_test_to_json(&test, "t3.All", buf_slice(&wire)));
	assert_int_equal(test.out.size, 24);
	test.options.max_json = 23;
	assert_false(codec_test_to_json(&test, "t3.All", buf_slice(&wire)));
	assert_int_equal(test.fault.kind, CODEC_FAULT_TOO_LARGE);
	test.options.max_json = 24;
	test.options.max_message = 11;
	assert_false(codec_test_to_json(&test, "t3.All", buf_slice(&wire)));
	assert_int_equal(test.fault.kind, CODEC_FAULT_TOO_LARGE);
	/* amplification: a packed byte becomes many */
	buf_clear(&wire);
	buf_append(&wire, "\xca\x03\x80\x80\x04", 5);
	wire.data[0] = 0xe2;
	wire.data[1] = 0x02;
	for (int i = 0; i < 65536; i++) {
		buf_append_byte(&wire, 1);
	}
	translate_options_init(&test.options);
	assert_true(codec_test_to_json(&test, "t3.All", buf_slice(&wire)));
	buf_fini(&test.out);
	test.options.max_json = 65536;
	assert_false(codec_test_to_json(&test, "t3.All", buf_slice(&wire)));
	assert_int_equal(test.fault.kind, CODEC_FAULT_TOO_LARGE);
	assert_true(test.out.capacity < (1u << 19));
	buf_fini(&wire);
	codec_test_close(&test);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_merging),
		cmocka_unit_test(test_tags_and_varints),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_proto2),
		cmocka_unit_test(test_known_types),
		cmocka_unit_test(test_any),
		cmocka_unit_test(test_fault_texts),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
