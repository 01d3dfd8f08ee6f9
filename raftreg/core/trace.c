/* For tests and for people: trace lines, invariants, hashes; and how the core ends when something
 * that cannot be is. RC-09, RC-13. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftreg/core/internal.h"

_Noreturn void trace_abort(const char *condition, const char *file, int line)
{
	fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, condition);
	abort();
}

void *trace_grow(void *memory, size_t *capacity, size_t count, size_t size)
{
	ASSERT(size > 0);
	ASSERT(count > 0 && count <= SIZE_MAX / 2 / size);
	if (count <= *capacity) {
		return memory;
	}
	size_t next = *capacity * 2 > count ? *capacity * 2 : count;

	memory = realloc(memory, next * size);
	/* A replica without memory starts again from its disk, which is the tested path. */
	ASSERT(memory != NULL);
	*capacity = next;
	return memory;
}

void trace_line(struct raft *raft, const char *format, ...)
{
	va_list args;

	if (!raft->tracing) {
		return;
	}
	ASSERT(raft->trace != NULL);
	ASSERT(raft->trace_length < RAFT_TRACE_MAX);
	size_t room = RAFT_TRACE_MAX - raft->trace_length;
	char *at = raft->trace + raft->trace_length;

	va_start(args, format);
	int length = vsnprintf(at, room, format, args);
	va_end(args);
	/* A line that does not fit whole, with its newline, is left out. */
	if (length < 0 || (size_t)length + 2 > room) {
		*at = '\0';
		return;
	}
	at[length] = '\n';
	at[length + 1] = '\0';
	raft->trace_length += (size_t)length + 1;
}

/* Invariants, one function per part; NULL: all hold. */

/* The log by itself: contiguous, terms rising, bytes counted rightly. */
static const char *check_log(const struct raft *raft)
{
	const struct raft_log *log = &raft->log;
	uint64_t term = log->before_term, bytes = 0;

	ASSERT(raft != NULL);
	ASSERT(log->start + log->count <= log->capacity);
	for (size_t i = 0; i < log->count; i++) {
		const struct raft_entry *entry = &log->base[log->start + i];

		if (entry->index != log->before_index + 1 + i) {
			return "log: index out of order";
		}
		if (entry->term < term || entry->term > raft->hard.term) {
			return "log: term falls or is above the current one";
		}
		term = entry->term;
		if (entry->index > raft->commit && entry->payload != NULL) {
			bytes += entry->payload->length;
		}
	}
	if (bytes != raft->uncommitted_bytes) {
		return "log: uncommitted bytes wrong";
	}
	return NULL;
}

/* The order of the indexes of one replica. */
static const char *check_indexes(const struct raft *raft)
{
	ASSERT(raft != NULL);
	if (raft->applied > raft->apply_given || raft->apply_given > raft->commit) {
		return "applied <= given <= commit does not hold";
	}
	if (raft->commit > raft_log_last(&raft->log)) {
		return "commit beyond the log";
	}
	if (raft->durable > raft_log_last(&raft->log)) {
		return "durable beyond the log";
	}
	if (raft->log.before_index > raft->snapshot.index) {
		return "log cut above the snapshot";
	}
	if (raft->snapshot.index > raft->applied) {
		return "snapshot above applied";
	}
	if (raft->durable_term > raft->hard.term) {
		return "durable term above the term";
	}
	return NULL;
}

/* What each role implies. */
static const char *check_role(const struct raft *raft)
{
	bool voter = member_conf_is_voter(&raft->conf, raft->options.id);

	ASSERT(raft->options.id != 0);
	switch (raft->role) {
	case RAFT_FOLLOWER:
		if (raft->leader == raft->options.id) {
			return "follower of itself";
		}
		return raft->transfer_target != 0 ? "follower transfers" : NULL;
	case RAFT_PRE_CANDIDATE:
		return raft->leader != 0 ? "pre-candidate knows a leader" : NULL;
	case RAFT_CANDIDATE:
		if (raft->hard.vote != raft->options.id) {
			return "candidate without its own vote";
		}
		return raft->leader != 0 ? "candidate knows a leader" : NULL;
	case RAFT_LEADER:
		if (raft->leader != raft->options.id || raft->hard.vote != raft->options.id) {
			return "leader is not its own";
		}
		if (raft->durable_term != raft->hard.term) {
			return "leader of a term that is not durable";
		}
		return !voter && !raft_flag(raft, RAFT_STAY_WHEN_REMOVED) ? "leader does not vote"
									  : NULL;
	}
	return "unknown role";
}

