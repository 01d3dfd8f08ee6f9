/* Traces, and that raft_check sees what is broken. */
#include <string.h>

#include "cluster.h"
#include "raftreg/core/internal.h"

static struct cluster *make_leader(void)
{
	struct cluster *cluster = cluster_create(3, 0);

	cluster_campaign(cluster, 1);
	cluster_deliver(cluster);
	cluster_propose(cluster, 1, "abc");
	return cluster;
}

static void test_lines(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);

	(void)state;
	cluster_campaign(cluster, 1);
	assert_string_equal(
		raft_trace(cluster->nodes[1].raft), "follower to pre-candidate in term 1\n");
	raft_trace_enable(cluster->nodes[1].raft, false);
	cluster_deliver(cluster);
	assert_string_equal(raft_trace(cluster->nodes[1].raft), "");
	cluster_destroy(cluster);
}

/* A line that does not fit whole is left out, and what stands there stays terminated. */
static void test_bound(void **state)
{
	struct cluster *cluster = cluster_create(1, 0);
	struct raft *raft = cluster->nodes[1].raft;

	(void)state;
	for (int i = 0; i < 3000; i++) {
		trace_line(raft, "line number %d", i);
	}
	assert_true(strlen(raft_trace(raft)) < RAFT_TRACE_MAX);
	assert_true(strlen(raft_trace(raft)) > RAFT_TRACE_MAX - 40);
	assert_int_equal(raft_trace(raft)[strlen(raft_trace(raft)) - 1], '\n');
	cluster_destroy(cluster);
}

/* Each row breaks one thing by hand; the check must name it. */
static void break_it(struct raft *raft, int what)
{
	switch (what) {
	case 0:
		raft->commit = 99;
		break;
	case 1:
		raft->applied = raft->commit + 1;
		break;
	case 2:
		raft->log.base[raft->log.start].term = 77;
		break;
	case 3:
		raft->log.base[raft->log.start].index = 77;
		break;
	case 4:
		raft->uncommitted_bytes++;
		break;
	case 5:
		raft->leader = 2;
		break;
	case 6:
		raft->hard.vote = 2;
		break;
	case 7:
		raft->durable_term = 1;
		break;
	case 8:
		raft->peers[1].next = raft->peers[1].match;
		break;
	case 9:
		raft->peers[1].pending = 3;
		break;
	case 10:
		raft->peers[1].inflight_bytes++;
		break;
	case 11:
		raft->peers[1].id = 9;
		break;
	case 12:
		raft->durable = 99;
		break;
	case 13:
		raft->log.before_index++;
		break;
	case 14:
		raft->role = RAFT_CANDIDATE;
		break;
	case 15:
		raft->role = RAFT_FOLLOWER;
		break;
	case 16:
		raft->role = RAFT_PRE_CANDIDATE;
		break;
	default:
		raft->peers[1].state = RAFT_PROBE;
		break;
	}
}

static void test_check(void **state)
{
	(void)state;
	for (int what = 0; what <= 17; what++) {
		struct cluster *cluster = make_leader();
		struct raft copy = *cluster->nodes[1].raft;
		struct raft_entry entry = copy.log.base[copy.log.start];

		assert_null(raft_check(cluster->nodes[1].raft));
		break_it(cluster->nodes[1].raft, what);
		if (raft_check(cluster->nodes[1].raft) == NULL) {
			fail_msg("breach %d was not seen", what);
		}
		*cluster->nodes[1].raft = copy; /* so that it can be destroyed */
		copy.log.base[copy.log.start] = entry;
		cluster_destroy(cluster);
	}
}

static void test_hash(void **state)
{
	struct cluster *cluster = make_leader();
	uint64_t hash = raft_hash(cluster->nodes[1].raft);

	(void)state;
	assert_int_equal(raft_hash(cluster->nodes[1].raft), hash);
	assert_int_not_equal(raft_hash(cluster->nodes[2].raft), hash);
	cluster_read(cluster, 1, 1);
	assert_int_not_equal(raft_hash(cluster->nodes[1].raft), hash);
	cluster_destroy(cluster);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
