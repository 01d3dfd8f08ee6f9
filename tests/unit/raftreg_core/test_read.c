/* ReadIndex: rounds, positions, followers, failure: RM-16, RM-17. */
#include <string.h>

#include "cluster.h"

static void elect(struct cluster *cluster, uint64_t id)
{
	assert_int_equal(cluster_campaign(cluster, id), RAFT_OK);
	cluster_deliver(cluster);
	assert_int_equal(cluster_status(cluster, id).role, RAFT_LEADER);
}

static void assert_read(
	struct cluster *cluster, uint64_t id, size_t place, uint64_t cookie, uint64_t index)
{
	assert_true(cluster->nodes[id].read_count > place);
	assert_int_equal(cluster->nodes[id].reads[place].cookie, cookie);
	assert_int_equal(cluster->nodes[id].reads[place].index, index);
	assert_int_equal(cluster->nodes[id].reads[place].failed, index == 0);
}

static void test_leader_round(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);

	(void)state;
	assert_int_equal(cluster_read(cluster, 1, 7), RAFT_NO_LEADER);
	elect(cluster, 1);
	assert_int_equal(cluster_read(cluster, 1, 7), RAFT_OK);
	assert_int_equal(cluster_count(cluster, RAFT_HEARTBEAT, 0), 2);
	assert_int_equal(cluster->nodes[1].read_count, 0);
	cluster_deliver(cluster);
	assert_read(cluster, 1, 0, 7, 2);
	cluster_destroy(cluster);
}

/* Reads that come while a round runs join the next, started when it is confirmed. */
static void test_rounds_join(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);

	(void)state;
	elect(cluster, 1);
	cluster_read(cluster, 1, 1);
	cluster_read(cluster, 1, 2);
	cluster_read(cluster, 1, 3);
	assert_int_equal(cluster_count(cluster, RAFT_HEARTBEAT, 2), 1);
	cluster_deliver_one(cluster);
	cluster_drop(cluster, RAFT_HEARTBEAT, 3);
	cluster_deliver_one(cluster);
	assert_int_equal(cluster->nodes[1].read_count, 1);
	assert_int_equal(cluster_count(cluster, RAFT_HEARTBEAT, 2), 1);
	assert_int_equal(cluster_find(cluster, RAFT_HEARTBEAT, 2)->context, 3);
	cluster_deliver(cluster);
	assert_int_equal(cluster->nodes[1].read_count, 3);
	assert_read(cluster, 1, 2, 3, 2);
	assert_int_equal(cluster->letter_count, 0);
	cluster_destroy(cluster);
}

/* TRAP-16: an answer to a heartbeat sent before the read does not confirm it. */
static void test_earlier_round(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);
	struct raft_message answer = {.kind = RAFT_HEARTBEAT_RESP, .from = 2, .term = 2};

	(void)state;
	elect(cluster, 1);
	cluster_read(cluster, 1, 1);
	cluster_drop_all(cluster);
	answer.context = 0;
	cluster_receive(cluster, 1, answer);
	assert_int_equal(cluster->nodes[1].read_count, 0);
	answer.context = 1;
	cluster_receive(cluster, 1, answer);
	assert_int_equal(cluster->nodes[1].read_count, 1);
	cluster_read(cluster, 1, 2);
	answer.from = 3;
	cluster_receive(cluster, 1, answer); /* round 1 by another peer */
	assert_int_equal(cluster->nodes[1].read_count, 1);
	answer.context = 9; /* a position never given out */
	cluster_receive(cluster, 1, answer);
	assert_int_equal(cluster->nodes[1].read_count, 1);
	answer.context = 2;
	cluster_receive(cluster, 1, answer);
	assert_read(cluster, 1, 1, 2, 2);
	cluster_destroy(cluster);
}

/* Not before an own-term entry is committed (etcd#7331): until then reads wait. */
static void test_before_commit(void **state)
{
	struct cluster *cluster = cluster_create(3, RAFT_NO_PREVOTE);
	struct raft_message answer = {.from = 2, .term = 2};

	(void)state;
	cluster_campaign(cluster, 1);
	cluster_drop_all(cluster);
	answer.kind = RAFT_VOTE_RESP;
	cluster_receive(cluster, 1, answer);
	assert_int_equal(cluster_status(cluster, 1).role, RAFT_LEADER);
	assert_int_equal(cluster_read(cluster, 1, 1), RAFT_OK);
	assert_int_equal(cluster_read(cluster, 1, 2), RAFT_OK);
	assert_int_equal(cluster_count(cluster, RAFT_HEARTBEAT, 0), 0);
	answer.kind = RAFT_HEARTBEAT_RESP;
	cluster_receive(cluster, 1, answer);
	assert_int_equal(cluster->nodes[1].read_count, 0);
	cluster_deliver(cluster);
	assert_int_equal(cluster_status(cluster, 1).commit_index, 2);
	assert_read(cluster, 1, 0, 1, 2);
	assert_read(cluster, 1, 1, 2, 2);
	cluster_destroy(cluster);
}

