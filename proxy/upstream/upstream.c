#include "upstream/upstream.h"

#include "base/buf.h"
#include "base/mem.h"
#include "upstream/service_state.h"

static void upstream_sweep(struct timer *timer);

struct upstream *upstream_create(const struct upstream_options *options)
{
	struct upstream *upstream = mem_zalloc(sizeof(*upstream));

	ASSERT(options->loop && options->pool && options->limits && options->rng);
	upstream->options = *options;
	map_init(&upstream->services);
	map_init(&upstream->fixed);
	timer_init(&upstream->sweep_timer, upstream_sweep);
	timer_arm(options->loop, &upstream->sweep_timer,
		loop_now_ms(options->loop) + SERVICE_SWEEP_MS);
	return upstream;
}

void upstream_destroy(struct upstream *upstream)
{
	if (upstream == NULL) {
		return;
	}
	timer_cancel(&upstream->sweep_timer);
	MAP_FOR_EACH(entry, &upstream->services)
	{
		service_destroy(entry->value);
	}
	MAP_FOR_EACH(entry, &upstream->fixed)
	{
		service_destroy(entry->value);
	}
	ASSERT(upstream->stats.connections == 0);
	map_fini(&upstream->services);
	map_fini(&upstream->fixed);
	mem_free(upstream);
}

/* The cluster's uuid comes late, with the first answer of the registry (MS-06). */
void upstream_set_hash_key(struct upstream *upstream, const uint8_t key[16])
{
	if (memcmp(upstream->options.hash_key, key, 16) == 0) {
		return;
	}
	memcpy(upstream->options.hash_key, key, 16);
	MAP_FOR_EACH(entry, &upstream->services)
	{
		service_rebuild_ring(entry->value);
	}
}

/* Names that control watches on its own account are forgotten only when nothing is left of them. */
static bool upstream_may_forget(const struct service *service, uint64_t now_ms)
{
	if (!service->asked && !service->fixed && service->count > 0) {
		return false;
	}
	return !service->pinned && service->active == 0 && service->queued == 0 &&
	       list_empty(&service->waiting) && list_empty(&service->removed) &&
	       now_ms - service->used_ms >= SERVICE_FORGET_MS;
}

static void upstream_forget_in(struct upstream *upstream, struct map *map, uint64_t now_ms)
{
	size_t i = 0;

	while (i < map->count) {
		struct service *service = map->entries[i].value;

		if (!upstream_may_forget(service, now_ms)) {
			i++;
			continue;
		}
		map_remove(map, map->entries[i].key); /* the last entry moves into the gap */
		if (service->asked) {
			upstream->asked_count--;
			if (upstream->options.on_forgotten) {
				upstream->options.on_forgotten(
					upstream->options.owner, service->name);
			}
		}
		service_destroy(service);
	}
}

static void upstream_forget(struct upstream *upstream)
{
	uint64_t now = loop_now_ms(upstream->options.loop);

	upstream_forget_in(upstream, &upstream->services, now);
	upstream_forget_in(upstream, &upstream->fixed, now);
	ASSERT(upstream->services.count >= upstream->asked_count);
}

static void upstream_sweep(struct timer *timer)
{
	struct upstream *upstream = container_of(timer, struct upstream, sweep_timer);

	upstream_forget(upstream);
	timer_arm(upstream->options.loop, timer,
		loop_now_ms(upstream->options.loop) + SERVICE_SWEEP_MS);
}

static struct service *upstream_find(const struct upstream *upstream, struct slice name)
{
	return map_get(&upstream->services, name);
}

static struct service *upstream_add(struct upstream *upstream, struct slice name)
{
	struct service *service = service_create(upstream, name);

	map_set(&upstream->services, name, service);
	return service;
}

void upstream_update(struct upstream *upstream, struct instance_set *set)
{
	struct slice name = slice_from_string(set->service);
	struct service *service = upstream_find(upstream, name);

	/* Sets come for names that control watches on its own account, too. */
	if (service == NULL) {
		service = upstream_add(upstream, name);
	}
	service_update(service, set);
}

void upstream_apply_verdict(
	struct upstream *upstream, const char *name, const uint8_t id[16], enum tier tier)
{
	struct service *service = upstream_find(upstream, slice_from_string(name));
	struct instance_state *state =
		service ? map_get(&service->by_key, slice_make(id, INSTANCE_ID_SIZE)) : NULL;

	ASSERT(tier < TIER_COUNT);
	if (state) {
		instance_state_set_tier(state, tier, false);
	}
}

