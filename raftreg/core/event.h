/*
 * event: everything that can happen to the core (registry.md 2). Part of raft.h, which is what to
 * include. Pointers are lent for the call; the core takes references of the payloads it keeps.
 */
#ifndef PILLION_RAFTREG_CORE_EVENT_H
#define PILLION_RAFTREG_CORE_EVENT_H

#include "raftreg/core/message.h"

enum raft_event_kind {
	RAFT_RESTORE, /* once, first */
	RAFT_DEADLINE,
	RAFT_RECEIVE,
	RAFT_PERSISTED,
	RAFT_APPLIED,
	RAFT_PROPOSE, /* these five are requests and may be refused */
	RAFT_READ,
	RAFT_CHANGE,
	RAFT_TRANSFER,
	RAFT_CAMPAIGN,
	RAFT_FORGET_LEADER, /* hints from the transport */
	RAFT_UNREACHABLE,
	RAFT_PEER_RESET,
	RAFT_LOST_ENTRIES, /* a leader holds more of us than our log has (RT-03) */
	RAFT_SNAPSHOT_MADE,
	RAFT_SNAPSHOT_DONE
};

/* What the vote slot holds. */
struct raft_hard {
	uint64_t term, vote; /* vote 0: none */
	bool uncertain;	     /* RI-06: set by recovery or LOST_ENTRIES, cleared by the core */
};

/* What recovery found. A new cluster is an entry 1 of kind CONF in term 1 with commit_hint 1; a
 * replica that waits to be admitted has everything zero. */
struct raft_restore {
	struct raft_hard hard;
	uint64_t commit_hint; /* highest known commit; raised to the snapshot's index */
	const struct raft_snapshot *snapshot; /* the one the state was loaded from; NULL: none */
	const struct raft_entry *entries;     /* contiguous; may begin at or below the snapshot */
	size_t entry_count;
	uint64_t before_index,
		before_term; /* the position before entries[0]; ignored without any */
};

struct raft_propose {
	struct raft_payload *const *payloads; /* NULL elements are empty entries */
	size_t count;			      /* 1..RAFT_APPEND_ENTRIES_MAX, else TOO_LARGE */
};

/* One's own snapshot is durable; the log may be cut at compact_index <= snapshot.index <= applied.
 */
struct raft_snapshot_made {
	struct raft_snapshot snapshot;
	uint64_t compact_index;
};

struct raft_event {
	uint64_t now_ms; /* CLOCK_BOOTTIME (RC-02) */
	enum raft_event_kind kind;
	union {
		struct raft_restore restore;
		/* RECEIVE: checked by the transport (RT-05): to is us, from is not, term is not 0,
		 * entries follow prev without a gap, their terms rise and are at most the
		 * message's. A SNAPSHOT only with its file complete, verified and durable (RM-19),
		 * its conf valid (member_conf_is_valid), its term at most the message's. A breach
		 * aborts (RC-09). */
		const struct raft_message *receive;
		struct {
			uint64_t seq; /* the highest durable one; older than known: ignored */
		} persisted;
		struct {
			uint64_t index; /* applied up to here; at most the apply_index given */
		} applied;
		struct raft_propose propose;
		struct {
			uint64_t cookie; /* the driver's, repeated in the answer */
		} read;
		struct raft_change change;
		struct {
			uint64_t peer;
		} transfer, unreachable;
		struct {
			uint64_t peer, last; /* the peer says that its log ends at last (RM-15) */
		} peer_reset;
		struct raft_snapshot_made snapshot_made;
		struct {
			uint64_t peer; /* the transfer to it ended */
			bool ok;
		} snapshot_done;
	} u;
};

#endif
