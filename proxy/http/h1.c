#include "http/h1.h"

#include "base/mem.h"
#include "http/h1_codec.h"

/* The output of this exchange was handed over, or nobody takes it. */
static bool h1_flushed(const struct h1 *h1)
{
	return h1->gone || (h1->pending.size == 0 && h1->end_written);
}

/* Bytes that may be given to the owner now (invariant A). */
static bool h1_has_room(const struct stream *stream)
{
	return stream->received - stream->credited < stream->window;
}

static bool h1_wants_read(const struct h1 *h1)
{
	const struct stream *stream = &h1->stream;

	if (h1->codec.closing || h1->eof || h1->failed) {
		return false;
	}
	if (!h1->active) {
		return true;
	}
	if (h1->head_in && !stream->ended_in && !h1->released) {
		return h1_has_room(stream);
	}
	/* A response head may be larger than a pipeline; the parser bounds it (H1-12). */
	if (h1->codec.client && !h1->head_in && !h1->released) {
		return true;
	}
	/* H1-36; also how a peer that leaves is noticed while it waits. */
	return h1->codec.in.size < H1_PIPELINE_BYTES;
}

/* Heads go first; body bytes and the end mark only behind them. */
static bool h1_has_output(const struct h1 *h1)
{
	const struct stream *stream = &h1->stream;

	if (h1->pending.size > 0) {
		return true;
	}
	return h1->active && !h1->gone && !h1->broken_out && stream->head_out &&
	       (stream->out.size > 0 || (stream->ended_out && !h1->end_written));
}

void h1_update(struct h1 *h1)
{
	struct codec *codec = &h1->codec;
	bool waits = !h1->active && !codec->closing && !codec->client;

	codec->streams_active = h1->active && !h1->released;
	codec->want_read = h1_wants_read(h1);
	codec->has_output = h1_has_output(h1);
	codec->next_deadline_ms = waits ? h1->deadline_ms : UINT64_MAX;
	/* C-02 */
	codec->reusable =
		codec->client && !h1->active && !codec->closing && !h1->eof && !codec->draining;
	ASSERT(h1->stream.received - h1->stream.credited <= h1->stream.window || !h1->active);
}

/* Flags may differ and there may be output: the connection looks at both later this turn. */
static void h1_changed(struct h1 *h1)
{
	h1_update(h1);
	h1->codec.events->on_change(&h1->codec);
}

void h1_note_refused(struct h1 *h1)
{
	struct codec *codec = &h1->codec;
	size_t size = codec->in.size;

	size = size < sizeof(codec->refused_bytes) ? size : sizeof(codec->refused_bytes);
	chain_copy_out(&codec->in, 0, codec->refused_bytes, size);
	codec->refused_size = (uint8_t)size;
}

void h1_begin(struct h1 *h1)
{
	struct stream *stream = &h1->stream;

	ASSERT(!h1->active && stream->out.size == 0);
	stream->ops = NULL;
	stream->owner = NULL;
	stream->witness = NULL;
	stream->received = 0;
	stream->credited = 0;
	stream->sent = 0;
	stream->window = h1->codec.limits->h2_stream_window; /* B-02: the same number */
	stream->head_begin = 0;
	stream->head_end = 0;
	stream->ended_in = false;
	stream->ended_out = false;
	stream->unprocessed = false;
	stream->head_out = false;
	stream->reused = h1->exchanges > 0;
	h1->active = true;
	h1->released = false;
	h1->failed = false;
	h1->head_in = false;
	h1->stalled = false;
	h1->interims = 0;
	h1->framing = H1_OUT_NONE;
	h1->end_written = false;
	h1->te_trailers = false;
	h1->expects_100 = false;
	h1->http_1_0 = false;
	body_account_init(&h1->account_in);
	body_account_init(&h1->account_out);
}

/* The exchange is over and out: the connection takes the next one, or closes. */
static void h1_finish(struct h1 *h1)
{
	struct codec *codec = &h1->codec;
	struct stream *stream = &h1->stream;
	bool complete = !h1->gone && !h1->failed && h1->end_written &&
			body_account_clean(&h1->account_in) && body_account_clean(&h1->account_out);

	ASSERT(h1->active && h1->released);
	h1->active = false;
	h1->exchanges++;
	chain_clear(&stream->out);
	chain_clear(&h1->trailers);
	chain_clear(&h1->body);
	chain_clear(&h1->pending);
	arena_reset(&stream->arena);
	h1->reading = NULL;
	h1->scanning = false;
	/* only two bodies that ended exactly leave a connection that can be trusted. */
	if (!complete || h1->poisoned || h1->eof || codec->draining) {
		codec->closing = true;
		/* H1-39: the peer may still be sending; a close now could destroy our answer. */
		codec->linger = !codec->client && !h1->gone && !h1->eof;
		chain_clear(&codec->in);
		return;
	}
	h1->idle = true;
	h1->deadline_ms = h1->now_ms + codec->limits->idle_timeout_ms;
	codec->again = codec->again || codec->in.size > 0;
}

