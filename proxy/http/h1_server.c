#include "http/h1_codec.h"
#include "http/reply.h"

/* An answer of the codec itself: no exchange exists that could give one. Then Close (RE-08). */
static void h1_server_refuse(struct h1 *h1, const struct h1_message *message, bool head_request)
{
	struct codec *codec = &h1->codec;
	struct reply reply = {
		.reason = message->reason,
		.http = message->http,
		.grpc = -1,
		.outcome = OUTCOME_NOT_PROCESSED,
		.head_request = head_request,
		.wall_ms = codec->wall_ms,
	};
	struct h1_head_out out = {.has_length = true, .close = true};
	struct arena arena;
	struct head head;
	struct buf body;
	int result;

	h1_note_refused(h1);
	arena_init(&arena);
	buf_init(&body);
	head_init(&head, &arena, HEAD_RESPONSE);
	reply_build(&reply, &head, &body);
	out.head = &head;
	out.length = head.has_declared_length ? head.declared_length : head.length;
	result = h1_write_head(h1, &out);
	ASSERT(result == 0);
	chain_append_copy(&h1->pending, codec->pool, body.data, body.size);
	buf_fini(&body);
	arena_fini(&arena);
	codec->close_reason = message->reason;
	codec->detail = message->reason;
	codec->closing = true;
	/* H1-39 */
	codec->linger = !h1->eof;
	chain_clear(&codec->in);
}

/* A request head was read: a stream begins. */
static void h1_server_start(struct h1 *h1, struct head *head)
{
	struct codec *codec = &h1->codec;
	struct stream *stream = &h1->stream;
	bool end = head->body == BODY_NONE || (head->body == BODY_LENGTH && head->length == 0);
	bool legal;

	h1_begin(h1);
	h1->method = head->method;
	h1->http_1_0 = head->version == HTTP_1_0;
	h1->te_trailers = head->te_trailers;
	h1->expects_100 = head->expect_continue;
	h1->poisoned = head->close; /* H1-38: keep-alive of 1.0 is ignored */
	h1->head_in = true;
	legal = body_account_head(&h1->account_in, head->body, head->length, end);
	ASSERT(legal);
	h1_chunked_init(&h1->chunked, codec->limits->chunk_ext_bytes);
	stream->ended_in = end;
	h1->callbacks++;
	codec->events->on_stream(codec, stream);
	ASSERT(stream->ops != NULL);
	stream->ops->on_head(stream, head, end);
	h1->callbacks--;
}

/* False: more bytes are needed, or the head was refused. */
static bool h1_server_read_head(struct h1 *h1)
{
	struct h1_message message;
	ssize_t used;

	if (h1->codec.in.size == 0) {
		return false;
	}
	used = h1_try_head(h1, &message, HEAD_REQUEST);
	if (used < 0) {
		h1_server_refuse(h1, &message, message.head->method == METHOD_HEAD);
		return false;
	}
	if (used == 0) {
		/* B-06, SN-09: a short head that trickles in must not hold a block. */
		if (h1->codec.in.size <= H1_TRICKLE_BYTES) {
			chain_compact(&h1->codec.in, h1->codec.pool);
		}
		return false;
	}
	h1_server_start(h1, message.head);
	return true;
}

/* A byte of a head has come; the one empty line that may stand before it is none (H1-02). */
static bool h1_server_head_begun(const struct h1 *h1)
{
	const struct chain *in = &h1->codec.in;
	uint8_t first[2];

	if (in->size == 0 || in->size > sizeof(first)) {
		return in->size > 0;
	}
	chain_copy_out(in, 0, first, in->size);
	return first[0] != '\r';
}

/* The peer's direction ended, and all that came before was read. */
static void h1_server_end_of_input(struct h1 *h1)
{
	struct codec *codec = &h1->codec;
	struct stream *stream = &h1->stream;
	bool reset = codec->input_error != 0;

	if (!h1->active) {
		/* H1-40: silent, also inside a head. */
		codec->close_reason =
			h1_server_head_begun(h1) ? REASON_downstream_closed : REASON_ok;
		codec->closing = true;
		chain_clear(&codec->in);
		return;
	}
	/* What is complete is still written, and so is the answer to a fault; a transport that
	 * failed takes nothing. */
	h1->gone = h1->gone || reset || (!h1->failed && (!stream->ended_in || !stream->ended_out));
	if (h1->failed || (!h1->gone && !reset)) {
		return;
	}
	/* who closes before the answer came does not wait for it. */
	h1_fail(h1, reset		? REASON_downstream_reset
		    : !stream->ended_in ? REASON_downstream_truncated
					: REASON_downstream_closed);
}

/* T-02 and T-03, while no stream is active. */
static void h1_server_check_deadline(struct h1 *h1)
{
	struct codec *codec = &h1->codec;
	bool begun = h1_server_head_begun(h1);

	if (begun && h1->idle) {
		h1->idle = false;
		h1->deadline_ms = h1->now_ms + codec->limits->head_timeout_ms;
	}
	if (h1->now_ms < h1->deadline_ms) {
		return;
	}
	if (begun) {
		struct h1_message late = {.reason = REASON_head_timeout};

		/* H1-40 */
		h1_server_refuse(h1, &late, false);
		return;
	}
	codec->close_reason = h1->idle ? REASON_ok : REASON_head_timeout;
	codec->closing = true;
	ASSERT(!codec->linger);
}

