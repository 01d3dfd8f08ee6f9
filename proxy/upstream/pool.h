/*
 * pool: the connections of one worker to one instance of a service (http.md 13), and the attempts
 * that wait for one. HTTP/1: an idle list, most recently used first, each exchange has a connection
 * for itself. HTTP/2: one connection until it has no spare stream, then another, a few at most.
 * Nothing is opened ahead of need (C-03). Private to this room. One thread.
 */
#ifndef PILLION_UPSTREAM_POOL_H
#define PILLION_UPSTREAM_POOL_H

#include "base/address.h"
#include "base/list.h"
#include "base/slice.h"
#include "upstream/upstream.h"

struct attempt;
struct instance;
struct instance_state;

enum {
	POOL_FRESH_IDLE_MS = 500,    /* MT-03: for requests that must not run twice */
	POOL_BURST_IDLE_MS = 200,    /* C-03: beyond h1_idle only who idled so long is closed */
	POOL_UNUSED_IDLE_MS = 3000,  /* C-04: never carried an exchange */
	POOL_KEEP_ALIVE_MAX_S = 60,  /* T-13 */
	POOL_STREAMS_EXPECTED = 100, /* H2-34: per connection that is being opened */
	POOL_H2_CONNECTIONS = 4,     /* C-05 */
};

struct pool {
	struct list_node idle; /* HTTP/1, front: most recently used (C-03) */
	struct list_node open; /* HTTP/1 with an exchange; every open HTTP/2 connection */
	struct list_node opening;
	struct list_node waiting; /* attempts, first come first */
	unsigned idle_count, open_count, opening_count, waiting_count;
	/* Where to, copied from the instance so that it outlives the set: */
	struct address address;
	char *host;
	uint16_t port;
	enum instance_protocol protocol;
	bool closed; /* the instance is gone: nothing is kept or opened any more */
};

enum pool_result { POOL_READY, POOL_WAIT, POOL_FULL };

void pool_init(struct pool *pool);
/* Detaches and closes every connection; no attempt may wait. */
void pool_fini(struct pool *pool);
/* Connections to an earlier address end with their exchanges. True when it changed. */
bool pool_set_target(struct pool *pool, const struct instance *instance);
/* The instance is gone: idle ones close now, others after their exchanges. */
void pool_close(struct pool *pool);
/* READY: attempt->stream is set. WAIT: it stands in the queue. FULL: C-04. */
enum pool_result pool_acquire(struct pool *pool, struct attempt *attempt);
void pool_cancel(struct pool *pool, struct attempt *attempt);
/* Dials as many connections as the waiters need and the limits allow. */
void pool_grow(struct pool *pool);
/* MS-05: one connect, kept when it succeeds. */
void pool_probe(struct pool *pool);
/* Closes what was idle too long; returns when to look again, UINT64_MAX: no need. */
uint64_t pool_expire_idle(struct pool *pool, uint64_t now_ms);
/* Closes the longest idle connection to make room; false when there is none. */
bool pool_evict(struct pool *pool);
bool pool_is_empty(const struct pool *pool);

#endif
