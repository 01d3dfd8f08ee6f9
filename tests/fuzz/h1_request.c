/*
 * Requests into the server codec. Besides not crashing: what the owner is told does not depend on
 * where the input was split, and every block comes home. The first byte chooses the split.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../unit/http/h1_peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void request_run(const uint8_t *data, size_t size, size_t piece, struct buf *ret_log)
{
	struct h1_peer peer;
	struct buf output;

	h1_peer_init(&peer, false);
	buf_init(&output);
	for (size_t place = 0; place < size;) {
		size_t part = size - place < piece ? size - place : piece;

		h1_peer_feed(&peer, data + place, part);
		place += part;
	}
	h1_peer_eof(&peer, 0);
	buf_append_string(ret_log, h1_peer_log(&peer));
	buf_appendf(ret_log, "\n%s%s\n", peer.codec->closing ? "closing " : "",
		reason_word(peer.codec->close_reason));
	buf_append_string(ret_log, h1_peer_output(&peer, &output));
	buf_fini(&output);
	h1_peer_fini(&peer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole;
	struct buf split;

	if (size < 2) {
		return 0;
	}
	buf_init(&whole);
	buf_init(&split);
	request_run(data + 1, size - 1, size, &whole);
	request_run(data + 1, size - 1, 1 + data[0] % 64, &split);
	if (!slice_equal(buf_slice(&whole), buf_slice(&split))) {
		fprintf(stderr, "whole: %s\nsplit: %s\n", buf_string(&whole), buf_string(&split));
		abort();
	}
	buf_fini(&whole);
	buf_fini(&split);
	return 0;
}
