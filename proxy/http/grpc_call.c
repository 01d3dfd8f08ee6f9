/*
 * grpc_call: a bidirectional message stream over one stream of codec.h, either side. All calls into
 * the codec are of the kind that only mark, so the owner may send, finish and let go from inside
 * its own callbacks; after each of them the call is looked at again before it is used.
 */
#include "http/grpc.h"

#include <errno.h>

#include "http/reply.h"

#define STATUS_TEXT_MAX 1024 /* G-11 */

enum grpc_status {
	GRPC_OK = 0,
	GRPC_CANCELLED = 1,
	GRPC_UNKNOWN = 2,
	GRPC_PERMISSION_DENIED = 7,
	GRPC_RESOURCE_EXHAUSTED = 8,
	GRPC_UNIMPLEMENTED = 12,
	GRPC_INTERNAL = 13,
	GRPC_UNAVAILABLE = 14,
	GRPC_UNAUTHENTICATED = 16,
};

/* RFC 9113 section 7. */
enum {
	H2_REFUSED_STREAM = 7,
	H2_CANCEL = 8,
	H2_ENHANCE_YOUR_CALM = 11,
	H2_INADEQUATE_SECURITY = 12
};

static const struct stream_ops call_stream_ops;

static void call_init(struct grpc_call *call, const struct grpc_call_options *options, bool server)
{
	ASSERT(options->ops->on_message && options->ops->on_half_close && options->ops->on_closed);
	*call = (struct grpc_call){
		.ops = options->ops,
		.owner = options->owner,
		.queue_max = options->queue_max,
		.server = server,
	};
	grpc_reader_init(&call->reader, options->message_max);
}

static void call_attach(struct grpc_call *call, struct stream *stream)
{
	call->stream = stream;
	stream->ops = &call_stream_ops;
	stream->owner = call;
}

/* The one place where a call ends by itself: the stream is let go, then the owner hears of it. */
static void call_close(struct grpc_call *call, enum reason why, int status, struct slice text)
{
	struct stream *stream = call->stream;

	ASSERT(stream && !call->closed);
	call->stream = NULL;
	call->closed = true;
	grpc_reader_fini(&call->reader);
	stream_reset(stream, why);
	call->ops->on_closed(call, status, text);
}

static void send_status(struct grpc_call *call, int status, struct slice text)
{
	struct stream *stream = call->stream;
	struct head head;
	int error;
	struct buf buf;

	head_init(&head, &stream->arena, HEAD_TRAILERS);
	buf_init(&buf);
	buf_appendf(&buf, "%d", status);
	head_add_token(&head, TOKEN_grpc_status, buf_slice(&buf));
	if (text.size > 0) {
		buf_clear(&buf);
		reply_grpc_message(&buf, text);
		head_add_token(&head, TOKEN_grpc_message, buf_slice(&buf));
	}
	buf_fini(&buf);
	/* Two short fields always fit (H2-33). */
	error = stream->codec->ops->send_head(stream, &head, true);
	ASSERT(error == 0);
}

/* A failure found here: the peer learns the status, a client's stream is cancelled. */
static void call_fail(struct grpc_call *call, int status, const char *text)
{
	struct slice slice = slice_from_string(text);

	ASSERT(status != GRPC_OK);
	if (call->server) {
		send_status(call, status, slice);
		call_close(call, REASON_ok, status, slice);
		return;
	}
	call_close(call, REASON_downstream_reset, status, slice);
}

static int status_of_http(unsigned http)
{
	switch (http) { /* the gRPC project's http-grpc-status-mapping */
	case 400:
		return GRPC_INTERNAL;
	case 401:
		return GRPC_UNAUTHENTICATED;
	case 403:
		return GRPC_PERMISSION_DENIED;
	case 404:
		return GRPC_UNIMPLEMENTED;
	case 429:
	case 502:
	case 503:
	case 504:
		return GRPC_UNAVAILABLE;
	default:
		return GRPC_UNKNOWN;
	}
}

