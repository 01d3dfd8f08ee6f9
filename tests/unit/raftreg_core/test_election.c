/* Elections with and without each guard, votes, timers, transfer: RM-01..08, RM-18; dissertation
 * 3.4, 3.6, 3.10, 4.2.3, 6.4. */
#include <string.h>

#include "cluster.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void elect(struct cluster *cluster, uint64_t id)
{
	assert_int_equal(cluster_campaign(cluster, id), RAFT_OK);
	cluster_deliver(cluster);
	assert_int_equal(cluster_status(cluster, id).role, RAFT_LEADER);
}

static void test_phases(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);
	struct raft_status status;

	(void)state;
	assert_int_equal(cluster_campaign(cluster, 1), RAFT_OK);
	status = cluster_status(cluster, 1);
	assert_int_equal(status.role, RAFT_PRE_CANDIDATE);
	assert_int_equal(status.term, 1); /* a pre-vote changes neither term nor vote */
	assert_int_equal(status.vote, 0);
	assert_int_equal(cluster_find(cluster, RAFT_PREVOTE, 2)->term, 2);
	assert_true(cluster_deliver_one(cluster)); /* request to 2 */
	assert_int_equal(cluster_status(cluster, 2).term, 1);
	assert_int_equal(cluster_find(cluster, RAFT_PREVOTE_RESP, 1)->term, 2);
	cluster_drop(cluster, RAFT_PREVOTE, 3);
	assert_true(cluster_deliver_one(cluster));
	status = cluster_status(cluster, 1);
	assert_int_equal(status.role, RAFT_CANDIDATE);
	assert_int_equal(status.term, 2);
	assert_int_equal(status.vote, 1);
	cluster_deliver(cluster);
	status = cluster_status(cluster, 1);
	assert_int_equal(status.role, RAFT_LEADER);
	assert_int_equal(status.last_index, 2); /* its empty entry */
	assert_int_equal(cluster_peer(&status, 1)->match, 2);
	assert_int_equal(status.commit_index, 2);
	assert_int_equal(cluster_status(cluster, 2).leader, 1);
	assert_int_equal(cluster_status(cluster, 3).vote, 1);
	cluster_destroy(cluster);
}

static void test_single_voter(void **state)
{
	struct cluster *cluster = cluster_create(1, 0);

	(void)state;
	cluster->nodes[1].manual = true;
	assert_int_equal(cluster_campaign(cluster, 1), RAFT_OK);
	/* Its own vote counts only when it is durable. */
	assert_int_equal(cluster_status(cluster, 1).role, RAFT_CANDIDATE);
	cluster_persist(cluster, 1, 1);
	assert_int_equal(cluster_status(cluster, 1).role, RAFT_LEADER);
	struct raft_status status = cluster_status(cluster, 1);

	assert_int_equal(cluster_peer(&status, 1)->match, 1); /* RM-06: the last durable */
	/* So does its own entry. */
	assert_int_equal(cluster_status(cluster, 1).commit_index, 1);
	cluster_persist(cluster, 1, 2);
	assert_int_equal(cluster_status(cluster, 1).commit_index, 2);
	assert_int_equal(cluster->letter_count, 0);
	cluster_destroy(cluster);
}

static void test_timers(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);
	uint64_t seen_low = UINT64_MAX, seen_high = 0;

	(void)state;
	for (int i = 0; i < 200; i++) {
		uint64_t start = cluster->now_ms, deadline = cluster->nodes[1].effects.deadline_ms;

		assert_in_range(deadline - start, 100, 199);
		seen_low = deadline - start < seen_low ? deadline - start : seen_low;
		seen_high = deadline - start > seen_high ? deadline - start : seen_high;
		/* Early: nothing changes, the same deadline. */
		cluster->now_ms = deadline - 1;
		uint64_t hash = raft_hash(cluster->nodes[1].raft);

		cluster_step(cluster, 1, (struct raft_event){.kind = RAFT_DEADLINE});
		assert_int_equal(raft_hash(cluster->nodes[1].raft), hash);
		assert_int_equal(cluster->nodes[1].effects.deadline_ms, deadline);
		/* Late, even by hours: one expiry. */
		cluster->now_ms = deadline + (i % 3 == 0 ? 7200000 : 0);
		cluster_step(cluster, 1, (struct raft_event){.kind = RAFT_DEADLINE});
		assert_int_equal(cluster->letter_count, 2);
		cluster_drop_all(cluster);
	}
	assert_true(seen_low < 110 && seen_high > 190);
	cluster_destroy(cluster);
}

