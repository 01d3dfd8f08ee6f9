/*
 * Who belongs to the cluster: meeting, admission, promotion (registry.md RI-02, RB-01..RB-05).
 * An empty replica adopts the cluster of the first replica that answers it, and then knocks at
 * all whose addresses it was told, the leader among them. The leader admits it as a learner,
 * which costs nobody a quorum, and makes it a voter only once it has kept up for a while, two
 * at a time, so that the number of voters at rest is odd.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "raftreg/birth.h"
#include "raftreg/core/status.h"
#include "raftreg/inlet.h"
#include "raftreg/node.h"
#include "raftreg/peers.h"

#define CANDIDATE_FORGET_MS 10000
#define CAUGHT_UP_ELECTIONS 10 /* RB-03: answered for that many E */
#define VOTERS_AT_REST_MAX  5
#define COMPLAIN_EVERY_MS   60000 /* RI-02 */

/* A zero uuid is a replica without a cluster, which is never an enemy. */
static bool is_zero(const uint8_t uuid[16])
{
	static const uint8_t none[16];

	return memcmp(uuid, none, sizeof none) == 0;
}

/* RI-02: a person must hear of a foreign replica, for nothing repairs that by
 * itself. */
static void complain(struct raftreg_node *node, const struct wire_hello *hello, const char *text)
{
	char address[300];
	uint64_t now = clock_monotonic_ms();

	/* It comes again every second; one line a minute is enough to be heard. */
	if (node->complained_ms != 0 && now - node->complained_ms < COMPLAIN_EVERY_MS) {
		return;
	}
	node->complained_ms = now;
	node_status_address(&hello->self, address);
	log_event(LOG_LEVEL_WARN, "raftreg", 3004, text,
		(struct log_field[]){LOG_TEXT("pillion.replica", address)}, 1);
}

/* Durable before anything is said in that cluster's name. */
static bool adopt(struct raftreg_node *node, const struct wire_hello *hello)
{
	if (node->settings.pinned && memcmp(node->settings.pin, hello->uuid, 16) != 0) {
		complain(node, hello, "a seed belongs to another cluster than registry.cluster");
		return false;
	}
	if (store_adopt(node->store, hello->uuid, hello->epoch) < 0) {
		node_stop_role(node, "the vote could not be written");
		return false;
	}
	memcpy(node->uuid, hello->uuid, 16);
	memcpy(node->state.uuid, hello->uuid, 16);
	node->epoch = hello->epoch;
	node->has_cluster = true;
	log_event(LOG_LEVEL_INFO, "raftreg", 0, "this replica found its cluster", NULL, 0);
	return true;
}

/* Added, or its address is the newer one. */
static void know(struct raftreg_node *node, const struct state_replica *replica)
{
	size_t at = 0;

	while (at < node->known_count && node->known[at].id != replica->id) {
		at++;
	}
	if (at < STATE_REPLICAS_MAX) {
		node->known[at] = *replica;
		node->known_count += at == node->known_count ? 1 : 0;
	}
}

/* Called for every Hello, in either direction, before anything else of it is believed. */
bool node_meet(struct raftreg_node *node, const struct wire_hello *hello)
{
	if (birth_meet(node, hello)) {
		return false;
	}
	if (!node->has_cluster && !is_zero(hello->uuid) && !adopt(node, hello)) {
		return false;
	}
	/* RI-02. One without a cluster is a newcomer and welcome. */
	if (!is_zero(hello->uuid) &&
		(memcmp(hello->uuid, node->uuid, 16) != 0 || hello->epoch != node->epoch)) {
		complain(node, hello, "another replica belongs to another cluster");
		return false;
	}
	if (node->conf.voters.count > 0 || is_zero(hello->uuid)) {
		return true;
	}
	/* Not a member yet: knock at everyone the other knows, the leader among them. */
	for (size_t i = 0; i < hello->replica_count; i++) {
		know(node, &hello->replicas[i]);
	}
	/* One that names nobody is just born, or a newcomer like us, who must not take the place of
	 * those that were named before. */
	know(node, &hello->self);
	node->known_changed = true;
	node_wake(node);
	return true;
}

/* last_index is what the core holds, which may be ahead of the disk but never behind what was
 * acknowledged. */
