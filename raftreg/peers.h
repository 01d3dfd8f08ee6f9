/*
 * peers: the connections this replica dials to others: to each a control connection (everything but
 * APPEND and snapshots, and the relay of client requests) and a bulk one (registry.md RT-02, RT-06,
 * RT-08). Peers come from the applied configuration; while there is none, the seeds are asked.
 * Registry thread.
 */
#ifndef PILLION_RAFTREG_PEERS_H
#define PILLION_RAFTREG_PEERS_H

#include "raftreg/node.h"

struct peers *peers_create(struct raftreg_node *node);
/* Connections end at once; give the loop a turn afterwards. */
void peers_close(struct peers *peers);
void peers_destroy(struct peers *peers);

/* Exactly these from now on; known ones keep their connections. */
void peers_set(struct peers *peers, const struct state_replica *replicas, size_t count);
/* Also dial these addresses until it is known who lives there (id 0). */
void peers_knock(struct peers *peers, bool enabled);
/* An encoded message. Not connected or full: it is lost (the core repeats). */
enum peers_way { PEERS_CONTROL, PEERS_HEARTBEAT, PEERS_BULK };
void peers_send(struct peers *peers, uint64_t to, enum peers_way way, struct slice bytes);
/* Each NODE_TICK_MS: closes connections that make no progress (RT-06). */
void peers_tick(struct peers *peers, uint64_t now_ms);
/* Bytes that the socket has not taken yet, a heartbeat that waits included; 0: not connected. */
size_t peers_unsent(const struct peers *peers, uint64_t id, bool bulk);
/* A client's request for the leader; false: not connected. */
bool peers_relay(struct peers *peers, uint64_t to, struct slice frame);
/* RT-08: reads the file first and then sends it in chunks; the end of it, good or
 * not, is stepped as RAFT_SNAPSHOT_DONE. */
void peers_send_snapshot(
	struct peers *peers, uint64_t to, uint64_t term, const struct raft_snapshot *snapshot);
/* The store has read the file; empty when it is gone, for a newer one took its
 * place. */
void peers_loaded(struct peers *peers, uint64_t token, struct slice file);
/* An empty chunk: is it the answer to a question of ours? */
bool peers_snapshot_answered(struct peers *peers, const struct wire_chunk *chunk);
bool peers_is_connected(const struct peers *peers, uint64_t id);
/* RB-02: how many of the seeds said that they are empty voters with these seeds; and whether none
 * of them has a lower address than `self`. */
bool peers_all_empty(const struct peers *peers, uint64_t seeds_digest, const char *self,
	bool *ret_lowest, size_t *ret_others);

#endif
