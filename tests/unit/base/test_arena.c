#include "base/arena.h"

#include "base/rng.h"
#include "test_main.h"

#define ROUNDS 2000

static void test_random_sizes_do_not_overlap(void **state)
{
	struct arena arena;
	struct rng rng;
	uint64_t seed;
	static uint8_t *parts[ROUNDS];
	static size_t sizes[ROUNDS];

	(void)state;
	rng_system_bytes(&seed, sizeof(seed));
	print_message("seed %llu\n", (unsigned long long)seed);
	rng_seed(&rng, seed);
	arena_init(&arena);
	for (int turn = 0; turn < 2; turn++) {
		for (int i = 0; i < ROUNDS; i++) {
			sizes[i] = (size_t)rng_below(&rng, i % 50 == 0 ? 20000 : 300);
			parts[i] = arena_alloc(&arena, sizes[i]);
			assert_int_equal((uintptr_t)parts[i] % 16, 0);
			for (size_t j = 0; j < sizes[i]; j++) {
				assert_int_equal(parts[i][j], 0);
			}
			memset(parts[i], i & 0xff, sizes[i]);
		}
		for (int i = 0; i < ROUNDS; i++) {
			for (size_t j = 0; j < sizes[i]; j++) {
				assert_int_equal(parts[i][j], i & 0xff);
			}
		}
		arena_reset(&arena);
		assert_int_equal(arena.used, 0);
	}
	arena_fini(&arena);
	arena_fini(&arena);
}

static void test_copies_are_terminated(void **state)
{
	struct arena arena;
	struct slice copy;

	(void)state;
	arena_init(&arena);
	copy = arena_copy(&arena, SLICE("orders"));
	assert_int_equal(copy.size, 6);
	assert_string_equal((const char *)copy.data, "orders");
	assert_string_equal(arena_string(&arena, (struct slice){NULL, 0}), "");
	assert_true(arena.used >= 7);
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_sizes_do_not_overlap),
		cmocka_unit_test(test_copies_are_terminated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
