#include "control/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/listener.h"
#include "net/loop.h"

/* Closing takes a few turns: streams are told, then connections, then memory is given back. */
#define LAST_TURNS 16

struct worker_start_args {
	struct worker *worker;
	struct exchange_server_options options;
};

/* On the worker: the function owns its argument, the envelope goes here. */
static void deliver(struct mail *mail)
{
	struct worker_mail *call = container_of(mail, struct worker_mail, mail);

	call->run(call->worker, call->argument);
	mem_free(call);
}

/* The loop ended with mail unread; arguments with references or descriptors bring their own
 * function. */
static void discard(struct mail *mail)
{
	struct worker_mail *call = container_of(mail, struct worker_mail, mail);

	if (call->discard_argument) {
		call->discard_argument(call->argument);
	} else {
		mem_free(call->argument);
	}
	mem_free(call);
}

/* Only the loop: others may mail from now on, and nothing is lost before the thread runs. */
int worker_create(struct control *control, unsigned index, struct worker *ret_worker)
{
	*ret_worker = (struct worker){.control = control, .index = index};
	list_init(&ret_worker->listeners);
	return loop_create(&ret_worker->loop);
}

/* D-03: draining takes what already waits in the accept queue, for those clients think they are
 * connected. */
static void close_listener(struct worker_listener *entry, bool drain)
{
	list_unlink(&entry->node);
	listener_destroy(entry->listener, drain);
	mem_free(entry->name);
	mem_free(entry);
}

/* Armed anew from the loop's time: after a long turn there is one tick, not a burst. */
static void on_tick(struct timer *timer)
{
	struct worker *worker = container_of(timer, struct worker, tick);

	worker->hooks->tick(worker);
	timer_arm(worker->loop, timer, loop_now_ms(worker->loop) + WORKER_TICK_MS);
}

/* The server lives and dies on its thread, so that nothing in it needs a lock. What control has to
 * do there goes through the hooks. */
static void *thread_main(void *argument)
{
	struct worker_start_args *args = argument;
	struct worker *worker = args->worker;
	sigset_t all;

	/* Signals belong to the parent process and to control. */
	sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, NULL);
	worker->server = exchange_server_create(&args->options);
	ASSERT(worker->server);
	snapshot_unref(args->options.snapshot);
	mem_free(args);
	worker->hooks->setup(worker);
	timer_init(&worker->tick, on_tick);
	timer_arm(worker->loop, &worker->tick, loop_now_ms(worker->loop) + WORKER_TICK_MS);
	loop_run(worker->loop);
	LIST_FOR_EACH_SAFE(node, &worker->listeners) {
		close_listener(LIST_ENTRY(node, struct worker_listener, node), false);
	}
	timer_cancel(&worker->tick);
	worker->hooks->teardown(worker);
	exchange_server_destroy(worker->server);
	worker->server = NULL;
	/* Graveyards of what was just cut. */
	for (int i = 0; i < EXCHANGE_SERVER_TURNS; i++) {
		loop_turn(worker->loop, 0);
	}
	return NULL;
}

/* answered_ms begins with now, or a worker that has had no ping yet would count as hung (HE-01). */
int worker_start(struct worker *worker, const struct exchange_server_options *options,
	const struct worker_hooks *hooks)
{
	struct worker_start_args *args = mem_zalloc(sizeof *args);
	char name[16];
	int result;

	ASSERT(hooks->setup && hooks->tick && hooks->teardown);
	worker->hooks = hooks;
	*args = (struct worker_start_args){.worker = worker, .options = *options};
	snapshot_ref(options->snapshot);
	atomic_store(&worker->answered_ms, clock_monotonic_ms());
	result = pthread_create(&worker->thread, NULL, thread_main, args);
	if (result != 0) {
		snapshot_unref(options->snapshot);
		mem_free(args);
		return -result;
	}
	(void)snprintf(name, sizeof name, "worker-%u", worker->index);
	(void)pthread_setname_np(worker->thread, name);
	worker->running = true;
	return 0;
}

