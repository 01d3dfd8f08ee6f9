/*
 * key_sort: sorts by numbers in linear time and without allocation, whatever a peer makes of them
 * (codec.md EN-05). Pure. Internal.
 */
#ifndef PILLION_CODEC_KEY_SORT_H
#define PILLION_CODEC_KEY_SORT_H

#include <stddef.h>

/*
 * Ascending by the uint64_t that each element begins with, without its lowest `shift` bits; equal
 * ones keep their order. scratch has room for as many elements.
 */
void key_sort_by_key(void *elements, void *scratch, size_t count, size_t size, unsigned shift);

#endif
