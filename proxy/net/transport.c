#include "net/transport.h"

#include <errno.h>

int transport_finish_connect(struct transport *transport)
{
	int status;

	ASSERT(transport->ops != NULL);
	if (!transport->connecting || transport->ops->finish_connect == NULL) {
		return 0;
	}
	status = transport->ops->finish_connect(transport);
	/* Whatever the end is, it is reached once: only a wait goes on. */
	if (status != -EINPROGRESS) {
		transport->connecting = false;
	}
	return status;
}

ssize_t transport_peek(struct transport *transport)
{
	ASSERT(transport->ops != NULL);
	return transport->ops->peek != NULL ? transport->ops->peek(transport) : 0;
}

ssize_t transport_end(struct transport *transport)
{
	ASSERT(transport->ops != NULL);
	return transport->ops->end != NULL ? transport->ops->end(transport) : IO_EOF;
}

size_t transport_unacknowledged(struct transport *transport)
{
	ssize_t size = transport->ops->unacknowledged != NULL
			       ? transport->ops->unacknowledged(transport)
			       : 0;

	return size > 0 ? (size_t)size : 0;
}

int transport_fd(const struct transport *transport)
{
	ASSERT(transport->ops != NULL);
	return transport->ops->fd != NULL ? transport->ops->fd(transport) : -1;
}
