/*
 * server_internal: the parts of one worker's data path, for the files of this room. An accepted
 * connection (downstream) lives until it is closed and no exchange of it is left; a configuration
 * snapshot is held once per worker and counted there without atomics (snapshot_hold).
 */
#ifndef PILLION_EXCHANGE_SERVER_INTERNAL_H
#define PILLION_EXCHANGE_SERVER_INTERNAL_H

#include "base/map.h"
#include "base/rng.h"
#include "exchange/access_record.h"
#include "exchange/forward.h"
#include "exchange/replay.h"
#include "exchange/server.h"
#include "exchange/stats.h"
#include "net/loop.h"
#include "net/timer.h"
#include "upstream/connection.h"

struct exchange;

enum {
	SERVER_FREE_MAX = 256,	  /* exchange structs kept for reuse */
	SERVER_BLOCKS_FREE = 256, /* 4 MiB of blocks kept for reuse */
	SERVER_EGRESS_MAX = 256,  /* external names remembered, and asked for */
	SERVER_EGRESS_MS = 10000, /* how long an answer is believed */
	SERVER_VIA_SIZE = 32,
	SERVER_DISPOSE_TURNS_MIN = 3,
	SERVER_DISPOSE_TURNS = 64, /* looks for blocks that buried connections still hold */
};

struct snapshot_hold { /* this worker's one reference to a snapshot */
	struct config_snapshot *snapshot;
	struct exchange_limits limits;
	unsigned count;
};

struct source;

struct downstream { /* an accepted connection */
	struct exchange_server *server;
	struct list_node node;	       /* server->downstreams */
	struct connection *connection; /* NULL: closed */
	struct snapshot_hold *limits;  /* its connection reads the limits of this one */
	struct snapshot_hold *hold;
	const struct listener_snapshot *listener; /* of hold */
	struct stats_listener *stats;
	enum forward_peer peer_kind;
	struct address local, peer;
	struct slice peer_host;
	char peer_text[ADDRESS_TEXT_MAX];
	unsigned refs;	       /* the connection, each exchange and endpoint's request */
	struct source *source; /* NULL: exempt */
};

struct source { /* what one stranger's address holds open (SN-08) */
	unsigned connections;
};

struct server_local { /* an in-process client */
	struct exchange_server *server;
	struct codec *codec;
	enum local_kind kind;
	struct task task;
};

struct egress_query {			/* one external name: asked, or answered */
	struct exchange_server *server; /* NULL: the server went; the answer frees it */
	struct list_node waiting;	/* exchanges */
	uint64_t expires_ms;
	bool asked;
	int status;
	struct address address;
	uint16_t port;
	char host[256];
};

struct exchange_server {
	struct exchange_server_options options;
	struct block_pool pool;
	struct rng rng;
	struct upstream *upstream;
	struct snapshot_hold *hold; /* current */
	struct list_node downstreams;
	struct list_node exchanges;
	struct list_node free_exchanges;
	unsigned free_count, exchange_count, downstream_count;
	unsigned inbound_active, outbound_active;
	uint64_t last_outbound_ms;
	struct map series[2]; /* [inbound]: service name -> struct stats_series */
	struct map sources;   /* address -> struct source, strangers only (SN-08) */
	struct map egress;    /* "host:port" -> struct egress_query */
	struct replay_bank replay;
	struct fixed_target app;
	enum registry_mode registry_mode;
	uint64_t registry_heard_ms;
	bool app_ready, app_exited, app_probed, draining, drained, destroying;
	struct task dispose_task;
	unsigned dispose_turns;
	char via[2][3][SERVER_VIA_SIZE]; /* [inbound][version] */
	struct server_local *locals[LOCAL_KINDS];
	struct server_stats *stats;
	struct access_ring *ring;
	bool ring_told;
	struct http_limits limits; /* of in-process and upstream connections, as at creation */
};

struct snapshot_hold *server_hold_create(struct config_snapshot *snapshot);
struct snapshot_hold *server_hold(struct snapshot_hold *hold);
void server_release(struct snapshot_hold *hold);
/* NULL is allowed. */
void server_downstream_release(struct downstream *from);
struct stats_series *server_series(struct exchange_server *server, struct slice name, bool inbound);
struct exchange *server_exchange_alloc(struct exchange_server *server);
void server_exchange_free(struct exchange_server *server, struct exchange *exchange);
void server_set_app_target(struct exchange_server *server);
/* Failures always, successes by their share, and all that were slow (LG-02). */
bool server_wants_record(struct exchange_server *server, const struct access_options *options,
	bool failed, uint64_t duration_ns);
void server_log(struct exchange_server *server, const struct access_record *record);
/* endpoint_log.c: the record of a request that goes to an endpoint, written when its stream ends.
 */
void endpoint_log_begin(struct downstream *from, struct stream *stream, const struct head *head,
	struct slice trace_id);
/* accept.c: a request head came on a downstream stream. */
extern const struct stream_ops accept_ops;
extern const struct codec_events accept_local_events;
void accept_stream(struct connection *connection, struct stream *stream);
/* egress.c */
enum reason egress_judge(
	const struct config_snapshot *snapshot, struct slice host, const struct address *address);
void egress_resolve(struct exchange *x);
void egress_cancel(struct exchange *x);
void egress_fini(struct exchange_server *server);

#endif