/* RC-02: a lower now counts as the last one. */
static void test_clock_back(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);
	uint64_t deadline = cluster->nodes[1].effects.deadline_ms;

	(void)state;
	cluster->now_ms = 5;
	cluster_step(cluster, 1, (struct raft_event){.kind = RAFT_DEADLINE});
	assert_int_equal(cluster->nodes[1].effects.deadline_ms, deadline);
	assert_int_equal(cluster->letter_count, 0);
	cluster_destroy(cluster);
}

/* RM-03. The receiver is in term 3 with a log of terms 1, 2, 2 (last index 4). */
static const struct {
	const char *what;
	enum raft_message_kind kind;
	uint64_t voted, term, index, log_term;
	bool leader_known, transfer, answered, granted;
	uint64_t term_after;
} grant_rows[] = {
	{"same log", RAFT_VOTE, 0, 3, 4, 2, false, false, true, true, 3},
	{"longer", RAFT_VOTE, 0, 3, 9, 2, false, false, true, true, 3},
	{"newer and shorter", RAFT_VOTE, 0, 3, 1, 3, false, false, true, true, 3},
	{"shorter", RAFT_VOTE, 0, 3, 3, 2, false, false, true, false, 3},
	{"older and longer", RAFT_VOTE, 0, 3, 9, 1, false, false, true, false, 3},
	{"voted for it", RAFT_VOTE, 2, 3, 4, 2, false, false, true, true, 3},
	{"voted for another", RAFT_VOTE, 3, 3, 4, 2, false, false, true, false, 3},
	{"leader known", RAFT_VOTE, 0, 3, 4, 2, true, false, true, false, 3},
	{"higher term", RAFT_VOTE, 3, 4, 4, 2, false, false, true, true, 4},
	{"higher term, bad log", RAFT_VOTE, 3, 4, 1, 1, false, false, true, false, 4},
	{"sticky", RAFT_VOTE, 0, 4, 4, 2, true, false, false, false, 3},
	{"sticky but transfer", RAFT_VOTE, 0, 4, 4, 2, true, true, true, true, 4},
	{"lower term", RAFT_VOTE, 0, 2, 9, 9, false, false, false, false, 3},
	{"pre: above", RAFT_PREVOTE, 3, 4, 4, 2, false, false, true, true, 3},
	{"pre: above, bad log", RAFT_PREVOTE, 0, 4, 3, 2, false, false, true, false, 3},
	{"pre: sticky", RAFT_PREVOTE, 0, 4, 4, 2, true, false, false, false, 3},
	{"pre: own term, free", RAFT_PREVOTE, 0, 3, 4, 2, false, false, true, true, 3},
	{"pre: own term, voted", RAFT_PREVOTE, 3, 3, 4, 2, false, false, true, false, 3},
	{"pre: lower", RAFT_PREVOTE, 0, 2, 9, 9, false, false, true, false, 3},
};

static void test_grant_table(void **state)
{
	static const uint64_t terms[] = {1, 2, 2};

	(void)state;
	for (size_t i = 0; i < COUNT(grant_rows); i++) {
		struct cluster *cluster = cluster_create(3, 0);
		enum raft_message_kind answer_kind =
			grant_rows[i].kind == RAFT_VOTE ? RAFT_VOTE_RESP : RAFT_PREVOTE_RESP;
		uint64_t vote_before;

		cluster_start_log(cluster, 1, 3, terms, 3);
		/* Into term 3, with or without a vote. */
		cluster_receive(cluster, 1,
			(struct raft_message){.kind = RAFT_VOTE,
				.from = grant_rows[i].voted ? grant_rows[i].voted : 3,
				.term = 3,
				.index = grant_rows[i].voted ? 4 : 0,
				.log_term = grant_rows[i].voted ? 2 : 0});
		if (grant_rows[i].leader_known) {
			cluster_receive(cluster, 1,
				(struct raft_message){
					.kind = RAFT_HEARTBEAT, .from = 3, .term = 3});
		}
		vote_before = cluster_status(cluster, 1).vote;
		assert_int_equal(vote_before, grant_rows[i].voted);
		cluster_drop_all(cluster);
		cluster_receive(cluster, 1,
			(struct raft_message){.kind = grant_rows[i].kind,
				.from = 2,
				.term = grant_rows[i].term,
				.index = grant_rows[i].index,
				.log_term = grant_rows[i].log_term,
				.transfer = grant_rows[i].transfer});
		const struct raft_message *answer = cluster_find(cluster, answer_kind, 2);

		if ((answer != NULL) != grant_rows[i].answered) {
			fail_msg("row '%s': answered or not", grant_rows[i].what);
		}
		if (answer != NULL && answer->reject == grant_rows[i].granted) {
			fail_msg("row '%s': granted or not", grant_rows[i].what);
		}
		if (answer != NULL) {
			/* A grant carries the request's term, a rejection ours. */
			assert_int_equal(answer->term, grant_rows[i].granted
							       ? grant_rows[i].term
							       : grant_rows[i].term_after);
		}
		assert_int_equal(cluster_status(cluster, 1).term, grant_rows[i].term_after);
		if (grant_rows[i].granted && grant_rows[i].kind == RAFT_VOTE) {
			assert_int_equal(cluster_status(cluster, 1).vote, 2);
		} else if (grant_rows[i].term_after == 3) {
			assert_int_equal(cluster_status(cluster, 1).vote, vote_before);
		}
		cluster_destroy(cluster);
	}
}

