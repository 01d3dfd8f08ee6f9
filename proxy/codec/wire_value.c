/*
 * Single values. Callers have room for the margin; what may be longer asks for its own.
 */
#include "codec/wire_value.h"

#include <math.h>

#include "base/utf8.h"
#include "codec/codec_base64.h"
#include "codec/json_string.h"
#include "codec/number_print.h"

#define PUT(x, literal) wire_value_put(x, SLICE(literal))

void wire_value_put(struct wire_printer *x, struct slice text)
{
	ASSERT(text.size <= WRITER_MARGIN);
	memcpy(x->w.out, text.data, text.size);
	x->w.out += text.size;
}

/* Texts of the pool may be copied as whole blocks. */
static bool put_text(struct wire_printer *x, uint32_t offset, size_t size)
{
	const uint8_t *text = x->pool->text + offset;

	if (!writer_room(&x->w, size)) {
		(void)wire_printer_too_large(x, x->end);
		return false;
	}
	/*
	 * 32 bytes can be read behind every text of the pool, and the margin takes them: copies of
	 * a fixed size are two loads and two stores, without a loop.
	 */
	if (size <= 32) {
		memcpy(x->w.out, text, 32);
	} else {
		memcpy(x->w.out, text, size);
	}
	x->w.out += size;
	return true;
}

bool wire_value_put_key(struct wire_printer *x, const struct pool_field *field)
{
	return x->options->proto_names ? put_text(x, field->proto_key, field->proto_key_size)
				       : put_text(x, field->key, field->key_size);
}

/* WI-05: 32-bit types take the low 32 bits, bool is not zero. */
uint64_t wire_value_normal(const struct pool_field *field, uint64_t bits)
{
	switch ((enum pool_kind)field->kind) {
	case POOL_DOUBLE:
	case POOL_INT64:
	case POOL_UINT64:
	case POOL_FIXED64:
	case POOL_SFIXED64:
	case POOL_SINT64:
		return bits;
	case POOL_BOOL:
		return bits != 0;
	case POOL_FLOAT:
	case POOL_INT32:
	case POOL_FIXED32:
	case POOL_UINT32:
	case POOL_ENUM:
	case POOL_SFIXED32:
	case POOL_SINT32:
		return bits & UINT32_MAX;
	case POOL_STRING:
	case POOL_GROUP:
	case POOL_MESSAGE:
	case POOL_BYTES:
		break;
	}
	ASSERT(false);
	return 0;
}

bool wire_value_declared(
	const struct wire_printer *x, const struct pool_field *field, uint64_t bits)
{
	return !(field->flags & POOL_CLOSED) ||
	       pool_value_by_number(x->pool, x->pool->enums + field->sub, (int32_t)bits) != NULL;
}

/* Quoted, since JavaScript's numbers end at 2^53 (OP-01). */
static void print_long(struct wire_printer *x, bool is_signed, uint64_t bits)
{
	uint64_t magnitude = is_signed && (int64_t)bits < 0 ? 0 - bits : bits;
	bool quoted = !x->options->int64_numbers || magnitude > (uint64_t)1 << 53;

	if (quoted) {
		*x->w.out++ = '"';
	}
	x->w.out = is_signed ? number_print_i64((int64_t)bits, x->w.out)
			     : number_print_u64(bits, x->w.out);
	if (quoted) {
		*x->w.out++ = '"';
	}
}

/* A number that nobody declared is printed as one. */
static bool print_enum(struct wire_printer *x, const struct pool_field *field, uint64_t bits)
{
	int32_t number = (int32_t)(uint32_t)bits;
	const struct pool_value *value;

	if (field->flags & POOL_NULL) {
		PUT(x, "null");
		return true;
	}
	value = x->options->enum_numbers
			? NULL
			: pool_value_by_number(x->pool, x->pool->enums + field->sub, number);
	if (value) {
		return put_text(x, value->text, value->text_size);
	}
	x->w.out = number_print_i64(number, x->w.out);
	return true;
}

/* JSON has no words for these (JS-05). */
static bool print_special(struct wire_printer *x, double value)
{
	if (isnan(value)) {
		PUT(x, "\"NaN\"");
	} else if (isinf(value) && value > 0) {
		PUT(x, "\"Infinity\"");
	} else if (isinf(value)) {
		PUT(x, "\"-Infinity\"");
	} else {
		return false;
	}
	return true;
}

bool wire_value_print_double(struct wire_printer *x, double value)
{
	if (!print_special(x, value)) {
		x->w.out = number_print_double(value, x->w.out);
	}
	ASSERT(x->w.out <= x->w.limit + WRITER_MARGIN);
	return true;
}

static bool print_float(struct wire_printer *x, uint32_t bits)
{
	float value;

	memcpy(&value, &bits, sizeof(value));
	if (!print_special(x, (double)value)) {
		x->w.out = number_print_float(value, x->w.out);
	}
	return true;
}

