/* health: /livez, /startupz, /readyz and /wait (operations.md 12). */
#include <stdio.h>
#include <stdlib.h>

#include "admin/pages.h"
#include "admin/server.h"
#include "base/mem.h"
#include "broker/broker.h"
#include "config/places.h"
#include "net/loop.h"
#include "net/timer.h"
#include "raftreg/raftreg.h"

/* How often a parked /wait looks; its default and its bound. */
#define WAIT_POLL_MS	50
#define WAIT_DEFAULT_MS 30000
#define WAIT_MAX_MS	600000

/* HE-04: a probe reads the status, a person the lines; the lines come with every failure, because
 * then a person will read. */
static void answer_lines(struct admin_call *call, bool good, const struct buf *lines, bool verbose)
{
	if (good && !verbose) {
		admin_answer_text(call, 200, "text/plain", SLICE("ok\n"));
		return;
	}
	admin_answer_text(call, good ? 200 : 503, "text/plain", buf_slice(lines));
}

/* HE-01: workers only. Restarting a sidecar heals neither a registry nor an application. */
void health_live(struct admin_call *call)
{
	struct control_health health;
	struct buf lines;

	control_health_get(call->control, &health);
	buf_init(&lines);
	buf_appendf(&lines, "[%c] workers%s\n", health.live ? '+' : '-',
		health.live ? "" : ": one has not answered for 5 s");
	answer_lines(call, health.live, &lines, admin_parameter(call, "verbose") != NULL);
	buf_fini(&lines);
}

/* HE-02: latched. It waits for nobody else, or a startup probe that gates the application would
 * wait for itself. */
void health_startup(struct admin_call *call)
{
	struct control_health health;
	struct buf lines;

	control_health_get(call->control, &health);
	buf_init(&lines);
	buf_append_string(&lines, health.started ? "[+] started\n" : "[-] started: not yet\n");
	answer_lines(call, health.started, &lines, admin_parameter(call, "verbose") != NULL);
	buf_fini(&lines);
}

/* HE-03: of the parts this one decides; PIL5042 is what a caller's answer would say too. */
static void add_app(
	const struct control_health *health, const struct config *config, struct buf *lines)
{
	if (!health->has_app) {
		buf_append_string(lines, "[+] app: none\n");
	} else if (health->app_healthy) {
		buf_appendf(lines, "[+] app: %s speaks %s\n", config->self.app.address.text,
			health->app_protocol);
	} else {
		buf_appendf(lines, "[-] app: PIL5042 %s\n",
			health->app_error[0] ? health->app_error : "not checked yet");
	}
}

/* Degraded parts: shown, but they do not change the answer (HE-03). */
static void add_registry(
	struct control *control, const struct control_health *health, struct buf *lines)
{
	const struct registry_status *registry = &health->registry;
	struct raftreg_node_health node;

	switch (registry->mode) {
	case REGISTRY_LIVE:
		buf_appendf(lines, "[+] registry: live, index %llu\n",
			(unsigned long long)registry->index);
		break;
	/* RV-07: no quorum, but somebody answers; the index says how old the picture is. */
	case REGISTRY_STALE:
		buf_appendf(lines, "[!] registry: PIL3002 %s, serving index %llu, %llu s old\n",
			registry->detail[0] ? registry->detail : "no quorum",
			(unsigned long long)registry->index,
			(unsigned long long)(registry->age_ms / 1000));
		break;
	/* HE-03: the last known instances still serve, so this is a `[!]`. */
	case REGISTRY_DOWN:
	case REGISTRY_CONNECTING:
		buf_appendf(lines, "[!] registry: PIL3001 %s, serving index %llu\n",
			registry->detail[0] ? registry->detail : "no replica answers",
			(unsigned long long)registry->index);
		break;
	}
	if (control_node(control)) {
		raftreg_node_health(control_node(control), &node);
		if (node.role_stopped) {
			/* RS-16: traffic goes on; only this replica has stopped voting. */
			buf_appendf(lines, "[!] registry: role stopped (%s)\n", node.reason);
		}
	}
}

