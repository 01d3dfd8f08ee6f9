/*
 * wire_printer: the state of one translation wire -> JSON and the primitives that its files share
 * (codec.md EN-04, EN-05). A printing function takes the place where it begins and returns the
 * place behind what it read; NULL after a fault, or when the message is irregular and the
 * optimistic pass has to give up. Internal.
 */
#ifndef PILLION_CODEC_WIRE_PRINTER_H
#define PILLION_CODEC_WIRE_PRINTER_H

#include "codec/context_scratch.h"
#include "codec/fault_path.h"
#include "codec/pool_find.h"
#include "codec/wire.h"
#include "codec/writer.h"

struct wire_printer {
	const uint8_t *begin;
	const uint8_t *end; /* CODEC_SLACK bytes behind it may be loaded */
	struct writer w;
	const struct descriptor_pool *pool;
	const struct codec_options *options;
	struct codec_context *context;
	uint32_t depth_left;
	bool irregular;		/* only careful mode can print this message */
	bool careful;		/* it is on */
	size_t groups_first;	/* careful mode: records of the bytes being printed begin here */
	const uint8_t *end_tag; /* wire_check: of the group that was read last */
	struct fault_path path;
};

/* A part of the wire bytes; in careful mode a message may be the concatenation of several. */
struct wire_span {
	const uint8_t *p;
	const uint8_t *end;
};

/* Always NULL. */
const uint8_t *wire_printer_fault(
	struct wire_printer *x, const uint8_t *place, enum codec_fault_kind kind, const char *rule);
/* A fault of wire.h's readers. */
const uint8_t *wire_printer_broken(
	struct wire_printer *x, const uint8_t *place, enum codec_fault_kind kind);
const uint8_t *wire_printer_too_large(struct wire_printer *x, const uint8_t *place);
/* Always NULL: the optimistic pass ends. */
const uint8_t *wire_printer_irregular(struct wire_printer *x);
bool wire_printer_enter(struct wire_printer *x, const uint8_t *place) MUST_CHECK;

static inline void wire_printer_leave(struct wire_printer *x)
{
	x->depth_left++;
}

/* The next tag, or NULL and a fault. */
static inline const uint8_t *wire_printer_tag(
	struct wire_printer *x, const uint8_t *p, const uint8_t *end, uint32_t *ret_tag)
{
	const uint8_t *q = wire_tag(p, end, ret_tag);

	return q ? q : wire_printer_broken(x, p, wire_fault_tag(p, end));
}

/* A length prefix: the first byte it counts. */
static inline const uint8_t *wire_printer_length(
	struct wire_printer *x, const uint8_t *p, const uint8_t *end, size_t *ret_size)
{
	const uint8_t *q = wire_length(p, end, ret_size);

	return q ? q : wire_printer_broken(x, p, wire_fault_varint(p, end));
}

/* Passes over the value of an unknown field. */
const uint8_t *wire_printer_skip(
	struct wire_printer *x, const uint8_t *p, const uint8_t *end, uint32_t tag);

/* A scalar of a wire type as bits, or NULL and a fault. */
const uint8_t *wire_printer_bits(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	enum wire_type type, uint64_t *ret_bits);

static inline bool wire_printer_packable(const struct pool_field *field)
{
	return field->flags & POOL_REPEATED && field->wire != WIRE_LENGTH &&
	       field->wire != WIRE_START;
}

#endif
