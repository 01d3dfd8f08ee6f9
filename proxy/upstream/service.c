#include "upstream/service.h"

#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "upstream/service_state.h"

enum {
	SERVICE_ACTIVE = 1024,	    /* mesh.md 7 */
	SERVICE_QUEUED = 1024,	    /* C-04 */
	SERVICE_CONNECTIONS = 1024, /* http.md 17 */
	SERVICE_H1_IDLE = 64,	    /* C-03 */
	SERVICE_POOL_IDLE_MS = 3000,
	SERVICE_H2_POOL_IDLE_MS = 60000,
	SERVICE_CONNECT_MS = 1000,
	SERVICE_QUEUE_MS = 1000,
};

uint64_t service_now_ms(const struct service *service)
{
	return loop_now_ms(service->upstream->options.loop);
}

struct service *service_create(struct upstream *upstream, struct slice name)
{
	struct service *service = mem_zalloc(sizeof(*service));

	ASSERT(name.size > 0);
	service->upstream = upstream;
	service->name = mem_alloc(name.size + 1);
	memcpy(service->name, name.data, name.size);
	service->name[name.size] = '\0';
	map_init(&service->by_key);
	list_init(&service->removed);
	list_init(&service->waiting);
	task_init(&service->wake_task, attempt_wake_service);
	service->created_ms = service_now_ms(service);
	service->used_ms = service->created_ms;
	budget_init(&service->budget, service->created_ms);
	service->limits = (struct service_limits){
		.active = SERVICE_ACTIVE,
		.queued = SERVICE_QUEUED,
		.connections = SERVICE_CONNECTIONS,
		.h1_idle = SERVICE_H1_IDLE,
		.h2_connections = POOL_H2_CONNECTIONS,
		.pool_idle_ms = SERVICE_POOL_IDLE_MS,
		.h2_pool_idle_ms = SERVICE_H2_POOL_IDLE_MS,
		.connect_timeout_ms = SERVICE_CONNECT_MS,
		.queue_timeout_ms = SERVICE_QUEUE_MS,
	};
	service_refresh(service);
	return service;
}

void service_destroy(struct service *service)
{
	ASSERT(service->active == 0 && service->queued == 0 && list_empty(&service->waiting));
	task_cancel(&service->wake_task);
	for (uint32_t i = 0; i < service->count; i++) {
		instance_state_destroy(service->states[i]);
	}
	LIST_FOR_EACH_SAFE(node, &service->removed) {
		instance_state_destroy(LIST_ENTRY(node, struct instance_state, node));
	}
	ASSERT(service->connections == 0);
	map_fini(&service->by_key);
	selector_ring_fini(&service->ring);
	instance_set_unref(service->set);
	mem_free(service->states);
	mem_free(service->entries);
	mem_free(service->name);
	mem_free(service);
}

/* An equal static split among the workers, at least one each. */
static uint32_t service_share(const struct service *service, uint32_t whole, uint32_t otherwise)
{
	uint32_t workers = service->upstream->options.workers;
	uint32_t share = (whole ? whole : otherwise) / (workers ? workers : 1);

	return share > 0 ? share : 1;
}

static uint64_t service_ms(uint64_t value, uint64_t otherwise)
{
	return value > 0 ? value : otherwise;
}

