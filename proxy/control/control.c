#include "control/control.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/broker.h"
#include "codec/descriptor.h"
#include "control/background.h"
#include "control/banner.h"
#include "control/channel.h"
#include "control/lifecycle.h"
#include "control/notify.h"
#include "control/schema.h"
#include "control/start.h"
#include "control/state.h"
#include "filters/translate.h"
#include "net/resolver.h"
#include "raftreg/raftreg.h"

extern char **environ;

#define LIVE_LIMIT_MS 5000 /* HE-01 */
#define PING_MS	      1000

struct control_mail {
	struct mail mail;
	struct control *control;
	void (*run)(struct control *control, void *argument);
	void *argument;
	void (*discard_argument)(void *argument);
};

/* The receiving end of control_call: control's loop runs the function, then the envelope is gone.
 * The argument belongs to the function. */
static void deliver(struct mail *mail)
{
	struct control_mail *call = container_of(mail, struct control_mail, mail);

	call->run(call->control, call->argument);
	mem_free(call);
}

/* The loop ended before the mail was read. The sender has no way to hear of it, so the argument is
 * freed here, by its own function where it holds more than memory. */
static void discard(struct mail *mail)
{
	struct control_mail *call = container_of(mail, struct control_mail, mail);

	if (call->discard_argument) {
		call->discard_argument(call->argument);
	} else {
		mem_free(call->argument);
	}
	mem_free(call);
}

/* The one way for workers, background and registry threads to reach control: no lock, and always a
 * loop turn later, so that nothing is re-entered. */
void control_call(struct control *control, void (*run)(struct control *control, void *argument),
	void *argument, void (*discard_argument)(void *argument))
{
	struct control_mail *call = mem_zalloc(sizeof *call);

	*call = (struct control_mail){.mail = {.deliver = deliver, .discard = discard},
		.control = control,
		.run = run,
		.argument = argument,
		.discard_argument = discard_argument};
	(void)mailbox_post(loop_mailbox(control->loop), &call->mail);
}

/* No descriptor travels from here to the parent: sockets only come the other way. */
int control_send(struct control *control, const struct channel_message *message)
{
	return channel_send(control->channel, message, -1);
}

/* Before logging is set up, and for what must be read by whoever started us: standard error, in
 * the form of CL-05, whatever the log's format. */
void control_say(const struct err *err)
{
	const struct code_info *info = code_info(err->code);

	(void)fprintf(stderr, "error PIL%u: %s\n", err->code, err->text);
	if (info) {
		(void)fprintf(stderr, "cause: %s\nfix:   %s\n", info->cause, info->fix);
	}
}

/* ZC-01: the name of the command is the name of the service when nothing else says one. Reload
 * takes this way too, so that flags and environment hold there as at the start (CF-12). */
int control_load_config(
	struct control *control, struct config **ret_config, struct config_report *report)
{
	const struct launch *launch = control->launch;
	const struct config_filter_plugin *plugins[16];
	const char *slash = launch->command ? strrchr(launch->command[0], '/') : NULL;
	struct config_sources sources = {.file = launch->file,
		.environment = (const char *const *)environ,
		.assignments = launch->flags.items,
		.assignment_count = launch->flags.count,
		.plugins = plugins};

	if (launch->command) {
		sources.fallback_name = slash ? slash + 1 : launch->command[0];
	} else if (launch->dev) {
		sources.fallback_name = "dev";
	}
	for (size_t i = 0; i < control->setup->filter_count && i < ARRAY_SIZE(plugins); i++) {
		if (control->setup->filters[i]->plugin) {
			plugins[sources.plugin_count++] = control->setup->filters[i]->plugin;
		}
	}
	return config_load(&sources, ret_config, report);
}

/* LG-01: text for a person at a terminal, JSON lines for everything else. Also the answer to USR1:
 * setting the access log opens its file anew. */
