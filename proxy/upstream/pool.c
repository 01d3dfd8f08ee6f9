#include "upstream/pool.h"

#include <string.h>

#include "base/mem.h"
#include "net/transport.h"
#include "upstream/service_state.h"

enum pool_place { POOL_OPENING, POOL_OPEN, POOL_IDLE };

/* Freed in on_closed. */
struct pool_connection {
	struct list_node node;
	struct connection *connection;
	struct pool *pool; /* NULL: the pool does not want it any more */
	enum pool_place place;
	bool h2;
	bool used;    /* carried an exchange */
	bool probe;   /* MS-05 */
	bool retired; /* takes no further exchange */
	uint64_t dialled_ms;
};

static struct instance_state *pool_state(struct pool *pool)
{
	return container_of(pool, struct instance_state, pool);
}

static struct upstream *pool_upstream(struct pool *pool)
{
	return pool_state(pool)->service->upstream;
}

static unsigned *pool_counter(struct pool *pool, enum pool_place place)
{
	switch (place) {
	case POOL_OPENING:
		return &pool->opening_count;
	case POOL_OPEN:
		return &pool->open_count;
	case POOL_IDLE:
		return &pool->idle_count;
	}
	ASSERT(false);
	return NULL;
}

static void pool_take_out(struct pool_connection *entry)
{
	unsigned *counter = pool_counter(entry->pool, entry->place);

	ASSERT(*counter > 0);
	--*counter;
	list_unlink(&entry->node);
}

static void pool_put(struct pool_connection *entry, enum pool_place place)
{
	struct pool *pool = entry->pool;

	entry->place = place;
	++*pool_counter(pool, place);
	switch (place) {
	case POOL_OPENING:
		list_push_back(&pool->opening, &entry->node);
		break;
	case POOL_OPEN:
		list_push_back(&pool->open, &entry->node);
		break;
	case POOL_IDLE:
		list_push_front(&pool->idle, &entry->node);
		break;
	}
}

/* Takes it out of the counts. */
static void pool_forget(struct pool_connection *entry)
{
	struct service *service = pool_state(entry->pool)->service;
	struct upstream_stats *stats = &service->upstream->stats;
	struct codec *codec = connection_codec(entry->connection);

	ASSERT(service->connections > 0 && stats->connections > 0);
	service->connections--;
	stats->connections--;
	stats->unsolicited_bytes += codec ? codec->unsolicited_bytes : 0;
	pool_take_out(entry);
	entry->pool = NULL;
}

/* The pool does not want it any more; on_closed frees what is left. */
static void pool_detach(struct pool_connection *entry, bool reset)
{
	pool_forget(entry);
	connection_close(entry->connection, REASON_ok, reset);
}

/* Takes new exchanges: not retired by us, not closing, no GOAWAY seen (H2-36). */
static bool pool_usable(const struct pool_connection *entry)
{
	return !entry->retired && connection_is_open(entry->connection) &&
	       !connection_codec(entry->connection)->draining;
}

/* Counts what C-11 asks of a stream: whether its connection had carried another before. */
static struct stream *pool_open_stream(struct pool_connection *entry)
{
	struct codec *codec = connection_codec(entry->connection);
	struct stream *stream = codec->ops->open(codec);

	if (stream) {
		pool_upstream(entry->pool)->stats.reused += entry->used ? 1 : 0;
		entry->used = true;
	}
	return stream;
}

/* The first connection that has room: the others fill up only when it is full (C-05). */
static struct stream *pool_take_h2(struct pool *pool)
{
	LIST_FOR_EACH(node, &pool->open) {
		struct pool_connection *entry = LIST_ENTRY(node, struct pool_connection, node);
		struct codec *codec = connection_codec(entry->connection);

		if (pool_usable(entry) && codec->ops->spare_streams(codec) > 0) {
			return pool_open_stream(entry);
		}
	}
	return NULL;
}

/* MT-03: an idle connection that the server may be closing right now is a gamble; what must not run
 * twice takes only young ones, and nobody takes one that has something to read (H1-32). */
