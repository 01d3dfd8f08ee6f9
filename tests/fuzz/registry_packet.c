/*
 * The session protocol of the registry: a packet with its items and what an instance says of
 * itself. What is accepted is the same after it was encoded and read once more.
 */
#include <stdlib.h>

#include "raftreg/content.h"
#include "raftreg/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_content(struct slice bytes)
{
	struct content content;
	struct content again;
	struct content_endpoint endpoint;
	struct slice rest = bytes;

	if (content_check(bytes, &content) == NULL) {
		struct buf encoded;

		/* Canonical: equal means byte-equal. */
		buf_init(&encoded);
		content_encode(&content, &encoded);
		ASSERT(slice_equal(buf_slice(&encoded), bytes));
		ASSERT(content_decode(bytes, &again));
		buf_fini(&encoded);
	}
	while (content_next_endpoint(&rest, &endpoint) == 1) {
	}
}

static void check_items(const struct packet *packet)
{
	struct slice rest = packet->items;
	struct slice bytes;

	while (packet_next_item(&rest, &bytes)) {
		struct item item;
		struct item again;
		struct buf encoded;

		if (item_decode(bytes, &item) < 0) {
			continue;
		}
		check_content(item.content);
		buf_init(&encoded);
		item_encode(&item, &encoded);
		ASSERT(item_decode(buf_slice(&encoded), &again) == 0);
		ASSERT(again.op == item.op && slice_equal(again.set, item.set) &&
			slice_equal(again.content, item.content));
		buf_fini(&encoded);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice bytes = slice_make(data, size);
	struct packet packet;
	struct packet again;
	struct buf once;
	struct buf twice;

	check_content(bytes);
	if (packet_scan(bytes, PACKET_RELAY_MAX) < 0 || packet_decode(bytes, &packet) < 0) {
		return 0;
	}
	check_items(&packet);
	buf_init(&once);
	buf_init(&twice);
	packet_copy(&packet, &once);
	ASSERT(packet_decode(buf_slice(&once), &again) == 0);
	packet_copy(&again, &twice);
	ASSERT(slice_equal(buf_slice(&once), buf_slice(&twice)));
	buf_fini(&once);
	buf_fini(&twice);
	return 0;
}
