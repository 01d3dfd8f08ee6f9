/* Sinks of log lines (operations.md LG-04): nothing waits, no shared flag changes, lines stay
 * whole. What a change of user does is looked at in children, as root alone can change it. */
#include "base/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "test_main.h"

#define STRANGER 65534
#define LINES	 5000
#define STUCK_S	 60 /* a child that waits for a reader ends by SIGALRM */

/* In a child of another user, which gets the only copy of reader; a failed check is its exit code.
 */
#define REQUIRE(condition)                                                                         \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			_exit(__LINE__ % 200 + 1);                                                 \
		}                                                                                  \
	} while (0)

static void as_stranger(void (*act)(int fd, int reader), int fd, int reader)
{
	int status = -1;
	pid_t pid;

	if (geteuid() != 0) {
		print_message("needs root to become another user\n");
		skip();
	}
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)signal(SIGPIPE, SIG_IGN);
		(void)alarm(STUCK_S);
		REQUIRE(setresgid(STRANGER, STRANGER, STRANGER) == 0);
		REQUIRE(setresuid(STRANGER, STRANGER, STRANGER) == 0);
		act(fd, reader);
		_exit(0);
	}
	close(reader);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		fail_msg("child: status %x, see line %d modulo 200", (unsigned)status,
			WEXITSTATUS(status) - 1);
	}
}

/* Writes numbered lines until one is refused; how many were taken. */
static int fill(struct log_sink *sink, int first)
{
	char line[64];

	for (int i = first; i < LINES; i++) {
		int size = snprintf(line, sizeof line, "{%06d this is a line of some length}\n", i);
		ssize_t put = log_sink_write(sink, line, (size_t)size);

		if (put != size) {
			REQUIRE(put < 0 && errno == EAGAIN);
			return i;
		}
	}
	return LINES;
}

/* Reads all there is; the number of lines, which must go on from `first`, or -1. */
static int read_lines(int fd, int first)
{
	static char text[262144];
	ssize_t got = 0, size = 0;
	int count = 0;

	while ((got = read(fd, text + size, sizeof text - 1 - (size_t)size)) > 0) {
		size += got;
	}
	text[size] = '\0';
	for (char *line = text; *line; count++) {
		char *end = strchr(line, '\n');

		if (!end || line[0] != '{' || end[-1] != '}' || atoi(line + 1) != first + count) {
			return -1;
		}
		line = end + 1;
	}
	return count;
}

static void stranger_on_pipe(int fd, int reader)
{
	struct log_sink sink;
	int taken, got;

	log_sink_open(&sink, fd);
	REQUIRE(sink.kind == LOG_SINK_SPLICED);
	taken = fill(&sink, 0);
	/* More than the sixteen slots of a pipe; what waits is bounded. */
	REQUIRE(taken > 500 && taken < LINES && log_sink_waits(&sink));
	REQUIRE(sink.waiting.size <= 65536);
	REQUIRE((fcntl(fd, F_GETFL) & O_NONBLOCK) == 0);
	REQUIRE(log_sink_flush(&sink) == 0 && log_sink_waits(&sink));
	got = read_lines(reader, 0);
	REQUIRE(got == 16);
	/* Those that wait go in front of new ones. */
	REQUIRE(log_sink_flush(&sink) == 0);
	while (log_sink_waits(&sink)) {
		int more = read_lines(reader, got);

		REQUIRE(more > 0);
		got += more;
		REQUIRE(log_sink_flush(&sink) == 0);
	}
	got += read_lines(reader, got);
	REQUIRE(got == taken);
	REQUIRE(log_sink_write(&sink, "{000000}\n", 9) == 9 && !log_sink_waits(&sink));
	REQUIRE(read_lines(reader, 0) == 1);
	/* A reader that leaves: everything that waits is lost, and counted. */
	taken = fill(&sink, 0);
	close(reader);
	REQUIRE(log_sink_flush(&sink) == (unsigned)(taken - 16) && !log_sink_waits(&sink));
	REQUIRE(log_sink_write(&sink, "{000000}\n", 9) == -1 && errno == EPIPE);
	log_sink_close(&sink);
}

