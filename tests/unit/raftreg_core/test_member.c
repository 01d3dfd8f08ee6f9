/* Membership: every pair of operations against a reference model (TEST-02), encoding, refusals,
 * application, joint changes: RM-20..24. */
#include <string.h>

#include "cluster.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define IDS	     4u

static void elect(struct cluster *cluster, uint64_t id)
{
	assert_int_equal(cluster_campaign(cluster, id), RAFT_OK);
	cluster_deliver(cluster);
	assert_int_equal(cluster_status(cluster, id).role, RAFT_LEADER);
}

/* The reference: sets as bits, bit i is id i + 1; rules written anew from RM-22. */
struct model {
	unsigned voters, outgoing, learners, staged;
	bool auto_leave;
};

static enum raft_change_error model_apply(
	const struct model *from, const struct raft_change *change, struct model *ret)
{
	struct model to = *from;
	bool simple = change->transition == RAFT_TRANSITION_AUTO && change->operation_count == 1;

	if (change->transition == RAFT_TRANSITION_AUTO && change->operation_count == 0) {
		if (from->outgoing == 0) {
			return RAFT_CHANGE_NOT_JOINT;
		}
		*ret = (struct model){
			.voters = from->voters, .learners = from->learners | from->staged};
		return RAFT_CHANGE_OK;
	}
	if (from->outgoing != 0) {
		return RAFT_CHANGE_ALREADY_JOINT;
	}
	if (!simple && from->voters == 0) {
		return RAFT_CHANGE_NO_VOTERS;
	}
	if (!simple) {
		to.outgoing = from->voters;
		to.auto_leave = change->transition != RAFT_TRANSITION_JOINT_EXPLICIT;
	}
	for (uint32_t i = 0; i < change->operation_count; i++) {
		unsigned bit =
			change->operations[i].id > 0 ? 1u << (change->operations[i].id - 1) : 0;

		switch (change->operations[i].kind) {
		case RAFT_ADD_VOTER:
			to.voters |= bit;
			to.learners &= ~bit;
			to.staged &= ~bit;
			break;
		case RAFT_ADD_LEARNER:
			to.voters &= ~bit;
			if (to.outgoing & bit) {
				to.staged |= bit;
			} else {
				to.learners |= bit;
			}
			break;
		case RAFT_REMOVE:
			to.voters &= ~bit;
			to.learners &= ~bit;
			to.staged &= ~bit;
			break;
		case RAFT_UPDATE:
			break;
		}
	}
	if (to.voters == 0) {
		return RAFT_CHANGE_REMOVES_ALL;
	}
	if (simple && __builtin_popcount(to.voters ^ from->voters) > 1) {
		return RAFT_CHANGE_TOO_MANY;
	}
	*ret = to;
	return RAFT_CHANGE_OK;
}

static struct raft_ids to_ids(unsigned bits)
{
	struct raft_ids set = {.count = 0};

	for (uint64_t i = 0; i < 32; i++) {
		if (bits >> i & 1) {
			member_ids_add(&set, i + 1);
		}
	}
	return set;
}

static struct raft_conf to_conf(const struct model *model)
{
	return (struct raft_conf){.voters = to_ids(model->voters),
		.outgoing = to_ids(model->outgoing),
		.learners = to_ids(model->learners),
		.staged = to_ids(model->staged),
		.auto_leave = model->auto_leave};
}

/* One change from one configuration, then the leave, against the model. */
static void compare(const struct model *from, const struct raft_change *change)
{
	struct raft_conf conf = to_conf(from), next = conf, expected;
	struct model to = *from;
	enum raft_change_error error = member_conf_change(&conf, change, &next);

	assert_int_equal(error, model_apply(from, change, &to));
	expected = to_conf(&to);
	assert_true(member_conf_equal(&next, &expected));
	assert_true(error != RAFT_CHANGE_OK || member_conf_is_valid(&next));
}

static struct raft_change make_change(unsigned number)
{
	static const enum raft_transition transitions[] = {
		RAFT_TRANSITION_AUTO, RAFT_TRANSITION_JOINT_AUTO, RAFT_TRANSITION_JOINT_EXPLICIT};
	struct raft_change change = {.transition = transitions[number % 3]};

