/*
 * service: what is configured about the sidecar's own service and application (/service), and about
 * the services it calls (/services). Owned by the configuration, read-only; any thread.
 */
#ifndef PILLION_CONFIG_SERVICE_H
#define PILLION_CONFIG_SERVICE_H

#include "config/key.h"
#include "config/translation.h"

enum config_app_protocol { CONFIG_APP_AUTO, CONFIG_APP_HTTP1, CONFIG_APP_H2C };

enum config_check_kind {
	CONFIG_CHECK_TCP, /* connect to the application's address; the default */
	CONFIG_CHECK_HTTP,
	CONFIG_CHECK_GRPC,
	CONFIG_CHECK_NONE,
};

struct config_check {
	int word; /* internal: 1 when "none" was written */
	enum config_check_kind kind;
	const char *http; /* path */
	const char *grpc; /* service name asked for, may be "" */
	bool tcp;	  /* internal: as written */
};

enum config_app_restart { CONFIG_RESTART_NEVER, CONFIG_RESTART_ON_FAILURE };

struct config_app {
	bool present; /* false: a sidecar without an application (ZC-01) */
	struct config_address address;
	enum config_app_protocol protocol;
	int64_t connect_timeout_ms; /* http.md T-04, own application */
	struct config_check check;
	int64_t check_interval_ms;
	int64_t check_timeout_ms;
	int fall;			     /* failures in a row until down (MH-02) */
	int rise;			     /* passes in a row until up again, after a fall */
	int max_active;			     /* and as many again may queue */
	CONFIG_LIST_OF(const char *) warmup; /* paths */
	enum config_app_restart restart;
	int stop_signal; /* signal number */
	int stop_word;	 /* internal: index of the word */
};

enum config_register { CONFIG_REGISTER_SYNC, CONFIG_REGISTER_ASYNC };

/* /service */
struct config_self {
	const char *name;
	const char *version; /* "latest" unless written */
	CONFIG_LIST_OF(struct config_pair) metadata;
	int weight;			   /* 1..1000 */
	const char *zone;		   /* NULL: none */
	CONFIG_LIST_OF(const char *) uses; /* watched from the start (MA-04) */
	enum config_register register_mode;
	struct config_app app;
};

enum config_retry_mode {
	CONFIG_RETRY_ON,
	CONFIG_RETRY_OFF,   /* only attempts that surely were not processed (MT-04) */
	CONFIG_RETRY_NEVER, /* nothing */
};

struct config_retry {
	enum config_retry_mode mode;
	int max;		/* attempts in all, 1..5 */
	CONFIG_LIST_OF(int) on; /* statuses repeated for any method */
	bool idempotent;	/* the author says that repeating is harmless */
	int64_t max_wait_ms;	/* Retry-After beyond it is passed on */
};

struct config_service_limits {
	int active;	 /* exchanges at once, over all workers */
	int queued;	 /* waiting for one of them */
	int connections; /* to all instances together */
};

enum config_instance_protocol {
	CONFIG_INSTANCE_HTTP1,
	CONFIG_INSTANCE_H2C,
	CONFIG_INSTANCE_SIDECAR,
};

/* An instance named in the file: a bare one, or another sidecar. */
struct config_instance {
	struct config_address address;
	int weight;
	enum config_instance_protocol protocol;
	const char *version;
	CONFIG_LIST_OF(struct config_pair) metadata;
};

enum config_selector { CONFIG_RANDOM_HASH, CONFIG_ROUND_ROBIN };

/* An entry of /services, with "*" already merged below it. */
struct config_service {
	const char *name;	     /* "*" for all others */
	int64_t timeout_ms;	     /* whole exchange; 0: off */
	int64_t response_timeout_ms; /* 0: off */
	int64_t connect_timeout_ms;  /* http.md T-04, remote */
	int64_t queue_timeout_ms;    /* MC-02, MC-03 */
	enum config_selector selector;
	int draws; /* 1..5, of random-hash (MS-12) */
	struct config_retry retry;
	struct config_service_limits limits;
	CONFIG_LIST_OF(struct config_instance) instances;
	struct config_translation translation;
	CONFIG_LIST_OF(struct config_filter) filters;
};

#endif
