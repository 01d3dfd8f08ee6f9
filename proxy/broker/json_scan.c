/*
 * A recursive descent without a tree: texts are small, at most a megabyte of leases, and every
 * value is looked at once or twice.
 */
#include "base/utf8.h"
#include "broker/json_scan.h"

struct reader {
	const uint8_t *at, *end;
};

/* The four characters of RFC 8259, no others. */
static void skip_space(struct reader *reader)
{
	while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\t' ||
						   *reader->at == '\n' || *reader->at == '\r')) {
		reader->at++;
	}
}

/* The next byte, if it is that one. */
static bool take(struct reader *reader, char byte)
{
	if (reader->at < reader->end && *reader->at == (uint8_t)byte) {
		reader->at++;
		return true;
	}
	return false;
}

/* Behind the opening quote; to behind the closing one. */
static bool skip_string(struct reader *reader)
{
	while (reader->at < reader->end) {
		uint8_t byte = *reader->at++;

		if (byte == '"') {
			return true;
		}
		/* RFC 8259 7: control characters stand escaped or not at all. UTF-8 is tested
		 * once for the whole text. */
		if (byte < 0x20) {
			return false;
		}
		if (byte != '\\') {
			continue;
		}
		if (reader->at == reader->end) {
			return false;
		}
		byte = *reader->at++;
		if (byte == 'u') {
			if (utf8_hex_unit(reader->at, reader->end) < 0) {
				return false;
			}
			reader->at += 4;
		} else if (!memchr("\"\\/bfnrt", byte, 8)) {
			return false;
		}
	}
	return false;
}

/* At least one. */
static bool skip_digits(struct reader *reader)
{
	const uint8_t *begin = reader->at;

	while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9') {
		reader->at++;
	}
	return reader->at > begin;
}

/* No leading zeros, no bare point: exactly the grammar of RFC 8259. */
static bool skip_number(struct reader *reader)
{
	(void)take(reader, '-');
	if (!take(reader, '0') && !skip_digits(reader)) {
		return false;
	}
	if (take(reader, '.') && !skip_digits(reader)) {
		return false;
	}
	if (take(reader, 'e') || take(reader, 'E')) {
		if (!take(reader, '+')) {
			(void)take(reader, '-');
		}
		return skip_digits(reader);
	}
	return true;
}

/* true, false, null. */
static bool skip_word(struct reader *reader, const char *word)
{
	size_t size = strlen(word);

	if ((size_t)(reader->end - reader->at) < size || memcmp(reader->at, word, size) != 0) {
		return false;
	}
	reader->at += size;
	return true;
}

static bool skip_value(struct reader *reader, unsigned depth);

/* Objects and arrays differ only in the name before the value. */
static bool skip_members(struct reader *reader, unsigned depth, bool object)
{
	char close = object ? '}' : ']';

	skip_space(reader);
	if (take(reader, close)) {
		return true;
	}
	do {
		skip_space(reader);
		if (object) {
			if (!take(reader, '"') || !skip_string(reader)) {
				return false;
			}
			skip_space(reader);
			if (!take(reader, ':')) {
				return false;
			}
		}
		if (!skip_value(reader, depth)) {
			return false;
		}
		skip_space(reader);
	} while (take(reader, ','));
	return take(reader, close);
}

/* The depth is bounded, so that a body of brackets cannot exhaust the stack. */
static bool skip_value(struct reader *reader, unsigned depth)
{
	skip_space(reader);
	if (reader->at == reader->end || depth == JSON_SCAN_DEPTH) {
		return false;
	}
	switch (*reader->at) {
	case '{':
		reader->at++;
		return skip_members(reader, depth + 1, true);
	case '[':
		reader->at++;
		return skip_members(reader, depth + 1, false);
	case '"':
		reader->at++;
		return skip_string(reader);
	case 't':
		return skip_word(reader, "true");
	case 'f':
		return skip_word(reader, "false");
	case 'n':
		return skip_word(reader, "null");
	default:
		return skip_number(reader);
	}
}

/* Everything else here relies on this answer and checks less. */
bool json_scan_valid(struct slice text)
{
	struct reader reader = {text.data, text.data + text.size};

	/* An empty text is no value (RFC 8259 2); callers that allow an empty body ask for it
	 * first. */
	if (text.size == 0 || !utf8_valid(text) || !skip_value(&reader, 0)) {
		return false;
	}
	skip_space(&reader);
	return reader.at == reader.end;
}

