#include "codec/context_scratch.h"

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