void node_fill_hello(struct raftreg_node *node, struct wire_hello *ret_hello)
{
	struct raft_status *status = mem_alloc(sizeof *status);

	*ret_hello = (struct wire_hello){.epoch = node->epoch,
		.boot_id = node->boot_id,
		.boot_count = node->boot_count,
		.leader = node->now.leader,
		.seeds = node->settings.seeds_digest,
		.format = WIRE_FORMAT,
		.with_seeds = node->settings.with_seeds && !node->birth.known,
		.self = node->self};
	memcpy(ret_hello->uuid, node->uuid, 16);
	raft_status_get(node->raft, status);
	ret_hello->term = status->term;
	ret_hello->last_index = status->last_index;
	ret_hello->uncertain = status->uncertain && node->persisted >= node->doubt_seq;
	mem_free(status);
	for (size_t i = 0; i < node->state.replica_count; i++) {
		ret_hello->replicas[ret_hello->replica_count++] = node->state.replicas[i];
	}
}

/* Members talk to members; a newcomer to everyone it was told of. */
void node_member_update_peers(struct raftreg_node *node)
{
	bool member = node->conf.voters.count > 0;

	if (member) {
		peers_set(node->peers, node->state.replicas, node->state.replica_count);
	} else {
		peers_set(node->peers, node->known, node->known_count);
	}
	/* Seeds are asked until somebody counts us in. */
	peers_knock(node->peers, !member);
}

/* What an operator may change between two starts; the id is the same by
 * construction. */
static bool same_record(const struct state_replica *a, const struct state_replica *b)
{
	return a->port == b->port && a->voter == b->voter && strcmp(a->host, b->host) == 0 &&
	       strcmp(a->name, b->name) == 0;
}

/* A known replica with another address or role is a candidate for an update of its record. */
void node_member_knock(struct raftreg_node *node, const struct wire_hello *hello)
{
	const struct state_replica *known = state_replica(&node->state, hello->self.id);
	struct node_candidate *candidate = NULL;

	if (is_zero(hello->uuid) || (known && same_record(known, &hello->self))) {
		return;
	}
	for (size_t i = 0; i < node->candidate_count; i++) {
		if (node->candidates[i].replica.id == hello->self.id) {
			candidate = &node->candidates[i];
		}
	}
	if (!candidate && node->candidate_count < NODE_CANDIDATES_MAX) {
		candidate = &node->candidates[node->candidate_count++];
	}
	if (candidate) {
		candidate->replica = hello->self;
		candidate->seen_ms = node_now_ms(node);
	}
}

/* The records travel with the change, so they are never out of step with it (RI-03). */
static enum raft_refusal change(struct raftreg_node *node, const struct raft_operation *operations,
	uint32_t count, const struct state_replica *record)
{
	struct raft_event event = {.kind = RAFT_CHANGE};
	enum raft_refusal refusal;
	struct buf records;

	ASSERT(count > 0 && count <= RAFT_OPERATIONS_MAX);
	buf_init(&records);
	if (record) {
		size_t mark = pbscan_begin(&records, 1);

		state_encode_replica(record, &records);
		pbscan_end(&records, mark);
	}
	event.u.change.transition = RAFT_TRANSITION_AUTO;
	event.u.change.operation_count = count;
	memcpy(event.u.change.operations, operations, count * sizeof *operations);
	event.u.change.records = records.data;
	event.u.change.records_length = (uint32_t)records.size;
	refusal = node_step(node, &event);
	buf_fini(&records);
	return refusal;
}

/* RB-03: newcomers become learners; for a member only its record changes (address,
 * name, role). */
enum raft_refusal node_member_add(
	struct raftreg_node *node, const struct state_replica *replica, bool learner)
{
	const struct raft_operation operation = {
		.kind = learner ? RAFT_ADD_LEARNER : RAFT_UPDATE, .id = replica->id};

	return change(node, &operation, 1, replica);
}

