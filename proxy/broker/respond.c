#include "broker/respond.h"

#include <stdio.h>

#include "base/mem.h"
#include "http/reply.h"

#define REFUSED_BODY_MAX ((size_t)16 << 20)

/* Refusals before the disk thread had the message are always not-processed (RE-01). */
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

struct refusal {
	struct broker *broker;
	enum reason reason;
	char text[256];
};

/* The body is not looked at. */
static void on_refused(struct unary *unary, struct slice body)
{
	struct refusal *refusal = unary_owner(unary);
	struct reply reply;

	ASSERT(body.size <= REFUSED_BODY_MAX);
	fill(refusal->broker, &reply, refusal->reason, refusal->text[0] ? refusal->text : NULL);
	reply.grpc_client = head_is_grpc(unary_head(unary));
	unary_reply_reason(unary, &reply);
	mem_free(refusal);
}

/* The client did not wait for its refusal. */
static void on_refused_gone(struct unary *unary)
{
	mem_free(unary_owner(unary));
}

static const struct unary_ops refused_ops = {on_refused, on_refused_gone};

/* A body of a usual size is read and forgotten, so that the connection stays usable and no client
 * sees a reset before its answer. */
void respond_refuse(struct broker *broker, const struct endpoint_request *request,
	enum reason reason, const char *text)
{
	struct refusal *refusal = mem_zalloc(sizeof *refusal);

	refusal->broker = broker;
	refusal->reason = reason;
	(void)snprintf(refusal->text, sizeof refusal->text, "%s", text ? text : "");
	unary_accept(request, REFUSED_BODY_MAX, &refused_ops, refusal);
}

/* With the message's id where there is one (B5-11). */
void respond_reason(struct broker *broker, struct unary *unary, enum reason reason,
	const char *text, struct slice event)
{
	struct reply reply;

	fill(broker, &reply, reason, text);
	reply.event = event;
	unary_reply_reason(unary, &reply);
}

/* A browser adds these fields by itself: no web page publishes through localhost unless
 * listed. */
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

/* A GET whose answer is lost would lose messages (B6-01). */
bool respond_wrong_method(struct broker *broker, const struct endpoint_request *request)
{
	if (request->head->method == METHOD_POST) {
		return false;
	}
	respond_refuse(broker, request, REASON_method_forbidden, "this path takes POST");
	return true;
}
