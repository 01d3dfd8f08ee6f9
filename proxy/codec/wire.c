/*
 * The long forms of what wire.h reads inline, and the skipping of unknown fields. Readers say only
 * that they failed; the reason is worked out when somebody asks, so that the good path stays short.
 */
#include "codec/wire.h"

#include "base/assert.h"
#include "codec/translate_options.h"

/* Cut or longer than ten bytes: NULL; wire_fault_varint tells which. */
const uint8_t *wire_varint_long(const uint8_t *p, const uint8_t *end, uint64_t *ret_value)
{
	uint64_t value = 0;

	ASSERT(p <= end);
	for (unsigned i = 0; i < WIRE_VARINT_MAX && p + i < end; i++) {
		/* The tenth byte carries one bit; what is above is dropped (WI-05). */
		value |= (uint64_t)(p[i] & 0x7f) << (7 * i);
		if (p[i] < 0x80) {
			*ret_value = value;
			return p + i + 1;
		}
	}
	return NULL;
}

/* One byte is the usual case and inline. */
const uint8_t *wire_tag_long(const uint8_t *p, const uint8_t *end, uint32_t *ret_tag)
{
	uint64_t value = 0;

	ASSERT(p <= end);
	for (unsigned i = 0; i < WIRE_TAG_MAX && p + i < end; i++) {
		value |= (uint64_t)(p[i] & 0x7f) << (7 * i);
		if (p[i] < 0x80) {
			/* Overlong tags are read, numbers of 0 and more than 29 bits are not
			 * (WI-04). */
			if (value > UINT32_MAX || value < 8 || (value & 7) > WIRE_FIXED32) {
				return NULL;
			}
			*ret_tag = (uint32_t)value;
			return p + i + 1;
		}
	}
	return NULL;
}

enum codec_fault_kind wire_fault_varint(const uint8_t *p, const uint8_t *end)
{
	ASSERT(p <= end);
	for (unsigned i = 0; i < WIRE_VARINT_MAX; i++) {
		if (p + i >= end || p[i] < 0x80) {
			/* Cut, or a whole length that points past the end (WI-08). */
			return CODEC_FAULT_WIRE_TRUNCATED;
		}
	}
	return CODEC_FAULT_WIRE_VARINT;
}

/* Cut when the end came first, else malformed. */
enum codec_fault_kind wire_fault_tag(const uint8_t *p, const uint8_t *end)
{
	ASSERT(p <= end);
	for (unsigned i = 0; i < WIRE_TAG_MAX && p + i < end; i++) {
		if (p[i] < 0x80) {
			return CODEC_FAULT_WIRE_TAG;
		}
	}
	return end - p >= WIRE_TAG_MAX ? CODEC_FAULT_WIRE_TAG : CODEC_FAULT_WIRE_TRUNCATED;
}

/* A value that is no group; NULL as in wire_skip. */
static const uint8_t *skip_plain(
	const uint8_t *p, const uint8_t *end, enum wire_type type, enum codec_fault_kind *ret_fault)
{
	const uint8_t *start = p;
	uint64_t value;
	size_t size;

	switch (type) {
	case WIRE_VARINT:
		p = wire_varint(p, end, &value);
		*ret_fault = p ? CODEC_FAULT_NONE : wire_fault_varint(start, end);
		return p;
	case WIRE_LENGTH:
		p = wire_length(p, end, &size);
		*ret_fault = p ? CODEC_FAULT_NONE : wire_fault_varint(start, end);
		return p ? p + size : NULL;
	case WIRE_FIXED32:
	case WIRE_FIXED64:
		size = type == WIRE_FIXED32 ? 4 : 8;
		*ret_fault = CODEC_FAULT_WIRE_TRUNCATED;
		return (size_t)(end - p) >= size ? p + size : NULL;
	case WIRE_START:
	case WIRE_END:
		break;
	}
	*ret_fault = CODEC_FAULT_WIRE_GROUP;
	return NULL;
}

/* Without recursion: numbers of open groups lie in an array. */
const uint8_t *wire_skip(const uint8_t *p, const uint8_t *end, uint32_t tag, uint32_t depth_left,
	enum codec_fault_kind *ret_fault, const uint8_t **ret_place)
{
	uint32_t open[CODEC_DEPTH_MAX]; /* numbers of the open groups */
	uint32_t depth = 0;

	ASSERT(depth_left <= CODEC_DEPTH_MAX);
	for (;;) {
		enum wire_type type = (enum wire_type)(tag & 7);

		*ret_place = p;
		if (type == WIRE_START) {
			if (depth == depth_left) {
				*ret_fault = CODEC_FAULT_WIRE_DEPTH;
				return NULL;
			}
			open[depth++] = tag >> 3;
		} else if (type == WIRE_END) {
			if (depth == 0 || open[depth - 1] != tag >> 3) {
				*ret_fault = CODEC_FAULT_WIRE_GROUP;
				return NULL;
			}
			depth--;
		} else {
			p = skip_plain(p, end, type, ret_fault);
			if (!p) {
				return NULL;
			}
		}
		if (depth == 0) {
			return p;
		}
		*ret_place = p;
		if (p == end) {
			*ret_fault = CODEC_FAULT_WIRE_GROUP; /* a missing end */
			return NULL;
		}
		const uint8_t *next = wire_tag(p, end, &tag);

		if (!next) {
			*ret_fault = wire_fault_tag(p, end);
			return NULL;
		}
		p = next;
	}
}
