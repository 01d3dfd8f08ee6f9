/* CB-07: no allocation per message after warm-up. CT-05: the deepest messages on a small stack. */
#include "codec_test.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"

/* The linker leads every allocation of this program through these (see meson.build). */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static size_t allocations;

void *__wrap_malloc(size_t size)
{
	allocations++;
	return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	allocations++;
	return __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	allocations++;
	return __real_realloc(old, size);
}

struct sample {
	const char *message;
	const char *json;
};

static const struct sample samples[] = {
	{"t3.All",
		"{\"fDouble\":1.5,\"fString\":\"a longer string with \\n escapes "
		"\\u00e9\",\"fAll\":{"
		"\"rInt32\":[1,2,3]},\"mString\":{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,"
		"\"g\":7,"
		"\"h\":8,\"i\":9,\"j\":10},\"wTime\":\"2000-01-01T00:00:00Z\",\"wMask\":\"a,bC\","
		"\"wStruct\":{\"a\":[1,{\"b\":null}]},\"wAny\":{\"v\":[1],\"@type\":\"x/t3.M\"},"
		"\"wInt32\":5,\"renamed\":1,\"far\":2}"},
	{"t3.M", "{\"name\":\"n\",\"v\":[1,2,3],\"sub\":{\"sub\":{\"name\":\"x\"}}}"},
	{"bench.Order", "{\"orderId\":\"o\",\"items\":[{\"sku\":\"a\",\"tags\":[\"x\",\"y\"]}]}"},
};

/* One sample both ways, and its wire twice, which needs careful mode. */
static void translate(struct codec_test *test, const struct sample *sample, uint8_t *room)
{
	struct codec_target target = {test->pool, DESCRIPTOR_NONE, &test->options};
	size_t size = strlen(sample->json);
	struct slice bytes = slice_make(room, size);
	size_t wire;

	target.message =
		descriptor_pool_find_message(test->pool, slice_from_string(sample->message));
	memcpy(room, sample->json, size);
	buf_clear(&test->out);
	assert_true(
		json_to_wire_translate(test->context, &target, bytes, &test->out, &test->fault));
	wire = test->out.size;
	memcpy(room, test->out.data, wire);
	memcpy(room + wire, test->out.data, wire);
	for (size_t parts = 1; parts <= 2; parts++) {
		bytes.size = wire * parts;
		buf_clear(&test->out);
		assert_true(wire_to_json_translate(
			test->context, &target, bytes, &test->out, &test->fault));
	}
}

static void test_allocations(void **state)
{
	struct codec_test test;
	uint8_t room[4096] = {0};
	size_t before;

	(void)state;
	codec_test_open(&test);
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		translate(&test, &samples[i], room);
	}
	before = allocations;
	assert_true(before > 0);
	for (int round = 0; round < 100; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
			translate(&test, &samples[i], room);
		}
	}
	assert_int_equal(allocations, before);
	assert_true(codec_context_slow_paths(test.context) > 100);
	codec_test_close(&test);
}

/* STACK_SIZE: 256 KiB (see meson.build), but the frames of a sanitizer are several times as large.
 */
struct deep {
	struct codec_test *test;
	const char *message;
	const char *open;
	const char *inner;
	const char *close;
	int depth;
};

static void *translate_deep(void *argument)
{
	struct deep *deep = argument;
	struct codec_test *test = deep->test;
	struct buf json;
	struct buf wire;

	buf_init(&json);
	for (int i = 0; i < deep->depth; i++) {
		buf_append_string(&json, deep->open);
	}
	buf_append_string(&json, deep->inner);
	for (int i = 0; i < deep->depth; i++) {
		buf_append_string(&json, deep->close);
	}
	assert_true(codec_test_to_wire(test, deep->message, buf_slice(&json)));
	wire = test->out;
	buf_init(&test->out);
	assert_true(codec_test_to_json(test, deep->message, buf_slice(&wire)));
	/* Twice: in careful mode where messages merge, else simply again. */
	if (strcmp(deep->message, "t3.All") == 0) {
		struct slice once = buf_slice(&wire);
		struct buf twice;

		buf_init(&twice);
		buf_append_slice(&twice, once);
		buf_append_slice(&twice, once);
		assert_true(codec_test_to_json(test, deep->message, buf_slice(&twice)));
		buf_fini(&twice);
	}
	buf_fini(&wire);
	buf_fini(&json);
	return NULL;
}

/* The deepest that LM-02 allows, each shape on a thread with a small stack. */
static void test_small_stack(void **state)
{
	struct codec_test test;
	struct deep shapes[] = {
		{&test, "t3.All", "{\"fAll\":", "{}", "}", 199},
		{&test, "t3.All", "{\"mAll\":{\"k\":", "{}", "}}", 99},
		{&test, "t3.All", "{\"rAll\":[", "{}", "]}", 199},
		{&test, "google.protobuf.ListValue", "[", "", "]", 100},
		{&test, "google.protobuf.Struct", "{\"a\":", "{}", "}", 66},
		{&test, "google.protobuf.Any",
			"{\"@type\":\"x/google.protobuf.Any\",\"value\":", "{}", "}", 199},
		{&test, "google.protobuf.Any", "{\"value\":", "{}",
			",\"@type\":\"x/google.protobuf.Any\"}", 199},
	};

	(void)state;
	codec_test_open(&test);
	test.options.max_depth = CODEC_DEPTH_MAX;
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		pthread_attr_t attributes;
		pthread_t thread;

		pthread_attr_init(&attributes);
		pthread_attr_setstacksize(&attributes, (size_t)STACK_SIZE);
		assert_int_equal(
			pthread_create(&thread, &attributes, translate_deep, &shapes[i]), 0);
		pthread_join(thread, NULL);
		pthread_attr_destroy(&attributes);
	}
	codec_test_close(&test);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allocations),
		cmocka_unit_test(test_small_stack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