void control_apply_logging(struct control *control)
{
	const struct config_log *log = &control->config->log;
	bool json = log->format == CONFIG_LOG_JSON ||
		    (log->format == CONFIG_LOG_AUTO && !isatty(STDERR_FILENO));

	log_setup(STDERR_FILENO, json, control_service(control));
	log_set_level(log->level);
	background_set_access(control->background, &log->access, control_service(control));
}

/* On a worker: new exchanges take the new configuration, running ones keep theirs (MR-10). */
static void run_snapshot(struct worker *worker, void *argument)
{
	exchange_server_set_snapshot(worker->server, argument);
	snapshot_unref(argument);
}

/* A worker that ended first never needs the configuration, but its reference has to come back, or
 * the bound of RL-08 would be eaten up. */
static void discard_snapshot(void *argument)
{
	snapshot_unref(argument);
}

/* ML-40: the swap is one message a worker. Each takes a reference of its own, so the order in
 * which they let go of the old one does not matter. */
void control_post_snapshot(struct control *control)
{
	for (unsigned i = 0; i < control->worker_count; i++) {
		worker_call(&control->workers[i], run_snapshot, snapshot_ref(control->snapshot),
			discard_snapshot);
	}
}

/* One message of the parent. */
static void take_message(struct control *control, const struct channel_message *message)
{
	switch ((enum channel_op)message->op) {
	case CHANNEL_APP:
		lifecycle_app_started(control->lifecycle, message->value);
		break;
	case CHANNEL_EXITED:
		lifecycle_app_exited(control->lifecycle, message->index ? 0 : message->value,
			message->index ? message->value : 0);
		break;
	case CHANNEL_STOP:
		notify_send("STOPPING=1");
		lifecycle_stop_signal(control->lifecycle, (unsigned)message->value);
		break;
	case CHANNEL_RELOAD:
		/* RL-03: one that waits already will read the file after this signal too. */
		if (!list_linked(&control->signal_reload.node)) {
			notify_reloading();
			control_reload_request(control, &control->signal_reload);
		}
		break;
	case CHANNEL_LOGS:
		control_apply_logging(control);
		break;
	case CHANNEL_DUMP:
		start_dump_state(control);
		break;
	case CHANNEL_BIND:
	case CHANNEL_CLOSE:
	case CHANNEL_START_APP:
	case CHANNEL_SIGNAL_APP:
	case CHANNEL_READY:
	case CHANNEL_DRAINED:
	case CHANNEL_LISTENER:
		break; /* ours, or an answer that nobody waits for any more */
	}
}

/* One message a wake-up is enough: the loop calls again while there are more, and other work of
 * the turn is not delayed. */
static void on_channel(struct fd_watch *watch)
{
	struct control *control = container_of(watch, struct control, channel_watch);
	struct channel_message message;
	int descriptor = -1;
	int result = channel_receive(control->channel, false, &message, &descriptor);

	if (descriptor >= 0) {
		close(descriptor);
	}
	if (result == 1) {
		take_message(control, &message);
	} else if (result < 0) {
		/* The parent is gone: SIGTERM is on its way (PR_SET_PDEATHSIG). */
		fd_watch_stop(watch);
		lifecycle_stop_signal(control->lifecycle, 1);
	}
}

/* While listeners were asked for, a stop or a reload may have come (listeners.c keeps it). Now
 * that everything it needs exists, it is served in its order. */
void control_take_deferred(struct control *control)
{
	struct list_node *node;

	while ((node = list_pop_front(&control->deferred)) != NULL) {
		struct deferred_message *kept = LIST_ENTRY(node, struct deferred_message, node);

		take_message(control, &kept->message);
		mem_free(kept);
	}
}

/* Only now, when the last answer to BIND was read: before, the blocking reads of listeners.c own
 * the channel. */
int control_watch_channel(struct control *control)
{
	return fd_watch_start(&control->channel_watch, control->loop, control->channel, on_channel);
}

