/*
 * translate: decides what happens to an exchange and hands it to the two directions. Nothing of
 * gRPC or JSON is known here; faults become answers here and nowhere else.
 */
#include "filters/translate.h"

#include "base/log.h"
#include "filters/translate_work.h"
#include "http/reply.h"

/* FL-01: zeroed by the exchange. Only a pointer, so that exchanges which pass (nearly all) pay for
 * no more than that (CX-06). */
struct translate_state { /* of an exchange; a passed one has no work */
	struct translate_work *work;
};

/* The codec knows nothing of configuration, and the configuration nothing of the codec (include
 * table): their options meet here, once per snapshot and not per exchange. */
static bool translate_configure(void *conf, const void *options, struct err *err)
{
	struct translate_conf *own = conf;
	const struct config_translation *given = options;

	(void)err; /* the configuration's own table has checked everything */
	ASSERT(given != NULL);
	own->options = given;
	translate_options_init(&own->codec);
	own->codec.ignore_unknown = given->ignore_unknown;
	own->codec.proto_names = given->proto_names;
	own->codec.emit_defaults = given->emit_defaults;
	own->codec.enum_numbers = given->enum_numbers;
	own->codec.enum_any_case = given->enum_any_case;
	own->codec.int64_numbers = given->int64_numbers;
	own->codec.check_required = given->check_required;
	own->codec.any_unknown =
		given->any_unknown == CONFIG_ANY_RAW ? CODEC_ANY_RAW : CODEC_ANY_ERROR;
	own->codec.max_depth = (uint32_t)given->max_depth;
	own->codec.max_message = (size_t)given->max_message;
	own->codec.max_json = (size_t)given->max_json;
	return true;
}

/* Where the message came from and where it was to go; a refused request was not looked at. */
static const char *translate_direction(const struct translate_work *work, bool response)
{
	switch (work->mode) {
	case TRANSLATE_MODE_TO_GRPC:
		return response ? "grpc to json" : "json to grpc";
	case TRANSLATE_MODE_TO_JSON:
		return response ? "json to grpc" : "grpc to json";
	case TRANSLATE_MODE_PASS:
	case TRANSLATE_MODE_WAITING:
		break;
	}
	return "refused";
}

/* ER-08. A path is that of a method; the digest says by which schema it was judged. */
void translate_note_fault(struct translate_work *work, bool response, enum codec_fault_kind kind,
	enum reason reason, struct slice text)
{
	const struct descriptor_pool *pool = work->pool ? work->pool : work->worker->pool;
	const struct reason_info *info = reason_info(reason);
	char digest[17] = "none";

	ASSERT(kind != CODEC_FAULT_NONE && kind < CODEC_FAULT_COUNT);
	work->worker->totals.faults[response][kind]++;
	if (pool != NULL) {
		descriptor_pool_digest_text(pool, digest);
		digest[8] = '\0';
	}
	log_event(response ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "translate", info->pil,
		response ? "an answer was not translated" : "a request was not translated",
		(struct log_field[]){
			LOG_SLICE("url.path", exchange_request_head(work->exchange)->path),
			LOG_TEXT("pillion.codec.direction", translate_direction(work, response)),
			LOG_TEXT("pillion.codec.schema", digest),
			LOG_TEXT("pillion.codec.fault", codec_fault_name(kind)),
			LOG_SLICE("error.message",
				text.size > 0 ? text : slice_from_string(info->text)),
			LOG_SLICE("trace.id", exchange_trace_id(work->exchange))},
		6);
}

/* ER-03, of what is refused before a message is looked at. */
static enum codec_fault_kind translate_refusal(enum reason reason)
{
	if (reason == REASON_codec_method) {
		return CODEC_FAULT_UNKNOWN_METHOD;
	}
	return reason == REASON_codec_type ? CODEC_FAULT_NOT_OFFERED : CODEC_FAULT_NO_SCHEMA;
}

/* From here on the exchange is only carried: its own answer must not be translated again. */
enum filter_verdict translate_refuse(struct translate_work *work, const struct reply *reply)
{
	work->mode = TRANSLATE_MODE_PASS;
	if (reply->reason != REASON_grpc_needs_h2) {
		translate_note_fault(work, false, translate_refusal(reply->reason), reply->reason,
			reply->message);
	}
	exchange_reply(work->exchange, reply);
	return FILTER_REPLIED;
}

