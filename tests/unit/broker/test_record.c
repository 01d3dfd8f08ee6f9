/* record: the byte example of docs/rules/broker.md 9, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>

#include "broker/record.h"

/* Topic 42, seq 1731, 2026-01-01T00:00:00Z, id a1, key c7, body {"n":1}, salt 0x5EED1234. */
static const uint8_t example[] = {0x42, 0xcf, 0xb8, 0x8f, 0x35, 0xc2, 0x0d, 0xfa, 0x57, 0, 0, 0,
	0x18, 0, 0x01, 0, 0x2a, 0, 0, 0, 0x17, 0xd7, 0x33, 0xa1, 0xc3, 0x06, 0, 0, 0, 0, 0, 0, 0,
	0xa8, 0xda, 0x76, 0x9b, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0x07, 0, 0, 0,
	0x02, 0x02, 0, 'i', 'd', 'a', '1', 0x0c, 0x02, 0, 'p', 'a', 'r', 't', 'i', 't', 'i', 'o',
	'n', 'k', 'e', 'y', 'c', '7', '{', '"', 'n', '"', ':', '1', '}', 0};

#define SALT 0x5EED1234

static void test_example(void **state)
{
	struct slice body = SLICE("{\"n\":1}");
	struct record record = {.length = 0x57,
		.attributes = 0x18,
		.type = RECORD_MSG,
		.topic = 42,
		.seq = 1731,
		.time_ms = UINT64_C(1767225600000),
		.key_crc = record_key_crc(SLICE("c7")),
		.synced = record_lsn(7, 4096)};
	uint8_t header[RECORD_HEADER];
	struct record again;
	struct buf attributes;

	(void)state;
	buf_init(&attributes);
	record_put_attribute(&attributes, SLICE("id"), SLICE("a1"));
	record_put_attribute(&attributes, SLICE("partitionkey"), SLICE("c7"));
	record.pcrc = record_pcrc(buf_slice(&attributes), body);
	record_encode(&record, SALT, header);
	assert_memory_equal(header, example, sizeof header);
	assert_memory_equal(attributes.data, example + RECORD_HEADER, attributes.size);
	assert_int_equal(record_padded(record.length), sizeof example);
	assert_true(record_decode(example, SALT, &again));
	assert_int_equal(again.seq, 1731);
	assert_int_equal(again.synced, record_lsn(7, 4096));
	assert_false(record_decode(example, SALT + 1, &again));
	assert_true(slice_equal(
		record_attribute(buf_slice(&attributes), SLICE("partitionkey")), SLICE("c7")));
	assert_null(record_attribute(buf_slice(&attributes), SLICE("key")).data);
	buf_fini(&attributes);
}

static void test_every_bit_of_the_header(void **state)
{
	struct record record;
	uint8_t bytes[RECORD_HEADER];

	(void)state;
	for (size_t bit = 0; bit < 8 * RECORD_HEADER; bit++) {
		memcpy(bytes, example, sizeof bytes);
		bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		assert_false(record_decode(bytes, SALT, &record));
	}
}

static void test_attributes_cut(void **state)
{
	struct slice whole = slice_make(example + RECORD_HEADER, 0x18);

	(void)state;
	for (size_t cut = 0; cut <= whole.size; cut++) {
		struct slice rest = slice_make(whole.data, cut), name, value;
		int got = 1, count = 0;

		while (got == 1) {
			got = record_next_attribute(&rest, &name, &value);
			count += got == 1;
		}
		assert_int_equal(got, cut == 0 || cut == 7 || cut == whole.size ? 0 : -EBADMSG);
		assert_int_equal(count, cut == whole.size ? 2 : cut >= 7 ? 1 : 0);
	}
}

static void test_segment_header(void **state)
{
	struct segment_header header = {.salt = SALT,
				      .log = 0x9f3c1a7be2d04451,
				      .number = 7,
				      .created_ms = 5},
			      again;
	uint8_t bytes[SEGMENT_HEADER], damaged[SEGMENT_HEADER];

	(void)state;
	record_encode_segment(&header, bytes);
	assert_memory_equal(bytes, "PILSPOOL\1\0\0\0\x34\x12\xed\x5e", 16);
	assert_int_equal(record_decode_segment(bytes, &again), 0);
	assert_int_equal(again.salt, SALT);
	assert_int_equal(again.log, header.log);
	assert_int_equal(again.number, 7);
	for (size_t bit = 0; bit < 8 * SEGMENT_HEADER; bit++) {
		memcpy(damaged, bytes, sizeof bytes);
		damaged[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		assert_int_equal(record_decode_segment(damaged, &again), -EBADMSG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_example),
		cmocka_unit_test(test_every_bit_of_the_header),
		cmocka_unit_test(test_attributes_cut),
		cmocka_unit_test(test_segment_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
