/*
 * json_message: objects of a JSON text as messages (codec.md 4, EN-02). Internal.
 */
#ifndef PILLION_CODEC_JSON_MESSAGE_H
#define PILLION_CODEC_JSON_MESSAGE_H

#include "codec/json_reader.h"

/* p stands on the value; writes the content of the message, whatever JSON form its type has. */
const uint8_t *json_message_read(
	struct json_reader *r, const uint8_t *p, const struct pool_message *message);

/*
 * The members of an object, p behind its brace; returns behind the closing one. in_any: a member
 * "@type" is passed over, its text was read before.
 */
const uint8_t *json_message_members(
	struct json_reader *r, const uint8_t *p, const struct pool_message *message, bool in_any);

/* One singular value with its tag, p on the value; a zero without presence is not written. */
const uint8_t *json_message_value(
	struct json_reader *r, const uint8_t *p, const struct pool_field *field);

#endif
