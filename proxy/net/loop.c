#include "net/loop.h"

#include <errno.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/end_poll.h"
#include "net/libevent.h"
#include "net/mailbox.h"
#include "net/timer_wheel.h"

/* Mails delivered in one turn; the rest waits for the next, so that traffic is not starved. */
#define LOOP_MAILS_MAX	   256
#define LOOP_BURIALS_FIRST 64
/* Longest sleep: bounds what a clock that jumps can do. */
#define LOOP_SLEEP_MAX_MS 60000
#define NS_PER_MS	  UINT64_C(1000000)

struct burial {
	void (*dispose)(void *object);
	void *object;
};

struct loop {
	struct event_base *base;
	struct end_poll *ends;
	struct mailbox *mailbox;
	struct event mail_event; /* the mailbox's eventfd */
	struct event wait_event; /* ends the sleep for the next timer */
	uint64_t wait_until_ms;	 /* for which wait_event is armed; UINT64_MAX: not armed */
	struct list_node run_queue;
	struct list_node write_queue;
	struct burial *burials;
	size_t burial_count;
	size_t burial_capacity;
	uint64_t now_ns;
	bool now_stale; /* the loop slept: the next look at the clock reads it */
	bool in_io;
	bool stopped;
	uint64_t longest_turn_ns;
	struct timer_wheel timers;
};

static void loop_on_mail(evutil_socket_t fd, short what, void *context)
{
	struct loop *loop = context;

	(void)fd;
	(void)what;
	/* Delivery has a stage of its own; here only the signal is taken away. */
	mailbox_clear_signal(loop->mailbox);
}

static void loop_on_wait(evutil_socket_t fd, short what, void *context)
{
	struct loop *loop = context;

	(void)fd;
	(void)what;
	loop->wait_until_ms = UINT64_MAX;
}

static struct event_base *loop_create_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (config == NULL) {
		return NULL;
	}
	/* One thread only: no locks; and the clock is read by the loop itself. */
	if (event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0) {
		base = event_base_new_with_config(config);
	}
	event_config_free(config);
	return base;
}

/* A half-built loop is taken apart at one place; libevent is the only part that may fail late. */
int loop_create(struct loop **ret_loop)
{
	struct loop *loop = mem_zalloc(sizeof(*loop));
	int status;

	ASSERT(ret_loop != NULL);
	list_init(&loop->run_queue);
	list_init(&loop->write_queue);
	loop->now_ns = clock_monotonic_ns();
	loop->wait_until_ms = UINT64_MAX;
	timer_wheel_init(&loop->timers, loop->now_ns / NS_PER_MS);
	status = mailbox_create(&loop->mailbox);
	if (status < 0) {
		goto fail;
	}
	loop->base = loop_create_base();
	if (loop->base == NULL) {
		status = -ENOMEM;
		goto fail;
	}
	if (event_assign(&loop->mail_event, loop->base, mailbox_fd(loop->mailbox),
		    EV_READ | EV_PERSIST, loop_on_mail, loop) != 0 ||
		event_assign(&loop->wait_event, loop->base, -1, 0, loop_on_wait, loop) != 0 ||
		event_add(&loop->mail_event, NULL) != 0) {
		status = -ENOMEM;
		goto fail;
	}
	status = end_poll_create(loop->base, &loop->ends);
	if (status < 0) {
		goto fail;
	}
	*ret_loop = loop;
	return 0;
fail:
	if (loop->base != NULL) {
		event_base_free(loop->base);
	}
	mailbox_destroy(loop->mailbox);
	mem_free(loop);
	return status;
}

static void loop_run_burials(struct loop *loop)
{
	/* Disposing may bury more; they go in this same turn. */
	for (size_t i = 0; i < loop->burial_count; i++) {
		struct burial burial = loop->burials[i];

		burial.dispose(burial.object);
	}
	loop->burial_count = 0;
}

void loop_destroy(struct loop *loop)
{
	if (loop == NULL) {
		return;
	}
	mailbox_close(loop->mailbox);
	loop_run_burials(loop);
	/* A timer or task that is left would point into an owner that lives longer. */
	ASSERT(timer_wheel_empty(&loop->timers));
	ASSERT(list_empty(&loop->run_queue) && list_empty(&loop->write_queue));
	end_poll_destroy(loop->ends);
	event_del(&loop->mail_event);
	event_del(&loop->wait_event);
	event_base_free(loop->base);
	mailbox_destroy(loop->mailbox);
	mem_free(loop->burials);
	mem_free(loop);
}

static void loop_refresh(struct loop *loop)
{
	loop->now_ns = clock_monotonic_ns();
	loop->now_stale = false;
}

uint64_t loop_now_ns(const struct loop *loop)
{
	/* Read at the first question after the sleep, not once more: a cache, hence the cast. */
	if (loop->now_stale) {
		loop_refresh((struct loop *)(uintptr_t)loop);
	}
	return loop->now_ns;
}

uint64_t loop_now_ms(const struct loop *loop)
{
	return loop_now_ns(loop) / NS_PER_MS;
}

