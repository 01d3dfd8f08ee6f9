/*
 * exchange_response: the answer on its way back: in -> filters in reverse -> ready -> downstream.
 * The first final head that goes downstream commits the exchange (C-08).
 */
#include "exchange/exchange_steps.h"

#include <stdio.h>

#include "base/clock.h"

static struct slice response_via(const struct exchange *x, const struct head *head)
{
	return slice_from_string(x->server->via[x->inbound][head->version]);
}

/* What the choice was based on, for who asked (mesh.md 0). */
static void response_debug(struct exchange *x, struct head *head)
{
	const struct exchange_server *server = x->server;
	uint64_t now = loop_now_ms(server->options.loop);
	uint64_t age = now > server->registry_heard_ms ? now - server->registry_heard_ms : 0;
	uint64_t index =
		x->attempt_live && x->attempt.set != NULL ? x->attempt.set->index : x->index;
	char text[REGISTRY_TEXT_MAX];

	(void)snprintf(text, sizeof(text), "%u", x->attempts);
	head_set(head, TOKEN_x_pillion_attempts, slice_from_string(text));
	head_set(head, TOKEN_x_pillion_registry,
		slice_from_string(registry_text(server->registry_mode, index, age, text)));
	if (x->attempt_live && x->attempt.instance != NULL) {
		instance_id_format(x->attempt.instance->id, text);
		head_set(head, TOKEN_x_pillion_instance, slice_from_string(text));
	}
}

/* Own fields of a response are believed from another sidecar, and the acknowledgement of a push is
 * for the own broker (M0-05). */
static void response_edit(struct exchange *x, struct head *head)
{
	if (x->resp.own) {
		return;
	}
	stat_add(&x->server->stats->stripped_headers,
		forward_response(head, x->from_mesh_leg, x->peer == FORWARD_FROM_SELF,
			response_via(x, head)));
	if (x->wishes.debug && head->kind == HEAD_RESPONSE && !x->inbound) {
		response_debug(x, head);
	}
}

/* 1xx go on, but not to HTTP/1.0 nor where they are switched off (H1-37, X-07). */
static bool response_passes_interim(const struct exchange *x)
{
	return x->version != HTTP_1_0 && x->snapshot->http.interim;
}

static void response_start(struct exchange *x, enum pipe_event event, struct head *head, bool end)
{
	struct pipe *pipe = &x->resp.pipe;
	int first = x->resp.own ? x->resp.first_filter : x->begun_filters - 1;

	pipe->head = head;
	pipe->end = end;
	pipe_start(pipe, event, first, -1);
}

/* The next event for the filters. False: nothing is there. */
static bool response_next(struct exchange *x)
{
	struct exchange_response *resp = &x->resp;

	if (!resp->own && resp->interim_sent < resp->interim_count && !resp->head_passed) {
		struct head *head = resp->interim[resp->interim_sent++];

		response_edit(x, head);
		response_start(x, PIPE_INTERIM, head, false);
	} else if (resp->head == NULL || !resp->judged) {
		return false;
	} else if (!resp->head_passed) {
		response_edit(x, resp->head);
		response_start(x, PIPE_HEAD, resp->head,
			resp->ended && resp->in.size == 0 && resp->trailers == NULL);
	} else if (resp->in.size > 0 ||
		   (resp->ended && resp->trailers == NULL && !resp->ready_end)) {
		chain_move(&resp->pipe.body, &resp->in);
		response_start(x, PIPE_BODY, NULL, resp->ended && resp->trailers == NULL);
	} else if (resp->trailers != NULL && !resp->ready_end) {
		response_edit(x, resp->trailers);
		response_start(x, PIPE_TRAILERS, resp->trailers, true);
	} else {
		return false;
	}
	return true;
}

static int response_grpc_status(const struct head *head, int fallback)
{
	uint64_t status;

	if (!slice_parse_u64(head_value(head, TOKEN_grpc_status), 16, &status)) {
		return fallback;
	}
	return (int)status;
}

static void response_passed(struct exchange *x, enum pipe_event event)
{
	struct exchange_response *resp = &x->resp;
	struct pipe *pipe = &resp->pipe;

	switch (event) {
	case PIPE_INTERIM:
		if (response_passes_interim(x) &&
			x->down->codec->ops->send_head(x->down, pipe->head, false) != 0) {
			x->cut = REASON_internal_error;
		}
		break;
	case PIPE_HEAD:
		resp->head_passed = true;
		resp->ready_end = pipe->end;
		break;
	case PIPE_BODY:
		chain_move(&resp->ready, &pipe->body);
		resp->ready_end = pipe->end;
		break;
	case PIPE_TRAILERS:
		/* False where a filter gives a body instead of them. */
		resp->ready_end = pipe->end;
		resp->trailers_ready = resp->trailers != NULL && resp->trailers->field_count > 0;
		break;
	case PIPE_IDLE:
		ASSERT(event != PIPE_IDLE);
		break;
	}
}

/* Trailers of the filter, or of the upstream; NULL: a plain end. */
static struct head *response_trailers(const struct exchange *x)
{
	const struct exchange_response *resp = &x->resp;

	if (!resp->ready_end) {
		return NULL;
	}
	if (resp->own_trailers != NULL) {
		return resp->own_trailers;
	}
	return resp->trailers_ready ? resp->trailers : NULL;
}

/* G-05: a 200 that ends without a status is logged as 2. The head is not asked any more: a filter
 * may hold the end back for longer than the stream that brought it lives. */
static void response_note_status(struct exchange *x, const struct head *trailers)
{
	struct exchange_response *resp = &x->resp;

	if (x->grpc && trailers != NULL) {
		resp->grpc_status = (int16_t)response_grpc_status(trailers, 2);
	} else if (x->grpc && resp->grpc_status < 0) {
		resp->grpc_status = 2;
	}
}

