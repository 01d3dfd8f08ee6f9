/*
 * json_wkt: well-known types of a JSON text (codec.md 5). Internal.
 */
#ifndef PILLION_CODEC_JSON_WKT_H
#define PILLION_CODEC_JSON_WKT_H

#include "codec/json_reader.h"

/* p on the value of a message whose wkt is neither WKT_NONE nor WKT_ANY; writes its content. */
const uint8_t *json_wkt_read(
	struct json_reader *r, const uint8_t *p, const struct pool_message *message);

#endif
