/*
 * The stack context->entries holds the values of every open message, those of the innermost on top.
 * A message is a run of parts on it; scanning them puts its values on top, sorted by field. Runs
 * are indexes, for the stack moves when it grows.
 */
#include "codec/wire_careful.h"

#include "codec/key_sort.h"
#include "codec/wire_check.h"
#include "codec/wire_message.h"
#include "codec/wire_value.h"
#include "codec/wire_wkt.h"

/*
 * One value of an open message, on the stack context->entries. A field of a oneof is sorted by the
 * oneof's bit, so that the member that came last is found there.
 */
struct entry {
	uint64_t key;	       /* bit of the field or oneof << 32 | order of coming */
	struct wire_span span; /* the value; of a message, a string: its content */
	uint32_t field;
	uint8_t packed;
	uint8_t dead; /* a map entry whose key comes again */
};

/*
 * The stack's limit: 32 bytes for a value that may take two on the wire. It is met by no message of
 * the default CODEC_MESSAGE_MAX; where more is allowed it bounds what one message may cost.
 */
#define ENTRIES_MAX ((size_t)4 << 20)

/* A run of entries, by index: the stack moves when it grows. */
struct run {
	size_t first;
	size_t count;
};

static struct entry *entry_at(const struct wire_printer *x, size_t index)
{
	ASSERT((index + 1) * sizeof(struct entry) <= x->context->entries.size);
	return (struct entry *)(void *)x->context->entries.data + index;
}

static size_t entry_count(const struct wire_printer *x)
{
	return x->context->entries.size / sizeof(struct entry);
}

static void pop_entries(struct wire_printer *x, size_t count)
{
	x->context->entries.size = count * sizeof(struct entry);
}

static bool print_message(
	struct wire_printer *x, struct run parts, const struct pool_message *message);

/* The value behind a tag and the place behind it. */
static const uint8_t *take_value(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	uint32_t tag, struct wire_span *ret_span)
{
	const uint8_t *q;
	size_t size = 0;

	if ((tag & 7) == WIRE_START) {
		struct wire_group group = wire_check_group(x, p);

		*ret_span = (struct wire_span){group.start, group.content_end};
		return group.after;
	}
	q = wire_printer_skip(x, p, end, tag);
	*ret_span = (struct wire_span){p, q};
	if (q && (tag & 7) == WIRE_LENGTH) {
		p = wire_length(p, end, &size);
		*ret_span = (struct wire_span){p, q};
	}
	return q;
}

/* WI-07: an undeclared number of a closed enum is as if it were not there. */
static bool is_declared(
	const struct wire_printer *x, const struct pool_field *field, struct wire_span span)
{
	uint64_t bits = 0;

	if (!(field->flags & POOL_CLOSED)) {
		return true;
	}
	(void)!wire_varint(span.p, span.end, &bits);
	return wire_value_declared(x, field, wire_value_normal(field, bits));
}

/* The values of one part of a message, onto the stack. */
static bool scan_part(
	struct wire_printer *x, struct wire_span part, const struct pool_message *message)
{
	while (part.p < part.end) {
		struct entry entry = {.key = entry_count(x)};
		const struct pool_field *field;
		uint32_t tag;

		part.p = wire_printer_tag(x, part.p, part.end, &tag);
		if (!part.p) {
			return false;
		}
		part.p = take_value(x, part.p, part.end, tag, &entry.span);
		if (!part.p) {
			return false;
		}
		field = pool_field_by_number(x->pool, message, tag >> 3);
		if (!field) {
			continue;
		}
		/* A list of numbers may come packed or not; other types must fit (WI-06). */
		entry.packed = (tag & 7) != field->wire;
		if (entry.packed && !((tag & 7) == WIRE_LENGTH && wire_printer_packable(field))) {
			continue;
		}
		if (!entry.packed && !is_declared(x, field, entry.span)) {
			continue;
		}
		if (entry_count(x) >= ENTRIES_MAX) {
			return wire_printer_fault(x, part.p, CODEC_FAULT_MEMORY,
				       "too many values out of order") != NULL;
		}
		entry.field = field->index;
		entry.key |=
			(uint64_t)(field->oneof == DESCRIPTOR_NONE ? field->index : field->oneof)
			<< 32;
		buf_append(&x->context->entries, &entry, sizeof(entry));
	}
	return true;
}

