/*
 * node: one replica: it drives the Raft core with the store, the peers and the accepted streams
 * (registry.md 2, RC-04; RR-03), applies entries, answers requests. Everything here is the registry
 * thread's, but node_gate, node_post_leave and what raftreg.h says. Internal to raftreg.
 */
#ifndef PILLION_RAFTREG_NODE_H
#define PILLION_RAFTREG_NODE_H

#include "net/timer.h"
#include "raftreg/core/raft.h"
#include "raftreg/gate.h"
#include "raftreg/raftreg.h"
#include "raftreg/state.h"
#include "raftreg/store.h"
#include "raftreg/wire.h"

#define NODE_REQUEST_MS	    5000 /* a request without an outcome by then is answered MAYBE */
#define NODE_REQUESTS_MAX   65536
#define NODE_TICK_MS	    100
#define NODE_APPLY_MAX	    4096 /* entries a turn */
#define NODE_CANDIDATES_MAX 32
#define NODE_SEEDS_MAX	    64

struct fanout;
struct peers;
struct resolver;

struct node_settings {
	uint32_t heartbeat_ms, election_ms;
	uint64_t ttl_ms, renew_ms, bookmark_ms;
	unsigned expire_per_s;
	uint64_t state_bytes_max;
	bool voter, with_seeds;
	struct {
		char host[254];
		uint16_t port;
	} seeds[NODE_SEEDS_MAX];
	size_t seed_count;
	uint64_t seeds_digest;
	bool pinned; /* registry.cluster */
	uint8_t pin[16];
};

/* Where a request came from: a session or a relay stream. Its requests are dropped with it. */
struct node_origin {
	void (*reply)(struct node_origin *origin, struct packet *answer);
	struct list_node requests;
	bool relay;
};

enum node_request_state {
	REQUEST_WAITING,  /* for a leader, or for its turn */
	REQUEST_PROPOSED, /* in the log */
	REQUEST_RELAYED,  /* at the leader */
	REQUEST_READING	  /* for a confirmed read */
};

struct node_request {
	struct list_node node;	      /* in the list of its state, oldest first */
	struct list_node origin_node; /* unlinked when the origin is gone */
	struct node_origin *origin;
	enum node_request_state state;
	uint64_t number; /* of the origin */
	uint64_t id;	 /* of the relay */
	uint64_t deadline_ms, received_ms;
	uint64_t index, term; /* proposed as */
	size_t ordinal;
	uint64_t cookie; /* of the read it waits for; 0: the next one */
	bool confirmed;
	bool relayed_here; /* by another replica: not passed on again (RD-08) */
	struct state_result result;
	struct buf bytes;
	struct packet frame; /* points into bytes */
};

struct node_held { /* a message that waits for its sequence to be durable */
	struct list_node node;
	uint64_t after, to;
	bool bulk;
	struct buf bytes;
};

struct node_candidate { /* RB-03: knocks, but is no member yet */
	struct state_replica replica;
	uint64_t seen_ms;
};

struct node_incoming { /* a snapshot that arrives in chunks (RT-08) */
	uint64_t from, term, index, log_term, total;
	struct buf file;
	bool staging; /* on its way to the disk */
	uint64_t token;
	struct snapfile_meta meta;
	struct buf state;
};

struct raftreg_node {
	struct node_settings settings;
	struct state_replica self;
	uint8_t uuid[16];
	uint64_t epoch, boot_id, boot_count;
	bool has_cluster;

	pthread_t thread;
	struct loop *loop;
	struct resolver *resolver;
	struct loop *control_loop;
	void (*on_change)(void *owner);
	void *owner;

	struct disk *disk;
	struct store *store;
	struct raft *raft;
	struct raft_effects now; /* role, term, leader, commit, apply, deadline of the last step */
	struct raft_conf conf;	 /* as applied */
	uint64_t applied_term;
	bool conf_changed;
	struct state state;
	struct gate *gate;
	struct peers *peers;
	struct fanout *fanout;

	uint64_t persisted;
	struct list_node held;
	struct list_node waiting, reading_list, proposed, relayed; /* of struct node_request */
	size_t request_count;
	uint64_t next_id;
	uint64_t reading; /* cookie of the read under way; 0: none */
	bool read_wanted;

