/*
 * translate_gather: gathers one message of a body against the worker's budget (codec.md EN-07,
 * LM-01, LM-04, GR-01, GR-02) and opens its frame or coding.
 */
#include "filters/translate_frame.h"
#include "filters/translate_work.h"

#define PIECE_COPIED 1024 /* smaller pieces are copied together instead of pinned */

/* FL-04: gathered bytes are credited at once and charged to the worker's budget instead. Held back,
 * a message larger than the window would never become whole (EN-07). */
static void gather_credit(struct translate_work *work, size_t size)
{
	ASSERT(work->mode == TRANSLATE_MODE_TO_GRPC || work->mode == TRANSLATE_MODE_TO_JSON);
	if (work->response != NULL) {
		exchange_credit_response(work->exchange, size);
	} else {
		exchange_credit_request(work->exchange, size);
	}
}

/* Large pieces move by reference. Small ones are copied together, because each would pin a whole
 * block: a sender of single bytes could otherwise hold thousands of blocks. */
static void gather_take(struct translate_work *work, struct chain *body)
{
	struct block_pool *pool = exchange_pool(work->exchange);
	size_t size = body->size;

	if (size >= PIECE_COPIED) {
		chain_move(&work->gathered, body);
		chain_compact(&work->gathered, pool);
	} else {
		for (uint32_t i = 0; i < body->count; i++) {
			struct slice piece = chain_span(body, i);

			chain_append_copy(&work->gathered, pool, piece.data, piece.size);
		}
		chain_clear(body);
	}
	ASSERT(body->size == 0);
	gather_credit(work, size);
}

/* LM-04, with the one text for all who run out. */
static bool gather_no_memory(struct codec_fault *ret_fault)
{
	codec_fault_set(ret_fault, CODEC_FAULT_MEMORY, "no room to gather the message");
	return false;
}

/* LM-01: the limit is asked before anything is taken or charged, so that what is refused costs
 * nothing. */
bool translate_gather_body(
	struct translate_work *work, struct chain *body, size_t max, struct codec_fault *ret_fault)
{
	size_t size = work->gathered.size + body->size;

	if (body->size == 0) {
		return true;
	}
	if (size > max) {
		codec_fault_set(ret_fault, CODEC_FAULT_TOO_LARGE, "message too large");
		return false;
	}
	if (!translate_worker_charge(work, size)) {
		return gather_no_memory(ret_fault);
	}
	gather_take(work, body);
	ASSERT(work->gathered.size == size);
	return true;
}

/* For the body of an error answer, of which the beginning is enough (ER-04). No room is no fault
 * here: an error never becomes another error. */
void translate_gather_part(struct translate_work *work, struct chain *body, size_t max)
{
	size_t room = work->gathered.size < max ? max - work->gathered.size : 0;
	struct chain part;

	chain_init(&part);
	chain_move_bytes(&part, body, body->size < room ? body->size : room);
	if (part.size > 0 && translate_worker_charge(work, work->gathered.size + part.size)) {
		gather_take(work, &part);
	} else if (part.size > 0) {
		gather_credit(work, part.size);
	}
	if (body->size > 0) {
		gather_credit(work, body->size);
		chain_clear(body);
	}
	ASSERT(work->gathered.size <= max);
	chain_fini(&part);
}

/* The size that a whole prefix announces. */
static size_t gather_announced(const struct translate_work *work, uint8_t *ret_flag)
{
	uint8_t prefix[TRANSLATE_PREFIX];

	ASSERT(work->gathered.size >= TRANSLATE_PREFIX);
	chain_copy_out(&work->gathered, 0, prefix, sizeof(prefix));
	*ret_flag = prefix[0];
	return (size_t)prefix[1] << 24 | (size_t)prefix[2] << 16 | (size_t)prefix[3] << 8 |
	       prefix[4];
}

static bool gather_frame_fault(struct codec_fault *ret_fault, const char *text)
{
	codec_fault_set(ret_fault, CODEC_FAULT_FRAME, text);
	return false;
}

/* GR-01: flag and length are judged as soon as they are there, before the bytes they announce may
 * fill the budget. A frame that is not whole yet is good so far. */
