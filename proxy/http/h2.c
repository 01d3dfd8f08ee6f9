/*
 * h2: the codec around an nghttp2 session. receive feeds blocks in and then acts on what callbacks
 * marked; produce takes frames out. A failed connection never calls nghttp2 again: its last words
 * are a GOAWAY written here, so that no fault of the library's state can matter any more (H2-09).
 */
#include "http/h2.h"

#include "base/mem.h"
#include "http/h2_internal.h"

#define SETTINGS_ACK_MS 10000		   /* H2-08 */
#define DRAIN_PING_MS	1000		   /* D-06: a PING round trip, at most this */
#define FLUSH_MS	30000		   /* T-10 for streams whose owner has let go */
#define MEMORY_MAX	(2u * 1024 * 1024) /* H2-06 */
#define GOAWAY_SIZE	17

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* H2-37: when the peer is asked for a sign of life, or given up. */
static uint64_t ping_deadline(const struct h2 *h2)
{
	const struct http_limits *limits = h2->codec.limits;

	if (limits->h2_ping_ms == 0 || !h2->codec.client || h2->codec.streams_active == 0) {
		return UINT64_MAX;
	}
	return h2->ping_sent_ms != 0 ? h2->ping_sent_ms + limits->h2_ping_wait_ms
				     : h2->heard_ms + limits->h2_ping_ms;
}

static void set_deadline(struct h2 *h2)
{
	struct codec *codec = &h2->codec;
	uint64_t deadline = earlier(h2->settings_deadline_ms, h2->block_deadline_ms);

	deadline = earlier(deadline, h2->drain_deadline_ms);
	deadline = earlier(deadline, ping_deadline(h2));
	if (!list_empty(&h2->flushing)) {
		struct h2_stream *first = LIST_ENTRY(h2->flushing.next, struct h2_stream, flush);
		uint64_t since = first->flush_since_ms ? first->flush_since_ms : h2->now_ms;

		deadline = earlier(deadline, since + FLUSH_MS);
	}
	if (!codec->client && codec->streams_active == 0) {
		/* T-02; an idle time that began since the last turn is noticed one period late. */
		uint64_t since = h2->idle_since_ms ? h2->idle_since_ms : h2->now_ms;

		deadline = earlier(deadline, since + codec->limits->h2_idle_timeout_ms);
	}
	codec->next_deadline_ms = codec->closing ? UINT64_MAX : deadline;
}

void h2_changed(struct h2 *h2)
{
	struct codec *codec = &h2->codec;

	if (h2->failed) {
		codec->has_output = !h2->farewell_sent;
	} else {
		codec->has_output =
			!list_empty(&h2->turns) || nghttp2_session_want_write(h2->session);
	}
	set_deadline(h2);
	codec->events->on_change(codec);
}

/* The connection is beyond help: all streams end, the peer is told why. */
static void h2_fail(struct h2 *h2, enum reason why)
{
	struct codec *codec = &h2->codec;

	if (h2->failed) {
		return;
	}
	h2_stream_deliver(h2); /* what came whole before the fault still counts */
	h2->failed = true;
	codec->close_reason = why;
	codec->closing = true;
	codec->draining = true;
	codec->want_read = false;
	codec->again = false;
	codec->linger = !codec->client; /* a RST would take the GOAWAY away from the peer */
	chain_clear(&codec->in);
	h2_stream_lose_all(h2, why);
}

/* A close without fault: GOAWAY(NO_ERROR) from the library, then the connection ends. */
static void h2_finish(struct h2 *h2, enum reason why)
{
	struct codec *codec = &h2->codec;

	ASSERT(codec->streams_active == 0);
	if (!h2->terminating && !h2->failed) {
		h2->terminating = true;
		nghttp2_session_terminate_session(h2->session, NGHTTP2_NO_ERROR);
	}
	codec->close_reason = why;
	codec->closing = true;
	codec->draining = true;
	codec->want_read = false;
}

void h2_settle(struct h2 *h2)
{
	struct codec *codec = &h2->codec;
	bool last_words = codec->client ? codec->draining : h2->drain_final;

	if (codec->streams_active > 0 || codec->closing) {
		return;
	}
	h2->idle_since_ms = 0;
	if (last_words) {
		h2_finish(h2, REASON_ok);
	}
}

static void drain_final(struct h2 *h2)
{
	h2->drain_deadline_ms = UINT64_MAX;
	if (h2->drain_final || h2->failed) {
		return;
	}
	h2->drain_final = true;
	nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE,
		nghttp2_session_get_last_proc_stream_id(h2->session), NGHTTP2_NO_ERROR, NULL, 0);
}

/* D-03, D-06: the notice first, the true last id a PING round trip later, so that no request that
 * was under way when the notice left is refused. */
