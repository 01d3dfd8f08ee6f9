/*
 * stats: the counters of one worker's data path (operations.md 10). Written by the worker alone
 * with stat_add, read by control with stat_load; a scrape may be one event behind. Series are
 * added, never removed while the server lives, so a reader may keep pointers into them.
 */
#ifndef PILLION_EXCHANGE_STATS_H
#define PILLION_EXCHANGE_STATS_H

#include <stdatomic.h>

#include "base/codes.h"
#include "base/stat.h"
#include "exchange/decision.h"
#include "upstream/upstream.h"

enum stats_protocol { STATS_HTTP1, STATS_HTTP2, STATS_GRPC, STATS_PROTOCOLS };

enum {
	STATS_CLASSES = 6, /* 0: none, 1..5: 1xx..5xx */
	STATS_GRPC_CODES = 17,
	STATS_SERIES_MAX = 1024, /* services and directions; beyond it `_other` (MN-03) */
	STATS_LISTENERS_MAX = 64,
	STATS_NAME_SIZE = 256,
};

struct stats_series { /* one service and direction */
	char service[STATS_NAME_SIZE];
	bool inbound;
	uint64_t requests[STATS_PROTOCOLS][STATS_CLASSES];
	uint64_t reasons[REASON_COUNT];
	uint64_t grpc_codes[STATS_GRPC_CODES];
	uint64_t attempts[CLASS_CANCELLED + 1];
	uint64_t retries[RETRY_STOP_COUNT]; /* [NONE]: attempts after the first */
	uint64_t request_bytes, response_bytes;
	uint64_t in_flight;
	struct histogram duration;
};

struct stats_listener {
	char name[STATS_NAME_SIZE];
	uint64_t connections; /* now */
	uint64_t accepted;
	uint64_t closed[REASON_COUNT];
	uint64_t cuts[REASON_COUNT]; /* exchanges that ended after their response head */
};

struct server_stats {
	atomic_uint series_count;
	struct stats_series *series[STATS_SERIES_MAX];
	uint64_t series_overflow;
	atomic_uint listener_count;
	struct stats_listener *listeners[STATS_LISTENERS_MAX];
	struct histogram overhead[2]; /* [inbound] */
	uint64_t streams;	      /* downstream, now */
	uint64_t exchanges;	      /* ever begun; each ends in one record (C-13) */
	uint64_t stripped_headers, trailers_dropped;
	uint64_t replay_dropped;
	uint64_t records_dropped;
};

/* Finds or adds; the last slot is `_other`. Worker only. */
struct stats_series *stats_series(struct server_stats *stats, struct slice service, bool inbound);
struct stats_listener *stats_listener(struct server_stats *stats, const char *name);
void stats_fini(struct server_stats *stats);

/* For the metrics page: every series and listener of one worker. Any thread. */
struct stats_walk {
	void (*on_series)(void *context, const struct stats_series *series);
	void (*on_listener)(void *context, const struct stats_listener *listener);
	void *context;
};
void stats_walk(const struct server_stats *stats, const struct stats_walk *walk);
const char *stats_protocol_word(enum stats_protocol protocol);
const char *stats_attempt_word(enum attempt_class class); /* "F0".."FS", "ok", "cancelled" */

#endif
