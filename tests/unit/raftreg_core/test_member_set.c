/* Sets of ids and questions about configurations. */
#include <string.h>

#include "cluster.h"

static void test_ids(void **state)
{
	struct raft_ids set = {.count = 0};
	static const uint64_t order[] = {5, 1, 9, 5, 3};
	static const uint64_t sorted[] = {1, 3, 5, 9};

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		assert_true(member_ids_add(&set, order[i]));
	}
	assert_int_equal(set.count, 4);
	assert_memory_equal(set.ids, sorted, sizeof(sorted));
	assert_true(member_ids_has(&set, 9));
	assert_false(member_ids_has(&set, 2));
	member_ids_remove(&set, 5);
	member_ids_remove(&set, 5);
	assert_int_equal(set.count, 3);
	assert_false(member_ids_has(&set, 5));
	for (uint64_t id = 100; set.count < RAFT_IDS_MAX; id++) {
		assert_true(member_ids_add(&set, id));
	}
	assert_false(member_ids_add(&set, 1000));
	assert_true(member_ids_add(&set, 100));
}

static struct raft_ids make(const char *digits)
{
	struct raft_ids set = {.count = 0};

	for (; *digits != '\0'; digits++) {
		set.ids[set.count++] = (uint64_t)(*digits - '0');
	}
	return set;
}

static void test_valid(void **state)
{
	static const struct {
		const char *voters, *outgoing, *learners, *staged;
		bool auto_leave, valid;
	} rows[] = {
		{"123", "", "", "", false, true},
		{"1", "", "23", "", false, true},
		{"12", "13", "4", "3", true, true},
		{"1234567", "", "", "", false, true},
		{"", "", "", "", false, false},
		{"", "1", "", "", false, false},
		{"12345678", "", "", "", false, false},
		{"21", "", "", "", false, false},
		{"11", "", "", "", false, false},
		{"01", "", "", "", false, false},
		{"12", "", "2", "", false, false},
		{"12", "3", "3", "", false, false},
		{"12", "", "", "3", false, false},
		{"12", "", "", "", true, false},
		{"12", "13", "", "1", false, false},
		{"12", "13", "", "4", false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct raft_conf conf = {.voters = make(rows[i].voters),
			.outgoing = make(rows[i].outgoing),
			.learners = make(rows[i].learners),
			.staged = make(rows[i].staged),
			.auto_leave = rows[i].auto_leave};

		assert_int_equal(member_conf_is_valid(&conf), rows[i].valid);
	}
}

static void test_questions(void **state)
{
	struct raft_conf conf = {.voters = make("12"),
		.outgoing = make("13"),
		.learners = make("4"),
		.staged = make("3")};
	struct raft_conf other = conf;
	struct raft_ids all;

	(void)state;
	assert_true(member_conf_is_joint(&conf));
	assert_true(member_conf_is_voter(&conf, 2));
	assert_true(member_conf_is_voter(&conf, 3));
	assert_false(member_conf_is_voter(&conf, 4));
	assert_true(member_conf_has(&conf, 4));
	assert_false(member_conf_has(&conf, 5));
	member_conf_all(&conf, &all);
	assert_int_equal(all.count, 4);
	assert_int_equal(all.ids[3], 4);
	assert_true(member_conf_equal(&conf, &other));
	other.auto_leave = true;
	assert_false(member_conf_equal(&conf, &other));
	other = conf;
	member_ids_remove(&other.learners, 4);
	assert_false(member_conf_equal(&conf, &other));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_valid),
		cmocka_unit_test(test_questions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
