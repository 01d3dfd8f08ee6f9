/*
 * server: connections come and go here, exchanges are counted here, memory of both is held here.
 * The order of ends matters: exchanges let their streams go, connections then close on their own
 * task, their blocks come back, and only then may the pool and the snapshot go.
 */
#include "exchange/server.h"

#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "config/config.h"
#include "exchange/exchange_steps.h"
#include "http/local.h"
#include "net/transport.h"

struct snapshot_hold *server_hold(struct snapshot_hold *hold)
{
	ASSERT(hold->count > 0);
	hold->count++;
	return hold;
}

void server_release(struct snapshot_hold *hold)
{
	ASSERT(hold->count > 0);
	if (--hold->count == 0) {
		snapshot_unref(hold->snapshot);
		mem_free(hold);
	}
}

static void server_read_limits(const struct config_limits *limits, struct exchange_limits *ret)
{
	*ret = (struct exchange_limits){
		.body_gap_ms = limits->body_gap_ms,
		.response_gap_ms = limits->response_gap_ms,
		.stream_idle_ms = limits->stream_idle_ms,
		.body_bytes = limits->body_bytes,
		.exchanges_max = (uint32_t)limits->exchanges_max,
	};
}

struct snapshot_hold *server_hold_create(struct config_snapshot *snapshot)
{
	struct snapshot_hold *hold = mem_zalloc(sizeof(*hold));

	hold->snapshot = snapshot_ref(snapshot);
	hold->limits = snapshot->exchange;
	hold->count = 1;
	if (snapshot->config != NULL) {
		server_read_limits(&snapshot->config->limits, &hold->limits);
	}
	ASSERT(hold->limits.body_gap_ms >= 0);
	return hold;
}

struct stats_series *server_series(struct exchange_server *server, struct slice name, bool inbound)
{
	struct map *map = &server->series[inbound];
	struct stats_series *series = map_get(map, name);

	if (series == NULL) {
		series = stats_series(server->stats, name, inbound);
		/* Names beyond the bound share a series and are looked for each time (MN-03). */
		if (map->count < STATS_SERIES_MAX) {
			map_set(map, name, series);
		}
	}
	return series;
}

/* Exchanges are the most frequent objects of all, so their structs are kept and cleared. */
struct exchange *server_exchange_alloc(struct exchange_server *server)
{
	struct list_node *node = list_pop_front(&server->free_exchanges);
	struct exchange *x;

	if (node != NULL) {
		x = container_of(node, struct exchange, node);
		memset(x, 0, sizeof(*x));
		server->free_count--;
	} else {
		x = mem_zalloc(sizeof(*x));
	}
	x->server = server;
	list_push_back(&server->exchanges, &x->node);
	server->exchange_count++;
	stat_add(&server->stats->streams, 1);
	return x;
}

void server_exchange_free(struct exchange_server *server, struct exchange *x)
{
	list_unlink(&x->node);
	ASSERT(server->exchange_count > 0);
	stat_sub(&server->stats->streams, 1);
	server->exchange_count--;
	if (x->inbound) {
		server->inbound_active--;
	} else {
		server->outbound_active--;
	}
	server_release(x->hold);
	server_downstream_release(x->from);
	if (server->free_count < SERVER_FREE_MAX) {
		list_push_front(&server->free_exchanges, &x->node);
		server->free_count++;
	} else {
		mem_free(x);
	}
}

bool server_wants_record(struct exchange_server *server, const struct access_options *options,
	bool failed, uint64_t duration_ns)
{
	bool slow = options->slow_ms > 0 && duration_ns >= (uint64_t)options->slow_ms * 1000000;

	return failed || slow || options->success_per_mille >= 1000 ||
	       rng_below(&server->rng, 1000) < (uint64_t)options->success_per_mille;
}

/* The reader is told once when the ring passes its half, and again after it fell below. */
void server_log(struct exchange_server *server, const struct access_record *record)
{
	bool half;

	if (!access_ring_put(server->ring, record)) {
		stat_add(&server->stats->records_dropped, 1);
	}
	half = access_ring_used(server->ring) >= ACCESS_RING_SIZE / 2;
	if (half && !server->ring_told && server->options.on_records != NULL) {
		server->options.on_records(server->options.owner);
	}
	server->ring_told = half;
}

