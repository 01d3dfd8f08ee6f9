#include "upstream/connection.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "http/h1.h"
#include "http/h2.h"
#include "upstream/connection_internal.h"

static void connection_on_stream(struct codec *codec, struct stream *stream)
{
	struct connection *connection = codec->owner;

	ASSERT(connection->state == CONNECTION_OPEN);
	connection->events->on_stream(connection, stream);
}

static void connection_on_change(struct codec *codec)
{
	connection_mark(codec->owner);
}

const struct codec_events connection_codec_events = {
	.on_stream = connection_on_stream,
	.on_change = connection_on_change,
};

/* Work that only the run task may do. A request that merely flows needs none, so that it does not
 * cost another turn of the loop. */
static bool connection_needs_run(const struct connection *connection)
{
	const struct codec *codec = connection->codec;

	if (codec == NULL || connection->state != CONNECTION_OPEN) {
		return true;
	}
	if (codec->want_read && !connection->input_ended &&
		!(connection->transport->wanted & TRANSPORT_READ)) {
		return true;
	}
	return codec->again || codec->closing || connection->input_ended;
}

/* A stream began or ended, or the peer will take no more of them. */
static bool connection_streams_changed(const struct connection *connection)
{
	const struct codec *codec = connection->codec;

	return codec && (codec->draining != connection->was_draining ||
				codec->streams_active != connection->was_active);
}

/* Something for the write task: output that has a way, or T-10 to be started. */
static bool connection_needs_write(const struct connection *connection)
{
	const struct codec *codec = connection->codec;

	if (codec == NULL || connection_streams_changed(connection)) {
		return codec != NULL;
	}
	return codec->blocked ? connection->flush_deadline_ms == CONNECTION_NEVER &&
					connection_io_is_complete(connection)
			      : codec->has_output;
}

void connection_mark(struct connection *connection)
{
	if (connection->buried) {
		return;
	}
	if (connection_needs_run(connection)) {
		loop_queue(connection->loop, &connection->run_task);
	}
	/* The write task tells the owner of changed streams too: it still comes in this turn. */
	if (connection_needs_write(connection)) {
		loop_queue_write(connection->loop, &connection->write_task);
	}
}

void connection_follow_streams(struct connection *connection)
{
	struct codec *codec = connection->codec;

	if (connection->state != CONNECTION_OPEN || connection->wants_close ||
		!connection_streams_changed(connection)) {
		return;
	}
	if (codec->streams_active == 0) {
		connection->idle_since_ms = loop_now_ms(connection->loop);
	}
	connection->was_active = codec->streams_active;
	connection->was_draining = codec->draining;
	connection->events->on_change(connection);
}

/* The one lazy timer: it is only ever moved to an earlier time; firing early costs one look. */
void connection_arm(struct connection *connection)
{
	uint64_t deadline = connection->state_deadline_ms;

	if (connection->flush_deadline_ms < deadline) {
		deadline = connection->flush_deadline_ms;
	}
	if (connection->codec && connection->state != CONNECTION_CLOSED &&
		connection->state != CONNECTION_LINGERING &&
		connection->codec->next_deadline_ms < deadline) {
		deadline = connection->codec->next_deadline_ms;
	}
	if (deadline == CONNECTION_NEVER) {
		return;
	}
	if (!timer_armed(&connection->timer) || deadline < connection->timer.deadline_ms) {
		timer_arm(connection->loop, &connection->timer, deadline);
	}
}

void connection_start(struct connection *connection, bool h2, bool client)
{
	struct codec_options options = {
		.events = &connection_codec_events,
		.owner = connection,
		.pool = connection->pool,
		.limits = connection->limits,
		.now_ms = loop_now_ms(connection->loop),
		.client = client,
	};

	ASSERT(connection->codec == NULL);
	connection->codec = h2 ? h2_create(&options) : h1_create(&options);
	connection->idle_since_ms = options.now_ms;
	chain_move(&connection->codec->in, &connection->early);
}

static void connection_dispose(void *object)
{
	struct connection *connection = object;

	ASSERT(connection->reported);
	if (connection->codec) {
		connection->codec->ops->destroy(connection->codec);
	}
	ASSERT(connection->transport == NULL && connection->dialing == NULL);
	chain_fini(&connection->early);
	chain_fini(&connection->out);
	mem_free(connection);
}

/* What the log may show of bytes that were refused before an exchange existed (L-02, L-03). */
static void connection_describe_refused(struct connection *connection)
{
	const struct codec *codec = connection->codec;
	size_t used;

	if (connection->detail[0] != '\0' || codec == NULL || codec->refused_size == 0) {
		return;
	}
	used = (size_t)snprintf(connection->detail, sizeof(connection->detail),
		"%s: ", reason_word(codec->detail ? codec->detail : codec->close_reason));
	for (size_t i = 0; i < codec->refused_size && used + 7 < sizeof(connection->detail); i++) {
		uint8_t byte = codec->refused_bytes[i];

		if (byte >= 0x20 && byte < 0x7f) {
			connection->detail[used++] = (char)byte;
			connection->detail[used] = '\0';
		} else {
			used += (size_t)snprintf(connection->detail + used,
				sizeof(connection->detail) - used, "\\u%04X", (unsigned)byte);
		}
	}
}

