/*
 * translate_decide: the table of CX-05 as code. It asks nobody and changes nothing, so that its
 * test is a table too.
 */
#include "filters/translate_decide.h"

#include "base/assert.h"

/* The media type alone, without parameters. */
static struct slice decide_media_type(struct slice value)
{
	value.size = slice_find(value, ';');
	return slice_trim(value);
}

/* Media types compare without case (CX-02). */
static bool decide_starts_fold(struct slice text, struct slice prefix)
{
	return text.size >= prefix.size &&
	       slice_equal_fold(slice_make(text.data, prefix.size), prefix);
}

/* CX-03: the whole type is compared, so `application/grpcx` is opaque, and so are codecs of gRPC
 * that are none of ours. */
bool translate_decide_grpc_type(struct slice content_type)
{
	struct slice type = decide_media_type(content_type);

	return slice_equal_fold(type, SLICE("application/grpc")) ||
	       slice_equal_fold(type, SLICE("application/grpc+proto"));
}

/* CX-02: every structured suffix counts, for its body is a JSON value whatever it means. */
bool translate_decide_json_type(struct slice content_type)
{
	struct slice type = decide_media_type(content_type);
	const struct slice suffix = SLICE("+json");

	if (slice_equal_fold(type, SLICE("application/json"))) {
		return true;
	}
	/* Frames and envelopes around JSON are other formats (CX-02: the first match wins). */
	if (!decide_starts_fold(type, SLICE("application/")) ||
		decide_starts_fold(type, SLICE("application/grpc+")) ||
		decide_starts_fold(type, SLICE("application/grpc-web")) ||
		decide_starts_fold(type, SLICE("application/connect+"))) {
		return false;
	}
	return type.size > sizeof("application/") - 1 + suffix.size &&
	       slice_equal_fold(slice_from(type, type.size - suffix.size), suffix);
}

/* CX-02: no content type counts as JSON, as that is what people send by hand. The body is never
 * asked: a format that is guessed can be forged. */
enum translate_format translate_decide_format(const struct head *head)
{
	struct slice type = head_value(head, TOKEN_content_type);

	ASSERT(head->kind == HEAD_REQUEST);
	if (translate_decide_grpc_type(type)) {
		return TRANSLATE_GRPC;
	}
	if (decide_media_type(type).size == 0 || translate_decide_json_type(type)) {
		return TRANSLATE_JSON;
	}
	return TRANSLATE_OPAQUE;
}

/* CX-04: the list as a set, and its first entry but `opaque`. */
struct decide_list {
	bool grpc, json, opaque;
	enum translate_format target; /* OPAQUE: there is none */
};

/* The order of the list says what is preferred, so the first entry is the target; `opaque` is never
 * one, because nothing can be translated into it. */
static void decide_add(struct decide_list *list, enum translate_format format)
{
	switch (format) {
	case TRANSLATE_GRPC:
		list->grpc = true;
		break;
	case TRANSLATE_JSON:
		list->json = true;
		break;
	case TRANSLATE_OPAQUE:
		list->opaque = true;
		return;
	}
	if (list->target == TRANSLATE_OPAQUE) {
		list->target = format;
	}
}

/* `auto` stands alone or not at all; the configuration's own check has seen to it. */
static void decide_read_list(const struct config_translation *options, struct decide_list *ret_list)
{
	*ret_list = (struct decide_list){.target = TRANSLATE_OPAQUE};
	for (size_t i = 0; i < options->app.count; i++) {
		switch (options->app.items[i]) {
		case CONFIG_FORMAT_AUTO:
			break;
		case CONFIG_FORMAT_GRPC:
			decide_add(ret_list, TRANSLATE_GRPC);
			break;
		case CONFIG_FORMAT_JSON:
			decide_add(ret_list, TRANSLATE_JSON);
			break;
		case CONFIG_FORMAT_OPAQUE:
			decide_add(ret_list, TRANSLATE_OPAQUE);
			break;
		}
	}
}

/* CX-04: an absent list is `auto` too. */
static bool decide_is_auto(const struct config_translation *options)
{
	return options->app.count == 0 || options->app.items[0] == CONFIG_FORMAT_AUTO;
}

/* The one place that makes a refusal, so that no refusal lacks its reason (ER-03). */
static void decide_refuse(
	struct translate_decision *decision, enum reason reason, int http, const char *message)
{
	ASSERT(reason != REASON_ok);
	decision->action = TRANSLATE_REFUSE;
	decision->reason = reason;
	decision->http = http;
	decision->message = message;
}

/* CX-05 (1), as far as it goes without a schema. */
static bool decide_passes(const struct decide_list *list, enum translate_format format)
{
	switch (format) {
	case TRANSLATE_GRPC:
		return list->grpc || list->target == TRANSLATE_OPAQUE;
	case TRANSLATE_JSON:
		return list->json || list->target == TRANSLATE_OPAQUE;
	case TRANSLATE_OPAQUE:
		return list->opaque || list->json;
	}
	return true;
}

