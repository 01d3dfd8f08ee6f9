/*
 * keys: keys.def as arrays, one per section.
 */
#include "config/keys.h"

#include "base/assert.h"
#include "base/buf.h"
#include "config/config.h"

/* Classes as the columns of operations.md 3 call them. */
#define CLASS_H CONFIG_NEXT_EXCHANGE
#define CLASS_C CONFIG_NEXT_CONNECTION
#define CLASS_L CONFIG_REBIND
#define CLASS_R CONFIG_RESTART

#define AT(id) (&config_sections[CONFIG_SECTION_##id])

/* Each section's struct under a name made from the section, for offsetof. */
#define SECTION(id, type, called)                                                                  \
	union section_##id {                                                                       \
		type of;                                                                           \
	};
#define KEY(section, key, kind, field, text, class, line, ...)
#define LATER(section, key, line)
#define END(id)
#include "config/keys.def"
#undef SECTION
#undef KEY
#undef LATER
#undef END

#define SECTION(id, type, called) static const struct config_key keys_##id[] = {
#define KEY(in, key, kind, place, text, class, line, ...)                                          \
	{.name = (key),                                                                            \
		.type = CONFIG_##kind,                                                             \
		.offset = offsetof(union section_##in, of.place),                                  \
		.default_text = (text),                                                            \
		.change = CLASS_##class,                                                           \
		.help = (line),                                                                    \
		__VA_ARGS__},
#define LATER(in, key, line) {.name = (key), .type = CONFIG_LATER, .help = (line)},
#define END(id)                                                                                    \
	}                                                                                          \
	;
#include "config/keys.def"
#undef SECTION
#undef KEY
#undef LATER
#undef END

const struct config_section config_sections[CONFIG_SECTION_COUNT] = {
#define SECTION(id, type, called)                                                                  \
	[CONFIG_SECTION_##id] = {(called), keys_##id, ARRAY_SIZE(keys_##id), sizeof(type)},
#define KEY(section, key, kind, field, text, class, line, ...)
#define LATER(section, key, line)
#define END(id)
#include "config/keys.def"
#undef SECTION
#undef KEY
#undef LATER
#undef END
};

/* Sections have at most some forty keys: a walk is as fast as a hash. */
const struct config_key *config_keys_find(const struct config_section *section, struct slice name)
{
	ASSERT(section != NULL);
	for (size_t i = 0; i < section->key_count; i++) {
		if (slice_equal(name, slice_from_string(section->keys[i].name))) {
			return &section->keys[i];
		}
	}
	return NULL;
}

/* Sections do not contain themselves, so the depth is that of the table. */
static bool walk(const struct config_keys_visitor *visitor, const struct config_section *section,
	struct buf *pointer)
{
	size_t size = pointer->size;

	for (size_t i = 0; i < section->key_count; i++) {
		const struct config_key *key = &section->keys[i];

		buf_appendf(pointer, "/%s", key->name);
		if (!visitor->visit(visitor->context, buf_string(pointer), section, key)) {
			return false;
		}
		if (key->type == CONFIG_MAP) {
			buf_append_string(pointer, "/NAME");
		} else if (key->type == CONFIG_LIST) {
			buf_append_string(pointer, "/N");
		}
		if (key->section != NULL && !walk(visitor, key->section, pointer)) {
			return false;
		}
		pointer->size = size;
	}
	return true;
}

void config_keys_walk(const struct config_keys_visitor *visitor)
{
	struct buf pointer;

	ASSERT(visitor->visit != NULL);
	buf_init(&pointer);
	(void)walk(visitor, config_keys_root(), &pointer);
	buf_fini(&pointer);
}