/* Never blocks and never runs the function at once, not even when called on the worker itself. */
void worker_call(struct worker *worker, void (*run)(struct worker *worker, void *argument),
	void *argument, void (*discard_argument)(void *argument))
{
	struct worker_mail *call = mem_zalloc(sizeof *call);

	ASSERT(run);
	*call = (struct worker_mail){.mail = {.deliver = deliver, .discard = discard},
		.worker = worker,
		.run = run,
		.argument = argument,
		.discard_argument = discard_argument};
	(void)mailbox_post(loop_mailbox(worker->loop), &call->mail);
}

/* The rest is done by thread_main, after the loop has returned. */
static void run_stop(struct worker *worker, void *argument)
{
	ASSERT(!argument);
	loop_stop(worker->loop);
}

/* Joined: when it returns nothing of the worker touches registry, broker or background any more. */
void worker_stop(struct worker *worker)
{
	if (!worker->running) {
		return;
	}
	worker_call(worker, run_stop, NULL, NULL);
	(void)pthread_join(worker->thread, NULL);
	worker->running = false;
}

/* After the last mail to it was posted or discarded. */
void worker_destroy(struct worker *worker)
{
	ASSERT(!worker->running);
	loop_destroy(worker->loop);
	worker->loop = NULL;
}

/* The listener's name decides about service, trust and filters, by the snapshot in force
 * (exchange/server.h). */
static void on_accept(void *owner, struct transport *transport)
{
	struct worker_listener *entry = owner;

	exchange_server_accept(entry->worker->server, entry->name, transport);
}

struct add_args {
	char *name;
	uint32_t id;
	int fd;
};

static void run_add(struct worker *worker, void *argument)
{
	struct add_args *args = argument;
	struct worker_listener *entry = mem_zalloc(sizeof *entry);
	struct listener_options options = {.fd = args->fd, .on_accept = on_accept, .owner = entry};

	entry->worker = worker;
	entry->id = args->id;
	entry->name = args->name;
	if (listener_create(worker->loop, &options, &entry->listener) < 0) {
		/* Only out of memory in the event library: the other workers still accept. */
		mem_free(entry->name);
		mem_free(entry);
	} else {
		list_push_back(&worker->listeners, &entry->node);
	}
	mem_free(args);
}

/* The descriptor was taken over with the call. */
static void discard_add(void *argument)
{
	struct add_args *args = argument;

	close(args->fd);
	mem_free(args->name);
	mem_free(args);
}

/* By mail, so that accepting begins on the thread that will serve. */
void worker_add_listener(struct worker *worker, uint32_t id, const char *name, int fd)
{
	struct add_args *args = mem_zalloc(sizeof *args);

	ASSERT(fd >= 0);
	args->name = mem_strdup(name);
	args->id = id;
	args->fd = fd;
	worker_call(worker, run_add, args, discard_add);
}

/* Accepting ends first, then the connections that came from it are told to finish (D-06). */
static void run_remove(struct worker *worker, void *argument)
{
	struct add_args *args = argument;

	LIST_FOR_EACH_SAFE(node, &worker->listeners) {
		struct worker_listener *entry = LIST_ENTRY(node, struct worker_listener, node);

		if (entry->id == args->id) {
			close_listener(entry, true);
		}
	}
	if (args->name) {
		exchange_server_drain_listener(worker->server, args->name);
	}
	mem_free(args->name);
	mem_free(args);
}

/* The worker ended first: its listeners are closed by thread_main. */
static void discard_remove(void *argument)
{
	struct add_args *args = argument;

	mem_free(args->name);
	mem_free(args);
}

/* A name of NULL: another socket of this listener stays, so its connections stay too. */
void worker_remove_listener(struct worker *worker, uint32_t id, const char *name)
{
	struct add_args *args = mem_zalloc(sizeof *args);

	args->name = mem_strdup(name);
	args->id = id;
	worker_call(worker, run_remove, args, discard_remove);
}

/* HE-01: being here proves that the loop turns. */
static void run_ping(struct worker *worker, void *argument)
{
	ASSERT(!argument);
	atomic_store(&worker->answered_ms, clock_monotonic_ms());
}

/* One mail a second and worker. */
void worker_ping(struct worker *worker)
{
	worker_call(worker, run_ping, NULL, NULL);
}
