/*
 * parse: objects, maps and lists of the table. Keys are taken in the order of the table, so that
 * wider settings stand before narrower ones; errors are sorted by place afterwards.
 */
#include "config/parse.h"

#include <inttypes.h>

#include "base/assert.h"
#include "config/keys.h"
#include "config/nearest.h"
#include "config/respell.h"
#include "config/scan.h"
#include "config/type.h"

/* Elements of a list for which the table names no bound. */
#define LIST_MAX 4096

/* Keys named in the fix of an unknown one. */
#define KEYS_SHOWN 10

#define PAIR_NAME_MAX 253

static void *field_of(void *target, const struct config_key *key)
{
	return (char *)target + key->offset;
}

/* null is refused with one text everywhere (CF-07). */
static bool refuse(
	struct config_parser *parser, struct config_node *node, unsigned code, const char *expected)
{
	struct config_complaint complaint = {.code = code, .expected = expected};

	if (node->kind == CONFIG_NODE_NULL) {
		complaint = (struct config_complaint){.code = 1103,
			.text = "null is no value",
			.fix = "remove the key to get the default"};
	}
	config_complain(parser, node, NULL, &complaint);
	return false;
}

/* "Keys of a service: timeout, retry, ..." */
static void append_keys(struct buf *text, const struct config_section *section)
{
	size_t shown = 0;

	buf_appendf(text, "Keys of %s: ", section->name);
	for (size_t i = 0; i < section->key_count; i++) {
		if (section->keys[i].type == CONFIG_LATER) {
			continue;
		}
		if (shown == KEYS_SHOWN) {
			buf_append_string(text, ", ...");
			return;
		}
		buf_appendf(text, "%s%s", shown++ == 0 ? "" : ", ", section->keys[i].name);
	}
}

/* The same spelling in another section: where that key belongs (CF-23). */
struct elsewhere {
	struct slice name;
	const char *pointer;
	struct arena *arena;
};

static bool match_elsewhere(void *context, const char *pointer,
	const struct config_section *section, const struct config_key *key)
{
	struct elsewhere *elsewhere = context;

	(void)section;
	if (!slice_equal(elsewhere->name, slice_from_string(key->name))) {
		return true;
	}
	size_t size = strlen(pointer) - strlen(key->name) - 1;
	elsewhere->pointer = size == 0 ? "the top level"
				       : arena_string(elsewhere->arena, slice_make(pointer, size));
	return false;
}

/* Keys of later versions are candidates too: a misspelt one should lead to PIL1109, not astray. */
static const char *nearest_key(
	const struct config_section *section, struct slice word, struct slice also)
{
	const char *best = NULL;
	int best_distance = 0;

	for (size_t i = 0; i <= section->key_count; i++) {
		bool extra = i == section->key_count;
		const char *name = extra ? (const char *)also.data : section->keys[i].name;
		int found =
			name != NULL ? config_nearest_distance(word, slice_from_string(name)) : -1;

		if (found >= 0 && (best == NULL || found < best_distance)) {
			best = name;
			best_distance = found;
		}
	}
	return best;
}

/* PIL1101 with the nearest key, or the section where it belongs. */
static void refuse_unknown(struct config_parser *parser, const struct config_section *section,
	const struct config_node *node, struct slice also)
{
	struct config_complaint complaint = {.code = 1101, .text = "unknown key", .at_key = true};
	struct elsewhere elsewhere = {.name = node->key, .arena = &parser->report->arena};
	struct config_keys_visitor visitor = {match_elsewhere, &elsewhere};
	struct buf fix;

	if (config_complain_full(parser)) {
		config_complain(parser, node, NULL, &complaint);
		return;
	}
	buf_init(&fix);
	complaint.suggestion = nearest_key(section, node->key, also);
	if (complaint.suggestion != NULL) {
		buf_appendf(&fix, "did you mean \"%s\"? ", complaint.suggestion);
	} else {
		config_keys_walk(&visitor);
		if (elsewhere.pointer != NULL) {
			buf_appendf(&fix, "\"%.*s\" belongs in %s. ", (int)node->key.size,
				(const char *)node->key.data, elsewhere.pointer);
		}
	}
	append_keys(&fix, section);
	complaint.fix = arena_string(&parser->report->arena, buf_slice(&fix));
	buf_fini(&fix);
	config_complain(parser, node, NULL, &complaint);
}