static void h2_drain(struct codec *codec, bool final)
{
	struct h2 *h2 = h2_of(codec);

	codec->draining = true;
	if (!codec->client && !h2->failed && !h2->terminating) {
		if (final) {
			drain_final(h2);
		} else if (h2->drain_deadline_ms == UINT64_MAX && !h2->drain_final) {
			nghttp2_submit_shutdown_notice(h2->session);
			nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, NULL);
			h2->drain_deadline_ms = h2->now_ms + DRAIN_PING_MS;
		}
	}
	h2_settle(h2);
	h2_changed(h2);
}

/* T-10. While the transport is full nothing says that the peer would not take the stream; then the
 * connection has its own clock for the same. */
static void cut_stuck_flushes(struct h2 *h2)
{
	LIST_FOR_EACH_SAFE(node, &h2->flushing) {
		struct h2_stream *stream = LIST_ENTRY(node, struct h2_stream, flush);

		if (stream->flush_since_ms == 0 || h2->codec.blocked) {
			stream->flush_since_ms = h2->now_ms;
		} else if (h2->now_ms - stream->flush_since_ms >= FLUSH_MS) {
			h2_stream_rst(stream, H2_CANCEL);
		}
	}
}

/* Any byte is a sign of life, not only the answer: a long frame on a slow way is no silence. */
static void run_ping(struct h2 *h2)
{
	if (h2->now_ms < ping_deadline(h2)) {
		return;
	}
	if (h2->ping_sent_ms != 0) {
		h2_fail(h2, REASON_upstream_reset);
		return;
	}
	h2->ping_sent_ms = h2->now_ms;
	nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, NULL);
}

static void run_timers(struct h2 *h2)
{
	struct codec *codec = &h2->codec;

	cut_stuck_flushes(h2);
	if (h2->now_ms >= h2->settings_deadline_ms) {
		h2_fail(h2, REASON_h2_settings_timeout);
	} else if (h2->now_ms >= h2->block_deadline_ms) {
		h2_fail(h2, REASON_h2_flood); /* H2-20 */
	} else if (h2->now_ms >= h2->drain_deadline_ms) {
		drain_final(h2);
		h2_settle(h2);
	} else {
		run_ping(h2);
	}
	if (codec->client || codec->streams_active > 0 || codec->closing) {
		return;
	}
	if (h2->idle_since_ms == 0) {
		h2->idle_since_ms = h2->now_ms;
	} else if (h2->now_ms - h2->idle_since_ms >= codec->limits->h2_idle_timeout_ms) {
		h2_finish(h2, REASON_idle_timeout);
	}
}

/* One span through the library, then what its callbacks asked for. */
static void feed_span(struct h2 *h2)
{
	struct codec *codec = &h2->codec;
	struct span *span = &codec->in.spans[codec->in.head];
	size_t size = span->size;
	ssize_t used = (ssize_t)size;

	h2_budget_scan(h2, span->data, size);
	if (h2->verdict == REASON_ok) {
		h2->in_block = span->block;
		used = nghttp2_session_mem_recv(h2->session, span->data, size);
		h2->in_block = NULL;
	}
	ASSERT(used < 0 || (size_t)used == size); /* no callback pauses */
	chain_drop(&codec->in, size);
	if (h2->accepted > 0 && used >= 0) {
		nghttp2_session_consume_connection(h2->session, h2->accepted);
		h2->accepted = 0;
	}
	h2_stream_deliver(h2);
	if (used < 0 || h2->verdict != REASON_ok) {
		h2_fail(h2, h2_session_error(h2, (int)used));
	} else if (h2->memory > MEMORY_MAX) {
		h2_fail(h2, REASON_h2_memory);
	} else {
		h2_budget_queue(h2);
		if (h2->verdict != REASON_ok) {
			h2_fail(h2, h2->verdict);
		}
	}
}

static void h2_receive(struct codec *codec, bool end_of_input, uint64_t now_ms)
{
	struct h2 *h2 = h2_of(codec);

	ASSERT(h2->depth == 0 && now_ms >= h2->now_ms);
	h2->now_ms = now_ms;
	h2->depth++;
	codec->again = false;
	if (codec->in.size > 0) {
		h2->heard_ms = now_ms;
		h2->ping_sent_ms = 0;
	}
	while (codec->in.size > 0 && codec->want_read && !codec->closing) {
		feed_span(h2);
	}
	if (codec->closing) {
		chain_clear(&codec->in);
	} else {
		run_timers(h2);
		if (codec->draining) {
			h2_settle(h2); /* a GOAWAY while nothing is under way */
		}
	}
	if (end_of_input && !h2->failed) {
		/* Nobody reads what would be sent; nothing more can come. */
		h2_stream_deliver(h2);
		h2->failed = true;
		h2->farewell_sent = true;
		codec->want_read = false;
		codec->draining = true;
		if (!codec->closing) {
			codec->close_reason = REASON_ok;
		}
		codec->closing = true;
		h2_stream_lose_all(h2, REASON_ok);
	}
	h2->depth--;
	h2_stream_reap(h2);
	h2_changed(h2);
}