/* Each selection brings the policy of its snapshot; pools live longer, so they keep a copy. */
void service_apply_policy(struct service *service, const struct service_policy *policy)
{
	struct service_limits *limits = &service->limits;
	int64_t connect = policy->connect_timeout_ms > 0 ? policy->connect_timeout_ms : 0;
	int64_t queue = policy->queue_timeout_ms > 0 ? policy->queue_timeout_ms : 0;

	limits->active = service_share(service, policy->active_max, SERVICE_ACTIVE);
	limits->queued = service_share(service, policy->queued_max, SERVICE_QUEUED);
	limits->connections = service_share(service, policy->connections_max, SERVICE_CONNECTIONS);
	limits->h1_idle = policy->h1_idle;
	limits->h2_connections =
		policy->h2_connections ? policy->h2_connections : POOL_H2_CONNECTIONS;
	limits->pool_idle_ms = service_ms(policy->pool_idle_ms, SERVICE_POOL_IDLE_MS);
	limits->h2_pool_idle_ms = service_ms(policy->h2_pool_idle_ms, SERVICE_H2_POOL_IDLE_MS);
	limits->connect_timeout_ms = service_ms((uint64_t)connect, SERVICE_CONNECT_MS);
	limits->queue_timeout_ms = service_ms((uint64_t)queue, SERVICE_QUEUE_MS);
	service->used_ms = service_now_ms(service);
}

/* `failing` instances are reachable: their own sidecars answer and know better (MS-03). */
bool service_is_reachable(const struct service *service)
{
	for (unsigned tier = 0; tier < TIER_COUNT; tier++) {
		if (tier != TIER_UNREACHABLE && service->tier_weights[tier] > 0) {
			return true;
		}
	}
	return false;
}

void service_refresh(struct service *service)
{
	bool panic;

	selector_tier_weights(service->entries, service->count, service->tier_weights);
	panic = selector_panic(service->tier_weights);
	if (panic != service->panic) { /* MS-04: entry and exit are logged */
		struct log_field fields[] = {
			LOG_TEXT("pillion.service", service->name),
			LOG_NUMBER("pillion.instances", service->count),
		};

		service->panic = panic;
		log_event(LOG_LEVEL_INFO, "upstream", 0,
			panic ? "most instances are doubted: they are used alike"
			      : "most instances are trusted again",
			fields, ARRAY_SIZE(fields));
	}
	if (service_is_reachable(service)) {
		service->none_since_ms = 0;
	} else if (service->none_since_ms == 0) {
		service->none_since_ms = service_now_ms(service);
	}
}

void service_wake(struct service *service)
{
	if (!list_empty(&service->waiting)) {
		loop_queue(service->upstream->options.loop, &service->wake_task);
	}
}

/* MS-06: ids change at each restart, so the place on the ring goes by a configured name or by the
 * address. */
static struct slice service_hash_name(const struct instance *instance, char *text, size_t size)
{
	int length;

	for (uint32_t i = 0; i < instance->metadata_count; i++) {
		if (strcmp(instance->metadata[i].key, "hash_name") == 0) {
			return slice_from_string(instance->metadata[i].value);
		}
	}
	length =
		snprintf(text, size, "%s:%u", instance->host ? instance->host : "", instance->port);
	ASSERT(length > 0);
	return slice_make(text, (size_t)length < size ? (size_t)length : size - 1);
}

void service_rebuild_ring(struct service *service)
{
	enum { NAME_SIZE = 280 };
	struct slice *names = mem_alloc((service->count + 1) * sizeof(*names));
	char *texts = mem_alloc((size_t)(service->count + 1) * NAME_SIZE);

	for (uint32_t i = 0; i < service->count; i++) {
		names[i] = service_hash_name(
			service->states[i]->instance, texts + (size_t)i * NAME_SIZE, NAME_SIZE);
	}
	selector_ring_fini(&service->ring);
	selector_ring_init(&service->ring, service->entries, names, service->count,
		service->upstream->options.hash_key);
	mem_free(texts);
	mem_free(names);
}

/* The state of one instance of a new set, kept or made. NULL: the set names it twice. */
static struct instance_state *service_adopt(
	struct service *service, const struct instance_set *set, const struct instance *instance)
{
	uint8_t key[INSTANCE_ID_SIZE];
	struct instance_state *state;

