/*
 * codec_context: the scratch memory of translations, one per worker, reused so that nothing is
 * allocated per message after warm-up (codec.md EN-07). It holds no state from one message to the
 * next but counters. Owner: whoever created it; one thread.
 */
#ifndef PILLION_CODEC_CONTEXT_H
#define PILLION_CODEC_CONTEXT_H

#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"
#include "codec/codec_fault.h"
#include "codec/translate_options.h"

struct codec_context;
struct descriptor_pool;

/* What a message is translated by. The pool and the options outlive the call. */
struct codec_target {
	const struct descriptor_pool *pool;
	uint32_t message; /* index in the pool, such as codec_method.input */
	const struct codec_options *options;
};

/* The seed (rng_next) keys the hash of map keys, so that peers cannot choose collisions (EN-04). */
struct codec_context *codec_context_create(uint64_t seed);
void codec_context_destroy(struct codec_context *context); /* NULL is allowed */

/*
 * A copy of the bytes with CODEC_SLACK readable bytes behind it, for input that has none. Valid
 * until the next call of this function on the same context.
 */
struct slice codec_context_pad(struct codec_context *context, struct slice bytes);

/* Messages so far that needed careful mode (EN-05): pillion_codec_slow_path_total. */
uint64_t codec_context_slow_paths(const struct codec_context *context);

#endif
