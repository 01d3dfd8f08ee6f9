/*
 * Services that somebody here calls: one registry watch each, whose sets are handed to every worker
 * (mesh.md MA-04), and verdicts of one worker about an instance passed on to the others (M0-03).
 */
#include "base/mem.h"
#include "control/state.h"

#define WATCHES_MAX 1024 /* MA-04 */

struct service_watch {
	struct watch watch;
	struct control *control;
	struct registry *registry; /* that it is watched at */
	struct instance_set *set;  /* the last one, or NULL */
	char *name;
	unsigned forgotten; /* workers that have not used it for an hour */
};

/* On a worker. Sets are immutable and counted: all workers read the same one without a lock. */
static void run_set(struct worker *worker, void *argument)
{
	struct instance_set *set = argument;

	exchange_server_set_instances(worker->server, set);
	instance_set_unref(set);
}

/* The worker ended first. */
static void discard_set(void *argument)
{
	instance_set_unref(argument);
}

/* Whole sets, never changes: a worker that missed one is right again with the next. The last set
 * is kept for workers and admin pages that ask later. */
static void on_set(struct watch *watch, struct instance_set *set)
{
	struct service_watch *entry = watch->owner;
	struct control *control = entry->control;

	instance_set_ref(set);
	instance_set_unref(entry->set);
	entry->set = set;
	for (unsigned i = 0; i < control->worker_count; i++) {
		if (control->workers[i].running) {
			worker_call(
				&control->workers[i], run_set, instance_set_ref(set), discard_set);
		}
	}
}

static void on_records(struct watch *watch, struct record_set *set)
{
	(void)watch;
	(void)set;
	ASSERT(false); /* only services are watched here */
}

/* Configured instances win over the registry's (registry.md 12: static back end). */
static struct registry *registry_of(struct control *control, const char *service)
{
	const struct config_service *configured =
		config_service(control->config, slice_from_string(service));

	if (control->configured && configured->instances.count > 0) {
		return control->configured;
	}
	return control->registry;
}

/* MA-04: beyond the bound a name is not watched, and its calls answer service_unknown. Names come
 * from requests, so without a bound anybody could fill the registry's streams. */
void watches_subscribe(struct control *control, const char *service)
{
	struct registry *registry = registry_of(control, service);
	struct service_watch *entry;

	if (!registry || map_get(&control->watches, slice_from_string(service)) ||
		control->watches.count >= WATCHES_MAX) {
		return;
	}
	entry = mem_zalloc(sizeof *entry);
	entry->control = control;
	entry->registry = registry;
	entry->name = mem_strdup(service);
	entry->watch = (struct watch){.kind = WATCH_SERVICE,
		.name = entry->name,
		.on_set = on_set,
		.on_records = on_records,
		.owner = entry};
	list_init(&entry->watch.node);
	(void)map_set(&control->watches, slice_from_string(service), entry);
	if (registry->ops->watch_service(registry, &entry->watch) < 0) {
		(void)map_remove(&control->watches, slice_from_string(service));
		mem_free(entry->name);
		mem_free(entry);
	}
}

/* On control: the first call of a service opened this. */
struct asking { /* a worker that used a name without a set */
	struct worker *worker;
	char *name;
};

static void free_asking(void *argument)
{
	struct asking *asking = argument;

	mem_free(asking->name);
	mem_free(asking);
}

static void run_unknown(struct control *control, void *argument)
{
	struct asking *asking = argument;
	struct service_watch *entry = map_get(&control->watches, slice_from_string(asking->name));

	if (!entry) {
		watches_subscribe(control, asking->name);
	} else {
		/* It had forgotten the name, or asks while the answer is on its way. */
		entry->forgotten = 0;
		if (entry->set) {
			worker_call(
				asking->worker, run_set, instance_set_ref(entry->set), discard_set);
		}
	}
	free_asking(asking);
}

void watches_on_unknown(void *worker, const char *name)
{
	struct worker *from = worker;
	struct asking *asking = mem_zalloc(sizeof *asking);

	asking->worker = from;
	asking->name = mem_strdup(name);
	control_call(from->control, run_unknown, asking, free_asking);
}

struct verdict {
	char *service;
	uint8_t id[INSTANCE_ID_SIZE];
	enum tier tier;
	unsigned from; /* worker that made it */
};

static void free_verdict(void *argument)
{
	struct verdict *verdict = argument;

	mem_free(verdict->service);
	mem_free(verdict);
}

/* On the other workers: what one has learnt by a failed connect the others need not learn by one
 * of their own (M0-03). */
static void run_worker_verdict(struct worker *worker, void *argument)
{
	struct verdict *verdict = argument;

	exchange_server_set_verdict(worker->server, verdict->service, verdict->id, verdict->tier);
	free_verdict(verdict);
}

/* Not back to the worker that made it: it knows, and may know better by now. */
static void run_verdict(struct control *control, void *argument)
{
	struct verdict *verdict = argument;

	for (unsigned i = 0; i < control->worker_count; i++) {
		struct verdict *copy;

		if (i == verdict->from || !control->workers[i].running) {
			continue;
		}
		copy = mem_copy(verdict, sizeof *verdict);
		copy->service = mem_strdup(verdict->service);
		worker_call(&control->workers[i], run_worker_verdict, copy, free_verdict);
	}
	free_verdict(verdict);
}

/* A worker's thread; the verdict counts there already. */
void watches_on_verdict(void *worker, const char *service, const uint8_t id[16], enum tier tier)
{
	struct worker *from = worker;
	struct verdict *verdict = mem_zalloc(sizeof *verdict);

	verdict->service = mem_strdup(service);
	memcpy(verdict->id, id, sizeof verdict->id);
	verdict->tier = tier;
	verdict->from = from->index;
	control_call(from->control, run_verdict, verdict, free_verdict);
}

/* After a reload: a name that got or lost configured instances is watched at the other registry. */
void watches_reconfigure(struct control *control)
{
	MAP_FOR_EACH(entry, &control->watches)
	{
		struct service_watch *watched = entry->value;
		struct registry *wanted = registry_of(control, watched->name);

		if (wanted && wanted != watched->registry) {
			watched->registry->ops->unwatch_service(watched->registry, &watched->watch);
			watched->registry = wanted;
			/* A failure leaves the last set in use, which is what RV-02 asks for. */
			(void)!wanted->ops->watch_service(wanted, &watched->watch);
		}
	}
}

static void run_forgotten(struct control *control, void *argument)
{
	struct slice name = slice_from_string(argument);
	struct service_watch *entry = map_get(&control->watches, name);

	/* Each worker forgets on its own: one that still uses the name asks again at its next call,
	 * and gets the set anew. */
	if (entry && ++entry->forgotten >= control->worker_count) {
		entry->registry->ops->unwatch_service(entry->registry, &entry->watch);
		(void)map_remove(&control->watches, name);
		instance_set_unref(entry->set);
		mem_free(entry->name);
		mem_free(entry);
	}
	mem_free(argument);
}

void watches_on_forgotten(void *worker, const char *name)
{
	struct worker *from = worker;

	control_call(from->control, run_forgotten, mem_strdup(name), NULL);
}

void watches_init(struct control *control)
{
	map_init(&control->watches);
}

/* Before the registries stop: a watch must not outlive its owner. */
void watches_fini(struct control *control)
{
	MAP_FOR_EACH(entry, &control->watches)
	{
		struct service_watch *watched = entry->value;

		watched->registry->ops->unwatch_service(watched->registry, &watched->watch);
		instance_set_unref(watched->set);
		mem_free(watched->name);
		mem_free(watched);
	}
	map_fini(&control->watches);
}