static void test_a_pipe_of_somebody_else(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	as_stranger(stranger_on_pipe, fds[1], fds[0]);
	close(fds[1]);
}

static void test_a_pipe_of_our_own(void **state)
{
	struct log_sink sink;
	int fds[2];
	int taken;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	log_sink_open(&sink, fds[1]);
	assert_int_equal(sink.kind, LOG_SINK_PLAIN);
	taken = fill(&sink, 0);
	assert_true(taken > 1000 && taken < LINES);
	assert_int_equal(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(read_lines(fds[0], 0), taken);
	log_sink_close(&sink);
	close(fds[0]);
	close(fds[1]);
}

static void stranger_on_append(int fd, int reader)
{
	struct log_sink sink;

	(void)reader;
	log_sink_open(&sink, fd);
	REQUIRE(sink.kind == LOG_SINK_POLLED);
	REQUIRE(fill(&sink, 0) < LINES);
	log_sink_close(&sink);
}

static void test_a_pipe_that_appends(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(fcntl(fds[1], F_SETFL, O_APPEND), 0);
	as_stranger(stranger_on_append, fds[1], fds[0]);
	close(fds[1]);
}

static void stranger_on_terminal(int fd, int reader)
{
	struct log_sink sink;

	(void)reader;
	/* It controls nobody here. */
	log_sink_open(&sink, fd);
	REQUIRE(sink.kind == LOG_SINK_POLLED);
	log_sink_close(&sink);
	REQUIRE(setsid() > 0 && ioctl(fd, TIOCSCTTY, 0) == 0);
	log_sink_open(&sink, fd);
	REQUIRE(sink.kind == LOG_SINK_PLAIN && (fcntl(sink.fd, F_GETFL) & O_NONBLOCK));
	REQUIRE((fcntl(fd, F_GETFL) & O_NONBLOCK) == 0);
	/* Nobody reads from the other side: the buffer ends, the writer does not. */
	for (int i = 0; i < LINES; i++) {
		if (log_sink_write(&sink, "0123456789012345678901234567890\n", 32) < 0) {
			REQUIRE(errno == EAGAIN);
			_exit(0);
		}
	}
	_exit(1);
}

static void test_a_terminal_of_somebody_else(void **state)
{
	int master, slave;

	(void)state;
	if (openpty(&master, &slave, NULL, NULL, NULL) < 0) {
		print_message("no terminals here\n");
		skip();
	}
	as_stranger(stranger_on_terminal, slave, master);
	close(slave);
}

static void test_sockets_files_and_none(void **state)
{
	char path[] = "/tmp/test_log_sink.XXXXXX";
	char text[8] = "";
	struct log_sink sink;
	int pair[2];
	int file = mkstemp(path);

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	log_sink_open(&sink, pair[0]);
	assert_int_equal(sink.kind, LOG_SINK_SOCKET);
	assert_true(fill(&sink, 0) < LINES);
	log_sink_close(&sink);
	close(pair[0]);
	close(pair[1]);
	assert_true(file >= 0);
	log_sink_open(&sink, file);
	assert_int_equal(sink.kind, LOG_SINK_PLAIN);
	assert_int_equal(log_sink_write(&sink, "line\n", 5), 5);
	assert_int_equal(pread(file, text, sizeof text, 0), 5);
	log_sink_close(&sink);
	/* The caller's is still open. */
	assert_int_equal(pwrite(file, "x", 1, 0), 1);
	log_sink_adopt(&sink, file);
	log_sink_close(&sink);
	assert_int_equal(pwrite(file, "x", 1, 0), -1);
	unlink(path);
	log_sink_open(&sink, -1);
	assert_int_equal(log_sink_write(&sink, "line\n", 5), 5);
	assert_int_equal(log_sink_flush(&sink), 0);
	log_sink_close(&sink);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_pipe_of_somebody_else),
		cmocka_unit_test(test_a_pipe_of_our_own),
		cmocka_unit_test(test_a_pipe_that_appends),
		cmocka_unit_test(test_a_terminal_of_somebody_else),
		cmocka_unit_test(test_sockets_files_and_none)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
