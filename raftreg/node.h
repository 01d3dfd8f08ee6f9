/*
 * node: one replica: it drives the Raft core with the store, the peers and the accepted streams
 * (registry.md 2, RC-04; RR-03), applies entries, answers requests. Everything here is the registry
 * thread's, but node_gate and what raftreg.h says. Internal to raftreg.
 */
#ifndef PILLION_RAFTREG_NODE_H
#define PILLION_RAFTREG_NODE_H

#include "net/timer.h"
#include "raftreg/core/raft.h"
#include "raftreg/gate.h"
#include "raftreg/node_parts.h"
#include "raftreg/node_types.h"
#include "raftreg/raftreg.h"
#include "raftreg/state.h"
#include "raftreg/store.h"
#include "raftreg/wire.h"

struct fanout;
struct node_trace;
struct peers;
struct resolver;

struct raftreg_node {
	struct node_settings settings;
	struct state_replica self;
	/* RI-01, RI-02: who this is. The uuid is zero until the replica found or
	 * founded a cluster; the boot id tells this run from earlier ones of the
	 * same directory. */
	uint8_t uuid[16];
	uint64_t epoch, boot_id, boot_count;
	bool has_cluster;

	pthread_t thread;
	struct loop *loop;
	struct resolver *resolver;
	/* Where on_change runs: control's loop, by mail, never this thread. */
	struct loop *control_loop;
	void (*on_change)(void *owner);
	void *owner;

	/* The store outlives everything that may still submit to it; see
	 * destroy_node. */
	struct disk *disk;
	struct store *store;
	struct raft *raft;
	struct node_trace *trace;
	struct raft_effects now; /* role, term, leader, commit, apply, deadline of the last step */
	struct raft_conf conf;	 /* as applied */
	uint64_t applied_term;
	bool conf_changed;
	struct state state;
	/* The three ends of the network: accepted streams, dialled peers, sidecars'
	 * sessions. */
	struct gate *gate;
	struct peers *peers;
	struct fanout *fanout;

	/* RC-04 (3), RC-05: the last sequence that is durable, and the messages that
	 * wait for more. */
	uint64_t persisted, doubt_seq; /* doubt: with it the uncertain flag is durable (RT-03) */
	struct list_node held;
	struct list_node waiting, reading_list, proposed, relayed; /* of struct node_request */
	size_t request_count;
	/* Ids of relayed requests and cookies of reads; one row, so that neither is
	 * mistaken. */
	uint64_t next_id;
	uint64_t reading; /* cookie of the read under way; 0: none */
	bool read_wanted;

	struct task turn;
	struct timer deadline;
	struct timer tick;
	uint64_t tick_due_ms;

	bool leading;	 /* an own-term entry is applied: leases count (RN-07) */
	bool lease_hold; /* after a late turn: no SUSPECT before a confirmed read (RN-08) */
	/* RN-05: how many sessions may still be judged, earned at expire_per_s. */
	uint64_t lease_budget_ms;
	unsigned lease_budget;
	uint64_t gc_ms;

	/* Told by others, used while there is no configuration of our own. */
	struct state_replica known[STATE_REPLICAS_MAX];
	size_t known_count;
	bool known_changed;
	uint64_t complained_ms; /* of a foreign replica, last; 0: never */
	struct node_birth birth;
	/* RB-03: replicas that knocked and are not admitted yet. */
	struct node_candidate candidates[NODE_CANDIDATES_MAX];
	size_t candidate_count;
	uint64_t promote_commit; /* RB-03: the commit when promotion was decided; 0: it is not */
	/* RB-02: until all seeds of a first start are voters, a client's write could
	 * be lost with one of them, so no request is taken before. */
	size_t serve_voters; /* with-seeds: clients are served from that many voters on */

	struct node_incoming incoming;
	_Atomic uint64_t
		snapshot_log_bytes;    /* log written since the last one that asks for a new one */
	_Atomic uint32_t kept_entries; /* of the log behind a snapshot, at most */
	uint64_t snapshot_bytes;       /* size of the last one */
	bool snapshot_busy, snapshot_wanted; /* wanted: the last one was set aside (RS-14) */
	uint64_t snapshot_retry_ms;
	struct node_space space;
	uint64_t compact_index;

	struct node_leave leave;
	uint64_t started_ms;

	/* Read by other threads. */
	_Atomic bool role_stopped, leader_known, is_leader;
	_Atomic unsigned leaves_asked, leaves_done; /* RB-05: by control; here */
	pthread_mutex_t reason_lock;
	char reason[128];
	_Atomic uint64_t leader_changes, proposals, reads, renewals, expired, peer_failures;
};

/* Any thread. */
struct gate *node_gate(const struct raftreg_node *node);
/* RB-05, on the registry thread: see raftreg_node_leave. */
void node_leave(struct raftreg_node *node, bool last);

/* RC-02: CLOCK_BOOTTIME, so that a suspended machine notices that time has passed. */
uint64_t node_now_ms(const struct raftreg_node *node);
/* Steps the core and carries out its effects. Must not be called from inside absorb:
 * the effects of a step are lent only until the next one. */
enum raft_refusal node_step(struct raftreg_node *node, struct raft_event *event);
void node_wake(struct raftreg_node *node); /* run a turn soon */
/* RT-03: a leader holds more of this replica than its log has. */
void node_lost_entries(struct raftreg_node *node);
/* RS-16. */
void node_stop_role(struct raftreg_node *node, const char *reason);
bool node_is_leader(const struct raftreg_node *node);
bool node_has_quorum(const struct raftreg_node *node); /* as far as this replica knows */
/* Bytes of a peer that said hello as `from`; RT-04 and RT-05 are checked here. */
void node_receive(struct raftreg_node *node, struct slice bytes, uint64_t from);
void node_fill_hello(struct raftreg_node *node, struct wire_hello *ret_hello);
/* Learnt from a Hello which cluster this is; false: it is another one. */
bool node_meet(struct raftreg_node *node, const struct wire_hello *hello);

/* For node_open.c. */
extern const struct store_events node_store_events;
void node_start_timers(struct raftreg_node *node);
void node_run(struct raftreg_node *node); /* until loop_stop */
void node_clear(struct raftreg_node *node);
/* RB-01: a new cluster with this replica as its only voter. Blocking: once in a life. */
int node_bootstrap(struct raftreg_node *node);

#endif
