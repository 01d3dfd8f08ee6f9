/*
 * json_any: google.protobuf.Any of a JSON text (codec.md WK-02, WK-03, EN-05). Internal.
 */
#ifndef PILLION_CODEC_JSON_ANY_H
#define PILLION_CODEC_JSON_ANY_H

#include "codec/json_reader.h"

/* p on the value; writes the content of the Any. */
const uint8_t *json_any_read(
	struct json_reader *r, const uint8_t *p, const struct pool_message *message);

#endif