/* A granted VOTE restarts the timer and waits for the disk; a granted PREVOTE changes nothing. */
static void test_grant_effects(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);
	uint64_t deadline;

	(void)state;
	cluster->nodes[1].manual = true;
	deadline = cluster->nodes[1].effects.deadline_ms;
	cluster->now_ms += 50;
	cluster_receive(cluster, 1,
		(struct raft_message){
			.kind = RAFT_PREVOTE, .from = 2, .term = 2, .index = 1, .log_term = 1});
	assert_int_equal(cluster->nodes[1].effects.deadline_ms, deadline);
	assert_int_equal(cluster->nodes[1].effects.persist_seq, 0);
	assert_int_equal(cluster_count(cluster, RAFT_PREVOTE_RESP, 2), 1);
	cluster_receive(cluster, 1,
		(struct raft_message){
			.kind = RAFT_VOTE, .from = 2, .term = 2, .index = 1, .log_term = 1});
	assert_true(cluster->nodes[1].effects.hard_changed);
	assert_int_equal(cluster->nodes[1].effects.hard.vote, 2);
	assert_true(cluster->nodes[1].effects.deadline_ms >= cluster->now_ms + 100);
	assert_int_equal(cluster_count(cluster, RAFT_VOTE_RESP, 2), 0);
	cluster_persist(cluster, 1, 1);
	assert_int_equal(cluster_count(cluster, RAFT_VOTE_RESP, 2), 1);
	/* Also in the term that we are in already: a refused one does not, a granted one does. */
	cluster_receive(cluster, 1, (struct raft_message){.kind = RAFT_VOTE, .from = 3, .term = 5});
	assert_int_equal(cluster_status(cluster, 1).vote, 0);
	deadline = cluster->nodes[1].effects.deadline_ms;
	cluster->now_ms += 50;
	cluster_receive(cluster, 1, (struct raft_message){.kind = RAFT_VOTE, .from = 3, .term = 5});
	assert_int_equal(cluster->nodes[1].effects.deadline_ms, deadline);
	cluster_receive(cluster, 1,
		(struct raft_message){
			.kind = RAFT_VOTE, .from = 2, .term = 5, .index = 1, .log_term = 1});
	assert_int_equal(cluster->nodes[1].effects.deadline_ms, deadline + 50);
	cluster_destroy(cluster);
}

/* RM-02 and the higher-term half of RM-01, by kind of message; the receiver follows 2 in term 5. */
static void test_term_table(void **state)
{
	static const struct {
		enum raft_message_kind kind;
		uint64_t term;
		bool reject;
		enum raft_message_kind answer; /* 0: none */
		uint64_t term_after, leader_after;
	} rows[] = {
		{RAFT_APPEND, 4, false, RAFT_APPEND_RESP, 5, 2},
		{RAFT_HEARTBEAT, 4, false, RAFT_APPEND_RESP, 5, 2},
		{RAFT_PREVOTE, 4, false, RAFT_PREVOTE_RESP, 5, 2}, {RAFT_VOTE, 4, false, 0, 5, 2},
		{RAFT_APPEND_RESP, 4, false, 0, 5, 2}, {RAFT_TIMEOUT_NOW, 4, false, 0, 5, 2},
		{RAFT_READ_INDEX, 4, false, 0, 5, 2},
		{RAFT_APPEND, 7, false, RAFT_APPEND_RESP, 7, 3},
		{RAFT_HEARTBEAT, 7, false, RAFT_HEARTBEAT_RESP, 7, 3},
		{RAFT_APPEND_RESP, 7, false, 0, 7, 0}, {RAFT_HEARTBEAT_RESP, 7, false, 0, 7, 0},
		{RAFT_VOTE_RESP, 7, true, 0, 7, 0}, {RAFT_PREVOTE_RESP, 7, true, 0, 7, 0},
		{RAFT_PREVOTE_RESP, 7, false, 0, 5, 2}, /* a grant never raises the term */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct cluster *cluster = cluster_create(3, 0);

		cluster_receive(cluster, 1,
			(struct raft_message){.kind = RAFT_HEARTBEAT, .from = 2, .term = 5});
		cluster_drop_all(cluster);
		cluster_receive(cluster, 1,
			(struct raft_message){.kind = rows[i].kind,
				.from = 3,
				.term = rows[i].term,
				.reject = rows[i].reject});
		assert_int_equal(cluster->letter_count, rows[i].answer != 0);
		if (rows[i].answer != 0) {
			assert_int_equal(cluster->letters[0].message.kind, rows[i].answer);
			assert_int_equal(cluster->letters[0].message.term, rows[i].term_after);
		}
		assert_int_equal(cluster_status(cluster, 1).term, rows[i].term_after);
		assert_int_equal(cluster_status(cluster, 1).leader, rows[i].leader_after);
		cluster_destroy(cluster);
	}
}

