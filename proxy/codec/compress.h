/*
 * compress: the one wrapper of zlib for payloads (codec.md GR-04, JG-03, LM-03). Pure: each call is
 * one whole message with a fresh state.
 */
#ifndef PILLION_CODEC_COMPRESS_H
#define PILLION_CODEC_COMPRESS_H

#include "base/buf.h"
#include "codec/codec_fault.h"

enum compress_coding {
	COMPRESS_IDENTITY,
	COMPRESS_GZIP,
	COMPRESS_DEFLATE, /* the zlib form, as in HTTP and gRPC */
	COMPRESS_UNKNOWN, /* as a result of compress_coding_find only */
};

/* By the value of grpc-encoding or content-encoding, ASCII case ignored; an empty one is identity.
 */
enum compress_coding compress_coding_find(struct slice name);

/*
 * Appends the inflated bytes to *ret_bytes. At most 100 times the input and 64 KiB (LM-03) -> fault
 * `inflate`, and at most `max` bytes -> fault `too_large`. Bytes after the end of the stream fault;
 * several gzip members in a row are one message. False leaves *ret_bytes as it was.
 */
bool compress_inflate(enum compress_coding coding, struct slice bytes, size_t max,
	struct buf *ret_bytes, struct codec_fault *ret_fault) MUST_CHECK;

/* Appends the compressed bytes; for tests and own clients. */
void compress_deflate(enum compress_coding coding, struct slice bytes, struct buf *ret_bytes);

#endif
