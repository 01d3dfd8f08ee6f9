/*
 * end_poll: tells that the peer of a socket has ended or failed while nobody reads the socket. A
 * loop has one. libevent cannot say it: its EV_CLOSED stays silent when the peer resets, and the
 * loop then spins. Edge-triggered, in the I/O stage, so a watch costs one system call for the life
 * of its socket however often reading pauses. Owner of a watch: whoever embeds it, who removes it
 * before the descriptor is closed. One thread, that of the loop.
 */
#ifndef PILLION_NET_END_POLL_H
#define PILLION_NET_END_POLL_H

#include <stdbool.h>

#include "base/assert.h"

struct end_poll;
struct event_base;

struct end_watch {
	/* The peer has ended its direction, or the socket failed. May come more than once, also
	 * when nobody asked since; may remove watches, not close the loop. */
	void (*on_end)(struct end_watch *watch);
	bool added;
	bool told; /* on_end ran since the last arm */
};

MUST_CHECK int end_poll_create(struct event_base *base, struct end_poll **ret_poll);
void end_poll_destroy(struct end_poll *poll); /* no watch may be left */
/* on_end comes once from now on, also when the end came before. Without memory for the watch in
 * the kernel it stays silent: timers still bound what it would have told. */
void end_poll_arm(struct end_poll *poll, struct end_watch *watch, int fd);
void end_poll_remove(struct end_poll *poll, struct end_watch *watch, int fd);

#endif