/* How long this turn may sleep: 0 when there is work, at most wait_ms (-1: no bound). */
static uint64_t loop_sleep_ms(struct loop *loop, int wait_ms)
{
	uint64_t sleep_ms =
		wait_ms < 0 || wait_ms > LOOP_SLEEP_MAX_MS ? LOOP_SLEEP_MAX_MS : (uint64_t)wait_ms;
	uint64_t now_ms = loop_now_ms(loop);
	uint64_t next_ms = timer_wheel_next(&loop->timers);

	if (!list_empty(&loop->run_queue) || !list_empty(&loop->write_queue) ||
		loop->burial_count > 0 || next_ms <= now_ms) {
		return 0;
	}
	return next_ms - now_ms < sleep_ms ? next_ms - now_ms : sleep_ms;
}

/* Lets the poll end in time. An earlier alarm stays: waking once for nothing is cheaper. */
static void loop_arm_wait(struct loop *loop, uint64_t sleep_ms)
{
	uint64_t until = loop_now_ms(loop) + sleep_ms;
	struct timeval distance = {
		(time_t)(sleep_ms / 1000), (suseconds_t)(sleep_ms % 1000) * 1000};
	int status;

	ASSERT(sleep_ms > 0);
	if (loop->wait_until_ms <= until) {
		return;
	}
	status = event_add(&loop->wait_event, &distance);
	ASSERT(status == 0);
	loop->wait_until_ms = until;
}

/* Runs what stands in the queue now; what is queued meanwhile waits for the next turn. */
static void loop_run_tasks(struct list_node *queue)
{
	struct list_node now;
	struct list_node *node;

	list_init(&now);
	list_move_all(&now, queue);
	while ((node = list_pop_front(&now)) != NULL) {
		struct task *task = LIST_ENTRY(node, struct task, node);

		task->run(task);
	}
}

/*
 * The order of the stages is the contract of loop.h. Between libevent's poll and the end of the
 * turn the clock is read twice: after the sleep, and before the next one.
 */
void loop_turn(struct loop *loop, int wait_ms)
{
	uint64_t sleep_ms;
	uint64_t start_ns;
	int flags = EVLOOP_ONCE;
	int status;

	sleep_ms = loop_sleep_ms(loop, wait_ms);
	if (sleep_ms == 0 || mailbox_prepare_sleep(loop->mailbox)) {
		flags |= EVLOOP_NONBLOCK;
	} else {
		loop_arm_wait(loop, sleep_ms);
	}
	loop->now_stale = true;
	loop->in_io = true;
	status = event_base_loop(loop->base, flags);
	loop->in_io = false;
	ASSERT(status >= 0);
	start_ns = loop_now_ns(loop);
	mailbox_drain(loop->mailbox, LOOP_MAILS_MAX);
	loop_run_tasks(&loop->run_queue);
	loop_run_tasks(&loop->write_queue);
	timer_wheel_run(&loop->timers, start_ns / NS_PER_MS);
	loop_run_burials(loop);
	/* The sleep's length is counted from here; the turn's length is known by the way. */
	loop_refresh(loop);
	if (loop->now_ns - start_ns > loop->longest_turn_ns) {
		loop->longest_turn_ns = loop->now_ns - start_ns;
	}
}

void loop_run(struct loop *loop)
{
	loop->stopped = false;
	while (!loop->stopped) {
		loop_turn(loop, -1);
	}
}

void loop_stop(struct loop *loop)
{
	ASSERT(loop != NULL);
	loop->stopped = true;
}

bool loop_in_io_stage(const struct loop *loop)
{
	return loop->in_io;
}

struct event_base *loop_base(struct loop *loop)
{
	return loop->base;
}

struct end_poll *loop_end_poll(struct loop *loop)
{
	return loop->ends;
}

struct mailbox *loop_mailbox(struct loop *loop)
{
	return loop->mailbox;
}

struct timer_wheel *loop_timers(struct loop *loop)
{
	return &loop->timers;
}

void task_init(struct task *task, void (*run)(struct task *task))
{
	ASSERT(run != NULL);
	list_init(&task->node);
	task->run = run;
}

void task_cancel(struct task *task)
{
	list_unlink(&task->node);
}

void loop_queue(struct loop *loop, struct task *task)
{
	ASSERT(task->run != NULL);
	if (!list_linked(&task->node)) {
		list_push_back(&loop->run_queue, &task->node);
	}
}

void loop_queue_write(struct loop *loop, struct task *task)
{
	ASSERT(task->run != NULL);
	if (!list_linked(&task->node)) {
		list_push_back(&loop->write_queue, &task->node);
	}
}

/* Grows to the most burials of one turn and stays there: no allocation once warm. */
void loop_bury(struct loop *loop, void (*dispose)(void *object), void *object)
{
	ASSERT(dispose != NULL);
	if (loop->burial_count == loop->burial_capacity) {
		loop->burial_capacity =
			loop->burial_capacity > 0 ? loop->burial_capacity * 2 : LOOP_BURIALS_FIRST;
		loop->burials =
			mem_realloc(loop->burials, loop->burial_capacity * sizeof(*loop->burials));
	}
	loop->burials[loop->burial_count++] = (struct burial){dispose, object};
}

uint64_t loop_take_longest_turn_us(struct loop *loop)
{
	uint64_t longest_us = loop->longest_turn_ns / 1000;

	loop->longest_turn_ns = 0;
	return longest_us;
}
