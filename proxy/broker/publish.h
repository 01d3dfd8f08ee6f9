/* publish: POST /v1/pub/{topic} (docs/rules/broker.md 5). A worker's thread. */
#ifndef PILLION_BROKER_PUBLISH_H
#define PILLION_BROKER_PUBLISH_H

#include "http/endpoint.h"

/* context: struct broker. */
void publish_open(void *context, const struct endpoint_request *request);

#endif
