/*
 * snapshot: the configuration snapshot: everything configured, compiled, read-only after
 * publication. Built whole by control, posted to the workers by mailbox; each worker holds one
 * reference and each exchange one on its worker; the last one destroys it (atomic count, any
 * thread).
 */
#ifndef PILLION_EXCHANGE_SNAPSHOT_H
#define PILLION_EXCHANGE_SNAPSHOT_H

#include <stdatomic.h>

#include "base/address.h"
#include "base/map.h"
#include "exchange/filter.h"
#include "http/endpoint.h"
#include "upstream/upstream.h"

struct access_options;
struct config;

enum listener_kind { LISTENER_INBOUND, LISTENER_OUTBOUND, LISTENER_SERVICE };

struct listener_snapshot {
	const char *name;
	enum listener_kind kind;
	struct address address;
	const char *service; /* LISTENER_SERVICE */
	const struct address_prefix *trusted;
	unsigned trusted_count;
	struct filter_chain filters;	     /* access_log first */
	const struct access_options *access; /* its options, for endpoints; NULL: no log */
};

struct service_snapshot {
	struct service_policy policy;
	struct filter_chain filters;
};

/* Timers and bounds of exchanges (http.md 11 and 17); 0: off. Where the snapshot has a
 * configuration they are taken from its `limits`, whatever stands here. */
struct exchange_limits {
	int64_t body_gap_ms;	 /* T-05 */
	int64_t response_gap_ms; /* T-09 */
	int64_t stream_idle_ms;	 /* T-11, and T-05 of class S */
	uint64_t body_bytes;	 /* 413 beyond it */
	uint32_t exchanges_max;	 /* of the process; split among workers */
};

struct config_snapshot {
	atomic_uint refs;
	uint64_t generation;
	struct config *config; /* owned */
	struct arena arena;    /* everything below */
	const struct listener_snapshot *listeners;
	unsigned listener_count;
	struct map services;				/* name -> struct service_snapshot */
	const struct service_snapshot *default_service; /* "*" */
	const struct endpoint *endpoints;
	unsigned endpoint_count;
	struct http_limits http;
	struct exchange_limits exchange;
	/* Own identity. */
	const char *service_name; /* NULL: none declared */
	uint8_t instance_id[INSTANCE_ID_SIZE];
	char id8[9];
	/* Own application; has_app false: a gateway or voter. */
	bool has_app;
	struct fixed_target app;
	struct service_policy app_policy;
	struct filter_chain app_filters; /* translate, placed by the sidecar itself */
	bool egress_allow;
	const struct address_prefix *egress_prefixes; /* egress.allow: literal addresses */
	unsigned egress_prefix_count;
	const char *const *egress_names; /* and names */
	unsigned egress_name_count;
	size_t replay_bytes, replay_total;
	/* Destroys what control attached (descriptor pools, filter confs); may be NULL. */
	void (*destroy)(struct config_snapshot *snapshot);
	void *attached;
};

/* The last reference calls destroy, then frees services, config, arena and the struct, which the
 * maker allocated with mem_zalloc. */
struct config_snapshot *snapshot_ref(struct config_snapshot *snapshot);
void snapshot_unref(struct config_snapshot *snapshot);
/* The policy for a service name, "*" where it has none of its own. */
const struct service_snapshot *snapshot_service(
	const struct config_snapshot *snapshot, struct slice name);

#endif
