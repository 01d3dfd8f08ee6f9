/*
 * Faults of the wire are found by readers that do not know where they are. Here their words are put
 * to the place in the message, which the callers complete with the path while they return.
 */
#include "codec/wire_printer.h"

const uint8_t *wire_printer_fault(
	struct wire_printer *x, const uint8_t *place, enum codec_fault_kind kind, const char *rule)
{
	/* Text that was put together elsewhere has no place of its own. */
	if (place < x->begin || place > x->end) {
		place = x->end;
	}
	fault_path_set(&x->path, kind, (size_t)(place - x->begin), rule, NULL);
	return NULL;
}

/* The words of ER-06 for what wire.h's readers found. */
const uint8_t *wire_printer_broken(
	struct wire_printer *x, const uint8_t *place, enum codec_fault_kind kind)
{
	const char *rule = "malformed";

	if (kind == CODEC_FAULT_WIRE_TRUNCATED) {
		rule = "cut short";
	} else if (kind == CODEC_FAULT_WIRE_TAG) {
		rule = "invalid tag";
	} else if (kind == CODEC_FAULT_WIRE_VARINT) {
		rule = "varint too long";
	} else if (kind == CODEC_FAULT_WIRE_GROUP) {
		rule = "unmatched group";
	} else if (kind == CODEC_FAULT_WIRE_DEPTH) {
		rule = "nested too deep";
	}
	return wire_printer_fault(x, place, kind, rule);
}

const uint8_t *wire_printer_too_large(struct wire_printer *x, const uint8_t *place)
{
	return wire_printer_fault(x, place, CODEC_FAULT_TOO_LARGE, "JSON text too large");
}

/* No fault: wire_to_json starts again with care. */
const uint8_t *wire_printer_irregular(struct wire_printer *x)
{
	ASSERT(!x->careful);
	x->irregular = true;
	return NULL;
}

bool wire_printer_enter(struct wire_printer *x, const uint8_t *place)
{
	if (x->depth_left == 0) {
		(void)wire_printer_broken(x, place, CODEC_FAULT_WIRE_DEPTH);
		return false;
	}
	x->depth_left--;
	return true;
}

const uint8_t *wire_printer_skip(
	struct wire_printer *x, const uint8_t *p, const uint8_t *end, uint32_t tag)
{
	enum codec_fault_kind kind;
	const uint8_t *place;

	p = wire_skip(p, end, tag, x->depth_left, &kind, &place);
	return p ? p : wire_printer_broken(x, place, kind);
}

/* Varint or fixed; nothing else is a scalar. */
const uint8_t *wire_printer_bits(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	enum wire_type type, uint64_t *ret_bits)
{
	const uint8_t *q = NULL;

	switch (type) {
	case WIRE_VARINT:
		q = wire_varint(p, end, ret_bits);
		return q ? q : wire_printer_broken(x, p, wire_fault_varint(p, end));
	case WIRE_FIXED64:
		if (end - p >= 8) {
			*ret_bits = wire_load64(p);
			q = p + 8;
		}
		break;
	case WIRE_FIXED32:
		if (end - p >= 4) {
			*ret_bits = wire_load32(p);
			q = p + 4;
		}
		break;
	case WIRE_LENGTH:
	case WIRE_START:
	case WIRE_END:
		ASSERT(false);
		break;
	}
	return q ? q : wire_printer_broken(x, p, CODEC_FAULT_WIRE_TRUNCATED);
}
