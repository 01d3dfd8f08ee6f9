#include "base/clock.h"

#include "test_main.h"

static void test_format(void **state)
{
	static const struct {
		uint64_t ms;
		const char *text;
	} rows[] = {
		{0, "1970-01-01T00:00:00.000Z"},
		{UINT64_C(1767348672013), "2026-01-02T10:11:12.013Z"},
		{UINT64_C(951782400999), "2000-02-29T00:00:00.999Z"},
		{UINT64_MAX, "9999-12-31T23:59:59.999Z"},
	};
	char text[CLOCK_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		clock_format_wall(rows[i].ms, text);
		assert_string_equal(text, rows[i].text);
	}
}

static void test_clocks_go_forward(void **state)
{
	uint64_t ns = clock_monotonic_ns();
	uint64_t boot = clock_boottime_ms();

	(void)state;
	assert_true(clock_monotonic_ns() >= ns);
	assert_true(clock_monotonic_ms() >= ns / 1000000);
	assert_true(clock_boottime_ms() >= boot);
	/* After this was written, before the year 2100. */
	assert_in_range(clock_wall_ms(), UINT64_C(1700000000000), UINT64_C(4102444800000));
	assert_true(clock_wall_ns() / 1000000 >= UINT64_C(1700000000000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_clocks_go_forward),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
