/*
 * The parent process for real: parent_main in a child of the test, a proxy process that plays a
 * part and tells the test by lines through a pipe what it sees.
 */
#include "test_control.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "control/channel.h"
#include "control/parent.h"

/* What the proxy process tells the test: one line each. */
static int report = -1;

static void tell(const char *format, ...) PRINTF_LIKE(1, 2);
static void tell(const char *format, ...)
{
	char line[256];
	va_list arguments;
	int size;

	va_start(arguments, format);
	size = vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	(void)!write(report, line, (size_t)size);
}

/* --- parts that the proxy process plays ------------------------------------------------------ */

typedef int part(const struct launch *launch, const struct parent_identity *identity, int channel);

static void send_op(int channel, enum channel_op op, int32_t value)
{
	struct channel_message message = {.op = op, .value = value};

	if (channel_send(channel, &message, -1) < 0) {
		_exit(99);
	}
}

/* The next message; a listener's socket is returned through ret_socket. */
static struct channel_message receive(int channel, int *ret_socket)
{
	struct channel_message message;
	int socket = -1;

	if (channel_receive(channel, true, &message, &socket) != 1) {
		_exit(98);
	}
	if (ret_socket) {
		*ret_socket = socket;
	} else if (socket >= 0) {
		close(socket);
	}
	return message;
}

static int part_drained(
	const struct launch *launch, const struct parent_identity *identity, int channel)
{
	(void)launch;
	(void)identity;
	send_op(channel, CHANNEL_READY, 0);
	/* What it says counts, not how it ends. */
	send_op(channel, CHANNEL_DRAINED, 7);
	return 55;
}

static int part_refused(
	const struct launch *launch, const struct parent_identity *identity, int channel)
{
	(void)launch;
	(void)channel;
	tell("start %u\n", identity->start_count);
	return 78;
}

static int part_killed_early(
	const struct launch *launch, const struct parent_identity *identity, int channel)
{
	(void)launch;
	(void)identity;
	(void)channel;
	raise(SIGKILL);
	return 0;
}

/* Two sockets of one address; the port that the kernel chose tells whether they are the same. */
static unsigned bind_two(int channel)
{
	struct channel_message message = {.op = CHANNEL_BIND, .id = 5, .count = 2};
	struct sockaddr_in bound[2];
	int sockets[2];

	(void)address_parse(SLICE("127.0.0.1:0"), true, &message.address);
	if (channel_send(channel, &message, -1) < 0) {
		_exit(97);
	}
	for (unsigned i = 0; i < 2; i++) {
		socklen_t size = sizeof bound[i];

		message = receive(channel, &sockets[i]);
		if (message.op != CHANNEL_LISTENER || message.id != 5 || message.index != i ||
			getsockname(sockets[i], (struct sockaddr *)&bound[i], &size) < 0) {
			_exit(96);
		}
	}
	return bound[0].sin_port == bound[1].sin_port ? ntohs(bound[0].sin_port) : 0;
}

static int part_dies_once(
	const struct launch *launch, const struct parent_identity *identity, int channel)
{
	(void)launch;
	tell("start %u port %u instance %02x%02x session %02x%02x\n", identity->start_count,
		bind_two(channel), identity->instance_id[0], identity->instance_id[15],
		identity->session_id[0], identity->session_id[15]);
	send_op(channel, CHANNEL_READY, 0);
	if (identity->start_count == 1) {
		raise(SIGKILL);
	}
	send_op(channel, CHANNEL_DRAINED, 0);
	return 0;
}

/* Ignores every stop and says that it came. */
static int part_stubborn(
	const struct launch *launch, const struct parent_identity *identity, int channel)
{
	(void)launch;
	(void)identity;
	send_op(channel, CHANNEL_READY, 0);
	tell("pid %d\n", (int)getpid());
	while (getppid() > 0) {
		struct channel_message message = receive(channel, NULL);

		tell("op %u value %d\n", message.op, message.value);
	}
	return 0;
}

