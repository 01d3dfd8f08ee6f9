/*
 * json_find: members of a small JSON object whose type is not known, such as an error body
 * (codec.md ER-04). Internal.
 */
#ifndef PILLION_CODEC_JSON_FIND_H
#define PILLION_CODEC_JSON_FIND_H

#include "codec/json_reader.h"

/* A reader over the text for json_find_*; needs CODEC_SLACK bytes behind it. */
void json_find_init(struct json_reader *r, struct codec_context *context,
	const struct codec_options *options, struct slice json);
/* Whether the text is one JSON value; the functions below want that. */
bool json_find_valid(struct json_reader *r);
/* The value of a member of the object at `object` (a place in the text), or NULL. */
const uint8_t *json_find_member(struct json_reader *r, const uint8_t *object, struct slice name);
/* The text of a string value, appended; false: it is no string. */
bool json_find_string(struct json_reader *r, const uint8_t *value, struct buf *ret_text);
/* An integer of 0..999999; false: it is none. */
bool json_find_integer(struct json_reader *r, const uint8_t *value, unsigned *ret_number);

#endif
