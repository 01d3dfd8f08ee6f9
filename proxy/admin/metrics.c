/*
 * metrics: the Prometheus page (operations.md 10). Workers hand over where their counters stand and
 * what their upstreams look like; control sums and prints. Label values come from configuration,
 * registry and fixed lists only (MN-02).
 */
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "admin/metrics_print.h"
#include "admin/pages.h"
#include "admin/server.h"
#include "admin/writer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "broker/broker.h"
#include "exchange/server.h"
#include "filters/translate.h"
#include "raftreg/raftreg.h"
#include "upstream/service.h"

/* What one worker says of one service it calls. */
struct service_part {
	char name[256];
	uint32_t tiers[TIER_COUNT];
	uint32_t queued;
};

struct worker_part { /* at the head of a worker's buffer; service_parts follow */
	const struct server_stats *stats;
	struct upstream_stats upstream;
	struct translate_totals translate;
	uint64_t buffer_bytes; /* of the worker's blocks in use */
	uint32_t service_count;
};

/* Who is asked next for its part of the page. */
enum stage { STAGE_TOTALS, STAGE_CONTROL, STAGE_REPLICA, STAGE_BROKER, STAGE_END };

/* One scrape under way; several may be, each with its own survey. */
struct scrape {
	struct control_survey survey;
	struct admin_writer writer;
	struct metrics_totals totals;
	struct metrics_cursor cursor;
	enum stage stage;
};

/* Where visit_service writes, and how many it has written. */
struct collecting {
	struct buf *buf;
	uint32_t count;
};

/* The own application is an upstream too, but no service anybody looks for. */
static void visit_service(void *context, const struct service *service)
{
	struct collecting *collecting = context;
	struct service_part part = {0};

	if (service_is_fixed(service)) {
		return;
	}
	(void)snprintf(part.name, sizeof part.name, "%s", service_name(service));
	service_tier_counts(service, part.tiers);
	part.queued = service_queued(service);
	buf_append(collecting->buf, &part, sizeof part);
	collecting->count++;
}

/* On the worker. Counters are only pointed to (MN-01: one writer, plain words), because a scrape
 * of ten thousand series must not cost the worker more than a pointer; tiers are copied, since
 * they change under a reader. */
static void collect(struct control_survey *survey, struct exchange_server *server, unsigned worker,
	struct buf *ret)
{
	struct worker_part part = {0};
	struct collecting collecting = {.buf = ret};
	const struct upstream *upstream = exchange_server_upstream(server);

	(void)survey;
	(void)worker;
	buf_append(ret, &part, sizeof part);
	upstream_for_each(upstream, visit_service, &collecting);
	part.stats = exchange_server_stats(server);
	part.upstream = *upstream_stats(upstream);
	part.buffer_bytes = exchange_server_pool(server)->live_bytes;
	part.service_count = collecting.count;
	part.translate = *translate_worker_totals(exchange_server_slot(server, TRANSLATE_SLOT));
	/* The count is known only now; its place was kept at the front. */
	memcpy(ret->data, &part, sizeof part);
}