/* All values of a message, sorted. */
static bool scan_message(struct wire_printer *x, struct run parts,
	const struct pool_message *message, struct run *ret_values)
{
	size_t first = entry_count(x);

	for (size_t i = 0; i < parts.count; i++) {
		if (!scan_part(x, entry_at(x, parts.first + i)->span, message)) {
			return false;
		}
	}
	*ret_values = (struct run){first, entry_count(x) - first};
	if (ret_values->count > 1) {
		/* The scratch lies on top of the stack. They came in order, so only fields count.
		 */
		void *scratch =
			buf_reserve(&x->context->entries, ret_values->count * sizeof(struct entry));

		key_sort_by_key(
			entry_at(x, first), scratch, ret_values->count, sizeof(struct entry), 32);
	}
	return true;
}

/* One element of a list with its comma. */
static bool print_element(struct wire_printer *x, struct run value, const struct pool_field *field)
{
	struct wire_span span = entry_at(x, value.first)->span;
	uint64_t bits;

	if (!writer_room(&x->w, 1)) {
		return wire_printer_too_large(x, span.p) != NULL;
	}
	*x->w.out++ = ',';
	if (field->kind == POOL_MESSAGE) {
		return print_message(x, value, x->pool->messages + field->sub);
	}
	if (field->wire == WIRE_LENGTH) {
		return wire_value_print_text(
			x, field, slice_make(span.p, (size_t)(span.end - span.p)));
	}
	if (!wire_printer_bits(x, span.p, span.end, (enum wire_type)field->wire, &bits)) {
		return false;
	}
	return wire_value_print_bits(x, field, wire_value_normal(field, bits));
}

/* Closed enums drop single elements (WI-07). */
static bool print_packed(
	struct wire_printer *x, struct wire_span span, const struct pool_field *field)
{
	while (span.p < span.end) {
		uint64_t bits;

		span.p = wire_printer_bits(x, span.p, span.end, (enum wire_type)field->wire, &bits);
		if (!span.p) {
			return false;
		}
		bits = wire_value_normal(field, bits);
		if (!wire_value_declared(x, field, bits)) {
			continue;
		}
		if (!writer_room(&x->w, 1)) {
			return wire_printer_too_large(x, span.p) != NULL;
		}
		*x->w.out++ = ',';
		if (!wire_value_print_bits(x, field, bits)) {
			return false;
		}
	}
	return true;
}

/* Packed and single values in the order in which they came (WI-02). */
static bool print_list(struct wire_printer *x, struct run values, const struct pool_field *field)
{
	size_t start = writer_size(&x->w);

	for (size_t i = 0; i < values.count; i++) {
		struct entry entry = *entry_at(x, values.first + i);
		bool done = entry.packed
				    ? print_packed(x, entry.span, field)
				    : print_element(x, (struct run){values.first + i, 1}, field);

		if (!done) {
			fault_path_index(&x->path, i);
			return false;
		}
	}
	return wire_message_close(x, start, '[', ']');
}

/* Within a map entry the last key counts; values are merged when they are messages (WI-03). */
static struct wire_span last_key(
	const struct wire_printer *x, struct wire_span entry, const struct pool_field *fields)
{
	struct wire_span key = {entry.end, entry.end};
	enum codec_fault_kind kind;
	const uint8_t *place;

	while (entry.p && entry.p < entry.end) {
		const uint8_t *start;
		uint32_t tag;
		size_t size = 0;

		start = wire_tag(entry.p, entry.end, &tag);
		ASSERT(start); /* checked before */
		if ((tag & 7) == WIRE_START) {
			entry.p = wire_check_group(x, start).after;
			continue;
		}
		entry.p = wire_skip(start, entry.end, tag, 0, &kind, &place);
		if (tag == fields[0].tag) {
			key = (struct wire_span){start, entry.p};
			if (fields[0].wire == WIRE_LENGTH) {
				key.p = wire_length(start, entry.end, &size);
			}
		}
	}
	return key;
}

/* A missing key is zero (WI-03). */
static uint64_t key_bits(
	struct wire_printer *x, struct wire_span span, const struct pool_field *key)
{
	uint64_t bits = 0;

	if (span.p < span.end) {
		(void)!wire_printer_bits(x, span.p, span.end, (enum wire_type)key->wire, &bits);
	}
	return wire_value_normal(key, bits);
}

/* The values of a map entry; false: one is undeclared, so the entry is dropped (WI-07). */
static bool scan_entry(struct wire_printer *x, struct run part, const struct pool_message *message,
	struct run *ret_values)
{
	const struct pool_field *value = pool_fields(x->pool, message) + 1;
	struct wire_span span = entry_at(x, part.first)->span;
	size_t first = entry_count(x);
	bool dropped = false;

