/*
 * exchange_steps: the steps of an exchange, one file each, that exchange_run calls in their order;
 * each looks at the state and does what is due, so calling one too often does nothing. All run in
 * the worker's run-queue stage. For files of this room only.
 */
#ifndef PILLION_EXCHANGE_EXCHANGE_STEPS_H
#define PILLION_EXCHANGE_EXCHANGE_STEPS_H

#include "exchange/exchange.h"

/* exchange.c */
extern const struct stream_ops exchange_down_ops;
extern const struct stream_ops exchange_up_ops;
void exchange_start(struct exchange *x, struct stream *stream, struct head *head, bool end);
void exchange_mark(struct exchange *x);
/* Looks at everything now; from the run queue only. The exchange may be gone afterwards. */
void exchange_step(struct exchange *x);
void exchange_finish(struct exchange *x, enum reason why);
/* exchange_begin.c */
bool exchange_begin(struct exchange *x);
bool exchange_has_room(const struct exchange *x);
bool exchange_choose(struct exchange *x);
bool exchange_is_streaming(struct slice content_type);
void exchange_resolved(struct exchange *x, enum reason why, const struct address *address);
/* exchange_request.c */
void exchange_request_advance(struct exchange *x);
void exchange_request_rewind(struct exchange *x);
void exchange_credit(struct exchange *x);
/* exchange_response.c */
void exchange_response_advance(struct exchange *x);
/* exchange_attempt.c */
void exchange_attempt_begin(struct exchange *x);
void exchange_attempt_advance(struct exchange *x);
void exchange_attempt_end(struct exchange *x, enum attempt_class class, enum reason why);
void exchange_attempt_timed_out(struct exchange *x, enum reason why);
bool exchange_judge(struct exchange *x);
/* exchange_reply.c */
void exchange_fail(struct exchange *x, enum reason why, struct slice message);
void exchange_answer(struct exchange *x, const struct reply *reply, int first_filter);
void exchange_serve(struct exchange *x, struct head *head, struct chain *body, int first_filter);
void exchange_break(struct exchange *x, enum reason why);
enum outcome exchange_outcome(const struct exchange *x, enum reason why);
/* exchange_timer.c */
void exchange_timer_fire(struct timer *timer);
void exchange_timer_check(struct exchange *x);
void exchange_timer_arm(struct exchange *x);
/* exchange_record.c */
void exchange_count(struct exchange *x);

#endif
