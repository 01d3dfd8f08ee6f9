/*
 * head: one message head of any HTTP version (http.md 1). Framing fields never travel: the
 * receiving codec turns Content-Length, Transfer-Encoding, Connection and END_STREAM into `body`
 * and drops them; the sending codec writes its own. Names are lower case, values trimmed; order and
 * repetition are kept. All bytes belong to the head's arena (or outlive it): a head is a value that
 * is built, edited through these functions, and read. One thread.
 */
#ifndef PILLION_HTTP_HEAD_H
#define PILLION_HTTP_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/assert.h"
#include "http/token.h"

enum head_kind { HEAD_REQUEST, HEAD_INTERIM, HEAD_RESPONSE, HEAD_TRAILERS };
enum http_version { HTTP_1_0, HTTP_1_1, HTTP_2 };
enum body_kind {
	BODY_NONE,
	BODY_LENGTH,	  /* head->length bytes */
	BODY_UNKNOWN,	  /* ends by an explicit mark */
	BODY_UNTIL_CLOSE, /* HTTP/1 responses only */
};
enum method { /* METHOD_OTHER keeps its text in head->method_text */
	METHOD_GET,
	METHOD_HEAD,
	METHOD_POST,
	METHOD_PUT,
	METHOD_DELETE,
	METHOD_OPTIONS,
	METHOD_PATCH,
	METHOD_CONNECT,
	METHOD_TRACE,
	METHOD_OTHER,
};

struct field {
	struct slice name; /* lower case */
	struct slice value;
	uint16_t token;
	bool never_index; /* HPACK never-indexed bit (H2-21) */
};

struct head {
	struct arena *arena; /* owner of every byte below */
	enum head_kind kind;
	enum http_version version; /* as received; ignored on output */
	enum method method;
	struct slice method_text;
	struct slice scheme;	/* "http" or "https"; empty where the wire had none */
	struct slice authority; /* normalised (U-03, U-04); from Host in H1; may be empty in 1.0 */
	struct slice path;	/* normalised (U-05, U-06); "*" with OPTIONS */
	struct slice query;	/* without '?' */
	bool has_query;
	bool absolute_form; /* request target was absolute (MA-01) */
	uint16_t status;
	enum body_kind body;
	uint64_t length;	  /* BODY_LENGTH */
	bool has_declared_length; /* Content-Length of a response to HEAD or of a 304 (MM-04) */
	uint64_t declared_length;
	/* What the wire said of the connection, turned into facts by the receiving codec: */
	/* Connection: close, or HTTP/1.0. In a response that is sent it asks an HTTP/1 server codec
	 * to Close: whoever forwards a received head clears it. */
	bool close;
	bool te_trailers;     /* the peer accepts trailers */
	bool expect_continue; /* a body follows only after 100 */
	struct field *fields;
	uint32_t field_count;
	uint32_t field_capacity;
	uint16_t first[TOKEN_COUNT]; /* index + 1 of the first field with that token; 0: none */
};

void head_init(struct head *head, struct arena *arena, enum head_kind kind);
/* Deep copy of everything into the arena of `target` (already initialised with head_init). */
void head_copy(struct head *target, const struct head *source);

/* The first field of that name, or NULL. */
const struct field *head_find(const struct head *head, enum token token);
const struct field *head_find_name(const struct head *head, struct slice lower_case_name);
/* The next one of the same name after `field`, or NULL. */
const struct field *head_find_next(const struct head *head, const struct field *field);
/* The value of the first field, or an empty slice. */
struct slice head_value(const struct head *head, enum token token);

/* Adds at the end; name (lower case) and value are copied into the arena. */
void head_add(struct head *head, struct slice name, struct slice value);
void head_add_token(struct head *head, enum token token, struct slice value);
/* As above without a copy: the bytes must live as long as the head. */
void head_add_borrowed(struct head *head, enum token token, struct slice name, struct slice value);
/* Removes all of that name and adds one. */
void head_set(struct head *head, enum token token, struct slice value);
void head_set_name(struct head *head, struct slice name, struct slice value);
/* Removes all of that name; returns how many. */
unsigned head_remove(struct head *head, enum token token);
unsigned head_remove_name(struct head *head, struct slice lower_case_name);
/* Removes every field for which drop returns true; returns how many. */
unsigned head_remove_if(
	struct head *head, bool (*drop)(const struct field *field, void *context), void *context);

/* A filter that may change the length says so (filters.md FL-04): BODY_UNKNOWN. */
void head_body_unknown(struct head *head);
/* Start line plus name + value + 32 for each field: what H1-12 limits. */
size_t head_size(const struct head *head);
/* content-type is application/grpc or application/grpc+..., POST (http.md G-01). */
bool head_is_grpc(const struct head *head);
/* GET HEAD OPTIONS PUT DELETE (mesh.md 5.2). */
bool head_is_idempotent(const struct head *head);
void head_set_method(struct head *head, enum method method, struct slice text);
enum method method_find(struct slice text);
struct slice method_name(enum method method);

#endif
