/*
 * The life of a sidecar beside its application (mesh.md 9.1) in virtual time: everything that the
 * lifecycle tells somebody is written down by fakes of this file.
 */
#include "test_control.h"

#include <signal.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/broker.h"
#include "control/declare.h"
#include "control/drain.h"
#include "control/lifecycle.h"
#include "control/probe.h"
#include "control/schema.h"
#include "control/state.h"
#include "control/warmup.h"

#define TIMERS_MAX 4
#define TEXT_MAX   1024

static struct fake {
	uint64_t now_ms;
	struct timer *timers[TIMERS_MAX];
	char told[TEXT_MAX];
	struct probe_events events;
	bool healthy, passed, h2, grpc;
	bool settled;	  /* the schema */
	bool no_registry; /* declarations are answered by nobody */
	struct registry_call *call;
	void (*warm)(void *owner);
	void *warm_owner;
	bool registered; /* what the registry's status says */
	int said;	 /* PIL number of the last words to a person */
} fake;

static void tell(const char *format, ...) PRINTF_LIKE(1, 2);
static void tell(const char *format, ...)
{
	size_t used = strlen(fake.told);
	va_list arguments;

	if (used > 0) {
		used += (size_t)snprintf(fake.told + used, TEXT_MAX - used, ", ");
	}
	va_start(arguments, format);
	(void)vsnprintf(fake.told + used, TEXT_MAX - used, format, arguments);
	va_end(arguments);
}

/* What was told since the last look. */
static void expect(const char *expected)
{
	assert_string_equal(fake.told, expected);
	fake.told[0] = '\0';
}

/* --- fakes ------------------------------------------------------------------------------------ */

uint64_t loop_now_ms(const struct loop *loop)
{
	(void)loop;
	return fake.now_ms;
}

void timer_init(struct timer *timer, void (*fire)(struct timer *timer))
{
	timer->fire = fire;
}

void timer_cancel(struct timer *timer)
{
	for (size_t i = 0; i < TIMERS_MAX; i++) {
		if (fake.timers[i] == timer) {
			fake.timers[i] = NULL;
		}
	}
}

void timer_arm(struct loop *loop, struct timer *timer, uint64_t deadline_ms)
{
	size_t i = 0;

	(void)loop;
	timer_cancel(timer);
	timer->deadline_ms = deadline_ms;
	while (fake.timers[i]) {
		i++;
		assert_true(i < TIMERS_MAX);
	}
	fake.timers[i] = timer;
}

void log_event(enum log_level level, const char *module, unsigned code, const char *message,
	const struct log_field *fields, int field_count)
{
	(void)level;
	(void)module;
	(void)message;
	(void)fields;
	(void)field_count;
	if (code == 5041) {
		tell("not ready");
	}
}

const char *control_phase_word(enum control_phase phase)
{
	static const char *const words[] = {
		"starting", "waiting", "registering", "serving", "down", "draining", "stopping"};

	return words[phase];
}

void control_say(const struct err *err)
{
	fake.said = (int)err->code;
}

int control_send(struct control *control, const struct channel_message *message)
{
	(void)control;
	assert_int_equal(message->op, CHANNEL_START_APP);
	assert_string_equal(message->text, "\norders");
	tell("start %d", message->value);
	return 0;
}

const struct bound_listener *listeners_find(const struct control *control, const char *name)
{
	(void)control;
	assert_string_equal(name, "outbound");
	return NULL;
}

void worker_call(struct worker *worker, void (*run)(struct worker *worker, void *argument),
	void *argument, void (*discard_argument)(void *argument))
{
	(void)discard_argument;
	run(worker, argument);
}

void exchange_server_set_app(struct exchange_server *server, bool healthy, bool exited, bool h2)
{
	(void)server;
	tell("worker %s%s%s", healthy ? "up" : "not yet", exited ? " exited" : "", h2 ? " h2" : "");
}

