/*
 * The walk follows the schema, so it enters what the printer would enter and finds every fault that
 * the printer would find, also in values that are overwritten later and never printed.
 */
#include "base/utf8.h"
#include "codec/wire_check.h"

static const uint8_t *check_members(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_message *message, uint32_t group);

static struct wire_group *group_at(const struct wire_printer *x, size_t index)
{
	return (struct wire_group *)(void *)x->context->groups.data + index;
}

/* Room for a record, before those of the groups inside. */
static size_t open_group(struct wire_printer *x, const uint8_t *start)
{
	struct wire_group group = {start, start, start};
	struct buf *groups = &x->context->groups;

	buf_append(groups, &group, sizeof(group));
	return groups->size / sizeof(group) - 1;
}

static void close_group(
	struct wire_printer *x, size_t index, const uint8_t *content_end, const uint8_t *after)
{
	struct wire_group *group = group_at(x, index);

	ASSERT(group->start <= content_end && content_end <= after);
	group->content_end = content_end;
	group->after = after;
}

/* Types that do not fit are unknown, too (WI-06). */
static const uint8_t *check_unknown(
	struct wire_printer *x, const uint8_t *p, const uint8_t *end, uint32_t tag)
{
	size_t index;

	if ((tag & 7) != WIRE_START) {
		return wire_printer_skip(x, p, end, tag);
	}
	/* What lies in an unknown group is passed over as a whole. */
	index = open_group(x, p);
	p = wire_printer_skip(x, p, end, tag);
	if (p) {
		close_group(x, index, p, p); /* its content is never looked at */
	}
	return p;
}

/* Map entries and well-known types are messages like all others here. */
static const uint8_t *check_submessage(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_field *field)
{
	const struct pool_message *message = x->pool->messages + field->sub;
	size_t size = 0;

	if (!wire_printer_enter(x, p)) {
		return NULL;
	}
	if (field->flags & POOL_DELIMITED) {
		size_t index = open_group(x, p);

		p = check_members(x, p, end, message, field->number);
		if (p) {
			close_group(x, index, x->end_tag, p);
		}
	} else {
		p = wire_printer_length(x, p, end, &size);
		p = p ? check_members(x, p, p + size, message, 0) : NULL;
	}
	wire_printer_leave(x);
	return p;
}

/* WI-02. */
static const uint8_t *check_packed(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_field *field)
{
	size_t width = field->wire == WIRE_FIXED64 ? 8 : 4;
	const uint8_t *stop;
	uint64_t bits;
	size_t size = 0;

	p = wire_printer_length(x, p, end, &size);
	if (!p) {
		return NULL;
	}
	stop = p + size;
	if (field->wire != WIRE_VARINT) {
		return size % width == 0 ? stop
					 : wire_printer_fault(x, p, CODEC_FAULT_WIRE_LENGTH,
						   "packed length is no multiple");
	}
	while (p && p < stop) {
		p = wire_printer_bits(x, p, stop, WIRE_VARINT, &bits);
	}
	return p;
}

/* Strings must be UTF-8 in any syntax (WI-10). */
static const uint8_t *check_field(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_field *field, uint32_t tag)
{
	size_t size = 0;

	if (field->kind == POOL_MESSAGE) {
		return check_submessage(x, p, end, field);
	}
	if ((tag & 7) != field->wire) {
		return check_packed(x, p, end, field);
	}
	if (field->kind != POOL_STRING) {
		return wire_printer_skip(x, p, end, tag);
	}
	p = wire_printer_length(x, p, end, &size);
	if (p && !utf8_valid(slice_make(p, size))) {
		return wire_printer_fault(x, p, CODEC_FAULT_WIRE_UTF8, "invalid UTF-8");
	}
	return p ? p + size : NULL;
}

/* p behind the end tag of the group, or at the end. */
static const uint8_t *check_members(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_message *message, uint32_t group)
{
	while (p < end) {
		const struct pool_field *field;
		const uint8_t *place = p;
		uint32_t tag;

		p = wire_printer_tag(x, p, end, &tag);
		if (!p) {
			return NULL;
		}
		if ((tag & 7) == WIRE_END) {
			if (group && tag >> 3 == group) {
				x->end_tag = place;
				return p;
			}
			return wire_printer_broken(x, place, CODEC_FAULT_WIRE_GROUP);
		}
		field = pool_field_by_number(x->pool, message, tag >> 3);
		if (field && ((tag & 7) == field->wire ||
				     ((tag & 7) == WIRE_LENGTH && wire_printer_packable(field)))) {
			p = check_field(x, p, end, field, tag);
		} else {
			p = check_unknown(x, p, end, tag);
			field = NULL;
		}
		if (!p) {
			if (field) {
				fault_path_field(
					&x->path, slice_make(x->pool->text + field->proto_key + 2,
							  (size_t)field->proto_key_size - 4));
			}
			return NULL;
		}
	}
	return group ? wire_printer_broken(x, p, CODEC_FAULT_WIRE_GROUP) : p;
}

bool wire_check_message(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_message *message)
{
	return check_members(x, p, end, message, 0) != NULL;
}

/* Binary search: the places are in order. */
struct wire_group wire_check_group(const struct wire_printer *x, const uint8_t *start)
{
	size_t low = x->groups_first;
	size_t high = x->context->groups.size / sizeof(struct wire_group);

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct wire_group *group = group_at(x, middle);

		if (group->start == start) {
			return *group;
		}
		if (group->start < start) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	ASSERT(false); /* wire_check_message met every group */
	return (struct wire_group){NULL, NULL, NULL};
}
