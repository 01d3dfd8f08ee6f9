#include "base/chain.h"

#include "base/assert.h"
#include "base/mem.h"

/* How many spans from the end are searched for a block that small copies may go on filling. */
#define CHAIN_LOOK_BACK 4
/* How many earlier spans are searched for the same block when pinned bytes are counted. */
#define CHAIN_PIN_LOOK_BACK 8

static struct span *chain_at(const struct chain *chain, uint32_t index)
{
	return &chain->spans[(chain->head + index) & (chain->capacity - 1)];
}

void chain_init(struct chain *chain)
{
	ASSERT(chain != NULL);
	chain->spans = chain->inline_spans;
	chain->capacity = CHAIN_INLINE;
	chain->head = 0;
	chain->count = 0;
	chain->size = 0;
}

void chain_fini(struct chain *chain)
{
	chain_clear(chain);
	if (chain->spans != chain->inline_spans) {
		mem_free(chain->spans);
	}
	chain_init(chain);
}

void chain_clear(struct chain *chain)
{
	for (uint32_t i = 0; i < chain->count; i++) {
		block_unref(chain_at(chain, i)->block);
	}
	chain->head = 0;
	chain->count = 0;
	chain->size = 0;
}

static void chain_grow(struct chain *chain)
{
	uint32_t capacity = chain->capacity * 2;
	struct span *spans = mem_alloc(capacity * sizeof(*spans));

	ASSERT(capacity > chain->capacity);
	for (uint32_t i = 0; i < chain->count; i++) {
		spans[i] = *chain_at(chain, i);
	}
	if (chain->spans != chain->inline_spans) {
		mem_free(chain->spans);
	}
	chain->spans = spans;
	chain->capacity = capacity;
	chain->head = 0;
}

/* Takes over the reference in span. */
static void chain_push(struct chain *chain, struct span span)
{
	ASSERT(span.size > 0 && span.block->refs > 0);
	chain->size += span.size;
	if (chain->count > 0) {
		struct span *last = chain_at(chain, chain->count - 1);

		/* A body that arrives in pieces of one block stays one span. */
		if (last->block == span.block && last->data + last->size == span.data) {
			last->size += span.size;
			block_unref(span.block);
			return;
		}
	}
	if (chain->count == chain->capacity) {
		chain_grow(chain);
	}
	chain->count++;
	*chain_at(chain, chain->count - 1) = span;
}

/* Forgets the first span without touching its reference. */
static struct span chain_shift(struct chain *chain)
{
	struct span span = *chain_at(chain, 0);

	ASSERT(chain->count > 0 && chain->size >= span.size);
	chain->head = (chain->head + 1) & (chain->capacity - 1);
	chain->count--;
	chain->size -= span.size;
	return span;
}

void chain_append_block(struct chain *chain, struct block *block, const uint8_t *data, size_t size)
{
	/* The bytes lie inside the block, so the offset gives a pointer that may be written. */
	size_t offset = (size_t)(data - block->data);

	ASSERT(data >= block->data && offset + size <= block->capacity);
	if (size > 0) {
		chain_push(chain, (struct span){block_ref(block), block->data + offset, size});
	}
}

/*
 * A block near the end that only this chain holds and that has room: small copies between large
 * spans (chunk framing) share it, instead of pinning a block each. A block with references from
 * elsewhere is never appended to, since its reader takes block->used for the end of its own bytes.
 */
static struct block *chain_open_block(const struct chain *chain)
{
	uint32_t most = chain->count < CHAIN_LOOK_BACK ? chain->count : CHAIN_LOOK_BACK;

	for (uint32_t back = 1; back <= most; back++) {
		struct block *block = chain_at(chain, chain->count - back)->block;
		uint32_t held = 0;

		if (block_room(block) == 0) {
			continue;
		}
		for (uint32_t i = 1; i <= most; i++) {
			held += chain_at(chain, chain->count - i)->block == block;
		}
		if (held == block->refs) {
			return block;
		}
	}
	return NULL;
}

void chain_append_copy(struct chain *chain, struct block_pool *pool, const void *data, size_t size)
{
	const uint8_t *bytes = data;

	ASSERT(data != NULL || size == 0);
	while (size > 0) {
		struct block *block = chain_open_block(chain);
		size_t part;
		uint8_t *place;

		block = block != NULL ? block_ref(block) : block_create(pool);
		part = block_room(block) < size ? block_room(block) : size;
		place = block->data + block->used;
		memcpy(place, bytes, part);
		block->used += (uint32_t)part;
		bytes += part;
		size -= part;
		chain_push(chain, (struct span){block, place, part});
	}
}

void chain_move(struct chain *target, struct chain *source)
{
	ASSERT(target != source);
	/* A ring on the heap changes hands whole when nothing stands before it. */
	if (target->count == 0 && source->spans != source->inline_spans) {
		chain_fini(target);
		target->spans = source->spans;
		target->capacity = source->capacity;
		target->head = source->head;
		target->count = source->count;
		target->size = source->size;
		chain_init(source);
		return;
	}
	while (source->count > 0) {
		chain_push(target, chain_shift(source));
	}
	source->head = 0;
}

void chain_move_bytes(struct chain *target, struct chain *source, size_t size)
{
	ASSERT(target != source);
	if (size >= source->size) {
		chain_move(target, source);
		return;
	}
	while (size > 0) {
		struct span *first = chain_at(source, 0);

		if (first->size > size) {
			/* The border lies inside: both chains hold the block from now on. */
			chain_push(
				target, (struct span){block_ref(first->block), first->data, size});
			first->data += size;
			first->size -= size;
			source->size -= size;
			return;
		}
		size -= first->size;
		chain_push(target, chain_shift(source));
	}
}

