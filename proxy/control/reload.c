/*
 * Reload (operations.md 6): one path for SIGHUP, `pillion reload` and the admin interface: read and
 * check everything, build the whole snapshot, bind new listeners, then swap by one mail per worker.
 * Any failure changes nothing. Requests that come during a reload are served by one further read.
 */
#include <errno.h>
#include <sys/stat.h>

#include "base/disk_ops.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/broker.h"
#include "codec/descriptor.h"
#include "config/schema.h"
#include "control/lifecycle.h"
#include "control/notify.h"
#include "control/schema.h"
#include "control/state.h"

#define SNAPSHOTS_MAX 64   /* RL-08 */
#define WATCH_MS      2000 /* how often a watched file is looked at */

/* Everything of one attempt; freed at its end. */
struct attempt_reload {
	struct config *config;
	struct config_report report;
	struct config_changes changes;
	struct descriptor_pool *pool;
	struct config_snapshot *snapshot;
	struct err err;
	struct buf text;
	unsigned code; /* 0: valid */
};

/* CF-22: the last line of a refusal. */
static void say_unchanged(const struct control *control, struct attempt_reload *attempt)
{
	buf_appendf(&attempt->text, "The running configuration (generation %llu) is unchanged.\n",
		(unsigned long long)control->generation);
}

/* An error without a number can only be ours. */
static void explain_error(const struct control *control, struct attempt_reload *attempt)
{
	attempt->code = attempt->err.code ? attempt->err.code : 9001;
	buf_appendf(&attempt->text, "error PIL%u: %s\n", attempt->code, attempt->err.text);
	say_unchanged(control, attempt);
}

/* Read, check, compare. False: the text says why. */
static bool read_and_check(struct control *control, struct attempt_reload *attempt)
{
	if (control_load_config(control, &attempt->config, &attempt->report) < 0) {
		config_report_print(&attempt->report, CONFIG_REPORT_TEXT, &attempt->text);
		say_unchanged(control, attempt);
		attempt->code = attempt->report.count > 0 ? attempt->report.problems[0].code : 9001;
		return false;
	}
	/* Against the configuration that runs, not the last file: RL-05 is by meaning. */
	config_diff(control->config, attempt->config, &attempt->changes);
	config_changes_print(&attempt->changes, false, &attempt->text);
	if (attempt->changes.needs_restart) {
		/* RL-06: what runs is always what the file says. */
		buf_append_string(&attempt->text, "error PIL2201: keys that need a restart were "
						  "changed; nothing was applied\n");
		attempt->code = 2201;
		return false;
	}
	if (schema_load(attempt->config, &attempt->pool, &attempt->err) < 0) {
		explain_error(control, attempt);
		return false;
	}
	return true;
}

/* RL-02: written from the text before substitution, so that no secret lands in it. A failure is a
 * warning: the new configuration already serves. */
static void store_last_good(struct control *control, const struct config *config)
{
	struct buf text;
	struct disk *disk;
	struct config_show_options options = {0};

	if (!control->data.path || disk_open_directory(control->data.path, &disk) < 0) {
		return;
	}
	buf_init(&text);
	if (config_show(config, &options, &text) &&
		disk_replace_file(disk, "last-good.json", text.data, text.size) < 0) {
		log_event(
			LOG_LEVEL_WARN, "config", 2011, "last-good.json was not written", NULL, 0);
	}
	buf_fini(&text);
	disk_close_directory(disk);
}

/* Everything was checked and bound: from here on nothing can fail (RL-02). */
static void commit(struct control *control, struct attempt_reload *attempt)
{
	struct config_snapshot *old = control->snapshot;

	listeners_commit(control);
	control->generation++;
	control->config = attempt->config;
	control->snapshot = attempt->snapshot;
	attempt->config = NULL;
	attempt->snapshot = NULL;
	control_post_snapshot(control);
	/* The registration may change with it: endpoints and digest are declared anew. */
	schema_set_files(control->schema, attempt->pool);
	attempt->pool = NULL;
	lifecycle_reconfigure(control->lifecycle);
	if (control->broker) {
		broker_set_config(control->broker, control->config);
	}
	/* services.S.instances may differ, and whoever kept the old configuration lets go of it. */
	for (unsigned i = 0; i < 2; i++) {
		struct registry *registry = i == 0 ? control->registry : control->configured;

		if (registry && registry->ops->configure) {
			registry->ops->configure(registry, control->config);
		}
	}
	watches_reconfigure(control);
	for (size_t i = 0; i < control->config->self.uses.count; i++) {
		watches_subscribe(control, control->config->self.uses.items[i]);
	}
	control_apply_logging(control);
	if (control->setup->admin && control->setup->admin->reload) {
		control->setup->admin->reload(control);
	}
	store_last_good(control, control->config);
	/* Last: the broker has let go of the old configuration by now. */
	snapshot_unref(old);
}

