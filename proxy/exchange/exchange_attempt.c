/*
 * exchange_attempt: one attempt after the other: start, how it ended, whether there is another
 * (mesh.md 5). The decision itself is decision.c.
 */
#include "exchange/exchange_steps.h"

#include <stdio.h>

#include "base/clock.h"
#include "http/grpc.h"
#include "upstream/service.h"

/* How an attempt ended, as far as the decision needs it. */
struct attempt_outcome {
	enum attempt_class class;
	enum reason why;
	const char *text; /* for people; may be NULL */
	bool timed_out;
	uint16_t status; /* FS, as decision.h counts it */
	bool callee_no, has_wait;
	uint64_t wait_ms;
};

/* The stream is ours from here on: its events come to exchange_up_ops. */
static void attempt_adopt(struct exchange *x)
{
	struct stream *stream = x->attempt.stream;

	ASSERT(stream != NULL && x->up == NULL);
	stream->ops = &exchange_up_ops;
	stream->owner = x;
	x->up = stream;
	x->up_state = UP_READY;
	x->up_lost = REASON_ok;
	x->times.connecting += clock_monotonic_ns() - x->times.connect_begun;
	x->resp.flow = FLOW_HEAD;
}

static void attempt_on_ready(struct attempt *attempt)
{
	struct exchange *x = attempt->owner;

	/* From the run queue, so this is the place to move on. */
	x->attempt_told = true;
	exchange_step(x);
}

/* What the record says of where it went; the instance itself is only held while it is tried. */
static void attempt_note_instance(struct exchange *x)
{
	const struct instance *instance = x->attempt.instance;

	if (instance == NULL) {
		return;
	}
	memcpy(x->instance_id, instance->id, sizeof(x->instance_id));
	x->destination = instance->address;
	x->instance_version = (struct slice){NULL, 0};
	if (instance->version != NULL) {
		x->instance_version =
			arena_copy(&x->down->arena, slice_from_string(instance->version));
	}
	if (x->attempt.set != NULL) {
		x->index = x->attempt.set->index;
	}
}

void exchange_attempt_end(struct exchange *x, enum attempt_class class, enum reason why)
{
	struct service *service = x->selection.service;

	ASSERT(x->attempt_live);
	attempt_note_instance(x);
	x->attempt_live = false;
	x->up = NULL;
	x->up_lost = REASON_ok;
	x->attempt_told = false;
	attempt_finish(&x->attempt, class, why);
	stat_add(&x->series->attempts[class], 1);
	if (x->charged) {
		x->charged = false;
		budget_release(service_budget(service));
	}
}

/* Forgets what the last attempt answered. */
static void attempt_clear_response(struct exchange *x)
{
	struct exchange_response *resp = &x->resp;

	pipe_reset(&resp->pipe);
	chain_clear(&resp->in);
	chain_clear(&resp->ready);
	resp->flow = FLOW_HEAD;
	resp->head = NULL;
	resp->trailers = NULL;
	resp->interim_count = 0;
	resp->interim_sent = 0;
	resp->ended = false;
	resp->judged = false;
	x->from_mesh_leg = false;
}

/* By method, by the author's word in the configuration, or by what the callee registered (5.2). */
static bool attempt_is_idempotent(const struct exchange *x)
{
	if (x->idempotent || x->policy->retry_idempotent) {
		return true;
	}
	/* The callee declared the method, whichever format a client calls it in: a JSON POST to
	 * the path of a gRPC method is that method. */
	return x->req.head->method == METHOD_POST &&
	       service_is_idempotent(x->selection.service, x->req.head->path);
}

static uint64_t attempt_time_left_ms(const struct exchange *x)
{
	uint64_t now = loop_now_ns(x->server->options.loop);

	if (x->deadline_ns == UINT64_MAX) {
		return UINT64_MAX;
	}
	return x->deadline_ns > now ? (x->deadline_ns - now) / 1000000 : 0;
}

