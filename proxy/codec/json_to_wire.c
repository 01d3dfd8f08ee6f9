/*
 * The entry point: it sets up the reader, lets json_message do the work, patches the long lengths,
 * and makes sure that a fault leaves no byte behind.
 */
#include "codec/json_to_wire.h"

#include "codec/json_message.h"

/* The size is looked at before the first byte (LM-01). */
static const uint8_t *read_whole(struct json_reader *r, const struct pool_message *message)
{
	const uint8_t *p = json_reader_space(r, r->begin);

	if ((size_t)(r->end - r->begin) > r->options->max_json) {
		return json_reader_fault(
			r, r->begin, CODEC_FAULT_TOO_LARGE, "JSON text too large", NULL);
	}
	p = json_message_read(r, p, message);
	if (!p) {
		return NULL;
	}
	p = json_reader_space(r, p);
	if (p != r->end) {
		return json_reader_fault(
			r, p, CODEC_FAULT_JSON_SYNTAX, "something after the value", NULL);
	}
	if (!json_reader_patch(r) || !writer_finish(&r->w)) {
		return json_reader_too_large(r, p);
	}
	return p;
}

/* The scratch is given back whatever happened. */
bool json_to_wire_translate(struct codec_context *context, const struct codec_target *target,
	struct slice json, struct buf *ret_wire, struct codec_fault *ret_fault)
{
	static const uint8_t nothing[CODEC_SLACK];
	struct json_reader r = {
		.begin = json.size > 0 ? json.data : nothing,
		.end = json.size > 0 ? json.data + json.size : nothing,
		.pool = target->pool,
		.options = target->options,
		.context = context,
		.depth_left = target->options->max_depth,
	};
	size_t kept = ret_wire->size;
	const uint8_t *end;

	ASSERT(target->message < target->pool->message_count);
	ASSERT(r.depth_left >= 1 && r.depth_left <= CODEC_DEPTH_MAX);
	fault_path_init(&r.path);
	writer_init(&r.w, ret_wire, target->options->max_message);
	end = read_whole(&r, target->pool->messages + target->message);
	if (!end) {
		ret_wire->size = kept;
		fault_path_finish(&r.path, SLICE("$"), ret_fault);
	}
	context_scratch_trim(context);
	return end != NULL;
}
