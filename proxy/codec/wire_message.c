/*
 * Every member is written behind a comma, and the first comma becomes the opening brace when the
 * object is complete: no state says whether a comma is due.
 */
#include "codec/wire_message.h"

#include "codec/wire_value.h"
#include "codec/wire_wkt.h"

#define BITS_INLINE 64

/* A message while its fields are printed. */
struct object {
	const struct pool_message *message;
	const struct pool_field *fields;
	const struct pool_field *next; /* the field that is likely to come */
	uint64_t seen;
	size_t more; /* offset in context->seen, once needed */
	bool has_more;
	uint32_t group; /* number of the group, 0 for others */
};

/* Only for messages with more than 64 fields and oneofs. */
static uint64_t *far_word(struct wire_printer *x, struct object *o, uint32_t bit)
{
	struct buf *seen = &x->context->seen;

	ASSERT(bit < o->message->seen_bits);
	if (!o->has_more) {
		size_t size = (o->message->seen_bits / 64 + 1) * sizeof(uint64_t);

		o->more = seen->size;
		o->has_more = true;
		memset(buf_reserve(seen, size), 0, size);
		seen->size += size;
	}
	return (uint64_t *)(void *)(seen->data + o->more) + bit / 64;
}

/* False: it was marked before, so the message is irregular. */
static inline bool mark(struct wire_printer *x, struct object *o, uint32_t bit)
{
	uint64_t *word = bit < BITS_INLINE ? &o->seen : far_word(x, o, bit);
	uint64_t mask = (uint64_t)1 << bit % 64;
	bool fresh = (*word & mask) == 0;

	*word |= mask;
	return fresh;
}

/* An empty object has no comma to replace. */
bool wire_message_close(struct wire_printer *x, size_t start, char open, char close)
{
	if (!writer_room(&x->w, 2)) {
		(void)wire_printer_too_large(x, x->end);
		return false;
	}
	if (writer_size(&x->w) == start) {
		*x->w.out++ = (uint8_t)open;
	} else {
		x->w.begin[start] = (uint8_t)open;
	}
	*x->w.out++ = (uint8_t)close;
	return true;
}

static const uint8_t *print_members(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_message *message, uint32_t group);

/* A group is always a plain message; p behind its start tag, the result behind its end tag. */
static const uint8_t *print_group(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_field *field)
{
	size_t start;

	if (!wire_printer_enter(x, p)) {
		return NULL;
	}
	start = writer_size(&x->w);
	p = print_members(x, p, end, x->pool->messages + field->sub, field->number);
	wire_printer_leave(x);
	return p && wire_message_close(x, start, '{', '}') ? p : NULL;
}

/* The value of a message field, p behind the tag. */
static const uint8_t *print_submessage(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_field *field)
{
	size_t size = 0;

	if (field->flags & POOL_DELIMITED) {
		return print_group(x, p, end, field);
	}
	p = wire_printer_length(x, p, end, &size);
	return p ? wire_message_print(x, p, p + size, x->pool->messages + field->sub) : NULL;
}

/* One element of a list with its comma, p behind the tag. */
static const uint8_t *print_element(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_field *field)
{
	uint64_t bits;
	size_t size = 0;

	if (!writer_room(&x->w, 1)) {
		return wire_printer_too_large(x, p);
	}
	if (field->kind == POOL_MESSAGE) {
		*x->w.out++ = ',';
		return print_submessage(x, p, end, field);
	}
	if (field->wire == WIRE_LENGTH) {
		p = wire_printer_length(x, p, end, &size);
		if (!p) {
			return NULL;
		}
		*x->w.out++ = ',';
		return wire_value_print_text(x, field, slice_make(p, size)) ? p + size : NULL;
	}
	p = wire_printer_bits(x, p, end, (enum wire_type)field->wire, &bits);
	if (!p) {
		return NULL;
	}
	bits = wire_value_normal(field, bits);
	if (!wire_value_declared(x, field, bits)) {
		return p; /* WI-07 */
	}
	*x->w.out++ = ',';
	return wire_value_print_bits(x, field, bits) ? p : NULL;
}

