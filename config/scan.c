/*
 * scan: one pass over the text, recursive descent bounded by CONFIG_DEPTH_MAX. A mistake that
 * people make and that can only mean one thing (PIL1016) is reported and read as meant, so that the
 * rest of the file is seen too; any other syntax error ends the file.
 */
#include "config/scan.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/map.h"
#include "base/utf8.h"
#include "config/json.h"

/* The state of one pass; `at` never moves back but to show where a bad token began. */
struct scan {
	struct config_source *source;
	struct config_report *report;
	struct arena *arena;
	const uint8_t *data;
	size_t size;
	size_t at;
	uint8_t *blank;
	int mistakes; /* of PIL1016 */
	bool failed;  /* some other error: the file ends here */
};

enum byte_class { END_OF_TEXT = -1 };

/* The end of the text is a value of its own, so that no byte has to stand for it. */
static int peek(const struct scan *scan)
{
	return scan->at < scan->size ? scan->data[scan->at] : END_OF_TEXT;
}

static void problem(struct scan *scan, struct config_span span, unsigned code, const char *expected,
	const char *found, const char *fix)
{
	struct config_problem problem = {
		.code = code,
		.place = config_node_place(scan->source, span),
		.expected = expected,
		.found = found,
		.fix = fix,
	};

	ASSERT(span.end <= scan->size + 1);
	config_report_add(scan->report, &problem);
}

static void say(struct scan *scan, struct config_span span, unsigned code, const char *text,
	const char *fix)
{
	struct config_problem problem = {
		.code = code,
		.place = config_node_place(scan->source, span),
		.text = text,
		.fix = fix,
	};

	config_report_add(scan->report, &problem);
}

/* An error after which nothing sure can be said about the rest. */
static bool fail(struct scan *scan, struct config_span span, unsigned code, const char *text)
{
	say(scan, span, code, text, NULL);
	scan->failed = true;
	return false;
}

/* PIL1016: reported, then read as meant; after CONFIG_MISTAKE_MAX the file ends (CF-06). */
static bool mistake(struct scan *scan, struct config_span span, const char *text, const char *fix)
{
	ASSERT(fix != NULL);
	say(scan, span, 1016, text, fix);
	if (++scan->mistakes >= CONFIG_MISTAKE_MAX) {
		scan->failed = true;
		return false;
	}
	return true;
}

/* The whole text is checked, as comments are part of it too. */
bool config_scan_utf8(struct slice text, size_t *ret_offset)
{
	for (size_t i = 0; i < text.size;) {
		size_t length = utf8_sequence(text.data + i, text.data + text.size);

		if (length == 0) {
			*ret_offset = i;
			return false;
		}
		i += length;
	}
	return true;
}

/* Found token for messages: the byte, or the end of the text. */
static const char *describe(const struct scan *scan, size_t at)
{
	struct buf text;

	if (at >= scan->size) {
		return "the end of the text";
	}

	size_t length = utf8_sequence(scan->data + at, scan->data + scan->size);
	uint8_t byte = scan->data[at];

	buf_init(&text);
	if (length == 0 || byte < 0x20 || byte == 0x7f) {
		buf_appendf(&text, "byte 0x%02x", byte);
	} else if (isalnum(byte)) {
		size_t end = at;

		while (end < scan->size && end - at < 20 && isalnum(scan->data[end])) {
			end++;
		}
		buf_appendf(&text, "%.*s", (int)(end - at), (const char *)scan->data + at);
	} else {
		buf_appendf(&text, "'%.*s'", (int)length, (const char *)scan->data + at);
	}
	const char *copy = arena_string(scan->arena, buf_slice(&text));
	buf_fini(&text);
	return copy;
}

/* What may stand here and what does (PIL1010). */
static bool unexpected(struct scan *scan, const char *expected)
{
	problem(scan, (struct config_span){scan->at, scan->at + (scan->at < scan->size ? 1 : 0)},
		1010, expected, describe(scan, scan->at), NULL);
	scan->failed = true;
	return false;
}

