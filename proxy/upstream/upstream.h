/*
 * upstream: everything one worker knows about the services it calls: the current instance sets,
 * what it learnt of each instance (tier, active attempts), the pools, limits and waiters. An
 * exchange asks for an attempt and gets a stream on a chosen instance, or a reason. One thread,
 * that of the worker.
 */
#ifndef PILLION_UPSTREAM_UPSTREAM_H
#define PILLION_UPSTREAM_UPSTREAM_H

#include "base/rng.h"
#include "http/codec.h"
#include "upstream/instance.h"

struct attempt;
struct loop;
struct resolver;
struct service; /* worker-local state of one service name */
struct upstream;

enum tier {
	TIER_UP,
	TIER_SUSPECT,
	TIER_EJECTED,
	TIER_DRAINING,
	TIER_UNREACHABLE,
	TIER_FAILING,
	TIER_COUNT
};

enum attempt_class { /* mesh.md 5.1 */
	CLASS_F0,
	CLASS_F1,
	CLASS_F2,
	CLASS_F3,
	CLASS_F4,
	CLASS_F5,
	CLASS_FS,
	CLASS_OK,
	CLASS_CANCELLED,
};

/* Compiled from services.S of the configuration; owned by the snapshot that compiled it. */
struct service_policy {
	const char *name; /* "*" for the default */
	int64_t timeout_ms, response_timeout_ms, connect_timeout_ms, queue_timeout_ms;
	enum { SELECTOR_RANDOM_HASH, SELECTOR_ROUND_ROBIN } selector;
	unsigned draws;
	enum { RETRY_ON, RETRY_OFF, RETRY_NEVER } retry;
	unsigned retry_max;
	const uint16_t *retry_on; /* HTTP statuses */
	unsigned retry_on_count;
	bool retry_idempotent;
	int64_t retry_max_wait_ms;
	uint32_t active_max, queued_max, connections_max; /* of the process; split among workers */
	uint64_t pool_idle_ms, h2_pool_idle_ms;
	unsigned h1_idle, h2_connections;
};

struct upstream_options {
	struct loop *loop;
	struct block_pool *pool;
	struct resolver *resolver;
	const struct http_limits *limits;
	struct rng *rng;
	unsigned workers;     /* for the static split of limits */
	uint8_t hash_key[16]; /* cluster uuid (MS-06); may be set later */
	/* A name was used that has no set yet: control subscribes (MA-04). Must not call back. */
	void (*on_unknown)(void *owner, const char *name);
	/* A verdict for control and the other workers (M0-03): an instance became (un)reachable. */
	void (*on_verdict)(void *owner, const char *service, const uint8_t id[16], enum tier tier);
	/* Optional: an unused name was forgotten (MA-04: 1 h), its watch may end. Must not call
	 * back. */
	void (*on_forgotten)(void *owner, const char *name);
	void *owner;
};

struct upstream *upstream_create(const struct upstream_options *options);
void upstream_destroy(struct upstream *upstream); /* every attempt must have ended */
void upstream_set_hash_key(struct upstream *upstream, const uint8_t key[16]);
/* New set of a service; takes its own reference. Wakes waiters. Learnt state survives (ML-40). */
void upstream_update(struct upstream *upstream, struct instance_set *set);
void upstream_apply_verdict(
	struct upstream *upstream, const char *service, const uint8_t id[16], enum tier tier);
/* NULL when the bound of names is reached (MA-04: 1,024). Creates the state on first use. */
struct service *upstream_service(struct upstream *upstream, struct slice name);
/* Names of `uses` are never forgotten and take no part in the bound. Creates the state. */
void upstream_pin(struct upstream *upstream, struct slice name, bool pinned);
/* Is there a non-empty set of that name? Does not create state. */
bool upstream_knows(const struct upstream *upstream, struct slice name);
/* The service of the registered instance that advertises this address, or an empty slice (MA-02).
 */
struct slice upstream_service_at(const struct upstream *upstream, const struct address *address);
/* One fixed address without registry: the own application, or an external host (MA-09). */
struct fixed_target {
	const char *name;	/* for limits and messages; "app" or the host */
	struct address address; /* size 0: resolve host */
	const char *host;
	uint16_t port;
	enum instance_protocol protocol;
};
struct service *upstream_fixed(struct upstream *upstream, const struct fixed_target *target);

/* For metrics and reports; fixed targets come too. visit must not call back. */
void upstream_for_each(const struct upstream *upstream,
	void (*visit)(void *context, const struct service *service), void *context);
struct upstream_stats {
	uint64_t dials, dial_failures; /* probes included */
	uint64_t reused;	       /* exchanges on a connection that had carried one before */
	uint64_t unsolicited_bytes;    /* H1-32 */
	uint64_t unknown_refused;      /* names beyond the bound (MA-04) */
	uint32_t connections;	       /* open or opening now */
};
const struct upstream_stats *upstream_stats(const struct upstream *upstream);

#endif
