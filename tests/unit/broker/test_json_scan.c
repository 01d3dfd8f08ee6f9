/* json_scan: valid and invalid texts, also cut at each byte; walks and strings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "base/assert.h"
#include "broker/json_scan.h"

static void test_valid(void **state)
{
	static const struct {
		const char *text;
		bool valid;
	} rows[] = {
		{"null", true},
		{" true ", true},
		{"0", true},
		{"-0.5e+10", true},
		{"\"\"", true},
		{"\"\\u00e4\\n\"", true},
		{"[]", true},
		{"[1,[2],{}]", true},
		{"{\"a\":1,\"b\":[true,null]}", true},
		{"\"\xc3\xa4\"", true},
		{"", false},
		{" ", false},
		{"01", false},
		{"1.", false},
		{".5", false},
		{"+1", false},
		{"1e", false},
		{"nul", false},
		{"True", false},
		{"\"", false},
		{"\"\\x\"", false},
		{"\"\\u12g4\"", false},
		{"\"\t\"", false},
		{"[1,]", false},
		{"[1 2]", false},
		{"{\"a\"}", false},
		{"{a:1}", false},
		{"{\"a\":1,}", false},
		{"1 2", false},
		{"\"\xff\"", false},
		{"[", false},
		{"{", false},
	};
	struct buf deep;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(json_scan_valid(slice_from_string(rows[i].text)), rows[i].valid);
	}
	buf_init(&deep);
	for (unsigned i = 0; i < 200; i++) {
		buf_append_byte(&deep, '[');
	}
	for (unsigned i = 0; i < 200; i++) {
		buf_append_byte(&deep, ']');
	}
	assert_false(json_scan_valid(buf_slice(&deep)));
	assert_true(json_scan_valid(slice_make(deep.data + 101, 198)));
	buf_fini(&deep);
}

static void test_cut(void **state)
{
	const char *text =
		"{\"ack\":[\"l1\"],\"nack\":[{\"lease\":\"l\\u0032\",\"delay\":\"5s\"}]}";

	(void)state;
	assert_true(json_scan_valid(slice_from_string(text)));
	for (size_t cut = 0; cut < strlen(text); cut++) {
		assert_false(json_scan_valid(slice_make(text, cut)));
	}
}

static void test_walk(void **state)
{
	struct slice text = SLICE(" {\"m\\u0061x\" : 100 , \"l\":[\"a\\ud83d\\ude00\", 2]} ");
	struct json_scan scan, list;
	struct buf name, string;
	struct slice value;
	uint64_t number;

	(void)state;
	buf_init(&name);
	buf_init(&string);
	assert_true(json_scan_object(text, &scan));
	assert_false(json_scan_array(text, &list));
	assert_true(json_scan_member(&scan, &name, &value));
	assert_string_equal(buf_string(&name), "max");
	assert_true(json_scan_number(value, 1000, &number) && number == 100);
	assert_false(json_scan_number(value, 99, &number));
	assert_false(json_scan_string(value, &string));
	assert_true(json_scan_member(&scan, &name, &value));
	assert_true(json_scan_array(value, &list));
	assert_true(json_scan_element(&list, &value));
	assert_true(json_scan_string(value, &string));
	assert_string_equal(buf_string(&string), "a\xf0\x9f\x98\x80");
	assert_true(json_scan_element(&list, &value));
	assert_false(json_scan_element(&list, &value));
	assert_false(json_scan_member(&scan, &name, &value));
	buf_fini(&name);
	buf_fini(&string);
}

static void test_print(void **state)
{
	struct buf text, again;

	(void)state;
	buf_init(&text);
	buf_init(&again);
	json_scan_put_string(&text, SLICE("a\"b\\c\n\xc3\xa4"));
	assert_string_equal(buf_string(&text), "\"a\\\"b\\\\c\\u000a\xc3\xa4\"");
	assert_true(json_scan_string(buf_slice(&text), &again));
	assert_string_equal(buf_string(&again), "a\"b\\c\n\xc3\xa4");
	buf_fini(&text);
	buf_fini(&again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_print),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
