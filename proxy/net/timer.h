/*
 * timer: one hierarchical wheel per loop, 1 ms resolution below 256 ms and coarser above (a timer
 * never fires early, at most 1/64 of its length late). Embedded in its owner. The callback runs in
 * the loop's timer stage; the timer is disarmed before the call and may be armed again in it.
 */
#ifndef PILLION_NET_TIMER_H
#define PILLION_NET_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct loop;

struct timer {
	struct list_node node;
	uint64_t deadline_ms; /* loop_now_ms scale */
	void (*fire)(struct timer *timer);
};

void timer_init(struct timer *timer, void (*fire)(struct timer *timer));
/* Arms or moves. A deadline in the past fires in the next timer stage. */
void timer_arm(struct loop *loop, struct timer *timer, uint64_t deadline_ms);
void timer_cancel(struct timer *timer); /* harmless when not armed */
bool timer_armed(const struct timer *timer);

#endif
