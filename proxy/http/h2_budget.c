/*
 * h2_budget: what a peer may cost. One bucket of tokens a connection, on both sides: every odd
 * frame and every malformed or early reset stream takes one; an honest peer never comes near the
 * bottom. Beside it the counts of a single header block and of what waits to be sent.
 */
#include "http/h2_internal.h"

#define TOKEN_MILLI	  1000u
#define PING_PERIOD_MS	  1000
#define BLOCK_BYTES_MAX	  65536 /* H2-20, compressed */
#define BLOCK_FIELDS_MAX  1000	/* H2-19, and four times the bytes of a head */
#define BLOCK_COST_FACTOR 4
#define FIELD_COST	  32
#define OUT_FRAMES_CLOSE  1000 /* H2-31 */

void h2_budget_init(struct h2 *h2)
{
	ASSERT(h2->codec.limits->h2_tokens > 0);
	h2->tokens_milli = (uint64_t)h2->codec.limits->h2_tokens * TOKEN_MILLI;
	h2->refilled_ms = h2->now_ms;
}

void h2_budget_charge(struct h2 *h2)
{
	const struct http_limits *limits = h2->codec.limits;
	uint64_t full = (uint64_t)limits->h2_tokens * TOKEN_MILLI;
	uint64_t elapsed_ms = h2->now_ms - h2->refilled_ms;

	ASSERT(h2->now_ms >= h2->refilled_ms);
	/* A period that fills the bucket in any case is cut before it is multiplied. */
	if (elapsed_ms > full) {
		elapsed_ms = full;
	}
	h2->tokens_milli += elapsed_ms * limits->h2_refill_per_s;
	if (h2->tokens_milli > full) {
		h2->tokens_milli = full;
	}
	h2->refilled_ms = h2->now_ms;
	if (h2->tokens_milli < TOKEN_MILLI) {
		h2->verdict = REASON_h2_flood;
		return;
	}
	h2->tokens_milli -= TOKEN_MILLI;
}

void h2_budget_malformed(struct h2_stream *stream)
{
	if (!stream->charged) {
		stream->charged = true;
		h2_budget_charge(stream->h2);
	}
}

/* RFC 9113 5.1.1: an id below an earlier one that was skipped is a connection error. The library
 * takes it; it is told apart from the late trailers of a forgotten stream by the gap. */
static void note_stream_id(struct h2 *h2, int32_t id)
{
	if (id > h2->last_id) {
		if (id > h2->last_id + 2) {
			h2->gap_begin = h2->last_id + 1;
			h2->gap_end = id - 1;
		}
		h2->last_id = id;
	} else if (id >= h2->gap_begin && id <= h2->gap_end) {
		h2->verdict = REASON_h2_protocol;
	}
}

static void note_header_frame(struct h2 *h2, const nghttp2_frame_hd *hd)
{
	if (hd->type == NGHTTP2_HEADERS) {
		h2->block_bytes = 0;
		h2->block_count = 0;
		h2->block_cost = 0;
		if (!h2->codec.client) {
			note_stream_id(h2, hd->stream_id);
		}
	} else if (hd->length == 0 && !(hd->flags & NGHTTP2_FLAG_END_HEADERS)) {
		h2_budget_charge(h2);
	}
	/* Both are below 2^24: the sum of two cannot wrap. */
	h2->block_bytes += (uint32_t)hd->length;
	if (h2->block_bytes > BLOCK_BYTES_MAX) {
		h2->verdict = REASON_h2_flood;
	}
}

static void note_ping(struct h2 *h2)
{
	if (h2->now_ms >= h2->ping_free_ms) {
		h2->ping_free_ms = h2->now_ms + PING_PERIOD_MS;
	} else {
		h2_budget_charge(h2);
	}
}

static void note_window_update(struct h2 *h2)
{
	uint64_t fair = 5 + 2 * (h2->streams_opened + 10 * h2->data_sent);

	if (++h2->window_updates > fair) {
		h2_budget_charge(h2);
	}
}

void h2_budget_frame(struct h2 *h2, const nghttp2_frame_hd *hd)
{
	switch (hd->type) {
	case NGHTTP2_HEADERS:
	case NGHTTP2_CONTINUATION:
		note_header_frame(h2, hd);
		break;
	case NGHTTP2_DATA:
		if (hd->length == 0 && !(hd->flags & NGHTTP2_FLAG_END_STREAM)) {
			h2_budget_charge(h2);
		}
		break;
	case NGHTTP2_SETTINGS:
		if (!(hd->flags & NGHTTP2_FLAG_ACK) && h2->settings_seen++ > 0) {
			h2_budget_charge(h2);
		}
		break;
	case NGHTTP2_PING:
		note_ping(h2);
		break;
	case NGHTTP2_WINDOW_UPDATE:
		note_window_update(h2);
		break;
	case NGHTTP2_RST_STREAM:
	case NGHTTP2_GOAWAY:
	case NGHTTP2_PUSH_PROMISE:
		break;
	default: /* PRIORITY, PRIORITY_UPDATE and whatever is not known */
		h2_budget_charge(h2);
		break;
	}
}

void h2_budget_block(struct h2 *h2)
{
	h2->block_deadline_ms = h2->now_ms + h2->codec.limits->head_timeout_ms;
}

bool h2_budget_field(struct h2 *h2, size_t size)
{
	const struct http_limits *limits = h2->codec.limits;
	size_t most = limits->fields > BLOCK_FIELDS_MAX ? limits->fields : BLOCK_FIELDS_MAX;

	h2->block_count++;
	h2->block_cost += size + FIELD_COST;
	if (h2->block_count > most ||
		h2->block_cost > (uint64_t)limits->head_bytes * BLOCK_COST_FACTOR) {
		h2->verdict = REASON_h2_flood;
		return false;
	}
	return true;
}

/* A client that takes a request back before its answer began made work for nothing; unless the time
 * it gave was over, as any honest caller with deadlines does. Both clocks see about the same time.
 */
void h2_budget_reset(struct h2_stream *stream)
{
	struct h2 *h2 = stream->h2;

	if (h2->codec.client || h2->codec.draining || stream->stream.head_out) {
		return;
	}
	if (h2->now_ms < stream->expires_ms) {
		h2_budget_charge(h2);
	}
}

/* H2-31: who does not read is not listened to. */
void h2_budget_queue(struct h2 *h2)
{
	size_t frames = nghttp2_session_get_outbound_queue_size(h2->session);
	uint32_t most = h2->codec.limits->h2_out_frames;

	if (frames > OUT_FRAMES_CLOSE) {
		h2->verdict = REASON_h2_flood;
	} else if (frames > most) {
		h2->codec.want_read = false;
	} else if (frames < most / 2) {
		h2->codec.want_read = true;
	}
}
