#include "control/lifecycle.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/broker.h"
#include "control/channel.h"
#include "control/declare.h"
#include "control/drain.h"
#include "control/probe.h"
#include "control/schema.h"
#include "control/state.h"
#include "control/warmup.h"

#define RESTART_FIRST_MS   100 /* ML-25: doubled up to 10 s */
#define RESTART_MAX_MS	   10000
#define NEVER_READY_LOG_MS 10000 /* MH-03 */
#define SCHEMA_WAIT_MS	   10000 /* registration does not wait longer for reflection (RF-03) */

struct lifecycle {
	struct control *control;
	enum control_phase phase;
	struct probe *probe;
	struct drain *drain;
	struct registry_call call;
	bool call_open;
	bool declared;	    /* a declaration was sent */
	bool declare_again; /* something changed while one was under way */
	bool registered;
	bool warming, warmed;
	int app_pid;
	bool app_exited;
	uint64_t restart_delay_ms;
	struct timer restart_timer;
	struct timer log_timer;
	struct timer schema_timer;
	bool schema_waited;
};

/* The one function that changes the phase, so that every change is logged and none goes backwards
 * into serving once a stop has begun. */
static void move_to(struct lifecycle *lifecycle, enum control_phase phase)
{
	/* A stop is never taken back. */
	ASSERT(lifecycle->phase < CONTROL_DRAINING || phase >= lifecycle->phase);
	if (lifecycle->phase != phase) {
		lifecycle->phase = phase;
		log_event(LOG_LEVEL_INFO, "lifecycle", 0, "phase",
			(struct log_field[]){LOG_TEXT("pillion.phase", control_phase_word(phase))},
			1);
	}
}

/* DRAINING and STOPPING are the last two phases of the enum. */
static bool stopping(const struct lifecycle *lifecycle)
{
	return lifecycle->phase >= CONTROL_DRAINING;
}

struct app_state {
	bool healthy, exited, h2;
};

/* On a worker: from the next request on (MH-03, ML-25). */
static void run_app_state(struct worker *worker, void *argument)
{
	struct app_state *state = argument;

	exchange_server_set_app(worker->server, state->healthy, state->exited, state->h2);
	mem_free(state);
}

/* What the workers are told: an application that passed once is served even while its check fails
 * (MH-03); one that has exited is not. */
static void tell_workers(struct lifecycle *lifecycle)
{
	struct control *control = lifecycle->control;

	for (unsigned i = 0; i < control->worker_count; i++) {
		struct app_state *state = mem_zalloc(sizeof *state);

		state->healthy = lifecycle->probe && probe_passed_once(lifecycle->probe);
		state->exited = lifecycle->app_exited;
		state->h2 = lifecycle->probe && probe_speaks_h2(lifecycle->probe);
		worker_call(&control->workers[i], run_app_state, state, NULL);
	}
}

/* Draining outweighs the check: callers shall go away even from a healthy application (ML-20). */
static enum instance_health current_health(const struct lifecycle *lifecycle)
{
	if (stopping(lifecycle)) {
		return INSTANCE_DRAINING;
	}
	return probe_healthy(lifecycle->probe) ? INSTANCE_UP : INSTANCE_FAILING;
}

static void declare(struct lifecycle *lifecycle);

/* What changed while the call was under way goes out now: one REGISTER of a session is in the log
 * at a time (RD-05). */
static void on_declared(struct registry_call *call, const struct registry_result *result)
{
	struct lifecycle *lifecycle = call->owner;

	lifecycle->call_open = false;
	if (result->code == REGISTRY_OK) {
		lifecycle->registered = true;
		if (!stopping(lifecycle) && probe_healthy(lifecycle->probe)) {
			move_to(lifecycle, CONTROL_SERVING);
		}
	} else {
		log_event(LOG_LEVEL_WARN, "lifecycle", 3005,
			"the registry refused the registration",
			(struct log_field[]){
				LOG_TEXT("error.code", registry_code_word(result->code)),
				LOG_TEXT("error.message", result->text ? result->text : "")},
			2);
	}
	if (lifecycle->declare_again) {
		lifecycle->declare_again = false;
		declare(lifecycle);
	}
}

/* MH-05: grpc needs both, a schema and HTTP/2. The word is metadata that callers choose their form
 * by, so it is "unknown" rather than a guess before the first pass. */
const char *lifecycle_app_protocol(const struct lifecycle *lifecycle)
{
	if (!lifecycle->probe || !probe_passed_once(lifecycle->probe)) {
		return "unknown";
	}
	return schema_is_grpc(lifecycle->control->schema) && probe_speaks_h2(lifecycle->probe)
		       ? "grpc"
		       : "http";
}

