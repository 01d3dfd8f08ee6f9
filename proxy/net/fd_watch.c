#include "net/fd_watch.h"

#include <errno.h>
#include <stddef.h>

#include "net/libevent.h"
#include "net/loop.h"

/* Level-triggered: what is not read now is told again in the next turn. */
static void on_event(evutil_socket_t fd, short what, void *context)
{
	struct fd_watch *watch = context;

	(void)what;
	ASSERT(fd == watch->fd);
	watch->on_readable(watch);
}

int fd_watch_start(struct fd_watch *watch, struct loop *loop, int fd,
	void (*on_readable)(struct fd_watch *watch))
{
	ASSERT(fd >= 0 && on_readable);
	watch->fd = fd;
	watch->on_readable = on_readable;
	watch->event = event_new(loop_base(loop), fd, EV_READ | EV_PERSIST, on_event, watch);
	if (!watch->event) {
		return -ENOMEM;
	}
	if (event_add(watch->event, NULL) < 0) {
		event_free(watch->event);
		watch->event = NULL;
		return -EIO;
	}
	return 0;
}

/* Allowed inside the callback: libevent has taken the event off its queue by then. */
void fd_watch_stop(struct fd_watch *watch)
{
	if (watch->event) {
		event_free(watch->event);
		watch->event = NULL;
	}
}
