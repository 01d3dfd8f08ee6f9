/*
 * sim: a whole cluster of real cores in one process (registry.md 16). One seed decides everything:
 * the world owns replicas, network, disks, clients, faults, an event heap and the only clock. A
 * replica's core is moved by a driver behind `struct sim_driver_ops`; the one here keeps the disk
 * in memory, a later one may use real log and vote files. One thread.
 */
#ifndef PILLION_TESTS_SIM_RAFT_SIM_H
#define PILLION_TESTS_SIM_RAFT_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/sim/raft/oracle.h"
#include "tests/sim/raft/replica.h"

enum sim_event_kind {
	SIM_TIMER,
	SIM_DELIVER,
	SIM_DISK,
	SIM_APPLY,
	SIM_SNAPSHOT_WRITTEN,
	SIM_TRANSFER_ENDED,
	SIM_START,
	SIM_CLIENT,
	SIM_NEMESIS
};

struct sim_event {
	uint64_t at_us, order;
	enum sim_event_kind kind;
	uint64_t replica, boot, value; /* boot 0: any life of the replica */
	bool ok;
	struct sim_message *message;
};

/* Rates, all drawn from the seed (SIM-02); per mille where no unit is named. */
struct sim_rates {
	uint32_t loss, duplicate, slow, net_us, slow_us, disk_us, apply_us;
	uint32_t snapshot_every, trailing, client_us, nemesis_us;
	uint32_t changes, cuts, kills, pauses, partitions, hints;
	bool storm; /* leaders fall as soon as they rise, links come and go one by one */
};

struct sim_world {
	uint64_t seed, random[4], now_us, steps, steps_max, order;
	bool tracing, calm; /* calm: the liveness phase, no faults any more */
	struct raft_options options;
	struct sim_rates rates;
	struct sim_replica replicas[SIM_REPLICAS_MAX + 1]; /* by id; 0 unused */
	uint64_t replica_count;
	bool blocked[SIM_REPLICAS_MAX + 1][SIM_REPLICAS_MAX + 1]; /* from, to */
	struct sim_event *heap;
	size_t heap_capacity, heap_count;
	uint64_t next_value, next_cookie, reads_done, proposals_done, changes_done, kills, cuts;
	uint64_t last_leader_us, leader_changes;
	uint64_t trace_hash;
	struct oracle oracle;
};

/* world.c */
uint64_t sim_random(struct sim_world *world);
uint64_t sim_below(struct sim_world *world, uint64_t bound);
bool sim_chance(struct sim_world *world, uint32_t per_mille);
void sim_schedule(struct sim_world *world, struct sim_event event, uint64_t delay_us);
void *sim_grow(void *memory, size_t *capacity, size_t count, size_t size);
void sim_mix(struct sim_world *world, uint64_t value);
uint64_t sim_local_ms(const struct sim_replica *replica);
void sim_set_rate(struct sim_replica *replica, uint64_t rate);
void sim_arm(struct sim_replica *replica, uint64_t deadline_ms);
__attribute__((format(printf, 2, 3))) void sim_say(
	const struct sim_world *world, const char *format, ...);
/* Prints why, the seed and how to see it again; ends the program with 1. */
__attribute__((format(printf, 2, 3))) _Noreturn void sim_fail(
	const struct sim_world *world, const char *format, ...);
struct sim_world *sim_create(uint64_t seed, uint64_t steps_max, bool tracing);
void sim_run(struct sim_world *world); /* chaos, then the liveness phase */
void sim_destroy(struct sim_world *world);
struct sim_replica *sim_new_replica(struct sim_world *world);

#include "tests/sim/raft/parts.h"

#endif
