/*
 * registry: the interface after Go Micro (registry.md 12). Back ends implement it (raftreg: raft,
 * static); control calls it on the control thread, and every completion and watch callback runs on
 * the control thread from its loop, never inside the call. Silence or failure never removes an
 * instance (RV-02): a watch is told only of what the registry really said.
 */
#ifndef PILLION_UPSTREAM_REGISTRY_H
#define PILLION_UPSTREAM_REGISTRY_H

#include "base/err.h"
#include "base/list.h"
#include "base/slice.h"
#include "upstream/registry_types.h"

struct registry;
struct loop;
struct resolver;
struct config;

enum registry_mode { REGISTRY_LIVE, REGISTRY_STALE, REGISTRY_DOWN, REGISTRY_CONNECTING };

const char *registry_mode_word(enum registry_mode mode); /* "live", "stale", ... */
/* The value of x-pillion-registry (mesh.md 0): `idx=812;age=3.2s;mode=live`. */
#define REGISTRY_TEXT_MAX 96
const char *registry_text(
	enum registry_mode mode, uint64_t index, uint64_t age_ms, char ret_text[REGISTRY_TEXT_MAX]);

struct registry_status {
	enum registry_mode mode;
	bool registered; /* our declared set is accepted */
	uint64_t index;
	uint64_t digest_mismatches; /* RW-07: should stay 0 */
	uint64_t age_ms;	    /* since the last word of the registry */
	char cluster[37];	    /* uuid, or empty */
	char connected[128];	    /* replica we talk to, or empty */
	char leader[128];
	char detail[256]; /* why not live */
};

struct registry_settings {
	struct loop *loop; /* control's */
	struct resolver *resolver;
	const struct config *config;
	const uint8_t *instance_id; /* 16 bytes */
	const char *data_dir;	    /* NULL: nothing is kept */
	const char *advertise_host;
	uint16_t advertise_port;
	void (*on_status)(void *owner); /* registry_status changed in mode or registered */
	void *owner;
};

struct registry_ops { /* a NULL slot: callers get REGISTRY_UNAVAILABLE */
	const char *name;
	int (*start)(struct registry *registry, const struct registry_settings *settings,
		struct err *err);
	/* Idempotent; closes the session when `leave`; no completion runs afterwards. */
	void (*stop)(struct registry *registry, bool leave);
	/* The whole declarative set; replaces the previous one. Repeated by the back end until
	 * accepted; done runs once, at the first definite answer. call may be NULL. */
	void (*register_service)(struct registry *registry, const struct registry_service *services,
		size_t count, struct registry_call *call);
	void (*get_service)(struct registry *registry, const char *name, struct registry_call *);
	void (*list_services)(struct registry *registry, struct registry_call *call);
	int (*watch_service)(struct registry *registry, struct watch *watch);
	void (*unwatch_service)(struct registry *registry, struct watch *watch);
	/* Records; value.size 0 with `remove` deletes. expected: UINT64_MAX = any. */
	void (*put_record)(struct registry *registry, const char *set,
		const struct registry_record *record, bool remove, uint64_t expected,
		struct registry_call *call);
	void (*status)(const struct registry *registry, struct registry_status *ret_status);
	/* A reload: settings.config is replaced; the old one is gone afterwards. */
	void (*configure)(struct registry *registry, const struct config *config);
};

struct registry {
	const struct registry_ops *ops; /* the back end's struct begins with this one */
};

#endif
