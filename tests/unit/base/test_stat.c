#include "base/stat.h"

#include "test_main.h"

static void test_error_is_bounded(void **state)
{
	static struct histogram histogram;

	(void)state;
	/* Each value alone: what is read back is at most 12.5 % below it. */
	for (uint64_t value = 0; value < UINT64_C(4000000000); value = value + value / 37 + 1) {
		uint64_t seen;

		memset(&histogram, 0, sizeof(histogram));
		histogram_add(&histogram, value);
		seen = histogram_quantile(&histogram, 500);
		assert_true(seen <= value);
		assert_true(value - seen <= value / 8);
		assert_int_equal(histogram_count_below(&histogram, value), 1);
		assert_int_equal(histogram_count_below(&histogram, value - value / 4 - 1),
			value == 0 ? 1 : 0);
	}
}

static void test_counts_and_quantiles(void **state)
{
	static struct histogram histogram;
	static struct histogram total;

	(void)state;
	assert_int_equal(histogram_quantile(&histogram, 990), 0);
	for (uint64_t i = 1; i <= 1000; i++) {
		histogram_add(&histogram, i * 10);
	}
	assert_int_equal(histogram.count, 1000);
	assert_int_equal(histogram.sum_us, 5005000);
	assert_in_range(histogram_quantile(&histogram, 500), 4375, 5010);
	assert_in_range(histogram_quantile(&histogram, 990), 8660, 9910);
	assert_in_range(histogram_quantile(&histogram, 0), 8, 10);
	assert_in_range(histogram_quantile(&histogram, 1000), 8750, 10000);
	assert_in_range(histogram_count_below(&histogram, 5000), 500, 563);
	assert_int_equal(histogram_count_below(&histogram, UINT64_MAX), 1000);
	histogram_merge(&total, &histogram);
	histogram_merge(&total, &histogram);
	assert_int_equal(total.count, 2000);
	assert_int_equal(histogram_count_below(&total, UINT64_MAX), 2000);
	/* Beyond the scale: the last bucket. */
	histogram_add(&total, UINT64_MAX / 4);
	assert_int_equal(histogram_count_below(&total, UINT64_MAX), 2001);
	assert_int_equal(total.counts[STAT_BUCKETS - 1], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_error_is_bounded),
		cmocka_unit_test(test_counts_and_quantiles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
