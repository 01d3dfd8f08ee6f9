/* Linearizable reads without the log: ReadIndex, dissertation 6.4; RM-16, RM-17. */
#include <string.h>

#include "raftreg/core/internal.h"

static struct raft_wait *wait_at(const struct raft *raft, size_t i)
{
	ASSERT(i < raft->wait_count);
	ASSERT(raft->wait_start + raft->wait_count <= raft->wait_capacity);
	return &raft->waits[raft->wait_start + i];
}

/* The queue is a window that wanders through its memory; it is moved back before it grows. */
static void push_wait(struct raft *raft, struct raft_wait wait)
{
	ASSERT(raft->wait_count < RAFT_READS_MAX);
	ASSERT(wait.index == 0 || wait.position > 0);
	if (raft->wait_start > raft->wait_count) {
		memmove(raft->waits, raft->waits + raft->wait_start,
			raft->wait_count * sizeof(*raft->waits));
		raft->wait_start = 0;
	}
	raft->waits = trace_grow(raft->waits, &raft->wait_capacity,
		raft->wait_start + raft->wait_count + 1, sizeof(*raft->waits));
	wait.start_ms = raft->now_ms;
	raft->waits[raft->wait_start + raft->wait_count] = wait;
	raft->wait_count++;
}

static void pop_wait(struct raft *raft)
{
	ASSERT(raft->wait_count > 0);
	ASSERT(raft->wait_start < raft->wait_capacity);
	raft->wait_start++;
	raft->wait_count--;
	if (raft->wait_count == 0) {
		raft->wait_start = 0;
	}
}

/* Gives the answer to whoever asked: our own driver or a follower. */
static void answer(struct raft *raft, const struct raft_wait *wait, bool failed)
{
	struct raft_output *out = &raft->out;

	ASSERT(failed || wait->index > 0);
	if (wait->from == raft->options.id) {
		return; /* our own question about certainty */
	}
	if (wait->from != 0) {
		/* A failed one is not told: the follower's own time limit covers it. */
		if (!failed) {
			raft_send(raft, (struct raft_message){.kind = RAFT_READ_INDEX_RESP,
						.to = wait->from,
						.index = wait->index,
						.hint_index = raft_log_last(&raft->log),
						.context = wait->cookie});
		}
		return;
	}
	out->reads = trace_grow(
		out->reads, &out->read_capacity, out->read_count + 1, sizeof(*out->reads));
	out->reads[out->read_count++] = (struct raft_read){
		.cookie = wait->cookie, .index = failed ? 0 : wait->index, .failed = failed};
	ASSERT(out->read_count <= out->read_capacity);
}

/* Nobody here can answer them any more: the driver asks again, of whoever leads then. */
void read_fail_all(struct raft *raft)
{
	ASSERT(raft->wait_count <= RAFT_READS_MAX);
	ASSERT(raft->wait_count == 0 || raft->waits != NULL);
	while (raft->wait_count > 0) {
		if (!wait_at(raft, 0)->done) {
			answer(raft, wait_at(raft, 0), true);
		}
		pop_wait(raft);
	}
}

/* Whether the commit index is known to hold all that was ever acknowledged. */
static bool knows_commit(const struct raft *raft)
{
	ASSERT(raft->role == RAFT_LEADER);
	ASSERT(raft->commit <= raft_log_last(&raft->log));
	return raft_log_term(&raft->log, raft->commit) == raft->hard.term;
}

/* Answers what a quorum confirmed, and starts the next round when this one is over. */
void read_try_confirm(struct raft *raft)
{
	struct quorum_report reports[RAFT_PEERS_MAX];
	struct raft_progress *self = progress_find(raft, raft->options.id);

	ASSERT(raft->role == RAFT_LEADER);
	ASSERT(raft->read_confirmed <= raft->read_position);
	if (self != NULL) {
		self->read_ack = raft->read_position;
	}
	size_t count = progress_reports(raft, true, reports);
	uint64_t confirmed =
		check_min(quorum_index(&raft->conf, reports, count), raft->read_position);

	raft->read_confirmed = check_max(raft->read_confirmed, confirmed);
	while (raft->wait_count > 0) {
		const struct raft_wait *wait = wait_at(raft, 0);

		if (wait->position == 0 || wait->position > raft->read_confirmed) {
			break;
		}
		answer(raft, wait, false);
		pop_wait(raft);
	}
	ASSERT(raft->read_round <= raft->read_position);
	/* What still waits has a position above every round sent: it joins the next one. */
	if (raft->wait_count > 0 && raft->read_confirmed >= raft->read_round &&
		raft->read_position > raft->read_round) {
		append_broadcast_heartbeat(raft);
	}
}

/* The index must be one that holds everything acknowledged before the read; a new leader knows that
 * only of its own term (etcd#7331). */
static void place(struct raft *raft, struct raft_wait *wait)
{
	ASSERT(knows_commit(raft));
	ASSERT(wait->position == 0);
	wait->index = raft->commit;
	wait->position = ++raft->read_position;
}

/* RM-16: a read gets its index and position at once, or waits for the first commit of the term. */
static enum raft_refusal request_on_leader(struct raft *raft, uint64_t from, uint64_t cookie)
{
	ASSERT(raft->role == RAFT_LEADER);
	ASSERT(raft->leader == raft->options.id);
	if (raft->wait_count == RAFT_READS_MAX) {
		return RAFT_TOO_MUCH;
	}
	struct raft_wait wait = {.from = from, .cookie = cookie};

