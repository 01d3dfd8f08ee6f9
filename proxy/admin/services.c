/* services: what the registry knows, and how this sidecar sees it (operations.md 7, 9). */
#include <stdio.h>
#include <stdlib.h>

#include "admin/pages.h"
#include "admin/server.h"
#include "admin/writer.h"
#include "base/mem.h"
#include "exchange/server.h"
#include "upstream/service.h"

/* Bounds the work of one call of an interface that anybody on this host may use. */
#define SERVICES_MAX 1000 /* looked at one after the other for one list */

/* A list under way: names first, then one look-up each, then the rows. */
struct listing {
	struct admin_call *call;
	struct registry_call registry_call;
	struct admin_writer writer;
	char **names;
	struct instance_set **sets; /* of those that exist */
	size_t count, next, set_count, printed;
	uint64_t index;
};

/* json is taken over. */
static void put_json(struct buf *text, json_t *json)
{
	char *dumped = json_dumps(json, JSON_COMPACT | JSON_ENSURE_ASCII);

	ASSERT(dumped);
	buf_append_string(text, dumped);
	free(dumped);
	json_decref(json);
}

/* Rows are formatted one by one, as a list may have thousands (AD-05). */
static void put_row(struct buf *text, bool first, json_t *row)
{
	buf_append_string(text, first ? "{\"items\":[" : ",");
	put_json(text, row);
}

/* What follows the rows (AD-06). */
static void put_end(struct buf *text, bool empty, uint64_t index, uint64_t generation)
{
	buf_appendf(text, "%s],\"index\":%llu,\"generation\":%llu", empty ? "{\"items\":[" : "",
		(unsigned long long)index, (unsigned long long)generation);
}

/* RV-04: suspect is a doubt of the registry about the session, not a word of the application about
 * itself. */
static const char *health_word(const struct instance *instance)
{
	switch (instance->health) {
	case INSTANCE_UP:
		return instance->suspect ? "suspect" : "up";
	case INSTANCE_DRAINING:
		return "draining";
	case INSTANCE_FAILING:
		return "failing";
	}
	return "unknown";
}

/* CL-03. A service with several versions is one row; `instances` has the details. */
static json_t *service_row(const struct instance_set *set)
{
	size_t up = 0;
	bool grpc = false;
	const char *version = set->count > 0 ? set->instances[0].version : "";

	for (uint32_t i = 0; i < set->count; i++) {
		const struct instance *instance = &set->instances[i];

		up += instance->health == INSTANCE_UP && !instance->suspect;
		grpc = grpc || instance->grpc;
		if (version && instance->version && strcmp(version, instance->version) != 0) {
			version = "several";
		}
	}
	return json_pack("{s:s, s:s, s:I, s:I, s:s, s:I}", "name", set->service, "version",
		version ? version : "", "instances", (json_int_t)set->count, "up", (json_int_t)up,
		"formats", grpc ? "grpc" : "http", "index", (json_int_t)set->index);
}

/* What the registry says; what this sidecar has learnt comes beside it (on_tiers). */
static json_t *instance_row(const struct instance_set *set, const struct instance *instance)
{
	char id[33];
	char address[300];
	json_t *metadata = json_object();
	json_t *row;

	instance_id_format(instance->id, id);
	(void)snprintf(address, sizeof address, "%s:%u", instance->host ? instance->host : "",
		instance->port);
	for (uint32_t i = 0; i < instance->metadata_count; i++) {
		json_object_set_new(metadata, instance->metadata[i].key,
			json_string(instance->metadata[i].value));
	}
	row = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:I, s:s, s:o, s:I, s:I}", "id", id,
		"service", set->service, "version", instance->version ? instance->version : "",
		"address", address, "health", health_word(instance), "suspect",
		(int)instance->suspect, "weight", (json_int_t)instance->weight, "zone",
		instance->zone ? instance->zone : "", "metadata", metadata, "created",
		(json_int_t)instance->created, "modified", (json_int_t)instance->modified);
	ASSERT(row);
	return row;
}

/* reasons.md 3: the registry's answer codes as status, each with its own word. */
static void answer_registry(struct admin_call *call, const struct registry_result *result)
{
	int status = 503;

	switch (result->code) {
	case REGISTRY_INVALID:
		status = 422;
		break;
	case REGISTRY_DENIED:
		status = 403;
		break;
	case REGISTRY_NOT_FOUND:
		status = 404;
		break;
	case REGISTRY_TAKEN:
	case REGISTRY_CONFLICT:
	case REGISTRY_NOT_CAUGHT_UP:
		status = 409;
		break;
	case REGISTRY_QUOTA:
	case REGISTRY_RETRY_LATER:
		status = 429;
		break;
	case REGISTRY_MAYBE:
		status = 504;
		break;
	case REGISTRY_OK:
	case REGISTRY_NO_QUORUM:
	case REGISTRY_DISK_FULL:
	case REGISTRY_UNAVAILABLE:
		break;
	}
	admin_answer_error(call, status, 3001, registry_code_word(result->code),
		result->text ? result->text : "the registry did not answer");
}

