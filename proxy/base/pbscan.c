#include "base/pbscan.h"

#include <errno.h>

#define PBSCAN_VARINT_MAX   10
#define PBSCAN_FIELD_MAX    0x1fffffffU /* largest field number: 29 bits */
#define PBSCAN_DEPTH_MAX    32		/* size of the stack of the check */
#define PBSCAN_LENGTH_BYTES 5		/* reserved for the length of a nested message */

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

/* False when the varint is cut, or does not fit 64 bits. */
static bool pbscan_take_varint(struct slice *rest, uint64_t *ret_value)
{
	uint64_t value = 0;

	for (size_t i = 0; i < rest->size && i < PBSCAN_VARINT_MAX; i++) {
		uint8_t byte = rest->data[i];

		/* The tenth byte carries one bit only. */
		if (i == PBSCAN_VARINT_MAX - 1 && byte > 1) {
			return false;
		}
		value |= (uint64_t)(byte & 0x7f) << (7 * i);
		if ((byte & 0x80) == 0) {
			*rest = slice_from(*rest, i + 1);
			*ret_value = value;
			return true;
		}
	}
	return false;
}

/* Little endian on the wire, whatever the machine is. */
static bool pbscan_take_fixed(struct slice *rest, size_t size, uint64_t *ret_value)
{
	uint64_t value = 0;

	ASSERT(size == 4 || size == 8);
	if (rest->size < size) {
		return false;
	}
	for (size_t i = size; i > 0; i--) {
		value = (value << 8) | rest->data[i - 1];
	}
	*rest = slice_from(*rest, size);
	*ret_value = value;
	return true;
}

/* The length is compared with what is left before anything is computed from it. */
static bool pbscan_take_bytes(struct slice *rest, struct slice *ret_bytes)
{
	uint64_t size;

	if (!pbscan_take_varint(rest, &size) || size > rest->size) {
		return false;
	}
	*ret_bytes = slice_make(rest->data, (size_t)size);
	*rest = slice_from(*rest, (size_t)size);
	return true;
}

int pbscan_next(struct slice *rest, struct pbscan_field *ret_field)
{
	struct pbscan_field field = {0};
	struct slice left = *rest;
	uint64_t tag;
	bool good;

	ASSERT(ret_field != NULL);
	if (left.size == 0) {
		return 0;
	}
	if (!pbscan_take_varint(&left, &tag) || tag >> 3 == 0 || tag >> 3 > PBSCAN_FIELD_MAX) {
		return -EBADMSG;
	}
	field.number = (uint32_t)(tag >> 3);
	field.wire_type = (unsigned)(tag & 7);
	switch (field.wire_type) {
	case WIRE_VARINT:
		good = pbscan_take_varint(&left, &field.value);
		break;
	case WIRE_FIXED64:
		good = pbscan_take_fixed(&left, 8, &field.value);
		break;
	case WIRE_BYTES:
		good = pbscan_take_bytes(&left, &field.bytes);
		break;
	case WIRE_FIXED32:
		good = pbscan_take_fixed(&left, 4, &field.value);
		break;
	default:
		/* Groups (3, 4) are refused like the two types that do not exist. */
		good = false;
	}
	if (!good) {
		return -EBADMSG;
	}
	*rest = left;
	*ret_field = field;
	return 1;
}

/* One open message of the check. */
struct pbscan_level {
	struct slice rest;
	uint32_t parent_field;
};

/* Whether the bytes of the field are to be checked as a message themselves. */
static bool pbscan_nested(const struct pbscan_shape *shape, unsigned depth, uint32_t parent,
	const struct pbscan_field *field)
{
	return field->wire_type == WIRE_BYTES && shape != NULL && shape->nested != NULL &&
	       shape->nested(shape->context, depth, parent, field->number);
}

/*
 * Iterative, with a stack of fixed size, so that no message can use up the thread's stack
 * (registry.md RT-05). The stack holds the rest of each open message.
 */