bool declare_service(struct control *control, enum instance_health health, const char *protocol,
	struct registry_call *call)
{
	(void)control;
	assert_null(fake.call);
	tell("declare %s %s",
		health == INSTANCE_UP	     ? "up"
		: health == INSTANCE_FAILING ? "failing"
					     : "draining",
		protocol);
	fake.call = fake.no_registry ? NULL : call;
	return !fake.no_registry;
}

const char *registry_code_word(enum registry_code code)
{
	(void)code;
	return "word";
}

static void registry_status(const struct registry *registry, struct registry_status *ret_status)
{
	(void)registry;
	*ret_status = (struct registry_status){.registered = fake.registered};
}

struct probe *probe_create(
	struct loop *loop, const struct config_app *app, const struct probe_events *events)
{
	(void)loop;
	(void)app;
	fake.events = *events;
	return (struct probe *)(void *)&fake;
}

void probe_destroy(struct probe *probe)
{
	(void)probe;
}

void probe_restart(struct probe *probe)
{
	(void)probe;
	tell("probe");
}

void probe_stop(struct probe *probe)
{
	(void)probe;
	tell("no probe");
}

void probe_configure(struct probe *probe, const struct config_app *app)
{
	(void)probe;
	(void)app;
	tell("probe anew");
}

void probe_ask(struct probe *probe, void (*done)(void *owner, bool healthy, const char *error),
	void *owner)
{
	(void)probe;
	done(owner, true, "");
}

bool probe_healthy(const struct probe *probe)
{
	(void)probe;
	return fake.healthy;
}

const char *probe_error(const struct probe *probe)
{
	(void)probe;
	return "refused";
}

bool probe_speaks_h2(const struct probe *probe)
{
	(void)probe;
	return fake.h2;
}

bool probe_passed_once(const struct probe *probe)
{
	(void)probe;
	return fake.passed;
}

void schema_app_ready(struct schema *schema, bool h2)
{
	(void)schema;
	(void)h2;
}

void schema_app_down(struct schema *schema)
{
	(void)schema;
	tell("schema down");
}

bool schema_settled(const struct schema *schema)
{
	(void)schema;
	return fake.settled;
}

bool schema_is_grpc(const struct schema *schema)
{
	(void)schema;
	return fake.grpc;
}

void warmup_start(struct control *control, void (*done)(void *owner), void *owner)
{
	(void)control;
	tell("warm up");
	fake.warm = done;
	fake.warm_owner = owner;
}

void broker_set_app_ready(struct broker *broker, bool ready)
{
	(void)broker;
	tell("broker %s", ready ? "ready" : "waits");
}

void broker_drain(struct broker *broker)
{
	(void)broker;
	tell("broker drains");
}

struct drain *drain_create(struct control *control)
{
	(void)control;
	return (struct drain *)(void *)&fake;
}

void drain_destroy(struct drain *drain)
{
	(void)drain;
}

void drain_start(struct drain *drain, bool announced)
{
	(void)drain;
	tell(announced ? "drain announced" : "drain");
}

void drain_hurry(struct drain *drain)
{
	(void)drain;
	tell("hurry");
}

void drain_app_exited(struct drain *drain)
{
	(void)drain;
	tell("drain: exited");
}

void drain_finish(struct drain *drain, bool leave)
{
	(void)drain;
	tell(leave ? "finish, leave" : "finish");
}

/* --- the test's side -------------------------------------------------------------------------- */

struct setting {
	struct control control;
	struct config config;
	struct launch launch;
	struct registry registry;
	struct registry_ops ops;
	struct lifecycle *lifecycle;
	char *command[2];
};

