/*
 * pool_find: look-ups in the tables of pool.h: fields by number and name, values by number and name
 * (codec.md EN-01). Pure reading. Internal to the engine.
 */
#ifndef PILLION_CODEC_POOL_FIND_H
#define PILLION_CODEC_POOL_FIND_H

#include "codec/pool.h"

#define POOL_FOLD 0x20 /* for pool_hash: letters of either case hash alike */

/* Not keyed: only names of the schema are stored under it. */
uint32_t pool_hash(const uint8_t *text, size_t size, uint8_t fold);

static inline const struct pool_field *pool_fields(
	const struct descriptor_pool *pool, const struct pool_message *message)
{
	return pool->fields + message->first_field;
}

/* By number, or NULL. */
const struct pool_field *pool_field_sorted(
	const struct descriptor_pool *pool, const struct pool_message *message, uint32_t number);

static inline const struct pool_field *pool_field_by_number(
	const struct descriptor_pool *pool, const struct pool_message *message, uint32_t number)
{
	if (number < message->dense_limit) {
		uint16_t index = pool->indexes[message->dense + number];

		return index ? pool_fields(pool, message) + (index - 1) : NULL;
	}
	return message->sorted_count ? pool_field_sorted(pool, message, number) : NULL;
}

/* What a JSON name of two fields stands for (DS-07). */
extern const struct pool_field pool_ambiguous;

/* By JSON name or proto name; a JSON name wins. NULL, or &pool_ambiguous. */
const struct pool_field *pool_field_by_name(
	const struct descriptor_pool *pool, const struct pool_message *message, struct slice name);
/* The first declared value of a number, or NULL. */
const struct pool_value *pool_value_by_number(
	const struct descriptor_pool *pool, const struct pool_enum *enumeration, int32_t number);
const struct pool_value *pool_value_by_name(const struct descriptor_pool *pool,
	const struct pool_enum *enumeration, struct slice name, bool any_case);

#endif
