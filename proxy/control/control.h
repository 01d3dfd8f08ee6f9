/*
 * control: the Service of the design: one sidecar's life in the proxy process. It loads the
 * configuration, builds snapshots, starts workers, registry, broker, the application's probe, and
 * ends them in the right order. This header is what the admin room and main.c see; state.h is the
 * room's own. Everything runs on the control thread unless it says otherwise.
 */
#ifndef PILLION_CONTROL_CONTROL_H
#define PILLION_CONTROL_CONTROL_H

#include "base/buf.h"
#include "config/config.h"
#include "control/launch.h"
#include "control/parent.h"
#include "upstream/registry.h"

struct broker;
struct control;
struct exchange_server;
struct loop;
struct raftreg_node;
struct upstream;

/* The admin room, introduced by main.c: nothing calls upward. */
struct control_plugin {
	/* After the listeners are bound. admin_fd: listening TCP socket or -1; metrics_fd likewise.
	 */
	int (*start)(struct control *control, int admin_fd, int metrics_fd, struct err *err);
	void (*reload)(struct control *control); /* the configuration changed */
	void (*stop)(struct control *control);
	void *state; /* the plug-in's own */
};

struct filter_ops;
struct control_setup {
	struct control_plugin *admin; /* may be NULL in tests */
	const struct filter_ops *const *filters;
	size_t filter_count;
};

/* The proxy process, from its first line to its exit code. */
int control_main(const struct control_setup *setup, const struct launch *launch,
	const struct parent_identity *identity, int channel);

struct loop *control_loop(struct control *control);
struct control_plugin *control_admin(struct control *control);
const struct config *control_config(const struct control *control);
uint64_t control_generation(const struct control *control);
struct registry *control_registry(const struct control *control);
struct raftreg_node *control_node(const struct control *control); /* NULL: not a replica */
struct broker *control_broker(const struct control *control);	  /* NULL: off */
const char *control_data_dir(const struct control *control);	  /* NULL: none */
const char *control_service(const struct control *control);
const uint8_t *control_instance_id(const struct control *control);
uint64_t control_started_ms(const struct control *control); /* clock_monotonic_ms */
unsigned control_worker_count(const struct control *control);

enum control_phase {
	CONTROL_STARTING,
	CONTROL_WAITING_APP,
	CONTROL_REGISTERING,
	CONTROL_SERVING,
	CONTROL_APP_DOWN,
	CONTROL_DRAINING,
	CONTROL_STOPPING
};
const char *control_phase_word(enum control_phase phase);

struct control_health { /* operations.md 12 */
	bool live;	/* every worker answered in the last 5 s */
	bool started;
	bool ready;
	enum control_phase phase;
	bool has_app;
	bool app_healthy;
	const char *app_error;	  /* last probe error, "" when none */
	const char *app_protocol; /* "http", "grpc" or "unknown" (MH-05) */
	struct registry_status registry;
};
void control_health_get(struct control *control, struct control_health *ret_health);

/* Bound addresses for people; index from 0, false past the end. */
struct control_listener_info {
	const char *name;
	const char *kind;
	char address[ADDRESS_TEXT_MAX];
};
bool control_listener_at(
	struct control *control, unsigned index, struct control_listener_info *ret);

/*
 * Reload (operations.md 6). done runs once, from the loop: code 0 applied, or a PIL number; text is
 * the report, or the printed differences. dry_run applies nothing.
 */
struct control_reload {
	bool dry_run;
	uint64_t if_generation; /* 0: any */
	void (*done)(struct control_reload *reload, unsigned code, struct slice text);
	void *owner;
	struct list_node node; /* control's */
};
void control_reload_request(struct control *control, struct control_reload *reload);

/* Stop as by SIGTERM (`pillion quit`). */
void control_quit(struct control *control);

/*
 * Runs `collect` on each worker's thread, then `done` on control's: how the admin room reads tiers,
 * pools and statistics without a lock. collect appends to its own buffer for that worker.
 */
struct control_survey {
	void (*collect)(struct control_survey *survey, struct exchange_server *server,
		unsigned worker, struct buf *ret);
	/* parts[i] is what worker i wrote. */
	void (*done)(struct control_survey *survey, const struct buf *parts, unsigned count);
	void *owner;
};
void control_survey_start(struct control *control, struct control_survey *survey);

/* Counters of control itself for /metrics. */
struct control_counters {
	uint64_t reloads_applied, reloads_rejected, access_lines, access_dropped, view_write_errors,
		app_restarts, schema_errors;
};
const struct control_counters *control_counters_get(struct control *control);

#endif
