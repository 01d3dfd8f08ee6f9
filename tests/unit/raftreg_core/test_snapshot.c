/* Snapshots: slow followers, ends of transfers, what is installed and what not: RM-09, RM-19. */
#include <string.h>

#include "cluster.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void elect(struct cluster *cluster, uint64_t id)
{
	assert_int_equal(cluster_campaign(cluster, id), RAFT_OK);
	cluster_deliver(cluster);
	assert_int_equal(cluster_status(cluster, id).role, RAFT_LEADER);
}

/* 2 misses entries that the leader has compacted; it is known to be active again. */
static struct cluster *make_slow(void)
{
	struct cluster *cluster = cluster_create(3, 0);

	elect(cluster, 1);
	cluster_isolate(cluster, 2, true);
	for (int i = 0; i < 5; i++) {
		cluster_propose(cluster, 1, "abc");
		cluster_deliver(cluster);
	}
	cluster_snapshot(cluster, 1);
	assert_int_equal(cluster_status(cluster, 1).first_index, 8);
	cluster_isolate(cluster, 2, false);
	return cluster;
}

static enum raft_progress_state state_of(struct cluster *cluster, uint64_t id)
{
	struct raft_status status = cluster_status(cluster, 1);

	return cluster_peer(&status, id)->state;
}

static void done(struct cluster *cluster, bool ok)
{
	struct raft_event event = {.kind = RAFT_SNAPSHOT_DONE};

	event.u.snapshot_done.peer = 2;
	event.u.snapshot_done.ok = ok;
	cluster_step(cluster, 1, event);
}

/* Drives the leader into Snapshot for 2 and returns with the SNAPSHOT under way. */
static void reach_snapshot(struct cluster *cluster)
{
	for (int i = 0; i < 20 && cluster_find(cluster, RAFT_SNAPSHOT, 2) == NULL; i++) {
		if (!cluster_deliver_one(cluster)) {
			cluster_pass(cluster, 10);
		}
	}
	assert_non_null(cluster_find(cluster, RAFT_SNAPSHOT, 2));
	assert_int_equal(state_of(cluster, 2), RAFT_SNAPSHOTTING);
}

static void test_slow_follower(void **state)
{
	struct cluster *cluster = make_slow();

	(void)state;
	reach_snapshot(cluster);
	assert_int_equal(cluster_find(cluster, RAFT_SNAPSHOT, 2)->index, 7);
	/* While it is under way nothing is sent to it. */
	cluster_propose(cluster, 1, "d");
	assert_int_equal(cluster_count(cluster, RAFT_APPEND, 2), 0);
	cluster_deliver(cluster);
	assert_true(cluster->nodes[2].installed);
	assert_int_equal(state_of(cluster, 2), RAFT_REPLICATE);
	cluster_deliver(cluster);
	assert_int_equal(cluster_status(cluster, 2).last_index, 8);
	assert_int_equal(cluster_status(cluster, 2).first_index, 8);
	assert_int_equal(cluster_status(cluster, 2).snapshot_index, 7);
	cluster_destroy(cluster);
}

/* The end of the transfer: Probe, paused until the peer answers something. */
static void test_done(void **state)
{
	(void)state;
	for (int ok = 0; ok <= 1; ok++) {
		struct cluster *cluster = make_slow();
		struct raft_status status;

		reach_snapshot(cluster);
		cluster_drop_all(cluster);
		done(cluster, ok);
		status = cluster_status(cluster, 1);
		assert_int_equal(cluster_peer(&status, 2)->state, RAFT_PROBE);
		assert_int_equal(cluster_peer(&status, 2)->next, ok ? 8 : 3);
		assert_true(cluster_peer(&status, 2)->paused);
		cluster_propose(cluster, 1, "e");
		assert_int_equal(cluster_count(cluster, RAFT_APPEND, 2), 0);
		assert_int_equal(cluster_count(cluster, RAFT_SNAPSHOT, 2), 0);
		/* It did not get it, whatever the transport said: the answers sort it out. */
		for (int i = 0; i < 5; i++) {
			cluster_pass(cluster, 10);
			cluster_deliver(cluster);
		}
		assert_int_equal(cluster_status(cluster, 2).last_index, 8);
		done(cluster, false); /* late: no longer in that state */
		assert_int_equal(state_of(cluster, 2), RAFT_REPLICATE);
		cluster_destroy(cluster);
	}
}