void server_downstream_release(struct downstream *from)
{
	if (from == NULL) {
		return;
	}
	ASSERT(from->refs > 0);
	if (--from->refs == 0) {
		ASSERT(from->connection == NULL);
		server_release(from->hold);
		server_release(from->limits);
		mem_free(from);
	}
}

static void server_bury_downstream(void *object)
{
	server_downstream_release(object);
}

static void server_free(void *object)
{
	struct exchange_server *server = object;

	while (!list_empty(&server->free_exchanges)) {
		mem_free(container_of(
			list_pop_front(&server->free_exchanges), struct exchange, node));
	}
	map_fini(&server->series[0]);
	map_fini(&server->series[1]);
	ASSERT(server->sources.count == 0);
	map_fini(&server->sources);
	egress_fini(server);
	server_release(server->hold);
	block_pool_fini(&server->pool); /* invariant B */
	stats_fini(server->stats);
	mem_free(server->stats);
	mem_free(server->ring);
	mem_free(server);
}

/* Closed connections take a few turns to go, and give their blocks back when they do. */
static void server_dispose(struct task *task)
{
	struct exchange_server *server = container_of(task, struct exchange_server, dispose_task);

	server->dispose_turns++;
	if (server->downstream_count > 0 || server->dispose_turns < SERVER_DISPOSE_TURNS_MIN ||
		(server->pool.live > 0 && server->dispose_turns < SERVER_DISPOSE_TURNS)) {
		loop_queue(server->options.loop, task);
		return;
	}
	loop_bury(server->options.loop, server_free, server);
}

static void server_on_change(struct connection *connection)
{
	ASSERT(connection_owner(connection) != NULL);
}

/* Words of the HTTP reader, and those of connections that were refused as a whole. */
static bool server_is_refusal(enum reason why)
{
	unsigned pil = reason_info(why)->pil;

	return (pil >= 5101 && pil <= 5120) || why == REASON_tls_unexpected ||
	       why == REASON_h2_flood || why == REASON_h2_memory || why == REASON_h2_protocol;
}

/* L-02: requests that were refused before an exchange existed leave one line, folded by the log
 * when there are many. */
static void server_note_refusal(const struct downstream *from, enum reason why, const char *detail)
{
	char peer[ADDRESS_TEXT_MAX];
	const struct reason_info *info = reason_info(why);
	const struct log_field fields[] = {
		LOG_TEXT("pillion.reason", info->word),
		LOG_TEXT("source.address", address_format(&from->peer, peer)),
		LOG_TEXT("pillion.listener", from->listener->name),
		LOG_TEXT("pillion.bytes", detail != NULL ? detail : ""),
	};

	log_event(LOG_LEVEL_WARN, "exchange", info->pil, "refused before a request was whole",
		fields, ARRAY_SIZE(fields));
}

static void server_forget_source(struct exchange_server *server, struct downstream *from)
{
	if (from->source == NULL) {
		return;
	}
	ASSERT(from->source->connections > 0);
	if (--from->source->connections == 0) {
		(void)map_remove(&server->sources, from->peer_host);
		mem_free(from->source);
	}
	from->source = NULL;
}

static void server_on_closed(struct connection *connection, enum reason why, const char *detail)
{
	struct downstream *from = connection_owner(connection);
	struct exchange_server *server = from->server;

	if (server_is_refusal(why)) {
		server_note_refusal(from, why, detail);
	}
	list_unlink(&from->node);
	from->connection = NULL;
	stat_sub(&from->stats->connections, 1);
	stat_add(&from->stats->closed[why], 1);
	ASSERT(server->downstream_count > 0);
	server->downstream_count--;
	server_forget_source(server, from);
	/* The codec, which is freed after this turn, still reads the limits that it holds. */
	loop_bury(server->options.loop, server_bury_downstream, from);
}

static const struct connection_events server_connection_events = {
	.on_open = NULL,
	.on_stream = accept_stream,
	.on_change = server_on_change,
	.on_closed = server_on_closed,
};

