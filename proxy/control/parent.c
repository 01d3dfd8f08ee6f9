#include "control/parent.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rng.h"
#include "control/channel.h"
#include "control/holder.h"
#include "control/parent_app.h"
#include "control/passed.h"
#include "net/listener.h"

/* Listeners of a configuration; with one socket for each of at most 64 workers. */
#define BOUND_MAX  64
#define SOCKET_MAX 64

/* Three deaths of the proxy process in a minute slow the next start down to this. */
#define RESTART_DELAY_MS  5000
#define RESTART_WINDOW_MS 60000

struct bound {
	bool used;
	uint32_t id;
	struct address address;
	int count;
	int sockets[SOCKET_MAX];
};

struct parent {
	const struct launch *launch;
	struct parent_identity identity;
	int (*proxy_main)(const struct launch *, const struct parent_identity *, int);
	int signals;
	int channel; /* our end; -1 between two proxy processes */
	pid_t proxy;
	pid_t app; /* 0: none runs */
	bool app_exited;
	int app_status; /* wait status once app_exited */
	bool ready;	/* some proxy process got through its start */
	bool drained;
	int exit_code;
	uint32_t stops;
	uint64_t deaths[3];	/* times of the last deaths of the proxy process, oldest first */
	uint64_t restart_at_ms; /* 0: not waiting */
	struct bound bound[BOUND_MAX];
	struct passed passed;
};

/* The proxy process may be dead or not yet born; what it must know is told again when it comes up.
 */
static void tell(struct parent *parent, enum channel_op op, int32_t value, uint32_t index)
{
	struct channel_message message = {.op = op, .value = value, .index = index};

	/* A proxy that is gone is noticed by SIGCHLD. */
	if (parent->channel >= 0) {
		(void)!channel_send(parent->channel, &message, -1);
	}
}

/* Our copies only; those of a proxy process are its own. */
static void close_bound(struct bound *bound)
{
	for (int i = 0; i < bound->count; i++) {
		close(bound->sockets[i]);
	}
	bound->used = false;
	bound->count = 0;
}

/* The slot that holds this address already (a restarted proxy asks again), or a free one. */
static struct bound *find_bound(struct parent *parent, const struct address *address)
{
	struct bound *spare = NULL;

	for (size_t i = 0; i < BOUND_MAX; i++) {
		struct bound *bound = &parent->bound[i];

		if (bound->used && address_equal(&bound->address, address)) {
			return bound;
		}
		if (!bound->used && !spare) {
			spare = bound;
		}
	}
	return spare;
}

/* One LISTENER message per socket, or a single one with the error. Sockets stay here too:
 * connections that wait in their queues survive a dead proxy process. */
static void bind_listener(struct parent *parent, const struct channel_message *asked)
{
	struct channel_message answer = {.op = CHANNEL_LISTENER, .id = asked->id};
	struct bound *bound = find_bound(parent, &asked->address);
	int count = (int)asked->count;

	answer.value = 0;
	if (!bound || count < 1 || count > SOCKET_MAX) {
		answer.value = -ENOSPC;
	} else if (bound->used && bound->count != count) {
		answer.value = -EBUSY;
	} else if (!bound->used) {
		answer.value = passed_bind(&parent->passed, &asked->address, count, bound->sockets);
		if (answer.value == -ENOENT) {
			answer.value = listener_bind(&asked->address, count, bound->sockets);
		}
		if (answer.value == 0) {
			bound->used = true;
			bound->count = count;
			bound->address = asked->address;
		}
	}
	if (answer.value < 0) {
		/* Looked up here: the proxy process has no right to see others' descriptors. */
		if (answer.value == -EADDRINUSE && !holder_find(&asked->address, answer.text)) {
			answer.text[0] = '\0';
		}
		(void)!channel_send(parent->channel, &answer, -1);
		return;
	}
	bound->id = asked->id;
	for (int i = 0; i < count; i++) {
		answer.index = (uint32_t)i;
		(void)!channel_send(parent->channel, &answer, bound->sockets[i]);
	}
}

