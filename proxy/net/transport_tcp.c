#include "net/transport.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/end_poll.h"
#include "net/libevent.h"
#include "net/loop.h"

/* Vectors that one system call takes (Linux: UIO_MAXIOV). */
#define TCP_VECTORS_MAX 1024

/*
 * Two persistent events, so that waiting for a request costs no epoll_ctl: the read event stays for
 * the life of a connection, the write event is added only after a write that would block.
 */
struct transport_tcp {
	struct transport transport;
	int fd;
	int added; /* events that libevent has */
	bool eof;  /* level-triggered polling would report the end for ever: no more reading */
	struct event read_event;
	struct event write_event;
	struct end_watch end_watch;
};

static struct transport_tcp *transport_tcp_of(const struct transport *transport)
{
	const struct transport *base = transport;

	return container_of((struct transport *)(uintptr_t)base, struct transport_tcp, transport);
}

static void transport_tcp_on_event(evutil_socket_t fd, short what, void *context)
{
	struct transport *transport = context;
	int mask = 0;

	(void)fd;
	mask |= (what & EV_READ) ? TRANSPORT_READ : 0;
	mask |= (what & EV_WRITE) ? TRANSPORT_WRITE : 0;
	/* An earlier callback of this turn may have withdrawn the interest. */
	mask &= transport->wanted;
	if (mask != 0) {
		ASSERT(transport->on_ready != NULL);
		transport->on_ready(transport, mask);
	}
}

static void transport_tcp_on_end(struct end_watch *watch)
{
	struct transport *transport =
		&container_of(watch, struct transport_tcp, end_watch)->transport;

	/* Who reads learns it by reading. */
	if (transport->wanted & TRANSPORT_END) {
		transport->on_ready(transport, TRANSPORT_END);
	}
}

/* Makes libevent's events equal to what is wanted and still of use. */
static void transport_tcp_update(struct transport_tcp *tcp)
{
	int mask = tcp->transport.wanted & (TRANSPORT_READ | TRANSPORT_WRITE);
	int changed;
	int status = 0;

	if (tcp->eof) {
		mask &= ~TRANSPORT_READ;
	}
	changed = mask ^ tcp->added;
	if (changed & TRANSPORT_READ) {
		status |= (mask & TRANSPORT_READ) ? event_add(&tcp->read_event, NULL)
						  : event_del(&tcp->read_event);
	}
	if (changed & TRANSPORT_WRITE) {
		status |= (mask & TRANSPORT_WRITE) ? event_add(&tcp->write_event, NULL)
						   : event_del(&tcp->write_event);
	}
	/* epoll_ctl fails for want of kernel memory only. */
	ASSERT(status == 0);
	tcp->added = mask;
}

static void transport_tcp_want(struct transport *transport, int mask)
{
	struct transport_tcp *tcp = transport_tcp_of(transport);

	ASSERT((mask & ~(TRANSPORT_READ | TRANSPORT_WRITE | TRANSPORT_END)) == 0);
	transport_tcp_update(tcp);
	if (mask & TRANSPORT_END) {
		end_poll_arm(loop_end_poll(transport->loop), &tcp->end_watch, tcp->fd);
	}
}

static ssize_t transport_tcp_read(struct transport *transport, void *data, size_t size)
{
	struct transport_tcp *tcp = transport_tcp_of(transport);
	ssize_t got;

	ASSERT(size > 0);
	do {
		got = recv(tcp->fd, data, size, 0);
	} while (got < 0 && errno == EINTR);
	if (got > 0) {
		return got;
	}
	if (got < 0) {
		return errno == EAGAIN ? 0 : -errno;
	}
	tcp->eof = true;
	transport_tcp_update(tcp);
	return IO_EOF;
}

static ssize_t transport_tcp_write(
	struct transport *transport, const struct iovec *vectors, int count)
{
	struct transport_tcp *tcp = transport_tcp_of(transport);
	struct msghdr message = {0};
	ssize_t put;

	ASSERT(count > 0);
	message.msg_iov = (struct iovec *)(uintptr_t)vectors;
	message.msg_iovlen = (size_t)(count < TCP_VECTORS_MAX ? count : TCP_VECTORS_MAX);
	do {
		/* sendmsg is writev without SIGPIPE. */
		put = sendmsg(tcp->fd, &message, MSG_NOSIGNAL);
	} while (put < 0 && errno == EINTR);
	if (put >= 0) {
		return put;
	}
	return errno == EAGAIN ? 0 : -errno;
}

static int transport_tcp_shutdown(struct transport *transport)
{
	return shutdown(transport_tcp_of(transport)->fd, SHUT_WR) < 0 ? -errno : 0;
}

