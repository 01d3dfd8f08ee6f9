/*
 * Up to eight keys are compared one by one, by their hashes; more get a table. The sets of nested
 * maps lie on one stack, so a map costs no allocation and gives all of it back at its end.
 */
#include "codec/key_set.h"

#include "codec/wire.h"

#define LINEAR_MAX 8 /* smaller sets are searched one by one */

typedef unsigned __int128 wide;

/* The second word must not be predictable from the first hashes. */
void key_set_init(struct key_sets *sets, uint64_t seed)
{
	buf_init(&sets->entries);
	buf_init(&sets->table);
	sets->hash_key[0] = seed ^ 0x9e3779b97f4a7c15u;
	sets->hash_key[1] = seed * 0xd1342543de82ef95u + 0xbf58476d1ce4e5b9u;
}

void key_set_fini(struct key_sets *sets)
{
	buf_fini(&sets->entries);
	buf_fini(&sets->table);
}

void key_set_reset(struct key_sets *sets)
{
	buf_clear(&sets->entries);
	buf_clear(&sets->table);
}

/* A folded product: every bit of both sides reaches every bit of the result. */
static uint64_t mix(uint64_t a, uint64_t b)
{
	wide product = (wide)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Keyed with a secret, so that nobody can choose keys that collide. */
static uint64_t hash_bytes(const struct key_sets *sets, struct slice key)
{
	uint64_t hash = sets->hash_key[0] ^ key.size;
	const uint8_t *p = key.data;
	size_t size = key.size;
	uint64_t tail[2] = {0, 0};

	for (; size > 16; p += 16, size -= 16) {
		hash = mix(wire_load64(p) ^ hash, wire_load64(p + 8) ^ sets->hash_key[1]);
	}
	if (size >= 8) {
		tail[0] = wire_load64(p);
		tail[1] = wire_load64(p + size - 8);
	} else if (size >= 4) {
		tail[0] = wire_load32(p);
		tail[1] = wire_load32(p + size - 4);
	} else if (size > 0) {
		tail[0] = p[0] | (uint64_t)p[size / 2] << 8 | (uint64_t)p[size - 1] << 16;
	}
	return mix(tail[0] ^ hash, tail[1] ^ sets->hash_key[1]);
}

static struct key_entry *entry_at(struct key_sets *sets, size_t index)
{
	return (struct key_entry *)(void *)sets->entries.data + index;
}

static uint32_t *table_at(struct key_sets *sets, size_t index)
{
	return (uint32_t *)(void *)sets->table.data + index;
}

/* Opening costs nothing: most maps are small. */
void key_set_open(struct key_sets *sets, struct key_set *set)
{
	*set = (struct key_set){
		.first = sets->entries.size / sizeof(struct key_entry),
		.table = sets->table.size / sizeof(uint32_t),
	};
}

static void put(struct key_sets *sets, struct key_set *set, size_t index)
{
	uint32_t *table = table_at(sets, set->table);
	size_t i = entry_at(sets, set->first + index)->hash & set->mask;

	while (table[i]) {
		i = (i + 1) & set->mask;
	}
	table[i] = (uint32_t)index + 1;
}

/* This set is the innermost one, so its table may grow where it stands. */
static void grow_table(struct key_sets *sets, struct key_set *set)
{
	/* Half full at most: chains stay short with a good hash. */
	size_t slots = set->mask ? (set->mask + 1) * 2 : 4 * (size_t)LINEAR_MAX;

	ASSERT(sets->table.size ==
		(set->table + (set->mask ? set->mask + 1 : 0)) * sizeof(uint32_t));
	sets->table.size = set->table * sizeof(uint32_t);
	memset(buf_reserve(&sets->table, slots * sizeof(uint32_t)), 0, slots * sizeof(uint32_t));
	sets->table.size += slots * sizeof(uint32_t);
	set->mask = slots - 1;
	for (size_t i = 0; i < set->count; i++) {
		put(sets, set, i);
	}
}

/* The hash decides nearly always. */
static bool equal(const struct key_entry *a, const struct key_entry *b, const uint8_t *base)
{
	if (a->hash != b->hash || a->size != b->size) {
		return false;
	}
	if (a->size == KEY_NUMBER) {
		return a->place == b->place;
	}
	if (!base) {
		return memcmp((const void *)(uintptr_t)a->place, (const void *)(uintptr_t)b->place,
			       a->size) == 0;
	}
	return memcmp(base + a->place, base + b->place, a->size) == 0;
}

/* The index of an equal entry, or count. */
static size_t find(struct key_sets *sets, const struct key_set *set, const struct key_entry *entry,
	const uint8_t *base)
{
	if (!set->mask) {
		for (size_t i = 0; i < set->count; i++) {
			if (equal(entry_at(sets, set->first + i), entry, base)) {
				return i;
			}
		}
		return set->count;
	}
	const uint32_t *table = table_at(sets, set->table);

	for (size_t i = entry->hash & set->mask; table[i]; i = (i + 1) & set->mask) {
		if (equal(entry_at(sets, set->first + table[i] - 1), entry, base)) {
			return table[i] - 1;
		}
	}
	return set->count;
}

/* Only the innermost open set may be added to. */
static bool add(struct key_sets *sets, struct key_set *set, const struct key_entry *entry,
	const uint8_t *base, size_t *ret_other)
{
	size_t other = find(sets, set, entry, base);

	ASSERT(sets->entries.size == (set->first + set->count) * sizeof(*entry));
	if (other < set->count) {
		if (ret_other) {
			*ret_other = other;
		}
		return false;
	}
	buf_append(&sets->entries, entry, sizeof(*entry));
	set->count++;
	if (set->count > LINEAR_MAX && set->count * 2 > set->mask) {
		grow_table(sets, set);
	} else if (set->mask) {
		put(sets, set, set->count - 1);
	}
	return true;
}

bool key_set_add(struct key_sets *sets, struct key_set *set, const uint8_t *base, struct slice key,
	size_t *ret_other)
{
	struct key_entry entry = {hash_bytes(sets, key),
		base ? (uint64_t)(key.data - base) : (uintptr_t)key.data, (uint32_t)key.size};

	return add(sets, set, &entry, base, ret_other);
}

bool key_set_add_number(struct key_sets *sets, struct key_set *set, uint64_t key, size_t *ret_other)
{
	struct key_entry entry = {
		mix(key ^ sets->hash_key[0], sets->hash_key[1] | 1), key, KEY_NUMBER};

	return add(sets, set, &entry, NULL, ret_other);
}

void key_set_close(struct key_sets *sets, struct key_set *set)
{
	ASSERT(sets->entries.size == (set->first + set->count) * sizeof(struct key_entry));
	sets->entries.size = set->first * sizeof(struct key_entry);
	sets->table.size = set->table * sizeof(uint32_t);
}
