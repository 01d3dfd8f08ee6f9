/* The retained log: ends, terms, truncation, compaction, the conflict rule RM-11, references. */
#include <string.h>

#include "cluster.h"
#include "raftreg/core/raft_log.h"

static void fill(struct raft_log *log, uint64_t before, const char *terms)
{
	raft_log_reset(log, before, before > 0 ? 1 : 0);
	for (size_t i = 0; terms[i] != '\0'; i++) {
		struct raft_entry entry = {.index = before + i + 1,
			.term = (uint64_t)(terms[i] - '0'),
			.kind = RAFT_ENTRY_DATA};

		raft_log_append(log, &entry);
	}
}

static void test_ends(void **state)
{
	struct raft_log log = {0};

	(void)state;
	assert_int_equal(raft_log_first(&log), 1);
	assert_int_equal(raft_log_last(&log), 0);
	assert_int_equal(raft_log_last_term(&log), 0);
	assert_true(raft_log_matches(&log, 0, 0));
	assert_false(raft_log_matches(&log, 1, 1));
	fill(&log, 10, "1123");
	assert_int_equal(raft_log_first(&log), 11);
	assert_int_equal(raft_log_last(&log), 14);
	assert_int_equal(raft_log_last_term(&log), 3);
	assert_int_equal(raft_log_term(&log, 10), 1);
	assert_int_equal(raft_log_term(&log, 9), 0);
	assert_int_equal(raft_log_term(&log, 15), 0);
	assert_null(raft_log_at(&log, 10));
	assert_null(raft_log_at(&log, 15));
	assert_int_equal(raft_log_at(&log, 13)->term, 2);
	raft_log_fini(&log);
}

static void test_cuts(void **state)
{
	struct raft_log log = {0};

	(void)state;
	fill(&log, 0, "112233");
	raft_log_compact(&log, 3);
	assert_int_equal(raft_log_first(&log), 4);
	assert_int_equal(raft_log_term(&log, 3), 2);
	raft_log_compact(&log, 2); /* already */
	assert_int_equal(raft_log_first(&log), 4);
	raft_log_truncate(&log, 6);
	assert_int_equal(raft_log_last(&log), 5);
	raft_log_truncate(&log, 4);
	assert_int_equal(raft_log_last(&log), 3);
	assert_int_equal(raft_log_last_term(&log), 2);
	raft_log_fini(&log);
}

/* A steady stream through a log that is compacted behind must not grow its memory. */
static void test_bounded(void **state)
{
	struct raft_log log = {0};

	(void)state;
	for (uint64_t i = 1; i <= 100000; i++) {
		raft_log_append(
			&log, &(struct raft_entry){
				      .index = i, .term = 1 + i / 1000, .kind = RAFT_ENTRY_DATA});
		if (i > 100) {
			raft_log_compact(&log, i - 100);
		}
		assert_int_equal(raft_log_term(&log, i), 1 + i / 1000);
	}
	assert_true(log.capacity <= 512);
	raft_log_fini(&log);
}

static void test_conflict(void **state)
{
	static const struct {
		const char *terms;
		uint64_t before, index, term, found, found_term;
	} rows[] = {
		/* RM-11's example, both sides. */
		{"111122", 0, 6, 5, 6, 2}, {"133355555", 0, 6, 2, 1, 1}, {"1234", 0, 4, 3, 3, 3},
		{"1234", 0, 4, 9, 4, 4}, {"2222", 0, 4, 1, 0, 0}, /* nothing so old: the start */
		{"", 0, 0, 5, 0, 0}, {"1111", 0, 2, 1, 2, 1},
		{"33", 5, 7, 2, 5, 1}, /* the compacted position's own term is known */
		{"33", 5, 4, 2, 4, 0}, /* compacted: unknown */
		{"33", 5, 9, 2, 9, 0}, /* beyond the end: unknown */
		{"33", 5, 7, 0, 4, 0}, /* older than all that is known */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct raft_log log = {0};
		uint64_t term = 77;

		fill(&log, rows[i].before, rows[i].terms);
		assert_int_equal(
			raft_log_conflict(&log, rows[i].index, rows[i].term, &term), rows[i].found);
		assert_int_equal(term, rows[i].found_term);
		raft_log_fini(&log);
	}
}

/* Halving must agree with walking back, for all short logs. */
static void test_conflict_all(void **state)
{
	(void)state;
	for (unsigned shape = 0; shape < 64; shape++) {
		struct raft_log log = {0};
		char terms[8] = "";
		char term = '1';

		for (unsigned i = 0; i < 6; i++) {
			term = (char)(term + (int)(shape >> i & 1));
			terms[i] = term;
		}
		fill(&log, 0, terms);
		for (uint64_t index = 0; index <= 6; index++) {
			for (uint64_t limit = 0; limit < 8; limit++) {
				uint64_t expected = index, found_term;

				while (expected > 0 && raft_log_term(&log, expected) > limit) {
					expected--;
				}
				assert_int_equal(raft_log_conflict(&log, index, limit, &found_term),
					expected);
				assert_int_equal(found_term, raft_log_term(&log, expected));
			}
		}
		raft_log_fini(&log);
	}
}

static void test_references(void **state)
{
	struct raft_payload *payload = raft_payload_create("abc", 3);
	struct raft_log log = {0}, copy = {0};
	struct raft_entry entry = {
		.index = 1, .term = 1, .kind = RAFT_ENTRY_DATA, .payload = payload};

	(void)state;
	raft_log_append(&log, &entry);
	entry.index = 2;
	raft_log_append(&log, &entry);
	entry.index = 3;
	raft_log_append(&log, &entry);
	assert_int_equal(payload->references, 4);
	assert_int_equal(raft_log_bytes(&log, 1, 3), 9);
	assert_int_equal(raft_log_bytes(&log, 4, 3), 0);
	raft_log_copy(&copy, &log);
	assert_int_equal(payload->references, 7);
	raft_log_compact(&log, 1);
	raft_log_truncate(&log, 3);
	assert_int_equal(payload->references, 5);
	raft_log_reset(&log, 9, 2);
	assert_int_equal(raft_log_last(&log), 9);
	raft_log_fini(&log);
	raft_log_fini(&copy);
	assert_int_equal(payload->references, 1);
	raft_payload_unref(payload);
	raft_payload_unref(NULL);
	assert_null(raft_payload_ref(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_conflict),
		cmocka_unit_test(test_conflict_all),
		cmocka_unit_test(test_references),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
