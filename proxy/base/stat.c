#include "base/stat.h"

#include "base/assert.h"

#define STAT_STEP_BITS 3 /* eight steps per power of two */
#define STAT_STEPS     (1U << STAT_STEP_BITS)

/* Values below eight have a bucket each; above, the top three bits below the highest choose it. */
static size_t stat_bucket(uint64_t value)
{
	unsigned exponent;
	size_t bucket;

	if (value < STAT_STEPS) {
		return (size_t)value;
	}
	exponent = 63U - (unsigned)__builtin_clzll(value);
	bucket = (size_t)(exponent - STAT_STEP_BITS + 1) * STAT_STEPS +
		 (size_t)((value >> (exponent - STAT_STEP_BITS)) & (STAT_STEPS - 1));
	/* Hours beyond the scale all fall into the last bucket. */
	return bucket < STAT_BUCKETS ? bucket : STAT_BUCKETS - 1;
}

static uint64_t stat_bucket_low(size_t bucket)
{
	size_t power = bucket / STAT_STEPS;

	ASSERT(bucket < STAT_BUCKETS);
	if (power == 0) {
		return bucket;
	}
	return (uint64_t)(STAT_STEPS + bucket % STAT_STEPS) << (power - 1);
}

void histogram_add(struct histogram *histogram, uint64_t value_us)
{
	size_t bucket = stat_bucket(value_us);

	ASSERT(bucket < STAT_BUCKETS);
	stat_add(&histogram->counts[bucket], 1);
	stat_add(&histogram->count, 1);
	stat_add(&histogram->sum_us, value_us);
}

void histogram_merge(struct histogram *target, const struct histogram *source)
{
	ASSERT(target != source);
	for (size_t i = 0; i < STAT_BUCKETS; i++) {
		stat_add(&target->counts[i], stat_load(&source->counts[i]));
	}
	stat_add(&target->count, stat_load(&source->count));
	stat_add(&target->sum_us, stat_load(&source->sum_us));
}

uint64_t histogram_count_below(const struct histogram *histogram, uint64_t bound_us)
{
	size_t last = stat_bucket(bound_us);
	uint64_t count = 0;

	ASSERT(last < STAT_BUCKETS);
	/* The bucket of the bound counts whole: at most one step, 12.5 %, too generous. */
	for (size_t i = 0; i <= last; i++) {
		count += stat_load(&histogram->counts[i]);
	}
	return count;
}

uint64_t histogram_quantile(const struct histogram *histogram, unsigned per_mille)
{
	uint64_t total = 0;
	uint64_t rank;
	uint64_t seen = 0;

	ASSERT(per_mille <= 1000);
	/* Summed here, not read from count: the writer may be between the two. */
	for (size_t i = 0; i < STAT_BUCKETS; i++) {
		total += stat_load(&histogram->counts[i]);
	}
	if (total == 0) {
		return 0;
	}
	rank = (total / 1000) * per_mille + (total % 1000) * per_mille / 1000;
	for (size_t i = 0; i < STAT_BUCKETS; i++) {
		seen += stat_load(&histogram->counts[i]);
		if (seen > rank || seen == total) {
			return stat_bucket_low(i);
		}
	}
	return stat_bucket_low(STAT_BUCKETS - 1);
}
