/*
 * event: a message as HTTP: read from a binary-mode request (B5-03, B5-04), written as a request to
 * the application (B7) and as CloudEvents JSON (B7-05). Pure.
 */
#ifndef PILLION_BROKER_EVENT_H
#define PILLION_BROKER_EVENT_H

#include "base/codes.h"
#include "broker/message.h"
#include "broker/plan.h"
#include "http/head.h"

/* What a request asks for beside its event. */
struct event_wishes {
	uint64_t ttl_ms;
	bool fsync, os;
	unsigned removed; /* attributes that nobody may send */
};

/* Attributes into `message`; REASON_ok, or the reason with a sentence in *ret_text. */
enum reason event_read(const struct head *head, const struct plan *plan, struct message *message,
	struct event_wishes *ret_wishes, const char **ret_text);
/* source, type and time where the publisher left them out (B2-03). */
void event_fill(struct message *message, const char *service, struct slice topic);
/* The CloudEvents fields of a pushed request. */
void event_write(const struct message *message, struct head *head);
/* One CloudEvents JSON object; `with_dlq`: the attributes of a dead letter too. */
void event_print(const struct message *message, struct buf *ret_json);

#endif
