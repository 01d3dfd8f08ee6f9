/*
 * h1_framing: how the body of an HTTP/1 message ends, from fields that h1_parse kept aside (http.md
 * H1-13 to H1-17, H1-20, H1-27 to H1-29). Two readers that disagree here are a smuggled request, so
 * whatever could be read in two ways is refused. Pure.
 */
#ifndef PILLION_HTTP_H1_FRAMING_H
#define PILLION_HTTP_H1_FRAMING_H

#include "http/h1_parse.h"

/* Host, framing and expectation of a complete request head; sets authority, body and length. False:
 * message->reason (and http). Called by h1_parse_head. */
MUST_CHECK bool h1_framing_request(struct h1_message *message);

/* After h1_parse_head of a response: sets body, length and declared_length. asked_head: it answers
 * a HEAD request. False: message->reason (H1-27). */
MUST_CHECK bool h1_framing_response(struct h1_message *message, bool asked_head);

/* The head had framing fields; a 204 or 1xx with them costs the connection (H1-28). */
bool h1_framing_stray(const struct h1_message *message);

#endif
