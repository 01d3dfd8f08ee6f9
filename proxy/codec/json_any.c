/*
 * An Any whose "@type" comes first is read like any object. If it comes later, the text is looked
 * through once for all of them, so that nested ones do not cost a pass each (EN-05).
 */
#include "codec/json_any.h"

#include "codec/json_message.h"
#include "codec/json_scalar.h"
#include "codec/json_skip.h"
#include "codec/json_string.h"
#include "codec/key_sort.h"

#define TAG_TYPE_URL 0x0a
#define TAG_VALUE    0x12

/* Where the "@type" of an object stands. */
struct type_place {
	uint64_t object; /* offset of its brace */
	uint64_t type;	 /* offset of the value of "@type" */
};

/* Always NULL, so that callers can return it. */
static const uint8_t *bad_any(struct json_reader *r, const uint8_t *p, const char *rule)
{
	return json_reader_fault(r, p, CODEC_FAULT_JSON_ANY, rule, NULL);
}

/* Behind a string of a text that was checked; *ret_is_type when it says "@type". */
static const uint8_t *pass_string(struct json_reader *r, const uint8_t *p, bool *ret_is_type)
{
	struct slice text;
	const uint8_t *q = json_string_view(r, p + 1, &text);

	ASSERT(q);
	*ret_is_type = slice_equal(text, SLICE("@type"));
	return q;
}

/*
 * EN-05: one pass over the whole text, which was checked before, for every object's first "@type".
 * So a text of many objects with a late "@type" still takes linear time.
 */
static void record_types(struct json_reader *r)
{
	size_t open[CODEC_DEPTH_MAX + 1];
	size_t depth = 0;
	struct buf *types = &r->context->types;
	void *scratch;
	size_t count;

	for (const uint8_t *p = r->begin; p < r->end;) {
		if (*p == '{' || *p == '[') {
			ASSERT(depth <= CODEC_DEPTH_MAX);
			open[depth++] = (size_t)(p - r->begin);
		} else if (*p == '}' || *p == ']') {
			depth--;
		} else if (*p == '"') {
			bool is_type;
			const uint8_t *q = json_reader_space(r, pass_string(r, p, &is_type));

			if (is_type && json_reader_is(r, q, ':')) {
				struct type_place place = {open[depth - 1], 0};

				q = json_reader_space(r, q + 1);
				place.type = (uint64_t)(q - r->begin);
				buf_append(types, &place, sizeof(place));
			}
			p = q;
			continue;
		}
		p++;
	}
	count = types->size / sizeof(struct type_place);
	scratch = buf_reserve(types, types->size);
	key_sort_by_key(types->data, scratch, count, sizeof(struct type_place), 0);
	r->types_recorded = true;
}

/* The value of the "@type" of the object at p, or NULL without a fault. */
static const uint8_t *find_type(struct json_reader *r, const uint8_t *p)
{
	const struct type_place *places = (const void *)r->context->types.data;
	uint64_t object = (uint64_t)(p - r->begin);
	size_t low = 0;
	size_t high = r->context->types.size / sizeof(*places);

	ASSERT(r->types_recorded);
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (places[middle].object == object) {
			return r->begin + places[middle].type;
		}
		if (places[middle].object < object) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return NULL;
}

/* Checks the whole text, so that record_types may trust it. */
static bool check_text(struct json_reader *r)
{
	uint32_t depth_left = r->depth_left;
	const uint8_t *p = json_reader_space(r, r->begin);

	/* From the root: what is open around this place does not count twice. */
	r->depth_left = r->options->max_depth;
	p = json_skip_value(r, p);
	r->depth_left = depth_left;
	if (!p) {
		return false;
	}
	if (json_reader_space(r, p) != r->end) {
		(void)json_reader_fault(
			r, p, CODEC_FAULT_JSON_SYNTAX, "something after the value", NULL);
		return false;
	}
	return true;
}

/* The place of the type's value. p on the brace, first on the first key. */
static const uint8_t *locate_type(struct json_reader *r, const uint8_t *p, const uint8_t *first)
{
	const uint8_t *q = JSON_LITERAL(r, first, "\"@type\"");

	if (q) {
		q = json_reader_space(r, q);
		if (!json_reader_is(r, q, ':')) {
			return json_reader_fault(
				r, q, CODEC_FAULT_JSON_SYNTAX, "expected ':'", NULL);
		}
		return json_reader_space(r, q + 1);
	}
	if (!r->types_recorded) {
		if (!check_text(r)) {
			return NULL;
		}
		record_types(r);
	}
	q = find_type(r, p);
	return q ? q : bad_any(r, p, "an Any without @type");
}

/* Writes the URL; the message that it names, or NULL (with or without a fault). */
static const struct pool_message *put_type(
	struct json_reader *r, const uint8_t *place, bool *ret_named)
{
	struct slice url;
	size_t slash;
	uint32_t index;