static void free_listing(struct listing *listing)
{
	for (size_t i = 0; i < listing->count; i++) {
		mem_free(listing->names[i]);
	}
	for (size_t i = 0; i < listing->set_count; i++) {
		instance_set_unref(listing->sets[i]);
	}
	mem_free(listing->names);
	mem_free(listing->sets);
	mem_free(listing);
}

/* The index is the highest of the look-ups: the list is at least as new as that (AD-06). */
static bool print_service(struct admin_writer *writer, struct buf *text)
{
	struct listing *listing = container_of(writer, struct listing, writer);

	if (listing->printed < listing->set_count) {
		put_row(text, listing->printed == 0, service_row(listing->sets[listing->printed]));
		listing->printed++;
		return true;
	}
	put_end(text, listing->set_count == 0, listing->index,
		control_generation(listing->call->control));
	buf_append_string(text, "}");
	return false;
}

static void on_listed(struct admin_writer *writer)
{
	free_listing(container_of(writer, struct listing, writer));
}

static void ask_next(struct listing *listing);

/* A service that went away between the list and its look-up is left out, not an error. */
static void on_service(struct registry_call *registry_call, const struct registry_result *result)
{
	struct listing *listing = registry_call->owner;

	if (result->code == REGISTRY_OK && result->set_count > 0 && !result->sets[0]->absent) {
		listing->sets[listing->set_count++] = instance_set_ref(result->sets[0]);
	}
	if (result->index > listing->index) {
		listing->index = result->index;
	}
	ask_next(listing);
}

/* One at a time: a list of a thousand services must not fill the session with a thousand requests
 * at once. */
static void ask_next(struct listing *listing)
{
	struct registry *registry = control_registry(listing->call->control);

	if (listing->next == listing->count) {
		listing->writer = (struct admin_writer){.call = listing->call,
			.type = "application/json",
			.piece = print_service,
			.done = on_listed};
		admin_writer_start(&listing->writer);
		return;
	}
	listing->registry_call = (struct registry_call){.done = on_service, .owner = listing};
	list_init(&listing->registry_call.node);
	registry->ops->get_service(
		registry, listing->names[listing->next++], &listing->registry_call);
}

/* registry.md 13: lists are sorted by name. */
static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names are copied, because the result is the registry's for the length of this call only. */
static void on_names(struct registry_call *registry_call, const struct registry_result *result)
{
	struct listing *listing = registry_call->owner;

	if (result->code != REGISTRY_OK) {
		answer_registry(listing->call, result);
		free_listing(listing);
		return;
	}
	listing->index = result->index;
	/* Longer lists are cut: each row is a look-up. */
	listing->count = result->name_count > SERVICES_MAX ? SERVICES_MAX : result->name_count;
	listing->names = mem_zalloc((listing->count + 1) * sizeof *listing->names);
	listing->sets = mem_zalloc((listing->count + 1) * sizeof *listing->sets);
	for (size_t i = 0; i < listing->count; i++) {
		listing->names[i] = mem_strdup(result->names[i]);
	}
	qsort(listing->names, listing->count, sizeof *listing->names, compare_names);
	ask_next(listing);
}

/* RV-01: asked of the registry and not of the local view, which holds only what somebody here
 * calls. */
void services_page(struct admin_call *call)
{
	struct registry *registry = control_registry(call->control);
	struct listing *listing;

	if (!registry || !registry->ops->list_services) {
		admin_answer_error(call, 503, 3001, "unavailable", "this sidecar has no registry");
		return;
	}
	listing = mem_zalloc(sizeof *listing);
	listing->call = call;
	listing->registry_call = (struct registry_call){.done = on_names, .owner = listing};
	list_init(&listing->registry_call.node);
	registry->ops->list_services(registry, &listing->registry_call);
}

/* Instances of one service: the registry's word first, then what each worker learnt. */
struct view {
	struct admin_call *call;
	struct registry_call registry_call;
	struct control_survey survey;
	struct admin_writer writer;
	struct instance_set *set;
	enum tier *tiers; /* an instance each, TIER_COUNT: no worker has used it */
	uint32_t printed;
	bool whole; /* /v1/services/S: the service around the list */
	char name[512];
};

struct seen { /* what one worker writes about one instance */
	uint8_t tier;
};

/* On each worker. A service that no request has used there has no tiers; looking must not make the
 * worker open one. */
static void collect_tiers(struct control_survey *survey, struct exchange_server *server,
	unsigned worker, struct buf *ret)
{
	struct view *view = survey->owner;
	struct upstream *upstream = exchange_server_upstream(server);
	const struct service *service =
		upstream_knows(upstream, slice_from_string(view->name))
			? upstream_service(upstream, slice_from_string(view->name))
			: NULL;

	(void)worker;
	for (uint32_t i = 0; i < view->set->count; i++) {
		struct seen seen = {.tier = TIER_COUNT};

		if (service) {
			seen.tier = (uint8_t)service_tier(service, view->set->instances[i].id);
		}
		buf_append(ret, &seen, sizeof seen);
	}
}

