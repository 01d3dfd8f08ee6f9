/* The core's door: create, step, effects; what all of its files share. See raft.h. */
#include <stdlib.h>
#include <string.h>

#include "raftreg/core/internal.h"

/* Payloads and entries */

struct raft_payload *raft_payload_create(const void *bytes, uint32_t length)
{
	size_t room = 0;
	struct raft_payload *payload =
		trace_grow(NULL, &room, 1, sizeof(struct raft_payload) + (size_t)length);

	ASSERT(payload != NULL);
	ASSERT(length < UINT32_MAX);
	atomic_init(&payload->references, 1);
	payload->length = length;
	if (bytes != NULL && length > 0) {
		memcpy(payload->bytes, bytes, length);
	}
	return payload;
}

struct raft_payload *raft_payload_ref(struct raft_payload *payload)
{
	if (payload != NULL) {
		uint32_t old =
			atomic_fetch_add_explicit(&payload->references, 1, memory_order_relaxed);

		ASSERT(old > 0);
		ASSERT(old < UINT32_MAX);
	}
	return payload;
}

void raft_payload_unref(struct raft_payload *payload)
{
	if (payload == NULL) {
		return;
	}
	/* Release what was read, acquire before freeing: the last holder may be another thread. */
	uint32_t old = atomic_fetch_sub_explicit(&payload->references, 1, memory_order_acq_rel);

	ASSERT(old > 0);
	ASSERT(payload->length < UINT32_MAX);
	if (old == 1) {
		free(payload);
	}
}

void raft_entry_ref(const struct raft_entry *entry)
{
	ASSERT(entry != NULL);
	ASSERT(entry->index > 0);
	raft_payload_ref(entry->payload);
}

void raft_entry_unref(const struct raft_entry *entry)
{
	ASSERT(entry != NULL);
	ASSERT(entry->index > 0);
	raft_payload_unref(entry->payload);
}

/* Names */

/* For traces; an unknown number has a name as well. */
const char *raft_message_name(enum raft_message_kind kind)
{
	static const char *const names[] = {"?", "PREVOTE", "PREVOTE_RESP", "VOTE", "VOTE_RESP",
		"APPEND", "APPEND_RESP", "HEARTBEAT", "HEARTBEAT_RESP", "SNAPSHOT", "TIMEOUT_NOW",
		"READ_INDEX", "READ_INDEX_RESP"};
	unsigned number = (unsigned)kind;

	return names[number < sizeof(names) / sizeof(names[0]) ? number : 0];
}

const char *raft_role_name(enum raft_role role)
{
	switch (role) {
	case RAFT_FOLLOWER:
		return "follower";
	case RAFT_PRE_CANDIDATE:
		return "pre-candidate";
	case RAFT_CANDIDATE:
		return "candidate";
	case RAFT_LEADER:
		return "leader";
	}
	return "?";
}

const char *raft_refusal_text(enum raft_refusal refusal)
{
	switch (refusal) {
	case RAFT_OK:
		return "ok";
#define X(name, text)                                                                              \
	case RAFT_##name:                                                                          \
		return text;
		RAFT_REFUSAL_MAP(X)
#undef X
	}
	return NULL;
}

/* Shared steps */

/* Whether a test took this guard away (RC-13). */
bool raft_flag(const struct raft *raft, enum raft_test_flag flag)
{
	ASSERT(flag != 0);
	ASSERT(raft != NULL);
	return (raft->options.test_flags & (uint32_t)flag) != 0;
}

/* Sending is only collecting: effects are handed out when the step is over. */
void raft_send(struct raft *raft, struct raft_message message)
{
	struct raft_output *out = &raft->out;

	ASSERT(message.to != 0);
	ASSERT(message.to != raft->options.id);
	message.from = raft->options.id;
	if (message.term == 0) {
		message.term = raft->hard.term;
	}
	/* Until the step ends `after` holds the order of production, for a stable sort (RC-10). */
	message.after = out->message_count;
	out->messages = trace_grow(out->messages, &out->message_capacity, out->message_count + 1,
		sizeof(*out->messages));
	out->messages[out->message_count++] = message;
}

