/*
 * transport: how bytes move: TCP (also Unix sockets), later TLS, and an in-memory pair for tests.
 * Non-blocking. Results of read and write: bytes moved | 0 = would block | -errno | IO_EOF (read
 * only). The owner sets on_ready and says with transport_want what it waits for; on_ready runs in
 * the I/O stage and may read, write and mark, and must not destroy the transport (bury it). Owner:
 * the connection. One thread.
 */
#ifndef PILLION_NET_TRANSPORT_H
#define PILLION_NET_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/address.h"
#include "base/assert.h"

struct loop;
struct transport;

#define IO_EOF (-100000)

/* END: the peer has ended or failed, though bytes that it sent before may not have been read.
 * Wanted where reading pauses; transport_end then says which. */
enum { TRANSPORT_READ = 1, TRANSPORT_WRITE = 2, TRANSPORT_END = 4 };

struct transport_ops {
	const char *name;
	ssize_t (*read)(struct transport *transport, void *data, size_t size);
	ssize_t (*write)(struct transport *transport, const struct iovec *vectors, int count);
	void (*want)(struct transport *transport, int mask);
	int (*shutdown)(struct transport *transport); /* no more writes; the peer sees EOF */
	void (*close)(struct transport *transport, bool reset); /* reset: RST instead of FIN */
	/* NULL where there is nothing to ask: usable, already connected, no descriptor. */
	ssize_t (*peek)(struct transport *transport);
	int (*finish_connect)(struct transport *transport);
	ssize_t (*end)(struct transport *transport);
	ssize_t (*unacknowledged)(struct transport *transport);
	int (*fd)(const struct transport *transport);
};

struct transport {
	const struct transport_ops *ops;
	struct loop *loop;
	void (*on_ready)(struct transport *transport, int mask);
	void *owner;
	int wanted;	 /* what transport_want was last told */
	bool connecting; /* the first writable event ends the connect; see transport_finish_connect
			  */
	struct address peer;
	struct address local;
};

static inline ssize_t transport_read(struct transport *transport, void *data, size_t size)
{
	return transport->ops->read(transport, data, size);
}

static inline ssize_t transport_write(
	struct transport *transport, const struct iovec *vectors, int count)
{
	return transport->ops->write(transport, vectors, count);
}

static inline void transport_want(struct transport *transport, int mask)
{
	if (mask != transport->wanted) {
		transport->wanted = mask;
		transport->ops->want(transport, mask);
	}
}

static inline int transport_shutdown(struct transport *transport)
{
	return transport->ops->shutdown(transport);
}

/* Closes and frees. Not from inside on_ready of the same transport: bury the owner instead. */
static inline void transport_close(struct transport *transport, bool reset)
{
	transport->ops->close(transport, reset);
}

/* An accepted descriptor; taken over also on failure. Sets TCP_NODELAY. */
MUST_CHECK int transport_tcp_accepted(struct loop *loop, int fd, struct transport **ret_transport);
/*
 * Starts a connect. 0 with transport->connecting possibly true (then want WRITE and call
 * transport_finish_connect on the first event), or -errno at once.
 */
MUST_CHECK int transport_tcp_connect(
	struct loop *loop, const struct address *address, struct transport **ret_transport);
/* 0 connected, -EINPROGRESS still waiting, else -errno (ECONNREFUSED, ...). */
MUST_CHECK int transport_finish_connect(struct transport *transport);
/* MSG_PEEK: 0 nothing to read (usable), IO_EOF closed, >0 bytes are waiting, -errno (mesh.md
 * MT-03). */
ssize_t transport_peek(struct transport *transport);
/* After on_ready said TRANSPORT_END: IO_EOF, or the -errno by which the transport failed. */
ssize_t transport_end(struct transport *transport);
/* Bytes that were written and that the peer did not acknowledge yet (where no network lies between:
 * did not read); 0 where there is nothing to ask. */
size_t transport_unacknowledged(struct transport *transport);
int transport_fd(const struct transport *transport); /* -1 for memory */

/* Two ends in memory, each with a bounded buffer; writes beyond `capacity` would block. */
void transport_mem_pair(
	struct loop *loop, size_t capacity, struct transport **ret_a, struct transport **ret_b);
/* Fault injection for simulators: at most `most` bytes move per call (0: no limit). */
void transport_mem_throttle(struct transport *transport, size_t most);
/* A write is announced as possible only when there is that much room, as a kernel does. */
void transport_mem_low_water(struct transport *transport, size_t room);

#endif
