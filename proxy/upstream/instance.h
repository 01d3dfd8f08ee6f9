/*
 * instance: what the registry says of one place where a service can be reached, and the immutable,
 * counted set of all instances of a service (design: swapped whole, read without locks). Sets are
 * made by registry back ends on the control thread and read by every worker; what a worker learnt
 * about an instance lives in its own instance_state (service.h), keyed by instance id.
 */
#ifndef PILLION_UPSTREAM_INSTANCE_H
#define PILLION_UPSTREAM_INSTANCE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/address.h"

#define INSTANCE_ID_SIZE 16

enum instance_health { INSTANCE_UP, INSTANCE_DRAINING, INSTANCE_FAILING };

enum instance_protocol {
	INSTANCE_SIDECAR, /* another pillion's mesh port: HTTP/2, x-pillion-service and so on */
	INSTANCE_HTTP1,	  /* a bare instance */
	INSTANCE_H2C,
};

struct metadata_pair {
	char *key;
	char *value;
};

struct instance {
	uint8_t id[INSTANCE_ID_SIZE]; /* zero for configured ones: the address is the identity */
	char *version;
	char *host; /* IP literal or DNS name */
	uint16_t port;
	struct address address; /* size 0 while host is a name */
	enum instance_protocol protocol;
	enum instance_health health;
	bool suspect;	 /* its session is suspect, or the shrink guard holds it (mesh.md MG-02) */
	bool grpc;	 /* metadata protocol = grpc: what the application speaks (MH-05) */
	uint32_t weight; /* 0: never used */
	char *zone;
	struct metadata_pair *metadata;
	uint32_t metadata_count;
	uint64_t created, modified; /* registry indexes; 0 for configured ones */
};

struct instance_set {
	atomic_uint refs;
	char *service;
	uint64_t index; /* registry index of this version of the set */
	bool known;  /* the registry has confirmed presence or absence; false: loaded from disk */
	bool absent; /* the registry has no such name */
	uint32_t count;
	struct instance *instances;
	/* Methods that may be repeated (mesh.md 5.2): full paths "/pkg.S/M", sorted bytewise. */
	char **idempotent_methods;
	uint32_t idempotent_count;
};

/* refs = 1, count zeroed instances to fill in before it is published. Strings are owned by the set
 * (instance_set_string copies one into its memory list, freed with the last reference). */
struct instance_set *instance_set_create(const char *service, uint32_t count);
char *instance_set_string(struct instance_set *set, const char *text);
void *instance_set_memory(struct instance_set *set, size_t size);
struct instance_set *instance_set_ref(struct instance_set *set); /* any thread */
void instance_set_unref(struct instance_set *set);		 /* any thread; NULL allowed */
/* 32 lower-case hex digits and NUL. */
void instance_id_format(const uint8_t id[INSTANCE_ID_SIZE], char ret_text[33]);

#endif
