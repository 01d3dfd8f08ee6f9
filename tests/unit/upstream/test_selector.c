/* MX-06 (shares) and MX-07 (each once, in the order of the tiers, then NONE). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "upstream/selector.h"

#define INSTANCES_MAX 1024

struct field_set {
	struct selector_entry entries[INSTANCES_MAX];
	struct selector_entry *pointers[INSTANCES_MAX];
	struct slice names[INSTANCES_MAX];
	char text[INSTANCES_MAX][24];
	struct selector_ring ring;
	struct rng rng;
	uint32_t count;
};

static const uint8_t key[16] = {1, 2, 3};

static void set_up(struct field_set *set, uint32_t count, const uint32_t *weights, uint32_t given,
	uint64_t seed)
{
	memset(set, 0, sizeof(*set));
	set->count = count;
	for (uint32_t i = 0; i < count; i++) {
		set->entries[i].weight = weights ? weights[i % given] : 100;
		set->pointers[i] = &set->entries[i];
		snprintf(set->text[i], sizeof(set->text[i]), "10.0.%u.%u:1", i / 256, i % 256);
		set->names[i] = slice_from_string(set->text[i]);
	}
	selector_ring_init(&set->ring, set->pointers, set->names, count, key);
	rng_seed(&set->rng, seed);
}

static struct selector_input input_of(struct field_set *set)
{
	return (struct selector_input){
		.entries = set->pointers,
		.count = set->count,
		.ring = &set->ring,
		.rng = &set->rng,
		.now_ms = 1000,
	};
}

static double square_root(double x)
{
	double root = x > 1 ? x : 1;

	for (int i = 0; i < 60; i++) {
		root = (root + x / root) / 2;
	}
	return root;
}

/* The p = 0.001 bound by Wilson and Hilferty; 9 degrees give 27.9, the table says 27.88. */
static double chi_bound(uint32_t degrees)
{
	double a = 2.0 / (9.0 * degrees);
	double b = 1 - a + 3.0902 * square_root(a);

	return degrees * b * b * b;
}

static double chi_square(const struct field_set *set, const uint32_t *hits, uint32_t picks,
	bool (*counts)(const struct selector_entry *entry), uint32_t *ret_degrees)
{
	double sum = 0, chi = 0;
	uint32_t members = 0;

	for (uint32_t i = 0; i < set->count; i++) {
		if (counts(&set->entries[i])) {
			sum += set->entries[i].weight;
			members++;
		}
	}
	for (uint32_t i = 0; i < set->count; i++) {
		double expected = picks * (set->entries[i].weight / sum);

		if (!counts(&set->entries[i])) {
			assert_int_equal(hits[i], 0);
			continue;
		}
		chi += (hits[i] - expected) * (hits[i] - expected) / expected;
	}
	*ret_degrees = members - 1;
	return chi;
}

static bool all_count(const struct selector_entry *entry)
{
	return entry->weight > 0;
}

static bool up_count(const struct selector_entry *entry)
{
	return entry->tier == TIER_UP;
}

static void test_shares(void **state)
{
	static const uint32_t four[] = {1, 2, 3, 4};
	static const uint32_t steep[] = {1, 1000};
	static const uint32_t some_zero[] = {100, 0};
	static const struct {
		uint32_t count;
		const uint32_t *weights;
		uint32_t given;
	} rows[] = {{2, NULL, 0}, {3, NULL, 0}, {10, NULL, 0}, {32, NULL, 0}, {1000, NULL, 0},
		{4, four, 4}, {2, steep, 2}, {10, some_zero, 2}};
	static struct field_set set;
	static uint32_t hits[INSTANCES_MAX];
	const uint32_t picks = 50000;

	(void)state;
	for (size_t row = 0; row < ARRAY_SIZE(rows); row++) {
		unsigned beyond = 0;
		double pooled = 0;
		uint32_t degrees = 0;

		for (uint64_t seed = 1; seed <= 20; seed++) {
			struct selector_input input;
			double chi;

			set_up(&set, rows[row].count, rows[row].weights, rows[row].given, seed);
			input = input_of(&set);
			memset(hits, 0, sizeof(hits));
			for (uint32_t i = 0; i < picks; i++) {
				struct selector_pick pick;

				assert_true(selector_random_hash(&input, &pick));
				hits[pick.index]++;
			}
			chi = chi_square(&set, hits, picks, all_count, &degrees);
			pooled += chi;
			beyond += chi >= chi_bound(degrees);
			selector_ring_fini(&set.ring);
		}
		/* One of twenty fair samples may well lie there, two do not, nor do all together.
		 */
		assert_true(beyond <= 1);
		assert_true(pooled < chi_bound(degrees * 20));
	}
}

