/* The door: durability order and completions (RC-04..06), refusals, determinism, clones, restore.
 */
#include <string.h>

#include "cluster.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void elect(struct cluster *cluster, uint64_t id)
{
	assert_int_equal(cluster_campaign(cluster, id), RAFT_OK);
	cluster_deliver(cluster);
	assert_int_equal(cluster_status(cluster, id).role, RAFT_LEADER);
}

static struct raft_message append(uint64_t term, uint64_t prev, uint64_t prev_term,
	const struct raft_entry *entries, size_t count)
{
	return (struct raft_message){.kind = RAFT_APPEND,
		.from = 2,
		.term = term,
		.index = prev,
		.log_term = prev_term,
		.entries = entries,
		.entry_count = count};
}

/* RC-05: which messages wait for the disk, and for what. */
static void test_after(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);
	struct raft_entry entry = {.index = 2, .term = 1, .kind = RAFT_ENTRY_DATA};

	(void)state;
	cluster->nodes[1].manual = true;
	/* Entries at our own, durable term: the answer waits, a heartbeat's answer does not. */
	cluster_receive(cluster, 1, append(1, 1, 1, &entry, 1));
	assert_int_equal(cluster->nodes[1].effects.persist_seq, 1);
	assert_int_equal(cluster_count(cluster, RAFT_APPEND_RESP, 0), 0);
	cluster_receive(
		cluster, 1, (struct raft_message){.kind = RAFT_HEARTBEAT, .from = 2, .term = 1});
	assert_int_equal(cluster_count(cluster, RAFT_HEARTBEAT_RESP, 0), 1);
	/* A doubled APPEND writes nothing new, but its answer promises what is not durable yet. */
	cluster_receive(cluster, 1, append(1, 1, 1, &entry, 1));
	assert_int_equal(cluster->nodes[1].effects.persist_seq, 0);
	assert_int_equal(cluster_count(cluster, RAFT_APPEND_RESP, 0), 0);
	cluster_persist(cluster, 1, 1);
	assert_int_equal(cluster_count(cluster, RAFT_APPEND_RESP, 0), 2);
	/* A new term: everything waits, a heartbeat's answer too. */
	cluster_drop_all(cluster);
	cluster_receive(
		cluster, 1, (struct raft_message){.kind = RAFT_HEARTBEAT, .from = 3, .term = 4});
	assert_true(cluster->nodes[1].effects.hard_changed);
	assert_int_equal(cluster->nodes[1].effects.hard.term, 4);
	assert_int_equal(cluster->letter_count, 0);
	cluster_persist(cluster, 1, 2);
	assert_int_equal(cluster_count(cluster, RAFT_HEARTBEAT_RESP, 3), 1);
	cluster_destroy(cluster);
}

/* A candidate's own requests wait for its term, and its own vote counts after that only. */
static void test_candidate_waits(void **state)
{
	struct cluster *cluster = cluster_create(3, RAFT_NO_PREVOTE);

	(void)state;
	cluster->nodes[1].manual = true;
	cluster_campaign(cluster, 1);
	assert_int_equal(cluster->letter_count, 0);
	cluster_persist(cluster, 1, 1);
	assert_int_equal(cluster_count(cluster, RAFT_VOTE, 0), 2);
	cluster_deliver(cluster);
	assert_int_equal(cluster_status(cluster, 1).role, RAFT_LEADER);
	cluster_destroy(cluster);
}

