/* Replication: the follower's table, conflict probing, windows, commit rules, limits, heartbeats:
 * RM-06, RM-09..15, RC-07, RC-08. */
#include <stdio.h>
#include <string.h>

#include "cluster.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void elect(struct cluster *cluster, uint64_t id)
{
	assert_int_equal(cluster_campaign(cluster, id), RAFT_OK);
	cluster_deliver(cluster);
	assert_int_equal(cluster_status(cluster, id).role, RAFT_LEADER);
}

/* Terms of a log from index 2, as digits. */
static size_t parse_terms(const char *digits, uint64_t *ret_terms)
{
	size_t count = 0;

	for (; digits[count] != '\0'; count++) {
		ret_terms[count] = (uint64_t)(digits[count] - '0');
	}
	return count;
}

static void assert_log(struct cluster *cluster, uint64_t id, const char *digits)
{
	struct raft_status status = cluster_status(cluster, id);

	assert_int_equal(status.last_index, 1 + strlen(digits));
	for (size_t i = 0; digits[i] != '\0'; i++) {
		assert_int_equal(raft_entry_at(cluster->nodes[id].raft, i + 2)->term,
			(uint64_t)(digits[i] - '0'));
	}
}

/* RM-10, RM-11. The log begins at index 2 behind a snapshot at (1, 1); the message is of term 5. */
static const struct {
	const char *log;
	uint64_t known_commit;
	uint64_t prev, prev_term;
	const char *entries;
	uint64_t commit;
	bool reject;
	uint64_t index, hint, hint_term, truncate;
	const char *log_after;
	uint64_t commit_after;
} follower_rows[] = {
	{"11", 1, 3, 1, "2", 1, false, 4, 0, 0, 0, "112", 1},
	{"11", 1, 3, 1, "", 1, false, 3, 0, 0, 0, "11", 1},
	{"11", 1, 1, 1, "11", 3, false, 3, 0, 0, 0, "11", 3},
	/* No conflict never shortens (TRAP-08). */
	{"1122", 1, 1, 1, "1", 1, false, 2, 0, 0, 0, "1122", 1},
	{"1122", 1, 2, 1, "", 9, false, 2, 0, 0, 0, "1122", 2},
	/* The first mismatch is cut, what matches stays. */
	{"1122", 1, 2, 1, "13", 1, false, 4, 0, 0, 4, "113", 1},
	{"1122", 1, 3, 1, "33", 1, false, 5, 0, 0, 4, "1133", 1},
	{"1122", 1, 1, 1, "45", 9, false, 3, 0, 0, 2, "45", 3},
	/* The commit goes no farther than what is known to match. */
	{"1122", 1, 3, 1, "2", 5, false, 4, 0, 0, 0, "1122", 4},
	/* Below the commit: the answer is the commit. */
	{"1122", 4, 2, 1, "12", 4, false, 4, 0, 0, 0, "1122", 4},
	/* Rejections with a hint. */
	{"11", 1, 9, 5, "5", 1, true, 9, 3, 1, 0, "11", 1},
	{"1122", 1, 5, 1, "5", 1, true, 5, 3, 1, 0, "1122", 1},
	{"1122", 1, 5, 4, "5", 1, true, 5, 5, 2, 0, "1122", 1},
	{"2233", 1, 4, 1, "5", 1, true, 4, 1, 1, 0, "2233", 1},
	{"", 1, 7, 2, "", 1, true, 7, 1, 1, 0, "", 1},
};