/* Gathers the facts, asks, and pays for what the answer costs. */
static void attempt_decide(
	struct exchange *x, const struct attempt_outcome *outcome, struct decision *ret_decision)
{
	struct service *service = x->selection.service;
	bool h1 = x->up != NULL && !x->up->codec->h2;
	struct decision_facts facts = {
		.policy = x->policy,
		.class = outcome->class,
		.timed_out = outcome->timed_out,
		.status = outcome->status,
		.committed = x->resp.sent,
		.replayable = !x->req.replay.dropped && !x->req.replay.closed,
		.idempotent = attempt_is_idempotent(x),
		.callee_no = outcome->callee_no,
		.has_wait = outcome->has_wait,
		.wait_ms = outcome->wait_ms,
		.inherited = x->wishes.attempt >= 2,
		.attempts = x->counted_attempts,
		.free_used = x->free_used,
		.candidates = selection_candidates(&x->selection),
		.free_f1_used = x->free_f1_used,
		.free_lost_used = x->free_lost_used,
		.budget_left = true,
		.left = selection_left(&x->selection),
		.time_left_ms = attempt_time_left_ms(x),
		.random = rng_next(&x->server->rng),
		.app_leg = x->to_app && outcome->class != CLASS_FS,
		.stale_connection = h1 && x->up->reused && x->up_lost != REASON_ok &&
				    x->resp.head == NULL && !outcome->timed_out,
		.fresh_used = x->fresh_used,
	};

	decision_make(&facts, ret_decision);
	/* The budget is asked last of all, because asking takes. */
	if (ret_decision->stop == RETRY_STOP_NONE && ret_decision->charged &&
		budget_take(service_budget(service), service_active(service),
			loop_now_ms(x->server->options.loop)) != BUDGET_TAKEN) {
		ret_decision->stop = RETRY_STOP_BUDGET;
	}
}

static void attempt_result(struct exchange *x, enum attempt_state state);

/* Another try: everything that the last one did to the request is undone. */
static void attempt_again(
	struct exchange *x, const struct attempt_outcome *outcome, const struct decision *decision)
{
	bool lost = outcome->class == CLASS_F2 || outcome->class == CLASS_F3 ||
		    outcome->class == CLASS_F4;

	x->stop = RETRY_STOP_NONE;
	stat_add(&x->series->retries[RETRY_STOP_NONE], 1);
	x->counted_attempts += decision->counts ? 1 : 0;
	x->free_used += decision->counts ? 0 : 1;
	x->free_f1_used = x->free_f1_used || outcome->class == CLASS_F1;
	x->free_lost_used = x->free_lost_used || lost;
	x->fresh_used = x->fresh_used || decision->fresh;
	exchange_request_rewind(x);
	if (decision->fresh) {
		stat_add(&x->series->attempts[outcome->class], 1);
		attempt_clear_response(x);
		x->attempts++;
		x->up = NULL;
		x->up_lost = REASON_ok;
		x->up_state = UP_WAIT;
		x->times.connect_begun = clock_monotonic_ns();
		attempt_result(x, attempt_restart_fresh(&x->attempt));
		return;
	}
	exchange_attempt_end(x, outcome->class, outcome->why);
	attempt_clear_response(x);
	x->charged = decision->charged;
	x->up_state = UP_DELAY;
	x->delay_until_ms = loop_now_ms(x->server->options.loop) + decision->delay_ms;
	if (decision->delay_ms == 0) {
		/* Not from inside: the next look starts it, within this turn or the next. */
		exchange_attempt_begin(x);
	}
}

/* MT-11: of the own application only this is said, whatever the connect error was. */
static enum reason attempt_word(const struct exchange *x, const struct attempt_outcome *outcome)
{
	bool unreachable = outcome->why == REASON_connect_refused ||
			   outcome->why == REASON_connect_timeout ||
			   outcome->why == REASON_connect_failed ||
			   outcome->why == REASON_dns_failed || outcome->class == CLASS_F1;

	if (!x->to_app) {
		return outcome->why;
	}
	if (x->server->app_exited) {
		return outcome->class == CLASS_F0 || outcome->class == CLASS_F1
			       ? REASON_app_not_ready
			       : REASON_app_exited;
	}
	return unreachable && outcome->class <= CLASS_F1 ? REASON_app_unreachable : outcome->why;
}

