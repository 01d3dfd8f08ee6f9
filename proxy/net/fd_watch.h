/*
 * fd_watch: calls back when a descriptor is readable: the channel to the parent process, signalfd,
 * listening admin sockets. Level-triggered, in the I/O stage. Owner: whoever embeds it; the
 * descriptor stays the owner's. One thread, that of the loop.
 */
#ifndef PILLION_NET_FD_WATCH_H
#define PILLION_NET_FD_WATCH_H

#include "base/assert.h"

struct event;
struct loop;

struct fd_watch {
	struct event *event;
	void (*on_readable)(struct fd_watch *watch);
	int fd;
};

MUST_CHECK int fd_watch_start(struct fd_watch *watch, struct loop *loop, int fd,
	void (*on_readable)(struct fd_watch *watch));
void fd_watch_stop(struct fd_watch *watch); /* harmless when not started */

#endif
