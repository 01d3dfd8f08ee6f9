#include "net/end_poll.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/libevent.h"

/* Ends told in one turn; the rest waits for the next, so that traffic is not starved. */
#define END_POLL_MOST 64

/* An epoll instance inside that of the loop: it is readable while one of its sockets is due. */
struct end_poll {
	struct event event;
	int fd;
	unsigned watches;
};

static void end_poll_on_event(evutil_socket_t fd, short what, void *context)
{
	struct end_poll *poll = context;
	struct epoll_event due;

	(void)what;
	ASSERT(fd == poll->fd);
	/* One at a time, because a callback may remove the watch that would be the next. */
	for (int i = 0; i < END_POLL_MOST && epoll_wait(poll->fd, &due, 1, 0) == 1; i++) {
		struct end_watch *watch = due.data.ptr;

		watch->told = true;
		watch->on_end(watch);
	}
}

int end_poll_create(struct event_base *base, struct end_poll **ret_poll)
{
	struct end_poll *poll = mem_zalloc(sizeof(*poll));
	int status;

	ASSERT(base != NULL && ret_poll != NULL);
	poll->fd = epoll_create1(EPOLL_CLOEXEC);
	if (poll->fd < 0) {
		status = -errno;
		mem_free(poll);
		return status;
	}
	status = event_assign(
		&poll->event, base, poll->fd, EV_READ | EV_PERSIST, end_poll_on_event, poll);
	ASSERT(status == 0);
	if (event_add(&poll->event, NULL) != 0) {
		close(poll->fd);
		mem_free(poll);
		return -ENOMEM;
	}
	*ret_poll = poll;
	return 0;
}

void end_poll_destroy(struct end_poll *poll)
{
	if (poll == NULL) {
		return;
	}
	ASSERT(poll->watches == 0);
	event_del(&poll->event);
	close(poll->fd);
	mem_free(poll);
}

void end_poll_arm(struct end_poll *poll, struct end_watch *watch, int fd)
{
	struct epoll_event wish = {.events = EPOLLRDHUP | EPOLLET, .data = {.ptr = watch}};

	ASSERT(watch->on_end != NULL && fd >= 0);
	if (!watch->added) {
		watch->added = epoll_ctl(poll->fd, EPOLL_CTL_ADD, fd, &wish) == 0;
		poll->watches += watch->added;
	} else if (watch->told) {
		/* The edge is past: the kernel looks again. */
		(void)epoll_ctl(poll->fd, EPOLL_CTL_MOD, fd, &wish);
	}
	watch->told = false;
}

void end_poll_remove(struct end_poll *poll, struct end_watch *watch, int fd)
{
	if (!watch->added) {
		return;
	}
	ASSERT(poll->watches > 0);
	poll->watches--;
	watch->added = false;
	(void)epoll_ctl(poll->fd, EPOLL_CTL_DEL, fd, NULL);
}
