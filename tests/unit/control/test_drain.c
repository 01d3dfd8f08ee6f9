/*
 * The order of a stop (mesh.md ML-20 to ML-31) in virtual time: the loop's clock and timer, the
 * workers, the parent and the registry are fakes of this file and write what they are told.
 */
#include "test_control.h"

#include <signal.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/broker.h"
#include "control/drain.h"
#include "control/lifecycle.h"
#include "control/state.h"
#include "raftreg/raftreg.h"

#define GRACE_MS  25000
#define MAILS_MAX 64

static struct fake {
	uint64_t now_ms;
	struct timer *timer;
	bool stopped;
	char told[512]; /* "drain @0, signal 15 @13000, ..." */
	unsigned inbound, outbound, cut;
	uint64_t last_outbound_ms;
	bool healthy; /* the application's port answers */
	bool broker_busy;
	bool leads; /* our replica, and nobody takes over */
} fake;

static void tell(const char *format, long value)
{
	size_t used = strlen(fake.told);

	if (used > 0) {
		used += (size_t)snprintf(fake.told + used, sizeof fake.told - used, ", ");
	}
	used += (size_t)snprintf(fake.told + used, sizeof fake.told - used, format, value);
	(void)snprintf(fake.told + used, sizeof fake.told - used, " @%llu",
		(unsigned long long)fake.now_ms);
}

uint64_t loop_now_ms(const struct loop *loop)
{
	(void)loop;
	return fake.now_ms;
}

void loop_stop(struct loop *loop)
{
	(void)loop;
	fake.stopped = true;
	tell("end", 0);
}

void timer_init(struct timer *timer, void (*fire)(struct timer *timer))
{
	timer->fire = fire;
}

void timer_arm(struct loop *loop, struct timer *timer, uint64_t deadline_ms)
{
	(void)loop;
	timer->deadline_ms = deadline_ms;
	fake.timer = timer;
}

void timer_cancel(struct timer *timer)
{
	(void)timer;
	fake.timer = NULL;
}

void log_event(enum log_level level, const char *module, unsigned code, const char *message,
	const struct log_field *fields, int field_count)
{
	(void)level;
	(void)module;
	(void)message;
	(void)fields;
	(void)field_count;
	assert_int_equal(code, 5161);
}

int control_send(struct control *control, const struct channel_message *message)
{
	(void)control;
	assert_int_equal(message->op, CHANNEL_SIGNAL_APP);
	tell("signal %ld", message->value);
	return 0;
}

/* Mail between the threads: delivered when the test says so, not inside the call. */
static struct mail_slot {
	void (*control_run)(struct control *control, void *argument);
	void (*worker_run)(struct worker *worker, void *argument);
	void *receiver, *argument;
} mails[MAILS_MAX];
static size_t mail_count;

void control_call(struct control *control, void (*run)(struct control *control, void *argument),
	void *argument, void (*discard_argument)(void *argument))
{
	(void)discard_argument;
	assert_true(mail_count < MAILS_MAX);
	mails[mail_count++] =
		(struct mail_slot){.control_run = run, .receiver = control, .argument = argument};
}

void worker_call(struct worker *worker, void (*run)(struct worker *worker, void *argument),
	void *argument, void (*discard_argument)(void *argument))
{
	(void)discard_argument;
	assert_true(mail_count < MAILS_MAX);
	mails[mail_count++] =
		(struct mail_slot){.worker_run = run, .receiver = worker, .argument = argument};
}

static void deliver(void)
{
	for (size_t i = 0; i < mail_count; i++) {
		struct mail_slot *slot = &mails[i];

		if (slot->control_run) {
			slot->control_run(slot->receiver, slot->argument);
		} else {
			slot->worker_run(slot->receiver, slot->argument);
		}
	}
	mail_count = 0;
}

void exchange_server_drain_inbound(struct exchange_server *server)
{
	(void)server;
	tell("drain", 0);
}

unsigned exchange_server_cut_inbound(struct exchange_server *server)
{
	unsigned cut = fake.inbound;

	(void)server;
	if (cut > 0) {
		tell("cut %ld", (long)cut);
	}
	fake.inbound = 0;
	return cut;
}

unsigned exchange_server_inbound_active(const struct exchange_server *server)
{
	(void)server;
	return fake.inbound;
}

unsigned exchange_server_outbound_active(const struct exchange_server *server)
{
	(void)server;
	return fake.outbound;
}

uint64_t exchange_server_last_outbound_ms(const struct exchange_server *server)
{
	(void)server;
	return fake.last_outbound_ms;
}

bool lifecycle_app_healthy(const struct lifecycle *lifecycle)
{
	(void)lifecycle;
	return fake.healthy;
}

bool broker_drained(const struct broker *broker)
{
	(void)broker;
	return !fake.broker_busy;
}

void raftreg_node_leave(struct raftreg_node *node, bool last)
{
	assert_non_null(node);
	tell(last ? "goodbye" : "hand over", 0);
}

bool raftreg_node_has_left(const struct raftreg_node *node)
{
	assert_non_null(node);
	return !fake.leads;
}

