/*
 * oracle: what the whole cluster did, seen from above, and the invariants of SIM-03 over it. It
 * learns of every step, every message that leaves and every write that became durable.
 */
#ifndef PILLION_TESTS_SIM_RAFT_ORACLE_H
#define PILLION_TESTS_SIM_RAFT_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftreg/core/raft.h"

struct sim_replica;
struct sim_world;

/* One (index, term) that any log ever held. */
struct oracle_entry {
	uint64_t term, prev_term, value;
	struct oracle_entry *next;
};

struct oracle_index {
	struct oracle_entry *entries;
	uint64_t committed_term; /* 0: not known to be committed */
	uint64_t committed_in;	 /* the term of who first knew it */
	uint64_t state;		 /* hash of the state after it; valid if `applied` */
	bool applied;
};

struct oracle {
	struct oracle_index *indexes;
	size_t index_capacity;
	uint64_t *leaders; /* by term */
	size_t leader_capacity;
	uint64_t *votes; /* by term, then by id */
	size_t vote_capacity;
	uint64_t commit_max, acked_max;
	bool cut; /* some durable tail was taken away: durability counts are void */
};

void oracle_fini(struct oracle *oracle);
/* After a step: the core's own check, leaders, logs, commits (SIM-03). */
void oracle_stepped(struct sim_replica *replica, const struct raft_effects *effects);
void oracle_sending(struct sim_replica *replica, const struct raft_message *message);
void oracle_hard_written(struct sim_replica *replica);
void oracle_applied(struct sim_replica *replica, uint64_t index, uint64_t term);
void oracle_acked(struct sim_replica *replica, uint64_t index);
/* A snapshot's state and term must be those of its index. */
void oracle_installed(struct sim_replica *replica, const struct raft_snapshot *snapshot);
uint64_t oracle_entry_value(const struct raft_entry *entry);

#endif