/* MX-06: half of the instances out of use; the others keep exact shares, by weight too. */
static void test_shares_half_down(void **state)
{
	static const uint32_t three[] = {1, 2, 5};
	static struct field_set set;
	static uint32_t hits[INSTANCES_MAX];
	struct selector_input input;
	uint32_t degrees;

	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		set_up(&set, 32, seed % 2 ? three : NULL, 3, seed);
		for (uint32_t i = 0; i < 32; i += 2) {
			set.entries[i].tier = TIER_UNREACHABLE;
		}
		input = input_of(&set);
		memset(hits, 0, sizeof(hits));
		for (uint32_t i = 0; i < 50000; i++) {
			struct selector_pick pick;

			assert_true(selector_random_hash(&input, &pick));
			hits[pick.index]++;
		}
		assert_true(chi_square(&set, hits, 50000, up_count, &degrees) < chi_bound(degrees));
		assert_int_equal(degrees, 15);
		selector_ring_fini(&set.ring);
	}
}

/* MS-10: too many points are scaled down, and everybody keeps at least one. */
static void test_ring_is_scaled(void **state)
{
	static const uint32_t weights[] = {1000, 999, 1, 997};
	static struct field_set set;
	uint32_t owned[INSTANCES_MAX] = {0};
	double sum = 0;

	(void)state;
	set_up(&set, 1000, weights, 4, 1);
	assert_true(set.ring.points >= SELECTOR_POINTS_MAX);
	assert_true(set.ring.points <= SELECTOR_POINTS_MAX + 1000);
	for (uint32_t i = 0; i < set.ring.points; i++) {
		owned[set.ring.owner[i]]++;
	}
	for (uint32_t i = 0; i < set.count; i++) {
		sum += set.entries[i].weight;
	}
	for (uint32_t i = 0; i < set.count; i++) {
		double exact = set.entries[i].weight * (double)SELECTOR_POINTS_MAX / sum;

		assert_true(owned[i] >= 1);
		assert_true(owned[i] <= exact + 1.0 && owned[i] + 1.0 >= exact);
	}
	selector_ring_fini(&set.ring);
}

static void test_ring_is_equal_on_all_sidecars(void **state)
{
	static struct field_set a, b;

	(void)state;
	set_up(&a, 10, NULL, 0, 1);
	set_up(&b, 10, NULL, 0, 2);
	assert_int_equal(a.ring.points, 10);
	assert_memory_equal(a.ring.owner, b.ring.owner, 10 * sizeof(uint16_t));
	selector_ring_fini(&a.ring);
	selector_ring_fini(&b.ring);
}

static void test_less_loaded_is_taken(void **state)
{
	static struct field_set set;
	struct selector_input input;
	uint32_t busy = 0;

	(void)state;
	set_up(&set, 2, NULL, 0, 5);
	set.entries[0].active = 3;
	input = input_of(&set);
	for (int i = 0; i < 1000; i++) {
		struct selector_pick pick;

		assert_true(selector_random_hash(&input, &pick));
		busy += pick.index == 0 ? 1 : 0;
	}
	assert_int_equal(busy, 0); /* with two instances both are always drawn */
	input.draws = 1;
	for (int i = 0; i < 1000; i++) {
		struct selector_pick pick;

		assert_true(selector_random_hash(&input, &pick));
		busy += pick.index == 0 ? 1 : 0;
	}
	assert_true(busy > 400 && busy < 600);
	selector_ring_fini(&set.ring);
}

/* The order that MS-03 and MS-04 allow: smaller numbers first. */
static unsigned rank_of(const struct field_set *set, uint32_t index)
{
	uint64_t weights[TIER_COUNT];
	enum tier tier = set->entries[index].tier;

	selector_tier_weights(set->pointers, set->count, weights);
	return selector_panic(weights) && tier <= TIER_EJECTED ? 0 : tier;
}

static void check_order(struct field_set *set, bool round_robin)
{
	uint32_t tried[8];
	bool seen[8] = {false};
	uint64_t virtual_time = 0;
	struct selector_input input = input_of(set);
	struct selector_pick pick = {0};

	input.tried = tried;
	for (uint32_t n = 0; n < set->count; n++) {
		bool found = round_robin ? selector_round_robin(&input, &virtual_time, &pick)
					 : selector_random_hash(&input, &pick);

		assert_true(found);
		assert_false(seen[pick.index]);
		seen[pick.index] = true;
		for (uint32_t i = 0; i < set->count; i++) {
			assert_true(seen[i] || rank_of(set, i) >= rank_of(set, pick.index));
		}
		tried[input.tried_count++] = pick.index;
	}
	assert_int_equal(selector_left(&input), 0);
	assert_false(round_robin ? selector_round_robin(&input, &virtual_time, &pick)
				 : selector_random_hash(&input, &pick));
}

