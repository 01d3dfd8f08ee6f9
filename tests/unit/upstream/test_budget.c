/* MT-20 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/assert.h"
#include "upstream/budget.h"

static void test_concurrent(void **state)
{
	static const struct {
		uint32_t active, most;
	} rows[] = {{0, 3}, {10, 3}, {19, 3}, {20, 4}, {100, 20}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct budget budget;

		budget_init(&budget, 1000);
		for (uint32_t n = 0; n < rows[i].most; n++) {
			assert_int_equal(budget_take(&budget, rows[i].active, 1000), BUDGET_TAKEN);
		}
		assert_int_equal(budget_take(&budget, rows[i].active, 1000), BUDGET_CONCURRENT);
		assert_int_equal(budget.refused_concurrent, 1);
		budget_release(&budget);
		assert_int_equal(budget.charged, rows[i].most - 1);
	}
}

static unsigned take_all(struct budget *budget, uint64_t now_ms)
{
	unsigned taken = 0;

	while (budget_take(budget, 1000, now_ms) == BUDGET_TAKEN) {
		budget_release(budget);
		taken++;
	}
	return taken;
}

static void test_bucket(void **state)
{
	struct budget budget;

	(void)state;
	budget_init(&budget, 0);
	assert_int_equal(take_all(&budget, 0), 20);
	assert_int_equal(budget.refused_tokens, 1);
	for (int i = 0; i < 10; i++) {
		budget_earn(&budget, 10);
	}
	assert_int_equal(take_all(&budget, 10), 2); /* 20 % of first attempts */
	/* Ten earned two tokens in this second: no topping up at its end. */
	assert_int_equal(take_all(&budget, 1000), 0);
	/* A second without income gives one. */
	assert_int_equal(take_all(&budget, 1999), 0);
	assert_int_equal(take_all(&budget, 2000), 1);
	/* Income of 0.4 is topped up to one. */
	budget_earn(&budget, 2100);
	budget_earn(&budget, 2200);
	assert_int_equal(take_all(&budget, 3000), 1);
	assert_int_equal(take_all(&budget, 8000), 5);
	assert_int_equal(take_all(&budget, 100000), 20); /* never more than the bucket */
	for (int i = 0; i < 1000; i++) {
		budget_earn(&budget, 100001);
	}
	assert_int_equal(take_all(&budget, 100001), 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_concurrent),
		cmocka_unit_test(test_bucket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