/* With pre-vote a replica that was cut off comes back without disturbing anybody; without it, it
 * deposes a leader that everybody else hears. */
static void test_prevote_guard(void **state)
{
	for (unsigned flags = 0; flags <= RAFT_NO_PREVOTE; flags += RAFT_NO_PREVOTE) {
		struct cluster *cluster = cluster_create(3, flags);

		(void)state;
		elect(cluster, 1);
		uint64_t term = cluster_status(cluster, 1).term;

		cluster_isolate(cluster, 3, true);
		for (int i = 0; i < 100; i++) {
			cluster_pass(cluster, 10);
			cluster_deliver(cluster);
		}
		assert_int_equal(cluster_status(cluster, 1).role, RAFT_LEADER);
		cluster_isolate(cluster, 3, false);
		for (int i = 0; i < 10; i++) {
			cluster_pass(cluster, 10);
			cluster_deliver(cluster);
		}
		if (flags == 0) {
			assert_int_equal(cluster_status(cluster, 1).role, RAFT_LEADER);
			assert_int_equal(cluster_status(cluster, 3).term, term);
			assert_int_equal(cluster_status(cluster, 3).leader, 1);
		} else {
			assert_true(cluster_status(cluster, 3).term > term);
			assert_true(cluster_status(cluster, 1).term > term);
		}
		cluster_destroy(cluster);
	}
}

/* RM-07: a leader cut off steps down between E and 2E after its last answer; without the guard it
 * never does. */
static void test_check_quorum_guard(void **state)
{
	(void)state;
	for (unsigned flags = 0; flags <= RAFT_NO_CHECK_QUORUM; flags += RAFT_NO_CHECK_QUORUM) {
		struct cluster *cluster = cluster_create(3, flags);

		elect(cluster, 1);
		for (int i = 0; i < 15; i++) {
			cluster_pass(cluster, 10);
			cluster_deliver(cluster);
		}
		cluster_isolate(cluster, 1, true);
		uint64_t since = cluster->now_ms;

		while (cluster_status(cluster, 1).role == RAFT_LEADER &&
			cluster->now_ms < since + 1000) {
			cluster_pass(cluster, 10);
			cluster_deliver(cluster);
		}
		if (flags == 0) {
			assert_in_range(cluster->now_ms - since, 50, 200);
			assert_int_equal(cluster_status(cluster, 1).leader, 0);
		} else {
			assert_int_equal(cluster_status(cluster, 1).role, RAFT_LEADER);
		}
		cluster_destroy(cluster);
	}
}

static void test_stickiness(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);
	struct raft_message vote = {
		.kind = RAFT_VOTE, .from = 3, .term = 9, .index = 99, .log_term = 8};

	(void)state;
	cluster_receive(
		cluster, 1, (struct raft_message){.kind = RAFT_HEARTBEAT, .from = 2, .term = 2});
	cluster->now_ms += 99;
	cluster_receive(cluster, 1, vote);
	assert_int_equal(cluster_status(cluster, 1).term, 2);
	cluster->now_ms += 1; /* E since it was heard */
	cluster_receive(cluster, 1, vote);
	assert_int_equal(cluster_status(cluster, 1).term, 9);
	assert_int_equal(cluster_status(cluster, 1).vote, 3);
	cluster_destroy(cluster);
	/* A leader does not give way to a vote either, whenever. */
	cluster = cluster_create(3, 0);
	elect(cluster, 1);
	cluster->now_ms += 500;
	cluster_receive(cluster, 1, vote);
	assert_int_equal(cluster_status(cluster, 1).role, RAFT_LEADER);
	cluster_destroy(cluster);
}

