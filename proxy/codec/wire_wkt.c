/*
 * Types without messages inside take the last value of each field wherever it stands, so both
 * passes share them: they are given the parts of their message as a list of spans. Those that hold
 * messages are printed here by the optimistic pass, and by wire_careful in the other.
 */
#include "codec/wire_wkt.h"

#include <math.h>

#include "base/utf8.h"
#include "codec/time_text.h"
#include "codec/wire_any.h"
#include "codec/wire_message.h"
#include "codec/wire_value.h"
#include "codec/wkt_tags.h"

/* Always false, so that callers can return it. */
static bool bad_wkt(struct wire_printer *x, const uint8_t *place, const char *rule)
{
	(void)wire_printer_fault(x, place, CODEC_FAULT_WIRE_WKT, rule);
	return false;
}

/* The last of each counts (WI-01). */
static bool read_time(
	struct wire_printer *x, const struct wire_spans *spans, struct time_text *ret_time)
{
	for (size_t i = 0; i < spans->count; i++) {
		struct wire_span span = wire_wkt_span(spans, i);
		uint64_t bits;
		uint32_t tag;

		while (span.p < span.end) {
			span.p = wire_printer_tag(x, span.p, span.end, &tag);
			if (!span.p) {
				return false;
			}
			if (tag != TAG_SECONDS && tag != TAG_NANOS) {
				span.p = wire_printer_skip(x, span.p, span.end, tag);
			} else {
				span.p = wire_printer_bits(x, span.p, span.end, WIRE_VARINT, &bits);
			}
			if (!span.p) {
				return false;
			}
			if (tag == TAG_SECONDS) {
				ret_time->seconds = (int64_t)bits;
			} else if (tag == TAG_NANOS) {
				ret_time->nanos = (int32_t)(uint32_t)bits;
			}
		}
	}
	return true;
}

/* What has no JSON form is a fault of the app. */
static bool print_time(struct wire_printer *x, const struct wire_spans *spans, bool is_timestamp)
{
	struct time_text time = {0, 0};
	const uint8_t *place = wire_wkt_span(spans, 0).p;

	if (!read_time(x, spans, &time)) {
		return false;
	}
	if (is_timestamp ? !time_text_is_timestamp(&time) : !time_text_is_duration(&time)) {
		return bad_wkt(x, place,
			is_timestamp ? "timestamp out of range" : "duration out of range");
	}
	if (!writer_room(&x->w, TIME_TEXT_MAX)) {
		return wire_printer_too_large(x, place) != NULL;
	}
	*x->w.out++ = '"';
	x->w.out = is_timestamp ? time_text_write_timestamp(&time, x->w.out)
				: time_text_write_duration(&time, x->w.out);
	*x->w.out++ = '"';
	return true;
}

/* snake_case to camelCase; false: it would not come back. */
static bool put_path(struct buf *text, struct slice path)
{
	if (path.size == 0 || slice_find(path, ',') < path.size) {
		return false;
	}
	if (text->size > 0) {
		buf_append_byte(text, ',');
	}
	for (size_t i = 0; i < path.size; i++) {
		uint8_t c = path.data[i];

		if (c >= 'A' && c <= 'Z') {
			return false;
		}
		if (c == '_') {
			if (++i == path.size || path.data[i] < 'a' || path.data[i] > 'z') {
				return false;
			}
			c = (uint8_t)(path.data[i] - 'a' + 'A');
		}
		buf_append_byte(text, c);
	}
	return true;
}

