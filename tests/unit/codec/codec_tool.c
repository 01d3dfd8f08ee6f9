/*
 * codec-tool: the engine behind a pipe, for tests that compare it with other implementations. Reads
 * one request a line, writes one answer a line: S <path>                      the schema: a file
 * with a serialized FileDescriptorSet J <message> <options> <hex>   JSON to wire;   W ... wire to
 * JSON E <code> <hex details>        an error as JSON Options are option names joined by commas, or
 * "-". Answers: "ok <hex>", "fault <name> <offset> <text>", "error <text>".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "codec/descriptor.h"
#include "codec/descriptor_builder.h"
#include "codec/json_to_wire.h"
#include "codec/status.h"
#include "codec/wire_to_json.h"

struct tool {
	struct codec_context *context;
	struct descriptor_pool *pool;
	struct buf out;
};

static void set_option(struct codec_options *options, const char *name)
{
	options->ignore_unknown |= strcmp(name, "ignore_unknown") == 0;
	options->proto_names |= strcmp(name, "proto_names") == 0;
	options->emit_defaults |= strcmp(name, "emit_defaults") == 0;
	options->enum_numbers |= strcmp(name, "enum_numbers") == 0;
	options->int64_numbers |= strcmp(name, "int64_numbers") == 0;
}

static void answer_hex(struct tool *tool)
{
	fputs("ok ", stdout);
	for (size_t i = 0; i < tool->out.size; i++) {
		printf("%02x", tool->out.data[i]);
	}
	putchar('\n');
}

static struct slice unhex(struct tool *tool, const char *text, struct buf *bytes)
{
	size_t size = strlen(text) / 2;

	buf_clear(bytes);
	buf_reserve(bytes, size + 1);
	if (!slice_parse_hex(slice_make(text, size * 2), bytes->data, size)) {
		abort();
	}
	bytes->size = size;
	return codec_context_pad(tool->context, buf_slice(bytes));
}

static void load(struct tool *tool, const char *path)
{
	struct descriptor_builder *builder = descriptor_builder_create(DESCRIPTOR_ALL);
	struct buf bytes;
	struct err err;
	FILE *file = fopen(path, "rb");
	size_t size;

	buf_init(&bytes);
	err_clear(&err);
	while (file && (size = fread(buf_reserve(&bytes, 65536), 1, 65536, file)) > 0) {
		bytes.size += size;
	}
	if (file) {
		fclose(file);
	}
	descriptor_pool_unref(tool->pool);
	tool->pool = NULL;
	if (descriptor_builder_add_set(builder, buf_slice(&bytes), path, &err) == 0) {
		tool->pool = descriptor_builder_build(builder, &err);
	}
	if (tool->pool) {
		puts("ok ");
	} else {
		printf("error %u %s\n", err.code, err.text);
	}
	buf_fini(&bytes);
	descriptor_builder_destroy(builder);
}

static void translate(struct tool *tool, char verb, char *rest)
{
	char *save = NULL;
	char *message = strtok_r(rest, " ", &save);
	char *names = strtok_r(NULL, " ", &save);
	char *hex = strtok_r(NULL, " ", &save);
	struct codec_options options;
	struct codec_target target = {tool->pool, DESCRIPTOR_NONE, &options};
	struct codec_fault fault;
	struct slice bytes;
	struct buf raw;
	bool done;

	translate_options_init(&options);
	for (char *name = strtok_r(names, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
		set_option(&options, name);
	}
	target.message = descriptor_pool_find_message(tool->pool, slice_from_string(message));
	if (target.message == DESCRIPTOR_NONE) {
		puts("error no such message");
		return;
	}
	buf_init(&raw);
	bytes = unhex(tool, hex ? hex : "", &raw);
	buf_clear(&tool->out);
	codec_fault_clear(&fault);
	done = verb == 'J'
		       ? json_to_wire_translate(tool->context, &target, bytes, &tool->out, &fault)
		       : wire_to_json_translate(tool->context, &target, bytes, &tool->out, &fault);
	if (done) {
		answer_hex(tool);
	} else {
		printf("fault %s %zu %s\n", codec_fault_name(fault.kind), fault.offset, fault.text);
	}
	buf_fini(&raw);
}

static void print_error(struct tool *tool, char *rest)
{
	char *hex = NULL;
	struct status_error error = {.code = (unsigned)strtoul(rest, &hex, 10)};
	struct buf raw;

	buf_init(&raw);
	(void)unhex(tool, *hex == ' ' ? hex + 1 : hex, &raw);
	error.details = buf_slice(&raw);
	error.message = SLICE("plain message");
	buf_clear(&tool->out);
	status_to_json(tool->context, tool->pool, &error, NULL, &tool->out);
	answer_hex(tool);
	buf_fini(&raw);
}

int main(void)
{
	struct tool tool = {.context = codec_context_create(7)};
	char *line = NULL;
	size_t room = 0;
	ssize_t size;

	buf_init(&tool.out);
	while ((size = getline(&line, &room, stdin)) > 0) {
		line[strcspn(line, "\n")] = 0;
		if (line[0] == 'S') {
			load(&tool, line + 2);
		} else if (!tool.pool) {
			puts("error no schema");
		} else if (line[0] == 'E') {
			print_error(&tool, line + 2);
		} else {
			translate(&tool, line[0], line + 2);
		}
		fflush(stdout);
	}
	free(line);
	buf_fini(&tool.out);
	descriptor_pool_unref(tool.pool);
	codec_context_destroy(tool.context);
	return 0;
}