/* Comments and the order mark become 0x20; line ends stay, so that all offsets hold (CF-03). */
static void blank_out(struct scan *scan, size_t start, size_t end)
{
	ASSERT(start <= end && end <= scan->size);
	for (size_t i = start; i < end; i++) {
		if (scan->data[i] != '\n' && scan->data[i] != '\r') {
			scan->blank[i] = ' ';
		}
	}
}

static bool skip_line_comment(struct scan *scan)
{
	size_t start = scan->at;

	scan->at += slice_find(slice_make(scan->data + start, scan->size - start), '\n');
	blank_out(scan, start, scan->at);
	return true;
}

/* Not nested: the first end ends it. An open one is shown at its start (PIL1011). */
static bool skip_block_comment(struct scan *scan)
{
	size_t start = scan->at;

	for (size_t i = start + 2; i + 1 < scan->size; i++) {
		if (scan->data[i] == '*' && scan->data[i + 1] == '/') {
			scan->at = i + 2;
			blank_out(scan, start, scan->at);
			return true;
		}
	}
	return fail(
		scan, (struct config_span){start, start + 2}, 1011, "this comment has no end (*/)");
}

/* White space and comments before the next token. */
static bool skip_space(struct scan *scan)
{
	while (scan->at < scan->size) {
		uint8_t byte = scan->data[scan->at];
		int next = scan->at + 1 < scan->size ? scan->data[scan->at + 1] : END_OF_TEXT;
		size_t start = scan->at;

		if (byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n') {
			scan->at++;
		} else if (byte == '/' && next == '/') {
			skip_line_comment(scan);
		} else if (byte == '/' && next == '*') {
			if (!skip_block_comment(scan)) {
				return false;
			}
		} else if (byte == '#') {
			skip_line_comment(scan);
			if (!mistake(scan, (struct config_span){start, start + 1},
				    "# does not begin a comment", "write // instead of #")) {
				return false;
			}
		} else {
			return true;
		}
	}
	return true;
}

/* Four hex digits behind \u, or -1. */
static int unit_at(const struct scan *scan, size_t at)
{
	if (at + 6 > scan->size || scan->data[at] != '\\' || scan->data[at + 1] != 'u') {
		return -1;
	}
	return utf8_hex_unit(scan->data + at + 2, scan->data + scan->size);
}

/* Surrogates never come here: read_unit has joined or refused them. */
static void append_utf8(struct buf *text, unsigned point)
{
	uint8_t *place = buf_reserve(text, 4);

	text->size += (size_t)(utf8_write(point, place) - place);
}

/* \uXXXX at the current place; a surrogate takes its partner with it (RFC 8259 7). */
static bool read_unit(struct scan *scan, struct buf *text)
{
	size_t start = scan->at;
	int unit = unit_at(scan, start);

	if (unit < 0) {
		return fail(scan, (struct config_span){start, start + 2}, 1010,
			"expected four hexadecimal digits behind \\u");
	}
	scan->at += 6;
	if (unit == 0) {
		return fail(scan, (struct config_span){start, scan->at}, 1012,
			"\\u0000 may not stand in a string");
	}
	if (unit >= 0xd800 && unit <= 0xdbff) {
		int low = unit_at(scan, scan->at);

		if (low >= 0xdc00 && low <= 0xdfff) {
			scan->at += 6;
			append_utf8(text, 0x10000u + ((unsigned)unit - 0xd800u) * 0x400u +
						  ((unsigned)low - 0xdc00u));
			return true;
		}
	}
	if (unit >= 0xd800 && unit <= 0xdfff) {
		return fail(scan, (struct config_span){start, start + 6}, 1012,
			"half of a surrogate pair stands alone");
	}
	append_utf8(text, (unsigned)unit);
	return true;
}

