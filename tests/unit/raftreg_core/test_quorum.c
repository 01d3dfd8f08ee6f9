/* Majorities against a reference that counts by brute force (TEST-02). */
#include <string.h>

#include "cluster.h"
#include "raftreg/core/quorum.h"

#define IDS 5

/* A set as bits: bit i is id i + 1. */
static struct raft_ids make_set(unsigned bits)
{
	struct raft_ids set = {.count = 0};

	for (uint64_t i = 0; i < IDS; i++) {
		if (bits >> i & 1) {
			member_ids_add(&set, i + 1);
		}
	}
	return set;
}

static uint64_t reference_index(unsigned bits, const uint64_t *indexes)
{
	unsigned voters = (unsigned)__builtin_popcount(bits);
	uint64_t best = 0;

	if (voters == 0) {
		return UINT64_MAX;
	}
	for (uint64_t candidate = 1; candidate <= 3; candidate++) {
		unsigned count = 0;

		for (unsigned i = 0; i < IDS; i++) {
			count += (bits >> i & 1) && indexes[i] >= candidate;
		}
		best = count * 2 > voters ? candidate : best;
	}
	return best;
}

static void test_index(void **state)
{
	(void)state;
	for (unsigned incoming = 0; incoming < 32; incoming++) {
		for (unsigned outgoing = 0; outgoing < 32; outgoing++) {
			struct raft_conf conf = {
				.voters = make_set(incoming), .outgoing = make_set(outgoing)};

			for (unsigned values = 0; values < 1024; values += 3) {
				struct quorum_report reports[IDS];
				uint64_t indexes[IDS], expected, other;
				size_t count = 0;

				for (unsigned i = 0; i < IDS; i++) {
					indexes[i] = values >> (2 * i) & 3;
					/* 0 is what a missing report counts as. */
					if (indexes[i] > 0) {
						reports[count++] = (struct quorum_report){
							.id = i + 1, .index = indexes[i]};
					}
				}
				expected = reference_index(incoming, indexes);
				other = reference_index(outgoing, indexes);
				expected = other < expected ? other : expected;
				assert_int_equal(quorum_index(&conf, reports, count), expected);
			}
		}
	}
}

static enum quorum_result reference_vote(unsigned bits, const enum quorum_ballot *ballots)
{
	unsigned voters = (unsigned)__builtin_popcount(bits), granted = 0, rejected = 0;

	if (voters == 0) {
		return QUORUM_WON;
	}
	for (unsigned i = 0; i < IDS; i++) {
		granted += (bits >> i & 1) && ballots[i] == QUORUM_GRANTED;
		rejected += (bits >> i & 1) && ballots[i] == QUORUM_REJECTED;
	}
	if (granted * 2 > voters) {
		return QUORUM_WON;
	}
	return (voters - rejected) * 2 > voters ? QUORUM_PENDING : QUORUM_LOST;
}

static enum quorum_result expected_vote(
	unsigned incoming, unsigned outgoing, const enum quorum_ballot *ballots)
{
	enum quorum_result a = reference_vote(incoming, ballots);
	enum quorum_result b = reference_vote(outgoing, ballots);
	bool all = true;

	for (unsigned i = 0; i < IDS; i++) {
		if ((incoming | outgoing) >> i & 1) {
			all = all &&
			      (ballots[i] == QUORUM_GRANTED || ballots[i] == QUORUM_UNCERTAIN);
		}
	}
	if (all || (a == QUORUM_WON && b == QUORUM_WON)) {
		return QUORUM_WON;
	}
	return a == QUORUM_LOST || b == QUORUM_LOST ? QUORUM_LOST : QUORUM_PENDING;
}

static void test_vote(void **state)
{
	(void)state;
	for (unsigned incoming = 0; incoming < 32; incoming++) {
		for (unsigned outgoing = 0; outgoing < 32; outgoing++) {
			struct raft_conf conf = {
				.voters = make_set(incoming), .outgoing = make_set(outgoing)};
			struct raft_conf mirror = {
				.voters = conf.outgoing, .outgoing = conf.voters};

			for (unsigned values = 0; values < 1024; values += 5) {
				struct quorum_report reports[IDS];
				enum quorum_ballot ballots[IDS];
				enum quorum_result result;

				for (unsigned i = 0; i < IDS; i++) {
					ballots[i] = (enum quorum_ballot)(values >> (2 * i) & 3);
					reports[i] = (struct quorum_report){
						.id = i + 1, .ballot = ballots[i]};
				}
				result = quorum_vote(&conf, reports, IDS);
				assert_int_equal(
					result, expected_vote(incoming, outgoing, ballots));
				assert_int_equal(result, quorum_vote(&mirror, reports, IDS));
			}
		}
	}
}

/* Nobody outside the set counts. */
static void test_outsiders(void **state)
{
	struct raft_conf conf = {.voters = make_set(0x7)};
	struct quorum_report reports[] = {{.id = 4, .index = 9, .ballot = QUORUM_GRANTED},
		{.id = 5, .index = 9, .ballot = QUORUM_GRANTED},
		{.id = 1, .index = 9, .ballot = QUORUM_GRANTED}};

	(void)state;
	assert_int_equal(quorum_index(&conf, reports, 3), 0);
	assert_int_equal(quorum_vote(&conf, reports, 3), QUORUM_PENDING);
}

/* RI-06: an uncertain grant is as good as none, unless it is one of all. */
static void test_uncertain(void **state)
{
	static const struct {
		enum quorum_ballot ballots[3];
		enum quorum_result result;
	} rows[] = {
		{{QUORUM_GRANTED, QUORUM_UNCERTAIN, QUORUM_MISSING}, QUORUM_PENDING},
		{{QUORUM_GRANTED, QUORUM_UNCERTAIN, QUORUM_REJECTED}, QUORUM_PENDING},
		{{QUORUM_UNCERTAIN, QUORUM_UNCERTAIN, QUORUM_UNCERTAIN}, QUORUM_WON},
		{{QUORUM_GRANTED, QUORUM_UNCERTAIN, QUORUM_UNCERTAIN}, QUORUM_WON},
		{{QUORUM_GRANTED, QUORUM_GRANTED, QUORUM_UNCERTAIN}, QUORUM_WON},
		{{QUORUM_UNCERTAIN, QUORUM_REJECTED, QUORUM_REJECTED}, QUORUM_LOST},
	};
	struct raft_conf conf = {.voters = make_set(0x7)};

	(void)state;
	for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
		struct quorum_report reports[3];

		for (unsigned i = 0; i < 3; i++) {
			reports[i] =
				(struct quorum_report){.id = i + 1, .ballot = rows[row].ballots[i]};
		}
		assert_int_equal(quorum_vote(&conf, reports, 3), rows[row].result);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_index),
		cmocka_unit_test(test_vote),
		cmocka_unit_test(test_outsiders),
		cmocka_unit_test(test_uncertain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
