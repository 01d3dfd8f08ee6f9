/*
 * fields: what happens to fields on their way through (http.md 8, X-05, X-06), as small pure
 * functions that both codecs and the exchange use. One table in fields.c says of each known name
 * whether it is hop-by-hop, framing, an identity field, or forbidden in trailers.
 */
#ifndef PILLION_HTTP_FIELDS_H
#define PILLION_HTTP_FIELDS_H

#include "base/assert.h"
#include "base/codes.h"
#include "http/head.h"

enum { FIELDS_CONNECTION_OPTIONS_MAX = 32 }; /* H1-19 */
#define FIELDS_DEADLINE_MAX_MS 86400000	     /* x-pillion-deadline (mesh.md 0) */

/* All Connection fields of one head, as facts and as names to remove. */
struct fields_connection {
	struct slice names[FIELDS_CONNECTION_OPTIONS_MAX]; /* nominated, any case, not well known */
	unsigned name_count;
	unsigned option_count;
	bool close;
};

void fields_connection_init(struct fields_connection *connection);
/* One Connection value (F-02). False: bad_connection_option. */
MUST_CHECK bool fields_connection_add(struct fields_connection *connection, struct slice value);
/* Removes what Connection named (F-01); call after all fields are known. */
void fields_connection_apply(const struct fields_connection *connection, struct head *head);

/* Never travels from hop to hop, or is written by the sending codec itself (F-01, MM-03). */
bool fields_is_hop_by_hop(enum token token);
/* Removes the hop-by-hop fields; returns how many. */
unsigned fields_remove_hop_by_hop(struct head *head);
/* H1-11: the name contains `_` and would be a guarded name with `-`. */
bool fields_is_alias(struct slice lower_case_name);
/* this trailer is dropped. */
bool fields_forbidden_in_trailers(const struct field *field);
/* Applies X-06 to a trailer section; returns how many were dropped. */
unsigned fields_filter_trailers(struct head *trailers);
/* several cookie fields become one, joined with "; ", at the end of the list. */
void fields_join_cookies(struct head *head);
/* F-04: x-pillion-* and x-forwarded-client-cert; returns how many were removed. */
unsigned fields_remove_identity(struct head *head);
bool fields_is_identity(const struct field *field);
/* A list value has this element, without case and parameters ("trailers" in TE). */
bool fields_list_has(struct slice list, struct slice element);
/* H1-41: the spelling for HTTP/1 output, Title-Case-By-Word for unknown names. Writes name.size
 * bytes. */
void fields_spell(enum token token, struct slice lower_case_name, uint8_t *ret_bytes);

#endif