/* RM-08: it only makes pre-votes possible earlier. */
static void test_forget_leader(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);

	(void)state;
	elect(cluster, 1);
	uint64_t deadline = cluster->nodes[2].effects.deadline_ms;

	cluster_step(cluster, 2, (struct raft_event){.kind = RAFT_FORGET_LEADER});
	assert_int_equal(cluster_status(cluster, 2).leader, 0);
	assert_int_equal(cluster_status(cluster, 2).term, 2);
	assert_int_equal(cluster->nodes[2].effects.deadline_ms, deadline);
	assert_int_equal(cluster_read(cluster, 2, 1), RAFT_NO_LEADER);
	cluster_step(cluster, 1, (struct raft_event){.kind = RAFT_FORGET_LEADER});
	assert_int_equal(cluster_status(cluster, 1).role, RAFT_LEADER);
	/* 3 still hears the leader, 2 does not: 2 alone cannot win. */
	cluster_step(cluster, 2, (struct raft_event){.kind = RAFT_CAMPAIGN});
	cluster_deliver(cluster);
	assert_int_equal(cluster_status(cluster, 1).role, RAFT_LEADER);
	assert_int_equal(cluster_status(cluster, 2).term, 2);
	cluster_destroy(cluster);
}

/* RM-04: lost in one half, or by majority; the first answer of each peer counts. */
static void test_losing(void **state)
{
	struct cluster *cluster = cluster_create(5, RAFT_NO_PREVOTE);
	struct raft_message answer = {.kind = RAFT_VOTE_RESP, .term = 2, .reject = true};

	(void)state;
	cluster_campaign(cluster, 1);
	cluster_drop_all(cluster);
	answer.from = 2;
	cluster_receive(cluster, 1, answer);
	cluster_receive(cluster, 1, answer);
	answer.reject = false;
	cluster_receive(cluster, 1, answer); /* too late: 2 has said no */
	answer.from = 9;
	cluster_receive(cluster, 1, answer); /* nobody we know */
	assert_int_equal(cluster_status(cluster, 1).role, RAFT_CANDIDATE);
	answer.reject = true;
	answer.from = 3;
	cluster_receive(cluster, 1, answer);
	assert_int_equal(cluster_status(cluster, 1).role, RAFT_CANDIDATE);
	answer.from = 4;
	cluster_receive(cluster, 1, answer);
	assert_int_equal(cluster_status(cluster, 1).role, RAFT_FOLLOWER);
	assert_int_equal(cluster_status(cluster, 1).term, 2);
	assert_int_equal(cluster_status(cluster, 1).vote, 1);
	cluster_destroy(cluster);
}

/* A candidate that hears a leader of its own term follows. */
static void test_candidate_follows(void **state)
{
	static const enum raft_message_kind kinds[] = {RAFT_APPEND, RAFT_HEARTBEAT};

	(void)state;
	for (size_t i = 0; i < COUNT(kinds); i++) {
		struct cluster *cluster = cluster_create(3, RAFT_NO_PREVOTE);

		cluster_campaign(cluster, 1);
		assert_int_equal(cluster_status(cluster, 1).role, RAFT_CANDIDATE);
		cluster_receive(cluster, 1,
			(struct raft_message){
				.kind = kinds[i], .from = 2, .term = 2, .index = 1, .log_term = 1});
		assert_int_equal(cluster_status(cluster, 1).role, RAFT_FOLLOWER);
		assert_int_equal(cluster_status(cluster, 1).leader, 2);
		assert_int_equal(cluster_status(cluster, 1).vote, 1);
		cluster_destroy(cluster);
	}
}

/* A crowd of candidates: no two leaders in one term, and in the end one. */
static void test_split(void **state)
{
	struct cluster *cluster = cluster_create(4, RAFT_NO_PREVOTE);

	(void)state;
	cluster_campaign(cluster, 1);
	cluster_campaign(cluster, 2);
	cluster_deliver(cluster);
	for (int i = 0; i < 1000; i++) {
		cluster_pass(cluster, 5);
		cluster_deliver(cluster);
	}
	unsigned leaders = 0;

	for (uint64_t id = 1; id <= 4; id++) {
		leaders += cluster_status(cluster, id).role == RAFT_LEADER;
	}
	assert_int_equal(leaders, 1);
	cluster_destroy(cluster);
}