void chain_share(struct chain *target, const struct chain *source, size_t offset, size_t size)
{
	ASSERT(target != source);
	ASSERT(offset <= source->size && size <= source->size - offset);
	for (uint32_t i = 0; i < source->count && size > 0; i++) {
		const struct span *span = chain_at(source, i);
		size_t part;

		if (offset >= span->size) {
			offset -= span->size;
			continue;
		}
		part = span->size - offset < size ? span->size - offset : size;
		chain_push(
			target, (struct span){block_ref(span->block), span->data + offset, part});
		offset = 0;
		size -= part;
	}
}

void chain_drop(struct chain *chain, size_t size)
{
	ASSERT(size <= chain->size);
	while (size > 0) {
		struct span *first = chain_at(chain, 0);

		if (first->size > size) {
			first->data += size;
			first->size -= size;
			chain->size -= size;
			return;
		}
		size -= first->size;
		block_unref(chain_shift(chain).block);
	}
}

int chain_iovec(const struct chain *chain, struct iovec *ret_vectors, int most)
{
	int count = 0;

	ASSERT(most >= 0);
	for (uint32_t i = 0; i < chain->count && count < most; i++) {
		const struct span *span = chain_at(chain, i);

		ret_vectors[count++] = (struct iovec){span->data, span->size};
	}
	return count;
}

struct slice chain_span(const struct chain *chain, uint32_t index)
{
	const struct span *span = chain_at(chain, index);

	ASSERT(index < chain->count);
	return slice_make(span->data, span->size);
}

void chain_copy_out(const struct chain *chain, size_t offset, void *ret_bytes, size_t size)
{
	uint8_t *place = ret_bytes;

	ASSERT(offset <= chain->size && size <= chain->size - offset);
	for (uint32_t i = 0; i < chain->count && size > 0; i++) {
		const struct span *span = chain_at(chain, i);
		size_t part;

		if (offset >= span->size) {
			offset -= span->size;
			continue;
		}
		part = span->size - offset < size ? span->size - offset : size;
		memcpy(place, span->data + offset, part);
		place += part;
		offset = 0;
		size -= part;
	}
}

/* Replaces the content by one span over `block`, whose single reference is taken over. */
static void chain_become(struct chain *chain, struct block *block, size_t size)
{
	chain_copy_out(chain, 0, block->data, size);
	block->used = (uint32_t)size;
	chain_clear(chain);
	chain_push(chain, (struct span){block, block->data, size});
}

/* Lets the first block take the rest, when nobody else holds it and the rest fits behind. */
static bool chain_gather_in_place(struct chain *chain)
{
	struct span *first = chain_at(chain, 0);
	struct block *block = first->block;
	size_t rest = chain->size - first->size;

	if (block->refs != 1 || first->data + first->size != block->data + block->used ||
		block_room(block) < rest) {
		return false;
	}
	/* Copied before any block is given back: the order of the spans stays as it is. */
	chain_copy_out(chain, first->size, block->data + block->used, rest);
	block->used += (uint32_t)rest;
	while (chain->count > 1) {
		chain->count--;
		block_unref(chain_at(chain, chain->count)->block);
	}
	first->size = chain->size;
	return true;
}

struct slice chain_gather(struct chain *chain, struct block_pool *pool)
{
	size_t capacity;

	if (chain->count == 0) {
		return (struct slice){NULL, 0};
	}
	if (chain->count > 1 && !chain_gather_in_place(chain)) {
		/* Whole blocks with room to grow: the next pieces are then gathered in place, so
		 * a head that trickles in is not copied again for each piece. */
		capacity = (chain->size + BLOCK_SIZE) / BLOCK_SIZE * BLOCK_SIZE;
		if (chain->size <= BLOCK_SIZE) {
			capacity = BLOCK_SIZE;
		}
		chain_become(chain, block_create_sized(pool, capacity), chain->size);
	}
	ASSERT(chain->count == 1);
	return chain_span(chain, 0);
}

/* Capacity of the blocks held; a block is counted once when its spans are near each other. */
static size_t chain_pinned(const struct chain *chain)
{
	size_t pinned = 0;

	for (uint32_t i = 0; i < chain->count; i++) {
		const struct block *block = chain_at(chain, i)->block;
		uint32_t most = i < CHAIN_PIN_LOOK_BACK ? i : CHAIN_PIN_LOOK_BACK;
		bool seen = false;

		for (uint32_t back = 1; back <= most && !seen; back++) {
			seen = chain_at(chain, i - back)->block == block;
		}
		pinned += seen ? 0 : block->capacity;
	}
	return pinned;
}

void chain_compact(struct chain *chain, struct block_pool *pool)
{
	struct chain copy;
	size_t rest;

	if (chain->count == 0 || chain_pinned(chain) / 2 <= chain->size) {
		return;
	}
	if (chain->size <= BLOCK_SIZE) {
		/* An exact block: bytes that wait should cost about what they are. */
		chain_become(chain, block_create_sized(pool, chain->size), chain->size);
		return;
	}
	chain_init(&copy);
	rest = chain->size;
	for (uint32_t i = 0; i < chain->count; i++) {
		struct slice bytes = chain_span(chain, i);

		chain_append_copy(&copy, pool, bytes.data, bytes.size);
		rest -= bytes.size;
	}
	ASSERT(rest == 0 && copy.size == chain->size);
	chain_clear(chain);
	chain_move(chain, &copy);
	chain_fini(&copy);
}