/* One row of RM-09's table, and that the window lies between match and next. */
static const char *check_peer(const struct raft *raft, const struct raft_progress *peer)
{
	uint64_t bytes = 0, index = peer->match;

	ASSERT(raft->role == RAFT_LEADER);
	ASSERT(peer->inflight_count <= raft->options.inflight_messages_max);
	if (peer->next <= peer->match || peer->next > raft_log_last(&raft->log) + 1) {
		return "peer: next outside (match, last + 1]";
	}
	if ((peer->state == RAFT_SNAPSHOTTING) != (peer->pending > 0)) {
		return "peer: pending snapshot does not fit the state";
	}
	if (peer->state != RAFT_REPLICATE && peer->inflight_count > 0) {
		return "peer: window open outside Replicate";
	}
	for (uint32_t i = 0; i < peer->inflight_count; i++) {
		const struct raft_inflight *inflight =
			&peer->inflight[(peer->inflight_start + i) %
					raft->options.inflight_messages_max];

		if (inflight->index <= index || inflight->index >= peer->next) {
			return "peer: window out of order";
		}
		index = inflight->index;
		bytes += inflight->bytes;
	}
	return bytes != peer->inflight_bytes ? "peer: window bytes wrong" : NULL;
}

/* Peers are exactly the ids of the configuration. */
static const char *check_peers(const struct raft *raft)
{
	struct raft_ids ids;

	ASSERT(raft->peer_count <= RAFT_PEERS_MAX);
	if (raft->peer_count > 0 && !member_conf_is_valid(&raft->conf)) {
		return "configuration not valid";
	}
	member_conf_all(&raft->conf, &ids);
	if (ids.count != raft->peer_count) {
		return "peers differ from the configuration";
	}
	for (uint32_t i = 0; i < raft->peer_count; i++) {
		if (raft->peers[i].id != ids.ids[i]) {
			return "peers differ from the configuration";
		}
		const char *breach =
			raft->role == RAFT_LEADER ? check_peer(raft, &raft->peers[i]) : NULL;

		if (breach != NULL) {
			return breach;
		}
	}
	return NULL;
}

/* Queues: reads and sequences rise. */
static const char *check_waits(const struct raft *raft)
{
	ASSERT(raft->wait_count <= RAFT_READS_MAX);
	ASSERT(raft->pending_count <= RAFT_PENDING_MAX);
	for (size_t i = 0; i + 1 < raft->wait_count; i++) {
		const struct raft_wait *wait = &raft->waits[raft->wait_start + i];

		if (wait[1].position != wait[0].position + (wait[0].position > 0)) {
			return "reads out of order";
		}
	}
	for (size_t i = 0; i + 1 < raft->pending_count; i++) {
		const struct raft_pending *pending = &raft->pending[raft->pending_start + i];

		if (pending[1].seq <= pending[0].seq || pending[1].term < pending[0].term) {
			return "sequences out of order";
		}
	}
	return NULL;
}

const char *trace_find_breach(const struct raft *raft)
{
	const char *(*const checks[])(const struct raft *) = {
		check_log, check_indexes, check_role, check_peers, check_waits};

	ASSERT(raft != NULL);
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		const char *breach = checks[i](raft);

		if (breach != NULL) {
			return breach;
		}
	}
	return NULL;
}

/* A chain of SplitMix64 steps: not for enemies, only for comparing. */
static void mix(uint64_t *hash, uint64_t value)
{
	uint64_t state = *hash ^ value;

	*hash = check_splitmix(&state);
}

