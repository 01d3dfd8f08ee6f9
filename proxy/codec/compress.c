/*
 * A bomb is stopped by its ratio long before it reaches the cap (LM-03): the limits are looked at
 * after each 16 KiB that come out.
 */
#include "codec/compress.h"

#include <limits.h>
#include <zlib.h>

#define STEP	     16384u /* LM-03: the limits are checked each 16 KiB */
#define RATIO_MAX    100u
#define RATIO_SPARE  (64u * 1024u)
#define GZIP_WINDOW  (15 + 16)
#define ZLIB_WINDOW  15
#define MEMORY_LEVEL 8

/* A list of codings is not looked into: only one may stand there. */
enum compress_coding compress_coding_find(struct slice name)
{
	name = slice_trim(name);
	if (name.size == 0 || slice_equal_fold(name, SLICE("identity"))) {
		return COMPRESS_IDENTITY;
	}
	if (slice_equal_fold(name, SLICE("gzip")) || slice_equal_fold(name, SLICE("x-gzip"))) {
		return COMPRESS_GZIP;
	}
	return slice_equal_fold(name, SLICE("deflate")) ? COMPRESS_DEFLATE : COMPRESS_UNKNOWN;
}

/* Always false, so that callers can return it. */
static bool broken(struct codec_fault *ret_fault, const char *text)
{
	codec_fault_set(ret_fault, CODEC_FAULT_INFLATE, text);
	return false;
}

/* LM-01 and LM-03; the fault says which. */
static bool is_over(struct codec_fault *ret_fault, size_t size, size_t input, size_t max)
{
	if (size > max) {
		codec_fault_set(
			ret_fault, CODEC_FAULT_TOO_LARGE, "message too large when inflated");
		return true;
	}
	if (size > input * RATIO_MAX + RATIO_SPARE) {
		return !broken(ret_fault, "inflates to more than 100 times its size");
	}
	return false;
}

/* The stream to its end, and for gzip what members follow. */
static bool inflate_all(z_stream *stream, bool gzip, size_t input, size_t max,
	struct buf *ret_bytes, struct codec_fault *ret_fault)
{
	size_t start = ret_bytes->size;

	for (;;) {
		int result;

		stream->next_out = buf_reserve(ret_bytes, STEP);
		stream->avail_out = STEP;
		result = inflate(stream, Z_NO_FLUSH);
		ret_bytes->size += STEP - stream->avail_out;
		if (is_over(ret_fault, ret_bytes->size - start, input, max)) {
			return false;
		}
		if (result == Z_STREAM_END) {
			if (stream->avail_in == 0) {
				return true;
			}
			if (!gzip || inflateReset(stream) != Z_OK) {
				return broken(ret_fault, "something after the compressed data");
			}
		} else if (result != Z_OK || (stream->avail_in == 0 && stream->avail_out > 0)) {
			return broken(ret_fault, "the compressed data is broken or cut short");
		}
	}
}

/* An empty input is no stream: who allows an empty body asks before. */
bool compress_inflate(enum compress_coding coding, struct slice bytes, size_t max,
	struct buf *ret_bytes, struct codec_fault *ret_fault)
{
	bool gzip = coding == COMPRESS_GZIP;
	size_t kept = ret_bytes->size;
	z_stream stream = {0};
	bool done;

	ASSERT(coding != COMPRESS_UNKNOWN);
	if (coding == COMPRESS_IDENTITY) {
		if (bytes.size > max) {
			codec_fault_set(ret_fault, CODEC_FAULT_TOO_LARGE, "message too large");
			return false;
		}
		buf_append_slice(ret_bytes, bytes);
		return true;
	}
	if (bytes.size > UINT_MAX || bytes.size == 0) {
		return broken(ret_fault, "the compressed data is broken or cut short");
	}
	if (inflateInit2(&stream, gzip ? GZIP_WINDOW : ZLIB_WINDOW) != Z_OK) {
		codec_fault_set(ret_fault, CODEC_FAULT_MEMORY, "no memory to inflate");
		return false;
	}
	stream.next_in = (Bytef *)(uintptr_t)bytes.data;
	stream.avail_in = (uInt)bytes.size;
	done = inflate_all(&stream, gzip, bytes.size, max, ret_bytes, ret_fault);
	inflateEnd(&stream);
	if (!done) {
		ret_bytes->size = kept;
	}
	return done;
}

/* In one go: the bound is known before. */
void compress_deflate(enum compress_coding coding, struct slice bytes, struct buf *ret_bytes)
{
	int window = coding == COMPRESS_GZIP ? GZIP_WINDOW : ZLIB_WINDOW;
	z_stream stream = {0};
	uLong bound;
	int result;

	ASSERT(coding == COMPRESS_GZIP || coding == COMPRESS_DEFLATE);
	ASSERT(bytes.size <= UINT_MAX / 2);
	result = deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, window, MEMORY_LEVEL,
		Z_DEFAULT_STRATEGY);
	ASSERT(result == Z_OK);
	bound = deflateBound(&stream, (uLong)bytes.size);
	stream.next_in = (Bytef *)(uintptr_t)bytes.data;
	stream.avail_in = (uInt)bytes.size;
	stream.next_out = buf_reserve(ret_bytes, bound);
	stream.avail_out = (uInt)bound;
	result = deflate(&stream, Z_FINISH);
	ASSERT(result == Z_STREAM_END);
	ret_bytes->size += bound - stream.avail_out;
	deflateEnd(&stream);
}
