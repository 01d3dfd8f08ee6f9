/*
 * respell: what people write for durations, sizes, shares, booleans and addresses elsewhere.
 */
#include "config/respell.h"

#include <ctype.h>
#include <inttypes.h>

#include "base/assert.h"
#include "config/nearest.h"

/* Numbers are read in millionths, so that "1.5s" and "0.2" are exact. */
#define MILLION 1000000

/* Values past this are not worth a suggestion, and products stay far from overflow. */
#define NUMBER_MAX 1000000000

/* Spellings of units elsewhere, in the smallest unit of their kind. */
struct alias {
	const char *text; /* lower case */
	uint64_t factor;
};

static const struct alias durations[] = {{"", 1000}, {"us", 1}, {"usec", 1}, {"ms", 1000},
	{"msec", 1000}, {"msecs", 1000}, {"millis", 1000}, {"s", 1000000}, {"sec", 1000000},
	{"secs", 1000000}, {"second", 1000000}, {"seconds", 1000000}, {"m", 60000000},
	{"min", 60000000}, {"mins", 60000000}, {"minute", 60000000}, {"minutes", 60000000},
	{"h", 3600000000}, {"hr", 3600000000}, {"hour", 3600000000}, {"hours", 3600000000},
	{"d", 86400000000}, {"day", 86400000000}, {"days", 86400000000}};

static const struct alias sizes[] = {{"", 1}, {"b", 1}, {"byte", 1}, {"bytes", 1}, {"k", 1024},
	{"kb", 1024}, {"kib", 1024}, {"ki", 1024}, {"m", 1048576}, {"mb", 1048576},
	{"mib", 1048576}, {"mi", 1048576}, {"g", 1073741824}, {"gb", 1073741824},
	{"gib", 1073741824}, {"gi", 1073741824}};

static struct slice skip_blanks(struct slice text)
{
	while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '_')) {
		text = slice_from(text, 1);
	}
	return text;
}

/* digits[.digits] in millionths; at most NUMBER_MAX. */
static bool take_number(struct slice *text, uint64_t *ret_millionths)
{
	struct slice rest = skip_blanks(*text);
	uint64_t value = 0;
	uint64_t scale = MILLION;
	size_t digits = 0;
	bool fraction = false;

	for (; rest.size > 0; rest = slice_from(rest, 1)) {
		uint8_t byte = rest.data[0];

		if (byte == '.' && !fraction && digits > 0) {
			fraction = true;
			continue;
		}
		if (!isdigit(byte)) {
			break;
		}
		digits++;
		if (fraction) {
			scale /= 10;
			value += (uint64_t)(byte - '0') * scale;
		} else {
			value = value * 10 + (uint64_t)(byte - '0') * MILLION;
		}
		if (value > (uint64_t)NUMBER_MAX * MILLION) {
			return false;
		}
	}
	*text = rest;
	*ret_millionths = value;
	return digits > 0;
}

/* The unit behind a number, with or without a blank between. */
static struct slice take_letters(struct slice *text)
{
	struct slice rest = skip_blanks(*text);
	size_t size = 0;

	while (size < rest.size && isalpha(rest.data[size])) {
		size++;
	}
	*text = slice_from(rest, size);
	return slice_make(rest.data, size);
}

static bool find_alias(
	const struct alias *aliases, size_t count, struct slice unit, uint64_t *ret_factor)
{
	for (size_t i = 0; i < count; i++) {
		if (slice_equal_fold(unit, slice_from_string(aliases[i].text))) {
			*ret_factor = aliases[i].factor;
			return true;
		}
	}
	return false;
}

/* Sum of number-unit pairs, rounded down to whole base units; overflow is bounded by the pairs. */
static bool take_sum(
	struct slice text, const struct alias *aliases, size_t count, uint64_t *ret_sum)
{
	uint64_t sum = 0;
	int pairs = 0;

	while (text.size > 0) {
		uint64_t number = 0;
		uint64_t factor = 0;

		if (++pairs > 4 || !take_number(&text, &number) ||
			!find_alias(aliases, count, take_letters(&text), &factor)) {
			return false;
		}
		sum += (uint64_t)((unsigned __int128)number * factor / MILLION);
		if (sum > (uint64_t)INT64_MAX / 8) {
			return false;
		}
	}
	*ret_sum = sum;
	return pairs > 0;
}

