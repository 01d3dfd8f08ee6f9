/*
 * codes: the numbers and words that users meet. One list, codes.def, gives the enum of reasons,
 * their HTTP and gRPC status and outcome (docs/rules/reasons.md), and the PIL codes with cause and
 * fix that `pillion explain` prints. Read-only data; any thread.
 */
#ifndef PILLION_BASE_CODES_H
#define PILLION_BASE_CODES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

enum outcome {
	OUTCOME_NOT_PROCESSED, /* the same request may be sent again, whatever its method */
	OUTCOME_UNKNOWN,
	OUTCOME_PROCESSED,
	OUTCOME_BY_PROGRESS, /* only in the table: decided by how far the request got */
};

/* REASON_<word>, in the order of codes.def; REASON_ok is 0. */
enum reason {
#define REASON(word, pil, http, grpc, outcome, stage, text, fix) REASON_##word,
#define CODE(pil, slug, severity, stage, cause, fix)
#include "base/codes.def"
#undef REASON
#undef CODE
	REASON_COUNT
};

struct reason_info {
	const char *word;
	unsigned pil; /* 0: a word without a number (ok, upstream_status, ...) */
	int http;     /* 0: no reply is possible or owed, the log alone sees it */
	int grpc;
	enum outcome outcome;
	int stage;	  /* 1: in force, 2: reserved for later */
	const char *text; /* one sentence without a full stop; never bytes of a request */
	const char *fix;
};

enum severity { SEVERITY_ERROR, SEVERITY_WARNING, SEVERITY_INFO };

struct code_info {
	unsigned pil;
	const char *slug;
	enum severity severity;
	int stage;
	const char *cause;
	const char *fix;
};

const struct reason_info *reason_info(enum reason reason);
const char *reason_word(enum reason reason);
/* Looks a word up; false when there is none. */
bool reason_from_word(struct slice word, enum reason *ret_reason);
/* NULL when the number is unknown. Numbers of reasons are in reason_info_by_pil only. */
const struct code_info *code_info(unsigned pil);
const struct reason_info *reason_info_by_pil(unsigned pil);
const char *outcome_word(enum outcome outcome); /* "not-processed", "unknown", "processed" */
/* For listings: i-th code, NULL past the end. */
const struct code_info *code_at(size_t index);

#endif
