#include "base/block.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

void block_pool_init(struct block_pool *pool, size_t free_max)
{
	ASSERT(pool != NULL);
	list_init(&pool->free_blocks);
	pool->free_count = 0;
	pool->free_max = free_max;
	pool->live = 0;
	pool->live_bytes = 0;
}

void block_pool_fini(struct block_pool *pool)
{
	struct list_node *node;

	/* Invariant B: a block that did not come home is a leak or a reference counted wrongly. */
	ASSERT(pool->live == 0 && pool->live_bytes == 0);
	while ((node = list_pop_front(&pool->free_blocks)) != NULL) {
		mem_free(LIST_ENTRY(node, struct block, node));
		pool->free_count--;
	}
	ASSERT(pool->free_count == 0);
}

/* Header, bytes and slack in one allocation. */
static struct block *block_allocate(size_t capacity)
{
	struct block *block = mem_alloc(sizeof(*block) + capacity + BLOCK_SLACK);

	ASSERT(capacity <= UINT32_MAX);
	list_init(&block->node);
	block->data = (uint8_t *)(block + 1);
	block->capacity = (uint32_t)capacity;
	/* Wide loads of a parser may look here; what they see is ignored but must be defined. */
	memset(block->data + capacity, 0, BLOCK_SLACK);
	return block;
}

/* Counts the block as live until its last reference goes. */
static struct block *block_hand_out(struct block_pool *pool, struct block *block)
{
	block->pool = pool;
	block->refs = 1;
	block->used = 0;
	pool->live++;
	pool->live_bytes += block->capacity;
	return block;
}

struct block *block_create(struct block_pool *pool)
{
	struct list_node *node = list_pop_front(&pool->free_blocks);

	if (node == NULL) {
		return block_hand_out(pool, block_allocate(BLOCK_SIZE));
	}
	ASSERT(pool->free_count > 0);
	pool->free_count--;
	return block_hand_out(pool, LIST_ENTRY(node, struct block, node));
}

struct block *block_create_sized(struct block_pool *pool, size_t size)
{
	ASSERT(size > 0 && size <= UINT32_MAX - BLOCK_SLACK);
	/* A size of exactly BLOCK_SIZE is an ordinary block and may come back to the pool. */
	return size == BLOCK_SIZE ? block_create(pool) : block_hand_out(pool, block_allocate(size));
}

struct block *block_ref(struct block *block)
{
	ASSERT(block->refs > 0 && block->refs < UINT32_MAX);
	block->refs++;
	return block;
}

void block_unref(struct block *block)
{
	struct block_pool *pool = block->pool;

	ASSERT(block->refs > 0);
	if (--block->refs > 0) {
		return;
	}
	ASSERT(pool->live > 0 && pool->live_bytes >= block->capacity);
	pool->live--;
	pool->live_bytes -= block->capacity;
	if (block->capacity != BLOCK_SIZE || pool->free_count >= pool->free_max) {
		mem_free(block);
		return;
	}
	/* Last in, first out: the warmest block is used next. */
	list_push_front(&pool->free_blocks, &block->node);
	pool->free_count++;
}