static void response_send_head(struct exchange *x)
{
	struct exchange_response *resp = &x->resp;
	struct head *head = resp->head;
	bool end = resp->ready_end && resp->ready.size == 0 && response_trailers(x) == NULL;

	if (x->down->codec->ops->send_head(x->down, head, end) != 0) {
		if (resp->own) {
			x->cut = REASON_internal_error;
			exchange_break(x, REASON_internal_error);
			return;
		}
		exchange_fail(x, REASON_upstream_head_too_large, SLICE(""));
		return;
	}
	resp->sent = true;
	resp->sent_end = end;
	resp->status = head->status;
	resp->grpc_status = (int16_t)response_grpc_status(head, -1);
	if (head->status >= 400 && x->reason == REASON_ok) {
		x->reason = REASON_upstream_status; /* a filter found it in the answer */
	}
	x->times.response_sent = clock_monotonic_ns();
	x->streaming = x->streaming || exchange_is_streaming(head_value(head, TOKEN_content_type));
	/* F5: nothing can be repeated any more, so nothing is kept for it. */
	replay_close(&x->req.replay);
	x->kept_head = NULL;
	chain_clear(&x->kept_body);
	if (end) {
		response_note_status(x, NULL);
	}
}

/* Body, then trailers; the end is said exactly once. */
static void response_send_body(struct exchange *x)
{
	struct exchange_response *resp = &x->resp;
	struct head *trailers = response_trailers(x);
	bool end = resp->ready_end && trailers == NULL;

	if (resp->sent_end || (resp->ready.size == 0 && !resp->ready_end)) {
		return;
	}
	if (resp->ready.size > 0 || end) {
		chain_move(&x->down->out, &resp->ready);
		x->down->codec->ops->send_more(x->down, end);
	}
	if (trailers != NULL && x->down->codec->ops->send_head(x->down, trailers, true) != 0) {
		exchange_break(x, REASON_upstream_head_too_large);
		return;
	}
	if (resp->ready_end) {
		resp->sent_end = true;
		response_note_status(x, trailers);
	}
}

/* The attempt is over when its answer is: its connection serves others while ours still flows. */
static void response_release(struct exchange *x)
{
	struct exchange_response *resp = &x->resp;

	if (!x->attempt_live || resp->own || !resp->ended || !resp->sent ||
		(resp->trailers != NULL && !resp->ready_end) || !resp->judged) {
		return;
	}
	if (resp->pipe.event != PIPE_IDLE && resp->pipe.head != NULL) {
		return; /* a filter still looks at a head of that stream */
	}
	if (resp->trailers_ready && !resp->sent_end) {
		return;
	}
	/* H1-35: what is left of the request is not wanted. */
	exchange_attempt_end(x, x->answer_class, REASON_ok);
	x->up_state = UP_OVER;
	chain_clear(&x->req.in);
	chain_clear(&x->req.staged);
	chain_clear(&x->req.ready);
}

/* What the exchange is called when an answer of somebody else is passed on (RE-03). */
static void response_name(struct exchange *x)
{
	struct slice word = head_value(x->resp.head, TOKEN_x_pillion_reason);
	enum reason why = REASON_ok;
	bool failed = x->resp.head->status >= 400;

	x->outcome = OUTCOME_PROCESSED;
	word.size = slice_find(word, ';');
	if (x->from_mesh_leg && word.size > 0 && reason_from_word(word, &why)) {
		x->reason = why;
		x->outcome = reason_info(why)->outcome;
		if (x->outcome == OUTCOME_BY_PROGRESS) {
			x->outcome = OUTCOME_UNKNOWN;
		}
		return;
	}
	if (x->grpc && x->resp.ended && response_grpc_status(x->resp.head, 0) != 0) {
		failed = true;
	}
	x->reason = failed ? REASON_upstream_status : REASON_ok;
}

/* A filter may put its own answer in place of the one under way; then the walk starts anew with it.
 */
static void response_run_pipe(struct exchange *x)
{
	struct exchange_response *resp = &x->resp;

	while (!x->ending && (resp->pipe.event != PIPE_IDLE || response_next(x))) {
		enum pipe_event event = resp->pipe.event;
		struct head *head = resp->head;
		enum pipe_result result = pipe_run(x, &resp->pipe);

		if (result == PIPE_WAITING) {
			return;
		}
		if (result == PIPE_REPLIED || resp->head != head) {
			continue; /* the filter put its own answer in place */
		}
		response_passed(x, event);
	}
}

/* A head that has come is judged once; what is judged to go on passes the filters and is sent. */
void exchange_response_advance(struct exchange *x)
{
	struct exchange_response *resp = &x->resp;

	if (x->ending) {
		return;
	}
	if (resp->head != NULL && !resp->judged && x->attempt_live) {
		if (!exchange_judge(x)) {
			if (!resp->own && !x->ending) {
				exchange_request_advance(x);
			}
			if (!resp->own) {
				return;
			}
		} else {
			resp->judged = true;
			response_name(x);
		}
	}
	response_run_pipe(x);
	if (!x->ending && resp->head_passed && !resp->sent &&
		(!resp->hold_head || resp->ready.size > 0 || resp->ready_end)) {
		response_send_head(x);
		if (resp->own && !resp->head_passed) {
			/* It could not be sent; the answer that says so goes the same way. */
			response_run_pipe(x);
			response_send_head(x);
		}
	}
	if (!x->ending && resp->sent) {
		response_send_body(x);
	}
	if (!x->ending) {
		response_release(x);
	}
}