static int setup(void **state)
{
	struct setting *setting = mem_zalloc(sizeof *setting);

	fake = (struct fake){.now_ms = 1000, .settled = true};
	setting->command[0] = (char *)(uintptr_t) "./app";
	setting->launch.command = setting->command;
	setting->config.self.name = "orders";
	setting->config.self.app.present = true;
	setting->ops.status = registry_status;
	setting->registry.ops = &setting->ops;
	setting->control.launch = &setting->launch;
	setting->control.config = &setting->config;
	setting->control.registry = &setting->registry;
	setting->control.broker = (struct broker *)(void *)setting;
	setting->control.worker_count = 1;
	setting->lifecycle = lifecycle_create(&setting->control);
	*state = setting;
	return 0;
}

static int teardown(void **state)
{
	struct setting *setting = *state;

	lifecycle_destroy(setting->lifecycle);
	for (size_t i = 0; i < TIMERS_MAX; i++) {
		assert_null(fake.timers[i]);
	}
	mem_free(setting);
	return 0;
}

static void advance(uint64_t ms)
{
	fake.now_ms += ms;
	for (size_t i = 0; i < TIMERS_MAX; i++) {
		struct timer *timer = fake.timers[i];

		if (timer && timer->deadline_ms <= fake.now_ms) {
			fake.timers[i] = NULL;
			timer->fire(timer);
		}
	}
}

static void probe_says(bool healthy)
{
	fake.healthy = healthy;
	fake.passed = fake.passed || healthy;
	fake.events.on_change(fake.events.owner, healthy, fake.h2);
}

static void registry_says(enum registry_code code)
{
	struct registry_call *call = fake.call;
	struct registry_result result = {.code = code};

	assert_non_null(call);
	fake.call = NULL;
	call->done(call, &result);
}

static void phase_is(const struct setting *setting, enum control_phase phase)
{
	assert_int_equal(lifecycle_phase(setting->lifecycle), phase);
}

/* Up to the registration that was accepted. */
static void serve(struct setting *setting)
{
	lifecycle_start(setting->lifecycle);
	lifecycle_app_started(setting->lifecycle, 41);
	probe_says(true);
	fake.warm(fake.warm_owner);
	registry_says(REGISTRY_OK);
	phase_is(setting, CONTROL_SERVING);
	fake.told[0] = '\0';
}

static int exited(int code)
{
	return code << 8;
}

static void start_in_order(void **state)
{
	struct setting *setting = *state;

	fake.h2 = fake.grpc = true;
	lifecycle_start(setting->lifecycle);
	expect("start 0, probe");
	phase_is(setting, CONTROL_WAITING_APP);
	assert_string_equal(lifecycle_app_protocol(setting->lifecycle), "unknown");
	lifecycle_app_started(setting->lifecycle, 41);
	assert_int_equal(lifecycle_app_pid(setting->lifecycle), 41);
	expect("worker not yet h2");
	/* MH-03: one that never comes up is said again and again. */
	advance(10000);
	advance(10000);
	expect("not ready, not ready");
	probe_says(true);
	expect("worker up h2, warm up");
	phase_is(setting, CONTROL_WAITING_APP);
	fake.warm(fake.warm_owner);
	expect("declare up grpc, broker ready");
	phase_is(setting, CONTROL_REGISTERING);
	assert_false(lifecycle_ready(setting->lifecycle));
	registry_says(REGISTRY_OK);
	phase_is(setting, CONTROL_SERVING);
	assert_true(lifecycle_ready(setting->lifecycle));
	advance(60000);
	expect("");
}

static void without_an_application(void **state)
{
	struct setting *setting = *state;

	setting->launch.command = NULL;
	setting->config.self.app.present = false;
	lifecycle_start(setting->lifecycle);
	expect("");
	phase_is(setting, CONTROL_SERVING);
	lifecycle_stop_signal(setting->lifecycle, 1);
	expect("broker drains, drain");
}

/* ML-05: async, or no registry: ready at once. */
static void ready_at_once(void **state)
{
	struct setting *setting = *state;

	setting->config.self.register_mode = CONFIG_REGISTER_ASYNC;
	lifecycle_start(setting->lifecycle);
	probe_says(true);
	fake.warm(fake.warm_owner);
	phase_is(setting, CONTROL_SERVING);
	registry_says(REGISTRY_OK);
}

