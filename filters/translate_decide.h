/*
 * translate_decide: what is done with a request on its way to the own application, decided from its
 * head, the formats the application speaks and the schema (codec.md CX-02 to CX-08). Pure.
 */
#ifndef PILLION_FILTERS_TRANSLATE_DECIDE_H
#define PILLION_FILTERS_TRANSLATE_DECIDE_H

#include "base/codes.h"
#include "codec/descriptor.h"
#include "config/translation.h"
#include "filters/translate.h"
#include "http/head.h"

enum translate_format { TRANSLATE_GRPC, TRANSLATE_JSON, TRANSLATE_OPAQUE };

/* CX-02, of the formats in force; the media types of all others are opaque. */
enum translate_format translate_decide_format(const struct head *head);
/* "application/json", or any "application/<x>+json" that is not a framing of gRPC. */
bool translate_decide_json_type(struct slice content_type);
/* "application/grpc", alone or with "+proto" (CX-03). */
bool translate_decide_grpc_type(struct slice content_type);

struct translate_facts {
	const struct config_translation *options;
	const struct head *head;
	enum translate_schema schema;
	const struct descriptor_pool *pool; /* when READY */
	bool grpc_app;			    /* reflection answered (CX-04) */
	bool upstream_h2;
};

enum translate_action {
	TRANSLATE_PASS,
	TRANSLATE_WAIT, /* for the schema */
	TRANSLATE_TO_GRPC,
	TRANSLATE_TO_JSON,
	TRANSLATE_REFUSE,
};

struct translate_decision {
	enum translate_action action;
	const struct codec_method *method; /* TO_GRPC, TO_JSON */
	bool unknown_method;		   /* the schema lacks the path: it may be old (RF-04) */
	/* REFUSE: */
	enum reason reason;
	int http; /* 0: that of the reason */
	const char *message;
	struct slice allow;
	struct slice accept;
};

void translate_decide(const struct translate_facts *facts, struct translate_decision *ret_decision);

#endif
