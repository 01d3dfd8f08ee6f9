/* Terms, votes, roles, leadership transfer: dissertation 3.4, 3.10, 6.2, 9.6; RM-01..08, RM-18. */
#include "raftreg/core/internal.h"

#define U(x) ((unsigned long long)(x))

void election_restart_timer(struct raft *raft, bool draw)
{
	ASSERT(raft->options.election_ms > 0);
	raft->election_start_ms = raft->now_ms;
	if (!draw) {
		return;
	}
	/* [E, 2E): one draw per reset (RC-03). */
	raft->election_timeout_ms =
		raft->options.election_ms +
		(uint32_t)(check_rng_next(&raft->rng) % raft->options.election_ms);
	if (raft->forced_timeout_ms > 0) {
		raft->election_timeout_ms = raft->forced_timeout_ms;
	}
	ASSERT(raft->election_timeout_ms > 0);
}

/* The one place where a role changes, so that an illegal way is seen where it is taken. */
static void set_role(struct raft *raft, enum raft_role role)
{
	/* The only ways up: a leader was a candidate before; a leader never stands for election. */
	ASSERT(role != RAFT_LEADER || raft->role == RAFT_CANDIDATE);
	ASSERT(raft->role != RAFT_LEADER || role == RAFT_FOLLOWER);
	if (raft->role != role) {
		trace_line(raft, "%s to %s in term %llu", raft_role_name(raft->role),
			raft_role_name(role), U(raft->hard.term));
	}
	raft->role = role;
}

/* Also what a candidate does that lost, a leader that no quorum answered, anybody that learned of a
 * higher term. Leader 0: not known yet. */
void election_become_follower(struct raft *raft, uint64_t term, uint64_t leader)
{
	ASSERT(term >= raft->hard.term);
	ASSERT(leader != raft->options.id);
	ASSERT(raft->peer_count <= RAFT_PEERS_MAX);
	raft_reset(raft, term);
	set_role(raft, RAFT_FOLLOWER);
	raft->leader = leader;
	trace_line(raft, "follow %llu in term %llu", U(leader), U(term));
}

/* The leader of our term spoke: RM-01. The timer starts again, without a draw. */
void election_heard(struct raft *raft, uint64_t from)
{
	/* Two leaders in one term: Raft's first promise is broken (RC-09). */
	ASSERT(raft->role != RAFT_LEADER);
	ASSERT(raft->leader == 0 || raft->leader == from);
	if (raft->role != RAFT_FOLLOWER) {
		election_become_follower(raft, raft->hard.term, from);
	}
	raft->leader = from;
	raft->heard_ms = raft->now_ms;
	election_restart_timer(raft, false);
}

/* RM-04: who may stand for election. */
bool election_is_promotable(const struct raft *raft)
{
	ASSERT(raft->options.id != 0);
	ASSERT(raft->applied <= raft->commit);
	if (!member_conf_is_voter(&raft->conf, raft->options.id)) {
		return false;
	}
	for (size_t i = 0; i < raft->pending_count; i++) {
		if (raft->pending[raft->pending_start + i].install > 0) {
			return false;
		}
	}
	/* Who does not know the newest committed configuration must not count by an older one. */
	return !member_has_unapplied(raft);
}

/* RM-06. The empty entry is what makes older entries commit, and tells when reads may begin. */
static void become_leader(struct raft *raft)
{
	ASSERT(raft->role == RAFT_CANDIDATE);
	ASSERT(raft->durable_term == raft->hard.term);
	raft_reset(raft, raft->hard.term);
	set_role(raft, RAFT_LEADER);
	raft->leader = raft->options.id;
	raft->heartbeat_start_ms = raft->now_ms;
	raft->check_start_ms = raft->now_ms;
	raft->read_position = 0;
	raft->read_round = 0;
	raft->read_confirmed = 0;
	/* No change may be proposed before all that lies in the log already is applied (RM-21). */
	raft->pending_conf = raft_log_last(&raft->log);
	struct raft_progress *self = progress_find(raft, raft->options.id);

	ASSERT(self != NULL);
	self->active = true;
	progress_accept(self, raft->durable);
	progress_become_replicate(self);
	append_entry(raft, RAFT_ENTRY_DATA, NULL);
	append_broadcast(raft);
}