/* ER-03; too deep is a limit too (reasons.md). */
static enum reason translate_reason(enum codec_fault_kind kind, bool response)
{
	ASSERT(kind != CODEC_FAULT_NONE && kind < CODEC_FAULT_COUNT);
	if (kind == CODEC_FAULT_TOO_LARGE || kind == CODEC_FAULT_JSON_DEPTH ||
		kind == CODEC_FAULT_WIRE_DEPTH) {
		return REASON_codec_limit;
	}
	if (kind == CODEC_FAULT_MEMORY) {
		return response ? REASON_codec_limit : REASON_overloaded;
	}
	if (response) {
		return REASON_codec_response;
	}
	return kind == CODEC_FAULT_FRAME || kind == CODEC_FAULT_INFLATE ? REASON_codec_frame
									: REASON_codec_request;
}

/* CX-10: a fault of the request leaves the instance blameless. A fault of the answer is said to be
 * processed, for the application has acted whatever its answer looks like, and nobody may send the
 * request again because of it. */
enum filter_verdict translate_fail(
	struct translate_work *work, bool response, const struct codec_fault *fault)
{
	struct reply reply = {.reason = translate_reason(fault->kind, response),
		.grpc = -1,
		.message = slice_from_string(fault->text)};

	ASSERT(fault->kind != CODEC_FAULT_NONE);
	if (response) {
		reply.http = reply.reason == REASON_codec_limit ? 502 : 0;
		reply.outcome = OUTCOME_PROCESSED;
	}
	translate_note_fault(work, response, fault->kind, reply.reason, reply.message);
	work->mode = TRANSLATE_MODE_PASS;
	exchange_reply(work->exchange, &reply);
	return FILTER_REPLIED;
}

/* Lets go of what belongs to one attempt. */
static void translate_reset(struct translate_work *work)
{
	bool charged = translate_worker_charge(work, 0);

	ASSERT(charged);
	list_unlink(&work->node);
	chain_clear(&work->gathered);
	chain_clear(&work->output);
	descriptor_pool_unref(work->pool);
	work->pool = NULL;
	work->method = NULL;
	work->mode = TRANSLATE_MODE_PASS;
	work->answer = TRANSLATE_ANSWER_NONE;
	work->response = NULL;
	work->more = false;
}

/* Made when the first decision is not to pass, in the arena of the exchange; a retry finds the one
 * of the attempt before. */
static struct translate_work *translate_work_of(const struct filter_call *call)
{
	struct translate_state *state = call->state;
	struct translate_work *work = state->work;

	if (work != NULL) {
		return work;
	}
	work = arena_alloc(exchange_arena(call->exchange), sizeof(*work));
	work->exchange = call->exchange;
	work->conf = call->conf;
	work->worker = exchange_worker_slot(call->exchange, TRANSLATE_SLOT);
	list_init(&work->node);
	chain_init(&work->gathered);
	chain_init(&work->output);
	state->work = work;
	return work;
}

/* CX-02: all that a decision may rest on. The body is not among it, since it has not come yet. An
 * unknown method is remembered for control, which may fetch the schema anew (RF-04). */
static void translate_look(struct exchange *exchange, const struct translate_conf *conf,
	struct translate_worker *worker, const struct head *head,
	struct translate_decision *ret_decision)
{
	struct translate_facts facts = {
		.options = conf->options,
		.head = head,
		.schema = worker->schema,
		.pool = worker->pool,
		.grpc_app = worker->grpc_app,
		.upstream_h2 = exchange_upstream_h2(exchange),
	};

	translate_decide(&facts, ret_decision);
	worker->unknown = worker->unknown || ret_decision->unknown_method;
}

/* RF-04: until the schema is there or translate_worker_expire comes. */
static enum filter_verdict translate_wait(struct translate_work *work)
{
	uint64_t wait_ms = (uint64_t)work->conf->options->schema_wait_ms;

	if (wait_ms == 0) {
		struct reply reply = {.reason = REASON_codec_schema_wait, .grpc = -1};

		return translate_refuse(work, &reply);
	}
	if (work->wait_until_ns == 0) {
		work->wait_until_ns = exchange_now_ns(work->exchange) + wait_ms * 1000000;
	}
	work->mode = TRANSLATE_MODE_WAITING;
	list_push_back(&work->worker->waiting, &work->node);
	return FILTER_WAIT;
}

/* Does what was decided, at once or after a wait. The pool in force is taken along by reference: an
 * exchange ends with the schema it began with, also when a new one comes in between (DS-10). */
static enum filter_verdict translate_act(
	struct translate_work *work, const struct translate_decision *decision)
{
	struct reply reply = {.grpc = -1};

