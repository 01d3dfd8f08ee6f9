/*
 * h1_parse: the strict HTTP/1.1 message reader (http.md 3): pure functions over one contiguous
 * span. Nothing is repaired: a message that two correct readers could understand differently is an
 * error. A head may be tried on any prefix; the verdict on a message does not depend on where it
 * was split, because the first fault in reading order is the one that is reported.
 */
#ifndef PILLION_HTTP_H1_PARSE_H
#define PILLION_HTTP_H1_PARSE_H

#include <sys/types.h>

#include "http/codec.h"
#include "http/fields.h"

/* A field that is turned into facts and never stored in the head. */
struct h1_framing_field {
	struct slice value; /* of the last one */
	unsigned count;
};

/* One head being read. The caller sets `head` and `limits`; the rest is filled. */
struct h1_message {
	struct head *head; /* fresh from head_init: HEAD_REQUEST or HEAD_RESPONSE */
	const struct http_limits *limits;
	enum reason reason; /* after an error */
	int http;	    /* the status to use instead of the reason's own; 0: none */
	size_t size;	    /* as H1-12 counts; trailers go on adding */
	size_t field_count; /* the same */
	struct h1_framing_field host, content_length, transfer_encoding, expect;
	struct fields_connection connection;
	uint64_t length; /* value of content_length when it is valid */
	uint32_t keep_alive_s;
	bool chunked; /* Transfer-Encoding is exactly `chunked` */
};

void h1_parse_init(struct h1_message *message, struct head *head, const struct http_limits *limits);

/*
 * Bytes used (> 0): the head is complete, checked, and copied into its arena; requests have
 * head->body and length set; responses go on to h1_framing_response. 0: more bytes are needed. -1:
 * message->reason. Call h1_parse_init again before another try on more bytes.
 */
MUST_CHECK ssize_t h1_parse_head(struct h1_message *message, struct slice bytes);

/* The trailer section after the last chunk, up to and with its empty line. `trailers` is fresh from
 * head_init (HEAD_TRAILERS); sizes add to those of message (H1-25). Results as h1_parse_head. */
MUST_CHECK ssize_t h1_parse_trailers(
	struct h1_message *message, struct head *trailers, struct slice bytes);

#endif