/* RL-04: a dry run binds and builds like a real one, so that it finds what a real one would, and
 * then lets go of everything. */
static void apply(struct control *control, struct attempt_reload *attempt, bool dry_run)
{
	if (listeners_prepare(control, attempt->config, &attempt->err) < 0) {
		explain_error(control, attempt);
		return;
	}
	if (build_snapshot(control, attempt->config, control->generation + 1, &attempt->snapshot,
		    &attempt->err) < 0) {
		listeners_abandon(control);
		explain_error(control, attempt);
		return;
	}
	if (dry_run) {
		listeners_abandon(control);
		buf_appendf(&attempt->text,
			"%zu changes from generation %llu. Nothing was applied (dry run).\n",
			attempt->changes.count, (unsigned long long)control->generation);
		attempt->config = NULL; /* the snapshot owns it */
		return;
	}
	buf_appendf(&attempt->text, "%zu changes applied: generation %llu.\n",
		attempt->changes.count, (unsigned long long)control->generation + 1);
	commit(control, attempt);
}

/* RL-05: the differences go to the log with the commit, for the one who asks later what changed. */
static void log_outcome(struct control *control, const struct attempt_reload *attempt)
{
	if (attempt->code == 0) {
		control->counters.reloads_applied++;
		log_event(LOG_LEVEL_INFO, "config", 0, "configuration reloaded",
			(struct log_field[]){LOG_NUMBER("pillion.generation", control->generation),
				LOG_SLICE("pillion.changes", buf_slice(&attempt->text))},
			2);
	} else {
		control->counters.reloads_rejected++;
		log_event(LOG_LEVEL_ERROR, "config", attempt->code,
			"configuration rejected, the running one is unchanged",
			(struct log_field[]){LOG_SLICE("error.message", buf_slice(&attempt->text))},
			1);
	}
}

/* A commit has taken what it needs and left NULL behind. */
static void attempt_fini(struct attempt_reload *attempt)
{
	if (attempt->snapshot) {
		snapshot_unref(attempt->snapshot);
	}
	config_destroy(attempt->config);
	descriptor_pool_unref(attempt->pool);
	config_changes_fini(&attempt->changes);
	config_report_fini(&attempt->report);
	buf_fini(&attempt->text);
}

/* An answer that waits until every worker has the new snapshot (RL-02). */
struct pending_answer {
	struct control_survey survey;
	struct control_reload *request;
	struct buf text;
};

static void collect_nothing(struct control_survey *survey, struct exchange_server *server,
	unsigned worker, struct buf *ret)
{
	ASSERT(survey && server && ret);
	(void)worker;
}

static void on_all_have_it(struct control_survey *survey, const struct buf *parts, unsigned count)
{
	struct pending_answer *pending = survey->owner;

	(void)parts;
	(void)count;
	pending->request->done(pending->request, 0, buf_slice(&pending->text));
	buf_fini(&pending->text);
	mem_free(pending);
}

/* Mail is first in, first out: who answers the survey has taken the snapshot before it. */
static void answer_after_workers(
	struct control *control, struct control_reload *request, struct slice text)
{
	struct pending_answer *pending = mem_zalloc(sizeof *pending);

	pending->request = request;
	pending->survey = (struct control_survey){
		.collect = collect_nothing, .done = on_all_have_it, .owner = pending};
	buf_init(&pending->text);
	buf_append_slice(&pending->text, text);
	control_survey_start(control, &pending->survey);
}

/* Why nothing is even read; 0: go on. */
static unsigned refuse_early(
	struct control *control, const struct control_reload *request, struct buf *text)
{
	if (request->if_generation != 0 && request->if_generation != control->generation) {
		buf_appendf(text, "error PIL2204: the generation is %llu by now\n",
			(unsigned long long)control->generation);
		return 2204;
	}
	if (lifecycle_phase(control->lifecycle) >= CONTROL_DRAINING) {
		buf_append_string(text, "error PIL2203: this sidecar is stopping\n");
		return 2203;
	}
	/* RL-08: exchanges hold the snapshot they began with. */
	if (atomic_load(&control->snapshots_alive) >= SNAPSHOTS_MAX) {
		buf_append_string(text,
			"error PIL2203: 64 configurations are still used by requests under way\n");
		return 2203;
	}
	return 0;
}

