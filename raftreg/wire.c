/*
 * Messages between replicas. Indexes of entries follow from the position, so they are
 * contiguous by form; terms, kinds and bounds are checked here, because the core treats what it
 * is given as sound and would abort the process on a breach (RC-09, RT-05).
 */
#include "raftreg/wire.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/siphash.h"
#include "raftreg/bytes.h"

enum {
	H_UUID = 1,   /* zero: belongs to no cluster yet */
	H_EPOCH,      /* fixed64 */
	H_BOOT_ID,    /* this start of the replica */
	H_BOOT_COUNT, /* rises with each */
	H_TERM,	      /* as known there */
	H_LAST,	      /* where its log ends (RM-15) */
	H_LEADER,     /* as known there */
	H_SEEDS,      /* digest of its seeds (RB-02) */
	H_FORMAT,     /* of these messages */
	H_FLAGS,      /* see below */
	H_SELF,	      /* its own record */
	H_REPLICA,    /* repeated: whom it knows */
};
enum {
	G_KIND = 1, /* enum raft_message_kind */
	G_FROM,	    /* fixed64 */
	G_TO,	    /* fixed64 */
	G_TAG,	    /* fixed64: which cluster (RT-04) */
	G_TERM,	    /* of the sender, or of its request */
	G_INDEX,    /* see raft_message */
	G_LOG_TERM, /* term at that index */
	G_COMMIT,   /* of the sender */
	G_HINT,	    /* hint_index */
	G_CONTEXT,  /* of reads */
	G_FLAGS,    /* see below */
	G_ENTRY,    /* repeated, contiguous from index + 1 */
};
enum {
	Y_TERM = 1, /* of the entry */
	Y_KIND,	    /* enum raft_entry_kind */
	Y_PAYLOAD,  /* none: an empty entry */
};
enum {
	K_FROM = 1, /* the leader */
	K_TO,	    /* who lags */
	K_TAG,	    /* which cluster */
	K_TERM,	    /* of the leader: another one starts over */
	K_INDEX,    /* of the snapshot */
	K_LOG_TERM, /* term at that index */
	K_OFFSET,   /* of these bytes in the file */
	K_TOTAL,    /* size of the file */
	K_BYTES,    /* at most a chunk */
	K_TRANSFER, /* which attempt */
	K_CRC,	    /* of the bytes */
};
enum { FLAG_REJECT = 1, FLAG_TRANSFER = 2, FLAG_UNCERTAIN = 4 };
enum { FLAG_WITH_SEEDS = 1, FLAG_HELLO_UNCERTAIN = 2 };

#define DEPTH_MAX  6
#define FIELDS_MAX 65536
#define INDEX_MAX  (UINT64_MAX / 2) /* no index wraps behind the highest one here (RT-05) */

/* RT-04: a replica of another cluster or epoch that reaches this port by mistake is
 * noticed with every single message, not only by its Hello. */
uint64_t wire_tag(const uint8_t uuid[16], uint64_t epoch)
{
	uint8_t bytes[8];

	bytes_put64(bytes, epoch);
	return siphash24(uuid, bytes, sizeof bytes);
}

/* Small and seldom: every field is written, so that a zero is said and not left out. */
void wire_put_hello(const struct wire_hello *hello, struct buf *ret_bytes)
{
	size_t mark = pbscan_begin(ret_bytes, WIRE_HELLO);
	size_t inner;

	pbscan_put_bytes(ret_bytes, H_UUID, slice_make(hello->uuid, 16));
	pbscan_put_fixed64(ret_bytes, H_EPOCH, hello->epoch);
	pbscan_put_fixed64(ret_bytes, H_BOOT_ID, hello->boot_id);
	pbscan_put_varint(ret_bytes, H_BOOT_COUNT, hello->boot_count);
	pbscan_put_varint(ret_bytes, H_TERM, hello->term);
	pbscan_put_varint(ret_bytes, H_LAST, hello->last_index);
	pbscan_put_fixed64(ret_bytes, H_LEADER, hello->leader);
	pbscan_put_fixed64(ret_bytes, H_SEEDS, hello->seeds);
	pbscan_put_varint(ret_bytes, H_FORMAT, hello->format);
	pbscan_put_varint(ret_bytes, H_FLAGS,
		(hello->with_seeds ? FLAG_WITH_SEEDS : 0u) |
			(hello->uncertain ? FLAG_HELLO_UNCERTAIN : 0u));
	inner = pbscan_begin(ret_bytes, H_SELF);
	state_encode_replica(&hello->self, ret_bytes);
	pbscan_end(ret_bytes, inner);
	ASSERT(hello->replica_count <= STATE_REPLICAS_MAX);
	for (size_t i = 0; i < hello->replica_count; i++) {
		inner = pbscan_begin(ret_bytes, H_REPLICA);
		state_encode_replica(&hello->replicas[i], ret_bytes);
		pbscan_end(ret_bytes, inner);
	}
	pbscan_end(ret_bytes, mark);
}