/* Behind the opening bracket. */
static bool begin(struct slice value, char open, struct json_scan *ret_scan)
{
	struct reader reader = {value.data, value.data + value.size};

	skip_space(&reader);
	if (!take(&reader, open)) {
		return false;
	}
	ret_scan->rest = slice_make(reader.at, (size_t)(reader.end - reader.at));
	return true;
}

/* The value has been found valid as a whole, so only its kind is asked here. */
bool json_scan_object(struct slice value, struct json_scan *ret_scan)
{
	return begin(value, '{', ret_scan);
}

bool json_scan_array(struct slice value, struct json_scan *ret_scan)
{
	return begin(value, '[', ret_scan);
}

/* The separator behind it is passed as well. */
static bool next_value(struct json_scan *scan, struct reader *reader, struct slice *ret_value)
{
	const uint8_t *first;

	skip_space(reader);
	first = reader->at;
	if (!skip_value(reader, 0)) {
		return false;
	}
	*ret_value = slice_make(first, (size_t)(reader->at - first));
	skip_space(reader);
	(void)take(reader, ',');
	scan->rest = slice_make(reader->at, (size_t)(reader->end - reader->at));
	return true;
}

/* Names are decoded, since an escaped name is the same name. */
bool json_scan_member(struct json_scan *scan, struct buf *name, struct slice *ret_value)
{
	struct reader reader = {scan->rest.data, scan->rest.data + scan->rest.size};
	const uint8_t *first;

	skip_space(&reader);
	first = reader.at;
	if (!take(&reader, '"') || !skip_string(&reader)) {
		return false;
	}
	buf_clear(name);
	if (!json_scan_string(slice_make(first, (size_t)(reader.at - first)), name)) {
		return false;
	}
	skip_space(&reader);
	return take(&reader, ':') && next_value(scan, &reader, ret_value);
}

/* An empty list ends at once. */
bool json_scan_element(struct json_scan *scan, struct slice *ret_value)
{
	struct reader reader = {scan->rest.data, scan->rest.data + scan->rest.size};

	skip_space(&reader);
	if (reader.at == reader.end || *reader.at == ']') {
		return false;
	}
	return next_value(scan, &reader, ret_value);
}

/* \uXXXX, with a second half where it begins a pair; half a pair becomes U+FFFD. */
static const uint8_t *put_escape(const uint8_t *at, const uint8_t *end, struct buf *text)
{
	uint32_t code = (uint32_t)utf8_hex_unit(at, end);
	uint8_t *place;

	at += 4;
	if (code >= 0xD800 && code < 0xDC00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u') {
		int32_t low = utf8_hex_unit(at + 2, end);

		if (low >= 0xDC00 && low < 0xE000) {
			code = 0x10000 + ((code - 0xD800) << 10) + ((uint32_t)low - 0xDC00);
			at += 6;
		}
	}
	/* It cannot be written as UTF-8; refusing it would make valid JSON invalid, so it is
	 * shown as unknown. */
	if (code >= 0xD800 && code < 0xE000) {
		code = 0xFFFD;
	}
	place = buf_reserve(text, 4);
	text->size += (size_t)(utf8_write(code, place) - place);
	return at;
}

/* Decoded text is at most as long as its source. */
bool json_scan_string(struct slice value, struct buf *ret_text)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
	const uint8_t *at = value.data + 1, *end = value.data + value.size - 1;

	if (value.size < 2 || value.data[0] != '"') {
		return false;
	}
	while (at < end) {
		const char *found;

		if (*at != '\\') {
			buf_append_byte(ret_text, *at++);
			continue;
		}
		at++;
		if (*at == 'u') {
			at = put_escape(at + 1, end, ret_text);
			continue;
		}
		found = strchr(from, *at);
		buf_append_byte(ret_text, found ? (uint8_t)to[found - from] : *at);
		at++;
	}
	return true;
}

/* Digits only: sizes and counts have no sign and no fraction. */
bool json_scan_number(struct slice value, uint64_t max, uint64_t *ret_number)
{
	return slice_parse_u64(value, max, ret_number);
}

/* Text that is valid UTF-8 stays readable. */
void json_scan_put_string(struct buf *buf, struct slice text)
{
	buf_append_byte(buf, '"');
	for (size_t i = 0; i < text.size; i++) {
		uint8_t byte = text.data[i];

		if (byte == '"' || byte == '\\') {
			buf_append_byte(buf, '\\');
			buf_append_byte(buf, byte);
		} else if (byte < 0x20) {
			buf_appendf(buf, "\\u%04x", byte);
		} else {
			buf_append_byte(buf, byte);
		}
	}
	buf_append_byte(buf, '"');
}
