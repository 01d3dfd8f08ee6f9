/*
 * Runs of ASCII are passed eight bytes at a time; all else goes through one function that knows the
 * shortest form of every character, so overlong forms and surrogates cannot pass anywhere.
 */
#include "base/utf8.h"

#include "base/assert.h"

static bool is_tail(uint8_t c)
{
	return (c & 0xc0) == 0x80;
}

/* By the table of RFC 3629, section 4. */
unsigned utf8_sequence(const uint8_t *p, const uint8_t *end)
{
	size_t room = (size_t)(end - p);
	uint8_t c;

	ASSERT(room > 0);
	c = p[0];
	if (c < 0x80) {
		return 1;
	}
	if (c < 0xc2 || c > 0xf4) {
		return 0; /* a tail, an overlong head, or above U+10FFFF */
	}
	if (c < 0xe0) {
		return room >= 2 && is_tail(p[1]) ? 2 : 0;
	}
	if (c < 0xf0) {
		if (room < 3 || !is_tail(p[1]) || !is_tail(p[2])) {
			return 0;
		}
		/* E0 must not be overlong, ED must not be a surrogate. */
		return (c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] >= 0xa0) ? 0 : 3;
	}
	if (room < 4 || !is_tail(p[1]) || !is_tail(p[2]) || !is_tail(p[3])) {
		return 0;
	}
	return (c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] >= 0x90) ? 0 : 4;
}

/* Eight ASCII bytes at a time. */
bool utf8_valid(struct slice text)
{
	const uint8_t *p = text.data;
	const uint8_t *end = text.size > 0 ? p + text.size : p;

	while (p < end) {
		uint64_t word;

		if (end - p >= 8) {
			memcpy(&word, p, 8);
			if ((word & 0x8080808080808080u) == 0) {
				p += 8;
				continue;
			}
		}
		unsigned size = utf8_sequence(p, end);

		if (size == 0) {
			return false;
		}
		p += size;
	}
	return true;
}

/* The caller joined surrogates before. */
uint8_t *utf8_write(uint32_t code_point, uint8_t *out)
{
	ASSERT(code_point <= 0x10ffff && (code_point < 0xd800 || code_point > 0xdfff));
	if (code_point < 0x80) {
		*out++ = (uint8_t)code_point;
	} else if (code_point < 0x800) {
		*out++ = (uint8_t)(0xc0 | code_point >> 6);
		*out++ = (uint8_t)(0x80 | (code_point & 0x3f));
	} else if (code_point < 0x10000) {
		*out++ = (uint8_t)(0xe0 | code_point >> 12);
		*out++ = (uint8_t)(0x80 | ((code_point >> 6) & 0x3f));
		*out++ = (uint8_t)(0x80 | (code_point & 0x3f));
	} else {
		*out++ = (uint8_t)(0xf0 | code_point >> 18);
		*out++ = (uint8_t)(0x80 | ((code_point >> 12) & 0x3f));
		*out++ = (uint8_t)(0x80 | ((code_point >> 6) & 0x3f));
		*out++ = (uint8_t)(0x80 | (code_point & 0x3f));
	}
	return out;
}

/* Digits by hand: this stands in the middle of every JSON reader. */
int32_t utf8_hex_unit(const uint8_t *p, const uint8_t *end)
{
	int32_t value = 0;

	if (end - p < 4) {
		return -1;
	}
	for (int i = 0; i < 4; i++) {
		uint8_t c = p[i];
		uint8_t lower = c | 0x20;

		if (c >= '0' && c <= '9') {
			value = value * 16 + (c - '0');
		} else if (lower >= 'a' && lower <= 'f') {
			value = value * 16 + (lower - 'a' + 10);
		} else {
			return -1;
		}
	}
	return value;
}
