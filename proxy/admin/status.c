/* status: one screen about this sidecar (operations.md 7), and the small switches. */
#include <stdio.h>

#include "admin/pages.h"
#include "admin/server.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/broker.h"
#include "exchange/server.h"
#include "exchange/stats.h"

struct totals { /* of one worker */
	uint64_t inbound, outbound, inbound_failed, outbound_failed, in_flight;
	uint64_t dropped; /* records of the access log */
};

struct status_call {
	struct admin_call *call;
	struct control_survey survey;
};

/* Failed is what a caller would call so: 5xx, and exchanges that ended without any status. */
static void add_series(void *context, const struct stats_series *series)
{
	struct totals *totals = context;
	uint64_t all = 0, failed = 0;

	for (size_t protocol = 0; protocol < STATS_PROTOCOLS; protocol++) {
		for (size_t class = 0; class < STATS_CLASSES; class ++) {
			all += series->requests[protocol][class];
			failed += class == 5 || class == 0 ? series->requests[protocol][class] : 0;
		}
	}
	totals->in_flight += series->in_flight;
	if (series->inbound) {
		totals->inbound += all;
		totals->inbound_failed += failed;
	} else {
		totals->outbound += all;
		totals->outbound_failed += failed;
	}
}

/* Connections are in /metrics; this is one screen. */
static void ignore_listener(void *context, const struct stats_listener *listener)
{
	(void)context;
	(void)listener;
}

/* On the worker: the sums are made where the counters are, and travel as plain numbers. */
static void collect(struct control_survey *survey, struct exchange_server *server, unsigned worker,
	struct buf *ret)
{
	struct totals totals = {0};
	struct stats_walk walk = {
		.on_series = add_series, .on_listener = ignore_listener, .context = &totals};

	(void)survey;
	(void)worker;
	stats_walk(exchange_server_stats(server), &walk);
	totals.dropped = stat_load(&exchange_server_stats(server)->records_dropped);
	buf_append(ret, &totals, sizeof totals);
}

/* Bound addresses; `pillion call` and `pub` find the outbound port here. */
static json_t *listeners_json(struct control *control)
{
	json_t *list = json_array();
	struct control_listener_info info;

	for (unsigned i = 0; control_listener_at(control, i, &info); i++) {
		json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name", info.name, "kind",
						    info.kind, "address", info.address));
	}
	return list;
}

/* MG-04: index, age and mode say how much the view is worth. */
static json_t *registry_json(const struct registry_status *registry)
{
	return json_pack("{s:s, s:b, s:I, s:I, s:s, s:s, s:s, s:s}", "mode",
		registry_mode_word(registry->mode), "registered", (int)registry->registered,
		"index", (json_int_t)registry->index, "age_ms", (json_int_t)registry->age_ms,
		"cluster", registry->cluster, "connected", registry->connected, "leader",
		registry->leader, "detail", registry->detail);
}

/* Parts that do not work as they should, each with its code. */
static json_t *degraded_json(struct control *control, const struct control_health *health)
{
	json_t *list = json_array();
	char reason[128] = "";

	/* The mesh is plaintext in this version: every look says so (F-11). */
	json_array_append_new(list,
		json_pack("{s:s, s:s}", "part", "mesh_plaintext", "text",
			"insecure: no TLS; peers on loopback or in trusted_peers are believed"));
	if (health->registry.mode != REGISTRY_LIVE && control_registry(control)) {
		json_array_append_new(
			list, json_pack("{s:s, s:s}", "part", "registry", "text",
				      health->registry.detail[0] ? health->registry.detail
								 : "PIL3001 no replica answers"));
	}
	if (health->has_app && !health->app_healthy) {
		json_array_append_new(
			list, json_pack("{s:s, s:s}", "part", "app", "text", health->app_error));
	}
	/* B1-08: a failed spool turns publishing off and nothing else. */
	if (control_broker(control) &&
		broker_spool_state(control_broker(control), reason) != BROKER_SPOOL_OK) {
		json_array_append_new(
			list, json_pack("{s:s, s:s}", "part", "spool", "text", reason));
	}
	return list;
}

