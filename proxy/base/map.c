#include "base/map.h"

#include <pthread.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/siphash.h"

#define MAP_FIRST_CAPACITY 8
#define MAP_FREE	   UINT32_MAX /* index slot without an entry */
#define MAP_COUNT_MAX	   ((size_t)1 << 30)

/* Drawn once per process and never changed: with it a peer could choose keys that collide. */
static uint8_t map_key[16];
static pthread_once_t map_key_once = PTHREAD_ONCE_INIT;

static void map_draw_key(void)
{
	rng_system_bytes(map_key, sizeof(map_key));
}

static uint64_t map_hash(struct slice key)
{
	int status = pthread_once(&map_key_once, map_draw_key);

	ASSERT(status == 0);
	return siphash24(map_key, key.data, key.size);
}

void map_init(struct map *map)
{
	ASSERT(map != NULL);
	*map = (struct map){NULL, NULL, 0, 0, 0};
}

void map_fini(struct map *map)
{
	for (size_t i = 0; i < map->count; i++) {
		mem_free((void *)(uintptr_t)map->entries[i].key.data);
	}
	mem_free(map->entries);
	mem_free(map->index);
	map_init(map);
}

/* The index slot that holds the key, or the free one where its search ended. */
static size_t map_slot(const struct map *map, struct slice key, uint64_t hash)
{
	size_t slot = (size_t)hash & map->mask;

	/* At least half of the index is free, so the walk ends. */
	while (map->index[slot] != MAP_FREE) {
		const struct map_entry *entry = &map->entries[map->index[slot]];

		if (entry->hash == hash && slice_equal(entry->key, key)) {
			return slot;
		}
		slot = (slot + 1) & map->mask;
	}
	return slot;
}

/* Twice as many slots as entries: searches stay short, and always meet a free slot. */
static void map_rebuild_index(struct map *map)
{
	size_t size = map->capacity * 2;

	mem_free(map->index);
	map->index = mem_alloc(size * sizeof(*map->index));
	map->mask = size - 1;
	for (size_t i = 0; i < size; i++) {
		map->index[i] = MAP_FREE;
	}
	for (size_t i = 0; i < map->count; i++) {
		size_t slot = (size_t)map->entries[i].hash & map->mask;

		while (map->index[slot] != MAP_FREE) {
			slot = (slot + 1) & map->mask;
		}
		map->index[slot] = (uint32_t)i;
	}
}

/* The entries move in memory, so pointers to them hold only until the next map_set. */
static void map_grow(struct map *map)
{
	size_t capacity = map->capacity > 0 ? map->capacity * 2 : MAP_FIRST_CAPACITY;

	ASSERT(capacity <= MAP_COUNT_MAX);
	map->entries = mem_realloc(map->entries, capacity * sizeof(*map->entries));
	map->capacity = capacity;
	map_rebuild_index(map);
}

void *map_get(const struct map *map, struct slice key)
{
	uint32_t entry;

	/* A map that was never filled has no index to look into. */
	if (map->count == 0) {
		return NULL;
	}
	entry = map->index[map_slot(map, key, map_hash(key))];
	ASSERT(entry == MAP_FREE || entry < map->count);
	return entry == MAP_FREE ? NULL : map->entries[entry].value;
}

void *map_set(struct map *map, struct slice key, void *value)
{
	uint64_t hash = map_hash(key);
	size_t slot;
	void *previous;

	ASSERT(value != NULL);
	if (map->count == map->capacity) {
		map_grow(map);
	}
	slot = map_slot(map, key, hash);
	if (map->index[slot] != MAP_FREE) {
		struct map_entry *entry = &map->entries[map->index[slot]];

		previous = entry->value;
		entry->value = value;
		return previous;
	}
	map->index[slot] = (uint32_t)map->count;
	map->entries[map->count++] =
		(struct map_entry){slice_make(mem_copy(key.data, key.size), key.size), value, hash};
	return NULL;
}

/* Closes the gap: every later entry of the run that may stand in it moves back (Knuth 6.4, R). */
static void map_free_slot(struct map *map, size_t gap)
{
	size_t slot = gap;

	for (;;) {
		size_t home;

		slot = (slot + 1) & map->mask;
		if (map->index[slot] == MAP_FREE) {
			break;
		}
		home = (size_t)map->entries[map->index[slot]].hash & map->mask;
		/* Distance from home tells whether the gap lies between home and the slot. */
		if (((slot - home) & map->mask) >= ((slot - gap) & map->mask)) {
			map->index[gap] = map->index[slot];
			gap = slot;
		}
	}
	map->index[gap] = MAP_FREE;
}

void *map_remove(struct map *map, struct slice key)
{
	size_t slot;
	uint32_t removed;
	void *value;

	if (map->count == 0) {
		return NULL;
	}
	slot = map_slot(map, key, map_hash(key));
	removed = map->index[slot];
	if (removed == MAP_FREE) {
		return NULL;
	}
	ASSERT(removed < map->count);
	value = map->entries[removed].value;
	map_free_slot(map, slot);
	mem_free((void *)(uintptr_t)map->entries[removed].key.data);
	map->count--;
	if (removed != map->count) {
		/* The last entry moves into the gap; its index slot must follow. */
		struct map_entry *last = &map->entries[map->count];

		slot = map_slot(map, last->key, last->hash);
		ASSERT(map->index[slot] == map->count);
		map->index[slot] = removed;
		map->entries[removed] = *last;
	}
	return value;
}
