/*
 * h2_send: frames out. DATA never passes through the library: its header is copied, its bytes move
 * as spans. The library would serve one stream until it is dry, so turns are kept here: with more
 * than one stream ready, each gets one DATA frame of at most 16 KiB and goes to the end of the
 * queue (H2-32).
 */
#include "http/h2_internal.h"

#define FRAME_HEADER_SIZE 9
#define PIECE_COPIED	  1024 /* B-06: smaller bodies share a block with their frame header */

/* The stream has bytes or an end to send. */
void h2_send_queue(struct h2_stream *stream)
{
	struct h2 *h2 = stream->h2;

	if (stream->stream.out.size == 0 && !stream->fin) {
		return;
	}
	if (!stream->ready) {
		stream->ready = true;
		h2->ready_count++;
	}
	/* Otherwise the library asks by itself, after the head. */
	if (stream->deferred && !list_linked(&stream->turn)) {
		list_push_back(&h2->turns, &stream->turn);
	}
}

static bool may_send(const struct h2 *h2, const struct h2_stream *stream)
{
	return h2->turn == stream ||
	       (h2->ready_count <= 1 && h2->out && h2->out->size < h2->out_limit);
}

/* MM-05 for the sending side. False: the owner sent more or less than it promised. */
static bool account(struct h2_stream *stream, size_t size, bool last)
{
	if (size > 0 && !body_account_data(&stream->out_account, size)) {
		return false;
	}
	if (last && stream->trailers_out && !body_account_trailers(&stream->out_account)) {
		return false;
	}
	return !last || body_account_end(&stream->out_account);
}

ssize_t h2_send_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length,
	uint32_t *flags, nghttp2_data_source *source, void *context)
{
	struct h2_stream *stream = source->ptr;
	struct h2 *h2 = context;
	size_t size = stream->stream.out.size < length ? stream->stream.out.size : length;
	bool last = stream->fin && size == stream->stream.out.size;

	(void)session;
	(void)id;
	(void)buf;
	if (stream->phase == H2_PHASE_FAILED || (size == 0 && !last)) {
		h2_stream_unready(stream);
		stream->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	if (!may_send(h2, stream)) {
		stream->deferred = true;
		h2_send_queue(stream);
		return NGHTTP2_ERR_DEFERRED;
	}
	h2->turn = NULL;
	if (!account(stream, size, last)) {
		stream->deferred = true;
		h2_stream_refuse(stream, REASON_internal_error);
		return NGHTTP2_ERR_DEFERRED;
	}
	if (last) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		h2_stream_unready(stream);
		if (stream->trailers_out) {
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
			if (h2_headers_submit_trailers(stream)) {
				return NGHTTP2_ERR_CALLBACK_FAILURE; /* memory is gone */
			}
		}
	}
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	return (ssize_t)size;
}

static void move_body(struct h2 *h2, struct chain *body, size_t size)
{
	if (size >= PIECE_COPIED) {
		chain_move_bytes(h2->out, body, size);
		return;
	}
	while (size > 0) {
		struct slice piece = chain_span(body, 0);
		size_t part = piece.size < size ? piece.size : size;

		chain_append_copy(h2->out, h2->codec.pool, piece.data, part);
		chain_drop(body, part);
		size -= part;
	}
}

int h2_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *header,
	size_t length, nghttp2_data_source *source, void *context)
{
	struct h2_stream *stream = source->ptr;
	struct stream *public = &stream->stream;
	struct h2 *h2 = context;

	(void)session;
	ASSERT(frame->data.padlen == 0 && length <= public->out.size && h2->out);
	chain_append_copy(h2->out, h2->codec.pool, header, FRAME_HEADER_SIZE);
	move_body(h2, &public->out, length);
	h2->codec.produced += FRAME_HEADER_SIZE + length;
	h2->data_sent++;
	public->sent += length;
	if (stream->owned && length > 0) {
		public->ops->on_sent(public, length);
	} else if (list_linked(&stream->flush)) {
		/* T-10 begins anew; the list stays in the order of the clocks. */
		list_unlink(&stream->flush);
		list_push_back(&h2->flushing, &stream->flush);
		stream->flush_since_ms = 0;
	}
	return 0;
}

int h2_send_before(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
	struct h2 *h2 = context;

	(void)session;
	(void)frame;
	h2->frame_begin = h2->codec.produced;
	return 0;
}

/* MT-01: where in the output the head stands. The library says so before it gives its bytes. */
static void sent_head(struct h2_stream *stream)
{
	if (stream->interims_out > 0) {
		stream->interims_out--;
	} else if (stream->stream.head_end == 0) {
		stream->stream.head_begin = stream->h2->frame_begin;
		stream->h2->head_sent = stream;
	}
}

static void sent_end(struct h2_stream *stream)
{
	stream->fin_sent = true;
	if (list_linked(&stream->flush) && stream->phase != H2_PHASE_ENDED) {
		/* GR-08: a client that still sends is stopped, without taking the answer back. */
		h2_stream_rst(stream, H2_NO_ERROR);
	}
}

int h2_send_after(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
	struct h2 *h2 = context;
	struct h2_stream *stream = NULL;

	if (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) {
		stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	}
	if (stream && frame->hd.type == NGHTTP2_HEADERS) {
		sent_head(stream);
	}
	if (stream && frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
		sent_end(stream);
	}
	if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR) {
		/* The library ended the session by itself; these were its last words. */
		h2->farewell_sent = true;
		h2->verdict = frame->goaway.error_code == NGHTTP2_PROTOCOL_ERROR ||
					      frame->goaway.error_code != NGHTTP2_ENHANCE_YOUR_CALM
				      ? REASON_h2_protocol
				      : REASON_h2_flood;
	}
	return 0;
}

int h2_send_refused(nghttp2_session *session, const nghttp2_frame *frame, int code, void *context)
{
	struct h2_stream *stream = NULL;

	(void)context;
	if (frame->hd.type == NGHTTP2_HEADERS) {
		stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	}
	if (stream && (code == NGHTTP2_ERR_FRAME_SIZE_ERROR || code == NGHTTP2_ERR_HEADER_COMP)) {
		h2_stream_refuse(stream, REASON_internal_error); /* H2-33 */
	}
	return 0;
}

int h2_send_all(struct h2 *h2)
{
	for (;;) {
		const uint8_t *bytes;
		ssize_t size = nghttp2_session_mem_send(h2->session, &bytes);
		struct list_node *node;

		if (size < 0) {
			return (int)size;
		}
		if (size > 0) {
			chain_append_copy(h2->out, h2->codec.pool, bytes, (size_t)size);
			h2->codec.produced += (uint64_t)size;
			if (h2->head_sent) {
				h2->head_sent->stream.head_end = h2->codec.produced;
				h2->head_sent = NULL;
			}
			continue;
		}
		if (h2->out->size >= h2->out_limit || !(node = list_pop_front(&h2->turns))) {
			return 0;
		}
		h2->turn = LIST_ENTRY(node, struct h2_stream, turn);
		h2->turn->deferred = false;
		nghttp2_session_resume_data(h2->session, h2->turn->id);
	}
}