static bool attempt_may_repeat(enum reason why)
{
	/* Full queues and empty sets are the same for every instance of the service. */
	static const enum reason final[] = {REASON_no_instance, REASON_service_unknown,
		REASON_all_unreachable, REASON_queue_full, REASON_queue_timeout, REASON_retry_shed,
		REASON_overloaded, REASON_deadline_exceeded};

	for (size_t i = 0; i < ARRAY_SIZE(final); i++) {
		if (final[i] == why) {
			return false;
		}
	}
	return true;
}

/* MA-04: which name was looked for, and where in the request it stood. */
static struct slice attempt_unknown_text(struct exchange *x)
{
	char text[400];
	int size = snprintf(text, sizeof(text),
		"the registry knows no service %.*s (the name came from %s)",
		(int)(x->route.name.size > 255 ? 255 : x->route.name.size),
		(const char *)x->route.name.data, route_source_text(x->route.source));

	ASSERT(size > 0 && (size_t)size < sizeof(text));
	return arena_copy(exchange_arena(x), slice_make(text, (size_t)size));
}

/* An attempt failed without an answer that could be passed on. */
static void attempt_failed(struct exchange *x, const struct attempt_outcome *outcome)
{
	struct decision decision = {.stop = RETRY_STOP_UNSAFE};
	const char *text = outcome->text;

	if (outcome->class != CLASS_F0 && outcome->class != CLASS_F1) {
		/* RE-21: from now on no 503 may be said, whatever comes after. */
		x->unproven = reason_info(outcome->why)->http == 503 ? REASON_upstream_reset
								     : outcome->why;
	}
	if (outcome->class != CLASS_F0 || attempt_may_repeat(outcome->why)) {
		attempt_decide(x, outcome, &decision);
		x->stop = decision.stop;
		stat_add(&x->series->retries[decision.stop],
			decision.stop != RETRY_STOP_NONE ? 1 : 0);
	} else if (x->stop == RETRY_STOP_NONE && x->attempts > 1) {
		x->stop = RETRY_STOP_NONE_LEFT;
	}
	if (decision.stop == RETRY_STOP_NONE) {
		attempt_again(x, outcome, &decision);
		return;
	}
	if (x->resp.sent) {
		exchange_attempt_end(x, CLASS_F5, outcome->why);
		exchange_break(x, outcome->why);
		return;
	}
	exchange_attempt_end(x, outcome->class, outcome->why);
	x->up_state = UP_OVER;
	if (outcome->why == REASON_service_unknown) {
		exchange_fail(x, REASON_service_unknown, attempt_unknown_text(x));
		return;
	}
	exchange_fail(x, attempt_word(x, outcome), slice_from_string(text));
}

/* What attempt_start or on_ready said. */
static void attempt_result(struct exchange *x, enum attempt_state state)
{
	struct attempt_outcome outcome = {.class = CLASS_F0};

	switch (state) {
	case ATTEMPT_READY:
		attempt_adopt(x);
		return;
	case ATTEMPT_WAIT:
		return;
	case ATTEMPT_FAILED:
		outcome.why = x->attempt.failure;
		outcome.text = x->attempt.failure_text;
		attempt_failed(x, &outcome);
		return;
	}
}

/* Starts the first attempt, or the next one when its delay is over. */
void exchange_attempt_begin(struct exchange *x)
{
	struct exchange_server *server = x->server;
	uint64_t now = loop_now_ms(server->options.loop);

	if (x->attempt_live || x->ending || x->resp.own ||
		(x->up_state != UP_NONE && (x->up_state != UP_DELAY || now < x->delay_until_ms))) {
		return;
	}
	if (x->attempts == 0) {
		x->counted_attempts = 1;
		if (!x->to_app) {
			budget_earn(service_budget(x->selection.service), now);
		}
	}
	x->attempt = (struct attempt){
		.on_ready = attempt_on_ready,
		.owner = x,
		.later_attempt = x->attempts > 0,
		.non_idempotent = !attempt_is_idempotent(x),
		.deadline_ms = x->deadline_ns == UINT64_MAX ? 0 : x->deadline_ns / 1000000 + 1,
	};
	list_init(&x->attempt.node);
	x->attempts++;
	x->attempt_live = true;
	x->up_state = UP_WAIT;
	x->times.connect_begun = clock_monotonic_ns();
	attempt_result(x, attempt_start(&x->attempt, &x->selection));
}