/* Counts the ballots of the running phase and moves on when they decide it. */
static void poll_ballots(struct raft *raft)
{
	struct quorum_report reports[RAFT_PEERS_MAX];
	size_t count = progress_reports(raft, false, reports);
	enum quorum_result result = quorum_vote(&raft->conf, reports, count);

	ASSERT(raft->role == RAFT_PRE_CANDIDATE || raft->role == RAFT_CANDIDATE);
	ASSERT(count == raft->peer_count);
	switch (result) {
	case QUORUM_PENDING:
		break;
	case QUORUM_WON:
		if (raft->role == RAFT_CANDIDATE) {
			become_leader(raft);
		} else {
			election_campaign(raft, false);
		}
		break;
	case QUORUM_LOST:
		election_become_follower(raft, raft->hard.term, 0);
		break;
	}
}

/* Counts as uncertain when we may have lost what we acknowledged (RI-06). */
static void vote_self(struct raft *raft)
{
	struct raft_progress *self = progress_find(raft, raft->options.id);

	ASSERT(self != NULL);
	ASSERT(raft->role != RAFT_LEADER);
	self->ballot = raft->hard.uncertain ? QUORUM_UNCERTAIN : QUORUM_GRANTED;
}

/* Asks every other voter of both halves. */
static void request_ballots(struct raft *raft, enum raft_message_kind kind, bool transfer)
{
	ASSERT(kind == RAFT_VOTE || kind == RAFT_PREVOTE);
	ASSERT(!transfer || kind == RAFT_VOTE);
	for (uint32_t i = 0; i < raft->peer_count; i++) {
		uint64_t id = raft->peers[i].id;

		if (id == raft->options.id || !member_conf_is_voter(&raft->conf, id)) {
			continue;
		}
		raft_send(raft, (struct raft_message){.kind = kind,
					.to = id,
					.term = raft->hard.term + (kind == RAFT_PREVOTE),
					.index = raft_log_last(&raft->log),
					.log_term = raft_log_last_term(&raft->log),
					.commit = raft->commit,
					.hint_index = raft_log_term(&raft->log, raft->commit),
					.transfer = transfer});
	}
}

/* The next phase: a pre-vote for whoever is neither pre-candidate with a majority behind it nor
 * told to go ahead by the leader. */
void election_campaign(struct raft *raft, bool transfer)
{
	bool won = raft->role == RAFT_PRE_CANDIDATE;
	struct quorum_report reports[RAFT_PEERS_MAX];

	ASSERT(raft->role != RAFT_LEADER);
	ASSERT(member_conf_is_voter(&raft->conf, raft->options.id));
	if (won) {
		size_t count = progress_reports(raft, false, reports);

		won = quorum_vote(&raft->conf, reports, count) == QUORUM_WON;
	}
	if (!won && !transfer && !raft_flag(raft, RAFT_NO_PREVOTE)) {
		raft_reset(raft, raft->hard.term);
		set_role(raft, RAFT_PRE_CANDIDATE);
		vote_self(raft);
		request_ballots(raft, RAFT_PREVOTE, false);
		poll_ballots(raft);
		return;
	}
	raft_reset(raft, raft->hard.term + 1);
	raft_set_hard(raft, raft->hard.term, raft->options.id);
	set_role(raft, RAFT_CANDIDATE);
	/* One's own vote counts when it is durable: election_on_persisted. */
	request_ballots(raft, RAFT_VOTE, transfer);
}

/* RC-06: one's own vote, as every vote, counts only when a crash can no longer undo it. */
void election_on_persisted(struct raft *raft)
{
	ASSERT(raft->durable_term <= raft->hard.term);
	if (raft->role != RAFT_CANDIDATE || raft->durable_term < raft->hard.term) {
		return;
	}
	struct raft_progress *self = progress_find(raft, raft->options.id);

	/* The configuration may have dropped us since. */
	if (self != NULL && self->ballot == QUORUM_MISSING) {
		ASSERT(raft->hard.vote == raft->options.id);
		vote_self(raft);
		poll_ballots(raft);
	}
}

/* RM-01. False: the message ends here. */
bool election_on_higher_term(struct raft *raft, const struct raft_message *message)
{
	bool request = message->kind == RAFT_VOTE || message->kind == RAFT_PREVOTE;
	bool leads = message->kind == RAFT_APPEND || message->kind == RAFT_HEARTBEAT ||
		     message->kind == RAFT_SNAPSHOT;

	ASSERT(message->term > raft->hard.term);
	/* Stickiness: a leader that is heard is not disturbed (dissertation 4.2.3). */
	if (request && !message->transfer && raft->leader != 0 &&
		(raft->role == RAFT_LEADER ||
			raft->now_ms - raft->heard_ms < raft->options.election_ms)) {
		trace_line(raft, "ignore %s of %llu: leader %llu is heard",
			raft_message_name(message->kind), U(message->from), U(raft->leader));
		return false;
	}
	if (message->kind == RAFT_PREVOTE ||
		(message->kind == RAFT_PREVOTE_RESP && !message->reject)) {
		return true;
	}
	election_become_follower(raft, message->term, leads ? message->from : 0);
	ASSERT(raft->hard.term == message->term);
	return true;
}

