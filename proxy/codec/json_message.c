/*
 * One call reads one object. The next field in the order of the schema is tried first by comparing
 * its whole `"name":` at once (EN-02); a hash finds the others. What was seen is a word of bits on
 * the stack; only messages with more than 64 fields and oneofs use the scratch, and only once such
 * a field comes. Faults build their path while these calls return.
 */
#include "codec/json_message.h"

#include "codec/json_any.h"
#include "codec/json_scalar.h"
#include "codec/json_skip.h"
#include "codec/json_string.h"
#include "codec/json_wkt.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define BITS_INLINE 64

/* An object while its members are read. */
struct object {
	const struct pool_message *message;
	const struct pool_field *fields;
	const struct pool_field *next; /* the field that is likely to come (EN-02) */
	uint64_t seen;		       /* the first 64 fields and oneofs */
	size_t more;		       /* the others: offset in context->seen, once needed */
	bool has_more;
	uint16_t required;
	bool in_any;
	bool typed; /* "@type" was met */
};

/* Both sides have 16 readable bytes behind. */
static inline bool same_text(const uint8_t *a, const uint8_t *b, size_t size)
{
#ifdef __SSE2__
	if (size <= 16) {
		__m128i left = _mm_loadu_si128((const __m128i *)(const void *)a);
		__m128i right = _mm_loadu_si128((const __m128i *)(const void *)b);
		unsigned equal = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(left, right));

		return (~equal & ((1u << size) - 1)) == 0;
	}
#endif
	return memcmp(a, b, size) == 0;
}

/* JN-05: marks a field or oneof; false: it was marked before. */
static bool mark_far(struct json_reader *r, struct object *o, uint32_t bit)
{
	struct buf *seen = &r->context->seen;
	uint64_t mask = (uint64_t)1 << bit % 64;
	uint64_t *word;

	ASSERT(bit < o->message->seen_bits);
	if (!o->has_more) {
		size_t size = (o->message->seen_bits / 64 + 1) * sizeof(*word);

		o->more = seen->size;
		o->has_more = true;
		memset(buf_reserve(seen, size), 0, size);
		seen->size += size;
	}
	word = (uint64_t *)(void *)(seen->data + o->more) + bit / 64;
	if (*word & mask) {
		return false;
	}
	*word |= mask;
	return true;
}

/* The first 64 need no memory but the frame. */
static inline bool mark(struct json_reader *r, struct object *o, uint32_t bit)
{
	uint64_t mask = (uint64_t)1 << bit % 64;
	bool fresh = (o->seen & mask) == 0;

	if (bit >= BITS_INLINE) {
		return mark_far(r, o, bit);
	}
	o->seen |= mask;
	return fresh;
}

static struct slice json_name(const struct json_reader *r, const struct pool_field *field)
{
	return slice_make(r->pool->text + field->name, field->name_size);
}

/* The path gets the name as it stands in the text, escaped. */
static const uint8_t *unknown_field(struct json_reader *r, const uint8_t *p, struct slice name)
{
	(void)json_reader_fault(r, p, CODEC_FAULT_JSON_UNKNOWN_FIELD, "unknown field", NULL);
	fault_path_field(&r->path, name);
	return NULL;
}

/*
 * The value of a member that is no field: "@type" of an Any, or unknown. Returns behind it.
 */
static const uint8_t *read_stranger(
	struct json_reader *r, struct object *o, const uint8_t *p, struct slice name)
{
	const uint8_t *value;

	if (o->in_any && slice_equal(name, SLICE("@type"))) {
		if (o->typed) {
			return json_reader_fault(
				r, p, CODEC_FAULT_JSON_DUPLICATE, "given twice", NULL);
		}
		o->typed = true;
		value = json_skip_key(r, p);
		return value ? json_skip_value(r, value) : NULL;
	}
	if (!r->options->ignore_unknown) {
		return unknown_field(r, p, name);
	}
	value = json_skip_key(r, p);
	return value ? json_skip_value(r, value) : NULL;
}

/* A message field with its tag: a region, or a group. */
static const uint8_t *read_submessage(
	struct json_reader *r, const uint8_t *p, const struct pool_field *field)
{
	const struct pool_message *message = r->pool->messages + field->sub;
	struct json_region region;

	json_reader_put_tag(r, field);
	if (field->flags & POOL_DELIMITED) {
		p = json_message_read(r, p, message);
		if (!p || !writer_room(&r->w, 0)) {
			return p ? json_reader_too_large(r, p) : NULL;
		}
		r->w.out = wire_put_varint(r->w.out, field->number << 3 | WIRE_END);
		return p;
	}
	region = json_reader_open(r);
	p = json_message_read(r, p, message);
	if (p) {
		json_reader_close(r, &region);
	}
	return p;
}

