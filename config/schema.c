/*
 * schema: JSON Schema 2020-12 of a configuration file, from the key table (operations.md CF-26).
 * Keys of later versions are absent, so an editor marks them as the program does.
 */
#include "config/schema.h"

#include <inttypes.h>

#include "base/assert.h"
#include "config/keys.h"
#include "config/type.h"

/* Patterns hold no backslash but \\\\, as they stand in JSON text. */
#define NAME_PATTERN "^[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?$"
#define PORT                                                                                       \
	":0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]" \
	")"
#define OCTET	    "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
#define IPV6	    "\\\\[[0-9A-Fa-f:.]+\\\\]" /* whether it is one is the parser's alone */
#define ADDRESS	    "(" OCTET "([.]" OCTET "){3}|" IPV6 ")" PORT "|unix:/.{1,106}"
#define PATH	    "/[!\\\\x22$-~]{0,4095}"
#define TOPIC_TOKEN "([A-Za-z0-9_-]{1,64}|[*])"

/* What is printed where; filters are known by their plugins. */
struct schema {
	const struct config_filter_plugin *const *plugins;
	size_t plugin_count;
	struct buf *text;
};

static void append_section(
	struct schema *schema, const struct config_section *section, const char *use);

/*
 * As near to the parser as a pattern can be; ranges of quantities with units are the parser's
 * alone.
 */
static const char *pattern_of(enum config_type type, bool may_be_off)
{
	switch (type) {
	case CONFIG_DURATION:
		return may_be_off ? "^([0-9]+(us|ms|s|m|h)|off)$" : "^[0-9]+(us|ms|s|m|h)$";
	case CONFIG_SIZE:
		return may_be_off ? "^([0-9]+(B|KiB|MiB|GiB)|off)$" : "^[0-9]+(B|KiB|MiB|GiB)$";
	case CONFIG_PERCENT:
		return "^(100(\\\\.0)?|[0-9]{1,2}(\\\\.[0-9])?)%$";
	case CONFIG_RATE:
		return "^[0-9]+/(s|m)$";
	case CONFIG_STATUS:
		return "^[45][0-9][0-9]$";
	case CONFIG_NAME:
		return NAME_PATTERN;
	case CONFIG_ADDRESS:
		return may_be_off ? "^(" ADDRESS "|off)$" : "^(" ADDRESS ")$";
	case CONFIG_HOST:
		return "^([A-Za-z0-9._-]{1,255}|" IPV6 ")" PORT "$";
	case CONFIG_OUTPUT:
		return "^(stdout|stderr|off|.*/.*)$";
	case CONFIG_STRING:
	case CONFIG_FILE:
	case CONFIG_PREFIX:
	case CONFIG_EGRESS:
	case CONFIG_WORD:
	case CONFIG_BOOL:
	case CONFIG_INT:
	case CONFIG_OBJECT:
	case CONFIG_MAP:
	case CONFIG_LIST:
	case CONFIG_PAIRS:
	case CONFIG_FILTERS:
	case CONFIG_IGNORED:
	case CONFIG_LATER:
		break;
	}
	return NULL;
}

/* Less than a group of four digits, or all of it and perhaps `more`. */
#define UUID_GROUP(more) "[0-9A-Fa-f]{0,3}|[0-9A-Fa-f]{4}(" more ")?"

