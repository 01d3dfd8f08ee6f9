/*
 * Which sockets are asked for, how a family of ports moves (operations.md ZC-03) and what a reload
 * keeps. The parent at the other end of the channel and the workers are fakes of this file.
 */
#include "test_control.h"

#include <fcntl.h>

#include "base/mem.h"
#include "control/state.h"
#include "net/listener.h"

#define WORKERS	      2
#define CHANNEL	      77
#define ANSWERS_MAX   64
#define TAKEN_MAX     16
#define LISTENERS_MAX 4

static struct fake {
	struct channel_message answers[ANSWERS_MAX];
	size_t answer_count, answer_next;
	bool stop_in_between;	      /* the parent says STOP before it answers */
	const char *taken[TAKEN_MAX]; /* addresses in use */
	const char *forbidden, *missing;
	unsigned bound;	 /* in the fake parent's hands */
	unsigned closed; /* CLOSE messages */
	char added[256], removed[256];
} fake;

static int verdict(const struct address *address)
{
	char text[ADDRESS_TEXT_MAX];

	address_format(address, text);
	for (size_t i = 0; i < TAKEN_MAX && fake.taken[i]; i++) {
		if (strcmp(text, fake.taken[i]) == 0) {
			return -EADDRINUSE;
		}
	}
	if (fake.forbidden && strcmp(text, fake.forbidden) == 0) {
		return -EACCES;
	}
	return fake.missing && strcmp(text, fake.missing) == 0 ? -EADDRNOTAVAIL : 0;
}

static void answer(struct channel_message message)
{
	assert_true(fake.answer_count < ANSWERS_MAX);
	fake.answers[fake.answer_count++] = message;
}

int channel_send(int end, const struct channel_message *message, int descriptor)
{
	struct channel_message reply = {.op = CHANNEL_LISTENER, .id = message->id};

	assert_int_equal(end, CHANNEL);
	assert_int_equal(descriptor, -1);
	if (message->op == CHANNEL_CLOSE) {
		fake.closed++;
		return 0;
	}
	assert_int_equal(message->op, CHANNEL_BIND);
	assert_int_equal(message->count, WORKERS);
	if (fake.stop_in_between) {
		answer((struct channel_message){.op = CHANNEL_STOP, .value = 1});
		fake.stop_in_between = false;
	}
	reply.value = verdict(&message->address);
	for (unsigned i = 0; i < (reply.value ? 1 : message->count); i++) {
		reply.index = i;
		answer(reply);
	}
	fake.bound += reply.value == 0;
	return 0;
}

int channel_receive(int end, bool wait, struct channel_message *ret_message, int *ret_descriptor)
{
	assert_int_equal(end, CHANNEL);
	assert_true(wait);
	/* Waiting for what never comes would be forever. */
	assert_true(fake.answer_next < fake.answer_count);
	*ret_message = fake.answers[fake.answer_next++];
	*ret_descriptor = -1;
	if (ret_message->op == CHANNEL_LISTENER && ret_message->value == 0) {
		*ret_descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC);
	}
	return 1;
}

int listener_bind(const struct address *address, int count, int *ret_fds)
{
	int result = verdict(address);

	assert_int_equal(count, 1);
	if (result == 0) {
		*ret_fds = open("/dev/null", O_RDONLY | O_CLOEXEC);
	}
	return result;
}

void worker_add_listener(struct worker *worker, uint32_t id, const char *name, int fd)
{
	size_t used = strlen(fake.added);

	(void)worker;
	assert_true(id > 0 && fd >= 0);
	(void)snprintf(fake.added + used, sizeof fake.added - used, "%s ", name);
	close(fd);
}

void worker_remove_listener(struct worker *worker, uint32_t id, const char *name)
{
	size_t used = strlen(fake.removed);

	(void)worker;
	(void)snprintf(
		fake.removed + used, sizeof fake.removed - used, "%u:%s ", id, name ? name : "-");
}

struct setting {
	struct control *control;
	struct config config;
	struct config_listener items[LISTENERS_MAX];
	struct err err;
};

static struct address address_of(const char *text)
{
	struct address address = {0};

	if (text) {
		assert_true(address_parse(slice_from_string(text), false, &address));
	}
	return address;
}

static void listen_on(
	struct setting *setting, const char *name, const char *address, const char *second)
{
	struct config_listener *listener = &setting->items[setting->config.listeners.count++];

	*listener = (struct config_listener){.name = name, .enabled = true};
	listener->address.address = address_of(address);
	listener->second.address = address_of(second);
}

/* The built-in listeners: outbound with its twin, inbound, admin. */
static int setup(void **state)
{
	struct setting *setting = mem_zalloc(sizeof *setting);

	fake = (struct fake){0};
	setting->control = mem_zalloc(sizeof *setting->control);
	setting->control->channel = CHANNEL;
	setting->control->worker_count = WORKERS;
	setting->control->admin_fd = setting->control->metrics_fd = -1;
	list_init(&setting->control->deferred);
	setting->config.listeners.items = setting->items;
	setting->config.admin.address.address = address_of("127.0.0.1:7442");
	listen_on(setting, "inbound", "127.0.0.1:7440", NULL);
	listen_on(setting, "outbound", "127.0.0.1:7441", "[::1]:7441");
	err_clear(&setting->err);
	*state = setting;
	return 0;
}

