/*
 * wire_careful: the slow pass, for messages whose fields come again, shuffled or overwritten
 * (codec.md WI-01..03, EN-05). Each message is scanned once into its values, which are sorted by
 * field, merged as lists of spans and printed. Nothing is copied, no tag is read more than four
 * times. Internal.
 */
#ifndef PILLION_CODEC_WIRE_CAREFUL_H
#define PILLION_CODEC_WIRE_CAREFUL_H

#include "codec/wire_printer.h"

/* A whole message, one level deeper; x->careful is set. */
bool wire_careful_print(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_message *message) MUST_CHECK;

/* Its members, each behind a comma, without braces; the caller entered the level. */
bool wire_careful_members(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_message *message) MUST_CHECK;

#endif
