/*
 * walk: structs back to JSON by the same table that filled them.
 */
#include "config/walk.h"

#include <stdio.h>

#include "base/assert.h"
#include "config/keys.h"
#include "config/type.h"

/* One walk; the pointer grows and shrinks with it. */
struct walk {
	const struct config *config;
	const struct config_walker *walker;
	struct buf pointer;
};

void config_walk_quote(struct buf *ret_text, struct slice text)
{
	struct buf escaped;

	buf_init(&escaped);
	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] == '$' && i + 1 < text.size && text.data[i + 1] == '{') {
			buf_append_byte(&escaped, '$');
		}
		buf_append_byte(&escaped, text.data[i]);
	}
	config_type_quote(ret_text, buf_slice(&escaped));
	buf_fini(&escaped);
}

/* Used for whole entries and for filters, whose options only they know. */
void config_walk_node(const struct config_node *node, struct buf *ret_text)
{
	bool object = node->kind == CONFIG_NODE_OBJECT;
	const char *separator = "";

	if (node->tainted) {
		buf_append_string(ret_text, "\"<redacted>\"");
		return;
	}
	switch (node->kind) {
	case CONFIG_NODE_NULL:
		buf_append_string(ret_text, "null");
		return;
	case CONFIG_NODE_BOOL:
		buf_append_string(ret_text, node->boolean ? "true" : "false");
		return;
	case CONFIG_NODE_INTEGER:
	case CONFIG_NODE_REAL:
		buf_append_slice(ret_text, node->text);
		return;
	case CONFIG_NODE_STRING:
		if (node->is_template) {
			config_type_quote(ret_text, node->text);
		} else {
			config_walk_quote(ret_text, node->text);
		}
		return;
	case CONFIG_NODE_ARRAY:
	case CONFIG_NODE_OBJECT:
		break;
	}
	buf_append_byte(ret_text, object ? '{' : '[');
	for (const struct config_node *child = node->first; child != NULL; child = child->next) {
		buf_append_string(ret_text, separator);
		separator = ", ";
		if (object) {
			config_type_quote(ret_text, child->key);
			buf_append_string(ret_text, ": ");
		}
		config_walk_node(child, ret_text);
	}
	buf_append_byte(ret_text, object ? '}' : ']');
}

/* Where the value came from: its own place, for a service that of "*", then the global one. */
static const struct config_node *written(const struct walk *walk)
{
	const struct config_node *root = walk->config->tree->root;
	struct slice pointer = buf_slice(&walk->pointer);
	const struct config_node *node = config_node_find(root, pointer);
	struct buf other;

	if (node != NULL || !slice_starts_with(pointer, SLICE("/services/"))) {
		return node;
	}

	/* 10 bytes are "/services/"; what follows the name is looked for below "*". */
	struct slice rest = slice_from(pointer, 10);

	rest = slice_from(rest, slice_find(rest, '/'));
	buf_init(&other);
	buf_append_string(&other, "/services/*");
	buf_append_slice(&other, rest);
	node = config_node_find(root, buf_slice(&other));
	buf_fini(&other);
	if (node == NULL && slice_starts_with(rest, SLICE("/translation/"))) {
		node = config_node_find(root, rest);
	}
	return node;
}

static void push(struct walk *walk, const char *name)
{
	config_node_pointer_append(&walk->pointer, slice_from_string(name));
}

static const char *pointer_of(struct walk *walk)
{
	return buf_string(&walk->pointer);
}

/* Nobody wrote it and it has no default: the zero is no value of its own. */
static bool is_unset(
	const struct config_key *key, enum config_type type, const void *field, bool is_written)
{
	static const char zero[sizeof(struct config_egress_entry)];
	size_t size = config_type_size_of(type);

	ASSERT(size > 0 && size <= sizeof(zero));
	return key->default_text == NULL && type != CONFIG_WORD && !is_written &&
	       memcmp(field, zero, size) == 0;
}

/* A scalar as a file would hold it; strings that are templates keep their ${...}. */
static void append_scalar(
	const struct config_key *key, enum config_type type, const void *field, struct buf *text)
{
	bool string = type == CONFIG_STRING || type == CONFIG_FILE;
	const char *value = string ? *(const char *const *)field : NULL;

	if (value != NULL && (key->flags & CONFIG_TEMPLATE) == 0) {
		config_walk_quote(text, slice_from_string(value));
	} else {
		config_type_format(key, type, field, text);
	}
}