static void registry_stop(struct registry *registry, bool leave)
{
	(void)registry;
	tell(leave ? "leave" : "vanish", 0);
}

struct setting {
	struct control control;
	struct config config;
	struct launch launch;
	struct registry registry;
	struct registry_ops ops;
	struct drain *drain;
	char *command[2];
};

/* `pillion run` with an application and a registry. */
static int setup(void **state)
{
	struct setting *setting = mem_zalloc(sizeof *setting);

	fake = (struct fake){.healthy = true};
	setting->command[0] = (char *)(uintptr_t) "./app";
	setting->launch.command = setting->command;
	setting->config.process.grace_ms = GRACE_MS;
	setting->config.self.app.present = true;
	setting->config.self.app.stop_signal = SIGTERM;
	setting->ops.stop = registry_stop;
	setting->registry.ops = &setting->ops;
	setting->control.launch = &setting->launch;
	setting->control.config = &setting->config;
	setting->control.registry = &setting->registry;
	setting->control.worker_count = 1;
	setting->control.workers[0].running = true;
	setting->drain = drain_create(&setting->control);
	*state = setting;
	return 0;
}

static int teardown(void **state)
{
	struct setting *setting = *state;

	deliver();
	drain_destroy(setting->drain);
	assert_null(setting->control.drain);
	mem_free(setting);
	return 0;
}

/* Lets time pass up to and including that moment. */
static void until(uint64_t moment)
{
	deliver();
	while (fake.timer && fake.timer->deadline_ms <= moment) {
		struct timer *timer = fake.timer;

		fake.now_ms = timer->deadline_ms;
		fake.timer = NULL;
		timer->fire(timer);
		deliver();
	}
	fake.now_ms = moment;
	deliver();
}

static void quiet_stop(void **state)
{
	struct setting *setting = *state;

	drain_start(setting->drain, true);
	/* The callers are given their time even when nothing is under way (ML-20). */
	until(1900);
	assert_string_equal(fake.told, "");
	until(2100);
	assert_string_equal(fake.told, "drain @2000, signal 15 @2050, signal 18 @2050");
	until(4000);
	drain_app_exited(setting->drain);
	until(10000);
	assert_string_equal(
		fake.told, "drain @2000, signal 15 @2050, signal 18 @2050, leave @4000, end @4200");
	assert_int_equal(setting->control.exit_code, 0);
	assert_true(fake.stopped);
}

static void unannounced_stop_does_not_wait(void **state)
{
	struct setting *setting = *state;

	drain_start(setting->drain, false);
	until(0);
	assert_string_equal(fake.told, "drain @0");
	until(60);
	assert_string_equal(fake.told, "drain @0, signal 15 @50, signal 18 @50");
}

static void inbound_is_waited_for(void **state)
{
	struct setting *setting = *state;

	fake.inbound = 3;
	drain_start(setting->drain, false);
	until(5000);
	assert_string_equal(fake.told, "drain @0");
	fake.inbound = 0;
	until(5100);
	assert_string_equal(fake.told, "drain @0, signal 15 @5050, signal 18 @5050");
}

static void broker_is_waited_for(void **state)
{
	struct setting *setting = *state;

	setting->control.broker = (struct broker *)(void *)setting;
	fake.broker_busy = true;
	drain_start(setting->drain, false);
	until(5000);
	assert_string_equal(fake.told, "drain @0");
	fake.broker_busy = false;
	until(5050);
	assert_string_equal(fake.told, "drain @0, signal 15 @5050, signal 18 @5050");
}

/* Nobody gives way: each step ends at its share of the grace time, and what was cut is counted. */
static void every_bound_holds(void **state)
{
	struct setting *setting = *state;

	fake.inbound = 2;
	drain_start(setting->drain, true);
	until(60000);
	assert_string_equal(fake.told,
		"drain @2000, signal 15 @15000, signal 18 @15000, signal 9 @25000, "
		"cut 2 @27000, leave @27000, end @27200");
	assert_int_equal(drain_cut_count(setting->drain), 2);
	/* With an application its own code counts. */
	assert_int_equal(setting->control.exit_code, 0);
}

static void short_grace_keeps_the_shares(void **state)
{
	struct setting *setting = *state;

	setting->config.process.grace_ms = 8000;
	fake.inbound = 1;
	drain_start(setting->drain, true);
	until(60000);
	assert_string_equal(fake.told,
		"drain @650, signal 15 @4850, signal 18 @4850, signal 9 @8050, "
		"cut 1 @10050, leave @10050, end @10250");
}

/* ML-24: the second signal goes straight to the application. */
static void second_signal_hurries(void **state)
{
	struct setting *setting = *state;

	fake.inbound = 2;
	drain_start(setting->drain, true);
	until(1000);
	drain_hurry(setting->drain);
	assert_string_equal(fake.told, "signal 15 @1000, signal 18 @1000");
	drain_hurry(setting->drain);
	assert_string_equal(fake.told, "signal 15 @1000, signal 18 @1000");
	drain_app_exited(setting->drain);
	until(3000);
	assert_string_equal(
		fake.told, "signal 15 @1000, signal 18 @1000, cut 2 @1000, leave @1000, end @1200");
}

