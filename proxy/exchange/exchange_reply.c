/*
 * exchange_reply: answers that pillion makes itself, in the form the client understands
 * (reasons.md, http.md 10), and ends that cannot be answered any more.
 */
#include "exchange/exchange_steps.h"

#include <stdio.h>

#include "base/clock.h"

/* Did an attempt hand a whole header block to somebody who did not prove "not processed"? */
static bool exchange_maybe_processed(const struct exchange *x)
{
	enum attempt_class progress;

	if (x->unproven != REASON_ok) {
		return true;
	}
	if (!x->attempt_live || x->up_state != UP_SENT) {
		return false;
	}
	progress = attempt_progress(&x->attempt, x->req.sent_end);
	return progress != CLASS_F0 && progress != CLASS_F1;
}

enum outcome exchange_outcome(const struct exchange *x, enum reason why)
{
	enum outcome outcome = reason_info(why)->outcome;

	if (outcome == OUTCOME_BY_PROGRESS || outcome == OUTCOME_NOT_PROCESSED) {
		return exchange_maybe_processed(x) ? OUTCOME_UNKNOWN : OUTCOME_NOT_PROCESSED;
	}
	return outcome;
}

/* What was under way towards the upstream is over. */
static void exchange_drop_attempt(struct exchange *x, enum reason why)
{
	if (x->attempt_live) {
		exchange_attempt_end(x, CLASS_CANCELLED, why);
	}
	x->up_state = UP_OVER;
	x->up_lost = REASON_ok;
	egress_cancel(x);
	x->resolving = false;
	replay_close(&x->req.replay);
	/* The client's body is not wanted any more; its credit goes back. */
	chain_clear(&x->req.in);
	chain_clear(&x->req.staged);
	chain_clear(&x->req.ready);
	pipe_reset(&x->req.service_pipe);
	pipe_reset(&x->req.listener_pipe);
}

/* An answer of our own takes the place of the upstream's and then goes the same way: through the
 * filters before the one that gave it, then downstream. */
void exchange_serve(struct exchange *x, struct head *head, struct chain *body, int first_filter)
{
	struct exchange_response *resp = &x->resp;

	ASSERT(head->kind == HEAD_RESPONSE && !resp->sent);
	exchange_drop_attempt(x, x->reason);
	pipe_reset(&resp->pipe);
	chain_clear(&resp->in);
	chain_clear(&resp->ready);
	resp->own = true;
	resp->judged = true;
	resp->head = head;
	resp->trailers = NULL;
	resp->own_trailers = NULL;
	resp->interim_count = 0;
	resp->interim_sent = 0;
	resp->first_filter = first_filter;
	resp->head_passed = false;
	resp->hold_head = false;
	resp->ready_end = false;
	resp->trailers_ready = false;
	resp->ended = true;
	resp->flow = FLOW_DONE;
	x->from_mesh_leg = false;
	if (body != NULL) {
		chain_move(&resp->in, body);
	}
	exchange_mark(x);
}

/* The parts of a reply that are the same for whoever makes it. */
static void exchange_complete_reply(struct exchange *x, struct reply *reply, char *by, size_t size)
{
	snprintf(by, size, "%c-%s", x->inbound ? 'i' : 'o', x->snapshot->id8);
	reply->by = slice_from_string(by);
	reply->trace_id = x->trace_id;
	reply->grpc_client = x->grpc;
	if (x->grpc) {
		reply->content_type = head_value(x->req.head, TOKEN_content_type);
	}
	reply->head_request = x->head_method;
	reply->detailed = x->peer != FORWARD_FROM_OTHER;
	reply->attempts = x->attempts;
	reply->index = x->index;
	reply->retry_stop = decision_stop_word(x->stop);
	reply->wall_ms = clock_wall_ms();
	if (x->routed && x->route.name.size > 0) {
		reply->service = x->route.name;
	}
	/* Who saw the answer of the application knows better than the progress of the request. */
	if (reply->outcome != OUTCOME_PROCESSED) {
		reply->outcome = exchange_outcome(x, reply->reason);
	}
}

/* Would this answer promise that nothing was done (RE-01)? */
static bool exchange_promises(const struct exchange *x, const struct reply *reply)
{
	const struct reason_info *info = reason_info(reply->reason);

	if (x->grpc) {
		return (reply->grpc >= 0 ? reply->grpc : info->grpc) == 14;
	}
	return (reply->http != 0 ? reply->http : info->http) == 503;
}