	struct task turn;
	struct timer deadline;
	struct timer tick;
	uint64_t tick_due_ms;

	bool leading;	 /* an own-term entry is applied: leases count (RN-07) */
	bool lease_hold; /* after a late turn: no SUSPECT before a confirmed read (RN-08) */
	uint64_t lease_budget_ms;
	unsigned lease_budget;
	uint64_t gc_ms;

	/* Told by others, used while there is no configuration of our own. */
	struct state_replica known[STATE_REPLICAS_MAX];
	size_t known_count;
	bool known_changed;
	uint64_t alone_since_ms; /* with-seeds: all seeds were empty since then; 0: not */
	struct node_candidate candidates[NODE_CANDIDATES_MAX];
	size_t candidate_count;
	uint64_t caught_up_since[RAFT_PEERS_MAX]; /* beside caught_up_id */
	uint64_t caught_up_id[RAFT_PEERS_MAX];
	size_t serve_voters; /* with-seeds: clients are served from that many voters on */

	struct node_incoming incoming;
	_Atomic uint64_t
		snapshot_log_bytes;    /* log written since the last one that asks for a new one */
	_Atomic uint32_t kept_entries; /* of the log behind a snapshot, at most */
	uint64_t snapshot_bytes;       /* size of the last one */
	bool snapshot_busy;
	uint64_t snapshot_retry_ms;
	uint64_t compact_index;

	bool stopping;
	uint64_t stop_ms;
	uint64_t started_ms;

	/* Read by other threads. */
	_Atomic bool role_stopped, leader_known, is_leader;
	pthread_mutex_t reason_lock;
	char reason[128];
	_Atomic uint64_t leader_changes, proposals, reads, renewals, expired;
};

/* Any thread. */
struct gate *node_gate(const struct raftreg_node *node);
/* Control thread: hand leadership over soon, for this process is about to stop (RB-05). */
void node_post_leave(struct raftreg_node *node);

uint64_t node_now_ms(const struct raftreg_node *node);
enum raft_refusal node_step(struct raftreg_node *node, struct raft_event *event);
void node_wake(struct raftreg_node *node); /* run a turn soon */
/* RS-16. */
void node_stop_role(struct raftreg_node *node, const char *reason);
bool node_is_leader(const struct raftreg_node *node);
bool node_has_quorum(const struct raftreg_node *node); /* as far as this replica knows */
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
bool node_begin_transfer(struct raftreg_node *node);

/* node_request.c */
void node_request_take(struct raftreg_node *node, struct node_origin *origin, struct slice bytes);
void node_request_forget(struct raftreg_node *node, struct node_origin *origin);
void node_request_turn(struct raftreg_node *node);
void node_request_answered(struct raftreg_node *node, struct slice bytes); /* by the leader */
void node_request_applied(struct raftreg_node *node, uint64_t index, uint64_t term, size_t ordinal,
	const struct state_result *result);
void node_request_read(struct raftreg_node *node, uint64_t cookie, bool failed);
void node_request_lost(struct raftreg_node *node); /* leadership is gone */
void node_request_relay_lost(struct raftreg_node *node);
void node_request_tick(struct raftreg_node *node, uint64_t now_ms);
void node_request_fini(struct raftreg_node *node);
/* Commands of the leader itself (4 to 6, 8). False: not now. */
bool node_request_propose(struct raftreg_node *node, struct slice command);

/* node_member.c */
void node_member_knock(struct raftreg_node *node, const struct wire_hello *hello);
void node_member_tick(struct raftreg_node *node, uint64_t now_ms);
void node_member_update_peers(struct raftreg_node *node);
enum raft_refusal node_member_add(
	struct raftreg_node *node, const struct state_replica *replica, bool learner);
void node_member_command(struct raftreg_node *node, const char *verb, const char *argument,
	struct registry_result *ret_result);

/* node_status.c */
void node_status_json(const struct raftreg_node *node, struct buf *ret_json);
void node_status_members(const struct raftreg_node *node, struct buf *ret_json);
void node_status_metrics(const struct raftreg_node *node, struct buf *ret_text);
void node_status_address(const struct state_replica *replica, char ret_text[300]);

#endif