static void test_follower_table(void **state)
{

	(void)state;
	for (size_t i = 0; i < COUNT(follower_rows); i++) {
		struct cluster *cluster = cluster_create(3, 0);
		struct raft_entry entries[8] = {{0}};
		uint64_t terms[8], log_terms[8];
		size_t count = parse_terms(follower_rows[i].entries, terms);

		cluster_start_log(
			cluster, 1, 3, log_terms, parse_terms(follower_rows[i].log, log_terms));
		cluster_receive(cluster, 1,
			(struct raft_message){.kind = RAFT_HEARTBEAT,
				.from = 2,
				.term = 5,
				.commit = follower_rows[i].known_commit});
		cluster_drop_all(cluster);
		for (size_t k = 0; k < count; k++) {
			entries[k] = (struct raft_entry){.index = follower_rows[i].prev + 1 + k,
				.term = terms[k],
				.kind = RAFT_ENTRY_DATA};
		}
		cluster_receive(cluster, 1,
			(struct raft_message){.kind = RAFT_APPEND,
				.from = 2,
				.term = 5,
				.index = follower_rows[i].prev,
				.log_term = follower_rows[i].prev_term,
				.commit = follower_rows[i].commit,
				.entries = entries,
				.entry_count = count});
		const struct raft_message *answer = cluster_find(cluster, RAFT_APPEND_RESP, 2);

		assert_non_null(answer);
		if (answer->reject != follower_rows[i].reject ||
			answer->index != follower_rows[i].index ||
			answer->hint_index != follower_rows[i].hint ||
			answer->log_term != follower_rows[i].hint_term) {
			fail_msg("row %zu: answer %d %llu hint %llu/%llu", i, answer->reject,
				(unsigned long long)answer->index,
				(unsigned long long)answer->hint_index,
				(unsigned long long)answer->log_term);
		}
		assert_int_equal(
			cluster->nodes[1].effects.truncate_from, follower_rows[i].truncate);
		assert_log(cluster, 1, follower_rows[i].log_after);
		assert_int_equal(
			cluster_status(cluster, 1).commit_index, follower_rows[i].commit_after);
		cluster_destroy(cluster);
	}
}

/* A leader of term `term` over a log, without any traffic of its election. */
static struct cluster *make_leader(const char *log, const char *follower_log)
{
	struct cluster *cluster = cluster_create(3, RAFT_NO_PREVOTE);
	uint64_t terms[16];

	cluster_start_log(cluster, 1, 3, terms, parse_terms(log, terms));
	cluster_start_log(cluster, 2, 3, terms, parse_terms(follower_log, terms));
	cluster_start_log(cluster, 3, 3, terms, parse_terms(log, terms));
	cluster_isolate(cluster, 2, true);
	elect(cluster, 1);
	cluster_isolate(cluster, 2, false);
	cluster_drop_all(cluster);
	/* A heartbeat answered makes the probe go on. */
	cluster_pass(cluster, 10);
	return cluster;
}

/* RM-11: one probe per term, both sides skip: far fewer than one per entry. */
static void test_probing(void **state)
{
	static const struct {
		const char *leader, *follower;
		size_t rejections_max;
	} rows[] = {
		/* RM-11's example, one index later. */
		{"33355555", "1111112", 3},
		{"1112222222", "1113333333333", 3},
		{"1111111111", "1", 3},
		{"4444", "1122", 3},
		{"6666666666", "2233445555", 6},
		{"1111111", "", 3},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct cluster *cluster = make_leader(rows[i].leader, rows[i].follower);
		size_t rejections = 0;
		char expected[24];

		for (int beat = 0; beat < 5; beat++) {
			while (cluster->letter_count > 0) {
				const struct raft_message *answer =
					cluster_find(cluster, RAFT_APPEND_RESP, 1);

				rejections += answer != NULL && answer->reject &&
					      answer == &cluster->letters[0].message;
				cluster_deliver_one(cluster);
			}
			cluster_pass(cluster, 10);
		}
		assert_true(rejections <= rows[i].rejections_max);
		snprintf(expected, sizeof(expected), "%s%llu", rows[i].leader,
			(unsigned long long)cluster_status(cluster, 1).term);
		assert_log(cluster, 1, expected);
		assert_log(cluster, 2, expected);
		cluster_destroy(cluster);
	}
}

/* RM-09: a probe with entries goes once, then it rests until an answer; a HEARTBEAT_RESP frees it.
 */