/* The eight short escapes of RFC 8259 7, and \u. */
static bool read_escape(struct scan *scan, struct buf *text)
{
	static const char from[] = "\"\\/bfnrt";
	static const char to[] = "\"\\/\b\f\n\r\t";
	int byte = scan->at + 1 < scan->size ? scan->data[scan->at + 1] : END_OF_TEXT;
	const char *found = byte > 0 ? strchr(from, byte) : NULL;

	ASSERT(scan->data[scan->at] == '\\');
	if (byte == 'u') {
		return read_unit(scan, text);
	}
	if (found == NULL) {
		return fail(scan, (struct config_span){scan->at, scan->at + 1}, 1010,
			"expected one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX");
	}
	buf_append_byte(text, (uint8_t)to[found - from]);
	scan->at += 2;
	return true;
}

/* A string from its opening quote on; decoded text in the arena. */
static bool read_string(struct scan *scan, struct slice *ret_text)
{
	size_t start = scan->at;
	uint8_t quote = scan->data[start];
	bool good = true;
	struct buf text;

	buf_init(&text);
	scan->at++;
	for (;;) {
		int byte = peek(scan);

		if (byte == quote) {
			scan->at++;
			break;
		}
		if (byte == END_OF_TEXT || byte == '\n' || byte == '\r') {
			good = fail(scan, (struct config_span){start, start + 1}, 1011,
				"this string has no end on its line");
		} else if (byte == '\\') {
			good = read_escape(scan, &text);
		} else if (byte < 0x20) {
			good = fail(scan, (struct config_span){scan->at, scan->at + 1}, 1012,
				"a control character in a string must be written as an escape");
		} else {
			size_t length =
				utf8_sequence(scan->data + scan->at, scan->data + scan->size);

			buf_append(&text, scan->data + scan->at, length);
			good = length > 0 ||
			       fail(scan, (struct config_span){scan->at, scan->at + 1}, 1012,
				       "these bytes are not UTF-8");
			scan->at += length;
		}
		if (!good) {
			break;
		}
	}
	if (good) {
		*ret_text = arena_copy(scan->arena, buf_slice(&text));
	}
	buf_fini(&text);
	return good;
}

/* Shows how a key or value would be written in JSON. */
static const char *json_form(struct scan *scan, const char *prefix, struct slice text)
{
	struct buf form;

	buf_init(&form);
	buf_appendf(&form, "%s\"", prefix);
	for (size_t i = 0; i < text.size && i < 60; i++) {
		if (text.data[i] == '"' || text.data[i] == '\\') {
			buf_append_byte(&form, '\\');
		}
		buf_append_byte(&form, text.data[i]);
	}
	buf_append_byte(&form, '"');
	const char *copy = arena_string(scan->arena, buf_slice(&form));
	buf_fini(&form);
	return copy;
}

/* A string in double quotes, or in single ones, which is a mistake that can be read as meant. */
static bool read_quoted(struct scan *scan, struct slice *ret_text)
{
	size_t start = scan->at;
	bool single = scan->data[start] == '\'';

	if (!read_string(scan, ret_text)) {
		return false;
	}
	return !single ||
	       mistake(scan, (struct config_span){start, scan->at},
		       "JSON strings stand in double quotes", json_form(scan, "write ", *ret_text));
}

static bool is_word_byte(int byte)
{
	return byte != END_OF_TEXT &&
	       (isalnum(byte) || byte == '_' || byte == '$' || byte == '-' || byte == '.');
}

static void skip_word(struct scan *scan)
{
	while (is_word_byte(peek(scan))) {
		scan->at++;
	}
}

