/*
 * Short plain numbers are read right here. Everything rare (fractions, exponents, more than 14
 * digits, escapes inside of quotes) goes through number_parse, which is exact for any text.
 */
#include "codec/json_scalar.h"

#include "codec/codec_base64.h"
#include "codec/json_string.h"
#include "codec/number_parse.h"

/* Digits that are read without looking for the end of the text: it has that much slack. */
#define FAST_DIGITS 16

const char *json_scalar_name(enum pool_kind kind)
{
	static const char *const names[] = {"value", "double", "float", "int64", "uint64", "int32",
		"fixed64", "fixed32", "bool", "string", "object", "object", "base64 string",
		"uint32", "enum", "sfixed32", "sfixed64", "sint32", "sint64"};

	ASSERT(kind < ARRAY_SIZE(names));
	return names[kind];
}

/* Never the value itself: only the name of the type (ER-06). */
static const uint8_t *out_of_range(struct json_reader *r, const uint8_t *place, enum pool_kind kind)
{
	return json_reader_fault(
		r, place, CODEC_FAULT_JSON_RANGE, "out of range of ", json_scalar_name(kind));
}

/* Sign and magnitude to the bits of the wire; false: out of range. */
static bool integer_bits(enum pool_kind kind, bool negative, uint64_t magnitude, uint64_t *ret_bits)
{
	bool is_signed = kind == POOL_INT64 || kind == POOL_INT32 || kind == POOL_SFIXED32 ||
			 kind == POOL_SFIXED64 || kind == POOL_SINT32 || kind == POOL_SINT64;
	bool narrow = kind == POOL_INT32 || kind == POOL_UINT32 || kind == POOL_FIXED32 ||
		      kind == POOL_SFIXED32 || kind == POOL_SINT32 || kind == POOL_ENUM;
	uint64_t top = narrow ? UINT32_MAX : UINT64_MAX;
	int64_t value;

	if (!is_signed && kind != POOL_ENUM) {
		*ret_bits = magnitude;
		return magnitude <= top && (!negative || magnitude == 0);
	}
	top >>= 1;
	if (magnitude > top + negative) {
		return false;
	}
	value = (int64_t)(negative ? 0 - magnitude : magnitude);
	if (kind == POOL_SINT32 || kind == POOL_SINT64) {
		*ret_bits = wire_zigzag(value);
	} else {
		*ret_bits = (uint64_t)value;
	}
	return true;
}

/*
 * The text of a number as an integer of a kind. The result of the scan decides between a type fault
 * (place, expected) and a range fault.
 */
static const uint8_t *integer_of(struct json_reader *r, const uint8_t *place, enum pool_kind kind,
	const struct number_text *number, uint64_t *ret_bits)
{
	uint64_t magnitude;

	switch (number_parse_integer(number, &magnitude)) {
	case NUMBER_OK:
		break;
	case NUMBER_FRACTION:
		return json_reader_fault(
			r, place, CODEC_FAULT_JSON_RANGE, "a fraction in ", json_scalar_name(kind));
	case NUMBER_RANGE:
		return out_of_range(r, place, kind);
	}
	if (!integer_bits(kind, number->negative, magnitude, ret_bits)) {
		return out_of_range(r, place, kind);
	}
	return place;
}

static const uint8_t *bad_type(struct json_reader *r, const uint8_t *place, enum pool_kind kind)
{
	return json_reader_unexpected(r, place, json_scalar_name(kind));
}

/* A number in quotes: the whole text must be one. */
static const uint8_t *quoted_number(struct json_reader *r, const uint8_t *p, struct slice *ret_text,
	struct number_text *ret_number, bool *ret_is_number)
{
	const uint8_t *q = json_string_view(r, p + 1, ret_text);
	const uint8_t *end;

	if (!q) {
		return NULL;
	}
	end = ret_text->data + ret_text->size;
	*ret_is_number = number_parse_scan(ret_text->data, end, ret_number) == end;
	return q;
}

/* Any text that is a number, quoted or not. */
static const uint8_t *integer_slow(
	struct json_reader *r, const uint8_t *p, enum pool_kind kind, uint64_t *ret_bits)
{
	struct number_text number;
	struct slice text;
	const uint8_t *q;
	bool is_number = true;

	if (json_reader_is(r, p, '"')) {
		q = quoted_number(r, p, &text, &number, &is_number);
		if (!q) {
			return NULL;
		}
	} else {
		q = number_parse_scan(p, r->end, &number);
		is_number = q != NULL;
	}
	if (!is_number) {
		return bad_type(r, p, kind);
	}
	return integer_of(r, p, kind, &number, ret_bits) ? q : NULL;
}

