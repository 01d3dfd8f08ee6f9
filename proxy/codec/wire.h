/*
 * wire: reading and writing of protobuf binary, shared by the descriptor loader and the translator
 * (codec.md 6). Inline and pure. A reader returns the place after what it read, or NULL; then
 * wire_fault_* says why.
 */
#ifndef PILLION_CODEC_WIRE_H
#define PILLION_CODEC_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "codec/codec_fault.h"

enum wire_type {
	WIRE_VARINT,
	WIRE_FIXED64,
	WIRE_LENGTH,
	WIRE_START,
	WIRE_END,
	WIRE_FIXED32,
};

#define WIRE_VARINT_MAX 10 /* bytes, WI-05 */
#define WIRE_TAG_MAX	5  /* bytes, WI-04 */

static inline uint32_t wire_load32(const uint8_t *p)
{
	uint32_t value;

	memcpy(&value, p, sizeof(value)); /* the hosts are little endian */
	return value;
}

static inline uint64_t wire_load64(const uint8_t *p)
{
	uint64_t value;

	memcpy(&value, p, sizeof(value));
	return value;
}

/* Bits past 64 are dropped (WI-05). */
const uint8_t *wire_varint_long(const uint8_t *p, const uint8_t *end, uint64_t *ret_value);

static inline const uint8_t *wire_varint(const uint8_t *p, const uint8_t *end, uint64_t *ret_value)
{
	if (p < end && *p < 0x80) {
		*ret_value = *p;
		return p + 1;
	}
	return wire_varint_long(p, end, ret_value);
}

/* A tag by WI-04: number >= 1, type 0 to 5. */
const uint8_t *wire_tag_long(const uint8_t *p, const uint8_t *end, uint32_t *ret_tag);

static inline const uint8_t *wire_tag(const uint8_t *p, const uint8_t *end, uint32_t *ret_tag)
{
	if (p < end && *p < 0x80 && *p >= 8 && (*p & 7) <= WIRE_FIXED32) {
		*ret_tag = *p;
		return p + 1;
	}
	return wire_tag_long(p, end, ret_tag);
}

/* A length prefix and the bytes it counts: the place of the first byte, *ret_size of them (WI-08).
 */
static inline const uint8_t *wire_length(const uint8_t *p, const uint8_t *end, size_t *ret_size)
{
	uint64_t size;

	p = wire_varint(p, end, &size);
	if (!p || size > (uint64_t)(end - p)) {
		return NULL;
	}
	*ret_size = (size_t)size;
	return p;
}

/* Why the reader above failed at p: WIRE_TRUNCATED, WIRE_VARINT or WIRE_TAG. */
enum codec_fault_kind wire_fault_varint(const uint8_t *p, const uint8_t *end);
enum codec_fault_kind wire_fault_tag(const uint8_t *p, const uint8_t *end);

/*
 * Skips the value of a tag, groups to their matching end (WI-06). depth_left bounds open groups
 * (WI-09). NULL: *ret_fault is the reason and *ret_place where.
 */
const uint8_t *wire_skip(const uint8_t *p, const uint8_t *end, uint32_t tag, uint32_t depth_left,
	enum codec_fault_kind *ret_fault, const uint8_t **ret_place);

static inline uint8_t *wire_put_varint(uint8_t *out, uint64_t value)
{
	while (value >= 0x80) {
		*out++ = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	*out++ = (uint8_t)value;
	return out;
}

static inline uint32_t wire_varint_size(uint64_t value)
{
	return (uint32_t)((9 * (63 - __builtin_clzll(value | 1)) + 73) / 64);
}

static inline uint64_t wire_zigzag(int64_t value)
{
	return ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0);
}

static inline int64_t wire_unzigzag(uint64_t value)
{
	return (int64_t)((value >> 1) ^ (0 - (value & 1)));
}

#endif
