#include "base/crc32c.h"

#include "base/rng.h"
#include "test_main.h"

static void test_vectors(void **state)
{
	uint8_t bytes[32];

	(void)state;
	assert_int_equal(crc32c(0, "123456789", 9), 0xE3069283);
	assert_int_equal(crc32c_portable(0, "123456789", 9), 0xE3069283);
	assert_int_equal(crc32c(0, NULL, 0), 0);
	/* RFC 3720 B.4. */
	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(crc32c(0, bytes, 32), 0x8A9136AA);
	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(crc32c(0, bytes, 32), 0x62A8AB43);
	for (int i = 0; i < 32; i++) {
		bytes[i] = (uint8_t)i;
	}
	assert_int_equal(crc32c(0, bytes, 32), 0x46DD794E);
	for (int i = 0; i < 32; i++) {
		bytes[i] = (uint8_t)(31 - i);
	}
	assert_int_equal(crc32c(0, bytes, 32), 0x113FDB5C);
}

static void test_both_ways_and_every_split_agree(void **state)
{
	uint8_t bytes[200];
	struct rng rng;

	(void)state;
	rng_seed(&rng, 5);
	for (size_t i = 0; i < sizeof(bytes); i++) {
		bytes[i] = (uint8_t)rng_next(&rng);
	}
	for (size_t start = 0; start < 9; start++) {
		for (size_t size = 0; size + start <= sizeof(bytes); size++) {
			uint32_t whole = crc32c_portable(0, bytes + start, size);
			size_t cut = size / 3;
			uint32_t part = crc32c(0, bytes + start, cut);

			assert_int_equal(crc32c(0, bytes + start, size), whole);
			assert_int_equal(crc32c(part, bytes + start + cut, size - cut), whole);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_both_ways_and_every_split_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