/* Joined in the scratch first: commas stand between paths, wherever they came from. */
static bool print_field_mask(struct wire_printer *x, const struct wire_spans *spans)
{
	struct buf *text = &x->context->text;

	buf_clear(text);
	for (size_t i = 0; i < spans->count; i++) {
		struct wire_span span = wire_wkt_span(spans, i);
		size_t size = 0;
		uint32_t tag;

		while (span.p < span.end) {
			span.p = wire_printer_tag(x, span.p, span.end, &tag);
			if (span.p && tag != TAG_PATHS) {
				span.p = wire_printer_skip(x, span.p, span.end, tag);
			} else if (span.p) {
				const uint8_t *p = wire_printer_length(x, span.p, span.end, &size);

				if (p && !utf8_valid(slice_make(p, size))) {
					(void)wire_printer_fault(
						x, p, CODEC_FAULT_WIRE_UTF8, "invalid UTF-8");
					return false;
				}
				if (p && !put_path(text, slice_make(p, size))) {
					return bad_wkt(x, p, "a path without a JSON form");
				}
				span.p = p ? p + size : NULL;
			}
			if (!span.p) {
				return false;
			}
		}
	}
	buf_reserve(text, CODEC_SLACK);
	return wire_value_print_string(x, buf_slice(text));
}

/* The inner scalar; absent: its zero. */
static bool print_wrapper(
	struct wire_printer *x, const struct wire_spans *spans, const struct pool_field *field)
{
	bool is_text = field->wire == WIRE_LENGTH;
	struct slice text = slice_make(x->begin, 0);
	uint64_t bits = 0;

	for (size_t i = 0; i < spans->count; i++) {
		struct wire_span span = wire_wkt_span(spans, i);
		uint32_t tag;

		while (span.p < span.end) {
			span.p = wire_printer_tag(x, span.p, span.end, &tag);
			if (span.p && tag != field->tag) {
				span.p = wire_printer_skip(x, span.p, span.end, tag);
			} else if (span.p && is_text) {
				text.data = wire_printer_length(x, span.p, span.end, &text.size);
				span.p = text.data ? text.data + text.size : NULL;
			} else if (span.p) {
				span.p = wire_printer_bits(
					x, span.p, span.end, (enum wire_type)field->wire, &bits);
			}
			if (!span.p) {
				return false;
			}
		}
	}
	return is_text ? wire_value_print_text(x, field, text)
		       : wire_value_print_bits(x, field, wire_value_normal(field, bits));
}

/* These types hold no messages that would have to be merged. */
bool wire_wkt_print_spans(
	struct wire_printer *x, const struct wire_spans *spans, const struct pool_message *message)
{
	ASSERT(spans->count > 0);
	switch ((enum pool_wkt)message->wkt) {
	case WKT_ANY:
		return wire_any_print(x, spans);
	case WKT_TIMESTAMP:
		return print_time(x, spans, true);
	case WKT_DURATION:
		return print_time(x, spans, false);
	case WKT_FIELD_MASK:
		return print_field_mask(x, spans);
	case WKT_WRAPPER:
		return print_wrapper(x, spans, pool_fields(x->pool, message));
	case WKT_NONE:
	case WKT_STRUCT:
	case WKT_VALUE:
	case WKT_LIST_VALUE:
		break;
	}
	ASSERT(false);
	return false;
}

/* The entries of a Struct or the elements of a ListValue: all of field 1, wherever they stand. */
static const uint8_t *print_items(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_field *field, struct key_set *set)
{
	size_t size = 0;
	uint32_t tag;

	while (p && p < end) {
		p = wire_printer_tag(x, p, end, &tag);
		if (!p) {
			return NULL;
		}
		if (tag != field->tag) {
			p = wire_printer_skip(x, p, end, tag);
		} else if (set) {
			p = wire_message_entry(x, p, end, field, set);
		} else {
			p = wire_printer_length(x, p, end, &size);
			if (p && !writer_room(&x->w, 1)) {
				return wire_printer_too_large(x, p);
			}
			if (p) {
				*x->w.out++ = ',';
				p = wire_message_print(
					x, p, p + size, x->pool->messages + field->sub);
			}
		}
	}
	return p;
}

/* A map without its field around it. */
static const uint8_t *print_struct(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_field *field)
{
	size_t start = writer_size(&x->w);
	struct key_set set;

	key_set_open(&x->context->keys, &set);
	p = print_items(x, p, end, field, &set);
	if (!p) {
		return NULL;
	}
	key_set_close(&x->context->keys, &set);
	return wire_message_close(x, start, '{', '}') ? p : NULL;
}