/* LG-04: one line says afterwards how many access lines were lost. */
static void tell_dropped(struct control *control)
{
	uint64_t dropped = control_counters_get(control)->access_dropped;

	if (dropped > control->access_dropped_told) {
		log_event(LOG_LEVEL_WARN, "control", 0, "access log lines were dropped",
			(struct log_field[]){LOG_NUMBER(
				"pillion.dropped", dropped - control->access_dropped_told)},
			1);
		control->access_dropped_told = dropped;
	}
}

struct registry_word {
	enum registry_mode mode;
	uint64_t heard_ms;
};

/* On a worker. */
static void run_registry_word(struct worker *worker, void *argument)
{
	struct registry_word *word = argument;

	exchange_server_set_registry(worker->server, word->mode, word->heard_ms);
	mem_free(word);
}

/* For the debug row (mesh.md 0), which may be a second behind. */
static void tell_registry(struct control *control)
{
	struct registry_status status;
	uint64_t now = loop_now_ms(control->loop);

	if (!control->registry) {
		return;
	}
	control->registry->ops->status(control->registry, &status);
	for (unsigned i = 0; i < control->worker_count; i++) {
		struct registry_word *word = mem_zalloc(sizeof *word);

		word->mode = status.mode;
		word->heard_ms = now > status.age_ms ? now - status.age_ms : 0;
		worker_call(&control->workers[i], run_registry_word, word, mem_free);
	}
}

/* HE-01 and the systemd watchdog have one source: workers that answer their mailbox. A hung worker
 * stops WATCHDOG=1 and systemd starts us again (PR-04). */
static void on_ping(struct timer *timer)
{
	struct control *control = container_of(timer, struct control, ping_timer);

	for (unsigned i = 0; i < control->worker_count; i++) {
		worker_ping(&control->workers[i]);
	}
	tell_registry(control);
	if (control->watchdog_ms > 0 && control_is_live(control)) {
		notify_send("WATCHDOG=1");
	}
	tell_dropped(control);
	log_flush(false);
	timer_arm(control->loop, timer, loop_now_ms(control->loop) + PING_MS);
}

/* The first ping goes out at once, so that /livez has something to look at from the first request
 * on. */
void control_start_ping(struct control *control)
{
	timer_init(&control->ping_timer, on_ping);
	control->watchdog_ms = notify_watchdog_ms();
	on_ping(&control->ping_timer);
}

/* HE-01. Judged by what workers stored, not by asking: this answers while they hang. The clock is
 * read here because control's loop time may be a turn old. */
bool control_is_live(const struct control *control)
{
	uint64_t now = clock_monotonic_ms();

	for (unsigned i = 0; i < control->worker_count; i++) {
		uint64_t answered = atomic_load(&control->workers[i].answered_ms);

		if (now > answered && now - answered > LIVE_LIMIT_MS) {
			return false;
		}
	}
	return true;
}

/* HE-03: only the own application, its registration and, if asked for, the spool decide readiness.
 * The registry's state is shown but changes nothing, or one lost quorum would take every sidecar
 * out at once. */
void control_health_get(struct control *control, struct control_health *ret_health)
{
	struct lifecycle *lifecycle = control->lifecycle;

	*ret_health = (struct control_health){.live = control_is_live(control),
		.started = control->started,
		.ready = control->started && lifecycle_ready(lifecycle),
		.phase = lifecycle_phase(lifecycle),
		.has_app = control->config->self.app.present,
		.app_healthy = lifecycle_app_healthy(lifecycle),
		.app_error = lifecycle_app_error(lifecycle),
		.app_protocol = lifecycle_app_protocol(lifecycle)};
	if (control->registry) {
		control->registry->ops->status(control->registry, &ret_health->registry);
	}
	if (control->config->broker.required && control->broker) {
		char reason[128];

		/* HE-03: whoever sets broker.required wants no traffic while messages cannot be
		 * taken. */
		ret_health->ready = ret_health->ready &&
				    broker_spool_state(control->broker, reason) == BROKER_SPOOL_OK;
	}
}

