/*
 * exchange_request: the request on its way: in -> listener filters -> staged -> service filters
 * (once per attempt, from the replay buffer again) -> ready -> the attempt's stream.
 */
#include "exchange/exchange_steps.h"

#include "base/clock.h"

/* The next event for the listener's filters. False: nothing is there. */
static bool request_next_listener(struct exchange *x)
{
	struct exchange_request *req = &x->req;
	struct pipe *pipe = &req->listener_pipe;

	if (!req->head_passed) {
		pipe->head = req->head;
		pipe->end = req->ended && req->in.size == 0 && req->trailers == NULL;
		pipe_start(pipe, PIPE_HEAD, 0, x->listener_filters);
	} else if (req->in.size > 0 || (req->ended && req->trailers == NULL && !req->staged_end)) {
		pipe->end = req->ended && req->trailers == NULL;
		chain_move(&pipe->body, &req->in);
		pipe_start(pipe, PIPE_BODY, 0, x->listener_filters);
	} else if (req->trailers != NULL && !req->staged_end) {
		/* M0-05, X-06: own fields and those that trailers may not hold go first. */
		stat_add(&x->server->stats->trailers_dropped,
			forward_response(req->trailers, false, false, (struct slice){NULL, 0}));
		pipe->head = req->trailers;
		pipe->end = true;
		pipe_start(pipe, PIPE_TRAILERS, 0, x->listener_filters);
	} else {
		return false;
	}
	return true;
}

/* FL-03: after an edit the limits hold again, with some room for fields of our own. */
static bool request_head_fits(struct exchange *x, const struct head *head)
{
	const struct http_limits *limits = &x->snapshot->http;

	if (x->filter_count <= 1 ||
		(head_size(head) <= limits->head_bytes + EXCHANGE_OWN_BYTES &&
			head->field_count <= limits->fields + EXCHANGE_OWN_FIELDS)) {
		return true;
	}
	exchange_fail(x, REASON_head_too_large, SLICE(""));
	return false;
}

static void request_listener_passed(struct exchange *x, enum pipe_event event)
{
	struct exchange_request *req = &x->req;
	struct pipe *pipe = &req->listener_pipe;

	switch (event) {
	case PIPE_HEAD:
		if (!request_head_fits(x, req->head)) {
			return;
		}
		req->head_passed = true;
		/* A head that ends the request is its whole body too. */
		req->staged_end = pipe->end;
		break;
	case PIPE_BODY:
		chain_move(&req->staged, &pipe->body);
		req->staged_end = pipe->end;
		break;
	case PIPE_TRAILERS:
		/* False where a filter gives a body instead of them. */
		req->staged_end = pipe->end;
		break;
	case PIPE_IDLE:
	case PIPE_INTERIM:
		ASSERT(event == PIPE_HEAD);
		break;
	}
}

/* The next event for the service's filters, of this attempt. */
static bool request_next_service(struct exchange *x)
{
	struct exchange_request *req = &x->req;
	struct pipe *pipe = &req->service_pipe;

	if (!req->head_served) {
		pipe->head = req->attempt_head;
		pipe->end = req->staged_end && req->staged.size == 0 && req->trailers == NULL;
		pipe_start(pipe, PIPE_HEAD, x->listener_filters, x->filter_count);
	} else if (req->staged.size > 0 ||
		   (req->staged_end && req->trailers == NULL && !req->served_end)) {
		pipe->end = req->staged_end && req->trailers == NULL;
		/* MT-06: what goes on from here is lost with the attempt, but for this copy. */
		replay_keep(&req->replay, &req->staged);
		chain_move(&pipe->body, &req->staged);
		pipe_start(pipe, PIPE_BODY, x->listener_filters, x->filter_count);
	} else if (req->staged_end && req->trailers != NULL && !req->served_end) {
		pipe->head = req->trailers;
		pipe->end = true;
		pipe_start(pipe, PIPE_TRAILERS, x->listener_filters, x->filter_count);
	} else {
		return false;
	}
	return true;
}

static void request_service_passed(struct exchange *x, enum pipe_event event)
{
	struct exchange_request *req = &x->req;
	struct pipe *pipe = &req->service_pipe;

	switch (event) {
	case PIPE_HEAD:
		if (!request_head_fits(x, req->attempt_head)) {
			return;
		}
		req->head_served = true;
		req->served_end = pipe->end;
		req->ready_end = pipe->end;
		break;
	case PIPE_BODY:
		chain_move(&req->ready, &pipe->body);
		req->served_end = pipe->end;
		req->ready_end = pipe->end;
		break;
	case PIPE_TRAILERS:
		/* False where a filter gives a body instead of them. */
		req->served_end = pipe->end;
		req->ready_end = pipe->end;
		req->trailers_ready = req->trailers != NULL && req->trailers->field_count > 0;
		break;
	case PIPE_IDLE:
	case PIPE_INTERIM:
		ASSERT(event == PIPE_HEAD);
		break;
	}
}