static int teardown(void **state)
{
	struct setting *setting = *state;
	struct control *control = setting->control;

	for (unsigned l = 0; l < control->listener_count; l++) {
		for (unsigned i = 0; i < WORKERS; i++) {
			if (control->listeners[l].sockets[i] >= 0) {
				close(control->listeners[l].sockets[i]);
			}
		}
	}
	listeners_fini(control);
	if (control->admin_fd >= 0) {
		close(control->admin_fd);
	}
	LIST_FOR_EACH_SAFE(node, &control->deferred) {
		mem_free(LIST_ENTRY(node, struct deferred_message, node));
	}
	mem_free(control);
	mem_free(setting);
	return 0;
}

static int bind_all(struct setting *setting, bool may_move)
{
	return listeners_bind(setting->control, &setting->config, may_move, &setting->err);
}

static void expect_port(const struct setting *setting, const char *name, uint16_t port)
{
	const struct bound_listener *listener = listeners_find(setting->control, name);

	assert_non_null(listener);
	assert_int_equal(address_port(&listener->address), port);
}

static void first_sidecar_has_the_default_ports(void **state)
{
	struct setting *setting = *state;
	struct control *control = setting->control;

	assert_int_equal(bind_all(setting, true), 0);
	assert_int_equal(control->listener_count, 3);
	assert_int_equal(control->port_shift, 0);
	assert_int_equal(fake.bound, 3);
	assert_true(control->admin_fd >= 0);
	expect_port(setting, "inbound", 7440);
	expect_port(setting, "outbound", 7441);
	assert_null(listeners_find(control, "front"));
	/* Each worker gets one socket of each. */
	listeners_start(control);
	assert_string_equal(fake.added, "inbound inbound outbound outbound outbound outbound ");
	assert_int_equal(control->listeners[0].sockets[1], -1);
	assert_int_equal(fake.closed, 0);
}

static void disabled_is_left_out(void **state)
{
	struct setting *setting = *state;

	setting->items[0].enabled = false;
	assert_int_equal(bind_all(setting, true), 0);
	assert_null(listeners_find(setting->control, "inbound"));
	assert_int_equal(setting->control->listener_count, 2);
}

/* Whichever port of the family is taken, all built-in ones move together, and none is kept. */
static void family_moves_together(void **state)
{
	static const char *const taken[] = {
		"127.0.0.1:7440", "127.0.0.1:7441", "[::1]:7441", "127.0.0.1:7442"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++) {
		void *fresh;
		struct setting *setting;

		assert_int_equal(setup(&fresh), 0);
		setting = fresh;
		fake.taken[0] = taken[i];
		assert_int_equal(bind_all(setting, true), 0);
		assert_int_equal(setting->control->port_shift, 20);
		expect_port(setting, "inbound", 7460);
		expect_port(setting, "outbound", 7461);
		assert_int_equal(address_port(&setting->control->admin_address), 7462);
		/* Everything bound but the three in force was given back. */
		assert_int_equal(setting->control->listener_count, 3);
		assert_true(fake.closed >= fake.bound - 3);
		assert_int_equal(teardown(&fresh), 0);
	}
}

static void written_addresses_never_move(void **state)
{
	struct setting *setting = *state;

	setting->items[0].explicit_address = true;
	setting->config.admin.explicit_address = true;
	fake.taken[0] = "127.0.0.1:7441";
	assert_int_equal(bind_all(setting, true), 0);
	expect_port(setting, "inbound", 7440);
	expect_port(setting, "outbound", 7461);
	assert_int_equal(address_port(&setting->control->admin_address), 7442);
}

