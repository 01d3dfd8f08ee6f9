/*
 * The static back end: services.S.instances of the configuration, nothing else (registry.md
 * 12). Its sets are built once, at the start, because the configuration they come from belongs
 * to a snapshot that a reload replaces. There is nobody to register with: a registration is
 * accepted as it is, for the sidecar's own life does not depend on it; records have no home
 * here and are refused, so the broker knows that its groups must be configured too.
 */
#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "config/config.h"
#include "net/loop.h"
#include "raftreg/raftreg.h"

struct backend {
	struct registry registry; /* first */
	struct map sets; /* service -> instance_set with one reference; made at the start */
	struct loop *loop;
	struct list_node watches; /* of struct watch, told already */
	struct list_node fresh;	  /* to be told from the loop */
	struct list_node calls;	  /* of struct registry_call, answered from the loop */
	struct task task;
	uint64_t index; /* counts configurations, so that a set of a later one is newer */
	bool started;
};

/* The call's own token says what was asked, so that one queue serves every kind of
 * question. */
enum { TOKEN_REGISTER = 1, TOKEN_LIST, TOKEN_RECORD, TOKEN_GET };

/* Completions must not run inside the call that asks (registry.md 12); the question
 * waits here. */
struct asked {
	struct list_node node;
	char *name;
	struct registry_call *call;
};

/* The interface's registry is the first member, so the two pointers are the same
 * place. */
static struct backend *backend_of(struct registry *registry)
{
	return (struct backend *)registry;
}

/* Text lives in the set's own memory: readers keep a set alive longer than its
 * configuration. */
static char *copy_text(struct instance_set *set, const char *text)
{
	return text ? instance_set_string(set, text) : NULL;
}

/* What the file names is UP and never suspect: there is no lease behind it, only
 * active checks and outlier verdicts of this sidecar can take it out of use. */
static void fill_instance(
	struct instance_set *set, const struct config_instance *from, struct instance *instance)
{
	char text[ADDRESS_TEXT_MAX];

	static const enum instance_protocol protocols[] = {[CONFIG_INSTANCE_HTTP1] = INSTANCE_HTTP1,
		[CONFIG_INSTANCE_H2C] = INSTANCE_H2C,
		[CONFIG_INSTANCE_SIDECAR] = INSTANCE_SIDECAR};

	instance->address = from->address.address;
	instance->protocol = protocols[from->protocol];
	instance->host = copy_text(set, address_host(&from->address.address, text));
	instance->port = address_port(&from->address.address);
	instance->version = copy_text(set, from->version ? from->version : "");
	instance->weight = (uint32_t)from->weight;
	instance->health = INSTANCE_UP;
	if (from->metadata.count > 0) {
		instance->metadata =
			instance_set_memory(set, from->metadata.count * sizeof *instance->metadata);
	}
	for (size_t i = 0; i < from->metadata.count; i++) {
		instance->metadata[i].key = copy_text(set, from->metadata.items[i].name);
		instance->metadata[i].value = copy_text(set, from->metadata.items[i].value);
	}
	instance->metadata_count = (uint32_t)from->metadata.count;
}

/* Sets without instances are never built: find_set makes the absent one for every
 * other name, so that "configured but empty" and "not configured" look the same to
 * callers. */
static struct instance_set *build_set(const struct config_service *service, uint64_t index)
{
	uint32_t count = (uint32_t)service->instances.count;
	struct instance_set *set = instance_set_create(service->name, count);

	ASSERT(count > 0);
	set->known = true;
	set->index = index;
	for (uint32_t i = 0; i < count; i++) {
		fill_instance(set, &service->instances.items[i], &set->instances[i]);
	}
	return set;
}

/* A reference of the caller's; an absent one for names that are not configured. */
static struct instance_set *find_set(const struct backend *backend, const char *name)
{
	struct instance_set *set = map_get(&backend->sets, slice_from_string(name));

	if (set) {
		return instance_set_ref(set);
	}
	set = instance_set_create(name, 0);
	set->known = true;
	set->absent = true;
	set->index = backend->index;
	return set;
}

/* From the loop, one after the other, in the order in which they were asked. */
static void answer(struct backend *backend, struct asked *asked)
{
	struct registry_call *call = asked->call;
	struct registry_result result = {.index = backend->index};
	struct instance_set *set = NULL;
	const char **names = NULL;

	if (call->token == TOKEN_GET) {
		set = find_set(backend, asked->name);
		result.sets = &set;
		result.set_count = set->absent ? 0 : 1;
		result.code = set->absent ? REGISTRY_NOT_FOUND : REGISTRY_OK;
	} else if (call->token == TOKEN_LIST) {
		names = mem_alloc((backend->sets.count + 1) * sizeof(*names));
		MAP_FOR_EACH(entry, &backend->sets)
		{
			names[result.name_count++] =
				((const struct instance_set *)entry->value)->service;
		}
		result.names = names;
	} else if (call->token == TOKEN_RECORD) {
		/* RG-02: what a back end cannot do is said at once; brokers then
		 * live without records. */
		result.code = REGISTRY_UNAVAILABLE;
		result.text = "a static registry keeps no records";
	}
	call->done(call, &result);
	mem_free(names);
	instance_set_unref(set);
}

/* Completions and first deliveries of watches; both lists are emptied from the front because
 * callbacks may add to them. */
static void run(struct task *task)
{
	struct backend *backend = container_of(task, struct backend, task);
	struct list_node *place;

	while ((place = list_pop_front(&backend->calls)) != NULL) {
		struct asked *asked = LIST_ENTRY(place, struct asked, node);

		answer(backend, asked);
		mem_free(asked->name);
		mem_free(asked);
	}
	while ((place = list_pop_front(&backend->fresh)) != NULL) {
		struct watch *watch = LIST_ENTRY(place, struct watch, node);
		struct instance_set *set;

		list_push_back(&backend->watches, &watch->node);
		if (watch->kind == WATCH_RECORDS) {
			continue;
		}
		set = find_set(backend, watch->name);
		watch->on_set(watch, set);
		instance_set_unref(set);
	}
}