/* Starts the application, tells what became of it, ends with its code or the start error. */
static int part_runs_app(
	const struct launch *launch, const struct parent_identity *identity, int channel)
{
	struct channel_message message = {.op = CHANNEL_START_APP};
	int code = 0;

	(void)launch;
	(void)identity;
	(void)snprintf(message.text, sizeof message.text, "127.0.0.1:7441\norders");
	send_op(channel, CHANNEL_READY, 0);
	if (channel_send(channel, &message, -1) < 0) {
		_exit(97);
	}
	for (;;) {
		message = receive(channel, NULL);
		if (message.op == CHANNEL_APP) {
			tell("app %d\n", message.value);
		} else if (message.op == CHANNEL_EXITED) {
			code = message.index ? (message.value == ENOENT ? 127 : 126)
					     : WEXITSTATUS(message.value);
			tell("exited %u %d\n", message.index, message.value);
			break;
		} else {
			tell("op %u value %d\n", message.op, message.value);
			if (message.op == CHANNEL_STOP) {
				send_op(channel, CHANNEL_SIGNAL_APP, SIGTERM);
			}
		}
	}
	send_op(channel, CHANNEL_DRAINED, code);
	return 0;
}

/* Starts the application and dies; the next one asks again. */
static int part_leaves_app(
	const struct launch *launch, const struct parent_identity *identity, int channel)
{
	struct channel_message message = {
		.op = CHANNEL_START_APP, .text = "127.0.0.1:7441\norders"};

	(void)launch;
	send_op(channel, CHANNEL_READY, 0);
	if (channel_send(channel, &message, -1) < 0) {
		_exit(97);
	}
	message = receive(channel, NULL);
	tell("app %d\n", message.op == CHANNEL_APP ? message.value : -1);
	if (identity->start_count == 1) {
		raise(SIGKILL);
	}
	send_op(channel, CHANNEL_DRAINED, 0);
	return 0;
}

static int part_asks_too_much(
	const struct launch *launch, const struct parent_identity *identity, int channel)
{
	static const unsigned counts[] = {0, 65, 1};
	struct channel_message message = {.op = CHANNEL_BIND, .id = 1};

	(void)launch;
	(void)identity;
	/* The test holds a socket on this port. */
	(void)address_parse(slice_from_string(launch->file), false, &message.address);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		struct channel_message answer;

		message.count = counts[i];
		if (channel_send(channel, &message, -1) < 0) {
			_exit(97);
		}
		answer = receive(channel, NULL);
		tell("bind %d\n", answer.value);
	}
	send_op(channel, CHANNEL_DRAINED, 0);
	return 0;
}

/* --- the test's side -------------------------------------------------------------------------- */

struct run {
	pid_t parent;
	int lines; /* read end */
};

static void start(struct run *run, part *proxy, const struct launch *launch)
{
	char number[16];
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	(void)snprintf(number, sizeof number, "%d", ends[1]);
	/* The application writes lines too: it inherits the descriptor. */
	setenv("REPORT", number, 1);
	(void)fflush(NULL);
	run->parent = fork();
	assert_true(run->parent >= 0);
	if (run->parent == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		report = ends[1];
		close(ends[0]);
		_exit(parent_main(launch, proxy));
	}
	close(ends[1]);
	run->lines = ends[0];
}

/* One line without its end; false: all writers are gone. */
static bool read_line(struct run *run, char *ret_line, size_t size)
{
	size_t used = 0;

	for (;;) {
		struct pollfd waiting = {.fd = run->lines, .events = POLLIN};
		char letter;

		assert_int_equal(poll(&waiting, 1, TEST_WAIT_MS), 1);
		if (read(run->lines, &letter, 1) != 1) {
			return false;
		}
		if (letter == '\n') {
			ret_line[used] = '\0';
			return true;
		}
		assert_true(used + 1 < size);
		ret_line[used++] = letter;
	}
}

static void expect_line(struct run *run, const char *expected)
{
	char line[256];

	assert_true(read_line(run, line, sizeof line));
	assert_string_equal(line, expected);
}

/* "word N": the number. */
static int expect_number(struct run *run, const char *word)
{
	char line[256];

	assert_true(read_line(run, line, sizeof line));
	assert_memory_equal(line, word, strlen(word));
	return atoi(line + strlen(word));
}

