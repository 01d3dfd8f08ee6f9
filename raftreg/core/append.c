/* Replication, commit and heartbeats: dissertation 3.5, 3.6, 10.2.1; RM-09..14. */
#include "raftreg/core/internal.h"

#define U(x) ((unsigned long long)(x))

/* Leader and follower both write here, so that the step's effects and the byte count agree. */
static void write_entry(struct raft *raft, const struct raft_entry *entry)
{
	ASSERT(entry->term <= raft->hard.term);
	ASSERT(entry->index > raft->commit);
	raft_log_append(&raft->log, entry);
	raft->uncommitted_bytes += entry->payload ? entry->payload->length : 0;
	if (raft->out.append_from == 0) {
		raft->out.append_from = entry->index;
	}
}

/* The leader's own log only ever grows: nothing is truncated in its term. */
uint64_t append_entry(struct raft *raft, enum raft_entry_kind kind, struct raft_payload *payload)
{
	struct raft_entry entry = {.index = raft_log_last(&raft->log) + 1,
		.term = raft->hard.term,
		.kind = kind,
		.payload = payload};

	ASSERT(raft->role == RAFT_LEADER);
	ASSERT(kind == RAFT_ENTRY_DATA || payload != NULL);
	write_entry(raft, &entry);
	return entry.index;
}

/* RC-07, RC-08: n payloads whole or not at all. */
enum raft_refusal append_propose(struct raft *raft, const struct raft_propose *propose)
{
	uint64_t bytes = 0;

	if (raft->role != RAFT_LEADER) {
		return raft->leader == 0 ? RAFT_NO_LEADER : RAFT_NOT_LEADER;
	}
	if (progress_find(raft, raft->options.id) == NULL) {
		return RAFT_NOT_MEMBER;
	}
	if (raft->transfer_target != 0) {
		return RAFT_TRANSFERRING;
	}
	ASSERT(propose->count > 0);
	ASSERT(propose != NULL);
	if (propose->count > RAFT_APPEND_ENTRIES_MAX) {
		return RAFT_TOO_LARGE;
	}
	for (size_t i = 0; i < propose->count; i++) {
		uint32_t length = propose->payloads[i] ? propose->payloads[i]->length : 0;

		if (length > RAFT_ENTRY_BYTES_MAX) {
			return RAFT_TOO_LARGE;
		}
		bytes += length;
	}
	if (raft->commit - raft->applied >= RAFT_UNAPPLIED_MAX ||
		(bytes > 0 && raft->uncommitted_bytes > 0 &&
			raft->uncommitted_bytes + bytes > raft->options.uncommitted_bytes_max)) {
		return RAFT_TOO_MUCH;
	}
	for (size_t i = 0; i < propose->count; i++) {
		uint64_t index = append_entry(raft, RAFT_ENTRY_DATA, propose->payloads[i]);

		raft->out.accepted = i == 0 ? index : raft->out.accepted;
	}
	append_broadcast(raft);
	ASSERT(raft->out.accepted > 0);
	return RAFT_OK;
}

/* RM-06, Figure 8: only an entry of our own term commits by counting; what lies before it commits
 * with it. */
bool append_try_commit(struct raft *raft)
{
	struct quorum_report reports[RAFT_PEERS_MAX];
	size_t count = progress_reports(raft, false, reports);
	uint64_t index = quorum_index(&raft->conf, reports, count);

	ASSERT(raft->role == RAFT_LEADER);
	index = check_min(index, raft_log_last(&raft->log));
	if (index <= raft->commit || raft_log_term(&raft->log, index) != raft->hard.term) {
		return false;
	}
	raft_commit_to(raft, index);
	ASSERT(raft->commit == index);
	read_on_commit(raft);
	return true;
}

void append_broadcast(struct raft *raft)
{
	ASSERT(raft->role == RAFT_LEADER);
	ASSERT(raft->leader == raft->options.id);
	for (uint32_t i = 0; i < raft->peer_count; i++) {
		if (raft->peers[i].id != raft->options.id) {
			append_send(raft, &raft->peers[i], true);
		}
	}
}

/* How many entries from `from` fit one APPEND: at least one, if there is one. */
static size_t count_entries(const struct raft *raft, uint64_t from, uint64_t *ret_bytes)
{
	uint64_t bytes = 0, last = raft_log_last(&raft->log);
	size_t count = 0;

	ASSERT(from > raft->log.before_index);
	ASSERT(from <= last + 1);
	for (uint64_t index = from; index <= last && count < RAFT_APPEND_ENTRIES_MAX; index++) {
		const struct raft_entry *entry = raft_log_at(&raft->log, index);
		uint32_t length = entry->payload ? entry->payload->length : 0;

		if (count > 0 && bytes + length > raft->options.append_bytes_max) {
			break;
		}
		bytes += length;
		count++;
	}
	*ret_bytes = bytes;
	return count;
}