static void test_not_promotable(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);
	struct raft_snapshot snapshot = {.index = 1, .term = 1, .conf = cluster_conf(2)};
	struct raft_restore restore = {
		.hard = {.term = 1}, .snapshot = &snapshot, .before_index = 1, .before_term = 1};

	(void)state;
	member_ids_add(&snapshot.conf.learners, 3);
	cluster_start(cluster, 3, &restore);
	assert_int_equal(cluster_campaign(cluster, 3), RAFT_NOT_MEMBER);
	cluster_pass(cluster, 500);
	assert_int_equal(cluster_status(cluster, 3).role, RAFT_FOLLOWER);
	cluster_drop_all(cluster);
	/* TIMEOUT_NOW to a learner changes nothing. */
	cluster_receive(
		cluster, 3, (struct raft_message){.kind = RAFT_TIMEOUT_NOW, .from = 1, .term = 1});
	assert_int_equal(cluster_status(cluster, 3).term, 1);
	/* But it votes: it may be a voter by now, for all it knows. */
	cluster_receive(cluster, 3,
		(struct raft_message){
			.kind = RAFT_VOTE, .from = 1, .term = 2, .index = 1, .log_term = 1});
	assert_false(cluster_find(cluster, RAFT_VOTE_RESP, 1)->reject);
	/* Nobody at all: an empty replica. */
	cluster_start(cluster, 4, NULL);
	cluster_pass(cluster, 500);
	assert_int_equal(cluster_status(cluster, 4).term, 0);
	assert_int_equal(cluster_campaign(cluster, 4), RAFT_NOT_MEMBER);
	cluster_destroy(cluster);
}

/* RM-04: a committed change that is not applied yet forbids to campaign. */
static void test_unapplied_change(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);
	struct raft_change change = {.operation_count = 1, .operations = {{RAFT_ADD_LEARNER, 4}}};

	(void)state;
	elect(cluster, 1);
	cluster->nodes[2].idle = true;
	assert_int_equal(cluster_change(cluster, 1, &change), RAFT_OK);
	cluster_deliver(cluster);
	assert_int_equal(cluster_status(cluster, 2).commit_index, 3);
	assert_int_equal(cluster_campaign(cluster, 2), RAFT_CHANGE_PENDING);
	cluster_apply(cluster, 2, 3);
	assert_int_equal(cluster_campaign(cluster, 2), RAFT_OK);
	assert_int_equal(cluster_status(cluster, 2).role, RAFT_PRE_CANDIDATE);
	cluster_destroy(cluster);
}

/* RI-06: what an uncertain replica grants does not help to a majority, only to all. */
static void test_uncertain_votes(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);
	struct raft_snapshot snapshot = {.index = 1, .term = 1, .conf = cluster_conf(3)};
	struct raft_restore restore = {.hard = {.term = 1, .uncertain = true},
		.snapshot = &snapshot,
		.before_index = 1,
		.before_term = 1};

	(void)state;
	cluster_start(cluster, 2, &restore);
	cluster_isolate(cluster, 3, true);
	cluster_campaign(cluster, 1);
	cluster_deliver(cluster);
	assert_int_equal(cluster_status(cluster, 1).role, RAFT_PRE_CANDIDATE);
	cluster_isolate(cluster, 3, false);
	elect(cluster, 1);
	/* An entry of a later term is committed and durable: certain, and the disk is told. */
	cluster_pass(cluster, 10);
	cluster_deliver(cluster);
	assert_false(cluster_status(cluster, 2).uncertain);
	cluster_destroy(cluster);
	/* A full power cut with torn tails everywhere: all together still elect. */
	cluster = cluster_create(3, 0);
	for (uint64_t id = 1; id <= 3; id++) {
		cluster_start(cluster, id, &restore);
	}
	elect(cluster, 3);
	for (int i = 0; i < 3; i++) {
		cluster_pass(cluster, 10);
		cluster_deliver(cluster);
	}
	assert_false(cluster_status(cluster, 1).uncertain);
	assert_false(cluster_status(cluster, 3).uncertain);
	cluster_destroy(cluster);
}

/* An uncertain replica that lost entries of the current term is not certain before it has all that
 * its leader's log held: a committed entry of that term alone proves nothing. */
