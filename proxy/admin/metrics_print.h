/* metrics_print: sums of all workers as Prometheus text 0.0.4 (operations.md 10), one piece after
 * the other, so that a long page is made over many loop turns (AD-05). Pure but for the process's
 * own figures. */
#ifndef PILLION_ADMIN_METRICS_PRINT_H
#define PILLION_ADMIN_METRICS_PRINT_H

#include "base/buf.h"
#include "base/map.h"
#include "exchange/stats.h"
#include "filters/translate.h"
#include "upstream/upstream.h"

struct control;

struct metrics_service {
	uint32_t tiers[TIER_COUNT];
	uint64_t queued;
};

/* Sums over all workers, made anew for each scrape. Maps own their values. */
struct metrics_totals {
	struct map series;    /* "i" or "o" + service -> struct stats_series */
	struct map listeners; /* name -> struct stats_listener */
	struct map services;  /* name -> struct metrics_service */
	uint64_t stripped_headers, trailers_dropped, series_overflow, records_dropped;
	uint64_t streams, buffer_bytes, unsolicited, pool_connections;
	struct histogram overhead[2];
	struct translate_totals translate;
};

/* Where a page stands: a family, and an entry of what the family is about. Starts zeroed. */
struct metrics_cursor {
	size_t family, entry;
};

/* Appends the lines of one family for one entry, at most about 2 KiB; false: nothing is left. The
 * totals must not change between the calls. */
bool metrics_print_piece(
	struct metrics_cursor *cursor, const struct metrics_totals *totals, struct buf *text);
void metrics_print_control(struct control *control, struct buf *text);

#endif
