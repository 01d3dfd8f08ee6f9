/*
 * keys: the table of keys.def as data (operations.md CF-20). Internal to config. Static; any
 * thread.
 */
#ifndef PILLION_CONFIG_KEYS_H
#define PILLION_CONFIG_KEYS_H

#include "config/key.h"

enum config_section_id {
#define SECTION(id, type, called) CONFIG_SECTION_##id,
#define KEY(section, key, kind, field, text, class, line, ...)
#define LATER(section, key, line)
#define END(id)
#include "config/keys.def"
#undef SECTION
#undef KEY
#undef LATER
#undef END
	CONFIG_SECTION_COUNT,
};

extern const struct config_section config_sections[CONFIG_SECTION_COUNT];

static inline const struct config_section *config_keys_root(void)
{
	return &config_sections[CONFIG_SECTION_top];
}

/* NULL when the section has no such key. */
const struct config_key *config_keys_find(const struct config_section *section, struct slice name);

/*
 * Calls visit for every key below the root, with its pointer ("/services/NAME/retry/max" for maps,
 * "/N/" for lists). Stops when visit returns false.
 */
struct config_keys_visitor {
	bool (*visit)(void *context, const char *pointer, const struct config_section *section,
		const struct config_key *key);
	void *context;
};

void config_keys_walk(const struct config_keys_visitor *visitor);

/* Forms of strings that keys.def names; see config_key.check. */
const char *config_form_path(struct slice text);
const char *config_form_version(struct slice text);
const char *config_form_uuid(struct slice text);
const char *config_form_uuid_prefix(struct slice text);
const char *config_form_pattern(struct slice text);
const char *config_form_group(struct slice text);
const char *config_form_push(struct slice text);
const char *config_form_header(struct slice text);
const char *config_form_origin(struct slice text);
const char *config_form_host(struct slice text);

#endif