/* SETTINGS go first, even before a farewell. */
static void write_first_flight(struct h2 *h2, struct chain *out)
{
	chain_append_copy(out, h2->codec.pool, h2->first_flight, h2->first_flight_size);
	h2->codec.produced += h2->first_flight_size;
	h2->first_flight_size = 0;
}

/* RFC 9113 6.8, by hand: the library may be in any state. */
static void write_farewell(struct h2 *h2, struct chain *out)
{
	uint32_t id = (uint32_t)nghttp2_session_get_last_proc_stream_id(h2->session);
	uint32_t error = h2->close_error != H2_NO_ERROR
				 ? h2->close_error
				 : h2_error_for_close(h2->codec.close_reason);
	uint8_t frame[GOAWAY_SIZE] = {0, 0, 8, NGHTTP2_GOAWAY, 0, 0, 0, 0, 0, (uint8_t)(id >> 24),
		(uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id, (uint8_t)(error >> 24),
		(uint8_t)(error >> 16), (uint8_t)(error >> 8), (uint8_t)error};

	chain_append_copy(out, h2->codec.pool, frame, sizeof(frame));
	h2->codec.produced += sizeof(frame);
	h2->farewell_sent = true;
}

static void h2_produce(struct codec *codec, struct chain *out, size_t max)
{
	struct h2 *h2 = h2_of(codec);
	int code = 0;

	ASSERT(h2->depth == 0);
	h2->depth++;
	h2->out = out;
	h2->out_limit = out->size + max;
	write_first_flight(h2, out);
	if (!h2->failed) {
		code = h2_send_all(h2);
	}
	if (code < 0 || h2->verdict != REASON_ok) {
		h2_fail(h2, h2_session_error(h2, code));
	}
	if (h2->failed && !h2->farewell_sent) {
		write_farewell(h2, out);
	}
	h2->out = NULL;
	h2_stream_deliver(h2);
	if (!codec->want_read && !codec->closing) {
		h2_budget_queue(h2);
		codec->again = codec->want_read && codec->in.size > 0;
	}
	h2->depth--;
	h2_stream_reap(h2);
	h2_changed(h2);
}

static unsigned h2_spare_streams(const struct codec *codec)
{
	struct h2 *h2 = h2_of(codec);
	uint32_t most = codec->limits->h2_streams;
	uint32_t peer;

	if (!codec->client || codec->draining || codec->closing || h2->failed) {
		return 0;
	}
	if (!nghttp2_session_check_request_allowed(h2->session)) {
		return 0; /* stream ids are used up */
	}
	peer = nghttp2_session_get_remote_settings(
		h2->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
	most = most < peer ? most : peer;
	return codec->streams_active < most ? most - codec->streams_active : 0;
}

static void h2_destroy(struct codec *codec)
{
	struct h2 *h2;

	if (!codec) {
		return;
	}
	h2 = h2_of(codec);
	ASSERT(h2->depth == 0);
	h2->failed = true;
	nghttp2_session_del(h2->session);
	ASSERT(h2->memory == 0);
	h2_stream_free_all(h2);
	chain_fini(&codec->in);
	mem_free(h2);
}

static const struct codec_ops h2_ops = {
	.name = "h2",
	.receive = h2_receive,
	.produce = h2_produce,
	.open = h2_stream_open,
	.send_head = h2_stream_send_head,
	.send_more = h2_stream_send_more,
	.credit = h2_stream_credit,
	.reset = h2_stream_reset,
	.drain = h2_drain,
	.spare_streams = h2_spare_streams,
	.destroy = h2_destroy,
};

struct codec *h2_create(const struct codec_options *options)
{
	struct h2 *h2 = mem_zalloc(sizeof(*h2));
	struct codec *codec = &h2->codec;

	ASSERT(options->events && options->pool && options->limits);
	codec->ops = &h2_ops;
	codec->events = options->events;
	codec->owner = options->owner;
	codec->pool = options->pool;
	codec->limits = options->limits;
	codec->client = options->client;
	codec->h2 = true;
	codec->want_read = true;
	chain_init(&codec->in);
	list_init(&h2->streams);
	list_init(&h2->touched);
	list_init(&h2->turns);
	list_init(&h2->flushing);
	list_init(&h2->graveyard);
	list_init(&h2->spare);
	h2->now_ms = options->now_ms;
	h2->idle_since_ms = options->now_ms;
	h2->heard_ms = options->now_ms;
	h2->settings_deadline_ms = options->now_ms + SETTINGS_ACK_MS;
	h2->block_deadline_ms = UINT64_MAX;
	h2->drain_deadline_ms = UINT64_MAX;
	h2_budget_init(h2);
	h2_session_create(h2);
	codec->has_output = true;
	set_deadline(h2);
	return codec;
}