static void test_probe_pauses(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);
	struct raft_status status;

	(void)state;
	elect(cluster, 1);
	cluster_step(
		cluster, 1, (struct raft_event){.kind = RAFT_UNREACHABLE, .u.unreachable.peer = 2});
	status = cluster_status(cluster, 1);
	assert_int_equal(cluster_peer(&status, 2)->state, RAFT_PROBE);
	cluster_propose(cluster, 1, "a");
	assert_int_equal(cluster_count(cluster, RAFT_APPEND, 2), 1);
	cluster_propose(cluster, 1, "b");
	cluster_propose(cluster, 1, "c");
	assert_int_equal(cluster_count(cluster, RAFT_APPEND, 2), 1);
	assert_int_equal(cluster_count(cluster, RAFT_APPEND, 3), 3);
	cluster_drop(cluster, RAFT_APPEND, 2); /* lost: only a heartbeat brings it on */
	cluster_deliver(cluster);
	assert_int_equal(cluster_status(cluster, 2).last_index, 2);
	cluster_pass(cluster, 10);
	cluster_deliver(cluster);
	assert_int_equal(cluster_status(cluster, 2).last_index, 5);
	status = cluster_status(cluster, 1);
	assert_int_equal(cluster_peer(&status, 2)->state, RAFT_REPLICATE);
	cluster_destroy(cluster);
}

/* Replicate: pipelined up to the window, then one empty APPEND per HEARTBEAT_RESP. */
static void test_window(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);
	struct raft_status status;

	(void)state;
	elect(cluster, 1);
	for (int i = 0; i < 7; i++) {
		assert_int_equal(cluster_propose(cluster, 1, "abc"), RAFT_OK);
	}
	assert_int_equal(cluster_count(cluster, RAFT_APPEND, 2), 4);
	status = cluster_status(cluster, 1);
	assert_int_equal(cluster_peer(&status, 2)->inflight_messages, 4);
	assert_true(cluster_peer(&status, 2)->paused);
	cluster_drop_all(cluster);
	for (int beat = 0; beat < 3; beat++) {
		cluster_receive(cluster, 1,
			(struct raft_message){.kind = RAFT_HEARTBEAT_RESP, .from = 2, .term = 2});
		assert_int_equal(cluster_count(cluster, RAFT_APPEND, 2), 1);
		assert_int_equal(cluster_find(cluster, RAFT_APPEND, 2)->entry_count, 0);
		cluster_drop_all(cluster);
	}
	/* The empty one is refused, for what lies before it was lost: Probe, and all is sent. */
	cluster_receive(cluster, 1,
		(struct raft_message){.kind = RAFT_APPEND_RESP,
			.from = 2,
			.term = 2,
			.reject = true,
			.index = 6,
			.hint_index = 2,
			.log_term = 2});
	cluster_deliver(cluster);
	assert_int_equal(cluster_status(cluster, 2).last_index, 9);
	cluster_destroy(cluster);
}

/* An APPEND carries at most append_bytes_max, but at least one entry. */
static void test_append_size(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);
	char big[300];

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	elect(cluster, 1);
	cluster_step(
		cluster, 1, (struct raft_event){.kind = RAFT_UNREACHABLE, .u.unreachable.peer = 2});
	cluster_propose(cluster, 1, "0123456789");
	cluster_drop_all(cluster);
	for (int i = 0; i < 3; i++) {
		cluster_propose(cluster, 1, "0123456789012345678901234567890123456789");
	}
	cluster_propose(cluster, 1, big);
	cluster_drop_all(cluster);
	cluster_receive(cluster, 1,
		(struct raft_message){.kind = RAFT_HEARTBEAT_RESP, .from = 2, .term = 2});
	/* 10 + 40 + 40 bytes fit in 100, the next does not. */
	assert_int_equal(cluster_find(cluster, RAFT_APPEND, 2)->entry_count, 3);
	cluster_deliver(cluster);
	assert_int_equal(cluster_status(cluster, 2).last_index, 7);
	cluster_destroy(cluster);
}

