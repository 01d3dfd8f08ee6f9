/* Views of a core for people and tests: status, trace, checks, clones. See status.h. */
#include <stdlib.h>
#include <string.h>

#include "raftreg/core/internal.h"

const char *raft_check(const struct raft *raft)
{
	ASSERT(raft->restored);
	ASSERT(raft->options.id != 0);
	return trace_find_breach(raft);
}

uint64_t raft_hash(const struct raft *raft)
{
	ASSERT(raft->restored);
	ASSERT(raft->options.id != 0);
	return trace_hash_state(raft);
}

const char *raft_trace(const struct raft *raft)
{
	ASSERT(raft != NULL);
	return raft->trace != NULL ? raft->trace : "";
}

void raft_trace_enable(struct raft *raft, bool enabled)
{
	ASSERT(raft != NULL);
	ASSERT(raft->options.id != 0);
	if (enabled && raft->trace == NULL) {
		size_t room = 0;

		raft->trace = trace_grow(NULL, &room, RAFT_TRACE_MAX, 1);
		raft->trace[0] = '\0';
	}
	raft->tracing = enabled;
}

static void *clone_array(const void *array, size_t count, size_t size)
{
	size_t room = 0;

	ASSERT(size > 0);
	if (array == NULL || count == 0) {
		return NULL;
	}
	return memcpy(trace_grow(NULL, &room, count, size), array, count * size);
}

/* Payloads are shared, for they never change; every array is the clone's own. */
struct raft *raft_clone(const struct raft *raft)
{
	struct raft *clone = clone_array(raft, 1, sizeof(*raft));

	ASSERT(raft->restored);
	ASSERT(raft->peer_count <= RAFT_PEERS_MAX);
	memset(&clone->log, 0, sizeof(clone->log));
	raft_log_copy(&clone->log, &raft->log);
	for (uint32_t i = 0; i < raft->peer_count; i++) {
		clone->peers[i].inflight = clone_array(raft->peers[i].inflight,
			raft->options.inflight_messages_max, sizeof(struct raft_inflight));
	}
	clone->pending = clone_array(raft->pending, raft->pending_capacity, sizeof(*raft->pending));
	clone->waits = clone_array(raft->waits, raft->wait_capacity, sizeof(*raft->waits));
	memset(&clone->out, 0, sizeof(clone->out));
	clone->trace = NULL;
	clone->trace_length = 0;
	raft_trace_enable(clone, raft->tracing);
	return clone;
}

/* Progress is kept in all roles, but only a leader's means something. */
static void fill_peers(const struct raft *raft, struct raft_status *status)
{
	ASSERT(raft->peer_count <= RAFT_PEERS_MAX);
	ASSERT(status != NULL);
	for (uint32_t i = 0; i < raft->peer_count; i++) {
		const struct raft_progress *peer = &raft->peers[i];

		status->peers[i] = (struct raft_peer_status){.id = peer->id,
			.voter = member_conf_is_voter(&raft->conf, peer->id),
			.learner = member_ids_has(&raft->conf.learners, peer->id),
			.active = peer->active,
			.paused = progress_is_paused(peer),
			.state = peer->state,
			.match = peer->match,
			.next = peer->next,
			.pending_snapshot = peer->pending,
			.inflight_bytes = peer->inflight_bytes,
			.inflight_messages = peer->inflight_count,
			.heard_ms = peer->heard_ms,
			.steady_ms = peer->steady_ms};
	}
}

void raft_status_get(const struct raft *raft, struct raft_status *ret_status)
{
	ASSERT(raft->restored);
	ASSERT(ret_status != NULL);
	*ret_status = (struct raft_status){.id = raft->options.id,
		.term = raft->hard.term,
		.vote = raft->hard.vote,
		.leader = raft->leader,
		.role = raft->role,
		.uncertain = raft->hard.uncertain,
		.commit_index = raft->commit,
		.applied_index = raft->applied,
		.durable_index = raft->durable,
		.first_index = raft_log_first(&raft->log),
		.last_index = raft_log_last(&raft->log),
		.last_term = raft_log_last_term(&raft->log),
		.snapshot_index = raft->snapshot.index,
		.snapshot_term = raft->snapshot.term,
		.transfer_target = raft->transfer_target,
		.pending_conf_index = raft->pending_conf,
		.uncommitted_bytes = raft->uncommitted_bytes,
		.persist_seq = raft->seq,
		.read_count = raft->wait_count,
		.peer_count = raft->peer_count};
	fill_peers(raft, ret_status);
}
