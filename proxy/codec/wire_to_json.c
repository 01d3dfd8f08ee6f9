/*
 * The entry point: one optimistic pass that prints what it reads, and for the few messages that do
 * not allow it a second, careful one from the start (EN-05).
 */
#include "codec/wire_to_json.h"

#include "codec/wire_careful.h"
#include "codec/wire_message.h"

/* EN-05: the output so far is thrown away and the message printed anew, once. */
static bool print_again(struct wire_printer *x, const struct pool_message *message)
{
	x->w.out = x->w.begin;
	x->irregular = false;
	x->careful = true;
	x->depth_left = x->options->max_depth;
	x->context->slow_paths++;
	x->context->seen.size = 0;
	key_set_reset(&x->context->keys);
	fault_path_init(&x->path);
	return wire_careful_print(x, x->begin, x->end, message);
}

/* The size is looked at before the first byte (LM-01). */
static bool print_whole(struct wire_printer *x, const struct pool_message *message)
{
	bool printed;

	if ((size_t)(x->end - x->begin) > x->options->max_message) {
		(void)wire_printer_fault(x, x->begin, CODEC_FAULT_TOO_LARGE, "message too large");
		return false;
	}
	printed = wire_message_print(x, x->begin, x->end, message) != NULL;
	if (!printed && x->irregular) {
		printed = print_again(x, message);
	}
	if (printed && !writer_finish(&x->w)) {
		(void)wire_printer_too_large(x, x->end);
		return false;
	}
	return printed;
}

/* No bytes are a message, too: the one without fields. */
bool wire_to_json_translate(struct codec_context *context, const struct codec_target *target,
	struct slice wire, struct buf *ret_json, struct codec_fault *ret_fault)
{
	static const uint8_t nothing[CODEC_SLACK];
	struct wire_printer x = {
		.begin = wire.size > 0 ? wire.data : nothing,
		.end = wire.size > 0 ? wire.data + wire.size : nothing,
		.pool = target->pool,
		.options = target->options,
		.context = context,
		.depth_left = target->options->max_depth,
	};
	size_t kept = ret_json->size;
	bool printed;

	ASSERT(target->message < target->pool->message_count);
	ASSERT(x.depth_left >= 1 && x.depth_left <= CODEC_DEPTH_MAX);
	fault_path_init(&x.path);
	writer_init(&x.w, ret_json, target->options->max_json);
	printed = print_whole(&x, target->pool->messages + target->message);
	if (!printed) {
		ret_json->size = kept;
		fault_path_finish(&x.path,
			descriptor_pool_message_name(target->pool, target->message), ret_fault);
	}
	context_scratch_trim(context);
	return printed;
}
