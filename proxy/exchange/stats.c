/*
 * stats: series are only ever added, and published by storing the new count after the pointer, so a
 * scrape on another thread sees each series whole or not at all. Finding one walks the list:
 * callers do that once per name and keep the pointer in a map of their own.
 */
#include "exchange/stats.h"

#include "base/assert.h"
#include "base/mem.h"

static void stats_set_name(char name[STATS_NAME_SIZE], struct slice text)
{
	size_t size = text.size < STATS_NAME_SIZE - 1 ? text.size : STATS_NAME_SIZE - 1;

	if (size > 0) {
		memcpy(name, text.data, size);
	}
	name[size] = '\0';
}

struct stats_series *stats_series(struct server_stats *stats, struct slice service, bool inbound)
{
	unsigned count = atomic_load_explicit(&stats->series_count, memory_order_relaxed);
	struct stats_series *series;

	/* Called once per service: callers keep the pointer. */
	for (unsigned i = 0; i < count; i++) {
		series = stats->series[i];
		if (series->inbound == inbound &&
			slice_equal(slice_from_string(series->service), service)) {
			return series;
		}
	}
	/* MN-03: the last two places stand for all further names. */
	if (count >= STATS_SERIES_MAX - 2 && !slice_equal(service, SLICE("_other"))) {
		stat_add(&stats->series_overflow, 1);
		return stats_series(stats, SLICE("_other"), inbound);
	}
	ASSERT(count < STATS_SERIES_MAX);
	series = mem_zalloc(sizeof(*series));
	stats_set_name(series->service, service);
	series->inbound = inbound;
	stats->series[count] = series;
	atomic_store_explicit(&stats->series_count, count + 1, memory_order_release);
	return series;
}

struct stats_listener *stats_listener(struct server_stats *stats, const char *name)
{
	unsigned count = atomic_load_explicit(&stats->listener_count, memory_order_relaxed);
	struct stats_listener *listener;

	for (unsigned i = 0; i < count; i++) {
		if (strcmp(stats->listeners[i]->name, name) == 0) {
			return stats->listeners[i];
		}
	}
	if (count == STATS_LISTENERS_MAX) {
		return stats->listeners[STATS_LISTENERS_MAX - 1];
	}
	listener = mem_zalloc(sizeof(*listener));
	stats_set_name(listener->name, slice_from_string(name));
	stats->listeners[count] = listener;
	atomic_store_explicit(&stats->listener_count, count + 1, memory_order_release);
	return listener;
}

void stats_fini(struct server_stats *stats)
{
	unsigned series = atomic_load(&stats->series_count);
	unsigned listeners = atomic_load(&stats->listener_count);

	for (unsigned i = 0; i < series; i++) {
		mem_free(stats->series[i]);
	}
	for (unsigned i = 0; i < listeners; i++) {
		mem_free(stats->listeners[i]);
	}
	atomic_store(&stats->series_count, 0);
	atomic_store(&stats->listener_count, 0);
}

void stats_walk(const struct server_stats *stats, const struct stats_walk *walk)
{
	unsigned series = atomic_load_explicit(&stats->series_count, memory_order_acquire);
	unsigned listeners = atomic_load_explicit(&stats->listener_count, memory_order_acquire);

	ASSERT(series <= STATS_SERIES_MAX && listeners <= STATS_LISTENERS_MAX);
	for (unsigned i = 0; i < series && walk->on_series != NULL; i++) {
		walk->on_series(walk->context, stats->series[i]);
	}
	for (unsigned i = 0; i < listeners && walk->on_listener != NULL; i++) {
		walk->on_listener(walk->context, stats->listeners[i]);
	}
}

const char *stats_protocol_word(enum stats_protocol protocol)
{
	static const char *const words[STATS_PROTOCOLS] = {"http1", "http2", "grpc"};

	ASSERT(protocol < STATS_PROTOCOLS);
	return words[protocol];
}

const char *stats_attempt_word(enum attempt_class class)
{
	static const char *const words[] = {
		[CLASS_F0] = "F0",
		[CLASS_F1] = "F1",
		[CLASS_F2] = "F2",
		[CLASS_F3] = "F3",
		[CLASS_F4] = "F4",
		[CLASS_F5] = "F5",
		[CLASS_FS] = "FS",
		[CLASS_OK] = "ok",
		[CLASS_CANCELLED] = "cancelled",
	};

	ASSERT((size_t) class < ARRAY_SIZE(words));
	return words[class];
}