/* Term and vote change nowhere else; the step then becomes one to persist. */
void raft_set_hard(struct raft *raft, uint64_t term, uint64_t vote)
{
	ASSERT(term >= raft->hard.term);
	/* A vote once given in a term is never changed (TRAP-01). */
	ASSERT(term > raft->hard.term || raft->hard.vote == 0 || raft->hard.vote == vote);
	if (term == raft->hard.term && vote == raft->hard.vote) {
		return;
	}
	raft->hard.term = term;
	raft->hard.vote = vote;
	raft->out.hard = true;
}

/* Commit never falls, and takes what is committed out of the limit for proposals (RC-07). */
void raft_commit_to(struct raft *raft, uint64_t index)
{
	ASSERT(index <= raft_log_last(&raft->log));
	if (index <= raft->commit) {
		return;
	}
	uint64_t bytes = raft_log_bytes(&raft->log, raft->commit + 1, index);

	ASSERT(raft->uncommitted_bytes >= bytes);
	raft->uncommitted_bytes -= bytes;
	raft->commit = index;
	trace_line(raft, "commit %llu", (unsigned long long)index);
}

void raft_reset(struct raft *raft, uint64_t term)
{
	ASSERT(term >= raft->hard.term);
	if (term > raft->hard.term) {
		raft_set_hard(raft, term, 0);
	}
	raft->leader = 0;
	raft->transfer_target = 0;
	raft->pending_conf = 0;
	election_restart_timer(raft, true);
	progress_reset_all(raft);
	read_fail_all(raft);
	ASSERT(raft->wait_count == 0);
}

/* Persistence (RC-04..06) */

static struct raft_pending *pending_at(const struct raft *raft, size_t i)
{
	ASSERT(i < raft->pending_count);
	ASSERT(raft->pending_start + raft->pending_count <= raft->pending_capacity);
	return &raft->pending[raft->pending_start + i];
}

/* Closes the step's changes into one sequence, if there are any. */
static uint64_t close_sequence(struct raft *raft)
{
	struct raft_output *out = &raft->out;

	if (!out->hard && !out->install && out->truncate_from == 0 && out->append_from == 0) {
		return 0;
	}
	ASSERT(raft->pending_count < RAFT_PENDING_MAX);
	if (raft->pending_start > raft->pending_count) {
		memmove(raft->pending, raft->pending + raft->pending_start,
			raft->pending_count * sizeof(*raft->pending));
		raft->pending_start = 0;
	}
	raft->pending = trace_grow(raft->pending, &raft->pending_capacity,
		raft->pending_start + raft->pending_count + 1, sizeof(*raft->pending));
	raft->pending[raft->pending_start + raft->pending_count] =
		(struct raft_pending){.seq = ++raft->seq,
			.term = raft->hard.term,
			.install = out->install ? raft->snapshot.index : 0,
			.truncate_from = out->truncate_from,
			.last_index = out->append_from ? raft_log_last(&raft->log) : 0};
	raft->pending_count++;
	ASSERT(raft->seq > 0);
	return raft->seq;
}

/* What a later, still pending sequence removes is not durable, whatever an earlier one says of it:
 * the entry at that index is another one by now (RC-06). */
static void clip_durable(struct raft *raft)
{
	for (size_t i = 0; i < raft->pending_count; i++) {
		const struct raft_pending *pending = pending_at(raft, i);

		if (pending->install > 0) {
			raft->durable = 0;
		}
		if (pending->truncate_from > 0) {
			raft->durable = check_min(raft->durable, pending->truncate_from - 1);
		}
	}
	ASSERT(raft->durable <= raft_log_last(&raft->log));
	ASSERT(raft->pending_count <= RAFT_PENDING_MAX);
}

