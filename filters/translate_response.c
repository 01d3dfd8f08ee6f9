/*
 * translate_response: the answer of a translated exchange: head and message are held until all of
 * it is known, so that the client sees a true status (codec.md JG-04, GJ-02, ER-04, ER-05).
 */
#include <stdio.h>

#include "codec/codec_base64.h"
#include "codec/json_to_wire.h"
#include "codec/status.h"
#include "codec/wire.h"
#include "codec/wire_to_json.h"
#include "filters/translate_fields.h"
#include "filters/translate_frame.h"
#include "filters/translate_work.h"

/* ---- gRPC application, JSON client ---- */

/* All that is wrong with an answer as such, and not with its message. */
static bool response_fault(struct codec_fault *ret_fault, const char *text)
{
	codec_fault_set(ret_fault, CODEC_FAULT_FRAME, text);
	return false;
}

/* ER-02: another status than 200 does not come from a gRPC server but from something in front of
 * it; its body is text for the error. A Trailers-Only answer has its status in the head and needs
 * no content type. */
static bool response_begin_json(
	struct translate_work *work, struct head *head, struct codec_fault *ret_fault)
{
	work->answer = TRANSLATE_ANSWER_MESSAGE;
	if (head->status != 200) {
		work->answer = TRANSLATE_ANSWER_ERROR;
	} else if (head_find(head, TOKEN_grpc_status) == NULL &&
		   !translate_decide_grpc_type(head_value(head, TOKEN_content_type))) {
		return response_fault(
			ret_fault, "the content-type of the answer is not application/grpc");
	}
	work->coding = compress_coding_find(head_value(head, TOKEN_grpc_encoding));
	return true;
}

/* The held head becomes that of a JSON answer. trailers: NULL, or head itself (Trailers-Only). */
static void response_edit_json(struct translate_work *work, const struct head *trailers, int status)
{
	struct head *head = work->response;

	translate_fields_answer_from_metadata(head);
	if (trailers != NULL && trailers != head) {
		translate_fields_add_trailers(head, trailers);
	}
	head->status = (uint16_t)status;
	head_set(head, TOKEN_content_type, SLICE("application/json"));
	head->body = BODY_LENGTH;
	head->length = work->output.size;
}

/* ER-05: what the application said went wrong. */
static bool response_error_json(struct translate_work *work, const struct head *trailers,
	const struct status_error *error, struct codec_fault *ret_fault)
{
	struct buf *output = translate_worker_scratch(&work->worker->output);

	status_to_json(work->worker->context, work->pool, error, &work->conf->codec, output);
	if (!translate_gather_replace(work, buf_slice(output), &work->output, ret_fault)) {
		return false;
	}
	response_edit_json(work, trailers, (int)status_to_http(error->code));
	return true;
}

/* A status in trailers: its message is percent-coded, its details are base64. */
static bool response_status_json(
	struct translate_work *work, const struct head *trailers, struct codec_fault *ret_fault)
{
	struct status_error error = {.code = status_parse(head_value(trailers, TOKEN_grpc_status))};
	struct buf message;
	struct buf details;
	bool good;

	buf_init(&message);
	buf_init(&details);
	status_message_decode(head_value(trailers, TOKEN_grpc_message), &message);
	if (!codec_base64_decode(head_value(trailers, TOKEN_grpc_status_details_bin), &details)) {
		buf_clear(&details);
	}
	error.message = buf_slice(&message);
	error.details = buf_slice(&details);
	good = response_error_json(work, trailers, &error, ret_fault);
	buf_fini(&message);
	buf_fini(&details);
	return good;
}

/* The answer of somebody else than a gRPC server (ER-02, table I). */
static bool response_foreign_json(
	struct translate_work *work, const struct head *trailers, struct codec_fault *ret_fault)
{
	struct status_response response = {
		.http_status = work->response->status,
		.table = STATUS_INTERMEDIARY,
		.content_type = head_value(work->response, TOKEN_content_type),
	};
	struct status_error error;
	struct buf message;
	struct buf details;
	bool good;

	if (work->gathered.size > 0) {
		response.body = chain_gather(&work->gathered, exchange_pool(work->exchange));
	}
	buf_init(&message);
	buf_init(&details);
	error.code =
		status_from_json(work->worker->context, work->pool, &response, &message, &details);
	error.message = buf_slice(&message);
	error.details = buf_slice(&details);
	good = response_error_json(work, trailers, &error, ret_fault);
	buf_fini(&message);
	buf_fini(&details);
	return good;
}

