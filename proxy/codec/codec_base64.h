/*
 * codec_base64: base64 of bytes fields (codec.md JS table) and of `-bin` metadata (GR-07). Pure.
 */
#ifndef PILLION_CODEC_BASE64_H
#define PILLION_CODEC_BASE64_H

#include "base/buf.h"

/* Appends the standard alphabet, padded or not. */
void codec_base64_encode(struct slice bytes, bool padded, struct buf *ret_text);
/*
 * Appends the bytes. Both alphabets, even mixed; padding none or exact; spare low bits are ignored.
 * False (nothing appended): another byte, length 1 mod 4, bad padding.
 */
bool codec_base64_decode(struct slice text, struct buf *ret_bytes) MUST_CHECK;

/* The same on raw memory: writes 4 * ceil(size / 3) bytes at most and returns the end. */
uint8_t *codec_base64_write(const uint8_t *bytes, size_t size, bool padded, uint8_t *out);
/* Writes at most 3 * (size / 4) + 3 bytes and returns the end, or NULL. */
uint8_t *codec_base64_read(const uint8_t *text, size_t size, uint8_t *out) MUST_CHECK;

#endif
