#include "base/siphash.h"

#include "test_main.h"

/* The authors' vectors: key 00..0f, input 00, 01, 02, ... of the row's length. */
static const struct {
	size_t size;
	uint64_t hash;
} rows[] = {
	{0, UINT64_C(0x726fdb47dd0e0e31)},
	{1, UINT64_C(0x74f839c593dc67fd)},
	{2, UINT64_C(0x0d6c8009d9a94f5a)},
	{7, UINT64_C(0xab0200f58b01d137)},
	{8, UINT64_C(0x93f5f5799a932462)},
	{9, UINT64_C(0x9e0082df0ba9e4b0)},
	{15, UINT64_C(0xa129ca6149be45e5)},
	{16, UINT64_C(0x3f2acc7f57c29bdb)},
	{63, UINT64_C(0x958a324ceb064572)},
};

static void fill(uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		bytes[i] = (uint8_t)i;
	}
}

static void test_vectors(void **state)
{
	uint8_t key[16];
	uint8_t input[64];

	(void)state;
	fill(key, sizeof(key));
	fill(input, sizeof(input));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_true(siphash24(key, input, rows[i].size) == rows[i].hash);
	}
	assert_true(siphash24(key, NULL, 0) == rows[0].hash);
}

static void test_any_split_gives_the_same(void **state)
{
	uint8_t key[16];
	uint8_t input[64];

	(void)state;
	fill(key, sizeof(key));
	fill(input, sizeof(input));
	for (size_t size = 0; size <= sizeof(input); size++) {
		uint64_t whole = siphash24(key, input, size);

		for (size_t step = 1; step <= 17; step++) {
			struct siphash hash;

			siphash_init(&hash, key);
			for (size_t i = 0; i < size; i += step) {
				siphash_update(&hash, input + i, size - i < step ? size - i : step);
			}
			assert_true(siphash_final(&hash) == whole);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_any_split_gives_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
