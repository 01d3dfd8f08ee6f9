/*
 * rig: one worker's whole data path in one loop: clients over in-memory transports, the exchange
 * server, and origins that listen on loopback TCP and answer by the request's path. Used by the
 * unit tests and by the simulator of this room.
 */
#ifndef PILLION_TESTS_EXCHANGE_RIG_H
#define PILLION_TESTS_EXCHANGE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/block.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/rng.h"
#include "exchange/access_record.h"
#include "exchange/server.h"
#include "exchange/stats.h"
#include "net/listener.h"
#include "net/loop.h"
#include "rig_origin.h"
#include "upstream/connection.h"

enum { RIG_ORIGINS = 4, RIG_FILTERS = 8, RIG_CALLS = 64, RIG_CLIENTS = 16, RIG_RECORDS = 256 };

struct listener;

struct rig_origin {
	struct rig *rig;
	struct listener *listener;
	struct address address;
	unsigned connections, requests, resets;
	bool echo_fields; /* the answer's body lists the received fields */
	/* Overrides what the path says, when set: "/status/503", "/reset", ... */
	const char *behave;
	struct list_node served;
};

struct rig_call { /* one request of a client */
	struct rig_client *client;
	struct stream *stream;
	bool done, reset, interim;
	enum reason why;
	struct head *head; /* copies, in arena */
	struct head *trailers;
	struct arena arena;
	struct buf body;
	struct slice send; /* body still to send */
	bool slow;	   /* credits only when told */
	bool safe;	   /* of the request: may be executed more than once */
	bool echo;	   /* the answer is the body that was sent */
	size_t sent_size;
	unsigned id;
	bool ends_with_trailers;
	size_t owed;
};

struct rig_client {
	struct rig *rig;
	struct transport *transport;
	struct codec *codec;
	struct chain out;
	struct task task, write_task;
	size_t piece; /* most bytes of one write; 0: all */
	bool closed, eof;
};

struct rig {
	struct loop *loop;
	struct rng rng;
	struct block_pool pool; /* of clients and origins */
	struct http_limits limits;
	struct config_snapshot *snapshot;
	struct listener_snapshot listeners[3];
	struct service_snapshot service;
	struct filter_instance listener_filters[RIG_FILTERS], app_filters[RIG_FILTERS];
	struct exchange_server *server;
	struct rig_origin origins[RIG_ORIGINS];
	struct rig_call *calls[RIG_CALLS];
	struct rig_client *clients[RIG_CLIENTS];
	unsigned call_count, client_count, asked_unknown, origin_bytes;
	struct access_options access;
	void *slots[4]; /* of the server; set before rig_start */
	uint64_t destroyed, snapshots;
	struct resolver *resolver;
	size_t throttle;
	/* What the second request that origins get is answered by, once; see rig_origin.behave. */
	const char *second;
	/* A ledger: how often each id (field x-id) was executed. */
	unsigned executed[RIG_CALLS];
};

struct rig_request {
	const char *method; /* NULL: GET */
	const char *path;
	const char *query; /* NULL: none */
	const char *authority;
	const char *body;	/* NULL: none */
	size_t body_size;	/* 0: strlen(body) */
	bool chunked;		/* body of unknown length */
	const char *fields[16]; /* name, value, ..., NULL */
	bool absolute;
	bool slow;
	bool trailers; /* with the field x-end: 1 */
};

void rig_init(struct rig *rig);
/* Server and origins; call after the snapshot was changed as wanted. */
void rig_start(struct rig *rig);
void rig_fini(struct rig *rig);
/* A snapshot like the first one, with one reference. */
struct config_snapshot *rig_copy_snapshot(struct rig *rig);
/* A service with instances on the first `count` origins. */
void rig_service(
	struct rig *rig, const char *name, unsigned count, enum instance_protocol protocol);
struct rig_client *rig_client(struct rig *rig, const char *listener, bool h2);
void rig_client_close(struct rig_client *client);
struct rig_call *rig_call(struct rig_client *client, const struct rig_request *request);
void rig_call_credit(struct rig_call *call);
/* Turns until it is done; fails the test after a generous bound. */
void rig_wait(struct rig_call *call);
void rig_turn(struct rig *rig, int times);
/* Every request that origins have not ended is cut. */
void rig_cut_origins(struct rig *rig);
/* One request on a new client of its own, to its end. */
struct rig_call *rig_once(
	struct rig *rig, const char *listener, bool h2, const struct rig_request *request);
const char *rig_field(const struct rig_call *call, const char *name); /* NULL: absent */
/* The only access record that waits; fails when there is none or more than one. */
void rig_record(struct rig *rig, struct access_record *ret_record);

#define RIG_WAIT_MS 60000

#define RIG_UNTIL(rig, condition)                                                                  \
	do {                                                                                       \
		for (uint64_t end_ = clock_monotonic_ms() + RIG_WAIT_MS; !(condition);) {          \
			assert_true(clock_monotonic_ms() < end_);                                  \
			loop_turn((rig)->loop, 5);                                                 \
		}                                                                                  \
	} while (0)

#endif
