/*
 * h1_chunked: the chunked transfer coding (RFC 9112 7.1; http.md H1-21 to H1-24). The decoder walks
 * over framing bytes and says how many data bytes follow; the data itself is moved by the caller
 * and never looked at. Works on any split of the input. A value; pure.
 */
#ifndef PILLION_HTTP_H1_CHUNKED_H
#define PILLION_HTTP_H1_CHUNKED_H

#include "base/assert.h"
#include "base/codes.h"
#include "base/slice.h"

enum h1_chunked_state {
	H1_CHUNKED_SIZE_FIRST,
	H1_CHUNKED_SIZE,
	H1_CHUNKED_BLANK, /* after the size: only `;` may follow */
	H1_CHUNKED_EXT_NAME_FIRST,
	H1_CHUNKED_EXT_NAME,
	H1_CHUNKED_EXT_NAME_BLANK,
	H1_CHUNKED_EXT_VALUE_FIRST,
	H1_CHUNKED_EXT_TOKEN,
	H1_CHUNKED_EXT_QUOTED,
	H1_CHUNKED_EXT_ESCAPED,
	H1_CHUNKED_EXT_QUOTED_END,
	H1_CHUNKED_EXT_BLANK, /* after a value: only `;` may follow */
	H1_CHUNKED_LINE_FEED,
	H1_CHUNKED_DATA,
	H1_CHUNKED_DATA_RETURN,
	H1_CHUNKED_DATA_FEED,
	H1_CHUNKED_TRAILERS, /* the last chunk was read; h1_parse_trailers goes on */
	H1_CHUNKED_FAILED,
};

struct h1_chunked {
	enum h1_chunked_state state;
	uint64_t rest;	   /* data bytes of this chunk still to come */
	uint64_t data;	   /* data bytes announced so far */
	uint64_t overhead; /* framing bytes so far */
	uint32_t digits;
	size_t ext_size; /* bytes of this chunk line after its size */
	size_t ext_max;
	enum reason reason; /* of a failure */
};

void h1_chunked_init(struct h1_chunked *chunked, size_t ext_max);
/* Consumes framing bytes and returns how many; stops at data (then take `rest` bytes with
 * h1_chunked_take), at the end of the last chunk's line, at the end of input or at a fault. */
size_t h1_chunked_read(struct h1_chunked *chunked, struct slice bytes);
/* `size` data bytes were taken; size <= rest. */
void h1_chunked_take(struct h1_chunked *chunked, uint64_t size);

#define H1_CHUNK_HEAD_MAX 18 /* 16 digits, CR, LF */
/* The line before a chunk of `size` bytes; returns its length. */
size_t h1_chunked_write(uint8_t ret_line[H1_CHUNK_HEAD_MAX], uint64_t size);

#endif
