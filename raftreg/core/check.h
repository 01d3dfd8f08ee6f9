/*
 * check: assertions, memory and random numbers of the core, which includes nothing else of the
 * project. A failed assertion or allocation aborts (RC-09). Internal to raftreg/core and its tests.
 */
#ifndef PILLION_RAFTREG_CORE_CHECK_H
#define PILLION_RAFTREG_CORE_CHECK_H

#include <stddef.h>
#include <stdint.h>

_Noreturn void trace_abort(const char *condition, const char *file, int line);

/* The same meaning as in the base room; never seen together with it, for this header is internal.
 */
#ifndef ASSERT
#define ASSERT(condition) ((condition) ? (void)0 : trace_abort(#condition, __FILE__, __LINE__))
#endif

/* Makes room for `count` elements of `size` bytes, doubling; never returns NULL. */
void *trace_grow(void *memory, size_t *capacity, size_t count, size_t size);

static inline uint64_t check_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t check_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* SplitMix64 (Steele, Lea, Flood): one step from *state. */
static inline uint64_t check_splitmix(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* xoshiro256** (Blackman and Vigna), RC-03. */
struct check_rng {
	uint64_t s[4];
};

static inline void check_rng_seed(struct check_rng *rng, uint64_t seed)
{
	for (int i = 0; i < 4; i++) {
		rng->s[i] = check_splitmix(&seed);
	}
}

static inline uint64_t check_rotate(uint64_t x, int bits)
{
	return (x << bits) | (x >> (64 - bits));
}

static inline uint64_t check_rng_next(struct check_rng *rng)
{
	uint64_t result = check_rotate(rng->s[1] * 5, 7) * 9;
	uint64_t shifted = rng->s[1] << 17;

	rng->s[2] ^= rng->s[0];
	rng->s[3] ^= rng->s[1];
	rng->s[1] ^= rng->s[2];
	rng->s[0] ^= rng->s[3];
	rng->s[2] ^= shifted;
	rng->s[3] = check_rotate(rng->s[3], 45);
	return result;
}

#endif