/* A bare word is read as the key that it is meant to be (PIL1016). */
static bool read_key(struct scan *scan, struct slice *ret_key, struct config_span *ret_span)
{
	int byte = peek(scan);
	size_t start = scan->at;

	if (byte == '"' || byte == '\'') {
		if (!read_quoted(scan, ret_key)) {
			return false;
		}
	} else if (byte != END_OF_TEXT && (isalpha(byte) || byte == '_' || byte == '$')) {
		skip_word(scan);
		*ret_key =
			arena_copy(scan->arena, slice_make(scan->data + start, scan->at - start));
		if (!mistake(scan, (struct config_span){start, scan->at},
			    "keys stand in double quotes", json_form(scan, "write ", *ret_key))) {
			return false;
		}
	} else {
		return unexpected(scan, "a key in double quotes, or }");
	}
	*ret_span = (struct config_span){start, scan->at};
	return true;
}

/* Hex and leading zeros: the JSON form is the number they are usually meant to be. */
static bool number_mistake(struct scan *scan, size_t start, struct config_node *node)
{
	struct buf fix;
	char digits[32] = {0};
	size_t size = scan->at - start;
	long long value;

	memcpy(digits, scan->data + start, size < sizeof(digits) - 1 ? size : sizeof(digits) - 1);
	value = strtoll(digits, NULL, digits[0] == '0' && (digits[1] | 0x20) == 'x' ? 16 : 10);
	node->kind = CONFIG_NODE_INTEGER;
	node->integer = value;
	buf_init(&fix);
	buf_appendf(&fix, "write %lld", value);
	bool good = mistake(scan, (struct config_span){start, scan->at},
		"JSON numbers are decimal, without leading zeros", buf_string(&fix));
	buf_fini(&fix);
	return good;
}

/* -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? and nothing that goes on behind it. */
static bool number_form(const char *text, bool *ret_real)
{
	size_t i = text[0] == '-' ? 1 : 0;
	bool real = false;

	if (!isdigit((unsigned char)text[i])) {
		return false;
	}
	i += text[i] == '0' ? 1 : strspn(text + i, "0123456789");
	if (text[i] == '.') {
		size_t digits = strspn(text + i + 1, "0123456789");

		if (digits == 0) {
			return false;
		}
		i += 1 + digits;
		real = true;
	}
	if (text[i] == 'e' || text[i] == 'E') {
		i++;
		i += text[i] == '+' || text[i] == '-' ? 1 : 0;

		size_t digits = strspn(text + i, "0123456789");

		if (digits == 0) {
			return false;
		}
		i += digits;
		real = true;
	}
	*ret_real = real;
	return text[i] == '\0';
}

/*
 * The token is taken whole first, so that "80a" is one wrong number and not a number with a
 * letter behind it.
 */
static bool read_number(struct scan *scan, struct config_node *node)
{
	size_t start = scan->at;
	bool real = false;

	while (is_word_byte(peek(scan)) || (peek(scan) == '+' && scan->at > start)) {
		scan->at++;
	}

	struct slice raw = slice_make(scan->data + start, scan->at - start);
	char *text = arena_string(scan->arena, raw);
	const char *digits = text[0] == '-' ? text + 1 : text;
	bool hex = digits[0] == '0' && (digits[1] | 0x20) == 'x' && digits[2] != '\0' &&
		   digits[2 + strspn(digits + 2, "0123456789abcdefABCDEF")] == '\0';
	bool zeros = digits[0] == '0' && isdigit((unsigned char)digits[1]) &&
		     digits[strspn(digits, "0123456789")] == '\0';

	if (digits == text && (hex || zeros)) {
		return number_mistake(scan, start, node);
	}
	if (!number_form(text, &real)) {
		scan->at = start;
		problem(scan, (struct config_span){start, start + raw.size}, 1010, "a number",
			describe(scan, start), NULL);
		scan->failed = true;
		return false;
	}
	node->text = arena_copy(scan->arena, raw);
	errno = 0;
	if (real) {
		node->kind = CONFIG_NODE_REAL;
		double value = strtod(text, NULL);
		if (isfinite(value)) {
			return true;
		}
	} else {
		node->kind = CONFIG_NODE_INTEGER;
		node->integer = strtoll(text, NULL, 10);
		if (errno == 0) {
			return true;
		}
	}
	return fail(scan, (struct config_span){start, scan->at}, 1012,
		"this number does not fit into 64 bits");
}