static void transport_tcp_close(struct transport *transport, bool reset)
{
	struct transport_tcp *tcp = transport_tcp_of(transport);

	if (reset) {
		struct linger at_once = {1, 0};

		/* Closing now sends RST: the peer cannot take what it has for a whole message.
		 * A socket that refuses the option is closed all the same. */
		(void)setsockopt(tcp->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	}
	event_del(&tcp->read_event);
	event_del(&tcp->write_event);
	end_poll_remove(loop_end_poll(transport->loop), &tcp->end_watch, tcp->fd);
	close(tcp->fd);
	mem_free(tcp);
}

static ssize_t transport_tcp_peek(struct transport *transport)
{
	uint8_t byte;
	ssize_t got = recv(transport_tcp_of(transport)->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	if (got > 0) {
		return got;
	}
	if (got == 0) {
		return IO_EOF;
	}
	return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

/* Asked once a connection: logs and loop detection want it. */
static void transport_tcp_learn_local(struct transport_tcp *tcp)
{
	struct address *local = &tcp->transport.local;

	local->size = sizeof(local->u);
	if (getsockname(tcp->fd, &local->u.any, &local->size) < 0) {
		local->size = 0;
	}
}

static int transport_tcp_finish_connect(struct transport *transport)
{
	struct transport_tcp *tcp = transport_tcp_of(transport);
	int error = 0;
	socklen_t size = sizeof(error);
	struct address peer;

	if (getsockopt(tcp->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0) {
		return -errno;
	}
	if (error != 0) {
		return -error;
	}
	/* No error and no peer: the event came for another reason. */
	peer.size = sizeof(peer.u);
	if (getpeername(tcp->fd, &peer.u.any, &peer.size) < 0) {
		return errno == ENOTCONN ? -EINPROGRESS : -errno;
	}
	transport_tcp_learn_local(tcp);
	/* A connect to a dead port of the ephemeral range may meet itself (simultaneous open). */
	if (address_port(&transport->peer) != 0 &&
		address_equal(&transport->local, &transport->peer)) {
		return -ECONNREFUSED;
	}
	return 0;
}

static ssize_t transport_tcp_end(struct transport *transport)
{
	int error = 0;
	socklen_t size = sizeof(error);

	if (getsockopt(transport_tcp_of(transport)->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0) {
		return -errno;
	}
	return error != 0 ? -error : IO_EOF;
}

static ssize_t transport_tcp_unacknowledged(struct transport *transport)
{
	int size = 0;

	return ioctl(transport_tcp_of(transport)->fd, SIOCOUTQ, &size) < 0 ? -errno : size;
}

static int transport_tcp_fd(const struct transport *transport)
{
	return transport_tcp_of(transport)->fd;
}

static const struct transport_ops transport_tcp_ops = {
	.name = "tcp",
	.read = transport_tcp_read,
	.write = transport_tcp_write,
	.want = transport_tcp_want,
	.shutdown = transport_tcp_shutdown,
	.close = transport_tcp_close,
	.peek = transport_tcp_peek,
	.finish_connect = transport_tcp_finish_connect,
	.end = transport_tcp_end,
	.unacknowledged = transport_tcp_unacknowledged,
	.fd = transport_tcp_fd,
};

static void transport_tcp_set_nodelay(int fd, sa_family_t family)
{
	int on = 1;

	/* Whole messages are written at once, so Nagle's delay could only hurt. */
	if (family != AF_UNIX) {
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	}
}

static struct transport_tcp *transport_tcp_create(struct loop *loop, int fd)
{
	struct transport_tcp *tcp = mem_zalloc(sizeof(*tcp));
	int status;

	tcp->transport.ops = &transport_tcp_ops;
	tcp->transport.loop = loop;
	tcp->fd = fd;
	tcp->end_watch.on_end = transport_tcp_on_end;
	status = event_assign(&tcp->read_event, loop_base(loop), fd, EV_READ | EV_PERSIST,
		transport_tcp_on_event, &tcp->transport);
	status |= event_assign(&tcp->write_event, loop_base(loop), fd, EV_WRITE | EV_PERSIST,
		transport_tcp_on_event, &tcp->transport);
	/* It fails only for arguments that contradict each other. */
	ASSERT(status == 0);
	return tcp;
}

int transport_tcp_accepted(struct loop *loop, int fd, struct transport **ret_transport)
{
	struct transport_tcp *tcp;
	struct address peer = {0};

	ASSERT(fd >= 0 && ret_transport != NULL);
	peer.size = sizeof(peer.u);
	if (getpeername(fd, &peer.u.any, &peer.size) < 0 ||
		evutil_make_socket_nonblocking(fd) < 0) {
		int status = -errno;

		/* ENOTCONN: the peer has reset it while it waited to be accepted. */
		close(fd);
		return status;
	}
	transport_tcp_set_nodelay(fd, peer.u.any.sa_family);
	tcp = transport_tcp_create(loop, fd);
	tcp->transport.peer = peer;
	transport_tcp_learn_local(tcp);
	*ret_transport = &tcp->transport;
	return 0;
}

int transport_tcp_connect(
	struct loop *loop, const struct address *address, struct transport **ret_transport)
{
	struct transport_tcp *tcp;
	bool connecting = false;
	int fd;

	ASSERT(address->size > 0 && ret_transport != NULL);
	fd = socket(address->u.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return -errno;
	}
	transport_tcp_set_nodelay(fd, address->u.any.sa_family);
	if (connect(fd, &address->u.any, address->size) < 0) {
		int status = -errno;

		/* EINTR: the connect goes on by itself, as with EINPROGRESS. */
		if (status != -EINPROGRESS && status != -EINTR) {
			close(fd);
			return status;
		}
		connecting = true;
	}
	tcp = transport_tcp_create(loop, fd);
	tcp->transport.peer = *address;
	tcp->transport.connecting = connecting;
	if (!connecting) {
		transport_tcp_learn_local(tcp);
	}
	*ret_transport = &tcp->transport;
	return 0;
}
