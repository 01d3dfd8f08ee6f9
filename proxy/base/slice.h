/*
 * slice: a borrowed run of bytes, never terminated, never owned. Two pointers' worth of data that
 * is passed by value. The bytes belong to whoever made them and must outlive the slice.
 */
#ifndef PILLION_BASE_SLICE_H
#define PILLION_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
	const uint8_t *data; /* may be NULL when size is 0 */
	size_t size;
};

#define SLICE(literal) ((struct slice){(const uint8_t *)("" literal), sizeof(literal) - 1})

static inline struct slice slice_make(const void *data, size_t size)
{
	return (struct slice){data, size};
}

/* The bytes of a C string without its terminator; NULL gives an empty slice. */
static inline struct slice slice_from_string(const char *text)
{
	return (struct slice){(const uint8_t *)text, text ? strlen(text) : 0};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* ASCII letters compare without case. */
bool slice_equal_fold(struct slice a, struct slice b);
bool slice_starts_with(struct slice whole, struct slice prefix);
bool slice_ends_with(struct slice whole, struct slice suffix);
/* Bytewise order, shorter first among equals: <0, 0, >0. */
int slice_compare(struct slice a, struct slice b);
/* Index of the byte, or size when absent. */
size_t slice_find(struct slice whole, uint8_t byte);
/* Without SP and HT at both ends. */
struct slice slice_trim(struct slice whole);
/* The part from offset (at most size) on. */
struct slice slice_from(struct slice whole, size_t offset);
/* 1 to 20 decimal digits and nothing else, value <= max; else false and *ret_value untouched. */
bool slice_parse_u64(struct slice text, uint64_t max, uint64_t *ret_value);
/* Exactly 2 * size lower- or upper-case hex digits into bytes. */
bool slice_parse_hex(struct slice text, uint8_t *ret_bytes, size_t size);

#endif
