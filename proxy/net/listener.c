#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/address.h"
#include "base/mem.h"
#include "net/libevent.h"
#include "net/loop.h"
#include "net/timer.h"
#include "net/transport.h"

/* Connections accepted in one wake-up, so that a storm does not starve the others. */
#define LISTENER_ACCEPTS_MAX 32
/* Connections taken over from the queue of a listener that closes (the kernel's own bound). */
#define LISTENER_DRAIN_MAX 4096
#define LISTENER_BACKLOG   4096
#define LISTENER_PAUSE_MS  100 /* SN-07 */

struct listener {
	struct loop *loop;
	struct listener_options options;
	int spare_fd;	/* given up to accept one connection when descriptors are gone */
	bool paused;	/* by the owner */
	bool exhausted; /* by the lack of descriptors, until the timer */
	bool added;	/* the event is with libevent */
	struct timer timer;
	struct event event;
};

static int listener_open_spare(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void listener_update(struct listener *listener)
{
	bool wanted = !listener->paused && !listener->exhausted;
	int status = 0;

	if (wanted != listener->added) {
		status = wanted ? event_add(&listener->event, NULL) : event_del(&listener->event);
		listener->added = wanted;
	}
	ASSERT(status == 0);
}

static void listener_on_timer(struct timer *timer)
{
	struct listener *listener = container_of(timer, struct listener, timer);

	if (listener->spare_fd < 0) {
		listener->spare_fd = listener_open_spare();
	}
	listener->exhausted = false;
	listener_update(listener);
}

/*
 * No descriptor is left: the one in reserve lets a waiting peer see a close instead of silence,
 * then accepting rests (http.md SN-07).
 */
static void listener_exhausted(struct listener *listener)
{
	if (listener->spare_fd >= 0) {
		int fd;

		close(listener->spare_fd);
		fd = accept4(listener->options.fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0) {
			close(fd);
		}
		listener->spare_fd = listener_open_spare();
	}
	listener->exhausted = true;
	listener_update(listener);
	timer_arm(
		listener->loop, &listener->timer, loop_now_ms(listener->loop) + LISTENER_PAUSE_MS);
}

/* True when there may be more to accept. */
static bool listener_accept_one(struct listener *listener)
{
	struct transport *transport;
	int fd = accept4(listener->options.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0) {
		/* One that was reset while it waited is closed there and is no matter. */
		if (transport_tcp_accepted(listener->loop, fd, &transport) == 0) {
			listener->options.on_accept(listener->options.owner, transport);
		}
		return true;
	}
	switch (errno) {
	case EINTR:
	case ECONNABORTED:
	case EPROTO:
		return true;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		listener_exhausted(listener);
		return false;
	default:
		/* EAGAIN; and errors of the network, which accept(2) says to treat like it. */
		return false;
	}
}

static void listener_on_event(evutil_socket_t fd, short what, void *context)
{
	struct listener *listener = context;

	(void)fd;
	(void)what;
	for (int i = 0; i < LISTENER_ACCEPTS_MAX; i++) {
		/* on_accept may have reached the owner's limit and paused us. */
		if (!listener->added || !listener_accept_one(listener)) {
			return;
		}
	}
}

int listener_create(
	struct loop *loop, const struct listener_options *options, struct listener **ret_listener)
{
	struct listener *listener;
	int spare_fd;

	ASSERT(options->fd >= 0 && options->on_accept != NULL && ret_listener != NULL);
	spare_fd = listener_open_spare();
	if (spare_fd < 0 || evutil_make_socket_nonblocking(options->fd) < 0) {
		int status = -errno;

		if (spare_fd >= 0) {
			close(spare_fd);
		}
		close(options->fd);
		return status;
	}
	listener = mem_zalloc(sizeof(*listener));
	listener->loop = loop;
	listener->options = *options;
	listener->spare_fd = spare_fd;
	timer_init(&listener->timer, listener_on_timer);
	event_assign(&listener->event, loop_base(loop), options->fd, EV_READ | EV_PERSIST,
		listener_on_event, listener);
	listener_update(listener);
	*ret_listener = listener;
	return 0;
}

void listener_destroy(struct listener *listener, bool drain)
{
	if (listener == NULL) {
		return;
	}
	event_del(&listener->event);
	listener->added = false;
	/* Peers in the queue are connected and may have sent a request: they are served. */
	for (int i = 0; drain && i < LISTENER_DRAIN_MAX; i++) {
		if (!listener_accept_one(listener)) {
			break;
		}
	}
	event_del(&listener->event);
	timer_cancel(&listener->timer);
	if (listener->spare_fd >= 0) {
		close(listener->spare_fd);
	}
	close(listener->options.fd);
	mem_free(listener);
}

void listener_pause(struct listener *listener, bool paused)
{
	ASSERT(listener != NULL);
	listener->paused = paused;
	listener_update(listener);
}

int listener_fd(const struct listener *listener)
{
	return listener->options.fd;
}

static int listener_set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* One listening socket, or -errno. Only the first of an address is bound without SO_REUSEPORT. */
static int listener_bind_one(const struct address *address, bool first)
{
	int fd = socket(address->u.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int status;

	if (fd < 0) {
		return -errno;
	}
	/* Connections of an earlier process in TIME_WAIT must not bar the port. */
	status = listener_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (status == 0 && address->u.any.sa_family == AF_INET6) {
		status = listener_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	}
	if (status == 0 && !first) {
		status = listener_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	}
	if (status == 0 && bind(fd, &address->u.any, address->size) < 0) {
		status = -errno;
	}
	if (status == 0 && first) {
		status = listener_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	}
	/* Accepted sockets inherit it. */
	if (status == 0) {
		status = listener_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	}
	if (status == 0 && listen(fd, LISTENER_BACKLOG) < 0) {
		status = -errno;
	}
	if (status < 0) {
		close(fd);
		return status;
	}
	return fd;
}

/* 0 when nobody answers on the path, so that it may be replaced. */
static int listener_check_unix(const struct address *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int status = 0;

	if (fd < 0) {
		return -errno;
	}
	/* EAGAIN: somebody listens whose queue is full. */
	if (connect(fd, &address->u.any, address->size) == 0 || errno == EAGAIN) {
		status = -EADDRINUSE;
	} else if (errno != ECONNREFUSED && errno != ENOENT) {
		status = -errno;
	}
	close(fd);
	return status;
}

/*
 * A socket file, readable by its user only. It is bound under a temporary name and renamed when it
 * listens, so that nobody ever meets a file that does not answer (operations.md AD-01).
 */
static int listener_bind_unix(const struct address *address)
{
	struct address temporary = *address;
	char *path = temporary.u.local.sun_path;
	size_t size = strlen(path);
	int status = listener_check_unix(address);
	int fd;

	if (status < 0) {
		return status;
	}
	if (size + sizeof(".tmp") > sizeof(temporary.u.local.sun_path)) {
		return -ENAMETOOLONG;
	}
	memcpy(path + size, ".tmp", sizeof(".tmp"));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return -errno;
	}
	(void)unlink(path);
	/* Linux gives the file the mode of the unbound socket: no umask, which is per process. */
	if (fchmod(fd, 0600) < 0 || bind(fd, &temporary.u.any, temporary.size) < 0 ||
		listen(fd, LISTENER_BACKLOG) < 0 || rename(path, address->u.local.sun_path) < 0) {
		status = -errno;
		(void)unlink(path);
		close(fd);
		return status;
	}
	return fd;
}

/* Sockets after the first: the same port for TCP, the same queue for a Unix socket. */
static int listener_bind_next(const struct address *address, int first_fd)
{
	struct address bound;
	int fd;

	if (address->u.any.sa_family == AF_UNIX) {
		fd = fcntl(first_fd, F_DUPFD_CLOEXEC, 0);
		return fd < 0 ? -errno : fd;
	}
	/* Port 0 was chosen by the kernel at the first bind. */
	bound.size = sizeof(bound.u);
	if (getsockname(first_fd, &bound.u.any, &bound.size) < 0) {
		return -errno;
	}
	return listener_bind_one(&bound, false);
}

int listener_bind(const struct address *address, int count, int *ret_fds)
{
	int fd;

	ASSERT(address->size > 0 && count > 0 && ret_fds != NULL);
	fd = address->u.any.sa_family == AF_UNIX ? listener_bind_unix(address)
						 : listener_bind_one(address, true);
	if (fd < 0) {
		return fd;
	}
	ret_fds[0] = fd;
	for (int i = 1; i < count; i++) {
		fd = listener_bind_next(address, ret_fds[0]);
		if (fd < 0) {
			while (i > 0) {
				close(ret_fds[--i]);
			}
			return fd;
		}
		ret_fds[i] = fd;
	}
	return 0;
}