int pbscan_check(
	struct slice message, const struct pbscan_limits *limits, const struct pbscan_shape *shape)
{
	struct pbscan_level levels[PBSCAN_DEPTH_MAX + 1];
	unsigned depth = 0;
	size_t fields = 0;

	ASSERT(limits->depth_max <= PBSCAN_DEPTH_MAX);
	if (message.size > limits->bytes_max) {
		return -EMSGSIZE;
	}
	levels[0] = (struct pbscan_level){message, 0};
	/* Every round takes a field or leaves a message: the bytes bound the loop. */
	for (;;) {
		struct pbscan_level *level = &levels[depth];
		struct pbscan_field field;
		int got = pbscan_next(&level->rest, &field);

		if (got < 0) {
			return got;
		}
		if (got == 0 && depth == 0) {
			return 0;
		}
		if (got == 0) {
			depth--;
			continue;
		}
		if (++fields > limits->fields_max) {
			return -E2BIG;
		}
		if (pbscan_nested(shape, depth, level->parent_field, &field)) {
			if (depth == limits->depth_max) {
				return -E2BIG;
			}
			depth++;
			levels[depth] = (struct pbscan_level){field.bytes, field.number};
		}
	}
}

/* Seven bits a byte, lowest first; the top bit says that more follow. */
static void pbscan_append_varint(struct buf *buf, uint64_t value)
{
	uint8_t *place = buf_reserve(buf, PBSCAN_VARINT_MAX);
	size_t size = 0;

	while (value >= 0x80) {
		place[size++] = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	place[size++] = (uint8_t)value;
	ASSERT(size <= PBSCAN_VARINT_MAX);
	buf->size += size;
}

static void pbscan_append_tag(struct buf *buf, uint32_t number, unsigned wire_type)
{
	ASSERT(number > 0 && number <= PBSCAN_FIELD_MAX);
	pbscan_append_varint(buf, ((uint64_t)number << 3) | wire_type);
}

static void pbscan_append_fixed(struct buf *buf, uint64_t value, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		buf_append_byte(buf, (uint8_t)(value >> (8 * i)));
	}
}

void pbscan_put_varint(struct buf *buf, uint32_t number, uint64_t value)
{
	pbscan_append_tag(buf, number, WIRE_VARINT);
	pbscan_append_varint(buf, value);
}

void pbscan_put_fixed32(struct buf *buf, uint32_t number, uint32_t value)
{
	pbscan_append_tag(buf, number, WIRE_FIXED32);
	pbscan_append_fixed(buf, value, 4);
}

void pbscan_put_fixed64(struct buf *buf, uint32_t number, uint64_t value)
{
	pbscan_append_tag(buf, number, WIRE_FIXED64);
	pbscan_append_fixed(buf, value, 8);
}

void pbscan_put_bytes(struct buf *buf, uint32_t number, struct slice bytes)
{
	pbscan_append_tag(buf, number, WIRE_BYTES);
	pbscan_append_varint(buf, bytes.size);
	buf_append_slice(buf, bytes);
}

size_t pbscan_begin(struct buf *buf, uint32_t number)
{
	pbscan_append_tag(buf, number, WIRE_BYTES);
	(void)buf_reserve(buf, PBSCAN_LENGTH_BYTES);
	buf->size += PBSCAN_LENGTH_BYTES;
	return buf->size;
}

void pbscan_end(struct buf *buf, size_t mark)
{
	size_t size = buf->size - mark;
	uint8_t *place = buf->data + mark - PBSCAN_LENGTH_BYTES;

	ASSERT(mark >= PBSCAN_LENGTH_BYTES && mark <= buf->size && size <= UINT32_MAX);
	/* Five bytes whatever the length: every reader of varints takes leading zero groups. */
	for (int i = 0; i < PBSCAN_LENGTH_BYTES - 1; i++) {
		place[i] = (uint8_t)(0x80 | ((size >> (7 * i)) & 0x7f));
	}
	place[PBSCAN_LENGTH_BYTES - 1] = (uint8_t)(size >> 28);
}