/* Runs one pipe until it is dry, waits, or a filter answers. False: it waits or the exchange was
 * answered. */
static bool request_run_pipe(struct exchange *x, struct pipe *pipe, bool (*next)(struct exchange *),
	void (*passed)(struct exchange *, enum pipe_event))
{
	while (pipe->event != PIPE_IDLE || next(x)) {
		enum pipe_event event = pipe->event;
		enum pipe_result result = pipe_run(x, pipe);

		if (x->ending || x->resp.own || result != PIPE_PASSED) {
			/* exchange_reply has been called by who replied. */
			return false;
		}
		passed(x, event);
		if (x->resp.own) {
			return false;
		}
	}
	return true;
}

/* A shallow copy: what service filters edit for one attempt must not show in the next. */
static struct head *request_copy_head(struct exchange *x)
{
	struct head *head = x->req.head;
	struct head *copy;

	if (x->filter_count == x->listener_filters) {
		return head;
	}
	copy = arena_alloc(&x->down->arena, sizeof(*copy));
	*copy = *head;
	copy->fields = arena_alloc(
		&x->down->arena, ((size_t)head->field_count + 8) * sizeof(*copy->fields));
	copy->field_capacity = head->field_count + 8;
	if (head->field_count > 0) {
		memcpy(copy->fields, head->fields, head->field_count * sizeof(*copy->fields));
	}
	return copy;
}

/* The next attempt starts from the head as it was and the body from its first byte. */
void exchange_request_rewind(struct exchange *x)
{
	struct exchange_request *req = &x->req;

	pipe_reset(&req->service_pipe);
	chain_clear(&req->ready);
	replay_rewind(&req->replay, &req->staged);
	req->attempt_head = NULL;
	req->head_served = false;
	req->served_end = false;
	req->ready_end = false;
	req->trailers_ready = false;
	req->hold_head = false;
	req->sent_end = false;
}

static uint64_t request_time_left(const struct exchange *x)
{
	uint64_t now = loop_now_ns(x->server->options.loop);

	if (x->deadline_ns == UINT64_MAX) {
		return UINT64_MAX;
	}
	return x->deadline_ns > now ? x->deadline_ns - now : 0;
}

static void request_edit_attempt_head(struct exchange *x)
{
	const struct instance *instance = x->attempt.instance;
	struct forward_leg leg = {
		.mesh = !x->to_app && instance != NULL && instance->protocol == INSTANCE_SIDECAR,
		.own_app = x->to_app,
		.grpc = x->req.attempt_head->version == HTTP_2 && x->grpc,
		.service = x->route.name,
		.hops = x->wishes.hops + 1,
		.attempt = x->wishes.attempt,
		.left_ns = request_time_left(x),
		.keep_broker = x->peer == FORWARD_FROM_SELF,
	};

	/* MT-22: the number of this attempt, or of the one that this hop serves. */
	if (!x->to_app && leg.attempt < x->attempts) {
		leg.attempt = x->attempts;
	}
	if (x->route.external) {
		leg.attempt = 0;
		leg.left_ns = x->grpc ? leg.left_ns : UINT64_MAX;
	}
	forward_attempt(x->req.attempt_head, &leg);
}

/* H1-37: 100 when the upstream stream is open and the body is wanted. */
static void request_continue(struct exchange *x)
{
	struct head *interim;

	if (x->req.continued) {
		return;
	}
	x->req.continued = true;
	if (x->req.ended || x->req.in.size > 0 || x->down->received > 0) {
		return;
	}
	interim = arena_alloc(&x->down->arena, sizeof(*interim));
	head_init(interim, &x->down->arena, HEAD_INTERIM);
	interim->status = 100;
	if (x->down->codec->ops->send_head(x->down, interim, false) != 0) {
		x->cut = REASON_internal_error;
	}
}

static void request_send_head(struct exchange *x)
{
	struct exchange_request *req = &x->req;
	bool end = req->ready_end && req->ready.size == 0 && !req->trailers_ready;

	request_edit_attempt_head(x);
	if (x->up->codec->ops->send_head(x->up, req->attempt_head, end) != 0) {
		/* H2-33: a head that cannot be sent towards the upstream. */
		exchange_fail(x, REASON_internal_error, SLICE("the request head is too large"));
		return;
	}
	x->up_state = UP_SENT;
	x->times.request_sent = clock_monotonic_ns();
	req->sent_end = end;
	if (end) {
		x->times.request_complete_ms = loop_now_ms(x->server->options.loop);
	} else {
		request_continue(x);
	}
}

