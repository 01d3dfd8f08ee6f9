/*
 * show: a configuration as a file would hold it (operations.md CF-27), with the origin of each
 * value as a comment where that is wanted.
 */
#include <stdio.h>

#include "base/assert.h"
#include "config/schema.h"
#include "config/type.h"
#include "config/walk.h"

#define DEPTH_MAX 40

/*
 * The state of one print. Commas stand before comments, so the comment of a value waits until it is
 * known whether another one follows.
 */
struct show {
	const struct config_show_options *options;
	const struct config *config;
	struct slice below; /* only what stands at or below this pointer */
	struct buf *text;
	struct buf comment;	/* of the last value, behind its comma */
	bool filled[DEPTH_MAX]; /* something stands before the next item */
	int depth;
	bool found;
};

/* At or below the pointer that was asked for. */
static bool wanted(struct show *show, const char *pointer)
{
	struct slice at = slice_from_string(pointer);
	struct slice rest;

	if (!slice_starts_with(at, show->below)) {
		return false;
	}
	rest = slice_from(at, show->below.size);
	if (rest.size > 0 && rest.data[0] != '/') {
		return false;
	}
	show->found = true;
	return true;
}

static void indent(struct show *show)
{
	for (int i = 0; i < show->depth; i++) {
		buf_append_string(show->text, "  ");
	}
}

/* Ends the item before: its comma, then its comment. */
static void separate(struct show *show)
{
	if (show->filled[show->depth]) {
		buf_append_byte(show->text, ',');
	}
	buf_append_slice(show->text, buf_slice(&show->comment));
	buf_clear(&show->comment);
	if (show->depth > 0) {
		buf_append_byte(show->text, '\n');
	}
	show->filled[show->depth] = true;
	indent(show);
}

static void append_name(struct show *show, const char *name)
{
	if (name != NULL && show->depth > 0) {
		config_type_quote(show->text, slice_from_string(name));
		buf_append_string(show->text, ": ");
	}
}

/* Outside the part that was asked for nothing is opened, so nothing is closed either. */
static void begin(void *context, const char *pointer, const char *name, char bracket,
	const struct config_key *key)
{
	struct show *show = context;

	(void)key;
	if (!wanted(show, pointer)) {
		return;
	}
	separate(show);
	append_name(show, name);
	buf_append_byte(show->text, (uint8_t)bracket);
	ASSERT(show->depth + 1 < DEPTH_MAX);
	show->filled[++show->depth] = false;
}

/* The last item has no comma, but may have a comment. */
static void end(void *context, char bracket)
{
	struct show *show = context;

	if (show->depth == 0) {
		return;
	}
	show->depth--;
	buf_append_slice(show->text, buf_slice(&show->comment));
	buf_clear(&show->comment);
	if (show->filled[show->depth + 1]) {
		buf_append_byte(show->text, '\n');
		indent(show);
	}
	buf_append_byte(show->text, (uint8_t)bracket);
}

/* A comment behind the comma, so that the text stays a valid configuration. */
static void remark(struct show *show, const struct config_node *node)
{
	struct arena scratch;

	if (!show->options->origin) {
		return;
	}
	arena_init(&scratch);
	buf_appendf(&show->comment, " // %s",
		node != NULL ? config_node_origin(&scratch, node) : "default");
	arena_fini(&scratch);
}

/* An unset key is shown as a comment: it exists, and has no value that could be written. */
static void value(void *context, const struct config_walk_value *item)
{
	struct show *show = context;

	if (!wanted(show, item->pointer)) {
		return;
	}
	if (item->text == NULL) {
		if (show->depth > 0) {
			bool filled = show->filled[show->depth];

			buf_append_string(&show->comment, "\n");
			for (int i = 0; i < show->depth; i++) {
				buf_append_string(&show->comment, "  ");
			}
			buf_appendf(&show->comment, "// \"%s\" is not set", item->name);
			show->filled[show->depth] = filled;
		} else {
			buf_append_string(show->text, "null");
		}
		return;
	}
	separate(show);
	append_name(show, item->name);
	buf_append_string(show->text, item->text);
	remark(show, item->node);
}

/* A part is printed without the objects around it. */
static void show_effective(struct show *show)
{
	struct config_walker walker = {begin, end, value, show, false};
	bool all = show->below.size == 0;

	if (all) {
		begin(show, "", NULL, '{', NULL);
	}
	config_walk(show->config, &walker);
	if (all) {
		end(show, '}');
	}
	buf_append_slice(show->text, buf_slice(&show->comment));
	buf_append_byte(show->text, '\n');
}

/* What was written, indented; lists of scalars on one line. */
static void show_node(struct show *show, const struct config_node *node)
{
	bool object = node->kind == CONFIG_NODE_OBJECT;
	bool flat = node->tainted ||
		    (!object && (node->kind != CONFIG_NODE_ARRAY || node->first == NULL ||
					node->first->kind != CONFIG_NODE_OBJECT));
	char name[512];

	snprintf(name, sizeof(name), "%.*s", (int)node->key.size, (const char *)node->key.data);
	separate(show);
	append_name(show,
		node->parent != NULL && node->parent->kind == CONFIG_NODE_OBJECT ? name : NULL);
	if (flat) {
		config_walk_node(node, show->text);
		remark(show, node);
		return;
	}
	buf_append_byte(show->text, object ? '{' : '[');
	ASSERT(show->depth + 1 < DEPTH_MAX);
	show->filled[++show->depth] = false;
	for (const struct config_node *child = node->first; child != NULL; child = child->next) {
		show_node(show, child);
	}
	end(show, object ? '}' : ']');
}

bool config_show(const struct config *config, const struct config_show_options *options,
	struct buf *ret_text)
{
	struct show show = {.options = options,
		.config = config,
		.below = slice_from_string(options->pointer),
		.text = ret_text};

	ASSERT(config != NULL && config->tree != NULL);
	buf_init(&show.comment);
	if (options->effective) {
		show_effective(&show);
	} else {
		const struct config_node *node = config_node_find(config->tree->root, show.below);

		show.found = node != NULL;
		if (node != NULL) {
			show_node(&show, node);
			buf_append_slice(ret_text, buf_slice(&show.comment));
			buf_append_byte(ret_text, '\n');
		}
	}
	buf_fini(&show.comment);
	return show.found || show.below.size == 0;
}
