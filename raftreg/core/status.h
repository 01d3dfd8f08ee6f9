/*
 * status: what people and tests see of a core. raft_status_get is for the administration view; the
 * rest is for tests (RC-13), but for the trace, whose lines the node keeps (RO-03).
 */
#ifndef PILLION_RAFTREG_CORE_STATUS_H
#define PILLION_RAFTREG_CORE_STATUS_H

#include "raftreg/core/raft.h"

enum raft_progress_state { RAFT_PROBE, RAFT_REPLICATE, RAFT_SNAPSHOTTING };
const char *raft_progress_state_name(enum raft_progress_state state);

struct raft_peer_status {
	uint64_t id;
	bool voter, learner, active, paused; /* active: heard since the last quorum check */
	enum raft_progress_state state;
	uint64_t match, next, pending_snapshot, inflight_bytes;
	uint32_t inflight_messages;
	uint64_t heard_ms;  /* time of its last response; 0: never in this term */
	uint64_t steady_ms; /* since then no heartbeat was unanswered for E (RB-03) */
};

struct raft_status {
	uint64_t id, term, vote, leader;
	enum raft_role role;
	bool uncertain;
	uint64_t commit_index, applied_index, durable_index;
	uint64_t first_index, last_index, last_term; /* first > last: the log holds no entry */
	uint64_t snapshot_index, snapshot_term;
	uint64_t transfer_target, pending_conf_index, uncommitted_bytes, persist_seq;
	size_t read_count; /* waiting */
	size_t peer_count; /* of all roles; progress is meaningful on a leader only */
	struct raft_peer_status peers[RAFT_PEERS_MAX];
};

void raft_status_get(const struct raft *raft, struct raft_status *ret_status);

/* Lines of the last step, each ended by a newline, NUL at the end; "" while tracing is off. Lent
 * until the next step. */
const char *raft_trace(const struct raft *raft);
void raft_trace_enable(struct raft *raft, bool enabled);

/* Tests only. raft_check returns NULL or the text of the first invariant found broken. raft_hash
 * covers everything that later steps depend on. raft_clone shares payloads, nothing else. A forced
 * timeout replaces every later draw; 0 ends that. */
const char *raft_check(const struct raft *raft);
uint64_t raft_hash(const struct raft *raft);
struct raft *raft_clone(const struct raft *raft);
void raft_force_timeout(struct raft *raft, uint32_t timeout_ms);

#endif