/* Ends the streams; their owners are queued by on_reset before our own task is queued again, so
 * they have let go by the time on_closed runs. */
static void connection_finish(struct connection *connection)
{
	ASSERT(connection->state != CONNECTION_CLOSED);
	connection_dial_abandon(connection);
	if (connection->codec && !connection->gone && connection->codec->streams_active > 0) {
		connection->gone = true;
		connection->codec->input_error = -ECONNABORTED;
		connection->codec->ops->receive(
			connection->codec, true, loop_now_ms(connection->loop));
	}
	connection_describe_refused(connection);
	connection->state = CONNECTION_CLOSED;
	connection->state_deadline_ms = CONNECTION_NEVER;
	connection->flush_deadline_ms = CONNECTION_NEVER;
	if (connection->transport) {
		transport_want(connection->transport, 0);
	}
	chain_clear(&connection->out);
	loop_queue(connection->loop, &connection->run_task);
}

/* Tells the owner, once; then waits until every stream was let go before it frees the codec. */
static void connection_report(struct connection *connection)
{
	if (!connection->reported) {
		connection->reported = true;
		connection->events->on_closed(connection, connection->why,
			connection->detail[0] ? connection->detail : NULL);
		if (connection->transport) {
			transport_close(connection->transport, connection->reset);
			connection->transport = NULL;
		}
	}
	if (connection->codec && connection->codec->streams_active > 0) {
		connection->state_deadline_ms = loop_now_ms(connection->loop) + CONNECTION_REAP_MS;
		connection_arm(connection);
		return;
	}
	connection->buried = true;
	timer_cancel(&connection->timer);
	task_cancel(&connection->run_task);
	task_cancel(&connection->write_task);
	loop_bury(connection->loop, connection_dispose, connection);
}

void connection_end(struct connection *connection, enum reason why, bool reset, const char *text)
{
	if (connection->wants_close || connection->state == CONNECTION_CLOSED) {
		return;
	}
	connection->wants_close = true;
	connection->why = why;
	connection->reset = reset || (connection->codec && connection->codec->close_reset);
	if (text && connection->detail[0] == '\0') {
		snprintf(connection->detail, sizeof(connection->detail), "%s", text);
	}
	loop_queue(connection->loop, &connection->run_task);
}

/* H1-39: our side is closed, what still comes is thrown away, for a while. */
static void connection_linger(struct connection *connection)
{
	if (!connection->codec->linger || connection->input_ended ||
		transport_shutdown(connection->transport) != 0) {
		connection_end(connection, connection->codec->close_reason, false, NULL);
		return;
	}
	connection->state = CONNECTION_LINGERING;
	connection->why = connection->codec->close_reason;
	connection->state_deadline_ms = loop_now_ms(connection->loop) + CONNECTION_LINGER_MS;
	transport_want(connection->transport, TRANSPORT_READ);
	connection_arm(connection);
}

/* Everything that follows from the flags of the codec, outside of any codec call. */
static void connection_follow_codec(struct connection *connection)
{
	struct codec *codec = connection->codec;
	bool written;

	if (codec->again) {
		connection_io_receive(connection, connection->input_ended);
	}
	if (codec->want_read && !connection->input_ended) {
		transport_want(connection->transport,
			(connection->transport->wanted | TRANSPORT_READ) & ~TRANSPORT_END);
	}
	connection_follow_streams(connection);
	written = !codec->has_output && connection->out.size == 0;
	if (codec->has_output && !codec->blocked) {
		loop_queue_write(connection->loop, &connection->write_task);
	}
	if (written && codec->closing && !connection->wants_close) {
		connection_linger(connection);
	} else if (written && connection->input_ended && codec->streams_active == 0 &&
		   !codec->again) {
		/* Nothing can come and nothing is left to say. */
		connection_end(connection, codec->close_reason, false, NULL);
	}
	connection_arm(connection);
}

static void connection_run(struct task *task)
{
	struct connection *connection = container_of(task, struct connection, run_task);

	if (connection->state == CONNECTION_CLOSED) {
		connection_report(connection);
		return;
	}
	if (connection->dialing && !connection->wants_close) {
		connection_dial_step(connection);
	}
	if (connection->wants_open && !connection->wants_close) {
		connection->wants_open = false;
		connection->state = CONNECTION_OPEN;
		connection->state_deadline_ms = CONNECTION_NEVER;
		connection->idle_since_ms = loop_now_ms(connection->loop);
		connection_dial_abandon(connection);
		connection->events->on_open(connection);
	}
	if (connection->codec && !connection->wants_close &&
		(connection->state == CONNECTION_OPEN || connection->state == CONNECTION_OPENING)) {
		connection_follow_codec(connection);
	}
	if (connection->wants_close) {
		connection_finish(connection);
		if (connection->codec == NULL || connection->codec->streams_active == 0) {
			connection_report(connection);
		}
	}
}