/* One length for all elements. */
static const uint8_t *print_packed(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_field *field)
{
	size_t size = 0;
	const uint8_t *stop;
	size_t width = field->wire == WIRE_FIXED64 ? 8 : 4;

	p = wire_printer_length(x, p, end, &size);
	if (!p) {
		return NULL;
	}
	if (field->wire != WIRE_VARINT && size % width != 0) {
		return wire_printer_fault(
			x, p, CODEC_FAULT_WIRE_LENGTH, "packed length is no multiple");
	}
	stop = p + size;
	while (p < stop) {
		p = print_element(x, p, stop, field);
		if (!p) {
			return NULL;
		}
	}
	return p;
}

/* A list, p behind the first tag: all elements whose tags follow at once. */
static const uint8_t *print_list(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_field *field, uint32_t tag)
{
	size_t key = writer_size(&x->w);
	bool packed = (tag & 7) != field->wire;
	size_t start;
	size_t index = 0;

	if (!wire_value_put_key(x, field)) {
		return NULL;
	}
	start = writer_size(&x->w);
	for (;; index++) {
		uint32_t next;
		const uint8_t *q;

		p = packed ? print_packed(x, p, end, field) : print_element(x, p, end, field);
		if (!p) {
			fault_path_index(&x->path, index);
			return NULL;
		}
		q = p < end ? wire_tag(p, end, &next) : NULL;
		if (!q || next != tag) {
			break;
		}
		p = q;
	}
	if (writer_size(&x->w) == start && !x->options->emit_defaults) {
		x->w.out = x->w.begin + key; /* empty, or all dropped: JN-03 */
		return p;
	}
	return wire_message_close(x, start, '[', ']') ? p : NULL;
}

/* A map entry as it is found: each part at most once, else the message is irregular. */
struct entry {
	const uint8_t *key; /* behind the tag; NULL: missing */
	const uint8_t *value;
};

/* The key may stand behind the value, but must be printed first. */
static bool find_parts(struct wire_printer *x, struct wire_span span,
	const struct pool_field *fields, struct entry *ret_entry)
{
	const uint8_t *p = span.p;

	while (p < span.end) {
		const uint8_t **part = NULL;
		uint32_t tag;

		p = wire_printer_tag(x, p, span.end, &tag);
		if (!p) {
			return false;
		}
		if (tag == fields[0].tag) {
			part = &ret_entry->key;
		} else if (tag == fields[1].tag) {
			part = &ret_entry->value;
		}
		if (part && *part) {
			(void)wire_printer_irregular(x);
			return false;
		}
		if (part) {
			*part = p;
		}
		p = wire_printer_skip(x, p, span.end, tag);
		if (!p) {
			return false;
		}
	}
	return true;
}

/* The key of an entry, quoted, and whether it is new in this map. */
static bool print_key(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_field *key, struct key_set *set)
{
	struct key_sets *sets = &x->context->keys;
	struct slice text = slice_make(x->begin, 0);
	uint64_t bits = 0;
	bool fresh;

	if (key->kind == POOL_STRING) {
		if (p) {
			p = wire_printer_length(x, p, end, &text.size);
			text.data = p;
		}
		fresh = key_set_add(sets, set, x->begin, text, NULL);
		if (!fresh) {
			(void)wire_printer_irregular(x);
			return false;
		}
		return wire_value_print_string(x, text);
	}
	if (p) {
		p = wire_printer_bits(x, p, end, (enum wire_type)key->wire, &bits);
		if (!p) {
			return false;
		}
	}
	bits = wire_value_normal(key, bits);
	fresh = key_set_add_number(sets, set, bits, NULL);
	if (!fresh) {
		(void)wire_printer_irregular(x);
		return false;
	}
	return wire_value_print_key(x, key, bits);
}

/* The value of an entry; a missing one is its zero (WI-03). */
static bool print_entry_value(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_field *field)
{
	uint64_t bits = 0;
	size_t size = 0;

	if (field->kind == POOL_MESSAGE) {
		if (p) {
			p = wire_printer_length(x, p, end, &size);
			if (!p) {
				return false;
			}
		} else {
			p = end;
		}
		return wire_message_print(x, p, p + size, x->pool->messages + field->sub) != NULL;
	}
	if (field->wire == WIRE_LENGTH) {
		if (p) {
			p = wire_printer_length(x, p, end, &size);
		}
		return wire_value_print_text(x, field, slice_make(p ? p : end, size));
	}
	if (p && !wire_printer_bits(x, p, end, (enum wire_type)field->wire, &bits)) {
		return false;
	}
	return wire_value_print_bits(x, field, wire_value_normal(field, bits));
}

