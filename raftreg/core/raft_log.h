/*
 * raft_log: the retained part of the log, all of it in memory and contiguous (RC-11). It owns one
 * reference of every payload. Terms never fall along it. Internal to raftreg/core.
 */
#ifndef PILLION_RAFTREG_CORE_RAFT_LOG_H
#define PILLION_RAFTREG_CORE_RAFT_LOG_H

#include "raftreg/core/message.h"

struct raft_log {
	struct raft_entry *base;
	size_t capacity, start, count; /* the entries are base[start .. start + count) */
	uint64_t before_index;	       /* the position before the first entry; its term is known */
	uint64_t before_term;
};

void raft_log_fini(struct raft_log *log);
/* Drops everything: the log then ends, and is compacted, at (index, term). */
void raft_log_reset(struct raft_log *log, uint64_t index, uint64_t term);
uint64_t raft_log_first(const struct raft_log *log); /* before_index + 1, also when empty */
uint64_t raft_log_last(const struct raft_log *log);
uint64_t raft_log_last_term(const struct raft_log *log);
/* Whether the term at index is known: before_index <= index <= last. */
bool raft_log_knows(const struct raft_log *log, uint64_t index);
uint64_t raft_log_term(const struct raft_log *log, uint64_t index); /* 0 when not known */
/* Whether (index, term) is in the log; (0, 0) is in every log that begins at the start. */
bool raft_log_matches(const struct raft_log *log, uint64_t index, uint64_t term);
/* NULL when compacted or beyond the end. Lent until the log changes. */
const struct raft_entry *raft_log_at(const struct raft_log *log, uint64_t index);
/* Takes a reference of its own; entry->index is last + 1. */
void raft_log_append(struct raft_log *log, const struct raft_entry *entry);
/* Drops entries with index >= from. */
void raft_log_truncate(struct raft_log *log, uint64_t from);
/* Forgets entries with index <= index. */
void raft_log_compact(struct raft_log *log, uint64_t index);
/* RM-11: the greatest j <= index whose term is <= term, and that term; (j, 0) where terms are
 * unknown; (0, 0) at the start. */
uint64_t raft_log_conflict(
	const struct raft_log *log, uint64_t index, uint64_t term, uint64_t *ret_term);
/* Payload bytes of the entries in [from, to]; both inside the log, from = to + 1 is empty. */
uint64_t raft_log_bytes(const struct raft_log *log, uint64_t from, uint64_t to);
/* Copies into an empty log, sharing the payloads. */
void raft_log_copy(struct raft_log *log, const struct raft_log *other);

#endif
