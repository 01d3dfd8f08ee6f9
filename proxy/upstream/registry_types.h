/*
 * registry_types: what travels between a registry back end and those who ask it: declared services,
 * calls and their results, records, watches. Owners are said at each; everything is used on the
 * control thread but the counted sets, which any thread may hold.
 */
#ifndef PILLION_UPSTREAM_REGISTRY_TYPES_H
#define PILLION_UPSTREAM_REGISTRY_TYPES_H

#include "base/list.h"
#include "base/slice.h"
#include "upstream/instance.h"

/* One service that this sidecar declares (registry.md RD-01: SvcDef and Instance together). */
struct registry_endpoint {
	const char *name;    /* "/pkg.Service/Method" */
	const char *request; /* message names, may be NULL */
	const char *response;
	bool idempotent; /* idempotency_level NO_SIDE_EFFECTS or IDEMPOTENT */
};

struct registry_service {
	const char *name;
	const char *version;
	const char *host;     /* advertised; NULL: the address the registry sees us from */
	uint16_t port;	      /* mesh port */
	const char *zone;     /* may be NULL */
	const char *protocol; /* metadata: "http" or "grpc" */
	uint32_t weight;
	enum instance_health health;
	const struct metadata_pair *metadata;
	uint32_t metadata_count;
	const struct registry_endpoint *endpoints;
	uint32_t endpoint_count;
};

enum registry_code { /* registry.md 7 and reasons.md 3 */
	REGISTRY_OK,
	REGISTRY_INVALID,
	REGISTRY_DENIED,
	REGISTRY_NOT_FOUND,
	REGISTRY_TAKEN,
	REGISTRY_CONFLICT,
	REGISTRY_NOT_CAUGHT_UP,
	REGISTRY_QUOTA,
	REGISTRY_RETRY_LATER,
	REGISTRY_NO_QUORUM,
	REGISTRY_DISK_FULL,
	REGISTRY_MAYBE,
	REGISTRY_UNAVAILABLE,
};
const char *registry_code_word(enum registry_code code); /* lower case */

struct registry_result {
	enum registry_code code;
	uint64_t index;
	const char *text;	  /* field path or explanation; may be NULL */
	const char *const *names; /* list_services */
	size_t name_count;
	struct instance_set *const *sets; /* get_service: one; borrowed */
	size_t set_count;
};

/* Owned by the caller, valid until done ran. */
struct registry_call {
	void (*done)(struct registry_call *call, const struct registry_result *result);
	void *owner;
	struct list_node node; /* of the back end */
	uint64_t token;	       /* of the back end */
};

struct registry_record { /* broker groups, members, policies */
	struct slice key;
	struct slice value;
	uint64_t modified;
	bool session; /* dies with its session */
};

struct record_set {
	atomic_uint refs;
	char *name; /* "/ps/member/orders.placed/billing" */
	uint64_t index;
	uint32_t count;
	struct registry_record *records;
};
/* refs = 1, zeroed records to fill in before it is published; copies keys and values into it. */
struct record_set *record_set_create(const char *name, uint32_t count);
struct slice record_set_copy(struct record_set *set, struct slice bytes);
struct record_set *record_set_ref(struct record_set *set); /* any thread */
void record_set_unref(struct record_set *set);		   /* any thread; NULL allowed */

/* Owned by the caller until unwatch_service. A prefix watch is told of each set below it. */
struct watch {
	enum { WATCH_SERVICE, WATCH_RECORDS } kind;
	bool prefix;	  /* name is a prefix (records; or "" for all services) */
	const char *name; /* valid while watched */
	/* Borrowed: ref to keep. Called with the whole new set each time it changed. */
	void (*on_set)(struct watch *watch, struct instance_set *set);
	void (*on_records)(struct watch *watch, struct record_set *set);
	void *owner;
	struct list_node node;
};

#endif
