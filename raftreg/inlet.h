/*
 * inlet: what accepted streams are for: Raft messages of a peer, requests relayed by another
 * replica, or a sidecar's session (which fanout.h has). Registry thread.
 */
#ifndef PILLION_RAFTREG_INLET_H
#define PILLION_RAFTREG_INLET_H

#include "raftreg/gate.h"

struct raftreg_node;

/* RT-03: the status of a stream whose replica has less than it acknowledged. */
#define INLET_ABORTED 10
#define INLET_LOST    "lost entries"

/* One table for all kinds of streams; the kind of a stream decides who owns it. */
extern const struct gate_events inlet_events; /* their owner is the node */

/* Says hello again to every replica that dialled: this one has a cluster now, or waits for one. */
void inlet_greet_all(struct raftreg_node *node);

/* A replica that said hello has its control stream open. */
bool inlet_is_open(struct raftreg_node *node, uint64_t id);

#endif
