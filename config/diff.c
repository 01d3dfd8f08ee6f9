/*
 * diff: what a reload would change, by meaning (operations.md RL-05, RL-06): both configurations as
 * lists of pointer and value, with named things by name and defaults written out.
 */
#include "base/assert.h"
#include "base/map.h"
#include "base/mem.h"
#include "config/schema.h"
#include "config/type.h"
#include "config/walk.h"

struct item {
	const char *pointer;
	const char *text; /* JSON; NULL: not set. Of entries: what was written */
	const struct config_node *node;
	enum config_class change;
	bool entry; /* a named thing as a whole */
};

/* One configuration, flat. */
struct flat {
	const struct config *config;
	struct arena *arena;
	struct item *items;
	size_t count;
	size_t capacity;
	struct map index;
	enum config_class outer; /* of the key whose entries are being walked */
};

/* The list is the only owner of the items; the index is made when it no longer moves. */
static struct item *add(struct flat *flat, const char *pointer)
{
	struct item *item;

	if (flat->count == flat->capacity) {
		flat->capacity = flat->capacity == 0 ? 256 : flat->capacity * 2;
		flat->items = mem_realloc(flat->items, flat->capacity * sizeof(*flat->items));
	}
	item = &flat->items[flat->count++];
	*item = (struct item){.pointer = arena_string(flat->arena, slice_from_string(pointer))};
	return item;
}

/*
 * Objects that are keys only set the class for what is below; named entries are items of their
 * own.
 */
static void begin(void *context, const char *pointer, const char *name, char bracket,
	const struct config_key *key)
{
	struct flat *flat = context;
	struct item *item;

	(void)name;
	(void)bracket;
	if (key != NULL) {
		flat->outer = key->change;
		return;
	}
	/* Its text is what was written, as its defaults would say nothing. */
	item = add(flat, pointer);
	item->entry = true;
	item->change = flat->outer;
	item->node = config_node_find(flat->config->tree->root, slice_from_string(pointer));
	if (item->node != NULL) {
		struct buf text;

		buf_init(&text);
		config_walk_node(item->node, &text);
		item->text = arena_string(flat->arena, buf_slice(&text));
		buf_fini(&text);
	}
}

static void end(void *context, char bracket)
{
	(void)context;
	(void)bracket;
}

static void value(void *context, const struct config_walk_value *written)
{
	struct flat *flat = context;
	struct item *item = add(flat, written->pointer);

	item->change = written->key->change;
	item->node = written->node;
	item->text = written->text != NULL
			     ? arena_string(flat->arena, slice_from_string(written->text))
			     : NULL;
}

/* Pointers use names of listed things, so that their order is no difference (RL-05). */
static void flatten(const struct config *config, struct arena *arena, struct flat *ret_flat)
{
	struct config_walker walker = {begin, end, value, ret_flat, true};

	*ret_flat = (struct flat){.config = config, .arena = arena};
	map_init(&ret_flat->index);
	config_walk(config, &walker);
	for (size_t i = 0; i < ret_flat->count; i++) {
		struct item *item = &ret_flat->items[i];

		(void)map_set(&ret_flat->index, slice_from_string(item->pointer), item);
	}
}

static void unflatten(struct flat *flat)
{
	map_fini(&flat->index);
	mem_free(flat->items);
}

/* The result as it grows. */
struct comparison {
	struct config_changes *changes;
	size_t capacity;
	const char *skipped; /* an entry that is reported whole: nothing below it */
};

/* The origin shown is that of the new value; of a removed one, where it was. */
static void report(struct comparison *comparison, enum config_change_op op,
	const struct item *before, const struct item *after)
{
	struct config_changes *changes = comparison->changes;
	const struct item *shown = after != NULL ? after : before;
	struct config_change *change;

	if (changes->count == comparison->capacity) {
		size_t capacity = comparison->capacity == 0 ? 32 : comparison->capacity * 2;
		struct config_change *grown =
			arena_alloc(&changes->arena, capacity * sizeof(*grown));

		if (changes->count > 0) {
			memcpy(grown, changes->items, changes->count * sizeof(*grown));
		}
		changes->items = grown;
		comparison->capacity = capacity;
	}
	ASSERT(shown != NULL);
	change = &changes->items[changes->count++];
	*change = (struct config_change){.op = op,
		.pointer = shown->pointer,
		.old_text = before != NULL ? before->text : NULL,
		.new_text = after != NULL ? after->text : NULL,
		.effect = shown->change,
		.origin = shown->node != NULL ? config_node_origin(&changes->arena, shown->node)
					      : "default"};
	changes->needs_restart |= change->effect == CONFIG_RESTART;
	if (shown->entry) {
		comparison->skipped = shown->pointer;
	}
}

static bool below(const char *pointer, const char *entry)
{
	size_t size = entry != NULL ? strlen(entry) : 0;

	return entry != NULL && strncmp(pointer, entry, size) == 0 && pointer[size] == '/';
}

