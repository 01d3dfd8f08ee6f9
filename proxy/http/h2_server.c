/*
 * h2_server: what a request head means. A malformed one is reset before anybody hears of it (RFC
 * 9113 8.1.1); one that is only too large is answered here, since no exchange exists for it.
 */
#include "http/fields.h"
#include "http/grpc.h"
#include "http/h2_internal.h"
#include "http/reply.h"
#include "http/target.h"

#define METHOD_MAX 32 /* H1-04 */

/* Trailers, or HEADERS where none are wanted. */
static struct h2_stream *begin_trailers(struct h2 *h2, int32_t id)
{
	struct h2_stream *stream = nghttp2_session_get_stream_user_data(h2->session, id);

	if (!stream) {
		return NULL;
	}
	stream->head = NULL;
	if (!stream->owned || stream->phase != H2_PHASE_BODY) {
		return NULL;
	}
	stream->head = arena_alloc(&stream->stream.arena, sizeof(struct head));
	head_init(stream->head, &stream->stream.arena, HEAD_TRAILERS);
	return stream;
}

struct h2_stream *h2_server_begin(struct h2 *h2, const nghttp2_frame *frame)
{
	int32_t id = frame->hd.stream_id;
	struct h2_stream *stream;

	if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
		return begin_trailers(h2, id);
	}
	if (h2->codec.streams_active >= h2->codec.limits->h2_streams) {
		/* H2-30: nothing was done, the same request may be sent again. */
		nghttp2_submit_rst_stream(
			h2->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
		return NULL;
	}
	stream = h2_stream_create(h2);
	stream->id = id;
	stream->open = true;
	stream->head = arena_alloc(&stream->stream.arena, sizeof(struct head));
	head_init(stream->head, &stream->stream.arena, HEAD_REQUEST);
	stream->head->version = HTTP_2;
	nghttp2_session_set_stream_user_data(h2->session, id, stream);
	return stream;
}

static bool method_valid(struct slice method)
{
	if (method.size == 0 || method.size > METHOD_MAX) {
		return false;
	}
	for (size_t i = 0; i < method.size; i++) {
		uint8_t byte = method.data[i];
		bool letter = (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';

		if (!letter && !(byte >= '0' && byte <= '9') &&
			(byte == 0 || !strchr("!#$%&'*+-.^_`|~", byte))) {
			return false;
		}
	}
	return true;
}

/* H2-14: authority and Host say the same, after both were normalised. */
static bool settle_authority(struct h2_stream *stream)
{
	struct arena *arena = &stream->stream.arena;
	struct head *head = stream->head;
	struct slice host;

	if (head->authority.size == 0) {
		head->authority = stream->host;
		stream->host.data = NULL;
	}
	if (!target_normalise_authority(arena, head->authority, &head->authority)) {
		return false;
	}
	return !stream->host.data || (target_normalise_authority(arena, stream->host, &host) &&
					     slice_equal(host, head->authority));
}

/* H2-13. The library let only CONNECT go without scheme and path. */
static bool settle_target(struct h2_stream *stream)
{
	struct head *head = stream->head;

	if (!method_valid(head->method_text)) {
		return false;
	}
	head_set_method(head, method_find(head->method_text), head->method_text);
	stream->head_request = head->method == METHOD_HEAD;
	if (head->method == METHOD_CONNECT) {
		return stream->target.size == 0 && head->scheme.size == 0;
	}
	if (!slice_equal_fold(head->scheme, SLICE("http")) &&
		!slice_equal_fold(head->scheme, SLICE("https"))) {
		return false;
	}
	/* The absolute form belongs to HTTP/1. */
	if (stream->target.size == 0 ||
		(stream->target.data[0] != '/' && !slice_equal(stream->target, SLICE("*")))) {
		return false;
	}
	return target_parse(head, stream->target) == REASON_ok;
}

/* END_STREAM on the head is no body. */
static bool settle_body(struct h2_stream *stream, bool end)
{
	struct head *head = stream->head;
	enum body_kind kind = head->body == BODY_LENGTH ? BODY_LENGTH : BODY_UNKNOWN;

	if (!body_account_head(&stream->in_account, kind, head->length, end)) {
		return false;
	}
	head->body = end ? BODY_NONE : kind;
	head->expect_continue = head->expect_continue && !end;
	return true;
}

/* The client's own deadline, for h2_budget_reset: of gRPC, or of a leg of the mesh. */
static void note_deadline(struct h2_stream *stream)
{
	struct slice text = head_value(stream->head, TOKEN_grpc_timeout);
	struct slice leg = head_value(stream->head, TOKEN_x_pillion_deadline);
	uint64_t most = UINT64_MAX;
	uint64_t value;

	if (text.size > 0 && grpc_parse_timeout(text, &value)) {
		most = value / 1000000;
	}
	if (slice_parse_u64(leg, FIELDS_DEADLINE_MAX_MS, &value) && value < most) {
		most = value;
	}
	if (most != UINT64_MAX) {
		stream->expires_ms = stream->h2->now_ms + most - most / 4;
	}
}

/* The answer of the reader itself; the stream has no owner from then on. */
static void answer_reason(struct h2_stream *stream, enum reason why)
{
	struct stream *public = &stream->stream;
	struct reply reply = {
		.reason = why,
		.grpc = -1,
		.outcome = OUTCOME_NOT_PROCESSED,
		.grpc_client = head_is_grpc(stream->head),
		.head_request = stream->head_request,
		.wall_ms = stream->h2->codec.wall_ms,
	};
	struct head head;
	int error;
	struct buf body;
	bool end;

	head_init(&head, &public->arena, HEAD_RESPONSE);
	buf_init(&body);
	reply_build(&reply, &head, &body);
	end = body.size == 0;
	stream->owned = false;
	public->head_out = true;
	public->ended_out = true;
	error = h2_headers_submit(stream, &head, end);
	ASSERT(error == 0);
	chain_append_copy(&public->out, stream->h2->codec.pool, body.data, body.size);
	stream->fin = !end;
	h2_send_queue(stream);
	h2_stream_flush(stream);
	buf_fini(&body);
}

void h2_server_head(struct h2_stream *stream, bool end)
{
	struct codec *codec = &stream->h2->codec;
	struct stream *public = &stream->stream;
	bool malformed = stream->refused == REASON_h2_malformed;

	if (!malformed && stream->refused == REASON_ok) {
		malformed = !settle_target(stream) || !settle_authority(stream) ||
			    !settle_body(stream, end);
	}
	if (malformed) {
		h2_stream_refuse(stream, REASON_h2_malformed);
		return;
	}
	stream->phase = end ? H2_PHASE_ENDED : H2_PHASE_BODY;
	if (stream->refused != REASON_ok) {
		h2_budget_malformed(stream);
		stream->head_request = slice_equal(stream->head->method_text, SLICE("HEAD"));
		answer_reason(stream, stream->refused);
		return;
	}
	fields_join_cookies(stream->head);
	note_deadline(stream);
	stream->announced = true;
	codec->events->on_stream(codec, public);
	ASSERT(public->ops);
	public->ended_in = end;
	public->ops->on_head(public, stream->head, end);
}
