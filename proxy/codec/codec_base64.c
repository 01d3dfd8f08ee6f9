/*
 * Both alphabets are read through one table of 256 bytes: no branch per character, and what is
 * bad is collected in one mask that is looked at once.
 */
#include "codec/codec_base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Values of both alphabets, by byte; 255 is in neither. */
/* clang-format off */
static const uint8_t values[256] = {
	255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
	255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
	255, 255, 255, 255, 255, 255, 255, 62, 255, 62, 255, 63, 52, 53, 54, 55, 56, 57,
	58, 59, 60, 61, 255, 255, 255, 255, 255, 255, 255, 0, 1, 2, 3, 4, 5, 6,
	7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,
	25, 255, 255, 255, 255, 63, 255, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36,
	37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 255, 255, 255,
	255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
	255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
	255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
	255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
	255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
	255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
	255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
	255, 255, 255, 255,
};
/* clang-format on */

/* Whole groups of three, then what is left. */
uint8_t *codec_base64_write(const uint8_t *bytes, size_t size, bool padded, uint8_t *out)
{
	uint32_t group;

	ASSERT(out);
	for (; size >= 3; bytes += 3, size -= 3) {
		group = (uint32_t)bytes[0] << 16 | (uint32_t)bytes[1] << 8 | bytes[2];
		*out++ = (uint8_t)alphabet[group >> 18];
		*out++ = (uint8_t)alphabet[group >> 12 & 63];
		*out++ = (uint8_t)alphabet[group >> 6 & 63];
		*out++ = (uint8_t)alphabet[group & 63];
	}
	if (size == 0) {
		return out;
	}
	group = (uint32_t)bytes[0] << 16 | (size == 2 ? (uint32_t)bytes[1] << 8 : 0);
	*out++ = (uint8_t)alphabet[group >> 18];
	*out++ = (uint8_t)alphabet[group >> 12 & 63];
	if (size == 2) {
		*out++ = (uint8_t)alphabet[group >> 6 & 63];
	} else if (padded) {
		*out++ = '=';
	}
	if (padded) {
		*out++ = '=';
	}
	return out;
}

/* Bytes are written before they are known to be good: NULL takes them all back. */
uint8_t *codec_base64_read(const uint8_t *text, size_t size, uint8_t *out)
{
	uint32_t group = 0;
	uint8_t bad = 0;
	unsigned left;

	ASSERT(out);
	/* Padding is none or exact: it completes the last group of four. */
	if (size > 0 && size % 4 == 0 && text[size - 1] == '=') {
		size -= text[size - 2] == '=' ? 2 : 1;
	}
	for (; size >= 4; text += 4, size -= 4) {
		uint8_t a = values[text[0]];
		uint8_t b = values[text[1]];
		uint8_t c = values[text[2]];
		uint8_t d = values[text[3]];

		bad |= a | b | c | d;
		group = (uint32_t)a << 18 | (uint32_t)b << 12 | (uint32_t)c << 6 | d;
		*out++ = (uint8_t)(group >> 16);
		*out++ = (uint8_t)(group >> 8);
		*out++ = (uint8_t)group;
	}
	left = (unsigned)size;
	group = 0;
	for (unsigned i = 0; i < left; i++) {
		bad |= values[text[i]];
		group |= (uint32_t)(values[text[i]] & 63) << (18 - 6 * i);
	}
	if (bad & 0xc0 || left == 1) {
		return NULL;
	}
	/* The spare low bits of an incomplete group are ignored. */
	if (left >= 2) {
		*out++ = (uint8_t)(group >> 16);
	}
	if (left == 3) {
		*out++ = (uint8_t)(group >> 8);
	}
	return out;
}

/* The exact size is known before. */
void codec_base64_encode(struct slice bytes, bool padded, struct buf *ret_text)
{
	uint8_t *out = buf_reserve(ret_text, (bytes.size + 2) / 3 * 4);

	ret_text->size =
		(size_t)(codec_base64_write(bytes.data, bytes.size, padded, out) - ret_text->data);
	ASSERT(ret_text->size <= ret_text->capacity);
}

/* Room for an incomplete group at the end as well. */
bool codec_base64_decode(struct slice text, struct buf *ret_bytes)
{
	uint8_t *out = buf_reserve(ret_bytes, text.size / 4 * 3 + 3);
	uint8_t *end = codec_base64_read(text.data, text.size, out);

	if (!end) {
		return false;
	}
	ret_bytes->size = (size_t)(end - ret_bytes->data);
	ASSERT(ret_bytes->size <= ret_bytes->capacity);
	return true;
}
