/*
 * siphash: SipHash-2-4 (Aumasson and Bernstein), 64-bit output, key and result little endian. Pure.
 * siphash_* over a stream: init, update as often as wanted, final.
 */
#ifndef PILLION_BASE_SIPHASH_H
#define PILLION_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct siphash {
	uint64_t v[4];
	uint64_t tail; /* bytes not yet mixed in, low byte first */
	uint64_t length;
};

uint64_t siphash24(const uint8_t key[16], const void *data, size_t size);
void siphash_init(struct siphash *hash, const uint8_t key[16]);
void siphash_update(struct siphash *hash, const void *data, size_t size);
uint64_t siphash_final(struct siphash *hash);

#endif
