/*
 * value: one scalar value of the table from one node (operations.md CF-07). Strict: what is refused
 * is only re-spelt in the fix.
 */
#include "config/value.h"

#include "base/assert.h"
#include "config/parse.h"
#include "config/respell.h"
#include "config/type.h"

/* One value on its way from its node into its field. */
struct reading {
	struct config_parser *parser;
	const struct config_key *key;
	enum config_type type;
	struct config_node *node;
	bool item; /* an element of a list: its own range */
};

static const char *text_of(struct config_parser *parser, struct buf *buf)
{
	const char *text = arena_string(&parser->report->arena, buf_slice(buf));

	buf_fini(buf);
	return text;
}

/* PIL1104: not of the form. A word is also looked for among those of later versions (PIL1109). */
static bool refuse_form(const struct reading *reading, const char *expected)
{
	struct config_parser *parser = reading->parser;
	const struct config_node *node = reading->node;
	struct config_complaint complaint = {.code = 1104, .expected = expected};
	struct buf text;

	if (config_complain_full(parser)) {
		config_complain(
			parser, node, "", &(struct config_complaint){.code = 1104, .text = ""});
		return false;
	}
	if (reading->key->later_words != NULL && node->kind == CONFIG_NODE_STRING &&
		config_type_word(reading->key->later_words, node->text) >= 0) {
		complaint.code = 1109;
	}
	if (expected == NULL) {
		buf_init(&text);
		config_type_expected(reading->key, reading->type, &text);
		complaint.expected = text_of(parser, &text);
	}
	if (complaint.code == 1109) {
		complaint.text =
			config_complain_format(parser, "\"%s\" is not in this version; expected %s",
				(const char *)node->text.data, complaint.expected);
	}
	buf_init(&text);
	/* Quotes around a number are a fix; the refused text itself is none. */
	bool same = node->kind == CONFIG_NODE_STRING &&
		    (reading->type == CONFIG_STRING || reading->type == CONFIG_STATUS);

	if (complaint.code == 1104 && !node->tainted && !same &&
		config_respell(reading->key, reading->type, node->text, &text)) {
		complaint.suggestion = text_of(parser, &text);
		complaint.fix = config_complain_format(parser, "write %s", complaint.suggestion);
	} else {
		buf_fini(&text);
	}
	config_complain(parser, node, NULL, &complaint);
	return false;
}

/* PIL1105: of the form, but out of its range. */
static bool refuse_range(const struct reading *reading, const struct config_key *range)
{
	struct config_complaint complaint = {.code = 1105};
	struct buf text;

	buf_init(&text);
	buf_append_string(&text, "a value in ");
	config_type_range(range, reading->type, &text);
	complaint.expected = text_of(reading->parser, &text);
	config_complain(reading->parser, reading->node, NULL, &complaint);
	return false;
}

/* A key without bounds is bounded by its C type. */
static bool in_range(const struct reading *reading, int64_t value)
{
	struct config_key range = *reading->key;

	ASSERT(range.min <= range.max && range.item_min <= range.item_max);

	if (reading->item) {
		range.min = reading->key->item_min;
		range.max = reading->key->item_max;
	}
	if (range.min == 0 && range.max == 0) {
		range.max = reading->type == CONFIG_INT || reading->type == CONFIG_STATUS
				    ? INT32_MAX
				    : INT64_MAX;
	}
	if (value < range.min || value > range.max) {
		return refuse_range(reading, &range);
	}
	return true;
}

/* A value that held a substitution may stand for an int or bool, converted strictly (CF-08). */
static bool text_as_integer(const struct config_node *node, int64_t *ret_value)
{
	struct slice digits = node->text;
	bool negative = digits.size > 0 && digits.data[0] == '-';
	uint64_t value = 0;

	if (negative) {
		digits = slice_from(digits, 1);
	}
	if (!node->substituted || (digits.size > 1 && digits.data[0] == '0') ||
		!slice_parse_u64(digits, INT64_MAX, &value)) {
		return false;
	}
	*ret_value = negative ? -(int64_t)value : (int64_t)value;
	return true;
}

static bool read_bool(const struct reading *reading, bool *field)
{
	const struct config_node *node = reading->node;
	bool text = node->kind == CONFIG_NODE_STRING && node->substituted;

	if (node->kind == CONFIG_NODE_BOOL) {
		*field = node->boolean;
		return true;
	}
	if (text && slice_equal(node->text, SLICE("true"))) {
		*field = true;
		return true;
	}
	if (text && slice_equal(node->text, SLICE("false"))) {
		*field = false;
		return true;
	}
	return refuse_form(reading, NULL);
}