/* What is no whole millisecond has no valid spelling near it. */
static bool respell_sum(const struct config_key *key, enum config_type type, struct slice text,
	struct buf *ret_text)
{
	struct config_key plain = {.name = key->name};
	uint64_t sum = 0;

	if (type == CONFIG_SIZE) {
		if (!take_sum(text, sizes, ARRAY_SIZE(sizes), &sum)) {
			return false;
		}
		config_type_format(&plain, type, &sum, ret_text);
		return true;
	}
	if (!take_sum(text, durations, ARRAY_SIZE(durations), &sum)) {
		return false;
	}

	int64_t ms = (int64_t)(sum / 1000);

	if (sum % 1000 != 0) {
		return false;
	}
	config_type_format(&plain, type, &ms, ret_text);
	return true;
}

/* 20 is "20%"; 0.2 is "20%" too; "20 percent". */
static bool respell_percent(struct slice text, struct buf *ret_text)
{
	uint64_t value = 0;
	bool below_one;

	if (!take_number(&text, &value)) {
		return false;
	}
	below_one = value > 0 && value < MILLION && slice_find(text, '%') == text.size;

	uint64_t per_mille = below_one ? value * 1000 / MILLION : value * 10 / MILLION;

	if (per_mille > 1000) {
		return false;
	}
	if (per_mille % 10 == 0) {
		buf_appendf(ret_text, "\"%" PRIu64 "%%\"", per_mille / 10);
	} else {
		buf_appendf(
			ret_text, "\"%" PRIu64 ".%" PRIu64 "%%\"", per_mille / 10, per_mille % 10);
	}
	return true;
}

/* A bare number is taken per second. */
static bool respell_rate(struct slice text, struct buf *ret_text)
{
	uint64_t value = 0;

	if (!take_number(&text, &value) || value % MILLION != 0) {
		return false;
	}
	text = skip_blanks(text);

	bool minutes = text.size > 1 && text.data[0] == '/' && (text.data[1] | 0x20) == 'm';

	buf_appendf(ret_text, "\"%" PRIu64 "/%s\"", value / MILLION, minutes ? "m" : "s");
	return true;
}

/* Words of YAML and of INI files. */
static bool respell_bool(struct slice text, struct buf *ret_text)
{
	static const char *const yes[] = {"true", "yes", "on", "1", "enabled", "enable"};
	static const char *const no[] = {"false", "no", "off", "0", "disabled", "disable", "none"};

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		if (slice_equal_fold(text, slice_from_string(yes[i]))) {
			buf_append_string(ret_text, "true");
			return true;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(no); i++) {
		if (slice_equal_fold(text, slice_from_string(no[i]))) {
			buf_append_string(ret_text, "false");
			return true;
		}
	}
	return false;
}

/* "8080" and 8080.0 and 1e3: whole numbers in another dress. */
static bool respell_int(const struct config_key *key, struct slice text, struct buf *ret_text)
{
	struct slice rest = slice_trim(text);
	uint64_t value = 0;
	uint64_t power = 0;

	if (!take_number(&rest, &value) || value % MILLION != 0) {
		return false;
	}
	value /= MILLION;
	if (rest.size > 1 && (rest.data[0] | 0x20) == 'e' &&
		slice_parse_u64(slice_from(rest, rest.data[1] == '+' ? 2 : 1), 9, &power)) {
		for (; power > 0 && value <= NUMBER_MAX; power--) {
			value *= 10;
		}
	} else if (rest.size > 0) {
		return false;
	}
	if (key->min != key->max && ((int64_t)value < key->min || (int64_t)value > key->max)) {
		return false;
	}
	buf_appendf(ret_text, "%" PRIu64, value);
	return true;
}

