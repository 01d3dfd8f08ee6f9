/*
 * h2_stream: the life of a stream. Three parties know it: its owner (until reset), nghttp2 (until
 * on_stream_close) and the lists of the codec; it is freed when the first two are through. Events
 * for the owner are gathered as flags and given in the order body, trailers, reset.
 */
#include "http/h2_stream.h"

#include <errno.h>

#include "base/mem.h"
#include "http/h2_internal.h"

#define SPARE_MAX  8 /* objects kept for the next requests of a connection */
#define SPARE_IDLE 2

struct h2_stream *h2_stream_create(struct h2 *h2)
{
	struct list_node *node = list_pop_front(&h2->spare);
	struct h2_stream *stream;
	struct arena arena;

	if (node) {
		stream = LIST_ENTRY(node, struct h2_stream, node);
		h2->spare_count--;
		arena = stream->stream.arena;
	} else {
		stream = mem_alloc(sizeof(*stream));
		arena_init(&arena);
	}
	*stream = (struct h2_stream){
		.h2 = h2,
		.owned = true,
		.expires_ms = UINT64_MAX,
		.stream = {.codec = &h2->codec,
			.window = h2->codec.limits->h2_stream_window,
			.arena = arena,
			.reused = h2->codec.client && h2->streams_opened > 0},
	};
	chain_init(&stream->stream.out);
	chain_init(&stream->in);
	list_init(&stream->touch);
	list_init(&stream->turn);
	list_init(&stream->flush);
	body_account_init(&stream->in_account);
	body_account_init(&stream->out_account);
	list_push_back(&h2->streams, &stream->node);
	h2->codec.streams_active++;
	h2->streams_opened += h2->codec.client;
	return stream;
}

static void stream_free(struct h2_stream *stream)
{
	arena_fini(&stream->stream.arena);
	mem_free(stream);
}

/* True: it was sending what its owner left behind. */
static bool flush_end(struct h2_stream *stream)
{
	bool flushing = list_linked(&stream->flush);

	list_unlink(&stream->flush);
	stream->h2->codec.streams_flushing -= flushing;
	return flushing;
}

/* It no longer counts against the limit (H2-30). */
static void stream_leave(struct h2 *h2)
{
	ASSERT(h2->codec.streams_active > 0);
	h2->codec.streams_active--;
	h2_settle(h2);
}

/* Freed once nobody can hold it any more. */
static void stream_bury(struct h2_stream *stream)
{
	ASSERT(!stream->owned && !stream->open && !list_linked(&stream->flush));
	if (stream->h2->block == stream) {
		stream->h2->block = NULL;
	}
	h2_stream_unready(stream);
	list_unlink(&stream->touch);
	list_unlink(&stream->node);
	chain_fini(&stream->in);
	chain_fini(&stream->stream.out);
	list_push_back(&stream->h2->graveyard, &stream->node);
}

void h2_stream_reap(struct h2 *h2)
{
	struct list_node *node;

	ASSERT(h2->depth == 0);
	while ((node = list_pop_front(&h2->graveyard))) {
		struct h2_stream *stream = LIST_ENTRY(node, struct h2_stream, node);

		if (h2->spare_count < SPARE_MAX) {
			arena_reset(&stream->stream.arena);
			list_push_back(&h2->spare, &stream->node);
			h2->spare_count++;
		} else {
			stream_free(stream);
		}
	}
	/* B-09: an idle connection keeps little for later. */
	while (h2->codec.streams_active == 0 && h2->spare_count > SPARE_IDLE) {
		stream_free(LIST_ENTRY(list_pop_front(&h2->spare), struct h2_stream, node));
		h2->spare_count--;
	}
}

void h2_stream_free_all(struct h2 *h2)
{
	LIST_FOR_EACH_SAFE(node, &h2->streams) {
		struct h2_stream *stream = LIST_ENTRY(node, struct h2_stream, node);

		/* One that nobody was told of may still wait for its RST_STREAM. */
		ASSERT(!stream->owned || !stream->announced);
		stream->owned = false;
		stream->open = false;
		(void)flush_end(stream);
		stream_bury(stream);
	}
	h2->codec.streams_active = 0;
	h2_stream_reap(h2);
	while (h2->spare_count > 0) {
		stream_free(LIST_ENTRY(list_pop_front(&h2->spare), struct h2_stream, node));
		h2->spare_count--;
	}
}

void h2_stream_touch(struct h2_stream *stream)
{
	if (!list_linked(&stream->touch)) {
		list_push_back(&stream->h2->touched, &stream->touch);
	}
}

static void deliver_body(struct h2_stream *stream)
{
	struct stream *public = &stream->stream;
	bool end = stream->end_pending && !stream->trailers_pending;

	if (stream->in.size == 0 && !end) {
		return;
	}
	public->received += stream->in.size;
	/* Invariant A: nghttp2 lets no peer send more than the credit it was given. */
	ASSERT(public->received - public->credited <= public->window);
	if (end) {
		stream->end_pending = false;
		public->ended_in = true;
	}
	public->ops->on_body(public, &stream->in, end);
	chain_clear(&stream->in);
}