/* The code of the whole program. Everything that wrote lines has to be gone too. */
static int finish(struct run *run)
{
	uint64_t end = clock_monotonic_ms() + TEST_WAIT_MS;
	int status = 0;
	char line[256];

	while (waitpid(run->parent, &status, WNOHANG) == 0) {
		assert_true(clock_monotonic_ms() < end);
		(void)usleep(2000);
	}
	assert_false(read_line(run, line, sizeof line));
	close(run->lines);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void exit_code_is_what_the_proxy_said(void **state)
{
	struct launch launch = {0};
	struct run run;

	(void)state;
	start(&run, part_drained, &launch);
	assert_int_equal(finish(&run), 7);
}

static void bad_start_is_not_repeated(void **state)
{
	struct launch launch = {0};
	struct run run;

	(void)state;
	start(&run, part_refused, &launch);
	expect_line(&run, "start 1");
	assert_int_equal(finish(&run), 78);
	start(&run, part_killed_early, &launch);
	assert_int_equal(finish(&run), 128 + SIGKILL);
}

static void dead_proxy_comes_back_on_the_same_sockets(void **state)
{
	struct launch launch = {0};
	struct run run;
	char first[256];
	char second[256];

	(void)state;
	start(&run, part_dies_once, &launch);
	assert_true(read_line(&run, first, sizeof first));
	assert_true(read_line(&run, second, sizeof second));
	assert_memory_equal(first, "start 1 ", 8);
	assert_memory_equal(second, "start 2 ", 8);
	assert_null(strstr(first, "port 0 "));
	assert_string_equal(first + 8, second + 8);
	assert_int_equal(finish(&run), 0);
}

static void third_stop_ends_everything(void **state)
{
	struct launch launch = {0};
	struct run run;
	pid_t proxy;
	char expected[64];

	(void)state;
	start(&run, part_stubborn, &launch);
	proxy = expect_number(&run, "pid ");
	assert_int_equal(kill(run.parent, SIGTERM), 0);
	(void)snprintf(expected, sizeof expected, "op %d value 1", CHANNEL_STOP);
	expect_line(&run, expected);
	assert_int_equal(kill(run.parent, SIGINT), 0);
	(void)snprintf(expected, sizeof expected, "op %d value 2", CHANNEL_STOP);
	expect_line(&run, expected);
	assert_int_equal(kill(run.parent, SIGTERM), 0);
	assert_int_equal(finish(&run), 137);
	assert_int_equal(kill(proxy, 0), -1);
}

static void signals_become_messages(void **state)
{
	static const struct {
		int number;
		enum channel_op op;
	} rows[] = {{SIGHUP, CHANNEL_RELOAD}, {SIGUSR1, CHANNEL_LOGS}, {SIGUSR2, CHANNEL_DUMP}};
	struct launch launch = {0};
	struct run run;

	(void)state;
	start(&run, part_stubborn, &launch);
	(void)expect_number(&run, "pid ");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char expected[64];

		assert_int_equal(kill(run.parent, rows[i].number), 0);
		(void)snprintf(expected, sizeof expected, "op %d value 0", rows[i].op);
		expect_line(&run, expected);
	}
	/* A dead parent takes the proxy with it (ML-26): the pipe's last writer goes. */
	assert_int_equal(kill(run.parent, SIGKILL), 0);
	assert_int_equal(waitpid(run.parent, NULL, 0), run.parent);
	assert_false(read_line(&run, (char[64]){0}, 64));
	close(run.lines);
}

static void application_ends_by_itself(void **state)
{
	char *command[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
		(char *)(uintptr_t) "exit 3", NULL};
	struct launch launch = {.command = command};
	struct run run;

	(void)state;
	start(&run, part_runs_app, &launch);
	assert_true(expect_number(&run, "app ") > 0);
	expect_line(&run, "exited 0 768"); /* the wait status of code 3 */
	assert_int_equal(finish(&run), 3);
}

/* ML-03: 127 for what is not there, 126 for what cannot be run. */
static void application_cannot_start(void **state)
{
	char *missing[] = {(char *)(uintptr_t) "/nonexistent/app", NULL};
	char *plain[] = {(char *)(uintptr_t) "/etc/passwd", NULL};
	struct launch launch = {.command = missing};
	struct run run;

	(void)state;
	start(&run, part_runs_app, &launch);
	expect_line(&run, "exited 1 2");
	assert_int_equal(finish(&run), 127);
	launch.command = plain;
	start(&run, part_runs_app, &launch);
	expect_line(&run, "exited 1 13");
	assert_int_equal(finish(&run), 126);
}

