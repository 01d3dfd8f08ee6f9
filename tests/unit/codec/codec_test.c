#include "codec_test.h"

#include "base/mem.h"
#include "codec/descriptor_builder.h"

const uint8_t codec_test_schema[] = {
#include "schema/schema.inc"
};
const size_t codec_test_schema_size = sizeof(codec_test_schema);

void codec_test_open(struct codec_test *test)
{
	struct descriptor_builder *builder = descriptor_builder_create(DESCRIPTOR_ALL);
	struct slice schema = slice_make(codec_test_schema, codec_test_schema_size);
	struct err err;

	err_clear(&err);
	*test = (struct codec_test){.context = codec_context_create(11)};
	assert_int_equal(descriptor_builder_add_set(builder, schema, "schema.inc", &err), 0);
	test->pool = descriptor_builder_build(builder, &err);
	if (!test->pool) {
		fail_msg("%s", err.text);
	}
	descriptor_builder_destroy(builder);
	translate_options_init(&test->options);
	buf_init(&test->out);
}

void codec_test_close(struct codec_test *test)
{
	buf_fini(&test->out);
	descriptor_pool_unref(test->pool);
	codec_context_destroy(test->context);
}

static bool translate(
	struct codec_test *test, const char *message, struct slice bytes, bool to_wire)
{
	struct codec_target target = {test->pool, DESCRIPTOR_NONE, &test->options};
	uint8_t *copy = mem_alloc(bytes.size + CODEC_SLACK);
	bool done;

	target.message = descriptor_pool_find_message(test->pool, slice_from_string(message));
	assert_int_not_equal(target.message, DESCRIPTOR_NONE);
	memcpy(copy, bytes.data, bytes.size);
	/* Slack that looks like more of the text must not be believed. */
	memset(copy + bytes.size, to_wire ? '1' : 0x01, CODEC_SLACK);
	buf_clear(&test->out);
	codec_fault_clear(&test->fault);
	bytes.data = copy;
	done = to_wire ? json_to_wire_translate(
				 test->context, &target, bytes, &test->out, &test->fault)
		       : wire_to_json_translate(
				 test->context, &target, bytes, &test->out, &test->fault);
	mem_free(copy);
	assert_int_equal(done, test->fault.kind == CODEC_FAULT_NONE);
	if (!done) {
		assert_int_equal(test->out.size, 0);
		assert_true(strlen(test->fault.text) > 0);
	}
	return done;
}

bool codec_test_to_wire(struct codec_test *test, const char *message, struct slice json)
{
	return translate(test, message, json, true);
}

bool codec_test_to_json(struct codec_test *test, const char *message, struct slice wire)
{
	return translate(test, message, wire, false);
}

struct buf codec_test_unhex(const char *hex)
{
	struct buf bytes;
	uint8_t byte = 0;
	bool half = false;

	buf_init(&bytes);
	buf_reserve(&bytes, 1);
	for (; *hex; hex++) {
		uint8_t digit;

		if (*hex == ' ') {
			continue;
		}
		assert_true(slice_parse_hex(slice_make((char[]){'0', *hex}, 2), &digit, 1));
		byte = (uint8_t)(byte << 4 | digit);
		if (half) {
			buf_append_byte(&bytes, byte);
		}
		half = !half;
	}
	assert_false(half);
	return bytes;
}

void codec_test_set_option(struct codec_options *options, const char *name)
{
	if (!name || !*name) {
		return;
	}
	if (strcmp(name, "ignore_unknown") == 0) {
		options->ignore_unknown = true;
	} else if (strcmp(name, "proto_names") == 0) {
		options->proto_names = true;
	} else if (strcmp(name, "emit_defaults") == 0) {
		options->emit_defaults = true;
	} else if (strcmp(name, "enum_numbers") == 0) {
		options->enum_numbers = true;
	} else if (strcmp(name, "enum_any_case") == 0) {
		options->enum_any_case = true;
	} else if (strcmp(name, "int64_numbers") == 0) {
		options->int64_numbers = true;
	} else if (strcmp(name, "check_required") == 0) {
		options->check_required = true;
	} else if (strcmp(name, "any_raw") == 0) {
		options->any_unknown = CODEC_ANY_RAW;
	} else {
		fail_msg("no option %s", name);
	}
}

void codec_test_check_row(
	struct codec_test *test, const char *message, const struct codec_test_row *row)
{
	struct slice json = slice_from_string(row->json);
	const char *expected = row->out && *row->out ? row->out : row->json;
	struct buf wire;
	bool done;

	translate_options_init(&test->options);
	codec_test_set_option(&test->options, row->option);
	done = codec_test_to_wire(test, message, json);
	if (row->fault) {
		if (done || strcmp(codec_fault_name(test->fault.kind), row->fault) != 0) {
			fail_msg("%s: %s: expected %s, found %s", message, row->json, row->fault,
				test->fault.text);
		}
		return;
	}
	if (!done) {
		fail_msg("%s: %s: %s", message, row->json, test->fault.text);
	}
	wire = test->out;
	buf_init(&test->out);
	if (!codec_test_to_json(test, message, buf_slice(&wire))) {
		fail_msg("%s: %s: back: %s", message, row->json, test->fault.text);
	}
	assert_string_equal(buf_string(&test->out), expected);
	buf_fini(&wire);
}

void codec_test_check_rows(const char *message, const struct codec_test_row *rows, size_t count)
{
	struct codec_test test;

	codec_test_open(&test);
	for (size_t i = 0; i < count; i++) {
		codec_test_check_row(&test, message, &rows[i]);
	}
	codec_test_close(&test);
}