/* Figure 8: an entry of an older term never commits by counting, only behind one of our own. */
static void test_old_term(void **state)
{
	struct cluster *cluster = cluster_create(5, RAFT_NO_PREVOTE);
	uint64_t terms[] = {1, 2};

	(void)state;
	cluster_start_log(cluster, 1, 5, terms, 2);
	cluster_campaign(cluster, 1);
	cluster_drop_all(cluster);
	for (uint64_t id = 2; id <= 3; id++) {
		cluster_receive(cluster, 1,
			(struct raft_message){.kind = RAFT_VOTE_RESP, .from = id, .term = 3});
	}
	assert_int_equal(cluster_status(cluster, 1).role, RAFT_LEADER);
	assert_int_equal(cluster_status(cluster, 1).last_index, 4);
	for (uint64_t id = 2; id <= 5; id++) {
		cluster_receive(cluster, 1,
			(struct raft_message){
				.kind = RAFT_APPEND_RESP, .from = id, .term = 3, .index = 3});
	}
	assert_int_equal(cluster_status(cluster, 1).commit_index, 1);
	cluster_receive(cluster, 1,
		(struct raft_message){.kind = RAFT_APPEND_RESP, .from = 2, .term = 3, .index = 4});
	assert_int_equal(cluster_status(cluster, 1).commit_index, 1);
	cluster_receive(cluster, 1,
		(struct raft_message){.kind = RAFT_APPEND_RESP, .from = 3, .term = 3, .index = 4});
	assert_int_equal(cluster_status(cluster, 1).commit_index, 4);
	cluster_destroy(cluster);
}

/* The leader's own entry counts when it is durable, and followers may commit before. */
static void test_leader_disk(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);
	uint64_t seq;

	(void)state;
	elect(cluster, 1);
	cluster->nodes[1].manual = true;
	cluster_propose(cluster, 1, "a");
	seq = cluster->nodes[1].effects.persist_seq;
	assert_true(seq > 0);
	/* APPENDs overlap the leader's own sync (dissertation 10.2.1). */
	assert_int_equal(cluster_count(cluster, RAFT_APPEND, 2), 1);
	cluster_isolate(cluster, 3, true);
	cluster_deliver(cluster);
	assert_int_equal(cluster_status(cluster, 1).commit_index, 2);
	cluster_persist(cluster, 1, seq);
	assert_int_equal(cluster_status(cluster, 1).commit_index, 3);
	cluster_propose(cluster, 1, "b");
	cluster_isolate(cluster, 3, false);
	cluster_deliver(cluster);
	for (int i = 0; i < 3; i++) {
		cluster_pass(cluster, 10);
		cluster_deliver(cluster);
	}
	/* Two followers are a quorum without us; but we apply only what is durable here. */
	assert_int_equal(cluster_status(cluster, 1).commit_index, 4);
	assert_int_equal(cluster->nodes[1].effects.apply_index, 3);
	cluster_destroy(cluster);
}

static void test_stale_answers(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);
	struct raft_status status;

	(void)state;
	elect(cluster, 1);
	cluster_propose(cluster, 1, "a");
	cluster_deliver(cluster);
	status = cluster_status(cluster, 1);
	assert_int_equal(cluster_peer(&status, 2)->match, 3);
	/* Doubled, late, impossible, unknown. */
	static const struct raft_message stale[] = {
		{.kind = RAFT_APPEND_RESP, .from = 2, .term = 2, .index = 2},
		{.kind = RAFT_APPEND_RESP, .from = 2, .term = 2, .index = 99},
		{.kind = RAFT_APPEND_RESP, .from = 2, .term = 2, .index = 3, .reject = true},
		{.kind = RAFT_APPEND_RESP, .from = 2, .term = 2, .index = 1, .reject = true},
		{.kind = RAFT_APPEND_RESP, .from = 7, .term = 2, .index = 3},
		{.kind = RAFT_HEARTBEAT_RESP, .from = 7, .term = 2, .context = 5},
	};

	for (size_t i = 0; i < COUNT(stale); i++) {
		cluster_receive(cluster, 1, stale[i]);
		status = cluster_status(cluster, 1);
		assert_int_equal(cluster_peer(&status, 2)->match, 3);
		assert_int_equal(cluster_peer(&status, 2)->state, RAFT_REPLICATE);
		assert_int_equal(cluster->letter_count, 0);
	}
	cluster_destroy(cluster);
}