/* Fractions and exponents are refused even where the value is whole (CF-07). */
static bool read_int(const struct reading *reading, int *field)
{
	const struct config_node *node = reading->node;
	int64_t value = node->integer;

	if (node->kind != CONFIG_NODE_INTEGER &&
		!(node->kind == CONFIG_NODE_STRING && text_as_integer(node, &value))) {
		return refuse_form(reading, NULL);
	}
	if (!in_range(reading, value)) {
		return false;
	}
	*field = (int)value;
	return true;
}

static bool is_off(const struct reading *reading)
{
	return (reading->key->flags & CONFIG_MAY_BE_OFF) != 0 &&
	       slice_equal(reading->node->text, SLICE("off"));
}

/*
 * Timers of the request path count milliseconds; a finer value would be rounded in silence, so it
 * is refused.
 */
static bool read_duration(const struct reading *reading, int64_t *field)
{
	int64_t us = 0;
	bool may_be_off = (reading->key->flags & CONFIG_MAY_BE_OFF) != 0;

	if (is_off(reading)) {
		*field = 0;
		return true;
	}
	if (!config_type_duration(reading->node->text, &us)) {
		return refuse_form(reading, NULL);
	}
	if (us == 0 && may_be_off) {
		*field = 0;
		return true;
	}
	if (us % 1000 != 0) {
		struct config_complaint complaint = {
			.code = 1105, .expected = "whole milliseconds, such as \"1ms\""};

		config_complain(reading->parser, reading->node, NULL, &complaint);
		return false;
	}
	if (!in_range(reading, us / 1000)) {
		return false;
	}
	*field = us / 1000;
	return true;
}

static bool read_size(const struct reading *reading, uint64_t *field)
{
	uint64_t bytes = 0;

	if (is_off(reading)) {
		*field = 0;
		return true;
	}
	if (!config_type_size(reading->node->text, &bytes)) {
		return refuse_form(reading, NULL);
	}
	if (!in_range(reading, (int64_t)bytes)) {
		return false;
	}
	*field = bytes;
	return true;
}

static bool read_percent(const struct reading *reading, int *field)
{
	int value = 0;

	if (!config_type_percent(reading->node->text, &value)) {
		return refuse_form(reading, NULL);
	}
	if (!in_range(reading, value)) {
		return false;
	}
	*field = value;
	return true;
}

static bool read_rate(const struct reading *reading, int64_t *field)
{
	int64_t value = 0;

	if (!config_type_rate(reading->node->text, &value)) {
		return refuse_form(reading, NULL);
	}
	if (!in_range(reading, value)) {
		return false;
	}
	*field = value;
	return true;
}

static bool read_status(const struct reading *reading, int *field)
{
	uint64_t value = 0;

	if (reading->node->text.size != 3 || !slice_parse_u64(reading->node->text, 999, &value)) {
		return refuse_form(reading, NULL);
	}
	if (!in_range(reading, (int64_t)value)) {
		return false;
	}
	*field = (int)value;
	return true;
}

/* The key's own check says what it expects in its own words. */
static bool read_text(const struct reading *reading, const char **field)
{
	struct slice text = reading->node->text;
	const char *expected = reading->key->check != NULL ? reading->key->check(text) : NULL;

	if (expected != NULL) {
		return refuse_form(reading, expected);
	}
	if (reading->type == CONFIG_NAME && !config_type_name(text)) {
		return refuse_form(reading, NULL);
	}
	*field = arena_string(reading->parser->arena, text);
	return true;
}

/* A path is relative to the file that names it (CF-07). */
static const char *resolve(const struct reading *reading, struct slice path)
{
	struct arena *arena = reading->parser->arena;
	const char *directory = reading->node->source->directory;
	struct buf whole;

	if (path.data[0] == '/' || directory == NULL || directory[0] == '\0') {
		return arena_string(arena, path);
	}
	buf_init(&whole);
	buf_appendf(&whole, "%s%s", directory, directory[strlen(directory) - 1] == '/' ? "" : "/");
	buf_append_slice(&whole, path);
	const char *text = arena_string(arena, buf_slice(&whole));
	buf_fini(&whole);
	return text;
}

static bool read_file(const struct reading *reading, const char **field)
{
	if (reading->node->text.size == 0) {
		return refuse_form(reading, NULL);
	}
	*field = resolve(reading, reading->node->text);
	return true;
}

/* A word, or a path; a path has a slash in it. */
static bool read_output(const struct reading *reading, struct config_output *field)
{
	int word = config_type_word(reading->key->words, reading->node->text);

	if (reading->node->text.size == 0) {
		return refuse_form(reading, NULL);
	}
	if (word >= 0) {
		*field = (struct config_output){.kind = (enum config_output_kind)word};
		return true;
	}
	/* A misspelt word would otherwise become a file of that name. */
	if (slice_find(reading->node->text, '/') == reading->node->text.size) {
		return refuse_form(
			reading, "\"stdout\", \"stderr\", \"off\" or a path with a / in it");
	}
	field->kind = CONFIG_OUTPUT_FILE;
	field->path = resolve(reading, reading->node->text);
	return true;
}