/* Refusals that need no reading come first: the caller's condition, a stop, and the bound of
 * RL-08, which only requests that hold old snapshots can reach. */
static void serve(struct control *control, struct control_reload *request)
{
	struct attempt_reload attempt = {0};

	config_report_init(&attempt.report);
	arena_init(&attempt.changes.arena);
	buf_init(&attempt.text);
	attempt.code = refuse_early(control, request, &attempt.text);
	if (attempt.code == 0 && read_and_check(control, &attempt)) {
		apply(control, &attempt, request->dry_run);
	}
	if (!request->dry_run) {
		log_outcome(control, &attempt);
	}
	if (request->done && attempt.code == 0 && !request->dry_run) {
		answer_after_workers(control, request, buf_slice(&attempt.text));
	} else if (request->done) {
		request->done(request, attempt.code, buf_slice(&attempt.text));
	}
	attempt_fini(&attempt);
}

/* RL-03: all that wait now are served by reads that begin now; equal ones would give equal
 * outcomes, but each may carry its own condition. */
static void run(struct task *task)
{
	struct control *control = container_of(task, struct control, reload_task);
	struct list_node waiting;
	struct list_node *node;

	list_init(&waiting);
	while ((node = list_pop_front(&control->reloads)) != NULL) {
		list_push_back(&waiting, node);
	}
	while ((node = list_pop_front(&waiting)) != NULL) {
		serve(control, LIST_ENTRY(node, struct control_reload, node));
	}
}

/* A task, not a call: requests of one turn are served together, each by a read that begins later
 * than it (RL-03). */
void control_reload_request(struct control *control, struct control_reload *reload)
{
	list_push_back(&control->reloads, &reload->node);
	loop_queue(control->loop, &control->reload_task);
}

/* SIGHUP: nobody waits for the answer but systemd; the log has the outcome. */
static void on_signal_done(struct control_reload *reload, unsigned code, struct slice text)
{
	ASSERT(reload);
	(void)code;
	(void)text;
	notify_send("READY=1");
}

/* What `watch_config` compares; zero while there is no file. */
static struct timespec file_time(const struct control *control)
{
	struct stat status = {0};

	if (!control->config->file || stat(control->config->file, &status) < 0) {
		return (struct timespec){0};
	}
	return status.st_mtim;
}

/* RL-01: process.watch_config: a changed file is a reload like any other. */
static void on_watch(struct timer *timer)
{
	struct control *control = container_of(timer, struct control, watch_timer);
	struct timespec seen = file_time(control);
	bool changed = seen.tv_sec != control->config_time.tv_sec ||
		       seen.tv_nsec != control->config_time.tv_nsec;

	if (control->config->process.watch_config && changed && seen.tv_sec != 0 &&
		!list_linked(&control->signal_reload.node)) {
		control_reload_request(control, &control->signal_reload);
	}
	control->config_time = seen;
	timer_arm(control->loop, timer, loop_now_ms(control->loop) + WATCH_MS);
}

/* The request of SIGHUP is part of control, so that a signal never has to allocate. */
void reload_init(struct control *control)
{
	timer_init(&control->watch_timer, on_watch);
	control->config_time = file_time(control);
	timer_arm(control->loop, &control->watch_timer, loop_now_ms(control->loop) + WATCH_MS);
	control->signal_reload.done = on_signal_done;
	list_init(&control->signal_reload.node);
	list_init(&control->reloads);
	task_init(&control->reload_task, run);
}

/* Everybody who waits is answered, even by a sidecar that ends. */
void reload_fini(struct control *control)
{
	struct list_node *node;

	task_cancel(&control->reload_task);
	timer_cancel(&control->watch_timer);
	while ((node = list_pop_front(&control->reloads)) != NULL) {
		struct control_reload *reload = LIST_ENTRY(node, struct control_reload, node);

		if (reload->done) {
			reload->done(
				reload, 2203, SLICE("error PIL2203: this sidecar is stopping\n"));
		}
	}
}