/* ML-08, ZC-04, PR-03: what the application finds. */
static void application_environment(void **state)
{
	static const char script[] =
		"echo $PILLION_OUTBOUND $PILLION_SERVICE ${#PILLION_INSTANCE} "
		"n=$NOTIFY_SOCKET l=$LISTEN_FDS $MICRO_PROXY h=$HTTP_PROXY $(cat) >&$REPORT; "
		"test $(ps -o pgid= -p $$) -eq $$";
	char *command[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
		(char *)(uintptr_t)script, NULL};
	struct launch launch = {.command = command, .env_proxy = true};
	struct run run;
	char line[256];

	(void)state;
	setenv("NOTIFY_SOCKET", "/run/notify", 1);
	setenv("LISTEN_FDS", "1", 1);
	setenv("REQUEST_METHOD", "GET", 1); /* in CGI a request could set HTTP_PROXY */
	start(&run, part_runs_app, &launch);
	/* The proxy's lines and the application's come in any order. */
	for (int i = 0; i < 3; i++) {
		assert_true(read_line(&run, line, sizeof line));
		if (line[0] == '1') {
			assert_string_equal(
				line, "127.0.0.1:7441 orders 32 n= l= 127.0.0.1:7441 h=");
		} else if (line[0] == 'e') {
			/* It stands in a process group of its own: the script's last test. */
			assert_string_equal(line, "exited 0 0");
		}
	}
	assert_int_equal(finish(&run), 0);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("LISTEN_FDS");
	unsetenv("REQUEST_METHOD");
}

/* A stop reaches the whole group, and USR1 goes to the application, not to us. */
static void application_gets_signals(void **state)
{
	static const struct {
		int number;
		const char *exited;
	} rows[] = {{SIGTERM, "exited 0 2304"}, {SIGUSR1, "exited 0 2048"}};
	char *command[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
		(char *)(uintptr_t) "trap 'exit 9' TERM; trap 'exit 8' USR1; "
				    "echo set >&$REPORT; while :; do sleep 0.05; done",
		NULL};
	struct launch launch = {.command = command};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct run run;
		char line[64];

		start(&run, part_runs_app, &launch);
		for (int k = 0; k < 2; k++) {
			assert_true(read_line(&run, line, sizeof line));
		}
		assert_int_equal(kill(run.parent, rows[i].number), 0);
		do {
			assert_true(read_line(&run, line, sizeof line));
		} while (line[0] != 'e');
		assert_string_equal(line, rows[i].exited);
		(void)finish(&run);
	}
}

static void application_outlives_its_proxy(void **state)
{
	char *command[] = {(char *)(uintptr_t) "sleep", (char *)(uintptr_t) "600", NULL};
	struct launch launch = {.command = command};
	struct run run;
	int first;

	(void)state;
	start(&run, part_leaves_app, &launch);
	first = expect_number(&run, "app ");
	assert_true(first > 0);
	assert_int_equal(expect_number(&run, "app "), first);
	assert_int_equal(finish(&run), 0);
	/* It does not outlive the sidecar. */
	assert_int_equal(kill(first, 0), -1);
}

static void impossible_binds_are_answered(void **state)
{
	struct sockaddr_in taken = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof taken;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char address[64];
	char expected[64];
	struct launch launch = {.file = address};
	struct run run;

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&taken, sizeof taken), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&taken, &size), 0);
	(void)snprintf(address, sizeof address, "127.0.0.1:%u", ntohs(taken.sin_port));
	start(&run, part_asks_too_much, &launch);
	(void)snprintf(expected, sizeof expected, "bind %d", -ENOSPC);
	expect_line(&run, expected);
	expect_line(&run, expected);
	(void)snprintf(expected, sizeof expected, "bind %d", -EADDRINUSE);
	expect_line(&run, expected);
	assert_int_equal(finish(&run), 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(exit_code_is_what_the_proxy_said),
		cmocka_unit_test(bad_start_is_not_repeated),
		cmocka_unit_test(dead_proxy_comes_back_on_the_same_sockets),
		cmocka_unit_test(third_stop_ends_everything),
		cmocka_unit_test(signals_become_messages),
		cmocka_unit_test(application_ends_by_itself),
		cmocka_unit_test(application_cannot_start),
		cmocka_unit_test(application_environment),
		cmocka_unit_test(application_gets_signals),
		cmocka_unit_test(application_outlives_its_proxy),
		cmocka_unit_test(impossible_binds_are_answered)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