static void ready_without_a_registry(void **state)
{
	struct setting *setting = *state;

	fake.no_registry = true;
	lifecycle_start(setting->lifecycle);
	probe_says(true);
	fake.warm(fake.warm_owner);
	phase_is(setting, CONTROL_SERVING);
}

/* RF-03: reflection is waited for, not for ever. */
static void schema_is_waited_for(void **state)
{
	struct setting *setting = *state;

	fake.settled = false;
	lifecycle_start(setting->lifecycle);
	probe_says(true);
	fake.warm(fake.warm_owner);
	fake.told[0] = '\0';
	phase_is(setting, CONTROL_WAITING_APP);
	advance(9000);
	expect("");
	advance(1000);
	expect("declare up http, broker ready");
	registry_says(REGISTRY_OK);
	/* It came late: declared once more. */
	fake.settled = fake.grpc = fake.h2 = true;
	lifecycle_schema_changed(setting->lifecycle);
	expect("declare up grpc");
	registry_says(REGISTRY_OK);
}

static void failing_and_back(void **state)
{
	struct setting *setting = *state;

	serve(setting);
	probe_says(false);
	/* Still served: the instances of others may be worse (MH-03). */
	expect("worker up, schema down, broker waits, declare failing http");
	phase_is(setting, CONTROL_APP_DOWN);
	/* Up again before the registry answered: one call at a time, the last state wins. */
	probe_says(true);
	expect("worker up, broker ready");
	phase_is(setting, CONTROL_SERVING);
	registry_says(REGISTRY_OK);
	expect("declare up http");
	registry_says(REGISTRY_OK);
	phase_is(setting, CONTROL_SERVING);
}

static void registry_answers_in_another_way(void **state)
{
	struct setting *setting = *state;

	lifecycle_start(setting->lifecycle);
	probe_says(true);
	fake.warm(fake.warm_owner);
	phase_is(setting, CONTROL_REGISTERING);
	lifecycle_registry_changed(setting->lifecycle);
	phase_is(setting, CONTROL_REGISTERING);
	fake.registered = true;
	lifecycle_registry_changed(setting->lifecycle);
	phase_is(setting, CONTROL_SERVING);
}

/* ML-25: the job is done, or has failed: its code is ours, at once. */
static void application_ends_by_itself(void **state)
{
	static const struct {
		int status, code;
	} ends[] = {{0, 0}, {3 << 8, 3}, {SIGKILL, 128 + SIGKILL}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		void *fresh;
		struct setting *setting;

		assert_int_equal(setup(&fresh), 0);
		setting = fresh;
		serve(setting);
		lifecycle_app_exited(setting->lifecycle, ends[i].status, 0);
		expect("worker up exited, finish, leave");
		assert_int_equal(setting->control.exit_code, ends[i].code);
		phase_is(setting, CONTROL_STOPPING);
		assert_int_equal(teardown(&fresh), 0);
	}
}

/* ML-03: as a shell says it. */
static void application_cannot_start(void **state)
{
	static const struct {
		int error, code;
	} ends[] = {{ENOENT, 127}, {EACCES, 126}, {ENOEXEC, 126}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		void *fresh;
		struct setting *setting;

		assert_int_equal(setup(&fresh), 0);
		setting = fresh;
		lifecycle_start(setting->lifecycle);
		fake.told[0] = '\0';
		lifecycle_app_exited(setting->lifecycle, 0, ends[i].error);
		expect("finish");
		assert_int_equal(fake.said, 2020);
		assert_int_equal(setting->control.exit_code, ends[i].code);
		assert_int_equal(teardown(&fresh), 0);
	}
}

