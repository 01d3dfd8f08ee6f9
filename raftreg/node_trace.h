/*
 * node_trace: the last decisions of a replica's core, one line each (registry.md RO-03), for people
 * and for the moment when the process aborts. Owner: the node. Registry thread; what is printed at
 * an abort is that of the thread that aborts.
 */
#ifndef PILLION_RAFTREG_NODE_TRACE_H
#define PILLION_RAFTREG_NODE_TRACE_H

#include "base/buf.h"

#define NODE_TRACE_LINES 4096u
#define NODE_TRACE_BYTES 120u /* of a line; what is longer is cut */

struct node_trace;

struct node_trace *node_trace_create(void);
void node_trace_destroy(struct node_trace *trace);
/* Lines as raft_trace gives them, each ended by a newline. Of several commits in a row the last
 * one is kept, and of refusals. */
void node_trace_add(struct node_trace *trace, uint64_t now_ms, const char *lines);
/* {"lines":["1234 follow 0 in term 2", ...]}, oldest first. */
void node_trace_json(const struct node_trace *trace, struct buf *ret_json);
/* Should this thread abort from now on, the lines go to standard error. NULL: none of them. */
void node_trace_on_abort(struct node_trace *trace);

#endif
