/*
 * The payload of an Any is a message of its own with its own irregularities. In the optimistic pass
 * they end the whole pass; in careful mode the payload is checked and printed like a root message.
 */
#include "codec/wire_any.h"

#include "codec/wire_careful.h"
#include "codec/wire_message.h"
#include "codec/wire_value.h"

#define TAG_TYPE_URL 0x0a
#define TAG_VALUE    0x12

/* Within an Any the last of each counts, as for all scalars (WI-01). */
static bool read_parts(struct wire_printer *x, const struct wire_spans *spans,
	struct slice *ret_url, struct slice *ret_value)
{
	for (size_t i = 0; i < spans->count; i++) {
		struct wire_span span = wire_wkt_span(spans, i);
		struct slice bytes;
		uint32_t tag;

		while (span.p < span.end) {
			span.p = wire_printer_tag(x, span.p, span.end, &tag);
			if (span.p && tag != TAG_TYPE_URL && tag != TAG_VALUE) {
				span.p = wire_printer_skip(x, span.p, span.end, tag);
			} else if (span.p) {
				bytes.data = wire_printer_length(x, span.p, span.end, &bytes.size);
				span.p = bytes.data ? bytes.data + bytes.size : NULL;
				*(tag == TAG_VALUE ? ret_value : ret_url) = bytes;
			}
			if (!span.p) {
				return false;
			}
		}
	}
	return true;
}

/* Always false, so that callers can return it. */
static bool bad_any(struct wire_printer *x, const uint8_t *place, const char *rule)
{
	(void)wire_printer_fault(x, place, CODEC_FAULT_WIRE_ANY, rule);
	return false;
}

/* The name behind the last slash; empty where the reader would find none (WK-02). */
static struct slice type_name(struct slice url)
{
	size_t slash = url.size;

	while (slash > 0 && url.data[slash - 1] != '/') {
		slash--;
	}
	return slash == 0 ? slice_make(url.data, 0) : slice_from(url, slash);
}

/* Broken bytes of a payload are the Any's fault, whatever they are. */
static void blame_any(struct wire_printer *x)
{
	enum codec_fault_kind kind = x->path.kind;

	if (kind == CODEC_FAULT_WIRE_TRUNCATED || kind == CODEC_FAULT_WIRE_TAG ||
		kind == CODEC_FAULT_WIRE_VARINT || kind == CODEC_FAULT_WIRE_LENGTH ||
		kind == CODEC_FAULT_WIRE_GROUP) {
		x->path.kind = CODEC_FAULT_WIRE_ANY;
	}
}

/* The payload behind "@type": its members, or one member "value". */
static bool print_payload(
	struct wire_printer *x, struct slice value, const struct pool_message *message)
{
	const uint8_t *end = value.data + value.size;
	bool done;

	if (message->wkt != WKT_NONE) {
		if (!writer_room(&x->w, 0)) {
			return wire_printer_too_large(x, value.data) != NULL;
		}
		wire_value_put(x, SLICE(",\"value\":"));
		return x->careful ? wire_careful_print(x, value.data, end, message)
				  : wire_message_print(x, value.data, end, message) != NULL;
	}
	if (!wire_printer_enter(x, value.data)) {
		return false;
	}
	done = x->careful ? wire_careful_members(x, value.data, end, message)
			  : wire_message_members(x, value.data, end, message) != NULL;
	wire_printer_leave(x);
	return done;
}

/* The URL is printed as it came. */
bool wire_any_print(struct wire_printer *x, const struct wire_spans *spans)
{
	const uint8_t *place = wire_wkt_span(spans, 0).p;
	struct slice url = slice_make(x->begin, 0);
	struct slice value = slice_make(x->begin, 0);
	const struct pool_message *message;
	struct slice name;
	uint32_t index;
	bool printed;

	if (!read_parts(x, spans, &url, &value)) {
		return false;
	}
	if (!writer_room(&x->w, 0)) {
		return wire_printer_too_large(x, place) != NULL;
	}
	if (url.size == 0) {
		wire_value_put(x, SLICE("{}"));
		return value.size == 0 || bad_any(x, place, "an Any without a type");
	}
	name = type_name(url);
	index = descriptor_pool_find_message(x->pool, name);
	message = index == DESCRIPTOR_NONE ? NULL : x->pool->messages + index;
	if (!message && (name.size == 0 || x->options->any_unknown == CODEC_ANY_ERROR)) {
		return bad_any(x, url.data, "an Any of an unknown type");
	}
	wire_value_put(x, SLICE("{\"@type\":"));
	if (!wire_value_print_string(x, url)) {
		return false;
	}
	if (message) {
		printed = print_payload(x, value, message);
		if (!printed) {
			blame_any(x);
			return false;
		}
	} else {
		if (!writer_room(&x->w, 0)) {
			return wire_printer_too_large(x, place) != NULL;
		}
		wire_value_put(x, SLICE(",\"value\":"));
		if (!wire_value_print_bytes(x, value)) {
			return false;
		}
	}
	if (!writer_room(&x->w, 1)) {
		return wire_printer_too_large(x, place) != NULL;
	}
	*x->w.out++ = '}';
	return true;
}