/* The worst of what the workers saw; TIER_COUNT where none has used it yet. */
static enum tier merged_tier(const struct buf *parts, unsigned count, uint32_t index)
{
	enum tier worst = TIER_COUNT;

	for (unsigned i = 0; i < count; i++) {
		const struct seen *seen = (const struct seen *)(const void *)parts[i].data;

		if ((index + 1) * sizeof *seen > parts[i].size || seen[index].tier >= TIER_COUNT) {
			continue;
		}
		if (worst == TIER_COUNT || seen[index].tier > (uint8_t)worst) {
			worst = (enum tier)seen[index].tier;
		}
	}
	return worst;
}

/* operations.md 7: the column WHY, what keeps an instance out of use here. */
static const char *why_out(const struct instance *instance, enum tier tier)
{
	if (instance->weight == 0) {
		return "weight 0";
	}
	switch (tier) {
	case TIER_SUSPECT:
		return "its session is suspect";
	case TIER_EJECTED:
		return "ejected";
	case TIER_DRAINING:
		return "it is stopping";
	case TIER_UNREACHABLE:
		return "cannot be reached; probed in the background";
	case TIER_FAILING:
		return "its application fails its check";
	case TIER_UP:
	case TIER_COUNT:
		break;
	}
	return "";
}

/* Registry and workers come together here; where no worker knows the instance, the registry's word
 * stands in. */
static bool print_instance(struct admin_writer *writer, struct buf *text)
{
	struct view *view = container_of(writer, struct view, writer);
	const struct instance *instance;
	enum tier tier;
	json_t *row;

	if (view->printed == view->set->count) {
		put_end(text, view->printed == 0, view->set->index,
			control_generation(view->call->control));
		if (view->whole) {
			buf_append_string(text, ",\"service\":");
			put_json(text, service_row(view->set));
		}
		buf_append_string(text, "}");
		return false;
	}
	instance = &view->set->instances[view->printed];
	tier = view->tiers[view->printed];
	row = instance_row(view->set, instance);
	json_object_set_new(row, "tier",
		json_string(tier == TIER_COUNT ? health_word(instance) : tier_word(tier)));
	json_object_set_new(row, "why", json_string(why_out(instance, tier)));
	put_row(text, view->printed == 0, row);
	view->printed++;
	return true;
}

static void on_viewed(struct admin_writer *writer)
{
	struct view *view = container_of(writer, struct view, writer);

	instance_set_unref(view->set);
	mem_free(view->tiers);
	mem_free(view);
}

/* The workers' words live only as long as this call. */
static void on_tiers(struct control_survey *survey, const struct buf *parts, unsigned count)
{
	struct view *view = survey->owner;

	view->tiers = mem_zalloc((view->set->count + 1) * sizeof *view->tiers);
	for (uint32_t i = 0; i < view->set->count; i++) {
		view->tiers[i] = merged_tier(parts, count, i);
	}
	view->writer = (struct admin_writer){.call = view->call,
		.type = "application/json",
		.piece = print_instance,
		.done = on_viewed};
	admin_writer_start(&view->writer);
}

/* The set is counted, so it outlives the registry's answer until all workers have looked at it. */
static void on_view(struct registry_call *registry_call, const struct registry_result *result)
{
	struct view *view = registry_call->owner;

	if (result->code == REGISTRY_NOT_FOUND && !view->whole) {
		/* An empty list is an answer too: the name has no instance. */
		view->set = instance_set_create(view->name, 0);
	} else if (result->code != REGISTRY_OK || result->set_count == 0) {
		answer_registry(view->call, result);
		mem_free(view);
		return;
	} else {
		view->set = instance_set_ref(result->sets[0]);
	}
	view->survey =
		(struct control_survey){.collect = collect_tiers, .done = on_tiers, .owner = view};
	control_survey_start(view->call->control, &view->survey);
}

/* Two steps, the registry's answer and a survey of the workers; neither blocks control. */
static void start_view(struct admin_call *call, const char *name, bool whole)
{
	struct registry *registry = control_registry(call->control);
	struct view *view;

	if (!registry || !registry->ops->get_service) {
		admin_answer_error(call, 503, 3001, "unavailable", "this sidecar has no registry");
		return;
	}
	view = mem_zalloc(sizeof *view);
	view->call = call;
	view->whole = whole;
	(void)snprintf(view->name, sizeof view->name, "%s", name);
	view->registry_call = (struct registry_call){.done = on_view, .owner = view};
	list_init(&view->registry_call.node);
	registry->ops->get_service(registry, view->name, &view->registry_call);
}

/* One service by its name: 404 where it does not exist. */
void service_page(struct admin_call *call)
{
	start_view(call, call->parts[0], true);
}

/* Without a name the own service: what a person beside one sidecar most often wants. */
void services_instances_page(struct admin_call *call)
{
	const char *service = admin_parameter(call, "service");

	if (!service || !service[0]) {
		service = control_service(call->control);
	}
	start_view(call, service, false);
}