/* A string or bytes field with its tag; p on the value. */
static const uint8_t *read_text(
	struct json_reader *r, const uint8_t *p, const struct pool_field *field)
{
	bool implicit = (field->flags & (POOL_PRESENCE | POOL_REPEATED)) == 0;
	size_t before;

	json_reader_put_tag(r, field);
	before = writer_size(&r->w);
	if (field->kind == POOL_BYTES) {
		p = json_scalar_put_bytes(r, p);
	} else if (json_reader_is(r, p, '"')) {
		p = json_string_put(r, p + 1);
	} else {
		return json_reader_unexpected(r, p, "string");
	}
	if (p && implicit && writer_size(&r->w) == before + 1) {
		r->w.out -= 1 + field->tag_size; /* empty: JN-04 */
	}
	return p;
}

/* JN-04: zero of a field without presence is not written. */
const uint8_t *json_message_value(
	struct json_reader *r, const uint8_t *p, const struct pool_field *field)
{
	bool implicit = (field->flags & (POOL_PRESENCE | POOL_REPEATED)) == 0;
	uint64_t bits;

	r->dropped = false;
	if (!writer_room(&r->w, 0)) {
		return json_reader_too_large(r, p);
	}
	if (field->kind == POOL_MESSAGE) {
		p = read_submessage(r, p, field);
		r->dropped = false; /* something inside was, not this */
		return p;
	}
	if (field->kind == POOL_STRING || field->kind == POOL_BYTES) {
		return read_text(r, p, field);
	}
	p = json_scalar_read(r, p, field, &bits);
	if (!p || r->dropped || (bits == 0 && implicit)) {
		return p;
	}
	json_reader_put_tag(r, field);
	json_scalar_put(r, (enum pool_kind)field->kind, bits);
	return p;
}

/* JN-04: null is a value of its own for Value and NullValue only. */
static bool takes_null(const struct pool_field *field)
{
	return field->flags & POOL_NULL || (field->kind == POOL_MESSAGE && field->wkt == WKT_VALUE);
}

/* Elements of lists are always written, zeros too. */
static const uint8_t *read_element(
	struct json_reader *r, const uint8_t *p, const struct pool_field *field, bool packed)
{
	uint64_t bits;

	r->dropped = false;
	if (json_reader_is(r, p, 'n') && !takes_null(field)) {
		return json_reader_unexpected(r, p, json_scalar_name((enum pool_kind)field->kind));
	}
	if (!packed) {
		return json_message_value(r, p, field);
	}
	if (!writer_room(&r->w, 0)) {
		return json_reader_too_large(r, p);
	}
	p = json_scalar_read(r, p, field, &bits);
	if (p && !r->dropped) {
		json_scalar_put(r, (enum pool_kind)field->kind, bits);
	}
	return p;
}

/* A fault says which element. */
static const uint8_t *read_elements(
	struct json_reader *r, const uint8_t *p, const struct pool_field *field)
{
	bool packed = (field->flags & POOL_PACKED) != 0;
	size_t index = 0;

	ASSERT(field->flags & POOL_REPEATED);
	for (;; index++) {
		p = read_element(r, p, field, packed);
		if (!p) {
			fault_path_index(&r->path, index);
			return NULL;
		}
		p = json_reader_space(r, p);
		if (json_reader_is(r, p, ']')) {
			return p + 1;
		}
		if (!json_reader_is(r, p, ',')) {
			return json_reader_fault(r, p < r->end ? p : r->end,
				CODEC_FAULT_JSON_SYNTAX, "expected ',' or ']'", NULL);
		}
		p = json_reader_space(r, p + 1);
	}
}

/* A packed list is one region; it vanishes when nothing is left in it. */
static const uint8_t *read_array(
	struct json_reader *r, const uint8_t *p, const struct pool_field *field)
{
	struct json_region region;
	size_t start;

	if (!json_reader_is(r, p, '[')) {
		return json_reader_unexpected(r, p, "array");
	}
	p = json_reader_space(r, p + 1);
	if (json_reader_is(r, p, ']')) {
		return p + 1;
	}
	if (!(field->flags & POOL_PACKED)) {
		return read_elements(r, p, field);
	}
	if (!writer_room(&r->w, 0)) {
		return json_reader_too_large(r, p);
	}
	json_reader_put_tag(r, field);
	start = writer_size(&r->w);
	region = json_reader_open(r);
	p = read_elements(r, p, field);
	if (!p) {
		return NULL;
	}
	json_reader_close(r, &region);
	if (writer_size(&r->w) == start + 1) {
		r->w.out -= 1 + field->tag_size; /* all elements were dropped */
	}
	return p;
}

