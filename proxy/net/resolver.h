/*
 * resolver: names to addresses by getaddrinfo(3) on a thread of its own, so that no loop ever waits
 * for DNS. Answers come back by the asking loop's mailbox. At most 256 questions wait; a question
 * for a name that is being asked joins it. Any thread may ask.
 */
#ifndef PILLION_NET_RESOLVER_H
#define PILLION_NET_RESOLVER_H

#include <stdint.h>

#include "base/address.h"
#include "base/assert.h"

struct loop;
struct resolver;

#define RESOLVER_ADDRESSES_MAX 16

struct resolver_answer {
	int status; /* 0, -EAI_... as -ENOENT (no such name), -EAGAIN (try later), -ENOBUFS (queue
		       full) */
	int count;
	struct address addresses[RESOLVER_ADDRESSES_MAX]; /* with the asked port */
};

MUST_CHECK int resolver_create(struct resolver **ret_resolver);
/* As above with another way to look names up than getaddrinfo, run on the resolver's thread. */
MUST_CHECK int resolver_create_with(
	void (*look_up)(const char *host, struct resolver_answer *ret_answer),
	struct resolver **ret_resolver);
void resolver_destroy(
	struct resolver *resolver); /* no answers afterwards; waits 2 s for DNS at most */
/*
 * on_answer runs once on the loop's thread, never from inside this call, also for IP literals.
 * Cancellation: the caller keeps `owner` valid, or passes a (slot, generation) of its own.
 */
void resolver_ask(struct resolver *resolver, struct loop *loop, const char *host, uint16_t port,
	void (*on_answer)(void *owner, const struct resolver_answer *answer), void *owner);

#endif
