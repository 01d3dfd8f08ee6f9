/*
 * CT-20: JSON to wire. Byte 0 picks the message, byte 1 the options, the rest is the text. What was
 * accepted must print, be read again and print the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/descriptor.h"
#include "codec/descriptor_builder.h"
#include "codec/json_to_wire.h"
#include "codec/wire_to_json.h"

static const uint8_t schema[] = {
#include "tests/unit/codec/schema/schema.inc"
};

static const char *const messages[] = {"t3.All", "t3.M", "t2.Old", "t2.Clash", "bench.Order",
	"google.protobuf.Value", "google.protobuf.Any", "google.protobuf.Struct",
	"google.protobuf.Timestamp", "google.protobuf.DoubleValue", "google.rpc.Status",
	"google.protobuf.FileDescriptorProto"};

static struct descriptor_pool *load(void)
{
	struct descriptor_builder *builder = descriptor_builder_create(DESCRIPTOR_ALL);
	struct descriptor_pool *pool;

	if (descriptor_builder_add_set(
		    builder, slice_make(schema, sizeof(schema)), "schema", NULL)) {
		abort();
	}
	pool = descriptor_builder_build(builder, NULL);
	descriptor_builder_destroy(builder);
	return pool;
}

/* Exactly as long as it may be read, so that the sanitizer sees more. */
static struct slice padded(const void *data, size_t size)
{
	uint8_t *copy = mem_alloc(size + CODEC_SLACK);

	if (size > 0) {
		memcpy(copy, data, size);
	}
	memset(copy + size, 0, CODEC_SLACK);
	return slice_make(copy, size);
}

static void must(bool done, const struct codec_fault *fault)
{
	if (!done) {
		fprintf(stderr, "%s\n", fault->text);
		abort();
	}
}

/* Wire to JSON and back; both must pass. *json and *wire are replaced. */
static void round_trip(struct codec_context *context, const struct codec_target *target,
	struct buf *wire, struct buf *json)
{
	struct slice copy = padded(wire->data, wire->size);
	struct codec_fault fault;

	buf_clear(json);
	must(wire_to_json_translate(context, target, copy, json, &fault), &fault);
	mem_free((void *)(uintptr_t)copy.data);
	copy = padded(json->data, json->size);
	buf_clear(wire);
	must(json_to_wire_translate(context, target, copy, wire, &fault), &fault);
	mem_free((void *)(uintptr_t)copy.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Loaded once: most of the time would go into it. */
	static struct descriptor_pool *pool;
	struct codec_context *context;
	struct codec_options options;
	struct codec_target target;
	struct codec_fault fault;
	struct slice text;
	struct buf wire;
	struct buf json;
	struct buf again;

	if (size < 2) {
		return 0;
	}
	pool = pool ? pool : load();
	context = codec_context_create(1);
	translate_options_init(&options);
	options.ignore_unknown = data[1] & 1;
	options.enum_any_case = data[1] & 2;
	options.any_unknown = data[1] & 4 ? CODEC_ANY_RAW : CODEC_ANY_ERROR;
	options.int64_numbers = data[1] & 8;
	options.proto_names = data[1] & 16;
	target = (struct codec_target){pool,
		descriptor_pool_find_message(
			pool, slice_from_string(messages[data[0] % ARRAY_SIZE(messages)])),
		&options};
	text = padded(data + 2, size - 2);
	buf_init(&wire);
	buf_init(&json);
	buf_init(&again);
	if (json_to_wire_translate(context, &target, text, &wire, &fault)) {
		round_trip(context, &target, &wire, &json);
		round_trip(context, &target, &wire, &again);
		ASSERT(slice_equal(buf_slice(&json), buf_slice(&again)));
	}
	buf_fini(&again);
	buf_fini(&json);
	buf_fini(&wire);
	mem_free((void *)(uintptr_t)text.data);
	codec_context_destroy(context);
	return 0;
}