static void deliver_one(struct h2_stream *stream)
{
	struct stream *public = &stream->stream;

	if (stream->owned && !stream->told) {
		deliver_body(stream);
	}
	if (stream->owned && !stream->told && stream->trailers_pending) {
		stream->trailers_pending = false;
		stream->end_pending = false;
		public->ended_in = true;
		public->ops->on_head(public, stream->head, true);
	}
	if (stream->owned && !stream->told && stream->close_pending) {
		stream->told = true;
		public->ops->on_reset(public, stream->close_why);
	}
	chain_clear(&stream->in);
}

void h2_stream_deliver(struct h2 *h2)
{
	struct list_node *node;

	ASSERT(h2->depth > 0);
	while ((node = list_pop_front(&h2->touched))) {
		deliver_one(LIST_ENTRY(node, struct h2_stream, touch));
	}
}

void h2_stream_unready(struct h2_stream *stream)
{
	list_unlink(&stream->turn);
	if (stream->h2->turn == stream) {
		stream->h2->turn = NULL;
	}
	if (stream->ready) {
		stream->ready = false;
		ASSERT(stream->h2->ready_count > 0);
		stream->h2->ready_count--;
	}
}

void h2_stream_rst(struct h2_stream *stream, enum h2_error error)
{
	chain_clear(&stream->stream.out);
	h2_stream_unready(stream);
	stream->phase = H2_PHASE_FAILED;
	if (stream->open && !stream->h2->failed) {
		nghttp2_submit_rst_stream(
			stream->h2->session, NGHTTP2_FLAG_NONE, stream->id, error);
	}
}

/* Only a stream whose owner can still be told something. */
static void close_later(struct h2_stream *stream, enum reason why)
{
	if (stream->owned && stream->announced && !stream->told && !stream->close_pending) {
		stream->close_pending = true;
		stream->close_why = why;
		h2_stream_touch(stream);
	}
}

void h2_stream_fail(struct h2_stream *stream, enum reason why)
{
	h2_budget_malformed(stream);
	close_later(stream, why);
	stream->phase = H2_PHASE_FAILED;
}

void h2_stream_refuse(struct h2_stream *stream, enum reason why)
{
	enum h2_error error = H2_PROTOCOL_ERROR;

	if (why == REASON_internal_error) {
		error = H2_INTERNAL_ERROR;
	} else if (why == REASON_upstream_head_too_large) {
		error = H2_CANCEL;
	}
	h2_stream_fail(stream, why);
	h2_stream_rst(stream, error);
}

/* The word for a stream that the peer or the library ended. */
static enum reason closing_word(const struct h2_stream *stream, uint32_t error)
{
	if (!stream->peer_reset && error == NGHTTP2_REFUSED_STREAM) {
		return REASON_refused_stream; /* above the last id of a GOAWAY */
	}
	if (!stream->h2->codec.client) {
		return stream->peer_reset ? REASON_downstream_reset : REASON_h2_malformed;
	}
	if (stream->peer_reset) {
		return error == NGHTTP2_REFUSED_STREAM ? REASON_refused_stream
						       : REASON_upstream_reset;
	}
	return REASON_upstream_protocol;
}

/* Both directions ended, or the peer ended its own and wants no more of ours (H2-38). */
static bool ended_well(const struct h2_stream *stream, uint32_t error)
{
	return error == NGHTTP2_NO_ERROR && stream->phase == H2_PHASE_ENDED &&
	       (stream->fin_sent || stream->h2->codec.client);
}

void h2_stream_closed(struct h2_stream *stream, uint32_t error)
{
	struct h2 *h2 = stream->h2;

	ASSERT(stream->open);
	stream->open = false;
	h2_stream_unready(stream);
	chain_clear(&stream->stream.out);
	if (!stream->owned) {
		if (flush_end(stream)) {
			stream_leave(h2);
		}
		stream_bury(stream);
		return;
	}
	if (!stream->announced) {
		/* A request that was refused before anybody heard of it. */
		stream->owned = false;
		stream_leave(h2);
		stream_bury(stream);
		return;
	}
	if (ended_well(stream, error)) {
		return;
	}
	if (error != NGHTTP2_NO_ERROR && !stream->peer_reset && error != NGHTTP2_REFUSED_STREAM &&
		stream->phase != H2_PHASE_FAILED) {
		h2_budget_malformed(stream); /* a reset that nobody here asked for */
	}
	if (h2->codec.client && error == NGHTTP2_REFUSED_STREAM) {
		stream->stream.unprocessed = true;
	}
	stream->phase = H2_PHASE_FAILED;
	close_later(stream, closing_word(stream, error));
}

/* What an owner hears when the connection under its stream is gone. */
static enum reason lost_word(const struct h2_stream *stream, enum reason why)
{
	const struct codec *codec = &stream->h2->codec;

