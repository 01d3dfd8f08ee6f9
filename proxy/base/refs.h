/*
 * refs: counting the holders of something immutable that several threads share. Starts at one, by
 * atomic_init. Any thread.
 */
#ifndef PILLION_BASE_REFS_H
#define PILLION_BASE_REFS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/assert.h"

/* The caller holds one already, so there is nothing to wait for. */
static inline void refs_take(atomic_uint *refs)
{
	unsigned before = atomic_fetch_add_explicit(refs, 1, memory_order_relaxed);

	ASSERT(before > 0);
}

/* True: it was the last one. That one must see what all the others wrote before they let go. */
static inline bool refs_drop(atomic_uint *refs)
{
	unsigned before = atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel);

	ASSERT(before > 0);
	return before == 1;
}

#endif