	if (!knows_commit(raft)) {
		push_wait(raft, wait);
		return RAFT_OK;
	}
	place(raft, &wait);
	push_wait(raft, wait);
	read_try_confirm(raft);
	return RAFT_OK;
}

/* Reads that came before the first commit of this term begin only now, as if they came now. */
void read_on_commit(struct raft *raft)
{
	ASSERT(raft->role == RAFT_LEADER);
	ASSERT(raft->wait_count <= RAFT_READS_MAX);
	if (raft->wait_count == 0 || wait_at(raft, raft->wait_count - 1)->position > 0) {
		return;
	}
	for (size_t i = 0; i < raft->wait_count; i++) {
		if (wait_at(raft, i)->position == 0) {
			place(raft, wait_at(raft, i));
		}
	}
	read_try_confirm(raft);
}

/* RM-17: the core asks the leader, but never forwards what could be done twice. */
enum raft_refusal read_request(struct raft *raft, uint64_t cookie)
{
	ASSERT(raft->restored);
	if (raft->role == RAFT_LEADER) {
		return request_on_leader(raft, 0, cookie);
	}
	if (raft->leader == 0) {
		return RAFT_NO_LEADER;
	}
	if (raft->wait_count == RAFT_READS_MAX) {
		return RAFT_TOO_MUCH;
	}
	push_wait(raft, (struct raft_wait){.cookie = cookie, .position = ++raft->read_id});
	raft_send(raft,
		(struct raft_message){
			.kind = RAFT_READ_INDEX, .to = raft->leader, .context = raft->read_id});
	ASSERT(raft->wait_count > 0);
	return RAFT_OK;
}

/* The answer tells how long the leader's log was after the question, and so after this start:
 * longer than anything that we may have acknowledged in this term and lost. Duplicates of answers
 * to an earlier life do not fit the id. */
void read_ask_certainty(struct raft *raft)
{
	bool asked = raft->wait_count > 0 && raft->certain_id >= wait_at(raft, 0)->position;

	ASSERT(raft->hard.uncertain);
	ASSERT(raft->role != RAFT_LEADER);
	if (raft->leader == 0 || asked || raft->wait_count == RAFT_READS_MAX ||
		(raft->certain_index > 0 && raft->certain_term == raft->hard.term)) {
		return;
	}
	raft->certain_id = ++raft->read_id;
	push_wait(raft, (struct raft_wait){.from = raft->options.id, .position = raft->certain_id});
	raft_send(raft,
		(struct raft_message){
			.kind = RAFT_READ_INDEX, .to = raft->leader, .context = raft->certain_id});
}

/* RM-17, the leader's side: as its own read, but the answer goes to the follower. */
void read_on_index_request(struct raft *raft, const struct raft_message *message)
{
	ASSERT(message->term == raft->hard.term);
	ASSERT(message->from != raft->options.id);
	if (raft->role == RAFT_LEADER) {
		/* Too many: dropped, the follower asks again after its time limit. */
		(void)request_on_leader(raft, message->from, message->context);
	}
}

/* Answers may come doubled, late, out of order, or for a life of ours that is over. */
void read_on_index_response(struct raft *raft, const struct raft_message *message)
{
	ASSERT(message->term == raft->hard.term);
	if (raft->role == RAFT_LEADER || raft->wait_count == 0) {
		return;
	}
	/* Ids rise by one along the queue, so the place of an id is known. */
	uint64_t first = wait_at(raft, 0)->position, offset = message->context - first;

	if (message->context < first || offset >= raft->wait_count || message->index == 0) {
		return;
	}
	struct raft_wait *wait = wait_at(raft, (size_t)offset);

	ASSERT(wait->position == message->context);
	if (!wait->done && wait->from == raft->options.id) {
		raft->certain_index = message->hint_index;
		raft->certain_term = raft->hard.term;
	}
	if (!wait->done) {
		wait->index = message->index;
		wait->done = true;
		answer(raft, wait, false);
	}
	while (raft->wait_count > 0 && wait_at(raft, 0)->done) {
		pop_wait(raft);
	}
}

/* RM-17: on followers an unanswered read fails after 2E; a leader's fail when it steps down. */
void read_expire(struct raft *raft)
{
	uint64_t limit = 2 * (uint64_t)raft->options.election_ms;

	ASSERT(limit > 0);
	if (raft->role == RAFT_LEADER) {
		return;
	}
	while (raft->wait_count > 0 && raft->now_ms - wait_at(raft, 0)->start_ms >= limit) {
		ASSERT(raft->now_ms >= wait_at(raft, 0)->start_ms);
		if (!wait_at(raft, 0)->done) {
			answer(raft, wait_at(raft, 0), true);
		}
		pop_wait(raft);
	}
}

/* When the oldest read fails (RM-17); reads rise in time along the queue. */
uint64_t read_deadline(const struct raft *raft)
{
	ASSERT(raft->wait_count <= RAFT_READS_MAX);
	ASSERT(raft->options.election_ms > 0);
	if (raft->role == RAFT_LEADER || raft->wait_count == 0) {
		return UINT64_MAX;
	}
	return wait_at(raft, 0)->start_ms + 2 * (uint64_t)raft->options.election_ms;
}
