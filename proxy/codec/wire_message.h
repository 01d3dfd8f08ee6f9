/*
 * wire_message: the optimistic pass (codec.md EN-04): fields are printed as they are read, until
 * the message turns out irregular. Internal.
 */
#ifndef PILLION_CODEC_WIRE_MESSAGE_H
#define PILLION_CODEC_WIRE_MESSAGE_H

#include "codec/wire_printer.h"

/* A whole message in the JSON form of its type, one level deeper. */
const uint8_t *wire_message_print(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_message *message);

/* The members of a message, each behind a comma, without braces. */
const uint8_t *wire_message_members(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_message *message);

/* One map entry with its comma, p behind the tag: at most one of each part, and a new key. */
const uint8_t *wire_message_entry(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_field *field, struct key_set *set);

/* The brace in front takes the place of the first comma; `start` is where that stands. */
bool wire_message_close(struct wire_printer *x, size_t start, char open, char close) MUST_CHECK;

#endif
