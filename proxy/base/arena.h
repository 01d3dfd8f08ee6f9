/*
 * arena: bump allocation that is freed as a whole. One owner, one thread (or read-only after the
 * owner published it). Used for the memory of one exchange and of one configuration.
 */
#ifndef PILLION_BASE_ARENA_H
#define PILLION_BASE_ARENA_H

#include <stddef.h>

#include "base/slice.h"

struct arena_page;

struct arena {
	struct arena_page *pages; /* newest first */
	size_t used;		  /* bytes handed out, alignment included */
};

void arena_init(struct arena *arena);
void arena_fini(struct arena *arena);
/* Frees everything but one page, for reuse. */
void arena_reset(struct arena *arena);
/* Zeroed, aligned to 16. Never NULL. */
void *arena_alloc(struct arena *arena, size_t size);
/* Copies; slice_* result is followed by a NUL byte that is not counted. */
struct slice arena_copy(struct arena *arena, struct slice bytes);
char *arena_string(struct arena *arena, struct slice bytes);

#endif
