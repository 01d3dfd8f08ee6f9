/*
 * expand: substitution in string values (operations.md CF-08): ${NAME}, ${NAME:-default},
 * ${NAME:?message}, ${file:/path}, and $${ for a literal ${. One pass; nothing is expanded again.
 */
#include <ctype.h>

#include "base/assert.h"
#include "config/parse.h"
#include "config/scan.h"
#include "config/secret.h"

/* Values of these variables are never printed (CF-09). */
static const char *const secret_endings[] = {
	"TOKEN", "SECRET", "PASSWORD", "PASSPHRASE", "CREDENTIAL", "KEY"};

/* One string on its way through the substitution. */
struct expansion {
	struct config_parser *parser;
	struct config_node *node;
	bool is_template;
	struct buf result;
};

/* The caller gives the environment, so that a reload sees the same one as the start. */
static const char *look_up(const struct config_parser *parser, struct slice name)
{
	for (size_t i = 0; parser->environment != NULL && parser->environment[i] != NULL; i++) {
		const char *entry = parser->environment[i];

		if (strncmp(entry, (const char *)name.data, name.size) == 0 &&
			entry[name.size] == '=') {
			return entry + name.size + 1;
		}
	}
	return NULL;
}

/* [A-Z_][A-Z0-9_]* at the start of the text; its size, 0 when there is none. */
static size_t name_size(struct slice text)
{
	size_t size = 0;

	while (size < text.size && (isupper(text.data[size]) || text.data[size] == '_' ||
					   (size > 0 && isdigit(text.data[size])))) {
		size++;
	}
	return size;
}

static bool malformed(struct expansion *expansion, const char *why)
{
	struct config_complaint complaint = {.code = 1502,
		.expected = "${NAME}, ${NAME:-default}, ${NAME:?message} or ${file:/path}",
		.fix = why};

	config_complain(expansion->parser, expansion->node, NULL, &complaint);
	return false;
}

/* PIL1501 with the author's own message where there is one. */
static bool unset(struct expansion *expansion, struct slice name, struct slice message)
{
	struct config_complaint complaint = {.code = 1501};

	ASSERT(name.size > 0);

	if (message.size > 0) {
		complaint.text = config_complain_format(expansion->parser, "%.*s is not set: %.*s",
			(int)name.size, (const char *)name.data, (int)message.size,
			(const char *)message.data);
	} else {
		complaint.text = config_complain_format(expansion->parser,
			"the environment variable %.*s is not set", (int)name.size,
			(const char *)name.data);
	}
	complaint.fix = config_complain_format(expansion->parser,
		"set it, or give a default: ${%.*s:-value}", (int)name.size,
		(const char *)name.data);
	config_complain(expansion->parser, expansion->node, NULL, &complaint);
	return false;
}

/* Tainted before it is read: not even an error may show what is in it. */
static bool take_file(struct expansion *expansion, struct slice path)
{
	struct err err;
	char *name = arena_string(expansion->parser->arena, path);

	err_clear(&err);
	expansion->node->tainted = true;
	if (path.size == 0 || path.data[0] != '/') {
		return malformed(expansion, "the path after file: begins with /");
	}
	if (config_secret_read(name, &expansion->result, &err)) {
		return true;
	}

	struct config_complaint complaint = {.code = err.code, .text = err.text};

	config_complain(expansion->parser, expansion->node, NULL, &complaint);
	return false;
}

/* The inside of one ${...}. */
static bool take_variable(struct expansion *expansion, struct slice inside)
{
	size_t size = name_size(inside);
	struct slice name = slice_make(inside.data, size);
	struct slice rest = slice_from(inside, size);
	struct slice message = {0};
	const char *value;

	if (slice_starts_with(inside, SLICE("file:"))) {
		return take_file(expansion, slice_from(inside, 5));
	}
	if (size == 0) {
		return malformed(expansion, "names of variables are upper case");
	}
	/* The name decides, not the value: a default of such a variable is a secret too. */
	for (size_t i = 0; i < ARRAY_SIZE(secret_endings); i++) {
		if (slice_ends_with(name, slice_from_string(secret_endings[i]))) {
			expansion->node->tainted = true;
		}
	}
	value = look_up(expansion->parser, name);
	if (slice_starts_with(rest, SLICE(":-"))) {
		if (value == NULL || value[0] == '\0') {
			buf_append_slice(&expansion->result, slice_from(rest, 2));
			return true;
		}
	} else if (slice_starts_with(rest, SLICE(":?"))) {
		message = slice_from(rest, 2);
		value = value != NULL && value[0] == '\0' ? NULL : value;
	} else if (rest.size > 0) {
		return malformed(expansion, "after the name comes }, :- or :?");
	}
	if (value == NULL) {
		return unset(expansion, name, message);
	}
	buf_append_string(&expansion->result, value);
	return true;
}

/* One pass from left to right; what was put in is never looked at again. */
static bool take_all(struct expansion *expansion, struct slice text)
{
	while (text.size > 0) {
		if (slice_starts_with(text, SLICE("$${"))) {
			/* The reader of a template takes the escape out itself. */
			buf_append_string(
				&expansion->result, expansion->is_template ? "$${" : "${");
			text = slice_from(text, 3);
			continue;
		}
		if (!slice_starts_with(text, SLICE("${"))) {
			buf_append_byte(&expansion->result, text.data[0]);
			text = slice_from(text, 1);
			continue;
		}

		struct slice rest = slice_from(text, 2);
		size_t end = slice_find(rest, '}');

		if (end == rest.size) {
			return malformed(expansion, "write a closing }, or $${ for a literal ${");
		}
		if (expansion->is_template && end > 0 && islower(rest.data[0]) &&
			!slice_starts_with(rest, SLICE("file:"))) {
			/* ${trace_id} and the like belong to header templates. */
			buf_append(&expansion->result, text.data, end + 3);
		} else {
			expansion->node->substituted = true;
			if (!take_variable(expansion, slice_make(rest.data, end))) {
				return false;
			}
		}
		text = slice_from(rest, end + 1);
	}
	return true;
}

/* The work buffer may have held a secret and is wiped. */
bool config_expand(struct config_parser *parser, struct config_node *node, bool is_template)
{
	struct expansion expansion = {.parser = parser, .node = node, .is_template = is_template};
	size_t bad = 0;
	bool good;

	ASSERT(node->kind == CONFIG_NODE_STRING);
	node->is_template = is_template;
	if (node->expanded || slice_find(node->text, '$') == node->text.size) {
		return true;
	}
	node->expanded = true;
	buf_init(&expansion.result);
	good = take_all(&expansion, node->text);
	if (good && (!config_scan_utf8(buf_slice(&expansion.result), &bad) ||
			    slice_find(buf_slice(&expansion.result), 0) < expansion.result.size)) {
		struct config_complaint complaint = {
			.code = 1012, .text = "what was put in for ${...} is not UTF-8 text"};

		config_complain(parser, node, NULL, &complaint);
		good = false;
	}
	if (good) {
		node->text = arena_copy(parser->arena, buf_slice(&expansion.result));
	}
	config_secret_wipe(&expansion.result);
	return good;
}