	while (span.p < span.end) {
		struct entry entry = {.key = entry_count(x)};
		uint32_t tag;

		span.p = wire_printer_tag(x, span.p, span.end, &tag);
		ASSERT(span.p);
		span.p = take_value(x, span.p, span.end, tag, &entry.span);
		ASSERT(span.p);
		if (tag != value->tag) {
			continue;
		}
		dropped = dropped || !is_declared(x, value, entry.span);
		buf_append(&x->context->entries, &entry, sizeof(entry));
	}
	*ret_values = (struct run){first, entry_count(x) - first};
	if (ret_values->count == 0 && value->flags & POOL_CLOSED) {
		dropped = !wire_value_declared(x, value, 0);
	}
	return !dropped;
}

/* WI-03: of equal keys the last entry counts; dropped entries do not. */
static void mark_dead(struct wire_printer *x, struct run entries, const struct pool_field *field)
{
	const struct pool_message *message = x->pool->messages + field->sub;
	const struct pool_field *fields = pool_fields(x->pool, message);
	struct key_sets *sets = &x->context->keys;
	struct key_set set;

	key_set_open(sets, &set);
	for (size_t i = entries.count; i-- > 0;) {
		size_t index = entries.first + i;
		size_t top = entry_count(x);
		struct wire_span key = last_key(x, entry_at(x, index)->span, fields);
		struct slice text = slice_make(key.p, (size_t)(key.end - key.p));
		struct run values;
		bool alive = scan_entry(x, (struct run){index, 1}, message, &values);

		pop_entries(x, top);
		if (alive && fields[0].kind == POOL_STRING) {
			alive = key_set_add(sets, &set, x->begin, text, NULL);
		} else if (alive) {
			alive = key_set_add_number(sets, &set, key_bits(x, key, &fields[0]), NULL);
		}
		entry_at(x, index)->dead = !alive;
	}
	key_set_close(sets, &set);
}

/* A missing value is its zero; of several the last counts, messages merge. */
static bool print_entry_value(
	struct wire_printer *x, struct run values, const struct pool_field *field)
{
	struct wire_span last = {x->begin, x->begin};
	uint64_t bits = 0;

	if (field->kind == POOL_MESSAGE) {
		return print_message(x, values, x->pool->messages + field->sub);
	}
	if (values.count > 0) {
		last = entry_at(x, values.first + values.count - 1)->span;
	}
	if (field->wire == WIRE_LENGTH) {
		return wire_value_print_text(
			x, field, slice_make(last.p, (size_t)(last.end - last.p)));
	}
	if (values.count > 0 &&
		!wire_printer_bits(x, last.p, last.end, (enum wire_type)field->wire, &bits)) {
		return false;
	}
	return wire_value_print_bits(x, field, wire_value_normal(field, bits));
}

/* The entry is one level of depth. */
static bool print_entry(struct wire_printer *x, size_t index, const struct pool_field *field)
{
	const struct pool_message *message = x->pool->messages + field->sub;
	const struct pool_field *fields = pool_fields(x->pool, message);
	struct wire_span key = last_key(x, entry_at(x, index)->span, fields);
	size_t top = entry_count(x);
	struct run values;
	bool done;

	if (!wire_printer_enter(x, key.p)) {
		return false;
	}
	if (!writer_room(&x->w, 1)) {
		return wire_printer_too_large(x, key.p) != NULL;
	}
	*x->w.out++ = ',';
	done = fields[0].kind == POOL_STRING
		       ? wire_value_print_string(x, slice_make(key.p, (size_t)(key.end - key.p)))
		       : wire_value_print_key(x, &fields[0], key_bits(x, key, &fields[0]));
	if (!done || !writer_room(&x->w, 1)) {
		return wire_printer_too_large(x, key.p) != NULL;
	}
	*x->w.out++ = ':';
	(void)scan_entry(x, (struct run){index, 1}, message, &values);
	done = print_entry_value(x, values, &fields[1]);
	pop_entries(x, top);
	wire_printer_leave(x);
	return done;
}

/* Marked first, printed then: entries keep the order in which they came. */
static bool print_map(struct wire_printer *x, struct run entries, const struct pool_field *field)
{
	size_t start = writer_size(&x->w);

	mark_dead(x, entries, field);
	for (size_t i = 0; i < entries.count; i++) {
		if (!entry_at(x, entries.first + i)->dead &&
			!print_entry(x, entries.first + i, field)) {
			fault_path_index(&x->path, i);
			return false;
		}
	}
	return wire_message_close(x, start, '{', '}');
}