	switch (decision->action) {
	case TRANSLATE_PASS:
		work->mode = TRANSLATE_MODE_PASS;
		work->worker->totals.passed++;
		return FILTER_NEXT;
	case TRANSLATE_WAIT:
		return translate_wait(work);
	case TRANSLATE_REFUSE:
		reply.reason = decision->reason;
		reply.http = decision->http;
		reply.message = slice_from_string(decision->message);
		reply.allow = decision->allow;
		if (decision->accept.size > 0) {
			reply.field_name = SLICE("accept");
			reply.field_value = decision->accept;
		}
		return translate_refuse(work, &reply);
	case TRANSLATE_TO_GRPC:
	case TRANSLATE_TO_JSON:
		break;
	}
	work->mode = decision->action == TRANSLATE_TO_GRPC ? TRANSLATE_MODE_TO_GRPC
							   : TRANSLATE_MODE_TO_JSON;
	work->method = decision->method;
	ASSERT(work->pool == NULL && work->method != NULL);
	work->pool = descriptor_pool_ref(work->worker->pool);
	return translate_request_begin(work);
}

/* The exchange may have been cancelled, or run into its deadline, while it waited: then it has its
 * answer, and only the state is put right. The head is looked at again, because the schema that
 * came may lack the method. */
void translate_resume(struct translate_work *work)
{
	struct translate_decision decision;

	ASSERT(work->mode == TRANSLATE_MODE_WAITING && !list_linked(&work->node));
	if (exchange_is_answered(work->exchange)) {
		work->mode = TRANSLATE_MODE_PASS;
		return;
	}
	translate_look(work->exchange, work->conf, work->worker, work->request, &decision);
	if (translate_act(work, &decision) == FILTER_NEXT) {
		exchange_resume(work->exchange);
	}
}

/* Neither passed nor waiting nor failed: only such exchanges have their bodies looked at. */
static bool translate_is_active(const struct translate_state *state)
{
	return state->work != NULL && (state->work->mode == TRANSLATE_MODE_TO_GRPC ||
					      state->work->mode == TRANSLATE_MODE_TO_JSON);
}

/* FL-05: this filter is one of the service, so it runs again for every attempt and lets go of what
 * the attempt before has left. */
static enum filter_verdict translate_on_request(
	const struct filter_call *call, struct head *head, bool end)
{
	struct translate_state *state = call->state;
	struct translate_worker *worker = exchange_worker_slot(call->exchange, TRANSLATE_SLOT);
	struct translate_decision decision;
	struct translate_work *work;

	ASSERT(worker != NULL);
	if (head->kind == HEAD_TRAILERS) {
		/* They end the body; nobody is told of them. */
		if (translate_is_active(state)) {
			exchange_add_request_body(call->exchange);
		}
		return FILTER_NEXT;
	}
	if (state->work != NULL) {
		translate_reset(state->work); /* another attempt translates anew (CX-10) */
	}
	translate_look(call->exchange, call->conf, worker, head, &decision);
	if (decision.action == TRANSLATE_PASS) {
		worker->totals.passed++;
		return FILTER_NEXT;
	}
	work = translate_work_of(call);
	work->request = head;
	work->request_end = end;
	work->wait_until_ns = 0;
	return translate_act(work, &decision);
}

/* CX-06: bytes of a passed exchange are not so much as counted. */
static enum filter_verdict translate_on_request_body(
	const struct filter_call *call, struct chain *body, bool end)
{
	struct translate_state *state = call->state;

	if (!translate_is_active(state)) {
		return FILTER_NEXT;
	}
	return translate_request_body(state->work, body, end);
}

/* An interim head says nothing about the call; gRPC has none, and JSON clients may see those of the
 * application. */
static enum filter_verdict translate_on_response(
	const struct filter_call *call, struct head *head, bool end)
{
	struct translate_state *state = call->state;

	if (!translate_is_active(state) || head->kind == HEAD_INTERIM) {
		return FILTER_NEXT;
	}
	return head->kind == HEAD_TRAILERS ? translate_response_trailers(state->work, head)
					   : translate_response_begin(state->work, head, end);
}

static enum filter_verdict translate_on_response_body(
	const struct filter_call *call, struct chain *body, bool end)
{
	struct translate_state *state = call->state;

	if (!translate_is_active(state)) {
		return FILTER_NEXT;
	}
	return translate_response_body(state->work, body, end);
}

/* FL-05: on every path, also out of the waiting list, so that no schema that comes later resumes an
 * exchange which is gone. */
static void translate_on_done(const struct filter_call *call)
{
	struct translate_state *state = call->state;

	if (state->work != NULL) {
		translate_reset(state->work);
		chain_fini(&state->work->gathered);
		chain_fini(&state->work->output);
	}
}

const struct filter_ops translate_filter = {
	.name = "translate",
	.conf_size = sizeof(struct translate_conf),
	.state_size = sizeof(struct translate_state),
	.configure = translate_configure,
	.on_request = translate_on_request,
	.on_request_body = translate_on_request_body,
	.on_response = translate_on_response,
	.on_response_body = translate_on_response_body,
	.on_done = translate_on_done,
};
