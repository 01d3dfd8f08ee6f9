/*
 * reads: the rest of internal.h, which is what to include: ReadIndex, snapshots, traces.
 */
#ifndef PILLION_RAFTREG_CORE_READS_H
#define PILLION_RAFTREG_CORE_READS_H

#include "raftreg/core/raft.h"

/* read.c */
enum raft_refusal read_request(struct raft *raft, uint64_t cookie);
void read_on_index_request(struct raft *raft, const struct raft_message *message);
void read_on_index_response(struct raft *raft, const struct raft_message *message);
/* Acks or the configuration changed: answer what is confirmed, start the next round. */
void read_try_confirm(struct raft *raft);
/* The first own-term entry is committed: waiting reads get their index and position. */
void read_on_commit(struct raft *raft);
/* RI-06: an uncertain replica asks its leader how long the log is. */
void read_ask_certainty(struct raft *raft);
void read_fail_all(struct raft *raft);
void read_expire(struct raft *raft);
uint64_t read_deadline(const struct raft *raft);

/* snapshot.c */
bool snapshot_send(struct raft *raft, uint64_t to);
void snapshot_on_message(struct raft *raft, const struct raft_message *message);
void snapshot_on_made(struct raft *raft, const struct raft_snapshot_made *made);
void snapshot_on_done(struct raft *raft, uint64_t peer, bool ok);

/* trace.c */
__attribute__((format(printf, 2, 3))) void trace_line(struct raft *raft, const char *format, ...);
const char *trace_find_breach(const struct raft *raft);
uint64_t trace_hash_state(const struct raft *raft);

#endif
