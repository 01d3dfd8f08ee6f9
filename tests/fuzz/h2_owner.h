/*
 * h2_owner: an owner for fuzzed HTTP/2 codecs. It answers, echoes, credits late and lets go at
 * places that the input chooses, and asserts the order of events: head, body, trailers, at most one
 * end.
 */
#ifndef PILLION_FUZZ_H2_OWNER_H
#define PILLION_FUZZ_H2_OWNER_H

#include "base/assert.h"
#include "http/codec.h"
#include "http/h2.h"

enum { H2_FUZZ_STREAMS = 4096 };

struct h2_fuzz_stream {
	struct stream *stream;
	struct h2_fuzz *fuzz;
	size_t held; /* received, not yet credited */
	bool head;
	bool over;
};

struct h2_fuzz {
	struct block_pool pool;
	struct http_limits limits;
	struct codec *codec;
	struct chain out;
	struct h2_fuzz_stream streams[H2_FUZZ_STREAMS];
	size_t count;
	uint64_t now_ms;
	uint32_t choices; /* a small generator, seeded by the input */
};

static inline uint32_t h2_fuzz_choose(struct h2_fuzz *fuzz, uint32_t bound)
{
	fuzz->choices = fuzz->choices * 1664525u + 1013904223u;
	return (fuzz->choices >> 16) % bound;
}

static inline void h2_fuzz_let_go(struct h2_fuzz_stream *own, enum reason why)
{
	struct stream *stream = own->stream;

	own->stream = NULL;
	stream_reset(stream, why);
}

static inline void h2_fuzz_answer(struct h2_fuzz_stream *own, bool end)
{
	struct stream *stream = own->stream;
	struct head head;

	head_init(&head, &stream->arena, HEAD_RESPONSE);
	head.status = 200;
	head.body = end ? BODY_NONE : BODY_UNKNOWN;
	ASSERT(stream->codec->ops->send_head(stream, &head, end) == 0);
}

static inline void h2_fuzz_on_head(struct stream *stream, struct head *head, bool end)
{
	struct h2_fuzz_stream *own = stream->owner;
	struct h2_fuzz *fuzz = own->fuzz;

	ASSERT(!own->over && stream->ended_in == end);
	ASSERT(head->kind != HEAD_TRAILERS || (own->head && end));
	ASSERT(head->kind != HEAD_INTERIM || (!own->head && !end));
	own->head = own->head || head->kind != HEAD_INTERIM;
	own->over = end;
	for (uint32_t i = 0; i < head->field_count; i++) {
		ASSERT(head->fields[i].name.size > 0);
	}
	if (stream->codec->client) {
		if (end && h2_fuzz_choose(fuzz, 2) == 0) {
			h2_fuzz_let_go(own, REASON_ok);
		}
		return;
	}
	switch (h2_fuzz_choose(fuzz, 4)) {
	case 0:
		h2_fuzz_let_go(own, REASON_deadline_exceeded);
		break;
	case 1:
		if (head->kind == HEAD_REQUEST) {
			h2_fuzz_answer(own, true);
			h2_fuzz_let_go(own, REASON_ok);
		}
		break;
	case 2:
		if (head->kind == HEAD_REQUEST) {
			h2_fuzz_answer(own, false);
		}
		break;
	default:
		break;
	}
}

static inline void h2_fuzz_on_body(struct stream *stream, struct chain *body, bool end)
{
	struct h2_fuzz_stream *own = stream->owner;
	struct h2_fuzz *fuzz = own->fuzz;

	ASSERT(own->head && !own->over && stream->ended_in == end);
	own->over = end;
	own->held += body->size;
	if (h2_fuzz_choose(fuzz, 2) == 0) {
		stream->codec->ops->credit(stream, own->held);
		own->held = 0;
	}
	if (stream->head_out && !stream->ended_out && !stream->codec->client) {
		chain_move(&stream->out, body);
		stream->codec->ops->send_more(stream, end);
	}
	if (h2_fuzz_choose(fuzz, 8) == 0) {
		h2_fuzz_let_go(own, stream->ended_out ? REASON_ok : REASON_slow_reader);
	}
}

static inline void h2_fuzz_on_sent(struct stream *stream, size_t n)
{
	struct h2_fuzz_stream *own = stream->owner;

	ASSERT(own->stream == stream && n > 0 && n <= stream->sent);
}

static inline void h2_fuzz_on_reset(struct stream *stream, enum reason why)
{
	struct h2_fuzz_stream *own = stream->owner;

	ASSERT(own->stream == stream && why != REASON_ok);
	h2_fuzz_let_go(own, why);
}

static const struct stream_ops h2_fuzz_ops = {
	h2_fuzz_on_head, h2_fuzz_on_body, h2_fuzz_on_sent, h2_fuzz_on_reset};

#endif
