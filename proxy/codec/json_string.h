/*
 * json_string: strings of a JSON text (codec.md JS-01, JS-02). Scanned 16 bytes at a time.
 * Internal.
 */
#ifndef PILLION_CODEC_JSON_STRING_H
#define PILLION_CODEC_JSON_STRING_H

#include "codec/json_reader.h"

/*
 * p stands behind the opening quote. The place of the closing quote, or of the first backslash: up
 * to there the text is UTF-8 and plain. NULL after a fault.
 */
const uint8_t *json_string_plain(struct json_reader *r, const uint8_t *p);
/* The same for text that may be plain, and never faults: no byte < 0x20, >= 0x80, quote, backslash.
 */
const uint8_t *json_string_ascii(const uint8_t *p, const uint8_t *end);

/*
 * The decoded text, in place where it has no escapes, else in the scratch until the next call.
 * CODEC_SLACK bytes behind it are readable. Returns behind the closing quote.
 */
const uint8_t *json_string_view(struct json_reader *r, const uint8_t *p, struct slice *ret_text);

/* Writes length and text of a string as the value of a field whose tag was written. */
const uint8_t *json_string_put(struct json_reader *r, const uint8_t *p);

/* The same; *ret_text is what was written, until more is written. */
const uint8_t *json_string_put_seen(
	struct json_reader *r, const uint8_t *p, struct slice *ret_text);

/* Passes over a string and checks it. */
const uint8_t *json_string_skip(struct json_reader *r, const uint8_t *p);

#endif