/* RB-03: without certificates everyone who may speak to us is admitted as learner. */
static void admit(struct raftreg_node *node, uint64_t now_ms)
{
	for (size_t i = 0; i < node->candidate_count; i++) {
		struct node_candidate *candidate = &node->candidates[i];
		const struct state_replica *known =
			state_replica(&node->state, candidate->replica.id);
		bool member = member_conf_has(&node->conf, candidate->replica.id);

		/* It says hello once a connection, and may have to wait long for a leader. */
		if (now_ms - candidate->seen_ms >= CANDIDATE_FORGET_MS &&
			inlet_is_open(node, candidate->replica.id)) {
			candidate->seen_ms = now_ms;
		}
		if (now_ms - candidate->seen_ms < CANDIDATE_FORGET_MS &&
			(!known || !same_record(known, &candidate->replica))) {
			if (node_is_leader(node) && node->leading &&
				node_member_add(node, &candidate->replica, !member) == RAFT_OK) {
				log_event(LOG_LEVEL_INFO, "raftreg", 0, "a replica is admitted",
					(struct log_field[]){LOG_TEXT(
						"pillion.replica", candidate->replica.name)},
					1);
			}
			if (node_is_leader(node)) {
				return; /* one change at a time */
			}
			continue;
		}
		*candidate = node->candidates[--node->candidate_count];
		i--;
	}
}

/* RB-03: every heartbeat of the last 10 E was answered within E. */
static bool is_steady(
	const struct raftreg_node *node, const struct raft_peer_status *peer, uint64_t now_ms)
{
	return peer->state == RAFT_REPLICATE && peer->heard_ms > 0 &&
	       now_ms >=
		       peer->steady_ms + CAUGHT_UP_ELECTIONS * (uint64_t)node->settings.election_ms;
}

/* Learners that were started as voters and are steady; of them those that have `commit`. */
static uint32_t find_ready(const struct raftreg_node *node, uint64_t commit, uint64_t now_ms,
	uint32_t wanted, struct raft_operation ret_operations[2], uint32_t *ret_steady)
{
	struct raft_status *status = mem_alloc(sizeof *status);
	uint32_t ready = 0;

	*ret_steady = 0;
	raft_status_get(node->raft, status);
	for (size_t i = 0; i < status->peer_count; i++) {
		const struct raft_peer_status *peer = &status->peers[i];
		const struct state_replica *replica = state_replica(&node->state, peer->id);

		if (!peer->learner || peer->voter || !replica || !replica->voter ||
			!is_steady(node, peer, now_ms)) {
			continue;
		}
		(*ret_steady)++;
		if (peer->match >= commit && ready < wanted) {
			ret_operations[ready++] =
				(struct raft_operation){.kind = RAFT_ADD_VOTER, .id = peer->id};
		}
	}
	mem_free(status);
	return ready;
}

/* RB-03: in changes that end at 1, 3 or 5. The commit of the moment when enough are steady is what
 * they must have: under load match is always a little behind the commit of now. */
static void promote(struct raftreg_node *node, uint64_t now_ms)
{
	struct raft_operation operations[2];
	uint32_t voters = node->conf.voters.count;
	uint32_t wanted = voters % 2 == 0 ? 1 : 2;
	uint64_t commit = node->promote_commit ? node->promote_commit : node->now.commit_index;
	uint32_t steady;
	uint32_t ready = find_ready(node, commit, now_ms, wanted, operations, &steady);

	if (steady < wanted || voters + wanted > VOTERS_AT_REST_MAX ||
		member_conf_is_joint(&node->conf)) {
		node->promote_commit = 0;
		return;
	}
	node->promote_commit = commit;
	if (ready == wanted && change(node, operations, ready, NULL) == RAFT_OK) {
		node->promote_commit = 0;
		log_event(LOG_LEVEL_INFO, "raftreg", 0, "replicas become voters",
			(struct log_field[]){LOG_NUMBER("pillion.count", ready)}, 1);
	}
}

/* What an operator asks for is asked now: match >= commit at the request. Whether the id can be a
 * voter at all is the core's to say. */
static bool is_caught_up(const struct raftreg_node *node, uint64_t id)
{
	struct raft_status *status = mem_alloc(sizeof *status);
	bool good = true;

	raft_status_get(node->raft, status);
	for (size_t i = 0; i < status->peer_count; i++) {
		const struct raft_peer_status *peer = &status->peers[i];

		if (peer->id == id && !peer->voter) {
			good = peer->match >= status->commit_index &&
			       is_steady(node, peer, node_now_ms(node));
		}
	}
	mem_free(status);
	return good;
}

/* RB-02: who has no cluster looks at the seeds, if the configuration allows it; who
 * has one and leads it lets candidates in. Promotion waits for an own-term entry,
 * without which the configuration could still be another leader's. */
