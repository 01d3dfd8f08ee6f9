#include "../base/test_main.h"
#include "base/rng.h"
#include "http/h1_chunked.h"

/* Feeds text in pieces of at most `piece`; data bytes go to ret_data. Returns the state. */
static enum h1_chunked_state chunked_feed(struct h1_chunked *chunked, struct slice text,
	size_t piece, size_t *ret_data, size_t *ret_used)
{
	size_t place = 0;

	*ret_data = 0;
	while (place < text.size && chunked->state < H1_CHUNKED_TRAILERS) {
		size_t size = text.size - place < piece ? text.size - place : piece;

		if (chunked->state == H1_CHUNKED_DATA) {
			size = size < chunked->rest ? size : (size_t)chunked->rest;
			h1_chunked_take(chunked, size);
			*ret_data += size;
			place += size;
		} else {
			place += h1_chunked_read(chunked, slice_make(text.data + place, size));
		}
	}
	*ret_used = place;
	return chunked->state;
}

/* H1-21: sizes around the powers of two; the running total stays below 2^63. */
static void test_sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t size; /* UINT64_MAX: refused */
	} cases[] = {
		{"7fffffff", 0x7fffffff},
		{"80000000", 0x80000000},
		{"80000001", 0x80000001},
		{"ffffffff", 0xffffffff},
		{"100000000", 0x100000000},
		{"100000001", 0x100000001},
		{"7ffffffffffffffe", 0x7ffffffffffffffe},
		{"7FFFFFFFFFFFFFFF", 0x7fffffffffffffff},
		{"8000000000000000", UINT64_MAX},
		{"8000000000000001", UINT64_MAX},
		{"fffffffffffffffe", UINT64_MAX},
		{"ffffffffffffffff", UINT64_MAX},
		{"10000000000000000", UINT64_MAX},
		{"00000000000000001", UINT64_MAX},
		{"0000000000000001", 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (int after_one = 0; after_one <= 1; after_one++) {
			struct h1_chunked chunked;
			char text[64];
			int size = snprintf(text, sizeof(text), "%s%s\r\n",
				after_one ? "1\r\nx\r\n" : "", cases[i].text);
			bool good = cases[i].size != UINT64_MAX &&
				    (!after_one || cases[i].size < INT64_MAX);
			size_t data;
			size_t used;

			h1_chunked_init(&chunked, 256);
			assert_int_equal(chunked_feed(&chunked, slice_make(text, (size_t)size), 100,
						 &data, &used),
				good ? H1_CHUNKED_DATA : H1_CHUNKED_FAILED);
			assert_true(!good || chunked.rest == cases[i].size);
			assert_int_equal(chunked.reason, good ? REASON_ok : REASON_bad_chunk);
		}
	}
}

/* Written and read again at every piece size; extensions vanish. */
static void test_round_trip(void **state)
{
	struct rng rng;

	(void)state;
	rng_seed(&rng, 7);
	for (int round = 0; round < 200; round++) {
		uint8_t text[4096];
		size_t size = 0;
		size_t total = 0;
		struct h1_chunked chunked;
		size_t data;
		size_t used;

		for (uint64_t n = rng_below(&rng, 10); n > 0; n--) {
			size_t part = 1 + (size_t)rng_below(&rng, 300);

			size += h1_chunked_write(text + size, part);
			memset(text + size, '\r', part);
			size += part;
			memcpy(text + size, "\r\n", 2);
			size += 2;
			total += part;
		}
		size += h1_chunked_write(text + size, 0);
		h1_chunked_init(&chunked, 256);
		assert_int_equal(chunked_feed(&chunked, slice_make(text, size),
					 1 + (size_t)rng_below(&rng, 50), &data, &used),
			H1_CHUNKED_TRAILERS);
		assert_int_equal(data, total);
		assert_int_equal(used, size);
		assert_int_equal(chunked.data, total);
	}
}

/* H1-22: at the limit and one beyond; blanks before the first `;` count too. */
static void test_extension_size(void **state)
{
	(void)state;
	for (size_t extra = 0; extra <= 1; extra++) {
		struct h1_chunked chunked;
		char text[64];
		size_t data;
		size_t used;
		int size = snprintf(text, sizeof(text), "1 ;%0*d\r\n", 8 + (int)extra, 0);

		h1_chunked_init(&chunked, 10);
		assert_int_equal(
			chunked_feed(&chunked, slice_make(text, (size_t)size), 3, &data, &used),
			extra ? H1_CHUNKED_FAILED : H1_CHUNKED_DATA);
	}
}

static void test_write(void **state)
{
	static const struct {
		uint64_t size;
		const char *line;
	} cases[] = {{0, "0\r\n"}, {9, "9\r\n"}, {10, "a\r\n"}, {16384, "4000\r\n"},
		{UINT64_MAX, "ffffffffffffffff\r\n"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t line[H1_CHUNK_HEAD_MAX];
		size_t size = h1_chunked_write(line, cases[i].size);

		assert_true(slice_equal(slice_make(line, size), slice_from_string(cases[i].line)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_extension_size),
		cmocka_unit_test(test_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
