/*
 * state: the control thread's own struct, shared by the files of this room and nobody else.
 */
#ifndef PILLION_CONTROL_STATE_H
#define PILLION_CONTROL_STATE_H

#include <stdatomic.h>
#include <time.h>

#include "base/map.h"
#include "control/control.h"
#include "control/datadir.h"
#include "control/channel.h"
#include "control/worker.h"
#include "net/fd_watch.h"
#include "net/loop.h"
#include "net/timer.h"

struct background;
struct drain;
struct lifecycle;
struct raftreg_door;
struct schema;
struct translate_worker;

#define CONTROL_WORKERS_MAX   64
#define CONTROL_LISTENERS_MAX 32

/* One listener that is bound: the address in force may differ from the configured one (ZC-03). */
struct bound_listener {
	char *name;
	uint32_t id; /* of the channel */
	struct address address;
	enum config_listener_kind kind;
	bool second;			  /* the [::1] twin of outbound */
	bool keep;			  /* used while a reload compares */
	int sockets[CONTROL_WORKERS_MAX]; /* -1 once a worker has it */
};

struct deferred_message {
	struct list_node node;
	struct channel_message message;
};

struct control {
	const struct control_setup *setup;
	const struct launch *launch;
	struct parent_identity identity;
	int channel;
	struct loop *loop;
	struct resolver *resolver;
	struct background *background;

	struct config *config;		  /* of the snapshot in force (owned by it) */
	struct config_snapshot *snapshot; /* control's reference */
	atomic_uint snapshots_alive;	  /* RL-08 */
	uint64_t generation;
	struct datadir data;
	struct bound_listener listeners[CONTROL_LISTENERS_MAX];
	unsigned listener_count;
	uint32_t next_listener_id;
	unsigned port_shift;	  /* 0, 20, 40 ... (ZC-03) */
	int admin_fd, metrics_fd; /* handed to the plug-in */
	struct address admin_address;
	char holder[96]; /* who has the address that could not be bound; empty: unknown */
	struct worker workers[CONTROL_WORKERS_MAX];
	struct loop *worker_loops[CONTROL_WORKERS_MAX];
	struct translate_worker *translate[CONTROL_WORKERS_MAX];
	unsigned worker_count;
	struct raftreg_node *node; /* NULL: not a replica */
	struct raftreg_door *door;
	struct registry *registry; /* raft client or static; NULL: none */
	bool registry_is_raft;
	struct registry *configured; /* services.S.instances beside raft; NULL: none */
	char advertise_host[256];
	uint16_t advertise_port;
	struct map watches; /* service name -> struct service_watch */

	struct broker *broker;
	struct schema *schema; /* descriptor pool of the own application */
	struct lifecycle *lifecycle;
	struct drain *drain; /* lifecycle's; for the workers' answers */

	struct list_node reloads; /* struct control_reload waiting */
	struct task reload_task;
	struct control_reload signal_reload; /* SIGHUP, or a watched file */
	struct timer watch_timer;
	struct timespec config_time; /* of the file, when it was last looked at */
	struct timer ping_timer;
	unsigned watchdog_ms; /* 0: systemd wants none */
	struct fd_watch channel_watch;
	struct fd_watch signal_watch; /* SIGTERM when the parent died */
	int signal_fd;
	struct control_counters counters;
	uint64_t access_dropped_told;
	uint64_t started_ms;
	bool started; /* /startupz, latched */
	int exit_code;
	/* Messages of the parent that came while an answer was awaited. */
	struct list_node deferred;
};

/* listeners.c: binds what the configuration asks for, moving the default ports where ZC-03 allows
 * it. 0, or -errno with err (PIL2001, 2002). */
MUST_CHECK int listeners_bind(
	struct control *control, const struct config *config, bool may_move, struct err *err);
void listeners_start(struct control *control); /* hands every socket to its worker */
void listeners_fini(struct control *control);
/* Reload: binds new ones; on commit starts them and drains removed ones, else closes them again. */
MUST_CHECK int listeners_prepare(
	struct control *control, const struct config *config, struct err *err);
void listeners_commit(struct control *control);
void listeners_abandon(struct control *control);
const struct bound_listener *listeners_find(const struct control *control, const char *name);

/* build.c: configuration -> snapshot. Takes the config over on success. */
MUST_CHECK int build_snapshot(struct control *control, struct config *config, uint64_t generation,
	struct config_snapshot **ret_snapshot, struct err *err);

/* watches.c */
void watches_init(struct control *control);
void watches_fini(struct control *control);
void watches_subscribe(struct control *control, const char *service);
void watches_reconfigure(struct control *control);
void watches_on_unknown(void *worker, const char *name);   /* a worker's thread */
void watches_on_forgotten(void *worker, const char *name); /* the same */
void watches_on_verdict(void *worker, const char *service, const uint8_t id[16], enum tier tier);

/* reload.c */
void reload_init(struct control *control);
void reload_fini(struct control *control);

/* control.c */
/* The same file, environment and flags as at the start. 0, or -EINVAL with the report. */
MUST_CHECK int control_load_config(
	struct control *control, struct config **ret_config, struct config_report *report);
void control_apply_logging(struct control *control);
/* Any thread: run(control, argument) on control's loop. */
void control_call(struct control *control, void (*run)(struct control *control, void *argument),
	void *argument, void (*discard_argument)(void *argument));
void control_post_snapshot(struct control *control);
void control_say(const struct err *err); /* three lines on standard error (CL-05) */
int control_send(struct control *control, const struct channel_message *message);
MUST_CHECK int control_watch_channel(struct control *control);
void control_take_deferred(struct control *control);
void control_start_ping(struct control *control);
bool control_is_live(const struct control *control);

#endif
