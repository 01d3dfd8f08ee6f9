/*
 * Configuration -> configuration snapshot: everything a worker needs, compiled into one arena,
 * checked whole before anything is swapped (operations.md RL-01).
 */
#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "broker/broker.h"
#include "config/config.h"
#include "control/health_endpoint.h"
#include "control/state.h"
#include "raftreg/raftreg.h"
#include "upstream/instance.h"

#define CHAIN_MAX     17 /* access_log and 16 configured ones */
#define ENDPOINTS_MAX (BROKER_ENDPOINTS + RAFTREG_ENDPOINTS + 1)

struct builder {
	struct control *control;
	struct config *config;
	struct config_snapshot *snapshot;
	struct err *err;
};

/* Everything of a snapshot lies in its arena and dies with its last reference, whichever thread
 * that is. */
static void *keep(struct builder *builder, size_t size)
{
	return arena_alloc(&builder->snapshot->arena, size);
}

/* Filters are introduced by main.c; a name that the configuration knows and the build does not is
 * an error of the build. */
static const struct filter_ops *find_filter(const struct builder *builder, const char *name)
{
	const struct control_setup *setup = builder->control->setup;

	for (size_t i = 0; i < setup->filter_count; i++) {
		if (strcmp(setup->filters[i]->name, name) == 0) {
			return setup->filters[i];
		}
	}
	return NULL;
}

/* One place for all three kinds of chains, so that their bound and the order of configure calls
 * are the same (filters.md FL-01). */
static bool add_filter(struct builder *builder, struct filter_instance *filters, unsigned *count,
	const char *name, const void *options)
{
	const struct filter_ops *ops = find_filter(builder, name);
	struct filter_instance *filter = &filters[*count];

	if (!ops || *count == CHAIN_MAX) {
		/* Too many is the file's fault, an unknown name is ours: config checks names. */
		err_set(builder->err, ops ? 1240 : 9001,
			ops ? "more than %d filters in one chain"
			    : "no filter of that name in this build (%d)",
			CHAIN_MAX);
		return false;
	}
	filter->ops = ops;
	filter->conf = ops->conf_size > 0 ? keep(builder, ops->conf_size) : NULL;
	if (ops->configure && !ops->configure(filter->conf, options, builder->err)) {
		err_prefix(builder->err, "filter %s", name);
		return false;
	}
	(*count)++;
	return true;
}

/* FL-10: access_log stands first in every listener's chain, from log.access. */
static bool build_listener_chain(struct builder *builder, const struct config_listener *configured,
	struct filter_chain *ret_chain)
{
	struct filter_instance *filters = keep(builder, CHAIN_MAX * sizeof *filters);
	unsigned count = 0;

	if (!add_filter(builder, filters, &count, "access_log", &builder->config->log.access)) {
		return false;
	}
	for (size_t i = 0; i < configured->filters.count; i++) {
		const struct config_filter *filter = &configured->filters.items[i];

		if (!add_filter(builder, filters, &count, filter->use, filter->conf)) {
			return false;
		}
	}
	*ret_chain = (struct filter_chain){filters, count};
	return true;
}

/* The address is the bound one, for it may have moved (ZC-03); a listener that could not be bound
 * or is new in a dry run has only the configured one. */
static bool build_listeners(struct builder *builder)
{
	const struct config *config = builder->config;
	struct listener_snapshot *listeners =
		keep(builder, (config->listeners.count + 1) * sizeof *listeners);

	for (size_t i = 0; i < config->listeners.count; i++) {
		const struct config_listener *configured = &config->listeners.items[i];
		const struct bound_listener *bound =
			listeners_find(builder->control, configured->name);
		struct address_prefix *trusted;

		/* `enabled: false` keeps the text in the file and the port closed. */
		if (!configured->enabled) {
			continue;
		}
		struct listener_snapshot *listener =
			&listeners[builder->snapshot->listener_count++];

		trusted = keep(builder, (configured->trusted_peers.count + 1) * sizeof *trusted);
		for (size_t p = 0; p < configured->trusted_peers.count; p++) {
			trusted[p] = configured->trusted_peers.items[p].prefix;
		}
		*listener = (struct listener_snapshot){.name = configured->name,
			.address = bound ? bound->address : configured->address.address,
			.service = configured->service,
			.trusted = trusted,
			.trusted_count = (unsigned)configured->trusted_peers.count};
		switch (configured->kind) {
		case CONFIG_INBOUND:
			listener->kind = LISTENER_INBOUND;
			break;
		case CONFIG_OUTBOUND:
			listener->kind = LISTENER_OUTBOUND;
			break;
		case CONFIG_PER_SERVICE:
			listener->kind = LISTENER_SERVICE;
			break;
		}
		if (!build_listener_chain(builder, configured, &listener->filters)) {
			return false;
		}
		listener->access = listener->filters.filters[0].conf;
	}
	builder->snapshot->listeners = listeners;
	return true;
}

