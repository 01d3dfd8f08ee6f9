/*
 * progress: what a leader knows of one peer, and the three states of sending to it (RM-09). Kept on
 * every replica for every id of the configuration, so that an election can count ballots.
 * Internal to raftreg/core.
 */
#ifndef PILLION_RAFTREG_CORE_PROGRESS_H
#define PILLION_RAFTREG_CORE_PROGRESS_H

#include "raftreg/core/quorum.h"
#include "raftreg/core/status.h"

struct raft_inflight {
	uint64_t index; /* the last entry of that APPEND */
	uint64_t bytes;
};

struct raft_progress {
	uint64_t id;
	enum raft_progress_state state;
	uint64_t match, next;
	uint64_t pending;     /* Snapshot: its index, else 0 */
	uint64_t sent_commit; /* highest commit told to it */
	uint64_t read_ack;    /* highest read position it echoed (RM-16) */
	uint64_t heard_ms;    /* last response; 0: none in this term */
	uint64_t asked_ms;    /* the oldest heartbeat that may be unanswered */
	uint64_t steady_ms;   /* since then none was unanswered for E (RB-03) */
	bool paused, active;
	enum quorum_ballot ballot;
	struct raft_inflight *inflight; /* a ring of inflight_messages_max */
	uint32_t inflight_start, inflight_count;
	uint64_t inflight_bytes;
};

/* NULL when the configuration does not have the id. */
struct raft_progress *progress_find(struct raft *raft, uint64_t id);
/* Makes the table have exactly the ids of raft->conf; kept ones keep their state (RM-23). */
void progress_rebuild(struct raft *raft);
void progress_clear(struct raft *raft);
/* A new term's leader knows nothing of anybody (RM-06). */
void progress_reset_all(struct raft *raft);

void progress_become_probe(struct raft_progress *peer);
void progress_become_replicate(struct raft_progress *peer);
void progress_become_snapshot(struct raft_progress *peer, uint64_t index);

/* Nothing may be sent now, not even an empty APPEND. */
bool progress_is_paused(const struct raft_progress *peer);
/* The window is used up: only empty APPENDs (RM-09). */
bool progress_is_full(const struct raft *raft, const struct raft_progress *peer);
/* Bookkeeping for an APPEND with `count` entries. */
void progress_sent(struct raft *raft, struct raft_progress *peer, size_t count, uint64_t bytes);
void progress_free_inflight(const struct raft *raft, struct raft_progress *peer, uint64_t index);
/* An acceptance of index; true when match rose (RM-13). */
bool progress_accept(struct raft_progress *peer, uint64_t index);
/* A rejection of prev = rejected; false when it is stale (RM-12). */
bool progress_reject(struct raft_progress *peer, uint64_t rejected, uint64_t base);

/* The table as input for quorum.h. Returns the count; the array has RAFT_PEERS_MAX places. */
size_t progress_reports(const struct raft *raft, bool reads, struct quorum_report *ret_reports);

#endif