/* JG-04: the status in the trailers was 0, so the message counts. Two messages are INTERNAL and not
 * the first of them, for nobody can say which one was meant (GR-02). */
static bool response_message_json(
	struct translate_work *work, const struct head *trailers, struct codec_fault *ret_fault)
{
	struct codec_target target = {work->pool, work->method->output, &work->conf->codec};
	struct buf *output = translate_worker_scratch(&work->worker->output);
	struct slice message;
	uint64_t begun_ns;

	if (work->more) {
		return response_fault(ret_fault, "a unary answer has one message, there are more");
	}
	if (!translate_gather_frame(work, &message, ret_fault)) {
		return false;
	}
	begun_ns = translate_worker_begin(message.size);
	if (!wire_to_json_translate(work->worker->context, &target, message, output, ret_fault)) {
		return false;
	}
	translate_worker_count(
		work->worker, TRANSLATE_GRPC_RESPONSE, message.size, output->size, begun_ns);
	if (!translate_gather_replace(work, buf_slice(output), &work->output, ret_fault)) {
		return false;
	}
	response_edit_json(work, trailers, 200);
	return true;
}

/* All of the answer is there. trailers: NULL where it ended without. */
static bool response_finish_json(
	struct translate_work *work, const struct head *trailers, struct codec_fault *ret_fault)
{
	const struct field *status = trailers ? head_find(trailers, TOKEN_grpc_status) : NULL;
	struct status_error error = {
		.code = STATUS_UNKNOWN, .message = SLICE("the answer has no grpc-status")};

	if (status != NULL && status_parse(status->value) != STATUS_OK) {
		return response_status_json(work, trailers, ret_fault);
	}
	if (work->answer == TRANSLATE_ANSWER_ERROR) {
		return response_foreign_json(work, trailers, ret_fault);
	}
	if (status == NULL) {
		return response_error_json(work, trailers, &error, ret_fault);
	}
	return response_message_json(work, trailers, ret_fault);
}

/* ---- JSON application, gRPC client ---- */

/* GJ-02. The coding of an error answer is not judged: where its body cannot be read the status
 * alone must do (ER-04). */
static bool response_begin_grpc(
	struct translate_work *work, const struct head *head, struct codec_fault *ret_fault)
{
	const struct field *coding = head_find(head, TOKEN_content_encoding);

	work->coding = coding ? compress_coding_find(coding->value) : COMPRESS_IDENTITY;
	if (head->status < 200 || head->status > 299) {
		work->answer = TRANSLATE_ANSWER_ERROR;
		return true;
	}
	work->answer = TRANSLATE_ANSWER_MESSAGE;
	if (work->coding == COMPRESS_UNKNOWN || (coding && head_find_next(head, coding))) {
		return response_fault(ret_fault, "a content-encoding that was not asked for");
	}
	if (head->body == BODY_LENGTH && head->length > work->conf->codec.max_json) {
		codec_fault_set(ret_fault, CODEC_FAULT_TOO_LARGE, "message too large");
		return false;
	}
	return true;
}

/* A google.api.HttpBody takes any type raw (GJ-02). */
static bool response_http_body(struct translate_work *work, struct slice type, struct slice body,
	struct buf *output, struct codec_fault *ret_fault)
{
	const struct slice parts[] = {type, body};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		uint8_t *out = buf_reserve(output, 1 + WIRE_VARINT_MAX);

		*out = (uint8_t)(((i + 1) << 3) | WIRE_LENGTH);
		output->size += (size_t)(wire_put_varint(out + 1, parts[i].size) - out);
		buf_append_slice(output, parts[i]);
	}
	if (output->size - TRANSLATE_PREFIX > work->conf->codec.max_message) {
		codec_fault_set(ret_fault, CODEC_FAULT_TOO_LARGE, "message too large");
		return false;
	}
	return true;
}

/* The body of a 2xx as a message behind the room for the prefix. */
static bool response_body_to_wire(struct translate_work *work, struct slice text,
	struct buf *output, struct codec_fault *ret_fault)
{
	struct codec_target target = {work->pool, work->method->output, &work->conf->codec};
	struct slice type = head_value(work->response, TOKEN_content_type);
	struct slice name = descriptor_pool_message_name(work->pool, work->method->output);

