/*
 * exchange: life and events. The callbacks of both streams only note what happened and queue the
 * task; exchange_step looks at the notes in a fixed order: ends from outside, timers, the request,
 * the attempt, the answer. A step that finds nothing to do costs a few comparisons.
 */
#include "exchange/exchange_steps.h"

#include "base/clock.h"

static void exchange_run(struct task *task);

void exchange_mark(struct exchange *x)
{
	/* While it runs, it looks at everything anyway before it returns. */
	if (!x->running && !x->finished) {
		loop_queue(x->server->options.loop, &x->task);
	}
}

/* MM-13: head, then body, then nothing. Another move is a broken invariant of a codec. */
static bool exchange_may(enum exchange_flow flow, enum head_kind kind)
{
	switch (kind) {
	case HEAD_REQUEST:
	case HEAD_INTERIM:
	case HEAD_RESPONSE:
		return flow == FLOW_HEAD;
	case HEAD_TRAILERS:
		return flow == FLOW_BODY;
	}
	return false;
}

static void exchange_broken(struct exchange *x)
{
	x->cut = REASON_internal_error;
	exchange_mark(x);
}

static void exchange_down_head(struct stream *stream, struct head *head, bool end)
{
	struct exchange *x = stream->owner;

	if (!exchange_may(x->req.flow, head->kind)) {
		exchange_broken(x);
		return;
	}
	/* Only trailers come here: the request head made the exchange. */
	x->req.trailers = head;
	x->req.ended = end;
	x->req.flow = FLOW_DONE;
	exchange_mark(x);
}

static void exchange_down_body(struct stream *stream, struct chain *body, bool end)
{
	struct exchange *x = stream->owner;

	if (x->req.flow != FLOW_BODY) {
		exchange_broken(x);
		return;
	}
	ASSERT(stream->received - stream->credited <= stream->window); /* invariant A */
	chain_move(&x->req.in, body);
	x->req.last_ms = loop_now_ms(x->server->options.loop);
	if (end) {
		x->req.ended = true;
		x->req.flow = FLOW_DONE;
	}
	exchange_mark(x);
}

static void exchange_down_sent(struct stream *stream, size_t n)
{
	struct exchange *x = stream->owner;

	ASSERT(n > 0);
	x->resp.last_ms = loop_now_ms(x->server->options.loop);
	/* Nobody needs the credit of a stream that has ended. */
	if (!x->resp.ended) {
		exchange_mark(x);
	}
}

static void exchange_down_reset(struct stream *stream, enum reason why)
{
	struct exchange *x = stream->owner;

	x->down_lost = why != REASON_ok ? why : REASON_downstream_reset;
	exchange_mark(x);
}

const struct stream_ops exchange_down_ops = {
	exchange_down_head, exchange_down_body, exchange_down_sent, exchange_down_reset};

static void exchange_up_head(struct stream *stream, struct head *head, bool end)
{
	struct exchange *x = stream->owner;

	if (!exchange_may(x->resp.flow, head->kind)) {
		exchange_broken(x);
		return;
	}
	x->resp.last_ms = loop_now_ms(x->server->options.loop);
	switch (head->kind) {
	case HEAD_INTERIM:
		/* 100 ends here; the codec counts them (H1-33). */
		if (head->status != 100 && x->resp.interim_count < EXCHANGE_INTERIM_MAX) {
			x->resp.interim[x->resp.interim_count++] = head;
		}
		break;
	case HEAD_RESPONSE:
		x->resp.head = head;
		x->resp.flow = end ? FLOW_DONE : FLOW_BODY;
		x->times.response_begun = clock_monotonic_ns();
		break;
	case HEAD_REQUEST:
	case HEAD_TRAILERS:
		x->resp.trailers = head;
		x->resp.flow = FLOW_DONE;
		break;
	}
	x->resp.ended = x->resp.ended || end;
	exchange_mark(x);
}

static void exchange_up_body(struct stream *stream, struct chain *body, bool end)
{
	struct exchange *x = stream->owner;

	if (x->resp.flow != FLOW_BODY) {
		exchange_broken(x);
		return;
	}
	ASSERT(stream->received - stream->credited <= stream->window); /* invariant A */
	chain_move(&x->resp.in, body);
	x->resp.last_ms = loop_now_ms(x->server->options.loop);
	if (end) {
		x->resp.ended = true;
		x->resp.flow = FLOW_DONE;
	}
	exchange_mark(x);
}

static void exchange_up_sent(struct stream *stream, size_t n)
{
	struct exchange *x = stream->owner;

	ASSERT(n > 0);
	x->req.taken_ms = loop_now_ms(x->server->options.loop);
	if (!x->req.ended) {
		exchange_mark(x);
	}
}

static void exchange_up_reset(struct stream *stream, enum reason why)
{
	struct exchange *x = stream->owner;

	x->up_lost = why != REASON_ok ? why : REASON_upstream_reset;
	exchange_mark(x);
}

const struct stream_ops exchange_up_ops = {
	exchange_up_head, exchange_up_body, exchange_up_sent, exchange_up_reset};

/* A filter that never looks at requests has begun at once; so the access log, which stands first,
 * hears of every exchange, even of one whose client leaves before its turn came (C-13). */