	number /= 3;
	change.operation_count = number % 3;
	number /= 3;
	for (uint32_t i = 0; i < 2; i++) {
		change.operations[i].kind = (enum raft_operation_kind)(1 + number % 4);
		number /= 4;
		change.operations[i].id = number % (IDS + 1);
		number /= IDS + 1;
	}
	return change;
}

/* All configurations of four ids that are not joint, all changes of up to two operations; and from
 * all joint ones that arise, the same again. */
static void test_operation_pairs(void **state)
{
	unsigned changes = 3 * 3 * 4 * (IDS + 1) * 4 * (IDS + 1), cases = 0;

	(void)state;
	for (unsigned voters = 1; voters < 16; voters++) {
		for (unsigned learners = 0; learners < 16; learners++) {
			struct model from = {.voters = voters, .learners = learners};

			if (voters & learners) {
				continue;
			}
			for (unsigned number = 0; number < changes; number++) {
				struct raft_change change = make_change(number);
				struct model joint;

				compare(&from, &change);
				cases++;
				if (number % 7 == 0 &&
					model_apply(&from, &change, &joint) == RAFT_CHANGE_OK &&
					joint.outgoing != 0) {
					struct raft_change leave = make_change(0);
					struct raft_change other = make_change(number / 7 + 1);

					compare(&joint, &leave);
					compare(&joint, &other);
				}
			}
		}
	}
	assert_true(cases > 200000);
}

static void test_first_voter(void **state)
{
	struct raft_conf conf = {.auto_leave = false}, next;
	struct raft_change change = {.operation_count = 1, .operations = {{RAFT_ADD_VOTER, 9}}};

	(void)state;
	assert_int_equal(member_conf_change(&conf, &change, &next), RAFT_CHANGE_OK);
	assert_int_equal(next.voters.ids[0], 9);
	change.transition = RAFT_TRANSITION_JOINT_AUTO;
	assert_int_equal(member_conf_change(&conf, &change, &next), RAFT_CHANGE_NO_VOTERS);
}

static void test_size_limits(void **state)
{
	struct raft_conf conf = cluster_conf(7), next;
	struct raft_change change = {.operation_count = 1, .operations = {{RAFT_ADD_VOTER, 8}}};

	(void)state;
	assert_int_equal(member_conf_change(&conf, &change, &next), RAFT_CHANGE_LIMIT);
	change.operations[0].kind = RAFT_ADD_LEARNER;
	for (uint64_t id = 8; id < 8 + 25; id++) {
		change.operations[0].id = id;
		assert_int_equal(member_conf_change(&conf, &change, &conf), RAFT_CHANGE_OK);
	}
	change.operations[0].id = 99;
	assert_int_equal(member_conf_change(&conf, &change, &next), RAFT_CHANGE_LIMIT);
}

static void test_encoding(void **state)
{
	static const char records[] = "who and where";
	struct raft_change change = {.transition = RAFT_TRANSITION_JOINT_EXPLICIT,
		.operation_count = 2,
		.operations = {{RAFT_ADD_VOTER, 0x1122334455667788u}, {RAFT_REMOVE, 3}},
		.records = records,
		.records_length = sizeof(records)};
	static const uint8_t head[] = {1, 2, 2, 0, 1, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22,
		0x11, 3, 3, 0, 0, 0, 0, 0, 0, 0};
	struct raft_payload *payload = member_change_encode(&change);
	struct raft_change back;

	(void)state;
	assert_int_equal(payload->length, sizeof(head) + sizeof(records));
	assert_memory_equal(payload->bytes, head, sizeof(head));
	assert_true(member_change_decode(payload, &back));
	assert_int_equal(back.transition, change.transition);
	assert_int_equal(back.operation_count, 2);
	assert_int_equal(back.operations[0].id, change.operations[0].id);
	assert_int_equal(back.records_length, sizeof(records));
	assert_memory_equal(back.records, records, sizeof(records));
	/* Cut anywhere inside the head, and each head byte out of its range. */
	for (uint32_t length = 0; length < sizeof(head); length++) {
		struct raft_payload *cut = raft_payload_create(payload->bytes, length);

		assert_false(member_change_decode(cut, &back));
		raft_payload_unref(cut);
	}
	static const struct {
		size_t place;
		uint8_t value;
	} bad[] = {{0, 0}, {0, 2}, {1, 3}, {2, 8}, {2, 255}, {3, 1}, {4, 0}, {4, 5}};

	for (size_t i = 0; i < COUNT(bad); i++) {
		struct raft_payload *other = raft_payload_create(payload->bytes, payload->length);

		other->bytes[bad[i].place] = bad[i].value;
		assert_false(member_change_decode(other, &back));
		raft_payload_unref(other);
	}
	assert_false(member_change_decode(NULL, &back));
	raft_payload_unref(payload);
}

