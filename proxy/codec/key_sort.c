/*
 * A radix sort, lowest byte first. Bytes in which all keys agree cost nothing, and what comes in
 * order, the usual case, costs one look.
 */
#include "codec/key_sort.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"

#define DIGIT_BITS 8
#define DIGITS	   256

static uint64_t key_of(const uint8_t *element, unsigned shift)
{
	uint64_t key;

	memcpy(&key, element, sizeof(key));
	return key >> shift;
}

/* The bits in which any two keys differ; *ret_sorted: there is nothing to do. */
static uint64_t differing_bits(
	const uint8_t *elements, size_t count, size_t size, unsigned shift, bool *ret_sorted)
{
	uint64_t first = key_of(elements, shift);
	uint64_t last = first;
	uint64_t bits = 0;

	*ret_sorted = true;
	for (size_t i = 1; i < count; i++) {
		uint64_t key = key_of(elements + i * size, shift);

		*ret_sorted = *ret_sorted && last <= key;
		bits |= key ^ first;
		last = key;
	}
	return bits;
}

/* One byte of the keys: counts, then moves everything to its place. */
static void pass(const uint8_t *from, uint8_t *to, size_t count, size_t size, unsigned shift)
{
	size_t places[DIGITS] = {0};
	size_t place = 0;

	for (size_t i = 0; i < count; i++) {
		places[key_of(from + i * size, shift) % DIGITS]++;
	}
	for (size_t digit = 0; digit < DIGITS; digit++) {
		size_t here = places[digit];

		places[digit] = place;
		place += here;
	}
	ASSERT(place == count);
	for (size_t i = 0; i < count; i++) {
		const uint8_t *element = from + i * size;

		memcpy(to + places[key_of(element, shift) % DIGITS]++ * size, element, size);
	}
}

void key_sort_by_key(void *elements, void *scratch, size_t count, size_t size, unsigned shift)
{
	uint8_t *from = elements;
	uint8_t *to = scratch;
	uint64_t bits;
	bool sorted;

	ASSERT(size >= sizeof(uint64_t) && shift < 64);
	if (count < 2) {
		return;
	}
	bits = differing_bits(from, count, size, shift, &sorted);
	for (; !sorted && bits != 0; bits >>= DIGIT_BITS, shift += DIGIT_BITS) {
		if (bits % DIGITS != 0) {
			uint8_t *other = from;

			pass(from, to, count, size, shift);
			from = to;
			to = other;
		}
	}
	if (from != elements) {
		memcpy(elements, from, count * size);
	}
}
