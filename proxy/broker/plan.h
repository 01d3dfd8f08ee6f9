/*
 * plan: what control knows of topics, groups and members, as one immutable value that is posted to
 * the workers whole; counted by an atomic. Everything in it lies in its arena.
 */
#ifndef PILLION_BROKER_PLAN_H
#define PILLION_BROKER_PLAN_H

#include <stdatomic.h>

#include "base/arena.h"
#include "config/config.h"

#define PLAN_GROUPS_MAX	 4096
#define PLAN_MEMBERS_MAX 1024 /* of a group, L2 */
#define PLAN_BACKOFF_MAX 16

struct plan_policy {
	const char *pattern;
	struct config_topic topic;
};

struct plan_member {
	uint8_t sidecar[16];
	const char *name;
	bool local;
	const char *host; /* mesh address of its sidecar */
	uint16_t port;
	bool near; /* in our zone */
	uint32_t weight;
	bool usable; /* neither paused nor draining */
};

struct plan_group {
	const char *pattern;
	const char *group;
	bool durable;
	bool earliest; /* else new: from created_ms on */
	uint64_t created_ms;
	uint32_t ack_wait_ms;
	uint32_t max_deliver;
	uint32_t backoff_ms[PLAN_BACKOFF_MAX];
	uint32_t backoff_count;
	const struct plan_member *members;
	size_t member_count;
};

/* A subscription of this sidecar, or a member that fetches. */
struct plan_local {
	const char *name;
	const char *pattern;
	const char *group;
	struct config_push push; /* NONE: fetched */
	bool http2;
	uint32_t ack_wait_ms;
	uint64_t max_processing_ms;
	uint32_t max_in_flight;
	uint64_t max_in_flight_bytes;
};

struct plan_removed { /* by a command: cursors and backlog go (B3-03) */
	const char *pattern;
	const char *group;
};

struct plan {
	atomic_uint refs;
	struct arena arena;
	bool enabled, auto_topics, auto_groups;
	bool app_ready, draining;
	const struct plan_policy *policies;
	size_t policy_count;
	struct config_topic fallback;
	const struct plan_group *groups;
	size_t group_count;
	const struct plan_local *locals;
	size_t local_count;
	const struct plan_removed *removed;
	size_t removed_count;
	const char *const *origins;
	size_t origin_count;
	const char *const *keep_headers;
	size_t keep_header_count;
};

struct plan *plan_create(void); /* refs = 1, empty */
struct plan *plan_ref(struct plan *plan);
void plan_unref(struct plan *plan);
/* Takes policies and lists over from the configuration by copying. */
void plan_set_config(struct plan *plan, const struct config_broker *config);
/* The same from another plan. */
void plan_copy_config(struct plan *plan, const struct plan *from);
/* B4-02; never NULL. */
const struct config_topic *plan_policy(const struct plan *plan, struct slice topic);
const struct plan_local *plan_local(const struct plan *plan, struct slice group, struct slice name);

#endif