/* Numbers of the configuration become those of upstream. Pool limits come from `limits` and are
 * the same for every service; the rest is the service's own. */
static void build_policy(struct builder *builder, const struct config_service *configured,
	struct service_policy *policy)
{
	const struct config_limits *limits = &builder->config->limits;
	uint16_t *statuses = keep(builder, (configured->retry.on.count + 1) * sizeof *statuses);

	for (size_t i = 0; i < configured->retry.on.count; i++) {
		statuses[i] = (uint16_t)configured->retry.on.items[i];
	}
	*policy = (struct service_policy){.name = configured->name,
		.timeout_ms = configured->timeout_ms,
		.response_timeout_ms = configured->response_timeout_ms,
		.connect_timeout_ms = configured->connect_timeout_ms,
		.queue_timeout_ms = configured->queue_timeout_ms,
		.draws = (unsigned)configured->draws,
		.retry_max = (unsigned)configured->retry.max,
		.retry_on = statuses,
		.retry_on_count = (unsigned)configured->retry.on.count,
		.retry_idempotent = configured->retry.idempotent,
		.retry_max_wait_ms = configured->retry.max_wait_ms,
		.active_max = (uint32_t)configured->limits.active,
		.queued_max = (uint32_t)configured->limits.queued,
		.connections_max = (uint32_t)configured->limits.connections,
		.pool_idle_ms = (uint64_t)limits->pool_idle_ms,
		.h2_pool_idle_ms = (uint64_t)limits->h2_pool_idle_ms,
		.h1_idle = (unsigned)limits->h1_idle,
		.h2_connections = (unsigned)limits->h2_connections};
	policy->selector = configured->selector == CONFIG_ROUND_ROBIN ? SELECTOR_ROUND_ROBIN
								      : SELECTOR_RANDOM_HASH;
	switch (configured->retry.mode) {
	case CONFIG_RETRY_ON:
		policy->retry = RETRY_ON;
		break;
	case CONFIG_RETRY_OFF:
		policy->retry = RETRY_OFF;
		break;
	case CONFIG_RETRY_NEVER:
		policy->retry = RETRY_NEVER;
		break;
	}
}

/* Each service of the file, and "*" as what every other name gets: the loader has already merged
 * "*" into the named ones. */
static bool build_services(struct builder *builder)
{
	const struct config *config = builder->config;

	map_init(&builder->snapshot->services);
	for (size_t i = 0; i < config->services.count; i++) {
		const struct config_service *configured = &config->services.items[i];
		struct service_snapshot *service = keep(builder, sizeof *service);
		struct filter_instance *filters = keep(builder, CHAIN_MAX * sizeof *filters);
		unsigned count = 0;

		build_policy(builder, configured, &service->policy);
		for (size_t f = 0; f < configured->filters.count; f++) {
			const struct config_filter *filter = &configured->filters.items[f];

			if (!add_filter(builder, filters, &count, filter->use, filter->conf)) {
				return false;
			}
		}
		service->filters = (struct filter_chain){filters, count};
		if (strcmp(configured->name, "*") == 0) {
			builder->snapshot->default_service = service;
		}
		(void)map_set(
			&builder->snapshot->services, slice_from_string(configured->name), service);
	}
	ASSERT(builder->snapshot->default_service);
	return true;
}

/* Limits of the codecs, for both sides of every connection: the upstream is held to what the
 * client is held to. */
static void build_limits(struct builder *builder)
{
	const struct config_limits *limits = &builder->config->limits;
	struct http_limits *http = &builder->snapshot->http;

	http_limits_default(http);
	http->head_bytes = (size_t)limits->head_bytes;
	http->fields = (size_t)limits->fields;
	http->start_line_bytes = (size_t)limits->start_line_bytes;
	http->interim_responses = (size_t)limits->interim_responses;
	http->chunk_ext_bytes = (size_t)limits->chunk_ext_bytes;
	http->h2_streams = (uint32_t)limits->h2_streams;
	http->h2_stream_window = (uint32_t)limits->h2_stream_window;
	http->h2_connection_window = (uint32_t)limits->h2_connection_window;
	http->h2_tokens = (uint32_t)limits->h2_tokens;
	http->h2_refill_per_s = (uint32_t)(limits->h2_refill_per_min / 60);
	http->h2_continuations = (uint32_t)limits->h2_continuations;
	http->h2_settings_entries = (uint32_t)limits->h2_settings_entries;
	http->h2_out_frames = (uint32_t)limits->h2_out_frames;
	http->head_timeout_ms = (uint64_t)limits->head_timeout_ms;
	http->idle_timeout_ms = (uint64_t)limits->idle_timeout_ms;
	http->h2_idle_timeout_ms = (uint64_t)limits->h2_idle_timeout_ms;
	builder->snapshot->replay_bytes = (size_t)limits->replay_bytes;
	builder->snapshot->replay_total = (size_t)limits->replay_total;
}