	*ret_named = false;
	if (!json_reader_is(r, place, '"')) {
		(void)bad_any(r, place, "@type is no string");
		return NULL;
	}
	*r->w.out++ = TAG_TYPE_URL;
	if (!json_string_put_seen(r, place + 1, &url)) {
		return NULL;
	}
	slash = url.size;
	while (slash > 0 && url.data[slash - 1] != '/') {
		slash--;
	}
	if (slash == 0 || slash == url.size) {
		(void)bad_any(r, place, "@type names no type");
		return NULL;
	}
	*ret_named = true;
	index = descriptor_pool_find_message(r->pool, slice_from(url, slash));
	return index == DESCRIPTOR_NONE ? NULL : r->pool->messages + index;
}

/* The member "value" of an Any whose type has a JSON form of its own, or is unknown (NULL). */
static const uint8_t *read_value(
	struct json_reader *r, const uint8_t *p, const struct pool_message *message)
{
	struct json_region region;

	if (!writer_room(&r->w, 0)) {
		return json_reader_too_large(r, p);
	}
	*r->w.out++ = TAG_VALUE;
	if (!message) {
		return json_scalar_put_bytes(r, p);
	}
	region = json_reader_open(r);
	p = json_message_read(r, p, message);
	if (p) {
		json_reader_close(r, &region);
	}
	return p;
}

/* The members of {"@type":URL,"value":X}, p on the first key. Returns behind the brace. */
static const uint8_t *read_boxed(
	struct json_reader *r, const uint8_t *p, const struct pool_message *message)
{
	bool has_value = false;
	bool has_type = false;

	for (;;) {
		const uint8_t *name = p;
		struct slice text;
		bool is_value;
		bool is_type;

		p = json_skip_key(r, name);
		if (!p || !json_string_view(r, name + 1, &text)) {
			return NULL;
		}
		is_value = slice_equal(text, SLICE("value"));
		is_type = slice_equal(text, SLICE("@type"));
		if ((is_value && has_value) || (is_type && has_type)) {
			return json_reader_fault(
				r, name, CODEC_FAULT_JSON_DUPLICATE, "given twice", NULL);
		}
		has_value = has_value || is_value;
		has_type = has_type || is_type;
		if (!is_value && !is_type && !r->options->ignore_unknown) {
			return bad_any(r, name, "only @type and value stand here");
		}
		p = is_value ? read_value(r, p, message) : json_skip_value(r, p);
		if (!p) {
			if (is_value) {
				fault_path_field(&r->path, SLICE("value"));
			}
			return NULL;
		}
		p = json_reader_space(r, p);
		if (json_reader_is(r, p, '}')) {
			return has_value ? p + 1 : bad_any(r, p, "an Any without value");
		}
		if (!json_reader_is(r, p, ',')) {
			return json_reader_fault(
				r, p, CODEC_FAULT_JSON_SYNTAX, "expected ',' or '}'", NULL);
		}
		p = json_reader_space(r, p + 1);
	}
}

/* The members of {"@type":URL,fields...}, p on the first key. */
static const uint8_t *read_plain(
	struct json_reader *r, const uint8_t *p, const struct pool_message *message)
{
	struct json_region region;

	if (!json_reader_enter(r, p) || !writer_room(&r->w, 0)) {
		return json_reader_too_large(r, p);
	}
	*r->w.out++ = TAG_VALUE;
	region = json_reader_open(r);
	p = json_message_members(r, p, message, true);
	if (!p) {
		return NULL;
	}
	json_reader_close(r, &region);
	if (r->w.out[-1] == 0 && writer_size(&r->w) == region.at + 1) {
		r->w.out -= 2; /* an empty message: no value */
	}
	json_reader_leave(r);
	return p;
}

/* The type is written before the value, wherever it stands in the text. */
const uint8_t *json_any_read(
	struct json_reader *r, const uint8_t *p, const struct pool_message *message)
{
	const struct pool_message *payload;
	const uint8_t *first;
	const uint8_t *place;
	bool named;

	ASSERT(message->wkt == WKT_ANY);
	if (!json_reader_is(r, p, '{')) {
		return json_reader_unexpected(r, p, "object");
	}
	first = json_reader_space(r, p + 1);
	if (json_reader_is(r, first, '}')) {
		return first + 1;
	}
	if (!writer_room(&r->w, 0)) {
		return json_reader_too_large(r, p);
	}
	place = locate_type(r, p, first);
	if (!place) {
		return NULL;
	}
	payload = put_type(r, place, &named);
	if (!named || (!payload && r->options->any_unknown == CODEC_ANY_ERROR)) {
		return bad_any(r, place, "@type names an unknown type");
	}
	if (payload && payload->wkt == WKT_NONE) {
		return read_plain(r, first, payload);
	}
	return read_boxed(r, first, payload);
}
