/*
 * stat: log-linear histograms (operations.md MN-04): eight steps per power of two from 1 us to 1 h,
 * error <= 12.5 %. Written by one thread with plain stores, read by another at scrape; a torn count
 * is impossible on 64-bit words, a scrape may be one event behind.
 */
#ifndef PILLION_BASE_STAT_H
#define PILLION_BASE_STAT_H

#include <stddef.h>
#include <stdint.h>

#define STAT_BUCKETS 264

struct histogram {
	uint64_t counts[STAT_BUCKETS];
	uint64_t count;
	uint64_t sum_us;
};

void histogram_add(struct histogram *histogram, uint64_t value_us);
void histogram_merge(struct histogram *target, const struct histogram *source);
/* Number of values <= bound_us, for Prometheus buckets. */
uint64_t histogram_count_below(const struct histogram *histogram, uint64_t bound_us);
/* Value at quantile 0..1000 per mille, in us; 0 when empty. */
uint64_t histogram_quantile(const struct histogram *histogram, unsigned per_mille);

#endif
