/*
 * wire_wkt: well-known types as JSON (codec.md 5). Internal.
 */
#ifndef PILLION_CODEC_WIRE_WKT_H
#define PILLION_CODEC_WIRE_WKT_H

#include "codec/wire_printer.h"

/* The parts of one message: each lies `stride` bytes behind the one before. */
struct wire_spans {
	const struct wire_span *first;
	size_t count;
	size_t stride;
};

static inline struct wire_span wire_wkt_span(const struct wire_spans *spans, size_t index)
{
	struct wire_span span;

	memcpy(&span, (const uint8_t *)spans->first + index * spans->stride, sizeof(span));
	return span;
}

/* The optimistic pass: any type with a form of its own. */
const uint8_t *wire_wkt_print(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_message *message);

/* Both passes: all but Struct, Value and ListValue, which hold messages. */
bool wire_wkt_print_spans(struct wire_printer *x, const struct wire_spans *spans,
	const struct pool_message *message) MUST_CHECK;

/* The scalar kinds of a Value, by its tag, p behind it. */
const uint8_t *wire_wkt_scalar_value(
	struct wire_printer *x, uint32_t tag, const uint8_t *p, const uint8_t *end);

#endif