static struct raft_change one(enum raft_operation_kind kind, uint64_t id)
{
	return (struct raft_change){.operation_count = 1, .operations = {{kind, id}}};
}

static void test_refusals(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);
	struct raft_change add = one(RAFT_ADD_LEARNER, 4), leave = {.operation_count = 0};
	struct raft_change bad = one((enum raft_operation_kind)9, 4);
	struct raft_change all = {.operation_count = 3,
		.operations = {{RAFT_REMOVE, 1}, {RAFT_REMOVE, 2}, {RAFT_REMOVE, 3}}};
	struct raft_change explicit_joint = {.transition = RAFT_TRANSITION_JOINT_EXPLICIT,
		.operation_count = 1,
		.operations = {{RAFT_ADD_LEARNER, 5}}};
	uint64_t last;

	(void)state;
	assert_int_equal(cluster_change(cluster, 1, &add), RAFT_NO_LEADER);
	elect(cluster, 1);
	assert_int_equal(cluster_change(cluster, 2, &add), RAFT_NOT_LEADER);
	last = cluster_status(cluster, 1).last_index;
	assert_int_equal(cluster_change(cluster, 1, &leave), RAFT_BAD_CHANGE);
	assert_int_equal(cluster_change(cluster, 1, &bad), RAFT_BAD_CHANGE);
	assert_int_equal(cluster_change(cluster, 1, &all), RAFT_BAD_CHANGE);
	assert_int_equal(cluster_status(cluster, 1).last_index, last); /* nothing appended */
	assert_int_equal(cluster_change(cluster, 1, &add), RAFT_OK);
	assert_int_equal(cluster->nodes[1].effects.accepted_index, last + 1);
	assert_int_equal(cluster_change(cluster, 1, &add), RAFT_CHANGE_PENDING);
	cluster_deliver(cluster);
	assert_int_equal(cluster_change(cluster, 1, &explicit_joint), RAFT_OK);
	cluster_deliver(cluster);
	assert_int_equal(cluster_change(cluster, 1, &add), RAFT_BAD_CHANGE); /* joint */
	assert_int_equal(cluster_change(cluster, 1, &leave), RAFT_OK);
	cluster_deliver(cluster);
	assert_false(member_conf_is_joint(raft_conf_active(cluster->nodes[2].raft)));
	cluster_destroy(cluster);
}

/* RM-21 with RM-06: a new leader allows no change before it applied all that its log held. */
static void test_pending_after_election(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);
	struct raft_change add = one(RAFT_ADD_LEARNER, 4);

	(void)state;
	cluster->nodes[1].idle = true;
	elect(cluster, 1);
	assert_int_equal(cluster_change(cluster, 1, &add), RAFT_OK); /* log held only 1 */
	cluster_deliver(cluster);
	cluster_apply(cluster, 1, 3);
	cluster->nodes[2].idle = true;
	cluster_step(cluster, 1, (struct raft_event){.kind = RAFT_TRANSFER, .u.transfer.peer = 2});
	cluster_deliver(cluster);
	assert_int_equal(cluster_status(cluster, 2).role, RAFT_LEADER);
	assert_int_equal(cluster_status(cluster, 2).pending_conf_index, 3);
	cluster_destroy(cluster);
}

/* It takes effect when applied, on each node by itself. */
static void test_effect_at_apply(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);
	struct raft_change add = one(RAFT_ADD_VOTER, 4);

	(void)state;
	cluster_start(cluster, 4, NULL);
	elect(cluster, 1);
	cluster->nodes[2].idle = true;
	cluster_change(cluster, 1, &add);
	cluster_deliver(cluster);
	assert_true(member_conf_is_voter(raft_conf_active(cluster->nodes[1].raft), 4));
	assert_true(member_conf_is_voter(raft_conf_active(cluster->nodes[4].raft), 4));
	assert_false(member_conf_is_voter(raft_conf_active(cluster->nodes[2].raft), 4));
	cluster_apply(cluster, 2, 3);
	assert_non_null(cluster->nodes[2].effects.conf);
	assert_true(member_conf_is_voter(raft_conf_active(cluster->nodes[2].raft), 4));
	assert_int_equal(cluster_status(cluster, 4).last_index, 3);
	cluster_destroy(cluster);
}