/* RI-06: certain again when nothing that was acknowledged before the loss can be missing. That an
 * entry of the current leader's term is committed and durable here is not enough: what was lost may
 * be later ones of the same term. It must be of a term above the recovered one, or all that the
 * leader's log held after a question of this life must be here (read_ask_certainty). */
static void try_become_certain(struct raft *raft)
{
	uint64_t index = check_min(raft->commit, raft->durable);

	if (!raft->hard.uncertain || raft->leader == 0) {
		return;
	}
	ASSERT(raft->hard.term >= raft->recovered_term);
	ASSERT(raft->durable_term <= raft->hard.term);
	bool newer = raft_log_term(&raft->log, index) > raft->recovered_term;
	bool caught_up = raft->certain_index > 0 && raft->certain_term == raft->hard.term &&
			 index >= raft->certain_index;

	if (newer || caught_up) {
		raft->hard.uncertain = false;
		raft->out.hard = true;
		trace_line(raft, "certain at %llu", (unsigned long long)index);
	}
}

/* The disk is done up to seq. Several sequences may be reported by the highest of them. */
static void on_persisted(struct raft *raft, uint64_t seq)
{
	ASSERT(seq <= raft->seq);
	ASSERT(raft->pending_count <= RAFT_PENDING_MAX);
	while (raft->pending_count > 0 && pending_at(raft, 0)->seq <= seq) {
		const struct raft_pending *pending = pending_at(raft, 0);

		if (pending->install > 0) {
			raft->durable = pending->install;
		}
		if (pending->truncate_from > 0) {
			raft->durable = check_min(raft->durable, pending->truncate_from - 1);
		}
		raft->durable = check_max(raft->durable, pending->last_index);
		ASSERT(pending->term >= raft->durable_term);
		raft->durable_term = pending->term;
		raft->pending_start++;
		raft->pending_count--;
	}
	/* An entry acknowledged above may lie behind a truncation that waits: clipped last. */
	raft->durable = check_min(raft->durable, raft_log_last(&raft->log));
	clip_durable(raft);
	election_on_persisted(raft);
	struct raft_progress *self = progress_find(raft, raft->options.id);

	if (raft->role == RAFT_LEADER && self != NULL && progress_accept(self, raft->durable) &&
		append_try_commit(raft)) {
		append_broadcast(raft);
	}
}

/* Events */

/* There are no defaults here: what the configuration may say is checked where it is read. */
static void check_options(const struct raft_options *options)
{
	ASSERT(options->id != 0);
	ASSERT(options->uncommitted_bytes_max > 0);
	ASSERT(options->heartbeat_ms > 0);
	ASSERT(options->election_ms >= 4 * options->heartbeat_ms);
	ASSERT(options->append_bytes_max > 0);
	ASSERT(options->inflight_messages_max > 0);
	ASSERT(options->inflight_bytes_max > 0);
}

struct raft *raft_create(const struct raft_options *options)
{
	size_t room = 0;

	ASSERT(options != NULL);
	check_options(options);
	struct raft *raft = trace_grow(NULL, &room, 1, sizeof(*raft));

	memset(raft, 0, sizeof(*raft));
	raft->options = *options;
	check_rng_seed(&raft->rng, options->seed);
	/* Only timeouts draw from the generator (RC-03); the first read id is another function of
	 * the seed, so ids differ between two starts as seeds do (RM-17). */
	uint64_t state = options->seed ^ 0x7265616469647321u;

	raft->read_id = check_splitmix(&state) >> 1;
	return raft;
}

void raft_destroy(struct raft *raft)
{
	if (raft == NULL) {
		return;
	}
	ASSERT(raft->options.id != 0);
	ASSERT(raft->peer_count <= RAFT_PEERS_MAX);
	raft_log_fini(&raft->log);
	progress_clear(raft);
	free(raft->pending);
	free(raft->waits);
	free(raft->out.messages);
	free(raft->out.reads);
	free(raft->trace);
	free(raft);
}

