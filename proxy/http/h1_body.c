#include "http/fields.h"
#include "http/h1_codec.h"

/* Invariant A: what was handed over and not credited, and what is about to be. */
static size_t h1_body_room(const struct h1 *h1)
{
	const struct stream *stream = &h1->stream;
	uint64_t held = stream->received - stream->credited + h1->body.size;

	ASSERT(held <= stream->window);
	return (size_t)(stream->window - held);
}

/* At most `most` bytes go from the input to the body; returns how many. */
static size_t h1_body_move(struct h1 *h1, uint64_t most)
{
	struct chain *in = &h1->codec.in;
	size_t size = h1_body_room(h1);
	struct slice front;

	size = size < in->size ? size : in->size;
	size = size < most ? size : (size_t)most;
	if (size == 0) {
		return 0;
	}
	if (size >= H1_COPY_BYTES) {
		chain_move_bytes(&h1->body, in, size);
		return size;
	}
	/* B-06: many small chunks must not pin a block, or cost a span, each. */
	front = chain_span(in, 0);
	size = size < front.size ? size : front.size;
	chain_append_copy(&h1->body, h1->codec.pool, front.data, size);
	chain_drop(in, size);
	return size;
}

/* Hands over what was gathered. */
static void h1_body_deliver(struct h1 *h1, bool end)
{
	struct stream *stream = &h1->stream;

	if (h1->body.size == 0 && !end) {
		return;
	}
	stream->received += h1->body.size;
	stream->ended_in = end;
	/* A client that sends without waiting needs no 100 (H1-37). */
	h1->expects_100 = false;
	if (!h1->released) {
		h1->callbacks++;
		stream->ops->on_body(stream, &h1->body, end);
		h1->callbacks--;
	}
	chain_clear(&h1->body);
}

void h1_body_end(struct h1 *h1)
{
	bool exact = body_account_end(&h1->account_in);

	/* Callers end a body only where its framing says so. */
	ASSERT(exact);
	h1_body_deliver(h1, true);
}

/* A body of known length; bytes behind it belong to the next message. */
static bool h1_body_read_length(struct h1 *h1)
{
	struct stream *stream = &h1->stream;
	bool end = false;

	while (!end && !h1->failed && !h1->released) {
		size_t size = h1_body_move(h1, body_account_rest(&h1->account_in));

		if (size == 0 || !body_account_data(&h1->account_in, size)) {
			break;
		}
		end = body_account_rest(&h1->account_in) == 0 && body_account_end(&h1->account_in);
	}
	h1_body_deliver(h1, end);
	h1->stalled = !end && h1->codec.in.size > 0;
	ASSERT(!end || stream->ended_in);
	return end;
}

/* Only the end of input ends this one (H1-30). */
static bool h1_body_read_until_close(struct h1 *h1)
{
	size_t size;

	do {
		size = h1_body_move(h1, UINT64_MAX);
	} while (size > 0 && body_account_data(&h1->account_in, size));
	h1_body_deliver(h1, false);
	h1->stalled = h1->codec.in.size > 0;
	ASSERT(h1->account_in.kind == BODY_UNTIL_CLOSE);
	return false;
}

/* The faults of a body are named by the side that sees them: H1-26 here, 502 upstream. */
static void h1_body_fail(struct h1 *h1, enum reason reason)
{
	/* What came before the fault is passed on, however the input was split. */
	h1_body_deliver(h1, false);
	h1_note_refused(h1);
	h1->codec.detail = reason;
	h1_fail(h1, h1->codec.client ? REASON_upstream_protocol : reason);
}

/* Chunks, as long as there are bytes and room. */
static void h1_body_read_chunks(struct h1 *h1)
{
	struct h1_chunked *chunked = &h1->chunked;
	struct chain *in = &h1->codec.in;

	while (in->size > 0 && chunked->state < H1_CHUNKED_TRAILERS) {
		if (chunked->state == H1_CHUNKED_DATA) {
			size_t size = h1_body_move(h1, chunked->rest);

			if (size == 0 || !body_account_data(&h1->account_in, size)) {
				return;
			}
			h1_chunked_take(chunked, size);
		} else {
			chain_drop(in, h1_chunked_read(chunked, chain_span(in, 0)));
		}
	}
}

/* The trailers are whole: what X-06 leaves of them, and the end. */
static void h1_body_give_trailers(struct h1 *h1, struct head *trailers)
{
	struct stream *stream = &h1->stream;
	bool exact;

	h1->codec.trailers_dropped += fields_filter_trailers(trailers);
	exact = body_account_trailers(&h1->account_in) && body_account_end(&h1->account_in);
	ASSERT(exact);
	if (trailers->field_count == 0) {
		h1_body_deliver(h1, true);
		return;
	}
	h1_body_deliver(h1, false);
	stream->ended_in = true;
	if (!h1->released) {
		h1->callbacks++;
		stream->ops->on_head(stream, trailers, true);
		h1->callbacks--;
	}
}

/* After the last chunk. True: the body ended. */
static bool h1_body_read_trailers(struct h1 *h1)
{
	struct h1_message message;
	ssize_t used;

	if (h1->codec.in.size == 0) {
		return false;
	}
	used = h1_try_head(h1, &message, HEAD_TRAILERS);
	if (used < 0) {
		h1_body_fail(h1, message.reason);
		return false;
	}
	if (used > 0) {
		h1_body_give_trailers(h1, message.head);
	}
	return used > 0;
}

/* Chunks, then the trailer section, which may be empty. */
static bool h1_body_read_chunked(struct h1 *h1)
{
	bool end = false;

	h1_body_read_chunks(h1);
	if (h1->chunked.state == H1_CHUNKED_TRAILERS) {
		end = h1_body_read_trailers(h1);
	}
	if (h1->chunked.state == H1_CHUNKED_FAILED) {
		h1_body_fail(h1, h1->chunked.reason);
	} else if (!end && !h1->failed) {
		h1_body_deliver(h1, false);
	}
	h1->stalled = h1->chunked.state == H1_CHUNKED_DATA && h1->codec.in.size > 0;
	return end;
}

/* One pass over the input, in the form that the head announced. True: the body ended. */
static bool h1_body_step(struct h1 *h1)
{
	switch (h1->account_in.kind) {
	case BODY_LENGTH:
		return h1_body_read_length(h1);
	case BODY_UNKNOWN:
		return h1_body_read_chunked(h1);
	case BODY_UNTIL_CLOSE:
		return h1_body_read_until_close(h1);
	case BODY_NONE:
		break;
	}
	/* A message without a body ended with its head. */
	ASSERT(h1->account_in.kind != BODY_NONE);
	return true;
}

bool h1_body_read(struct h1 *h1)
{
	bool end;

	ASSERT(h1->active && h1->head_in && !h1->stream.ended_in && !h1->failed);
	do {
		h1->stalled = false;
		end = h1_body_step(h1);
		/* The owner may have credited what it got, so that the rest has room. */
	} while (h1->stalled && !h1->failed && !h1->released && h1_body_room(h1) > 0);
	return end;
}