/* RE-03 says the last word; RE-01 says that 503 means "not processed". Where both cannot hold, the
 * word of the attempt that may have been processed is the honest one. */
static void exchange_be_honest(const struct exchange *x, struct reply *reply)
{
	if (exchange_promises(x, reply) && exchange_maybe_processed(x)) {
		reply->reason = x->unproven != REASON_ok ? x->unproven : REASON_upstream_reset;
		reply->message = SLICE("");
		reply->http = 0;
		reply->grpc = -1;
	}
}

void exchange_answer(struct exchange *x, const struct reply *given, int first_filter)
{
	struct reply reply = *given;
	struct chain body;
	struct head *head;
	struct buf text;
	char by[16];

	if (x->resp.sent) {
		exchange_break(x, reply.reason);
		return;
	}
	if (reply.reason == REASON_upstream_reset && reply.grpc < 0) {
		reply.grpc = x->resp.reset_status;
	}
	exchange_be_honest(x, &reply);
	exchange_complete_reply(x, &reply, by, sizeof(by));
	/* RE-21 */
	ASSERT(!exchange_promises(x, &reply) || reply.outcome == OUTCOME_NOT_PROCESSED);
	x->reason = reply.reason;
	x->outcome = reply.outcome;
	head = arena_alloc(&x->down->arena, sizeof(*head));
	head_init(head, &x->down->arena, HEAD_RESPONSE);
	buf_init(&text);
	reply_build(&reply, head, &text);
	/* A request that is still arriving cannot be left unread on HTTP/1 (H1-35, RE-08). */
	head->close = head->close || !x->req.ended;
	chain_init(&body);
	if (text.size > 0) {
		chain_append_copy(&body, &x->server->pool, text.data, text.size);
	}
	exchange_serve(x, head, &body, first_filter);
	chain_fini(&body);
	buf_fini(&text);
}

void exchange_fail(struct exchange *x, enum reason why, struct slice message)
{
	struct reply reply = {.reason = why, .grpc = -1, .message = message};
	int listener_filters =
		x->begun_filters < x->listener_filters ? x->begun_filters : x->listener_filters;

	ASSERT(why != REASON_ok);
	/* MT-11: a real answer of an application says more than our failure to get another. */
	if (x->kept_head != NULL && !x->resp.sent && why != REASON_internal_error) {
		struct head *head = x->kept_head;

		x->kept_head = NULL;
		x->reason = REASON_upstream_status;
		x->outcome = OUTCOME_PROCESSED;
		exchange_serve(x, head, &x->kept_body, x->begun_filters - 1);
		return;
	}
	/* The form is the client's own already: filters next to the application must not see it. */
	exchange_answer(x, &reply, listener_filters - 1);
}

/* G-09: trailers with the status of the reason, where the client can still read them. */
static bool exchange_break_grpc(struct exchange *x, enum reason why)
{
	struct exchange_response *resp = &x->resp;
	const struct reason_info *info = reason_info(why);
	struct head *trailers;
	struct buf text;
	int status = info->grpc;

	if (!x->grpc || !resp->sent || resp->sent_end || x->down_lost != REASON_ok) {
		return false;
	}
	if (why == REASON_upstream_reset && x->resp.reset_status > 0) {
		status = x->resp.reset_status;
	}
	/* Never 0, and 14 would promise what nobody knows. */
	status = status == 0 || status == 14 ? 2 : status;
	trailers = arena_alloc(&x->down->arena, sizeof(*trailers));
	head_init(trailers, &x->down->arena, HEAD_TRAILERS);
	buf_init(&text);
	buf_appendf(&text, "%d", status);
	head_add_token(trailers, TOKEN_grpc_status, buf_slice(&text));
	buf_clear(&text);
	reply_grpc_message(&text, slice_from_string(info->word));
	reply_grpc_message(&text, SLICE(": "));
	reply_grpc_message(&text, slice_from_string(info->text));
	head_add_token(trailers, TOKEN_grpc_message, buf_slice(&text));
	buf_fini(&text);
	if (x->down->codec->ops->send_head(x->down, trailers, true) != 0) {
		return false;
	}
	resp->grpc_status = (int16_t)status;
	resp->sent_end = true;
	return true;
}

/* E-05: after the head nothing is appended to a body; the client sees a cut. */
void exchange_break(struct exchange *x, enum reason why)
{
	ASSERT(why != REASON_ok && !x->ending);
	x->reason = why;
	x->outcome = exchange_outcome(x, why);
	x->ending = true;
	x->ending_why = exchange_break_grpc(x, why) ? REASON_ok : why;
}
