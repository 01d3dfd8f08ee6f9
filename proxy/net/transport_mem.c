#include "net/transport.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "net/libevent.h"
#include "net/loop.h"

/*
 * One end of a pair. Bytes that the other end wrote wait in `data`, a ring. Readiness comes as an
 * active event of the loop's base, so that on_ready runs in the I/O stage as with a socket.
 */
struct transport_mem {
	struct transport transport;
	struct transport_mem *peer; /* NULL: closed */
	uint8_t *data;
	size_t capacity;
	size_t head;
	size_t size;
	size_t most;	/* throttle; 0: none */
	size_t low;	/* room in which the owner is told that it may write */
	bool ended;	/* the peer has sent its end */
	bool reset;	/* the peer has reset */
	bool shut;	/* this end has sent its end */
	bool eof;	/* the end was read */
	bool scheduled; /* the event is active, or will be */
	struct event event;
	struct task later;
};

static struct transport_mem *transport_mem_of(struct transport *transport)
{
	return container_of(transport, struct transport_mem, transport);
}

/* What the owner wants and could do now. */
static int transport_mem_ready(const struct transport_mem *mem)
{
	int ready = 0;

	if (mem->size > 0 || mem->reset || (mem->ended && !mem->eof)) {
		ready |= TRANSPORT_READ;
	}
	if (mem->reset || mem->ended) {
		ready |= TRANSPORT_END;
	}
	/* A write to nobody is ready: it fails at once. */
	if (mem->peer == NULL || mem->peer->capacity - mem->peer->size >= mem->low) {
		ready |= TRANSPORT_WRITE;
	}
	return ready & mem->transport.wanted;
}

/*
 * An event that is made active in a callback would still run in this turn, and an owner that does
 * not read would keep the loop in its I/O stage: from there it waits for the write stage.
 */
static void transport_mem_schedule(struct transport_mem *mem)
{
	if (mem->scheduled || transport_mem_ready(mem) == 0) {
		return;
	}
	mem->scheduled = true;
	if (!loop_in_io_stage(mem->transport.loop)) {
		event_active(&mem->event, EV_READ, 0);
	} else {
		loop_queue_write(mem->transport.loop, &mem->later);
	}
}

static void transport_mem_on_later(struct task *task)
{
	event_active(&container_of(task, struct transport_mem, later)->event, EV_READ, 0);
}

static void transport_mem_on_event(evutil_socket_t fd, short what, void *context)
{
	struct transport_mem *mem = context;
	int ready = transport_mem_ready(mem);

	(void)fd;
	(void)what;
	mem->scheduled = false;
	if (ready != 0) {
		ASSERT(mem->transport.on_ready != NULL);
		mem->transport.on_ready(&mem->transport, ready);
	}
	/* Level-triggered, as the sockets are: what is still ready comes again. */
	transport_mem_schedule(mem);
}

static size_t transport_mem_bound(const struct transport_mem *mem, size_t size)
{
	return mem->most > 0 && size > mem->most ? mem->most : size;
}

static ssize_t transport_mem_read(struct transport *transport, void *data, size_t size)
{
	struct transport_mem *mem = transport_mem_of(transport);
	size_t part;
	size_t first;

	ASSERT(size > 0);
	if (mem->reset) {
		return -ECONNRESET;
	}
	if (mem->size == 0) {
		if (!mem->ended) {
			return 0;
		}
		mem->eof = true;
		return IO_EOF;
	}
	part = transport_mem_bound(mem, size < mem->size ? size : mem->size);
	first = mem->capacity - mem->head < part ? mem->capacity - mem->head : part;
	memcpy(data, mem->data + mem->head, first);
	memcpy((uint8_t *)data + first, mem->data, part - first);
	mem->head = (mem->head + part) % mem->capacity;
	mem->size -= part;
	if (mem->peer != NULL) {
		transport_mem_schedule(mem->peer);
	}
	return (ssize_t)part;
}

/* Copies into the receiver's ring; the room was checked. */
static void transport_mem_store(struct transport_mem *receiver, const uint8_t *bytes, size_t size)
{
	size_t tail = (receiver->head + receiver->size) % receiver->capacity;
	size_t first = receiver->capacity - tail < size ? receiver->capacity - tail : size;

	ASSERT(size <= receiver->capacity - receiver->size);
	memcpy(receiver->data + tail, bytes, first);
	memcpy(receiver->data, bytes + first, size - first);
	receiver->size += size;
}