static struct stream *pool_take_h1(struct pool *pool, const struct attempt *attempt)
{
	uint64_t now = service_now_ms(pool_state(pool)->service);

	while (!list_empty(&pool->idle)) {
		struct pool_connection *entry =
			LIST_ENTRY(pool->idle.next, struct pool_connection, node);
		struct transport *transport = connection_transport(entry->connection);
		struct stream *stream = NULL;

		if (attempt->fresh && entry->used) {
			return NULL;
		}
		if (attempt->non_idempotent && entry->used &&
			now - connection_idle_since_ms(entry->connection) > POOL_FRESH_IDLE_MS) {
			return NULL; /* the others are older still */
		}
		if (pool_usable(entry) && transport_peek(transport) == 0) {
			stream = pool_open_stream(entry);
		}
		if (stream) {
			pool_take_out(entry);
			pool_put(entry, POOL_OPEN);
			return stream;
		}
		pool_detach(entry, false);
	}
	return NULL;
}

static struct stream *pool_take(struct pool *pool, const struct attempt *attempt)
{
	return pool->protocol == INSTANCE_HTTP1 ? pool_take_h1(pool, attempt) : pool_take_h2(pool);
}

static const struct connection_events pool_events;

/* A connect costs a slot of the service's connections until it is closed again. */
static void pool_dial(struct pool *pool, bool probe)
{
	struct instance_state *state = pool_state(pool);
	struct service *service = state->service;
	const struct upstream_options *options = &service->upstream->options;
	struct pool_connection *entry = mem_zalloc(sizeof(*entry));
	struct connection_options connection_options = {
		.loop = options->loop,
		.pool = options->pool,
		.limits = options->limits,
		.events = &pool_events,
		.owner = entry,
	};
	struct connection_target target = {
		.address = pool->address,
		.host = pool->host,
		.port = pool->port,
		.h2 = pool->protocol != INSTANCE_HTTP1,
		.connect_timeout_ms = service->limits.connect_timeout_ms,
		.resolver = options->resolver,
	};

	ASSERT(!pool->closed);
	list_init(&entry->node);
	entry->pool = pool;
	entry->h2 = target.h2;
	entry->probe = probe;
	entry->dialled_ms = service_now_ms(service);
	pool_put(entry, POOL_OPENING);
	service->connections++;
	service->upstream->stats.connections++;
	service->upstream->stats.dials++;
	entry->connection = connection_dial(&connection_options, &target);
}

/* Makes room below the service's limit by closing what is idle elsewhere. */
static bool pool_has_room(struct pool *pool)
{
	struct service *service = pool_state(pool)->service;

	if (service->connections < service->limits.connections) {
		return true;
	}
	for (uint32_t i = 0; i < service->count; i++) {
		if (pool_evict(&service->states[i]->pool)) {
			return true;
		}
	}
	return false;
}

/* C-05: those that still take exchanges. One that goes away may keep its streams for hours, and its
 * place would be missed for as long. */
static unsigned pool_h2_connections(const struct pool *pool)
{
	unsigned count = pool->opening_count;

	LIST_FOR_EACH(node, &pool->open) {
		count += pool_usable(LIST_ENTRY(node, struct pool_connection, node));
	}
	return count;
}

void pool_grow(struct pool *pool)
{
	struct service *service = pool_state(pool)->service;
	bool h1 = pool->protocol == INSTANCE_HTTP1;

	while (!pool->closed) {
		unsigned expected = pool->opening_count * (h1 ? 1 : POOL_STREAMS_EXPECTED);

		if (expected >= pool->waiting_count || !pool_has_room(pool)) {
			return;
		}
		if (!h1 && pool_h2_connections(pool) >= service->limits.h2_connections) {
			return;
		}
		pool_dial(pool, false);
	}
}

void pool_probe(struct pool *pool)
{
	ASSERT(!pool->closed);
	if (pool->opening_count == 0 && pool_has_room(pool)) {
		pool_dial(pool, true);
	}
}

/* Gives what is free to who waits, in order; a picky attempt does not hold up the ones behind it.
 */