/* One APPEND, or a SNAPSHOT when what it needs is compacted (RM-09). True when an APPEND was sent.
 */
bool append_send(struct raft *raft, struct raft_progress *peer, bool allow_empty)
{
	uint64_t prev = peer->next - 1, bytes = 0;
	size_t count = 0;

	ASSERT(raft->role == RAFT_LEADER);
	ASSERT(peer->id != raft->options.id);
	ASSERT(peer->next <= raft_log_last(&raft->log) + 1);
	if (progress_is_paused(peer)) {
		return false;
	}
	if (!raft_log_knows(&raft->log, prev)) {
		if (peer->active && snapshot_send(raft, peer->id)) {
			progress_become_snapshot(peer, raft->snapshot.index);
		}
		return false;
	}
	if (peer->state != RAFT_REPLICATE || !progress_is_full(raft, peer)) {
		count = count_entries(raft, peer->next, &bytes);
	}
	if (count == 0 && !allow_empty) {
		return false;
	}
	raft_send(raft, (struct raft_message){.kind = RAFT_APPEND,
				.to = peer->id,
				.index = prev,
				.log_term = raft_log_term(&raft->log, prev),
				.commit = raft->commit,
				.entry_count = count});
	progress_sent(raft, peer, count, bytes);
	return true;
}

/* A follower's log becomes the leader's up to the last entry sent: written from the first mismatch,
 * cut there and nowhere else, for a late or doubled APPEND may be shorter than what came since
 * (RM-10, TRAP-08). */
static void write_entries(struct raft *raft, const struct raft_message *message)
{
	size_t i = 0;

	while (i < message->entry_count &&
		raft_log_matches(&raft->log, message->entries[i].index, message->entries[i].term)) {
		i++;
	}
	if (i == message->entry_count) {
		return;
	}
	uint64_t from = message->entries[i].index, last = raft_log_last(&raft->log);

	ASSERT(from == message->index + 1 + i);
	/* What is committed never changes: else some majority lied (RC-09). */
	ASSERT(from > raft->commit);
	if (from <= last) {
		trace_line(raft, "truncate from %llu", U(from));
		raft->uncommitted_bytes -= raft_log_bytes(&raft->log, from, last);
		raft_log_truncate(&raft->log, from);
		raft->out.truncate_from = from;
	}
	for (; i < message->entry_count; i++) {
		write_entry(raft, &message->entries[i]);
	}
}

/* RM-10, on the follower. The answer leaves when what it promises is durable (RC-05). */
void append_on_request(struct raft *raft, const struct raft_message *message)
{
	uint64_t prev = message->index, last = raft_log_last(&raft->log);
	struct raft_message answer = {.kind = RAFT_APPEND_RESP, .to = message->from};

	ASSERT(message->term == raft->hard.term);
	ASSERT(message->entry_count == 0 || message->entries != NULL);
	election_heard(raft, message->from);
	if (prev < raft->commit) {
		answer.index = raft->commit;
	} else if (raft_log_matches(&raft->log, prev, message->log_term)) {
		write_entries(raft, message);
		answer.index = prev + message->entry_count;
		raft_commit_to(raft, check_min(message->commit, answer.index));
	} else {
		/* RM-11: skip whole terms, and both sides do. */
		answer.reject = true;
		answer.index = prev;
		answer.hint_index = raft_log_conflict(
			&raft->log, check_min(prev, last), message->log_term, &answer.log_term);
		trace_line(raft, "reject APPEND after %llu: hint %llu term %llu", U(prev),
			U(answer.hint_index), U(answer.log_term));
	}
	raft_send(raft, answer);
}

/* RM-12: the follower's hint skipped its terms, we skip ours: one probe per term, not per entry. */
static void on_rejection(
	struct raft *raft, struct raft_progress *peer, const struct raft_message *message)
{
	uint64_t base = message->hint_index, term;

	ASSERT(message->reject);
	if (message->log_term > 0) {
		base = raft_log_conflict(&raft->log, base, message->log_term, &term);
	}
	if (!progress_reject(peer, message->index, base)) {
		return;
	}
	if (peer->state == RAFT_REPLICATE) {
		progress_become_probe(peer);
	}
	ASSERT(peer->next <= raft_log_last(&raft->log) + 1);
	trace_line(raft, "probe %llu after %llu", U(peer->id), U(peer->next - 1));
	append_send(raft, peer, true);
}