/* Everything recovered is durable; applied is what the snapshot holds, the rest is applied again.
 * Commit is only a hint, but one that safety needs: an entry of kind CONF was sent along with the
 * commit of the change before it, so who has the second knows the first (RM-04). */
static void on_restore(struct raft *raft, const struct raft_restore *restore)
{
	ASSERT(restore->hard.term > 0 || restore->hard.vote == 0);
	raft->hard = restore->hard;
	raft->durable_term = restore->hard.term;
	raft->recovered_term = restore->hard.term;
	if (restore->snapshot != NULL && restore->snapshot->index > 0) {
		ASSERT(member_conf_is_valid(&restore->snapshot->conf));
		raft->snapshot = *restore->snapshot;
		raft->conf = restore->snapshot->conf;
	}
	if (restore->entry_count > 0) {
		raft_log_reset(&raft->log, restore->before_index, restore->before_term);
	} else {
		raft_log_reset(&raft->log, raft->snapshot.index, raft->snapshot.term);
	}
	for (size_t i = 0; i < restore->entry_count; i++) {
		raft_log_append(&raft->log, &restore->entries[i]);
	}
	ASSERT(raft_log_last_term(&raft->log) <= raft->hard.term);
	ASSERT(raft->snapshot.index == 0 ||
		raft_log_matches(&raft->log, raft->snapshot.index, raft->snapshot.term));
	raft->applied = raft->snapshot.index;
	raft->durable = raft_log_last(&raft->log);
	raft->uncommitted_bytes =
		raft_log_bytes(&raft->log, raft->applied + 1, raft_log_last(&raft->log));
	raft->commit = raft->applied;
	raft_commit_to(raft, check_min(restore->commit_hint, raft_log_last(&raft->log)));
	raft->apply_given = raft->commit;
	progress_rebuild(raft);
	election_become_follower(raft, raft->hard.term, 0);
	raft->restored = true;
}

/* RM-01 and RM-02 first, for every kind alike; then the kinds. */
static void on_receive(struct raft *raft, const struct raft_message *message)
{
	ASSERT(message->to == raft->options.id);
	ASSERT(message->from != 0 && message->from != raft->options.id);
	ASSERT(message->term > 0);
	if (message->term > raft->hard.term && !election_on_higher_term(raft, message)) {
		return;
	}
	/* Only (granted) pre-votes may still be above our term; nothing else passes below it. */
	if (message->term < raft->hard.term) {
		election_on_lower_term(raft, message);
		return;
	}
	switch (message->kind) {
	case RAFT_PREVOTE:
	case RAFT_VOTE:
		election_on_request(raft, message);
		break;
	case RAFT_PREVOTE_RESP:
	case RAFT_VOTE_RESP:
		election_on_response(raft, message);
		break;
	case RAFT_APPEND:
		append_on_request(raft, message);
		break;
	case RAFT_APPEND_RESP:
		append_on_response(raft, message);
		break;
	case RAFT_HEARTBEAT:
		append_on_heartbeat(raft, message);
		break;
	case RAFT_HEARTBEAT_RESP:
		append_on_heartbeat_response(raft, message);
		break;
	case RAFT_SNAPSHOT:
		snapshot_on_message(raft, message);
		break;
	case RAFT_TIMEOUT_NOW:
		election_on_timeout_now(raft);
		break;
	case RAFT_READ_INDEX:
		read_on_index_request(raft, message);
		break;
	case RAFT_READ_INDEX_RESP:
		read_on_index_response(raft, message);
		break;
	}
}