/* MN-01: the sum over workers; the key keeps in and out of one name apart. */
static void merge_series(void *context, const struct stats_series *series)
{
	struct metrics_totals *totals = context;
	struct stats_series *sum;
	char key[STATS_NAME_SIZE + 2];

	/* Service names hold no NUL and the prefix is one letter, so keys cannot collide. */
	(void)snprintf(key, sizeof key, "%c%s", series->inbound ? 'i' : 'o', series->service);
	sum = map_get(&totals->series, slice_from_string(key));
	if (!sum) {
		sum = mem_zalloc(sizeof *sum);
		memcpy(sum->service, series->service, sizeof sum->service);
		sum->inbound = series->inbound;
		(void)map_set(&totals->series, slice_from_string(key), sum);
	}
	for (size_t p = 0; p < STATS_PROTOCOLS; p++) {
		for (size_t c = 0; c < STATS_CLASSES; c++) {
			sum->requests[p][c] += stat_load(&series->requests[p][c]);
		}
	}
	for (size_t i = 0; i < REASON_COUNT; i++) {
		sum->reasons[i] += stat_load(&series->reasons[i]);
	}
	for (size_t i = 0; i < STATS_GRPC_CODES; i++) {
		sum->grpc_codes[i] += stat_load(&series->grpc_codes[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(sum->attempts); i++) {
		sum->attempts[i] += stat_load(&series->attempts[i]);
	}
	for (size_t i = 0; i < RETRY_STOP_COUNT; i++) {
		sum->retries[i] += stat_load(&series->retries[i]);
	}
	sum->request_bytes += stat_load(&series->request_bytes);
	sum->response_bytes += stat_load(&series->response_bytes);
	sum->in_flight += stat_load(&series->in_flight);
	histogram_merge(&sum->duration, &series->duration);
}

/* By name: a listener has one socket per worker and is one thing to its users. */
static void merge_listener(void *context, const struct stats_listener *listener)
{
	struct metrics_totals *totals = context;
	struct stats_listener *sum = map_get(&totals->listeners, slice_from_string(listener->name));

	if (!sum) {
		sum = mem_zalloc(sizeof *sum);
		memcpy(sum->name, listener->name, sizeof sum->name);
		(void)map_set(&totals->listeners, slice_from_string(listener->name), sum);
	}
	sum->connections += stat_load(&listener->connections);
	sum->accepted += stat_load(&listener->accepted);
	for (size_t i = 0; i < REASON_COUNT; i++) {
		sum->closed[i] += stat_load(&listener->closed[i]);
		sum->cuts[i] += stat_load(&listener->cuts[i]);
	}
}

/* The maximum where workers see the same instance, the sum where each has its own queue. */
static void merge_service(struct metrics_totals *totals, const struct service_part *part)
{
	struct metrics_service *sum = map_get(&totals->services, slice_from_string(part->name));

	if (!sum) {
		sum = mem_zalloc(sizeof *sum);
		(void)map_set(&totals->services, slice_from_string(part->name), sum);
	}
	/* Each worker sees all instances: the sum would count them once per worker. */
	for (size_t i = 0; i < TIER_COUNT; i++) {
		if (part->tiers[i] > sum->tiers[i]) {
			sum->tiers[i] = part->tiers[i];
		}
	}
	sum->queued += part->queued;
}

/* The head of the buffer says how many service parts follow. */
static void merge_part(struct metrics_totals *totals, const struct buf *buf)
{
	const struct worker_part *part = (const struct worker_part *)(const void *)buf->data;
	const struct service_part *services =
		(const struct service_part *)(const void *)(buf->data + sizeof *part);
	struct stats_walk walk = {
		.on_series = merge_series, .on_listener = merge_listener, .context = totals};

	ASSERT(buf->size == sizeof *part + part->service_count * sizeof *services);
	stats_walk(part->stats, &walk);
	for (uint32_t i = 0; i < part->service_count; i++) {
		merge_service(totals, &services[i]);
	}
	totals->stripped_headers += stat_load(&part->stats->stripped_headers);
	totals->trailers_dropped += stat_load(&part->stats->trailers_dropped);
	totals->series_overflow += stat_load(&part->stats->series_overflow);
	totals->records_dropped += stat_load(&part->stats->records_dropped);
	totals->streams += stat_load(&part->stats->streams);
	totals->buffer_bytes += part->buffer_bytes;
	totals->unsolicited += part->upstream.unsolicited_bytes;
	totals->pool_connections += part->upstream.connections;
	for (size_t i = 0; i < 2; i++) {
		histogram_merge(&totals->overhead[i], &part->stats->overhead[i]);
	}
	translate_totals_add(&totals->translate, &part->translate);
}

/* Values are the map's own here. */
static void free_map(struct map *map)
{
	MAP_FOR_EACH(entry, map)
	{
		mem_free(entry->value);
	}
	map_fini(map);
}

/* AD-05. The totals in small pieces, then control, replica and broker with one each; the last two
 * may have gone since the turn before. */
static bool print_piece(struct admin_writer *writer, struct buf *text)
{
	struct scrape *scrape = container_of(writer, struct scrape, writer);
	struct control *control = writer->call->control;

	switch (scrape->stage) {
	case STAGE_TOTALS:
		if (metrics_print_piece(&scrape->cursor, &scrape->totals, text)) {
			return true;
		}
		break;
	case STAGE_CONTROL:
		metrics_print_control(control, text);
		break;
	case STAGE_REPLICA:
		if (control_node(control)) {
			raftreg_node_metrics(control_node(control), text);
		}
		break;
	case STAGE_BROKER:
		if (control_broker(control)) {
			broker_metrics(control_broker(control), text);
		}
		break;
	case STAGE_END:
		return false;
	}
	scrape->stage++;
	return true;
}

static void free_scrape(struct admin_writer *writer)
{
	struct scrape *scrape = container_of(writer, struct scrape, writer);

	free_map(&scrape->totals.series);
	free_map(&scrape->totals.listeners);
	free_map(&scrape->totals.services);
	mem_free(scrape);
}

/* Summing is quick and done at once, so that the page shows one moment; printing is not. */
static void on_collected(struct control_survey *survey, const struct buf *parts, unsigned count)
{
	struct scrape *scrape = survey->owner;

	for (unsigned i = 0; i < count; i++) {
		merge_part(&scrape->totals, &parts[i]);
	}
	/* Rings that were full, and lines that nobody took. */
	scrape->totals.records_dropped +=
		control_counters_get(scrape->writer.call->control)->access_dropped;
	admin_writer_start(&scrape->writer);
}

/* Class P: counters may be seen by everybody on this host (AD-02). */
void metrics_page(struct admin_call *call)
{
	struct scrape *scrape = mem_zalloc(sizeof *scrape);

	map_init(&scrape->totals.series);
	map_init(&scrape->totals.listeners);
	map_init(&scrape->totals.services);
	scrape->writer = (struct admin_writer){.call = call,
		.type = "text/plain; version=0.0.4; charset=utf-8",
		.piece = print_piece,
		.done = free_scrape};
	scrape->survey =
		(struct control_survey){.collect = collect, .done = on_collected, .owner = scrape};
	control_survey_start(call->control, &scrape->survey);
}
