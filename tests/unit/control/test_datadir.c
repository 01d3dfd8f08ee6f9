/* Where a sidecar keeps what outlives it (operations.md PR-02), below a folder made for the test.
 */
#include "test_control.h"

#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "control/datadir.h"

static char root[64];

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
	(void)status;
	(void)kind;
	(void)walk;
	return remove(path);
}

static int setup(void **state)
{
	(void)state;
	(void)snprintf(root, sizeof root, "/tmp/pillion-test-XXXXXX");
	unsetenv("STATE_DIRECTORY");
	unsetenv("XDG_STATE_HOME");
	return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static const char *below(const char *name)
{
	static char path[128];

	(void)snprintf(path, sizeof path, "%s/%s", root, name);
	return path;
}

static unsigned mode_of(const char *path)
{
	struct stat status;

	assert_int_equal(stat(path, &status), 0);
	return status.st_mode & 0777;
}

static void configured_is_made_and_locked(void **state)
{
	struct datadir_options options = {.configured = below("a/b/orders"), .required = true};
	char configured[128];
	char lock[140];
	struct datadir first;
	struct datadir second;
	struct err err;

	(void)state;
	(void)snprintf(configured, sizeof configured, "%s", options.configured);
	options.configured = configured;
	assert_int_equal(datadir_open(&options, &first, &err), 0);
	assert_string_equal(first.path, configured);
	assert_string_equal(first.name, "orders");
	assert_false(first.temporary);
	assert_int_equal(mode_of(configured), 0700);
	(void)snprintf(lock, sizeof lock, "%s/lock", configured);
	assert_int_equal(mode_of(lock), 0600);

	/* A held lock is an error even for a sidecar that could do without a directory. */
	for (int required = 0; required < 2; required++) {
		char pid[32];

		options.required = required;
		err_clear(&err);
		assert_int_equal(datadir_open(&options, &second, &err), -EBUSY);
		assert_int_equal(err.code, 2010);
		(void)snprintf(pid, sizeof pid, "(pid %d)", (int)getpid());
		assert_non_null(strstr(err.text, pid));
	}
	datadir_close(&first);
	assert_null(first.path);
	assert_int_equal(first.lock, -1);
	assert_int_equal(datadir_open(&options, &second, &err), 0);
	datadir_close(&second);
	/* Closing keeps what was there. */
	assert_int_equal(access(lock, F_OK), 0);
}

/* The child that opened the directory is a zombie; its lock lives on in a process that it left, as
 * it does in the last threads of one that was killed: for left_ms, or until there is something to
 * read. */
static void leave_lock(const struct datadir_options *options, int left_ms, int until)
{
	pid_t child = fork();
	siginfo_t ended;

	assert_true(child >= 0);
	if (child == 0) {
		struct datadir directory;
		struct err err;

		if (datadir_open(options, &directory, &err) != 0) {
			_exit(1);
		}
		if (fork() == 0) {
			struct pollfd closed = {.fd = until, .events = POLLIN};

			(void)poll(&closed, 1, left_ms);
		}
		_exit(0);
	}
	/* It stays a zombie. */
	assert_int_equal(waitid(P_PID, (id_t)child, &ended, WEXITED | WNOWAIT), 0);
	assert_int_equal(ended.si_status, 0);
}

static void dying_holder_is_waited_for(void **state)
{
	struct datadir_options options = {.required = true};
	int ends[2];
	char configured[128];
	struct datadir directory;
	struct err err;

	(void)state;
	(void)snprintf(configured, sizeof configured, "%s", below("dying"));
	options.configured = configured;
	leave_lock(&options, 200, -1);
	assert_int_equal(datadir_open(&options, &directory, &err), 0);
	datadir_close(&directory);
	assert_true(wait(NULL) > 0);

	/* Not for ever: a lock that stays is somebody's. */
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	leave_lock(&options, 600000, ends[0]);
	err_clear(&err);
	assert_int_equal(datadir_open(&options, &directory, &err), -EBUSY);
	assert_int_equal(err.code, 2010);
	assert_true(wait(NULL) > 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	close(ends[0]);
	close(ends[1]);
}

static void unusable(void **state)
{
	struct datadir_options options = {.configured = "/dev/null/pillion", .required = true};
	char configured[128];
	struct datadir directory;
	struct err err;

	(void)state;
	err_clear(&err);
	assert_int_equal(datadir_open(&options, &directory, &err), -ENOTDIR);
	assert_int_equal(err.code, 2011);
	/* A client goes on without, and is told. */
	options.required = false;
	err_clear(&err);
	assert_int_equal(datadir_open(&options, &directory, &err), 0);
	assert_null(directory.path);
	assert_int_equal(err.code, 2011);
	datadir_close(&directory);

	/* A file in its place is named as what it is. */
	(void)snprintf(configured, sizeof configured, "%s", below("file"));
	assert_int_equal(close(open(configured, O_CREAT | O_WRONLY, 0600)), 0);
	options = (struct datadir_options){.configured = configured, .required = true};
	err_clear(&err);
	assert_int_equal(datadir_open(&options, &directory, &err), -ENOTDIR);

	/* A lock file that is a link leads elsewhere: not followed. */
	(void)snprintf(configured, sizeof configured, "%s", below("linked"));
	assert_int_equal(mkdir(configured, 0700), 0);
	assert_int_equal(symlink("/tmp", below("linked/lock")), 0);
	options = (struct datadir_options){.configured = configured, .required = true};
	err_clear(&err);
	assert_int_equal(datadir_open(&options, &directory, &err), -ELOOP);
	assert_int_equal(err.code, 2011);
}

/* `run` without a file: several sidecars of one service take NAME, NAME.2 ... NAME.9. */
static void names_count_up(void **state)
{
	struct datadir_options options = {.name = "orders", .append_name = true};
	struct datadir directories[10];
	struct err err;
	char expected[32];

	(void)state;
	setenv("STATE_DIRECTORY", root, 1);
	for (int i = 0; i < 9; i++) {
		err_clear(&err);
		assert_int_equal(datadir_open(&options, &directories[i], &err), 0);
		(void)snprintf(expected, sizeof expected, i ? "orders.%d" : "orders", i + 1);
		assert_string_equal(directories[i].name, expected);
		assert_string_equal(directories[i].path, below(expected));
	}
	assert_int_equal(datadir_open(&options, &directories[9], &err), -EBUSY);
	assert_int_equal(err.code, 2010);
	/* One that ended is taken again before a new number is. */
	datadir_close(&directories[3]);
	assert_int_equal(datadir_open(&options, &directories[3], &err), 0);
	assert_string_equal(directories[3].name, "orders.4");
	for (int i = 0; i < 9; i++) {
		datadir_close(&directories[i]);
	}
	/* With a file the directory is used as it is: a second sidecar is refused. */
	options.append_name = false;
	assert_int_equal(datadir_open(&options, &directories[0], &err), 0);
	assert_string_equal(directories[0].path, root);
	assert_int_equal(datadir_open(&options, &directories[1], &err), -EBUSY);
	datadir_close(&directories[0]);
	unsetenv("STATE_DIRECTORY");
}

static void search_order(void **state)
{
	struct datadir_options options = {.name = "orders"};
	struct datadir directory;
	struct err err;

	(void)state;
	if (access("/var/lib/pillion", W_OK) == 0) {
		skip(); /* this machine has the shared place, which stands before these */
	}
	setenv("HOME", below("home"), 1);
	assert_int_equal(datadir_open(&options, &directory, &err), 0);
	assert_string_equal(directory.path, below("home/.local/state/pillion/orders"));
	datadir_close(&directory);

	setenv("XDG_STATE_HOME", below("state"), 1);
	assert_int_equal(datadir_open(&options, &directory, &err), 0);
	assert_string_equal(directory.path, below("state/pillion/orders"));
	datadir_close(&directory);

	/* Relative paths are nobody's. */
	setenv("XDG_STATE_HOME", "state", 1);
	unsetenv("HOME");
	options.required = true;
	err_clear(&err);
	assert_int_equal(datadir_open(&options, &directory, &err), -ENOENT);
	assert_int_equal(err.code, 2011);
	unsetenv("XDG_STATE_HOME");
}

static void temporary_leaves_nothing(void **state)
{
	struct datadir_options options = {.name = "orders", .temporary = true};
	struct datadir directory;
	struct err err;
	char path[256];
	char file[300];
	FILE *stream;

	(void)state;
	assert_int_equal(datadir_open(&options, &directory, &err), 0);
	assert_true(directory.temporary);
	(void)snprintf(path, sizeof path, "%s", directory.path);
	assert_int_equal(mode_of(path), 0700);
	(void)snprintf(file, sizeof file, "%s/raft", path);
	assert_int_equal(mkdir(file, 0700), 0);
	(void)snprintf(file, sizeof file, "%s/raft/log", path);
	stream = fopen(file, "w");
	assert_non_null(stream);
	(void)fclose(stream);
	datadir_close(&directory);
	assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(configured_is_made_and_locked, setup, teardown),
		cmocka_unit_test_setup_teardown(dying_holder_is_waited_for, setup, teardown),
		cmocka_unit_test_setup_teardown(unusable, setup, teardown),
		cmocka_unit_test_setup_teardown(names_count_up, setup, teardown),
		cmocka_unit_test_setup_teardown(search_order, setup, teardown),
		cmocka_unit_test_setup_teardown(temporary_leaves_nothing, setup, teardown)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