/* WI-07: an undeclared number drops the whole entry. */
static bool is_dropped(struct wire_printer *x, const uint8_t *value, const uint8_t *end,
	const struct pool_field *field)
{
	uint64_t bits = 0;

	if (!(field->flags & POOL_CLOSED)) {
		return false;
	}
	if (value && !wire_varint(value, end, &bits)) {
		return false; /* the printer finds the fault */
	}
	return !wire_value_declared(x, field, wire_value_normal(field, bits));
}

/* A key that comes again ends the optimistic pass (EN-05). */
static bool print_entry(struct wire_printer *x, const struct entry *entry, const uint8_t *end,
	const struct pool_field *fields, struct key_set *set)
{
	if (!writer_room(&x->w, 1)) {
		(void)wire_printer_too_large(x, end);
		return false;
	}
	*x->w.out++ = ',';
	if (!print_key(x, entry->key, end, &fields[0], set)) {
		return false;
	}
	if (!writer_room(&x->w, 1)) {
		(void)wire_printer_too_large(x, end);
		return false;
	}
	*x->w.out++ = ':';
	return print_entry_value(x, entry->value, end, &fields[1]);
}

/* Find the parts, then print them. */
const uint8_t *wire_message_entry(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_field *field, struct key_set *set)
{
	const struct pool_field *fields = pool_fields(x->pool, x->pool->messages + field->sub);
	struct entry entry = {NULL, NULL};
	struct wire_span span;
	size_t size = 0;

	p = wire_printer_length(x, p, end, &size);
	if (!p || !wire_printer_enter(x, p)) {
		return NULL;
	}
	span = (struct wire_span){p, p + size};
	if (!find_parts(x, span, fields, &entry)) {
		return NULL;
	}
	if (!is_dropped(x, entry.value, span.end, &fields[1]) &&
		!print_entry(x, &entry, span.end, fields, set)) {
		return NULL;
	}
	wire_printer_leave(x);
	return span.end;
}

/* Entries that follow each other; one that comes later is an irregularity. */
static const uint8_t *print_map(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_field *field, uint32_t tag)
{
	size_t key = writer_size(&x->w);
	struct key_set set;
	size_t start;
	size_t index = 0;

	if (!wire_value_put_key(x, field)) {
		return NULL;
	}
	start = writer_size(&x->w);
	key_set_open(&x->context->keys, &set);
	for (;; index++) {
		uint32_t next;
		const uint8_t *q;

		p = wire_message_entry(x, p, end, field, &set);
		if (!p) {
			fault_path_index(&x->path, index);
			return NULL;
		}
		q = p < end ? wire_tag(p, end, &next) : NULL;
		if (!q || next != tag) {
			break;
		}
		p = q;
	}
	key_set_close(&x->context->keys, &set);
	if (writer_size(&x->w) == start && !x->options->emit_defaults) {
		x->w.out = x->w.begin + key;
		return p;
	}
	return wire_message_close(x, start, '{', '}') ? p : NULL;
}

/* A singular field, p behind its tag. */
static const uint8_t *print_singular(struct wire_printer *x, struct object *o, const uint8_t *p,
	const uint8_t *end, const struct pool_field *field)
{
	bool silent = !(field->flags & POOL_PRESENCE) && !x->options->emit_defaults;
	uint64_t bits = 0;
	size_t size = 0;

	/*
	 * The value is read before its key is written, so that nothing has to be taken back when it
	 * turns out to be a zero or an undeclared number.
	 */
	if (field->wire != WIRE_LENGTH && field->wire != WIRE_START) {
		p = wire_printer_bits(x, p, end, (enum wire_type)field->wire, &bits);
		if (!p) {
			return NULL;
		}
		bits = wire_value_normal(field, bits);
		if (!wire_value_declared(x, field, bits)) {
			return p; /* as if it were unknown, so not seen */
		}
	} else if (field->kind != POOL_MESSAGE) {
		p = wire_printer_length(x, p, end, &size);
		if (!p) {
			return NULL;
		}
	}
	if (!mark(x, o, field->index) ||
		(field->oneof != DESCRIPTOR_NONE && !mark(x, o, field->oneof))) {
		return wire_printer_irregular(x);
	}
	if (silent && bits == 0 && size == 0) {
		return p; /* JN-03 */
	}
	if (!wire_value_put_key(x, field)) {
		return NULL;
	}
	if (field->kind == POOL_MESSAGE) {
		return print_submessage(x, p, end, field);
	}
	if (field->wire == WIRE_LENGTH) {
		return wire_value_print_text(x, field, slice_make(p, size)) ? p + size : NULL;
	}
	return wire_value_print_bits(x, field, bits) ? p : NULL;
}