/* Growth 1 -> 3 in one change, left by the leader itself (RM-24). */
static void test_joint_auto(void **state)
{
	struct cluster *cluster = cluster_create(1, 0);
	struct raft_change grow = {
		.operation_count = 2, .operations = {{RAFT_ADD_VOTER, 2}, {RAFT_ADD_VOTER, 3}}};
	const struct raft_conf *conf;

	(void)state;
	cluster_start(cluster, 2, NULL);
	cluster_start(cluster, 3, NULL);
	elect(cluster, 1);
	cluster_change(cluster, 1, &grow);
	conf = raft_conf_active(cluster->nodes[1].raft);
	assert_true(member_conf_is_joint(conf));
	assert_true(conf->auto_leave);
	/* The leave is proposed, but it needs the new half. */
	assert_int_equal(cluster_status(cluster, 1).last_index, 4);
	assert_int_equal(cluster_status(cluster, 1).commit_index, 3);
	for (int i = 0; i < 5; i++) {
		cluster_deliver(cluster);
		cluster_pass(cluster, 10);
	}
	conf = raft_conf_active(cluster->nodes[3].raft);
	assert_false(member_conf_is_joint(conf));
	assert_int_equal(conf->voters.count, 3);
	cluster_destroy(cluster);
}

/* A transfer in joint, and a leader change: the next leader leaves. */
static void test_joint_new_leader(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);
	struct raft_change replace = {
		.operation_count = 2, .operations = {{RAFT_ADD_VOTER, 4}, {RAFT_REMOVE, 3}}};

	(void)state;
	cluster_start(cluster, 4, NULL);
	elect(cluster, 1);
	cluster_isolate(cluster, 4, true); /* the new half still has 1 and 2 */
	cluster->nodes[1].idle = true;
	cluster_change(cluster, 1, &replace);
	cluster_deliver(cluster);
	assert_true(member_conf_is_joint(raft_conf_active(cluster->nodes[2].raft)));
	assert_false(member_conf_is_joint(raft_conf_active(cluster->nodes[1].raft)));
	cluster_step(cluster, 1, (struct raft_event){.kind = RAFT_TRANSFER, .u.transfer.peer = 2});
	cluster_deliver(cluster);
	assert_int_equal(cluster_status(cluster, 2).role, RAFT_LEADER);
	cluster_isolate(cluster, 4, false);
	for (int i = 0; i < 5; i++) {
		cluster_pass(cluster, 10);
		cluster_deliver(cluster);
	}
	const struct raft_conf *conf = raft_conf_active(cluster->nodes[2].raft);

	assert_false(member_conf_is_joint(conf));
	assert_true(member_conf_is_voter(conf, 4));
	assert_false(member_conf_has(conf, 3));
	cluster_destroy(cluster);
}

/* RM-23: a leader that leaves the voters steps down when it applies that; with the guard's flag it
 * stays. */
static void test_leader_removed(void **state)
{
	(void)state;
	for (unsigned flags = 0; flags <= RAFT_STAY_WHEN_REMOVED; flags += RAFT_STAY_WHEN_REMOVED) {
		struct cluster *cluster = cluster_create(3, flags);
		struct raft_change remove = one(RAFT_REMOVE, 1);

		elect(cluster, 1);
		cluster_change(cluster, 1, &remove);
		cluster_deliver(cluster);
		assert_int_equal(
			cluster_status(cluster, 1).role, flags == 0 ? RAFT_FOLLOWER : RAFT_LEADER);
		if (flags == 0) {
			assert_int_equal(cluster_campaign(cluster, 1), RAFT_NOT_MEMBER);
			for (int i = 0; i < 60; i++) {
				cluster_pass(cluster, 10);
				cluster_deliver(cluster);
			}
			assert_true(cluster_status(cluster, 2).leader >= 2);
		} else {
			assert_int_equal(cluster_propose(cluster, 1, "x"), RAFT_NOT_MEMBER);
		}
		cluster_destroy(cluster);
	}
}