/* Known and not there is another thing than unknown: nothing that is written is ignored (CF-20). */
static void refuse_later(
	struct config_parser *parser, const struct config_key *key, const struct config_node *node)
{
	struct config_complaint complaint = {.code = 1109, .at_key = true};

	complaint.text = config_complain_format(
		parser, "\"%s\" (%s) is not in this version", key->name, key->help);
	complaint.fix = "remove it";
	config_complain(parser, node, NULL, &complaint);
}

/* Too few or too many elements. */
static bool count_fits(
	struct config_parser *parser, const struct config_key *key, struct config_node *node)
{
	int64_t max = key->max > 0 ? key->max : LIST_MAX;
	bool list = key->type == CONFIG_LIST || key->type == CONFIG_FILTERS;
	struct config_complaint complaint = {.code = 1105};

	if ((int64_t)node->count >= key->min && (int64_t)node->count <= max) {
		return true;
	}
	complaint.expected = config_complain_format(parser, "%" PRId64 "..%" PRId64 " %s", key->min,
		max, list ? "elements" : "entries");
	complaint.found = config_complain_format(parser, "%zu", node->count);
	config_complain(parser, node, NULL, &complaint);
	return false;
}

static bool read_key(struct config_parser *parser, const struct config_key *key,
	struct config_node *node, void *target);

/* Members of an object into the struct; `also` is one further key that is somebody else's. */
static bool read_members(struct config_parser *parser, const struct config_section *section,
	struct config_node *node, void *target, struct slice also)
{
	bool good = true;

	ASSERT(node->kind == CONFIG_NODE_OBJECT);
	for (size_t i = 0; i < section->key_count; i++) {
		const struct config_key *key = &section->keys[i];
		struct config_node *child = config_node_get(node, slice_from_string(key->name));

		if (child != NULL) {
			good = read_key(parser, key, child, target) && good;
		} else if ((key->flags & CONFIG_REQUIRED) != 0) {
			struct config_complaint complaint = {.code = 1102};

			complaint.text = config_complain_format(
				parser, "\"%s\" is missing: %s", key->name, key->help);
			config_complain(parser, node, NULL, &complaint);
			good = false;
		}
	}
	for (struct config_node *child = node->first; child != NULL; child = child->next) {
		if (config_keys_find(section, child->key) == NULL &&
			!(also.size > 0 && slice_equal(child->key, also))) {
			refuse_unknown(parser, section, child, also);
			good = false;
		}
	}
	return good;
}

/* Fields that nobody wrote keep what they hold: a default, or what a wider setting said. */
bool config_parse_object(struct config_parser *parser, const struct config_section *section,
	struct config_node *node, void *target)
{
	ASSERT(section != NULL && target != NULL);
	if (node->kind != CONFIG_NODE_OBJECT) {
		return refuse(parser, node, 1104, "an object");
	}
	return read_members(parser, section, node, target, (struct slice){0});
}

/* A misspelt word where an object or a word may stand. */
static bool refuse_object(
	struct config_parser *parser, const struct config_key *key, struct config_node *node)
{
	struct config_complaint complaint = {.code = 1104};
	struct buf expected;
	struct buf word;

	if (node->kind == CONFIG_NODE_NULL) {
		return refuse(parser, node, 1104, "an object");
	}
	buf_init(&expected);
	buf_init(&word);
	config_type_expected(key, CONFIG_OBJECT, &expected);
	complaint.expected = buf_string(&expected);
	if (node->kind == CONFIG_NODE_STRING && !node->tainted &&
		config_respell(key, CONFIG_OBJECT, node->text, &word)) {
		complaint.suggestion = buf_string(&word);
		complaint.fix = config_complain_format(parser, "write %s", complaint.suggestion);
	}
	config_complain(parser, node, NULL, &complaint);
	buf_fini(&expected);
	buf_fini(&word);
	return false;
}

