/*
 * node_types: the parts of a replica: settings, requests under way, candidates, a snapshot that
 * arrives. Internal to raftreg; node.h has the whole.
 */
#ifndef PILLION_RAFTREG_NODE_TYPES_H
#define PILLION_RAFTREG_NODE_TYPES_H

#include "base/list.h"
#include "raftreg/snapfile.h"
#include "raftreg/state.h"

#define NODE_REQUEST_MS	    5000 /* a request without an outcome by then is answered MAYBE */
#define NODE_REQUESTS_MAX   65536
#define NODE_TICK_MS	    100
#define NODE_APPLY_MAX	    4096 /* entries a turn */
#define NODE_CANDIDATES_MAX 32
#define NODE_SEEDS_MAX	    64
#define NODE_APPEND_MAX	    (1024u * 1024) /* registry.md 1 */
#define NODE_INFLIGHT_BYTES (4u * 1024 * 1024)

/* Copied from the configuration at the start: the registry thread keeps no pointer
 * into a snapshot that a reload replaces. */
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
	char new_cluster[37]; /* registry.new_cluster, or empty */
	bool pinned;	      /* registry.cluster */
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
	/* RN-03: a renewal counts from its receipt, not from when the read was
	 * confirmed. */
	uint64_t deadline_ms, received_ms;
	/* RD-05: the command is ours only if this very (index, term) is applied. */
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
	int way; /* enum peers_way */
	struct buf bytes;
};

/* RS-14: no room for a spare segment; when to look again, and to hand over again. */
struct node_space {
	bool full, handing_over;
	uint64_t retry_ms, handover_ms;
};

/* RB-05: this process leaves soon. Until until_ms it tries to hand leadership over, at goodbye_ms
 * it ends the sessions; 0: nothing to do. */
struct node_leave {
	uint64_t until_ms, goodbye_ms;
	unsigned taken; /* how often control asked */
};

struct node_birth {		 /* while there is no cluster: see birth.c */
	bool asking;		 /* seeds, at the start; until one has a cluster */
	uint8_t met_uuid[16];	 /* that one's */
	char met_address[300];	 /* and where it is */
	bool known;		 /* somebody remembers a cluster: none is born by itself */
	uint64_t alone_since_ms; /* with-seeds: all seeds were empty since then; 0: not */
	uint64_t told_ms;
};

struct node_candidate { /* RB-03: knocks, but is no member yet */
	struct state_replica replica;
	uint64_t seen_ms;
};

struct node_incoming { /* a snapshot that arrives in chunks (RT-08) */
	uint64_t from, term, index, log_term, total, transfer;
	struct buf file;
	bool staging;	      /* on its way to the disk */
	uint64_t install_seq; /* with it the last install is done, and its file has its own name */
	uint64_t token;
	struct snapfile_meta meta;
	struct buf state;
};

#endif
