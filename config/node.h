/*
 * node: the tree of what was written, with the place of every key and value. Internal to config:
 * made by the scanner, by environment variables and by flags; read by the parser, `config show` and
 * diff. All memory is of one arena. One thread while it is built.
 */
#ifndef PILLION_CONFIG_NODE_H
#define PILLION_CONFIG_NODE_H

#include "base/arena.h"
#include "base/buf.h"
#include "config/report.h"

enum config_node_kind {
	CONFIG_NODE_NULL,
	CONFIG_NODE_BOOL,
	CONFIG_NODE_INTEGER,
	CONFIG_NODE_REAL,
	CONFIG_NODE_STRING,
	CONFIG_NODE_ARRAY,
	CONFIG_NODE_OBJECT,
};

/* One text: a file, or the value of a variable or flag. */
struct config_source {
	const char *name; /* file name as given, or "env PILLION_APP", "flag --port", "--set" */
	const char *directory; /* relative paths start here; NULL: the working directory */
	bool is_file;
	struct slice text;
	size_t *lines; /* offset of each line; made at the first question */
	size_t line_count;
	struct arena *arena;
};

struct config_span {
	size_t start;
	size_t end;
};

struct config_node {
	enum config_node_kind kind;
	struct config_source *source;
	struct config_span span;     /* of the value, quotes and brackets included */
	struct config_span key_span; /* in objects; quotes included */
	struct slice key;	     /* decoded, NUL-terminated; empty in arrays */
	struct config_node *parent;
	struct config_node *first;
	struct config_node *last;
	struct config_node *next;
	size_t count;
	struct slice
		text; /* of strings, after substitution, NUL-terminated; of numbers as written */
	int64_t integer;
	bool boolean;
	bool expanded;	  /* substitution was done on it */
	bool substituted; /* held one: may stand for an int or bool (CF-08) */
	bool is_template; /* its text keeps ${lower_case} and $${ */
	bool tainted;	  /* never printed (CF-09) */
};

struct config_source *config_node_source(struct arena *arena, const char *name, struct slice text);
struct config_node *config_node_new(
	struct arena *arena, enum config_node_kind kind, struct config_source *source);
/* A string value that no file holds. */
struct config_node *config_node_string(
	struct arena *arena, struct config_source *source, const char *text);
void config_node_append(struct config_node *parent, struct config_node *child);
struct config_node *config_node_get(const struct config_node *object, struct slice key);
/*
 * Puts the value at the pointer, making objects on the way; a final "-" appends to an array. False
 * when the way leads through something that is no object.
 */
bool config_node_set(struct arena *arena, struct config_node *root, struct slice pointer,
	struct config_node *value);
/* Follows a JSON pointer; NULL when nothing is there. */
struct config_node *config_node_find(const struct config_node *root, struct slice pointer);

/* The JSON pointer of the node, in the arena. */
const char *config_node_pointer(struct arena *arena, const struct config_node *node);
/* Appends "/" and the escaped token. */
void config_node_pointer_append(struct buf *pointer, struct slice token);
struct config_place config_node_place(struct config_source *source, struct config_span span);
/* "pillion.json:14:28" or the origin. */
const char *config_node_origin(struct arena *arena, const struct config_node *node);

#endif