/* Bytes behind the end are loaded but never believed: q is compared with it last. */
static inline const uint8_t *read_integer(
	struct json_reader *r, const uint8_t *p, enum pool_kind kind, uint64_t *ret_bits)
{
	const uint8_t *q = p;
	bool quoted = *q == '"';
	bool negative;
	uint64_t value;
	uint8_t digit;
	unsigned count = 1;

	q += quoted;
	negative = *q == '-';
	q += negative;
	value = (uint8_t)(*q++ - '0');
	/* A leading zero, a sign alone, a fraction and all that is rare: the slow way decides. */
	if (value > 9 || (value == 0 && (uint8_t)(*q - '0') <= 9)) {
		return integer_slow(r, p, kind, ret_bits);
	}
	while ((digit = (uint8_t)(*q - '0')) <= 9 && count < FAST_DIGITS - 2) {
		value = value * 10 + digit;
		q++;
		count++;
	}
	if (quoted ? *q != '"' : (digit <= 9 || *q == '.' || (*q | 0x20) == 'e')) {
		return integer_slow(r, p, kind, ret_bits);
	}
	if (q >= r->end) {
		return integer_slow(r, p, kind, ret_bits);
	}
	if (!integer_bits(kind, negative, value, ret_bits)) {
		return out_of_range(r, p, kind);
	}
	return q + quoted;
}

/* JSON has no words for these, so they come as strings (JS-05). */
static bool special_number(struct slice text, double *ret_value)
{
	if (slice_equal(text, SLICE("NaN"))) {
		*ret_value = (double)__builtin_nanf("");
	} else if (slice_equal(text, SLICE("Infinity"))) {
		*ret_value = (double)__builtin_inff();
	} else if (slice_equal(text, SLICE("-Infinity"))) {
		*ret_value = -(double)__builtin_inff();
	} else {
		return false;
	}
	return true;
}

/* Straight to the width of the field, so that it is rounded once. */
static bool real_bits(enum pool_kind kind, const struct number_text *number, uint64_t *ret_bits)
{
	double wide;
	float narrow;
	uint32_t bits;

	if (kind == POOL_DOUBLE) {
		if (!number_parse_double(number, &wide)) {
			return false;
		}
		memcpy(ret_bits, &wide, sizeof(wide));
		return true;
	}
	if (!number_parse_float(number, &narrow)) {
		return false;
	}
	memcpy(&bits, &narrow, sizeof(narrow));
	*ret_bits = bits;
	return true;
}

static void special_bits(enum pool_kind kind, double value, uint64_t *ret_bits)
{
	float narrow = (float)value;
	uint32_t bits;

	if (kind == POOL_DOUBLE) {
		memcpy(ret_bits, &value, sizeof(value));
		return;
	}
	memcpy(&bits, &narrow, sizeof(narrow));
	*ret_bits = bits;
}

/* Quoted or not; only quoted ones may be NaN or infinite. */
static const uint8_t *read_real(
	struct json_reader *r, const uint8_t *p, enum pool_kind kind, uint64_t *ret_bits)
{
	struct number_text number;
	struct slice text;
	bool is_number = true;
	double special;
	const uint8_t *q;

	if (json_reader_is(r, p, '"')) {
		q = quoted_number(r, p, &text, &number, &is_number);
		if (!q) {
			return NULL;
		}
		if (!is_number && special_number(text, &special)) {
			special_bits(kind, special, ret_bits);
			return q;
		}
	} else {
		q = number_parse_scan(p, r->end, &number);
		is_number = q != NULL;
	}
	if (!is_number) {
		return bad_type(r, p, kind);
	}
	return real_bits(kind, &number, ret_bits) ? q : out_of_range(r, p, kind);
}

const uint8_t *json_scalar_number(struct json_reader *r, const uint8_t *p, double *ret_value)
{
	struct number_text number;
	const uint8_t *q = number_parse_scan(p, r->end, &number);

	ASSERT(p < r->end);
	if (!q) {
		return bad_type(r, p, POOL_DOUBLE);
	}
	return number_parse_double(&number, ret_value) ? q : out_of_range(r, p, POOL_DOUBLE);
}

/* The two literals and nothing else. */
static const uint8_t *read_bool(struct json_reader *r, const uint8_t *p, uint64_t *ret_bits)
{
	const uint8_t *q = JSON_LITERAL(r, p, "true");

	*ret_bits = q != NULL;
	q = q ? q : JSON_LITERAL(r, p, "false");
	return q ? q : bad_type(r, p, POOL_BOOL);
}

/* Names and numbers that the schema does not have. */
static const uint8_t *bad_enum(struct json_reader *r, const uint8_t *p)
{
	return json_reader_fault(r, p, CODEC_FAULT_JSON_ENUM, "no value of the enum", NULL);
}

