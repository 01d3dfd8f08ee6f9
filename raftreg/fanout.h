/*
 * fanout: the sidecars' session streams on a replica: subscriptions, deltas, whole sets, bookmarks
 * (registry.md 9). A subscriber has a cursor and a set of dirty names, never a queue of changes.
 * A change is encoded once per set and turn, and shared. Registry thread.
 */
#ifndef PILLION_RAFTREG_FANOUT_H
#define PILLION_RAFTREG_FANOUT_H

#include "raftreg/node.h"

/* One for each replica, whatever its role: watches need no leader (RR-01, RV-07). */
struct fanout *fanout_create(struct raftreg_node *node);
void fanout_destroy(struct fanout *fanout);

/* Of the gate. */
void fanout_open(struct fanout *fanout, struct gate_stream *stream);
void fanout_message(struct fanout *fanout, struct gate_stream *stream, struct slice message);
void fanout_closed(struct fanout *fanout, struct gate_stream *stream);
void fanout_writable(struct fanout *fanout, struct gate_stream *stream);

/* After entries were applied: sends what changed. */
void fanout_publish(struct fanout *fanout);
/* What happened to the state has no deltas: every watcher begins anew. */
void fanout_reset(struct fanout *fanout);
/* Each NODE_TICK_MS: bookmarks (RW-05) and the end of waiting for a replica that
 * lags (RW-02). */
void fanout_tick(struct fanout *fanout, uint64_t now_ms);
/* Asks every sidecar to go elsewhere, and ends the streams. */
void fanout_close_all(struct fanout *fanout, const char *why);
size_t fanout_count(const struct fanout *fanout); /* streams */

#endif
