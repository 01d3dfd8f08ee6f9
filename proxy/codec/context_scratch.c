/*
 * Buffers are given back above a mark, so that one large message does not hold its memory for the
 * rest of the worker's life (EN-07).
 */
#include "codec/context_scratch.h"

/* A buffer that grew for one large message is given back after it. */
static void trim(struct buf *buf)
{
	ASSERT(buf->size <= buf->capacity);
	if (buf->capacity > CONTEXT_KEPT) {
		buf_fini(buf);
	}
	buf->size = 0;
}

void context_scratch_trim(struct codec_context *context)
{
	key_set_reset(&context->keys);
	trim(&context->keys.entries);
	trim(&context->keys.table);
	trim(&context->slots);
	trim(&context->seen);
	trim(&context->text);
	trim(&context->types);
	trim(&context->entries);
	trim(&context->groups);
}