/* One field, p behind its tag. */
static inline const uint8_t *print_field(struct wire_printer *x, struct object *o, const uint8_t *p,
	const uint8_t *end, uint32_t tag)
{
	const struct pool_field *field = o->next;

	if (!field || field->tag != tag) {
		field = pool_field_by_number(x->pool, o->message, tag >> 3);
		/* WI-06: a type that does not fit makes it unknown; lists may be packed or not. */
		if (!field || ((tag & 7) != field->wire && !((tag & 7) == WIRE_LENGTH &&
								   wire_printer_packable(field)))) {
			return wire_printer_skip(x, p, end, tag);
		}
	}
	o->next = field + 1 < o->fields + o->message->field_count ? field + 1 : o->fields;
	if (!(field->flags & POOL_REPEATED)) {
		p = print_singular(x, o, p, end, field);
	} else if (!mark(x, o, field->index)) {
		p = wire_printer_irregular(x);
	} else if (field->flags & POOL_MAP) {
		p = print_map(x, p, end, field, tag);
	} else {
		p = print_list(x, p, end, field, tag);
	}
	if (!p) {
		fault_path_field(&x->path, slice_make(x->pool->text + field->proto_key + 2,
						   (size_t)field->proto_key_size - 4));
	}
	return p;
}

/* JN-03, emit_defaults: what was not seen and has no presence. */
static bool print_defaults(struct wire_printer *x, struct object *o)
{
	for (uint32_t i = 0; i < o->message->field_count; i++) {
		const struct pool_field *field = o->fields + i;

		if (!(field->flags & POOL_PRESENCE) && mark(x, o, i) &&
			!wire_value_print_default(x, field)) {
			return false;
		}
	}
	return true;
}

/* Until the end of the bytes, or the end tag of the group. */
static const uint8_t *print_members(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_message *message, uint32_t group)
{
	struct object o = {.message = message, .group = group};
	bool open = group != 0;

	o.fields = pool_fields(x->pool, message);
	o.next = message->field_count ? o.fields : NULL;
	while (p < end) {
		const uint8_t *place = p;
		uint32_t tag;

		p = wire_printer_tag(x, p, end, &tag);
		if (!p) {
			return NULL;
		}
		if ((tag & 7) == WIRE_END) {
			if (!open || tag >> 3 != group) {
				return wire_printer_broken(x, place, CODEC_FAULT_WIRE_GROUP);
			}
			open = false;
			break;
		}
		p = print_field(x, &o, p, end, tag);
		if (!p) {
			return NULL;
		}
	}
	if (open) {
		return wire_printer_broken(x, p, CODEC_FAULT_WIRE_GROUP);
	}
	if (x->options->emit_defaults && !print_defaults(x, &o)) {
		return NULL;
	}
	if (o.has_more) {
		x->context->seen.size = o.more;
	}
	return p;
}

const uint8_t *wire_message_members(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_message *message)
{
	return print_members(x, p, end, message, 0);
}

/* One level of depth, whatever the JSON form of the type. */
const uint8_t *wire_message_print(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_message *message)
{
	size_t start;

	if (!wire_printer_enter(x, p)) {
		return NULL;
	}
	if (message->wkt != WKT_NONE) {
		p = wire_wkt_print(x, p, end, message);
		wire_printer_leave(x);
		return p;
	}
	start = writer_size(&x->w);
	p = print_members(x, p, end, message, 0);
	wire_printer_leave(x);
	return p && wire_message_close(x, start, '{', '}') ? p : NULL;
}
