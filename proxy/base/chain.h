/*
 * chain: a queue of spans, each a run of bytes inside one block. Moving a body from one connection
 * to another moves spans, never bytes. A chain owns one reference to the block of each of its
 * spans. The first four spans are inline; more are on the heap in a ring. One thread.
 */
#ifndef PILLION_BASE_CHAIN_H
#define PILLION_BASE_CHAIN_H

#include <stdbool.h>
#include <sys/uio.h>

#include "base/block.h"
#include "base/slice.h"

#define CHAIN_INLINE 4

struct span {
	struct block *block;
	uint8_t *data;
	size_t size; /* never 0 inside a chain */
};

struct chain {
	struct span *spans; /* ring; inline_spans or heap */
	uint32_t capacity;  /* power of two */
	uint32_t head;	    /* index of the first span */
	uint32_t count;
	size_t size; /* sum of the spans' sizes */
	struct span inline_spans[CHAIN_INLINE];
};

/* A chain must not be copied by assignment or moved in memory: spans may point inside it. */
void chain_init(struct chain *chain);
void chain_fini(struct chain *chain);
void chain_clear(struct chain *chain);

/* Takes a new reference to block. Joins with the last span when both are adjacent. */
void chain_append_block(struct chain *chain, struct block *block, const uint8_t *data, size_t size);
/* Copies, filling the tail block first when this chain may append to it. */
void chain_append_copy(struct chain *chain, struct block_pool *pool, const void *data, size_t size);
/* All of source goes to the end of target; source is empty afterwards. */
void chain_move(struct chain *target, struct chain *source);
/* The first `size` bytes (at most all) go over; a span on the border is split by reference. */
void chain_move_bytes(struct chain *target, struct chain *source, size_t size);
/* As chain_move_bytes with new references; source keeps its bytes (replay buffer). */
void chain_share(struct chain *target, const struct chain *source, size_t offset, size_t size);
void chain_drop(struct chain *chain, size_t size); /* from the front; size <= chain->size */

/* Fills at most `most` iovecs with the front; returns how many. */
int chain_iovec(const struct chain *chain, struct iovec *ret_vectors, int most);
/* The i-th span's bytes; i < count. */
struct slice chain_span(const struct chain *chain, uint32_t index);
/* Copies bytes [offset, offset + size) out; the range must exist. */
void chain_copy_out(const struct chain *chain, size_t offset, void *ret_bytes, size_t size);
/* Makes the whole content contiguous (copying into one sized block when it is not) and returns it.
 */
struct slice chain_gather(struct chain *chain, struct block_pool *pool);
/* Bytes of blocks that the chain pins; when over twice its size, copy it together. */
void chain_compact(struct chain *chain, struct block_pool *pool);

#endif
