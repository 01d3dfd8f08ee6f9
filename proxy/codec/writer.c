/*
 * The margin makes small writes free of checks: a key's comma, a quote, a number. Who writes more
 * than that asks first. The cap is met while writing, not afterwards, so a message that grows a
 * hundredfold stops at the cap (LM-01).
 */
#include "codec/writer.h"

#define FIRST_ROOM 1024 /* enough for most messages */

static void set_limits(struct writer *writer, size_t used)
{
	size_t room = writer->buf->capacity - writer->kept;
	size_t most = writer->max + 2 * WRITER_MARGIN;

	writer->begin = writer->buf->data + writer->kept;
	writer->out = writer->begin + used;
	/* Conversion stops near the cap, however large the buffer is. */
	writer->limit = writer->begin + (room < most ? room : most) - WRITER_MARGIN;
}

/* What the buffer holds stays in front. */
void writer_init(struct writer *writer, struct buf *buf, size_t max)
{
	ASSERT(buf->size <= buf->capacity);
	writer->buf = buf;
	writer->kept = buf->size;
	writer->max = max;
	buf_reserve(buf, FIRST_ROOM);
	set_limits(writer, 0);
}

/* Doubling, but never far beyond the cap. */
bool writer_grow(struct writer *writer, size_t size)
{
	size_t used = writer_size(writer);

	if (used + size > writer->max + WRITER_MARGIN) {
		return false;
	}
	writer->buf->size = writer->kept + used;
	buf_reserve(writer->buf, size + 2 * WRITER_MARGIN);
	writer->buf->size = writer->kept;
	set_limits(writer, used);
	ASSERT(writer->limit - writer->out >= (ptrdiff_t)size);
	return true;
}

/* Until here the buffer's size did not count what was written. */
bool writer_finish(struct writer *writer)
{
	size_t used = writer_size(writer);

	ASSERT(writer->kept + used <= writer->buf->capacity);
	if (used > writer->max) {
		return false;
	}
	writer->buf->size = writer->kept + used;
	return true;
}