/* RT-06: a connection broke. What was sent into it may be lost, so one entry asks first. */
static void on_unreachable(struct raft *raft, uint64_t id)
{
	struct raft_progress *peer = progress_find(raft, id);

	ASSERT(id != 0);
	ASSERT(raft->restored);
	if (raft->role == RAFT_LEADER && peer != NULL && id != raft->options.id &&
		peer->state == RAFT_REPLICATE) {
		progress_become_probe(peer);
		trace_line(raft, "unreachable %llu", (unsigned long long)id);
	}
}

/* RM-15: the peer lost what it had acknowledged; what was committed by it stays committed. */
static void on_peer_reset(struct raft *raft, uint64_t id, uint64_t last)
{
	struct raft_progress *peer = progress_find(raft, id);

	ASSERT(id != raft->options.id);
	if (raft->role != RAFT_LEADER || peer == NULL || last >= peer->match) {
		return;
	}
	peer->match = 0;
	progress_become_probe(peer);
	peer->next = last + 1;
	peer->sent_commit = 0;
	ASSERT(peer->state == RAFT_PROBE);
	trace_line(raft, "reset %llu to %llu", (unsigned long long)id, (unsigned long long)last);
	append_send(raft, peer, true);
}

/* RT-03: what else was acknowledged may be gone too, so the rules of RI-06 hold from now on. The
 * log of a leader is the log: nobody holds more of it. */
static void on_lost_entries(struct raft *raft)
{
	if (raft->role == RAFT_LEADER || raft->hard.uncertain) {
		return;
	}
	if (raft->role != RAFT_FOLLOWER) { /* its own vote counts as a certain one */
		election_become_follower(raft, raft->hard.term, 0);
	}
	raft->hard.uncertain = true;
	raft->out.hard = true;
	raft->recovered_term = raft->hard.term;
	raft->certain_id = raft->certain_index = raft->certain_term = 0;
	trace_line(raft, "lost entries after %llu", (unsigned long long)raft_log_last(&raft->log));
	ASSERT(raft->role == RAFT_FOLLOWER);
	ASSERT(raft->restored);
}

/* RM-08: safe, for no lease rests on stickiness; pre-votes are only granted earlier. */
static void on_forget_leader(struct raft *raft)
{
	ASSERT(raft->restored);
	ASSERT(raft->leader != raft->options.id || raft->role == RAFT_LEADER);
	if (raft->role == RAFT_FOLLOWER && raft->leader != 0) {
		trace_line(raft, "forget leader %llu", (unsigned long long)raft->leader);
		raft->leader = 0;
	}
}

/* A wish, not an order: pre-vote and the rules of promotion hold for it as for a timeout. */
static enum raft_refusal on_campaign(struct raft *raft)
{
	ASSERT(raft->restored);
	ASSERT(raft->options.id != 0);
	if (raft->role == RAFT_LEADER) {
		return RAFT_OK;
	}
	if (!member_conf_is_voter(&raft->conf, raft->options.id)) {
		return RAFT_NOT_MEMBER;
	}
	if (!election_is_promotable(raft)) {
		return RAFT_CHANGE_PENDING;
	}
	election_campaign(raft, false);
	return RAFT_OK;
}

/* There is one timer (RC-04): which of its reasons is over is seen from the clock alone. */
static void on_deadline(struct raft *raft)
{
	ASSERT(raft->restored);
	ASSERT(raft->election_timeout_ms > 0);
	read_expire(raft);
	election_on_deadline(raft);
}

