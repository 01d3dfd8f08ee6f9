/*
 * node_parts: what the files of a replica call in each other: requests, membership, status.
 * Internal to raftreg; include node.h.
 */
#ifndef PILLION_RAFTREG_NODE_PARTS_H
#define PILLION_RAFTREG_NODE_PARTS_H

#include "raftreg/node_types.h"

struct raftreg_node;
struct registry_result;
struct wire_chunk;
struct wire_hello;

/* node_request.c */
void node_request_take(struct raftreg_node *node, struct node_origin *origin, struct slice bytes);
void node_request_forget(struct raftreg_node *node, struct node_origin *origin);
void node_request_turn(struct raftreg_node *node);
void node_request_answered(struct raftreg_node *node, struct slice bytes); /* by the leader */
/* RD-05: the outcome of the command that stands at this place of the log. */
void node_request_applied(struct raftreg_node *node, uint64_t index, uint64_t term, size_t ordinal,
	const struct state_result *result);
/* RM-16: the read with this cookie is confirmed, or failed and is to be asked again. */
void node_request_read(struct raftreg_node *node, uint64_t cookie, bool failed);
void node_request_lost(struct raftreg_node *node); /* leadership is gone */
void node_request_relay_lost(struct raftreg_node *node);
void node_request_tick(struct raftreg_node *node, uint64_t now_ms);
void node_request_fini(struct raftreg_node *node);
/* Commands of the leader itself (4 to 6, 8). False: not now. */
bool node_request_propose(struct raftreg_node *node, struct slice command);

/* node_member.c */
void node_member_knock(struct raftreg_node *node, const struct wire_hello *hello);
void node_member_tick(struct raftreg_node *node, uint64_t now_ms);
void node_member_update_peers(struct raftreg_node *node);
enum raft_refusal node_member_add(
	struct raftreg_node *node, const struct state_replica *replica, bool learner);
/* RB-05: leadership to the voter that has most of the log, if one is heard. */
void node_member_hand_over(struct raftreg_node *node);
void node_member_command(struct raftreg_node *node, const char *verb, const char *argument,
	struct registry_result *ret_result);

/* node_snapshot.c */
void node_snapshot_turn(struct raftreg_node *node); /* makes one when it is time */
void node_snapshot_install(struct raftreg_node *node, const struct raft_snapshot *snapshot);
void node_snapshot_chunk(struct raftreg_node *node, const struct wire_chunk *chunk);
void node_snapshot_forget(struct raftreg_node *node); /* what arrived so far (RT-08) */
/* Of the store. */
void node_snapshot_made(void *owner, const struct raft_snapshot *snapshot, uint64_t bytes);
void node_snapshot_staged(void *owner, uint64_t token, bool ok);
void node_snapshot_loaded(void *owner, uint64_t token, struct slice file, bool damaged);

/* node_status.c */
void node_status_json(const struct raftreg_node *node, struct buf *ret_json);
void node_status_members(const struct raftreg_node *node, struct buf *ret_json);
void node_status_metrics(const struct raftreg_node *node, struct buf *ret_text);
void node_status_address(const struct state_replica *replica, char ret_text[300]);

#endif
