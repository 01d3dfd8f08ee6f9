#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "http/sniff.h"
#include "upstream/connection_internal.h"

/* The word for an end that nobody asked for, seen from this side. */
static enum reason connection_io_lost_reason(const struct connection *connection, bool error)
{
	if (connection->codec && connection->codec->closing &&
		connection->codec->close_reason != REASON_ok) {
		return connection->codec->close_reason;
	}
	if (connection->codec && connection->codec->client) {
		return error ? REASON_upstream_reset : REASON_upstream_closed;
	}
	return error ? REASON_downstream_reset : REASON_downstream_closed;
}

/* The transport failed: streams end first, each with its own word, then the connection. */
static void connection_io_lost(struct connection *connection, int error)
{
	ASSERT(error < 0 && error != IO_EOF);
	if (connection->codec && !connection->gone) {
		connection->gone = true;
		connection->codec->input_error = error;
		connection_io_receive(connection, true);
	}
	connection_end(
		connection, connection_io_lost_reason(connection, true), true, strerror(-error));
}

void connection_io_receive(struct connection *connection, bool end_of_input)
{
	struct codec *codec = connection->codec;

	ASSERT(codec != NULL);
	if (connection->wants_close) {
		return;
	}
	codec->wall_ms = clock_wall_ms();
	codec->ops->receive(codec, end_of_input, loop_now_ms(connection->loop));
	if (end_of_input) {
		connection->input_ended = true;
	}
	connection_mark(connection);
	connection_arm(connection);
}

/* SN-03: compares as bytes arrive; nothing is decided while they are a prefix of the preface. */
static void connection_io_sniff(struct connection *connection, bool ended)
{
	uint8_t first[CONNECTION_SNIFF_MAX];
	size_t size =
		connection->early.size < sizeof(first) ? connection->early.size : sizeof(first);
	enum sniffed sniffed;

	chain_copy_out(&connection->early, 0, first, size);
	sniffed = sniff_protocol(slice_make(first, size));
	switch (sniffed) {
	case SNIFFED_MORE:
		if (ended) {
			connection_end(connection, REASON_downstream_closed, false, NULL);
		}
		chain_compact(&connection->early, connection->pool);
		return;
	case SNIFFED_TLS: /* SN-02: without a byte */
		connection_end(connection, REASON_tls_unexpected, false, NULL);
		return;
	case SNIFFED_H1:
	case SNIFFED_H2:
		break;
	}
	connection->state = CONNECTION_OPEN;
	connection->state_deadline_ms = CONNECTION_NEVER;
	connection_start(connection, sniffed == SNIFFED_H2, false);
	connection_io_receive(connection, ended);
}

/* RFC 9113 3.4: the first frame of the peer must be SETTINGS, which the codec enforces. When that
 * many bytes were taken without complaint, the connection is usable. */
static void connection_io_look_for_settings(struct connection *connection)
{
	size_t length = (size_t)connection->first_length[0] << 16 |
			(size_t)connection->first_length[1] << 8 | connection->first_length[2];

	if (connection->received >= CONNECTION_FRAME_HEADER + length &&
		!connection->codec->closing) {
		connection->wants_open = true;
		loop_queue(connection->loop, &connection->run_task);
	}
}

static void connection_io_append(struct connection *connection, struct block *block, size_t size)
{
	struct chain *in = connection->codec ? &connection->codec->in : &connection->early;

	for (size_t i = 0; i < size && connection->received + i < 3; i++) {
		connection->first_length[connection->received + i] = block->data[i];
	}
	connection->received += size;
	if (size < CONNECTION_COPY_MAX && in->size > 0) {
		chain_append_copy(in, connection->pool, block->data, size);
		return;
	}
	block->used = (uint32_t)size;
	chain_append_block(in, block, block->data, size);
}

