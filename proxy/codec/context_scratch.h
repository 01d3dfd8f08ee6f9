/*
 * context_scratch: what a codec_context is made of. Every buffer is empty between messages and
 * keeps its memory up to CONTEXT_KEPT (codec.md EN-07). Internal.
 */
#ifndef PILLION_CODEC_CONTEXT_SCRATCH_H
#define PILLION_CODEC_CONTEXT_SCRATCH_H

#include "codec/codec_context.h"
#include "codec/key_set.h"

#define CONTEXT_KEPT ((size_t)1 << 20)

struct codec_context {
	struct key_sets keys;
	struct buf slots;   /* json_reader: lengths to be patched */
	struct buf seen;    /* uint64_t: seen fields of messages with more than 64 */
	struct buf text;    /* strings without their escapes */
	struct buf types;   /* json_any: where the objects' "@type" stands */
	struct buf entries; /* wire_careful: the values of the open messages */
	struct buf groups;  /* wire_careful: where groups end */
	struct buf pad;	    /* codec_context_pad */
	uint64_t slow_paths;
};

/* After every message. */
void context_scratch_trim(struct codec_context *context);

#endif
