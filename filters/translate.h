/*
 * translate: the filter that turns JSON calls into gRPC ones for the own application and back
 * (docs/rules/codec.md), placed by control in the chain before the application. Its conf is the
 * `translation` object of the configuration; its per-worker state (scratch, the descriptor pool in
 * force, requests that wait for a schema, counters) is created by control and stands in the worker
 * slot TRANSLATE_SLOT. All functions on the worker's thread.
 */
#ifndef PILLION_FILTERS_TRANSLATE_H
#define PILLION_FILTERS_TRANSLATE_H

#include "base/buf.h"
#include "base/stat.h"
#include "codec/codec_fault.h"
#include "exchange/filter.h"

#define TRANSLATE_SLOT 0

struct descriptor_pool;
struct translate_worker;

/* memory_max: this worker's share of translation.memory (LM-04). */
struct translate_worker *translate_worker_create(uint64_t memory_max);
void translate_worker_destroy(struct translate_worker *worker);

enum translate_schema {
	TRANSLATE_SCHEMA_NONE,	  /* there is no schema and none to come */
	TRANSLATE_SCHEMA_PENDING, /* the first one is being looked for: requests wait (RF-04) */
	TRANSLATE_SCHEMA_READY,
};
/* The pool in force (a reference is taken; NULL unless READY). Requests that wait go on. grpc_app:
 * the application answered reflection or the configuration says so (CX-04 `auto`). */
void translate_worker_set_schema(struct translate_worker *worker, enum translate_schema state,
	const struct descriptor_pool *pool, bool grpc_app);
/* At least every 100 ms: requests that waited for schema_wait fault (codec_schema_wait). */
void translate_worker_expire(struct translate_worker *worker, uint64_t now_ns);
/* A request met an unknown method since the last call: control may refresh the schema (RF-04). */
bool translate_worker_take_unknown(struct translate_worker *worker);

/* Counters of one worker, or of all. */
struct translate_totals {
	uint64_t passed, slow_path, headers_dropped, memory_bytes;
	uint64_t messages[4]; /* json->grpc request, grpc->json response, grpc->json request,
				 json->grpc response */
	uint64_t bytes_in[4], bytes_out[4];
	uint64_t faults[2][CODEC_FAULT_COUNT]; /* of requests, of responses (ER-07) */
	struct histogram durations;	       /* of messages beyond 64 KiB (OB-01) */
};
void translate_totals_add(struct translate_totals *totals, const struct translate_totals *more);
const struct translate_totals *translate_worker_totals(const struct translate_worker *worker);

extern const struct filter_ops translate_filter;

#endif
