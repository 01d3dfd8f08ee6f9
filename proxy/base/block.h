/*
 * block: 16 KiB of bytes with a reference count, from a per-worker pool. Every block has
 * BLOCK_SLACK readable bytes past its end (zeroed or stale, never unmapped), so that wide loads of
 * parsers need no tail case. One thread: pool and blocks belong to one worker and never leave it.
 * Invariant B: every block is in exactly the chains that count it; block_pool_fini asserts that
 * all blocks came home.
 */
#ifndef PILLION_BASE_BLOCK_H
#define PILLION_BASE_BLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

#define BLOCK_SIZE  16384 /* bytes of payload: one TLS record, one HTTP/2 frame */
#define BLOCK_SLACK 32

struct block_pool {
	struct list_node free_blocks;
	size_t free_count;
	size_t free_max;   /* more are given back to the system */
	size_t live;	   /* blocks in use now; the worker's buffer memory is live * BLOCK_SIZE */
	size_t live_bytes; /* capacity of the blocks in use; sized ones counted as they are */
};

struct block {
	struct list_node node; /* in free_blocks while unused */
	struct block_pool *pool;
	uint32_t refs;
	uint32_t used;	   /* bytes filled from the start; only the last span's owner may append */
	uint32_t capacity; /* BLOCK_SIZE, or more for a gathered head or a large own message */
	uint8_t *data;
};

void block_pool_init(struct block_pool *pool, size_t free_max);
void block_pool_fini(struct block_pool *pool); /* asserts live == 0 */

/* refs = 1, used = 0. */
struct block *block_create(struct block_pool *pool);
/* As above with capacity >= size; such a block is not recycled. */
struct block *block_create_sized(struct block_pool *pool, size_t size);
struct block *block_ref(struct block *block);
void block_unref(struct block *block);

static inline size_t block_room(const struct block *block)
{
	return block->capacity - block->used;
}

#endif
