/*
 * service_state: the private state of services and of the instances they consist of; shared by
 * service.c, instance_state.c, pool.c, attempt.c and upstream.c, not for other rooms.
 *
 * A service owns its instance_states, keyed by instance id (by a hash of the address where there is
 * none); they survive swaps of the set. A state whose instance left the set is `removed`: it lives
 * on the service's removed list until its last attempt ended. A state owns its pool, a pool its
 * pool_connections. One thread, that of the worker.
 */
#ifndef PILLION_UPSTREAM_SERVICE_STATE_H
#define PILLION_UPSTREAM_SERVICE_STATE_H

#include "base/map.h"
#include "net/timer.h"
#include "upstream/attempt.h"
#include "upstream/connection.h"
#include "upstream/pool.h"
#include "upstream/selector.h"
#include "upstream/service.h"

enum {
	SERVICE_NAMES_MAX = 1024,	 /* MA-04 */
	SERVICE_FORGET_MS = 3600 * 1000, /* MA-04 */
	SERVICE_SWEEP_MS = 600 * 1000,	 /* how often unused names are looked for */
	SERVICE_UNKNOWN_WAIT_MS = 300,	 /* MA-04: for the registry's first answer */
	SERVICE_NONE_MS = 3000,	    /* MC-03: how long none was reachable before nobody waits */
	SERVICE_SHED_PERCENT = 90,  /* MC-01 */
	STATE_BLOCKED_MS = 100,	    /* MS-05 */
	STATE_PROBE_FIRST_MS = 100, /* MS-05 */
	STATE_PROBE_MAX_MS = 5000,  /* MS-05 */
	STATE_PROBE_JITTER = 20,    /* MS-05: per cent */
	STATE_DRAINING_MS = 60000,  /* how long a learnt `draining` is believed */
};

/* Copied from the policy that was used last, with defaults for zeros and this worker's share. */
struct service_limits {
	uint32_t active, queued, connections;
	unsigned h1_idle, h2_connections;
	uint64_t pool_idle_ms, h2_pool_idle_ms, connect_timeout_ms, queue_timeout_ms;
};

struct instance_state {
	struct selector_entry entry;
	struct service *service;
	struct list_node node; /* in service->removed, else unlinked */
	uint8_t key[INSTANCE_ID_SIZE];
	const struct instance *instance; /* in service->set; NULL once removed */
	uint32_t index;			 /* in service->states */
	uint32_t generation;		 /* of the update that last saw it */
	uint32_t uses;			 /* attempts that hold it */
	bool doubted;	  /* suspect by the registry, or from a set that nobody confirmed */
	bool contacted;	  /* a good answer came since it was first doubted */
	bool unreachable; /* tier 4 */
	uint64_t draining_until_ms;	      /* learnt, not registered; 0: no */
	uint64_t probe_at_ms, probe_delay_ms; /* MS-05; at 0: none planned */
	struct timer timer; /* probe, end of draining, idle connections: the earliest of them */
	struct pool pool;
};

struct service {
	struct upstream *upstream;
	char *name;
	struct slice map_key; /* in upstream->fixed; empty for names */
	struct instance_set *set;
	struct map by_key;		 /* instance_state by key */
	struct instance_state **states;	 /* in the order of the set, without duplicates */
	struct selector_entry **entries; /* of the same */
	uint32_t count;
	uint32_t generation;
	struct selector_ring ring;
	uint64_t tier_weights[TIER_COUNT];
	uint64_t virtual_time; /* round-robin */
	struct list_node removed;
	struct service_limits limits;
	struct budget budget;
	struct list_node waiting; /* attempts without a slot or an instance, first come first */
	struct task wake_task;
	uint32_t active, queued, connections;
	uint64_t none_since_ms; /* no reachable instance since; 0: there is one */
	uint64_t created_ms, used_ms;
	bool asked; /* an exchange brought the name up */
	bool fixed, pinned, panic;
};

struct upstream {
	struct upstream_options options;
	struct map services;	  /* by name */
	struct map fixed;	  /* by what makes them distinct */
	unsigned asked_count;	  /* names that exchanges brought up (MA-04's bound) */
	struct timer sweep_timer; /* forgets names that nobody uses */
	struct upstream_stats stats;
};

/* service.c */
struct service *service_create(struct upstream *upstream, struct slice name);
void service_destroy(struct service *service);				/* no attempt may be left */
void service_update(struct service *service, struct instance_set *set); /* takes a reference */
void service_apply_policy(struct service *service, const struct service_policy *policy);
void service_rebuild_ring(struct service *service);
/* Queues the task that lets waiters try again. */
void service_wake(struct service *service);
/* Weights of tiers, panic, none_since; call after any change of an entry's tier or weight. */
void service_refresh(struct service *service);
/* Does any usable instance stand in a tier above `unreachable`, or in `failing`? */
bool service_is_reachable(const struct service *service);
uint64_t service_now_ms(const struct service *service);

/* instance_state.c */
void instance_key(const struct instance *instance, uint8_t ret_key[INSTANCE_ID_SIZE]);
struct instance_state *instance_state_create(struct service *service, const uint8_t *key);
void instance_state_destroy(struct instance_state *state);
/* The instance now stands for this state; known: the set is confirmed. */
void instance_state_adopt(
	struct instance_state *state, const struct instance *instance, bool known);
void instance_state_remove(struct instance_state *state);
/* Frees a removed state that nobody uses. */
void instance_state_release(struct instance_state *state);
void instance_state_set_tier(struct instance_state *state, enum tier tier, bool tell);
void instance_state_connect_failed(struct instance_state *state, bool probe);
void instance_state_connected(struct instance_state *state);
void instance_state_contacted(struct instance_state *state);
void instance_state_arm(struct instance_state *state);

/* attempt.c: what pools and services tell attempts. */
void attempt_wake_service(struct task *task);
/* The pool has a stream for a waiting attempt, or none and a reason. */
void attempt_deliver(struct attempt *attempt, struct stream *stream);
void attempt_fail(struct attempt *attempt, enum reason failure, const char *text);
/* Its instance left the set while it waited: another is chosen. */
void attempt_choose_again(struct attempt *attempt);

#endif
