/*
 * endpoint: finding the function behind a path, and the helper for those that take one body and
 * give one answer. The helper only appends to the stream and lets go of it with REASON_ok: the
 * codec sends what is queued, so no object has to live until the client has read its answer.
 */
#include "http/endpoint.h"

#include "base/mem.h"
#include "http/reply.h"

#define PIECE_COPIED 1024 /* B-06: smaller pieces are copied, not pinned */

struct unary {
	struct stream *stream;
	struct head *head; /* in the stream's arena */
	const struct unary_ops *ops;
	void *owner;
	struct chain body;
	size_t body_max;
	struct slice trace_id; /* in the stream's arena */
	bool detailed;	       /* a mesh peer may see all parameters of a reason (RE-04) */
	bool asked;	       /* on_request ran */
};

const struct endpoint *endpoint_find(
	const struct endpoint *endpoints, size_t count, unsigned direction, struct slice path)
{
	const struct endpoint *best = NULL;

	ASSERT(direction == ENDPOINT_INBOUND || direction == ENDPOINT_OUTBOUND);
	for (size_t i = 0; i < count; i++) {
		const struct endpoint *endpoint = &endpoints[i];

		if ((endpoint->directions & direction) != 0 &&
			slice_starts_with(path, endpoint->prefix) &&
			(!best || endpoint->prefix.size > best->prefix.size)) {
			best = endpoint;
		}
	}
	return best;
}

static void unary_free(struct unary *unary)
{
	chain_fini(&unary->body);
	mem_free(unary);
}

/* The owner forgets the object while all of it is still there; on_gone must not answer. */
static void tell_gone(struct unary *unary)
{
	if (unary->ops->on_gone) {
		unary->ops->on_gone(unary);
	}
}

static void send_answer(struct stream *stream, const struct head *head, struct slice body)
{
	bool end = body.size == 0;

	if (stream->codec->ops->send_head(stream, head, end)) {
		/* H2-33: the answer cannot be sent at all. */
		stream_reset(stream, REASON_internal_error);
		return;
	}
	if (!end) {
		chain_append_copy(&stream->out, stream->codec->pool, body.data, body.size);
		stream->codec->ops->send_more(stream, true);
	}
	stream_reset(stream, REASON_ok);
}

static void answer_reason(struct unary *unary, const struct reply *reply)
{
	struct stream *stream = unary->stream;
	struct reply full = *reply;
	struct head head;
	struct buf body;

	full.head_request = unary->head->method == METHOD_HEAD;

	head_init(&head, &stream->arena, HEAD_RESPONSE);
	buf_init(&body);
	reply_build(&full, &head, &body);
	send_answer(stream, &head, buf_slice(&body));
	buf_fini(&body);
}

/* The body is beyond the limit; the owner is told that nothing will come. */
static void refuse_too_large(struct unary *unary)
{
	struct reply reply = {
		.reason = REASON_body_too_large,
		.grpc = -1,
		.outcome = OUTCOME_NOT_PROCESSED,
		.trace_id = unary->trace_id,
		.detailed = unary->detailed,
		.grpc_client = head_is_grpc(unary->head),
		.wall_ms = unary->stream->codec->wall_ms,
	};

	tell_gone(unary);
	answer_reason(unary, &reply);
	unary_free(unary);
}

static void run_request(struct unary *unary)
{
	ASSERT(!unary->asked);
	unary->asked = true;
	unary->ops->on_request(unary, chain_gather(&unary->body, unary->stream->codec->pool));
}

static void on_head(struct stream *stream, struct head *head, bool end)
{
	struct unary *unary = stream->owner;

	/* Only trailers can come: they are not looked at, they end the body. */
	ASSERT(head->kind == HEAD_TRAILERS);
	if (end && !unary->asked) {
		run_request(unary);
	}
}

static void on_body(struct stream *stream, struct chain *body, bool end)
{
	struct unary *unary = stream->owner;
	size_t size = body->size;

	if (size > unary->body_max - unary->body.size) {
		refuse_too_large(unary);
		return;
	}
	if (size >= PIECE_COPIED) {
		chain_move(&unary->body, body);
	}
	for (uint32_t i = 0; i < body->count; i++) {
		struct slice piece = chain_span(body, i);

		chain_append_copy(&unary->body, stream->codec->pool, piece.data, piece.size);
	}
	if (size > 0) {
		stream->codec->ops->credit(stream, size);
	}
	if (end) {
		run_request(unary);
	}
}

static void on_sent(struct stream *stream, size_t n)
{
	/* Nothing is sent before the answer, and with the answer the stream is let go. */
	ASSERT(stream->owner);
	(void)n;
}

static void on_reset(struct stream *stream, enum reason why)
{
	struct unary *unary = stream->owner;

	tell_gone(unary);
	stream_reset(stream, why);
	unary_free(unary);
}

static const struct stream_ops unary_stream_ops = {on_head, on_body, on_sent, on_reset};

/* H1-37: bytes of the body are wanted now. */
static void send_continue(struct stream *stream)
{
	struct head head;
	int error;

	head_init(&head, &stream->arena, HEAD_INTERIM);
	head.status = 100;
	error = stream->codec->ops->send_head(stream, &head, false);
	ASSERT(error == 0);
}

void unary_accept(const struct endpoint_request *request, size_t body_max,
	const struct unary_ops *ops, void *owner)
{
	struct stream *stream = request->stream;
	struct unary *unary = mem_zalloc(sizeof(*unary));

	ASSERT(ops->on_request && request->head->kind == HEAD_REQUEST);
	unary->stream = stream;
	unary->head = request->head;
	unary->ops = ops;
	unary->owner = owner;
	unary->body_max = body_max;
	unary->trace_id = arena_copy(&stream->arena, request->trace_id);
	unary->detailed = request->mesh_peer;
	chain_init(&unary->body);
	stream->ops = &unary_stream_ops;
	stream->owner = unary;
	if (request->end) {
		run_request(unary);
	} else if (request->head->body == BODY_LENGTH && request->head->length > body_max) {
		refuse_too_large(unary);
	} else if (request->head->expect_continue) {
		send_continue(stream);
	}
}

void *unary_owner(const struct unary *unary)
{
	return unary->owner;
}

const struct head *unary_head(const struct unary *unary)
{
	return unary->head;
}

void unary_set_owner(struct unary *unary, void *owner)
{
	unary->owner = owner;
}

void unary_reply(struct unary *unary, const struct head *head, struct slice body)
{
	ASSERT(head->kind == HEAD_RESPONSE);
	if (unary->head->method == METHOD_HEAD) {
		body.size = 0; /* the head may still say how long it would have been */
	}
	send_answer(unary->stream, head, body);
	unary_free(unary);
}

void unary_reply_plain(
	struct unary *unary, int status, struct slice content_type, struct slice body)
{
	struct head head;

	head_init(&head, &unary->stream->arena, HEAD_RESPONSE);
	reply_plain(&head, status, content_type, body.size);
	unary_reply(unary, &head, body);
}

void unary_reply_reason(struct unary *unary, const struct reply *reply)
{
	answer_reason(unary, reply);
	unary_free(unary);
}