bool translate_gather_check_frame(
	const struct translate_work *work, bool *ret_more, struct codec_fault *ret_fault)
{
	uint8_t flag;
	size_t size;

	*ret_more = false;
	if (work->gathered.size == 0) {
		return true;
	}
	chain_copy_out(&work->gathered, 0, &flag, 1);
	if (flag > 1) {
		return gather_frame_fault(ret_fault, "unknown flag of a frame");
	}
	if (flag == 1 && work->coding == COMPRESS_IDENTITY) {
		return gather_frame_fault(ret_fault, "a compressed frame without a grpc-encoding");
	}
	if (flag == 1 && work->coding == COMPRESS_UNKNOWN) {
		return gather_frame_fault(ret_fault, "a grpc-encoding that was not offered");
	}
	if (work->gathered.size < TRANSLATE_PREFIX) {
		return true;
	}
	size = gather_announced(work, &flag);
	if (size > work->conf->codec.max_message) {
		codec_fault_set(ret_fault, CODEC_FAULT_TOO_LARGE, "message too large");
		return false;
	}
	*ret_more = work->gathered.size > TRANSLATE_PREFIX + size;
	return true;
}

/* Inflates into the worker's scratch where a coding asks for it. */
static bool gather_open(struct translate_work *work, enum compress_coding coding, size_t max,
	struct slice *message, struct codec_fault *ret_fault)
{
	struct buf *input;

	if (coding == COMPRESS_IDENTITY) {
		return true; /* blocks have slack behind them */
	}
	input = translate_worker_scratch(&work->worker->input);
	if (!compress_inflate(coding, *message, max, input, ret_fault)) {
		return false;
	}
	if (!translate_worker_charge(work, work->gathered.size + input->size)) {
		return gather_no_memory(ret_fault);
	}
	buf_reserve(input, CODEC_SLACK);
	*message = buf_slice(input);
	return true;
}

/* GR-02, at the end of the body: exactly one whole frame. That no second one follows has been seen
 * by translate_gather_check_frame. */
bool translate_gather_frame(
	struct translate_work *work, struct slice *ret_message, struct codec_fault *ret_fault)
{
	enum compress_coding coding = work->coding;
	uint8_t flag;

	if (work->gathered.size == 0) {
		return gather_frame_fault(ret_fault, "a unary call has one message, there is none");
	}
	if (work->gathered.size < TRANSLATE_PREFIX ||
		work->gathered.size < TRANSLATE_PREFIX + gather_announced(work, &flag)) {
		return gather_frame_fault(ret_fault, "the body ends inside a frame");
	}
	gather_announced(work, &flag);
	*ret_message = slice_from(
		chain_gather(&work->gathered, exchange_pool(work->exchange)), TRANSLATE_PREFIX);
	return gather_open(work, flag == 1 ? coding : COMPRESS_IDENTITY,
		work->conf->codec.max_message, ret_message, ret_fault);
}

/* JG-03: `max_json` holds for the inflated text as well (LM-01, LM-03). */
bool translate_gather_text(
	struct translate_work *work, struct slice *ret_text, struct codec_fault *ret_fault)
{
	if (work->gathered.size == 0) {
		*ret_text = SLICE("");
		return true;
	}
	*ret_text = chain_gather(&work->gathered, exchange_pool(work->exchange));
	return gather_open(work, work->coding, work->conf->codec.max_json, ret_text, ret_fault);
}

/* LM-04 counts gathered plus converted bytes, so for a moment both are charged; then the gathered
 * ones go. */
bool translate_gather_replace(struct translate_work *work, struct slice message,
	struct chain *target, struct codec_fault *ret_fault)
{
	bool charged;

	if (!translate_worker_charge(work, work->gathered.size + message.size)) {
		return gather_no_memory(ret_fault);
	}
	chain_clear(&work->gathered);
	if (message.size > 0) {
		chain_append_copy(
			target, exchange_pool(work->exchange), message.data, message.size);
	}
	charged = translate_worker_charge(work, message.size);
	ASSERT(charged); /* it became less */
	return true;
}
