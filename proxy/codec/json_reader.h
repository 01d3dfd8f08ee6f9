/*
 * json_reader: the state of one translation JSON -> wire and the primitives that its files share
 * (codec.md EN-02, EN-03). Every reading function takes the place where it begins and returns the
 * place behind what it read, or NULL after a fault. Internal.
 */
#ifndef PILLION_CODEC_JSON_READER_H
#define PILLION_CODEC_JSON_READER_H

#include "codec/context_scratch.h"
#include "codec/fault_path.h"
#include "codec/pool_find.h"
#include "codec/wire.h"
#include "codec/writer.h"

struct json_reader {
	const uint8_t *begin;
	const uint8_t *end; /* CODEC_SLACK bytes behind it may be loaded, never believed */
	struct writer w;
	const struct descriptor_pool *pool;
	const struct codec_options *options;
	struct codec_context *context;
	size_t surplus;	     /* bytes that patched lengths need beyond their one (EN-03) */
	uint32_t depth_left; /* LM-02 */
	bool dropped;	     /* the last enum was an unknown name to be ignored (JN-02) */
	bool types_recorded; /* EN-05: every "@type" of the text is in context->types */
	struct fault_path path;
};

/* A length-prefixed part of the output: one byte of length stands before it until it ends. */
struct json_region {
	size_t at;	/* offset of the length byte */
	size_t slot;	/* its index among the slots */
	size_t surplus; /* of the reader when it began */
};

/* A length of 128 or more: its byte is replaced by `width` bytes at the end of the message. */
struct json_slot {
	size_t at;
	size_t length;
};

/* Always NULL. `what` may be NULL and follows the rule. */
const uint8_t *json_reader_fault(struct json_reader *r, const uint8_t *place,
	enum codec_fault_kind kind, const char *rule, const char *what);
/* What is wrong at a place where a value of some type should stand: syntax, or the type. */
const uint8_t *json_reader_unexpected(
	struct json_reader *r, const uint8_t *place, const char *expected);
/* Something else stands where a member must begin. */
const uint8_t *json_reader_no_name(struct json_reader *r, const uint8_t *place);
const uint8_t *json_reader_too_large(struct json_reader *r, const uint8_t *place);

/* The descent into one more level (WI-09, LM-02). */
bool json_reader_enter(struct json_reader *r, const uint8_t *place) MUST_CHECK;

static inline void json_reader_leave(struct json_reader *r)
{
	r->depth_left++;
}

const uint8_t *json_reader_space_long(const struct json_reader *r, const uint8_t *p);

/* Behind white space; maybe at the end. */
static inline const uint8_t *json_reader_space(const struct json_reader *r, const uint8_t *p)
{
	return p<r->end && * p> 0x20 ? p : json_reader_space_long(r, p);
}

static inline bool json_reader_is(const struct json_reader *r, const uint8_t *p, uint8_t c)
{
	return p < r->end && *p == c;
}

/* Behind the literal, or NULL without a fault. */
static inline const uint8_t *json_reader_literal(
	const struct json_reader *r, const uint8_t *p, const char *text, size_t size)
{
	return (size_t)(r->end - p) >= size && memcmp(p, text, size) == 0 ? p + size : NULL;
}

#define JSON_LITERAL(r, p, text) json_reader_literal(r, p, text, sizeof(text) - 1)

/* Opens a region behind a tag that was written; needs room for one byte. */
struct json_region json_reader_open(struct json_reader *r);
void json_reader_close(struct json_reader *r, const struct json_region *region);
/* Puts the long lengths in; false: the cap is reached. */
bool json_reader_patch(struct json_reader *r) MUST_CHECK;

static inline void json_reader_put_tag(struct json_reader *r, const struct pool_field *field)
{
	memcpy(r->w.out, &field->tag_bytes, sizeof(field->tag_bytes));
	r->w.out += field->tag_size;
}

#endif
