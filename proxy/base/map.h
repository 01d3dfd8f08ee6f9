/*
 * map: a hash table from byte keys to pointers. Keys are copied into the map; values are the
 * caller's. Hashing is SipHash with a key drawn per process, so a peer cannot choose collisions.
 * Iteration order is that of insertion as long as nothing was removed. One thread.
 */
#ifndef PILLION_BASE_MAP_H
#define PILLION_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

struct map_entry {
	struct slice key; /* owned by the map */
	void *value;
	uint64_t hash;
};

struct map {
	struct map_entry *entries; /* dense */
	uint32_t *index;	   /* open addressing into entries */
	size_t count;
	size_t capacity; /* of entries */
	size_t mask;	 /* of index */
};

void map_init(struct map *map);
void map_fini(struct map *map); /* values are not touched */
void *map_get(const struct map *map, struct slice key);
/* Replaces; returns the value that stood there before, or NULL. value is not NULL. */
void *map_set(struct map *map, struct slice key, void *value);
/* Returns the removed value, or NULL. Moves the last entry into the gap. */
void *map_remove(struct map *map, struct slice key);

#define MAP_FOR_EACH(entry, map)                                                                   \
	for (struct map_entry *entry = (map)->entries,                                             \
			      *entry##_end = (map)->count ? entry + (map)->count : entry;          \
		entry != entry##_end; entry++)

#endif