static void connection_state_expired(struct connection *connection)
{
	connection->state_deadline_ms = CONNECTION_NEVER;
	switch (connection->state) {
	case CONNECTION_RESOLVING:
	case CONNECTION_CONNECTING:
	case CONNECTION_OPENING:
		connection_dial_timeout(connection);
		break;
	case CONNECTION_SNIFFING: /* T-03, H1-40: nothing that could be answered was said */
		connection_end(connection, REASON_head_timeout, false, NULL);
		break;
	case CONNECTION_LINGERING:
		connection_end(connection, connection->why, false, NULL);
		break;
	case CONNECTION_OPEN:
		break;
	case CONNECTION_CLOSED:
		connection_report(connection);
		break;
	}
}

static void connection_fire(struct timer *timer)
{
	struct connection *connection = container_of(timer, struct connection, timer);
	struct codec *codec = connection->codec;
	uint64_t now = loop_now_ms(connection->loop);

	if (connection->state_deadline_ms <= now) {
		connection_state_expired(connection);
	}
	if (connection->buried || connection->state == CONNECTION_CLOSED) {
		return;
	}
	if (connection->flush_deadline_ms <= now && !connection_io_still_flushes(connection)) {
		connection->flush_deadline_ms = CONNECTION_NEVER;
		connection_end(connection, REASON_flush_timeout, true, NULL);
	}
	if (codec && connection->state != CONNECTION_LINGERING && codec->next_deadline_ms <= now) {
		connection_io_receive(connection, connection->input_ended);
		/* A codec that leaves its deadline in the past must not keep the loop awake. */
		if (codec->next_deadline_ms <= now) {
			codec->next_deadline_ms = now + 1;
		}
	}
	connection_arm(connection);
}

struct connection *connection_create(
	const struct connection_options *options, enum connection_state state)
{
	struct connection *connection = mem_zalloc(sizeof(*connection));

	ASSERT(options->loop && options->pool && options->limits && options->events);
	connection->loop = options->loop;
	connection->pool = options->pool;
	connection->limits = options->limits;
	connection->events = options->events;
	connection->owner = options->owner;
	connection->out_max = options->out_max ? options->out_max : CONNECTION_OUT_MAX;
	connection->state = state;
	connection->idle_since_ms = loop_now_ms(options->loop);
	connection->state_deadline_ms = CONNECTION_NEVER;
	connection->flush_deadline_ms = CONNECTION_NEVER;
	chain_init(&connection->early);
	chain_init(&connection->out);
	timer_init(&connection->timer, connection_fire);
	task_init(&connection->run_task, connection_run);
	task_init(&connection->write_task, connection_io_write);
	return connection;
}

/* T-03 runs from the accept: who says nothing holds a connection no longer than a slow head. */
struct connection *connection_accept(
	const struct connection_options *options, struct transport *transport)
{
	struct connection *connection = connection_create(options, CONNECTION_SNIFFING);

	connection->state_deadline_ms =
		loop_now_ms(options->loop) + options->limits->head_timeout_ms;
	connection_io_attach(connection, transport);
	transport_want(transport, TRANSPORT_READ);
	connection_arm(connection);
	return connection;
}

void connection_drain(struct connection *connection)
{
	struct codec *codec = connection->codec;

	if (connection->wants_close || connection->state == CONNECTION_CLOSED ||
		connection->state == CONNECTION_LINGERING) {
		return;
	}
	if (connection->state != CONNECTION_OPEN) {
		connection_end(connection, REASON_draining, false, NULL);
		return;
	}
	ASSERT(codec != NULL);
	/* D-06: the codec takes the second step of HTTP/2 itself, a round trip later. */
	codec->ops->drain(codec, false);
	connection_arm(connection);
	connection_mark(connection);
}

void connection_close(struct connection *connection, enum reason why, bool reset)
{
	ASSERT(why < REASON_COUNT);
	if (connection->state == CONNECTION_LINGERING) {
		why = connection->why;
	}
	connection_end(connection, why, reset, NULL);
}

struct codec *connection_codec(const struct connection *connection)
{
	return connection->codec;
}

void *connection_owner(const struct connection *connection)
{
	return connection->owner;
}

struct transport *connection_transport(const struct connection *connection)
{
	return connection->transport;
}

const struct address *connection_peer(const struct connection *connection)
{
	return &connection->peer;
}

uint64_t connection_written(const struct connection *connection)
{
	return connection->written;
}

bool connection_is_open(const struct connection *connection)
{
	return connection->state == CONNECTION_OPEN && !connection->wants_close &&
	       !connection->codec->closing && !connection->input_ended;
}

uint64_t connection_idle_since_ms(const struct connection *connection)
{
	return connection->idle_since_ms;
}

struct connection *connection_of_stream(const struct stream *stream)
{
	const struct codec *codec = stream->codec;

	/* Streams of the in-process client have a codec whose owner is something else. */
	return codec && codec->events == &connection_codec_events ? codec->owner : NULL;
}
