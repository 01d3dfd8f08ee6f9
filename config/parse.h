/*
 * parse: nodes -> C structs by the key table, with every complaint about structure (operations.md
 * CF-07, CF-20, CF-21). Internal to config. One thread; blocking where `${file:...}` is used.
 */
#ifndef PILLION_CONFIG_PARSE_H
#define PILLION_CONFIG_PARSE_H

#include "config/key.h"
#include "config/node.h"

struct config_parser {
	struct arena *arena; /* of the configuration; owns all values */
	struct config_report *report;
	const char *const *environment; /* for substitution; NULL: none */
	const struct config_filter_plugin *const *plugins;
	size_t plugin_count;
	/* Changes the defaults of one entry of a map before what is written goes over them. */
	void (*seed)(void *context, const struct config_key *map, void *entry);
	void *seed_context;
};

/* What a complaint says beyond its place, which is that of the node. */
struct config_complaint {
	unsigned code;
	enum config_severity severity;
	const char *text; /* whole sentence; else expected and found */
	const char *expected;
	const char *found; /* NULL: described from the node */
	const char *suggestion;
	const char *fix;
	bool at_key; /* the key is wrong, not the value */
	const struct config_node *related;
	const char *related_text;
};

/* NULL node: no place, `pointer` alone. */
void config_complain(struct config_parser *parser, const struct config_node *node,
	const char *pointer, const struct config_complaint *complaint);
/* True once so many problems are kept that details are no longer worth their time. */
bool config_complain_full(const struct config_parser *parser);
/* Formats into the arena. */
const char *config_complain_format(struct config_parser *parser, const char *format, ...)
	PRINTF_LIKE(2, 3);

/* Substitution in the text of a string node (CF-08), once. False: reported. */
bool config_expand(struct config_parser *parser, struct config_node *node, bool is_template);

/*
 * One scalar of that type (the key's own, or its element's) into the field. False: reported, and
 * the field keeps what it had.
 */
bool config_value_parse(struct config_parser *parser, const struct config_key *key,
	enum config_type type, struct config_node *node, void *field);

/* Defaults into the zeroed struct. */
void config_parse_defaults(
	struct config_parser *parser, const struct config_section *section, void *target);
/* One entry of a map with CONFIG_STAR whose "*" nobody wrote. */
void *config_parse_base(struct config_parser *parser, const struct config_key *map);
/*
 * What is written goes over what the struct already holds, so that wider settings can be parsed
 * first. False when something was reported.
 */
bool config_parse_object(struct config_parser *parser, const struct config_section *section,
	struct config_node *node, void *target);

#endif
