/*
 * exchange_timer: the one lazy timer of an exchange (http.md 11). It is armed for the earliest
 * thing that could expire and looks again when it fires, so progress costs no timer work.
 */
#include "exchange/exchange_steps.h"

#define TIMER_NEVER UINT64_MAX

void exchange_timer_fire(struct timer *timer)
{
	struct exchange *x = container_of(timer, struct exchange, timer);

	/* State moves in the run queue only. */
	exchange_mark(x);
}

static uint64_t timer_after(uint64_t since_ms, int64_t length_ms)
{
	return length_ms > 0 ? since_ms + (uint64_t)length_ms : TIMER_NEVER;
}

/* T-05: the client sends nothing though it may. */
static uint64_t timer_body(const struct exchange *x)
{
	const struct exchange_limits *limits = &x->hold->limits;
	bool credit_out = x->down->received - x->down->credited < x->down->window;

	if (x->req.ended || !credit_out || x->resp.own) {
		return TIMER_NEVER;
	}
	return timer_after(
		x->req.last_ms, x->streaming ? limits->stream_idle_ms : limits->body_gap_ms);
}

/* T-08: no response head though the whole request was sent, or though some of it waits and the
 * upstream takes nothing. An interim response is a sign of life. */
static uint64_t timer_response(const struct exchange *x)
{
	uint64_t last = x->req.taken_ms;
	int64_t length;

	if (x->up_state != UP_SENT || x->resp.head != NULL || x->grpc ||
		x->deadline_ns != UINT64_MAX) {
		return TIMER_NEVER;
	}
	length = x->policy->response_timeout_ms;
	if (!x->req.sent_end) {
		if (x->up == NULL || x->up->out.size == 0) {
			return TIMER_NEVER; /* the client is the slow one: T-05 */
		}
		length = x->streaming ? x->hold->limits.stream_idle_ms : length;
	} else if (x->times.request_complete_ms > last) {
		last = x->times.request_complete_ms;
	}
	if (x->resp.interim_count > 0 && x->resp.last_ms > last) {
		last = x->resp.last_ms;
	}
	return timer_after(last, length);
}

/* T-09 and T-11: the answer began and does not go on. */
static uint64_t timer_gap(const struct exchange *x)
{
	const struct exchange_limits *limits = &x->hold->limits;
	uint64_t last = x->resp.last_ms;

	if (x->up == NULL || x->resp.head == NULL || x->resp.ended) {
		return TIMER_NEVER;
	}
	if (x->up->received - x->up->credited >= x->up->window) {
		return TIMER_NEVER; /* the client is the slow one */
	}
	if (x->streaming) {
		last = last > x->req.last_ms ? last : x->req.last_ms;
		return timer_after(last, limits->stream_idle_ms);
	}
	return timer_after(last, limits->response_gap_ms);
}

static uint64_t timer_deadline(const struct exchange *x)
{
	/* A millisecond later than the truth at most, never earlier. */
	return x->deadline_ns == UINT64_MAX || x->resp.own ? TIMER_NEVER
							   : (x->deadline_ns + 999999) / 1000000;
}

static uint64_t timer_earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void exchange_timer_check(struct exchange *x)
{
	uint64_t now = loop_now_ms(x->server->options.loop);

	if (x->ending || timer_armed(&x->timer)) {
		return; /* it did not fire since */
	}
	if (timer_deadline(x) <= now) {
		x->stop = x->stop == RETRY_STOP_NONE && x->attempts > 1 ? RETRY_STOP_DEADLINE
									: x->stop;
		exchange_fail(x, REASON_deadline_exceeded, SLICE(""));
	} else if (timer_body(x) <= now) {
		exchange_fail(x, x->streaming ? REASON_idle_timeout : REASON_body_timeout,
			SLICE("the request body stalled"));
	} else if (timer_response(x) <= now) {
		exchange_attempt_timed_out(x, REASON_response_timeout);
	} else if (timer_gap(x) <= now) {
		exchange_attempt_timed_out(x, REASON_idle_timeout);
	}
}

/* Moves the timer forward only; one that fires too early finds nothing expired and is armed again.
 */
void exchange_timer_arm(struct exchange *x)
{
	uint64_t next = timer_earlier(timer_deadline(x), timer_body(x));

	next = timer_earlier(next, timer_response(x));
	next = timer_earlier(next, timer_gap(x));
	if (x->up_state == UP_DELAY) {
		next = timer_earlier(next, x->delay_until_ms);
	}
	if (next == TIMER_NEVER) {
		return;
	}
	if (!timer_armed(&x->timer) || next < x->timer.deadline_ms) {
		timer_arm(x->server->options.loop, &x->timer, next);
	}
}
