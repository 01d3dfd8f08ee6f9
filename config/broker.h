/*
 * broker: topics, subscriptions and the spool (broker.md 4). Owned by the configuration, read-only;
 * any thread.
 */
#ifndef PILLION_CONFIG_BROKER_H
#define PILLION_CONFIG_BROKER_H

#include "config/value.h"

struct config_spool {
	const char *path; /* NULL: DATA_DIR/spool */
	uint64_t bytes;	  /* 0: min(4 GiB, half of the free space) */
	uint64_t segment;
};

enum config_durability { CONFIG_DURABILITY_FSYNC, CONFIG_DURABILITY_OS };
enum config_on_full { CONFIG_ON_FULL_REJECT, CONFIG_ON_FULL_DROP_OLDEST };
enum config_expired { CONFIG_EXPIRED_DEAD_LETTER, CONFIG_EXPIRED_DROP };

/* Whichever bound is met first. */
struct config_keep {
	int64_t age_ms;
	uint64_t bytes;
};

struct config_topic {
	const char *name; /* pattern: "*" one token, final ">" one or more */
	enum config_durability durability;
	uint64_t max_message;
	int64_t ttl_ms; /* 0: off */
	struct config_keep history;
	struct config_keep unclaimed;
	uint64_t bytes; /* 0: half of spool.bytes */
	enum config_on_full on_full;
	enum config_expired expired;
};

enum config_push_kind {
	CONFIG_PUSH_NONE, /* no push: fetched by the application */
	CONFIG_PUSH_APP,  /* to service.app.address ("/path", or an http: URL of that address) */
	CONFIG_PUSH_HTTP, /* to another loopback address */
	CONFIG_PUSH_UNIX, /* "unix:/sock:/path" */
};

struct config_push {
	enum config_push_kind kind;
	const char *text;	/* as written */
	struct address address; /* of HTTP and UNIX */
	const char *authority;	/* for the Host field */
	const char *path;	/* begins with "/" */
};

enum config_start { CONFIG_START_AUTO, CONFIG_START_EARLIEST, CONFIG_START_NEW };

struct config_subscription {
	const char *name;      /* never NULL; unset: made of topic and group */
	const char *topic;     /* topic or pattern */
	const char *group;     /* NULL: broadcast, a private ephemeral group */
	const char *push_text; /* internal: as written */
	struct config_push push;
	bool http2; /* h2c to the application */
	enum config_start start;
	bool durable;	     /* only meaningful with a group */
	int64_t ack_wait_ms; /* then it is delivered again */
	int64_t max_processing_ms;
	int max_deliver;		    /* then it is a dead letter */
	CONFIG_LIST_OF(int64_t) backoff_ms; /* 1 to 16, the last repeats */
	int max_in_flight;
	uint64_t max_in_flight_bytes;
};

/* A member of a group where the registry has no records (B3-08). */
struct config_member {
	const char *topic;
	const char *group;
	const char *name;
	struct config_host address; /* mesh address of the sidecar */
};

struct config_broker {
	bool enabled;
	bool auto_topics;
	bool auto_groups;
	bool required; /* the spool must work for /readyz (HE-03) */
	struct config_spool spool;
	CONFIG_LIST_OF(const char *) keep_headers; /* lower case */
	CONFIG_LIST_OF(const char *) origins;
	CONFIG_LIST_OF(struct config_member) members;
	CONFIG_LIST_OF(struct config_topic) topics; /* as written; config_topic() picks */
	CONFIG_LIST_OF(struct config_subscription) subscriptions;
	struct config_topic topic_default; /* for topics that no pattern matches */
};

/* Policy of a topic: most literal tokens first, "*" before ">" (B4-02). Never NULL. */
const struct config_topic *config_topic(const struct config_broker *broker, struct slice topic);
/* B9-12: does a topic promise that a message outlives the power? */
bool config_broker_syncs(const struct config_broker *broker);

#endif