	instance_key(instance, key);
	state = map_get(&service->by_key, slice_make(key, sizeof(key)));
	if (state == NULL) {
		state = instance_state_create(service, key);
		map_set(&service->by_key, slice_make(key, sizeof(key)), state);
		state->entry.weight = instance->weight;
		selector_round_robin_start(
			&state->entry, service->virtual_time, service->upstream->options.rng);
	} else if (state->generation == service->generation) {
		return NULL;
	}
	state->generation = service->generation;
	instance_state_adopt(state, instance, set->known);
	return state;
}

/* The new states are made first and swapped in whole; only then old ones go, because their waiters
 * choose again at once and must find the new set. */
void service_update(struct service *service, struct instance_set *set)
{
	struct instance_state **old_states = service->states;
	uint32_t old_count = service->count;
	uint32_t most = set->count < SELECTOR_INSTANCES_MAX ? set->count : SELECTOR_INSTANCES_MAX;
	struct instance_state **states = mem_zalloc((most + 1) * sizeof(struct instance_state *));
	struct selector_entry **entries = mem_zalloc((most + 1) * sizeof(struct selector_entry *));
	struct instance_set *old_set = service->set;
	uint32_t count = 0;

	service->generation++;
	for (uint32_t i = 0; i < most; i++) {
		struct instance_state *state = service_adopt(service, set, &set->instances[i]);

		if (state) {
			state->index = count;
			states[count] = state;
			entries[count++] = &state->entry;
		}
	}
	mem_free(service->entries);
	service->set = instance_set_ref(set);
	service->states = states;
	service->entries = entries;
	service->count = count;
	for (uint32_t i = 0; i < old_count; i++) {
		struct instance_state *state = old_states[i];

		if (state->generation != service->generation) {
			map_remove(&service->by_key, slice_make(state->key, sizeof(state->key)));
			instance_state_remove(state);
			instance_state_release(state);
		}
	}
	mem_free(old_states);
	service_rebuild_ring(service);
	service_refresh(service);
	service_wake(service);
	instance_set_unref(old_set);
}

const char *service_name(const struct service *service)
{
	return service->name;
}

const struct instance_set *service_set(const struct service *service)
{
	return service->set;
}

bool service_is_absent(const struct service *service)
{
	return service->set && service->set->known && service->set->absent;
}

bool service_is_fixed(const struct service *service)
{
	return service->fixed;
}

bool service_is_idempotent(const struct service *service, struct slice path)
{
	const struct instance_set *set = service->set;
	uint32_t low = 0;
	uint32_t high = set ? set->idempotent_count : 0;

	while (low < high) { /* sorted bytewise */
		uint32_t middle = low + (high - low) / 2;
		int order = slice_compare(slice_from_string(set->idempotent_methods[middle]), path);

		if (order == 0) {
			return true;
		}
		if (order < 0) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return false;
}

struct budget *service_budget(struct service *service)
{
	return &service->budget;
}

uint32_t service_active(const struct service *service)
{
	return service->active;
}

uint32_t service_queued(const struct service *service)
{
	return service->queued;
}

void service_tier_counts(const struct service *service, uint32_t ret_counts[TIER_COUNT])
{
	memset(ret_counts, 0, TIER_COUNT * sizeof(ret_counts[0]));
	for (uint32_t i = 0; i < service->count; i++) {
		ret_counts[service->entries[i]->tier]++;
	}
}

enum tier service_tier(const struct service *service, const uint8_t id[INSTANCE_ID_SIZE])
{
	const struct instance_state *state =
		map_get(&service->by_key, slice_make(id, INSTANCE_ID_SIZE));

	return state ? state->entry.tier : TIER_COUNT;
}

const char *tier_word(enum tier tier)
{
	static const char *const words[] = {
		[TIER_UP] = "up",
		[TIER_SUSPECT] = "suspect",
		[TIER_EJECTED] = "ejected",
		[TIER_DRAINING] = "draining",
		[TIER_UNREACHABLE] = "unreachable",
		[TIER_FAILING] = "failing",
	};

	ASSERT(tier < TIER_COUNT);
	return words[tier];
}