/* Words of `pillion status` and of the log; in the order of the enum. */
const char *control_phase_word(enum control_phase phase)
{
	static const char *const words[] = {"starting", "waiting-for-app", "registering", "serving",
		"app-down", "draining", "stopping"};

	ASSERT(phase < ARRAY_SIZE(words));
	return words[phase];
}

/* The bound address, not the configured one: ports may have moved (ZC-03), and people copy what
 * they see. */
bool control_listener_at(struct control *control, unsigned index, struct control_listener_info *ret)
{
	const struct bound_listener *listener;

	if (index >= control->listener_count) {
		return false;
	}
	listener = &control->listeners[index];
	*ret = (struct control_listener_info){.name = listener->name};
	switch (listener->kind) {
	case CONFIG_INBOUND:
		ret->kind = "inbound";
		break;
	case CONFIG_OUTBOUND:
		ret->kind = "outbound";
		break;
	case CONFIG_PER_SERVICE:
		ret->kind = "service";
		break;
	}
	address_format(&listener->address, ret->address);
	return true;
}

/* Not a different stop: `pillion quit` and SIGTERM take the same steps (ML-30). */
void control_quit(struct control *control)
{
	lifecycle_stop_signal(control->lifecycle, 1);
}

struct loop *control_loop(struct control *control)
{
	return control->loop;
}

struct control_plugin *control_admin(struct control *control)
{
	return control->setup->admin;
}

const struct config *control_config(const struct control *control)
{
	return control->config;
}

uint64_t control_generation(const struct control *control)
{
	return control->generation;
}

struct registry *control_registry(const struct control *control)
{
	return control->registry;
}

struct raftreg_node *control_node(const struct control *control)
{
	return control->node;
}

struct broker *control_broker(const struct control *control)
{
	return control->broker;
}

const char *control_data_dir(const struct control *control)
{
	return control->data.path;
}

/* Also used before there is a configuration, for the data directory and the log. */
const char *control_service(const struct control *control)
{
	return control->config && control->config->self.name ? control->config->self.name
							     : "pillion";
}

const uint8_t *control_instance_id(const struct control *control)
{
	return control->identity.instance_id;
}

uint64_t control_started_ms(const struct control *control)
{
	return control->started_ms;
}

unsigned control_worker_count(const struct control *control)
{
	return control->worker_count;
}

/* The background thread counts its own; they are read when somebody asks. */
const struct control_counters *control_counters_get(struct control *control)
{
	if (control->background) {
		control->counters.access_lines = background_lines(control->background);
		control->counters.access_dropped = background_dropped(control->background);
	}
	return &control->counters;
}

/* The proxy process. DRAINED is sent last, when everything is closed: the parent takes its code as
 * the program's own and starts no further proxy process (docs/parent.md). */
int control_main(const struct control_setup *setup, const struct launch *launch,
	const struct parent_identity *identity, int channel)
{
	struct control *control = mem_zalloc(sizeof *control);
	struct channel_message drained = {.op = CHANNEL_DRAINED};
	int code;

	control->setup = setup;
	control->launch = launch;
	control->identity = *identity;
	control->channel = channel;
	control->admin_fd = control->metrics_fd = -1;
	/* 0 would be a descriptor: an undo of a start that failed early must not close it. */
	control->data.lock = -1;
	control->started_ms = clock_monotonic_ms();
	list_init(&control->deferred);
	watches_init(control);
	code = start_control(control);
	if (code == 0) {
		loop_run(control->loop);
		code = control->exit_code;
	}
	start_undo(control);
	log_flush(true);
	drained.value = code;
	(void)!channel_send(channel, &drained, -1);
	mem_free(control);
	return code;
}