/* One branch for each kind of event; only the five requests may refuse. */
static enum raft_refusal dispatch(struct raft *raft, const struct raft_event *event)
{
	ASSERT(event != NULL);
	switch (event->kind) {
	case RAFT_RESTORE:
		on_restore(raft, &event->u.restore);
		return RAFT_OK;
	case RAFT_DEADLINE:
		on_deadline(raft);
		return RAFT_OK;
	case RAFT_RECEIVE:
		on_receive(raft, event->u.receive);
		return RAFT_OK;
	case RAFT_PERSISTED:
		on_persisted(raft, event->u.persisted.seq);
		return RAFT_OK;
	case RAFT_APPLIED:
		member_on_applied(raft, event->u.applied.index);
		return RAFT_OK;
	case RAFT_PROPOSE:
		return append_propose(raft, &event->u.propose);
	case RAFT_READ:
		return read_request(raft, event->u.read.cookie);
	case RAFT_CHANGE:
		return member_request(raft, &event->u.change);
	case RAFT_TRANSFER:
		return election_transfer(raft, event->u.transfer.peer);
	case RAFT_CAMPAIGN:
		return on_campaign(raft);
	case RAFT_FORGET_LEADER:
		on_forget_leader(raft);
		return RAFT_OK;
	case RAFT_UNREACHABLE:
		on_unreachable(raft, event->u.unreachable.peer);
		return RAFT_OK;
	case RAFT_PEER_RESET:
		on_peer_reset(raft, event->u.peer_reset.peer, event->u.peer_reset.last);
		return RAFT_OK;
	case RAFT_LOST_ENTRIES:
		on_lost_entries(raft);
		return RAFT_OK;
	case RAFT_SNAPSHOT_MADE:
		snapshot_on_made(raft, &event->u.snapshot_made);
		return RAFT_OK;
	case RAFT_SNAPSHOT_DONE:
		snapshot_on_done(raft, event->u.snapshot_done.peer, event->u.snapshot_done.ok);
		return RAFT_OK;
	}
	ASSERT(false); /* the switch above is complete */
	return RAFT_OK;
}

/* Effects */

/* What the last step lent is lent no longer. */
static void begin_step(struct raft *raft)
{
	struct raft_output *out = &raft->out;

	ASSERT(out->message_count <= out->message_capacity);
	ASSERT(out->read_count <= out->read_capacity);
	out->hard = out->install = out->conf = false;
	out->truncate_from = out->append_from = out->accepted = 0;
	out->message_count = out->read_count = 0;
	raft->trace_length = 0;
	if (raft->trace != NULL) {
		raft->trace[0] = '\0';
	}
}

/* A total order, so the result does not depend on the sorting of the C library (RC-01). */
static int compare_messages(const void *a, const void *b)
{
	const struct raft_message *x = a, *y = b;

	ASSERT(x != y);
	ASSERT(x->to != 0 && y->to != 0);
	if (x->to != y->to) {
		return x->to < y->to ? -1 : 1;
	}
	return x->after < y->after ? -1 : x->after > y->after;
}

/* RC-05: an answer that promises something waits for the disk; so does every message of a term that
 * a crash could still make us forget. Other APPENDs overlap the leader's own sync. */
static bool must_wait(const struct raft *raft, const struct raft_message *message)
{
	ASSERT(raft->durable_term <= raft->hard.term);
	ASSERT(message->kind >= RAFT_PREVOTE && message->kind <= RAFT_READ_INDEX_RESP);
	if (raft->pending_count == 0) {
		return false;
	}
	return message->kind == RAFT_APPEND_RESP || message->kind == RAFT_VOTE_RESP ||
	       message->kind == RAFT_PREVOTE_RESP || raft->durable_term < raft->hard.term;
}

/* Only now, when the log moves no more, do messages get pointers into it. */
static void finish_messages(struct raft *raft)
{
	struct raft_output *out = &raft->out;

	if (out->message_count > 1) {
		qsort(out->messages, out->message_count, sizeof(*out->messages), compare_messages);
	}
	for (size_t i = 0; i < out->message_count; i++) {
		struct raft_message *message = &out->messages[i];

		message->after = must_wait(raft, message) ? raft->seq : 0;
		if (message->entry_count > 0) {
			message->entries = raft_log_at(&raft->log, message->index + 1);
			ASSERT(message->entries != NULL);
			ASSERT(message->index + message->entry_count <= raft_log_last(&raft->log));
		}
		if (message->kind == RAFT_SNAPSHOT) {
			message->snapshot = &raft->snapshot;
		}
	}
}