/* At most one call is open; the last state wins, because the declared set is always whole. */
static void declare(struct lifecycle *lifecycle)
{
	if (lifecycle->call_open) {
		lifecycle->declare_again = true;
		return;
	}
	lifecycle->call = (struct registry_call){.done = on_declared, .owner = lifecycle};
	list_init(&lifecycle->call.node);
	lifecycle->call_open = declare_service(lifecycle->control, current_health(lifecycle),
		lifecycle_app_protocol(lifecycle), &lifecycle->call);
	lifecycle->declared = true;
	if (!lifecycle->call_open) {
		/* No registry at all: nothing to wait for (ML-05). */
		lifecycle->registered = true;
	}
}

/* ML-05, once the application passed, was warmed up and its schema is known or given up. */
static void register_when_due(struct lifecycle *lifecycle)
{
	struct control *control = lifecycle->control;

	if (stopping(lifecycle) || lifecycle->declared || !lifecycle->warmed ||
		!probe_passed_once(lifecycle->probe)) {
		return;
	}
	if (!schema_settled(control->schema) && !lifecycle->schema_waited) {
		timer_arm(control->loop, &lifecycle->schema_timer,
			loop_now_ms(control->loop) + SCHEMA_WAIT_MS);
		return;
	}
	move_to(lifecycle, CONTROL_REGISTERING);
	declare(lifecycle);
	if (lifecycle->registered || control->config->self.register_mode == CONFIG_REGISTER_ASYNC) {
		move_to(lifecycle, CONTROL_SERVING);
	}
	if (control->broker) {
		broker_set_app_ready(control->broker, true);
	}
}

/* Reflection took too long (RF-03): registered without endpoints now, and again with them later. */
static void on_schema_timer(struct timer *timer)
{
	struct lifecycle *lifecycle = container_of(timer, struct lifecycle, schema_timer);

	lifecycle->schema_waited = true;
	register_when_due(lifecycle);
}

/* ML-04: results of the warm-up are ignored; it is only waited for. */
static void on_warm(void *owner)
{
	struct lifecycle *lifecycle = owner;

	lifecycle->warming = false;
	lifecycle->warmed = true;
	register_when_due(lifecycle);
}

/* MH-03: the workers hear of it before the registry, for requests already under way. A failing
 * application stays registered, as `failing`, and is served if somebody still calls it. */
static void on_probe(void *owner, bool healthy, bool h2)
{
	struct lifecycle *lifecycle = owner;
	struct control *control = lifecycle->control;

	tell_workers(lifecycle);
	if (stopping(lifecycle)) {
		return;
	}
	if (!healthy) {
		move_to(lifecycle, CONTROL_APP_DOWN);
		/* What listens there next may be another version: its schema is asked again
		 * (RF-04). */
		schema_app_down(control->schema);
		if (control->broker) {
			broker_set_app_ready(control->broker, false);
		}
		if (lifecycle->declared) {
			declare(lifecycle);
		}
		return;
	}
	timer_cancel(&lifecycle->log_timer);
	lifecycle->restart_delay_ms = RESTART_FIRST_MS;
	schema_app_ready(control->schema, h2);
	if (!lifecycle->declared) {
		if (lifecycle->warming) {
			return;
		}
		lifecycle->warming = true;
		warmup_start(control, on_warm, lifecycle);
		return;
	}
	declare(lifecycle);
	if (lifecycle->registered) {
		move_to(lifecycle, CONTROL_SERVING);
	}
	if (control->broker) {
		broker_set_app_ready(control->broker, true);
	}
}

/* MH-03: an application that never comes up is said again and again, without an end: who watches
 * the log may have just begun. */
static void on_log_timer(struct timer *timer)
{
	struct lifecycle *lifecycle = container_of(timer, struct lifecycle, log_timer);

	log_event(LOG_LEVEL_WARN, "lifecycle", 5041, "the application has not passed its check yet",
		(struct log_field[]){LOG_TEXT("error.message", probe_error(lifecycle->probe))}, 1);
	timer_arm(lifecycle->control->loop, timer,
		loop_now_ms(lifecycle->control->loop) + NEVER_READY_LOG_MS);
}

