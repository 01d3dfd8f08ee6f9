/*
 * pump: the floor of every proxy benchmark: moves bytes between an accepted and a dialled
 * connection with epoll, knowing nothing of HTTP. usage: pump LISTEN_PORT ORIGIN_PORT (both on
 * 127.0.0.1)
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER 65536

struct side {
	int fd;
	struct side *other;
	char *buffer; /* bytes read here, not yet written to the other side */
	size_t begin, end;
	int closed;
};

static int epoll_fd;

static void watch(struct side *side, int operation)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = side};

	if (side->other->end > side->other->begin) {
		event.events |= EPOLLOUT;
	}
	if (side->end > side->begin) {
		event.events &= ~(unsigned)EPOLLIN;
	}
	(void)epoll_ctl(epoll_fd, operation, side->fd, &event);
}

static struct side *side_create(int fd)
{
	struct side *side = calloc(1, sizeof *side);
	int one = 1;

	if (!side || !(side->buffer = malloc(BUFFER))) {
		abort();
	}
	side->fd = fd;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return side;
}

static void finish(struct side *side)
{
	close(side->fd);
	close(side->other->fd);
	free(side->other->buffer);
	free(side->other);
	free(side->buffer);
	free(side);
}

/* Writes what was read on `side` to the other one. -1: over. */
static int flush(struct side *side)
{
	while (side->end > side->begin) {
		ssize_t put = send(side->other->fd, side->buffer + side->begin,
			side->end - side->begin, MSG_NOSIGNAL);

		if (put < 0) {
			return errno == EAGAIN ? 0 : -1;
		}
		side->begin += (size_t)put;
	}
	side->begin = side->end = 0;
	return 0;
}

static int pump(struct side *side)
{
	ssize_t got;

	if (side->end > side->begin) {
		return 0;
	}
	got = recv(side->fd, side->buffer, BUFFER, 0);
	if (got <= 0) {
		return got < 0 && errno == EAGAIN ? 0 : -1;
	}
	side->end = (size_t)got;
	return flush(side);
}

static void accept_all(int listener, const struct sockaddr_in *origin)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
		struct side *near, *far;

		if (fd < 0) {
			return;
		}
		near = side_create(fd);
		far = side_create(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
		near->other = far;
		far->other = near;
		if (connect(far->fd, (const struct sockaddr *)origin, sizeof *origin) < 0 &&
			errno != EINPROGRESS) {
			finish(near);
			continue;
		}
		watch(near, EPOLL_CTL_ADD);
		watch(far, EPOLL_CTL_ADD);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET}, origin;
	struct epoll_event events[64];
	int listener, one = 1;

	if (argc != 3) {
		(void)fprintf(stderr, "usage: pump LISTEN_PORT ORIGIN_PORT\n");
		return 2;
	}
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	origin = address;
	address.sin_port = htons((uint16_t)atoi(argv[1]));
	origin.sin_port = htons((uint16_t)atoi(argv[2]));
	epoll_fd = epoll_create1(0);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	(void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(listener, (const struct sockaddr *)&address, sizeof address) < 0 ||
		listen(listener, 1024) < 0) {
		perror("pump");
		return 1;
	}
	events[0] = (struct epoll_event){.events = EPOLLIN, .data.ptr = NULL};
	(void)epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &events[0]);
	for (;;) {
		/* One event a turn: finish() frees both sides, and a later event might name either.
		 */
		int count = epoll_wait(epoll_fd, events, 1, -1);
		struct side *side = count == 1 ? events[0].data.ptr : NULL;

		if (count != 1) {
			continue;
		}
		if (!side) {
			accept_all(listener, &origin);
			continue;
		}
		if (((events[0].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && pump(side) < 0) ||
			((events[0].events & EPOLLOUT) && flush(side->other) < 0)) {
			finish(side);
			continue;
		}
		watch(side, EPOLL_CTL_MOD);
		watch(side->other, EPOLL_CTL_MOD);
	}
}