static void test_uncertain_in_term(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);
	struct raft_snapshot snapshot = {.index = 1, .term = 1, .conf = cluster_conf(3)};
	struct raft_entry entry = {.index = 2, .term = 2, .kind = RAFT_ENTRY_DATA};
	struct raft_restore restore = {.hard = {.term = 2, .vote = 1, .uncertain = true},
		.commit_hint = 2,
		.snapshot = &snapshot,
		.entries = &entry,
		.entry_count = 1,
		.before_index = 1,
		.before_term = 1};

	(void)state;
	elect(cluster, 1);
	for (int i = 0; i < 3; i++) {
		cluster_propose(cluster, 1, "x");
	}
	cluster_deliver(cluster);
	assert_int_equal(cluster_status(cluster, 1).commit_index, 5);
	cluster_start(cluster, 2, &restore); /* 3..5 are gone, all of term 2 */
	cluster_step(
		cluster, 1, (struct raft_event){.kind = RAFT_PEER_RESET, .u.peer_reset = {2, 2}});
	cluster_drop_all(cluster);
	cluster_receive(cluster, 2,
		(struct raft_message){.kind = RAFT_HEARTBEAT, .from = 1, .term = 2, .commit = 5});
	assert_true(cluster_status(cluster, 2).uncertain);
	assert_int_equal(cluster_count(cluster, RAFT_READ_INDEX, 1), 1);
	for (int i = 0; i < 4; i++) {
		cluster_deliver(cluster);
		cluster_pass(cluster, 10);
	}
	assert_int_equal(cluster_status(cluster, 2).last_index, 5);
	assert_false(cluster_status(cluster, 2).uncertain);
	assert_int_equal(cluster->nodes[2].read_count, 0); /* the question was the core's own */
	cluster_destroy(cluster);
}

/* Who asks for votes, or answers, says what is committed. */
static void test_learning_commit(void **state)
{
	static const uint64_t terms[] = {1, 1, 2};
	static const struct {
		uint64_t commit, term, after;
	} rows[] = {{3, 1, 3}, {4, 2, 4}, {4, 1, 1}, {5, 2, 1}, {3, 0, 1}};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct cluster *cluster = cluster_create(3, 0);

		cluster_start_log(cluster, 1, 3, terms, 3);
		cluster_campaign(cluster, 1);
		cluster_receive(cluster, 1,
			(struct raft_message){.kind = RAFT_PREVOTE_RESP,
				.from = 2,
				.term = 2,
				.reject = true,
				.commit = rows[i].commit,
				.hint_index = rows[i].term});
		assert_int_equal(cluster_status(cluster, 1).commit_index, rows[i].after);
		cluster_destroy(cluster);
	}
}

static enum raft_refusal transfer(struct cluster *cluster, uint64_t id, uint64_t to)
{
	return cluster_step(
		cluster, id, (struct raft_event){.kind = RAFT_TRANSFER, .u.transfer.peer = to});
}

static void test_transfer(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);

	(void)state;
	assert_int_equal(transfer(cluster, 1, 2), RAFT_NO_LEADER);
	elect(cluster, 1);
	assert_int_equal(transfer(cluster, 2, 3), RAFT_NOT_LEADER);
	assert_int_equal(transfer(cluster, 1, 1), RAFT_BAD_CHANGE);
	assert_int_equal(transfer(cluster, 1, 9), RAFT_BAD_CHANGE);
	/* At match = last at once; no pre-vote, stickiness does not hinder. */
	assert_int_equal(transfer(cluster, 1, 2), RAFT_OK);
	assert_int_equal(cluster_count(cluster, RAFT_TIMEOUT_NOW, 2), 1);
	assert_int_equal(cluster_propose(cluster, 1, "x"), RAFT_TRANSFERRING);
	cluster_deliver(cluster);
	assert_int_equal(cluster_status(cluster, 2).role, RAFT_LEADER);
	assert_int_equal(cluster_status(cluster, 1).role, RAFT_FOLLOWER);
	assert_int_equal(cluster_status(cluster, 1).leader, 2);
	assert_int_equal(cluster_status(cluster, 3).term, 3);
	cluster_destroy(cluster);
}

