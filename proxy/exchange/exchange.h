/*
 * exchange: one downstream stream joined to one upstream attempt at a time. It owns everything that
 * must happen exactly once: filters, the choice, repetition, the answer, the record, the numbers.
 * Codec callbacks only append and mark; all state moves in exchange_run, from the worker's run
 * queue (http.md MM-13). Memory: this struct comes from the server's list of free ones, everything
 * else from the arenas of the two streams. For files of this room only; filters see filter.h.
 *
 *   accept -> begin -> listener filters -> route -> [attempt <-> service filters] -> response ->
 * finish
 */
#ifndef PILLION_EXCHANGE_EXCHANGE_H
#define PILLION_EXCHANGE_EXCHANGE_H

#include "exchange/decision.h"
#include "exchange/forward.h"
#include "exchange/pipe.h"
#include "exchange/replay.h"
#include "exchange/route.h"
#include "exchange/server_internal.h"
#include "upstream/attempt.h"

enum {
	EXCHANGE_OWN_FIELDS = 16, /* what we add to a head that was at its limit */
	EXCHANGE_OWN_BYTES = 4096,
	EXCHANGE_INTERIM_MAX = 8,      /* H1-33 */
	EXCHANGE_KEPT_MAX = 32 * 1024, /* body of a failing answer that is kept (MT-11) */
};

/* What a codec may still say in one direction (MM-13). */
enum exchange_flow { FLOW_HEAD, FLOW_BODY, FLOW_DONE };

enum exchange_up { UP_NONE, UP_DELAY, UP_WAIT, UP_READY, UP_SENT, UP_OVER };

struct exchange_request {
	enum exchange_flow flow;
	struct head *head;	   /* as edited once for all attempts */
	struct head *attempt_head; /* of this attempt: head itself, or a copy for service filters */
	struct head *trailers;
	struct chain in;     /* received, before filters */
	struct chain staged; /* through the listener's filters */
	struct chain ready;  /* through all of them */
	struct pipe listener_pipe, service_pipe;
	struct replay replay;
	bool ended;	  /* all received */
	bool head_passed; /* listener filters */
	bool staged_end;
	bool head_served; /* service filters, this attempt */
	bool served_end;
	bool ready_end;
	bool trailers_ready;
	bool hold_head; /* a filter wants the body to come first */
	bool sent_end;
	bool continued;	   /* 100 was sent, or is not wanted */
	size_t forgiven;   /* credit a filter gave for bytes inside its running slot */
	uint64_t last_ms;  /* a byte came */
	uint64_t taken_ms; /* the upstream took a byte, or the first one began to wait for it */
};

struct exchange_response {
	enum exchange_flow flow;
	struct head *head;
	struct head *trailers;
	struct head *own_trailers; /* a filter's, sent instead of a plain end */
	struct head *interim[EXCHANGE_INTERIM_MAX];
	uint8_t interim_count, interim_sent;
	struct chain in;
	struct chain ready;
	struct pipe pipe;
	int first_filter; /* where a response enters the filters; -1: none */
	bool ended;
	bool judged; /* this head goes on */
	bool own;    /* made here, or by a filter */
	bool head_passed;
	bool hold_head;
	bool sent; /* the head went downstream: committed */
	bool ready_end;
	bool trailers_ready;
	bool sent_end;
	uint16_t status;
	int16_t grpc_status, reset_status; /* of the upstream's reset (H2-38) */
	size_t forgiven;
	uint64_t last_ms;
};

struct exchange_times { /* ns, read from the clock itself */
	uint64_t start, request_sent, response_begun, response_sent;
	uint64_t connect_begun, connecting; /* sum of waits for connections */
	uint64_t request_complete_ms;
};

struct exchange {
	struct exchange_server *server;
	struct list_node node; /* server->exchanges */
	struct task task;
	struct timer timer;
	struct downstream *from; /* NULL: an in-process client */
	struct snapshot_hold *hold;
	const struct config_snapshot *snapshot;
	const struct listener_snapshot *listener; /* NULL: an in-process client */
	struct stream *down;
	enum forward_peer peer;
	enum http_version version;
	bool inbound, to_app, raw, grpc, head_method, idempotent, streaming;
	bool overloaded, begun, routed, running, resolving, finished;
	bool ending; /* exchange_run ends it with ending_why, before it returns */
	enum reason ending_why;
	enum reason down_lost; /* the client is gone; ok: it is not */
	enum reason cut;       /* end it now, from outside; ok: no */
	struct forward_wishes wishes;
	struct slice trace_id, request_id;
	struct route route;
	struct stats_series *series;
	const struct service_policy *policy;
	struct pipe_filter *filters;
	int filter_count, listener_filters, begun_filters;
	int calling; /* index + 1 of the filter whose slot runs; 0: none */
	uint32_t waits;
	uint64_t deadline_ns; /* UINT64_MAX: none */
	struct exchange_times times;
	struct exchange_request req;
	struct exchange_response resp;
	/* The attempt under way. */
	enum exchange_up up_state;
	struct selection selection;
	struct attempt attempt;
	struct stream *up;
	enum reason up_lost; /* ok: not lost */
	enum attempt_class answer_class;
	uint64_t delay_until_ms;
	bool attempt_live, attempt_told, charged;
	/* What all attempts together amount to. */
	unsigned attempts, counted_attempts, free_used;
	bool free_f1_used, free_lost_used, fresh_used;
	enum reason unproven; /* of the last attempt that may have been processed; ok: none */
	enum retry_stop stop;
	struct head *kept_head; /* last real failing answer (MT-11) */
	struct chain kept_body;
	enum attempt_class kept_class;
	enum reason reason;
	enum outcome outcome;
	uint8_t instance_id[INSTANCE_ID_SIZE];
	struct address destination;
	struct slice instance_version;
	uint64_t index;
	bool from_mesh_leg; /* the answer came from another sidecar */
	struct egress_query *egress;
	struct list_node egress_node;
};

#endif