/* Elements of lists and maps can be secrets one by one. */
static bool tainted_child(const struct config_node *node, size_t index, struct slice name)
{
	size_t at = 0;

	for (const struct config_node *child = node != NULL ? node->first : NULL; child != NULL;
		child = child->next) {
		bool same = name.data != NULL ? slice_equal(child->key, name) : at++ == index;

		if (same) {
			return child->tainted;
		}
	}
	return false;
}

static void append_list(const struct config_key *key, const struct config_list *list,
	const struct config_node *node, struct buf *text)
{
	size_t size = config_type_size_of(key->element);

	buf_append_byte(text, '[');
	for (size_t i = 0; i < list->count; i++) {
		buf_append_string(text, i == 0 ? "" : ", ");
		if (tainted_child(node, i, (struct slice){0})) {
			buf_append_string(text, "\"<redacted>\"");
		} else {
			append_scalar(key, key->element, (char *)list->items + i * size, text);
		}
	}
	buf_append_byte(text, ']');
}

static void append_pairs(const struct config_key *key, const struct config_list *list,
	const struct config_node *node, struct buf *text)
{
	const struct config_pair *pairs = list->items;

	buf_append_byte(text, '{');
	for (size_t i = 0; i < list->count; i++) {
		struct slice name = slice_from_string(pairs[i].name);

		buf_append_string(text, i == 0 ? "" : ", ");
		config_type_quote(text, name);
		buf_append_string(text, ": ");
		if (tainted_child(node, 0, name)) {
			buf_append_string(text, "\"<redacted>\"");
		} else {
			append_scalar(key, CONFIG_STRING, &pairs[i].value, text);
		}
	}
	buf_append_byte(text, '}');
}

/* The value is printed from the struct, the origin is taken from what was written. */
static void visit_value(struct walk *walk, const struct config_key *key, const void *field)
{
	struct config_walk_value value = {
		.name = key->name, .key = key, .node = written(walk), .pointer = pointer_of(walk)};
	struct buf text;

	buf_init(&text);
	if (value.node != NULL && value.node->tainted) {
		value.text = "\"<redacted>\"";
	} else if (key->type == CONFIG_LIST) {
		append_list(key, field, value.node, &text);
	} else if (key->type == CONFIG_PAIRS) {
		append_pairs(key, field, value.node, &text);
	} else if (key->type == CONFIG_FILTERS) {
		/* Options of filters are shown as written; their defaults are the filter's. */
		if (value.node != NULL) {
			config_walk_node(value.node, &text);
		} else {
			buf_append_string(&text, "[]");
		}
	} else if (!is_unset(key, key->type, field, value.node != NULL)) {
		append_scalar(key, key->type, field, &text);
	}
	if (value.text == NULL && text.size > 0 && !slice_equal(buf_slice(&text), SLICE("null"))) {
		value.text = buf_string(&text);
	}
	walk->walker->value(walk->walker->context, &value);
	buf_fini(&text);
}

static void visit_section(
	struct walk *walk, const struct config_section *section, const void *target);

static void visit_entry(struct walk *walk, const struct config_section *section, const void *target,
	const char *name)
{
	const struct config_walker *walker = walk->walker;

	walker->begin(walker->context, pointer_of(walk), name, '{', NULL);
	visit_section(walk, section, target);
	walker->end(walker->context, '}');
}

/* A word that stands for an object is a value like any other. */
static void visit_object(struct walk *walk, const struct config_key *key, const void *field)
{
	const struct config_walker *walker = walk->walker;
	int word = key->words != NULL ? *(const int *)field : 0;

	if (word > 0) {
		struct config_walk_value value = {.name = key->name,
			.key = key,
			.node = written(walk),
			.pointer = pointer_of(walk)};
		struct buf text;

		buf_init(&text);
		config_type_quote(&text, config_type_word_at(key->words, (size_t)word - 1));
		value.text = buf_string(&text);
		walker->value(walker->context, &value);
		buf_fini(&text);
		return;
	}
	walker->begin(walker->context, pointer_of(walk), key->name, '{', key);
	visit_section(walk, key->section, field);
	walker->end(walker->context, '}');
}