/* The proxy process has closed its copies: with ours the address is free. */
static void close_listener(struct parent *parent, uint32_t id)
{
	for (size_t i = 0; i < BOUND_MAX; i++) {
		if (parent->bound[i].used && parent->bound[i].id == id) {
			close_bound(&parent->bound[i]);
		}
	}
}

/* ML-03. A command that cannot be executed is EXITED with index 1 and its errno, so that the proxy
 * process can tell 126 from 127. */
static void start_app(struct parent *parent, const struct channel_message *asked)
{
	char instance[33];
	const char *separator = strchr(asked->text, '\n');
	char outbound[sizeof asked->text];
	struct parent_app_environment environment = {.outbound = outbound, .instance = instance};
	int result;

	/* A proxy that came up anew finds the application as it is; a dead one is started anew only
	 * when the proxy says so after having been told of its end (ML-25). */
	if (parent->app > 0) {
		tell(parent, CHANNEL_APP, (int32_t)parent->app, 0);
		return;
	}
	if (parent->app_exited && asked->value == 0) {
		tell(parent, CHANNEL_EXITED, parent->app_status, 0);
		return;
	}
	(void)snprintf(outbound, sizeof outbound, "%.*s",
		separator ? (int)(separator - asked->text) : (int)sizeof outbound - 1, asked->text);
	environment.service = separator ? separator + 1 : "";
	for (size_t i = 0; i < sizeof parent->identity.instance_id; i++) {
		(void)snprintf(instance + 2 * i, 3, "%02x", parent->identity.instance_id[i]);
	}
	result = parent_app_start(parent->launch, &environment, &parent->app);
	if (result < 0) {
		/* The child that could not exec is reaped as unknown. */
		parent->app = 0;
		tell(parent, CHANNEL_EXITED, -result, 1);
		return;
	}
	parent->app_exited = false;
	tell(parent, CHANNEL_APP, (int32_t)parent->app, 0);
}

/* The proxy process decides, the parent only does: it holds no policy beyond staying alive. */
static void serve_message(struct parent *parent, const struct channel_message *message)
{
	switch ((enum channel_op)message->op) {
	case CHANNEL_BIND:
		bind_listener(parent, message);
		break;
	case CHANNEL_CLOSE:
		close_listener(parent, message->id);
		break;
	case CHANNEL_START_APP:
		if (parent->launch->command) {
			start_app(parent, message);
		}
		break;
	case CHANNEL_SIGNAL_APP:
		if (parent->app > 0 && message->value > 0 && message->value < NSIG) {
			(void)kill(-parent->app, message->value);
		}
		break;
	case CHANNEL_READY:
		parent->ready = true;
		break;
	case CHANNEL_DRAINED:
		parent->drained = true;
		parent->exit_code = message->value;
		break;
	case CHANNEL_LISTENER:
	case CHANNEL_APP:
	case CHANNEL_EXITED:
	case CHANNEL_STOP:
	case CHANNEL_RELOAD:
	case CHANNEL_LOGS:
	case CHANNEL_DUMP:
		break; /* only the parent sends these */
	}
}

/* A fork without exec: the proxy process gets the parsed command line and the identity as they
 * are. Its part of the stop order is told again, for it may have been born into a stop. */
