/*
 * Lengths of protobuf stand in front of what they count, but are known behind it. Nearly all of
 * them fit in the one byte that was left for them. The others are put in by one backward sweep over
 * the whole message, so each byte moves once however deep it lies (EN-03).
 */
#include "codec/json_reader.h"

#include "codec/number_parse.h"

/* Only the first fault counts; NULL lets callers return it. */
const uint8_t *json_reader_fault(struct json_reader *r, const uint8_t *place,
	enum codec_fault_kind kind, const char *rule, const char *what)
{
	ASSERT(place >= r->begin);
	/* Text that was decoded elsewhere has no place of its own. */
	size_t offset = place <= r->end ? (size_t)(place - r->begin) : 0;

	fault_path_set(&r->path, kind, offset, rule, what);
	return NULL;
}

/* What could never begin a value is a fault of syntax, all else one of type. */
const uint8_t *json_reader_unexpected(
	struct json_reader *r, const uint8_t *place, const char *expected)
{
	const uint8_t *p = place;
	struct number_text number;

	if (p >= r->end) {
		return json_reader_fault(r, r->end, CODEC_FAULT_JSON_SYNTAX, "cut short", NULL);
	}
	/* A value of another type, or no value at all? */
	if (*p == '"' || *p == '{' || *p == '[' || number_parse_scan(p, r->end, &number) ||
		JSON_LITERAL(r, p, "true") || JSON_LITERAL(r, p, "false") ||
		JSON_LITERAL(r, p, "null")) {
		return json_reader_fault(r, p, CODEC_FAULT_JSON_TYPE, "expected ", expected);
	}
	return json_reader_fault(r, p, CODEC_FAULT_JSON_SYNTAX, "expected ", expected);
}

const uint8_t *json_reader_no_name(struct json_reader *r, const uint8_t *place)
{
	bool cut = place >= r->end;

	return json_reader_fault(r, cut ? r->end : place, CODEC_FAULT_JSON_SYNTAX,
		cut ? "cut short" : "expected a name", NULL);
}

const uint8_t *json_reader_too_large(struct json_reader *r, const uint8_t *place)
{
	return json_reader_fault(r, place, CODEC_FAULT_TOO_LARGE, "message too large", NULL);
}

bool json_reader_enter(struct json_reader *r, const uint8_t *place)
{
	if (r->depth_left == 0) {
		(void)json_reader_fault(r, place, CODEC_FAULT_JSON_DEPTH, "nested too deep", NULL);
		return false;
	}
	r->depth_left--;
	return true;
}

/* Only the four bytes of RFC 8259. */
const uint8_t *json_reader_space_long(const struct json_reader *r, const uint8_t *p)
{
	ASSERT(p <= r->end);
	while (p < r->end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) {
		p++;
	}
	return p;
}

static struct json_slot *slot_at(struct json_reader *r, size_t index)
{
	return (struct json_slot *)(void *)r->context->slots.data + index;
}

/* Regions nest, so slots are in the order of their places. */
struct json_region json_reader_open(struct json_reader *r)
{
	struct buf *slots = &r->context->slots;
	struct json_region region = {
		writer_size(&r->w), slots->size / sizeof(struct json_slot), r->surplus};

	buf_reserve(slots, sizeof(struct json_slot));
	slots->size += sizeof(struct json_slot);
	slot_at(r, region.slot)->at = region.at;
	*r->w.out++ = 0;
	return region;
}

/* Only lengths of 128 and more keep their slot. */
void json_reader_close(struct json_reader *r, const struct json_region *region)
{
	size_t length = writer_size(&r->w) - region->at - 1 + (r->surplus - region->surplus);

	if (length < 0x80) {
		/* All inner regions are shorter still, so this slot is the last one. */
		ASSERT(r->context->slots.size == (region->slot + 1) * sizeof(struct json_slot));
		r->w.begin[region->at] = (uint8_t)length;
		r->context->slots.size -= sizeof(struct json_slot);
		return;
	}
	slot_at(r, region->slot)->length = length;
	r->surplus += wire_varint_size(length) - 1;
}

/* Needs room for the surplus only; without one nothing moves. */
bool json_reader_patch(struct json_reader *r)
{
	size_t slot = r->context->slots.size / sizeof(struct json_slot);
	const uint8_t *from; /* behind what is still to be moved */
	uint8_t *to;

	if (r->surplus == 0) {
		return true;
	}
	if (!writer_room(&r->w, r->surplus)) {
		return false;
	}
	from = r->w.out;
	to = r->w.out + r->surplus;
	r->w.out = to;
	/* Backwards, so that every segment moves once. */
	while (to != from) {
		ASSERT(slot > 0);
		const struct json_slot *s = slot_at(r, --slot);
		const uint8_t *start = r->w.begin + s->at + 1;
		size_t size = (size_t)(from - start);

		to -= size;
		memmove(to, start, size);
		to -= wire_varint_size(s->length);
		wire_put_varint(to, s->length);
		from = start - 1;
	}
	return true;
}
