/*
 * type: one spelling for each value (CF-07). Nothing is guessed here: what is refused is only
 * re-spelt for the message.
 */
#include "config/type.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"

/* Factors count from the smallest unit, so that every value is a whole number. */
struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit duration_units[] = {
	{"us", 1}, {"ms", 1000}, {"s", 1000000}, {"m", 60000000}, {"h", 3600000000}};
static const struct unit size_units[] = {
	{"B", 1}, {"KiB", 1024}, {"MiB", 1048576}, {"GiB", 1073741824}};

/* [0-9]+ followed by one of the units; the product must fit into 62 bits. */
static bool parse_unit(
	struct slice text, const struct unit *units, size_t count, uint64_t *ret_value)
{
	size_t digits = 0;
	uint64_t number = 0;

	while (digits < text.size && isdigit(text.data[digits])) {
		digits++;
	}
	if (!slice_parse_u64(slice_make(text.data, digits), UINT64_MAX, &number)) {
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		if (slice_equal(slice_from(text, digits), slice_from_string(units[i].name))) {
			if (number > (uint64_t)INT64_MAX / 2 / units[i].factor) {
				return false;
			}
			*ret_value = number * units[i].factor;
			return true;
		}
	}
	return false;
}

bool config_type_duration(struct slice text, int64_t *ret_us)
{
	uint64_t value = 0;

	ASSERT(ret_us != NULL);
	if (!parse_unit(text, duration_units, ARRAY_SIZE(duration_units), &value)) {
		return false;
	}
	*ret_us = (int64_t)value;
	return true;
}

bool config_type_size(struct slice text, uint64_t *ret_bytes)
{
	ASSERT(ret_bytes != NULL);
	return parse_unit(text, size_units, ARRAY_SIZE(size_units), ret_bytes);
}

/* "20%" or "0.1%": at most one digit behind the point, at most 100%. */
bool config_type_percent(struct slice text, int *ret_per_mille)
{
	uint64_t whole = 0;
	uint64_t tenth = 0;

	if (!slice_ends_with(text, SLICE("%"))) {
		return false;
	}

	struct slice number = slice_make(text.data, text.size - 1);
	size_t point = slice_find(number, '.');

	if (!slice_parse_u64(slice_make(number.data, point), 100, &whole)) {
		return false;
	}
	if (point < number.size &&
		(number.size - point != 2 ||
			!slice_parse_u64(slice_from(number, point + 1), 9, &tenth))) {
		return false;
	}
	if (whole == 100 && tenth > 0) {
		return false;
	}
	*ret_per_mille = (int)(whole * 10 + tenth);
	return true;
}

/* Stored per minute, the smaller of the two units, so that both are exact. */
bool config_type_rate(struct slice text, int64_t *ret_per_min)
{
	uint64_t number = 0;

	if (text.size < 3 || text.data[text.size - 2] != '/' ||
		!slice_parse_u64(slice_make(text.data, text.size - 2), 1000000000, &number)) {
		return false;
	}

	uint8_t per = text.data[text.size - 1];

	if (per != 's' && per != 'm') {
		return false;
	}
	*ret_per_min = (int64_t)number * (per == 's' ? 60 : 1);
	return true;
}

