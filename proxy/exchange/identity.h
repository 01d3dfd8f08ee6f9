/*
 * identity: the ids of an exchange: trace context (operations.md TR-01) and x-request-id (http.md
 * F-08). Kept when they are well formed, else made from the worker's generator. Pure.
 */
#ifndef PILLION_EXCHANGE_IDENTITY_H
#define PILLION_EXCHANGE_IDENTITY_H

#include "base/rng.h"
#include "http/head.h"

#define IDENTITY_TRACE_SIZE 32 /* hex digits */

/* Sets traceparent where it is missing or invalid (and drops tracestate then); the trace id is a
 * part of the head's bytes. */
struct slice identity_trace(struct head *head, struct rng *rng);
/* Sets x-request-id where it is missing, malformed, or not to be believed. */
struct slice identity_request(struct head *head, struct rng *rng, bool believed);

#endif