/* The key of a map entry with its tag; *ret_fresh: no entry of this object has it. */
static const uint8_t *read_map_key(struct json_reader *r, const uint8_t *p,
	const struct pool_field *key, struct key_set *set, bool *ret_fresh)
{
	struct key_sets *sets = &r->context->keys;
	uint64_t bits;

	if (!json_reader_is(r, p, '"')) {
		return json_reader_no_name(r, p);
	}
	json_reader_put_tag(r, key);
	if (key->kind == POOL_STRING) {
		struct slice text;

		p = json_string_put_seen(r, p + 1, &text);
		if (p) {
			*ret_fresh = key_set_add(sets, set, r->w.begin, text, NULL);
		}
		return p;
	}
	p = json_scalar_read_key(r, p + 1, key, &bits);
	if (p) {
		json_scalar_put(r, (enum pool_kind)key->kind, bits);
		*ret_fresh = key_set_add_number(sets, set, bits, NULL);
	}
	return p;
}

/* Key and value are both written, whatever they are. */
static const uint8_t *read_entry(struct json_reader *r, const uint8_t *p,
	const struct pool_field *field, struct key_set *set)
{
	const struct pool_field *entry = pool_fields(r->pool, r->pool->messages + field->sub);
	size_t start;
	size_t slots = r->context->slots.size;
	size_t surplus = r->surplus;
	struct json_region region;
	bool fresh = false;
	const uint8_t *name = p;

	if (!json_reader_enter(r, p) || !writer_room(&r->w, 0)) {
		return json_reader_too_large(r, p);
	}
	start = writer_size(&r->w);
	json_reader_put_tag(r, field);
	region = json_reader_open(r);
	p = read_map_key(r, p, entry, set, &fresh);
	if (!p) {
		return NULL;
	}
	if (!fresh) {
		return json_reader_fault(
			r, name, CODEC_FAULT_JSON_DUPLICATE, "key given twice", NULL);
	}
	p = json_reader_space(r, p);
	if (!json_reader_is(r, p, ':')) {
		return json_reader_fault(r, p, CODEC_FAULT_JSON_SYNTAX, "expected ':'", NULL);
	}
	p = json_reader_space(r, p + 1);
	p = read_element(r, p, entry + 1, false);
	if (!p) {
		return NULL;
	}
	json_reader_leave(r);
	if (r->dropped) {
		/* JN-02: the entry goes with its value. */
		r->w.out = r->w.begin + start;
		r->context->slots.size = slots;
		r->surplus = surplus;
		r->dropped = false;
		return p;
	}
	json_reader_close(r, &region);
	return p;
}

static void blame_key(struct json_reader *r, const uint8_t *p)
{
	const uint8_t *end = json_reader_is(r, p, '"') ? json_string_ascii(p + 1, r->end) : NULL;

	/* Keys that are not plain text are shown without their rest. */
	if (end) {
		fault_path_key(&r->path, slice_make(p + 1, (size_t)(end - p - 1)));
	}
}

/* JN-05: no two keys of one decoded value. */
static const uint8_t *read_entries(struct json_reader *r, const uint8_t *p,
	const struct pool_field *field, struct key_set *set)
{
	for (;;) {
		const uint8_t *name = p;

		p = read_entry(r, p, field, set);
		if (!p) {
			blame_key(r, name);
			return NULL;
		}
		p = json_reader_space(r, p);
		if (json_reader_is(r, p, '}')) {
			return p + 1;
		}
		if (!json_reader_is(r, p, ',')) {
			return json_reader_fault(r, p < r->end ? p : r->end,
				CODEC_FAULT_JSON_SYNTAX, "expected ',' or '}'", NULL);
		}
		p = json_reader_space(r, p + 1);
	}
}

/* The set of keys lives as long as the map is open. */
static const uint8_t *read_map(
	struct json_reader *r, const uint8_t *p, const struct pool_field *field)
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
	p = read_entries(r, p, field, &set);
	if (p) {
		key_set_close(&r->context->keys, &set);
	}
	return p;
}

/* The value of a known member, p on it. `name` is where its key stands, for faults. */
static const uint8_t *read_field(struct json_reader *r, struct object *o, const uint8_t *p,
	const struct pool_field *field, const uint8_t *name)
{
	if (json_reader_is(r, p, 'n') && (field->flags & POOL_REPEATED || !takes_null(field))) {
		const uint8_t *q = JSON_LITERAL(r, p, "null");

		return q ? q : json_reader_unexpected(r, p, "a value");
	}
	if (!mark(r, o, field->index)) {
		return json_reader_fault(r, name, CODEC_FAULT_JSON_DUPLICATE, "given twice", NULL);
	}
	if (field->oneof != DESCRIPTOR_NONE && !mark(r, o, field->oneof)) {
		return json_reader_fault(
			r, name, CODEC_FAULT_JSON_DUPLICATE, "a second member of one oneof", NULL);
	}
	o->required = (uint16_t)(o->required + ((field->flags & POOL_REQUIRED) != 0));
	if (!(field->flags & POOL_REPEATED)) {
		return json_message_value(r, p, field);
	}
	return field->flags & POOL_MAP ? read_map(r, p, field) : read_array(r, p, field);
}