/* true, false and null; any other word is text without quotes. */
static bool read_word(struct scan *scan, struct config_node *node)
{
	size_t start = scan->at;

	skip_word(scan);

	struct slice word = slice_make(scan->data + start, scan->at - start);

	if (slice_equal(word, SLICE("true")) || slice_equal(word, SLICE("false"))) {
		node->kind = CONFIG_NODE_BOOL;
		node->boolean = word.size == 4;
		return true;
	}
	if (slice_equal(word, SLICE("null"))) {
		node->kind = CONFIG_NODE_NULL;
		return true;
	}
	scan->at = start;
	problem(scan, (struct config_span){start, start + word.size}, 1010, "a value",
		describe(scan, start), json_form(scan, "text stands in double quotes: ", word));
	scan->failed = true;
	return false;
}

static bool read_value(struct scan *scan, struct config_node *node, int depth);

/* Both places of a key that stands twice (PIL1014). */
static bool duplicate(struct scan *scan, const struct config_node *first, struct config_span span)
{
	struct config_problem problem = {
		.code = 1014,
		.place = config_node_place(scan->source, span),
		.pointer = config_node_pointer(scan->arena, first),
		.text = "this key stands here a second time",
		.fix = "remove one of the two",
		.has_related = true,
		.related = config_node_place(scan->source, first->key_span),
		.related_text = "it stands here first",
	};

	config_report_add(scan->report, &problem);
	scan->failed = true;
	return false;
}

/*
 * Behind a value: true with *ret_more = false at the closing bracket. A comma before it is blanked;
 * a comma that is not there is a mistake, shown behind the value where it belongs.
 */
static bool next_item(struct scan *scan, uint8_t close, bool *ret_more)
{
	size_t end = scan->at;

	*ret_more = false;
	if (!skip_space(scan)) {
		return false;
	}

	int byte = peek(scan);

	if (byte == close) {
		scan->at++;
		return true;
	}
	if (byte == ',') {
		size_t comma = scan->at++;

		if (!skip_space(scan)) {
			return false;
		}
		if (peek(scan) == close) {
			blank_out(scan, comma, comma + 1);
			scan->at++;
			return true;
		}
		*ret_more = true;
		return true;
	}
	*ret_more = true;
	if (byte == '"' || byte == '\'' ||
		(close == ']' && (byte == '{' || byte == '[' || (byte > 0 && isdigit(byte))))) {
		return mistake(scan, (struct config_span){end, end},
			"a comma is missing behind this value", "write a comma here");
	}
	return unexpected(scan, close == '}' ? "a comma or }" : "a comma or ]");
}

/* The key is judged before its value: the second of two equal ones is the wrong one. */
static bool read_member(struct scan *scan, struct config_node *object, struct map *keys, int depth)
{
	struct config_node *child = config_node_new(scan->arena, CONFIG_NODE_NULL, scan->source);

	if (!read_key(scan, &child->key, &child->key_span)) {
		return false;
	}

	const struct config_node *first = map_get(keys, child->key);

	if (first != NULL) {
		return duplicate(scan, first, child->key_span);
	}
	map_set(keys, child->key, child);
	if (!skip_space(scan)) {
		return false;
	}
	if (peek(scan) != ':') {
		return unexpected(scan, "a colon behind the key");
	}
	scan->at++;
	config_node_append(object, child);
	return skip_space(scan) && read_value(scan, child, depth);
}

static bool read_object(struct scan *scan, struct config_node *node, int depth)
{
	struct map keys; /* of this object, as it may have very many */
	bool more = true;
	bool good = true;

	map_init(&keys);
	while (good && more) {
		good = read_member(scan, node, &keys, depth) && next_item(scan, '}', &more);
	}
	map_fini(&keys);
	return good;
}