static void mix_bytes(uint64_t *hash, const void *bytes, size_t length)
{
	const uint8_t *at = bytes;

	ASSERT(length == 0 || bytes != NULL);
	for (size_t i = 0; i < length; i++) {
		mix(hash, at[i]);
	}
}

static void mix_ids(uint64_t *hash, const struct raft_ids *set)
{
	ASSERT(set->count <= RAFT_IDS_MAX);
	mix(hash, set->count);
	for (uint32_t i = 0; i < set->count; i++) {
		mix(hash, set->ids[i]);
	}
}

/* Contents count, not where in memory they lie. */
static void mix_log(uint64_t *hash, const struct raft_log *log)
{
	ASSERT(log->start + log->count <= log->capacity);
	mix(hash, log->before_index);
	mix(hash, log->before_term);
	for (size_t i = 0; i < log->count; i++) {
		const struct raft_entry *entry = &log->base[log->start + i];

		mix(hash, entry->term);
		mix(hash, (uint64_t)entry->kind);
		if (entry->payload != NULL) {
			mix_bytes(hash, entry->payload->bytes, entry->payload->length);
		}
	}
}

static void mix_peer(uint64_t *hash, const struct raft *raft, const struct raft_progress *peer)
{
	const uint64_t values[] = {peer->id, (uint64_t)peer->state, peer->match, peer->next,
		peer->pending, peer->sent_commit, peer->read_ack, peer->paused, peer->active,
		(uint64_t)peer->ballot, peer->inflight_count, peer->inflight_bytes};

	ASSERT(peer->id != 0);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		mix(hash, values[i]);
	}
	for (uint32_t i = 0; i < peer->inflight_count; i++) {
		mix(hash, peer->inflight[(peer->inflight_start + i) %
					 raft->options.inflight_messages_max]
				  .index);
	}
}

/* All that a later step may depend on, so equal hashes mean equal futures; not the clock, which
 * only ever comes in with events. */
uint64_t trace_hash_state(const struct raft *raft)
{
	uint64_t hash = 0;
	const uint64_t values[] = {raft->options.id, raft->hard.term, raft->hard.vote,
		raft->hard.uncertain, (uint64_t)raft->role, raft->leader, raft->heard_ms,
		raft->election_start_ms, raft->heartbeat_start_ms, raft->check_start_ms,
		raft->transfer_start_ms, raft->election_timeout_ms, raft->transfer_target,
		raft->commit, raft->applied, raft->apply_given, raft->snapshot.index,
		raft->snapshot.term, raft->seq, raft->durable, raft->durable_term,
		raft->pending_conf, raft->read_position, raft->read_round, raft->read_confirmed,
		raft->read_id, raft->recovered_term, raft->certain_id, raft->certain_index,
		raft->certain_term, raft->rng.s[0], raft->rng.s[1], raft->rng.s[2], raft->rng.s[3]};

	ASSERT(raft->options.id != 0);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		mix(&hash, values[i]);
	}
	mix_log(&hash, &raft->log);
	mix_ids(&hash, &raft->conf.voters);
	mix_ids(&hash, &raft->conf.outgoing);
	mix_ids(&hash, &raft->conf.learners);
	mix_ids(&hash, &raft->conf.staged);
	mix(&hash, raft->conf.auto_leave);
	for (uint32_t i = 0; i < raft->peer_count; i++) {
		mix_peer(&hash, raft, &raft->peers[i]);
	}
	for (size_t i = 0; i < raft->pending_count; i++) {
		mix_bytes(&hash, &raft->pending[raft->pending_start + i],
			sizeof(struct raft_pending));
	}
	for (size_t i = 0; i < raft->wait_count; i++) {
		const struct raft_wait *wait = &raft->waits[raft->wait_start + i];

		mix(&hash, wait->from);
		mix(&hash, wait->cookie);
		mix(&hash, wait->position);
		mix(&hash, wait->index);
		mix(&hash, wait->done);
	}
	return hash;
}