/* Spans move, bytes do not (design: a byte's life). */
static void request_send_body(struct exchange *x)
{
	struct exchange_request *req = &x->req;
	bool end = req->ready_end && !req->trailers_ready;

	if (req->sent_end || (req->ready.size == 0 && !req->ready_end)) {
		return;
	}
	if (req->ready.size > 0 || end) {
		if (x->up->out.size == 0) {
			req->taken_ms = loop_now_ms(x->server->options.loop);
		}
		chain_move(&x->up->out, &req->ready);
		x->up->codec->ops->send_more(x->up, end);
	}
	if (req->trailers_ready && x->up->codec->ops->send_head(x->up, req->trailers, true) != 0) {
		exchange_fail(x, REASON_internal_error, SLICE("the trailers are too large"));
		return;
	}
	if (req->ready_end) {
		req->sent_end = true;
		x->times.request_complete_ms = loop_now_ms(x->server->options.loop);
	}
}

/* Bytes that wait past the turn must not pin blocks that are mostly somebody else's (B-06). */
static void request_compact(struct exchange *x)
{
	chain_compact(&x->req.in, &x->server->pool);
	chain_compact(&x->req.staged, &x->server->pool);
	chain_compact(&x->req.ready, &x->server->pool);
}

/* 413 where a body without a length passes the limit. */
static bool request_too_large(struct exchange *x)
{
	uint64_t most = x->hold->limits.body_bytes;

	if (most == 0 || x->down->received <= most) {
		return false;
	}
	exchange_fail(x, REASON_body_too_large, SLICE(""));
	return true;
}

/* Service filters see the chosen instance; towards the own application, which is the only one,
 * they come first, so that a request they refuse opens nothing. */
static bool request_may_serve(const struct exchange *x)
{
	return x->to_app ? x->up_state != UP_DELAY : x->up != NULL;
}

static bool request_head_may_go(const struct exchange *x)
{
	const struct exchange_request *req = &x->req;

	return req->head_served && (!req->hold_head || req->ready.size > 0 || req->ready_end);
}

/* G-02: what is still gRPC after the filters, translation among them, needs HTTP/2. */
static bool request_fits_upstream(struct exchange *x)
{
	const struct head *head = x->req.attempt_head;

	if (!x->grpc || !x->req.head_served || exchange_upstream_h2(x) || !head_is_grpc(head)) {
		return true;
	}
	exchange_fail(x, REASON_grpc_needs_h2, SLICE(""));
	return false;
}

void exchange_request_advance(struct exchange *x)
{
	struct exchange_request *req = &x->req;

	if (x->resp.own || x->up_state == UP_OVER) {
		chain_clear(&req->in); /* nobody wants it any more; the client may go on sending */
		chain_clear(&req->staged);
		return;
	}
	if (request_too_large(x) ||
		(!request_run_pipe(
			 x, &req->listener_pipe, request_next_listener, request_listener_passed) &&
			(x->resp.own || x->ending)) ||
		!req->head_passed || x->resolving) {
		return;
	}
	if (!x->routed && !exchange_choose(x)) {
		return;
	}
	if (!x->to_app) {
		exchange_attempt_begin(x);
	}
	if (!x->resp.own && !x->ending && request_may_serve(x)) {
		if (req->attempt_head == NULL) {
			req->attempt_head = request_copy_head(x);
		}
		(void)request_run_pipe(
			x, &req->service_pipe, request_next_service, request_service_passed);
	}
	if (x->resp.own || x->ending || !request_fits_upstream(x)) {
		return;
	}
	if (x->to_app && request_head_may_go(x)) {
		exchange_attempt_begin(x);
	}
	if (req->hold_head && req->head_served) {
		/* The head waits for the body, so the body cannot wait for the head. */
		request_continue(x);
	}
	if (x->up_state == UP_READY && request_head_may_go(x)) {
		request_send_head(x);
	}
	if (x->up_state == UP_SENT && !x->resp.own) {
		request_send_body(x);
	} else {
		request_compact(x);
	}
}

/* Credit for what is held nowhere any more (B-01): not in our chains, not in filters, not waiting
 * in the other stream. */
static void exchange_credit_stream(struct stream *stream, size_t held)
{
	uint64_t open = stream->received - stream->credited;

	if (!stream->ended_in && open > held) {
		stream->codec->ops->credit(stream, (size_t)(open - held));
	}
	ASSERT(stream->credited <= stream->received);
}

void exchange_credit(struct exchange *x)
{
	const struct exchange_request *req = &x->req;
	const struct exchange_response *resp = &x->resp;

	if (x->down->received != x->down->credited) {
		exchange_credit_stream(
			x->down, req->in.size + req->staged.size + req->ready.size +
					 req->listener_pipe.body.size + req->listener_pipe.kept +
					 req->service_pipe.body.size + req->service_pipe.kept +
					 (x->up != NULL ? x->up->out.size : 0));
	}
	if (x->up != NULL && x->up->received != x->up->credited) {
		exchange_credit_stream(x->up, resp->in.size + resp->ready.size +
						      resp->pipe.body.size + resp->pipe.kept +
						      x->down->out.size);
	}
}