static void test_single_voter(void **state)
{
	struct cluster *cluster = cluster_create(1, 0);

	(void)state;
	elect(cluster, 1);
	cluster_read(cluster, 1, 1);
	assert_read(cluster, 1, 0, 1, 2);
	assert_int_equal(cluster->letter_count, 0);
	cluster_destroy(cluster);
}

static void test_step_down(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);

	(void)state;
	elect(cluster, 1);
	cluster_read(cluster, 1, 1);
	cluster_read(cluster, 1, 2);
	cluster_receive(
		cluster, 1, (struct raft_message){.kind = RAFT_APPEND, .from = 2, .term = 9});
	assert_read(cluster, 1, 0, 1, 0);
	assert_read(cluster, 1, 1, 2, 0);
	assert_int_equal(cluster_status(cluster, 1).read_count, 0);
	cluster_destroy(cluster);
}

static void test_follower(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);
	uint64_t first, second;

	(void)state;
	elect(cluster, 1);
	cluster_read(cluster, 2, 5);
	first = cluster_find(cluster, RAFT_READ_INDEX, 1)->context;
	cluster_drop_all(cluster);
	cluster_read(cluster, 2, 6);
	second = cluster_find(cluster, RAFT_READ_INDEX, 1)->context;
	assert_int_not_equal(first, second);
	/* The first was lost and the second is answered: out of order is well. */
	cluster_deliver(cluster);
	assert_int_equal(cluster->nodes[2].read_count, 1);
	assert_read(cluster, 2, 0, 6, 2);
	/* Doubled answers and strange ids change nothing. */
	struct raft_message strange = {.kind = RAFT_READ_INDEX_RESP, .from = 1, .term = 2};

	for (uint64_t id = second; id < second + 3; id++) {
		strange.context = id;
		strange.index = 2;
		cluster_receive(cluster, 2, strange);
	}
	assert_int_equal(cluster->nodes[2].read_count, 1);
	/* Unanswered after 2E it fails. */
	cluster->now_ms += 199;
	cluster_receive(
		cluster, 2, (struct raft_message){.kind = RAFT_HEARTBEAT, .from = 1, .term = 2});
	cluster_step(cluster, 2, (struct raft_event){.kind = RAFT_DEADLINE});
	assert_int_equal(cluster->nodes[2].read_count, 1);
	assert_int_equal(cluster->nodes[2].effects.deadline_ms, cluster->now_ms + 1);
	cluster_pass(cluster, 1);
	assert_read(cluster, 2, 1, 5, 0);
	cluster_destroy(cluster);
}

/* Two lives of a replica never use the same id: it follows the seed. */
static void test_ids(void **state)
{
	struct raft_options options = cluster_options(2);
	uint64_t ids[2];

	(void)state;
	for (int life = 0; life < 2; life++) {
		struct raft_snapshot snapshot = {.index = 1, .term = 1, .conf = cluster_conf(3)};
		struct raft_event event = {.kind = RAFT_RESTORE};
		struct raft_message heartbeat = {
			.kind = RAFT_HEARTBEAT, .from = 1, .to = 2, .term = 2};
		struct raft_effects effects;
		struct raft *raft;

		options.seed = (uint64_t)life + 1;
		raft = raft_create(&options);
		event.u.restore = (struct raft_restore){.hard = {.term = 1}, .snapshot = &snapshot};
		raft_step(raft, &event, &effects);
		event = (struct raft_event){.kind = RAFT_RECEIVE, .u.receive = &heartbeat};
		raft_step(raft, &event, &effects);
		event = (struct raft_event){.kind = RAFT_READ, .u.read.cookie = 1};
		raft_step(raft, &event, &effects);
		assert_int_equal(effects.messages[0].kind, RAFT_READ_INDEX);
		ids[life] = effects.messages[0].context;
		raft_destroy(raft);
	}
	assert_int_not_equal(ids[0], ids[1]);
}

static void test_limit(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);

	(void)state;
	elect(cluster, 1);
	for (uint64_t i = 0; i < 65536; i++) {
		assert_int_equal(raft_step(cluster->nodes[1].raft,
					 &(struct raft_event){.now_ms = cluster->now_ms,
						 .kind = RAFT_READ,
						 .u.read.cookie = i},
					 &cluster->nodes[1].effects),
			RAFT_OK);
	}
	assert_int_equal(cluster_read(cluster, 1, 1), RAFT_TOO_MUCH);
	/* A forwarded one is dropped, and the follower's limit of time covers it. */
	cluster_receive(cluster, 1,
		(struct raft_message){.kind = RAFT_READ_INDEX, .from = 2, .term = 2, .context = 3});
	assert_int_equal(cluster_status(cluster, 1).read_count, 65536);
	cluster_destroy(cluster);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_leader_round),
		cmocka_unit_test(test_rounds_join),
		cmocka_unit_test(test_earlier_round),
		cmocka_unit_test(test_before_commit),
		cmocka_unit_test(test_single_voter),
		cmocka_unit_test(test_step_down),
		cmocka_unit_test(test_follower),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