/* Workers may still hold these sets; only our own reference goes. */
static void drop_sets(struct backend *backend)
{
	MAP_FOR_EACH(entry, &backend->sets)
	{
		instance_set_unref(entry->value);
	}
	map_fini(&backend->sets);
	map_init(&backend->sets);
}

/* Copied: a reload replaces the configuration. */
static void take_config(struct backend *backend, const struct config *config)
{
	backend->index++;
	for (size_t i = 0; i < config->services.count; i++) {
		const struct config_service *service = &config->services.items[i];

		if (service->instances.count > 0) {
			instance_set_unref(map_set(&backend->sets, slice_from_string(service->name),
				build_set(service, backend->index)));
		}
	}
}

/* What the file no longer names is gone: that is somebody's explicit word (MG-01). */
static void configure(struct registry *registry, const struct config *config)
{
	struct backend *backend = backend_of(registry);
	struct list_node *place;

	ASSERT(backend->started && config);
	drop_sets(backend);
	take_config(backend, config);
	while ((place = list_pop_front(&backend->watches)) != NULL) {
		list_push_back(&backend->fresh, place);
	}
	loop_queue(backend->loop, &backend->task);
}

/* Nothing here can fail: the configuration has been checked before it is handed
 * over. */
static int start(
	struct registry *registry, const struct registry_settings *settings, struct err *err)
{
	struct backend *backend = backend_of(registry);

	(void)err;
	ASSERT(!backend->started && settings->config && settings->loop);
	take_config(backend, settings->config);
	backend->loop = settings->loop;
	backend->started = true;
	return 0;
}

/* registry.md 12: no completion runs afterwards. Questions that are still waiting
 * are dropped without an answer, which is what their owners expect of a stop. */
static void stop(struct registry *registry, bool leave)
{
	struct backend *backend = backend_of(registry);
	struct list_node *place;

	(void)leave;
	task_cancel(&backend->task);
	while ((place = list_pop_front(&backend->calls)) != NULL) {
		struct asked *asked = LIST_ENTRY(place, struct asked, node);

		mem_free(asked->name);
		mem_free(asked);
	}
	backend->started = false;
}

/* The token says what kind of answer the call gets. */
static void ask(
	struct backend *backend, uint64_t token, const char *name, struct registry_call *call)
{
	struct asked *asked;

	if (!call || !backend->started) {
		return;
	}
	asked = mem_zalloc(sizeof *asked);
	list_init(&asked->node);
	asked->name = mem_strdup(name);
	asked->call = call;
	call->token = token;
	list_push_back(&backend->calls, &asked->node);
	loop_queue(backend->loop, &backend->task);
}

/* RG-01: accepted and ignored. An operator wrote the file; a sidecar does not change
 * it. */
static void register_service(struct registry *registry, const struct registry_service *services,
	size_t count, struct registry_call *call)
{
	(void)services;
	(void)count;
	ask(backend_of(registry), TOKEN_REGISTER, NULL, call);
}

static void get_service(struct registry *registry, const char *name, struct registry_call *call)
{
	ask(backend_of(registry), TOKEN_GET, name, call);
}

static void list_services(struct registry *registry, struct registry_call *call)
{
	ask(backend_of(registry), TOKEN_LIST, NULL, call);
}

static void put_record(struct registry *registry, const char *set,
	const struct registry_record *record, bool remove, uint64_t expected,
	struct registry_call *call)
{
	(void)set;
	(void)record;
	(void)remove;
	(void)expected;
	ask(backend_of(registry), TOKEN_RECORD, NULL, call);
}

/* The first set arrives from the loop, never inside this call (registry.md 12). */
static int watch_service(struct registry *registry, struct watch *watch)
{
	struct backend *backend = backend_of(registry);

	ASSERT(backend->started && watch->name);
	list_init(&watch->node);
	list_push_back(&backend->fresh, &watch->node);
	loop_queue(backend->loop, &backend->task);
	return 0;
}

static void unwatch_service(struct registry *registry, struct watch *watch)
{
	ASSERT(backend_of(registry));
	list_unlink(&watch->node);
}

/* A file is always reachable and never older than its last reload. */
static void status(const struct registry *registry, struct registry_status *ret_status)
{
	ASSERT(registry);
	*ret_status = (struct registry_status){.mode = REGISTRY_LIVE,
		.registered = true,
		.index = ((const struct backend *)registry)->index};
}

static const struct registry_ops ops = {.name = "static",
	.start = start,
	.stop = stop,
	.register_service = register_service,
	.get_service = get_service,
	.list_services = list_services,
	.watch_service = watch_service,
	.unwatch_service = unwatch_service,
	.put_record = put_record,
	.status = status,
	.configure = configure};

struct registry *raftreg_static_create(void)
{
	struct backend *backend = mem_zalloc(sizeof *backend);

	backend->registry.ops = &ops;
	map_init(&backend->sets);
	list_init(&backend->watches);
	list_init(&backend->fresh);
	list_init(&backend->calls);
	task_init(&backend->task, run);
	return &backend->registry;
}

/* Takes NULL and a backend that was never started; its watches belong to their
 * owners. */
void raftreg_static_destroy(struct registry *registry)
{
	if (registry) {
		struct backend *backend = backend_of(registry);

		stop(registry, false);
		drop_sets(backend);
		map_fini(&backend->sets);
		mem_free(registry);
	}
}
