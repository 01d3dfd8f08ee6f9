/*
 * explain: one key in words, for `pillion explain KEY`.
 */
#include "base/assert.h"
#include "config/keys.h"
#include "config/schema.h"
#include "config/type.h"

/* Either a whole pointer or a bare name is looked for. */
struct search {
	struct slice pointer; /* "/service/app/check", or empty */
	struct slice name;    /* last part */
	struct buf *text;
	bool found;
};

/* Pointers of the table have NAME and N where files have names and numbers. */
static bool pointer_fits(struct slice asked, struct slice row)
{
	while (asked.size > 0 && row.size > 0) {
		struct slice a = slice_from(asked, asked.data[0] == '/' ? 1 : 0);
		struct slice r = slice_from(row, 1);

		a.size = slice_find(a, '/');
		r.size = slice_find(r, '/');
		if (!slice_equal(a, r) && !slice_equal(r, SLICE("NAME")) &&
			!slice_equal(r, SLICE("N"))) {
			return false;
		}
		asked = slice_make(
			a.data + a.size, (size_t)(asked.data + asked.size - (a.data + a.size)));
		row = slice_make(
			r.data + r.size, (size_t)(row.data + row.size - (r.data + r.size)));
	}
	return asked.size == 0 && row.size == 0;
}

/* A list is described by its elements. */
static void append_type(const struct config_key *key, struct buf *text)
{
	bool list = key->type == CONFIG_LIST;
	enum config_type type = list ? key->element : key->type;
	struct config_key plain = *key;
	bool ranged = type == CONFIG_INT || type == CONFIG_DURATION || type == CONFIG_SIZE ||
		      type == CONFIG_RATE;

	if (list) {
		buf_append_string(text, "a list, each element ");
		plain.min = key->item_min;
		plain.max = key->item_max;
	}
	config_type_expected(&plain, type, text);
	if (ranged && type != CONFIG_INT && plain.max > 0 && plain.max < INT64_MAX) {
		buf_append_string(text, " in ");
		plain.flags = 0;
		config_type_range(&plain, type, text);
	}
}

static bool visit(void *context, const char *pointer, const struct config_section *section,
	const struct config_key *key)
{
	struct search *search = context;
	struct slice row = slice_from_string(pointer);
	bool fits = search->pointer.size > 0
			    ? pointer_fits(search->pointer, row)
			    : slice_equal(search->name, slice_from_string(key->name));

	(void)section;
	if (!fits) {
		return true;
	}
	search->found = true;
	buf_appendf(search->text, "%s\n  %s\n", pointer, key->help);
	if (key->type == CONFIG_LATER) {
		buf_append_string(search->text, "  not in this version\n");
		return true;
	}
	buf_append_string(search->text, "  value:   ");
	append_type(key, search->text);
	buf_appendf(search->text, "\n  default: %s\n  a change takes effect: %s\n",
		key->default_text != NULL ? key->default_text : "not set",
		config_class_text(key->change));
	return true;
}

bool config_explain(const char *key, struct buf *ret_text)
{
	struct search search = {.text = ret_text};
	struct config_keys_visitor visitor = {visit, &search};
	struct buf pointer;

	ASSERT(key != NULL);
	buf_init(&pointer);
	if (strpbrk(key, "/.") != NULL) {
		if (key[0] != '/') {
			buf_append_byte(&pointer, '/');
		}
		for (const char *at = key; *at != '\0'; at++) {
			buf_append_byte(&pointer, *at == '.' && key[0] != '/' ? '/' : (uint8_t)*at);
		}
		search.pointer = buf_slice(&pointer);
	} else {
		search.name = slice_from_string(key);
	}
	if (search.pointer.size > 0 || search.name.size > 0) {
		config_keys_walk(&visitor);
	}
	buf_fini(&pointer);
	return search.found;
}
