/*
 * json_skip: passes over a JSON value and checks syntax, UTF-8 and depth (codec.md JN-02, LM-02).
 * Internal.
 */
#ifndef PILLION_CODEC_JSON_SKIP_H
#define PILLION_CODEC_JSON_SKIP_H

#include "codec/json_reader.h"

/* p stands on the value. */
const uint8_t *json_skip_value(struct json_reader *r, const uint8_t *p);
/* p stands on the opening quote of a member; the place of its value. */
const uint8_t *json_skip_key(struct json_reader *r, const uint8_t *p);

#endif
