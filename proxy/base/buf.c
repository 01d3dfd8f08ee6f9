#include "base/buf.h"

#include <stdio.h>

#include "base/mem.h"

#define BUF_FIRST_CAPACITY 256
/* 1 in each byte of a word. */
#define BUF_ONES (UINT64_MAX / UINT8_MAX)

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

void buf_grow(struct buf *buf, size_t size)
{
	size_t capacity = buf->capacity < BUF_FIRST_CAPACITY ? BUF_FIRST_CAPACITY : buf->capacity;

	ASSERT(size <= SIZE_MAX / 4 && buf->size <= buf->capacity);
	/* Doubling keeps appending linear over all. */
	while (capacity - buf->size < size) {
		capacity *= 2;
	}
	buf->data = mem_realloc(buf->data, capacity);
	buf->capacity = capacity;
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

static void buf_append_escape(struct buf *buf, uint8_t byte)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t escape = buf_json_short_escape(byte);

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

/* Nonzero when a byte of the word is zero; exact only as that answer. */
static uint64_t buf_has_zero(uint64_t word)
{
	return (word - BUF_ONES) & ~word & (BUF_ONES << 7);
}

/* Are these eight bytes all 0x20..0x7e and neither quote nor backslash? */
static bool buf_json_plain_word(const uint8_t *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof(word));
	/* Bit 7 of a byte: it was >= 0x80, or + 1 makes it so (0x7f), or it is < 0x20. */
	if (((word | (word + BUF_ONES)) & (BUF_ONES << 7)) != 0 ||
		((word - BUF_ONES * 0x20) & (BUF_ONES << 7)) != 0) {
		return false;
	}
	return (buf_has_zero(word ^ (BUF_ONES * '"')) | buf_has_zero(word ^ (BUF_ONES * '\\'))) ==
	       0;
}

/* How many bytes of the beginning stand for themselves in a JSON string. */
static size_t buf_json_plain(struct slice text)
{
	size_t i = 0;

	while (text.size - i >= sizeof(uint64_t) && buf_json_plain_word(text.data + i)) {
		i += sizeof(uint64_t);
	}
	while (i < text.size && text.data[i] >= 0x20 && text.data[i] < 0x7f &&
		buf_json_short_escape(text.data[i]) == 0) {
		i++;
	}
	return i;
}

/* Runs of plain bytes are copied at once: most texts have nothing to escape. */
void buf_append_json_escaped(struct buf *buf, struct slice text)
{
	ASSERT(text.data != NULL || text.size == 0);
	while (text.size > 0) {
		size_t plain = buf_json_plain(text);

		buf_append(buf, text.data, plain);
		if (plain == text.size) {
			break;
		}
		buf_append_escape(buf, text.data[plain]);
		text = slice_from(text, plain + 1);
	}
}

/* The terminator stands behind the content and is overwritten by what is appended next. */
const char *buf_string(struct buf *buf)
{
	*buf_reserve(buf, 1) = 0;
	return (const char *)buf->data;
}