/* The likely field, when its key and colon stand at p exactly so; *p then goes behind them. */
static inline const struct pool_field *guess_field(
	const struct json_reader *r, const struct object *o, const uint8_t **p)
{
	const struct pool_field *field = o->next;
	size_t size = field->key_size - 1u; /* without the comma */

	if ((size_t)(r->end - *p) >= size && same_text(*p, r->pool->text + field->key + 1, size)) {
		*p += size;
		return field;
	}
	if (field->proto_key == field->key) {
		return NULL;
	}
	size = field->proto_key_size - 1u;
	if ((size_t)(r->end - *p) >= size &&
		same_text(*p, r->pool->text + field->proto_key + 1, size)) {
		*p += size;
		return field;
	}
	return NULL;
}

/* One member, p on its key. */
static const uint8_t *read_member(struct json_reader *r, struct object *o, const uint8_t *p)
{
	const uint8_t *name = p;
	/* A message without fields has no likely one, and must not look behind its tables. */
	const struct pool_field *field = o->message->field_count ? guess_field(r, o, &p) : NULL;
	struct slice text;

	if (!field) {
		if (!json_reader_is(r, p, '"')) {
			return json_reader_no_name(r, p);
		}
		p = json_string_view(r, p + 1, &text);
		if (!p) {
			return NULL;
		}
		field = o->message->field_count ? pool_field_by_name(r->pool, o->message, text)
						: NULL;
		if (!field || (o->in_any && slice_equal(text, SLICE("@type")))) {
			return read_stranger(r, o, name, text);
		}
		if (field == &pool_ambiguous) {
			(void)json_reader_fault(r, name, CODEC_FAULT_JSON_UNKNOWN_FIELD,
				"a name of two fields", NULL);
			fault_path_field(&r->path, text);
			return NULL;
		}
		p = json_reader_space(r, p);
		if (!json_reader_is(r, p, ':')) {
			return json_reader_fault(
				r, p, CODEC_FAULT_JSON_SYNTAX, "expected ':'", NULL);
		}
		p++;
	}
	o->next = field + 1 < o->fields + o->message->field_count ? field + 1 : o->fields;
	p = json_reader_space(r, p);
	p = read_field(r, o, p, field, name);
	if (!p) {
		fault_path_field(&r->path, json_name(r, field));
	}
	return p;
}

/* JN-06, if asked for. */
static const uint8_t *finish_object(struct json_reader *r, struct object *o, const uint8_t *p)
{
	if (o->has_more) {
		r->context->seen.size = o->more;
	}
	if (r->options->check_required && o->required < o->message->required_count) {
		return json_reader_fault(
			r, p, CODEC_FAULT_JSON_REQUIRED, "a required field is missing", NULL);
	}
	return p + 1;
}

/* Strict commas: neither missing nor trailing (JS-01). */
const uint8_t *json_message_members(
	struct json_reader *r, const uint8_t *p, const struct pool_message *message, bool in_any)
{
	struct object o = {.message = message, .in_any = in_any};

	o.fields = o.next = pool_fields(r->pool, message);
	p = json_reader_space(r, p);
	if (json_reader_is(r, p, '}')) {
		return finish_object(r, &o, p);
	}
	for (;;) {
		p = read_member(r, &o, p);
		if (!p) {
			return NULL;
		}
		p = json_reader_space(r, p);
		if (json_reader_is(r, p, '}')) {
			return finish_object(r, &o, p);
		}
		if (!json_reader_is(r, p, ',')) {
			return json_reader_fault(r, p < r->end ? p : r->end,
				CODEC_FAULT_JSON_SYNTAX, "expected ',' or '}'", NULL);
		}
		p = json_reader_space(r, p + 1);
	}
}

/* One level of depth, whatever the JSON form of the type. */
const uint8_t *json_message_read(
	struct json_reader *r, const uint8_t *p, const struct pool_message *message)
{
	if (!json_reader_enter(r, p)) {
		return NULL;
	}
	if (message->wkt == WKT_NONE) {
		if (!json_reader_is(r, p, '{')) {
			return json_reader_unexpected(r, p, "object");
		}
		p = json_message_members(r, p + 1, message, false);
	} else if (message->wkt == WKT_ANY) {
		p = json_any_read(r, p, message);
	} else {
		p = json_wkt_read(r, p, message);
	}
	json_reader_leave(r);
	return p;
}
