/*
 * inlet: what accepted streams are for: Raft messages of a peer, requests relayed by another
 * replica, or a sidecar's session (which fanout.h has). Registry thread.
 */
#ifndef PILLION_RAFTREG_INLET_H
#define PILLION_RAFTREG_INLET_H

#include "raftreg/gate.h"

extern const struct gate_events inlet_events; /* their owner is the node */

#endif
