#include "upstream/selector.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/siphash.h"

#define SELECTOR_TURN ((uint64_t)1 << 32) /* virtual time of one turn at weight 1 */

struct selector_point {
	uint64_t hash;
	uint16_t owner;
};

static uint32_t selector_gcd(uint32_t a, uint32_t b)
{
	while (b != 0) {
		uint32_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* Points of each instance: weight / gcd; scaled down by largest remainder, at least one each, when
 * they would be too many (MS-10). Returns their sum. */
static uint32_t selector_share_points(
	struct selector_entry *const *entries, uint32_t count, uint32_t *ret_points)
{
	uint32_t gcd = 0;
	uint64_t sum = 0;
	uint32_t given = 0;

	for (uint32_t i = 0; i < count; i++) {
		gcd = selector_gcd(entries[i]->weight, gcd);
		sum += entries[i]->weight;
	}
	if (sum == 0) {
		return 0;
	}
	if (sum / gcd <= SELECTOR_POINTS_MAX) {
		for (uint32_t i = 0; i < count; i++) {
			ret_points[i] = entries[i]->weight / gcd;
		}
		return (uint32_t)(sum / gcd);
	}
	for (uint32_t i = 0; i < count; i++) {
		ret_points[i] =
			(uint32_t)(entries[i]->weight * (uint64_t)SELECTOR_POINTS_MAX / sum);
		if (ret_points[i] == 0 && entries[i]->weight > 0) {
			ret_points[i] = 1;
		}
		given += ret_points[i];
	}
	/* What rounding left over goes to the largest remainders, one point each. */
	for (uint64_t bar = sum - 1; given < SELECTOR_POINTS_MAX && bar > 0; bar = bar * 3 / 4) {
		for (uint32_t i = 0; i < count && given < SELECTOR_POINTS_MAX; i++) {
			uint64_t exact = entries[i]->weight * (uint64_t)SELECTOR_POINTS_MAX;

			if (exact > ret_points[i] * sum && exact - ret_points[i] * sum >= bar) {
				ret_points[i]++;
				given++;
			}
		}
	}
	return given;
}

static int selector_compare_points(const void *left, const void *right)
{
	const struct selector_point *a = left;
	const struct selector_point *b = right;

	if (a->hash != b->hash) {
		return a->hash < b->hash ? -1 : 1;
	}
	return (a->owner > b->owner) - (a->owner < b->owner);
}

static uint64_t selector_hash(const uint8_t key[16], struct slice name, uint32_t replica)
{
	struct siphash hash;
	uint8_t number[4] = {(uint8_t)replica, (uint8_t)(replica >> 8), (uint8_t)(replica >> 16),
		(uint8_t)(replica >> 24)};

	siphash_init(&hash, key);
	siphash_update(&hash, name.data, name.size);
	siphash_update(&hash, number, sizeof(number));
	return siphash_final(&hash);
}

void selector_ring_init(struct selector_ring *ret_ring, struct selector_entry *const *entries,
	const struct slice *names, uint32_t count, const uint8_t key[16])
{
	uint32_t *shares = mem_zalloc((count + 1) * sizeof(*shares));
	struct selector_point *points;
	uint32_t total, next = 0;

	ASSERT(count <= SELECTOR_INSTANCES_MAX);
	total = selector_share_points(entries, count, shares);
	points = mem_alloc((total + 1) * sizeof(*points));
	for (uint32_t i = 0; i < count; i++) {
		for (uint32_t replica = 0; replica < shares[i]; replica++) {
			points[next].hash = selector_hash(key, names[i], replica);
			points[next].owner = (uint16_t)i;
			next++;
		}
	}
	ASSERT(next == total);
	qsort(points, total, sizeof(*points), selector_compare_points);
	ret_ring->points = total;
	ret_ring->owner = mem_alloc((total + 1) * sizeof(*ret_ring->owner));
	for (uint32_t i = 0; i < total; i++) {
		ret_ring->owner[i] = points[i].owner;
	}
	mem_free(points);
	mem_free(shares);
}

void selector_ring_fini(struct selector_ring *ring)
{
	ASSERT(ring != NULL);
	mem_free(ring->owner);
	ring->owner = NULL;
	ring->points = 0;
}

void selector_tier_weights(
	struct selector_entry *const *entries, uint32_t count, uint64_t ret_weights[TIER_COUNT])
{
	memset(ret_weights, 0, TIER_COUNT * sizeof(ret_weights[0]));
	for (uint32_t i = 0; i < count; i++) {
		ASSERT(entries[i]->tier < TIER_COUNT);
		ret_weights[entries[i]->tier] += entries[i]->weight;
	}
}

bool selector_panic(const uint64_t tier_weights[TIER_COUNT])
{
	uint64_t up = tier_weights[TIER_UP];
	uint64_t doubted = tier_weights[TIER_SUSPECT] + tier_weights[TIER_EJECTED];

	return up * 2 < up + doubted;
}

static bool selector_is_tried(const struct selector_input *input, uint32_t index)
{
	for (unsigned i = 0; i < input->tried_count; i++) {
		if (input->tried[i] == index) {
			return true;
		}
	}
	return false;
}

/* mask: bit per tier in use. */
static bool selector_eligible(const struct selector_input *input, unsigned mask, uint32_t index)
{
	const struct selector_entry *entry = input->entries[index];

	return entry->weight > 0 && (mask >> entry->tier & 1) != 0 &&
	       entry->blocked_until_ms <= input->now_ms && !selector_is_tried(input, index);
}

/* The exact half of MS-11: all eligible ones in proportion to their weights. */
static uint32_t selector_draw_exact(const struct selector_input *input, unsigned mask)
{
	uint64_t sum = 0;
	uint64_t place;

	for (uint32_t i = 0; i < input->count; i++) {
		sum += selector_eligible(input, mask, i) ? input->entries[i]->weight : 0;
	}
	if (sum == 0) {
		return SELECTOR_NONE;
	}
	place = rng_below(input->rng, sum);
	for (uint32_t i = 0; i < input->count; i++) {
		if (!selector_eligible(input, mask, i)) {
			continue;
		}
		if (place < input->entries[i]->weight) {
			return i;
		}
		place -= input->entries[i]->weight;
	}
	ASSERT(false);
	return SELECTOR_NONE;
}

/* draw(X) of MS-11. Ramps are constant until slow start comes (MS-30). */
static uint32_t selector_draw(
	const struct selector_input *input, unsigned mask, uint64_t *first_key)
{
	const struct selector_ring *ring = input->ring;

	if (ring->points == 0) {
		return SELECTOR_NONE;
	}
	for (int i = 0; i < SELECTOR_TRIES; i++) {
		uint64_t key = rng_next(input->rng);
		uint32_t point = (uint32_t)((unsigned __int128)key * ring->points >> 64);

		if (*first_key == 0) {
			*first_key = key;
		}
		if (selector_eligible(input, mask, ring->owner[point])) {
			return ring->owner[point];
		}
	}
	return selector_draw_exact(input, mask);
}

/* The tiers of one step of MS-03, the best first; 0 past the last. */
static unsigned selector_step_mask(bool panic, unsigned step)
{
	static const unsigned calm[] = {1u << TIER_UP, 1u << TIER_SUSPECT, 1u << TIER_EJECTED,
		1u << TIER_DRAINING, 1u << TIER_UNREACHABLE, 1u << TIER_FAILING};
	static const unsigned all_doubted[] = {
		1u << TIER_UP | 1u << TIER_SUSPECT | 1u << TIER_EJECTED, 1u << TIER_DRAINING,
		1u << TIER_UNREACHABLE, 1u << TIER_FAILING};

	if (panic) {
		return step < ARRAY_SIZE(all_doubted) ? all_doubted[step] : 0;
	}
	return step < ARRAY_SIZE(calm) ? calm[step] : 0;
}

static bool selector_mask_has_weight(const uint64_t weights[TIER_COUNT], unsigned mask)
{
	for (unsigned tier = 0; tier < TIER_COUNT; tier++) {
		if ((mask >> tier & 1) != 0 && weights[tier] > 0) {
			return true;
		}
	}
	return false;
}

/* b replaces a only when strictly less loaded per weight: with no load the shares are exactly the
 * weights (MS-11). */
static bool selector_less_loaded(const struct selector_entry *b, const struct selector_entry *a)
{
	return (uint64_t)b->active * a->weight < (uint64_t)a->active * b->weight;
}

static uint32_t selector_pick_in(
	const struct selector_input *input, unsigned mask, uint64_t *first_key)
{
	uint32_t excluded[SELECTOR_TRIED_MAX + SELECTOR_DRAWS_MAX];
	struct selector_input rest = *input;
	unsigned draws = input->draws ? input->draws : 2;
	uint32_t best = selector_draw(input, mask, first_key);

	if (draws > SELECTOR_DRAWS_MAX) {
		draws = SELECTOR_DRAWS_MAX;
	}
	if (best == SELECTOR_NONE || draws < 2) {
		return best;
	}
	for (unsigned i = 0; i < input->tried_count; i++) {
		excluded[i] = input->tried[i];
	}
	rest.tried = excluded;
	excluded[rest.tried_count++] = best;
	/* Once all are excluded, drawing could only fail. */
	for (unsigned i = 1; i < draws && rest.tried_count < input->count; i++) {
		uint32_t other = selector_draw(&rest, mask, first_key);

		if (other == SELECTOR_NONE) {
			break;
		}
		excluded[rest.tried_count++] = other;
		if (selector_less_loaded(input->entries[other], input->entries[best])) {
			best = other;
		}
	}
	return best;
}

bool selector_random_hash(const struct selector_input *input, struct selector_pick *ret_pick)
{
	uint64_t weights[TIER_COUNT];
	uint64_t first_key = 0;
	bool panic;
	unsigned mask;

	ASSERT(input->tried_count <= SELECTOR_TRIED_MAX);
	if (input->tier_weights) {
		memcpy(weights, input->tier_weights, sizeof(weights));
	} else {
		selector_tier_weights(input->entries, input->count, weights);
	}
	panic = selector_panic(weights);
	for (unsigned step = 0; (mask = selector_step_mask(panic, step)) != 0; step++) {
		uint32_t index;

		if (!selector_mask_has_weight(weights, mask)) {
			continue;
		}
		index = selector_pick_in(input, mask, &first_key);
		if (index != SELECTOR_NONE) {
			ret_pick->index = index;
			ret_pick->first_key = first_key;
			ret_pick->panic = panic;
			return true;
		}
	}
	return false;
}

void selector_round_robin_start(
	struct selector_entry *entry, uint64_t virtual_time, struct rng *rng)
{
	uint64_t turn = entry->weight ? SELECTOR_TURN / entry->weight : SELECTOR_TURN;

	ASSERT(turn > 0);
	entry->turn = virtual_time + rng_below(rng, turn);
}

/* Earliest deadline first; who was passed over (tried, lower tier) does not save turns up. */
static uint32_t selector_earliest(const struct selector_input *input, unsigned mask)
{
	uint32_t best = SELECTOR_NONE;

	for (uint32_t i = 0; i < input->count; i++) {
		if (selector_eligible(input, mask, i) &&
			(best == SELECTOR_NONE ||
				input->entries[i]->turn < input->entries[best]->turn)) {
			best = i;
		}
	}
	return best;
}

bool selector_round_robin(
	const struct selector_input *input, uint64_t *virtual_time, struct selector_pick *ret_pick)
{
	uint64_t weights[TIER_COUNT];
	bool panic;
	unsigned mask;

	ASSERT(input->tried_count <= SELECTOR_TRIED_MAX);
	selector_tier_weights(input->entries, input->count, weights);
	panic = selector_panic(weights);
	for (unsigned step = 0; (mask = selector_step_mask(panic, step)) != 0; step++) {
		uint32_t index = selector_mask_has_weight(weights, mask)
					 ? selector_earliest(input, mask)
					 : SELECTOR_NONE;
		struct selector_entry *entry;

		if (index == SELECTOR_NONE) {
			continue;
		}
		entry = input->entries[index];
		if (entry->turn > *virtual_time) {
			*virtual_time = entry->turn;
		}
		entry->turn = *virtual_time + SELECTOR_TURN / entry->weight;
		ret_pick->index = index;
		ret_pick->first_key = 0;
		ret_pick->panic = panic;
		return true;
	}
	return false;
}

unsigned selector_left(const struct selector_input *input)
{
	unsigned left = 0;

	for (uint32_t i = 0; i < input->count; i++) {
		left += selector_eligible(input, (1u << TIER_COUNT) - 1, i) ? 1 : 0;
	}
	return left;
}
