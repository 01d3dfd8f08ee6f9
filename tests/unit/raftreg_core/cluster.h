/*
 * cluster: a few cores joined by a queue of messages, for scripts: the test decides what is
 * delivered, dropped, persisted and when time passes. One thread.
 */
#ifndef PILLION_TESTS_RAFTREG_CORE_CLUSTER_H
#define PILLION_TESTS_RAFTREG_CORE_CLUSTER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "raftreg/core/raft.h"
#include "raftreg/core/status.h"

#define NODES_MAX   9
#define LETTERS_MAX 4096

struct letter {
	struct raft_message message;
	struct raft_snapshot snapshot;
	struct raft_entry *entries;
};

struct node {
	struct raft *raft;
	struct raft_effects effects; /* of the last step; only plain values may be used later */
	bool manual;		     /* PERSISTED only by cluster_persist */
	bool idle;		     /* APPLIED only by cluster_apply */
	uint64_t persisted, applied;
	struct raft_read reads[64];
	size_t read_count;
	struct letter held[64]; /* wait for .after */
	size_t held_count;
	bool installed;
};

struct cluster {
	uint64_t now_ms;
	struct node nodes[NODES_MAX + 1]; /* by id */
	bool cut[NODES_MAX + 1][NODES_MAX + 1];
	struct letter letters[LETTERS_MAX];
	size_t letter_count;
	unsigned flags;
};

/* Options that most tests use: E 100, heartbeat 10. */
struct raft_options cluster_options(uint64_t id);
struct raft_conf cluster_conf(uint64_t voter_count);
/* Voters 1..count as of snapshot (1, term 1); started in term 1. */
struct cluster *cluster_create(uint64_t voter_count, unsigned test_flags);
void cluster_destroy(struct cluster *cluster);
/* A node of one's own making; restore may be NULL: an empty one. */
void cluster_start(struct cluster *cluster, uint64_t id, const struct raft_restore *restore);
/* A log of the given terms, entry 1 first, no snapshot, configuration in entry 1 as in real life:
 * voters 1..voter_count through a snapshot at 0 is not possible, so terms[0] stands for index 2. */
void cluster_start_log(struct cluster *cluster, uint64_t id, uint64_t voter_count,
	const uint64_t *terms, size_t term_count);

enum raft_refusal cluster_step(struct cluster *cluster, uint64_t id, struct raft_event event);
enum raft_refusal cluster_receive(
	struct cluster *cluster, uint64_t id, struct raft_message message);
enum raft_refusal cluster_propose(struct cluster *cluster, uint64_t id, const char *text);
enum raft_refusal cluster_campaign(struct cluster *cluster, uint64_t id);
enum raft_refusal cluster_read(struct cluster *cluster, uint64_t id, uint64_t cookie);
enum raft_refusal cluster_change(
	struct cluster *cluster, uint64_t id, const struct raft_change *change);
void cluster_persist(struct cluster *cluster, uint64_t id, uint64_t seq);
void cluster_apply(struct cluster *cluster, uint64_t id, uint64_t index);
/* Own snapshot at the applied index, log cut there. */
void cluster_snapshot(struct cluster *cluster, uint64_t id);
/* Delivers until nothing is under way; what a cut link carries is lost. */
void cluster_deliver(struct cluster *cluster);
/* The next letter only; false: none. */
bool cluster_deliver_one(struct cluster *cluster);
void cluster_drop_all(struct cluster *cluster);
/* Loses letters of this kind to this node (0: any); returns how many. */
size_t cluster_drop(struct cluster *cluster, enum raft_message_kind kind, uint64_t to);
size_t cluster_count(const struct cluster *cluster, enum raft_message_kind kind, uint64_t to);
/* The first such letter under way, or NULL. */
const struct raft_message *cluster_find(
	const struct cluster *cluster, enum raft_message_kind kind, uint64_t to);
/* Time passes: deadlines that are over are stepped, in order of ids. */
void cluster_pass(struct cluster *cluster, uint64_t ms);
void cluster_isolate(struct cluster *cluster, uint64_t id, bool isolated);

struct raft_status cluster_status(const struct cluster *cluster, uint64_t id);
const struct raft_peer_status *cluster_peer(const struct raft_status *status, uint64_t id);
/* raft_check of all nodes. */
void cluster_check(const struct cluster *cluster);

#endif
