#include "base/slice.h"

#include "test_main.h"

#define S(text) slice_from_string(text)

static void test_comparisons(void **state)
{
	static const struct {
		const char *a;
		const char *b;
		bool equal;
		bool fold;
		bool starts;
		bool ends;
		int order;
	} rows[] = {
		{"", "", true, true, true, true, 0},
		{"abc", "abc", true, true, true, true, 0},
		{"abc", "ABC", false, true, false, false, 1},
		{"abc", "ab", false, false, true, false, 1},
		{"abc", "bc", false, false, false, true, -1},
		{"abc", "", false, false, true, true, 1},
		{"", "abc", false, false, false, false, -1},
		{"a[", "a{", false, false, false, false, -1},
		{"\xc4", "\xe4", false, false, false, false, -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct slice a = S(rows[i].a);
		struct slice b = S(rows[i].b);
		int order = slice_compare(a, b);

		assert_int_equal(slice_equal(a, b), rows[i].equal);
		assert_int_equal(slice_equal_fold(a, b), rows[i].fold);
		assert_int_equal(slice_starts_with(a, b), rows[i].starts);
		assert_int_equal(slice_ends_with(a, b), rows[i].ends);
		assert_int_equal((order > 0) - (order < 0), rows[i].order);
	}
	assert_true(slice_equal((struct slice){NULL, 0}, SLICE("")));
	assert_int_equal(slice_from_string(NULL).size, 0);
}

static void test_parts(void **state)
{
	(void)state;
	assert_int_equal(slice_find(S("a:b:c"), ':'), 1);
	assert_int_equal(slice_find(S("abc"), ':'), 3);
	assert_int_equal(slice_find((struct slice){NULL, 0}, ':'), 0);
	assert_true(slice_equal(slice_trim(S(" \t a b\t ")), S("a b")));
	assert_true(slice_equal(slice_trim(S(" \t ")), S("")));
	assert_true(slice_equal(slice_trim(S("\na")), S("\na")));
	assert_true(slice_equal(slice_from(S("abc"), 2), S("c")));
	assert_true(slice_equal(slice_from(S("abc"), 9), S("")));
	assert_true(slice_equal(slice_from((struct slice){NULL, 0}, 9), S("")));
}

static void test_parse_u64(void **state)
{
	static const struct {
		const char *text;
		uint64_t max;
		bool good;
		uint64_t value;
	} rows[] = {
		{"0", UINT64_MAX, true, 0},
		{"65535", 65535, true, 65535},
		{"65536", 65535, false, 0},
		{"007", 10, true, 7},
		{"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
		{"18446744073709551616", UINT64_MAX, false, 0},
		{"99999999999999999999", UINT64_MAX, false, 0},
		{"000000000000000000001", UINT64_MAX, false, 0},
		{"", 1, false, 0},
		{"+1", 1, false, 0},
		{"-1", 1, false, 0},
		{" 1", 1, false, 0},
		{"1 ", 1, false, 0},
		{"1x", 1, false, 0},
		{"0x1", 1, false, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t value = 42;
		bool good = slice_parse_u64(S(rows[i].text), rows[i].max, &value);

		assert_int_equal(good, rows[i].good);
		assert_int_equal(value, good ? rows[i].value : 42);
	}
}

static void test_parse_hex(void **state)
{
	uint8_t bytes[2] = {1, 2};

	(void)state;
	assert_false(slice_parse_hex(S("0"), bytes, 2));
	assert_false(slice_parse_hex(S("00ag"), bytes, 2));
	assert_false(slice_parse_hex(S("00aa0"), bytes, 2));
	assert_int_equal(bytes[0], 1);
	assert_true(slice_parse_hex(S("a0Ff"), bytes, 2));
	assert_int_equal(bytes[0], 0xa0);
	assert_int_equal(bytes[1], 0xff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_comparisons),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_parse_u64),
		cmocka_unit_test(test_parse_hex),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