/* restart = on-failure: after 100 ms, doubled, at most 10 s; passing its check forgets that. */
static void restarts_with_patience(void **state)
{
	struct setting *setting = *state;
	uint64_t wait = 100;

	setting->config.self.app.restart = CONFIG_RESTART_ON_FAILURE;
	serve(setting);
	for (int i = 0; i < 10; i++) {
		lifecycle_app_exited(setting->lifecycle, exited(1), 0);
		expect("worker up exited, no probe");
		phase_is(setting, CONTROL_APP_DOWN);
		advance(wait - 1);
		expect("");
		advance(1);
		expect("start 1");
		lifecycle_app_started(setting->lifecycle, 50 + i);
		expect("worker up, probe");
		wait = wait * 2 > 10000 ? 10000 : wait * 2;
	}
	assert_int_equal(setting->control.counters.app_restarts, 10);
	probe_says(true);
	fake.told[0] = '\0';
	lifecycle_app_exited(setting->lifecycle, exited(1), 0);
	advance(100);
	expect("worker up exited, no probe, start 1");
	/* Work that is done is not begun again. */
	lifecycle_app_started(setting->lifecycle, 99);
	lifecycle_app_exited(setting->lifecycle, 0, 0);
	assert_int_equal(setting->control.exit_code, 0);
	phase_is(setting, CONTROL_STOPPING);
	registry_says(REGISTRY_OK);
}

static void stop_in_order(void **state)
{
	struct setting *setting = *state;

	serve(setting);
	lifecycle_stop_signal(setting->lifecycle, 1);
	expect("broker drains, declare draining http, drain announced");
	phase_is(setting, CONTROL_DRAINING);
	assert_false(lifecycle_ready(setting->lifecycle));
	registry_says(REGISTRY_OK);
	phase_is(setting, CONTROL_DRAINING);
	lifecycle_stop_signal(setting->lifecycle, 2);
	expect("hurry");
	/* Its check means nothing any more; its end is what the stop waits for. */
	probe_says(false);
	expect("worker up");
	lifecycle_app_exited(setting->lifecycle, exited(9), 0);
	expect("worker up exited, drain: exited");
	assert_int_equal(setting->control.exit_code, 9);
	lifecycle_schema_changed(setting->lifecycle);
	lifecycle_reconfigure(setting->lifecycle);
	expect("");
}

/* Nobody knows it yet: nobody has to hear of the drain. */
static void stop_before_the_registration(void **state)
{
	struct setting *setting = *state;

	lifecycle_start(setting->lifecycle);
	fake.told[0] = '\0';
	lifecycle_stop_signal(setting->lifecycle, 1);
	expect("broker drains, drain");
	probe_says(true);
	expect("worker up");
}

/* A stop while a restart is waited for: it does not come again. */
static void stop_between_two_applications(void **state)
{
	struct setting *setting = *state;

	setting->config.self.app.restart = CONFIG_RESTART_ON_FAILURE;
	serve(setting);
	lifecycle_app_exited(setting->lifecycle, exited(1), 0);
	fake.told[0] = '\0';
	lifecycle_stop_signal(setting->lifecycle, 1);
	expect("broker drains, declare draining http, drain announced, drain: exited");
	advance(60000);
	expect("");
}

static void reload_declares_anew(void **state)
{
	struct setting *setting = *state;

	serve(setting);
	lifecycle_reconfigure(setting->lifecycle);
	expect("probe anew, declare up http");
	registry_says(REGISTRY_OK);
	phase_is(setting, CONTROL_SERVING);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(start_in_order), TEST(without_an_application),
		TEST(ready_at_once), TEST(ready_without_a_registry), TEST(schema_is_waited_for),
		TEST(failing_and_back), TEST(registry_answers_in_another_way),
		cmocka_unit_test(application_ends_by_itself),
		cmocka_unit_test(application_cannot_start), TEST(restarts_with_patience),
		TEST(stop_in_order), TEST(stop_before_the_registration),
		TEST(stop_between_two_applications), TEST(reload_declares_anew)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
