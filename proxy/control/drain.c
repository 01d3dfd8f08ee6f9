#include "control/drain.h"

#include <signal.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/broker.h"
#include "control/channel.h"
#include "control/lifecycle.h"
#include "control/state.h"
#include "raftreg/raftreg.h"

#define POLL_MS		  50
#define ANNOUNCE_PERCENT  8 /* of grace, at most 2 s (ML-20) */
#define ANNOUNCE_MAX_MS	  2000
#define INBOUND_PERCENT	  52 /* at most 13 s of the default (ML-21) */
#define APP_PERCENT	  40 /* at most 10 s of the default (ML-22) */
#define KILL_WAIT_MS	  2000
#define OUTBOUND_QUIET_MS 1000 /* ML-31 */
#define LEAVE_MS	  200  /* for the session's CLOSE and the last log lines to go out */
#define HANDOVER_MAX_MS	  5000 /* RB-05: 2E, but no longer than this */

enum drain_step {
	DRAIN_NONE,
	DRAIN_ANNOUNCE,
	DRAIN_INBOUND,
	DRAIN_APP,
	DRAIN_KILLED,
	DRAIN_CUT,
	DRAIN_LEAVE,
	DRAIN_DONE
};

struct drain {
	struct control *control;
	enum drain_step step;
	struct timer timer; /* poll */
	uint64_t step_end_ms;
	uint64_t grace_ms;
	unsigned waiting; /* workers that have not answered the round */
	unsigned inbound, outbound;
	uint64_t last_outbound_ms;
	unsigned cut;
	bool leave;
	bool app_exited;
};

struct count {
	struct control *control;
	bool cut; /* cut inbound exchanges instead of counting them */
	unsigned inbound, outbound, cut_count;
	uint64_t last_outbound_ms;
};

static void enter(struct drain *drain, enum drain_step step);

/* Loop time: all steps of one turn see one clock. */
static uint64_t now_ms(const struct drain *drain)
{
	return loop_now_ms(drain->control->loop);
}

/* The application is the parent's child; only the parent may signal its group without racing
 * against its end. */
static void signal_app(struct drain *drain, int number)
{
	struct channel_message message = {.op = CHANNEL_SIGNAL_APP, .value = number};

	(void)control_send(drain->control, &message);
}

/* ML-21 on one worker: GOAWAY, Connection: close, and 503 draining for what still comes. */
static void run_drain_inbound(struct worker *worker, void *argument)
{
	ASSERT(!argument);
	exchange_server_drain_inbound(worker->server);
}

/* Proxy mode: the application stops by itself; its port and its calls tell (ML-31). */
static bool proxy_app_gone(const struct drain *drain)
{
	return !lifecycle_app_healthy(drain->control->lifecycle) &&
	       now_ms(drain) - drain->last_outbound_ms >= OUTBOUND_QUIET_MS && drain->outbound == 0;
}

/* ML-31: a sidecar that runs alone says by its exit code whether it had to cut; beside an
 * application the code is the application's (ML-23). */
static void leave_registry(struct drain *drain)
{
	if (drain->cut > 0) {
		log_event(LOG_LEVEL_WARN, "lifecycle", 5161,
			"requests were cut at the end of the stop",
			(struct log_field[]){LOG_NUMBER("pillion.cut", drain->cut)}, 1);
		if (!drain->control->launch->command && drain->control->exit_code == 0) {
			drain->control->exit_code = 1;
		}
	}
	if (drain->control->registry) {
		drain->control->registry->ops->stop(drain->control->registry, drain->leave);
	}
	/* RB-05: while the workers still bring what the other replicas say. */
	if (drain->control->node) {
		raftreg_node_leave(drain->control->node, true);
	}
}

/* Nobody is left without a leader because this one did not wait a moment (RB-05). */
static bool handed_over(const struct drain *drain)
{
	const struct control *control = drain->control;
	uint64_t most = 2 * (uint64_t)control->config->registry.election_ms;

	most = most > HANDOVER_MAX_MS ? HANDOVER_MAX_MS : most;
	return !control->node || raftreg_node_has_left(control->node) ||
	       now_ms(drain) >= drain->step_end_ms + most;
}