/* Lower case, and a dash for what names cannot hold. */
static bool respell_name(struct slice text, struct buf *ret_text)
{
	struct buf name;
	bool good;

	buf_init(&name);
	for (size_t i = 0; i < text.size && i < 253; i++) {
		int byte = tolower(text.data[i]);
		bool inner = byte == '.' || byte == '_' || byte == '-';

		if (isalnum(byte) || (inner && name.size > 0)) {
			buf_append_byte(&name, (uint8_t)byte);
		} else if (name.size > 0 && name.data[name.size - 1] != '-') {
			buf_append_byte(&name, '-');
		}
	}
	while (name.size > 0 && !isalnum(name.data[name.size - 1])) {
		name.size--;
	}
	good = config_type_name(buf_slice(&name));
	if (good) {
		config_type_quote(ret_text, buf_slice(&name));
	}
	buf_fini(&name);
	return good;
}

/* A URL, a bare port or a host where ip:port is wanted. */
static bool respell_address(enum config_type type, struct slice text, struct buf *ret_text)
{
	static const struct slice schemes[] = {
		SLICE("http://"), SLICE("https://"), SLICE("tcp://")};
	struct address address;
	struct slice host;
	uint16_t port = 0;
	struct buf spelt;
	bool good;

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		if (slice_starts_with(text, schemes[i])) {
			text = slice_from(text, schemes[i].size);
		}
	}
	text = slice_make(text.data, slice_find(text, '/'));
	if (slice_starts_with(text, SLICE("localhost:")) && type == CONFIG_ADDRESS) {
		text = slice_from(text, 9);
	}
	buf_init(&spelt);
	if (text.size > 0 && text.size <= 5 && isdigit(text.data[0])) {
		buf_append_byte(&spelt, ':');
	}
	buf_append_slice(&spelt, text);
	if (spelt.size > 0 && spelt.data[0] == ':') {
		struct buf whole;

		buf_init(&whole);
		buf_append_string(&whole, "127.0.0.1");
		buf_append_slice(&whole, buf_slice(&spelt));
		buf_fini(&spelt);
		spelt = whole;
	}
	good = type == CONFIG_ADDRESS ? address_parse(buf_slice(&spelt), false, &address)
				      : address_split(buf_slice(&spelt), &host, &port) && port > 0;
	if (good) {
		config_type_quote(ret_text, buf_slice(&spelt));
	}
	buf_fini(&spelt);
	return good;
}

static bool respell_word(const struct config_key *key, struct slice text, struct buf *ret_text)
{
	int index = config_nearest_word(text, key->words);

	if (index < 0) {
		return false;
	}
	config_type_quote(ret_text, config_type_word_at(key->words, (size_t)index));
	return true;
}

/* What is suggested is always valid: every branch ends in the form that the type accepts. */
bool config_respell(const struct config_key *key, enum config_type type, struct slice text,
	struct buf *ret_text)
{
	ASSERT(key != NULL && ret_text != NULL);
	switch (type) {
	case CONFIG_DURATION:
	case CONFIG_SIZE:
		return respell_sum(key, type, text, ret_text);
	case CONFIG_PERCENT:
		return respell_percent(text, ret_text);
	case CONFIG_RATE:
		return respell_rate(text, ret_text);
	case CONFIG_BOOL:
		return respell_bool(text, ret_text);
	case CONFIG_INT:
		return respell_int(key, text, ret_text);
	case CONFIG_NAME:
		return respell_name(text, ret_text);
	case CONFIG_ADDRESS:
	case CONFIG_HOST:
		return respell_address(type, text, ret_text);
	case CONFIG_WORD:
	case CONFIG_OUTPUT:
	case CONFIG_OBJECT:
		return key->words != NULL && respell_word(key, text, ret_text);
	case CONFIG_STATUS:
	case CONFIG_STRING:
		config_type_quote(ret_text, text);
		return text.size > 0 && text.size < 60;
	case CONFIG_FILE:
	case CONFIG_PREFIX:
	case CONFIG_EGRESS:
	case CONFIG_MAP:
	case CONFIG_LIST:
	case CONFIG_PAIRS:
	case CONFIG_FILTERS:
	case CONFIG_IGNORED:
	case CONFIG_LATER:
		break;
	}
	return false;
}