static ssize_t transport_mem_write(
	struct transport *transport, const struct iovec *vectors, int count)
{
	struct transport_mem *mem = transport_mem_of(transport);
	struct transport_mem *peer = mem->peer;
	size_t left;
	size_t put = 0;

	ASSERT(count > 0);
	if (mem->reset) {
		return -ECONNRESET;
	}
	if (peer == NULL || mem->shut) {
		return -EPIPE;
	}
	left = transport_mem_bound(mem, peer->capacity - peer->size);
	for (int i = 0; i < count && left > 0; i++) {
		size_t part = vectors[i].iov_len < left ? vectors[i].iov_len : left;

		if (part > 0) {
			transport_mem_store(peer, vectors[i].iov_base, part);
		}
		left -= part;
		put += part;
	}
	transport_mem_schedule(peer);
	return (ssize_t)put;
}

static void transport_mem_want(struct transport *transport, int mask)
{
	ASSERT((mask & ~(TRANSPORT_READ | TRANSPORT_WRITE | TRANSPORT_END)) == 0);
	transport_mem_schedule(transport_mem_of(transport));
}

static int transport_mem_shutdown(struct transport *transport)
{
	struct transport_mem *mem = transport_mem_of(transport);

	mem->shut = true;
	if (mem->peer != NULL) {
		mem->peer->ended = true;
		transport_mem_schedule(mem->peer);
	}
	return 0;
}

static void transport_mem_close(struct transport *transport, bool reset)
{
	struct transport_mem *mem = transport_mem_of(transport);
	struct transport_mem *peer = mem->peer;

	if (peer != NULL) {
		ASSERT(peer->peer == mem);
		peer->peer = NULL;
		peer->ended = true;
		/* As TCP does: closing with unread bytes resets too. */
		peer->reset = peer->reset || reset || mem->size > 0;
		transport_mem_schedule(peer);
	}
	event_del(&mem->event);
	task_cancel(&mem->later);
	mem_free(mem->data);
	mem_free(mem);
}

static ssize_t transport_mem_peek(struct transport *transport)
{
	struct transport_mem *mem = transport_mem_of(transport);

	if (mem->reset) {
		return -ECONNRESET;
	}
	if (mem->size > 0) {
		return 1;
	}
	return mem->ended ? IO_EOF : 0;
}

static ssize_t transport_mem_end(struct transport *transport)
{
	return transport_mem_of(transport)->reset ? -ECONNRESET : IO_EOF;
}

static ssize_t transport_mem_unacknowledged(struct transport *transport)
{
	struct transport_mem *mem = transport_mem_of(transport);

	return mem->peer != NULL ? (ssize_t)mem->peer->size : 0;
}

static const struct transport_ops transport_mem_ops = {
	.name = "mem",
	.read = transport_mem_read,
	.write = transport_mem_write,
	.want = transport_mem_want,
	.shutdown = transport_mem_shutdown,
	.close = transport_mem_close,
	.peek = transport_mem_peek,
	.end = transport_mem_end,
	.unacknowledged = transport_mem_unacknowledged,
};

static struct transport_mem *transport_mem_create(struct loop *loop, size_t capacity)
{
	struct transport_mem *mem = mem_zalloc(sizeof(*mem));
	int status;

	mem->transport.ops = &transport_mem_ops;
	mem->transport.loop = loop;
	mem->capacity = capacity;
	mem->low = 1;
	mem->data = mem_alloc(capacity);
	status = event_assign(
		&mem->event, loop_base(loop), -1, EV_PERSIST, transport_mem_on_event, mem);
	ASSERT(status == 0);
	task_init(&mem->later, transport_mem_on_later);
	return mem;
}

void transport_mem_pair(
	struct loop *loop, size_t capacity, struct transport **ret_a, struct transport **ret_b)
{
	struct transport_mem *a;
	struct transport_mem *b;

	ASSERT(capacity > 0 && ret_a != NULL && ret_b != NULL);
	a = transport_mem_create(loop, capacity);
	b = transport_mem_create(loop, capacity);
	a->peer = b;
	b->peer = a;
	*ret_a = &a->transport;
	*ret_b = &b->transport;
}

void transport_mem_throttle(struct transport *transport, size_t most)
{
	ASSERT(transport->ops == &transport_mem_ops);
	transport_mem_of(transport)->most = most;
}

void transport_mem_low_water(struct transport *transport, size_t room)
{
	struct transport_mem *mem = transport_mem_of(transport);

	ASSERT(transport->ops == &transport_mem_ops && room > 0 && room <= mem->capacity);
	mem->low = room;
}
