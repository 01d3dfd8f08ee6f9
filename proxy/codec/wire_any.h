/*
 * wire_any: google.protobuf.Any as JSON (codec.md 5, WK-03). Internal.
 */
#ifndef PILLION_CODEC_WIRE_ANY_H
#define PILLION_CODEC_WIRE_ANY_H

#include "codec/wire_wkt.h"

bool wire_any_print(struct wire_printer *x, const struct wire_spans *spans) MUST_CHECK;

#endif
