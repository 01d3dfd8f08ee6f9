/*
 * raft: the consensus core (registry.md 2). Events in, effects out, never a callback, no clock, no
 * file, no socket. One thread per struct raft. Everything an event points to is lent for the call;
 * everything effects point to is lent until the next raft_step or raft_destroy on the same raft.
 *
 * The driver's contract (RC-04), for each effects with a persist_seq, in sequence: durable vote
 * slot if hard_changed; then install, truncation, entries and one sync; then send the messages
 * whose .after is reached; then RAFT_PERSISTED; apply up to apply_index, then RAFT_APPLIED; arm the
 * timer. Messages with .after == 0 leave at once. Entries to apply are read by raft_entry_at. After
 * an `install` the driver drops its state and log at once and goes on from the snapshot.
 *
 * Two things more on which safety rests. Entries are written together with the commit_index of the
 * same effects, and recovery gives back the highest one as commit_hint: who holds a membership
 * change then knows that the one before it is committed (RM-04). And messages of a peer's earlier
 * life, or meant for one's own, are dropped by the driver (RT-03).
 */
#ifndef PILLION_RAFTREG_CORE_RAFT_H
#define PILLION_RAFTREG_CORE_RAFT_H

#include "raftreg/core/event.h"

struct raft; /* opaque */

/* RC-13: take a guard away so that a test can be seen to fail without it. Tests only. */
enum raft_test_flag {
	RAFT_NO_PREVOTE = 1,
	RAFT_NO_CHECK_QUORUM = 2,
	RAFT_NO_CHANGE_CHECK = 4,
	RAFT_STAY_WHEN_REMOVED = 8
};

/* All required; the core has no defaults. id is never 0 and never reused (RI-01); seed differs at
 * every start of a replica, for it makes the ids of forwarded reads unique (RM-17). */
struct raft_options {
	uint64_t id, seed, uncommitted_bytes_max;
	uint32_t election_ms, heartbeat_ms, append_bytes_max, inflight_messages_max;
	uint32_t inflight_bytes_max, test_flags;
};

enum raft_role { RAFT_FOLLOWER, RAFT_PRE_CANDIDATE, RAFT_CANDIDATE, RAFT_LEADER };
const char *raft_role_name(enum raft_role role);

struct raft_read {
	uint64_t cookie, index; /* the answer may be given once applied >= index (RM-17) */
	bool failed;		/* index is 0: ask again, with a new cookie */
};

/* What raft_step says no with; nothing changed then (RC-08). */
#define RAFT_REFUSAL_MAP(X)                                                                        \
	X(NOT_LEADER, "not leader")                                                                \
	X(NO_LEADER, "no leader")                                                                  \
	X(TRANSFERRING, "leadership is being transferred")                                         \
	X(TOO_MUCH, "too much uncommitted, unapplied or too many reads")                           \
	X(CHANGE_PENDING, "a membership change is not applied yet")                                \
	X(BAD_CHANGE, "the membership change or transfer target is not possible")                  \
	X(NOT_MEMBER, "not a voter of the configuration")                                          \
	X(TOO_LARGE, "payload too large")
enum raft_refusal {
	RAFT_OK = 0,
#define X(name, text) RAFT_##name,
	RAFT_REFUSAL_MAP(X)
#undef X
};
const char *raft_refusal_text(enum raft_refusal refusal); /* NULL for an unknown number */

struct raft_effects {
	uint64_t persist_seq; /* 0: nothing to persist; else answer RAFT_PERSISTED{seq} */
	bool hard_changed;
	struct raft_hard hard;		     /* always the current one */
	const struct raft_snapshot *install; /* adopt the staged snapshot: replaces log and state */
	uint64_t truncate_from;		     /* 0: none; drop entries with index >= this */
	const struct raft_entry *append;
	size_t append_count;
	const struct raft_message *messages; /* ascending by peer, then as produced (RC-10) */
	size_t message_count;
	const struct raft_read *reads;
	size_t read_count;
	uint64_t commit_index, apply_index; /* never decrease; apply_index = min(commit, durable) */
	uint64_t accepted_index; /* first index given to PROPOSE/CHANGE: accepted, NOT committed */
	const struct raft_conf *conf; /* NULL unless the active configuration changed */
	enum raft_role role;
	uint64_t term, leader; /* leader 0: unknown */
	uint64_t deadline_ms;  /* arm exactly one timer; UINT64_MAX: none */
};

/* Copies the options; they must be sane (non-zero, election >= 4 heartbeats), else it aborts. The
 * first event must be RAFT_RESTORE. */
struct raft *raft_create(const struct raft_options *options);
void raft_destroy(struct raft *raft); /* NULL is allowed */

/* RAFT_OK or a refusal. *ret_effects is filled in either case. Aborts on a breach of the contract
 * or of an invariant (RC-09). */
enum raft_refusal raft_step(
	struct raft *raft, const struct raft_event *event, struct raft_effects *ret_effects);

/* The entry at index, NULL when it is compacted or not there. Lent until the next raft_step; keep
 * the payload with raft_entry_ref. */
const struct raft_entry *raft_entry_at(const struct raft *raft, uint64_t index);
/* The active configuration; lent until the next raft_step. */
const struct raft_conf *raft_conf_active(const struct raft *raft);

#endif
