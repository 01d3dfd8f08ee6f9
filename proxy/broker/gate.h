/*
 * gate: tells mail that arrives late that its receiver is gone: loops outlive the broker. Counted
 * by an atomic; each mail holds a reference. Closed and read on the receiver's thread.
 */
#ifndef PILLION_BROKER_GATE_H
#define PILLION_BROKER_GATE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/mem.h"

struct gate {
	atomic_uint refs;
	atomic_bool closed;
};

static inline struct gate *gate_create(void)
{
	struct gate *gate = mem_zalloc(sizeof *gate);

	atomic_init(&gate->refs, 1);
	return gate;
}

static inline struct gate *gate_ref(struct gate *gate)
{
	atomic_fetch_add(&gate->refs, 1);
	return gate;
}

static inline void gate_unref(struct gate *gate)
{
	if (atomic_fetch_sub(&gate->refs, 1) == 1) {
		mem_free(gate);
	}
}

/* Gives the mail's reference back; true: the receiver is there. */
static inline bool gate_pass(struct gate *gate)
{
	bool open = !atomic_load(&gate->closed);

	gate_unref(gate);
	return open;
}

/* The receiver goes, with its own reference. */
static inline void gate_close(struct gate *gate)
{
	atomic_store(&gate->closed, true);
	gate_unref(gate);
}

#endif