/* Zero is every number's default and is not written. */
static void put_number(struct buf *buf, uint32_t field, uint64_t value)
{
	if (value != 0) {
		pbscan_put_varint(buf, field, value);
	}
}

/* The hot one: zero fields are left out, payloads go in as they lie in the log. */
void wire_put_message(const struct raft_message *message, uint64_t tag, struct buf *ret_bytes)
{
	size_t mark = pbscan_begin(ret_bytes, WIRE_MESSAGE);

	pbscan_put_varint(ret_bytes, G_KIND, (uint64_t)message->kind);
	pbscan_put_fixed64(ret_bytes, G_FROM, message->from);
	pbscan_put_fixed64(ret_bytes, G_TO, message->to);
	pbscan_put_fixed64(ret_bytes, G_TAG, tag);
	put_number(ret_bytes, G_TERM, message->term);
	put_number(ret_bytes, G_INDEX, message->index);
	put_number(ret_bytes, G_LOG_TERM, message->log_term);
	put_number(ret_bytes, G_COMMIT, message->commit);
	put_number(ret_bytes, G_HINT, message->hint_index);
	put_number(ret_bytes, G_CONTEXT, message->context);
	put_number(ret_bytes, G_FLAGS,
		(message->reject ? FLAG_REJECT : 0u) | (message->transfer ? FLAG_TRANSFER : 0u) |
			(message->uncertain ? FLAG_UNCERTAIN : 0u));
	/* Indexes follow from the position: entries are contiguous by form. */
	for (size_t i = 0; i < message->entry_count; i++) {
		const struct raft_entry *entry = &message->entries[i];
		size_t inner = pbscan_begin(ret_bytes, G_ENTRY);

		pbscan_put_varint(ret_bytes, Y_TERM, entry->term);
		pbscan_put_varint(ret_bytes, Y_KIND, (uint64_t)entry->kind);
		if (entry->payload) {
			pbscan_put_bytes(ret_bytes, Y_PAYLOAD,
				slice_make(entry->payload->bytes, entry->payload->length));
		}
		pbscan_end(ret_bytes, inner);
	}
	pbscan_end(ret_bytes, mark);
}

/* RT-08: each chunk repeats what it belongs to, so that one of an older transfer is
 * refused. */
void wire_put_chunk(const struct wire_chunk *chunk, struct buf *ret_bytes)
{
	size_t mark = pbscan_begin(ret_bytes, WIRE_CHUNK);

	ASSERT(chunk->offset + chunk->bytes.size <= chunk->total);
	pbscan_put_fixed64(ret_bytes, K_FROM, chunk->from);
	pbscan_put_fixed64(ret_bytes, K_TO, chunk->to);
	pbscan_put_fixed64(ret_bytes, K_TAG, chunk->tag);
	pbscan_put_varint(ret_bytes, K_TERM, chunk->term);
	pbscan_put_varint(ret_bytes, K_INDEX, chunk->index);
	pbscan_put_varint(ret_bytes, K_LOG_TERM, chunk->log_term);
	pbscan_put_varint(ret_bytes, K_OFFSET, chunk->offset);
	pbscan_put_varint(ret_bytes, K_TOTAL, chunk->total);
	pbscan_put_bytes(ret_bytes, K_BYTES, chunk->bytes);
	pbscan_put_fixed64(ret_bytes, K_TRANSFER, chunk->transfer);
	pbscan_put_varint(ret_bytes, K_CRC, chunk->crc);
	pbscan_end(ret_bytes, mark);
}

/* Which fields are messages, for the scan. */
static bool nested(const void *context, unsigned depth, uint32_t parent, uint32_t number)
{
	(void)context;
	if (depth == 0) {
		return true;
	}
	return depth == 1 &&
	       ((parent == WIRE_MESSAGE && number == G_ENTRY) ||
		       (parent == WIRE_HELLO && (number == H_SELF || number == H_REPLICA)));
}

/* RT-05: iterative and before any allocation; depth, fields and lengths are bounded
 * here. */
int wire_scan(struct slice bytes, size_t bytes_max)
{
	const struct pbscan_limits limits = {
		.bytes_max = bytes_max, .depth_max = DEPTH_MAX, .fields_max = FIELDS_MAX};
	const struct pbscan_shape shape = {.nested = nested};

	ASSERT(bytes_max > 0);
	return pbscan_check(bytes, &limits, &shape);
}