/* A follower that accepted but heard no commit: an empty APPEND tells it (RM-13). */
static void test_lagging_commit(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);

	(void)state;
	elect(cluster, 1);
	cluster_propose(cluster, 1, "a");
	cluster_deliver_one(cluster); /* APPEND to 2 */
	cluster_deliver_one(cluster); /* APPEND to 3 */
	cluster_deliver_one(cluster); /* 2 accepts: committed, broadcast */
	assert_int_equal(cluster_status(cluster, 1).commit_index, 3);
	cluster_drop(cluster, RAFT_APPEND, 2); /* the news to 2 is lost */
	cluster_deliver(cluster);
	assert_int_equal(cluster_status(cluster, 2).commit_index, 2);
	assert_int_equal(cluster_status(cluster, 3).commit_index, 3);
	cluster_pass(cluster, 10); /* the heartbeat has it */
	cluster_deliver(cluster);
	assert_int_equal(cluster_status(cluster, 2).commit_index, 3);
	cluster_destroy(cluster);
}

/* RM-14: a heartbeat never says more than the peer is known to have. */
static void test_heartbeat_commit(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);

	(void)state;
	elect(cluster, 1);
	cluster_isolate(cluster, 3, true);
	cluster_propose(cluster, 1, "a");
	cluster_deliver(cluster);
	cluster_pass(cluster, 10);
	assert_int_equal(cluster_find(cluster, RAFT_HEARTBEAT, 2)->commit, 3);
	assert_int_equal(cluster_find(cluster, RAFT_HEARTBEAT, 3)->commit, 2);
	cluster_destroy(cluster);
}

static enum raft_refusal propose_many(
	struct cluster *cluster, struct raft_payload **payloads, size_t count)
{
	struct raft_event event = {
		.kind = RAFT_PROPOSE, .u.propose = {.payloads = payloads, .count = count}};

	return cluster_step(cluster, 1, event);
}

/* RC-07: 1,000 bytes uncommitted here; empty entries, and the first one, always pass. */
static void test_limits(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);
	struct raft_payload *small = raft_payload_create(NULL, 400);
	struct raft_payload *large = raft_payload_create(NULL, 2000);
	struct raft_payload *huge = raft_payload_create(NULL, RAFT_ENTRY_BYTES_MAX + 1);
	struct raft_payload *none = NULL;
	struct raft_payload *mixed[] = {small, huge};
	struct raft_payload *pair[] = {small, NULL, small};
	uint64_t hash;

	(void)state;
	memset(small->bytes, 1, 400);
	memset(large->bytes, 2, 2000);
	memset(huge->bytes, 3, RAFT_ENTRY_BYTES_MAX + 1);
	assert_int_equal(propose_many(cluster, &small, 1), RAFT_NO_LEADER);
	elect(cluster, 1);
	assert_int_equal(cluster_propose(cluster, 2, "x"), RAFT_NOT_LEADER);
	assert_int_equal(propose_many(cluster, &huge, 1), RAFT_TOO_LARGE);
	assert_int_equal(propose_many(cluster, mixed, 2), RAFT_TOO_LARGE);
	assert_int_equal(cluster_status(cluster, 1).last_index, 2);
	assert_int_equal(propose_many(cluster, &large, 1), RAFT_OK); /* nothing uncommitted */
	hash = raft_hash(cluster->nodes[1].raft);
	assert_int_equal(propose_many(cluster, &small, 1), RAFT_TOO_MUCH);
	assert_int_equal(raft_hash(cluster->nodes[1].raft), hash); /* nothing changed */
	assert_int_equal(propose_many(cluster, &none, 1), RAFT_OK);
	cluster_deliver(cluster);
	assert_int_equal(cluster_status(cluster, 1).uncommitted_bytes, 0);
	assert_int_equal(propose_many(cluster, pair, 3), RAFT_OK);
	assert_int_equal(cluster->nodes[1].effects.accepted_index, 5);
	assert_int_equal(cluster_status(cluster, 1).last_index, 7);
	assert_int_equal(cluster_status(cluster, 1).uncommitted_bytes, 800);
	assert_int_equal(propose_many(cluster, pair, 3), RAFT_TOO_MUCH); /* whole or not at all */
	assert_int_equal(cluster_status(cluster, 1).last_index, 7);
	cluster_deliver(cluster);
	cluster_destroy(cluster);
	assert_int_equal(small->references, 1);
	raft_payload_unref(small);
	raft_payload_unref(large);
	raft_payload_unref(huge);
}

