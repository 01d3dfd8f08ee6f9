/*
 * key_set: the keys of one map while it is translated, to find equal ones (codec.md JN-05, WI-03,
 * EN-04). Sets nest as the maps do and share their memory: the one opened last is closed first.
 * Internal.
 */
#ifndef PILLION_CODEC_KEY_SET_H
#define PILLION_CODEC_KEY_SET_H

#include "base/buf.h"

#define KEY_NUMBER UINT32_MAX /* as a size: the key is the number in `place` */

struct key_entry {
	uint64_t hash;
	uint64_t place; /* of its bytes: offset from a base, or address */
	uint32_t size;
};

struct key_sets {
	struct buf entries;
	struct buf table; /* uint32_t: entry + 1 */
	uint64_t hash_key[2];
};

struct key_set {
	size_t first; /* entry */
	size_t count;
	size_t table; /* offset in the table; mask 0: there is none yet */
	size_t mask;
};

void key_set_init(struct key_sets *sets, uint64_t seed);
void key_set_fini(struct key_sets *sets);
/* Forgets sets that a fault left open. */
void key_set_reset(struct key_sets *sets);

void key_set_open(struct key_sets *sets, struct key_set *set);
/*
 * False: an equal key is there; *ret_other, if not NULL, is its index. base: where the buffer with
 * all keys of the set begins now, if it may move; NULL when keys stay where they are.
 */
bool key_set_add(struct key_sets *sets, struct key_set *set, const uint8_t *base, struct slice key,
	size_t *ret_other);
bool key_set_add_number(
	struct key_sets *sets, struct key_set *set, uint64_t key, size_t *ret_other);
void key_set_close(struct key_sets *sets, struct key_set *set);

#endif