/* control_main takes everything down once the loop has returned. */
static void end_loop(struct drain *drain)
{
	drain->step = DRAIN_DONE;
	timer_cancel(&drain->timer);
	loop_stop(drain->control->loop);
}

/* A whole round was counted: is this step over? */
static void judge(struct drain *drain)
{
	bool expired = now_ms(drain) >= drain->step_end_ms;
	const struct control *control = drain->control;

	switch (drain->step) {
	case DRAIN_ANNOUNCE:
		if (expired) {
			enter(drain, DRAIN_INBOUND);
		}
		break;
	case DRAIN_INBOUND:
		if (expired || (drain->inbound == 0 &&
				       (!control->broker || broker_drained(control->broker)))) {
			enter(drain, DRAIN_APP);
		}
		break;
	case DRAIN_APP:
		if (control->launch->command ? drain->app_exited : proxy_app_gone(drain)) {
			enter(drain, DRAIN_CUT);
		} else if (expired) {
			enter(drain, control->launch->command ? DRAIN_KILLED : DRAIN_CUT);
		}
		break;
	case DRAIN_KILLED:
		if (drain->app_exited || expired) {
			enter(drain, DRAIN_CUT);
		}
		break;
	case DRAIN_CUT:
		enter(drain, DRAIN_LEAVE);
		break;
	case DRAIN_LEAVE:
		if (expired && handed_over(drain)) {
			end_loop(drain);
		}
		break;
	case DRAIN_NONE:
	case DRAIN_DONE:
		break;
	}
}

static void run_counted(struct control *control, void *argument);

/* On each worker. Counting and cutting go in one visit, so that what is counted is what is left. */
static void run_count(struct worker *worker, void *argument)
{
	struct count *count = argument;

	if (count->cut) {
		count->cut_count = exchange_server_cut_inbound(worker->server);
	}
	count->inbound = exchange_server_inbound_active(worker->server);
	count->outbound = exchange_server_outbound_active(worker->server);
	count->last_outbound_ms = exchange_server_last_outbound_ms(worker->server);
	control_call(count->control, run_counted, count, NULL);
}

/* One round at a time: an answer that comes late must not be counted for the next. */
static void ask_workers(struct drain *drain)
{
	struct control *control = drain->control;

	if (drain->waiting > 0) {
		return; /* the last round is not over */
	}
	drain->inbound = drain->outbound = 0;
	for (unsigned i = 0; i < control->worker_count; i++) {
		struct count *count;

		if (!control->workers[i].running) {
			continue;
		}
		count = mem_zalloc(sizeof *count);
		count->control = control;
		count->cut = drain->step == DRAIN_CUT;
		drain->waiting++;
		worker_call(&control->workers[i], run_count, count, NULL);
	}
	if (drain->waiting == 0) {
		judge(drain);
	}
}

/* The step is judged only on complete rounds, since a worker that has not answered may hold
 * requests. */
static void run_counted(struct control *control, void *argument)
{
	struct count *count = argument;
	struct drain *drain = control->drain;

	if (drain && drain->waiting > 0) {
		drain->waiting--;
		drain->inbound += count->inbound;
		drain->outbound += count->outbound;
		drain->cut += count->cut_count;
		if (count->last_outbound_ms > drain->last_outbound_ms) {
			drain->last_outbound_ms = count->last_outbound_ms;
		}
		/* A round that began before the cut has cut nothing: the next one will. */
		if (drain->waiting == 0 && (count->cut || drain->step != DRAIN_CUT)) {
			judge(drain);
		}
	}
	mem_free(count);
}

/* Polling, because the end of the last request on a worker is no event that control would hear of
 * otherwise. */
static void on_timer(struct timer *timer)
{
	struct drain *drain = container_of(timer, struct drain, timer);

	timer_arm(drain->control->loop, timer, now_ms(drain) + POLL_MS);
	ask_workers(drain);
}

