/*
 * The library's qsort may allocate, and its worst case is nobody's promise; both matter where a
 * peer chooses the elements.
 */
#include "codec/heap_sort.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"

static uint64_t key_of(const uint8_t *elements, size_t index, size_t size)
{
	uint64_t key;

	memcpy(&key, elements + index * size, sizeof(key));
	return key;
}

/* Moves the element at `root` down to its place in the heap of `count` elements. */
static void sift(uint8_t *elements, size_t root, size_t count, size_t size)
{
	uint8_t moving[HEAP_SORT_ELEMENT_MAX];
	uint64_t key = key_of(elements, root, size);

	memcpy(moving, elements + root * size, size);
	for (;;) {
		size_t child = 2 * root + 1;

		if (child >= count) {
			break;
		}
		if (child + 1 < count &&
			key_of(elements, child + 1, size) > key_of(elements, child, size)) {
			child++;
		}
		if (key_of(elements, child, size) <= key) {
			break;
		}
		memcpy(elements + root * size, elements + child * size, size);
		root = child;
	}
	memcpy(elements + root * size, moving, size);
}

/* What comes in order is the usual case, and costs one look. */
static bool is_sorted(const uint8_t *elements, size_t count, size_t size)
{
	for (size_t i = 1; i < count; i++) {
		if (key_of(elements, i - 1, size) > key_of(elements, i, size)) {
			return false;
		}
	}
	return true;
}

void heap_sort_by_key(void *elements, size_t count, size_t size)
{
	uint8_t *bytes = elements;
	uint8_t last[HEAP_SORT_ELEMENT_MAX];

	ASSERT(size >= sizeof(uint64_t) && size <= HEAP_SORT_ELEMENT_MAX);
	if (is_sorted(bytes, count, size)) {
		return;
	}
	for (size_t i = count / 2; i-- > 0;) {
		sift(bytes, i, count, size);
	}
	for (size_t left = count - 1; left > 0; left--) {
		memcpy(last, bytes + left * size, size);
		memcpy(bytes + left * size, bytes, size);
		memcpy(bytes, last, size);
		sift(bytes, 0, left, size);
	}
}