/* An object, or one of the words that may stand for it. */
static bool read_object(struct config_parser *parser, const struct config_key *key,
	struct config_node *node, void *field)
{
	int word;

	if (node->kind == CONFIG_NODE_STRING && key->words != NULL) {
		if (!config_expand(parser, node, false)) {
			return false;
		}
		word = config_type_word(key->words, node->text);
		if (word >= 0) {
			*(int *)field = word + 1;
			return true;
		}
	}
	if (node->kind != CONFIG_NODE_OBJECT) {
		return refuse_object(parser, key, node);
	}
	if (key->words != NULL) {
		*(int *)field = 0;
	}
	return config_parse_object(parser, key->section, node, field);
}

/* The name of an entry: the form of a service name, or what the key checks itself. */
static bool name_fits(
	struct config_parser *parser, const struct config_key *key, const struct config_node *node)
{
	const char *expected = key->check != NULL ? key->check(node->key) : NULL;
	bool star = (key->flags & CONFIG_STAR) != 0 && slice_equal(node->key, SLICE("*"));
	struct config_complaint complaint = {.code = 1104, .at_key = true};

	if (expected == NULL && (key->flags & CONFIG_ANY_KEY) == 0 && !star &&
		!config_type_name(node->key)) {
		expected = "a name of the form [a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?";
	}
	if (expected == NULL) {
		return true;
	}
	complaint.expected = expected;
	complaint.found = config_complain_format(
		parser, "\"%.*s\"", (int)node->key.size, (const char *)node->key.data);
	config_complain(parser, node, NULL, &complaint);
	return false;
}

/* A copy of the base shares its lists, which are never changed once read. */
static void prepare_entry(
	struct config_parser *parser, const struct config_key *key, const void *base, void *entry)
{
	if (base != NULL) {
		memcpy(entry, base, key->section->size);
		return;
	}
	config_parse_defaults(parser, key->section, entry);
	if (parser->seed != NULL) {
		parser->seed(parser->seed_context, key, entry);
	}
}

/* So there is always a "*", whether somebody wrote it or not. */
void *config_parse_base(struct config_parser *parser, const struct config_key *map)
{
	void *entry = arena_alloc(parser->arena, map->section->size);

	ASSERT(map->type == CONFIG_MAP);
	prepare_entry(parser, map, NULL, entry);
	*(const char **)entry = "*";
	return entry;
}

/* Named objects; "*" first where it is the base of the others. */
static bool read_map(struct config_parser *parser, const struct config_key *key,
	struct config_node *node, struct config_list *field)
{
	const struct config_section *section = key->section;
	bool star = (key->flags & CONFIG_STAR) != 0;
	bool good = true;
	char *items;
	size_t count = 0;

	if (node->kind != CONFIG_NODE_OBJECT) {
		return refuse(parser, node, 1104, "an object");
	}
	if (!count_fits(parser, key, node)) {
		return false;
	}
	items = arena_alloc(parser->arena, (node->count + 1) * section->size);
	/* The base is read first, wherever it stands in the file. */
	if (star) {
		struct config_node *base = config_node_get(node, SLICE("*"));

		prepare_entry(parser, key, NULL, items);
		*(const char **)(void *)items = "*";
		good = base == NULL || config_parse_object(parser, section, base, items);
		count = 1;
	}
	for (struct config_node *child = node->first; child != NULL; child = child->next) {
		char *entry = items + count * section->size;

		if (star && slice_equal(child->key, SLICE("*"))) {
			continue;
		}
		if (!name_fits(parser, key, child)) {
			good = false;
			continue;
		}
		prepare_entry(parser, key, star ? items : NULL, entry);
		*(const char **)(void *)entry = arena_string(parser->arena, child->key);
		good = config_parse_object(parser, section, child, entry) && good;
		count++;
	}
	field->items = items;
	field->count = count;
	return good;
}

static bool read_item(struct config_parser *parser, const struct config_key *key,
	struct config_node *node, void *item)
{
	if (key->element != CONFIG_OBJECT) {
		return config_value_parse(parser, key, key->element, node, item);
	}
	config_parse_defaults(parser, key->section, item);
	return config_parse_object(parser, key->section, node, item);
}