/* A target that lags gets the log first; a new target replaces the old one; E ends it. */
static void test_transfer_lagging(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);

	(void)state;
	elect(cluster, 1);
	cluster_isolate(cluster, 3, true);
	cluster_propose(cluster, 1, "a");
	cluster_deliver(cluster);
	assert_int_equal(transfer(cluster, 1, 3), RAFT_OK);
	cluster_deliver(cluster);
	assert_int_equal(cluster_status(cluster, 1).transfer_target, 3);
	cluster->now_ms += 99;
	cluster_pass(cluster, 0);
	assert_int_equal(cluster_propose(cluster, 1, "b"), RAFT_TRANSFERRING);
	cluster_pass(cluster, 1);
	assert_int_equal(cluster_status(cluster, 1).transfer_target, 0);
	assert_int_equal(cluster_propose(cluster, 1, "b"), RAFT_OK);
	cluster_deliver(cluster);
	assert_int_equal(transfer(cluster, 1, 3), RAFT_OK);
	assert_int_equal(transfer(cluster, 1, 3), RAFT_OK); /* the same again: nothing new */
	cluster_isolate(cluster, 3, false);
	for (int i = 0; i < 3; i++) {
		cluster_pass(cluster, 10);
		cluster_deliver(cluster);
	}
	assert_int_equal(cluster_status(cluster, 3).role, RAFT_LEADER);
	assert_int_equal(transfer(cluster, 3, 1), RAFT_OK);
	assert_int_equal(transfer(cluster, 3, 2), RAFT_OK);
	assert_int_equal(cluster_status(cluster, 3).transfer_target, 2);
	cluster_destroy(cluster);
}

/* RT-03: told of its loss a follower grants as an uncertain one until it has the leader's log
 * again; a candidate gives up; nobody knows better than a leader. */
static void test_lost_entries(void **state)
{
	const struct raft_event lost = {.kind = RAFT_LOST_ENTRIES};
	struct cluster *cluster = cluster_create(3, 0);
	struct raft_status status;

	(void)state;
	elect(cluster, 1);
	assert_int_equal(cluster_propose(cluster, 1, "a"), RAFT_OK);
	cluster_deliver(cluster);
	assert_int_equal(cluster_step(cluster, 1, lost), RAFT_OK);
	assert_false(cluster_status(cluster, 1).uncertain);
	assert_int_equal(cluster_step(cluster, 3, lost), RAFT_OK);
	assert_true(cluster->nodes[3].effects.hard_changed);
	assert_true(cluster->nodes[3].effects.hard.uncertain);
	status = cluster_status(cluster, 3);
	cluster_receive(cluster, 3,
		(struct raft_message){.kind = RAFT_VOTE,
			.from = 2,
			.to = 3,
			.term = status.term + 1,
			.index = status.last_index,
			.log_term = status.last_term,
			.transfer = true});
	assert_non_null(cluster_find(cluster, RAFT_VOTE_RESP, 2));
	assert_true(cluster_find(cluster, RAFT_VOTE_RESP, 2)->uncertain);
	cluster_destroy(cluster);
}

/* All that the leader's log holds is here again: its word is good again. */
static void test_lost_entries_regained(void **state)
{
	const struct raft_event lost = {.kind = RAFT_LOST_ENTRIES};
	struct cluster *cluster = cluster_create(3, 0);

	(void)state;
	elect(cluster, 1);
	assert_int_equal(cluster_step(cluster, 3, lost), RAFT_OK);
	assert_true(cluster_status(cluster, 3).uncertain);
	cluster_pass(cluster, 10);
	cluster_deliver(cluster);
	assert_false(cluster_status(cluster, 3).uncertain);
	assert_int_equal(cluster_campaign(cluster, 3), RAFT_OK);
	assert_int_equal(cluster_status(cluster, 3).role, RAFT_PRE_CANDIDATE);
	assert_int_equal(cluster_step(cluster, 3, lost), RAFT_OK);
	assert_int_equal(cluster_status(cluster, 3).role, RAFT_FOLLOWER);
	assert_true(cluster_status(cluster, 3).uncertain);
	cluster_check(cluster);
	cluster_destroy(cluster);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_phases),
		cmocka_unit_test(test_single_voter),
		cmocka_unit_test(test_timers),
		cmocka_unit_test(test_clock_back),
		cmocka_unit_test(test_grant_table),
		cmocka_unit_test(test_grant_effects),
		cmocka_unit_test(test_term_table),
		cmocka_unit_test(test_prevote_guard),
		cmocka_unit_test(test_check_quorum_guard),
		cmocka_unit_test(test_stickiness),
		cmocka_unit_test(test_forget_leader),
		cmocka_unit_test(test_losing),
		cmocka_unit_test(test_candidate_follows),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_not_promotable),
		cmocka_unit_test(test_unapplied_change),
		cmocka_unit_test(test_uncertain_votes),
		cmocka_unit_test(test_uncertain_in_term),
		cmocka_unit_test(test_lost_entries),
		cmocka_unit_test(test_lost_entries_regained),
		cmocka_unit_test(test_learning_commit),
		cmocka_unit_test(test_transfer),
		cmocka_unit_test(test_transfer_lagging),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
