/*
 * codec_fault: why one message could not be translated (codec.md ER-06, ER-07). Owned by the
 * caller, filled by the engine; plain data. The text never holds a payload value.
 */
#ifndef PILLION_CODEC_FAULT_H
#define PILLION_CODEC_FAULT_H

#include <stddef.h>

/* The names of ER-07; CODEC_FAULT_NONE stands before them. */
#define CODEC_FAULTS(X)                                                                            \
	X(JSON_SYNTAX, "json_syntax")                                                              \
	X(JSON_UTF8, "json_utf8")                                                                  \
	X(JSON_DEPTH, "json_depth")                                                                \
	X(JSON_TYPE, "json_type")                                                                  \
	X(JSON_RANGE, "json_range")                                                                \
	X(JSON_BASE64, "json_base64")                                                              \
	X(JSON_ENUM, "json_enum")                                                                  \
	X(JSON_DUPLICATE, "json_duplicate")                                                        \
	X(JSON_UNKNOWN_FIELD, "json_unknown_field")                                                \
	X(JSON_REQUIRED, "json_required")                                                          \
	X(JSON_WKT, "json_wkt")                                                                    \
	X(JSON_ANY, "json_any")                                                                    \
	X(WIRE_TRUNCATED, "wire_truncated")                                                        \
	X(WIRE_TAG, "wire_tag")                                                                    \
	X(WIRE_VARINT, "wire_varint")                                                              \
	X(WIRE_LENGTH, "wire_length")                                                              \
	X(WIRE_GROUP, "wire_group")                                                                \
	X(WIRE_DEPTH, "wire_depth")                                                                \
	X(WIRE_UTF8, "wire_utf8")                                                                  \
	X(WIRE_WKT, "wire_wkt")                                                                    \
	X(WIRE_ANY, "wire_any")                                                                    \
	X(FRAME, "frame")                                                                          \
	X(INFLATE, "inflate")                                                                      \
	X(TOO_LARGE, "too_large")                                                                  \
	X(MEMORY, "memory")                                                                        \
	X(BINDING_CONFLICT, "binding_conflict")                                                    \
	X(QUERY, "query")                                                                          \
	X(PATH, "path")                                                                            \
	X(UNKNOWN_METHOD, "unknown_method")                                                        \
	X(NOT_OFFERED, "not_offered")                                                              \
	X(NO_SCHEMA, "no_schema")

#define CODEC_FAULT_ENUM(name, text) CODEC_FAULT_##name,
enum codec_fault_kind { CODEC_FAULT_NONE, CODEC_FAULTS(CODEC_FAULT_ENUM) CODEC_FAULT_COUNT };
#undef CODEC_FAULT_ENUM

#define CODEC_FAULT_TEXT_MAX 256 /* ER-06, the terminator included */

struct codec_fault {
	enum codec_fault_kind kind;
	size_t offset; /* byte of the input that the text names */
	char text[CODEC_FAULT_TEXT_MAX];
};

void codec_fault_clear(struct codec_fault *fault);
/* "json_syntax" and so on: metric label and log word. CODEC_FAULT_NONE gives "none". */
const char *codec_fault_name(enum codec_fault_kind kind);
/* A fault without path and offset; the text is cut at its limit. */
void codec_fault_set(struct codec_fault *fault, enum codec_fault_kind kind, const char *text);

#endif