void h1_server_receive(struct h1 *h1)
{
	struct codec *codec = &h1->codec;
	struct stream *stream = &h1->stream;
	bool more = true;

	if (h1->broken_out && h1->active && !h1->failed) {
		h1->gone = true;
		h1_fail(h1, REASON_internal_error);
	}
	while (more) {
		h1_settle(h1);
		if (codec->closing) {
			return;
		}
		if (!h1->active) {
			more = h1_server_read_head(h1);
		} else {
			more = !h1->failed && !h1->released && !stream->ended_in &&
			       h1_body_read(h1);
		}
	}
	if (codec->closing) {
		return;
	}
	/* Bytes that wait for credit come before the end of input, unless it is a failure. */
	if (h1->eof && (!h1->stalled || codec->input_error != 0)) {
		h1_server_end_of_input(h1);
	} else if (!h1->active) {
		h1_server_check_deadline(h1);
	}
}

void h1_server_continue(struct h1 *h1)
{
	static const struct slice line = SLICE("HTTP/1.1 100 Continue\r\n\r\n");
	bool wanted = h1->expects_100 && !h1->stream.head_out && !h1->failed;

	/* H1-37: once, only when asked for, never to 1.0. */
	h1->expects_100 = false;
	if (wanted && h1->codec.limits->interim) {
		ASSERT(!h1->http_1_0);
		chain_append_copy(&h1->pending, h1->codec.pool, line.data, line.size);
	}
}

/* X-07, H1-37 */
static int h1_server_send_interim(struct h1 *h1, const struct head *head)
{
	struct h1_head_out out = {.head = head};

	if (head->status == 100) {
		h1_server_continue(h1);
		return 0;
	}
	if (h1->http_1_0 || !h1->codec.limits->interim || head->status == 101) {
		return 0;
	}
	return h1_write_head(h1, &out);
}

/* H1-42, H1-38: how the end of this response is told. */
static void h1_server_frame(struct h1 *h1, bool end, struct h1_head_out *out)
{
	const struct head *head = out->head;
	bool has_length = head->body == BODY_LENGTH;

	if (h1->method == METHOD_HEAD || head->status == 204 || head->status == 304) {
		h1->framing = H1_OUT_DISCARD;
		/* MM-04; an endpoint that answers HEAD like GET promises the same length. */
		out->has_length =
			head->status != 204 &&
			(head->has_declared_length || (has_length && head->status != 304));
		out->length = head->has_declared_length ? head->declared_length : head->length;
	} else if (has_length) {
		h1->framing = H1_OUT_LENGTH;
		out->has_length = true;
		out->length = head->length;
	} else if (end || head->body == BODY_NONE) {
		h1->framing = H1_OUT_NONE;
		out->has_length = true;
	} else if (h1->http_1_0) {
		h1->framing = H1_OUT_CLOSE;
	} else {
		h1->framing = H1_OUT_CHUNKED;
		out->chunked = true;
	}
}

static int h1_server_send_response(struct h1 *h1, const struct head *head, bool end)
{
	struct codec *codec = &h1->codec;
	struct stream *stream = &h1->stream;
	struct h1_head_out out = {.head = head};
	uint64_t begin = codec->produced + h1->pending.size;
	bool legal;
	int result;

	ASSERT(!stream->head_out);
	/* H1-35: a request that is still coming in will not be read to its end. */
	h1->poisoned = h1->poisoned || head->close || codec->draining || !stream->ended_in ||
		       h1->http_1_0 || h1->eof;
	out.close = h1->poisoned;
	h1_server_frame(h1, end, &out);
	result = h1_write_head(h1, &out);
	if (result < 0) {
		return result;
	}
	legal = body_account_head(&h1->account_out,
		h1->framing == H1_OUT_LENGTH ? BODY_LENGTH
		: h1->framing == H1_OUT_NONE ? BODY_NONE
					     : BODY_UNKNOWN,
		out.length, false);
	ASSERT(legal);
	stream->head_out = true;
	stream->head_begin = begin;
	stream->head_end = codec->produced + h1->pending.size;
	stream->ended_out = end;
	h1->expects_100 = false;
	return 0;
}

/* only where the client said that it reads them, and a body form that can carry them. */
static int h1_server_send_trailers(struct h1 *h1, const struct head *head)
{
	int result = 0;

	if (h1->te_trailers && h1->framing == H1_OUT_CHUNKED) {
		result = h1_write_trailers(h1, head);
	} else {
		h1->codec.trailers_dropped += head->field_count;
	}
	if (result == 0) {
		h1->stream.ended_out = true;
	}
	return result;
}

int h1_server_send_head(struct h1 *h1, const struct head *head, bool end)
{
	switch (head->kind) {
	case HEAD_INTERIM:
		return h1->stream.head_out ? 0 : h1_server_send_interim(h1, head);
	case HEAD_RESPONSE:
		return h1_server_send_response(h1, head, end);
	case HEAD_TRAILERS:
		ASSERT(h1->stream.head_out && !h1->stream.ended_out);
		return h1_server_send_trailers(h1, head);
	case HEAD_REQUEST:
		break;
	}
	/* A server has nothing to ask. */
	ASSERT(head->kind != HEAD_REQUEST);
	return 0;
}
