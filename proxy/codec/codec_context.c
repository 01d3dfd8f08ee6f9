/*
 * What is kept between messages is memory, never meaning: a context that was used for a million
 * messages translates the next one to the same bytes as a fresh one (EN-08).
 */
#include "codec/codec_context.h"

#include "base/mem.h"
#include "codec/context_scratch.h"

/* All buffers begin empty; the first messages warm them up. */
struct codec_context *codec_context_create(uint64_t seed)
{
	struct codec_context *context = mem_zalloc(sizeof(*context));

	key_set_init(&context->keys, seed);
	return context;
}

void codec_context_destroy(struct codec_context *context)
{
	if (!context) {
		return;
	}
	key_set_fini(&context->keys);
	buf_fini(&context->slots);
	buf_fini(&context->seen);
	buf_fini(&context->text);
	buf_fini(&context->types);
	buf_fini(&context->entries);
	buf_fini(&context->groups);
	buf_fini(&context->pad);
	mem_free(context);
}

/* A large copy is not kept from one message to the next. */
struct slice codec_context_pad(struct codec_context *context, struct slice bytes)
{
	uint8_t *copy;

	if (context->pad.capacity > CONTEXT_KEPT) {
		buf_fini(&context->pad);
	}
	copy = buf_reserve(&context->pad, bytes.size + CODEC_SLACK);
	ASSERT(context->pad.size == 0);
	if (bytes.size > 0) {
		memcpy(copy, bytes.data, bytes.size);
	}
	memset(copy + bytes.size, 0, CODEC_SLACK);
	return slice_make(copy, bytes.size);
}

uint64_t codec_context_slow_paths(const struct codec_context *context)
{
	return context->slow_paths;
}
