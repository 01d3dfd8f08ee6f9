#include "base/rng.h"

#include "test_main.h"

static void test_known_sequence(void **state)
{
	/* xoshiro256** from the state 1, 2, 3, 4, as the authors' program prints it. */
	static const uint64_t expected[] = {
		UINT64_C(11520), UINT64_C(0), UINT64_C(1509978240), UINT64_C(1215971899390074240)};
	struct rng rng = {{1, 2, 3, 4}};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		assert_true(rng_next(&rng) == expected[i]);
	}
}

static void test_seeding(void **state)
{
	struct rng a;
	struct rng b;

	(void)state;
	/* SplitMix64 from 0: its first output is known. */
	rng_seed(&a, 0);
	assert_true(a.state[0] == UINT64_C(0xe220a8397b1dcdaf));
	rng_seed(&a, 17);
	rng_seed(&b, 17);
	for (int i = 0; i < 100; i++) {
		assert_true(rng_next(&a) == rng_next(&b));
	}
	rng_seed_system(&a);
	rng_seed_system(&b);
	assert_false(rng_next(&a) == rng_next(&b) && rng_next(&a) == rng_next(&b));
}

static void test_bounds(void **state)
{
	struct rng rng;
	int counts[10] = {0};

	(void)state;
	rng_seed(&rng, 1);
	for (int i = 0; i < 100000; i++) {
		counts[rng_below(&rng, 10)]++;
		assert_in_range(rng_between(&rng, 5, 7), 5, 7);
	}
	for (int i = 0; i < 10; i++) {
		/* Six standard deviations of the binomial. */
		assert_in_range(counts[i], 9430, 10570);
	}
	assert_int_equal(rng_below(&rng, 1), 0);
	assert_int_equal(rng_between(&rng, 9, 9), 9);
	(void)rng_between(&rng, 0, UINT64_MAX);
	/* A bound where the rejection of low products really happens. */
	for (int i = 0; i < 1000; i++) {
		assert_true(rng_below(&rng, (UINT64_C(1) << 63) + 1) <= (UINT64_C(1) << 63));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_sequence),
		cmocka_unit_test(test_seeding),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