static bool read_address(const struct reading *reading, struct config_address *field)
{
	struct slice text = reading->node->text;
	struct config_address value = {0};

	if (reading->key->words != NULL && slice_equal(text, SLICE("off"))) {
		value.text = "off";
	} else if (address_parse(text, false, &value.address)) {
		value.text = arena_string(reading->parser->arena, text);
	} else {
		return refuse_form(reading, NULL);
	}
	*field = value;
	return true;
}

/* A host is an IP literal or a DNS name; case does not matter there. */
static bool good_host(struct slice host)
{
	for (size_t i = 0; i < host.size; i++) {
		uint8_t byte = host.data[i];
		bool letter = (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';

		if (!letter && !(byte >= '0' && byte <= '9') && strchr("._-:%", byte) == NULL) {
			return false;
		}
	}
	return host.size > 0 && host.size <= 253;
}

/* Port 0 would mean any port, which nobody can dial. */
static bool read_host(const struct reading *reading, struct config_host *field)
{
	struct arena *arena = reading->parser->arena;
	struct slice host = {0};
	uint16_t port = 0;

	if (!address_split(reading->node->text, &host, &port) || port == 0 || !good_host(host)) {
		return refuse_form(reading, NULL);
	}
	field->text = arena_string(arena, reading->node->text);
	field->host = arena_string(arena, host);
	field->port = port;
	return true;
}

static bool read_prefix(const struct reading *reading, struct config_prefix *field)
{
	if (!address_prefix_parse(reading->node->text, &field->prefix)) {
		return refuse_form(reading, NULL);
	}
	field->text = arena_string(reading->parser->arena, reading->node->text);
	return true;
}

static bool read_egress(const struct reading *reading, struct config_egress_entry *field)
{
	if (!config_type_egress(reading->parser->arena, reading->node->text, field)) {
		return refuse_form(reading, NULL);
	}
	return true;
}

static bool read_word(const struct reading *reading, int *field)
{
	int index = config_type_word(reading->key->words, reading->node->text);

	if (index < 0) {
		return refuse_form(reading, NULL);
	}
	*field = index;
	return true;
}

static bool read_string_typed(const struct reading *reading, void *field)
{
	switch (reading->type) {
	case CONFIG_DURATION:
		return read_duration(reading, field);
	case CONFIG_SIZE:
		return read_size(reading, field);
	case CONFIG_PERCENT:
		return read_percent(reading, field);
	case CONFIG_RATE:
		return read_rate(reading, field);
	case CONFIG_STATUS:
		return read_status(reading, field);
	case CONFIG_STRING:
	case CONFIG_NAME:
		return read_text(reading, field);
	case CONFIG_WORD:
		return read_word(reading, field);
	case CONFIG_FILE:
		return read_file(reading, field);
	case CONFIG_ADDRESS:
		return read_address(reading, field);
	case CONFIG_HOST:
		return read_host(reading, field);
	case CONFIG_PREFIX:
		return read_prefix(reading, field);
	case CONFIG_EGRESS:
		return read_egress(reading, field);
	case CONFIG_OUTPUT:
		return read_output(reading, field);
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
	ASSERT(false && "a scalar that is written as a string");
	return false;
}

/* Substitution comes before the type is looked at, so that errors speak of the text that counts. */
bool config_value_parse(struct config_parser *parser, const struct config_key *key,
	enum config_type type, struct config_node *node, void *field)
{
	struct reading reading = {.parser = parser,
		.key = key,
		.type = type,
		.node = node,
		.item = key->type == CONFIG_LIST};

	ASSERT(config_type_size_of(type) > 0);
	if (node->kind == CONFIG_NODE_NULL) {
		struct config_complaint complaint = {.code = 1103,
			.text = "null is no value",
			.fix = "remove the key to get the default"};

		config_complain(parser, node, NULL, &complaint);
		return false;
	}
	if (node->kind == CONFIG_NODE_STRING &&
		!config_expand(parser, node, (key->flags & CONFIG_TEMPLATE) != 0)) {
		return false;
	}
	if (type == CONFIG_BOOL) {
		return read_bool(&reading, field);
	}
	if (type == CONFIG_INT) {
		return read_int(&reading, field);
	}
	if (node->kind != CONFIG_NODE_STRING) {
		return refuse_form(&reading, NULL);
	}
	return read_string_typed(&reading, field);
}