/* CX-05 (4): the client is told what it may send instead (RFC 9110 15.5.16). */
static void decide_refuse_type(struct translate_decision *decision)
{
	decide_refuse(decision, REASON_codec_type, 415,
		"the application is called with application/json or application/grpc");
	decision->accept = SLICE("application/json, application/grpc, application/protobuf");
}

/* There is none and none will come. */
static void decide_without_schema(struct translate_decision *decision,
	const struct decide_list *list, enum translate_format format)
{
	if (list->opaque) {
		return; /* no method matches the path */
	}
	if (format == TRANSLATE_OPAQUE) {
		decide_refuse_type(decision);
		return;
	}
	decide_refuse(decision, REASON_codec_schema, 0,
		"there is no schema: set translation.descriptors, or offer reflection");
}

/* CX-03, CX-05 (4), CX-08, GJ-03: what is wrong with a call of a method that exists. */
static bool decide_refuses_call(const struct translate_facts *facts, enum translate_format format,
	const struct codec_method *method, struct translate_decision *decision)
{
	if (format == TRANSLATE_GRPC && facts->head->version != HTTP_2) {
		decide_refuse(decision, REASON_codec_type, 505, "gRPC needs HTTP/2");
	} else if (facts->head->method != METHOD_POST) {
		decide_refuse(decision, REASON_codec_type, 405, "the method is called by POST");
		decision->allow = SLICE("POST");
	} else if (format == TRANSLATE_OPAQUE) {
		decide_refuse_type(decision);
	} else if (method->client_streaming || method->server_streaming) {
		decide_refuse(decision, REASON_codec_type, 501,
			"a streaming method: only unary ones are translated");
	}
	return decision->action == TRANSLATE_REFUSE;
}

/* CX-05 (3). An unknown method comes before a wrong type or HTTP method: who asks for what is not
 * there should not be taught how to ask (CX-08). */
static void decide_by_schema(const struct translate_facts *facts, const struct decide_list *list,
	enum translate_format format, struct translate_decision *decision)
{
	const struct codec_method *method =
		descriptor_pool_find_method(facts->pool, facts->head->path);

	decision->unknown_method = method == NULL;
	if (method == NULL) {
		/* CX-08: the application answers a gRPC client for itself. */
		if (!list->opaque && format != TRANSLATE_GRPC) {
			decide_refuse(decision, REASON_codec_method, 0,
				"the schema has no method of that path");
		}
		return;
	}
	if (decide_refuses_call(facts, format, method, decision)) {
		return;
	}
	if (list->target == TRANSLATE_GRPC && !facts->upstream_h2) {
		decide_refuse(
			decision, REASON_grpc_needs_h2, 0, "the application is called over HTTP/1");
		return;
	}
	decision->method = method;
	decision->action = list->target == TRANSLATE_GRPC ? TRANSLATE_TO_GRPC : TRANSLATE_TO_JSON;
}

/* CX-04 `auto`. False: the decision is made. */
static bool decide_auto(const struct translate_facts *facts, enum translate_format format,
	struct decide_list *ret_list, struct translate_decision *decision)
{
	bool given =
		facts->schema == TRANSLATE_SCHEMA_READY && facts->options->descriptors.count > 0;

	*ret_list = (struct decide_list){.target = TRANSLATE_OPAQUE};
	/* An HTTP/1 application cannot speak gRPC, and gRPC passes whatever is found out. */
	if (!facts->upstream_h2 || format == TRANSLATE_GRPC) {
		return false;
	}
	if (!facts->grpc_app && !given) {
		if (facts->schema == TRANSLATE_SCHEMA_PENDING) {
			decision->action = TRANSLATE_WAIT;
		}
		return false;
	}
	decide_add(ret_list, TRANSLATE_GRPC);
	return true;
}

/* CX-05, in its order. Passing is the default of the result, so that a branch which decides nothing
 * leaves the bytes alone (CX-06). */
void translate_decide(const struct translate_facts *facts, struct translate_decision *ret_decision)
{
	enum translate_format format = translate_decide_format(facts->head);
	struct decide_list list;

	ASSERT((facts->schema == TRANSLATE_SCHEMA_READY) == (facts->pool != NULL));
	*ret_decision = (struct translate_decision){.action = TRANSLATE_PASS};
	if (!decide_is_auto(facts->options)) {
		decide_read_list(facts->options, &list);
	} else if (!decide_auto(facts, format, &list, ret_decision)) {
		return;
	}
	if (decide_passes(&list, format)) {
		return;
	}
	switch (facts->schema) {
	case TRANSLATE_SCHEMA_PENDING:
		ret_decision->action = TRANSLATE_WAIT;
		break;
	case TRANSLATE_SCHEMA_NONE:
		decide_without_schema(ret_decision, &list, format);
		break;
	case TRANSLATE_SCHEMA_READY:
		decide_by_schema(facts, &list, format, ret_decision);
		break;
	}
}