/* The own application is an upstream with one instance that never leaves it (app leg). */
static bool build_app(struct builder *builder)
{
	const struct config_app *app = &builder->config->self.app;
	struct config_snapshot *snapshot = builder->snapshot;
	struct filter_instance *filters = keep(builder, CHAIN_MAX * sizeof *filters);
	unsigned count = 0;

	snapshot->has_app = app->present;
	if (!app->present) {
		return true;
	}
	snapshot->app = (struct fixed_target){.name = "app",
		.address = app->address.address,
		.port = address_port(&app->address.address),
		.protocol = app->protocol == CONFIG_APP_H2C ? INSTANCE_H2C : INSTANCE_HTTP1};
	build_policy(builder, config_service(builder->config, SLICE("*")), &snapshot->app_policy);
	snapshot->app_policy.name = "app";
	snapshot->app_policy.connect_timeout_ms = app->connect_timeout_ms;
	snapshot->app_policy.active_max = (uint32_t)app->max_active;
	/* App leg: repeated at most once, on a fresh connection, by the exchange's own rule
	 * (MT-11). */
	snapshot->app_policy.retry = RETRY_OFF;
	snapshot->app_policy.timeout_ms = 0;
	if (!add_filter(builder, filters, &count, "translate", &builder->config->translation)) {
		return false;
	}
	snapshot->app_filters = (struct filter_chain){filters, count};
	return true;
}

/* MA-09: prefixes are judged on the address that is dialled, names on what was asked for; apart,
 * since neither can stand for the other. */
static void build_egress(struct builder *builder)
{
	const struct config_egress *egress = &builder->config->egress;
	struct address_prefix *prefixes =
		keep(builder, (egress->allow.count + 1) * sizeof *prefixes);
	const char **names = keep(builder, (egress->allow.count + 1) * sizeof *names);
	struct config_snapshot *snapshot = builder->snapshot;

	for (size_t i = 0; i < egress->allow.count; i++) {
		const struct config_egress_entry *entry = &egress->allow.items[i];

		if (entry->is_prefix) {
			prefixes[snapshot->egress_prefix_count++] = entry->prefix;
		} else {
			names[snapshot->egress_name_count++] = entry->text;
		}
	}
	snapshot->egress_allow = egress->fallback == CONFIG_EGRESS_ALLOW;
	snapshot->egress_prefixes = prefixes;
	snapshot->egress_names = names;
}

/* Paths that never reach the application: the registry's on the mesh port, the broker's on the
 * outbound port (U-09, B5-01). */
static void build_endpoints(struct builder *builder)
{
	struct control *control = builder->control;
	struct endpoint *endpoints = keep(builder, ENDPOINTS_MAX * sizeof *endpoints);
	unsigned count = 0;

	health_endpoint_get(control, &endpoints[count++]);
	if (control->door) {
		count += raftreg_door_endpoints(control->door, endpoints + count);
	}
	if (control->broker) {
		count += broker_endpoints(control->broker, endpoints + count);
	}
	ASSERT(count <= ENDPOINTS_MAX);
	builder->snapshot->endpoints = endpoints;
	builder->snapshot->endpoint_count = count;
}

/* A sidecar without an application declares no service: every request for one is then 421 (MI-06).
 */
static void build_identity(struct builder *builder)
{
	struct config_snapshot *snapshot = builder->snapshot;

	snapshot->service_name =
		builder->config->self.app.present ? builder->config->self.name : NULL;
	memcpy(snapshot->instance_id, builder->control->identity.instance_id,
		sizeof snapshot->instance_id);
	for (size_t i = 0; i < 4; i++) {
		(void)snprintf(snapshot->id8 + 2 * i, 3, "%02x", snapshot->instance_id[i]);
	}
}

/* The last reference went, on whichever thread. */
static void on_destroy(struct config_snapshot *snapshot)
{
	struct control *control = snapshot->attached;

	atomic_fetch_sub(&control->snapshots_alive, 1);
}

/* RL-01: built whole or not at all. The configuration is attached last, because until then the
 * caller still owns it and frees it on an error. */
int build_snapshot(struct control *control, struct config *config, uint64_t generation,
	struct config_snapshot **ret_snapshot, struct err *err)
{
	struct builder builder = {.control = control, .config = config, .err = err};

	ASSERT(config && ret_snapshot);
	builder.snapshot = mem_zalloc(sizeof *builder.snapshot);
	atomic_init(&builder.snapshot->refs, 1);
	builder.snapshot->generation = generation;
	builder.snapshot->attached = control;
	builder.snapshot->destroy = on_destroy;
	atomic_fetch_add(&control->snapshots_alive, 1);
	arena_init(&builder.snapshot->arena);
	build_identity(&builder);
	build_limits(&builder);
	build_egress(&builder);
	build_endpoints(&builder);
	if (!build_services(&builder) || !build_listeners(&builder) || !build_app(&builder)) {
		snapshot_unref(builder.snapshot);
		return -EINVAL;
	}
	builder.snapshot->config = config;
	*ret_snapshot = builder.snapshot;
	return 0;
}
