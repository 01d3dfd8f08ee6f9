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

#include "raftreg/core/raft.h"
#include "raftreg/core/status.h"
#include "tests/sim/raft/oracle.h"

#define SIM_REPLICAS_MAX 24u /* ids are never used again, so changes use them up */

struct sim_world;
struct sim_replica;

/* A message on its way or held back for its .after: owns copies of all it points to. */
struct sim_message {
	struct raft_message message;
	struct raft_snapshot snapshot;
	uint64_t boot, boot_last; /* of the sender: what Hello would say (RT-03) */
	struct raft_entry entries[];
};

/* One handed-out persist_seq on its way to the disk. */
struct sim_batch {
	uint64_t seq, truncate_from, commit;
	bool hard_changed, install;
	struct raft_hard hard;
	struct raft_snapshot snapshot;
	struct raft_entry *entries;
	size_t entry_count;
};

/* What survives a crash. */
struct sim_disk {
	struct raft_hard hard;
	struct raft_snapshot snapshot; /* index 0: none; .file is the state's hash */
	uint64_t before_index, before_term, commit_hint;
	struct raft_entry *entries;
	size_t entry_capacity, entry_count;
};

struct sim_read {
	uint64_t cookie, least; /* the answer must not be below */
	bool open;
};

struct sim_proposal {
	uint64_t index, term;
};

#define SIM_READS_MAX	  64u
#define SIM_PROPOSALS_MAX 256u

struct sim_replica {
	struct sim_world *world;
	const struct sim_driver_ops *driver;
	uint64_t id, boot, boot_last;
	bool exists, alive, frozen;
	struct raft *raft;
	struct sim_disk disk;

	/* clock: local = local_base + (now - base) * rate / 1000, in microseconds */
	uint64_t base_us, local_base_us, rate;
	uint64_t paused_until_us, timer_generation;

	/* the running driver's memory, lost by a crash */
	struct sim_batch *queue;
	size_t queue_capacity, queue_count;
	bool disk_busy, apply_scheduled, snapshot_busy;
	struct sim_message **held;
	size_t held_capacity, held_count;
	uint64_t persisted, applied, applied_term, state, apply_to;
	struct raft_conf conf; /* as applied, by the driver's own count */
	struct raft_snapshot making;
	uint64_t peer_boot[SIM_REPLICAS_MAX + 1];
	struct sim_read reads[SIM_READS_MAX];
	struct sim_proposal proposals[SIM_PROPOSALS_MAX]; /* a ring by index */

	/* what was last seen, for the checks */
	uint64_t seen_commit, seen_apply, seen_term;
	enum raft_role seen_role;
};

struct sim_driver_ops {
	const char *name;
	void (*start)(struct sim_replica *replica); /* recover from the disk, RESTORE */
	void (*kill)(struct sim_replica *replica);  /* lose what is not durable */
	/* One event into the core, its effects out (RC-04). Takes nothing over. */
	enum raft_refusal (*step)(struct sim_replica *replica, struct raft_event *event);
	void (*disk_done)(struct sim_replica *replica);
	void (*apply)(struct sim_replica *replica);
	void (*snapshot_done)(struct sim_replica *replica);
};

extern const struct sim_driver_ops sim_driver_memory;

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
