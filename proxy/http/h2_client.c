/*
 * h2_client: what a response head means: interim, final or, after that, trailers, by phase and not
 * by the library's category (H2-18). A faulty one costs its stream only.
 */
#include "http/h2_internal.h"

#define STATUS_CONTINUE	 100
#define STATUS_SWITCHING 101

struct h2_stream *h2_client_begin(struct h2 *h2, const nghttp2_frame *frame)
{
	struct h2_stream *stream =
		nghttp2_session_get_stream_user_data(h2->session, frame->hd.stream_id);
	enum head_kind kind;

	if (!stream) {
		return NULL;
	}
	if (!stream->owned || stream->phase == H2_PHASE_ENDED || stream->phase == H2_PHASE_FAILED) {
		stream->head = NULL;
		return NULL;
	}
	kind = stream->phase == H2_PHASE_HEAD ? HEAD_RESPONSE : HEAD_TRAILERS;
	if (kind == HEAD_RESPONSE) {
		/* Each interim head has the whole room of one; their number is bounded. */
		stream->cost = 0;
		stream->field_count = 0;
	}
	stream->head = arena_alloc(&stream->stream.arena, sizeof(struct head));
	head_init(stream->head, &stream->stream.arena, kind);
	stream->head->version = HTTP_2;
	return stream;
}

/* X-07, H1-33, H1-34. */
static void interim_head(struct h2_stream *stream, bool end)
{
	const struct http_limits *limits = stream->h2->codec.limits;
	struct stream *public = &stream->stream;
	struct head *head = stream->head;

	if (end || head->status == STATUS_SWITCHING ||
		++stream->interims > limits->interim_responses) {
		h2_stream_refuse(stream, REASON_upstream_protocol);
		return;
	}
	if (head->status == STATUS_CONTINUE || !limits->interim) {
		return;
	}
	head->kind = HEAD_INTERIM;
	head->body = BODY_NONE;
	public->ops->on_head(public, head, false);
}

/* H1-17 in terms of HTTP/2: what the length means, and whether bytes may follow. */
static bool settle_body(struct h2_stream *stream, bool end)
{
	struct head *head = stream->head;
	bool has_length = head->body == BODY_LENGTH;
	bool bodiless = stream->head_request || head->status == 204 || head->status == 304;

	if (bodiless) {
		head->has_declared_length = has_length && head->status != 204;
		head->declared_length = head->length;
		head->length = 0;
		head->body = BODY_NONE;
		return body_account_head(&stream->in_account, BODY_NONE, 0, end);
	}
	if (!body_account_head(&stream->in_account, has_length ? BODY_LENGTH : BODY_UNKNOWN,
		    head->length, end)) {
		return false;
	}
	head->body = has_length ? BODY_LENGTH : end ? BODY_NONE : BODY_UNKNOWN;
	return true;
}

void h2_client_head(struct h2_stream *stream, bool end)
{
	struct stream *public = &stream->stream;
	struct head *head = stream->head;

	ASSERT(stream->phase == H2_PHASE_HEAD && stream->announced);
	if (stream->refused != REASON_ok || head->status == 0) {
		h2_stream_refuse(stream, stream->refused == REASON_head_too_large ||
							 stream->refused == REASON_too_many_fields
						 ? REASON_upstream_head_too_large
						 : REASON_upstream_protocol);
		return;
	}
	if (head->status < 200) {
		interim_head(stream, end);
		return;
	}
	if (!settle_body(stream, end)) {
		h2_stream_refuse(stream, REASON_upstream_protocol);
		return;
	}
	stream->phase = end ? H2_PHASE_ENDED : H2_PHASE_BODY;
	public->ended_in = end;
	public->ops->on_head(public, head, end);
}
