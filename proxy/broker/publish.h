/* publish: POST /v1/pub/{topic} (docs/rules/broker.md 5). A worker's thread. */
#ifndef PILLION_BROKER_PUBLISH_H
#define PILLION_BROKER_PUBLISH_H

#include "broker/desk.h"
#include "http/endpoint.h"

/* The answer, on the worker that took the request. */
void publish_answer(struct desk *desk, struct desk_mail *mail);
/* context: struct broker. */
void publish_open(void *context, const struct endpoint_request *request);

#endif
