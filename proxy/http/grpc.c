/*
 * grpc: timeouts and message framing. The bidirectional call over a stream is grpc_call.c. A
 * message leaves the reader contiguous; as long as it arrived inside one block nothing is copied.
 */
#include "http/grpc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define PREFIX_SIZE    5
#define PIECE_COPIED   1024 /* B-06: smaller ones are copied, not pinned */
#define TIMEOUT_DIGITS 8
#define TIMEOUT_MOST   99999999u /* what eight digits can say */

struct timeout_unit {
	char letter;
	uint64_t ns;
};

/* From the finest to the coarsest, so that formatting takes the first that fits (G-07). */
static const struct timeout_unit timeout_units[] = {
	{'n', 1},
	{'u', 1000},
	{'m', 1000000},
	{'S', 1000000000},
	{'M', 60000000000},
	{'H', 3600000000000},
};

static const struct timeout_unit *find_unit(uint8_t letter)
{
	for (size_t i = 0; i < ARRAY_SIZE(timeout_units); i++) {
		if (timeout_units[i].letter == (char)letter) {
			return &timeout_units[i];
		}
	}
	return NULL;
}

/* G-06. Hours beyond what 64 bits of nanoseconds hold (584 years) are cut to that bound: no caller
 * can tell them apart, and a sum with the present time is the caller's to saturate. */
bool grpc_parse_timeout(struct slice text, uint64_t *ret_ns)
{
	const struct timeout_unit *unit;
	uint64_t value;

	ASSERT(ret_ns);
	if (text.size < 2 || text.size > TIMEOUT_DIGITS + 1) {
		return false;
	}
	unit = find_unit(text.data[text.size - 1]);
	if (!unit || !slice_parse_u64(slice_make(text.data, text.size - 1), TIMEOUT_MOST, &value)) {
		return false;
	}
	*ret_ns = value > UINT64_MAX / unit->ns ? UINT64_MAX : value * unit->ns;
	return true;
}

void grpc_format_timeout(uint64_t ns, char ret_text[16])
{
	size_t i = 0;

	while (ns / timeout_units[i].ns > TIMEOUT_MOST) {
		i++; /* ends: 2^64 ns are 5,124,095 hours */
		ASSERT(i < ARRAY_SIZE(timeout_units));
	}
	snprintf(ret_text, 16, "%" PRIu64 "%c", ns / timeout_units[i].ns, timeout_units[i].letter);
}

void grpc_prefix(uint8_t ret_prefix[5], bool compressed, uint32_t size)
{
	ret_prefix[0] = compressed ? 1 : 0;
	ret_prefix[1] = (uint8_t)(size >> 24);
	ret_prefix[2] = (uint8_t)(size >> 16);
	ret_prefix[3] = (uint8_t)(size >> 8);
	ret_prefix[4] = (uint8_t)size;
}

void grpc_reader_init(struct grpc_reader *reader, size_t message_max)
{
	chain_init(&reader->gathered);
	reader->message_max = message_max;
}

void grpc_reader_fini(struct grpc_reader *reader)
{
	chain_fini(&reader->gathered);
}

/* The size that the gathered prefix announces; only when the prefix is whole. */
static size_t announced_size(const struct grpc_reader *reader, bool *ret_compressed, int *ret_error)
{
	uint8_t prefix[PREFIX_SIZE];
	size_t size;

	ASSERT(reader->gathered.size >= PREFIX_SIZE);
	chain_copy_out(&reader->gathered, 0, prefix, sizeof(prefix));
	size = (size_t)prefix[1] << 24 | (size_t)prefix[2] << 16 | (size_t)prefix[3] << 8 |
	       prefix[4];
	*ret_compressed = prefix[0] == 1;
	*ret_error = prefix[0] > 1 ? -EBADMSG : size > reader->message_max ? -EMSGSIZE : 0;
	return size;
}

/* Never more than one message is moved into `gathered`, so a whole one there was given out before
 * and may be forgotten. */
static bool message_whole(const struct grpc_reader *reader)
{
	bool compressed;
	size_t size;
	int error;

	if (reader->gathered.size < PREFIX_SIZE) {
		return false;
	}
	size = announced_size(reader, &compressed, &error);
	/* A refused prefix stays, and is refused again. */
	return !error && reader->gathered.size == PREFIX_SIZE + size;
}

bool grpc_reader_empty(const struct grpc_reader *reader)
{
	return reader->gathered.size == 0 || message_whole(reader);
}

/* Moves bytes over until `gathered` holds `size`; false when `in` had too few. Small pieces are
 * copied behind each other and large ones compacted, so that a message that trickles in pins about
 * what it is and not a block for each piece. */
static bool gather_until(
	struct chain *gathered, struct block_pool *pool, struct chain *in, size_t size)
{
	size_t missing = size - gathered->size;

	ASSERT(gathered->size <= size);
	if (in->size >= missing) {
		chain_move_bytes(gathered, in, missing);
		return true;
	}
	if (in->size >= PIECE_COPIED) {
		chain_move(gathered, in);
		chain_compact(gathered, pool);
		return false;
	}
	for (uint32_t i = 0; i < in->count; i++) {
		struct slice piece = chain_span(in, i);

		chain_append_copy(gathered, pool, piece.data, piece.size);
	}
	chain_clear(in);
	return false;
}

int grpc_reader_next(struct grpc_reader *reader, struct block_pool *pool, struct chain *in,
	bool *ret_compressed, struct slice *ret_message)
{
	struct chain *gathered = &reader->gathered;
	bool compressed;
	size_t size;
	int error;

	if (message_whole(reader)) {
		chain_clear(gathered);
	}
	if (gathered->size < PREFIX_SIZE && !gather_until(gathered, pool, in, PREFIX_SIZE)) {
		return 0;
	}
	size = announced_size(reader, &compressed, &error);
	if (error) {
		return error; /* GR-01: on the prefix alone, before anything is allocated */
	}
	if (!gather_until(gathered, pool, in, PREFIX_SIZE + size)) {
		return 0;
	}
	*ret_compressed = compressed;
	*ret_message = slice_from(chain_gather(gathered, pool), PREFIX_SIZE);
	ASSERT(ret_message->size == size);
	return 1;
}
