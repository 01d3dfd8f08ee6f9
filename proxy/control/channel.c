#include "control/channel.h"

#include <errno.h>
#include <unistd.h>

/* SEQPACKET keeps message borders, so neither side needs a framing of its own; close-on-exec, so
 * that the application inherits no way to us. */
int channel_pair(int ret_ends[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_ends) < 0) {
		return -errno;
	}
	return 0;
}

/* Blocking: messages are few and small, and a parent that does not read has stopped working
 * anyway. A dead reader is an error, never SIGPIPE. */
int channel_send(int end, const struct channel_message *message, int descriptor)
{
	struct iovec vector = {(void *)(uintptr_t)message, sizeof *message};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr header = {.msg_iov = &vector, .msg_iovlen = 1};
	ssize_t sent;

	ASSERT(message->op != 0);
	if (descriptor >= 0) {
		struct cmsghdr *part;

		header.msg_control = control.bytes;
		header.msg_controllen = sizeof control.bytes;
		part = CMSG_FIRSTHDR(&header);
		part->cmsg_level = SOL_SOCKET;
		part->cmsg_type = SCM_RIGHTS;
		part->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(part), &descriptor, sizeof descriptor);
	}
	do {
		sent = sendmsg(end, &header, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0) {
		return errno == ECONNRESET ? -EPIPE : -errno;
	}
	return sent == (ssize_t)sizeof *message ? 0 : -EMSGSIZE;
}

/* The one descriptor that may stand beside a message; any others are a breach and are closed. */
static int take_descriptor(struct msghdr *header)
{
	int taken = -1;

	for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part; part = CMSG_NXTHDR(header, part)) {
		int found;

		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) {
			continue;
		}
		memcpy(&found, CMSG_DATA(part), sizeof found);
		if (taken < 0) {
			taken = found;
		} else {
			close(found);
		}
	}
	return taken;
}

/* A message of another size is refused with its descriptor: both processes are the same program,
 * so this is a breach, not an older version. */
int channel_receive(int end, bool wait, struct channel_message *ret_message, int *ret_descriptor)
{
	struct channel_message message;
	struct iovec vector = {&message, sizeof message};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr header = {.msg_iov = &vector,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes};
	int flags = MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT);
	ssize_t got;

	do {
		got = recvmsg(end, &header, flags);
	} while (got < 0 && errno == EINTR);
	if (got < 0) {
		if (errno == EAGAIN || errno == EWOULDBLOCK) {
			return 0;
		}
		return errno == ECONNRESET ? -EPIPE : -errno;
	}
	/* The other process closed its end, or is gone. */
	if (got == 0) {
		return -EPIPE;
	}
	*ret_descriptor = take_descriptor(&header);
	if (got != (ssize_t)sizeof message || message.op == 0) {
		if (*ret_descriptor >= 0) {
			close(*ret_descriptor);
			*ret_descriptor = -1;
		}
		return -EBADMSG;
	}
	*ret_message = message;
	return 1;
}
