/* Timeouts (W-17, G-06, G-07) and message framing (codec.md GR-01), cut at every byte. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/grpc.h"

static void parse_timeout(void **state)
{
	static const struct {
		struct slice text;
		bool valid;
		uint64_t ns;
	} rows[] = {
		{SLICE("1S"), true, 1000000000},
		{SLICE("99999999n"), true, 99999999},
		{SLICE("0m"), true, 0},
		{SLICE("00000001u"), true, 1000},
		{SLICE("5m"), true, 5000000},
		{SLICE("2M"), true, 120000000000},
		{SLICE("3H"), true, 10800000000000},
		{SLICE("5124095H"), true, 18446742000000000000ull},
		{SLICE("5124096H"), true, UINT64_MAX},
		{SLICE("99999999H"), true, UINT64_MAX},
		{SLICE("1s"), false, 0},
		{SLICE("123456789m"), false, 0},
		{SLICE("S"), false, 0},
		{SLICE("-1S"), false, 0},
		{SLICE("+1S"), false, 0},
		{SLICE(""), false, 0},
		{SLICE("1"), false, 0},
		{SLICE("1 S"), false, 0},
		{SLICE(" 1S"), false, 0},
		{SLICE("1.5S"), false, 0},
		{SLICE("1SS"), false, 0},
		{SLICE("1\0"), false, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t ns = 77;

		assert_int_equal(grpc_parse_timeout(rows[i].text, &ns), rows[i].valid);
		assert_true(ns == (rows[i].valid ? rows[i].ns : 77));
	}
}

static void format_timeout(void **state)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} rows[] = {
		{0, "0n"},
		{1, "1n"},
		{99999999, "99999999n"},
		{100000000, "100000u"},
		{99999999999, "99999999u"},
		{100000000999, "100000m"},
		{99999999999999, "99999999m"},
		{100000000000000, "100000S"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[16];
		uint64_t ns;

		grpc_format_timeout(rows[i].ns, text);
		assert_string_equal(text, rows[i].text);
		assert_true(grpc_parse_timeout(slice_from_string(text), &ns));
		assert_true(ns <= rows[i].ns);
	}
}

/* The largest value still has at most eight digits. */
static void format_largest(void **state)
{
	char text[16];
	uint64_t ns;

	(void)state;
	grpc_format_timeout(UINT64_MAX, text);
	assert_string_equal(text, "5124095H");
	assert_true(grpc_parse_timeout(slice_from_string(text), &ns));
}

struct feed {
	struct block_pool pool;
	struct grpc_reader reader;
	struct chain in;
	char log[512];
};

static void feed_init(struct feed *feed, size_t message_max)
{
	memset(feed, 0, sizeof(*feed));
	block_pool_init(&feed->pool, 4);
	grpc_reader_init(&feed->reader, message_max);
	chain_init(&feed->in);
}

static void feed_fini(struct feed *feed)
{
	grpc_reader_fini(&feed->reader);
	chain_fini(&feed->in);
	block_pool_fini(&feed->pool);
}

/* Every message as "flag:bytes;", an error as its number. */
static int feed_bytes(struct feed *feed, const char *bytes, size_t size)
{
	struct slice message;
	bool compressed;
	int got;

	chain_append_copy(&feed->in, &feed->pool, bytes, size);
	while ((got = grpc_reader_next(
			&feed->reader, &feed->pool, &feed->in, &compressed, &message)) == 1) {
		size_t at = strlen(feed->log);

		snprintf(feed->log + at, sizeof(feed->log) - at, "%d:%.*s;", compressed,
			(int)message.size, (const char *)message.data);
	}
	return got;
}

static const char messages[] = "\0\0\0\0\3abc"
			       "\0\0\0\0\0"
			       "\1\0\0\0\2de"
			       "\0\0\0\0\1f";
#define MESSAGES_LOG "0:abc;0:;1:de;0:f;"

