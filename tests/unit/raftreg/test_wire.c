/* What travels: Raft messages, hellos, chunks, packets, content, view.bin; whole, cut and flipped.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "raftreg/client.h"
#include "raftreg/content.h"
#include "raftreg/packet.h"
#include "raftreg/viewfile.h"
#include "raftreg/wire.h"

static const uint8_t uuid[16] = {9};

static struct raft_entry entry(uint64_t index, uint64_t term, const char *text)
{
	return (struct raft_entry){.index = index,
		.term = term,
		.kind = RAFT_ENTRY_DATA,
		.payload = text ? raft_payload_create(text, (uint32_t)strlen(text)) : NULL};
}

static void put_message(const struct raft_message *message, struct buf *ret_bytes)
{
	buf_init(ret_bytes);
	wire_put_message(message, wire_tag(uuid, 1), ret_bytes);
}

static int get_message(struct slice bytes, struct raft_message *ret_message)
{
	struct slice inner;
	uint64_t tag;
	int result = wire_scan(bytes, WIRE_BULK_MAX);

	if (result < 0) {
		return result;
	}
	if (wire_peek(bytes, &inner) != WIRE_MESSAGE) {
		return -EBADMSG;
	}
	return wire_get_message(inner, ret_message, &tag);
}

static void test_message(void **state)
{
	struct raft_entry entries[3] = {entry(8, 2, "one"), entry(9, 2, NULL), entry(10, 3, "x")};
	struct raft_message message = {.kind = RAFT_APPEND,
		.from = 1,
		.to = 2,
		.term = 3,
		.index = 7,
		.log_term = 2,
		.commit = 6,
		.entries = entries,
		.entry_count = 3};
	struct raft_message read;
	struct buf bytes;

	(void)state;
	put_message(&message, &bytes);
	assert_int_equal(get_message(buf_slice(&bytes), &read), 0);
	assert_int_equal(read.entry_count, 3);
	assert_int_equal(read.entries[2].index, 10);
	assert_null(read.entries[1].payload);
	assert_memory_equal(read.entries[0].payload->bytes, "one", 3);
	assert_int_equal(read.commit, 6);
	wire_free_message(&read);
	for (size_t cut = 0; cut < bytes.size; cut++) {
		if (get_message(slice_make(bytes.data, cut), &read) == 0) {
			wire_free_message(&read);
			fail_msg("a cut message passed at %zu", cut);
		}
	}
	for (size_t at = 0; at < bytes.size * 8; at++) {
		bytes.data[at / 8] ^= (uint8_t)(1 << (at % 8));
		if (get_message(buf_slice(&bytes), &read) == 0) {
			wire_free_message(&read);
		}
		bytes.data[at / 8] ^= (uint8_t)(1 << (at % 8));
	}
	buf_fini(&bytes);
	for (int i = 0; i < 3; i++) {
		raft_entry_unref(&entries[i]);
	}
}

/* RT-05: what must never reach the core. */
static void test_unsound_messages(void **state)
{
	struct raft_entry falling[2] = {entry(2, 3, "a"), entry(3, 2, "b")};
	struct raft_entry future[1] = {entry(2, 9, "a")};
	const struct {
		const char *why;
		struct raft_message message;
	} rows[] = {
		{"no sender", {.kind = RAFT_VOTE, .to = 2, .term = 1}},
		{"to itself", {.kind = RAFT_VOTE, .from = 2, .to = 2, .term = 1}},
		{"no term", {.kind = RAFT_VOTE, .from = 1, .to = 2}},
		{"unknown kind",
			{.kind = (enum raft_message_kind)13, .from = 1, .to = 2, .term = 1}},
		{"a bare snapshot", {.kind = RAFT_SNAPSHOT, .from = 1, .to = 2, .term = 1}},
		{"index wraps",
			{.kind = RAFT_APPEND, .from = 1, .to = 2, .term = 1, .index = UINT64_MAX}},
		{"terms fall", {.kind = RAFT_APPEND,
				       .from = 1,
				       .to = 2,
				       .term = 3,
				       .index = 1,
				       .log_term = 1,
				       .entries = falling,
				       .entry_count = 2}},
		{"entry of a later term", {.kind = RAFT_APPEND,
						  .from = 1,
						  .to = 2,
						  .term = 3,
						  .index = 1,
						  .log_term = 1,
						  .entries = future,
						  .entry_count = 1}},
		{"entries in a heartbeat", {.kind = RAFT_HEARTBEAT,
						   .from = 1,
						   .to = 2,
						   .term = 9,
						   .index = 1,
						   .entries = future,
						   .entry_count = 1}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct raft_message read;
		struct buf bytes;

		put_message(&rows[i].message, &bytes);
		if (get_message(buf_slice(&bytes), &read) != -EBADMSG) {
			fail_msg("%s", rows[i].why);
		}
		buf_fini(&bytes);
	}
	for (int i = 0; i < 2; i++) {
		raft_entry_unref(&falling[i]);
	}
	raft_entry_unref(&future[0]);
}

static void test_hello_and_chunk(void **state)
{
	struct wire_hello *hello = mem_zalloc(sizeof *hello);
	struct wire_hello *read = mem_zalloc(sizeof *read);
	struct wire_chunk chunk = {.from = 1,
		.to = 2,
		.tag = 3,
		.term = 4,
		.index = 5,
		.log_term = 4,
		.offset = 6,
		.total = 9,
		.transfer = UINT64_MAX,
		.crc = 0xffffffff,
		.bytes = SLICE("abc")};
	struct wire_chunk chunk_read;
	struct slice inner;
	struct buf bytes;

	(void)state;
	hello->self = (struct state_replica){
		.id = 77, .name = "v", .host = "h", .port = 7440, .voter = true};
	hello->replicas[0] = hello->self;
	hello->replica_count = 1;
	hello->format = WIRE_FORMAT;
	memcpy(hello->uuid, uuid, 16);
	buf_init(&bytes);
	wire_put_hello(hello, &bytes);
	assert_int_equal(wire_scan(buf_slice(&bytes), WIRE_CONTROL_MAX), 0);
	assert_int_equal(wire_peek(buf_slice(&bytes), &inner), WIRE_HELLO);
	assert_int_equal(wire_get_hello(inner, read), 0);
	assert_int_equal(read->replicas[0].port, 7440);
	assert_string_equal(read->self.host, "h");
	assert_int_equal(wire_scan(buf_slice(&bytes), 10), -EMSGSIZE);
	buf_clear(&bytes);
	wire_put_chunk(&chunk, &bytes);
	assert_int_equal(wire_peek(buf_slice(&bytes), &inner), WIRE_CHUNK);
	assert_int_equal(wire_get_chunk(inner, &chunk_read), 0);
	assert_true(slice_equal(chunk_read.bytes, chunk.bytes));
	assert_int_equal(chunk_read.transfer, chunk.transfer);
	assert_int_equal(chunk_read.crc, chunk.crc);
	/* A question has none (RT-08). */
	chunk.bytes = slice_make(NULL, 0);
	buf_clear(&bytes);
	wire_put_chunk(&chunk, &bytes);
	assert_int_equal(wire_peek(buf_slice(&bytes), &inner), WIRE_CHUNK);
	assert_int_equal(wire_get_chunk(inner, &chunk_read), 0);
	assert_int_equal(chunk_read.bytes.size, 0);
	assert_int_equal(chunk_read.offset, 6);
	chunk.bytes = SLICE("abc");
	/* Bytes beyond the total that was announced. */
	chunk.total = 9;
	chunk.offset = 6;
	buf_clear(&bytes);
	wire_put_chunk(&chunk, &bytes);
	for (size_t at = 0; at < bytes.size; at++) {
		bytes.data[at] ^= 0x55;
		if (wire_scan(buf_slice(&bytes), WIRE_BULK_MAX) == 0 &&
			wire_peek(buf_slice(&bytes), &inner) == WIRE_CHUNK &&
			wire_get_chunk(inner, &chunk_read) == 0) {
			assert_true(chunk_read.bytes.size <= chunk_read.total);
		}
		bytes.data[at] ^= 0x55;
	}
	buf_fini(&bytes);
	mem_free(hello);
	mem_free(read);
}

static void test_packet(void **state)
{
	const uint8_t id[16] = {4};
	const struct packet frame = {.kind = PACKET_REGISTER,
		.number = 7,
		.session = slice_make(id, 16),
		.incarnation = 3,
		.seq = 300,
		.digest = 0x1122334455667788,
		.flags = PACKET_FULL,
		.name = SLICE("stock")};
	const struct item item = {.op = ITEM_UPSERT,
		.set = SLICE("stock"),
		.key = SLICE("k"),
		.content = SLICE("v"),
		.suspect = true,
		.modified = 9};
	struct packet read;
	struct item item_read;
	struct buf bytes, encoded, copy;
	struct slice rest, one;

	(void)state;
	buf_init(&bytes);
	buf_init(&encoded);
	buf_init(&copy);
	packet_encode(&frame, &bytes);
	item_encode(&item, &encoded);
	packet_add_item(&bytes, buf_slice(&encoded));
	assert_int_equal(packet_scan(buf_slice(&bytes), PACKET_BYTES_MAX), 0);
	assert_int_equal(packet_decode(buf_slice(&bytes), &read), 0);
	assert_int_equal(read.seq, 300);
	assert_true(read.digest == frame.digest);
	rest = read.items;
	assert_true(packet_next_item(&rest, &one));
	assert_int_equal(item_decode(one, &item_read), 0);
	assert_true(item_read.suspect);
	assert_int_equal(item_read.modified, 9);
	assert_false(packet_next_item(&rest, &one));
	packet_copy(&read, &copy);
	assert_true(slice_equal(buf_slice(&copy), buf_slice(&bytes)));
	for (size_t cut = 0; cut < bytes.size; cut++) {
		(void)!packet_decode(slice_make(bytes.data, cut), &read);
	}
	assert_int_equal(packet_decode((struct slice){0}, &read), -EBADMSG);
	buf_fini(&bytes);
	buf_fini(&encoded);
	buf_fini(&copy);
}

static void test_content(void **state)
{
	const struct {
		const char *wrong; /* NULL: valid */
		const char *service, *version, *id, *host;
		uint16_t port;
		uint32_t weight;
	} rows[] = {
		{NULL, "stock", "1.0", "a1", "127.0.0.1", 80, 100},
		{NULL, "s.t-o_ck9", "", "a1", "host.example", 65535, 0},
		{"service", "Stock", "1", "a", "h", 80, 1},
		{"service", "", "1", "a", "h", 80, 1},
		{"service", "-a", "1", "a", "h", 80, 1},
		{"version", "a", "1/2", "a", "h", 80, 1},
		{"id", "a", "1", "", "h", 80, 1},
		{"id", "a", "1", "a b", "h", 80, 1},
		{"host", "a", "1", "a", "", 80, 1},
		{"port", "a", "1", "a", "h", 0, 1},
		{"weight", "a", "1", "a", "h", 80, 1001},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct content *content = mem_zalloc(sizeof *content);
		struct content *read = mem_zalloc(sizeof *read);
		const char *wrong;
		struct buf bytes;

		content->service = slice_from_string(rows[i].service);
		content->version = slice_from_string(rows[i].version);
		content->id = slice_from_string(rows[i].id);
		content->host = slice_from_string(rows[i].host);
		content->port = rows[i].port;
		content->weight = rows[i].weight;
		content->metadata[0] = (struct content_pair){SLICE("z"), SLICE("1")};
		content->metadata[1] = (struct content_pair){SLICE("a"), SLICE("2")};
		content->metadata_count = 2;
		buf_init(&bytes);
		content_encode(content, &bytes);
		wrong = content_check(buf_slice(&bytes), read);
		if (rows[i].wrong == NULL) {
			assert_null(wrong);
			assert_true(slice_equal(read->metadata[0].key, SLICE("a")));
			/* Canonical: one byte more is another spelling. */
			buf_append(&bytes, "\xf8\x01\x01", 3);
			assert_non_null(content_check(buf_slice(&bytes), read));
		} else {
			assert_non_null(wrong);
			assert_string_equal(wrong, rows[i].wrong);
		}
		buf_fini(&bytes);
		mem_free(content);
		mem_free(read);
	}
}

/* view.bin: whole or ignored, at every cut and flip (mesh.md MX-30). */
static void test_view_file(void **state)
{
	struct client *client = mem_zalloc(sizeof *client);
	struct item item = {.key = SLICE("1"), .content = SLICE("c"), .modified = 3};
	struct client_set *set;
	struct buf file;

	(void)state;
	client_view_init(client);
	memcpy(client->uuid, uuid, 16);
	client->highest = 12;
	client_add_address(client, SLICE("127.0.0.1:7440"), true);
	set = client_view_make(client, false, SLICE("stock"));
	set->has_data = true;
	set->modified = 3;
	item.op = ITEM_UPSERT;
	client_view_put(set, &set->members, &item);
	buf_init(&file);
	viewfile_encode(client, &file);
	for (size_t at = 0; at <= file.size; at++) {
		struct client *other = mem_zalloc(sizeof *other);
		bool whole = at == file.size;

		client_view_init(other);
		assert_int_equal(viewfile_decode(other, slice_make(file.data, at)), whole);
		if (whole) {
			assert_int_equal(other->highest, 12);
			assert_int_equal(other->address_count, 1);
			set = client_view_set(other, false, SLICE("stock"));
			assert_non_null(set);
			assert_int_equal(set->members.count, 1);
			assert_false(set->known);
		}
		client_view_fini(other);
		mem_free(other);
		if (!whole) {
			other = mem_zalloc(sizeof *other);
			client_view_init(other);
			file.data[at] ^= 4;
			assert_false(at >= 16 && viewfile_decode(other, buf_slice(&file)));
			file.data[at] ^= 4;
			client_view_fini(other);
			mem_free(other);
		}
	}
	buf_fini(&file);
	client_view_fini(client);
	mem_free(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message),
		cmocka_unit_test(test_unsound_messages),
		cmocka_unit_test(test_hello_and_chunk),
		cmocka_unit_test(test_packet),
		cmocka_unit_test(test_content),
		cmocka_unit_test(test_view_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
