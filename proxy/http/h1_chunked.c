#include "http/h1_chunked.h"

/* H1-21 */
#define H1_CHUNKED_DIGITS_MAX 16
/* H1-24: framing may be this much before it has to be in proportion to the data. */
#define H1_CHUNKED_OVERHEAD_FREE (100 * 1024)

void h1_chunked_init(struct h1_chunked *chunked, size_t ext_max)
{
	ASSERT(chunked != NULL);
	*chunked = (struct h1_chunked){.ext_max = ext_max, .reason = REASON_ok};
}

static void h1_chunked_fail(struct h1_chunked *chunked, enum reason reason)
{
	chunked->state = H1_CHUNKED_FAILED;
	chunked->reason = reason;
}

static int h1_chunked_hex(uint8_t byte)
{
	if (byte >= '0' && byte <= '9') {
		return byte - '0';
	}
	byte |= 0x20;
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static bool h1_chunked_tchar(uint8_t byte)
{
	uint8_t lower = byte | 0x20;

	return (lower >= 'a' && lower <= 'z') || (byte >= '0' && byte <= '9') ||
	       (byte != 0 && strchr("!#$%&'*+-.^_`|~", byte) != NULL);
}

static bool h1_chunked_blank(uint8_t byte)
{
	return byte == ' ' || byte == '\t';
}

/* The size was read: `;`, blanks before `;`, or the end of the line. */
static enum h1_chunked_state h1_chunked_after_size(uint8_t byte)
{
	if (byte == '\r') {
		return H1_CHUNKED_LINE_FEED;
	}
	if (byte == ';') {
		return H1_CHUNKED_EXT_NAME_FIRST;
	}
	return h1_chunked_blank(byte) ? H1_CHUNKED_BLANK : H1_CHUNKED_FAILED;
}

/* H1-21 */
static enum h1_chunked_state h1_chunked_size(struct h1_chunked *chunked, uint8_t byte)
{
	int digit = h1_chunked_hex(byte);

	if (digit < 0) {
		return chunked->digits == 0 ? H1_CHUNKED_FAILED : h1_chunked_after_size(byte);
	}
	/* 16 digits always fit; the 63-bit bound is checked at the end of the line. */
	if (chunked->digits == H1_CHUNKED_DIGITS_MAX) {
		return H1_CHUNKED_FAILED;
	}
	chunked->digits++;
	chunked->rest = (chunked->rest << 4) | (uint64_t)digit;
	return H1_CHUNKED_SIZE;
}

/* Between a value (or a name without one) and the next `;` or the end of the line. */
static enum h1_chunked_state h1_chunked_after_value(uint8_t byte)
{
	if (byte == '\r') {
		return H1_CHUNKED_LINE_FEED;
	}
	if (byte == ';') {
		return H1_CHUNKED_EXT_NAME_FIRST;
	}
	return h1_chunked_blank(byte) ? H1_CHUNKED_EXT_BLANK : H1_CHUNKED_FAILED;
}

/* RFC 9110 5.6.4, without the line ends that other readers might accept. */
static enum h1_chunked_state h1_chunked_quoted(uint8_t byte)
{
	if (byte == '"') {
		return H1_CHUNKED_EXT_QUOTED_END;
	}
	if (byte == '\\') {
		return H1_CHUNKED_EXT_ESCAPED;
	}
	return byte == '\t' || (byte >= 0x20 && byte != 0x7F) ? H1_CHUNKED_EXT_QUOTED
							      : H1_CHUNKED_FAILED;
}

/* One byte of an extension (H1-22): parsed so that both readers see the same end, then dropped. */
static enum h1_chunked_state h1_chunked_ext(enum h1_chunked_state state, uint8_t byte)
{
	bool tchar = h1_chunked_tchar(byte);

	if (state == H1_CHUNKED_EXT_NAME_FIRST || state == H1_CHUNKED_EXT_VALUE_FIRST) {
		if (h1_chunked_blank(byte)) {
			return state;
		}
		if (state == H1_CHUNKED_EXT_NAME_FIRST) {
			return tchar ? H1_CHUNKED_EXT_NAME : H1_CHUNKED_FAILED;
		}
		if (byte == '"') {
			return H1_CHUNKED_EXT_QUOTED;
		}
		return tchar ? H1_CHUNKED_EXT_TOKEN : H1_CHUNKED_FAILED;
	}
	if (state == H1_CHUNKED_EXT_NAME || state == H1_CHUNKED_EXT_NAME_BLANK) {
		if (byte == '=') {
			return H1_CHUNKED_EXT_VALUE_FIRST;
		}
		if (h1_chunked_blank(byte)) {
			return H1_CHUNKED_EXT_NAME_BLANK;
		}
		if (tchar && state == H1_CHUNKED_EXT_NAME) {
			return state;
		}
		/* A blank before CR is a fault, as it is after the size. */
		return byte == '\r' && state == H1_CHUNKED_EXT_NAME_BLANK
			       ? H1_CHUNKED_FAILED
			       : h1_chunked_after_value(byte);
	}
	if (state == H1_CHUNKED_EXT_TOKEN && tchar) {
		return state;
	}
	return h1_chunked_after_value(byte);
}

/* A chunk line is complete: its size must keep the total below 2^63 (MM-02). */
static void h1_chunked_line_end(struct h1_chunked *chunked)
{
	bool too_large = chunked->rest > (uint64_t)INT64_MAX - chunked->data;
	/* H1-24: the data so far is below a quarter of all bytes. */
	bool wasteful = chunked->overhead > H1_CHUNKED_OVERHEAD_FREE &&
			chunked->data < chunked->overhead / 3;

	if (too_large || wasteful) {
		h1_chunked_fail(chunked, REASON_bad_chunk);
		return;
	}
	chunked->data += chunked->rest;
	chunked->state = chunked->rest == 0 ? H1_CHUNKED_TRAILERS : H1_CHUNKED_DATA;
}

/* One byte of framing. A bare LF is named as a line end, everything else is bad_chunk. */
static void h1_chunked_step(struct h1_chunked *chunked, uint8_t byte)
{
	enum h1_chunked_state next = H1_CHUNKED_FAILED;
	enum reason reason = REASON_bad_chunk;

	switch (chunked->state) {
	case H1_CHUNKED_SIZE_FIRST:
	case H1_CHUNKED_SIZE:
		next = h1_chunked_size(chunked, byte);
		reason = byte == '\n' && chunked->digits > 0 ? REASON_bad_line_end : reason;
		break;
	case H1_CHUNKED_BLANK:
	case H1_CHUNKED_EXT_BLANK:
		next = byte == ';'		? H1_CHUNKED_EXT_NAME_FIRST
		       : h1_chunked_blank(byte) ? chunked->state
						: H1_CHUNKED_FAILED;
		break;
	case H1_CHUNKED_EXT_NAME_FIRST:
	case H1_CHUNKED_EXT_NAME:
	case H1_CHUNKED_EXT_NAME_BLANK:
	case H1_CHUNKED_EXT_VALUE_FIRST:
	case H1_CHUNKED_EXT_TOKEN:
	case H1_CHUNKED_EXT_QUOTED_END:
		next = h1_chunked_ext(chunked->state, byte);
		reason = byte == '\n' ? REASON_bad_line_end : reason;
		break;
	case H1_CHUNKED_EXT_QUOTED:
		next = h1_chunked_quoted(byte);
		break;
	case H1_CHUNKED_EXT_ESCAPED:
		next = byte == '\t' || (byte >= 0x20 && byte != 0x7F) ? H1_CHUNKED_EXT_QUOTED
								      : H1_CHUNKED_FAILED;
		break;
	case H1_CHUNKED_LINE_FEED:
		if (byte == '\n') {
			h1_chunked_line_end(chunked);
			return;
		}
		reason = REASON_bad_line_end;
		break;
	case H1_CHUNKED_DATA_RETURN:
		next = byte == '\r' ? H1_CHUNKED_DATA_FEED : H1_CHUNKED_FAILED;
		break;
	case H1_CHUNKED_DATA_FEED:
		next = byte == '\n' ? H1_CHUNKED_SIZE_FIRST : H1_CHUNKED_FAILED;
		chunked->rest = 0;
		chunked->digits = 0;
		chunked->ext_size = 0;
		break;
	case H1_CHUNKED_DATA:
	case H1_CHUNKED_TRAILERS:
	case H1_CHUNKED_FAILED:
		break;
	}
	if (next == H1_CHUNKED_FAILED) {
		h1_chunked_fail(chunked, reason);
		return;
	}
	chunked->state = next;
}

/* Whether the byte just read belongs to what H1-22 limits. */
static bool h1_chunked_in_ext(enum h1_chunked_state state)
{
	return state >= H1_CHUNKED_BLANK && state <= H1_CHUNKED_EXT_BLANK;
}

size_t h1_chunked_read(struct h1_chunked *chunked, struct slice bytes)
{
	size_t used = 0;

	while (used < bytes.size && chunked->state != H1_CHUNKED_DATA &&
		chunked->state < H1_CHUNKED_TRAILERS) {
		h1_chunked_step(chunked, bytes.data[used]);
		used++;
		chunked->overhead++;
		chunked->ext_size += h1_chunked_in_ext(chunked->state);
		if (chunked->ext_size > chunked->ext_max) {
			h1_chunked_fail(chunked, REASON_bad_chunk);
		}
	}
	ASSERT(used <= bytes.size);
	return used;
}

void h1_chunked_take(struct h1_chunked *chunked, uint64_t size)
{
	ASSERT(chunked->state == H1_CHUNKED_DATA && size <= chunked->rest);
	chunked->rest -= size;
	if (chunked->rest == 0) {
		chunked->state = H1_CHUNKED_DATA_RETURN;
	}
}

size_t h1_chunked_write(uint8_t ret_line[H1_CHUNK_HEAD_MAX], uint64_t size)
{
	static const char digits[] = "0123456789abcdef";
	unsigned count = 1;

	while (count < H1_CHUNKED_DIGITS_MAX && size >> (4 * count) != 0) {
		count++;
	}
	for (unsigned i = 0; i < count; i++) {
		ret_line[i] = (uint8_t)digits[(size >> (4 * (count - 1 - i))) & 15];
	}
	ret_line[count] = '\r';
	ret_line[count + 1] = '\n';
	ASSERT(count + 2 <= H1_CHUNK_HEAD_MAX);
	return count + 2;
}
