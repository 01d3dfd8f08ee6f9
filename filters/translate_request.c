/*
 * translate_request: the request of a translated exchange: its body is gathered while the head is
 * held, so that the application sees a whole translated request or none (codec.md 7, 9, ER-08).
 */
#include "codec/json_to_wire.h"
#include "codec/wire_to_json.h"
#include "filters/translate_fields.h"
#include "filters/translate_frame.h"
#include "filters/translate_work.h"
#include "http/reply.h"

/* JG-03 */
static enum filter_verdict request_refuse_coding(struct translate_work *work)
{
	struct reply reply = {.reason = REASON_codec_type,
		.grpc = -1,
		.message = SLICE("the content-encoding of a request may be gzip"),
		.field_name = SLICE("accept-encoding"),
		.field_value = SLICE("gzip, identity")};

	return translate_refuse(work, &reply);
}

/* GR-04 */
static enum filter_verdict request_refuse_grpc_encoding(struct translate_work *work)
{
	struct reply reply = {.reason = REASON_codec_type,
		.grpc = -1,
		.message = SLICE("unknown grpc-encoding"),
		.field_name = SLICE("grpc-accept-encoding"),
		.field_value = SLICE("identity,deflate,gzip")};

	return translate_refuse(work, &reply);
}

/* JG-01: bindings of query parameters are not offered, and to ignore a query would be a call with
 * half of its arguments. */
static void request_fail_query(struct codec_fault *ret_fault)
{
	codec_fault_set(ret_fault, CODEC_FAULT_QUERY,
		"a query: the body of the request is the whole message");
}

/* A JSON request becomes a gRPC one (JG-01 to JG-03). NEXT: it goes on. */
static enum filter_verdict request_begin_grpc(struct translate_work *work)
{
	struct head *head = work->request;
	const struct field *coding = head_find(head, TOKEN_content_encoding);
	struct codec_fault fault;

	codec_fault_clear(&fault);
	work->coding = coding ? compress_coding_find(coding->value) : COMPRESS_IDENTITY;
	if (work->coding == COMPRESS_DEFLATE || work->coding == COMPRESS_UNKNOWN ||
		(coding && head_find_next(head, coding))) {
		return request_refuse_coding(work);
	}
	if (head->query.size > 0) {
		request_fail_query(&fault);
		return translate_fail(work, false, &fault);
	}
	if (head->body == BODY_LENGTH && head->length > work->conf->codec.max_json) {
		codec_fault_set(&fault, CODEC_FAULT_TOO_LARGE, "message too large");
		return translate_fail(work, false, &fault);
	}
	if (!translate_fields_to_metadata(head, &work->worker->totals.headers_dropped, &fault)) {
		return translate_fail(work, false, &fault);
	}
	head->has_query = false;
	head->te_trailers = true;
	head_set(head, TOKEN_content_type, SLICE("application/grpc"));
	head_set(head, TOKEN_grpc_accept_encoding, SLICE("identity"));
	return FILTER_NEXT;
}

/* A gRPC request becomes a JSON one (GJ-01); the path is that of reverse_path already. */
static enum filter_verdict request_begin_json(struct translate_work *work)
{
	struct head *head = work->request;
	struct codec_fault fault;

	work->coding = compress_coding_find(head_value(head, TOKEN_grpc_encoding));
	if (work->coding == COMPRESS_UNKNOWN) {
		return request_refuse_grpc_encoding(work);
	}
	if (!translate_fields_from_metadata(head, &work->worker->totals.headers_dropped, &fault)) {
		return translate_fail(work, false, &fault);
	}
	head->has_query = false;
	head_set(head, TOKEN_content_type, SLICE("application/json"));
	head_set(head, TOKEN_accept, SLICE("application/json"));
	return FILTER_NEXT;
}

/* ER-08: the head is held until the message is translated. A fault is then answered without the
 * application having seen anything, and content-length and deadline can be true. */
