/*
 * config: the checked configuration of one sidecar as plain C structs, one tree in one arena. Built
 * by config_load (config/load.h), never changed afterwards, freed by its owner (the snapshot) with
 * config_destroy. Any thread may read it. Durations are milliseconds, 0 = off; sizes are bytes.
 */
#ifndef PILLION_CONFIG_CONFIG_H
#define PILLION_CONFIG_CONFIG_H

#include "base/arena.h"
#include "base/log.h"
#include "base/map.h"
#include "config/broker.h"
#include "config/limits.h"
#include "config/service.h"

struct config_tree;

struct config_process {
	int workers;	      /* 0: min(4, allowed CPUs) */
	const char *data_dir; /* NULL: PR-02 decides */
	bool core_dumps;
	int64_t grace_ms;  /* budget of the whole stop (mesh.md 9.1) */
	bool watch_config; /* control looks at the file and reloads */
};

enum config_listener_kind { CONFIG_INBOUND, CONFIG_OUTBOUND, CONFIG_PER_SERVICE };

struct config_listener {
	const char *name;
	enum config_listener_kind kind;
	struct config_address address;
	struct config_address second; /* only of the built-in "outbound": [::1] of the same port */
	bool enabled;
	int protocol; /* internal: http is the only one */
	CONFIG_LIST_OF(struct config_prefix) trusted_peers;
	const char *service; /* of CONFIG_PER_SERVICE */
	bool exposed;
	bool explicit_address; /* written by somebody: ZC-03 must not move it */
	CONFIG_LIST_OF(struct config_filter) filters;
};

enum config_egress_default { CONFIG_EGRESS_ALLOW, CONFIG_EGRESS_DENY };

struct config_egress {
	enum config_egress_default fallback;
	CONFIG_LIST_OF(struct config_egress_entry) allow;
};

enum config_registry_kind { CONFIG_REGISTRY_RAFT, CONFIG_REGISTRY_STATIC };
enum config_role { CONFIG_ROLE_CLIENT, CONFIG_ROLE_LEARNER, CONFIG_ROLE_VOTER };
enum config_bootstrap {
	CONFIG_BOOTSTRAP_NEVER,
	CONFIG_BOOTSTRAP_ALONE,
	CONFIG_BOOTSTRAP_WITH_SEEDS,
};

struct config_registry {
	enum config_registry_kind kind;
	enum config_role role;
	enum config_bootstrap bootstrap;
	const char *cluster;	 /* 36 characters, NULL: not pinned */
	const char *new_cluster; /* beginning of a uuid; NULL: none */
	CONFIG_LIST_OF(struct config_host) seeds;
	struct config_host
		advertise; /* host NULL: 127.0.0.1, or with insecure the first other address */
	bool insecure;
	int64_t heartbeat_ms;
	int64_t election_ms; /* E: timeouts are drawn from [E, 2E) */
	int64_t session_ttl_ms;
	int64_t renew_ms; /* at most a third of session_ttl_ms */
	int64_t bookmark_ms;
	int expire_per_s;
	uint64_t state_bytes_max;
};

struct config_admin {
	const char *socket;	       /* NULL: AD-01 decides */
	struct config_address address; /* size 0: off */
	CONFIG_LIST_OF(const char *) hosts;
	const char *token_file; /* NULL: none */
	bool allow_quit;	/* /v1/quit over TCP without a token */
	bool explicit_address;
};

struct config_metrics {
	struct config_address address; /* size 0: off */
	int series_max;
};

enum config_log_format { CONFIG_LOG_AUTO, CONFIG_LOG_JSON, CONFIG_LOG_TEXT };

struct config_access_log {
	struct config_output output;
	int success_per_mille; /* share of successes that is logged */
	int64_t slow_ms;       /* slower ones always are; 0: off */
	bool query;
	CONFIG_LIST_OF(const char *) headers; /* lower case */
};

struct config_log {
	enum log_level level;
	enum config_log_format format;
	struct config_access_log access;
};

struct config_trace {
	bool accept; /* false: a new context at the inbound listener (TR-01) */
};

struct config {
	const char *file; /* NULL: none */
	struct config_self self;
	struct config_process process;
	CONFIG_LIST_OF(struct config_listener) listeners; /* built-in ones included */
	struct config_egress egress;
	struct config_registry registry;
	CONFIG_LIST_OF(struct config_service) services; /* [0] is "*" */
	struct config_translation translation;		/* of the own application's side */
	struct config_broker broker;
	struct config_limits limits;
	struct config_admin admin;
	struct config_metrics metrics;
	struct config_log log;
	struct config_trace trace;

	struct map service_index;
	struct arena arena;	  /* owns everything above */
	struct config_tree *tree; /* what was written where; for show and diff */
};

/* Settings for calls to that service: the named entry, else "*". Never NULL. */
const struct config_service *config_service(const struct config *config, struct slice name);
const struct config_listener *config_listener(const struct config *config, struct slice name);
/* NULL is allowed. */
void config_destroy(struct config *config);

#endif