static void pool_serve(struct pool *pool)
{
	LIST_FOR_EACH_SAFE(node, &pool->waiting) {
		struct attempt *attempt = LIST_ENTRY(node, struct attempt, node);
		struct stream *stream = pool_take(pool, attempt);

		if (stream) {
			pool_cancel(pool, attempt);
			attempt_deliver(attempt, stream);
		} else if (!attempt->fresh && !attempt->non_idempotent) {
			break;
		}
	}
	pool_grow(pool);
}

/* HTTP/1: the exchange has let go. Reuse by C-02, else close. */
static void pool_settle_h1(struct pool_connection *entry)
{
	struct pool *pool = entry->pool;
	struct codec *codec = connection_codec(entry->connection);

	if (entry->place != POOL_OPEN || codec->streams_active > 0) {
		return;
	}
	if (pool->closed || !pool_usable(entry) || !codec->reusable) {
		pool_detach(entry, false);
		return;
	}
	pool_take_out(entry);
	pool_put(entry, POOL_IDLE);
}

/* C-03: beyond the limit the longest idle ones go first, but none that was used just now: a burst
 * of more exchanges than the limit would else open and close connections all the time. */
static void pool_trim(struct pool *pool)
{
	struct service *service = pool_state(pool)->service;
	uint64_t now = service_now_ms(service);

	while (pool->idle_count > service->limits.h1_idle) {
		const struct pool_connection *oldest =
			LIST_ENTRY(pool->idle.prev, struct pool_connection, node);

		if (service->limits.h1_idle > 0 &&
			now - connection_idle_since_ms(oldest->connection) < POOL_BURST_IDLE_MS) {
			break;
		}
		if (!pool_evict(pool)) {
			break;
		}
	}
}

/* A timer that fires before anything new can expire is early enough: requests need no look. */
static void pool_arm_idle(struct pool *pool)
{
	struct instance_state *state = pool_state(pool);
	uint64_t soon_ms = service_now_ms(state->service) + state->service->limits.pool_idle_ms;

	ASSERT(state->service != NULL);
	if (pool->idle_count > state->service->limits.h1_idle) {
		soon_ms = service_now_ms(state->service) + POOL_BURST_IDLE_MS;
	}
	if (!timer_armed(&state->timer) || state->timer.deadline_ms > soon_ms) {
		instance_state_arm(state);
	}
}

static void pool_on_change(struct connection *connection)
{
	struct pool_connection *entry = connection_owner(connection);
	struct pool *pool = entry->pool;
	struct codec *codec = connection_codec(connection);

	if (pool == NULL || entry->place == POOL_OPENING) {
		return;
	}
	if (entry->h2) {
		if (codec->draining && !entry->retired) {
			/* H2-36, MS-03: a sidecar that says GOAWAY at work is going away. */
			entry->retired = true;
			if (pool->protocol == INSTANCE_SIDECAR && codec->streams_active > 0) {
				instance_state_set_tier(pool_state(pool), TIER_DRAINING, true);
			}
		}
		if (codec->streams_active == 0 && !pool_usable(entry)) {
			pool_detach(entry, false);
		}
	} else {
		pool_settle_h1(entry);
	}
	pool_serve(pool);
	pool_trim(pool);
	pool_arm_idle(pool);
	instance_state_release(pool_state(pool));
}

/* Whoever waits takes it; else it idles, for a shorter while than one that was used (C-04). */
static void pool_on_open(struct connection *connection)
{
	struct pool_connection *entry = connection_owner(connection);
	struct pool *pool = entry->pool;

	if (pool == NULL) {
		return;
	}
	pool_take_out(entry);
	pool_put(entry, entry->h2 ? POOL_OPEN : POOL_IDLE);
	instance_state_connected(pool_state(pool));
	pool_serve(pool);
	pool_trim(pool);
	pool_arm_idle(pool);
}

/* The words of reasons.md for a connection that never became usable. */
static enum reason pool_dial_reason(const struct pool *pool, enum reason why)
{
	if (why == REASON_connect_refused || why == REASON_connect_timeout ||
		why == REASON_connect_failed || why == REASON_dns_failed) {
		return why;
	}
	if (why == REASON_upstream_closed || why == REASON_upstream_reset) {
		return REASON_connect_failed;
	}
	return pool->protocol == INSTANCE_SIDECAR ? REASON_peer_not_pillion : REASON_connect_failed;
}

