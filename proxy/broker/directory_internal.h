/* directory_internal: shared by the files of the directory and nobody else. Control's thread. */
#ifndef PILLION_BROKER_DIRECTORY_INTERNAL_H
#define PILLION_BROKER_DIRECTORY_INTERNAL_H

#include "broker/directory.h"
#include "broker/group_record.h"
#include "upstream/registry.h"

#define DIRECTORY_REMOVED_MAX 256

struct known_member {
	uint8_t sidecar[16];
	char name[72];
	char host[256];
	uint16_t port;
	char zone[GROUP_RECORD_ZONE_MAX + 1];
	uint32_t weight;
	bool usable;
};

/* One (pattern, group). */
struct known_group {
	char pattern[288];
	char group[72];
	bool recorded;		      /* the registry has it: its settings are those */
	struct plan_group settings;   /* strings and members unused */
	struct known_member *members; /* of other sidecars */
	size_t member_count;
	bool own_listed; /* our member stands in the set that came last */
};

/* A member of this sidecar. */
struct own_member {
	struct list_node node;
	char name[72];
	char pattern[288];
	char group[72];
	struct config_push push; /* strings are copies */
	char push_authority[280], push_path[1024];
	bool http2;
	bool fetched;
	bool declares_only; /* no member of its own */
	bool keep;	    /* while a configuration is compared */
	bool conflict;	    /* B3-05: the group has another meaning; it takes no part */
	enum config_start start;
	struct plan_group settings;
	uint64_t max_processing_ms;
	uint32_t max_in_flight;
	uint64_t max_in_flight_bytes;
	bool group_put, member_put; /* accepted by the registry */
	bool group_busy, member_busy;
	enum group_record_state put_state;
};

struct directory {
	struct broker *broker;
	char zone[GROUP_RECORD_ZONE_MAX + 1]; /* our own; "": none */
	uint32_t weight;
	struct plan *config; /* policies and lists of the configuration, as a plan of their own */
	struct map groups;   /* "pattern/group" -> struct known_group */
	struct list_node own;
	struct plan_removed removed[DIRECTORY_REMOVED_MAX];
	size_t removed_count;
	struct watch group_watch, member_watch;
	bool watching;
	bool started, app_ready, draining, ever_ready;
	struct task task; /* posts a new plan at the end of the turn */
	struct timer retry;
	struct list_node puts; /* without their answer */
};

struct known_group *directory_group(
	struct directory *directory, struct slice pattern, struct slice group, bool make);
void directory_changed(struct directory *directory);
/* directory_registry.c */
void directory_watch(struct directory *directory);
void directory_unwatch(struct directory *directory);
/* Writes what the registry has not accepted yet. */
void directory_publish(struct directory *directory);
void directory_forget_puts(struct directory *directory);
/* Takes an own member back. */
void directory_withdraw(struct directory *directory, const struct own_member *own);
void directory_delete_group(struct directory *directory, const struct known_group *group);

#endif