void h1_settle(struct h1 *h1)
{
	if (h1->active && h1->released && h1->callbacks == 0 && h1_flushed(h1)) {
		h1_finish(h1);
	}
}

void h1_fail(struct h1 *h1, enum reason reason)
{
	struct codec *codec = &h1->codec;
	struct stream *stream = &h1->stream;

	ASSERT(h1->active && !h1->failed);
	h1->failed = true;
	h1->poisoned = true;
	if (codec->close_reason == REASON_ok) {
		codec->close_reason = reason;
	}
	chain_clear(&codec->in);
	if (codec->client) {
		/* C-09: not a byte of the request left this process. */
		stream->unprocessed =
			stream->head_end == 0 || codec->produced <= stream->head_begin;
		h1->gone = true;
		chain_clear(&h1->pending);
	}
	if (!h1->released) {
		h1->callbacks++;
		stream->ops->on_reset(stream, reason);
		h1->callbacks--;
	}
}

/* Bytes of codec->in that the scan did not see yet. */
static bool h1_scan_new(struct h1 *h1)
{
	const struct chain *in = &h1->codec.in;
	size_t offset = h1->scan.seen;
	bool decided = false;

	for (uint32_t i = 0; i < in->count; i++) {
		struct slice bytes = chain_span(in, i);

		if (offset < bytes.size) {
			decided |= h1_scan_bytes(&h1->scan, slice_from(bytes, offset));
		}
		offset = offset > bytes.size ? offset - bytes.size : 0;
	}
	return decided;
}

ssize_t h1_try_head(struct h1 *h1, struct h1_message *message, enum head_kind kind)
{
	struct chain *in = &h1->codec.in;
	struct arena *arena = &h1->stream.arena;
	bool first = !h1->scanning;
	struct slice bytes;
	ssize_t used;

	ASSERT(in->size > 0);
	if (h1->reading == NULL) {
		h1->reading = arena_alloc(arena, sizeof(*h1->reading));
	}
	head_init(h1->reading, arena, kind);
	h1_parse_init(message, h1->reading, h1->codec.limits);
	/* Usually the head came in one piece and is read at once; one that did not is only gathered
	 * and read again when the new bytes decide something, or are the last. */
	if (!first && !h1_scan_new(h1) && !h1->eof) {
		return 0;
	}
	bytes = chain_gather(in, h1->codec.pool);
	if (kind == HEAD_TRAILERS) {
		/* H1-25: they count together with the head. */
		message->size = h1->head_size;
		message->field_count = h1->head_fields;
		used = h1_parse_trailers(message, h1->reading, bytes);
	} else {
		used = h1_parse_head(message, bytes);
	}
	if (used > 0) {
		chain_drop(in, (size_t)used);
		h1->head_size = message->size;
		h1->head_fields = message->field_count;
	}
	if (used != 0) {
		h1->scanning = false;
		h1->reading = NULL;
	} else if (first) {
		h1->scanning = true;
		h1_scan_init(&h1->scan);
		/* What was just read decided nothing; from here on each byte is looked at once. */
		(void)h1_scan_new(h1);
	}
	return used;
}

/* Everything that parses, and everything that needs the time, happens here (MM-13). */
static void h1_receive(struct codec *codec, bool end_of_input, uint64_t now_ms)
{
	struct h1 *h1 = h1_of(codec);

	ASSERT(h1->callbacks == 0);
	h1->now_ms = now_ms;
	codec->again = false;
	h1->eof = h1->eof || end_of_input || codec->input_error != 0;
	if (codec->closing) {
		chain_clear(&codec->in);
	} else if (codec->client) {
		h1_client_receive(h1);
	} else {
		h1_server_receive(h1);
	}
	h1_settle(h1);
	h1_update(h1);
}

/* C-02: one request at a time, and only on a connection that can be trusted. */
static struct stream *h1_open(struct codec *codec)
{
	struct h1 *h1 = h1_of(codec);

	ASSERT(codec->client && h1->callbacks == 0);
	h1_update(h1);
	if (!codec->reusable) {
		return NULL;
	}
	h1_begin(h1);
	h1_update(h1);
	return &h1->stream;
}

static int h1_send_head(struct stream *stream, const struct head *head, bool end)
{
	struct h1 *h1 = h1_of(stream->codec);
	int result = 0;

	ASSERT(h1->active && !h1->released);
	stream_tell_head(stream, head);
	/* After a failure towards the peer nothing is written; the owner need not know. */
	if (!h1->gone) {
		result = h1->codec.client ? h1_client_send_head(h1, head, end)
					  : h1_server_send_head(h1, head, end);
	}
	h1_changed(h1);
	return result;
}

