/* names: topics, groups, patterns, percent coding, durations, leases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "base/assert.h"
#include "broker/names.h"

#define LONG64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void test_topics(void **state)
{
	static const struct {
		const char *name;
		enum reason reason;
	} rows[] = {
		{"orders", REASON_ok},
		{"orders.placed", REASON_ok},
		{"A-b_9.x", REASON_ok},
		{LONG64, REASON_ok},
		{LONG64 "a", REASON_bad_topic},
		{LONG64 "." LONG64 "." LONG64 "."
			"aaaaa",
			REASON_ok},
		{LONG64 "." LONG64 "." LONG64 "."
			"aaaaaa",
			REASON_bad_topic},
		{"1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16", REASON_ok},
		{"1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17", REASON_bad_topic},
		{"", REASON_bad_topic},
		{".", REASON_bad_topic},
		{"a.", REASON_bad_topic},
		{".a", REASON_bad_topic},
		{"a..b", REASON_bad_topic},
		{"a b", REASON_bad_topic},
		{"a/b", REASON_bad_topic},
		{"\xc3\xa4", REASON_bad_topic},
		{"a.*", REASON_bad_topic},
		{"$sys", REASON_reserved},
		{"~x", REASON_reserved},
		{"a.dlq.b", REASON_reserved},
		{"dlq", REASON_reserved},
		{"dlqs", REASON_ok},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(names_topic(slice_from_string(rows[i].name)), rows[i].reason);
	}
}

static void test_readable(void **state)
{
	(void)state;
	assert_int_equal(names_readable_topic(SLICE("a.b")), REASON_ok);
	assert_int_equal(names_readable_topic(SLICE("a.dlq.g")), REASON_ok);
	assert_int_equal(names_readable_topic(SLICE("a.dlq")), REASON_reserved);
	assert_int_equal(names_readable_topic(SLICE("a..b.dlq.g")), REASON_bad_topic);
	assert_int_equal(names_readable_topic(SLICE("a.dlq.g\r\n")), REASON_bad_topic);
}

static void test_groups(void **state)
{
	(void)state;
	assert_int_equal(names_group(SLICE("billing"), false), REASON_ok);
	assert_int_equal(names_group(SLICE("~sub-12"), true), REASON_ok);
	assert_int_equal(names_group(SLICE("~sub-12"), false), REASON_reserved);
	assert_int_equal(names_group(SLICE("$x"), true), REASON_reserved);
	assert_int_equal(names_group(SLICE("a.b"), true), REASON_bad_group);
	assert_int_equal(names_group(SLICE(""), true), REASON_bad_group);
	assert_int_equal(names_group(SLICE("~"), true), REASON_bad_group);
	assert_int_equal(names_group(SLICE(LONG64), false), REASON_bad_group);
}

static void test_patterns(void **state)
{
	static const struct {
		const char *pattern, *topic;
		bool matches;
	} rows[] = {
		{"a", "a", true},
		{"a", "b", false},
		{"a", "a.b", false},
		{"a.b", "a", false},
		{"a.*", "a.b", true},
		{"a.*", "a", false},
		{"a.*", "a.b.c", false},
		{"*.b", "a.b", true},
		{"*", "a", true},
		{">", "a.b.c", true},
		{"a.>", "a.b.c", true},
		{"a.>", "a", false},
		{"a.*.c", "a.b.c", true},
		{"a.*.c", "a.b.d", false},
		{">", "a.dlq.g", false},
		{"a.*.g", "a.dlq.g", false},
		{"a.dlq.*", "a.dlq.g", true},
		{"a.dlq.g", "a.dlq.g", true},
		{"a.>", "a.b.dlq.g", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(names_match(slice_from_string(rows[i].pattern),
					 slice_from_string(rows[i].topic)),
			rows[i].matches);
	}
}

static void test_owner(void **state)
{
	struct slice topic, group;

	(void)state;
	assert_true(names_dead_letter(SLICE("a.b.dlq.g"), &topic, &group));
	assert_true(slice_equal(topic, SLICE("a.b")) && slice_equal(group, SLICE("g")));
	assert_false(names_dead_letter(SLICE("a.b"), &topic, &group));
	assert_false(names_dead_letter(SLICE(".dlq.g"), &topic, &group));
	for (unsigned workers = 1; workers < 9; workers++) {
		assert_int_equal(names_owner(SLICE("a.b"), workers),
			names_owner(SLICE("a.b.dlq.g"), workers));
		assert_true(names_home(SLICE("g"), SLICE("m"), workers) < workers);
	}
}

static void test_percent(void **state)
{
	static const struct {
		const char *coded, *plain;
	} rows[] = {
		{"abc", "abc"},
		{"%20", " "},
		{"a%22b%25", "a\"b%"},
		{"%C3%A4", "\xc3\xa4"},
		{"%c3%a4", "\xc3\xa4"},
		{"%2", NULL},
		{"%", NULL},
		{"%zz", NULL},
		{"a%2", NULL},
		{"%2520", "%20"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct buf text;
		bool good;

		buf_init(&text);
		good = names_percent_decode(slice_from_string(rows[i].coded), &text);
		assert_int_equal(good, rows[i].plain != NULL);
		if (good) {
			struct buf again, twice;

			assert_string_equal(buf_string(&text), rows[i].plain);
			buf_init(&again);
			buf_init(&twice);
			names_percent_encode(buf_slice(&text), &again);
			assert_true(names_percent_decode(buf_slice(&again), &twice));
			assert_true(slice_equal(buf_slice(&twice), buf_slice(&text)));
			buf_fini(&again);
			buf_fini(&twice);
		}
		buf_fini(&text);
	}
}

static void test_durations(void **state)
{
	static const struct {
		const char *text;
		bool good;
		uint64_t ms;
	} rows[] = {
		{"0s", true, 0},
		{"100ms", true, 100},
		{"30s", true, 30000},
		{"2m", true, 120000},
		{"1h", true, 3600000},
		{"61m", false, 0},
		{"", false, 0},
		{"5", false, 0},
		{"s", false, 0},
		{"-1s", false, 0},
		{"1.5s", false, 0},
		{"1S", false, 0},
		{"99999999999s", false, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t ms = 0;

		assert_int_equal(names_duration(slice_from_string(rows[i].text), 3600000, &ms),
			rows[i].good);
		assert_int_equal(ms, rows[i].ms);
	}
}

static void test_leases(void **state)
{
	struct lease lease = {0xa17, 0xc2e19b04d7f35e66}, again;
	char text[NAMES_LEASE_SIZE];

	(void)state;
	names_print_lease(&lease, text);
	assert_string_equal(text, "0000000000000a17c2e19b04d7f35e66");
	assert_true(names_parse_lease(slice_from_string(text), &again));
	assert_int_equal(again.counter, lease.counter);
	assert_int_equal(again.random, lease.random);
	for (size_t size = 0; size < 32; size++) {
		assert_false(names_parse_lease(slice_make(text, size), &again));
	}
	text[5] = 'g';
	assert_false(names_parse_lease(slice_from_string(text), &again));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_topics),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_readable),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_owner),
		cmocka_unit_test(test_percent),
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_leases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
