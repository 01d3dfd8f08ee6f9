/*
 * What another replica sends: scanned, told apart, decoded. Nothing that is accepted may change
 * when it is encoded and read once more.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "raftreg/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The encoding of what the bytes decode to; false: refused. */
static bool recode(struct slice bytes, struct buf *ret_again)
{
	struct slice inner;
	bool taken = false;

	if (wire_scan(bytes, WIRE_CONTROL_MAX) < 0) {
		return false;
	}
	switch (wire_peek(bytes, &inner)) {
	case WIRE_HELLO: {
		struct wire_hello *hello = mem_alloc(sizeof *hello);

		taken = wire_get_hello(inner, hello) == 0;
		if (taken) {
			ASSERT(hello->replica_count <= STATE_REPLICAS_MAX);
			wire_put_hello(hello, ret_again);
		}
		mem_free(hello);
		break;
	}
	case WIRE_MESSAGE: {
		struct raft_message message;
		uint64_t tag = 0;

		taken = wire_get_message(inner, &message, &tag) == 0;
		if (taken) {
			wire_put_message(&message, tag, ret_again);
			wire_free_message(&message);
		}
		break;
	}
	case WIRE_CHUNK: {
		struct wire_chunk chunk;

		taken = wire_get_chunk(inner, &chunk) == 0;
		if (taken) {
			wire_put_chunk(&chunk, ret_again);
		}
		break;
	}
	}
	return taken;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf once;
	struct buf twice;

	buf_init(&once);
	buf_init(&twice);
	if (recode(slice_make(data, size), &once)) {
		ASSERT(recode(buf_slice(&once), &twice));
		ASSERT(slice_equal(buf_slice(&once), buf_slice(&twice)));
	}
	buf_fini(&once);
	buf_fini(&twice);
	return 0;
}