/*
 * A bad element keeps its place and its zero; the configuration is refused anyway, and the other
 * elements are still looked at.
 */
static bool read_list(struct config_parser *parser, const struct config_key *key,
	struct config_node *node, struct config_list *field)
{
	size_t size = key->element == CONFIG_OBJECT ? key->section->size
						    : config_type_size_of(key->element);
	bool good = true;
	char *items;
	size_t count = 0;

	ASSERT(size > 0);
	if (node->kind == CONFIG_NODE_STRING && (key->flags & CONFIG_ONE_OK) != 0) {
		items = arena_alloc(parser->arena, size);
		good = read_item(parser, key, node, items);
		field->items = items;
		field->count = 1;
		return good;
	}
	if (node->kind != CONFIG_NODE_ARRAY) {
		return refuse(parser, node, 1104, "a list");
	}
	if (!count_fits(parser, key, node)) {
		return false;
	}
	items = node->count > 0 ? arena_alloc(parser->arena, node->count * size) : NULL;
	for (struct config_node *child = node->first; child != NULL; child = child->next) {
		good = read_item(parser, key, child, items + count * size) && good;
		count++;
	}
	field->items = items;
	field->count = count;
	return good;
}

/* Text to text. */
static bool read_pairs(struct config_parser *parser, const struct config_key *key,
	struct config_node *node, struct config_list *field)
{
	static const struct config_key value = {.name = "value", .type = CONFIG_STRING};
	struct config_key element = value;
	struct config_pair *pairs;
	size_t count = 0;
	bool good = true;

	if (node->kind != CONFIG_NODE_OBJECT) {
		return refuse(parser, node, 1104, "an object with strings as values");
	}
	if (!count_fits(parser, key, node)) {
		return false;
	}
	element.flags = key->flags & CONFIG_TEMPLATE;
	pairs = arena_alloc(parser->arena, (node->count + 1) * sizeof(*pairs));
	for (struct config_node *child = node->first; child != NULL; child = child->next) {
		const char *expected = key->check != NULL ? key->check(child->key) : NULL;

		if (expected == NULL && (child->key.size == 0 || child->key.size > PAIR_NAME_MAX)) {
			expected = "a name of 1..253 bytes";
		}
		if (expected != NULL) {
			struct config_complaint complaint = {
				.code = 1104, .expected = expected, .at_key = true};

			complaint.found = config_complain_format(parser, "\"%.*s\"",
				(int)child->key.size, (const char *)child->key.data);
			config_complain(parser, child, NULL, &complaint);
			good = false;
			continue;
		}
		pairs[count].name = arena_string(parser->arena, child->key);
		good = config_value_parse(
			       parser, &element, CONFIG_STRING, child, &pairs[count].value) &&
		       good;
		count++;
	}
	field->items = pairs;
	field->count = count;
	return good;
}

static const struct config_filter_plugin *find_plugin(
	const struct config_parser *parser, struct slice name)
{
	for (size_t i = 0; i < parser->plugin_count; i++) {
		if (slice_equal(name, slice_from_string(parser->plugins[i]->name))) {
			return parser->plugins[i];
		}
	}
	return NULL;
}

/* PIL1201: "use" names a filter that is not there. */
static bool refuse_filter(struct config_parser *parser, const struct config_node *use)
{
	struct config_complaint complaint = {.code = 1201, .expected = "the name of a filter"};
	struct buf text;
	int best = -1;
	int best_distance = 0;

	buf_init(&text);
	buf_append_string(&text, "filters are:");
	for (size_t i = 0; i < parser->plugin_count; i++) {
		struct slice name = slice_from_string(parser->plugins[i]->name);
		int found = config_nearest_distance(use->text, name);

		buf_appendf(&text, " %s", parser->plugins[i]->name);
		if (found >= 0 && (best < 0 || found < best_distance)) {
			best = (int)i;
			best_distance = found;
		}
	}
	complaint.fix = buf_string(&text);
	if (best >= 0) {
		complaint.suggestion = parser->plugins[best]->name;
		complaint.fix = config_complain_format(
			parser, "did you mean \"%s\"?", complaint.suggestion);
	}
	config_complain(parser, use, NULL, &complaint);
	buf_fini(&text);
	return false;
}

