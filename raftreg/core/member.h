/*
 * member: a configuration (who replicates, who counts) and the changes that lead from one to the
 * next (RM-20..24). Values without pointers: copy them freely. Voters count in elections and
 * commits; while `outgoing` is not empty the configuration is joint and both halves must agree.
 */
#ifndef PILLION_RAFTREG_CORE_MEMBER_H
#define PILLION_RAFTREG_CORE_MEMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RAFT_VOTERS_MAX	    7u	/* of each half (RR-01) */
#define RAFT_LEARNERS_MAX   25u /* staged ones included (RR-01) */
#define RAFT_PEERS_MAX	    39u /* both halves and all learners disjoint */
#define RAFT_OPERATIONS_MAX 7u	/* of one change (RM-20) */
#define RAFT_IDS_MAX	    39u

struct raft_payload;

/* Ascending, without doubles, never 0. */
struct raft_ids {
	uint32_t count;
	uint64_t ids[RAFT_IDS_MAX];
};

bool member_ids_has(const struct raft_ids *set, uint64_t id);
/* Puts id in its place; true when it was there already or room was left. */
bool member_ids_add(struct raft_ids *set, uint64_t id);
void member_ids_remove(struct raft_ids *set, uint64_t id);
void member_ids_add_all(struct raft_ids *set, const struct raft_ids *other); /* room is there */

struct raft_conf {
	struct raft_ids voters;	  /* the incoming half */
	struct raft_ids outgoing; /* the old voters while joint, else empty */
	struct raft_ids learners;
	struct raft_ids staged; /* outgoing voters that become learners at the leave */
	bool auto_leave;	/* joint: the leader leaves by itself */
};

bool member_conf_is_joint(const struct raft_conf *conf);
bool member_conf_is_voter(const struct raft_conf *conf, uint64_t id); /* in either half */
bool member_conf_has(const struct raft_conf *conf, uint64_t id);      /* in any set */
bool member_conf_equal(const struct raft_conf *a, const struct raft_conf *b);
/* Every id once, ascending. */
void member_conf_all(const struct raft_conf *conf, struct raft_ids *ret_ids);
/* False when sizes, order or the relations between the sets are wrong. For what comes from disk or
 * the network. */
bool member_conf_is_valid(const struct raft_conf *conf);

/* Auto: no operation leaves a joint configuration; one is a simple change; more enter joint, with
 * automatic leave. The other two always enter joint. Numbers are part of the log format. */
enum raft_transition {
	RAFT_TRANSITION_AUTO = 0,
	RAFT_TRANSITION_JOINT_AUTO = 1,
	RAFT_TRANSITION_JOINT_EXPLICIT = 2
};

enum raft_operation_kind {
	RAFT_ADD_VOTER = 1,
	RAFT_ADD_LEARNER = 2,
	RAFT_REMOVE = 3,
	RAFT_UPDATE = 4 /* only the replica record changes, which the core does not read */
};

struct raft_operation {
	enum raft_operation_kind kind;
	uint64_t id; /* 0: ignored */
};

struct raft_change {
	enum raft_transition transition;
	uint32_t operation_count;
	struct raft_operation operations[RAFT_OPERATIONS_MAX];
	/* The replica records (RI-03): opaque to the core, kept in the payload. */
	const void *records;
	uint32_t records_length;
};

/* Why a change has no effect (RM-22). */
enum raft_change_error {
	RAFT_CHANGE_OK = 0,
	RAFT_CHANGE_UNKNOWN, /* transition or operation unknown, payload malformed */
	RAFT_CHANGE_ALREADY_JOINT,
	RAFT_CHANGE_NOT_JOINT,
	RAFT_CHANGE_NO_VOTERS, /* none before joint */
	RAFT_CHANGE_TOO_MANY,  /* more than one voter differs without joint */
	RAFT_CHANGE_REMOVES_ALL,
	RAFT_CHANGE_LIMIT /* more than 7 voters, 25 learners or an unusable number of both */
};

/* The configuration after the change. On error *ret_conf is untouched. Pure; also for the driver,
 * which needs the configuration of each index that it applies. */
enum raft_change_error member_conf_change(
	const struct raft_conf *conf, const struct raft_change *change, struct raft_conf *ret_conf);
const char *member_change_error_name(enum raft_change_error error);

/* The payload of a CONF entry: format 1, transition, operation count, zero (a byte each), then per
 * operation kind u8 and id u64, little endian, then the records to the end. */
struct raft_payload *member_change_encode(const struct raft_change *change);
/* False when malformed. records then points into the payload. NULL payload is malformed. */
bool member_change_decode(const struct raft_payload *payload, struct raft_change *ret_change);

#endif
