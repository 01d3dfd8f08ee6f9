/*
 * heap_sort: sorts in place, without allocation and in n log n whatever comes. Pure. Internal.
 */
#ifndef PILLION_CODEC_HEAP_SORT_H
#define PILLION_CODEC_HEAP_SORT_H

#include <stddef.h>

#define HEAP_SORT_ELEMENT_MAX 64 /* bytes of one element */

/* Ascending by the uint64_t that each element begins with; equal ones in any order. */
void heap_sort_by_key(void *elements, size_t count, size_t size);

#endif