static int start_proxy(struct parent *parent)
{
	int ends[2];
	int result = channel_pair(ends);
	pid_t self = getpid();

	if (result < 0) {
		return result;
	}
	parent->identity.start_count++;
	(void)fflush(NULL);
	parent->proxy = fork();
	if (parent->proxy < 0) {
		result = -errno;
		close(ends[0]);
		close(ends[1]);
		return result;
	}
	if (parent->proxy == 0) {
		sigset_t none;

		(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() != self) {
			_exit(1); /* the parent died before the line above */
		}
		close(parent->signals);
		close(ends[0]);
		for (size_t i = 0; i < BOUND_MAX; i++) {
			close_bound(&parent->bound[i]);
		}
		/* What they are is still known, see identity.passed. */
		passed_close(&parent->passed);
		sigemptyset(&none);
		(void)sigprocmask(SIG_SETMASK, &none, NULL);
		/* Ctrl-C goes to the whole foreground group, but the order of a stop is the
		 * parent's. */
		(void)signal(SIGINT, SIG_IGN);
		exit(parent->proxy_main(parent->launch, &parent->identity, ends[1]));
	}
	close(ends[1]);
	parent->channel = ends[0];
	parent->restart_at_ms = 0;
	if (parent->stops > 0) {
		tell(parent, CHANNEL_STOP, (int32_t)parent->stops, 0);
	}
	return 0;
}

/* CL-04, for a proxy process that ended without DRAINED. */
static int code_of_status(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Messages that the dead process had sent still count: the exit code is among them. */
static void drain_channel(struct parent *parent)
{
	struct channel_message message;
	int descriptor;

	while (parent->channel >= 0 &&
		channel_receive(parent->channel, false, &message, &descriptor) == 1) {
		if (descriptor >= 0) {
			close(descriptor);
		}
		serve_message(parent, &message);
	}
}

/* True when the program ends now. */
static bool proxy_ended(struct parent *parent, int status)
{
	uint64_t now = clock_monotonic_ms();
	bool often;

	drain_channel(parent);
	close(parent->channel);
	parent->channel = -1;
	parent->proxy = 0;
	if (parent->drained) {
		return true;
	}
	if (!parent->ready || parent->stops > 0) {
		parent->exit_code = code_of_status(status);
		return true; /* it said on standard error why it cannot start */
	}
	/* Three deaths within a minute: whatever kills it should not also take all of a core. */
	often = parent->deaths[0] != 0 && now - parent->deaths[0] < RESTART_WINDOW_MS;
	parent->deaths[0] = parent->deaths[1];
	parent->deaths[1] = parent->deaths[2];
	parent->deaths[2] = now;
	(void)fprintf(stderr,
		"pillion: the proxy process ended with status %d and is started again%s\n",
		code_of_status(status), often ? " in 5 s" : "");
	parent->restart_at_ms = now + (often ? RESTART_DELAY_MS : 0);
	return false;
}

/* True when the program ends now. */
static bool reap(struct parent *parent)
{
	int status;
	pid_t pid;
	bool ends = false;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == parent->proxy) {
			ends = proxy_ended(parent, status) || ends;
		} else if (pid == parent->app) {
			parent->app = 0;
			parent->app_exited = true;
			parent->app_status = status;
			tell(parent, CHANNEL_EXITED, status, 0);
		}
	}
	return ends;
}

/* True when the program ends now. */
static bool take_stop(struct parent *parent)
{
	parent->stops++;
	if (parent->stops >= 3) {
		/* ML-24: the third one ends everything. */
		if (parent->app > 0) {
			(void)kill(-parent->app, SIGKILL);
		}
		if (parent->proxy > 0) {
			(void)kill(parent->proxy, SIGKILL);
		}
		/* 128 + SIGKILL, as a shell says it. */
		parent->exit_code = 137;
		return true;
	}
	tell(parent, CHANNEL_STOP, (int32_t)parent->stops, 0);
	return false;
}

/* To the whole group: the application may be a shell with children. */
static void forward(struct parent *parent, int signal_number)
{
	if (parent->app > 0) {
		(void)kill(-parent->app, signal_number);
	}
}

