#include "base/pbscan.h"

#include <errno.h>

#include "test_main.h"

#define B(literal) SLICE(literal)

/* Field 3 of the outermost message, and field 1 of any message below, hold messages. */
static bool nested(const void *context, unsigned depth, uint32_t parent_field, uint32_t number)
{
	(void)context;
	if (depth > 0) {
		assert_true(parent_field > 0);
	} else {
		assert_int_equal(parent_field, 0);
	}
	return depth == 0 ? number == 3 : number == 1;
}

static const struct pbscan_shape shape = {nested, NULL};

static void test_check(void **state)
{
	static const struct {
		struct slice bytes;
		int result;
	} rows[] = {
		{{NULL, 0}, 0},
		{{(const uint8_t *)"\x08\x01", 2}, 0},
		{{(const uint8_t *)"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, 0},
		/* A varint of ten bytes whose last does not fit, and one of eleven. */
		{{(const uint8_t *)"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11}, -EBADMSG},
		{{(const uint8_t *)"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 12},
			-EBADMSG},
		{{(const uint8_t *)"\x11"
				   "12345678",
			 9},
			0},
		{{(const uint8_t *)"\x15"
				   "1234",
			 5},
			0},
		{{(const uint8_t *)"\x12\x03"
				   "abc",
			 5},
			0},
		{{(const uint8_t *)"\x12\x04"
				   "abc",
			 5},
			-EBADMSG},
		{{(const uint8_t *)"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
				   "abc",
			 14},
			-EBADMSG},
		/* Field number 0, one beyond 29 bits, groups, types 6 and 7. */
		{{(const uint8_t *)"\x00\x01", 2}, -EBADMSG},
		{{(const uint8_t *)"\x80\x80\x80\x80\x10\x01", 6}, -EBADMSG},
		{{(const uint8_t *)"\xf8\xff\xff\xff\x0f\x01", 6}, 0},
		{{(const uint8_t *)"\x0b\x0c", 2}, -EBADMSG},
		{{(const uint8_t *)"\x0c", 1}, -EBADMSG},
		{{(const uint8_t *)"\x0e\x01", 2}, -EBADMSG},
		{{(const uint8_t *)"\x0f\x01", 2}, -EBADMSG},
		/* Nested: its content counts; bytes of other fields may be anything. */
		{{(const uint8_t *)"\x1a\x02\x08\x01", 4}, 0},
		{{(const uint8_t *)"\x1a\x02\x08\x80", 4}, -EBADMSG},
		{{(const uint8_t *)"\x12\x02\x08\x80", 4}, 0},
		{{(const uint8_t *)"\x1a\x00\x08\x01", 4}, 0},
		/* Depth 2 is allowed, 3 is not. */
		{{(const uint8_t *)"\x1a\x04\x0a\x02\x10\x01", 6}, 0},
		{{(const uint8_t *)"\x1a\x04\x0a\x02\x0a\x00", 6}, -E2BIG},
		/* Five fields are allowed, wherever they stand. */
		{{(const uint8_t *)"\x08\x01\x08\x01\x08\x01\x08\x01\x08\x01", 10}, 0},
		{{(const uint8_t *)"\x08\x01\x08\x01\x08\x01\x08\x01\x1a\x02\x08\x01", 12}, -E2BIG},
	};
	const struct pbscan_limits limits = {14, 2, 5};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(pbscan_check(rows[i].bytes, &limits, &shape), rows[i].result);
	}
	assert_int_equal(pbscan_check(B("\x12\x0d"
					"abcdefghijklm"),
				 &limits, &shape),
		-EMSGSIZE);
}

static void build(struct buf *buf)
{
	size_t outer;
	size_t inner;

	pbscan_put_varint(buf, 1, 300);
	pbscan_put_fixed64(buf, 2, UINT64_C(0x0102030405060708));
	outer = pbscan_begin(buf, 3);
	inner = pbscan_begin(buf, 1);
	pbscan_put_varint(buf, 7, UINT64_MAX);
	pbscan_end(buf, inner);
	pbscan_put_bytes(buf, 9, B("text"));
	pbscan_end(buf, outer);
	pbscan_put_fixed32(buf, 536870911, 0xdeadbeef);
}

static void test_written_messages_are_read_back(void **state)
{
	struct buf buf;
	struct slice rest;
	struct slice inner;
	struct pbscan_field field;

	(void)state;
	buf_init(&buf);
	build(&buf);
	rest = buf_slice(&buf);
	assert_int_equal(pbscan_next(&rest, &field), 1);
	assert_int_equal(field.number, 1);
	assert_int_equal(field.wire_type, 0);
	assert_int_equal(field.value, 300);
	assert_int_equal(pbscan_next(&rest, &field), 1);
	assert_int_equal(field.wire_type, 1);
	assert_true(field.value == UINT64_C(0x0102030405060708));
	assert_int_equal(pbscan_next(&rest, &field), 1);
	assert_int_equal(field.number, 3);
	inner = field.bytes;
	assert_int_equal(pbscan_next(&inner, &field), 1);
	assert_int_equal(field.number, 1);
	assert_int_equal(field.bytes.size, 11);
	assert_int_equal(pbscan_next(&inner, &field), 1);
	assert_true(slice_equal(field.bytes, B("text")));
	assert_int_equal(pbscan_next(&inner, &field), 0);
	assert_int_equal(pbscan_next(&rest, &field), 1);
	assert_int_equal(field.number, 536870911);
	assert_int_equal(field.wire_type, 5);
	assert_int_equal(field.value, 0xdeadbeef);
	assert_int_equal(pbscan_next(&rest, &field), 0);
	buf_fini(&buf);
}

static void test_cut_at_every_byte(void **state)
{
	const struct pbscan_limits limits = {1000, 6, 100};
	struct buf buf;
	int good = 0;

	(void)state;
	buf_init(&buf);
	build(&buf);
	assert_int_equal(pbscan_check(buf_slice(&buf), &limits, &shape), 0);
	for (size_t size = 0; size < buf.size; size++) {
		/* A copy of its own, so that reading one byte too many is seen. */
		uint8_t *copy = malloc(size ? size : 1);
		int result;

		assert_non_null(copy);
		if (size > 0) {
			memcpy(copy, buf.data, size);
		}
		result = pbscan_check(slice_make(copy, size), &limits, &shape);
		assert_true(result == 0 || result == -EBADMSG);
		good += result == 0;
		free(copy);
	}
	/* Only cuts between two outer fields leave a message: after 0, 1, 2 and 3 of them. */
	assert_int_equal(good, 4);
	buf_fini(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_written_messages_are_read_back),
		cmocka_unit_test(test_cut_at_every_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