static bool same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Two secrets print alike; whether they differ is seen in the nodes. */
static bool same_secret(const struct item *a, const struct item *b)
{
	if (a->node == NULL || b->node == NULL || !a->node->tainted || !b->node->tainted) {
		return true;
	}
	return slice_equal(a->node->text, b->node->text);
}

/*
 * Added and changed in the order of the new one, then what is gone. An entry that is new or gone
 * is one line, whatever is in it.
 */
static void compare(struct comparison *comparison, struct flat *before, struct flat *after)
{
	for (size_t i = 0; i < after->count; i++) {
		const struct item *item = &after->items[i];
		const struct item *old = map_get(&before->index, slice_from_string(item->pointer));

		if (below(item->pointer, comparison->skipped)) {
			continue;
		}
		if (old == NULL) {
			report(comparison, CONFIG_ADDED, NULL, item);
		} else if (!item->entry &&
			   (!same(old->text, item->text) || !same_secret(old, item))) {
			report(comparison, CONFIG_CHANGED, old, item);
		}
	}
	comparison->skipped = NULL;
	for (size_t i = 0; i < before->count; i++) {
		const struct item *item = &before->items[i];

		if (!below(item->pointer, comparison->skipped) &&
			map_get(&after->index, slice_from_string(item->pointer)) == NULL) {
			report(comparison, CONFIG_REMOVED, item, NULL);
		}
	}
}

void config_diff(
	const struct config *before, const struct config *after, struct config_changes *ret_changes)
{
	struct comparison comparison = {.changes = ret_changes};
	struct flat old;
	struct flat new;

	ASSERT(before != NULL && after != NULL);
	*ret_changes = (struct config_changes){0};
	arena_init(&ret_changes->arena);
	flatten(before, &ret_changes->arena, &old);
	flatten(after, &ret_changes->arena, &new);
	compare(&comparison, &old, &new);
	unflatten(&old);
	unflatten(&new);
}

void config_changes_fini(struct config_changes *changes)
{
	arena_fini(&changes->arena);
	*changes = (struct config_changes){0};
}

const char *config_class_text(enum config_class change)
{
	switch (change) {
	case CONFIG_NEXT_EXCHANGE:
		return "next exchange";
	case CONFIG_NEXT_CONNECTION:
		return "next connection";
	case CONFIG_REBIND:
		return "listener bound again";
	case CONFIG_RESTART:
		return "needs a restart";
	}
	return "";
}

static const char *or_unset(const char *text)
{
	return text != NULL ? text : "not set";
}

/* One line a change, in columns (RL-04). */
static void print_line(const struct config_change *change, struct buf *text)
{
	static const char marks[] = {'+', '-', '~'};
	struct buf what;

	buf_init(&what);
	if (change->op == CONFIG_CHANGED) {
		buf_appendf(
			&what, "%s -> %s", or_unset(change->old_text), or_unset(change->new_text));
	} else {
		buf_append_string(&what,
			or_unset(change->op == CONFIG_ADDED ? change->new_text : change->old_text));
	}
	buf_appendf(text, "%c %-36s %-24s %-20s %s%s%s\n", marks[change->op], change->pointer,
		buf_string(&what), config_class_text(change->effect),
		change->op == CONFIG_REMOVED ? "(was " : "", change->origin,
		change->op == CONFIG_REMOVED ? ")" : "");
	buf_fini(&what);
}

static void print_member(struct buf *text, const char *name, const char *value)
{
	buf_appendf(text, ",\"%s\":", name);
	config_type_quote(text, slice_from_string(value));
}

/* old and new are JSON values themselves (RL-05). */
static void print_object(const struct config_change *change, struct buf *text)
{
	static const char *const words[] = {"add", "remove", "change"};

	buf_appendf(text, "{\"op\":\"%s\"", words[change->op]);
	print_member(text, "pointer", change->pointer);
	buf_appendf(text, ",\"old\":%s,\"new\":%s",
		change->old_text != NULL ? change->old_text : "null",
		change->new_text != NULL ? change->new_text : "null");
	print_member(text, "effect", config_class_text(change->effect));
	print_member(text, "origin", change->origin);
	buf_append_byte(text, '}');
}

void config_changes_print(const struct config_changes *changes, bool json, struct buf *ret_text)
{
	ASSERT(changes->count == 0 || changes->items != NULL);
	if (json) {
		buf_append_byte(ret_text, '[');
	}
	for (size_t i = 0; i < changes->count; i++) {
		if (json) {
			buf_append_string(ret_text, i == 0 ? "" : ",");
			print_object(&changes->items[i], ret_text);
		} else {
			print_line(&changes->items[i], ret_text);
		}
	}
	if (json) {
		buf_append_string(ret_text, "]\n");
	}
}