/* A sum of moments that lie microseconds apart, which is all a screen needs. */
static void on_collected(struct control_survey *survey, const struct buf *parts, unsigned count)
{
	struct status_call *waiting = survey->owner;
	struct control *control = waiting->call->control;
	const struct config *config = control_config(control);
	struct control_health health;
	struct totals sum = {0};
	char id[33];
	json_t *json;

	for (unsigned i = 0; i < count; i++) {
		const struct totals *one = (const struct totals *)(const void *)parts[i].data;

		sum.inbound += one->inbound;
		sum.outbound += one->outbound;
		sum.inbound_failed += one->inbound_failed;
		sum.outbound_failed += one->outbound_failed;
		sum.in_flight += one->in_flight;
		sum.dropped += one->dropped;
	}
	sum.dropped += control_counters_get(control)->access_dropped + log_dropped();
	control_health_get(control, &health);
	instance_id_format(control_instance_id(control), id);
	json = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:s, s:b, s:b, s:I}", "version",
		PILLION_VERSION, "service", control_service(control), "service_version",
		config->self.version, "instance", id, "uptime_seconds",
		(json_int_t)((clock_monotonic_ms() - control_started_ms(control)) / 1000),
		"generation", (json_int_t)control_generation(control), "file",
		config->file ? config->file : "", "phase", control_phase_word(health.phase),
		"ready", (int)health.ready, "live", (int)health.live, "workers",
		(json_int_t)control_worker_count(control));
	json_object_set_new(json, "app",
		json_pack("{s:b, s:s, s:b, s:s, s:s}", "present", (int)health.has_app, "address",
			health.has_app ? config->self.app.address.text : "", "healthy",
			(int)health.app_healthy, "protocol", health.app_protocol, "error",
			health.app_error));
	/* Parts of the screen, in the order in which `pillion status` shows them. */
	json_object_set_new(json, "listeners", listeners_json(control));
	json_object_set_new(json, "registry", registry_json(&health.registry));
	json_object_set_new(json, "traffic",
		json_pack("{s:I, s:I, s:I, s:I, s:I}", "inbound_requests", (json_int_t)sum.inbound,
			"inbound_failed", (json_int_t)sum.inbound_failed, "outbound_requests",
			(json_int_t)sum.outbound, "outbound_failed",
			(json_int_t)sum.outbound_failed, "in_flight", (json_int_t)sum.in_flight));
	json_object_set_new(json, "log_lines_dropped", json_integer((json_int_t)sum.dropped));
	json_object_set_new(json, "degraded", degraded_json(control, &health));
	admin_answer_json(waiting->call, 200, json);
	mem_free(waiting);
}

/* Answers when the slowest worker has: a status that hides a hung worker would be worse than none
 * (the client has a time limit). */
void status_page(struct admin_call *call)
{
	struct status_call *waiting = mem_zalloc(sizeof *waiting);

	waiting->call = call;
	waiting->survey =
		(struct control_survey){.collect = collect, .done = on_collected, .owner = waiting};
	control_survey_start(call->control, &waiting->survey);
}

/* Answered before the stop begins, or the answer would drain with the rest. */
void status_quit_page(struct admin_call *call)
{
	struct control *control = call->control;

	admin_answer_json(call, 200, json_pack("{s:s}", "phase", "draining"));
	control_quit(control);
}

/* For this run only: a reload sets what the file says. */
void status_log_level_page(struct admin_call *call)
{
	static const char *const words[] = {"error", "warn", "info", "debug"};
	const char *level = json_string_value(json_object_get(call->json, "level"));

	for (size_t i = 0; level && i < ARRAY_SIZE(words); i++) {
		if (strcmp(level, words[i]) == 0) {
			log_set_level((enum log_level)i);
			admin_answer_json(call, 200, json_pack("{s:s}", "level", words[i]));
			return;
		}
	}
	admin_answer_error(call, 400, 5400, "bad_parameter", "level is error, warn, info or debug");
}