/* RT-05: kinds of a later version are skipped, and a message without a known one is
 * dropped. */
enum wire_kind wire_peek(struct slice bytes, struct slice *ret_inner)
{
	struct pbscan_field field;

	while (pbscan_next(&bytes, &field) == 1) {
		if (field.wire_type == 2 && field.number >= WIRE_HELLO &&
			field.number <= WIRE_CHUNK) {
			*ret_inner = field.bytes;
			return (enum wire_kind)field.number;
		}
	}
	return (enum wire_kind)0;
}

/* Replicas beyond the table are refused, not cut: a list that is too long is no list of a
 * cluster. */
int wire_get_hello(struct slice inner, struct wire_hello *ret_hello)
{
	struct wire_hello hello = {0};
	struct pbscan_field field;
	uint64_t *numbers[] = {[H_EPOCH] = &hello.epoch,
		[H_BOOT_ID] = &hello.boot_id,
		[H_BOOT_COUNT] = &hello.boot_count,
		[H_TERM] = &hello.term,
		[H_LAST] = &hello.last_index,
		[H_LEADER] = &hello.leader,
		[H_SEEDS] = &hello.seeds};
	int got;

	while ((got = pbscan_next(&inner, &field)) == 1) {
		if (field.number == H_UUID && field.bytes.size == 16) {
			memcpy(hello.uuid, field.bytes.data, 16);
		} else if (field.number == H_FORMAT) {
			hello.format = (uint32_t)field.value;
		} else if (field.number == H_FLAGS) {
			hello.with_seeds = (field.value & FLAG_WITH_SEEDS) != 0;
			hello.uncertain = (field.value & FLAG_HELLO_UNCERTAIN) != 0;
		} else if (field.number == H_SELF && field.wire_type == 2) {
			if (!state_decode_replica(field.bytes, &hello.self)) {
				return -EBADMSG;
			}
		} else if (field.number == H_REPLICA && field.wire_type == 2) {
			if (hello.replica_count == STATE_REPLICAS_MAX ||
				!state_decode_replica(
					field.bytes, &hello.replicas[hello.replica_count])) {
				return -EBADMSG;
			}
			hello.replica_count++;
		} else if (field.number < ARRAY_SIZE(numbers) && numbers[field.number] &&
			   field.wire_type != 2) {
			*numbers[field.number] = field.value;
		}
	}
	if (got < 0 || hello.self.id == 0) {
		return -EBADMSG;
	}
	*ret_hello = hello;
	return 0;
}

/* Inside the total that it announces, or it is nothing. */
int wire_get_chunk(struct slice inner, struct wire_chunk *ret_chunk)
{
	struct wire_chunk chunk = {0};
	struct pbscan_field field;
	uint64_t *numbers[] = {[K_FROM] = &chunk.from,
		[K_TO] = &chunk.to,
		[K_TAG] = &chunk.tag,
		[K_TERM] = &chunk.term,
		[K_INDEX] = &chunk.index,
		[K_LOG_TERM] = &chunk.log_term,
		[K_OFFSET] = &chunk.offset,
		[K_TOTAL] = &chunk.total,
		[K_TRANSFER] = &chunk.transfer,
		[K_CRC] = &chunk.crc};
	int got;

	while ((got = pbscan_next(&inner, &field)) == 1) {
		if (field.number == K_BYTES && field.wire_type == 2) {
			chunk.bytes = field.bytes;
		} else if (field.number < ARRAY_SIZE(numbers) && numbers[field.number] &&
			   field.wire_type != 2) {
			*numbers[field.number] = field.value;
		}
	}
	if (got < 0 || chunk.from == 0 || chunk.term == 0 || chunk.index == 0 ||
		chunk.log_term == 0 || chunk.log_term > chunk.term || chunk.offset > chunk.total ||
		chunk.bytes.size > chunk.total - chunk.offset) {
		return -EBADMSG;
	}
	*ret_chunk = chunk;
	return 0;
}

