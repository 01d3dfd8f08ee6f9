/*
 * json_to_wire: one ProtoJSON text to one protobuf message in one pass, without a tree (codec.md 3,
 * 4, 5, EN-02, EN-03). Pure: same input, same output bytes.
 */
#ifndef PILLION_CODEC_JSON_TO_WIRE_H
#define PILLION_CODEC_JSON_TO_WIRE_H

#include "codec/codec_context.h"

/*
 * Appends the message to *ret_wire (initialized by the caller; what it holds stays in front, so a
 * frame head may stand there). CODEC_SLACK bytes past the end of the text must be readable. The
 * empty text is json_syntax: who takes an empty body for the empty message (JG-01) writes nothing
 * instead. On a fault returns false, fills *ret_fault and leaves *ret_wire as it was.
 */
bool json_to_wire_translate(struct codec_context *context, const struct codec_target *target,
	struct slice json, struct buf *ret_wire, struct codec_fault *ret_fault) MUST_CHECK;

#endif