/* RM-02. The empty APPEND_RESP tells a leader or candidate of old that its time is over; without it
 * a replica whose term is too high for its leader could never be reached again. */
void election_on_lower_term(struct raft *raft, const struct raft_message *message)
{
	ASSERT(message->term < raft->hard.term);
	ASSERT(message->from != raft->options.id);
	if (message->kind == RAFT_APPEND || message->kind == RAFT_HEARTBEAT) {
		raft_send(
			raft, (struct raft_message){.kind = RAFT_APPEND_RESP, .to = message->from});
	}
	if (message->kind == RAFT_PREVOTE) {
		raft_send(raft,
			(struct raft_message){
				.kind = RAFT_PREVOTE_RESP, .to = message->from, .reject = true});
	}
}

/* A leader that steps down because it left the voters may be the only one to know that the change
 * is committed, and its longer log denies its vote to those who still count it: nobody could win
 * ever again. So whoever asks for votes or answers says what is committed; if that very entry is in
 * our log, it is committed here too (raft-rs has the same remedy). */
static void learn_commit(struct raft *raft, const struct raft_message *message)
{
	ASSERT(message->from != raft->options.id);
	if (raft->role != RAFT_LEADER && message->commit > raft->commit &&
		message->hint_index > 0 &&
		raft_log_matches(&raft->log, message->commit, message->hint_index)) {
		raft_commit_to(raft, message->commit);
		/* RM-04 holds for a campaign that runs, too: its configuration may be old news. */
		if (raft->role != RAFT_FOLLOWER && member_has_unapplied(raft)) {
			election_become_follower(raft, raft->hard.term, 0);
		}
		ASSERT(raft->commit == message->commit);
	}
}

/* RM-03: VOTE and PREVOTE, also for learners and for whoever left the configuration: they cannot
 * know whether they are voters again. */
void election_on_request(struct raft *raft, const struct raft_message *message)
{
	bool pre = message->kind == RAFT_PREVOTE;
	uint64_t last = raft_log_last(&raft->log), last_term = raft_log_last_term(&raft->log);
	bool free = raft->hard.vote == message->from ||
		    (raft->hard.vote == 0 && raft->leader == 0) ||
		    (pre && message->term > raft->hard.term);
	bool fresh = message->log_term > last_term ||
		     (message->log_term == last_term && message->index >= last);
	bool grant = free && fresh;

	ASSERT(message->term >= raft->hard.term);
	ASSERT(pre || message->term == raft->hard.term);
	learn_commit(raft, message);
	trace_line(raft, "%s %s of %llu for term %llu", grant ? "grant" : "reject",
		raft_message_name(message->kind), U(message->from), U(message->term));
	raft_send(raft, (struct raft_message){.kind = pre ? RAFT_PREVOTE_RESP : RAFT_VOTE_RESP,
				.to = message->from,
				.term = grant ? message->term : raft->hard.term,
				.commit = raft->commit,
				.hint_index = raft_log_term(&raft->log, raft->commit),
				.reject = !grant,
				.uncertain = grant && raft->hard.uncertain});
	if (grant && !pre) {
		raft_set_hard(raft, raft->hard.term, message->from);
		election_restart_timer(raft, false);
	}
}

/* RM-04: only answers of this phase count, the first of each peer. */
void election_on_response(struct raft *raft, const struct raft_message *message)
{
	bool pre = message->kind == RAFT_PREVOTE_RESP;
	enum raft_role role = pre ? RAFT_PRE_CANDIDATE : RAFT_CANDIDATE;
	uint64_t term = raft->hard.term + (pre && !message->reject);
	struct raft_progress *peer = progress_find(raft, message->from);

	ASSERT(message->term >= raft->hard.term);
	learn_commit(raft, message);
	if (raft->role != role || message->term != term || peer == NULL ||
		peer->ballot != QUORUM_MISSING) {
		return;
	}
	if (message->reject) {
		peer->ballot = QUORUM_REJECTED;
	} else {
		peer->ballot = message->uncertain ? QUORUM_UNCERTAIN : QUORUM_GRANTED;
	}
	ASSERT(peer->id != raft->options.id);
	poll_ballots(raft);
}