/* The earliest of what this role waits for. */
static uint64_t next_deadline(const struct raft *raft)
{
	uint64_t deadline = read_deadline(raft);

	ASSERT(raft->election_timeout_ms > 0 || !raft->restored);
	ASSERT(raft->options.heartbeat_ms > 0);
	if (raft->role != RAFT_LEADER) {
		return check_min(deadline, raft->election_start_ms + raft->election_timeout_ms);
	}
	deadline = check_min(deadline, raft->heartbeat_start_ms + raft->options.heartbeat_ms);
	deadline = check_min(deadline, raft->check_start_ms + raft->options.election_ms);
	if (raft->transfer_target != 0) {
		deadline = check_min(deadline, raft->transfer_start_ms + raft->options.election_ms);
	}
	return deadline;
}

/* Closes the sequence first, for messages wait for its number. */
static void finish_step(struct raft *raft, struct raft_effects *ret_effects)
{
	struct raft_output *out = &raft->out;
	struct raft_effects effects = {.hard_changed = out->hard,
		.hard = raft->hard,
		.install = out->install ? &raft->snapshot : NULL,
		.truncate_from = out->truncate_from,
		.accepted_index = out->accepted,
		.conf = out->conf ? &raft->conf : NULL,
		.role = raft->role,
		.term = raft->hard.term,
		.leader = raft->leader};

	effects.persist_seq = close_sequence(raft);
	if (out->truncate_from > 0 || out->install) {
		clip_durable(raft);
	}
	if (out->append_from > 0) {
		effects.append = raft_log_at(&raft->log, out->append_from);
		effects.append_count = (size_t)(raft_log_last(&raft->log) - out->append_from + 1);
		ASSERT(effects.append != NULL);
	}
	finish_messages(raft);
	effects.messages = out->messages;
	effects.message_count = out->message_count;
	effects.reads = out->reads;
	effects.read_count = out->read_count;
	raft->apply_given = check_max(raft->apply_given, check_min(raft->commit, raft->durable));
	effects.commit_index = raft->commit;
	effects.apply_index = raft->apply_given;
	effects.deadline_ms = next_deadline(raft);
	ASSERT(raft->applied <= raft->apply_given && raft->apply_given <= raft->commit);
	*ret_effects = effects;
}

enum raft_refusal raft_step(
	struct raft *raft, const struct raft_event *event, struct raft_effects *ret_effects)
{
	uint64_t before_ms = raft->now_ms;

	ASSERT(ret_effects != NULL);
	ASSERT(raft->restored == (event->kind != RAFT_RESTORE));
	begin_step(raft);
	raft->now_ms = check_max(raft->now_ms, event->now_ms);
	enum raft_refusal refusal = dispatch(raft, event);

	if (refusal != RAFT_OK) {
		raft->now_ms = before_ms;
		trace_line(raft, "refused: %s", raft_refusal_text(refusal));
	} else {
		try_become_certain(raft);
		member_try_leave(raft);
	}
	finish_step(raft, ret_effects);
	return refusal;
}

/* Views */

const struct raft_entry *raft_entry_at(const struct raft *raft, uint64_t index)
{
	ASSERT(raft->restored);
	ASSERT(raft->log.count <= raft->log.capacity);
	return raft_log_at(&raft->log, index);
}

const struct raft_conf *raft_conf_active(const struct raft *raft)
{
	ASSERT(raft->restored);
	ASSERT(raft->peer_count <= RAFT_PEERS_MAX);
	return &raft->conf;
}

void raft_force_timeout(struct raft *raft, uint32_t timeout_ms)
{
	ASSERT(timeout_ms == 0 || timeout_ms >= raft->options.heartbeat_ms);
	ASSERT(raft->restored);
	raft->forced_timeout_ms = timeout_ms;
	if (timeout_ms > 0) {
		raft->election_timeout_ms = timeout_ms;
	}
}
