#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "upstream/connection_internal.h"

static enum reason connection_dial_reason(int error)
{
	switch (error) {
	case -ECONNREFUSED:
	case -ENOENT: /* a Unix socket that is not there */
		return REASON_connect_refused;
	case -ETIMEDOUT:
		return REASON_connect_timeout;
	default:
		return REASON_connect_failed;
	}
}

void connection_dial_abandon(struct connection *connection)
{
	struct connection_dialing *dialing = connection->dialing;

	if (dialing == NULL) {
		return;
	}
	if (dialing->ticket) {
		dialing->ticket->connection = NULL;
	}
	connection->dialing = NULL;
	mem_free(dialing);
}

static void connection_dial_connected(struct connection *connection)
{
	bool h2 = connection->dialing->h2;

	connection->state = CONNECTION_OPENING;
	connection->state_deadline_ms = connection->dialing->deadline_ms;
	transport_want(connection->transport, TRANSPORT_READ);
	connection_start(connection, h2, true);
	/* HTTP/1 servers wait for us; an HTTP/2 peer is usable when its SETTINGS came. */
	connection->wants_open = !h2;
	connection_mark(connection);
	connection_arm(connection);
}

/* Tries one address after the other; each gets its share of the time that is left (T-04). */
static void connection_dial_next(struct connection *connection)
{
	struct connection_dialing *dialing = connection->dialing;
	uint64_t now = loop_now_ms(connection->loop);

	ASSERT(connection->transport == NULL);
	while (dialing->next < dialing->count) {
		struct transport *transport = NULL;
		int left = dialing->count - dialing->next;
		int result = transport_tcp_connect(
			connection->loop, &dialing->addresses[dialing->next++], &transport);
		uint64_t time_left = dialing->deadline_ms > now ? dialing->deadline_ms - now : 0;

		if (result != 0) {
			dialing->last_error = result;
			continue;
		}
		connection_io_attach(connection, transport);
		connection->state = CONNECTION_CONNECTING;
		connection->state_deadline_ms = now + time_left / (unsigned)left;
		if (transport->connecting) {
			transport_want(transport, TRANSPORT_WRITE);
			connection_arm(connection);
		} else {
			connection_dial_connected(connection);
		}
		return;
	}
	connection_end(connection, connection_dial_reason(dialing->last_error), false,
		strerror(-dialing->last_error));
}

/* In the I/O stage: the transport cannot be closed from inside itself, so failures are marked. */
void connection_dial_ready(struct connection *connection)
{
	struct connection_dialing *dialing = connection->dialing;
	int result;

	if (dialing == NULL || dialing->failed || connection->wants_close) {
		return;
	}
	result = transport_finish_connect(connection->transport);
	if (result == -EINPROGRESS) {
		return;
	}
	if (result == 0) {
		connection_dial_connected(connection);
		return;
	}
	dialing->failed = true;
	dialing->last_error = result;
	transport_want(connection->transport, 0);
	loop_queue(connection->loop, &connection->run_task);
}

void connection_dial_step(struct connection *connection)
{
	struct connection_dialing *dialing = connection->dialing;

	if (!dialing->failed) {
		return;
	}
	dialing->failed = false;
	if (connection->transport) {
		transport_close(connection->transport, false);
		connection->transport = NULL;
	}
	connection_dial_next(connection);
}

void connection_dial_timeout(struct connection *connection)
{
	struct connection_dialing *dialing = connection->dialing;

	if (connection->state == CONNECTION_CONNECTING && dialing &&
		dialing->next < dialing->count) {
		dialing->failed = true;
		dialing->last_error = -ETIMEDOUT;
		loop_queue(connection->loop, &connection->run_task);
		return;
	}
	connection_end(connection,
		connection->state == CONNECTION_RESOLVING ? REASON_dns_failed
							  : REASON_connect_timeout,
		true,
		connection->state == CONNECTION_RESOLVING ? "the resolver did not answer in time"
							  : "no usable connection in time");
}

static void connection_dial_answer(void *owner, const struct resolver_answer *answer)
{
	struct connection_ticket *ticket = owner;
	struct connection *connection = ticket->connection;
	struct connection_dialing *dialing;

	mem_free(ticket);
	if (connection == NULL) {
		return;
	}
	dialing = connection->dialing;
	ASSERT(dialing && dialing->ticket == ticket);
	dialing->ticket = NULL;
	if (connection->wants_close) {
		return;
	}
	if (answer->status != 0 || answer->count == 0) {
		connection_end(connection, REASON_dns_failed, false,
			answer->status == -ENOENT ? "no such name" : "the name did not resolve");
		return;
	}
	ASSERT(answer->count <= RESOLVER_ADDRESSES_MAX);
	dialing->count = answer->count;
	memcpy(dialing->addresses, answer->addresses,
		(size_t)answer->count * sizeof(dialing->addresses[0]));
	connection_dial_next(connection);
}

struct connection *connection_dial(
	const struct connection_options *options, const struct connection_target *target)
{
	struct connection *connection = connection_create(options, CONNECTION_RESOLVING);
	struct connection_dialing *dialing = mem_zalloc(sizeof(*dialing));
	uint64_t timeout_ms = target->connect_timeout_ms;

	connection->dialing = dialing;
	dialing->h2 = target->h2;
	dialing->last_error = -EHOSTUNREACH;
	dialing->deadline_ms =
		loop_now_ms(options->loop) + (timeout_ms ? timeout_ms : CONNECTION_CONNECT_MS);
	connection->state_deadline_ms = dialing->deadline_ms;
	if (target->address.size > 0) {
		dialing->addresses[0] = target->address;
		dialing->count = 1;
		connection_dial_next(connection);
	} else if (target->resolver == NULL || target->host == NULL) {
		connection_end(connection, REASON_dns_failed, false, "no resolver");
	} else {
		dialing->ticket = mem_zalloc(sizeof(*dialing->ticket));
		dialing->ticket->connection = connection;
		resolver_ask(target->resolver, options->loop, target->host, target->port,
			connection_dial_answer, dialing->ticket);
	}
	connection_arm(connection);
	return connection;
}

struct connection *connection_adopt(
	const struct connection_options *options, struct transport *transport, bool h2)
{
	struct connection *connection = connection_create(options, CONNECTION_CONNECTING);

	ASSERT(!transport->connecting);
	connection->dialing = mem_zalloc(sizeof(*connection->dialing));
	connection->dialing->h2 = h2;
	connection->dialing->deadline_ms = loop_now_ms(options->loop) + CONNECTION_CONNECT_MS;
	connection_io_attach(connection, transport);
	connection_dial_connected(connection);
	return connection;
}
