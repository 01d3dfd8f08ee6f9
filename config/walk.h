/*
 * walk: every value of a loaded configuration in the order of the table, as JSON text with its
 * pointer; `config show` and diff are made from it. Internal to config.
 */
#ifndef PILLION_CONFIG_WALK_H
#define PILLION_CONFIG_WALK_H

#include "config/tree.h"

struct config_walk_value {
	const char *pointer;
	const char *name; /* NULL: an element of a list */
	const struct config_key *key;
	const char *text;		/* JSON; NULL: not set */
	const struct config_node *node; /* where it was written; NULL: default */
};

struct config_walker {
	/* An object ('{') or list ('['); name NULL: an element of a list. key NULL: an entry. */
	void (*begin)(void *context, const char *pointer, const char *name, char bracket,
		const struct config_key *key);
	void (*end)(void *context, char bracket);
	void (*value)(void *context, const struct config_walk_value *value);
	void *context;
	bool by_name; /* elements of lists that have names are called by them */
};

void config_walk(const struct config *config, const struct config_walker *walker);
/* What was written as JSON, secrets redacted, one line. */
void config_walk_node(const struct config_node *node, struct buf *ret_text);
/* A string as a file would hold it: "${" is written "$${". */
void config_walk_quote(struct buf *ret_text, struct slice text);

#endif