	if (!codec->client) {
		if (why != REASON_ok) {
			return why;
		}
		if (codec->input_error) {
			return REASON_downstream_reset;
		}
		return stream->phase == H2_PHASE_BODY ? REASON_downstream_truncated
						      : REASON_downstream_closed;
	}
	if (why != REASON_ok) {
		/* H2-37: silence is no fault of the peer's words. */
		return why == REASON_upstream_reset ? why : REASON_upstream_protocol;
	}
	if (codec->input_error || stream->phase == H2_PHASE_FAILED) {
		return REASON_upstream_reset;
	}
	return stream->phase == H2_PHASE_BODY ? REASON_upstream_truncated : REASON_upstream_closed;
}

void h2_stream_lose_all(struct h2 *h2, enum reason why)
{
	LIST_FOR_EACH_SAFE(node, &h2->streams) {
		struct h2_stream *stream = LIST_ENTRY(node, struct h2_stream, node);
		bool whole = h2->codec.client && stream->phase == H2_PHASE_ENDED;

		if (!stream->open && stream->id != 0) {
			continue; /* its end was told before */
		}
		if (stream->open) {
			stream->open = false;
			h2_stream_unready(stream);
			chain_clear(&stream->stream.out);
		}
		if (!stream->owned || !stream->announced) {
			bool counted = flush_end(stream) || stream->owned;

			stream->owned = false;
			if (counted) {
				stream_leave(h2);
			}
			stream_bury(stream);
		} else if (!whole) {
			close_later(stream, lost_word(stream, why));
		}
	}
	h2_stream_deliver(h2);
}

struct stream *h2_stream_open(struct codec *codec)
{
	struct h2_stream *stream;

	if (codec->ops->spare_streams(codec) == 0) {
		return NULL; /* H2-34: the library would queue it unseen */
	}
	stream = h2_stream_create(h2_of(codec));
	stream->announced = true;
	return &stream->stream;
}

int h2_stream_send_head(struct stream *public, const struct head *head, bool end)
{
	struct h2_stream *stream = h2_stream_of(public);
	int error;

	ASSERT(stream->owned && !public->ended_out);
	ASSERT(head->kind != HEAD_TRAILERS || (end && public->head_out));
	ASSERT(head->kind != HEAD_INTERIM || (!end && !public->head_out));
	ASSERT(head->kind == HEAD_TRAILERS || head->kind == HEAD_INTERIM || !public->head_out);
	stream_tell_head(public, head);
	if (stream->h2->failed || (!stream->open && (!public->codec->client || stream->id != 0))) {
		/* Closed meanwhile: on_reset is on its way. */
		public->head_out = public->head_out || head->kind != HEAD_INTERIM;
		public->ended_out = end;
		return 0;
	}
	error = h2_headers_submit(stream, head, end);
	if (error) {
		return error;
	}
	public->head_out = public->head_out || head->kind != HEAD_INTERIM;
	public->ended_out = end;
	h2_changed(stream->h2);
	return 0;
}

void h2_stream_send_more(struct stream *public, bool end)
{
	struct h2_stream *stream = h2_stream_of(public);

	ASSERT(stream->owned && public->head_out && !public->ended_out);
	public->ended_out = end;
	stream->fin = end;
	if (!stream->open || stream->phase == H2_PHASE_FAILED) {
		chain_clear(&public->out);
		return;
	}
	h2_send_queue(stream);
	h2_changed(stream->h2);
}

void h2_stream_credit(struct stream *public, size_t bytes)
{
	struct h2_stream *stream = h2_stream_of(public);

	public->credited += bytes;
	ASSERT(public->credited <= public->received);
	if (!stream->open || bytes == 0 || stream->h2->failed) {
		return;
	}
	/* Only counts, and queues a WINDOW_UPDATE when half a window has gathered. */
	nghttp2_session_consume_stream(stream->h2->session, stream->id, bytes);
	h2_changed(stream->h2);
}

void h2_stream_flush(struct h2_stream *stream)
{
	ASSERT(!stream->owned && stream->open && !list_linked(&stream->flush));
	if (stream->fin_sent) {
		/* RFC 9113 8.1: the response is complete, the rest of the request is not wanted. */
		h2_stream_rst(stream, H2_NO_ERROR);
		stream_leave(stream->h2);
		return;
	}
	list_push_back(&stream->h2->flushing, &stream->flush);
	stream->h2->codec.streams_flushing++;
}

/* The code for a cut: a complete response is not taken back. */
static enum h2_error reset_code(const struct h2_stream *stream, enum reason why)
{
	return !stream->h2->codec.client && stream->fin_sent ? H2_NO_ERROR
							     : h2_error_for_reset(why);
}

void h2_stream_reset(struct stream *public, enum reason why)
{
	struct h2_stream *stream = h2_stream_of(public);
	struct h2 *h2 = stream->h2;

	ASSERT(stream->owned);
	stream->owned = false;
	chain_clear(&stream->in);
	if (!stream->open) {
		stream_leave(h2);
		stream_bury(stream);
	} else if (why == REASON_ok && public->ended_out && !h2->codec.client &&
		   stream->phase != H2_PHASE_FAILED) {
		h2_stream_flush(stream);
	} else {
		if (stream->phase != H2_PHASE_FAILED) {
			h2_stream_rst(stream, reset_code(stream, why));
		}
		stream_leave(h2);
	}
	if (h2->depth == 0) {
		h2_stream_reap(h2);
	}
	h2_changed(h2);
}