/* A list or map with its key; nothing when it is empty. */
static bool print_repeated(
	struct wire_printer *x, struct run values, const struct pool_field *field)
{
	size_t key = writer_size(&x->w);
	size_t start;

	if (!wire_value_put_key(x, field)) {
		return false;
	}
	start = writer_size(&x->w);
	if (field->flags & POOL_MAP ? !print_map(x, values, field)
				    : !print_list(x, values, field)) {
		return false;
	}
	if (writer_size(&x->w) == start + 2 && !x->options->emit_defaults) {
		x->w.out = x->w.begin + key; /* only the brackets: JN-03 */
	}
	return true;
}

/* JN-03: by bits, so -0 is not zero. */
static bool is_zero(
	const struct wire_printer *x, struct wire_span span, const struct pool_field *field)
{
	uint64_t bits = 0;

	if (field->wire == WIRE_LENGTH) {
		return span.p == span.end;
	}
	if (field->wire == WIRE_VARINT) {
		(void)!wire_varint(span.p, span.end, &bits);
	} else {
		bits = field->wire == WIRE_FIXED64 ? wire_load64(span.p) : wire_load32(span.p);
	}
	ASSERT(span.end <= x->end);
	return wire_value_normal(field, bits) == 0;
}

/* The values of one field, or of one oneof. */
static bool print_values(
	struct wire_printer *x, struct run values, const struct pool_message *message)
{
	size_t last = values.first + values.count - 1;
	const struct pool_field *field = pool_fields(x->pool, message) + entry_at(x, last)->field;
	struct run tail = {last, 1};

	if (field->flags & POOL_REPEATED) {
		return print_repeated(x, values, field);
	}
	if (field->kind == POOL_MESSAGE) {
		/* Of a oneof the occurrences behind the last other member merge (WI-01). */
		while (tail.first > values.first &&
			entry_at(x, tail.first - 1)->field == field->index) {
			tail.first--;
			tail.count++;
		}
		return wire_value_put_key(x, field) &&
		       print_message(x, tail, x->pool->messages + field->sub);
	}
	if (!(field->flags & POOL_PRESENCE) && !x->options->emit_defaults &&
		is_zero(x, entry_at(x, last)->span, field)) {
		return true;
	}
	return wire_value_put_key(x, field) && print_entry_value(x, tail, field);
}

/* Values of one field or oneof stand together. */
static size_t run_end(const struct wire_printer *x, struct run values, size_t at)
{
	uint64_t bit = entry_at(x, at)->key >> 32;

	while (at < values.first + values.count && entry_at(x, at)->key >> 32 == bit) {
		at++;
	}
	return at;
}

/* emit_defaults for the fields from *next on whose bits are below `bit`: they did not come. */
static bool print_defaults(
	struct wire_printer *x, const struct pool_message *message, uint32_t *next, uint64_t bit)
{
	const struct pool_field *fields = pool_fields(x->pool, message);

	for (; x->options->emit_defaults && *next < message->field_count && *next < bit;
		(*next)++) {
		if (!(fields[*next].flags & POOL_PRESENCE) &&
			!wire_value_print_default(x, fields + *next)) {
			return false;
		}
	}
	return true;
}

/* Defaults of fields that did not come are printed between the others, in schema order. */
static bool print_members(
	struct wire_printer *x, struct run parts, const struct pool_message *message)
{
	size_t top = entry_count(x);
	struct run values;
	uint32_t next = 0;

	if (!scan_message(x, parts, message, &values)) {
		return false;
	}
	for (size_t at = values.first; at < values.first + values.count;) {
		size_t end = run_end(x, values, at);
		uint64_t bit = entry_at(x, at)->key >> 32;

		if (!print_defaults(x, message, &next, bit)) {
			return false;
		}
		next = bit < message->field_count ? (uint32_t)bit + 1 : next;
		if (!print_values(x, (struct run){at, end - at}, message)) {
			const struct pool_field *field =
				pool_fields(x->pool, message) + entry_at(x, end - 1)->field;

			fault_path_field(&x->path, slice_make(x->pool->text + field->proto_key + 2,
							   (size_t)field->proto_key_size - 4));
			return false;
		}
		at = end;
	}
	pop_entries(x, top);
	return print_defaults(x, message, &next, UINT64_MAX);
}

