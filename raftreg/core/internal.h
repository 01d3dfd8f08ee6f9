/*
 * internal: the state of one core and what its files call in each other. Everything belongs to the
 * one thread that steps it. Internal to raftreg/core and its tests.
 */
#ifndef PILLION_RAFTREG_CORE_INTERNAL_H
#define PILLION_RAFTREG_CORE_INTERNAL_H

#include "raftreg/core/check.h"
#include "raftreg/core/progress.h"
#include "raftreg/core/raft_log.h"

#define RAFT_UNAPPLIED_MAX 10000u   /* RC-07 */
#define RAFT_READS_MAX	   65536u   /* RM-16 */
#define RAFT_PENDING_MAX   1000000u /* sequences a driver may leave unanswered: more is a breach */
#define RAFT_TRACE_MAX	   16384u   /* bytes of trace a step may leave; the rest is cut */

/* One handed-out persist_seq that is not durable yet. */
struct raft_pending {
	uint64_t seq, term;			     /* term: of the hard state */
	uint64_t install, truncate_from, last_index; /* 0: none */
};

/* A read that waits. On a leader `position` counts, 0: no own-term entry is committed yet. On
 * others it is the id in the READ_INDEX message. Both rise by one along the queue. */
struct raft_wait {
	uint64_t from, cookie, position, index, start_ms;
	bool done; /* answered out of order, followers only */
};

/* What the running step hands out; emptied when the next begins. */
struct raft_output {
	bool hard, install, conf;
	uint64_t truncate_from, append_from, accepted;
	struct raft_message *messages;
	size_t message_capacity, message_count;
	struct raft_read *reads;
	size_t read_capacity, read_count;
};

struct raft {
	struct raft_options options;
	struct check_rng rng;
	uint32_t forced_timeout_ms;
	bool restored;
	uint64_t now_ms;

	struct raft_hard hard;
	enum raft_role role;
	uint64_t leader, heard_ms;
	uint64_t election_start_ms, heartbeat_start_ms, check_start_ms, transfer_start_ms;
	uint32_t election_timeout_ms;
	uint64_t transfer_target;

	struct raft_log log;
	uint64_t commit, applied, apply_given; /* applied <= apply_given <= commit */
	uint64_t uncommitted_bytes;	       /* payload of (commit, last] */
	struct raft_snapshot snapshot;	       /* index 0: none */

	uint64_t seq, durable, durable_term; /* last sequence; last durable entry; durable term */
	struct raft_pending *pending;	     /* the sequences not yet durable, oldest first */
	size_t pending_capacity, pending_start, pending_count;

	struct raft_conf conf;
	uint64_t pending_conf; /* leader: no CONF entry lies behind this index */
	struct raft_progress peers[RAFT_PEERS_MAX];
	uint32_t peer_count;

	struct raft_wait *waits;
	size_t wait_capacity, wait_start, wait_count;
	uint64_t read_position, read_round, read_confirmed, read_id;
	/* Uncertain only: the term recovered with; the id of the question to the leader; what its
	 * log held then (0: no answer yet), and in which term. */
	uint64_t recovered_term, certain_id, certain_index, certain_term;

	struct raft_output out;
	bool tracing;
	char *trace;
	size_t trace_length;
};

/* raft.c */
bool raft_flag(const struct raft *raft, enum raft_test_flag flag);
void raft_send(struct raft *raft, struct raft_message message); /* fills from, and term if 0 */
void raft_set_hard(struct raft *raft, uint64_t term, uint64_t vote);
void raft_commit_to(struct raft *raft, uint64_t index);
/* Ends what the leader (or the wish to be one) owns: transfer, reads, ballots; new timeout. */
void raft_reset(struct raft *raft, uint64_t term);

/* election.c */
void election_become_follower(struct raft *raft, uint64_t term, uint64_t leader);
bool election_is_promotable(const struct raft *raft);
void election_restart_timer(struct raft *raft, bool draw);
void election_campaign(struct raft *raft, bool transfer);
void election_on_deadline(struct raft *raft);
void election_on_persisted(struct raft *raft);
bool election_on_higher_term(struct raft *raft, const struct raft_message *message);
void election_on_lower_term(struct raft *raft, const struct raft_message *message);
void election_on_request(struct raft *raft, const struct raft_message *message);
void election_on_response(struct raft *raft, const struct raft_message *message);
void election_on_timeout_now(struct raft *raft);
void election_check_quorum(struct raft *raft);
enum raft_refusal election_transfer(struct raft *raft, uint64_t target);
void election_try_handover(struct raft *raft, const struct raft_progress *peer);
void election_heard(struct raft *raft, uint64_t from);

/* append.c */
uint64_t append_entry(struct raft *raft, enum raft_entry_kind kind, struct raft_payload *payload);
enum raft_refusal append_propose(struct raft *raft, const struct raft_propose *propose);
bool append_try_commit(struct raft *raft);
void append_broadcast(struct raft *raft);
bool append_send(struct raft *raft, struct raft_progress *peer, bool allow_empty);
void append_on_request(struct raft *raft, const struct raft_message *message);
void append_on_response(struct raft *raft, const struct raft_message *message);
void append_broadcast_heartbeat(struct raft *raft);
void append_on_heartbeat(struct raft *raft, const struct raft_message *message);
void append_on_heartbeat_response(struct raft *raft, const struct raft_message *message);

/* member.c */
enum raft_refusal member_request(struct raft *raft, const struct raft_change *change);
void member_on_applied(struct raft *raft, uint64_t index);
void member_switch(struct raft *raft, const struct raft_conf *conf);
bool member_has_unapplied(const struct raft *raft);
void member_try_leave(struct raft *raft);

/* read.c, snapshot.c, trace.c: reads.h */
#include "raftreg/core/reads.h"

#endif
