/*
 * The chunked decoder on two splits of one input: the same data, the same end, the same fault. The
 * first byte chooses the split.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "http/h1_chunked.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t chunked_run(
	struct h1_chunked *chunked, struct slice text, size_t piece, struct buf *ret_data)
{
	size_t place = 0;

	h1_chunked_init(chunked, 256);
	while (place < text.size && chunked->state < H1_CHUNKED_TRAILERS) {
		size_t size = text.size - place < piece ? text.size - place : piece;

		if (chunked->state == H1_CHUNKED_DATA) {
			size = size < chunked->rest ? size : (size_t)chunked->rest;
			h1_chunked_take(chunked, size);
			buf_append(ret_data, text.data + place, size);
			place += size;
		} else {
			size_t used = h1_chunked_read(chunked, slice_make(text.data + place, size));

			ASSERT(used > 0 && used <= size);
			place += used;
		}
	}
	return place;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct h1_chunked a;
	struct h1_chunked b;
	struct buf whole;
	struct buf split;
	size_t used;

	if (size < 2) {
		return 0;
	}
	buf_init(&whole);
	buf_init(&split);
	used = chunked_run(&a, slice_make(data + 1, size - 1), size, &whole);
	ASSERT(used == chunked_run(&b, slice_make(data + 1, size - 1), 1 + data[0] % 16, &split));
	ASSERT(a.state == b.state && a.reason == b.reason && a.rest == b.rest);
	ASSERT(slice_equal(buf_slice(&whole), buf_slice(&split)));
	ASSERT(a.data <= INT64_MAX);
	buf_fini(&whole);
	buf_fini(&split);
	return 0;
}
