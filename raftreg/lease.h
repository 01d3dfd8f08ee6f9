/*
 * lease: how long sessions live, on the leader only and in its memory (registry.md 8). Renewals are
 * bound to a confirmed read, so a deposed leader can neither answer nor extend. Registry thread.
 */
#ifndef PILLION_RAFTREG_LEASE_H
#define PILLION_RAFTREG_LEASE_H

#include "raftreg/node.h"

/* RN-07: this replica has just begun to lead: every session gets a whole new lease. */
void lease_begin(struct raftreg_node *node);
/* A session began, or was heard of by a renewal received at received_ms (RN-03). */
void lease_extend(struct raftreg_node *node, struct state_session *session, uint64_t received_ms);
/* Each NODE_TICK_MS: proposes SUSPECT and EXPIRE, within registry.expire_per_s. */
void lease_tick(struct raftreg_node *node, uint64_t now_ms);
/* A read begun after a late turn is confirmed (RN-08). */
void lease_confirmed(struct raftreg_node *node);
/* Proposes REVIVE for a suspect session that was heard of; false: not now. */
bool lease_revive(struct raftreg_node *node, struct state_session *session);

#endif