/* ML-26. True when the program ends now. */
static bool take_signal(struct parent *parent, int signal_number)
{
	switch (signal_number) {
	case SIGCHLD:
		return reap(parent);
	case SIGTERM:
	case SIGINT:
		return take_stop(parent);
	case SIGHUP:
		tell(parent, CHANNEL_RELOAD, 0, 0);
		if (parent->launch->forward_hup) {
			forward(parent, SIGHUP);
		}
		return false;
	case SIGUSR1:
	case SIGUSR2:
		if (!parent->launch->command) {
			tell(parent, signal_number == SIGUSR1 ? CHANNEL_LOGS : CHANNEL_DUMP, 0, 0);
			return false;
		}
		forward(parent, signal_number);
		return false;
	default:
		forward(parent, signal_number);
		return false;
	}
}

/* The signals that are read from a descriptor instead of interrupting. SIGTSTP is passed on too. */
static const int handled[] = {
	SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGTSTP, SIGCONT};

/* Blocked and read, so that no handler runs and nothing is interrupted; all processes born later
 * unblock them again. */
static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(handled); i++) {
		sigaddset(&set, handled[i]);
	}
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) {
		return -errno;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* -1 waits for ever: nothing is due. */
static int wait_time(const struct parent *parent)
{
	uint64_t now = clock_monotonic_ms();

	if (parent->restart_at_ms == 0) {
		return -1;
	}
	return parent->restart_at_ms <= now ? 0 : (int)(parent->restart_at_ms - now);
}

/* One round of waiting and serving. True when the program ends now. */
static bool turn(struct parent *parent)
{
	struct pollfd waiting[2] = {{.fd = parent->signals, .events = POLLIN},
		{.fd = parent->channel, .events = POLLIN}};
	struct signalfd_siginfo info;
	struct channel_message message;
	int descriptor;

	(void)poll(waiting, 2, wait_time(parent));
	if (waiting[1].revents &&
		channel_receive(parent->channel, false, &message, &descriptor) == 1) {
		if (descriptor >= 0) {
			close(descriptor);
		}
		serve_message(parent, &message);
	} else if (waiting[1].revents & (POLLHUP | POLLERR)) {
		/* The proxy closed its end; SIGCHLD follows. Do not spin on the hang-up. */
		close(parent->channel);
		parent->channel = -1;
	}
	while (read(parent->signals, &info, sizeof info) == (ssize_t)sizeof info) {
		if (take_signal(parent, (int)info.ssi_signo)) {
			return true;
		}
	}
	if (parent->restart_at_ms != 0 && wait_time(parent) == 0 && start_proxy(parent) < 0) {
		parent->restart_at_ms = clock_monotonic_ms() + RESTART_DELAY_MS;
	}
	return false;
}

int parent_main(
	const struct launch *launch, int (*proxy_main)(const struct launch *launch,
					     const struct parent_identity *identity, int channel))
{
	struct parent parent = {.launch = launch, .proxy_main = proxy_main, .channel = -1};
	struct err err;
	int result;

	ASSERT(launch && proxy_main);
	rng_system_bytes(parent.identity.instance_id, sizeof parent.identity.instance_id);
	rng_system_bytes(parent.identity.session_id, sizeof parent.identity.session_id);
	err_clear(&err);
	if (passed_take(&parent.passed, &err) < 0) {
		(void)fprintf(stderr, "error PIL%u: %s\n", err.code, err.text);
		return 78;
	}
	parent.identity.passed = &parent.passed;
	parent.signals = open_signals();
	if (parent.signals < 0) {
		(void)fprintf(stderr, "pillion: signals: %s\n", strerror(-parent.signals));
		return 1;
	}
	result = start_proxy(&parent);
	if (result < 0) {
		(void)fprintf(
			stderr, "pillion: cannot start the proxy process: %s\n", strerror(-result));
		return 1;
	}
	while (!turn(&parent)) {
	}
	/* Whatever is left of the application does not outlive its sidecar. */
	if (parent.app > 0) {
		(void)kill(-parent.app, SIGKILL);
		(void)waitpid(parent.app, NULL, 0);
	}
	if (parent.proxy > 0) {
		(void)waitpid(parent.proxy, NULL, 0);
	}
	return parent.exit_code;
}
