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
void buf_clear(struct buf *buf); /* keeps the memory */
/* Room for `size` more bytes at the end; the caller writes there and adds to buf->size. */
uint8_t *buf_reserve(struct buf *buf, size_t size);
void buf_append(struct buf *buf, const void *data, size_t size);
void buf_append_slice(struct buf *buf, struct slice bytes);
void buf_append_string(struct buf *buf, const char *text);
void buf_append_byte(struct buf *buf, uint8_t byte);
void buf_appendf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
/* JSON string contents without the quotes; bytes < 0x20, 0x7f..0xff become \u00XX (http.md L-03).
 */
void buf_append_json_escaped(struct buf *buf, struct slice text);
struct slice buf_slice(const struct buf *buf);
/* Terminates with an uncounted NUL and returns the text; valid until the next change. */
const char *buf_string(struct buf *buf);

#endif