/* {"use": NAME, ...options}: the options are those of the plugin's own table. */
static bool read_filter(
	struct config_parser *parser, struct config_node *node, struct config_filter *filter)
{
	struct config_node *use;
	const struct config_filter_plugin *plugin;
	struct config_section section = {.name = "this filter"};
	void *conf;

	if (node->kind != CONFIG_NODE_OBJECT) {
		return refuse(parser, node, 1104, "an object with \"use\"");
	}
	use = config_node_get(node, SLICE("use"));
	if (use == NULL || use->kind != CONFIG_NODE_STRING) {
		return refuse(parser, use != NULL ? use : node, use != NULL ? 1104 : 1102,
			"\"use\" with the name of a filter");
	}
	if (!config_expand(parser, use, false)) {
		return false;
	}
	plugin = find_plugin(parser, use->text);
	if (plugin == NULL) {
		return refuse_filter(parser, use);
	}
	section.keys = plugin->keys;
	section.key_count = plugin->key_count;
	section.size = plugin->conf_size;
	conf = arena_alloc(parser->arena, plugin->conf_size + 1);
	config_parse_defaults(parser, &section, conf);
	*filter = (struct config_filter){.use = plugin->name, .plugin = plugin, .conf = conf};
	return read_members(parser, &section, node, conf, SLICE("use"));
}

/* Order matters: the chain runs as written. */
static bool read_filters(struct config_parser *parser, const struct config_key *key,
	struct config_node *node, struct config_list *field)
{
	struct config_filter *filters;
	bool good = true;
	size_t count = 0;

	if (node->kind != CONFIG_NODE_ARRAY) {
		return refuse(parser, node, 1104, "a list of filters");
	}
	if (!count_fits(parser, key, node)) {
		return false;
	}
	filters = arena_alloc(parser->arena, (node->count + 1) * sizeof(*filters));
	for (struct config_node *child = node->first; child != NULL; child = child->next) {
		good = read_filter(parser, child, &filters[count++]) && good;
	}
	field->items = filters;
	field->count = count;
	return good;
}

static bool read_key(struct config_parser *parser, const struct config_key *key,
	struct config_node *node, void *target)
{
	void *field = field_of(target, key);

	switch (key->type) {
	case CONFIG_OBJECT:
		return read_object(parser, key, node, field);
	case CONFIG_MAP:
		return read_map(parser, key, node, field);
	case CONFIG_LIST:
		return read_list(parser, key, node, field);
	case CONFIG_PAIRS:
		return read_pairs(parser, key, node, field);
	case CONFIG_FILTERS:
		return read_filters(parser, key, node, field);
	case CONFIG_IGNORED:
		return true;
	case CONFIG_LATER:
		refuse_later(parser, key, node);
		return false;
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
		break;
	}
	return config_value_parse(parser, key, key->type, node, field);
}

/* Default texts are JSON, read like any other; the table's mistakes are ours. */
static void default_of(struct config_parser *parser, const struct config_key *key, void *target)
{
	struct config_source *source =
		config_node_source(parser->arena, "default", slice_from_string(key->default_text));
	struct config_scan scan;
	size_t before = parser->report->count;

	if (!config_scan(source, parser->report, &scan) ||
		!read_key(parser, key, scan.root, target)) {
		ASSERT(false && "the default of a key is valid");
	}
	ASSERT(parser->report->count == before);
}

/* Objects have the defaults of their keys; one of their own would be a second truth. */
void config_parse_defaults(
	struct config_parser *parser, const struct config_section *section, void *target)
{
	for (size_t i = 0; i < section->key_count; i++) {
		const struct config_key *key = &section->keys[i];

		if (key->type == CONFIG_OBJECT) {
			config_parse_defaults(parser, key->section, field_of(target, key));
		} else if (key->default_text != NULL) {
			ASSERT(key->type != CONFIG_LATER);
			default_of(parser, key, target);
		}
	}
}
