/*
 * respond: answers of the local API: the reason words in the body of reasons.md RE-05, or JSON.
 * A worker's thread.
 */
#ifndef PILLION_BROKER_RESPOND_H
#define PILLION_BROKER_RESPOND_H

#include "broker/desk.h"
#include "http/endpoint.h"

/* Instead of taking the request; its body is read and forgotten. text may be NULL. */
void respond_refuse(struct broker *broker, const struct endpoint_request *request,
	enum reason reason, const char *text);
/* To a request whose body is there; event: the message's id or empty. Frees unary. */
void respond_reason(struct broker *broker, struct unary *unary, enum reason reason,
	const char *text, struct slice event);
/* B5-01: a web page of another site; true: refused by now. */
bool respond_cross_site(struct desk *desk, const struct endpoint_request *request);
/* Only POST; true: refused by now. */
bool respond_wrong_method(struct broker *broker, const struct endpoint_request *request);

#endif
