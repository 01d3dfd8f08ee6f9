/*
 * pbscan: looks at the raw bytes of one of pillion's own protobuf messages before protobuf-c
 * unpacks them (registry.md RT-05, codec.md LB-01): depth, number of fields, lengths inside the
 * message, varints of at most ten bytes, no groups. Also a cursor to read and write the wire form
 * by hand where a message is hot. Pure.
 */
#ifndef PILLION_BASE_PBSCAN_H
#define PILLION_BASE_PBSCAN_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/slice.h"

struct pbscan_limits {
	size_t bytes_max;
	unsigned depth_max; /* nested length-delimited fields that `nested` names */
	size_t fields_max;  /* of the whole message */
};

/* What protobuf-c's generated descriptor says of a message is not needed: any length-delimited
 * field whose bytes could be a message is counted as one when `nested` returns true for it. */
struct pbscan_shape {
	/* True when field `number` of the message at `depth` (0 = outermost) holds a message. */
	bool (*nested)(const void *context, unsigned depth, uint32_t parent_field, uint32_t number);
	const void *context;
};

/* 0; -EMSGSIZE too long; -EBADMSG malformed; -E2BIG too many fields or too deep. */
MUST_CHECK int pbscan_check(
	struct slice message, const struct pbscan_limits *limits, const struct pbscan_shape *shape);

/* One field of a message, read in order. */
struct pbscan_field {
	uint32_t number;
	unsigned wire_type; /* 0 varint, 1 fixed64, 2 length-delimited, 5 fixed32 */
	uint64_t value;	    /* types 0, 1, 5 */
	struct slice bytes; /* type 2 */
};

/* Takes the next field off *rest. 1 read, 0 at the end, -EBADMSG. Groups are refused. */
MUST_CHECK int pbscan_next(struct slice *rest, struct pbscan_field *ret_field);

/* Writers append a whole field; proto3 zero values are the caller's to leave out. */
void pbscan_put_varint(struct buf *buf, uint32_t number, uint64_t value);
void pbscan_put_fixed32(struct buf *buf, uint32_t number, uint32_t value);
void pbscan_put_fixed64(struct buf *buf, uint32_t number, uint64_t value);
void pbscan_put_bytes(struct buf *buf, uint32_t number, struct slice bytes);
/* A nested message: begin returns a mark, end patches the length (five bytes are reserved). */
size_t pbscan_begin(struct buf *buf, uint32_t number);
void pbscan_end(struct buf *buf, size_t mark);

#endif
