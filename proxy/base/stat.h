/*
 * stat: log-linear histograms (operations.md MN-04): eight steps per power of two from 1 us to 1 h,
 * error <= 12.5 %; and counters. Written by one thread, read by another at scrape, which may be one
 * event behind.
 */
#ifndef PILLION_BASE_STAT_H
#define PILLION_BASE_STAT_H

#include <stddef.h>
#include <stdint.h>

#define STAT_BUCKETS 264

/* Relaxed accesses are plain moves on 64-bit machines; no lock and no bus cycle. */
static inline uint64_t stat_load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

/* The writing thread only. */
static inline void stat_add(uint64_t *word, uint64_t step)
{
	__atomic_store_n(word, *word + step, __ATOMIC_RELAXED);
}

static inline void stat_sub(uint64_t *word, uint64_t step)
{
	stat_add(word, 0 - step);
}

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
