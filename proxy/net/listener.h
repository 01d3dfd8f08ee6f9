/*
 * listener: accepts on one listening descriptor that the parent process bound (docs/parent.md).
 * Accepting stops at connections_max and pauses 100 ms on EMFILE after closing one connection with
 * the spare descriptor (http.md SN-07). Owner: the worker. One thread.
 */
#ifndef PILLION_NET_LISTENER_H
#define PILLION_NET_LISTENER_H

#include <stdbool.h>

#include "base/assert.h"

struct listener;
struct loop;
struct transport;

struct listener_options {
	int fd; /* taken over */
	/* Runs in the I/O stage; the transport is the callback's. */
	void (*on_accept)(void *owner, struct transport *transport);
	void *owner;
};

MUST_CHECK int listener_create(
	struct loop *loop, const struct listener_options *options, struct listener **ret_listener);
/* Closes at once; with `drain` accepts what already waits first (http.md D-03). */
void listener_destroy(struct listener *listener, bool drain);
void listener_pause(struct listener *listener, bool paused);
int listener_fd(const struct listener *listener);

/*
 * Binds and listens, in the parent: the first socket of an address without SO_REUSEPORT, set after
 * the bind, so that a second sidecar gets -EADDRINUSE; `count` sockets in all (one per worker).
 */
struct address;
MUST_CHECK int listener_bind(const struct address *address, int count, int *ret_fds);

#endif