static void test_every_state_combination(void **state)
{
	static struct field_set set;

	(void)state;
	for (uint32_t n = 1; n <= 6; n++) {
		uint32_t combinations = 1;

		for (uint32_t i = 0; i < n; i++) {
			combinations *= TIER_COUNT;
		}
		set_up(&set, n, NULL, 0, n);
		for (uint32_t c = 0; c < combinations; c++) {
			uint32_t rest = c;

			for (uint32_t i = 0; i < n; i++) {
				set.entries[i].tier = (enum tier)(rest % TIER_COUNT);
				rest /= TIER_COUNT;
			}
			check_order(&set, false);
			check_order(&set, true);
		}
		selector_ring_fini(&set.ring);
	}
}

static void test_panic_rule(void **state)
{
	static const struct {
		uint64_t up, suspect, ejected;
		bool panic;
	} rows[] = {{100, 0, 0, false}, {0, 100, 0, true}, {100, 100, 0, false}, {99, 100, 0, true},
		{100, 50, 50, false}, {100, 60, 50, true}, {0, 0, 0, false}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t weights[TIER_COUNT] = {
			rows[i].up, rows[i].suspect, rows[i].ejected, 1000, 1000, 1000};

		assert_int_equal(selector_panic(weights), rows[i].panic);
	}
}

static void test_blocked_and_weightless(void **state)
{
	static const uint32_t weights[] = {100, 0};
	static struct field_set set;
	struct selector_input input;
	struct selector_pick pick;

	(void)state;
	set_up(&set, 2, weights, 2, 3);
	input = input_of(&set);
	set.entries[0].tier = TIER_UNREACHABLE;
	set.entries[0].blocked_until_ms = 1001;
	assert_false(selector_random_hash(&input, &pick));
	assert_int_equal(selector_left(&input), 0);
	input.now_ms = 1001;
	assert_true(selector_random_hash(&input, &pick));
	assert_int_equal(pick.index, 0);
	selector_ring_fini(&set.ring);

	set_up(&set, 0, NULL, 0, 3);
	input = input_of(&set);
	assert_false(selector_random_hash(&input, &pick));
	selector_ring_fini(&set.ring);
}

static void test_round_robin_shares(void **state)
{
	static const uint32_t four[] = {1, 2, 3, 4};
	static struct field_set set;
	uint32_t hits[4] = {0};
	uint64_t virtual_time = 0;
	struct selector_input input;
	struct selector_pick pick;

	(void)state;
	set_up(&set, 4, four, 4, 9);
	input = input_of(&set);
	for (uint32_t i = 0; i < 4; i++) {
		selector_round_robin_start(&set.entries[i], 0, &set.rng);
	}
	for (int i = 0; i < 1000; i++) {
		assert_true(selector_round_robin(&input, &virtual_time, &pick));
		hits[pick.index]++;
	}
	for (uint32_t i = 0; i < 4; i++) {
		assert_in_range(hits[i], 100 * four[i] - 2, 100 * four[i] + 2);
	}
	/* One that was out of use does not save its turns up. */
	set.entries[3].tier = TIER_DRAINING;
	for (int i = 0; i < 600; i++) {
		assert_true(selector_round_robin(&input, &virtual_time, &pick));
		assert_int_not_equal(pick.index, 3);
	}
	set.entries[3].tier = TIER_UP;
	hits[3] = 0;
	for (int i = 0; i < 10; i++) {
		assert_true(selector_round_robin(&input, &virtual_time, &pick));
		hits[3] += pick.index == 3 ? 1 : 0;
	}
	assert_in_range(hits[3], 3, 6);
	selector_ring_fini(&set.ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_shares_half_down),
		cmocka_unit_test(test_ring_is_scaled),
		cmocka_unit_test(test_ring_is_equal_on_all_sidecars),
		cmocka_unit_test(test_less_loaded_is_taken),
		cmocka_unit_test(test_every_state_combination),
		cmocka_unit_test(test_panic_rule),
		cmocka_unit_test(test_blocked_and_weightless),
		cmocka_unit_test(test_round_robin_shares),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
