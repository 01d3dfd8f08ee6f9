#include "base/map.h"

#include "base/rng.h"
#include "test_main.h"

#define KEYS  5000
#define STEPS 60000

static int values[KEYS * 2];
static void *expected[KEYS];

static struct slice key_of(size_t number, char text[32])
{
	return slice_make(text, (size_t)snprintf(text, 32, "key-%zu", number));
}

static void test_random_operations_against_an_array(void **state)
{
	struct map map;
	struct rng rng;
	uint64_t seed;
	size_t count = 0;
	char text[32];

	(void)state;
	rng_system_bytes(&seed, sizeof(seed));
	print_message("seed %llu\n", (unsigned long long)seed);
	rng_seed(&rng, seed);
	map_init(&map);
	for (int i = 0; i < STEPS; i++) {
		size_t number = (size_t)rng_below(&rng, KEYS);
		struct slice key = key_of(number, text);
		void *value = &values[rng_below(&rng, KEYS * 2)];

		switch (rng_below(&rng, 4)) {
		case 0:
			assert_ptr_equal(map_remove(&map, key), expected[number]);
			count -= expected[number] != NULL;
			expected[number] = NULL;
			break;
		case 1:
			assert_ptr_equal(map_get(&map, key), expected[number]);
			break;
		default:
			assert_ptr_equal(map_set(&map, key, value), expected[number]);
			count += expected[number] == NULL;
			expected[number] = value;
		}
		assert_int_equal(map.count, count);
	}
	for (size_t i = 0; i < KEYS; i++) {
		assert_ptr_equal(map_get(&map, key_of(i, text)), expected[i]);
	}
	MAP_FOR_EACH(entry, &map)
	{
		assert_ptr_equal(map_get(&map, entry->key), entry->value);
		count--;
	}
	assert_int_equal(count, 0);
	map_fini(&map);
}

static void test_keys_are_copied_and_kept_in_order(void **state)
{
	struct map map;
	char text[32];
	size_t next = 0;

	(void)state;
	map_init(&map);
	assert_null(map_get(&map, SLICE("none")));
	assert_null(map_remove(&map, SLICE("none")));
	for (size_t i = 0; i < 100; i++) {
		assert_null(map_set(&map, key_of(i, text), &values[i]));
	}
	memset(text, 'z', sizeof(text));
	MAP_FOR_EACH(entry, &map)
	{
		assert_ptr_equal(entry->value, &values[next]);
		next++;
	}
	assert_int_equal(next, 100);
	/* Empty keys and keys with a NUL are keys like others. */
	assert_null(map_set(&map, SLICE(""), &values[1]));
	assert_null(map_set(&map, SLICE("a\0b"), &values[2]));
	assert_null(map_get(&map, SLICE("a")));
	assert_ptr_equal(map_get(&map, SLICE("")), &values[1]);
	assert_ptr_equal(map_get(&map, SLICE("a\0b")), &values[2]);
	map_fini(&map);
	assert_int_equal(map.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_operations_against_an_array),
		cmocka_unit_test(test_keys_are_copied_and_kept_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
