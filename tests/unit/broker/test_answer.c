/* answer: every status through the table of B7-07, and Retry-After. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "broker/answer.h"

static enum frame_result expected(unsigned status)
{
	static const unsigned app[] = {408, 409, 423, 424, 425};
	static const unsigned endpoint[] = {401, 403, 404, 405, 407, 410, 421};

	if (status >= 200 && status < 300) {
		return RESULT_ACK;
	}
	if (status == 429 || status == 503) {
		return RESULT_BUSY;
	}
	for (size_t i = 0; i < ARRAY_SIZE(app); i++) {
		if (status == app[i]) {
			return RESULT_APP;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(endpoint); i++) {
		if (status == endpoint[i]) {
			return RESULT_ENDPOINT;
		}
	}
	if (status >= 300 && status < 400) {
		return RESULT_ENDPOINT;
	}
	if (status == 501 || status == 505 || (status >= 400 && status < 500)) {
		return RESULT_DEAD;
	}
	return RESULT_APP;
}

static void test_table(void **state)
{
	(void)state;
	for (unsigned status = 0; status < 1000; status++) {
		assert_int_equal(answer_classify(status), expected(status));
	}
}

static void test_worked_before(void **state)
{
	(void)state;
	assert_int_equal(answer_adjust(RESULT_ENDPOINT, 404, true), RESULT_DEAD);
	assert_int_equal(answer_adjust(RESULT_ENDPOINT, 405, true), RESULT_DEAD);
	assert_int_equal(answer_adjust(RESULT_ENDPOINT, 404, false), RESULT_ENDPOINT);
	assert_int_equal(answer_adjust(RESULT_ENDPOINT, 401, true), RESULT_ENDPOINT);
	assert_int_equal(answer_adjust(RESULT_APP, 500, true), RESULT_APP);
}

static void test_retry_after(void **state)
{
	static const struct {
		const char *text;
		uint32_t ms;
	} rows[] = {
		{"0", 0},
		{"1", 1000},
		{" 120 ", 120000},
		{"3601", 3600000},
		{"99999", 3600000},
		{"", 0},
		{"-1", 0},
		{"soon", 0},
		{"1.5", 0},
		{"Thu, 01 Jan 2026 00:00:30 GMT", 30000},
		{"Thu, 01 Jan 2026 05:00:00 GMT", 3600000},
		{"Wed, 31 Dec 2025 00:00:00 GMT", 0},
		{"Thu, 01 Jan 2026", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(answer_retry_after_ms(
					 slice_from_string(rows[i].text), UINT64_C(1767225600000)),
			rows[i].ms);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_worked_before),
		cmocka_unit_test(test_retry_after),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
