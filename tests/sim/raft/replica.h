/*
 * replica: one simulated replica: its core, its disk, its clock, and the driver that joins them.
 * The driver is behind a small table, so that one over real log and vote files can take its place.
 */
#ifndef PILLION_TESTS_SIM_RAFT_REPLICA_H
#define PILLION_TESTS_SIM_RAFT_REPLICA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftreg/core/raft.h"
#include "raftreg/core/status.h"

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

#endif
