/* The retained log: see raft_log.h. */
#include <stdlib.h>
#include <string.h>

#include "raftreg/core/check.h"
#include "raftreg/core/raft.h"
#include "raftreg/core/raft_log.h"

/* Gives back the references of the entries at places from..to. */
static void drop_entries(struct raft_log *log, size_t from, size_t to)
{
	ASSERT(from <= to);
	ASSERT(to <= log->count);
	for (size_t i = from; i < to; i++) {
		raft_entry_unref(&log->base[log->start + i]);
	}
}

void raft_log_fini(struct raft_log *log)
{
	ASSERT(log != NULL);
	ASSERT(log->start + log->count <= log->capacity);
	drop_entries(log, 0, log->count);
	free(log->base);
	memset(log, 0, sizeof(*log));
}

void raft_log_reset(struct raft_log *log, uint64_t index, uint64_t term)
{
	ASSERT(log->start + log->count <= log->capacity);
	ASSERT((index == 0) == (term == 0));
	drop_entries(log, 0, log->count);
	log->start = 0;
	log->count = 0;
	log->before_index = index;
	log->before_term = term;
}

uint64_t raft_log_first(const struct raft_log *log)
{
	ASSERT(log->before_index < UINT64_MAX);
	ASSERT(log->start + log->count <= log->capacity);
	return log->before_index + 1;
}

uint64_t raft_log_last(const struct raft_log *log)
{
	ASSERT(log->count <= UINT64_MAX - log->before_index);
	ASSERT(log->start + log->count <= log->capacity);
	return log->before_index + log->count;
}

/* The position before the first entry counts: its term came with the snapshot. */
bool raft_log_knows(const struct raft_log *log, uint64_t index)
{
	ASSERT(log != NULL);
	ASSERT(log->start + log->count <= log->capacity);
	return index >= log->before_index && index - log->before_index <= log->count;
}

uint64_t raft_log_term(const struct raft_log *log, uint64_t index)
{
	ASSERT(log != NULL);
	if (!raft_log_knows(log, index)) {
		return 0;
	}
	if (index == log->before_index) {
		return log->before_term;
	}
	const struct raft_entry *entry = &log->base[log->start + (index - log->before_index - 1)];
	ASSERT(entry->index == index);
	ASSERT(entry->term > 0);
	return entry->term;
}

uint64_t raft_log_last_term(const struct raft_log *log)
{
	ASSERT(log != NULL);
	ASSERT(log->start + log->count <= log->capacity);
	return raft_log_term(log, raft_log_last(log));
}

/* Log Matching: who has the same (index, term) has the same log up to there. */
bool raft_log_matches(const struct raft_log *log, uint64_t index, uint64_t term)
{
	ASSERT(log != NULL);
	ASSERT(index > 0 || term == 0 || log->before_index == 0);
	return raft_log_knows(log, index) && raft_log_term(log, index) == term;
}

const struct raft_entry *raft_log_at(const struct raft_log *log, uint64_t index)
{
	ASSERT(log != NULL);
	if (index <= log->before_index || index > raft_log_last(log)) {
		return NULL;
	}
	const struct raft_entry *entry = &log->base[log->start + (index - log->before_index - 1)];
	ASSERT(entry->index == index);
	return entry;
}

/* The only way in, for leader, follower and recovery. */
void raft_log_append(struct raft_log *log, const struct raft_entry *entry)
{
	ASSERT(entry->index == raft_log_last(log) + 1);
	ASSERT(entry->term >= raft_log_last_term(log));
	/* The gap that compaction left is used before memory is asked for: a log of steady length
	 * moves each entry once per its own length of new ones. */
	if (log->start + log->count == log->capacity && log->start > log->count) {
		memmove(log->base, log->base + log->start, log->count * sizeof(*log->base));
		log->start = 0;
	}
	log->base = trace_grow(
		log->base, &log->capacity, log->start + log->count + 1, sizeof(*log->base));
	log->base[log->start + log->count] = *entry;
	raft_entry_ref(entry);
	log->count++;
}

/* Memory only: the driver writes a truncation as a record of its own (RS-04). */
void raft_log_truncate(struct raft_log *log, uint64_t from)
{
	ASSERT(from > log->before_index);
	ASSERT(from <= raft_log_last(log) + 1);
	size_t keep = (size_t)(from - log->before_index - 1);

	drop_entries(log, keep, log->count);
	log->count = keep;
}

/* The last dropped position keeps its term, for the entry after it is sent with it as prev. */
void raft_log_compact(struct raft_log *log, uint64_t index)
{
	ASSERT(index <= raft_log_last(log));
	if (index <= log->before_index) {
		return;
	}
	uint64_t term = raft_log_term(log, index);
	size_t drop = (size_t)(index - log->before_index);

	ASSERT(drop <= log->count);
	drop_entries(log, 0, drop);
	log->start += drop;
	log->count -= drop;
	log->before_index = index;
	log->before_term = term;
}

uint64_t raft_log_conflict(
	const struct raft_log *log, uint64_t index, uint64_t term, uint64_t *ret_term)
{
	ASSERT(log != NULL);
	ASSERT(ret_term != NULL);
	uint64_t low = log->before_index, high = index;

	if (!raft_log_knows(log, index)) {
		*ret_term = 0;
		return index;
	}
	/* Terms never fall along the log, so the answer is found by halving. */
	if (raft_log_term(log, low) > term) {
		*ret_term = 0;
		return low > 0 ? low - 1 : 0;
	}
	while (low < high) {
		uint64_t middle = low + (high - low + 1) / 2;

		if (raft_log_term(log, middle) <= term) {
			low = middle;
		} else {
			high = middle - 1;
		}
	}
	*ret_term = raft_log_term(log, low);
	ASSERT(*ret_term <= term);
	return low;
}

uint64_t raft_log_bytes(const struct raft_log *log, uint64_t from, uint64_t to)
{
	uint64_t bytes = 0;

	ASSERT(from <= to + 1);
	ASSERT(to <= raft_log_last(log));
	for (uint64_t index = from; index <= to; index++) {
		const struct raft_entry *entry = raft_log_at(log, index);

		ASSERT(entry != NULL);
		bytes += entry->payload ? entry->payload->length : 0;
	}
	return bytes;
}

void raft_log_copy(struct raft_log *log, const struct raft_log *other)
{
	ASSERT(log->count == 0);
	ASSERT(log != other);
	raft_log_reset(log, other->before_index, other->before_term);
	for (size_t i = 0; i < other->count; i++) {
		raft_log_append(log, &other->base[other->start + i]);
	}
}