static int hex_value(uint8_t digit)
{
	if (digit >= '0' && digit <= '9') {
		return digit - '0';
	}
	digit |= 0x20;
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* GR-06: decoding never fails, a broken escape stays as it is. */
static struct slice decode_message(struct slice text, uint8_t *ret_bytes, size_t most)
{
	size_t size = 0;

	for (size_t i = 0; i < text.size && size < most; i++) {
		int high =
			text.data[i] == '%' && i + 2 < text.size ? hex_value(text.data[i + 1]) : -1;
		int low = high >= 0 ? hex_value(text.data[i + 2]) : -1;

		if (low >= 0) {
			ret_bytes[size++] = (uint8_t)(high << 4 | low);
			i += 2;
		} else {
			ret_bytes[size++] = text.data[i];
		}
	}
	return slice_make(ret_bytes, size);
}

/* The end as the server told it, in trailers or in a head that is the whole response. */
static void close_by_head(struct grpc_call *call, const struct head *head)
{
	const struct field *field = head_find(head, TOKEN_grpc_status);
	uint8_t text[STATUS_TEXT_MAX];
	struct slice message;
	uint64_t status = GRPC_UNKNOWN; /* GR-05: none, or not a number */

	message = decode_message(head_value(head, TOKEN_grpc_message), text, sizeof(text));
	if (field && !slice_parse_u64(field->value, INT32_MAX, &status)) {
		status = GRPC_UNKNOWN;
	} else if (!field && head->kind == HEAD_RESPONSE && head->status != 200) {
		status = (uint64_t)status_of_http(head->status);
	} else if (!grpc_reader_empty(&call->reader)) {
		status = GRPC_INTERNAL;
		message = SLICE("the response ended inside a message");
	}
	call_close(call, REASON_ok, (int)status, message);
}

static void on_head(struct stream *stream, struct head *head, bool end)
{
	struct grpc_call *call = stream->owner;

	if (head->kind == HEAD_INTERIM) {
		return;
	}
	if (call->server) {
		/* Trailers of a request say nothing in gRPC; they end the client's direction. */
		if (end) {
			call->ops->on_half_close(call);
		}
		return;
	}
	if (end) {
		close_by_head(call, head);
	} else if (head->status != 200) {
		call_close(call, REASON_downstream_reset, status_of_http(head->status),
			SLICE("HTTP status that is not 200"));
	}
}

/* False when the call ended meanwhile. */
static bool read_messages(struct grpc_call *call, struct block_pool *pool, struct chain *body)
{
	struct slice message;
	bool compressed;
	int got;

	while ((got = grpc_reader_next(&call->reader, pool, body, &compressed, &message)) == 1) {
		if (compressed) {
			/* GR-01: no grpc-encoding was agreed on. */
			call_fail(call, GRPC_INTERNAL, "compressed message");
			return false;
		}
		call->ops->on_message(call, message);
		if (!call->stream) {
			return false;
		}
	}
	if (got < 0) {
		call_fail(call, got == -EMSGSIZE ? GRPC_RESOURCE_EXHAUSTED : GRPC_INTERNAL,
			got == -EMSGSIZE ? "message too large" : "broken message frame");
		return false;
	}
	return true;
}

static void on_body(struct stream *stream, struct chain *body, bool end)
{
	struct grpc_call *call = stream->owner;
	size_t size = body->size;

	if (!read_messages(call, stream->codec->pool, body)) {
		return;
	}
	if (call->paused) {
		call->credit_held += size;
	} else if (size > 0) {
		stream->codec->ops->credit(stream, size);
	}
	if (!end) {
		return;
	}
	if (!grpc_reader_empty(&call->reader)) {
		call_fail(call, GRPC_INTERNAL, "the stream ended inside a message");
	} else if (call->server) {
		call->ops->on_half_close(call);
	} else {
		/* G-05: a response without trailers has no status. */
		call_close(call, REASON_ok, GRPC_UNKNOWN, SLICE("no status came"));
	}
}

static void on_sent(struct stream *stream, size_t n)
{
	struct grpc_call *call = stream->owner;

	(void)n;
	if (call->was_full && stream->out.size <= call->queue_max / 2) {
		call->was_full = false;
		if (call->ops->on_drained) {
			call->ops->on_drained(call);
		}
	}
}

int grpc_status_of_reset(uint32_t h2_error)
{
	switch (h2_error) {
	case 0:
		return -1;
	case H2_REFUSED_STREAM:
		return GRPC_UNAVAILABLE;
	case H2_CANCEL:
		return GRPC_CANCELLED;
	case H2_ENHANCE_YOUR_CALM:
		return GRPC_RESOURCE_EXHAUSTED;
	case H2_INADEQUATE_SECURITY:
		return GRPC_PERMISSION_DENIED;
	default:
		return GRPC_INTERNAL;
	}
}

/* GR-09. */
static int status_of_reset(const struct stream *stream, enum reason why)
{
	int status =
		stream->unprocessed ? GRPC_UNAVAILABLE : grpc_status_of_reset(stream->h2_error);

	if (status >= 0) {
		return status;
	}
	return reason_info(why)->grpc > 0 ? reason_info(why)->grpc : GRPC_UNKNOWN;
}

static void on_reset(struct stream *stream, enum reason why)
{
	struct grpc_call *call = stream->owner;
	int status = call->server ? GRPC_CANCELLED : status_of_reset(stream, why);

	call_close(call, why, status, slice_from_string(reason_word(why)));
}

static const struct stream_ops call_stream_ops = {on_head, on_body, on_sent, on_reset};

void grpc_call_accept(
	struct grpc_call *call, struct stream *stream, const struct grpc_call_options *options)
{
	struct head head;
	int error;

	ASSERT(!stream->codec->client || !stream->head_out);
	call_init(call, options, true);
	call_attach(call, stream);
	head_init(&head, &stream->arena, HEAD_RESPONSE);
	head.status = 200;
	head.body = BODY_UNKNOWN;
	head_add_token(&head, TOKEN_content_type, SLICE("application/grpc"));
	error = stream->codec->ops->send_head(stream, &head, false);
	ASSERT(error == 0);
	call->head_sent = true;
	if (stream->ended_in) {
		call->ops->on_half_close(call);
	}
}

int grpc_call_open(struct grpc_call *call, struct codec *codec, const struct grpc_request *request,
	const struct grpc_call_options *options)
{
	struct stream *stream = codec->ops->open(codec);
	struct head head;
	int error;

	if (!stream) {
		return -EAGAIN;
	}
	call_init(call, options, false);
	call_attach(call, stream);
	head_init(&head, &stream->arena, HEAD_REQUEST);
	head_set_method(&head, METHOD_POST, SLICE("POST"));
	head.scheme = SLICE("http");
	head.authority = request->authority;
	head.path = request->path;
	head.body = BODY_UNKNOWN;
	head.te_trailers = true;
	head_add_token(&head, TOKEN_content_type, SLICE("application/grpc"));
	for (size_t i = 0; i < request->extra_count; i++) {
		head_add(&head, request->extra[i].name, request->extra[i].value);
	}
	error = codec->ops->send_head(stream, &head, false);
	if (error) {
		grpc_call_fini(call);
		return error;
	}
	call->head_sent = true;
	return 0;
}

size_t grpc_call_queued(const struct grpc_call *call)
{
	return call->stream ? call->stream->out.size : 0;
}

int grpc_call_send(struct grpc_call *call, struct slice message)
{
	struct stream *stream = call->stream;
	uint8_t prefix[5];

	if (!stream || stream->ended_out) {
		return -EPIPE;
	}
	ASSERT(message.size <= UINT32_MAX);
	/* One message always fits an empty queue, however large: the bound is on what waits. */
	if (stream->out.size > 0 &&
		stream->out.size + sizeof(prefix) + message.size > call->queue_max) {
		call->was_full = true;
		return -ENOBUFS;
	}
	grpc_prefix(prefix, false, (uint32_t)message.size);
	chain_append_copy(&stream->out, stream->codec->pool, prefix, sizeof(prefix));
	chain_append_copy(&stream->out, stream->codec->pool, message.data, message.size);
	stream->codec->ops->send_more(stream, false);
	return 0;
}

void grpc_call_pause(struct grpc_call *call, bool paused)
{
	size_t held = call->credit_held;

	call->paused = paused;
	if (!paused && held > 0 && call->stream) {
		call->credit_held = 0;
		call->stream->codec->ops->credit(call->stream, held);
	}
}

void grpc_call_finish(struct grpc_call *call, int status, struct slice text)
{
	if (!call->stream || call->stream->ended_out) {
		return;
	}
	if (!call->server) {
		call->stream->codec->ops->send_more(call->stream, true);
		return;
	}
	send_status(call, status, text);
	/* GR-08: what is queued still goes out, then a client that still sends is stopped. */
	call_close(call, REASON_ok, status, text);
}

void grpc_call_fini(struct grpc_call *call)
{
	struct stream *stream = call->stream;

	call->closed = true;
	call->stream = NULL;
	if (stream) {
		grpc_reader_fini(&call->reader);
		stream_reset(stream, REASON_downstream_reset);
	}
}