/* F-11: without TLS a mesh peer is who comes from loopback or a trusted address. */
static enum forward_peer server_peer_kind(
	const struct listener_snapshot *listener, const struct address *peer)
{
	if (listener->kind != LISTENER_INBOUND) {
		return FORWARD_FROM_APP;
	}
	if (address_is_loopback(peer)) {
		return FORWARD_FROM_MESH;
	}
	for (unsigned i = 0; i < listener->trusted_count; i++) {
		if (address_prefix_match(&listener->trusted[i], peer)) {
			return FORWARD_FROM_MESH;
		}
	}
	return FORWARD_FROM_OTHER;
}

static const struct listener_snapshot *server_listener(
	const struct config_snapshot *snapshot, const char *name)
{
	for (unsigned i = 0; i < snapshot->listener_count; i++) {
		if (strcmp(snapshot->listeners[i].name, name) == 0) {
			return &snapshot->listeners[i];
		}
	}
	return NULL;
}

/* SN-08: each worker has its share of per_source_max, so that the sum keeps the limit. */
static unsigned server_source_limit(const struct exchange_server *server)
{
	const struct config *config = server->hold->snapshot->config;
	unsigned limit = config ? (unsigned)config->limits.per_source_max : 1024;
	unsigned workers = server->options.workers > 0 ? server->options.workers : 1;

	return (limit + workers - 1) / workers;
}

/* Counts one more connection of a stranger; NULL when its address holds too many. */
static struct source *server_count_source(struct exchange_server *server, struct slice host)
{
	struct source *source = map_get(&server->sources, host);

	if (source == NULL) {
		source = mem_zalloc(sizeof(*source));
		(void)map_set(&server->sources, host, source);
	}
	if (source->connections >= server_source_limit(server)) {
		return NULL;
	}
	source->connections++;
	return source;
}

/* Loopback and mesh peers are exempt. False: this connection is one too many. */
static bool server_admit_source(struct exchange_server *server, struct downstream *from)
{
	if (from->peer_kind != FORWARD_FROM_OTHER || address_is_loopback(&from->peer)) {
		return true;
	}
	from->source = server_count_source(server, from->peer_host);
	return from->source != NULL;
}

/* The connection reads the limits of the snapshot that it was accepted under until it is gone;
 * its exchanges use the newest form of its listener. */
void exchange_server_accept(
	struct exchange_server *server, const char *listener_name, struct transport *transport)
{
	const struct listener_snapshot *listener =
		server_listener(server->hold->snapshot, listener_name);
	struct connection_options options = {
		.loop = server->options.loop,
		.pool = &server->pool,
		.limits = &server->hold->snapshot->http,
		.events = &server_connection_events,
	};
	struct downstream *from;

	/* SN-07; a listener that went away between accept and here serves nobody. */
	if (listener == NULL || server->destroying ||
		(server->options.connections_max != 0 &&
			server->downstream_count >= server->options.connections_max) ||
		(listener->kind == LISTENER_INBOUND && server->drained)) {
		transport_close(transport, false);
		return;
	}
	from = mem_zalloc(sizeof(*from));
	from->server = server;
	from->hold = server_hold(server->hold);
	from->limits = server_hold(server->hold);
	from->listener = listener;
	from->stats = stats_listener(server->stats, listener->name);
	from->peer = transport->peer;
	from->local = transport->local;
	from->peer_kind = server_peer_kind(listener, &transport->peer);
	if (from->peer.size > 0) {
		from->peer_host = slice_from_string(address_host(&from->peer, from->peer_text));
	}
	if (!server_admit_source(server, from)) {
		stat_add(&from->stats->closed[REASON_source_limit], 1);
		server_release(from->hold);
		server_release(from->limits);
		mem_free(from);
		transport_close(transport, false);
		return;
	}
	from->refs = 1;
	stat_add(&from->stats->accepted, 1);
	stat_add(&from->stats->connections, 1);
	list_push_back(&server->downstreams, &from->node);
	server->downstream_count++;
	options.owner = from;
	from->connection = connection_accept(&options, transport);
	if (server->draining && listener->kind == LISTENER_INBOUND) {
		connection_drain(from->connection);
	}
}

/* In-process streams have no socket to drive them: the run queue does. */
static void server_pump_local(struct task *task)
{
	struct server_local *local = container_of(task, struct server_local, task);
	struct codec *codec = local->codec;

	codec->ops->receive(codec, false, loop_now_ms(local->server->options.loop));
	if (codec->again || codec->has_output) {
		loop_queue(local->server->options.loop, &local->task);
	}
}

