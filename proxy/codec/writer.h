/*
 * writer: the output of a translation, a growing buffer with a cap (codec.md LM-01, EN-07). Small
 * things are written without a check: WRITER_MARGIN bytes are free after every writer_room.
 * Internal.
 */
#ifndef PILLION_CODEC_WRITER_H
#define PILLION_CODEC_WRITER_H

#include "base/buf.h"

#define WRITER_MARGIN 64

struct writer {
	uint8_t *out;	/* the next byte */
	uint8_t *limit; /* WRITER_MARGIN bytes in front of the end */
	uint8_t *begin;
	struct buf *buf;
	size_t kept; /* bytes in front of `begin`, not ours */
	size_t max;
};

void writer_init(struct writer *writer, struct buf *buf, size_t max);
bool writer_grow(struct writer *writer, size_t size) MUST_CHECK;

/* Room for `size` bytes and the margin; false: the cap is reached. */
static inline bool writer_room(struct writer *writer, size_t size)
{
	return writer->limit - writer->out >= (ptrdiff_t)size || writer_grow(writer, size);
}

static inline size_t writer_size(const struct writer *writer)
{
	return (size_t)(writer->out - writer->begin);
}

/* Counts what was written in the buffer; false: more than the cap. */
bool writer_finish(struct writer *writer) MUST_CHECK;

#endif
