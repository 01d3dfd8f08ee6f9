/* LM-03, GR-04: inflating with its limits. */
#include "codec_test.h"

#include "codec/compress.h"

static void test_names(void **state)
{
	(void)state;
	assert_int_equal(compress_coding_find(SLICE("")), COMPRESS_IDENTITY);
	assert_int_equal(compress_coding_find(SLICE(" Identity ")), COMPRESS_IDENTITY);
	assert_int_equal(compress_coding_find(SLICE("GZIP")), COMPRESS_GZIP);
	assert_int_equal(compress_coding_find(SLICE("deflate")), COMPRESS_DEFLATE);
	assert_int_equal(compress_coding_find(SLICE("br")), COMPRESS_UNKNOWN);
	assert_int_equal(compress_coding_find(SLICE("gzip,gzip")), COMPRESS_UNKNOWN);
}

static void fill(struct buf *buf, size_t size, unsigned step)
{
	uint32_t seed = 1;

	buf_clear(buf);
	for (size_t i = 0; i < size; i++) {
		seed = seed * 1664525u + step;
		buf_append_byte(buf, step ? (uint8_t)(seed >> 24) : 0);
	}
}

static void test_both_ways(void **state)
{
	struct buf plain;
	struct buf packed;
	struct buf back;
	struct codec_fault fault;

	(void)state;
	buf_init(&plain);
	buf_init(&packed);
	buf_init(&back);
	for (int coding = COMPRESS_GZIP; coding <= COMPRESS_DEFLATE; coding++) {
		for (size_t size = 0; size < 100000; size = size * 3 + 1) {
			enum compress_coding c = (enum compress_coding)coding;
			size_t whole;

			fill(&plain, size, 12345);
			buf_clear(&packed);
			compress_deflate(c, buf_slice(&plain), &packed);
			buf_clear(&back);
			buf_append_string(&back, "front");
			assert_true(compress_inflate(c, buf_slice(&packed), size, &back, &fault));
			assert_int_equal(back.size, size + 5);
			assert_memory_equal(back.data + 5, plain.data, size);
			if (size > 0) {
				assert_false(compress_inflate(
					c, buf_slice(&packed), size - 1, &back, &fault));
				assert_int_equal(fault.kind, CODEC_FAULT_TOO_LARGE);
				assert_int_equal(back.size, size + 5);
			}
			/* cut at each of the first bytes, one more at the end */
			whole = packed.size;
			for (packed.size = 0; packed.size < whole && packed.size < 300;
				packed.size++) {
				assert_false(compress_inflate(
					c, buf_slice(&packed), 1u << 20, &back, &fault));
				assert_int_equal(fault.kind, CODEC_FAULT_INFLATE);
			}
			packed.size = whole;
			buf_append_byte(&packed, 'x');
			assert_false(
				compress_inflate(c, buf_slice(&packed), 1u << 20, &back, &fault));
			assert_int_equal(fault.kind, CODEC_FAULT_INFLATE);
		}
	}
	buf_fini(&plain);
	buf_fini(&packed);
	buf_fini(&back);
}

/* A bomb meets the ratio, not the cap; two gzip members are one message. */
static void test_limits(void **state)
{
	struct buf plain;
	struct buf packed;
	struct buf back;
	struct codec_fault fault;

	(void)state;
	buf_init(&plain);
	buf_init(&packed);
	buf_init(&back);
	fill(&plain, (size_t)10 << 20, 0);
	compress_deflate(COMPRESS_GZIP, buf_slice(&plain), &packed);
	assert_false(compress_inflate(
		COMPRESS_GZIP, buf_slice(&packed), (size_t)64 << 20, &back, &fault));
	assert_int_equal(fault.kind, CODEC_FAULT_INFLATE);
	assert_true(back.capacity < ((size_t)4 << 20));
	fill(&plain, 60000, 0);
	buf_clear(&packed);
	compress_deflate(COMPRESS_GZIP, buf_slice(&plain), &packed);
	assert_true(compress_inflate(
		COMPRESS_GZIP, buf_slice(&packed), (size_t)64 << 20, &back, &fault));
	compress_deflate(COMPRESS_GZIP, SLICE("second"), &packed);
	buf_clear(&back);
	assert_true(compress_inflate(
		COMPRESS_GZIP, buf_slice(&packed), (size_t)64 << 20, &back, &fault));
	assert_int_equal(back.size, 60006);
	buf_clear(&back);
	assert_true(compress_inflate(COMPRESS_IDENTITY, SLICE("abc"), 3, &back, &fault));
	assert_false(compress_inflate(COMPRESS_IDENTITY, SLICE("abcd"), 3, &back, &fault));
	assert_int_equal(fault.kind, CODEC_FAULT_TOO_LARGE);
	assert_false(compress_inflate(COMPRESS_GZIP, SLICE("not gzip"), 100, &back, &fault));
	assert_int_equal(back.size, 3);
	buf_fini(&plain);
	buf_fini(&packed);
	buf_fini(&back);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
