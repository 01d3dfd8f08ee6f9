#include "broker/respond.h"

#include "base/mem.h"
#include "http/reply.h"

static void fill(struct broker *broker, struct reply *reply, enum reason reason, const char *text)
{
	*reply = (struct reply){.reason = reason,
		.grpc = -1,
		.outcome = reason_info(reason)->outcome,
		.message = slice_from_string(text),
		.detailed = true};
	if (reply->outcome == OUTCOME_BY_PROGRESS) {
		reply->outcome = OUTCOME_NOT_PROCESSED;
	}
	if (reason == REASON_method_forbidden) {
		reply->allow = SLICE("POST");
	}
	counters_add(&broker->counters.refused[reason], 1);
}

/* Nothing is expected any more: the stream was let go. */
static void ignore_head(struct stream *stream, struct head *head, bool end)
{
	ASSERT(stream && head);
	(void)end;
}

static void ignore_body(struct stream *stream, struct chain *body, bool end)
{
	ASSERT(stream && body);
	(void)end;
}

static void ignore_sent(struct stream *stream, size_t n)
{
	ASSERT(stream);
	(void)n;
}

static void ignore_reset(struct stream *stream, enum reason why)
{
	stream_reset(stream, why);
}

static const struct stream_ops ignore_ops = {ignore_head, ignore_body, ignore_sent, ignore_reset};

void respond_refuse(struct broker *broker, const struct endpoint_request *request,
	enum reason reason, const char *text)
{
	struct stream *stream = request->stream;
	struct reply reply;
	struct head head;
	struct buf body;

	fill(broker, &reply, reason, text);
	reply.grpc_client = head_is_grpc(request->head);
	reply.trace_id = request->trace_id;
	reply.wall_ms = stream->codec->wall_ms;
	stream->ops = &ignore_ops;
	stream->owner = NULL;
	head_init(&head, &stream->arena, HEAD_RESPONSE);
	buf_init(&body);
	reply_build(&reply, &head, &body);
	if (stream->codec->ops->send_head(stream, &head, body.size == 0) < 0) {
		buf_fini(&body);
		stream_reset(stream, REASON_internal_error);
		return;
	}
	if (body.size > 0) {
		chain_append_copy(&stream->out, stream->codec->pool, body.data, body.size);
		stream->codec->ops->send_more(stream, true);
	}
	buf_fini(&body);
	stream_reset(stream, REASON_ok);
}

void respond_reason(struct broker *broker, struct unary *unary, enum reason reason,
	const char *text, struct slice event)
{
	struct reply reply;

	fill(broker, &reply, reason, text);
	reply.event = event;
	unary_reply_reason(unary, &reply);
}

bool respond_cross_site(struct desk *desk, const struct endpoint_request *request)
{
	const struct field *origin = head_find(request->head, TOKEN_origin);
	struct slice site = head_value(request->head, TOKEN_sec_fetch_site);

	if (!origin && !slice_equal_fold(slice_trim(site), SLICE("cross-site"))) {
		return false;
	}
	for (size_t i = 0; origin && i < desk->plan->origin_count; i++) {
		if (slice_equal(
			    slice_trim(origin->value), slice_from_string(desk->plan->origins[i]))) {
			return false;
		}
	}
	respond_refuse(desk->broker, request, REASON_cross_site, NULL);
	return true;
}

bool respond_wrong_method(struct broker *broker, const struct endpoint_request *request)
{
	if (request->head->method == METHOD_POST) {
		return false;
	}
	respond_refuse(broker, request, REASON_method_forbidden, "this path takes POST");
	return true;
}