/* Without any open connection everybody who waits is told and goes elsewhere; otherwise only the
 * first, and the others wait for what is open. */
static void pool_fail_waiters(struct pool *pool, enum reason why, const char *detail)
{
	bool all = pool->open_count == 0 && pool->opening_count == 0;

	while (!list_empty(&pool->waiting)) {
		struct attempt *attempt = LIST_ENTRY(pool->waiting.next, struct attempt, node);

		pool_cancel(pool, attempt);
		attempt_fail(attempt, why, detail);
		if (!all) {
			break;
		}
	}
}

static void pool_on_closed(struct connection *connection, enum reason why, const char *detail)
{
	struct pool_connection *entry = connection_owner(connection);
	struct pool *pool = entry->pool;
	struct instance_state *state;

	(void)detail; /* may hold the peer's bytes; messages of replies are fixed texts (RE-05) */
	if (pool == NULL) {
		mem_free(entry);
		return;
	}
	state = pool_state(pool);
	pool_forget(entry);
	if (entry->place == POOL_OPENING) {
		enum reason reason = pool_dial_reason(pool, why);

		state->service->upstream->stats.dial_failures++;
		instance_state_connect_failed(state, entry->probe);
		pool_fail_waiters(pool, reason, reason_info(reason)->text);
	}
	mem_free(entry);
	pool_serve(pool);
	service_wake(state->service);
	instance_state_arm(state);
	instance_state_release(state);
}

static void pool_on_stream(struct connection *connection, struct stream *stream)
{
	(void)connection;
	(void)stream;
	ASSERT(false); /* only servers get streams that they did not open; H2-02 refuses pushes */
}

static const struct connection_events pool_events = {
	.on_open = pool_on_open,
	.on_stream = pool_on_stream,
	.on_change = pool_on_change,
	.on_closed = pool_on_closed,
};

void pool_init(struct pool *pool)
{
	list_init(&pool->idle);
	list_init(&pool->open);
	list_init(&pool->opening);
	list_init(&pool->waiting);
	ASSERT(pool->waiting_count == 0);
}

static void pool_detach_all(struct list_node *list)
{
	while (!list_empty(list)) {
		pool_detach(LIST_ENTRY(list->next, struct pool_connection, node), false);
	}
}

void pool_fini(struct pool *pool)
{
	ASSERT(list_empty(&pool->waiting));
	pool_detach_all(&pool->idle);
	pool_detach_all(&pool->open);
	pool_detach_all(&pool->opening);
	mem_free(pool->host);
	pool->host = NULL;
}

/* Idle and half-made ones go now, those at work when their exchanges are done. */
static void pool_retire(struct pool *pool)
{
	pool_detach_all(&pool->idle);
	pool_detach_all(&pool->opening);
	LIST_FOR_EACH_SAFE(node, &pool->open) {
		struct pool_connection *entry = LIST_ENTRY(node, struct pool_connection, node);
		struct codec *codec = connection_codec(entry->connection);

		entry->retired = true;
		if (codec->streams_active == 0) {
			pool_detach(entry, false);
		}
	}
}

bool pool_set_target(struct pool *pool, const struct instance *instance)
{
	bool first = pool->host == NULL;
	bool same = !first && strcmp(pool->host, instance->host ? instance->host : "") == 0 &&
		    pool->port == instance->port && pool->protocol == instance->protocol &&
		    address_equal(&pool->address, &instance->address);

	if (same && !pool->closed) {
		return false;
	}
	if (!first) {
		pool_retire(pool);
	}
	mem_free(pool->host);
	pool->host = mem_strdup(instance->host ? instance->host : "");
	pool->port = instance->port;
	pool->protocol = instance->protocol;
	pool->address = instance->address;
	pool->closed = false;
	pool_grow(pool);
	return true;
}

