/*
 * The types of google/protobuf are written by their published numbers; descriptor_wkt refused any
 * schema that says otherwise.
 */
#include "codec/json_wkt.h"

#include "codec/json_message.h"
#include "codec/json_scalar.h"
#include "codec/json_string.h"
#include "codec/time_text.h"
#include "codec/wkt_tags.h"

static const uint8_t *bad_wkt(struct json_reader *r, const uint8_t *p, const char *expected)
{
	return json_reader_fault(r, p, CODEC_FAULT_JSON_WKT, "expected ", expected);
}

/* A missing part is zero and is not written. */
static const uint8_t *read_time(struct json_reader *r, const uint8_t *p, bool is_timestamp)
{
	const char *expected = is_timestamp ? "an RFC 3339 timestamp" : "a duration such as 1.5s";
	struct time_text time;
	struct slice text;
	const uint8_t *q;

	if (!json_reader_is(r, p, '"')) {
		return json_reader_unexpected(r, p, expected);
	}
	q = json_string_view(r, p + 1, &text);
	if (!q) {
		return NULL;
	}
	if (is_timestamp ? !time_text_read_timestamp(text, &time)
			 : !time_text_read_duration(text, &time)) {
		return bad_wkt(r, p, expected);
	}
	if (!writer_room(&r->w, 0)) {
		return json_reader_too_large(r, p);
	}
	if (time.seconds != 0) {
		*r->w.out++ = TAG_SECONDS;
		r->w.out = wire_put_varint(r->w.out, (uint64_t)time.seconds);
	}
	if (time.nanos != 0) {
		*r->w.out++ = TAG_NANOS;
		r->w.out = wire_put_varint(r->w.out, (uint64_t)(int64_t)time.nanos);
	}
	return q;
}

/* One path: `X` becomes `_x`; no `_`, not empty. */
static bool put_path(struct json_reader *r, struct slice path)
{
	struct json_region region;

	if (path.size == 0 || slice_find(path, '_') < path.size) {
		return false;
	}
	*r->w.out++ = TAG_PATHS;
	region = json_reader_open(r);
	for (size_t i = 0; i < path.size; i++) {
		uint8_t c = path.data[i];

		if (c >= 'A' && c <= 'Z') {
			*r->w.out++ = '_';
			c = (uint8_t)(c - 'A' + 'a');
		}
		*r->w.out++ = c;
	}
	json_reader_close(r, &region);
	return true;
}

/* The room is reckoned before, so paths are written without looking. */
static const uint8_t *read_field_mask(struct json_reader *r, const uint8_t *p)
{
	struct slice text;
	const uint8_t *q;

	if (!json_reader_is(r, p, '"')) {
		return json_reader_unexpected(r, p, "a field mask");
	}
	q = json_string_view(r, p + 1, &text);
	if (!q || text.size == 0) {
		return q;
	}
	/* Every byte may become two, every comma a tag and a length. */
	if (!writer_room(&r->w, 2 * text.size)) {
		return json_reader_too_large(r, p);
	}
	for (;;) {
		size_t comma = slice_find(text, ',');

		if (!put_path(r, slice_make(text.data, comma))) {
			return bad_wkt(r, p, "a field mask");
		}
		if (comma == text.size) {
			return q;
		}
		text = slice_from(text, comma + 1);
	}
}

/* The value of a wrapper: as the scalar, but an object or null is the wrapper's own fault. */
static const uint8_t *read_wrapper(
	struct json_reader *r, const uint8_t *p, const struct pool_message *message)
{
	ASSERT(message->field_count == 1);
	return json_message_value(r, p, pool_fields(r->pool, message));
}

static const uint8_t *read_value(struct json_reader *r, const uint8_t *p);

/* A Value inside of something, with its level of depth and its region. */
static const uint8_t *read_inner_value(struct json_reader *r, const uint8_t *p, uint8_t tag)
{
	struct json_region region;

	if (!json_reader_enter(r, p) || !writer_room(&r->w, 0)) {
		return json_reader_too_large(r, p);
	}
	*r->w.out++ = tag;
	region = json_reader_open(r);
	p = read_value(r, p);
	if (!p) {
		return NULL;
	}
	json_reader_close(r, &region);
	json_reader_leave(r);
	return p;
}

/* The content of a ListValue, p on its bracket. */
static const uint8_t *read_list(struct json_reader *r, const uint8_t *p)
{
	size_t index = 0;

	if (!json_reader_is(r, p, '[')) {
		return json_reader_unexpected(r, p, "array");
	}
	p = json_reader_space(r, p + 1);
	if (json_reader_is(r, p, ']')) {
		return p + 1;
	}
	for (;; index++) {
		p = read_inner_value(r, p, TAG_LIST_VALUE);
		if (!p) {
			fault_path_index(&r->path, index);
			return NULL;
		}
		p = json_reader_space(r, p);
		if (json_reader_is(r, p, ']')) {
			return p + 1;
		}
		if (!json_reader_is(r, p, ',')) {
			return json_reader_fault(
				r, p, CODEC_FAULT_JSON_SYNTAX, "expected ',' or ']'", NULL);
		}
		p = json_reader_space(r, p + 1);
	}
}

/* Depth: the entry is one level, its Value another (WI-09). */
static const uint8_t *read_struct_entry(
	struct json_reader *r, const uint8_t *p, struct key_set *set)
{
	struct json_region region;
	const uint8_t *name = p;
	struct slice key;