/* MA-04: any application can ask for any name, hence the bound; control is told of new ones. */
struct service *upstream_service(struct upstream *upstream, struct slice name)
{
	struct service *service = upstream_find(upstream, name);

	if (service == NULL) {
		if (upstream->asked_count >= SERVICE_NAMES_MAX) {
			upstream_forget(upstream);
		}
		if (name.size == 0 || upstream->asked_count >= SERVICE_NAMES_MAX) {
			upstream->stats.unknown_refused++;
			return NULL;
		}
		service = upstream_add(upstream, name);
		service->asked = true;
		upstream->asked_count++;
		if (upstream->options.on_unknown) {
			upstream->options.on_unknown(upstream->options.owner, service->name);
		}
	}
	service->used_ms = service_now_ms(service);
	return service;
}

void upstream_pin(struct upstream *upstream, struct slice name, bool pinned)
{
	struct service *service = upstream_find(upstream, name);

	ASSERT(name.size > 0);
	if (service == NULL) {
		if (!pinned) {
			return;
		}
		service = upstream_add(upstream, name);
	}
	service->pinned = pinned;
}

bool upstream_knows(const struct upstream *upstream, struct slice name)
{
	const struct service *service = upstream_find(upstream, name);

	return service && service->count > 0;
}

/* Only requests whose authority is an IP literal ask this, so a search is good enough. */
struct slice upstream_service_at(const struct upstream *upstream, const struct address *address)
{
	ASSERT(address != NULL);
	MAP_FOR_EACH(entry, &upstream->services)
	{
		const struct service *service = entry->value;

		for (uint32_t i = 0; i < service->count; i++) {
			const struct instance *instance = service->states[i]->instance;

			if (instance->address.size > 0 &&
				address_equal(&instance->address, address)) {
				return slice_from_string(service->name);
			}
		}
	}
	return slice_make(NULL, 0);
}

/* What makes two fixed targets different ones. */
static void upstream_fixed_key(const struct fixed_target *target, struct buf *key)
{
	char address[ADDRESS_TEXT_MAX] = "";

	if (target->address.size > 0) {
		address_format(&target->address, address);
	}
	buf_appendf(key, "%s\n%s\n%s\n%u\n%d", target->name, target->host ? target->host : "",
		address, target->port, (int)target->protocol);
}

/* A fixed target is a service with one instance that no registry knows. */
static void upstream_fill_fixed(struct service *service, const struct fixed_target *target)
{
	struct instance_set *set = instance_set_create(target->name, 1);
	struct instance *instance = &set->instances[0];
	char host[ADDRESS_TEXT_MAX];

	set->known = true;
	instance->host = instance_set_string(set, target->host);
	instance->port = target->port;
	if (target->address.size > 0) {
		instance->address = target->address;
		if (target->host == NULL) {
			instance->host =
				instance_set_string(set, address_host(&target->address, host));
			instance->port = address_port(&target->address);
		}
	}
	instance->protocol = target->protocol;
	instance->weight = 100;
	service_update(service, set);
	instance_set_unref(set);
}

struct service *upstream_fixed(struct upstream *upstream, const struct fixed_target *target)
{
	struct buf key;
	struct service *service;

	ASSERT(target->name && target->name[0] != '\0');
	buf_init(&key);
	upstream_fixed_key(target, &key);
	service = map_get(&upstream->fixed, buf_slice(&key));
	if (service == NULL) {
		if (upstream->fixed.count >= SERVICE_NAMES_MAX) {
			upstream_forget(upstream);
		}
		if (upstream->fixed.count >= SERVICE_NAMES_MAX) {
			buf_fini(&key);
			return NULL;
		}
		service = service_create(upstream, slice_from_string(target->name));
		service->fixed = true;
		map_set(&upstream->fixed, buf_slice(&key), service);
		upstream_fill_fixed(service, target);
	}
	service->used_ms = service_now_ms(service);
	buf_fini(&key);
	return service;
}

void upstream_for_each(const struct upstream *upstream,
	void (*visit)(void *context, const struct service *service), void *context)
{
	ASSERT(visit != NULL);
	MAP_FOR_EACH(entry, &upstream->services)
	{
		visit(context, entry->value);
	}
	MAP_FOR_EACH(entry, &upstream->fixed)
	{
		visit(context, entry->value);
	}
}

const struct upstream_stats *upstream_stats(const struct upstream *upstream)
{
	return &upstream->stats;
}