/* RC-06, TRAP-07: one index rewritten in terms 1, 2, 1... with late completions. */
static void test_aba(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);
	struct raft_entry first[] = {{.index = 2, .term = 1, .kind = RAFT_ENTRY_DATA},
		{.index = 3, .term = 1, .kind = RAFT_ENTRY_DATA},
		{.index = 4, .term = 1, .kind = RAFT_ENTRY_DATA}};
	struct raft_entry second = {.index = 3, .term = 2, .kind = RAFT_ENTRY_DATA};
	struct raft_entry third[] = {{.index = 3, .term = 3, .kind = RAFT_ENTRY_DATA},
		{.index = 4, .term = 3, .kind = RAFT_ENTRY_DATA}};

	(void)state;
	cluster->nodes[1].manual = true;
	cluster_receive(cluster, 1, append(1, 1, 1, first, 3));	  /* seq 1: 2..4 */
	cluster_receive(cluster, 1, append(2, 2, 1, &second, 1)); /* seq 2: 3 of term 2 */
	assert_int_equal(cluster->nodes[1].effects.truncate_from, 3);
	cluster_receive(cluster, 1, append(3, 2, 1, third, 2)); /* seq 3: 3..4 of term 3 */
	cluster_persist(cluster, 1, 1);
	/* 3 and 4 are durable as entries of term 1, which are not the ones in the log. */
	assert_int_equal(cluster_status(cluster, 1).durable_index, 2);
	cluster_persist(cluster, 1, 2);
	assert_int_equal(cluster_status(cluster, 1).durable_index, 2);
	cluster_persist(cluster, 1, 3);
	assert_int_equal(cluster_status(cluster, 1).durable_index, 4);
	cluster_persist(cluster, 1, 3); /* again: nothing */
	assert_int_equal(cluster_status(cluster, 1).durable_index, 4);
	cluster_destroy(cluster);
}

/* The same when only the highest is reported, and when a truncation comes alone. */
static void test_highest_only(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);
	struct raft_entry first[] = {{.index = 2, .term = 1, .kind = RAFT_ENTRY_DATA},
		{.index = 3, .term = 1, .kind = RAFT_ENTRY_DATA}};
	struct raft_entry second = {.index = 2, .term = 2, .kind = RAFT_ENTRY_DATA};

	(void)state;
	cluster->nodes[1].manual = true;
	cluster_receive(cluster, 1, append(1, 1, 1, first, 2));
	cluster_persist(cluster, 1, 1);
	assert_int_equal(cluster_status(cluster, 1).durable_index, 3);
	cluster_receive(cluster, 1, append(2, 1, 1, &second, 1));
	/* At once, not only when it is written: the old entry is gone from the log. */
	assert_int_equal(cluster_status(cluster, 1).durable_index, 1);
	cluster_receive(cluster, 1,
		(struct raft_message){.kind = RAFT_HEARTBEAT, .from = 2, .term = 2, .commit = 2});
	assert_int_equal(cluster->nodes[1].effects.commit_index, 2);
	assert_int_equal(cluster->nodes[1].effects.apply_index, 1);
	cluster_persist(cluster, 1, 2);
	assert_int_equal(cluster->nodes[1].effects.apply_index, 2);
	cluster_destroy(cluster);
}

/* A refusal changes nothing, not even the clock. */
static void test_refusals(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);
	struct raft_event event = {.kind = RAFT_TRANSFER, .now_ms = 99999999};
	struct raft_effects before, after;
	uint64_t hash;

	(void)state;
	elect(cluster, 1);
	before = cluster->nodes[1].effects;
	hash = raft_hash(cluster->nodes[1].raft);
	event.u.transfer.peer = 77;
	assert_int_equal(raft_step(cluster->nodes[1].raft, &event, &after), RAFT_BAD_CHANGE);
	assert_int_equal(raft_hash(cluster->nodes[1].raft), hash);
	assert_int_equal(after.deadline_ms, before.deadline_ms);
	assert_int_equal(after.persist_seq, 0);
	assert_int_equal(after.message_count, 0);
	for (int refusal = RAFT_OK; refusal <= RAFT_TOO_LARGE; refusal++) {
		assert_non_null(raft_refusal_text((enum raft_refusal)refusal));
	}
	assert_null(raft_refusal_text((enum raft_refusal)99));
	cluster_destroy(cluster);
}

