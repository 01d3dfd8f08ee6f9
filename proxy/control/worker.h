/*
 * worker: one data-path thread: a loop, its listeners and an exchange_server. Control creates the
 * loop first (so that others may mail to it), then starts the thread. Everything after that goes by
 * worker_call, whose function runs on the worker's thread.
 */
#ifndef PILLION_CONTROL_WORKER_H
#define PILLION_CONTROL_WORKER_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "exchange/server.h"
#include "net/mailbox.h"
#include "net/timer.h"

struct control;
struct listener;
struct worker;
struct worker_hooks;

struct worker_listener {
	struct list_node node; /* worker->listeners; worker's thread */
	struct worker *worker;
	struct listener *listener;
	uint32_t id; /* of control's bound_listener */
	char *name;
};

struct worker {
	struct control *control;
	unsigned index;
	struct loop *loop;
	struct exchange_server *server; /* worker's thread only, between start and end */
	struct list_node listeners;	/* worker's thread only */
	pthread_t thread;
	bool running;
	_Atomic uint64_t answered_ms; /* last ping answered (HE-01) */
	const struct worker_hooks *hooks;
	struct timer tick;
};

/* What control does on the worker's thread. */
struct worker_hooks {
	void (*setup)(struct worker *worker);	 /* the server was just created */
	void (*tick)(struct worker *worker);	 /* every WORKER_TICK_MS */
	void (*teardown)(struct worker *worker); /* the server is about to be destroyed */
};
#define WORKER_TICK_MS 100

/* A function to run on the worker; `argument` is heap memory that the function frees. */
struct worker_mail {
	struct mail mail;
	struct worker *worker;
	void (*run)(struct worker *worker, void *argument);
	void *argument;
	void (*discard_argument)(
		void *argument); /* when the mail is never delivered; NULL: mem_free */
};

MUST_CHECK int worker_create(struct control *control, unsigned index, struct worker *ret_worker);
/* Starts the thread with this snapshot (a reference is taken). */
MUST_CHECK int worker_start(struct worker *worker, const struct exchange_server_options *options,
	const struct worker_hooks *hooks);
/* Any thread. */
void worker_call(struct worker *worker, void (*run)(struct worker *worker, void *argument),
	void *argument, void (*discard_argument)(void *argument));
/* Control's thread: asks the loop to end, joins, destroys. */
void worker_stop(struct worker *worker);
void worker_destroy(struct worker *worker);

/* Control's thread; the descriptor is taken over. */
void worker_add_listener(struct worker *worker, uint32_t id, const char *name, int fd);
/* Accept queue emptied, then closed (D-03); its connections drain unless `name` is NULL. */
void worker_remove_listener(struct worker *worker, uint32_t id, const char *name);
void worker_ping(struct worker *worker);

#endif
