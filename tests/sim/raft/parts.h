/*
 * parts: the rest of sim.h, which is what to include: network, clients and faults, checks.
 */
#ifndef PILLION_TESTS_SIM_RAFT_PARTS_H
#define PILLION_TESTS_SIM_RAFT_PARTS_H

#include "tests/sim/raft/sim.h"

/* net.c */
struct sim_message *sim_message_copy(const struct raft_message *message);
void sim_message_free(struct sim_message *message);
/* Takes the message over: lost, doubled, delayed as the rates say. */
void sim_send(struct sim_replica *from, struct sim_message *message);
void sim_deliver(struct sim_world *world, struct sim_event *event);
void sim_transfer_ended(struct sim_world *world, const struct sim_event *event);

/* client.c */
void sim_client(struct sim_world *world);
void sim_read_answered(struct sim_replica *replica, const struct raft_read *read);
bool sim_propose(struct sim_replica *replica);
bool sim_read_once(struct sim_replica *replica);

/* rates.c */
void sim_draw_rates(struct sim_world *world);

/* nemesis.c */
void sim_nemesis(struct sim_world *world);
void sim_kill(struct sim_replica *replica);
void sim_calm_down(struct sim_world *world); /* heal, thaw, start all: the liveness phase begins */

#endif