/* JN-04: null, "NULL_VALUE" or 0, and nothing else. */
static const uint8_t *read_null(struct json_reader *r, const uint8_t *p, uint64_t *ret_bits)
{
	const uint8_t *q = JSON_LITERAL(r, p, "null");

	if (!q) {
		q = JSON_LITERAL(r, p, "\"NULL_VALUE\"");
	}
	*ret_bits = 0;
	if (!q && json_reader_is(r, p, '0')) {
		q = read_integer(r, p, POOL_ENUM, ret_bits);
	}
	if (q) {
		return q;
	}
	(void)json_reader_unexpected(r, p, "null");
	if (r->path.kind == CODEC_FAULT_JSON_TYPE) {
		r->path.kind = CODEC_FAULT_JSON_WKT;
	}
	return NULL;
}

/* Open enums take any int32, closed ones what is declared (WI-07). */
static const uint8_t *read_enum(
	struct json_reader *r, const uint8_t *p, const struct pool_field *field, uint64_t *ret_bits)
{
	const struct pool_enum *enumeration = r->pool->enums + field->sub;
	const struct pool_value *value;
	struct slice name;
	const uint8_t *q;

	if (json_reader_is(r, p, '"')) {
		q = json_string_view(r, p + 1, &name);
		if (!q) {
			return NULL;
		}
		value = pool_value_by_name(r->pool, enumeration, name, r->options->enum_any_case);
		if (!value && !r->options->ignore_unknown) {
			return bad_enum(r, p);
		}
		r->dropped = !value;
		*ret_bits = value ? (uint64_t)(int64_t)value->number : 0;
		return q;
	}
	if (p >= r->end || (*p != '-' && (*p < '0' || *p > '9'))) {
		return bad_type(r, p, POOL_ENUM);
	}
	q = read_integer(r, p, POOL_ENUM, ret_bits);
	if (q && field->flags & POOL_CLOSED &&
		!pool_value_by_number(r->pool, enumeration, (int32_t)*ret_bits)) {
		return bad_enum(r, p);
	}
	return q;
}

/* One switch for all kinds; strings and messages go elsewhere. */
const uint8_t *json_scalar_read(
	struct json_reader *r, const uint8_t *p, const struct pool_field *field, uint64_t *ret_bits)
{
	enum pool_kind kind = (enum pool_kind)field->kind;

	switch (kind) {
	case POOL_DOUBLE:
	case POOL_FLOAT:
		return read_real(r, p, kind, ret_bits);
	case POOL_INT64:
	case POOL_UINT64:
	case POOL_INT32:
	case POOL_FIXED64:
	case POOL_FIXED32:
	case POOL_UINT32:
	case POOL_SFIXED32:
	case POOL_SFIXED64:
	case POOL_SINT32:
	case POOL_SINT64:
		return read_integer(r, p, kind, ret_bits);
	case POOL_BOOL:
		return read_bool(r, p, ret_bits);
	case POOL_ENUM:
		return field->flags & POOL_NULL ? read_null(r, p, ret_bits)
						: read_enum(r, p, field, ret_bits);
	case POOL_STRING:
	case POOL_GROUP:
	case POOL_MESSAGE:
	case POOL_BYTES:
		break;
	}
	ASSERT(false);
	return NULL;
}

const uint8_t *json_scalar_read_key(
	struct json_reader *r, const uint8_t *p, const struct pool_field *field, uint64_t *ret_bits)
{
	enum pool_kind kind = (enum pool_kind)field->kind;
	struct number_text number;
	struct slice text;
	const uint8_t *q;

	q = json_string_view(r, p, &text);
	if (!q) {
		return NULL;
	}
	if (kind == POOL_BOOL) {
		*ret_bits = slice_equal(text, SLICE("true"));
		return *ret_bits || slice_equal(text, SLICE("false")) ? q
								      : bad_type(r, p - 1, kind);
	}
	if (text.size == 0 || number_parse_scan(text.data, text.data + text.size, &number) !=
				      text.data + text.size) {
		return bad_type(r, p - 1, kind);
	}
	return integer_of(r, p - 1, kind, &number, ret_bits) ? q : NULL;
}

/* Decoded right into the output: base64 never grows. */
const uint8_t *json_scalar_put_bytes(struct json_reader *r, const uint8_t *p)
{
	struct json_region region;
	struct slice text;
	const uint8_t *q;
	uint8_t *end;

	if (!json_reader_is(r, p, '"')) {
		return bad_type(r, p, POOL_BYTES);
	}
	q = json_string_view(r, p + 1, &text);
	if (!q) {
		return NULL;
	}
	if (!writer_room(&r->w, text.size)) {
		return json_reader_too_large(r, p);
	}
	region = json_reader_open(r);
	end = codec_base64_read(text.data, text.size, r->w.out);
	if (!end) {
		return json_reader_fault(r, p, CODEC_FAULT_JSON_BASE64, "not base64", NULL);
	}
	r->w.out = end;
	json_reader_close(r, &region);
	return q;
}
