/*
 * timer_wheel: the wheel behind timer.h, embedded in a loop: 256 slots of 1 ms and four levels of
 * 64 coarser slots, whose timers move down when their slot begins, so that each fires in its own
 * millisecond. Deadlines beyond 49 days wait in the last level and are placed again. One thread.
 */
#ifndef PILLION_NET_TIMER_WHEEL_H
#define PILLION_NET_TIMER_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

#define TIMER_WHEEL_FINE   256
#define TIMER_WHEEL_COARSE 64
#define TIMER_WHEEL_LEVELS 4

struct timer_wheel {
	uint64_t time_ms;	  /* every earlier millisecond is done */
	struct list_node overdue; /* armed for the past: fire in the next timer stage */
	/* A bit says that the slot may hold timers; cancelling does not clear it. */
	uint64_t fine_bits[TIMER_WHEEL_FINE / 64];
	uint64_t coarse_bits[TIMER_WHEEL_LEVELS];
	struct list_node fine[TIMER_WHEEL_FINE];
	struct list_node coarse[TIMER_WHEEL_LEVELS][TIMER_WHEEL_COARSE];
};

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms);
/* True when no timer is armed. */
bool timer_wheel_empty(const struct timer_wheel *wheel);
/* The next time at which timer_wheel_run may have work; UINT64_MAX: never; 0: at once. */
uint64_t timer_wheel_next(const struct timer_wheel *wheel);
/* Fires all timers with a deadline of at most now_ms, earlier ones first. */
void timer_wheel_run(struct timer_wheel *wheel, uint64_t now_ms);

#endif
