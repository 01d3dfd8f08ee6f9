#include "base/buf.h"

#include <stdio.h>

#include "base/mem.h"

#define BUF_FIRST_CAPACITY 256

void buf_init(struct buf *buf)
{
	ASSERT(buf != NULL);
	*buf = (struct buf){NULL, 0, 0};
}

void buf_fini(struct buf *buf)
{
	mem_free(buf->data);
	buf_init(buf);
}

void buf_clear(struct buf *buf)
{
	ASSERT(buf->size <= buf->capacity);
	buf->size = 0;
}

uint8_t *buf_reserve(struct buf *buf, size_t size)
{
	size_t capacity = buf->capacity;

	ASSERT(size <= SIZE_MAX / 4 && buf->size <= buf->capacity);
	if (buf->data == NULL || capacity - buf->size < size) {
		capacity = capacity < BUF_FIRST_CAPACITY ? BUF_FIRST_CAPACITY : capacity;
		/* Doubling keeps appending linear over all. */
		while (capacity - buf->size < size) {
			capacity *= 2;
		}
		buf->data = mem_realloc(buf->data, capacity);
		buf->capacity = capacity;
	}
	return buf->data + buf->size;
}

void buf_append(struct buf *buf, const void *data, size_t size)
{
	ASSERT(data != NULL || size == 0);
	if (size > 0) {
		memcpy(buf_reserve(buf, size), data, size);
		buf->size += size;
	}
}

void buf_append_slice(struct buf *buf, struct slice bytes)
{
	buf_append(buf, bytes.data, bytes.size);
}

void buf_append_string(struct buf *buf, const char *text)
{
	ASSERT(text != NULL);
	buf_append(buf, text, strlen(text));
}

void buf_append_byte(struct buf *buf, uint8_t byte)
{
	*buf_reserve(buf, 1) = byte;
	buf->size++;
}

void buf_appendf(struct buf *buf, const char *format, ...)
{
	va_list arguments;
	size_t room;
	int needed;

	buf_reserve(buf, 1);
	room = buf->capacity - buf->size;
	va_start(arguments, format);
	needed = vsnprintf((char *)buf->data + buf->size, room, format, arguments);
	va_end(arguments);
	ASSERT(needed >= 0);
	/* The first attempt often fits; the second always does. */
	if ((size_t)needed >= room) {
		buf_reserve(buf, (size_t)needed + 1);
		va_start(arguments, format);
		needed = vsnprintf(
			(char *)buf->data + buf->size, (size_t)needed + 1, format, arguments);
		va_end(arguments);
	}
	buf->size += (size_t)needed;
}

/* The two-byte escape of RFC 8259 section 7 for the common characters, 0 for all others. */
static uint8_t buf_json_short_escape(uint8_t byte)
{
	switch (byte) {
	case '"':
	case '\\':
		return byte;
	case '\n':
		return 'n';
	case '\r':
		return 'r';
	case '\t':
		return 't';
	default:
		return 0;
	}
}

/* Runs of plain bytes are copied at once: most texts have nothing to escape. */
void buf_append_json_escaped(struct buf *buf, struct slice text)
{
	static const char digits[] = "0123456789abcdef";
	size_t plain = 0; /* start of the run not yet copied */

	ASSERT(text.data != NULL || text.size == 0);
	for (size_t i = 0; i < text.size; i++) {
		uint8_t byte = text.data[i];
		uint8_t escape = buf_json_short_escape(byte);

		if (escape == 0 && byte >= 0x20 && byte < 0x7f) {
			continue;
		}
		buf_append(buf, text.data + plain, i - plain);
		plain = i + 1;
		if (escape != 0) {
			uint8_t pair[2] = {'\\', escape};

			buf_append(buf, pair, sizeof(pair));
		} else {
			/* One escape for each byte, not for each character: no received byte
			 * reaches a log or a terminal as it is (http.md L-03). */
			char six[6] = {'\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15]};

			buf_append(buf, six, sizeof(six));
		}
	}
	if (plain < text.size) {
		buf_append(buf, text.data + plain, text.size - plain);
	}
}

struct slice buf_slice(const struct buf *buf)
{
	return slice_make(buf->data, buf->size);
}

/* The terminator stands behind the content and is overwritten by what is appended next. */
const char *buf_string(struct buf *buf)
{
	*buf_reserve(buf, 1) = 0;
	return (const char *)buf->data;
}