enum filter_verdict translate_request_begin(struct translate_work *work)
{
	struct head *head = work->request;
	enum filter_verdict verdict;

	ASSERT(head->kind == HEAD_REQUEST && work->method != NULL);
	work->client_type = head_value(head, TOKEN_content_type);
	verdict = work->mode == TRANSLATE_MODE_TO_GRPC ? request_begin_grpc(work)
						       : request_begin_json(work);
	if (verdict != FILTER_NEXT) {
		return verdict;
	}
	head_body_unknown(head);
	exchange_hold_request_head(work->exchange);
	if (work->request_end) {
		exchange_add_request_body(work->exchange);
	}
	return FILTER_NEXT;
}

/* The body is whole: one frame. */
static bool request_to_grpc(
	struct translate_work *work, struct chain *body, struct codec_fault *ret_fault)
{
	struct codec_target target = {work->pool, work->method->input, &work->conf->codec};
	struct buf *output = translate_worker_scratch(&work->worker->output);
	struct slice text;
	uint64_t begun_ns;
	size_t size;

	if (!translate_gather_text(work, &text, ret_fault)) {
		return false;
	}
	begun_ns = translate_worker_begin(text.size);
	translate_frame_begin(output);
	/* JG-01: an empty body is the empty message. */
	if (text.size > 0 &&
		!json_to_wire_translate(work->worker->context, &target, text, output, ret_fault)) {
		return false;
	}
	size = output->size - TRANSLATE_PREFIX;
	translate_frame_end(output);
	translate_worker_count(work->worker, TRANSLATE_JSON_REQUEST, text.size, size, begun_ns);
	translate_frame_set_timeout(work->request, exchange_time_left_ns(work->exchange));
	return translate_gather_replace(work, buf_slice(output), body, ret_fault);
}

/* GJ-01: the length is known by now, so the application is spared a body of unknown length. */
static bool request_to_json(
	struct translate_work *work, struct chain *body, struct codec_fault *ret_fault)
{
	struct codec_target target = {work->pool, work->method->input, &work->conf->codec};
	struct buf *output = translate_worker_scratch(&work->worker->output);
	struct slice message;
	uint64_t begun_ns;

	if (!translate_gather_frame(work, &message, ret_fault)) {
		return false;
	}
	begun_ns = translate_worker_begin(message.size);
	if (!wire_to_json_translate(work->worker->context, &target, message, output, ret_fault)) {
		return false;
	}
	translate_worker_count(
		work->worker, TRANSLATE_GRPC_REQUEST, message.size, output->size, begun_ns);
	work->request->body = BODY_LENGTH;
	work->request->length = output->size;
	return translate_gather_replace(work, buf_slice(output), body, ret_fault);
}

/* A piece of a gRPC request. */
static bool request_take_frame(
	struct translate_work *work, struct chain *body, struct codec_fault *ret_fault)
{
	bool more;

	if (!translate_gather_body(work, body, SIZE_MAX, ret_fault) ||
		!translate_gather_check_frame(work, &more, ret_fault)) {
		return false;
	}
	if (more) {
		/* GR-02 */
		codec_fault_set(ret_fault, CODEC_FAULT_FRAME,
			"a unary call has one message, there are more");
	}
	return !more;
}

/* LM-01: JSON is bounded while it is gathered. A frame says its length itself, so gathering has no
 * bound there but the one that check_frame holds against it. */
enum filter_verdict translate_request_body(
	struct translate_work *work, struct chain *body, bool end)
{
	struct codec_fault fault;
	bool good;

	ASSERT(work->response == NULL);
	codec_fault_clear(&fault);
	if (work->mode == TRANSLATE_MODE_TO_GRPC) {
		good = translate_gather_body(work, body, work->conf->codec.max_json, &fault) &&
		       (!end || request_to_grpc(work, body, &fault));
	} else {
		good = request_take_frame(work, body, &fault) &&
		       (!end || request_to_json(work, body, &fault));
	}
	return good ? FILTER_NEXT : translate_fail(work, false, &fault);
}
