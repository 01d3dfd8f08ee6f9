/* CT-05, EN-03, ER-06, LM-01: JSON in, by its shape: depth, lengths, sizes, cuts, fault texts. */
#include "codec_test.h"

/* ER-06: path, rule, offset. */
static void test_fault_texts(void **state)
{
	static const struct {
		const char *json;
		const char *text;
	} rows[] = {
		{"{\"rAll\":[{},{\"fInt32\":\"x\"}]}",
			"$.rAll[1].fInt32: expected int32 at byte 22"},
		{"{\"f_int32\":[]}", "$.fInt32: expected int32 at byte 11"},
		{"{\"nothing\":1}", "$.nothing: unknown field at byte 1"},
		{"{\"fAll\":{\"no\\nthing\":1}}", "$.fAll.no\\x0athing: unknown field at byte 9"},
		{"{\"mAll\":{\"k\":{\"fBool\":1}}}",
			"$.mAll[\"k\"].fBool: expected bool at byte 22"},
		{"{\"fInt32\":1,\"fInt32\":1}", "$.fInt32: given twice at byte 12"},
		{"{\"wStruct\":{\"a\":[1,x]}}", "$.wStruct.a[1]: expected double at byte 19"},
		{"{\"fString\":\"\xff\"}", "$.fString: invalid UTF-8 at byte 12"},
		{"{\"fInt32\":1", "$: expected ',' or '}' at byte 11"},
	};
	struct codec_test test;

	(void)state;
	codec_test_open(&test);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_false(codec_test_to_wire(&test, "t3.All", slice_from_string(rows[i].json)));
		assert_string_equal(test.fault.text, rows[i].text);
	}
	codec_test_close(&test);
}

/* {"fAll":{"fAll":...}} with `depth` messages. */
static void nest(
	struct buf *json, const char *open, const char *inner, const char *close, int depth)
{
	buf_clear(json);
	for (int i = 0; i < depth; i++) {
		buf_append_string(json, open);
	}
	buf_append_string(json, inner);
	for (int i = 0; i < depth; i++) {
		buf_append_string(json, close);
	}
}

/* Whether `depth` openings pass, with the limit at 100. */
static void check_depth(struct codec_test *test, const char *const shape[4], int depth, bool passes)
{
	struct buf json;

	buf_init(&json);
	nest(&json, shape[1], shape[2], shape[3], depth);
	if (codec_test_to_wire(test, shape[0], buf_slice(&json)) != passes ||
		(!passes && test->fault.kind != CODEC_FAULT_JSON_DEPTH)) {
		fail_msg("%s x %d: %s", shape[1], depth, test->fault.text);
	}
	if (passes) {
		struct buf wire = test->out;

		buf_init(&test->out);
		assert_true(codec_test_to_json(test, shape[0], buf_slice(&wire)));
		buf_fini(&wire);
	}
	buf_fini(&json);
}

static void test_depth(void **state)
{
	static const char *const messages[4] = {"t3.All", "{\"fAll\":", "{}", "}"};
	static const char *const maps[4] = {"t3.All", "{\"mAll\":{\"k\":", "{}", "}}"};
	static const char *const lists[4] = {"google.protobuf.ListValue", "[", "", "]"};
	static const char *const structs[4] = {"google.protobuf.Struct", "{\"a\":", "{}", "}"};
	static const char *const anys[4] = {"google.protobuf.Any",
		"{\"@type\":\"x/google.protobuf.Any\",\"value\":", "{}", "}"};
	static const char *const late[4] = {"google.protobuf.Any", "{\"value\":", "{}",
		",\"@type\":\"x/google.protobuf.Any\"}"};
	static const char *const skipped[4] = {"t3.All", "{\"nothing\":", "1", "}"};
	struct codec_test test;

	(void)state;
	codec_test_open(&test);
	test.options.max_json = (size_t)64 << 20;
	check_depth(&test, messages, 98, true);
	check_depth(&test, messages, 99, true);
	check_depth(&test, messages, 100, false);
	check_depth(&test, messages, 1000000, false);
	check_depth(&test, maps, 49, true);
	check_depth(&test, maps, 50, false);
	check_depth(&test, lists, 50, true);
	check_depth(&test, lists, 51, false);
	check_depth(&test, lists, 1000000, false);
	check_depth(&test, structs, 25, true);
	check_depth(&test, structs, 200, false);
	check_depth(&test, anys, 99, true);
	check_depth(&test, anys, 100, false);
	check_depth(&test, late, 99, true);
	check_depth(&test, late, 101, false);
	test.options.ignore_unknown = true;
	check_depth(&test, skipped, 100, true);
	check_depth(&test, skipped, 101, false);
	check_depth(&test, skipped, 1000000, false);
	test.options.max_depth = 1;
	check_depth(&test, messages, 1, false);
	codec_test_close(&test);
}