/* RM-09's last column: what an acceptance moves. */
static void move_state(struct raft *raft, struct raft_progress *peer, uint64_t index)
{
	ASSERT(peer->match >= index);
	ASSERT(raft->role == RAFT_LEADER);
	switch (peer->state) {
	case RAFT_PROBE:
		progress_become_replicate(peer);
		break;
	case RAFT_REPLICATE:
		progress_free_inflight(raft, peer, index);
		break;
	case RAFT_SNAPSHOTTING:
		if (peer->match + 1 >= raft_log_first(&raft->log)) {
			progress_become_replicate(peer);
		}
		break;
	}
}

/* RM-12, RM-13. */
void append_on_response(struct raft *raft, const struct raft_message *message)
{
	struct raft_progress *peer = progress_find(raft, message->from);

	ASSERT(message->term == raft->hard.term);
	ASSERT(message->from != raft->options.id);
	if (raft->role != RAFT_LEADER || peer == NULL) {
		return;
	}
	peer->active = true;
	peer->heard_ms = raft->now_ms;
	if (message->reject) {
		on_rejection(raft, peer, message);
		return;
	}
	/* Nobody can hold more of our term than we sent. */
	if (message->index > raft_log_last(&raft->log)) {
		trace_line(raft, "ignore acceptance of %llu", U(message->index));
		return;
	}
	bool rose = progress_accept(peer, message->index);

	if (!rose && !(peer->state == RAFT_PROBE && message->index == peer->match)) {
		return;
	}
	move_state(raft, peer, message->index);
	if (append_try_commit(raft)) {
		append_broadcast(raft);
	} else if (raft->commit > peer->sent_commit && peer->sent_commit < peer->next - 1) {
		append_send(raft, peer, true);
	}
	while (append_send(raft, peer, false)) {
		/* Bounded by the window, or by the log's end. */
		ASSERT(peer->next <= raft_log_last(&raft->log) + 1);
	}
	election_try_handover(raft, peer);
}

/* RM-14. The read position is the highest given out, so every heartbeat serves as a round. */
void append_broadcast_heartbeat(struct raft *raft)
{
	ASSERT(raft->role == RAFT_LEADER);
	ASSERT(raft->commit <= raft_log_last(&raft->log));
	raft->read_round = raft->read_position;
	for (uint32_t i = 0; i < raft->peer_count; i++) {
		struct raft_progress *peer = &raft->peers[i];
		uint64_t commit = check_min(peer->match, raft->commit);

		if (peer->id == raft->options.id) {
			continue;
		}
		/* RB-03: only a heartbeat that was sent can be unanswered; that this side was late
		 * is no fault of the peer's. */
		if (peer->heard_ms >= peer->asked_ms) {
			peer->asked_ms = raft->now_ms;
		} else if (raft->now_ms - peer->asked_ms >= raft->options.election_ms) {
			peer->steady_ms = raft->now_ms;
		}
		raft_send(raft, (struct raft_message){.kind = RAFT_HEARTBEAT,
					.to = peer->id,
					.commit = commit,
					.context = raft->read_position});
		peer->sent_commit = check_max(peer->sent_commit, commit);
	}
}

/* RM-14, on the follower. The echo proves to the leader that it leads still (RM-16). */
void append_on_heartbeat(struct raft *raft, const struct raft_message *message)
{
	ASSERT(message->term == raft->hard.term);
	election_heard(raft, message->from);
	if (message->commit <= raft_log_last(&raft->log)) {
		raft_commit_to(raft, message->commit);
	} else {
		/* We once acknowledged more than we have: only a replica that knows of its loss may
		 * go on (RI-06). */
		ASSERT(raft->hard.uncertain);
	}
	if (raft->hard.uncertain) {
		read_ask_certainty(raft);
	}
	raft_send(raft, (struct raft_message){.kind = RAFT_HEARTBEAT_RESP,
				.to = message->from,
				.context = message->context});
}

/* An answer shows that the way is open again: what was paused goes on, losses are found out. */
void append_on_heartbeat_response(struct raft *raft, const struct raft_message *message)
{
	struct raft_progress *peer = progress_find(raft, message->from);

	ASSERT(message->term == raft->hard.term);
	ASSERT(message->from != raft->options.id);
	if (raft->role != RAFT_LEADER || peer == NULL) {
		return;
	}
	peer->active = true;
	peer->heard_ms = raft->now_ms;
	peer->paused = false;
	if (peer->match < raft_log_last(&raft->log) || peer->state == RAFT_PROBE) {
		append_send(raft, peer, true);
	}
	if (message->context > peer->read_ack && message->context <= raft->read_position) {
		peer->read_ack = message->context;
		read_try_confirm(raft);
	}
	ASSERT(peer->read_ack <= raft->read_position);
}
