/*
 * answer: what an answer of the application means for a message: the table of docs/rules/broker.md
 * B7-07. Pure.
 */
#ifndef PILLION_BROKER_ANSWER_H
#define PILLION_BROKER_ANSWER_H

#include <stdbool.h>

#include "broker/frame.h"

/* The class of a final status, 200..599; anything else is APP (an unparsable response). */
enum frame_result answer_classify(unsigned status);
/* B7-08: 404 and 405 say that the address is wrong, unless it worked within 10 minutes. */
enum frame_result answer_adjust(enum frame_result class, unsigned status, bool worked);
/* Retry-After in seconds or as a date, at most an hour; 0: none or unreadable. */
uint32_t answer_retry_after_ms(struct slice value, uint64_t wall_ms);

#endif
