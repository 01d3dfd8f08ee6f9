/*
 * recent: the deltas of the last while, in the order in which they were published, so that a watch
 * that comes back is told what it missed and not everything (registry.md RW-03). Bounded; what
 * falls out is remembered as an index only. Owns its bytes. Registry thread.
 */
#ifndef PILLION_RAFTREG_RECENT_H
#define PILLION_RAFTREG_RECENT_H

#include <stdbool.h>

#include "base/slice.h"

/* registry.md 1, event ring */
#define RECENT_DELTAS_MAX 65536
#define RECENT_BYTES_MAX  (32u * 1024 * 1024)

struct recent_delta {
	bool records;
	struct slice name;  /* of the set; points into bytes */
	uint64_t index;	    /* the set's revision afterwards */
	uint64_t published; /* the state's index then; never falls from one delta to the next */
	struct slice bytes; /* one DELTA frame; owned */
};

struct recent {
	struct recent_delta *ring;
	size_t first, count, capacity;
	size_t bytes;
	uint64_t lost; /* changes up to this index are not all here */
};

void recent_init(struct recent *recent, uint64_t applied);
void recent_fini(struct recent *recent);
/* Forgets everything: the state was replaced by one of that index. */
void recent_clear(struct recent *recent, uint64_t applied);
/* A DELTA frame; it is copied. */
void recent_add(struct recent *recent, struct slice bytes, uint64_t published);
/* False when changes after the cursor fell out already. Else *ret_place is where to begin. */
bool recent_find(const struct recent *recent, uint64_t cursor, size_t *ret_place);
/* NULL at the end. Deltas that end at the cursor or before are among them. */
const struct recent_delta *recent_at(const struct recent *recent, size_t place);

#endif