/* text: the outbound address and the service name (see parent.c). */
static void start_child(struct lifecycle *lifecycle, bool again)
{
	struct control *control = lifecycle->control;
	struct channel_message message = {.op = CHANNEL_START_APP, .value = again};
	const struct bound_listener *outbound = listeners_find(control, "outbound");
	char address[ADDRESS_TEXT_MAX] = "";

	if (outbound) {
		address_format(&outbound->address, address);
	}
	(void)snprintf(message.text, sizeof message.text, "%s\n%s", address,
		control->config->self.name ? control->config->self.name : "");
	(void)control_send(control, &message);
}

/* ML-25: counted, so that an application in a loop of crashes is seen in /metrics. */
static void on_restart(struct timer *timer)
{
	struct lifecycle *lifecycle = container_of(timer, struct lifecycle, restart_timer);

	lifecycle->control->counters.app_restarts++;
	start_child(lifecycle, true);
}

/* The probe is made later, when it is known that there is an application. */
struct lifecycle *lifecycle_create(struct control *control)
{
	struct lifecycle *lifecycle = mem_zalloc(sizeof *lifecycle);

	lifecycle->control = control;
	lifecycle->restart_delay_ms = RESTART_FIRST_MS;
	timer_init(&lifecycle->restart_timer, on_restart);
	timer_init(&lifecycle->log_timer, on_log_timer);
	timer_init(&lifecycle->schema_timer, on_schema_timer);
	lifecycle->drain = drain_create(control);
	return lifecycle;
}

/* Takes one that never started. */
void lifecycle_destroy(struct lifecycle *lifecycle)
{
	if (!lifecycle) {
		return;
	}
	timer_cancel(&lifecycle->restart_timer);
	timer_cancel(&lifecycle->log_timer);
	timer_cancel(&lifecycle->schema_timer);
	drain_destroy(lifecycle->drain);
	probe_destroy(lifecycle->probe);
	mem_free(lifecycle);
}

/* The first line of on_log_timer comes after ten seconds, not at once: most applications are up by
 * then. */
static void start_probe(struct lifecycle *lifecycle)
{
	struct probe_events events = {.on_change = on_probe, .owner = lifecycle};
	struct control *control = lifecycle->control;

	lifecycle->probe = probe_create(control->loop, &control->config->self.app, &events);
	move_to(lifecycle, CONTROL_WAITING_APP);
	probe_restart(lifecycle->probe);
	timer_arm(control->loop, &lifecycle->log_timer,
		loop_now_ms(control->loop) + NEVER_READY_LOG_MS);
}

/* ML-03 and ML-04. Outbound serves already, since an application may call out while it starts
 * (ML-07). */
void lifecycle_start(struct lifecycle *lifecycle)
{
	struct control *control = lifecycle->control;

	if (control->launch->command) {
		start_child(lifecycle, false);
	}
	if (control->config->self.app.present) {
		start_probe(lifecycle);
	} else if (!stopping(lifecycle)) {
		move_to(lifecycle, CONTROL_SERVING);
	}
}

/* A new process is a new chance: until it has passed its check the old verdict counts. */
void lifecycle_app_started(struct lifecycle *lifecycle, int pid)
{
	bool again = lifecycle->app_exited;

	lifecycle->app_pid = pid;
	lifecycle->app_exited = false;
	tell_workers(lifecycle);
	if (again && lifecycle->probe) {
		probe_restart(lifecycle->probe);
	}
}

