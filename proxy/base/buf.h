/*
 * buf: one growing contiguous byte buffer on the heap, for text and frames that are built before
 * they are sent. Owner: whoever embeds it. One thread.
 */
#ifndef PILLION_BASE_BUF_H
#define PILLION_BASE_BUF_H

#include <stdarg.h>

#include "base/assert.h"
#include "base/slice.h"

struct buf {
	uint8_t *data;
	size_t size;
	size_t capacity;
};

void buf_init(struct buf *buf);
void buf_fini(struct buf *buf);
void buf_clear(struct buf *buf);	     /* keeps the memory */
void buf_grow(struct buf *buf, size_t size); /* for buf_reserve */
void buf_appendf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
/* JSON string contents without the quotes; bytes < 0x20, 0x7f..0xff become \u00XX (http.md L-03).
 */
void buf_append_json_escaped(struct buf *buf, struct slice text);
/* Terminates with an uncounted NUL and returns the text; valid until the next change. */
const char *buf_string(struct buf *buf);

/* Room for `size` more bytes at the end; the caller writes there and adds to buf->size. */
static inline uint8_t *buf_reserve(struct buf *buf, size_t size)
{
	ASSERT(buf->size <= buf->capacity);
	if (buf->data == NULL || buf->capacity - buf->size < size) {
		buf_grow(buf, size);
	}
	return buf->data + buf->size;
}

static inline void buf_append(struct buf *buf, const void *data, size_t size)
{
	ASSERT(data != NULL || size == 0);
	if (size > 0) {
		memcpy(buf_reserve(buf, size), data, size);
		buf->size += size;
	}
}

static inline void buf_append_slice(struct buf *buf, struct slice bytes)
{
	buf_append(buf, bytes.data, bytes.size);
}

/* Inline, so that the length of a literal costs nothing. */
static inline void buf_append_string(struct buf *buf, const char *text)
{
	buf_append(buf, text, strlen(text));
}

static inline void buf_append_byte(struct buf *buf, uint8_t byte)
{
	*buf_reserve(buf, 1) = byte;
	buf->size++;
}

static inline struct slice buf_slice(const struct buf *buf)
{
	return slice_make(buf->data, buf->size);
}

#endif
