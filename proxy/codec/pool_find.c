/*
 * Names are compared in full after their hashes: a peer may send any name, and two names with one
 * hash must not be taken for each other.
 */
#include "codec/pool_find.h"

#include "codec/wire.h"

const struct pool_field pool_ambiguous = {.flags = POOL_AMBIGUOUS};

#define HASH_FACTOR 0x9e3779b97f4a7c15u /* 2^64 / golden ratio */

/* Eight bytes a step; the length is part of it. */
uint32_t pool_hash(const uint8_t *text, size_t size, uint8_t fold)
{
	uint64_t mask = fold * 0x0101010101010101u;
	uint64_t hash = size * HASH_FACTOR;
	uint64_t word = 0;

	while (size >= 8) {
		hash = (hash ^ (wire_load64(text) | mask)) * HASH_FACTOR;
		hash ^= hash >> 32;
		text += 8;
		size -= 8;
	}
	if (size >= 4) {
		word = wire_load32(text) | (uint64_t)wire_load32(text + size - 4) << 32;
	} else if (size > 0) {
		word = text[0] | (uint64_t)text[size / 2] << 8 | (uint64_t)text[size - 1] << 16;
	}
	hash = (hash ^ (word | mask)) * HASH_FACTOR;
	return (uint32_t)(hash ^ hash >> 32);
}

/* For numbers beyond the dense index. */
const struct pool_field *pool_field_sorted(
	const struct descriptor_pool *pool, const struct pool_message *message, uint32_t number)
{
	const uint16_t *sorted = pool->indexes + message->sorted;
	const struct pool_field *fields = pool_fields(pool, message);
	uint32_t low = 0;
	uint32_t high = message->sorted_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct pool_field *field = fields + sorted[middle];

		if (field->number == number) {
			return field;
		}
		if (field->number < number) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return NULL;
}

/* A JSON name ends the search; a proto name waits for one (DS-07). */
const struct pool_field *pool_field_by_name(
	const struct descriptor_pool *pool, const struct pool_message *message, struct slice name)
{
	const struct pool_slot *slots = pool->slots + message->slots;
	const struct pool_field *by_proto_name = NULL;
	uint32_t hash = pool_hash(name.data, name.size, 0);

	for (uint32_t i = hash & message->slot_mask; slots[i].ref;
		i = (i + 1) & message->slot_mask) {
		const struct pool_field *field;
		struct slice text;

		if (slots[i].hash != hash) {
			continue;
		}
		field = pool_fields(pool, message) + (slots[i].ref / 2 - 1);
		if ((slots[i].ref & 1) == 0) {
			text = slice_make(pool->text + field->name, field->name_size);
			if (slice_equal(text, name)) {
				return field->flags & POOL_AMBIGUOUS ? &pool_ambiguous : field;
			}
		} else {
			/* `,"` before and `":` behind the proto name */
			text = slice_make(pool->text + field->proto_key + 2,
				(size_t)field->proto_key_size - 4);
			if (slice_equal(text, name)) {
				by_proto_name = field;
			}
		}
	}
	return by_proto_name;
}

/* Dense where the numbers are close together. */
const struct pool_value *pool_value_by_number(
	const struct descriptor_pool *pool, const struct pool_enum *enumeration, int32_t number)
{
	const struct pool_value *values = pool->values + enumeration->first_value;
	const uint16_t *sorted = pool->indexes + enumeration->sorted;
	uint32_t low = 0;
	uint32_t high = enumeration->sorted_count;
	int64_t place = (int64_t)number - enumeration->dense_first;

	if (place >= 0 && place < enumeration->dense_count) {
		uint16_t index = pool->indexes[enumeration->dense + (uint32_t)place];

		return index ? values + (index - 1) : NULL;
	}
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct pool_value *value = values + sorted[middle];

		if (value->number == number) {
			return value;
		}
		if (value->number < number) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return NULL;
}

static bool equal_fold(const uint8_t *a, const uint8_t *b, size_t size)
{
	return slice_equal_fold(slice_make(a, size), slice_make(b, size));
}

/* Hashed without case, compared with it; the fold counts only if asked for. */
const struct pool_value *pool_value_by_name(const struct descriptor_pool *pool,
	const struct pool_enum *enumeration, struct slice name, bool any_case)
{
	const struct pool_slot *slots = pool->slots + enumeration->slots;
	const struct pool_value *folded = NULL;
	uint32_t hash = pool_hash(name.data, name.size, POOL_FOLD);
	uint32_t mask = enumeration->slot_mask;

	for (uint32_t i = hash & mask; slots[i].ref; i = (i + 1) & mask) {
		const struct pool_value *value;

		if (slots[i].hash != hash) {
			continue;
		}
		value = pool->values + enumeration->first_value + (slots[i].ref - 1);
		if (value->text_size != name.size + 2) {
			continue;
		}
		if (memcmp(pool->text + value->text + 1, name.data, name.size) == 0) {
			return value;
		}
		if (any_case && !folded &&
			equal_fold(pool->text + value->text + 1, name.data, name.size)) {
			folded = value;
		}
	}
	return folded;
}
