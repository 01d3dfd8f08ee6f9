/*
 * birth: how a replica with an empty directory comes to a cluster (registry.md RB-01, RB-02): it
 * founds one when it is told to and nobody knows of another, or it looks for one. Registry thread;
 * birth_decide runs before that starts. Internal to raftreg.
 */
#ifndef PILLION_RAFTREG_BIRTH_H
#define PILLION_RAFTREG_BIRTH_H

#include "raftreg/node.h"

/* Blocking, at the start: with bootstrap "alone" the seeds are asked first. -errno with err: 1230,
 * 1234, 2102. */
MUST_CHECK int birth_decide(
	struct raftreg_node *node, const struct raftreg_node_options *options, struct err *err);
/* While there is no cluster: bootstrap "with-seeds", and a word to the log. */
void birth_tick(struct raftreg_node *node, uint64_t now_ms);
/* True: this hello is an answer to birth_decide's question, and nothing else. */
bool birth_meet(struct raftreg_node *node, const struct wire_hello *hello);
/* A sidecar that belongs to a cluster came here: none is born by itself any more (RB-02). */
void birth_veto(struct raftreg_node *node);

#endif