/* One switch for all kinds. */
bool wire_value_print_bits(struct wire_printer *x, const struct pool_field *field, uint64_t bits)
{
	double real;

	if (!writer_room(&x->w, 0)) {
		(void)wire_printer_too_large(x, x->end);
		return false;
	}
	switch ((enum pool_kind)field->kind) {
	case POOL_DOUBLE:
		memcpy(&real, &bits, sizeof(real));
		return wire_value_print_double(x, real);
	case POOL_FLOAT:
		return print_float(x, (uint32_t)bits);
	case POOL_INT64:
	case POOL_SFIXED64:
		print_long(x, true, bits);
		return true;
	case POOL_UINT64:
	case POOL_FIXED64:
		print_long(x, false, bits);
		return true;
	case POOL_SINT64:
		print_long(x, true, (uint64_t)wire_unzigzag(bits));
		return true;
	case POOL_INT32:
	case POOL_SFIXED32:
		x->w.out = number_print_i64((int32_t)(uint32_t)bits, x->w.out);
		return true;
	case POOL_SINT32:
		x->w.out = number_print_i64((int32_t)wire_unzigzag(bits), x->w.out);
		return true;
	case POOL_UINT32:
	case POOL_FIXED32:
		x->w.out = number_print_u64((uint32_t)bits, x->w.out);
		return true;
	case POOL_BOOL:
		wire_value_put(x, bits ? SLICE("true") : SLICE("false"));
		return true;
	case POOL_ENUM:
		return print_enum(x, field, bits);
	case POOL_STRING:
	case POOL_GROUP:
	case POOL_MESSAGE:
	case POOL_BYTES:
		break;
	}
	ASSERT(false);
	return false;
}

/* Keys of maps are strings, even numbers and bools. */
bool wire_value_print_key(struct wire_printer *x, const struct pool_field *field, uint64_t bits)
{
	if (!writer_room(&x->w, 0)) {
		(void)wire_printer_too_large(x, x->end);
		return false;
	}
	*x->w.out++ = '"';
	if (field->kind == POOL_BOOL) {
		wire_value_put(x, bits ? SLICE("true") : SLICE("false"));
	} else if (field->kind == POOL_SINT32 || field->kind == POOL_SINT64) {
		x->w.out = number_print_i64(wire_unzigzag(bits), x->w.out);
	} else if (field->kind == POOL_INT32 || field->kind == POOL_SFIXED32) {
		x->w.out = number_print_i64((int32_t)(uint32_t)bits, x->w.out);
	} else if (field->kind == POOL_INT64 || field->kind == POOL_SFIXED64) {
		x->w.out = number_print_i64((int64_t)bits, x->w.out);
	} else {
		x->w.out = number_print_u64(bits, x->w.out);
	}
	*x->w.out++ = '"';
	return true;
}

/* JS-03: the short form where one exists, else \u00xx. */
static void put_escape(struct wire_printer *x, uint8_t c)
{
	static const char hex[] = "0123456789abcdef";
	static const char from[] = "\"\\\b\f\n\r\t";
	static const char to[] = "\"\\bfnrt";
	const char *found = c ? strchr(from, c) : NULL;

	*x->w.out++ = '\\';
	if (found) {
		*x->w.out++ = (uint8_t)to[found - from];
		return;
	}
	PUT(x, "u00");
	*x->w.out++ = (uint8_t)hex[c >> 4];
	*x->w.out++ = (uint8_t)hex[c & 15];
}

/* A run of characters beyond ASCII; the place behind it, or NULL and a fault. */
static const uint8_t *put_wide(struct wire_printer *x, const uint8_t *p, const uint8_t *end)
{
	do {
		unsigned size = utf8_sequence(p, end);

		if (size == 0) {
			return wire_printer_fault(x, p, CODEC_FAULT_WIRE_UTF8, "invalid UTF-8");
		}
		if (!writer_room(&x->w, 4)) {
			return wire_printer_too_large(x, p);
		}
		memcpy(x->w.out, p, 4); /* input and output have that much to spare */
		x->w.out += size;
		p += size;
	} while (p < end && *p >= 0x80);
	return p;
}

/* Runs of plain ASCII are copied as blocks; the rest is checked byte by byte. */
bool wire_value_print_string(struct wire_printer *x, struct slice text)
{
	const uint8_t *p = text.data;
	const uint8_t *end = p + text.size;

	if (!writer_room(&x->w, text.size)) {
		(void)wire_printer_too_large(x, x->end);
		return false;
	}
	*x->w.out++ = '"';
	while (p < end) {
		const uint8_t *q = json_string_ascii(p, end);
		size_t size = (size_t)(q - p);

		if (!writer_room(&x->w, size)) {
			(void)wire_printer_too_large(x, p);
			return false;
		}
		if (size <= 16) {
			memcpy(x->w.out, p, 16);
		} else {
			memcpy(x->w.out, p, size);
		}
		x->w.out += size;
		p = q;
		if (p < end && *p >= 0x80) {
			p = put_wide(x, p, end);
			if (!p) {
				return false;
			}
		} else if (p < end) {
			put_escape(x, *p++);
		}
	}
	*x->w.out++ = '"';
	return true;
}

/* Padded, the standard alphabet. */
bool wire_value_print_bytes(struct wire_printer *x, struct slice bytes)
{
	if (!writer_room(&x->w, (bytes.size + 2) / 3 * 4 + 2)) {
		(void)wire_printer_too_large(x, x->end);
		return false;
	}
	*x->w.out++ = '"';
	x->w.out = codec_base64_write(bytes.data, bytes.size, true, x->w.out);
	*x->w.out++ = '"';
	return true;
}

bool wire_value_print_text(
	struct wire_printer *x, const struct pool_field *field, struct slice text)
{
	ASSERT(field->kind == POOL_STRING || field->kind == POOL_BYTES);
	return field->kind == POOL_STRING ? wire_value_print_string(x, text)
					  : wire_value_print_bytes(x, text);
}

/* Lists and maps are empty, not missing (JN-03). */
bool wire_value_print_default(struct wire_printer *x, const struct pool_field *field)
{
	if (!wire_value_put_key(x, field)) {
		return false;
	}
	if (field->flags & POOL_REPEATED) {
		wire_value_put(x, field->flags & POOL_MAP ? SLICE("{}") : SLICE("[]"));
		return true;
	}
	if (field->kind == POOL_STRING || field->kind == POOL_BYTES) {
		PUT(x, "\"\"");
		return true;
	}
	return wire_value_print_bits(x, field, 0);
}