/* ZC-03 is for sidecars without a file: with one, a taken port is an error. */
static void refusals(void **state)
{
	static const struct {
		const char *taken, *forbidden;
		bool may_move, written;
		int result;
		unsigned code;
		const char *names;
	} rows[] = {
		{"127.0.0.1:7440", NULL, false, false, -EADDRINUSE, 2001, "127.0.0.1:7440"},
		{"127.0.0.1:7442", NULL, false, false, -EADDRINUSE, 2001, "admin"},
		{NULL, "127.0.0.1:7441", true, false, -EACCES, 2002, "outbound"},
		/* A written one that is taken stays taken in all families. */
		{"127.0.0.1:7440", NULL, true, true, -EADDRINUSE, 2001, "inbound"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		void *fresh;
		struct setting *setting;

		assert_int_equal(setup(&fresh), 0);
		setting = fresh;
		fake.taken[0] = rows[i].taken;
		fake.forbidden = rows[i].forbidden;
		setting->items[0].explicit_address = rows[i].written;
		assert_int_equal(bind_all(setting, rows[i].may_move), rows[i].result);
		assert_int_equal(setting->err.code, rows[i].code);
		assert_non_null(strstr(setting->err.text, rows[i].names));
		assert_int_equal(setting->control->listener_count, 0);
		assert_int_equal(setting->control->admin_fd, -1);
		assert_true(fake.closed >= fake.bound);
		assert_int_equal(teardown(&fresh), 0);
	}
}

static void all_families_taken(void **state)
{
	static char texts[10][32];
	struct setting *setting = *state;

	for (unsigned i = 0; i < 10; i++) {
		(void)snprintf(texts[i], sizeof texts[i], "127.0.0.1:%u", 7440 + 20 * i);
		fake.taken[i] = texts[i];
	}
	assert_int_equal(bind_all(setting, true), -EADDRINUSE);
	assert_int_equal(setting->err.code, 2001);
	assert_int_equal(setting->control->listener_count, 0);
}

static void host_without_ipv6(void **state)
{
	struct setting *setting = *state;

	fake.missing = "[::1]:7441";
	assert_int_equal(bind_all(setting, true), 0);
	assert_int_equal(setting->control->listener_count, 2);
	expect_port(setting, "outbound", 7441);
}

static void other_messages_are_kept(void **state)
{
	struct setting *setting = *state;
	struct list_node *node;

	fake.stop_in_between = true;
	assert_int_equal(bind_all(setting, true), 0);
	node = list_pop_front(&setting->control->deferred);
	assert_non_null(node);
	assert_int_equal(LIST_ENTRY(node, struct deferred_message, node)->message.op, CHANNEL_STOP);
	mem_free(LIST_ENTRY(node, struct deferred_message, node));
	assert_true(list_empty(&setting->control->deferred));
}

static void reload_keeps_adds_and_removes(void **state)
{
	struct setting *setting = *state;
	struct control *control = setting->control;
	uint32_t kept;

	listen_on(setting, "old", "127.0.0.1:9001", NULL);
	listen_on(setting, "moved", "127.0.0.1:9002", NULL);
	assert_int_equal(bind_all(setting, false), 0);
	listeners_start(control);
	kept = listeners_find(control, "outbound")->id;

	fake.added[0] = '\0';
	setting->items[2].name = "new";
	setting->items[2].address.address = address_of("127.0.0.1:9003");
	setting->items[3].address.address = address_of("127.0.0.1:9004");
	assert_int_equal(listeners_prepare(control, &setting->config, &setting->err), 0);
	/* Nothing is in use before the commit. */
	assert_string_equal(fake.added, "");
	listeners_commit(control);
	assert_string_equal(fake.added, "new new moved moved ");
	/* Connections of a name that is gone drain; those of one that moved stay. */
	assert_string_equal(fake.removed, "4:old 4:old 5:- 5:- ");
	assert_int_equal(fake.closed, 2);
	assert_int_equal(control->listener_count, 5);
	assert_int_equal(listeners_find(control, "outbound")->id, kept);
	assert_null(listeners_find(control, "old"));
	expect_port(setting, "moved", 9004);
}

static void bad_reload_changes_nothing(void **state)
{
	struct setting *setting = *state;
	struct control *control = setting->control;

	assert_int_equal(bind_all(setting, false), 0);
	listeners_start(control);
	fake.added[0] = '\0';
	listen_on(setting, "good", "127.0.0.1:9001", NULL);
	listen_on(setting, "bad", "127.0.0.1:9002", NULL);
	fake.taken[0] = "127.0.0.1:9002";
	assert_int_equal(listeners_prepare(control, &setting->config, &setting->err), -EADDRINUSE);
	assert_int_equal(setting->err.code, 2001);
	assert_int_equal(control->listener_count, 3);
	assert_null(listeners_find(control, "good"));
	assert_string_equal(fake.added, "");
	assert_string_equal(fake.removed, "");
	/* The next one may work. */
	fake.taken[0] = NULL;
	assert_int_equal(listeners_prepare(control, &setting->config, &setting->err), 0);
	listeners_commit(control);
	assert_string_equal(fake.added, "good good bad bad ");
}

/* A family that moved at the start stays where it is when a reload asks for the defaults. */
static void reload_after_a_move(void **state)
{
	struct setting *setting = *state;

	fake.taken[0] = "127.0.0.1:7440";
	assert_int_equal(bind_all(setting, true), 0);
	listeners_start(setting->control);
	fake.added[0] = '\0';
	assert_int_equal(listeners_prepare(setting->control, &setting->config, &setting->err), 0);
	listeners_commit(setting->control);
	assert_string_equal(fake.added, "");
	assert_string_equal(fake.removed, "");
	expect_port(setting, "inbound", 7460);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(first_sidecar_has_the_default_ports),
		TEST(disabled_is_left_out), TEST(family_moves_together),
		TEST(written_addresses_never_move), TEST(refusals), TEST(all_families_taken),
		TEST(host_without_ipv6), TEST(other_messages_are_kept),
		TEST(reload_keeps_adds_and_removes), TEST(bad_reload_changes_nothing),
		TEST(reload_after_a_move)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
