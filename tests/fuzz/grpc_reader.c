/* Message framing: messages do not depend on where the input was cut, memory stays near what came.
 * Byte 0 chooses the cut, byte 1 the largest message. */
#include <stdlib.h>

#include "http/grpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A sum over flags and bytes of all messages, and what ended the run. */
static uint64_t read_all(const uint8_t *data, size_t size, size_t piece, size_t message_max)
{
	struct block_pool pool;
	struct grpc_reader reader;
	struct chain in;
	uint64_t sum = 0;
	int got = 0;

	block_pool_init(&pool, 4);
	grpc_reader_init(&reader, message_max);
	chain_init(&in);
	for (size_t at = 0; at < size && got >= 0; at += piece) {
		struct slice message;
		bool compressed;

		chain_append_copy(&in, &pool, data + at, size - at < piece ? size - at : piece);
		while ((got = grpc_reader_next(&reader, &pool, &in, &compressed, &message)) == 1) {
			ASSERT(message.size <= message_max);
			sum = sum * 31 + compressed + 2;
			for (size_t i = 0; i < message.size; i++) {
				sum = sum * 31 + message.data[i];
			}
		}
	}
	sum = sum * 31 + (uint64_t)-got;
	if (got == 0) {
		sum = sum * 31 + grpc_reader_empty(&reader);
	}
	grpc_reader_fini(&reader);
	chain_fini(&in);
	block_pool_fini(&pool);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[16];
	uint64_t ns;

	if (size < 2) {
		return 0;
	}
	if (read_all(data + 2, size - 2, size, data[1]) !=
		read_all(data + 2, size - 2, 1 + data[0] % 16, data[1])) {
		abort();
	}
	if (grpc_parse_timeout(slice_make(data, size), &ns)) {
		uint64_t again;

		grpc_format_timeout(ns, text);
		ASSERT(grpc_parse_timeout(slice_from_string(text), &again) && again <= ns);
	}
	return 0;
}