/* gRPC, answered in one head: its status, else -1. */
static int attempt_grpc_status(const struct head *head)
{
	uint64_t status;

	if (!slice_parse_u64(head_value(head, TOKEN_grpc_status), 16, &status)) {
		return -1;
	}
	return (int)status;
}

/* FS: as decision.h counts statuses. */
static uint16_t attempt_answer_status(const struct exchange *x, const struct head *head)
{
	if (!x->grpc || !x->resp.ended || head->status != 200) {
		return head->status;
	}
	switch (attempt_grpc_status(head)) {
	case 14:
		return 503;
	case 8:
		return 429;
	default:
		return 200;
	}
}

/* What the callee asks for: no repetition, or not before some time (MT-05, MT-07, MT-22). */
static void attempt_read_wishes(const struct exchange *x, struct attempt_outcome *outcome)
{
	const struct head *head = x->resp.head;
	const struct field *pushback = head_find(head, TOKEN_grpc_retry_pushback_ms);
	const struct field *after = head_find(head, TOKEN_retry_after);

	outcome->callee_no = x->from_mesh_leg &&
			     slice_equal(head_value(head, TOKEN_x_pillion_retry), SLICE("no"));
	if (x->grpc && pushback != NULL) {
		outcome->has_wait = decision_parse_wait(pushback->value, true, &outcome->wait_ms);
		outcome->callee_no = outcome->callee_no || !outcome->has_wait;
	} else if (after != NULL) {
		/* A date is not a wait that anybody would sit out here. */
		outcome->has_wait = decision_parse_wait(after->value, false, &outcome->wait_ms);
	}
}

/* MT-02: the answer itself proves that nothing was done. */
static bool attempt_is_unprocessed(const struct exchange *x)
{
	const struct head *head = x->resp.head;

	return head->status == 421 ||
	       (x->from_mesh_leg && slice_equal(head_value(head, TOKEN_x_pillion_outcome),
					    SLICE("not-processed")));
}

/* The word in x-pillion-reason of another sidecar; ok: none. */
static enum reason attempt_answer_word(const struct exchange *x)
{
	struct slice value = head_value(x->resp.head, TOKEN_x_pillion_reason);
	enum reason why = REASON_ok;

	value.size = slice_find(value, ';');
	if (!x->from_mesh_leg || value.size == 0 || !reason_from_word(value, &why)) {
		return REASON_ok;
	}
	return why;
}

/* MT-11: kept until another attempt gave a better answer, or none did. */
static void attempt_keep_answer(struct exchange *x)
{
	struct head *copy = arena_alloc(&x->down->arena, sizeof(*copy));

	head_init(copy, &x->down->arena, HEAD_RESPONSE);
	head_copy(copy, x->resp.head);
	forward_response(copy, x->from_mesh_leg, false,
		slice_from_string(x->server->via[x->inbound][copy->version]));
	x->kept_head = copy;
	chain_clear(&x->kept_body);
	chain_move(&x->kept_body, &x->resp.in);
}

/*
 * A final head came: does it go on to the client? True: yes. False: it is a failure that is tried
 * elsewhere, or more of it must be seen first.
 */