/* The form of mesh.md 1, which is that of a DNS name with underscores. */
bool config_type_name(struct slice text)
{
	if (text.size == 0 || text.size > 253) {
		return false;
	}
	for (size_t i = 0; i < text.size; i++) {
		uint8_t byte = text.data[i];
		bool inner = byte == '.' || byte == '_' || byte == '-';
		bool outer = (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9');

		if (!outer && !(inner && i > 0 && i + 1 < text.size)) {
			return false;
		}
	}
	return true;
}

/* A prefix, an address or a name, the last two with or without a port. */
bool config_type_egress(struct arena *arena, struct slice text, struct config_egress_entry *ret)
{
	struct config_egress_entry entry = {.text = arena_string(arena, text)};
	struct slice host = text;
	uint16_t port = 0;

	if (address_prefix_parse(text, &entry.prefix)) {
		entry.is_prefix = true;
		entry.host = entry.text;
		*ret = entry;
		return true;
	}
	if (slice_find(text, ':') < text.size && !address_split(text, &host, &port)) {
		return false;
	}

	struct slice name = slice_starts_with(host, SLICE("*.")) ? slice_from(host, 2) : host;

	entry.port = port;
	entry.is_prefix = address_prefix_parse(host, &entry.prefix);
	if (!entry.is_prefix && !config_type_name(name)) {
		return false;
	}
	entry.host = arena_string(arena, host);
	*ret = entry;
	return true;
}

/* Words of a row are few; the list is walked from its start. */
struct slice config_type_word_at(const char *words, size_t index)
{
	struct slice rest = slice_from_string(words);

	for (;;) {
		struct slice word = slice_make(rest.data, slice_find(rest, '|'));

		if (index-- == 0) {
			return word;
		}
		ASSERT(word.size < rest.size);
		rest = slice_from(rest, word.size + 1);
	}
}

size_t config_type_word_count(const char *words)
{
	size_t count = 1;

	ASSERT(words != NULL);
	for (const char *at = words; *at != '\0'; at++) {
		count += *at == '|' ? 1 : 0;
	}
	return count;
}

int config_type_word(const char *words, struct slice text)
{
	size_t count = config_type_word_count(words);

	for (size_t i = 0; i < count; i++) {
		if (slice_equal(config_type_word_at(words, i), text)) {
			return (int)i;
		}
	}
	return -1;
}

/* Lists need the size of their elements; the types of the fields stand in key.h. */
size_t config_type_size_of(enum config_type type)
{
	switch (type) {
	case CONFIG_BOOL:
		return sizeof(bool);
	case CONFIG_INT:
	case CONFIG_PERCENT:
	case CONFIG_STATUS:
	case CONFIG_WORD:
		return sizeof(int);
	case CONFIG_DURATION:
	case CONFIG_RATE:
		return sizeof(int64_t);
	case CONFIG_SIZE:
		return sizeof(uint64_t);
	case CONFIG_STRING:
	case CONFIG_NAME:
	case CONFIG_FILE:
		return sizeof(const char *);
	case CONFIG_ADDRESS:
		return sizeof(struct config_address);
	case CONFIG_HOST:
		return sizeof(struct config_host);
	case CONFIG_PREFIX:
		return sizeof(struct config_prefix);
	case CONFIG_EGRESS:
		return sizeof(struct config_egress_entry);
	case CONFIG_OUTPUT:
		return sizeof(struct config_output);
	case CONFIG_OBJECT:
	case CONFIG_MAP:
	case CONFIG_LIST:
	case CONFIG_PAIRS:
	case CONFIG_FILTERS:
	case CONFIG_IGNORED:
	case CONFIG_LATER:
		break;
	}
	return 0;
}

/* UTF-8 stays as it is: people read these texts. */
void config_type_quote(struct buf *ret_text, struct slice text)
{
	buf_append_byte(ret_text, '"');
	for (size_t i = 0; i < text.size; i++) {
		uint8_t byte = text.data[i];

		if (byte == '"' || byte == '\\') {
			buf_append_byte(ret_text, '\\');
			buf_append_byte(ret_text, byte);
		} else if (byte == '\n') {
			buf_append_string(ret_text, "\\n");
		} else if (byte < 0x20 || byte == 0x7f) {
			buf_appendf(ret_text, "\\u%04x", byte);
		} else {
			buf_append_byte(ret_text, byte);
		}
	}
	buf_append_byte(ret_text, '"');
}

/* The largest unit that divides the value, from ms on: 1500 ms is "1500ms", 90,000 ms is "90s". */
static void format_duration(int64_t ms, struct buf *text)
{
	size_t unit = 1;

	while (unit + 1 < ARRAY_SIZE(duration_units) && ms != 0 &&
		ms % (int64_t)(duration_units[unit + 1].factor / 1000) == 0) {
		unit++;
	}
	buf_appendf(text, "%" PRId64 "%s", ms / (int64_t)(duration_units[unit].factor / 1000),
		duration_units[unit].name);
}

static void format_size(uint64_t bytes, struct buf *text)
{
	size_t unit = 0;

	while (unit + 1 < ARRAY_SIZE(size_units) && bytes != 0 &&
		bytes % size_units[unit + 1].factor == 0) {
		unit++;
	}
	buf_appendf(text, "%" PRIu64 "%s", bytes / size_units[unit].factor, size_units[unit].name);
}

static void format_percent(int per_mille, struct buf *text)
{
	if (per_mille % 10 == 0) {
		buf_appendf(text, "%d%%", per_mille / 10);
	} else {
		buf_appendf(text, "%d.%d%%", per_mille / 10, per_mille % 10);
	}
}

static void format_rate(int64_t per_min, struct buf *text)
{
	bool seconds = per_min % 60 == 0;

	buf_appendf(text, "%" PRId64 "/%s", seconds ? per_min / 60 : per_min, seconds ? "s" : "m");
}

/* A number of that type without quotes, as ranges show it. */
static void format_number(enum config_type type, int64_t value, struct buf *text)
{
	if (type == CONFIG_DURATION) {
		format_duration(value, text);
	} else if (type == CONFIG_SIZE) {
		format_size((uint64_t)value, text);
	} else if (type == CONFIG_PERCENT) {
		format_percent((int)value, text);
	} else if (type == CONFIG_RATE) {
		format_rate(value, text);
	} else {
		buf_appendf(text, "%" PRId64, value);
	}
}

static void format_text(const char *value, struct buf *text)
{
	if (value == NULL) {
		buf_append_string(text, "null");
	} else {
		config_type_quote(text, slice_from_string(value));
	}
}

/* 0 is "off" exactly where the key allows that. */
static void format_quantity(
	const struct config_key *key, enum config_type type, int64_t value, struct buf *text)
{
	if (value == 0 && (key->flags & CONFIG_MAY_BE_OFF) != 0) {
		buf_append_string(text, "\"off\"");
		return;
	}
	buf_append_byte(text, '"');
	format_number(type, value, text);
	buf_append_byte(text, '"');
}

static void format_output(
	const struct config_key *key, const struct config_output *output, struct buf *text)
{
	if (output->kind == CONFIG_OUTPUT_FILE) {
		format_text(output->path, text);
	} else {
		config_type_quote(text, config_type_word_at(key->words, output->kind));
	}
}

/* The text that it gives is read back as the same value, which `config show` relies on. */
void config_type_format(const struct config_key *key, enum config_type type, const void *value,
	struct buf *ret_text)
{
	ASSERT(key != NULL && value != NULL);
	switch (type) {
	case CONFIG_BOOL:
		buf_append_string(ret_text, *(const bool *)value ? "true" : "false");
		return;
	case CONFIG_INT:
		buf_appendf(ret_text, "%d", *(const int *)value);
		return;
	case CONFIG_STATUS:
		buf_appendf(ret_text, "\"%d\"", *(const int *)value);
		return;
	case CONFIG_PERCENT:
		format_quantity(key, type, *(const int *)value, ret_text);
		return;
	case CONFIG_DURATION:
	case CONFIG_RATE:
		format_quantity(key, type, *(const int64_t *)value, ret_text);
		return;
	case CONFIG_SIZE:
		format_quantity(key, type, (int64_t) * (const uint64_t *)value, ret_text);
		return;
	case CONFIG_STRING:
	case CONFIG_NAME:
	case CONFIG_FILE:
		format_text(*(const char *const *)value, ret_text);
		return;
	case CONFIG_WORD:
		config_type_quote(
			ret_text, config_type_word_at(key->words, (size_t) * (const int *)value));
		return;
	case CONFIG_ADDRESS:
		format_text(((const struct config_address *)value)->text, ret_text);
		return;
	case CONFIG_HOST:
		format_text(((const struct config_host *)value)->text, ret_text);
		return;
	case CONFIG_PREFIX:
		format_text(((const struct config_prefix *)value)->text, ret_text);
		return;
	case CONFIG_EGRESS:
		format_text(((const struct config_egress_entry *)value)->text, ret_text);
		return;
	case CONFIG_OUTPUT:
		format_output(key, value, ret_text);
		return;
	case CONFIG_OBJECT:
	case CONFIG_MAP:
	case CONFIG_LIST:
	case CONFIG_PAIRS:
	case CONFIG_FILTERS:
	case CONFIG_IGNORED:
	case CONFIG_LATER:
		break;
	}
	ASSERT(false && "a scalar type");
}

void config_type_range(const struct config_key *key, enum config_type type, struct buf *ret_text)
{
	format_number(type, key->min, ret_text);
	buf_append_string(ret_text, "..");
	format_number(type, key->max, ret_text);
	if ((key->flags & CONFIG_MAY_BE_OFF) != 0) {
		buf_append_string(ret_text, " or \"off\"");
	}
}

/* All words, in the order of the table. */
static void expected_word(const struct config_key *key, struct buf *text)
{
	size_t count = config_type_word_count(key->words);

	buf_append_string(text, count == 1 ? "" : "one of ");
	for (size_t i = 0; i < count; i++) {
		buf_append_string(text, i == 0 ? "" : i + 1 == count ? " or " : ", ");
		config_type_quote(text, config_type_word_at(key->words, i));
	}
}

static const char *expected_form(enum config_type type)
{
	switch (type) {
	case CONFIG_BOOL:
		return "true or false";
	case CONFIG_INT:
		return "a whole number";
	case CONFIG_DURATION:
		return "a duration such as \"250ms\"";
	case CONFIG_SIZE:
		return "a size such as \"64KiB\"";
	case CONFIG_PERCENT:
		return "a percentage such as \"20%\"";
	case CONFIG_RATE:
		return "a rate such as \"100/s\"";
	case CONFIG_STATUS:
		return "a status in quotes such as \"503\"";
	case CONFIG_STRING:
	case CONFIG_WORD:
		return "a string";
	case CONFIG_NAME:
		return "a name of the form [a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?";
	case CONFIG_FILE:
		return "the path of a file";
	case CONFIG_ADDRESS:
		return "ip:port with a port in 1..65535, such as \"127.0.0.1:8080\"";
	case CONFIG_HOST:
		return "host:port with a port in 1..65535, such as \"mesh-0:7440\"";
	case CONFIG_PREFIX:
		return "an address or prefix such as \"10.0.0.0/8\"";
	case CONFIG_EGRESS:
		return "a name, address or prefix such as \"api.example:443\"";
	case CONFIG_OUTPUT:
		return "\"stdout\", \"stderr\", \"off\" or the path of a file";
	case CONFIG_OBJECT:
	case CONFIG_MAP:
	case CONFIG_PAIRS:
		return "an object";
	case CONFIG_LIST:
	case CONFIG_FILTERS:
		return "a list";
	case CONFIG_IGNORED:
	case CONFIG_LATER:
		break;
	}
	return "nothing";
}

/*
 * Ranges of integers are part of what is expected; those of quantities are told when they are
 * broken.
 */
void config_type_expected(const struct config_key *key, enum config_type type, struct buf *ret_text)
{
	if (type == CONFIG_WORD) {
		expected_word(key, ret_text);
		return;
	}
	buf_append_string(ret_text, expected_form(type));
	if (type == CONFIG_INT && key->min != key->max) {
		buf_append_string(ret_text, " in ");
		config_type_range(key, type, ret_text);
	}
	if (type == CONFIG_OBJECT && key->words != NULL) {
		buf_append_string(ret_text, ", ");
		expected_word(key, ret_text);
	}
	if ((key->flags & CONFIG_MAY_BE_OFF) != 0 && type != CONFIG_INT) {
		buf_append_string(ret_text, ", or \"off\"");
	} else if (type == CONFIG_ADDRESS && key->words != NULL) {
		buf_append_string(ret_text, ", or \"off\"");
	}
}
