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
#define FRAME_HEADER_SIZE 9
#define PREFACE_SIZE	  24
#define OUT_FRAMES_CLOSE  1000 /* H2-31 */

void h2_budget_init(struct h2 *h2)
{
	ASSERT(h2->codec.limits->h2_tokens > 0);
	h2->tokens_milli = (uint64_t)h2->codec.limits->h2_tokens * TOKEN_MILLI;
	h2->refilled_ms = h2->now_ms;
	h2->scan.preface_left = h2->codec.client ? 0 : PREFACE_SIZE;
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
static void note_stream_id(struct h2 *h2, uint32_t id)
{
	struct h2_scan *scan = &h2->scan;

	if (id > scan->last_id) {
		if (id > scan->last_id + 2) {
			scan->gap_begin = scan->last_id + 1;
			scan->gap_end = id - 1;
		}
		scan->last_id = id;
		h2->streams_opened++;
	} else if (id >= scan->gap_begin && id <= scan->gap_end) {
		h2->verdict = REASON_h2_protocol;
	}
}

static void note_header_frame(struct h2 *h2)
{
	struct h2_scan *scan = &h2->scan;

	if (scan->type == NGHTTP2_HEADERS) {
		h2->block_deadline_ms = h2->now_ms + h2->codec.limits->head_timeout_ms;
		scan->block_bytes = 0;
		if (!h2->codec.client) {
			note_stream_id(h2, scan->stream_id);
		}
	} else if (scan->payload_left == 0 && !(scan->flags & NGHTTP2_FLAG_END_HEADERS)) {
		h2_budget_charge(h2);
	}
	/* Both are below 2^24: the sum of two cannot wrap. */
	scan->block_bytes += scan->payload_left;
	if (scan->block_bytes > BLOCK_BYTES_MAX) {
		h2->verdict = REASON_h2_flood;
	}
}

/* Implementations of gRPC measure the way with one PING for each DATA frame that comes while none
 * is under way: on a short way that is thousands in a second. */
static void note_ping(struct h2 *h2)
{
	bool asks = !(h2->scan.flags & NGHTTP2_FLAG_ACK);

	if (h2->now_ms >= h2->ping_free_ms) {
		h2->ping_free_ms = h2->now_ms + PING_PERIOD_MS;
	} else if (asks && h2->pings < h2->data_sent) {
		h2->pings++;
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

/* RFC 9113 5.1: nothing follows the end of a direction. The library forgets a stream when both are
 * over (it keeps closed ones only for the old priorities), so the last few are remembered here.
 * What arrives after a reset of ours is in none of them: the peer could not know. */
static void note_ended(struct h2 *h2)
{
	struct h2_scan *scan = &h2->scan;
	bool opens_or_fills = scan->type == NGHTTP2_DATA || scan->type == NGHTTP2_HEADERS;

	if (opens_or_fills) {
		for (size_t i = 0; i < H2_ENDED_IDS; i++) {
			if (scan->ended[i] == scan->stream_id && scan->stream_id != 0) {
				h2->verdict = REASON_h2_protocol;
				h2->close_error = H2_STREAM_CLOSED;
				return;
			}
		}
	}
	if (scan->type == NGHTTP2_RST_STREAM ||
		(opens_or_fills && scan->flags & NGHTTP2_FLAG_END_STREAM)) {
		scan->ended[scan->ended_next++ % H2_ENDED_IDS] = scan->stream_id;
	}
}

static void note_frame(struct h2 *h2)
{
	struct h2_scan *scan = &h2->scan;

	note_ended(h2);
	switch (scan->type) {
	case NGHTTP2_HEADERS:
	case NGHTTP2_CONTINUATION:
		note_header_frame(h2);
		break;
	case NGHTTP2_DATA:
		if (scan->payload_left == 0 && !(scan->flags & NGHTTP2_FLAG_END_STREAM)) {
			h2_budget_charge(h2);
		}
		scan->pad_next = scan->flags & NGHTTP2_FLAG_PADDED;
		break;
	case NGHTTP2_SETTINGS:
		if (!(scan->flags & NGHTTP2_FLAG_ACK) && scan->settings_seen++ > 0) {
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
	case NGHTTP2_PRIORITY:
		if (scan->stream_id == 0) { /* RFC 9113 6.3, which the library skips */
			h2->verdict = REASON_h2_protocol;
			return;
		}
		h2_budget_charge(h2);
		break;
	default: /* PRIORITY_UPDATE and whatever is not known */
		h2_budget_charge(h2);
		break;
	}
}

static void end_frame(struct h2 *h2)
{
	struct h2_scan *scan = &h2->scan;

	if ((scan->type == NGHTTP2_HEADERS || scan->type == NGHTTP2_CONTINUATION) &&
		scan->flags & NGHTTP2_FLAG_END_HEADERS) {
		h2->block_deadline_ms = UINT64_MAX;
	}
	scan->header_size = 0;
}

static void begin_frame(struct h2 *h2)
{
	struct h2_scan *scan = &h2->scan;
	const uint8_t *header = scan->header;

	scan->payload_left = (uint32_t)header[0] << 16 | (uint32_t)header[1] << 8 | header[2];
	scan->type = header[3];
	scan->flags = header[4];
	scan->stream_id = (uint32_t)(header[5] & 0x7f) << 24 | (uint32_t)header[6] << 16 |
			  (uint32_t)header[7] << 8 | header[8];
	note_frame(h2);
	if (scan->payload_left == 0) {
		end_frame(h2);
	}
}

/* Some of a frame's payload; the first byte of a padded one says how much of it is nothing. */
static size_t scan_payload(struct h2 *h2, const uint8_t *bytes, size_t size)
{
	struct h2_scan *scan = &h2->scan;
	uint32_t part = scan->payload_left < size ? scan->payload_left : (uint32_t)size;

	if (scan->pad_next && scan->payload_left == 1u + bytes[0] &&
		!(scan->flags & NGHTTP2_FLAG_END_STREAM)) {
		h2_budget_charge(h2);
	}
	scan->pad_next = false;
	scan->payload_left -= part;
	if (scan->payload_left == 0) {
		end_frame(h2);
	}
	return part;
}

/* Looks at every frame, also at those that the library ignores and tells nobody of. */
void h2_budget_scan(struct h2 *h2, const uint8_t *bytes, size_t size)
{
	struct h2_scan *scan = &h2->scan;

	while (size > 0 && h2->verdict == REASON_ok) {
		size_t part = 1;

		if (scan->preface_left > 0) {
			part = scan->preface_left < size ? scan->preface_left : size;
			scan->preface_left -= (uint32_t)part;
		} else if (scan->header_size < FRAME_HEADER_SIZE) {
			part = FRAME_HEADER_SIZE - scan->header_size;
			part = part < size ? part : size;
			memcpy(scan->header + scan->header_size, bytes, part);
			scan->header_size += (uint32_t)part;
			if (scan->header_size == FRAME_HEADER_SIZE) {
				begin_frame(h2);
			}
		} else {
			part = scan_payload(h2, bytes, size);
		}
		bytes += part;
		size -= part;
	}
}

void h2_budget_block(struct h2 *h2)
{
	h2->block_count = 0;
	h2->block_cost = 0;
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