	if (text.size == 0) {
		return true; /* the empty message */
	}
	if (slice_equal(name, SLICE("google.api.HttpBody"))) {
		return response_http_body(work, type, text, output, ret_fault);
	}
	if (!translate_decide_json_type(type)) {
		return response_fault(
			ret_fault, "the content-type of the answer is not application/json");
	}
	return json_to_wire_translate(work->worker->context, &target, text, output, ret_fault);
}

/* Fields that trailers and the head of a gRPC answer have in common. */
static void response_edit_grpc(struct translate_work *work, enum body_kind body)
{
	struct head *head = work->response;

	translate_fields_answer_to_metadata(head, &work->worker->totals.headers_dropped);
	head->status = 200;
	head->body = body;
	/* GR-05: the client's own type. */
	head_set(head, TOKEN_content_type, work->client_type);
}

/* GR-05: message, then trailers of our own with status 0; those of an HTTP application, if it has
 * any, go along as trailing metadata (GJ-02). */
static bool response_message_grpc(
	struct translate_work *work, const struct head *trailers, struct codec_fault *ret_fault)
{
	struct arena *arena = exchange_arena(work->exchange);
	struct buf *output = translate_worker_scratch(&work->worker->output);
	struct head *own;
	struct slice text;
	uint64_t begun_ns;
	size_t size;

	translate_frame_begin(output);
	if (!translate_gather_text(work, &text, ret_fault)) {
		return false;
	}
	begun_ns = translate_worker_begin(text.size);
	if (!response_body_to_wire(work, text, output, ret_fault)) {
		return false;
	}
	size = output->size - TRANSLATE_PREFIX;
	translate_frame_end(output);
	translate_worker_count(work->worker, TRANSLATE_JSON_RESPONSE, text.size, size, begun_ns);
	if (!translate_gather_replace(work, buf_slice(output), &work->output, ret_fault)) {
		return false;
	}
	response_edit_grpc(work, BODY_UNKNOWN);
	own = arena_alloc(arena, sizeof(*own));
	head_init(own, arena, HEAD_TRAILERS);
	if (trailers != NULL) {
		head_copy(own, trailers);
		translate_fields_answer_to_metadata(own, &work->worker->totals.headers_dropped);
	}
	head_add_token(own, TOKEN_grpc_status, SLICE("0"));
	exchange_set_response_trailers(work->exchange, own);
	return true;
}

/* GR-05: the status stands in the one head. */
static void response_error_grpc(struct translate_work *work, const struct status_error *error)
{
	struct head *head = work->response;
	struct buf text;

	response_edit_grpc(work, BODY_NONE);
	buf_init(&text);
	buf_appendf(&text, "%u", error->code);
	head_add_token(head, TOKEN_grpc_status, buf_slice(&text));
	if (error->message.size > 0) {
		buf_clear(&text);
		status_message_encode(error->message, &text);
		head_add_token(head, TOKEN_grpc_message, buf_slice(&text));
	}
	if (error->details.size > 0) {
		buf_clear(&text);
		codec_base64_encode(error->details, false, &text);
		head_add_token(head, TOKEN_grpc_status_details_bin, buf_slice(&text));
	}
	buf_fini(&text);
}

/* GJ-02: a redirection is not followed. */
static void response_redirect_grpc(struct translate_work *work)
{
	char text[64];
	struct status_error error = {.code = STATUS_UNKNOWN};

	snprintf(text, sizeof(text), "the application answered HTTP %u, which is not followed",
		work->response->status);
	error.message = slice_from_string(text);
	response_error_grpc(work, &error);
}

/* ER-04 */
static void response_failed_grpc(struct translate_work *work)
{
	struct status_response response = {
		.http_status = work->response->status,
		.table = STATUS_REST,
		.content_type = head_value(work->response, TOKEN_content_type),
	};
	struct status_error error;
	struct codec_fault unused;
	struct buf message;
	struct buf details;

	/* What cannot be inflated is left out: an error never becomes another error. */
	if (work->coding == COMPRESS_UNKNOWN ||
		!translate_gather_text(work, &response.body, &unused)) {
		response.body = SLICE("");
	}
	buf_init(&message);
	buf_init(&details);
	error.code =
		status_from_json(work->worker->context, work->pool, &response, &message, &details);
	error.message = buf_slice(&message);
	error.details = buf_slice(&details);
	response_error_grpc(work, &error);
	buf_fini(&message);
	buf_fini(&details);
}

