/*
 * complain: one problem of a node, with its place, into the report.
 */
#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "config/parse.h"
#include "config/type.h"

/* Longer values are cut in messages. */
#define FOUND_MAX 80

/*
 * A file can hold a million mistakes; past the bound they are counted without being described, so
 * that a bad file costs no more time than a good one.
 */
bool config_complain_full(const struct config_parser *parser)
{
	return parser->report->count >= CONFIG_REPORT_KEPT;
}

/*
 * Texts live as long as the report, which copies them anyway; the arena saves the callers a
 * buffer each.
 */
const char *config_complain_format(struct config_parser *parser, const char *format, ...)
{
	char text[1024];
	va_list arguments;

	va_start(arguments, format);
	int size = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	ASSERT(size >= 0);
	return arena_string(
		parser->report->problems != NULL ? &parser->report->arena : parser->arena,
		slice_from_string(text));
}

/* What stands there, as the message shows it; never a secret (CF-09). */
static const char *describe(struct config_parser *parser, const struct config_node *node)
{
	struct buf text;
	const char *copy;

	switch (node->kind) {
	case CONFIG_NODE_NULL:
		return "null";
	case CONFIG_NODE_BOOL:
		return node->boolean ? "true" : "false";
	case CONFIG_NODE_ARRAY:
		return "a list";
	case CONFIG_NODE_OBJECT:
		return "an object";
	case CONFIG_NODE_INTEGER:
	case CONFIG_NODE_REAL:
	case CONFIG_NODE_STRING:
		break;
	}
	if (node->tainted) {
		return "\"<redacted>\"";
	}
	if (node->kind != CONFIG_NODE_STRING) {
		return config_complain_format(parser, "%.*s",
			(int)(node->text.size < FOUND_MAX ? node->text.size : FOUND_MAX),
			(const char *)node->text.data);
	}
	buf_init(&text);
	if (node->text.size <= FOUND_MAX) {
		config_type_quote(&text, node->text);
	} else {
		size_t cut = FOUND_MAX;

		while (cut > 0 && (node->text.data[cut] & 0xc0) == 0x80) {
			cut--;
		}
		config_type_quote(&text, slice_make(node->text.data, cut));
		buf_append_string(&text, "...");
	}
	copy = arena_string(&parser->report->arena, buf_slice(&text));
	buf_fini(&text);
	return copy;
}

/* Place, pointer and found value are taken from the node, so that no caller can point elsewhere. */
void config_complain(struct config_parser *parser, const struct config_node *node,
	const char *pointer, const struct config_complaint *complaint)
{
	struct config_problem problem = {
		.code = complaint->code,
		.severity = complaint->severity,
		.pointer = pointer,
		.text = complaint->text,
		.expected = complaint->expected,
		.found = complaint->found,
		.suggestion = complaint->suggestion,
		.fix = complaint->fix,
	};

	ASSERT(complaint->text != NULL || complaint->expected != NULL);
	if (node != NULL && !config_complain_full(parser)) {
		struct config_span span = complaint->at_key ? node->key_span : node->span;

		problem.place = config_node_place(node->source, span);
		if (pointer == NULL) {
			problem.pointer = config_node_pointer(&parser->report->arena, node);
		}
		if (problem.found == NULL && problem.text == NULL) {
			problem.found = describe(parser, node);
		}
	}
	if (complaint->related != NULL) {
		problem.has_related = true;
		problem.related =
			config_node_place(complaint->related->source, complaint->related->span);
		problem.related_text = complaint->related_text;
	}
	config_report_add(parser->report, &problem);
}