/* The bytes wait in stream.out until the connection has room (B-05). */
static void h1_send_more(struct stream *stream, bool end)
{
	struct h1 *h1 = h1_of(stream->codec);

	ASSERT(h1->active && !h1->released && (stream->head_out || h1->gone));
	/* No byte may follow an end that was announced. */
	ASSERT(!h1->end_written || stream->out.size == 0);
	stream->ended_out = stream->ended_out || end;
	if (h1->gone) {
		chain_clear(&stream->out);
	}
	h1_changed(h1);
}

/* What the other side took makes room for as much here (B-01). */
static void h1_credit(struct stream *stream, size_t bytes)
{
	struct h1 *h1 = h1_of(stream->codec);

	ASSERT(h1->active && !h1->released && bytes <= stream->received - stream->credited);
	stream->credited += bytes;
	if (!h1->codec.client && bytes == 0) {
		h1_server_continue(h1);
	}
	if (h1->stalled && h1_has_room(stream)) {
		h1->stalled = false;
		h1->codec.again = true;
	}
	h1_changed(h1);
}

static void h1_reset(struct stream *stream, enum reason why)
{
	struct h1 *h1 = h1_of(stream->codec);
	struct codec *codec = &h1->codec;
	/* A server's response that is queued whole is still sent, unless it is not wanted either.
	 */
	bool cut = codec->client ? !stream->ended_in || !h1->end_written
				 : !stream->ended_out || (why != REASON_ok && !h1_flushed(h1));

	ASSERT(h1->active && !h1->released);
	h1->released = true;
	if (cut) {
		/* A close before the promised length, or without the last chunk, is the cut. Where
		 * only the close itself ends the body, it must not look like a clean one; and an
		 * upstream that reads no more of a request would not see a FIN behind it (C-12). */
		codec->close_reset = codec->client
					     ? stream->head_out && !h1->end_written
					     : stream->head_out && h1->framing == H1_OUT_CLOSE;
		h1->gone = true;
		chain_clear(&h1->pending);
		if (codec->close_reason == REASON_ok) {
			codec->close_reason = why;
		}
	}
	h1_settle(h1);
	h1_changed(h1);
}

static void h1_drain(struct codec *codec, bool final)
{
	struct h1 *h1 = h1_of(codec);

	(void) final;
	codec->draining = true;
	/* D-03: an idle connection ends now; a request that began to arrive is still served. */
	if (!h1->active && !codec->closing && (codec->client || codec->in.size == 0)) {
		codec->closing = true;
		codec->linger = !codec->client;
	}
	h1_changed(h1);
}

static unsigned h1_spare_streams(const struct codec *codec)
{
	return codec->reusable ? 1 : 0;
}

static void h1_destroy(struct codec *codec)
{
	struct h1 *h1;

	if (codec == NULL) {
		return;
	}
	h1 = h1_of(codec);
	ASSERT(h1->callbacks == 0 && (!h1->active || h1->released));
	chain_fini(&codec->in);
	chain_fini(&h1->stream.out);
	chain_fini(&h1->body);
	chain_fini(&h1->pending);
	chain_fini(&h1->trailers);
	arena_fini(&h1->stream.arena);
	mem_free(h1);
}

static const struct codec_ops h1_ops = {
	.name = "h1",
	.receive = h1_receive,
	.produce = h1_write_produce,
	.open = h1_open,
	.send_head = h1_send_head,
	.send_more = h1_send_more,
	.credit = h1_credit,
	.reset = h1_reset,
	.drain = h1_drain,
	.spare_streams = h1_spare_streams,
	.destroy = h1_destroy,
};

struct codec *h1_create(const struct codec_options *options)
{
	struct h1 *h1 = mem_zalloc(sizeof(*h1));
	struct codec *codec = &h1->codec;

	ASSERT(options->limits != NULL && options->pool != NULL && options->events != NULL);
	codec->ops = &h1_ops;
	codec->events = options->events;
	codec->owner = options->owner;
	codec->pool = options->pool;
	codec->limits = options->limits;
	codec->client = options->client;
	codec->close_reason = REASON_ok;
	codec->detail = REASON_ok;
	chain_init(&codec->in);
	chain_init(&h1->stream.out);
	chain_init(&h1->body);
	chain_init(&h1->pending);
	chain_init(&h1->trailers);
	arena_init(&h1->stream.arena);
	h1->stream.codec = codec;
	h1->now_ms = options->now_ms;
	/* T-03 runs from the accept. */
	h1->deadline_ms = options->now_ms + options->limits->head_timeout_ms;
	h1_update(h1);
	return codec;
}