/* One block from the transport to the codec. False: nothing more can be read now. */
static bool connection_io_read_block(struct connection *connection)
{
	struct block *block = block_create(connection->pool);
	size_t capacity = block->capacity;
	ssize_t n = transport_read(connection->transport, block->data, capacity);

	if (n > 0) {
		connection_io_append(connection, block, (size_t)n);
	}
	block_unref(block);
	if (n < 0 && n != IO_EOF) {
		connection_io_lost(connection, (int)n);
		return false;
	}
	if (n == 0) {
		return false;
	}
	if (n == IO_EOF) {
		transport_want(
			connection->transport, connection->transport->wanted & ~TRANSPORT_READ);
	}
	if (connection->state == CONNECTION_SNIFFING) {
		connection_io_sniff(connection, n == IO_EOF);
	} else {
		connection_io_receive(connection, n == IO_EOF);
	}
	if (n == IO_EOF && connection->state == CONNECTION_OPENING) {
		connection_end(connection, connection_io_lost_reason(connection, false), false,
			"closed before it was usable");
	}
	if (connection->state == CONNECTION_OPENING && connection->codec->h2) {
		connection_io_look_for_settings(connection);
	}
	return n == (ssize_t)capacity;
}

/*
 * X-09, C-12: a client that leaves while reading pauses is noticed all the same. An upstream may
 * well end behind bytes that we have not read yet: that is how most responses end.
 */
static void connection_io_pause(struct connection *connection)
{
	int mask = connection->transport->wanted & ~TRANSPORT_READ;

	transport_want(
		connection->transport, connection->codec->client ? mask : mask | TRANSPORT_END);
}

/* What the client sent before it left is of no use: nobody waits for the answer. */
static void connection_io_gone(struct connection *connection)
{
	ssize_t why = transport_end(connection->transport);

	transport_want(connection->transport, connection->transport->wanted & ~TRANSPORT_END);
	if (why != IO_EOF) {
		connection_io_lost(connection, (int)why);
		return;
	}
	chain_clear(&connection->codec->in);
	connection_io_receive(connection, true);
}

static void connection_io_read(struct connection *connection)
{
	for (int i = 0; i < CONNECTION_READS_MAX && !connection->wants_close; i++) {
		/* Interest is dropped only now that an event came without credit (B-01). */
		if (connection->codec && !connection->codec->want_read) {
			connection_io_pause(connection);
			break;
		}
		if (!connection_io_read_block(connection)) {
			break;
		}
	}
	if (connection->codec && connection->codec->in.size > 0) {
		/* B-06: a partial head must not pin a whole block. */
		chain_compact(&connection->codec->in, connection->pool);
	}
}

/* H1-39: the peer may still be sending what we refused; a reset now could destroy our answer. */
static void connection_io_discard(struct connection *connection)
{
	struct block *block = block_create(connection->pool);
	ssize_t n = transport_read(connection->transport, block->data, block->capacity);

	block_unref(block);
	if (n > 0) {
		connection->discarded += (size_t)n;
	}
	if (n < 0 || connection->discarded > CONNECTION_LINGER_BYTES) {
		connection_end(connection, connection->why, false, NULL);
	}
}

static void connection_io_ready(struct transport *transport, int mask)
{
	struct connection *connection = transport->owner;

	ASSERT(connection->transport == transport);
	switch (connection->state) {
	case CONNECTION_RESOLVING:
	case CONNECTION_CLOSED:
		return;
	case CONNECTION_CONNECTING:
		connection_dial_ready(connection);
		return;
	case CONNECTION_LINGERING:
		connection_io_discard(connection);
		return;
	case CONNECTION_SNIFFING:
	case CONNECTION_OPENING:
	case CONNECTION_OPEN:
		break;
	}
	if (connection->wants_close) {
		return;
	}
	if (mask & TRANSPORT_WRITE) {
		connection->codec->blocked = false;
		transport_want(transport, transport->wanted & ~TRANSPORT_WRITE);
		loop_queue_write(connection->loop, &connection->write_task);
	}
	if (mask & TRANSPORT_READ) {
		connection_io_read(connection);
	}
	if (mask & TRANSPORT_END) {
		connection_io_gone(connection);
	}
}