static const uint8_t *print_list(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_field *field)
{
	size_t start = writer_size(&x->w);

	p = print_items(x, p, end, field, NULL);
	return p && wire_message_close(x, start, '[', ']') ? p : NULL;
}

const uint8_t *wire_wkt_scalar_value(
	struct wire_printer *x, uint32_t tag, const uint8_t *p, const uint8_t *end)
{
	const uint8_t *q;
	uint64_t bits;
	double number;
	size_t size = 0;

	if (!writer_room(&x->w, 0)) {
		return wire_printer_too_large(x, p);
	}
	if (tag == TAG_VALUE_STRING) {
		q = wire_printer_length(x, p, end, &size);
		return q && wire_value_print_string(x, slice_make(q, size)) ? q + size : NULL;
	}
	q = wire_printer_bits(
		x, p, end, tag == TAG_VALUE_NUMBER ? WIRE_FIXED64 : WIRE_VARINT, &bits);
	if (!q) {
		return NULL;
	}
	if (tag == TAG_VALUE_NULL) {
		wire_value_put(x, SLICE("null"));
	} else if (tag == TAG_VALUE_BOOL) {
		wire_value_put(x, bits ? SLICE("true") : SLICE("false"));
	} else {
		ASSERT(tag == TAG_VALUE_NUMBER);
		memcpy(&number, &bits, sizeof(number));
		if (!isfinite(number)) {
			return wire_printer_fault(
				x, p, CODEC_FAULT_WIRE_WKT, "a value that is not finite");
		}
		return wire_value_print_double(x, number) ? q : NULL;
	}
	return q;
}

static bool is_value_tag(uint32_t tag)
{
	return tag == TAG_VALUE_NULL || tag == TAG_VALUE_NUMBER || tag == TAG_VALUE_STRING ||
	       tag == TAG_VALUE_BOOL || tag == TAG_VALUE_STRUCT || tag == TAG_VALUE_LIST;
}

/* Looked at before anything is printed: exactly one kind may be set. */
static const uint8_t *print_value(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_message *message)
{
	const uint8_t *place = p;
	const uint8_t *kind = NULL;
	uint32_t kind_tag = 0;
	size_t size = 0;

	while (p < end) {
		uint32_t tag;

		p = wire_printer_tag(x, p, end, &tag);
		if (!p) {
			return NULL;
		}
		if (is_value_tag(tag)) {
			if (kind) {
				return wire_printer_irregular(x);
			}
			kind = p;
			kind_tag = tag;
		}
		p = wire_printer_skip(x, p, end, tag);
		if (!p) {
			return NULL;
		}
	}
	if (!kind) {
		return wire_printer_fault(x, place, CODEC_FAULT_WIRE_WKT, "a value without a kind");
	}
	if (kind_tag == TAG_VALUE_STRUCT || kind_tag == TAG_VALUE_LIST) {
		const struct pool_field *field =
			pool_field_by_number(x->pool, message, kind_tag >> 3);
		const uint8_t *q = wire_printer_length(x, kind, end, &size);

		return q && wire_message_print(x, q, q + size, x->pool->messages + field->sub)
			       ? p
			       : NULL;
	}
	return wire_wkt_scalar_value(x, kind_tag, kind, end) ? p : NULL;
}

/* Struct, Value and ListValue nest, so they are printed as they are read. */
const uint8_t *wire_wkt_print(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_message *message)
{
	struct wire_span span = {p, end};
	struct wire_spans spans = {&span, 1, sizeof(span)};
	const struct pool_field *fields = pool_fields(x->pool, message);

	ASSERT(!x->careful);
	switch ((enum pool_wkt)message->wkt) {
	case WKT_STRUCT:
		return print_struct(x, p, end, fields);
	case WKT_LIST_VALUE:
		return print_list(x, p, end, fields);
	case WKT_VALUE:
		return print_value(x, p, end, message);
	case WKT_NONE:
	case WKT_ANY:
	case WKT_TIMESTAMP:
	case WKT_DURATION:
	case WKT_FIELD_MASK:
	case WKT_WRAPPER:
		break;
	}
	return wire_wkt_print_spans(x, &spans, message) ? end : NULL;
}
