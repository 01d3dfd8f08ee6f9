#include "control/parent_app.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

/* ZC-04: what the user has set for the command is stronger. */
static void set_if_unset(const char *name, const char *value)
{
	(void)setenv(name, value, 0);
}

/* Runs in the child. The variables of service managers are ours, not the application's (PR-03). */
static void make_environment(
	const struct launch *launch, const struct parent_app_environment *environment)
{
	char url[300];

	unsetenv("NOTIFY_SOCKET");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	setenv("PILLION_OUTBOUND", environment->outbound, 1);
	setenv("PILLION_INSTANCE", environment->instance, 1);
	setenv("PILLION_SERVICE", environment->service, 1);
	if (!launch->env_proxy) {
		return;
	}
	(void)snprintf(url, sizeof url, "http://%s", environment->outbound);
	set_if_unset("MICRO_PROXY", environment->outbound);
	set_if_unset("http_proxy", url);
	/* In CGI a request could set HTTP_PROXY (CVE-2016-5385). */
	if (!getenv("REQUEST_METHOD")) {
		set_if_unset("HTTP_PROXY", url);
	}
	set_if_unset("no_proxy", "localhost,127.0.0.1,::1");
}

/* The child of a fork in a single-threaded process. Everything after it that fails is reported by
 * the pipe, which a successful exec closes. */
_Noreturn static void run_child(
	const struct launch *launch, const struct parent_app_environment *environment, int report)
{
	sigset_t none;
	int error;

	/* Ctrl-C reaches pillion only; a dead parent takes the application with it (ML-26). */
	(void)setpgid(0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	/* Ignored signals are inherited through exec; this one would change what the application
	 * does. */
	(void)signal(SIGPIPE, SIG_DFL);
	/* PR-03: an application that reads a terminal behind our back would steal its input. */
	if (!launch->keep_stdin) {
		int null = open("/dev/null", O_RDONLY);

		if (null >= 0) {
			(void)dup2(null, STDIN_FILENO);
			close(null);
		}
	}
	make_environment(launch, environment);
	(void)execvp(launch->command[0], launch->command);
	error = errno;
	if (write(report, &error, sizeof error) < 0) {
		_exit(126);
	}
	_exit(error == ENOENT ? 127 : 126);
}

/* Waiting for the pipe makes "could not be started" certain before the proxy process is told
 * anything (ML-03). */
int parent_app_start(const struct launch *launch, const struct parent_app_environment *environment,
	pid_t *ret_pid)
{
	int report[2];
	int error = 0;
	pid_t pid;
	ssize_t got;

	ASSERT(launch->command && launch->command[0]);
	if (pipe2(report, O_CLOEXEC) < 0) {
		return -errno;
	}
	pid = fork();
	if (pid < 0) {
		error = errno;
		close(report[0]);
		close(report[1]);
		return -error;
	}
	if (pid == 0) {
		close(report[0]);
		run_child(launch, environment, report[1]);
	}
	/* Both sides set the group, so that a signal sent at once finds it. */
	(void)setpgid(pid, pid);
	close(report[1]);
	/* The pipe closes at a successful exec; else it brings the errno. */
	do {
		got = read(report[0], &error, sizeof error);
	} while (got < 0 && errno == EINTR);
	close(report[0]);
	*ret_pid = pid;
	return got == (ssize_t)sizeof error ? -error : 0;
}