void pool_close(struct pool *pool)
{
	pool->closed = true;
	pool_retire(pool);
	/* Nothing was sent for who waits: another instance serves it as well. */
	while (!list_empty(&pool->waiting)) {
		struct attempt *attempt = LIST_ENTRY(pool->waiting.next, struct attempt, node);

		pool_cancel(pool, attempt);
		attempt_choose_again(attempt);
	}
	ASSERT(pool->waiting_count == 0);
}

enum pool_result pool_acquire(struct pool *pool, struct attempt *attempt)
{
	struct service *service = pool_state(pool)->service;

	/* Nobody overtakes who waits; what is free after that was too old for them (MT-03). */
	if (!list_empty(&pool->waiting)) {
		pool_serve(pool);
	}
	attempt->stream = pool_take(pool, attempt);
	if (attempt->stream) {
		return POOL_READY;
	}
	if (service->queued >= service->limits.queued) {
		return POOL_FULL;
	}
	list_push_back(&pool->waiting, &attempt->node);
	pool->waiting_count++;
	service->queued++;
	pool_grow(pool);
	return POOL_WAIT;
}

void pool_cancel(struct pool *pool, struct attempt *attempt)
{
	struct service *service = pool_state(pool)->service;

	ASSERT(pool->waiting_count > 0 && service->queued > 0);
	list_unlink(&attempt->node);
	pool->waiting_count--;
	service->queued--;
}

/* How long this one may stay unused (T-13, C-04). */
static uint64_t pool_idle_limit(const struct pool_connection *entry)
{
	const struct service_limits *limits = &pool_state(entry->pool)->service->limits;
	uint64_t limit = entry->h2 ? limits->h2_pool_idle_ms : limits->pool_idle_ms;
	uint32_t keep_alive_s = connection_codec(entry->connection)->keep_alive_s;

	if (!entry->used && limit > POOL_UNUSED_IDLE_MS) {
		return POOL_UNUSED_IDLE_MS;
	}
	if (!entry->h2 && keep_alive_s > 0) {
		keep_alive_s = keep_alive_s - 1 < POOL_KEEP_ALIVE_MAX_S ? keep_alive_s - 1
									: POOL_KEEP_ALIVE_MAX_S;
		return keep_alive_s * UINT64_C(1000);
	}
	return limit;
}

static uint64_t pool_expire_list(struct list_node *list, uint64_t now_ms)
{
	uint64_t next_ms = UINT64_MAX;

	LIST_FOR_EACH_SAFE(node, list) {
		struct pool_connection *entry = LIST_ENTRY(node, struct pool_connection, node);
		uint64_t until_ms =
			connection_idle_since_ms(entry->connection) + pool_idle_limit(entry);

		if (connection_codec(entry->connection)->streams_active > 0) {
			continue;
		}
		if (until_ms <= now_ms) {
			pool_detach(entry, false);
		} else if (until_ms < next_ms) {
			next_ms = until_ms;
		}
	}
	return next_ms;
}

uint64_t pool_expire_idle(struct pool *pool, uint64_t now_ms)
{
	uint64_t idle_ms = pool_expire_list(&pool->idle, now_ms);
	uint64_t open_ms = UINT64_MAX;

	if (pool->protocol != INSTANCE_HTTP1) {
		open_ms = pool_expire_list(&pool->open, now_ms);
	}
	pool_trim(pool);
	if (pool->idle_count > pool_state(pool)->service->limits.h1_idle &&
		now_ms + POOL_BURST_IDLE_MS < idle_ms) {
		idle_ms = now_ms + POOL_BURST_IDLE_MS;
	}
	return idle_ms < open_ms ? idle_ms : open_ms;
}

bool pool_evict(struct pool *pool)
{
	if (list_empty(&pool->idle)) {
		return false;
	}
	ASSERT(pool->idle_count > 0);
	pool_detach(LIST_ENTRY(pool->idle.prev, struct pool_connection, node), false);
	return true;
}

bool pool_is_empty(const struct pool *pool)
{
	return pool->idle_count + pool->open_count + pool->opening_count + pool->waiting_count == 0;
}
