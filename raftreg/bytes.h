/*
 * bytes: little-endian numbers in the registry's own file formats (registry.md 5). Pure.
 */
#ifndef PILLION_RAFTREG_BYTES_H
#define PILLION_RAFTREG_BYTES_H

#include <stdint.h>

/* registry.md 5: all numbers on disk are little endian. Byte by byte, so that
 * neither the host's order nor the alignment of the place matters; compilers make
 * one move of it. */
static inline void bytes_put32(uint8_t *place, uint32_t value)
{
	for (int i = 0; i < 4; i++) {
		place[i] = (uint8_t)(value >> (8 * i));
	}
}

static inline void bytes_put64(uint8_t *place, uint64_t value)
{
	for (int i = 0; i < 8; i++) {
		place[i] = (uint8_t)(value >> (8 * i));
	}
}

/* The caller has checked that the bytes are there: these helpers know no bounds. */
static inline uint32_t bytes_get32(const uint8_t *place)
{
	uint32_t value = 0;

	for (int i = 3; i >= 0; i--) {
		value = value << 8 | place[i];
	}
	return value;
}

static inline uint64_t bytes_get64(const uint8_t *place)
{
	return (uint64_t)bytes_get32(place + 4) << 32 | bytes_get32(place);
}

#endif