/* ML-25: the application ends by itself; then nothing is waited for. */
static void application_ends_first(void **state)
{
	struct setting *setting = *state;

	fake.inbound = 1;
	until(500);
	drain_finish(setting->drain, true);
	until(1000);
	assert_string_equal(fake.told, "cut 1 @500, leave @500, end @700");
	assert_string_equal(strstr(fake.told, "signal") ? "signalled" : "", "");
}

static void application_ends_while_inbound_drains(void **state)
{
	struct setting *setting = *state;

	fake.inbound = 1;
	drain_start(setting->drain, false);
	until(1000);
	drain_app_exited(setting->drain);
	/* Others may still be answered by nobody: the caller of this knows and finishes. */
	drain_finish(setting->drain, false);
	until(2000);
	assert_string_equal(fake.told, "drain @0, cut 1 @1000, vanish @1000, end @1050");
}

/* ML-31: in proxy mode outbound serves until the port refuses and nothing was asked for 1 s. */
static void proxy_mode_waits_for_the_port(void **state)
{
	struct setting *setting = *state;

	setting->launch.command = NULL;
	drain_start(setting->drain, false);
	until(3000);
	assert_string_equal(fake.told, "drain @0");
	fake.healthy = false;
	fake.last_outbound_ms = 2900;
	fake.outbound = 1;
	until(5000);
	assert_string_equal(fake.told, "drain @0");
	fake.outbound = 0;
	fake.last_outbound_ms = 4800;
	until(5700);
	assert_string_equal(fake.told, "drain @0");
	until(6500);
	assert_string_equal(fake.told, "drain @0, leave @5800, end @6000");
	assert_int_equal(setting->control.exit_code, 0);
}

/* The answer of a round that began before the cut says nothing about the cut. */
static void stale_round_does_not_skip_the_cut(void **state)
{
	struct setting *setting = *state;
	struct timer *timer;

	fake.inbound = 2;
	drain_start(setting->drain, false);
	drain_hurry(setting->drain);
	until(40);
	timer = fake.timer;
	fake.now_ms = timer->deadline_ms;
	timer->fire(timer);
	/* The workers are asked; meanwhile the application is gone. */
	drain_app_exited(setting->drain);
	deliver();
	until(5000);
	assert_non_null(strstr(fake.told, "cut 2"));
	assert_int_equal(drain_cut_count(setting->drain), 2);
	assert_true(fake.stopped);
}

static void proxy_mode_cuts_with_code_1(void **state)
{
	struct setting *setting = *state;

	setting->launch.command = NULL;
	fake.inbound = 4;
	drain_start(setting->drain, false);
	until(60000);
	assert_string_equal(fake.told, "drain @0, cut 4 @23000, leave @23000, end @23200");
	assert_int_equal(setting->control.exit_code, 1);
}

static void sidecar_without_application(void **state)
{
	struct setting *setting = *state;

	setting->launch.command = NULL;
	setting->config.self.app.present = false;
	setting->control.registry = NULL;
	fake.healthy = false;
	drain_start(setting->drain, false);
	until(2000);
	assert_true(fake.stopped);
	assert_null(strstr(fake.told, "signal"));
}

/* RB-05: asked at once and at the end, before the workers end; waited for 2E, but not for ever. */
static void leadership_is_handed_over(void **state)
{
	struct setting *setting = *state;

	setting->control.node = (struct raftreg_node *)(void *)setting;
	setting->config.registry.election_ms = 250;
	drain_start(setting->drain, false);
	until(1000);
	drain_finish(setting->drain, true);
	fake.leads = true;
	until(1300);
	assert_non_null(strstr(fake.told, "hand over @0, drain @0"));
	assert_non_null(strstr(fake.told, "leave @1000, goodbye @1000"));
	assert_false(fake.stopped);
	fake.leads = false;
	until(1350);
	assert_true(fake.stopped);
}

static void nobody_takes_over(void **state)
{
	struct setting *setting = *state;

	setting->control.node = (struct raftreg_node *)(void *)setting;
	setting->config.registry.election_ms = 60000;
	fake.leads = true;
	drain_finish(setting->drain, true);
	until(5150);
	assert_false(fake.stopped);
	until(5250);
	assert_true(fake.stopped);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(quiet_stop), TEST(unannounced_stop_does_not_wait),
		TEST(inbound_is_waited_for), TEST(broker_is_waited_for), TEST(every_bound_holds),
		TEST(short_grace_keeps_the_shares), TEST(second_signal_hurries),
		TEST(application_ends_first), TEST(application_ends_while_inbound_drains),
		TEST(proxy_mode_waits_for_the_port), TEST(proxy_mode_cuts_with_code_1),
		TEST(stale_round_does_not_skip_the_cut), TEST(sidecar_without_application),
		TEST(leadership_is_handed_over), TEST(nobody_takes_over)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