static void exchange_add_listener_filters(struct exchange *x)
{
	if (x->listener == NULL) {
		return;
	}
	pipe_add_filters(x, &x->listener->filters);
	x->listener_filters = x->filter_count;
	while (x->begun_filters < x->filter_count &&
		x->filters[x->begun_filters].ops->on_request == NULL) {
		x->begun_filters++;
	}
}

void exchange_start(struct exchange *x, struct stream *stream, struct head *head, bool end)
{
	struct loop *loop = x->server->options.loop;

	ASSERT(head->kind == HEAD_REQUEST && x->server != NULL);
	task_init(&x->task, exchange_run);
	timer_init(&x->timer, exchange_timer_fire);
	list_init(&x->egress_node);
	stat_add(&x->server->stats->exchanges, 1);
	x->down = stream;
	x->times.start = clock_monotonic_ns();
	x->deadline_ns = UINT64_MAX;
	x->version = head->version;
	x->grpc = head_is_grpc(head);
	x->head_method = head->method == METHOD_HEAD;
	x->idempotent = head_is_idempotent(head);
	x->req.head = head;
	x->req.ended = end;
	x->req.flow = end ? FLOW_DONE : FLOW_BODY;
	x->req.last_ms = loop_now_ms(loop);
	x->req.continued = !head->expect_continue;
	x->resp.grpc_status = -1;
	x->resp.reset_status = -1;
	x->resp.first_filter = -1;
	chain_init(&x->req.in);
	chain_init(&x->req.staged);
	chain_init(&x->req.ready);
	chain_init(&x->resp.in);
	chain_init(&x->resp.ready);
	chain_init(&x->kept_body);
	pipe_init(&x->req.listener_pipe, false);
	pipe_init(&x->req.service_pipe, false);
	pipe_init(&x->resp.pipe, true);
	replay_init(&x->req.replay, &x->server->replay, x->snapshot->replay_bytes);
	stream->ops = &exchange_down_ops;
	stream->owner = x;
	exchange_add_listener_filters(x);
	/* Judged now, so that who came last is refused, not who is looked at first. */
	x->overloaded = !exchange_has_room(x);
	loop_queue(loop, &x->task);
}

static void exchange_fini_chains(struct exchange *x)
{
	replay_close(&x->req.replay);
	pipe_fini(&x->req.listener_pipe);
	pipe_fini(&x->req.service_pipe);
	pipe_fini(&x->resp.pipe);
	chain_fini(&x->req.in);
	chain_fini(&x->req.staged);
	chain_fini(&x->req.ready);
	chain_fini(&x->resp.in);
	chain_fini(&x->resp.ready);
	chain_fini(&x->kept_body);
}

/* The only end: everything that is owed exactly once is paid here. */
void exchange_finish(struct exchange *x, enum reason why)
{
	struct exchange_server *server = x->server;

	ASSERT(!x->finished);
	x->finished = true;
	if (x->attempt_live) {
		/* Whatever the client was told: this stream is not wanted any more. */
		exchange_attempt_end(x, CLASS_CANCELLED, x->reason != REASON_ok ? x->reason : why);
	}
	egress_cancel(x);
	exchange_count(x);
	/* FL-05: once for every filter whose turn came; the access log is among them (C-13). */
	for (int i = x->begun_filters - 1; i >= 0; i--) {
		if (x->filters[i].ops->on_done != NULL) {
			x->filters[i].ops->on_done(&x->filters[i].call);
		}
	}
	timer_cancel(&x->timer);
	task_cancel(&x->task);
	exchange_fini_chains(x);
	stream_reset(x->down, why);
	server_exchange_free(server, x);
}

/* The client is gone, or control ends what is left. */
static void exchange_look_outside(struct exchange *x)
{
	enum reason why = x->down_lost != REASON_ok ? x->down_lost : x->cut;

	if (why == REASON_ok || x->ending) {
		return;
	}
	x->cut = REASON_ok;
	if (x->down_lost != REASON_ok && x->version != HTTP_2 && !x->resp.sent &&
		reason_info(why)->http != 0) {
		/* It broke HTTP in its body, and is still there to be told (RE-08). */
		x->down_lost = REASON_ok;
		exchange_fail(x, why, SLICE(""));
	} else if (x->down_lost != REASON_ok) {
		/* the upstream is cancelled in this very turn. */
		x->reason = why;
		x->outcome = exchange_outcome(x, why);
		x->ending = true;
		x->ending_why = why;
	} else if (why == REASON_internal_error && !x->resp.sent) {
		exchange_fail(x, why, SLICE(""));
	} else {
		exchange_break(x, why);
	}
}

/* One look at everything. Steps only mark the end (`ending`), so none of them loses the exchange
 * under its feet. When the end was queued the codec delivers it without us. */
void exchange_step(struct exchange *x)
{
	ASSERT(!x->finished && !x->running);
	task_cancel(&x->task);
	x->running = true;
	exchange_look_outside(x);
	exchange_timer_check(x);
	if (!x->ending && (x->begun || (!x->resp.sent && exchange_begin(x)))) {
		exchange_request_advance(x);
	}
	exchange_attempt_advance(x);
	exchange_response_advance(x);
	if (x->resp.sent_end && !x->ending) {
		x->ending = true;
		x->ending_why = REASON_ok;
	}
	if (x->ending) {
		exchange_finish(x, x->ending_why);
		return;
	}
	exchange_credit(x);
	exchange_timer_arm(x);
	x->running = false;
}

static void exchange_run(struct task *task)
{
	exchange_step(container_of(task, struct exchange, task));
}