static bool read_array(struct scan *scan, struct config_node *node, int depth)
{
	bool more = true;

	while (more) {
		struct config_node *child =
			config_node_new(scan->arena, CONFIG_NODE_NULL, scan->source);

		config_node_append(node, child);
		if (!read_value(scan, child, depth) || !next_item(scan, ']', &more)) {
			return false;
		}
	}
	return true;
}

/* Depth is counted here, the only place that recurses. */
static bool read_container(struct scan *scan, struct config_node *node, int depth)
{
	uint8_t close = scan->data[scan->at] == '{' ? '}' : ']';

	node->kind = close == '}' ? CONFIG_NODE_OBJECT : CONFIG_NODE_ARRAY;
	if (depth == CONFIG_DEPTH_MAX) {
		return fail(scan, (struct config_span){scan->at, scan->at + 1}, 1013,
			"objects and lists are nested more than 32 deep");
	}
	scan->at++;
	if (!skip_space(scan)) {
		return false;
	}
	if (peek(scan) == close) {
		scan->at++;
		return true;
	}
	return close == '}' ? read_object(scan, node, depth + 1)
			    : read_array(scan, node, depth + 1);
}

static bool read_value(struct scan *scan, struct config_node *node, int depth)
{
	int byte = peek(scan);
	bool good;

	node->span.start = scan->at;
	node->span.end = scan->at;
	if (byte == '{' || byte == '[') {
		good = read_container(scan, node, depth);
	} else if (byte == '"' || byte == '\'') {
		node->kind = CONFIG_NODE_STRING;
		good = read_quoted(scan, &node->text);
	} else if (byte == '-' || (byte > 0 && isdigit(byte))) {
		good = read_number(scan, node);
	} else if (byte > 0 && byte < 0x80 && isalpha(byte)) {
		good = read_word(scan, node);
	} else {
		good = unexpected(scan, "a value");
	}
	node->span.end = scan->at;
	return good;
}

/* Only for texts without an error: jansson reads the blanked copy. */
static bool read_values(struct scan *scan, struct config_node *root)
{
	bool good = config_json_values(scan->arena, slice_make(scan->blank, scan->size), root);

	if (!good) {
		say(scan, (struct config_span){0, 0}, 9001,
			"the two readers of this text disagree, which is an error of this program",
			"please report it with the text");
	}
	return good;
}

/* A text with mistakes has no tree: what was read as meant serves to find further errors only. */
bool config_scan(
	struct config_source *source, struct config_report *report, struct config_scan *ret_scan)
{
	struct slice text = source->text;
	struct scan scan = {.source = source,
		.report = report,
		.arena = source->arena,
		.data = text.data,
		.size = text.size,
		.blank = arena_alloc(source->arena, text.size + 1)};
	struct config_node *root = config_node_new(scan.arena, CONFIG_NODE_NULL, source);
	size_t bad = 0;
	bool good;

	*ret_scan = (struct config_scan){.blanked = slice_make(scan.blank, text.size)};
	if (text.size > 0) {
		memcpy(scan.blank, text.data, text.size);
	}
	if (slice_starts_with(text, SLICE("\xef\xbb\xbf"))) {
		blank_out(&scan, 0, 3);
		scan.at = 3;
	}
	good = skip_space(&scan) && read_value(&scan, root, 0) && skip_space(&scan);
	if (good && scan.at < scan.size) {
		good = fail(&scan, (struct config_span){scan.at, scan.at + 1}, 1015,
			"there is more text behind the value");
	}
	if (good && !config_scan_utf8(text, &bad)) {
		good = fail(&scan, (struct config_span){bad, bad + 1}, 1012,
			"these bytes are not UTF-8");
	}
	ASSERT(good || scan.failed);
	if (!good || scan.mistakes > 0 || !read_values(&scan, root)) {
		return false;
	}
	ret_scan->root = root;
	return true;
}
