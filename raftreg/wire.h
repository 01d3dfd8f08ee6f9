/*
 * wire: what replicas say to each other: Hello, Raft messages, chunks of a snapshot (registry.md 6,
 * RT-03..RT-05). Bytes from outside are scanned first (wire_scan), then decoded; nothing is stepped
 * that breaks a rule. Pure; any thread.
 */
#ifndef PILLION_RAFTREG_WIRE_H
#define PILLION_RAFTREG_WIRE_H

#include "base/pbscan.h"
#include "raftreg/state.h"

/* RT-05: longer messages end the stream with RESOURCE_EXHAUSTED. */
#define WIRE_CONTROL_MAX (64u * 1024)
#define WIRE_BULK_MAX	 (2u * 1024 * 1024)
#define WIRE_FORMAT	 1u

enum wire_kind { WIRE_HELLO = 1, WIRE_MESSAGE = 2, WIRE_CHUNK = 3 };

struct wire_hello {
	uint8_t uuid[16]; /* zero: none yet */
	uint64_t epoch, boot_id, boot_count, term, last_index;
	uint64_t leader; /* as known there; 0: none */
	uint64_t seeds;	 /* digest of its seeds, for with-seeds (RB-02) */
	uint32_t format;
	bool with_seeds, uncertain;
	struct state_replica self;
	struct state_replica replicas[STATE_REPLICAS_MAX]; /* whom it knows */
	size_t replica_count;
};

/* RT-08: bound to (term, leader, index, transfer); bytes point into the decoded message. Without
 * bytes it asks how much of the file is there, or answers that in `offset`. */
struct wire_chunk {
	uint64_t from, to, tag, term, index, log_term, offset, total, transfer;
	uint64_t crc; /* of the bytes */
	struct slice bytes;
};

/* RT-04: eight bytes that say which cluster a message belongs to. */
uint64_t wire_tag(const uint8_t uuid[16], uint64_t epoch);
/* RT-03: the first thing on every stream between replicas. */
void wire_put_hello(const struct wire_hello *hello, struct buf *ret_bytes);
void wire_put_message(const struct raft_message *message, uint64_t tag, struct buf *ret_bytes);
void wire_put_chunk(const struct wire_chunk *chunk, struct buf *ret_bytes);

/* RT-05. 0, -EMSGSIZE, -EBADMSG, -E2BIG. */
MUST_CHECK int wire_scan(struct slice bytes, size_t bytes_max);
/* What is inside; 0: unknown, to be dropped. */
enum wire_kind wire_peek(struct slice bytes, struct slice *ret_inner);
MUST_CHECK int wire_get_hello(struct slice inner, struct wire_hello *ret_hello);
MUST_CHECK int wire_get_chunk(struct slice inner, struct wire_chunk *ret_chunk);
/* entries are allocated: wire_free_message. -EBADMSG also for anything the core must not see. */
MUST_CHECK int wire_get_message(
	struct slice inner, struct raft_message *ret_message, uint64_t *ret_tag);
void wire_free_message(struct raft_message *message);

#endif
