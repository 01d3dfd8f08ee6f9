#include "base/siphash.h"

#include <string.h>

#include "base/assert.h"

static uint64_t siphash_rotate(uint64_t value, int bits)
{
	return (value << bits) | (value >> (64 - bits));
}

static uint64_t siphash_load(const uint8_t *bytes)
{
	uint64_t value = 0;

	/* Byte by byte is independent of the machine's order; compilers make it one load. */
	for (int i = 7; i >= 0; i--) {
		value = (value << 8) | bytes[i];
	}
	return value;
}

/* SipRound of the paper's figure 2.1. */
static void siphash_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = siphash_rotate(v[1], 13) ^ v[0];
	v[0] = siphash_rotate(v[0], 32);
	v[2] += v[3];
	v[3] = siphash_rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = siphash_rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = siphash_rotate(v[1], 17) ^ v[2];
	v[2] = siphash_rotate(v[2], 32);
}

/* Two rounds for each word of input: the 2 of SipHash-2-4. */
static void siphash_word(struct siphash *hash, uint64_t word)
{
	hash->v[3] ^= word;
	siphash_round(hash->v);
	siphash_round(hash->v);
	hash->v[0] ^= word;
}

void siphash_init(struct siphash *hash, const uint8_t key[16])
{
	uint64_t k0 = siphash_load(key);
	uint64_t k1 = siphash_load(key + 8);

	ASSERT(hash != NULL);
	/* The constants spell "somepseudorandomlygeneratedbytes". */
	hash->v[0] = k0 ^ UINT64_C(0x736f6d6570736575);
	hash->v[1] = k1 ^ UINT64_C(0x646f72616e646f6d);
	hash->v[2] = k0 ^ UINT64_C(0x6c7967656e657261);
	hash->v[3] = k1 ^ UINT64_C(0x7465646279746573);
	hash->tail = 0;
	hash->length = 0;
}

void siphash_update(struct siphash *hash, const void *data, size_t size)
{
	const uint8_t *bytes = data;

	ASSERT(data != NULL || size == 0);
	/* Fill the open word first, then whole words, then keep what is left. */
	while (size > 0 && hash->length % 8 != 0) {
		hash->tail |= (uint64_t)*bytes++ << (8 * (hash->length % 8));
		hash->length++;
		size--;
		if (hash->length % 8 == 0) {
			siphash_word(hash, hash->tail);
			hash->tail = 0;
		}
	}
	while (size >= 8) {
		siphash_word(hash, siphash_load(bytes));
		bytes += 8;
		size -= 8;
		hash->length += 8;
	}
	while (size > 0) {
		hash->tail |= (uint64_t)*bytes++ << (8 * (hash->length % 8));
		hash->length++;
		size--;
	}
}

uint64_t siphash_final(struct siphash *hash)
{
	/* The last word ends in the length modulo 256, so that zeros at the end count. */
	siphash_word(hash, hash->tail | (hash->length << 56));
	/* Four rounds at the end: the 4. */
	hash->v[2] ^= 0xff;
	for (int i = 0; i < 4; i++) {
		siphash_round(hash->v);
	}
	return hash->v[0] ^ hash->v[1] ^ hash->v[2] ^ hash->v[3];
}

uint64_t siphash24(const uint8_t key[16], const void *data, size_t size)
{
	struct siphash hash;

	siphash_init(&hash, key);
	siphash_update(&hash, data, size);
	return siphash_final(&hash);
}