/* RM-18: the leader found that we have all of its log and wants us to take over. A learner, or who
 * has a change to apply, does not. */
void election_on_timeout_now(struct raft *raft)
{
	ASSERT(raft->restored);
	ASSERT(raft->hard.term > 0);
	if (raft->role == RAFT_FOLLOWER && election_is_promotable(raft)) {
		election_campaign(raft, true);
	}
}

/* RM-07: a leader that a quorum does not answer is one no longer; its clients need to know. */
void election_check_quorum(struct raft *raft)
{
	struct quorum_report reports[RAFT_PEERS_MAX];

	ASSERT(raft->role == RAFT_LEADER);
	raft->check_start_ms = raft->now_ms;
	for (uint32_t i = 0; i < raft->peer_count; i++) {
		bool self = raft->peers[i].id == raft->options.id;

		reports[i] = (struct quorum_report){
			.id = raft->peers[i].id, .index = self || raft->peers[i].active};
		raft->peers[i].active = self;
	}
	if (quorum_index(&raft->conf, reports, raft->peer_count) == 0 &&
		!raft_flag(raft, RAFT_NO_CHECK_QUORUM)) {
		trace_line(raft, "no quorum answered");
		election_become_follower(raft, raft->hard.term, 0);
		ASSERT(raft->leader == 0);
	}
}

/* RC-02: a timeout has passed when now - start >= length. */
static bool has_passed(const struct raft *raft, uint64_t start_ms, uint64_t length_ms)
{
	ASSERT(raft->now_ms >= start_ms);
	ASSERT(length_ms > 0);
	return raft->now_ms - start_ms >= length_ms;
}

/* A late timer is one expiry: starts are set to now, missed periods are not made up (RC-02). */
void election_on_deadline(struct raft *raft)
{
	ASSERT(raft->restored);
	ASSERT(raft->election_timeout_ms > 0);
	if (raft->role != RAFT_LEADER) {
		if (!has_passed(raft, raft->election_start_ms, raft->election_timeout_ms)) {
			return;
		}
		if (election_is_promotable(raft)) {
			election_campaign(raft, false);
		} else {
			election_restart_timer(raft, true);
		}
		return;
	}
	if (raft->transfer_target != 0 &&
		has_passed(raft, raft->transfer_start_ms, raft->options.election_ms)) {
		trace_line(raft, "transfer to %llu given up", U(raft->transfer_target));
		raft->transfer_target = 0;
	}
	if (has_passed(raft, raft->check_start_ms, raft->options.election_ms)) {
		election_check_quorum(raft);
	}
	if (raft->role == RAFT_LEADER &&
		has_passed(raft, raft->heartbeat_start_ms, raft->options.heartbeat_ms)) {
		raft->heartbeat_start_ms = raft->now_ms;
		append_broadcast_heartbeat(raft);
	}
}

/* RM-18: who asked for leadership and has the whole log is told to take it. */
void election_try_handover(struct raft *raft, const struct raft_progress *peer)
{
	ASSERT(raft->role == RAFT_LEADER);
	ASSERT(peer->id != 0);
	if (raft->transfer_target == peer->id && peer->match == raft_log_last(&raft->log)) {
		raft_send(raft, (struct raft_message){.kind = RAFT_TIMEOUT_NOW, .to = peer->id});
	}
}

/* RM-18. Proposals are refused until it is over, so that the target can catch up with a log that
 * stands still; it is given up after E. */
enum raft_refusal election_transfer(struct raft *raft, uint64_t target)
{
	if (raft->role != RAFT_LEADER) {
		return raft->leader == 0 ? RAFT_NO_LEADER : RAFT_NOT_LEADER;
	}
	struct raft_progress *peer = progress_find(raft, target);

	if (peer == NULL || target == raft->options.id ||
		!member_conf_is_voter(&raft->conf, target)) {
		return RAFT_BAD_CHANGE;
	}
	if (raft->transfer_target == target) {
		return RAFT_OK;
	}
	raft->transfer_target = target;
	raft->transfer_start_ms = raft->now_ms;
	trace_line(raft, "transfer to %llu", U(target));
	if (peer->match == raft_log_last(&raft->log)) {
		election_try_handover(raft, peer);
	} else {
		append_send(raft, peer, true);
	}
	ASSERT(raft->transfer_target != 0);
	ASSERT(raft->transfer_target != raft->options.id);
	return RAFT_OK;
}
