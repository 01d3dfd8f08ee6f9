/*
 * selector: which instance, now (mesh.md 3). Pure: the caller owns everything, passes the generator
 * and the time, and marks load itself. A selector looks at an array of entries, one per instance of
 * the current set and in its order. One thread.
 */
#ifndef PILLION_UPSTREAM_SELECTOR_H
#define PILLION_UPSTREAM_SELECTOR_H

#include "base/rng.h"
#include "base/slice.h"
#include "upstream/upstream.h"

enum {
	SELECTOR_INSTANCES_MAX = 65535, /* owners of ring points are two bytes each (MS-10) */
	SELECTOR_POINTS_MAX = 65536,	/* MS-10 */
	SELECTOR_DRAWS_MAX = 5,		/* MS-12 */
	SELECTOR_TRIES = 16,		/* MS-11 */
	SELECTOR_TRIED_MAX = 32,
};

#define SELECTOR_NONE UINT32_MAX

/* What a selector knows of one instance; lives in its instance_state. */
struct selector_entry {
	uint32_t weight; /* 0: never used */
	uint32_t active; /* attempts begun and not yet marked (MS-12) */
	enum tier tier;
	uint64_t blocked_until_ms; /* MS-05: no request tries it before; 0: none */
	uint64_t turn;		   /* round-robin: virtual time of its next turn */
};

/* Points owned by instances in proportion to their weights; immutable. */
struct selector_ring {
	uint32_t points; /* 0: nobody has weight */
	uint16_t *owner;
};

struct selector_input {
	struct selector_entry *const *entries;
	uint32_t count;
	const struct selector_ring *ring;
	const uint64_t *tier_weights; /* TIER_COUNT sums kept by the caller; NULL: computed here */
	const uint32_t *tried;	      /* indices into entries */
	unsigned tried_count;	      /* at most SELECTOR_TRIED_MAX */
	unsigned draws;		      /* random-hash; 0: 2 */
	uint64_t now_ms;
	struct rng *rng;
};

struct selector_pick {
	uint32_t index;
	uint64_t first_key; /* first random number drawn for it (MS-12); 0 for round-robin */
	bool panic;	    /* MS-04 was in force */
};

/* Builds the ring; names give the order of its points (MS-06). ret_ring owns memory until fini. */
void selector_ring_init(struct selector_ring *ret_ring, struct selector_entry *const *entries,
	const struct slice *names, uint32_t count, const uint8_t key[16]);
void selector_ring_fini(struct selector_ring *ring);

/* False: NONE, no usable instance is left untried. Never an instance of `tried` (MS-01). */
bool selector_random_hash(const struct selector_input *input, struct selector_pick *ret_pick);
bool selector_round_robin(
	const struct selector_input *input, uint64_t *virtual_time, struct selector_pick *ret_pick);
/* A random offset of its first turn, so that sidecars do not march in step (MS-20). */
void selector_round_robin_start(
	struct selector_entry *entry, uint64_t virtual_time, struct rng *rng);

/* MS-04, from the weights of tiers 0 to 2. */
bool selector_panic(const uint64_t tier_weights[TIER_COUNT]);
void selector_tier_weights(
	struct selector_entry *const *entries, uint32_t count, uint64_t ret_weights[TIER_COUNT]);
/* Usable, untried instances of any tier. */
unsigned selector_left(const struct selector_input *input);

#endif
