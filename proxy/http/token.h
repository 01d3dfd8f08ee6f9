/*
 * token: known field names as small numbers, so that look-ups by name are an array access (http.md
 * MM-09). One list, tokens.def, gives the enum, the lower-case names and the registered spelling
 * that HTTP/1 output uses (H1-41). Pure.
 */
#ifndef PILLION_HTTP_TOKEN_H
#define PILLION_HTTP_TOKEN_H

#include <stdbool.h>

#include "base/slice.h"

enum token {
	TOKEN_NONE, /* not a known name */
#define TOKEN(id, name, spelling) TOKEN_##id,
#include "http/tokens.def"
#undef TOKEN
	TOKEN_COUNT
};

/* name in lower case. */
enum token token_find(struct slice name);
struct slice token_name(enum token token);     /* lower case */
struct slice token_spelling(enum token token); /* "Content-Type" */
/* Names that a field with `_` for `-` must not imitate (http.md F-05, H1-11). */
bool token_guarded_name(struct slice lower_case_name);

#endif