void connection_io_attach(struct connection *connection, struct transport *transport)
{
	ASSERT(connection->transport == NULL);
	connection->transport = transport;
	connection->peer = transport->peer;
	transport->owner = connection;
	transport->on_ready = connection_io_ready;
}

/* A write failed. What the peer said before it went is still worth reading: an early answer must
 * not be lost because the rest of the request could not be sent (H1-35). */
static void connection_io_write_failed(struct connection *connection, int error)
{
	for (int i = 0; i < CONNECTION_READS_MAX && !connection->wants_close; i++) {
		if (connection->input_ended || !connection_io_read_block(connection)) {
			break;
		}
	}
	if (!connection->wants_close) {
		connection_io_lost(connection, error);
	}
}

bool connection_io_is_complete(const struct connection *connection)
{
	const struct codec *codec = connection->codec;

	return codec->streams_active == codec->streams_flushing || codec->closing;
}

static void connection_io_start_flush(struct connection *connection)
{
	connection->flush_deadline_ms = loop_now_ms(connection->loop) + CONNECTION_FLUSH_MS;
	connection->flush_owed = transport_unacknowledged(connection->transport);
}

/* A kernel whose buffer grew large takes nothing for long, while the peer reads it empty. */
bool connection_io_still_flushes(struct connection *connection)
{
	size_t before = connection->flush_owed;

	connection_io_start_flush(connection);
	return connection->flush_owed < before;
}

/* T-10 runs while the peer takes nothing though no stream waits for anything else. */
static void connection_io_blocked(struct connection *connection, bool progress)
{
	connection->codec->blocked = true;
	transport_want(connection->transport, connection->transport->wanted | TRANSPORT_WRITE);
	if (!connection_io_is_complete(connection)) {
		connection->flush_deadline_ms = CONNECTION_NEVER;
	} else if (progress || connection->flush_deadline_ms == CONNECTION_NEVER) {
		connection_io_start_flush(connection);
	}
}

/* One writev a turn; EV_WRITE only after the transport took less than it was given (B-05). */
static void connection_io_write_out(struct connection *connection)
{
	struct codec *codec = connection->codec;
	struct iovec vectors[CONNECTION_VECTORS_MAX];
	size_t offered = 0;
	ssize_t n = 0;

	if (codec->has_output && connection->out.size < connection->out_max) {
		codec->ops->produce(
			codec, &connection->out, connection->out_max - connection->out.size);
	}
	if (connection->out.size > 0) {
		int count = chain_iovec(&connection->out, vectors, CONNECTION_VECTORS_MAX);

		for (int i = 0; i < count; i++) {
			offered += vectors[i].iov_len;
		}
		n = transport_write(connection->transport, vectors, count);
		if (n < 0) {
			connection_io_write_failed(connection, (int)n);
			return;
		}
		chain_drop(&connection->out, (size_t)n);
		connection->written += (uint64_t)n;
	}
	if ((size_t)n < offered) {
		connection_io_blocked(connection, n > 0);
		return;
	}
	connection->flush_deadline_ms = CONNECTION_NEVER;
	if (connection->out.size > 0) {
		loop_queue_write(connection->loop, &connection->write_task);
	}
}

void connection_io_write(struct task *task)
{
	struct connection *connection = container_of(task, struct connection, write_task);

	if (connection->wants_close ||
		(connection->state != CONNECTION_OPEN && connection->state != CONNECTION_OPENING)) {
		return;
	}
	if (!connection->codec->blocked) {
		connection_io_write_out(connection);
	} else {
		/* The last stream may have ended since. */
		connection_io_blocked(connection, false);
	}
	connection_follow_streams(connection);
	/* The end of the output is what a closing codec waits for, and a next request (H1-36). */
	connection_mark(connection);
	connection_arm(connection);
}
