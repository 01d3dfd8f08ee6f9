/*
 * translate_work: the state of translation: of one worker (scratch, schema, budget, counters) and
 * of one exchange that is not passed. For the files of this filter only. A translate_work lies in
 * the arena of its exchange and ends with on_done; everything runs on the worker's thread.
 */
#ifndef PILLION_FILTERS_TRANSLATE_WORK_H
#define PILLION_FILTERS_TRANSLATE_WORK_H

#include "base/chain.h"
#include "base/list.h"
#include "codec/codec_context.h"
#include "codec/compress.h"
#include "codec/descriptor.h"
#include "config/translation.h"
#include "filters/translate.h"
#include "filters/translate_decide.h"

#define TRANSLATE_SMALL	  ((size_t)64 << 10) /* LM-04: such messages have bytes of their own */
#define TRANSLATE_RESERVE ((size_t)1 << 20)
#define TRANSLATE_KEPT	  ((size_t)1 << 20) /* EN-07: scratch beyond it is freed again */
/* Bytes of a failing answer that are looked at; the rest is dropped. */
#define TRANSLATE_ERROR_BODY ((size_t)64 << 10)

struct translate_conf {
	const struct config_translation *options;
	struct codec_options codec;
};

struct translate_worker {
	struct codec_context *context;
	struct buf input, output; /* scratch: an inflated message; a translated one */
	struct descriptor_pool *pool;
	enum translate_schema schema;
	bool grpc_app;
	bool unknown;
	struct list_node waiting;
	uint64_t memory_max;
	uint64_t memory_small, memory_big; /* charged now (LM-04) */
	struct translate_totals totals;
};

/* Indexes of translate_totals.messages. */
enum translate_way {
	TRANSLATE_JSON_REQUEST,
	TRANSLATE_GRPC_RESPONSE,
	TRANSLATE_GRPC_REQUEST,
	TRANSLATE_JSON_RESPONSE,
};

enum translate_mode {
	TRANSLATE_MODE_PASS,
	TRANSLATE_MODE_WAITING, /* in worker->waiting */
	TRANSLATE_MODE_TO_GRPC,
	TRANSLATE_MODE_TO_JSON,
};

/* What is made of an answer. */
enum translate_answer {
	TRANSLATE_ANSWER_NONE,
	TRANSLATE_ANSWER_MESSAGE,
	TRANSLATE_ANSWER_ERROR, /* its body is shown in the error */
	TRANSLATE_ANSWER_DONE,
};

struct translate_work {
	struct list_node node; /* worker->waiting */
	struct exchange *exchange;
	struct translate_worker *worker;
	const struct translate_conf *conf;
	struct descriptor_pool *pool; /* the one it began with */
	const struct codec_method *method;
	enum translate_mode mode;
	enum translate_answer answer;
	enum compress_coding coding; /* of the message that is gathered */
	struct slice client_type;    /* content-type of the request as it came */
	struct head *request, *response;
	bool request_end;
	uint64_t wait_until_ns;
	struct chain gathered; /* the message that comes in: of the request, later of the answer */
	struct chain output;   /* the translated answer, until a body slot takes it */
	bool more;	       /* bytes came behind the one frame of an answer */
	size_t charged;	       /* of the worker's budget */
};

/* ---- translate_worker.c ---- */

/* The exchange's share becomes `size` bytes. False: there is no room, nothing changed. */
MUST_CHECK bool translate_worker_charge(struct translate_work *work, size_t size);
/* When the translation of a message of that size begins; 0: it is too small to be timed. */
uint64_t translate_worker_begin(size_t in);
void translate_worker_count(struct translate_worker *worker, enum translate_way way, size_t in,
	size_t out, uint64_t begun_ns);
/* The scratch, empty. */
struct buf *translate_worker_scratch(struct buf *scratch);

/* ---- translate_gather.c ---- */

/* Takes what body holds to what was gathered and credits it; more than max bytes fault. */
MUST_CHECK bool translate_gather_body(
	struct translate_work *work, struct chain *body, size_t max, struct codec_fault *ret_fault);
/* Takes what fits into max bytes and drops the rest. */
void translate_gather_part(struct translate_work *work, struct chain *body, size_t max);
/* Checks the frame whose beginning is gathered (GR-01). *ret_more: bytes follow it. */
MUST_CHECK bool translate_gather_check_frame(
	const struct translate_work *work, bool *ret_more, struct codec_fault *ret_fault);
/* The message of the only frame, inflated, with CODEC_SLACK readable bytes behind it. */
MUST_CHECK bool translate_gather_frame(
	struct translate_work *work, struct slice *ret_message, struct codec_fault *ret_fault);
/* The whole body likewise. */
MUST_CHECK bool translate_gather_text(
	struct translate_work *work, struct slice *ret_text, struct codec_fault *ret_fault);
/* The translated message goes to target and takes the place of what was gathered. */
MUST_CHECK bool translate_gather_replace(struct translate_work *work, struct slice message,
	struct chain *target, struct codec_fault *ret_fault);

/* ---- translate_request.c, translate_response.c ---- */

/* After the decision, also when it came late. */
enum filter_verdict translate_request_begin(struct translate_work *work);
enum filter_verdict translate_request_body(
	struct translate_work *work, struct chain *body, bool end);
enum filter_verdict translate_response_begin(
	struct translate_work *work, struct head *head, bool end);
enum filter_verdict translate_response_body(
	struct translate_work *work, struct chain *body, bool end);
enum filter_verdict translate_response_trailers(struct translate_work *work, struct head *trailers);

/* ---- translate.c ---- */

struct reply;

/* Decides anew, and goes on or answers; for those that waited. */
void translate_resume(struct translate_work *work);
/* Counts and logs (ER-07, ER-08). text: for people; empty: that of the reason. */
void translate_note_fault(struct translate_work *work, bool response, enum codec_fault_kind kind,
	enum reason reason, struct slice text);
/* Answers, and is done with this exchange. */
enum filter_verdict translate_refuse(struct translate_work *work, const struct reply *reply);
/* Answers with the reason of the fault (ER-03). */
enum filter_verdict translate_fail(
	struct translate_work *work, bool response, const struct codec_fault *fault);

#endif