/* Maps by name; lists of objects by index, or by name where they have one and that is wanted. */
static void visit_entries(
	struct walk *walk, const struct config_key *key, const struct config_list *list)
{
	const struct config_walker *walker = walk->walker;
	bool map = key->type == CONFIG_MAP;
	bool named = map || (walker->by_name && key->section->key_count > 0 &&
				    strcmp(key->section->keys[0].name, "name") == 0);
	size_t size = walk->pointer.size;

	walker->begin(walker->context, pointer_of(walk), key->name, map ? '{' : '[', key);
	for (size_t i = 0; i < list->count; i++) {
		const char *entry = (const char *)list->items + i * key->section->size;
		const char *name = NULL;
		char index[24];

		if (named) {
			size_t offset = map ? 0 : key->section->keys[0].offset;

			name = *(const char *const *)(const void *)(entry + offset);
		}
		snprintf(index, sizeof(index), "%zu", i);
		push(walk, name != NULL ? name : index);
		visit_entry(walk, key->section, entry, map ? name : NULL);
		walk->pointer.size = size;
	}
	walker->end(walker->context, map ? '}' : ']');
}

/* A built-in address is no value that a file would hold (ZC-03 may move it). */
static bool is_builtin(const struct config_section *section, const struct config_key *key,
	const struct config_listener *listener)
{
	return section == &config_sections[CONFIG_SECTION_listener] &&
	       strcmp(key->name, "listen") == 0 && !listener->explicit_address;
}

/* A sidecar without an application has none of its settings (ZC-01). */
static bool is_absent(const struct config_key *key, const struct config_app *app)
{
	return key->section == &config_sections[CONFIG_SECTION_app] && !app->present;
}

static void visit_key(struct walk *walk, const struct config_section *section,
	const struct config_key *key, const void *target)
{
	static const struct config_address none;
	const void *field = (const char *)target + key->offset;

	if (is_builtin(section, key, target)) {
		field = &none;
	}
	switch (key->type) {
	case CONFIG_IGNORED:
	case CONFIG_LATER:
		return;
	case CONFIG_OBJECT:
		if (is_absent(key, field)) {
			struct config_walk_value value = {
				.name = key->name, .key = key, .pointer = pointer_of(walk)};

			walk->walker->value(walk->walker->context, &value);
			return;
		}
		visit_object(walk, key, field);
		return;
	case CONFIG_MAP:
		visit_entries(walk, key, field);
		return;
	case CONFIG_LIST:
		if (key->element == CONFIG_OBJECT) {
			visit_entries(walk, key, field);
			return;
		}
		break;
	case CONFIG_BOOL:
	case CONFIG_INT:
	case CONFIG_DURATION:
	case CONFIG_SIZE:
	case CONFIG_PERCENT:
	case CONFIG_RATE:
	case CONFIG_STATUS:
	case CONFIG_STRING:
	case CONFIG_NAME:
	case CONFIG_WORD:
	case CONFIG_FILE:
	case CONFIG_ADDRESS:
	case CONFIG_HOST:
	case CONFIG_PREFIX:
	case CONFIG_EGRESS:
	case CONFIG_OUTPUT:
	case CONFIG_PAIRS:
	case CONFIG_FILTERS:
		break;
	}
	visit_value(walk, key, field);
}

static void visit_section(
	struct walk *walk, const struct config_section *section, const void *target)
{
	size_t size = walk->pointer.size;

	for (size_t i = 0; i < section->key_count; i++) {
		push(walk, section->keys[i].name);
		visit_key(walk, section, &section->keys[i], target);
		walk->pointer.size = size;
	}
}

/* The visitor must not change the configuration; it may keep nothing but copies. */
void config_walk(const struct config *config, const struct config_walker *walker)
{
	struct walk walk = {.config = config, .walker = walker};

	ASSERT(config->tree != NULL);
	buf_init(&walk.pointer);
	visit_section(&walk, config_keys_root(), config);
	ASSERT(walk.pointer.size == 0);
	buf_fini(&walk.pointer);
}