	if (!json_reader_is(r, p, '"')) {
		return json_reader_no_name(r, p);
	}
	if (!json_reader_enter(r, p) || !writer_room(&r->w, 0)) {
		return json_reader_too_large(r, p);
	}
	*r->w.out++ = TAG_STRUCT_FIELD;
	region = json_reader_open(r);
	*r->w.out++ = TAG_ENTRY_KEY;
	p = json_string_put_seen(r, p + 1, &key);
	if (!p) {
		return NULL;
	}
	if (!key_set_add(&r->context->keys, set, r->w.begin, key, NULL)) {
		return json_reader_fault(
			r, name, CODEC_FAULT_JSON_DUPLICATE, "key given twice", NULL);
	}
	p = json_reader_space(r, p);
	if (!json_reader_is(r, p, ':')) {
		return json_reader_fault(r, p, CODEC_FAULT_JSON_SYNTAX, "expected ':'", NULL);
	}
	p = json_reader_space(r, p + 1);
	p = read_inner_value(r, p, TAG_ENTRY_VALUE);
	if (!p) {
		const uint8_t *end = json_string_ascii(name + 1, r->end);

		fault_path_field(&r->path, slice_make(name + 1, (size_t)(end - name - 1)));
		return NULL;
	}
	json_reader_close(r, &region);
	json_reader_leave(r);
	return p;
}

/* The content of a Struct, p on its brace. */
static const uint8_t *read_struct(struct json_reader *r, const uint8_t *p)
{
	struct key_set set;

	if (!json_reader_is(r, p, '{')) {
		return json_reader_unexpected(r, p, "object");
	}
	p = json_reader_space(r, p + 1);
	if (json_reader_is(r, p, '}')) {
		return p + 1;
	}
	key_set_open(&r->context->keys, &set);
	for (;;) {
		p = read_struct_entry(r, p, &set);
		if (!p) {
			return NULL;
		}
		p = json_reader_space(r, p);
		if (json_reader_is(r, p, '}')) {
			key_set_close(&r->context->keys, &set);
			return p + 1;
		}
		if (!json_reader_is(r, p, ',')) {
			return json_reader_fault(
				r, p, CODEC_FAULT_JSON_SYNTAX, "expected ',' or '}'", NULL);
		}
		p = json_reader_space(r, p + 1);
	}
}

/* A Struct or ListValue as a member of a Value. */
static const uint8_t *read_value_container(struct json_reader *r, const uint8_t *p)
{
	bool is_struct = *p == '{';
	struct json_region region;

	if (!json_reader_enter(r, p)) {
		return NULL;
	}
	*r->w.out++ = is_struct ? TAG_VALUE_STRUCT : TAG_VALUE_LIST;
	region = json_reader_open(r);
	p = is_struct ? read_struct(r, p) : read_list(r, p);
	if (!p) {
		return NULL;
	}
	json_reader_close(r, &region);
	json_reader_leave(r);
	return p;
}

static const uint8_t *put_flag(struct json_reader *r, const uint8_t *p, uint8_t tag, uint8_t flag)
{
	*r->w.out++ = tag;
	*r->w.out++ = flag;
	return p;
}

/* The content of a Value. */
static const uint8_t *read_value(struct json_reader *r, const uint8_t *p)
{
	const uint8_t *q;
	double number;

	if (!writer_room(&r->w, 0)) {
		return json_reader_too_large(r, p);
	}
	if (p >= r->end) {
		return json_reader_unexpected(r, p, "a value");
	}
	if (*p == '{' || *p == '[') {
		return read_value_container(r, p);
	}
	if (*p == '"') {
		*r->w.out++ = TAG_VALUE_STRING;
		return json_string_put(r, p + 1);
	}
	q = JSON_LITERAL(r, p, "true");
	if (q) {
		return put_flag(r, q, TAG_VALUE_BOOL, 1);
	}
	q = JSON_LITERAL(r, p, "false");
	if (q) {
		return put_flag(r, q, TAG_VALUE_BOOL, 0);
	}
	q = JSON_LITERAL(r, p, "null");
	if (q) {
		return put_flag(r, q, TAG_VALUE_NULL, 0);
	}
	p = json_scalar_number(r, p, &number);
	if (p) {
		*r->w.out++ = TAG_VALUE_NUMBER;
		memcpy(r->w.out, &number, sizeof(number));
		r->w.out += sizeof(number);
	}
	return p;
}

/* The caller entered the level of the message itself. */
const uint8_t *json_wkt_read(
	struct json_reader *r, const uint8_t *p, const struct pool_message *message)
{
	switch ((enum pool_wkt)message->wkt) {
	case WKT_TIMESTAMP:
		return read_time(r, p, true);
	case WKT_DURATION:
		return read_time(r, p, false);
	case WKT_FIELD_MASK:
		return read_field_mask(r, p);
	case WKT_STRUCT:
		return read_struct(r, p);
	case WKT_VALUE:
		return read_value(r, p);
	case WKT_LIST_VALUE:
		return read_list(r, p);
	case WKT_WRAPPER:
		return read_wrapper(r, p, message);
	case WKT_NONE:
	case WKT_ANY:
		break;
	}
	ASSERT(false);
	return NULL;
}