/* CL-04: 128 + n for signal n, as a shell has it. */
static int exit_code_of(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* ML-03: as a shell says it. */
static void could_not_start(struct lifecycle *lifecycle, int start_error)
{
	struct control *control = lifecycle->control;
	struct err err;

	err_clear(&err);
	err_set(&err, 2020, "the command %s cannot be started: %s", control->launch->command[0],
		strerror(start_error));
	control_say(&err);
	control->exit_code = start_error == ENOENT ? 127 : 126;
	move_to(lifecycle, CONTROL_STOPPING);
	drain_finish(lifecycle->drain, false);
}

/* Three cases: during a stop it is what the stop waits for; with restart = on-failure it comes
 * again with the same id; else the sidecar ends with its code (ML-25). */
void lifecycle_app_exited(struct lifecycle *lifecycle, int status, int start_error)
{
	struct control *control = lifecycle->control;
	int code = exit_code_of(status);

	if (start_error) {
		could_not_start(lifecycle, start_error);
		return;
	}
	lifecycle->app_pid = 0;
	lifecycle->app_exited = true;
	tell_workers(lifecycle);
	log_event(stopping(lifecycle) ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "lifecycle", 5065,
		"the application has exited",
		(struct log_field[]){LOG_NUMBER("process.exit_code", code)}, 1);
	if (stopping(lifecycle)) {
		control->exit_code = code;
		drain_app_exited(lifecycle->drain);
		return;
	}
	/* Exit code 0 is work that is done: nothing restarts it. */
	if (code != 0 && control->config->self.app.restart == CONFIG_RESTART_ON_FAILURE) {
		move_to(lifecycle, CONTROL_APP_DOWN);
		probe_stop(lifecycle->probe);
		timer_arm(control->loop, &lifecycle->restart_timer,
			loop_now_ms(control->loop) + lifecycle->restart_delay_ms);
		lifecycle->restart_delay_ms *= 2;
		if (lifecycle->restart_delay_ms > RESTART_MAX_MS) {
			lifecycle->restart_delay_ms = RESTART_MAX_MS;
		}
		return;
	}
	/* ML-25: a job ends when its work ends. */
	control->exit_code = code;
	move_to(lifecycle, CONTROL_STOPPING);
	drain_finish(lifecycle->drain, true);
}

/* count says how many stop signals came in all: a parent that restarted the proxy process repeats
 * it, so that no stop is forgotten. */
void lifecycle_stop_signal(struct lifecycle *lifecycle, unsigned count)
{
	struct control *control = lifecycle->control;

	if (!stopping(lifecycle)) {
		move_to(lifecycle, CONTROL_DRAINING);
		timer_cancel(&lifecycle->restart_timer);
		if (control->broker) {
			/* B13-02, B13-04: publishing ends and members leave while requests still
			 * run. */
			broker_drain(control->broker);
		}
		if (lifecycle->declared) {
			declare(lifecycle);
		}
		/* Only who is known to the registry has callers that must hear of it. */
		drain_start(lifecycle->drain, lifecycle->registered && lifecycle->declared);
		if (lifecycle->app_exited) {
			/* It was to come again: there is no application to wait for. */
			drain_app_exited(lifecycle->drain);
		}
	}
	if (count > 1) {
		drain_hurry(lifecycle->drain);
	}
}

/* Endpoints and protocol are part of the registration. Before it the schema may be what it was
 * waiting for. */
void lifecycle_schema_changed(struct lifecycle *lifecycle)
{
	if (!lifecycle || stopping(lifecycle) || !lifecycle->probe) {
		return;
	}
	if (lifecycle->declared) {
		declare(lifecycle);
	} else {
		register_when_due(lifecycle);
	}
}

/* ML-05 may have been answered in another way than by our call: the client repeats a declaration
 * whose outcome it did not hear (RD-07). */
void lifecycle_registry_changed(struct lifecycle *lifecycle)
{
	struct registry_status status;
	struct control *control = lifecycle->control;

	control->registry->ops->status(control->registry, &status);
	if (lifecycle->phase == CONTROL_REGISTERING && status.registered) {
		lifecycle->registered = true;
		move_to(lifecycle, CONTROL_SERVING);
	}
}

/* ML-41: name, version and metadata go out as one command; the address of the application is the
 * probe's from its next check on. */
void lifecycle_reconfigure(struct lifecycle *lifecycle)
{
	if (!lifecycle->probe || stopping(lifecycle)) {
		return;
	}
	probe_configure(lifecycle->probe, &lifecycle->control->config->self.app);
	if (lifecycle->declared) {
		declare(lifecycle);
	}
}

void lifecycle_check_now(struct lifecycle *lifecycle,
	void (*done)(void *owner, bool healthy, const char *error), void *owner)
{
	if (!lifecycle->probe || lifecycle->app_exited) {
		done(owner, false, "the application does not run");
		return;
	}
	probe_ask(lifecycle->probe, done, owner);
}

enum control_phase lifecycle_phase(const struct lifecycle *lifecycle)
{
	return lifecycle->phase;
}

bool lifecycle_ready(const struct lifecycle *lifecycle)
{
	/* HE-03: losing the registry later keeps it true; a failing application does not. */
	return lifecycle->phase == CONTROL_SERVING;
}

/* The check may still be good for a moment after the process has ended. */
bool lifecycle_app_healthy(const struct lifecycle *lifecycle)
{
	return lifecycle->probe && probe_healthy(lifecycle->probe) && !lifecycle->app_exited;
}

/* Why the last check failed, for /readyz and status; empty after a pass. */
const char *lifecycle_app_error(const struct lifecycle *lifecycle)
{
	return lifecycle->probe ? probe_error(lifecycle->probe) : "";
}

/* 0 while none runs, or where it is not our child. */
int lifecycle_app_pid(const struct lifecycle *lifecycle)
{
	return lifecycle->app_pid;
}
