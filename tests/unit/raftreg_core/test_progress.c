/* The table of RM-09, its transitions, the window, acceptance and rejection. */
#include <stdlib.h>

#include "cluster.h"
#include "raftreg/core/internal.h"

static struct raft *make_raft(void)
{
	struct raft_options options = cluster_options(1);
	struct raft *raft = raft_create(&options);

	return raft;
}

static struct raft_progress make_peer(enum raft_progress_state state, uint64_t match, uint64_t next)
{
	return (struct raft_progress){.id = 2, .state = state, .match = match, .next = next};
}

static void test_entering(void **state)
{
	struct raft_progress peer = make_peer(RAFT_REPLICATE, 3, 9);

	(void)state;
	peer.paused = true;
	peer.sent_commit = 8;
	progress_become_probe(&peer);
	assert_int_equal(peer.state, RAFT_PROBE);
	assert_int_equal(peer.next, 4);
	assert_int_equal(peer.sent_commit, 3);
	assert_false(peer.paused);
	progress_become_snapshot(&peer, 20);
	assert_int_equal(peer.next, 21);
	assert_int_equal(peer.pending, 20);
	assert_true(progress_is_paused(&peer));
	progress_become_probe(&peer); /* from Snapshot: after max(match, pending) */
	assert_int_equal(peer.next, 21);
	assert_int_equal(peer.pending, 0);
	progress_become_replicate(&peer);
	assert_int_equal(peer.next, 4);
}

static void test_accept(void **state)
{
	struct raft_progress peer = make_peer(RAFT_PROBE, 3, 5);

	(void)state;
	peer.paused = true;
	assert_false(progress_accept(&peer, 3));
	assert_false(progress_accept(&peer, 1));
	assert_true(peer.paused);
	assert_true(progress_accept(&peer, 4));
	assert_int_equal(peer.match, 4);
	assert_int_equal(peer.next, 5);
	assert_false(peer.paused);
	assert_true(progress_accept(&peer, 9));
	assert_int_equal(peer.next, 10);
}

static void test_reject(void **state)
{
	static const struct {
		enum raft_progress_state state;
		uint64_t match, next, rejected, base;
		bool fresh;
		uint64_t next_after;
	} rows[] = {
		{RAFT_REPLICATE, 5, 10, 5, 5, false, 10}, /* at or below match: stale */
		{RAFT_REPLICATE, 5, 10, 4, 4, false, 10}, {RAFT_REPLICATE, 5, 10, 9, 9, true, 6},
		{RAFT_PROBE, 0, 10, 9, 9, true, 9}, /* base + 1 = 10, but below the refused */
		{RAFT_PROBE, 0, 10, 9, 2, true, 3}, {RAFT_PROBE, 0, 10, 9, 0, true, 1},
		{RAFT_PROBE, 0, 10, 5, 5, false, 10}, /* not the last probe */
		{RAFT_PROBE, 0, 10, 11, 11, false, 10},
		{RAFT_PROBE, 4, 10, 9, 1, true, 5}, /* never below match + 1 */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct raft_progress peer = make_peer(rows[i].state, rows[i].match, rows[i].next);

		peer.paused = true;
		assert_int_equal(
			progress_reject(&peer, rows[i].rejected, rows[i].base), rows[i].fresh);
		assert_int_equal(peer.next, rows[i].next_after);
		if (rows[i].fresh && rows[i].state == RAFT_PROBE) {
			assert_false(peer.paused);
		}
	}
}

static void test_window(void **state)
{
	struct raft *raft = make_raft(); /* four messages, 1,000 bytes */
	struct raft_progress peer = make_peer(RAFT_REPLICATE, 0, 1);

	(void)state;
	for (int round = 0; round < 3; round++) {
		uint64_t base = peer.next - 1;

		for (int i = 0; i < 4; i++) {
			assert_false(progress_is_full(raft, &peer));
			progress_sent(raft, &peer, 2, 10);
		}
		assert_true(progress_is_full(raft, &peer));
		assert_true(peer.paused);
		assert_int_equal(peer.inflight_bytes, 40);
		progress_free_inflight(raft, &peer, base + 1); /* half of the first: nothing */
		assert_int_equal(peer.inflight_count, 4);
		progress_free_inflight(raft, &peer, base + 5);
		assert_int_equal(peer.inflight_count, 2);
		assert_false(progress_is_full(raft, &peer));
		progress_free_inflight(raft, &peer, base + 8);
		assert_int_equal(peer.inflight_count, 0);
		assert_int_equal(peer.inflight_bytes, 0);
		peer.paused = false;
	}
	progress_sent(raft, &peer, 1, 1000); /* one message may use the bytes up */
	assert_true(progress_is_full(raft, &peer));
	free(peer.inflight);
	raft_destroy(raft);
}

static void test_probe_pauses(void **state)
{
	struct raft *raft = make_raft();
	struct raft_progress peer = make_peer(RAFT_PROBE, 0, 1);

	(void)state;
	progress_sent(raft, &peer, 0, 0);
	assert_false(progress_is_paused(&peer)); /* an empty one does not pause */
	progress_sent(raft, &peer, 3, 30);
	assert_true(progress_is_paused(&peer));
	assert_int_equal(peer.next, 1);
	assert_int_equal(peer.inflight_count, 0);
	raft_destroy(raft);
}

/* RM-23: new ones begin as recently active probes, kept ones keep what is known, others go. */
static void test_rebuild(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);
	struct raft *raft = cluster->nodes[1].raft;

	(void)state;
	progress_find(raft, 2)->match = 1;
	raft->conf.voters.ids[2] = 7; /* 1, 2, 7 */
	member_ids_add(&raft->conf.learners, 5);
	progress_rebuild(raft);
	assert_int_equal(raft->peer_count, 4);
	assert_null(progress_find(raft, 3));
	assert_int_equal(progress_find(raft, 2)->match, 1);
	assert_int_equal(progress_find(raft, 7)->match, 0);
	assert_int_equal(progress_find(raft, 7)->next, 1);
	assert_true(progress_find(raft, 5)->active);
	assert_int_equal(progress_find(raft, 5)->state, RAFT_PROBE);
	cluster_destroy(cluster);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(raft_progress_state_name(RAFT_PROBE), "probe");
	assert_string_equal(raft_progress_state_name(RAFT_REPLICATE), "replicate");
	assert_string_equal(raft_progress_state_name(RAFT_SNAPSHOTTING), "snapshot");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entering),
		cmocka_unit_test(test_accept),
		cmocka_unit_test(test_reject),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_probe_pauses),
		cmocka_unit_test(test_rebuild),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