/* An APPEND_RESP that reaches the log ends the wait, whatever became of the snapshot. */
static void test_by_append(void **state)
{
	struct cluster *cluster = make_slow();
	struct raft_message answer = {.kind = RAFT_APPEND_RESP, .from = 2, .term = 2};

	(void)state;
	reach_snapshot(cluster);
	cluster_drop_all(cluster);
	answer.index = 5; /* not yet the log's beginning */
	cluster_receive(cluster, 1, answer);
	assert_int_equal(state_of(cluster, 2), RAFT_SNAPSHOTTING);
	answer.index = 7;
	cluster_receive(cluster, 1, answer);
	assert_int_equal(state_of(cluster, 2), RAFT_REPLICATE);
	cluster_destroy(cluster);
}

/* Only a recently active peer gets one. */
static void test_inactive(void **state)
{
	struct cluster *cluster = make_slow();

	(void)state;
	cluster_isolate(cluster, 2, true);
	for (int i = 0; i < 30; i++) {
		cluster_pass(cluster, 10);
		cluster_deliver(cluster);
	}
	assert_int_equal(cluster_status(cluster, 1).role, RAFT_LEADER);
	cluster_step(
		cluster, 1, (struct raft_event){.kind = RAFT_UNREACHABLE, .u.unreachable.peer = 2});
	cluster_propose(cluster, 1, "f");
	assert_int_equal(cluster_count(cluster, RAFT_SNAPSHOT, 2), 0);
	cluster_destroy(cluster);
}

/* The receiver: log of terms 1, 1, 2 at 2..4 behind a snapshot at 1, commit 2; message of term 3.
 */
static void test_receiver_table(void **state)
{
	static const struct {
		uint64_t index, term, own_id;
		bool installed;
		uint64_t answer, commit_after, last_after;
	} rows[] = {
		{2, 1, 1, false, 2, 2, 4}, /* at the commit */
		{1, 1, 1, false, 2, 2, 4}, /* below */
		{4, 2, 1, false, 4, 4, 4}, /* in the log: only the commit moves */
		{3, 1, 1, false, 3, 3, 4},
		{4, 3, 1, true, 4, 4, 4}, /* another entry at that index */
		{9, 3, 1, true, 9, 9, 9},
		{9, 3, 7, true, 9, 9, 9}, /* not named in it: admitted by what follows */
	};
	static const uint64_t terms[] = {1, 1, 2};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct cluster *cluster = cluster_create(3, 0);
		struct raft_snapshot snapshot = {
			.index = rows[i].index, .term = rows[i].term, .file = 42};

		cluster_start_log(cluster, 1, 3, terms, 3);
		cluster_receive(cluster, 1,
			(struct raft_message){
				.kind = RAFT_HEARTBEAT, .from = 2, .term = 3, .commit = 2});
		cluster_drop_all(cluster);
		member_ids_add(&snapshot.conf.voters, 2);
		member_ids_add(&snapshot.conf.voters, rows[i].own_id);
		cluster_receive(cluster, 1,
			(struct raft_message){.kind = RAFT_SNAPSHOT,
				.from = 2,
				.term = 3,
				.snapshot = &snapshot});
		assert_int_equal(cluster->nodes[1].installed, rows[i].installed);
		assert_int_equal(cluster_find(cluster, RAFT_APPEND_RESP, 2)->index, rows[i].answer);
		assert_false(cluster_find(cluster, RAFT_APPEND_RESP, 2)->reject);
		assert_int_equal(cluster_status(cluster, 1).commit_index, rows[i].commit_after);
		assert_int_equal(cluster_status(cluster, 1).last_index, rows[i].last_after);
		if (rows[i].installed) {
			assert_true(member_conf_equal(
				raft_conf_active(cluster->nodes[1].raft), &snapshot.conf));
			assert_int_equal(cluster_status(cluster, 1).applied_index, rows[i].index);
		}
		cluster_destroy(cluster);
	}
}