/* RC-01, RC-13: a clone goes on exactly as its original. */
static void test_clone(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);
	struct raft *clone;

	(void)state;
	elect(cluster, 1);
	cluster_propose(cluster, 1, "some payload");
	cluster_read(cluster, 1, 5);
	clone = raft_clone(cluster->nodes[1].raft);
	assert_int_equal(raft_hash(clone), raft_hash(cluster->nodes[1].raft));
	for (int i = 0; i < 30; i++) {
		struct raft_event event = {
			.kind = RAFT_DEADLINE, .now_ms = cluster->now_ms + 10u * (unsigned)i};
		struct raft_effects a, b;

		raft_step(clone, &event, &a);
		raft_step(cluster->nodes[1].raft, &event, &b);
		assert_int_equal(a.message_count, b.message_count);
		assert_int_equal(a.deadline_ms, b.deadline_ms);
		assert_int_equal(a.role, b.role);
		assert_string_equal(raft_trace(clone), raft_trace(cluster->nodes[1].raft));
		assert_int_equal(raft_hash(clone), raft_hash(cluster->nodes[1].raft));
	}
	raft_destroy(clone);
	cluster_destroy(cluster);
}

static void test_restore(void **state)
{
	struct cluster *cluster = cluster_create(0, 0);
	struct raft_change change = {.operation_count = 1, .operations = {{RAFT_ADD_VOTER, 1}}};
	struct raft_entry genesis = {.index = 1, .term = 1, .kind = RAFT_ENTRY_CONF};
	struct raft_entry tail[] = {{.index = 4, .term = 2, .kind = RAFT_ENTRY_DATA},
		{.index = 5, .term = 2, .kind = RAFT_ENTRY_DATA},
		{.index = 6, .term = 3, .kind = RAFT_ENTRY_DATA}};
	struct raft_snapshot snapshot = {.index = 5, .term = 2, .conf = cluster_conf(3)};
	struct raft_restore restore = {
		.hard = {.term = 1}, .commit_hint = 1, .entries = &genesis, .entry_count = 1};
	struct raft_status status;

	(void)state;
	/* A cluster of one is born from one entry. */
	genesis.payload = member_change_encode(&change);
	cluster_start(cluster, 1, &restore);
	assert_true(member_conf_is_voter(raft_conf_active(cluster->nodes[1].raft), 1));
	elect(cluster, 1);
	assert_int_equal(cluster_status(cluster, 1).commit_index, 2);
	/* A log that reaches behind the snapshot, and a hint beyond the log. */
	restore = (struct raft_restore){.hard = {.term = 4, .vote = 2},
		.commit_hint = 99,
		.snapshot = &snapshot,
		.entries = tail,
		.entry_count = 3,
		.before_index = 3,
		.before_term = 2};
	cluster->nodes[1].idle = true;
	cluster_start(cluster, 1, &restore);
	status = cluster_status(cluster, 1);
	assert_int_equal(status.first_index, 4);
	assert_int_equal(status.last_index, 6);
	assert_int_equal(status.last_term, 3);
	assert_int_equal(status.commit_index, 6);
	assert_int_equal(status.snapshot_index, 5);
	assert_int_equal(status.term, 4);
	assert_int_equal(status.vote, 2);
	assert_int_equal(status.durable_index, 6);
	assert_int_equal(cluster->nodes[1].effects.persist_seq, 0);
	raft_payload_unref(genesis.payload);
	cluster_destroy(cluster);
}

static void test_forced_timeout(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);

	(void)state;
	raft_force_timeout(cluster->nodes[1].raft, 123);
	cluster_receive(
		cluster, 1, (struct raft_message){.kind = RAFT_HEARTBEAT, .from = 2, .term = 2});
	assert_int_equal(cluster->nodes[1].effects.deadline_ms, cluster->now_ms + 123);
	cluster_destroy(cluster);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(raft_message_name(RAFT_PREVOTE), "PREVOTE");
	assert_string_equal(raft_message_name(RAFT_READ_INDEX_RESP), "READ_INDEX_RESP");
	assert_string_equal(raft_message_name((enum raft_message_kind)99), "?");
	assert_string_equal(raft_role_name(RAFT_LEADER), "leader");
	assert_string_equal(raft_role_name(RAFT_PRE_CANDIDATE), "pre-candidate");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_after),
		cmocka_unit_test(test_candidate_waits),
		cmocka_unit_test(test_aba),
		cmocka_unit_test(test_highest_only),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_clone),
		cmocka_unit_test(test_restore),
		cmocka_unit_test(test_forced_timeout),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
