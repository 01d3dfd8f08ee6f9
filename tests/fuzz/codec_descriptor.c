/*
 * CT-20: descriptor sets as hostile input. What is accepted must translate an empty message of
 * every type that has a method, and give the same digest when it is loaded again.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/descriptor.h"
#include "codec/descriptor_builder.h"
#include "codec/json_to_wire.h"
#include "codec/wire_to_json.h"

static struct descriptor_pool *load(struct slice set, enum descriptor_mode mode)
{
	struct descriptor_builder *builder = descriptor_builder_create(mode);
	struct descriptor_pool *pool = NULL;
	struct err err;

	err_clear(&err);
	if (descriptor_builder_add_set(builder, set, "fuzz", &err) == 0) {
		pool = descriptor_builder_build(builder, &err);
	}
	ASSERT(pool || err.code != 0);
	descriptor_builder_destroy(builder);
	return pool;
}

static void use(const struct descriptor_pool *pool)
{
	struct codec_context *context = codec_context_create(1);
	struct codec_options options;
	uint8_t text[2 + CODEC_SLACK] = "{}";
	struct codec_fault fault;
	struct buf out;

	translate_options_init(&options);
	options.emit_defaults = true;
	buf_init(&out);
	for (uint32_t i = 0; i < descriptor_pool_method_count(pool); i++) {
		const struct codec_method *method = descriptor_pool_method(pool, i);
		struct codec_target target = {pool, method->input, &options};

		ASSERT(descriptor_pool_find_method(pool, method->path) != NULL);
		buf_clear(&out);
		(void)!json_to_wire_translate(context, &target, slice_make(text, 2), &out, &fault);
		target.message = method->output;
		buf_clear(&out);
		(void)!wire_to_json_translate(context, &target, slice_make(text, 0), &out, &fault);
	}
	buf_fini(&out);
	codec_context_destroy(context);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct descriptor_pool *all = load(slice_make(data, size), DESCRIPTOR_ALL);
	struct descriptor_pool *sound = load(slice_make(data, size), DESCRIPTOR_SOUND);

	if (all) {
		ASSERT(sound && descriptor_pool_digest(all) == descriptor_pool_digest(sound));
		use(all);
	}
	if (sound) {
		use(sound);
	}
	descriptor_pool_unref(all);
	descriptor_pool_unref(sound);
	return 0;
}