struct codec *exchange_server_local(struct exchange_server *server, enum local_kind kind)
{
	struct codec_options options = {
		.events = &accept_local_events,
		.pool = &server->pool,
		.limits = &server->limits,
		.now_ms = loop_now_ms(server->options.loop),
	};
	struct server_local *local;

	ASSERT(kind < LOCAL_KINDS && !server->destroying);
	local = server->locals[kind];
	if (local == NULL) {
		local = mem_zalloc(sizeof(*local));
		local->server = server;
		local->kind = kind;
		task_init(&local->task, server_pump_local);
		options.owner = local;
		local->codec = local_create(&options);
		server->locals[kind] = local;
	}
	return local->codec;
}

static void server_local_destroy(struct server_local *local)
{
	if (local != NULL) {
		task_cancel(&local->task);
		local->codec->ops->destroy(local->codec);
		mem_free(local);
	}
}

void server_set_app_target(struct exchange_server *server)
{
	enum instance_protocol protocol = server->app.protocol;

	server->app = server->hold->snapshot->app;
	/* What the probe saw stays true across reloads. */
	if (server->app_probed) {
		server->app.protocol = protocol;
	}
	if (server->app.name == NULL) {
		server->app.name = "app";
	}
}

struct exchange_server *exchange_server_create(const struct exchange_server_options *options)
{
	struct exchange_server *server = mem_zalloc(sizeof(*server));
	struct upstream_options upstream = {.loop = options->loop};

	ASSERT(options->loop != NULL && options->snapshot != NULL && options->workers > 0);
	server->options = *options;
	block_pool_init(&server->pool, SERVER_BLOCKS_FREE);
	rng_seed_system(&server->rng);
	server->hold = server_hold_create(options->snapshot);
	server->limits = options->snapshot->http;
	server->replay.total = options->snapshot->replay_total / options->workers;
	server->stats = mem_zalloc(sizeof(*server->stats));
	server->ring = mem_zalloc(sizeof(*server->ring));
	list_init(&server->downstreams);
	list_init(&server->exchanges);
	list_init(&server->free_exchanges);
	map_init(&server->series[0]);
	map_init(&server->series[1]);
	map_init(&server->egress);
	map_init(&server->sources);
	server->registry_mode = REGISTRY_CONNECTING;
	server->registry_heard_ms = loop_now_ms(options->loop);
	server_set_app_target(server);
	for (int inbound = 0; inbound < 2; inbound++) {
		for (int version = HTTP_1_0; version <= HTTP_2; version++) {
			forward_via((enum http_version)version, inbound != 0,
				options->snapshot->id8, server->via[inbound][version]);
		}
	}
	upstream.pool = &server->pool;
	upstream.resolver = options->resolver;
	upstream.limits = &server->limits;
	upstream.rng = &server->rng;
	upstream.workers = options->workers;
	upstream.on_unknown = options->on_unknown_service;
	upstream.on_verdict = options->on_verdict;
	upstream.on_forgotten = options->on_forgotten;
	upstream.owner = options->owner;
	server->upstream = upstream_create(&upstream);
	return server;
}

void exchange_server_destroy(struct exchange_server *server)
{
	if (server == NULL) {
		return;
	}
	ASSERT(!server->destroying);
	server->destroying = true;
	LIST_FOR_EACH_SAFE(node, &server->exchanges) {
		struct exchange *x = container_of(node, struct exchange, node);

		x->reason = x->down_lost != REASON_ok ? x->down_lost : REASON_shutdown;
		x->outcome = exchange_outcome(x, x->reason);
		exchange_finish(x, x->reason);
	}
	for (int kind = 0; kind < LOCAL_KINDS; kind++) {
		server_local_destroy(server->locals[kind]);
	}
	LIST_FOR_EACH_SAFE(node, &server->downstreams) {
		struct downstream *from = container_of(node, struct downstream, node);

		connection_close(from->connection, REASON_shutdown, false);
	}
	upstream_destroy(server->upstream);
	task_init(&server->dispose_task, server_dispose);
	loop_queue(server->options.loop, &server->dispose_task);
}
