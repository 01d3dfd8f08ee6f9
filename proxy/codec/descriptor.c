/*
 * Look-ups by name hash what they are given without a key: only names of the schema stand in the
 * tables, and how long a chain gets was settled when the pool was built.
 */
#include "codec/descriptor.h"

#include "base/mem.h"
#include "codec/pool_find.h"

static const char hex_digits[] = "0123456789abcdef";

struct descriptor_pool *descriptor_pool_ref(const struct descriptor_pool *pool)
{
	/* The count is the one part of the block that is not read-only. */
	struct descriptor_pool *counted = (struct descriptor_pool *)(uintptr_t)pool;
	unsigned before = atomic_fetch_add_explicit(&counted->refs, 1, memory_order_relaxed);

	ASSERT(before > 0);
	return counted;
}

/* The last reference may be dropped by any thread. */
void descriptor_pool_unref(struct descriptor_pool *pool)
{
	if (!pool) {
		return;
	}
	unsigned before = atomic_fetch_sub_explicit(&pool->refs, 1, memory_order_acq_rel);

	ASSERT(before > 0);
	if (before == 1) {
		mem_free(pool);
	}
}

/* The table is at most half full, so the search ends. */
const struct codec_method *descriptor_pool_find_method(
	const struct descriptor_pool *pool, struct slice path)
{
	const struct pool_slot *slots = pool->slots + pool->method_slots;
	uint32_t hash = pool_hash(path.data, path.size, 0);

	ASSERT(pool->method_count < pool->method_mask + 1);
	for (uint32_t i = hash & pool->method_mask; slots[i].ref; i = (i + 1) & pool->method_mask) {
		const struct codec_method *method = pool->methods + (slots[i].ref - 1);

		if (slots[i].hash == hash && slice_equal(method->path, path)) {
			return method;
		}
	}
	return NULL;
}

uint32_t descriptor_pool_find_message(const struct descriptor_pool *pool, struct slice full_name)
{
	const struct pool_slot *slots = pool->slots + pool->message_slots;
	uint32_t hash = pool_hash(full_name.data, full_name.size, 0);

	ASSERT(pool->message_count < pool->message_mask + 1);
	for (uint32_t i = hash & pool->message_mask; slots[i].ref;
		i = (i + 1) & pool->message_mask) {
		uint32_t index = slots[i].ref - 1;

		if (slots[i].hash == hash &&
			slice_equal(descriptor_pool_message_name(pool, index), full_name)) {
			return index;
		}
	}
	return DESCRIPTOR_NONE;
}

struct slice descriptor_pool_message_name(const struct descriptor_pool *pool, uint32_t message)
{
	ASSERT(message < pool->message_count);
	return slice_make(
		pool->text + pool->messages[message].name, pool->messages[message].name_size);
}

uint32_t descriptor_pool_service_count(const struct descriptor_pool *pool)
{
	return pool->service_count;
}

const struct codec_service *descriptor_pool_service(
	const struct descriptor_pool *pool, uint32_t index)
{
	ASSERT(index < pool->service_count);
	return pool->services + index;
}

uint32_t descriptor_pool_method_count(const struct descriptor_pool *pool)
{
	return pool->method_count;
}

const struct codec_method *descriptor_pool_method(
	const struct descriptor_pool *pool, uint32_t index)
{
	ASSERT(index < pool->method_count);
	return pool->methods + index;
}

uint64_t descriptor_pool_digest(const struct descriptor_pool *pool)
{
	return pool->digest;
}

/* Most significant digit first, lower case (DS-10). */
void descriptor_pool_digest_text(const struct descriptor_pool *pool, char ret_text[17])
{
	for (unsigned i = 0; i < 16; i++) {
		ret_text[i] = hex_digits[(pool->digest >> (60 - 4 * i)) & 15];
	}
	ret_text[16] = 0;
}

size_t descriptor_pool_size(const struct descriptor_pool *pool)
{
	return pool->size;
}