static void reader_cut(void **state)
{
	size_t size = sizeof(messages) - 1;

	(void)state;
	for (size_t first = 0; first <= size; first++) {
		for (size_t second = first; second <= size; second++) {
			struct feed feed;

			feed_init(&feed, 3);
			assert_int_equal(feed_bytes(&feed, messages, first), 0);
			assert_int_equal(feed_bytes(&feed, messages + first, second - first), 0);
			assert_int_equal(feed_bytes(&feed, messages + second, size - second), 0);
			assert_string_equal(feed.log, MESSAGES_LOG);
			assert_true(grpc_reader_empty(&feed.reader));
			feed_fini(&feed);
		}
	}
}

static void reader_bytewise(void **state)
{
	struct feed feed;

	(void)state;
	feed_init(&feed, 3);
	for (size_t i = 0; i < sizeof(messages) - 1; i++) {
		assert_int_equal(feed_bytes(&feed, messages + i, 1), 0);
		/* Partial until each message's last byte. */
		assert_int_equal(
			grpc_reader_empty(&feed.reader), i == 7 || i == 12 || i == 19 || i == 25);
	}
	assert_string_equal(feed.log, MESSAGES_LOG);
	feed_fini(&feed);
}

static void reader_errors(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
		int error;
	} rows[] = {
		{"\0\0\0\0\3", 5, 0},
		{"\0\0\0\0\4", 5, -EMSGSIZE},
		{"\0\xff\xff\xff\xff", 5, -EMSGSIZE},
		{"\1\1\0\0\0", 5, -EMSGSIZE},
		{"\2\0\0\0\0", 5, -EBADMSG},
		{"\xff\0\0\0\1", 5, -EBADMSG},
		{"\0\0\0\0", 4, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct feed feed;

		feed_init(&feed, 3);
		assert_int_equal(feed_bytes(&feed, rows[i].bytes, rows[i].size), rows[i].error);
		assert_false(grpc_reader_empty(&feed.reader));
		assert_string_equal(feed.log, "");
		/* Nothing beyond the prefix was set aside. */
		assert_true(feed.pool.live <= 2);
		feed_fini(&feed);
	}
}

/* A megabyte in pieces of one byte to several blocks pins about its own size. */
static void reader_large(void **state)
{
	static const size_t steps[] = {1, 100, 1023, 1024, 5000, 16384, 100000};
	size_t size = 1024 * 1024;
	char *bytes = calloc(1, size + 5);

	(void)state;
	grpc_prefix((uint8_t *)bytes, false, (uint32_t)size);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct feed feed;
		size_t step = steps[i];

		feed_init(&feed, size);
		for (size_t at = 0; at < size + 5; at += step) {
			struct slice message;
			struct block *block;
			bool compressed;
			size_t part = size + 5 - at < step ? size + 5 - at : step;
			int got;

			/* Each piece alone in a block, as from one read. */
			block = block_create_sized(&feed.pool, part);
			memcpy(block->data, bytes + at, part);
			block->used = (uint32_t)part;
			chain_append_block(&feed.in, block, block->data, part);
			block_unref(block);
			got = grpc_reader_next(
				&feed.reader, &feed.pool, &feed.in, &compressed, &message);
			assert_int_equal(got, at + part == size + 5);
			assert_true(feed.pool.live_bytes <= 3 * (at + part) + 4 * BLOCK_SIZE);
		}
		feed_fini(&feed);
	}
	free(bytes);
}

/* A message inside one block is given out where it lies. */
static void reader_no_copy(void **state)
{
	struct feed feed;
	struct slice message;
	struct block *block;
	bool compressed;

	(void)state;
	feed_init(&feed, 100);
	block = block_create(&feed.pool);
	memcpy(block->data, messages, 8);
	block->used = 8;
	chain_append_block(&feed.in, block, block->data, 8);
	assert_int_equal(
		grpc_reader_next(&feed.reader, &feed.pool, &feed.in, &compressed, &message), 1);
	assert_ptr_equal(message.data, block->data + 5);
	block_unref(block);
	feed_fini(&feed);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_timeout),
		cmocka_unit_test(format_timeout),
		cmocka_unit_test(format_largest),
		cmocka_unit_test(reader_cut),
		cmocka_unit_test(reader_bytewise),
		cmocka_unit_test(reader_errors),
		cmocka_unit_test(reader_large),
		cmocka_unit_test(reader_no_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
