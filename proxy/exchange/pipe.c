/*
 * pipe: one event at a time. That is what makes waiting cheap: a filter that says WAIT leaves its
 * event where it stands, later bytes gather before the pipe against the stream's window, and
 * resuming is going on with the next filter.
 */
#include "exchange/pipe.h"

#include "exchange/exchange.h"

void pipe_init(struct pipe *pipe, bool response)
{
	*pipe = (struct pipe){.event = PIPE_IDLE, .response = response};
	chain_init(&pipe->body);
}

void pipe_fini(struct pipe *pipe)
{
	chain_fini(&pipe->body);
	pipe->event = PIPE_IDLE;
}

void pipe_reset(struct pipe *pipe)
{
	chain_clear(&pipe->body);
	pipe->event = PIPE_IDLE;
	pipe->waiting = false;
	pipe->head = NULL;
	pipe->kept = 0;
}

void pipe_start(struct pipe *pipe, enum pipe_event event, int first, int stop)
{
	ASSERT(pipe->event == PIPE_IDLE && event != PIPE_IDLE && !pipe->waiting);
	ASSERT(pipe->response ? first >= stop : first <= stop);
	pipe->event = event;
	pipe->next = first;
	pipe->stop = stop;
}

/* A body slot may keep bytes back or hand out more than it was given (FL-04). */
static enum filter_verdict pipe_call_body(
	struct exchange *exchange, struct pipe_filter *filter, struct pipe *pipe)
{
	enum filter_verdict (*slot)(const struct filter_call *, struct chain *, bool) =
		pipe->response ? filter->ops->on_response_body : filter->ops->on_request_body;
	size_t before = pipe->body.size;
	enum filter_verdict verdict;
	size_t *forgiven;

	if (slot == NULL) {
		return FILTER_NEXT;
	}
	forgiven = pipe->response ? &exchange->resp.forgiven : &exchange->req.forgiven;
	*forgiven = 0;
	verdict = slot(&filter->call, &pipe->body, pipe->end);
	if (pipe->body.size < before) {
		pipe->kept += before - pipe->body.size;
	} else {
		size_t more = pipe->body.size - before;

		pipe->kept -= more < pipe->kept ? more : pipe->kept;
	}
	/* Credit that the slot gave for bytes which it was just taking. */
	pipe->kept -= *forgiven < pipe->kept ? *forgiven : pipe->kept;
	*forgiven = 0;
	if (pipe->end) {
		pipe->kept = 0;
	}
	return verdict;
}

static enum filter_verdict pipe_call(
	struct exchange *exchange, struct pipe_filter *filter, struct pipe *pipe)
{
	enum filter_verdict (*slot)(const struct filter_call *, struct head *, bool) =
		pipe->response ? filter->ops->on_response : filter->ops->on_request;

	if (pipe->event == PIPE_BODY) {
		return pipe_call_body(exchange, filter, pipe);
	}
	/* FL-05: from here on its on_done is owed. */
	if (!pipe->response && exchange->begun_filters < pipe->next + 1) {
		exchange->begun_filters = pipe->next + 1;
	}
	return slot != NULL ? slot(&filter->call, pipe->head, pipe->end) : FILTER_NEXT;
}

enum pipe_result pipe_run(struct exchange *exchange, struct pipe *pipe)
{
	ASSERT(pipe->event != PIPE_IDLE);
	if (pipe->waiting) {
		return PIPE_WAITING;
	}
	while (pipe->next != pipe->stop) {
		struct pipe_filter *filter = &exchange->filters[pipe->next];
		enum filter_verdict verdict;

		ASSERT(pipe->next >= 0 && pipe->next < exchange->filter_count);
		exchange->calling = pipe->next + 1;
		verdict = pipe_call(exchange, filter, pipe);
		exchange->calling = 0;
		if (verdict == FILTER_REPLIED) {
			ASSERT(exchange->resp.own || exchange->ending);
			return PIPE_REPLIED;
		}
		pipe->next += pipe->response ? -1 : 1;
		if (verdict == FILTER_WAIT) {
			/* The filter is done with this event; exchange_resume goes on behind it. */
			pipe->waiting = true;
			pipe->wait = exchange->waits++;
			return PIPE_WAITING;
		}
	}
	pipe->event = PIPE_IDLE;
	return PIPE_PASSED;
}

void pipe_add_filters(struct exchange *exchange, const struct filter_chain *chain)
{
	int count = exchange->filter_count + (int)chain->count;
	struct pipe_filter *filters;

	if (chain->count == 0) {
		return;
	}
	filters = arena_alloc(&exchange->down->arena, (size_t)count * sizeof(*filters));
	for (int i = 0; i < exchange->filter_count; i++) {
		filters[i] = exchange->filters[i];
	}
	for (unsigned i = 0; i < chain->count; i++) {
		const struct filter_instance *instance = &chain->filters[i];
		struct pipe_filter *filter = &filters[exchange->filter_count + (int)i];

		filter->ops = instance->ops;
		filter->call.exchange = exchange;
		filter->call.conf = instance->conf;
		filter->call.state =
			instance->ops->state_size == 0
				? NULL
				: arena_alloc(&exchange->down->arena, instance->ops->state_size);
	}
	exchange->filters = filters;
	exchange->filter_count = count;
	ASSERT(count < UINT8_MAX);
}