/* A leader demoted while joint stays until the leave, for it votes in the outgoing half. */
static void test_leader_demoted(void **state)
{
	struct cluster *cluster = cluster_create(3, 0);
	struct raft_change demote = {.transition = RAFT_TRANSITION_JOINT_EXPLICIT,
		.operation_count = 1,
		.operations = {{RAFT_ADD_LEARNER, 1}}};
	struct raft_change leave = {.operation_count = 0};

	(void)state;
	elect(cluster, 1);
	cluster_change(cluster, 1, &demote);
	cluster_deliver(cluster);
	assert_int_equal(cluster_status(cluster, 1).role, RAFT_LEADER);
	assert_true(member_ids_has(&raft_conf_active(cluster->nodes[1].raft)->staged, 1));
	cluster_change(cluster, 1, &leave);
	cluster_deliver(cluster);
	assert_int_equal(cluster_status(cluster, 1).role, RAFT_FOLLOWER);
	assert_true(member_ids_has(&raft_conf_active(cluster->nodes[1].raft)->learners, 1));
	cluster_destroy(cluster);
}

/* Shrinking may commit what waited, and ends a transfer to whoever left. */
static void test_switch_commits(void **state)
{
	struct cluster *cluster = cluster_create(4, 0);
	struct raft_change remove = one(RAFT_REMOVE, 4);

	(void)state;
	elect(cluster, 1);
	cluster->nodes[1].idle = true;
	cluster_change(cluster, 1, &remove);
	cluster_deliver(cluster);
	assert_int_equal(cluster_status(cluster, 1).commit_index, 3);
	cluster_isolate(cluster, 3, true);
	cluster_isolate(cluster, 4, true);
	cluster_propose(cluster, 1, "x");
	cluster_deliver(cluster);
	assert_int_equal(cluster_status(cluster, 1).commit_index, 3); /* 2 of 4 */
	cluster_step(cluster, 1, (struct raft_event){.kind = RAFT_TRANSFER, .u.transfer.peer = 4});
	cluster_apply(cluster, 1, 3);
	assert_int_equal(cluster_status(cluster, 1).commit_index, 4); /* 2 of 3 */
	assert_int_equal(cluster_status(cluster, 1).transfer_target, 0);
	cluster_destroy(cluster);
}

/* With NO_CHANGE_CHECK a second change is appended; what cannot be is a no-op at apply. */
static void test_no_op_at_apply(void **state)
{
	struct cluster *cluster = cluster_create(3, RAFT_NO_CHANGE_CHECK);
	struct raft_change joint = {.transition = RAFT_TRANSITION_JOINT_EXPLICIT,
		.operation_count = 1,
		.operations = {{RAFT_ADD_LEARNER, 4}}};
	struct raft_conf expected;

	(void)state;
	elect(cluster, 1);
	assert_int_equal(cluster_change(cluster, 1, &joint), RAFT_OK);
	assert_int_equal(cluster_change(cluster, 1, &joint), RAFT_OK);
	cluster_deliver(cluster);
	assert_int_equal(cluster_status(cluster, 2).applied_index, 4);
	expected = *raft_conf_active(cluster->nodes[1].raft);
	assert_true(member_conf_is_joint(&expected));
	assert_true(member_conf_equal(&expected, raft_conf_active(cluster->nodes[2].raft)));
	cluster_destroy(cluster);
}

static void test_names(void **state)
{
	(void)state;
	for (int error = RAFT_CHANGE_OK; error <= RAFT_CHANGE_LIMIT; error++) {
		assert_true(strlen(member_change_error_name((enum raft_change_error)error)) > 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_operation_pairs),
		cmocka_unit_test(test_first_voter),
		cmocka_unit_test(test_size_limits),
		cmocka_unit_test(test_encoding),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_pending_after_election),
		cmocka_unit_test(test_effect_at_apply),
		cmocka_unit_test(test_joint_auto),
		cmocka_unit_test(test_joint_new_leader),
		cmocka_unit_test(test_leader_removed),
		cmocka_unit_test(test_leader_demoted),
		cmocka_unit_test(test_switch_commits),
		cmocka_unit_test(test_no_op_at_apply),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
