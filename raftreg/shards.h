/*
 * shards: what a snapshot is made of: immutable, counted pieces of encoded bytes in 256 shards
 * (registry.md RD-01, RS-06). The registry thread puts, replaces and removes. A capture holds the
 * shards as they were, whatever their size, by one reference each; a shard that a capture holds is
 * copied before it changes. A capture is read and dropped on any one thread.
 */
#ifndef PILLION_RAFTREG_SHARDS_H
#define PILLION_RAFTREG_SHARDS_H

#include <stdatomic.h>

#include "base/buf.h"

#define SHARDS_COUNT 256

/* In the order of the snapshot: all sessions, then set by set its head, methods, members. */
enum piece_kind { PIECE_SESSION, PIECE_SET, PIECE_DEF, PIECE_MEMBER };

/* The name that the pieces of one set share. */
struct piece_group {
	atomic_uint refs;
	struct slice name; /* kind byte and name, behind this struct */
};
struct piece_group *piece_group_create(struct slice name); /* with one reference */
void piece_group_unref(struct piece_group *group);	   /* any thread; NULL allowed */

struct piece {
	atomic_uint refs;
	enum piece_kind kind;
	struct piece_group *group; /* with a reference; NULL: a session */
	struct slice key;	   /* points into bytes, like whatever else the owner remembers */
	size_t size;
	uint8_t bytes[];
};
/* A copy of the bytes, with one reference; key_at, key_size: where the key is in them. */
struct piece *piece_create(enum piece_kind kind, struct piece_group *group, struct slice bytes,
	size_t key_at, size_t key_size);
void piece_unref(struct piece *piece); /* any thread; NULL allowed */

struct shard;
struct shards {
	struct shard *list[SHARDS_COUNT]; /* NULL: empty */
};
void shards_init(struct shards *shards);
void shards_fini(struct shards *shards);
/* The table takes over the reference of `piece` and drops that of `old`, which has the same kind,
 * group and key. old NULL: a new one. piece NULL: it goes. */
void shards_put(struct shards *shards, struct piece *old, struct piece *piece);

struct shards_capture;
struct shards_capture *shards_capture(const struct shards *shards);
void shards_capture_drop(struct shards_capture *capture);
/* All of them in the order of the snapshot; the list is the caller's, the pieces are not. */
const struct piece **shards_list(const struct shards_capture *capture, size_t *ret_count);

#endif