/* The gathered body has been read into the error by now, or was never wanted. */
static bool response_finish_grpc(
	struct translate_work *work, const struct head *trailers, struct codec_fault *ret_fault)
{
	if (work->answer == TRANSLATE_ANSWER_MESSAGE) {
		return response_message_grpc(work, trailers, ret_fault);
	}
	if (work->response->status < 400) {
		response_redirect_grpc(work);
	} else {
		response_failed_grpc(work);
	}
	chain_clear(&work->gathered);
	return translate_worker_charge(work, 0);
}

/* ---- both ---- */

/* Once per answer, whichever of trailers, last bytes or a head that ends comes to say that it is
 * whole. */
static bool response_finish(
	struct translate_work *work, const struct head *trailers, struct codec_fault *ret_fault)
{
	bool good = work->mode == TRANSLATE_MODE_TO_GRPC
			    ? response_finish_json(work, trailers, ret_fault)
			    : response_finish_grpc(work, trailers, ret_fault);

	work->answer = TRANSLATE_ANSWER_DONE;
	return good;
}

/* JG-04: the head is held, so that its status can still become that of the trailers. The charge of
 * the request is given back here: its bytes are with the application, and a retry would gather them
 * anew (CX-10). */
enum filter_verdict translate_response_begin(
	struct translate_work *work, struct head *head, bool end)
{
	struct codec_fault fault;
	bool charged = translate_worker_charge(work, 0); /* the request is with the application */
	bool good;

	ASSERT(charged && head->kind == HEAD_RESPONSE);
	chain_clear(&work->gathered);
	work->response = head;
	codec_fault_clear(&fault);
	exchange_hold_response_head(work->exchange);
	head_body_unknown(head);
	good = work->mode == TRANSLATE_MODE_TO_GRPC ? response_begin_json(work, head, &fault)
						    : response_begin_grpc(work, head, &fault);
	if (good && end) {
		good = response_finish(
			work, work->mode == TRANSLATE_MODE_TO_GRPC ? head : NULL, &fault);
		if (good && work->output.size > 0) {
			exchange_add_response_body(work->exchange);
		}
	}
	return good ? FILTER_NEXT : translate_fail(work, true, &fault);
}

/* A piece of the answer. */
static bool response_take(
	struct translate_work *work, struct chain *body, struct codec_fault *ret_fault)
{
	bool more;

	switch (work->answer) {
	case TRANSLATE_ANSWER_NONE:
	case TRANSLATE_ANSWER_DONE:
		translate_gather_part(work, body, 0);
		return true;
	case TRANSLATE_ANSWER_ERROR:
		translate_gather_part(work, body, TRANSLATE_ERROR_BODY);
		return true;
	case TRANSLATE_ANSWER_MESSAGE:
		break;
	}
	if (work->mode == TRANSLATE_MODE_TO_JSON) {
		return translate_gather_body(work, body, work->conf->codec.max_json, ret_fault);
	}
	if (work->more) {
		/* The status, still to come, says whether that was wrong (GR-02). */
		translate_gather_part(work, body, 0);
		return true;
	}
	if (!translate_gather_body(work, body, SIZE_MAX, ret_fault) ||
		!translate_gather_check_frame(work, &more, ret_fault)) {
		return false;
	}
	work->more = more;
	return true;
}

/* Nothing leaves before the end: the translated answer waits in `output` and takes the place of the
 * last piece. */
enum filter_verdict translate_response_body(
	struct translate_work *work, struct chain *body, bool end)
{
	struct codec_fault fault;
	bool good;

	ASSERT(work->response != NULL);
	codec_fault_clear(&fault);
	good = response_take(work, body, &fault);
	if (good && end && work->answer != TRANSLATE_ANSWER_DONE) {
		good = response_finish(work, NULL, &fault);
	}
	if (!good) {
		return translate_fail(work, true, &fault);
	}
	if (end) {
		chain_move(body, &work->output);
	}
	return FILTER_NEXT;
}

/* For a JSON client these decide; behind an answer that is done already they have nothing more to
 * say. */
enum filter_verdict translate_response_trailers(struct translate_work *work, struct head *trailers)
{
	struct codec_fault fault;

	ASSERT(trailers->kind == HEAD_TRAILERS && work->response != NULL);
	codec_fault_clear(&fault);
	if (work->answer == TRANSLATE_ANSWER_DONE) {
		return FILTER_NEXT;
	}
	if (!response_finish(work, trailers, &fault)) {
		return translate_fail(work, true, &fault);
	}
	/* Also where there is none: the trailers are consumed. */
	exchange_add_response_body(work->exchange);
	return FILTER_NEXT;
}