static void test_unapplied_limit(void **state)
{
	struct cluster *cluster = cluster_create(1, 0);
	static struct raft_payload *none[5000];

	(void)state;
	elect(cluster, 1);
	cluster->nodes[1].idle = true;
	assert_int_equal(propose_many(cluster, none, 5000), RAFT_OK);
	assert_int_equal(propose_many(cluster, none, 4999), RAFT_OK);
	assert_int_equal(propose_many(cluster, none, 1), RAFT_OK);
	assert_int_equal(propose_many(cluster, none, 1), RAFT_TOO_MUCH);
	cluster_apply(cluster, 1, 3);
	assert_int_equal(propose_many(cluster, none, 1), RAFT_OK);
	cluster_destroy(cluster);
}

/* RM-15: a peer that says it lost its tail is probed from there; what it committed stays. */
static void test_peer_reset(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);
	struct raft_event reset = {.kind = RAFT_PEER_RESET, .u.peer_reset = {2, 9}};
	struct raft_status status;

	(void)state;
	elect(cluster, 1);
	for (int i = 0; i < 3; i++) {
		cluster_propose(cluster, 1, "a");
	}
	cluster_deliver(cluster);
	cluster_step(cluster, 1, reset); /* it has more than we know: nothing */
	status = cluster_status(cluster, 1);
	assert_int_equal(cluster_peer(&status, 2)->match, 5);
	reset.u.peer_reset.last = 3;
	cluster_step(cluster, 1, reset);
	status = cluster_status(cluster, 1);
	assert_int_equal(cluster_peer(&status, 2)->match, 0);
	assert_int_equal(cluster_peer(&status, 2)->state, RAFT_PROBE);
	assert_int_equal(status.commit_index, 5);
	assert_int_equal(cluster_find(cluster, RAFT_APPEND, 2)->index, 3);
	cluster_deliver(cluster);
	status = cluster_status(cluster, 1);
	assert_int_equal(cluster_peer(&status, 2)->match, 5);
	cluster_destroy(cluster);
}

/* RC-10: ascending by peer, then as produced. */
static void test_message_order(void **state)
{
	struct cluster *cluster = cluster_create(5, 0);

	(void)state;
	elect(cluster, 3);
	cluster_pass(cluster, 10);
	for (size_t i = 1; i < cluster->letter_count; i++) {
		assert_true(cluster->letters[i - 1].message.to <= cluster->letters[i].message.to);
	}
	assert_int_equal(cluster->letter_count, 4);
	cluster_destroy(cluster);
}

/* RB-03: a heartbeat unanswered for E ends the good time of a peer; a late leader does not. */
static void test_steady_peers(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);
	struct raft_status status;
	uint64_t begin;

	(void)state;
	assert_int_equal(cluster_campaign(cluster, 1), RAFT_OK);
	cluster_deliver(cluster);
	begin = cluster->now_ms;
	for (int i = 0; i < 50; i++) {
		cluster_pass(cluster, 10);
		cluster_deliver(cluster);
	}
	status = cluster_status(cluster, 1);
	assert_int_equal(cluster_peer(&status, 2)->steady_ms, begin);
	cluster->cut[1][3] = true; /* 3 hears nothing any more, 2 goes on */
	for (int i = 0; i < 15; i++) {
		cluster_pass(cluster, 10);
		cluster_deliver(cluster);
	}
	status = cluster_status(cluster, 1);
	assert_int_equal(cluster_peer(&status, 2)->steady_ms, begin);
	assert_int_equal(cluster_peer(&status, 3)->steady_ms, cluster->now_ms);
	cluster_destroy(cluster);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steady_peers),
		cmocka_unit_test(test_follower_table),
		cmocka_unit_test(test_probing),
		cmocka_unit_test(test_probe_pauses),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_append_size),
		cmocka_unit_test(test_old_term),
		cmocka_unit_test(test_leader_disk),
		cmocka_unit_test(test_stale_answers),
		cmocka_unit_test(test_lagging_commit),
		cmocka_unit_test(test_heartbeat_commit),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_unapplied_limit),
		cmocka_unit_test(test_peer_reset),
		cmocka_unit_test(test_message_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
