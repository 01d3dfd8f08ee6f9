/*
 * reply: responses made by pillion itself, in the client's own form (reasons.md RE-04..RE-07,
 * http.md 10): JSON for HTTP clients, Trailers-Only for gRPC. Pure.
 */
#ifndef PILLION_HTTP_REPLY_H
#define PILLION_HTTP_REPLY_H

#include "base/buf.h"
#include "base/codes.h"
#include "http/head.h"

struct reply {
	enum reason reason;
	int http;	      /* 0: the table's */
	int grpc;	      /* -1: the table's */
	enum outcome outcome; /* BY_PROGRESS must have been resolved by the caller */
	struct slice message; /* one sentence; empty: the table's text */
	struct slice service; /* empty: unknown */
	struct slice trace_id;
	struct slice event; /* broker: the message's id */
	struct slice by;    /* "o-3f2a91c0" */
	struct slice allow; /* 405; empty: none */
	/* One more field, lower case, in every form: what a 415 accepts (RE-07). Empty: none. */
	struct slice field_name;
	struct slice field_value;
	uint64_t index; /* registry index, 0: unknown */
	unsigned attempts;
	const char *retry_stop;	   /* mesh.md MT-05 word, or NULL */
	struct slice content_type; /* gRPC form: that of the request; empty: application/grpc */
	bool detailed;		   /* mesh peer or own application: all parameters (RE-04) */
	bool grpc_client;	   /* gRPC form (RE-06) */
	bool head_request;	   /* HEAD: no body */
	uint64_t wall_ms;	   /* for Date */
};

/* Fills head (initialised HEAD_RESPONSE) and the body to send after it (empty for gRPC and HEAD).
 */
void reply_build(const struct reply *reply, struct head *ret_head, struct buf *ret_body);
/* Whether the HTTP/1 connection ends after it (RE-08). */
bool reply_closes(enum reason reason);
/* A plain 200-style answer with a body, for endpoints. content_type may be empty for no body. */
void reply_plain(struct head *ret_head, int status, struct slice content_type, size_t body_size);
/* grpc-message text: percent-encoded UTF-8 cut at 1,024 bytes (G-11). */
void reply_grpc_message(struct buf *buf, struct slice text);

#endif
