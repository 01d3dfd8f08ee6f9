#include "base/rng.h"

#include <errno.h>
#include <sys/random.h>

#include "base/assert.h"

/* Products of two 64-bit numbers; both compilers of the project have the type on 64-bit targets. */
__extension__ typedef unsigned __int128 rng_product;

static uint64_t rng_rotate(uint64_t value, int bits)
{
	return (value << bits) | (value >> (64 - bits));
}

/* SplitMix64, the seeding that the authors of xoshiro recommend: no seed gives an all-zero state.
 */
static uint64_t rng_split_mix(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

void rng_seed(struct rng *rng, uint64_t seed)
{
	ASSERT(rng != NULL);
	for (int i = 0; i < 4; i++) {
		rng->state[i] = rng_split_mix(&seed);
	}
}

void rng_seed_system(struct rng *rng)
{
	uint64_t seed;

	rng_system_bytes(&seed, sizeof(seed));
	rng_seed(rng, seed);
}

uint64_t rng_next(struct rng *rng)
{
	uint64_t *s = rng->state;
	uint64_t result = rng_rotate(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;

	/* The state zero would stay zero for ever: a generator that was never seeded. */
	ASSERT((s[0] | s[1] | s[2] | s[3]) != 0);
	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rng_rotate(s[3], 45);
	return result;
}

uint64_t rng_below(struct rng *rng, uint64_t bound)
{
	rng_product product;

	ASSERT(bound > 0);
	product = (rng_product)rng_next(rng) * bound;
	/* Lemire 2019: the few low results that would be drawn once too often are drawn again. */
	if ((uint64_t)product < bound) {
		uint64_t threshold = (0 - bound) % bound;

		while ((uint64_t)product < threshold) {
			product = (rng_product)rng_next(rng) * bound;
		}
	}
	return (uint64_t)(product >> 64);
}

uint64_t rng_between(struct rng *rng, uint64_t low, uint64_t high)
{
	ASSERT(low <= high);
	/* The span of all numbers does not fit its own type. */
	if (high - low == UINT64_MAX) {
		return rng_next(rng);
	}
	return low + rng_below(rng, high - low + 1);
}

void rng_system_bytes(void *ret_bytes, size_t size)
{
	char *bytes = ret_bytes;

	while (size > 0) {
		ssize_t got = getrandom(bytes, size, 0);

		if (got < 0 && errno == EINTR) {
			continue;
		}
		/* Without randomness there are no unique ids: nothing could go on safely. */
		ASSERT(got > 0);
		bytes += got;
		size -= (size_t)got;
	}
}