/* An empty CONF entry is nothing a leader ever writes. */
static int get_entry(struct slice bytes, struct raft_entry *ret_entry)
{
	struct raft_entry entry = {.kind = RAFT_ENTRY_DATA};
	struct slice payload = {0};
	struct pbscan_field field;
	int got;

	while ((got = pbscan_next(&bytes, &field)) == 1) {
		if (field.number == Y_TERM) {
			entry.term = field.value;
		} else if (field.number == Y_KIND) {
			if (field.value != RAFT_ENTRY_DATA && field.value != RAFT_ENTRY_CONF) {
				return -EBADMSG;
			}
			entry.kind = (enum raft_entry_kind)field.value;
		} else if (field.number == Y_PAYLOAD) {
			payload = field.bytes;
		}
	}
	if (got < 0 || entry.term == 0 || payload.size > RAFT_ENTRY_BYTES_MAX ||
		(entry.kind == RAFT_ENTRY_CONF && payload.size == 0)) {
		return -EBADMSG;
	}
	if (payload.size > 0) {
		entry.payload = raft_payload_create(payload.data, (uint32_t)payload.size);
	}
	*ret_entry = entry;
	return 0;
}

/* Entries that the core kept have references of their own (RC-11). */
void wire_free_message(struct raft_message *message)
{
	for (size_t i = 0; i < message->entry_count; i++) {
		raft_entry_unref(&message->entries[i]);
	}
	mem_free((void *)(uintptr_t)message->entries);
	message->entries = NULL;
	message->entry_count = 0;
}

/* Payloads are created here and owned by the message until it is freed. */
static int take_entries(struct slice inner, struct raft_message *message)
{
	struct raft_entry *entries = NULL;
	struct pbscan_field field;
	size_t capacity = 0;

	while (pbscan_next(&inner, &field) == 1) {
		struct raft_entry entry;

		if (field.number != G_ENTRY || field.wire_type != 2) {
			continue;
		}
		if (message->entry_count == RAFT_APPEND_ENTRIES_MAX ||
			get_entry(field.bytes, &entry) < 0) {
			return -EBADMSG;
		}
		if (message->entry_count == capacity) {
			capacity = capacity ? capacity * 2 : 16;
			entries = mem_realloc(entries, capacity * sizeof *entries);
			message->entries = entries;
		}
		entry.index = message->index + 1 + message->entry_count;
		entries[message->entry_count++] = entry;
	}
	return 0;
}

/* RT-05: terms rising along the entries and at most the message's; nothing wraps. */
static bool is_sound(const struct raft_message *message)
{
	uint64_t term = message->log_term;

	if (message->kind < RAFT_PREVOTE || message->kind > RAFT_READ_INDEX_RESP ||
		message->from == 0 || message->to == 0 || message->from == message->to ||
		message->term == 0 || message->index > INDEX_MAX || message->commit > INDEX_MAX ||
		message->hint_index > INDEX_MAX || message->term > INDEX_MAX) {
		return false;
	}
	/* Snapshots come as chunks; a bare message would name a file that is not there. */
	if (message->kind == RAFT_SNAPSHOT ||
		(message->entry_count > 0 && message->kind != RAFT_APPEND)) {
		return false;
	}
	for (size_t i = 0; i < message->entry_count; i++) {
		if (message->entries[i].term < term || message->entries[i].term > message->term) {
			return false;
		}
		term = message->entries[i].term;
	}
	return message->kind != RAFT_APPEND || message->log_term <= message->term;
}

/* Numbers first, then the entries: their indexes need the message's. */
int wire_get_message(struct slice inner, struct raft_message *ret_message, uint64_t *ret_tag)
{
	struct raft_message message = {0};
	struct slice rest = inner;
	struct pbscan_field field;
	uint64_t kind = 0, flags = 0, tag = 0;
	uint64_t *numbers[] = {[G_KIND] = &kind,
		[G_FROM] = &message.from,
		[G_TO] = &message.to,
		[G_TAG] = &tag,
		[G_TERM] = &message.term,
		[G_INDEX] = &message.index,
		[G_LOG_TERM] = &message.log_term,
		[G_COMMIT] = &message.commit,
		[G_HINT] = &message.hint_index,
		[G_CONTEXT] = &message.context,
		[G_FLAGS] = &flags};
	int got;

	while ((got = pbscan_next(&rest, &field)) == 1) {
		if (field.number < ARRAY_SIZE(numbers) && numbers[field.number] &&
			field.wire_type != 2) {
			*numbers[field.number] = field.value;
		}
	}
	if (got < 0 || kind > RAFT_READ_INDEX_RESP) {
		return -EBADMSG;
	}
	message.kind = (enum raft_message_kind)kind;
	message.reject = (flags & FLAG_REJECT) != 0;
	message.transfer = (flags & FLAG_TRANSFER) != 0;
	message.uncertain = (flags & FLAG_UNCERTAIN) != 0;
	if (take_entries(inner, &message) < 0 || !is_sound(&message)) {
		wire_free_message(&message);
		return -EBADMSG;
	}
	*ret_message = message;
	*ret_tag = tag;
	return 0;
}
