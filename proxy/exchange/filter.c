/* filter: what filters may ask of an exchange (filters.md 1). */
#include "exchange/filter.h"

#include "exchange/exchange_steps.h"

struct arena *exchange_arena(struct exchange *exchange)
{
	return &exchange->down->arena;
}

struct block_pool *exchange_pool(struct exchange *exchange)
{
	return &exchange->server->pool;
}

uint64_t exchange_now_ns(const struct exchange *exchange)
{
	return loop_now_ns(exchange->server->options.loop);
}

/* The pipe that has waited longest, or NULL. */
static struct pipe *filter_waiting_pipe(struct exchange *x)
{
	struct pipe *pipes[] = {&x->req.listener_pipe, &x->req.service_pipe, &x->resp.pipe};
	struct pipe *first = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(pipes); i++) {
		if (pipes[i]->waiting && (first == NULL || pipes[i]->wait < first->wait)) {
			first = pipes[i];
		}
	}
	return first;
}

void exchange_resume(struct exchange *exchange)
{
	struct pipe *pipe = filter_waiting_pipe(exchange);

	ASSERT(exchange->calling == 0);
	/* The wait may have ended meanwhile: by the deadline, or with its attempt. */
	if (pipe != NULL) {
		pipe->waiting = false;
		exchange_mark(exchange);
	}
}

/* Index of the filter before the one that answers: the first that sees the answer. */
static int filter_before_caller(struct exchange *x)
{
	struct pipe *pipe = filter_waiting_pipe(x);

	if (x->calling > 0) {
		return x->calling - 2;
	}
	if (pipe != NULL) {
		/* `next` has moved past the filter that waits. */
		return pipe->response ? pipe->next : pipe->next - 2;
	}
	return x->begun_filters - 1;
}

/* Filters may answer from a slot or, while they wait, from outside: then the exchange is queued. */
void exchange_reply(struct exchange *exchange, const struct reply *reply)
{
	ASSERT(!exchange->finished && !exchange->ending);
	exchange_answer(exchange, reply, filter_before_caller(exchange));
	exchange_mark(exchange);
}

void exchange_respond(
	struct exchange *exchange, const struct head *head, struct slice body, enum reason reason)
{
	struct head *own = arena_alloc(&exchange->down->arena, sizeof(*own));
	int first = filter_before_caller(exchange);
	struct chain bytes;

	ASSERT(!exchange->finished && !exchange->ending && head->kind == HEAD_RESPONSE);
	if (exchange->resp.sent) {
		exchange_break(exchange, REASON_internal_error);
		exchange_mark(exchange);
		return;
	}
	*own = *head;
	exchange->reason = reason;
	exchange->outcome = exchange_outcome(exchange, reason);
	chain_init(&bytes);
	if (body.size > 0) {
		chain_append_copy(&bytes, &exchange->server->pool, body.data, body.size);
	}
	exchange_serve(exchange, own, &bytes, first);
	chain_fini(&bytes);
}

void exchange_hold_request_head(struct exchange *exchange)
{
	ASSERT(!exchange->finished);
	exchange->req.hold_head = true;
}

void exchange_hold_response_head(struct exchange *exchange)
{
	ASSERT(!exchange->finished && !exchange->resp.sent);
	exchange->resp.hold_head = true;
}

/* The end is what the event that passes says of it. */
static void filter_add_body(struct pipe *pipe, struct head **trailers)
{
	ASSERT(pipe->event == PIPE_HEAD || pipe->event == PIPE_TRAILERS);
	if (pipe->event == PIPE_TRAILERS) {
		*trailers = NULL;
	}
	pipe->end = false;
}

void exchange_add_request_body(struct exchange *exchange)
{
	struct exchange_request *req = &exchange->req;
	bool service = req->service_pipe.event != PIPE_IDLE;

	filter_add_body(service ? &req->service_pipe : &req->listener_pipe, &req->trailers);
}

void exchange_add_response_body(struct exchange *exchange)
{
	ASSERT(!exchange->resp.sent_end);
	filter_add_body(&exchange->resp.pipe, &exchange->resp.trailers);
}

bool exchange_is_answered(const struct exchange *exchange)
{
	return exchange->finished || exchange->ending || exchange->resp.own ||
	       exchange->down_lost != REASON_ok;
}

void exchange_set_response_trailers(struct exchange *exchange, struct head *trailers)
{
	ASSERT(trailers->kind == HEAD_TRAILERS && !exchange->resp.sent_end);
	exchange->resp.own_trailers = trailers;
}

void exchange_credit_request(struct exchange *exchange, size_t bytes)
{
	struct pipe *pipes[] = {&exchange->req.listener_pipe, &exchange->req.service_pipe};

	/* Which pipe kept them does not matter: both count against the same window. */
	for (size_t i = 0; i < ARRAY_SIZE(pipes) && bytes > 0; i++) {
		size_t part = bytes < pipes[i]->kept ? bytes : pipes[i]->kept;

		pipes[i]->kept -= part;
		bytes -= part;
	}
	exchange->req.forgiven += bytes;
	exchange_mark(exchange);
}

void exchange_credit_response(struct exchange *exchange, size_t bytes)
{
	struct pipe *pipe = &exchange->resp.pipe;
	size_t part = bytes < pipe->kept ? bytes : pipe->kept;

	pipe->kept -= part;
	exchange->resp.forgiven += bytes - part;
	exchange_mark(exchange);
}

bool exchange_is_inbound(const struct exchange *exchange)
{
	return exchange->inbound;
}

bool exchange_to_app(const struct exchange *exchange)
{
	return exchange->to_app;
}

struct slice exchange_trace_id(const struct exchange *exchange)
{
	return exchange->trace_id;
}

struct slice exchange_service_name(const struct exchange *exchange)
{
	return exchange->route.name;
}

struct slice exchange_peer_host(const struct exchange *exchange)
{
	return exchange->from != NULL ? exchange->from->peer_host : SLICE("");
}

const struct head *exchange_request_head(const struct exchange *exchange)
{
	return exchange->req.attempt_head != NULL ? exchange->req.attempt_head : exchange->req.head;
}

bool exchange_upstream_h2(const struct exchange *exchange)
{
	if (exchange->up != NULL) {
		return exchange->up->codec->h2;
	}
	return exchange->to_app && exchange->server->app.protocol != INSTANCE_HTTP1;
}

uint64_t exchange_time_left_ns(const struct exchange *exchange)
{
	uint64_t now = exchange_now_ns(exchange);

	if (exchange->deadline_ns == UINT64_MAX) {
		return UINT64_MAX;
	}
	return exchange->deadline_ns > now ? exchange->deadline_ns - now : 0;
}

void *exchange_worker_slot(struct exchange *exchange, unsigned slot)
{
	ASSERT(slot < ARRAY_SIZE(exchange->server->options.slots));
	return exchange->server->options.slots[slot];
}
