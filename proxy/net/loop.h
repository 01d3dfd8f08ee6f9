/*
 * loop: one thread's event loop over libevent. A turn always runs in this order: I/O callbacks
 * (which only read, parse, append and mark), the mailbox, the run queue (exchanges advance), writes
 * (one writev a connection), timers, the graveyard (frees). Objects reached from an I/O callback
 * are never freed inside it: they are buried. A loop belongs to the thread that runs it; only
 * loop_mailbox may be used from others.
 */
#ifndef PILLION_NET_LOOP_H
#define PILLION_NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/list.h"

struct end_poll;
struct event_base;
struct loop;
struct mailbox;
struct timer_wheel;

/* Work to do once, later in this turn (or the next, when queued from its own stage). Embedded in
 * its owner; queuing a queued task does nothing. The task is unlinked before run is called. */
struct task {
	struct list_node node;
	void (*run)(struct task *task);
};

MUST_CHECK int loop_create(struct loop **ret_loop); /* 0 or -errno */
void loop_destroy(struct loop *loop); /* runs the graveyard; timers must be cancelled */
/* Until loop_stop. */
void loop_run(struct loop *loop);
/* One turn; waits at most wait_ms (0: poll). For tests and for draining. */
void loop_turn(struct loop *loop, int wait_ms);
void loop_stop(struct loop *loop); /* from the loop's own thread */

uint64_t loop_now_ms(const struct loop *loop); /* CLOCK_MONOTONIC, cached once a turn */
uint64_t loop_now_ns(const struct loop *loop);
bool loop_in_io_stage(const struct loop *loop); /* callbacks of libevent are running */
struct event_base *loop_base(struct loop *loop);
struct end_poll *loop_end_poll(struct loop *loop);
struct mailbox *loop_mailbox(struct loop *loop);
struct timer_wheel *loop_timers(struct loop *loop); /* for timer.c */

void task_init(struct task *task, void (*run)(struct task *task));
void task_cancel(struct task *task);
void loop_queue(struct loop *loop, struct task *task);	     /* run queue */
void loop_queue_write(struct loop *loop, struct task *task); /* write stage, after the run queue */
/* Calls dispose(object) at the end of this turn. */
void loop_bury(struct loop *loop, void (*dispose)(void *object), void *object);

/* Turns that took longer than a bound, for metrics: longest turn in us since the last call. */
uint64_t loop_take_longest_turn_us(struct loop *loop);

#endif