/* The bounds of ML-20 to ML-22 are shares of the one budget `grace`: a shorter grace shortens each
 * step, none is skipped. */
static void enter(struct drain *drain, enum drain_step step)
{
	struct control *control = drain->control;
	uint64_t length = 0;

	ASSERT(step > drain->step);
	drain->step = step;
	switch (step) {
	case DRAIN_ANNOUNCE:
		length = drain->grace_ms * ANNOUNCE_PERCENT / 100;
		length = length > ANNOUNCE_MAX_MS ? ANNOUNCE_MAX_MS : length;
		break;
	case DRAIN_INBOUND:
		length = drain->grace_ms * INBOUND_PERCENT / 100;
		for (unsigned i = 0; i < control->worker_count; i++) {
			worker_call(&control->workers[i], run_drain_inbound, NULL, NULL);
		}
		break;
	case DRAIN_APP:
		length =
			control->config->self.app.present ? drain->grace_ms * APP_PERCENT / 100 : 0;
		if (control->launch->command) {
			signal_app(drain, control->config->self.app.stop_signal);
			/* A stopped application could not hear the signal before this one. */
			signal_app(drain, SIGCONT);
		}
		break;
	case DRAIN_KILLED:
		length = KILL_WAIT_MS;
		signal_app(drain, SIGKILL);
		break;
	case DRAIN_LEAVE:
		length = drain->leave ? LEAVE_MS : 0;
		leave_registry(drain);
		break;
	case DRAIN_CUT:
	case DRAIN_NONE:
	case DRAIN_DONE:
		break;
	}
	/* Cutting is done at once; every other step is looked at every POLL_MS. */
	drain->step_end_ms = now_ms(drain) + length;
	timer_arm(control->loop, &drain->timer, now_ms(drain) + (step == DRAIN_CUT ? 0 : POLL_MS));
}

/* Made with the lifecycle: a stop may come before anything else has happened. */
struct drain *drain_create(struct control *control)
{
	struct drain *drain = mem_zalloc(sizeof *drain);

	drain->control = control;
	timer_init(&drain->timer, on_timer);
	control->drain = drain;
	return drain;
}

/* Answers of workers may still be on their way; without a drain they are only freed. */
void drain_destroy(struct drain *drain)
{
	if (!drain) {
		return;
	}
	timer_cancel(&drain->timer);
	drain->control->drain = NULL;
	mem_free(drain);
}

/* Nobody has heard of us: nobody needs time to hear that we go (ML-20). */
void drain_start(struct drain *drain, bool announced)
{
	ASSERT(drain->step == DRAIN_NONE);
	drain->leave = true;
	drain->grace_ms = (uint64_t)drain->control->config->process.grace_ms;
	/* RB-05: at once, since whoever connects from now on is sent away. */
	if (drain->control->node) {
		raftreg_node_leave(drain->control->node, false);
	}
	enter(drain, announced ? DRAIN_ANNOUNCE : DRAIN_INBOUND);
}

/* ML-24. A stop that is past ML-22 is as fast as it can be. */
void drain_hurry(struct drain *drain)
{
	if (drain->step < DRAIN_APP) {
		enter(drain, DRAIN_APP);
	}
}

void drain_app_exited(struct drain *drain)
{
	drain->app_exited = true;
	/* It may also go down before anybody asked it to: then its requests are over too. */
	if (drain->step >= DRAIN_APP && drain->step < DRAIN_CUT) {
		enter(drain, DRAIN_CUT);
	}
}

/* ML-25 and a command that could not be started: nothing is left to wait for. */
void drain_finish(struct drain *drain, bool leave)
{
	drain->leave = leave;
	drain->app_exited = true;
	if (drain->step < DRAIN_CUT) {
		enter(drain, DRAIN_CUT);
	}
}

/* For the exit code and the tests. */
unsigned drain_cut_count(const struct drain *drain)
{
	return drain->cut;
}
