/* config: the configuration in force, and its reload (operations.md 6, CF-26, CF-27). */
#include <stdio.h>
#include <stdlib.h>

#include "admin/pages.h"
#include "admin/server.h"
#include "base/mem.h"
#include "config/schema.h"

/* CF-27: class S, although secrets are redacted: addresses and names of a whole mesh are nothing
 * for every process that can open a local port. */
void config_page(struct admin_call *call)
{
	struct config_show_options options = {
		.effective = admin_parameter(call, "effective") != NULL,
		.origin = admin_parameter(call, "origin") != NULL,
		.pointer = admin_parameter(call, "pointer")};
	struct buf text;

	buf_init(&text);
	if (config_show(control_config(call->control), &options, &text)) {
		admin_answer_text(call, 200, "application/json", buf_slice(&text));
	} else {
		admin_answer_error(
			call, 404, 5404, "not_found", "no such pointer in the configuration");
	}
	buf_fini(&text);
}

/* Class P: it is the same for every sidecar of a version and says nothing of this one. Without the
 * options of filters, which the command line adds from its own build. */
void config_schema_page(struct admin_call *call)
{
	struct buf text;

	buf_init(&text);
	config_schema_print(NULL, 0, &text);
	admin_answer_text(call, 200, "application/json", buf_slice(&text));
	buf_fini(&text);
}

/* A call that waits for its reload; freed with the answer. */
struct reload_call {
	struct control_reload reload;
	struct admin_call *call;
};

/* RL-08: 409 and 412 mean "ask again", 422 means "change the file"; the command line makes its
 * exit codes of them (CL-04). */
static int status_of(unsigned code)
{
	switch (code) {
	case 0:
		return 200;
	case 2203:
		return 409;
	case 2204:
		return 412;
	default:
		return 422;
	}
}

/* The text is the report or the differences, as printed by `pillion reload`; code 0 for what was
 * applied, and for a dry run that would be. */
static void on_reloaded(struct control_reload *reload, unsigned code, struct slice text)
{
	struct reload_call *waiting = container_of(reload, struct reload_call, reload);
	struct admin_call *call = waiting->call;

	admin_answer_json(call, status_of(code),
		json_pack("{s:I, s:I, s:s%}", "code", (json_int_t)code, "generation",
			(json_int_t)control_generation(call->control), "text", text.data,
			text.size));
	mem_free(waiting);
}

/* RL-08: `If-Match: "41"`, the generation as HTTP says it; the quotes may be left out. */
static bool read_if_match(struct admin_call *call, uint64_t *ret_generation)
{
	struct slice value = head_value(unary_head(call->unary), TOKEN_if_match);
	uint64_t generation = 0;

	if (value.size >= 2 && value.data[0] == '"' && value.data[value.size - 1] == '"') {
		value = slice_make(value.data + 1, value.size - 2);
	}
	if (!slice_parse_u64(value, INT64_MAX, &generation) || generation == 0) {
		return false;
	}
	*ret_generation = generation;
	return true;
}

/* RL-03: the answer comes when the read that began after this call is over; until then the call is
 * parked, and a client that leaves does not stop the reload. */
void config_reload_page(struct admin_call *call)
{
	json_t *wanted = json_object_get(call->json, "if_generation");
	/* Absent is 0: any generation (RL-08). */
	uint64_t generation = (uint64_t)json_integer_value(wanted);
	struct reload_call *waiting;

	if (head_find(unary_head(call->unary), TOKEN_if_match) &&
		(wanted || !read_if_match(call, &generation))) {
		admin_answer_error(call, 400, 5400, "bad_parameter",
			"If-Match takes one generation, and not beside if_generation");
		return;
	}
	waiting = mem_zalloc(sizeof *waiting);
	waiting->call = call;
	waiting->reload.done = on_reloaded;
	waiting->reload.dry_run = json_is_true(json_object_get(call->json, "dry_run"));
	waiting->reload.if_generation = generation;
	list_init(&waiting->reload.node);
	control_reload_request(call->control, &waiting->reload);
}