void node_member_tick(struct raftreg_node *node, uint64_t now_ms)
{
	if (!node->has_cluster) {
		birth_tick(node, now_ms);
		return;
	}
	if (node->space.full) {
		return; /* RS-14: a change is a proposal too */
	}
	admit(node, now_ms);
	if (node_is_leader(node) && node->leading) {
		promote(node, now_ms);
	}
}

/* The one that needs least before it can lead. */
static uint64_t furthest_voter(const struct raftreg_node *node)
{
	struct raft_status *status = mem_alloc(sizeof *status);
	uint64_t best = 0;
	uint64_t match = 0;

	raft_status_get(node->raft, status);
	for (size_t i = 0; i < status->peer_count; i++) {
		const struct raft_peer_status *peer = &status->peers[i];
		/* Not the mark of the quorum check, which is cleared in every period. */
		bool heard = peer->heard_ms + node->settings.election_ms > node_now_ms(node);

		if (peer->voter && heard && peer->id != node->self.id && peer->match >= match) {
			best = peer->id;
			match = peer->match;
		}
	}
	mem_free(status);
	return best;
}

/* Again and again while it does not succeed, so the same target is said only once. */
void node_member_hand_over(struct raftreg_node *node)
{
	struct raft_event event = {.kind = RAFT_TRANSFER, .u.transfer.peer = furthest_voter(node)};
	const struct state_replica *target = state_replica(&node->state, event.u.transfer.peer);
	struct raft_status *status = mem_alloc(sizeof *status);
	uint64_t before;

	raft_status_get(node->raft, status);
	before = status->transfer_target;
	mem_free(status);
	/* One that is under way is not changed for a voter that happens to be ahead now. */
	if (before == 0 && target && node_step(node, &event) == RAFT_OK) {
		log_event(LOG_LEVEL_INFO, "raftreg", 0, "leadership is handed over",
			(struct log_field[]){LOG_TEXT("pillion.replica", target->name),
				LOG_NUMBER("pillion.term", node->now.term)},
			2);
	}
}

/* What people may ask for; the core refuses what is not safe. */
static enum raft_refusal run_verb(struct raftreg_node *node, const char *verb, uint64_t id)
{
	struct raft_event event = {.kind = RAFT_TRANSFER};
	const struct raft_operation voter = {.kind = RAFT_ADD_VOTER, .id = id};

	if (strcmp(verb, "transfer") == 0) {
		event.u.transfer.peer = id ? id : furthest_voter(node);
		return event.u.transfer.peer ? node_step(node, &event) : RAFT_BAD_CHANGE;
	}
	if (strcmp(verb, "promote") == 0) {
		return member_conf_has(&node->conf, id) ? change(node, &voter, 1, NULL)
							: RAFT_NOT_MEMBER;
	}
	for (size_t i = 0; i < node->candidate_count; i++) {
		if (node->candidates[i].replica.id == id) {
			return node_member_add(node, &node->candidates[i].replica, true);
		}
	}
	return RAFT_NOT_MEMBER;
}

/* On any replica but the leader it is refused: nobody is told that something was done. */
void node_member_command(struct raftreg_node *node, const char *verb, const char *argument,
	struct registry_result *ret_result)
{
	uint64_t id = strtoull(argument, NULL, 16);
	enum raft_refusal refusal;

	*ret_result = (struct registry_result){.code = REGISTRY_INVALID, .text = "verb"};
	if (strcmp(verb, "transfer") != 0 && strcmp(verb, "promote") != 0 &&
		strcmp(verb, "add") != 0) {
		return;
	}
	if (!node_is_leader(node)) {
		ret_result->code = REGISTRY_CONFLICT;
		ret_result->text = "this replica does not lead; ask the leader";
		return;
	}
	if (strcmp(verb, "promote") == 0 && !is_caught_up(node, id)) {
		ret_result->code = REGISTRY_NOT_CAUGHT_UP;
		ret_result->text = "the learner is behind, or did not answer every heartbeat of "
				   "the last ten election times";
		return;
	}
	refusal = run_verb(node, verb, id);
	ret_result->code = refusal == RAFT_OK ? REGISTRY_OK : REGISTRY_CONFLICT;
	ret_result->text = refusal == RAFT_OK ? NULL : raft_refusal_text(refusal);
	ret_result->index =
		node->now.accepted_index ? node->now.accepted_index : node->state.applied;
}
