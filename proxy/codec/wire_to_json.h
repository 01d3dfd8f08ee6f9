/*
 * wire_to_json: one protobuf message to one line of ProtoJSON (codec.md 3 to 6, EN-04, EN-05).
 * Pure: same input, same output bytes.
 */
#ifndef PILLION_CODEC_WIRE_TO_JSON_H
#define PILLION_CODEC_WIRE_TO_JSON_H

#include "codec/codec_context.h"

/*
 * Appends the JSON text to *ret_json (initialized by the caller; what it holds stays in front).
 * CODEC_SLACK bytes past the end of the wire bytes must be readable. On a fault returns false,
 * fills *ret_fault and leaves *ret_json as it was.
 */
bool wire_to_json_translate(struct codec_context *context, const struct codec_target *target,
	struct slice wire, struct buf *ret_json, struct codec_fault *ret_fault) MUST_CHECK;

#endif