/* HE-03: a spool that is off fails readiness only where the file says that the application cannot
 * do without. */
static void add_spool(struct control *control, struct buf *lines)
{
	char reason[128] = "";
	const struct broker *broker = control_broker(control);
	const struct config *config = control_config(control);
	const char *path =
		config->broker.spool.path ? config->broker.spool.path : control_data_dir(control);
	const char *passing = path ? config_place_passing(path) : NULL;
	bool required = config->broker.required;

	if (!broker) {
		buf_append_string(lines, "[+] broker: off\n");
		return;
	}
	if (broker_spool_state(broker, reason) == BROKER_SPOOL_OK && passing &&
		config_broker_syncs(&config->broker)) {
		/* B9-12. */
		buf_appendf(lines, "[!] spool: PIL1241 it lies on %s\n", passing);
	} else if (broker_spool_state(broker, reason) == BROKER_SPOOL_OK) {
		buf_append_string(lines, "[+] spool\n");
	} else {
		buf_appendf(lines, "[%c] spool: PIL5135 %s\n", required ? '-' : '!', reason);
	}
}

/* HE-03. The phase says more than a bit: waiting for the application, registering and draining
 * look the same to a load balancer and different to a person. */
void health_ready(struct admin_call *call)
{
	struct control *control = call->control;
	struct control_health health;
	struct buf lines;

	control_health_get(control, &health);
	buf_init(&lines);
	add_app(&health, control_config(control), &lines);
	buf_appendf(&lines, "[%c] phase: %s\n", health.ready ? '+' : '-',
		control_phase_word(health.phase));
	add_registry(control, &health, &lines);
	add_spool(control, &lines);
	answer_lines(call, health.ready, &lines, admin_parameter(call, "verbose") != NULL);
	buf_fini(&lines);
}

/* A call that is parked until the sidecar is ready. */
struct wait {
	struct admin_call *call;
	struct timer timer;
	uint64_t end_ms;
};

/* ML-30. Polled, since readiness has several causes and none of them knows who waits. A sidecar
 * that drains will not become ready any more, so the wait ends at once. */
static void on_wait(struct timer *timer)
{
	struct wait *wait = container_of(timer, struct wait, timer);
	struct loop *loop = control_loop(wait->call->control);
	struct control_health health;

	control_health_get(wait->call->control, &health);
	if (!health.ready && loop_now_ms(loop) < wait->end_ms && wait->call->unary &&
		health.phase < CONTROL_DRAINING) {
		timer_arm(loop, timer, loop_now_ms(loop) + WAIT_POLL_MS);
		return;
	}
	if (health.ready) {
		admin_answer_text(wait->call, 200, "text/plain", SLICE("ok\n"));
	} else {
		admin_answer_error(wait->call, 503, 4005, "not_ready", "not ready in that time");
	}
	mem_free(wait);
}

/* "30s", "500ms" or plain seconds. */
static uint64_t parse_wait(const char *text)
{
	char *end = NULL;
	unsigned long long value = text ? strtoull(text, &end, 10) : 0;

	if (!text || end == text) {
		return WAIT_DEFAULT_MS;
	}
	value = strcmp(end, "ms") == 0	? value
		: strcmp(end, "m") == 0 ? value * 60000
					: value * 1000;
	return value > WAIT_MAX_MS ? WAIT_MAX_MS : value;
}

/* The first look is at once, from the loop: a call may not be answered twice within its own
 * handler. */
void health_wait(struct admin_call *call)
{
	struct loop *loop = control_loop(call->control);
	struct wait *wait = mem_zalloc(sizeof *wait);

	wait->call = call;
	wait->end_ms = loop_now_ms(loop) + parse_wait(admin_parameter(call, "timeout"));
	timer_init(&wait->timer, on_wait);
	timer_arm(loop, &wait->timer, loop_now_ms(loop));
}