/* While an install waits for the disk: no answer, no campaign; acknowledgements of the old log are
 * void (RC-06). */
static void test_install_pending(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);
	struct raft_snapshot snapshot = {.index = 9, .term = 3, .conf = cluster_conf(3)};
	struct raft_entry entry = {.index = 2, .term = 3, .kind = RAFT_ENTRY_DATA};
	uint64_t first;

	(void)state;
	cluster->nodes[1].manual = true;
	cluster_receive(cluster, 1,
		(struct raft_message){.kind = RAFT_APPEND,
			.from = 2,
			.term = 3,
			.index = 1,
			.log_term = 1,
			.entries = &entry,
			.entry_count = 1});
	first = cluster->nodes[1].effects.persist_seq;
	cluster_receive(cluster, 1,
		(struct raft_message){
			.kind = RAFT_SNAPSHOT, .from = 2, .term = 3, .snapshot = &snapshot});
	assert_true(cluster->nodes[1].installed);
	assert_int_equal(cluster_count(cluster, RAFT_APPEND_RESP, 2), 0);
	cluster_persist(cluster, 1, first);
	assert_int_equal(cluster_status(cluster, 1).durable_index, 0);
	assert_int_equal(cluster_campaign(cluster, 1), RAFT_CHANGE_PENDING);
	cluster_pass(cluster, 300);
	assert_int_equal(cluster_status(cluster, 1).role, RAFT_FOLLOWER);
	cluster_persist(cluster, 1, first + 1);
	assert_int_equal(cluster_status(cluster, 1).durable_index, 9);
	assert_int_equal(cluster_count(cluster, RAFT_APPEND_RESP, 2), 2);
	assert_int_equal(cluster_campaign(cluster, 1), RAFT_OK);
	cluster_destroy(cluster);
}

/* One's own: the log is cut where asked; one that an installed snapshot overtook is ignored. */
static void test_made(void **state)
{
	struct cluster *cluster = cluster_create(1, 0);
	struct raft_event made = {.kind = RAFT_SNAPSHOT_MADE};

	(void)state;
	elect(cluster, 1);
	for (int i = 0; i < 6; i++) {
		cluster_propose(cluster, 1, "a");
	}
	made.u.snapshot_made.snapshot =
		(struct raft_snapshot){.index = 6, .term = 2, .conf = cluster_conf(1)};
	made.u.snapshot_made.compact_index = 4;
	cluster_step(cluster, 1, made);
	assert_int_equal(cluster_status(cluster, 1).first_index, 5);
	assert_int_equal(cluster_status(cluster, 1).snapshot_index, 6);
	assert_null(raft_entry_at(cluster->nodes[1].raft, 4));
	made.u.snapshot_made.snapshot.index = 5;
	made.u.snapshot_made.compact_index = 5;
	cluster_step(cluster, 1, made);
	assert_int_equal(cluster_status(cluster, 1).first_index, 5);
	assert_int_equal(cluster_status(cluster, 1).snapshot_index, 6);
	cluster_destroy(cluster);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slow_follower),
		cmocka_unit_test(test_done),
		cmocka_unit_test(test_by_append),
		cmocka_unit_test(test_inactive),
		cmocka_unit_test(test_receiver_table),
		cmocka_unit_test(test_install_pending),
		cmocka_unit_test(test_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