/* The one field of a Struct or ListValue. */
static bool print_container(
	struct wire_printer *x, struct run parts, const struct pool_message *message)
{
	const struct pool_field *field = pool_fields(x->pool, message);
	size_t top = entry_count(x);
	struct run values;
	bool done;

	if (!scan_message(x, parts, message, &values)) {
		return false;
	}
	done = field->flags & POOL_MAP ? print_map(x, values, field) : print_list(x, values, field);
	pop_entries(x, top);
	return done;
}

/* A Value: its last kind. */
static bool print_value(
	struct wire_printer *x, struct run parts, const struct pool_message *message)
{
	const struct pool_field *field;
	size_t top = entry_count(x);
	struct wire_span span;
	struct run values;
	struct run tail;
	bool done;

	if (!scan_message(x, parts, message, &values)) {
		return false;
	}
	if (values.count == 0) {
		return wire_printer_fault(
			       x, x->end, CODEC_FAULT_WIRE_WKT, "a value without a kind") != NULL;
	}
	tail = (struct run){values.first + values.count - 1, 1};
	field = pool_fields(x->pool, message) + entry_at(x, tail.first)->field;
	span = entry_at(x, tail.first)->span;
	if (field->kind == POOL_MESSAGE) {
		while (tail.first > values.first &&
			entry_at(x, tail.first - 1)->field == field->index) {
			tail.first--;
			tail.count++;
		}
		done = print_message(x, tail, x->pool->messages + field->sub);
	} else if (field->kind == POOL_STRING) {
		done = wire_value_print_string(x, slice_make(span.p, (size_t)(span.end - span.p)));
	} else {
		done = wire_wkt_scalar_value(x, field->tag, span.p, span.end) != NULL;
	}
	pop_entries(x, top);
	return done;
}

/* A message of no part is one of no field, such as the missing value of a map entry. */
static bool print_message(
	struct wire_printer *x, struct run parts, const struct pool_message *message)
{
	struct entry nothing = {.span = {x->end, x->end}};
	struct wire_spans spans = {&nothing.span, 1, sizeof(nothing)};
	const uint8_t *place = parts.count > 0 ? entry_at(x, parts.first)->span.p : nothing.span.p;
	size_t start;
	bool done;

	if (!wire_printer_enter(x, place)) {
		return false;
	}
	if (message->wkt == WKT_NONE) {
		start = writer_size(&x->w);
		done = print_members(x, parts, message) && wire_message_close(x, start, '{', '}');
	} else if (message->wkt == WKT_STRUCT || message->wkt == WKT_LIST_VALUE) {
		done = print_container(x, parts, message);
	} else if (message->wkt == WKT_VALUE) {
		done = print_value(x, parts, message);
	} else {
		if (parts.count > 0) {
			spans.first = &entry_at(x, parts.first)->span;
			spans.count = parts.count;
		}
		done = wire_wkt_print_spans(x, &spans, message);
	}
	wire_printer_leave(x);
	return done;
}

/* Checks the bytes of a message and makes them the only part on the stack. */
static bool open_bytes(struct wire_printer *x, struct wire_span span,
	const struct pool_message *message, struct run *ret_parts)
{
	struct entry entry = {.span = span};

	ASSERT(x->careful);
	if (!wire_check_message(x, span.p, span.end, message)) {
		return false;
	}
	*ret_parts = (struct run){entry_count(x), 1};
	buf_append(&x->context->entries, &entry, sizeof(entry));
	return true;
}

/*
 * The records of groups belong to the bytes that were checked last: those of an Any lie behind its
 * message's and are dropped after it.
 */
static bool print_checked(struct wire_printer *x, struct wire_span span,
	const struct pool_message *message, bool whole)
{
	/* Whoever printed before goes on with its own records afterwards. */
	size_t groups_first = x->groups_first;
	size_t groups_size = x->context->groups.size;
	size_t top = entry_count(x);
	struct run parts;
	bool done;

	x->groups_first = groups_size / sizeof(struct wire_group);
	done = open_bytes(x, span, message, &parts);
	if (done) {
		done = whole ? print_message(x, parts, message) : print_members(x, parts, message);
	}
	pop_entries(x, top);
	x->context->groups.size = groups_size;
	x->groups_first = groups_first;
	return done;
}

bool wire_careful_print(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_message *message)
{
	return print_checked(x, (struct wire_span){p, end}, message, true);
}

bool wire_careful_members(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_message *message)
{
	return print_checked(x, (struct wire_span){p, end}, message, false);
}