/* What single keys ask for beyond their type (form.c). */
static const char *pattern_of_form(const char *(*check)(struct slice text))
{
	static const struct {
		const char *(*check)(struct slice text);
		const char *pattern;
	} forms[] = {
		{config_form_path, "^" PATH "$"},
		{config_form_version, "^[!-~]{1,128}$"},
		{config_form_uuid, "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"},
		{config_form_uuid_prefix,
			"^[0-9A-Fa-f]{8}(-(" UUID_GROUP("-(" UUID_GROUP(
				"-(" UUID_GROUP("-[0-9A-Fa-f]{0,12}") ")") ")") "))?$"},
		{config_form_group, "^(?!dlq$)[A-Za-z0-9_-]{1,64}$"},
		{config_form_pattern,
			"^(?=.{1,200}$)(" TOPIC_TOKEN "[.]){0,15}(" TOPIC_TOKEN "|>)$"},
		{config_form_push,
			"^(" PATH "|unix:/[^:]{1,106}:" PATH "|http://(localhost|127([.]" OCTET
			"){3}|" IPV6 ")" PORT "(" PATH ")?)$"},
		{config_form_header, "^[a-z0-9!#$%&'*+.^_`|~-]{1,128}$"},
		{config_form_origin, "^https?://[!-.0-~]+$"},
		{config_form_host, "^[A-Za-z0-9._:\\\\[\\\\]-]{1,255}$"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		if (forms[i].check == check) {
			return forms[i].pattern;
		}
	}
	return NULL;
}

static void append_words(const char *words, struct buf *text)
{
	size_t count = config_type_word_count(words);

	ASSERT(count > 0);

	buf_append_string(text, "\"enum\":[");
	for (size_t i = 0; i < count; i++) {
		buf_append_string(text, i == 0 ? "" : ",");
		config_type_quote(text, config_type_word_at(words, i));
	}
	buf_append_byte(text, ']');
}

/* The members of the schema of one scalar, without braces. */
static void append_scalar(const struct config_key *key, enum config_type type, struct buf *text)
{
	bool may_be_off = (key->flags & CONFIG_MAY_BE_OFF) != 0 ||
			  (type == CONFIG_ADDRESS && key->words != NULL);
	bool item = key->type == CONFIG_LIST;
	int64_t min = item ? key->item_min : key->min;
	int64_t max = item ? key->item_max : key->max;
	const char *form = pattern_of_form(key->check);
	const char *pattern = form != NULL ? form : pattern_of(type, may_be_off);

	if (type == CONFIG_WORD) {
		append_words(key->words, text);
		return;
	}
	if (type == CONFIG_BOOL) {
		buf_append_string(text, "\"type\":\"boolean\"");
		return;
	}
	if (type == CONFIG_INT) {
		buf_append_string(text, "\"type\":\"integer\"");
		if (min != max) {
			buf_appendf(
				text, ",\"minimum\":%" PRId64 ",\"maximum\":%" PRId64, min, max);
		}
		return;
	}
	buf_append_string(text, "\"type\":\"string\"");
	if (pattern != NULL) {
		buf_appendf(text, ",\"pattern\":\"%s\"", pattern);
	}
}

static void append_filters(struct schema *schema, const struct config_key *key)
{
	buf_appendf(schema->text,
		"\"type\":\"array\",\"maxItems\":%" PRId64 ",\"items\":{\"anyOf\":[", key->max);
	for (size_t i = 0; i < schema->plugin_count; i++) {
		const struct config_filter_plugin *plugin = schema->plugins[i];
		struct config_section section = {
			plugin->name, plugin->keys, plugin->key_count, plugin->conf_size};

		buf_append_string(schema->text, i == 0 ? "{" : ",{");
		append_section(schema, &section, plugin->name);
		buf_append_byte(schema->text, '}');
	}
	/* "anyOf" may not be empty; no filter at all admits nothing. */
	buf_append_string(schema->text, schema->plugin_count == 0 ? "false]}" : "]}");
}

/* Where one value may stand for a list, the list is the second choice. */
static void append_list(struct schema *schema, const struct config_key *key)
{
	bool one_ok = (key->flags & CONFIG_ONE_OK) != 0;

	if (one_ok) {
		buf_append_string(schema->text, "\"anyOf\":[{");
		append_scalar(key, key->element, schema->text);
		buf_append_string(schema->text, "},{");
	}
	buf_append_string(schema->text, "\"type\":\"array\",\"items\":{");
	if (key->element == CONFIG_OBJECT) {
		append_section(schema, key->section, NULL);
	} else {
		append_scalar(key, key->element, schema->text);
	}
	buf_appendf(schema->text, "},\"minItems\":%" PRId64, key->min);
	if (key->max > 0) {
		buf_appendf(schema->text, ",\"maxItems\":%" PRId64, key->max);
	}
	buf_append_string(schema->text, one_ok ? "}]" : "");
}

static void append_map(struct schema *schema, const struct config_key *key)
{
	buf_append_string(schema->text, "\"type\":\"object\",\"additionalProperties\":{");
	append_section(schema, key->section, NULL);
	buf_append_byte(schema->text, '}');
	if ((key->flags & CONFIG_STAR) != 0) {
		buf_append_string(schema->text, ",\"propertyNames\":{\"anyOf\":[{\"const\":\"*\"},"
						"{\"pattern\":\"" NAME_PATTERN "\"}]}");
	} else if (pattern_of_form(key->check) != NULL) {
		buf_appendf(schema->text, ",\"propertyNames\":{\"pattern\":\"%s\"}",
			pattern_of_form(key->check));
	} else if ((key->flags & CONFIG_ANY_KEY) == 0) {
		buf_append_string(
			schema->text, ",\"propertyNames\":{\"pattern\":\"" NAME_PATTERN "\"}");
	}
	if (key->max > 0) {
		buf_appendf(schema->text, ",\"maxProperties\":%" PRId64, key->max);
	}
}

/* A word may stand for some objects. */
static void append_object(struct schema *schema, const struct config_key *key)
{
	if (key->words == NULL) {
		append_section(schema, key->section, NULL);
		return;
	}
	buf_append_string(schema->text, "\"anyOf\":[{");
	append_words(key->words, schema->text);
	buf_append_string(schema->text, "},{");
	append_section(schema, key->section, NULL);
	buf_append_string(schema->text, "}]");
}

static void append_pairs(const struct config_key *key, struct buf *text)
{
	buf_append_string(
		text, "\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}");
	if (key->max > 0) {
		buf_appendf(text, ",\"maxProperties\":%" PRId64, key->max);
	}
}

/* Help and default of the row become description and default of the schema. */
static void append_key(struct schema *schema, const struct config_key *key)
{
	buf_appendf(schema->text, "\"%s\":{", key->name);
	switch (key->type) {
	case CONFIG_OBJECT:
		append_object(schema, key);
		break;
	case CONFIG_MAP:
		append_map(schema, key);
		break;
	case CONFIG_LIST:
		append_list(schema, key);
		break;
	case CONFIG_PAIRS:
		append_pairs(key, schema->text);
		break;
	case CONFIG_FILTERS:
		append_filters(schema, key);
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
		append_scalar(key, key->type, schema->text);
		break;
	case CONFIG_IGNORED:
		buf_append_string(schema->text, "\"type\":\"string\"");
		break;
	case CONFIG_LATER:
		ASSERT(false && "a key of this version");
	}
	buf_append_string(schema->text, ",\"description\":");
	config_type_quote(schema->text, slice_from_string(key->help != NULL ? key->help : ""));
	if (key->default_text != NULL) {
		buf_appendf(schema->text, ",\"default\":%s", key->default_text);
	}
	buf_append_byte(schema->text, '}');
}

/* Only what no flag or variable can give is required. */
static void append_required(const struct config_section *section, const char *use, struct buf *text)
{
	const char *separator = "";

	buf_append_string(text, ",\"required\":[");
	if (use != NULL) {
		buf_append_string(text, "\"use\"");
		separator = ",";
	}
	for (size_t i = 0; i < section->key_count; i++) {
		if ((section->keys[i].flags & CONFIG_REQUIRED) != 0) {
			buf_appendf(text, "%s\"%s\"", separator, section->keys[i].name);
			separator = ",";
		}
	}
	buf_append_byte(text, ']');
}

/* An object; `use` is the name of the filter that it configures. */
static void append_section(
	struct schema *schema, const struct config_section *section, const char *use)
{
	const char *separator = "";

	ASSERT(section != NULL);
	buf_append_string(schema->text,
		"\"type\":\"object\",\"additionalProperties\":false,\"properties\":{");
	if (use != NULL) {
		buf_appendf(schema->text, "\"use\":{\"const\":\"%s\"}", use);
		separator = ",";
	}
	for (size_t i = 0; i < section->key_count; i++) {
		if (section->keys[i].type != CONFIG_LATER) {
			buf_append_string(schema->text, separator);
			append_key(schema, &section->keys[i]);
			separator = ",";
		}
	}
	buf_append_byte(schema->text, '}');
	append_required(section, use, schema->text);
}

void config_schema_print(const struct config_filter_plugin *const *plugins, size_t plugin_count,
	struct buf *ret_text)
{
	struct schema schema = {plugins, plugin_count, ret_text};

	buf_append_string(ret_text, "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
				    "\"$id\":\"https://pillion.example/pillion-1.schema.json\","
				    "\"title\":\"configuration of pillion\",");
	append_section(&schema, config_keys_root(), NULL);
	buf_append_string(ret_text, "}\n");
}