/* Lengths around those that need one, two, three bytes, nested, are patched right (EN-03). */
static void test_patching(void **state)
{
	struct codec_test test;
	struct buf json;

	(void)state;
	codec_test_open(&test);
	buf_init(&json);
	for (int size = 100; size < 16600; size += size < 140 || size > 16350 ? 1 : 97) {
		struct codec_test_row row = {NULL, "", NULL, NULL};

		buf_clear(&json);
		buf_append_string(&json, "{\"fAll\":{\"fAll\":{\"fString\":\"");
		for (int i = 0; i < size; i++) {
			buf_append_byte(&json, 'x');
		}
		buf_append_string(&json, "\\n\",\"rInt32\":[");
		for (int i = 0; i < size / 8; i++) {
			buf_appendf(&json, "%s%d", i ? "," : "", i);
		}
		buf_append_string(&json, "]},\"oString\":\"tail\"},\"oInt32\":1}");
		row.json = buf_string(&json);
		codec_test_check_row(&test, "t3.All", &row);
	}
	buf_fini(&json);
	codec_test_close(&test);
}

/* LM-01, and that a message may stand behind something else. */
static void test_limits(void **state)
{
	struct slice json = SLICE("{\"fString\":\"0123456789\"}");
	struct codec_target target;
	struct codec_test test;
	struct codec_fault fault;
	uint8_t copy[64] = {0};
	struct buf out;

	(void)state;
	codec_test_open(&test);
	test.options.max_message = 12;
	assert_true(codec_test_to_wire(&test, "t3.All", json));
	test.options.max_message = 11;
	assert_false(codec_test_to_wire(&test, "t3.All", json));
	assert_int_equal(test.fault.kind, CODEC_FAULT_TOO_LARGE);
	test.options.max_message = 12;
	test.options.max_json = json.size - 1;
	assert_false(codec_test_to_wire(&test, "t3.All", json));
	assert_int_equal(test.fault.kind, CODEC_FAULT_TOO_LARGE);
	test.options.max_json = json.size;
	memcpy(copy, json.data, json.size);
	target = (struct codec_target){
		test.pool, descriptor_pool_find_message(test.pool, SLICE("t3.All")), &test.options};
	buf_init(&out);
	buf_append_string(&out, "frame");
	assert_true(json_to_wire_translate(
		test.context, &target, slice_make(copy, json.size), &out, &fault));
	assert_int_equal(out.size, 5 + 12);
	assert_memory_equal(out.data, "frame\x4a\x0a", 7);
	buf_fini(&out);
	codec_test_close(&test);
}

/* Every prefix of a long text faults and never reads too far. */
static void test_truncation(void **state)
{
	static const char text[] = "{\"fDouble\":1.5e10,\"fInt64\":\"-12\",\"fString\":"
				   "\"a\\u00e9\\ud83d\\ude00\xc3\xa9\","
				   "\"fAll\":{\"fBytes\":\"AQID\",\"rInt32\":[1,-2,3]},\"fColor\":"
				   "\"GREEN\",\"mAll\":{\"k\":"
				   "{\"fBool\":true}},\"wTime\":\"1972-01-01T10:00:20.021Z\","
				   "\"wMask\":\"a,bC\",\"wStruct\":"
				   "{\"a\":[null,true,{\"b\":1}]},\"wAny\":{\"name\":\"x\",\"@"
				   "type\":\"x/t3.M\"},\"wInt32\":5,"
				   "\"nothing\":[{\"a\":[1,2.5e3,\"\\n\",null,true,false]}]}";
	struct codec_test test;

	(void)state;
	codec_test_open(&test);
	test.options.ignore_unknown = true;
	for (size_t size = 0; size < sizeof(text) - 1; size++) {
		assert_false(codec_test_to_wire(&test, "t3.All", slice_make(text, size)));
		assert_int_equal(test.fault.kind == CODEC_FAULT_JSON_SYNTAX ||
					 test.fault.kind == CODEC_FAULT_JSON_UTF8 ||
					 test.fault.kind == CODEC_FAULT_JSON_ANY,
			1);
	}
	assert_true(codec_test_to_wire(&test, "t3.All", slice_make(text, sizeof(text) - 1)));
	codec_test_close(&test);
}

/* More keys than the linear search holds, more fields than the inline bitmap. */
static void test_many_keys(void **state)
{
	struct codec_test test;
	struct buf json;

	(void)state;
	codec_test_open(&test);
	buf_init(&json);
	for (int count = 1; count < 400; count += 7) {
		buf_clear(&json);
		buf_append_string(&json, "{\"mAll\":{");
		for (int i = 0; i < count; i++) {
			buf_appendf(&json, "%s\"key number %d\":{\"mString\":{\"a\":1,\"b\":2}}",
				i ? "," : "", i);
		}
		buf_append_string(&json, "}}");
		codec_test_check_row(&test, "t3.All",
			&(struct codec_test_row){buf_string(&json), "", NULL, NULL});
		json.size -= 2;
		buf_append_string(&json, ",\"key number 0\":{}}}");
		codec_test_check_row(&test, "t3.All",
			&(struct codec_test_row){buf_string(&json), NULL, "json_duplicate", NULL});
	}
	buf_fini(&json);
	codec_test_close(&test);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fault_texts),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_patching),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_many_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