bool exchange_judge(struct exchange *x)
{
	const struct head *head = x->resp.head;
	const struct instance *instance = x->attempt.instance;
	struct attempt_outcome outcome = {.class = CLASS_FS};
	struct decision decision;
	bool unprocessed;

	ASSERT(!x->resp.judged && x->attempt_live);
	x->from_mesh_leg = !x->to_app && instance != NULL && instance->protocol == INSTANCE_SIDECAR;
	if (x->to_app) {
		x->answer_class = head->status >= 500 ? CLASS_FS : CLASS_OK;
		return true; /* there is nobody else to ask */
	}
	unprocessed = attempt_is_unprocessed(x);
	outcome.status = attempt_answer_status(x, head);
	outcome.why = attempt_answer_word(x);
	x->answer_class = outcome.status >= 500 || outcome.status == 429 ? CLASS_FS : CLASS_OK;
	if (head->status == 421 || outcome.why == REASON_draining) {
		attempt_set_tier(&x->attempt, TIER_DRAINING);
	}
	if (!unprocessed && !decision_status_matters(x->policy, outcome.status)) {
		attempt_contacted(&x->attempt);
		return true;
	}
	outcome.class = unprocessed ? CLASS_F1 : CLASS_FS;
	x->answer_class = outcome.class;
	attempt_read_wishes(x, &outcome);
	if (!unprocessed && !x->resp.ended && x->resp.in.size < EXCHANGE_KEPT_MAX) {
		return false; /* whole, or too large to keep: then it is decided */
	}
	if (!unprocessed && (!x->resp.ended || x->resp.trailers != NULL)) {
		return true;
	}
	attempt_decide(x, &outcome, &decision);
	x->stop = decision.stop;
	if (decision.stop != RETRY_STOP_NONE) {
		stat_add(&x->series->retries[decision.stop], 1);
		return true;
	}
	if (!unprocessed) {
		attempt_keep_answer(x);
	}
	attempt_again(x, &outcome, &decision);
	return false;
}

/* Class of an attempt whose stream was lost. */
static enum attempt_class attempt_lost_class(const struct exchange *x)
{
	if (x->up->unprocessed) {
		return CLASS_F1;
	}
	if (x->resp.head != NULL) {
		return x->resp.sent ? CLASS_F5 : CLASS_F4;
	}
	return attempt_progress(&x->attempt, x->req.sent_end);
}

static enum reason attempt_lost_word(const struct exchange *x)
{
	enum reason why = x->up_lost;

	if (why == REASON_upstream_closed && x->resp.head != NULL) {
		why = REASON_upstream_truncated;
	}
	/* Before a byte went downstream a truncated answer is one that never came (H1-31). */
	if (why == REASON_upstream_truncated && !x->resp.sent) {
		why = REASON_upstream_closed;
	}
	return why;
}

void exchange_attempt_timed_out(struct exchange *x, enum reason why)
{
	struct attempt_outcome outcome = {.why = why, .timed_out = true};

	ASSERT(x->attempt_live && x->up != NULL);
	outcome.class = attempt_lost_class(x);
	attempt_failed(x, &outcome);
}

/* Looks at what became of the attempt: a stream, a failure, an answer. */
void exchange_attempt_advance(struct exchange *x)
{
	struct attempt_outcome outcome = {.text = NULL};

	if (x->ending || !x->attempt_live) {
		return;
	}
	if (x->attempt_told) {
		x->attempt_told = false;
		attempt_result(x, x->attempt.stream != NULL ? ATTEMPT_READY : ATTEMPT_FAILED);
		if (!x->ending && !x->resp.own) {
			exchange_request_advance(x);
		}
	}
	if (!x->attempt_live || x->up_lost == REASON_ok) {
		return;
	}
	/* A whole answer outlives its connection; a filter that waits is let finish first. */
	if ((x->resp.ended && x->resp.head != NULL) || x->req.service_pipe.waiting) {
		return;
	}
	outcome.class = attempt_lost_class(x);
	outcome.why = attempt_lost_word(x);
	if (outcome.why == REASON_upstream_reset) {
		/* H2-38: what the code of a reset says to a gRPC client. */
		x->resp.reset_status = (int16_t)grpc_status_of_reset(x->up->h2_error);
	}
	attempt_failed(x, &outcome);
	if (!x->ending && !x->resp.own) {
		exchange_request_advance(x);
	}
}
