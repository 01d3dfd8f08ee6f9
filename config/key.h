/*
 * key: the tables that describe configuration. One row says name, type, range, default, place in a
 * C struct and help of one key; parser, schema, `config show`, diff and `explain` read nothing else
 * (operations.md CF-20). Filters bring tables of the same kind. Static data; any thread.
 *
 * A table fills one struct: key->offset is the place of the field, whose C type follows from the
 * type.
 */
#ifndef PILLION_CONFIG_KEY_H
#define PILLION_CONFIG_KEY_H

#include "config/value.h"

enum config_type {
	CONFIG_BOOL,	 /* bool */
	CONFIG_INT,	 /* int; JSON integer */
	CONFIG_DURATION, /* int64_t milliseconds; 0: off */
	CONFIG_SIZE,	 /* uint64_t bytes; 0: off where "off" is allowed */
	CONFIG_PERCENT,	 /* int per mille: "0.1%" is 1 */
	CONFIG_RATE,	 /* int64_t per minute: "20/s" is 1200 */
	CONFIG_STATUS,	 /* int: "503" */
	CONFIG_STRING,	 /* const char * */
	CONFIG_NAME,	 /* const char *; [a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])? */
	CONFIG_WORD,	 /* an enum, stored as int: index in `words` */
	CONFIG_FILE,	 /* const char *; relative to the directory of the file that names it */
	CONFIG_ADDRESS,	 /* struct config_address; words "off" allows "off" */
	CONFIG_HOST,	 /* struct config_host */
	CONFIG_PREFIX,	 /* struct config_prefix */
	CONFIG_EGRESS,	 /* struct config_egress_entry */
	CONFIG_OUTPUT,	 /* struct config_output: a word or a path */
	/* The nested struct of `section`, in place. With `words`: a word may stand for the object;
	 * then 1 + index is stored in the struct's first field, an int or enum. */
	CONFIG_OBJECT,
	CONFIG_MAP,	/* CONFIG_LIST_OF(struct of section); its first field is const char *name */
	CONFIG_LIST,	/* CONFIG_LIST_OF(C type of `element`; section for CONFIG_OBJECT) */
	CONFIG_PAIRS,	/* CONFIG_LIST_OF(struct config_pair); string values */
	CONFIG_FILTERS, /* CONFIG_LIST_OF(struct config_filter) */
	CONFIG_IGNORED, /* accepted and not looked at ("$schema") */
	CONFIG_LATER,	/* known, not in this version: PIL1109 */
};

/* When a change takes effect (operations.md 3). */
enum config_class {
	CONFIG_NEXT_EXCHANGE,	/* H */
	CONFIG_NEXT_CONNECTION, /* C */
	CONFIG_REBIND,		/* L */
	CONFIG_RESTART,		/* R */
};

enum config_key_flags {
	CONFIG_REQUIRED = 1,   /* PIL1102 (PIL1106 for the name) when missing */
	CONFIG_MAY_BE_OFF = 2, /* "off" is allowed and stored as 0 */
	CONFIG_ONE_OK = 4,     /* a single value may stand for a list of one */
	CONFIG_NO_RANGE = 8,   /* min and max are not looked at */
	CONFIG_SET_ONCE = 16,  /* list elements differ from each other */
	CONFIG_ANY_KEY = 32,   /* CONFIG_MAP: keys are not held to the form of a name */
	CONFIG_STAR = 128,     /* CONFIG_MAP: the entry "*" is first and the base of all others */
	CONFIG_TEMPLATE = 64,  /* ${lower_case} is left for the reader of the value (CF-08) */
};

struct config_section;

struct config_key {
	const char *name;
	enum config_type type;
	enum config_type element; /* of a CONFIG_LIST */
	size_t offset;
	int64_t min; /* INT, PERCENT, RATE: value; DURATION ms; SIZE bytes; lists, maps: count */
	int64_t max; /* both 0: no bound but that of the C type (4,096 elements for lists) */
	int64_t item_min; /* of CONFIG_LIST: the same for each element */
	int64_t item_max;
	const char *words;	  /* "a|b|c" */
	const char *later_words;  /* known, not in this version */
	const char *default_text; /* JSON text, as one would write it; NULL: zero */
	unsigned flags;
	enum config_class change;
	const struct config_section *section; /* of objects */
	/* More than the type says about a text (of maps and pairs: about each name). Returns NULL
	 * or what is expected: "a topic pattern". */
	const char *(*check)(struct slice text);
	const char *help; /* one line */
};

struct config_section {
	const char *name; /* "a service", "a listener": as errors call it */
	const struct config_key *keys;
	size_t key_count;
	size_t size; /* of the C struct */
};

/* A filter as main.c introduces it to the configuration: {"use": name, ...keys}. */
struct config_filter_plugin {
	const char *name;
	const struct config_key *keys;
	size_t key_count;
	size_t conf_size; /* of the struct that the keys fill */
};

/* One entry of a key `filters`. */
struct config_filter {
	const char *use;
	const struct config_filter_plugin *plugin;
	const void *conf; /* plugin->conf_size bytes, defaults filled in */
};

#endif
