/*
 * rng: xoshiro256** seeded through SplitMix64 (Blackman and Vigna). One generator per worker,
 * seeded by getrandom; tests inject the seed. Not for secrets. One thread.
 */
#ifndef PILLION_BASE_RNG_H
#define PILLION_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
	uint64_t state[4];
};

void rng_seed(struct rng *rng, uint64_t seed);
void rng_seed_system(struct rng *rng); /* getrandom(2); aborts when the kernel refuses */
uint64_t rng_next(struct rng *rng);
/* Uniform in [0, bound), bound > 0, by multiply-high. */
uint64_t rng_below(struct rng *rng, uint64_t bound);
/* Uniform in [low, high]. */
uint64_t rng_between(struct rng *rng, uint64_t low, uint64_t high);
/* Cryptographically random bytes from getrandom(2). Any thread. */
void rng_system_bytes(void *ret_bytes, size_t size);

#endif
