/*
 * Responses into the client codec, after a GET or a HEAD, ended by FIN or RST. What the owner is
 * told does not depend on where the input was split. The first byte chooses all of that.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../unit/http/h1_peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void response_run(
	const uint8_t *data, size_t size, size_t piece, uint8_t choice, struct buf *ret_log)
{
	struct h1_peer peer;

	h1_peer_init(&peer, true);
	h1_peer_request(&peer, choice & 0x80 ? METHOD_HEAD : METHOD_GET, true);
	h1_peer_run(&peer);
	for (size_t place = 0; place < size && !peer.codec->closing;) {
		size_t part = size - place < piece ? size - place : piece;

		h1_peer_feed(&peer, data + place, part);
		place += part;
	}
	h1_peer_eof(&peer, choice & 0x40 ? -1 : 0);
	buf_append_string(ret_log, h1_peer_log(&peer));
	buf_appendf(ret_log, "\n%s", reason_word(peer.codec->close_reason));
	ASSERT(peer.codec->closing && !peer.codec->reusable);
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
	response_run(data + 1, size - 1, size, data[0], &whole);
	response_run(data + 1, size - 1, 1 + data[0] % 64, data[0], &split);
	if (!slice_equal(buf_slice(&whole), buf_slice(&split))) {
		fprintf(stderr, "whole: %s\nsplit: %s\n", buf_string(&whole), buf_string(&split));
		abort();
	}
	buf_fini(&whole);
	buf_fini(&split);
	return 0;
}
