/*
 * peers_internal: the structs that peers.c (connections, messages) and peers_snapshot.c (snapshots
 * on their way) share. Registry thread.
 */
#ifndef PILLION_RAFTREG_PEERS_INTERNAL_H
#define PILLION_RAFTREG_PEERS_INTERNAL_H

#include "base/rng.h"
#include "http/grpc.h"
#include "raftreg/peers.h"

enum lane_kind { LANE_CONTROL, LANE_BULK, LANE_COUNT };

struct lane {
	struct peer *peer;
	enum lane_kind kind;
	struct connection *connection; /* NULL while none is dialled or open */
	struct grpc_call call;	       /* Raft stream of the lane */
	bool open;		       /* Hello was sent */
	bool closing;		       /* closed here; on_closed is still to come */
	struct timer redial;
	uint64_t backoff_ms; /* bound of the next wait */
	/* RT-06: bytes of this turn, which may still leave; a heartbeat behind older ones. */
	size_t fresh;
	struct buf heartbeat;
	uint64_t written, written_ms; /* what the socket had taken when it last took something */
};

/* A snapshot on its way. First the peer is asked how much of it it has. */
enum outgoing_state {
	OUTGOING_NONE,
	OUTGOING_FAILED,
	OUTGOING_LOADING,
	OUTGOING_ASKED,
	OUTGOING_SENDING
};
struct outgoing {
	enum outgoing_state state;
	uint64_t token, term, index, log_term, offset;
	uint64_t transfer;  /* drawn for each attempt: late chunks of another one do not fit */
	struct buf file;    /* whole, as it lies on the disk */
	struct timer timer; /* next chunk, or the end of waiting */
};

struct peer {
	struct list_node node;
	struct peers *peers;
	struct state_replica replica; /* id 0: a seed nobody answered at yet */
	bool seed, wanted;	      /* only asked; named by the last peers_set */
	struct lane lanes[LANE_COUNT];
	struct grpc_call relay;
	bool relay_open;
	bool greeted;		 /* hello is of this connection */
	struct wire_hello hello; /* the last one it said */
	struct outgoing outgoing;
	bool doomed; /* closing for good; freed when its last connection is */
};

struct peers {
	struct raftreg_node *node;
	struct list_node list;
	struct block_pool pool;
	struct http_limits limits;
	struct rng rng;
	struct task wrote; /* ends a turn's `fresh` */
	bool closed;	   /* the replica ends */
	bool knocking;	   /* seeds are being asked */
	uint64_t next_token;
};

/* Id 0 is a seed that has not said who it is: nobody can be sent to there. NULL: none. */
struct peer *peers_find(const struct peers *peers, uint64_t id);
/* 0, or -errno: nothing was queued. The lane is open. */
int peers_lane_send(struct lane *lane, struct slice bytes);

/* peers_snapshot.c */
void peers_snapshot_init(struct peer *peer);
/* The transfer, if one is under way, has ended; told to the core exactly once. */
void peers_snapshot_end(struct peer *peer, bool ok);

#endif
