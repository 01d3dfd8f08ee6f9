/* spool: appending and reading back, quota, final failure, damage of single bits, foreign files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "broker/cursor.h"
#include "broker/spool.h"
#include "fault_disk.h"
#include "sim_disk.h"

#define SEGMENT (UINT64_C(64) << 10)

struct rig {
	struct sim_disk *disk;
	struct rng rng;
	struct spool *spool;
	uint64_t bytes;
};

static int rig_open(struct rig *rig, struct err *err)
{
	struct spool_options options = {.disk = sim_disk_handle(rig->disk),
		.rng = &rig->rng,
		.bytes = rig->bytes,
		.segment = SEGMENT,
		.wall_ms = 1};

	err_clear(err);
	return spool_open(&options, &rig->spool, err);
}

static void rig_init(struct rig *rig, uint64_t bytes)
{
	struct err err;

	*rig = (struct rig){.disk = sim_disk_create(3), .bytes = bytes};
	rng_seed(&rig->rng, 5);
	assert_int_equal(rig_open(rig, &err), 0);
}

static void rig_fini(struct rig *rig)
{
	spool_abandon(rig->spool);
	sim_disk_destroy(rig->disk);
}

static int append(struct rig *rig, uint8_t type, uint64_t seq, struct slice body, bool reserve)
{
	struct spool_entry entry = {.reserve = reserve, .body = body};

	entry.record = (struct record){.type = type,
		.topic = 1,
		.seq = seq,
		.time_ms = seq,
		.length = (uint32_t)(RECORD_HEADER + body.size),
		.pcrc = record_pcrc(slice_make(NULL, 0), body)};
	spool_append(rig->spool, &entry);
	return entry.status;
}

static void add_cursor(struct rig *rig, uint64_t floor)
{
	struct cursor cursor;
	struct buf body;

	cursor_init(&cursor, floor);
	buf_init(&body);
	cursor_encode(SLICE("g"), &cursor, NULL, 0, &body);
	assert_int_equal(append(rig, RECORD_CURSOR, 0, buf_slice(&body), true), 0);
	buf_fini(&body);
}

static void test_comes_back(void **state)
{
	struct rig rig;
	struct err err;
	struct spool_message *messages;
	size_t count;

	(void)state;
	rig_init(&rig, 16 * SEGMENT);
	assert_int_equal(append(&rig, RECORD_TOPIC, 0, SLICE("orders.placed"), true), 0);
	add_cursor(&rig, 0);
	for (uint64_t seq = 1; seq <= 2000; seq++) {
		assert_int_equal(
			append(&rig, RECORD_MSG, seq, SLICE("a message of no size"), false), 0);
	}
	assert_int_equal(spool_unsynced(rig.spool) > 0, 1);
	assert_int_equal(spool_sync(rig.spool), 0);
	spool_close(rig.spool);
	assert_int_equal(rig_open(&rig, &err), 0);
	assert_true(rig.spool->report.was_clean);
	assert_non_null(spool_find(rig.spool, SLICE("orders.placed")));
	messages = spool_take_messages(rig.spool->topics[0], &count);
	assert_int_equal(count, 2000);
	for (uint64_t seq = 1; seq <= 2000; seq++) {
		assert_int_equal(messages[seq - 1].seq, seq);
		spool_release(rig.spool, messages[seq - 1].lsn >> 32, 1);
	}
	mem_free(messages);
	/* All given back: a new segment says what is live, the old ones go. */
	assert_true(spool_reclaim(rig.spool) >= 2);
	spool_abandon(rig.spool);
	sim_disk_restart(rig.disk, true);
	assert_int_equal(rig_open(&rig, &err), 0);
	assert_int_equal(rig.spool->topics[0]->last_seq, 2000);
	assert_int_equal(rig.spool->topics[0]->count, 0);
	assert_int_equal(rig.spool->report.lost_messages, 2000); /* floor 0, never done */
	rig_fini(&rig);
}

/* Each segment in turn: a message that keeps it, and others until the next one begins. */
static void fill_segment(struct rig *rig, uint64_t *seq)
{
	uint64_t number = rig->spool->current->header.number;
	uint8_t body[1000] = {0};

	while (rig->spool->current->header.number == number) {
		assert_int_equal(
			append(rig, RECORD_MSG, ++*seq, slice_make(body, sizeof body), false), 0);
	}
}

static void give_back(struct rig *rig, uint64_t from, uint64_t to)
{
	LIST_FOR_EACH(node, &rig->spool->segments) {
		struct segment *segment = LIST_ENTRY(node, struct segment, node);

		if (segment->header.number >= from && segment->header.number <= to) {
			spool_release(rig->spool, segment->header.number, segment->live);
		}
	}
	assert_true(spool_reclaim(rig->spool) > 0);
}

/* A group that was removed does not come back when the segment that says so goes before an older
 * one that names the group. */
static void test_removed_stays_removed(void **state)
{
	struct rig rig;
	struct err err;
	struct buf body;
	uint64_t seq = 0, second;

	(void)state;
	rig_init(&rig, 64 * SEGMENT);
	assert_int_equal(append(&rig, RECORD_TOPIC, 0, SLICE("t"), true), 0);
	add_cursor(&rig, 0);
	fill_segment(&rig, &seq);
	second = rig.spool->current->header.number;
	buf_init(&body);
	cursor_encode_removed(SLICE("g"), &body);
	assert_int_equal(append(&rig, RECORD_CURSOR, 0, buf_slice(&body), true), 0);
	buf_fini(&body);
	fill_segment(&rig, &seq);
	assert_int_equal(spool_sync(rig.spool), 0);
	give_back(&rig, second, second);
	for (unsigned i = 0; i < 2; i++) {
		spool_abandon(rig.spool);
		sim_disk_restart(rig.disk, true);
		assert_int_equal(rig_open(&rig, &err), 0);
		assert_int_equal(rig.spool->topics[0]->cursors.count, 0);
		assert_int_equal(rig.spool->report.lost_messages, 0);
		assert_int_equal(append(&rig, RECORD_MSG, ++seq, SLICE("x"), false), 0);
	}
	/* With the older segments the memory of it goes. */
	assert_int_equal(rig.spool->removed_count, 1);
	fill_segment(&rig, &seq);
	give_back(&rig, 1, rig.spool->current->header.number - 1);
	assert_int_equal(rig.spool->removed_count, 0);
	spool_abandon(rig.spool);
	sim_disk_restart(rig.disk, true);
	assert_int_equal(rig_open(&rig, &err), 0);
	assert_int_equal(rig.spool->topics[0]->cursors.count, 0);
	/* A new group of that name is one like any other. */
	add_cursor(&rig, seq);
	assert_int_equal(rig.spool->topics[0]->cursors.count, 1);
	assert_int_equal(rig.spool->removed_count, 0);
	rig_fini(&rig);
}

static void test_quota(void **state)
{
	struct rig rig;
	uint8_t body[4000] = {0};
	uint64_t seq = 0;
	int status = 0;

	(void)state;
	rig_init(&rig, 4 * SEGMENT);
	assert_int_equal(append(&rig, RECORD_TOPIC, 0, SLICE("t"), true), 0);
	while (status == 0 && seq < 1000) {
		status = append(&rig, RECORD_MSG, ++seq, slice_make(body, sizeof body), false);
	}
	assert_int_equal(status, -ENOSPC);
	assert_int_equal(spool_room(rig.spool) < 4096 + RECORD_HEADER, 1);
	assert_false(rig.spool->failed);
	/* One segment is left for cursors and dead letters (B9-09). */
	assert_int_equal(append(&rig, RECORD_MSG, seq, slice_make(body, sizeof body), true), 0);
	rig_fini(&rig);
}

/* What a background thread does. */
static bool stock(struct rig *rig)
{
	struct segment_header header;
	struct segment *segment;
	uint64_t size;

	if (!spool_wants_stock(rig->spool, &header, &size)) {
		return false;
	}
	assert_int_equal(segment_create(sim_disk_handle(rig->disk), &header, size, &segment), 0);
	spool_stock(rig->spool, segment);
	return true;
}

/* B9-02, B9-09: the stock is the reserve where no more is allowed; it survives; it is passed over
 * when it is too small. */
static void test_stock(void **state)
{
	static uint8_t body[SEGMENT - 8192];
	struct rig rig;
	struct err err;
	struct slice large = slice_make(body, sizeof body);
	uint64_t number;

	(void)state;
	rig_init(&rig, 4 * SEGMENT);
	assert_false(stock(&rig)); /* nobody has published */
	assert_int_equal(append(&rig, RECORD_MSG, 1, large, false), 0);
	assert_true(stock(&rig));
	assert_false(stock(&rig));
	assert_int_equal(rig.spool->waits, 1);
	assert_int_equal(rig.spool->total_bytes, 2 * SEGMENT);
	assert_int_equal(append(&rig, RECORD_MSG, 2, large, false), 0);
	assert_true(stock(&rig));
	assert_int_equal(append(&rig, RECORD_MSG, 3, large, false), 0);
	assert_true(stock(&rig));
	assert_int_equal(rig.spool->waits, 1);
	/* Four segments of four: the last one is not for messages. */
	assert_int_equal(append(&rig, RECORD_MSG, 4, large, false), -ENOSPC);
	assert_true(spool_room(rig.spool) < sizeof body);
	number = rig.spool->stock->header.number;
	spool_abandon(rig.spool);
	sim_disk_restart(rig.disk, true);
	assert_int_equal(rig_open(&rig, &err), 0);
	assert_non_null(rig.spool->stock);
	assert_int_equal(rig.spool->stock->header.number, number);
	assert_int_equal(rig.spool->total_bytes, 4 * SEGMENT);
	assert_int_equal(append(&rig, RECORD_MSG, 4, large, false), -ENOSPC);
	assert_int_equal(append(&rig, RECORD_MSG, 4, large, true), 0);
	assert_int_equal(rig.spool->waits, 0);
	assert_int_equal(rig.spool->current->header.number, number);
	assert_false(stock(&rig)); /* the quota is used up */
	rig_fini(&rig);
}

/* B9-09: on a full disk the end of the last segment is for cursors, and the room says so before. */
static void test_disk_full(void **state)
{
	struct fault_disk disk;
	struct rig rig;
	uint8_t body[1000] = {0};
	uint64_t seq = 1;
	unsigned cursors = 0;

	(void)state;
	rig_init(&rig, 64 * SEGMENT);
	fault_disk_init(&disk, rig.spool->options.disk);
	rig.spool->options.disk = &disk.disk;
	assert_int_equal(append(&rig, RECORD_TOPIC, 0, SLICE("t"), true), 0);
	fault_disk_fail(&disk, FAULT_FALLOCATE, 1, 1000, ENOSPC);
	while (append(&rig, RECORD_MSG, seq, slice_make(body, sizeof body), false) == 0) {
		seq++;
	}
	assert_true(rig.spool->disk_full && !rig.spool->failed);
	/* It was found out at the end of the segment; from now on it is known. */
	assert_int_equal(spool_room(rig.spool), 0);
	assert_int_equal(append(&rig, RECORD_MSG, seq, SLICE("x"), false), -ENOSPC);
	fault_disk_fail(&disk, FAULT_FALLOCATE, 0, 0, 0);
	assert_int_equal(append(&rig, RECORD_MSG, seq, slice_make(body, sizeof body), false), 0);
	assert_false(rig.spool->disk_full);
	/* Known before the end: the last eighth is left alone. */
	fault_disk_fail(&disk, FAULT_FALLOCATE, 1, 1000, ENOSPC);
	rig.spool->disk_full = true;
	while (spool_room(rig.spool) >= sizeof body + 2 * RECORD_HEADER) {
		assert_int_equal(
			append(&rig, RECORD_MSG, ++seq, slice_make(body, sizeof body), false), 0);
	}
	assert_int_equal(
		append(&rig, RECORD_MSG, ++seq, slice_make(body, sizeof body), false), -ENOSPC);
	for (; cursors < 60; cursors++) {
		add_cursor(&rig, 0);
	}
	rig_fini(&rig);
	fault_disk_fini(&disk);
}

/* What holds anything but zeros is a recovered segment and never written again (B9-07). */
static void test_stock_with_dirt(void **state)
{
	struct rig rig;
	struct err err;
	uint8_t *bytes;
	size_t size;

	(void)state;
	rig_init(&rig, 16 * SEGMENT);
	assert_int_equal(append(&rig, RECORD_MSG, 1, SLICE("x"), false), 0);
	assert_true(stock(&rig));
	spool_abandon(rig.spool);
	bytes = sim_disk_bytes(rig.disk, "0000000000000002.seg", &size);
	bytes[size - 9] = 1;
	assert_int_equal(rig_open(&rig, &err), 0);
	assert_null(rig.spool->stock);
	assert_int_equal(append(&rig, RECORD_MSG, 2, SLICE("x"), false), 0);
	assert_int_equal(rig.spool->current->header.number, 3);
	rig_fini(&rig);
}

static void test_stock_too_small(void **state)
{
	static uint8_t body[2 * SEGMENT];
	struct rig rig;

	(void)state;
	rig_init(&rig, 16 * SEGMENT);
	assert_int_equal(append(&rig, RECORD_MSG, 1, SLICE("x"), false), 0);
	assert_true(stock(&rig));
	assert_int_equal(append(&rig, RECORD_MSG, 2, slice_make(body, sizeof body), false), 0);
	assert_int_equal(rig.spool->waits, 2);
	assert_int_equal(rig.spool->current->header.number, 3);
	assert_null(rig.spool->stock);
	/* It goes like any segment that nobody needs. */
	assert_int_equal(spool_reclaim(rig.spool), 1);
	assert_int_equal(rig.spool->segments.next == rig.spool->segments.prev, 0);
	rig_fini(&rig);
}

static void test_failure_is_final(void **state)
{
	(void)state;
	for (int which = 0; which < 2; which++) {
		struct rig rig;

		rig_init(&rig, 16 * SEGMENT);
		assert_int_equal(append(&rig, RECORD_TOPIC, 0, SLICE("t"), true), 0);
		if (which == 0) {
			assert_int_equal(append(&rig, RECORD_MSG, 1, SLICE("x"), false), 0);
			sim_disk_fail_sync(rig.disk, EIO);
			assert_int_equal(spool_sync(rig.spool), -EIO);
		} else {
			sim_disk_fail_write(rig.disk, EIO);
			assert_int_equal(append(&rig, RECORD_MSG, 1, SLICE("x"), false), -EIO);
		}
		/* The disk works again; a second sync would lie (B9-08). */
		assert_true(rig.spool->failed);
		assert_int_equal(spool_sync(rig.spool), -EIO);
		assert_int_equal(append(&rig, RECORD_MSG, 2, SLICE("x"), false), -EIO);
		rig_fini(&rig);
	}
}

/* BT-12, sampled: each bit of one message in the middle costs that message alone. */
static void test_bit_flips(void **state)
{
	struct rig rig;
	struct err err;
	uint8_t *bytes;
	size_t size, place = 0;

	(void)state;
	rig_init(&rig, 16 * SEGMENT);
	assert_int_equal(append(&rig, RECORD_TOPIC, 0, SLICE("t"), true), 0);
	add_cursor(&rig, 0);
	for (uint64_t seq = 1; seq <= 5; seq++) {
		assert_int_equal(append(&rig, RECORD_MSG, seq, SLICE("<-- body -->"), false), 0);
		assert_int_equal(spool_sync(rig.spool), 0);
		place = seq == 2 ? (size_t)(rig.spool->written_lsn & UINT32_MAX) : place;
	}
	spool_abandon(rig.spool);
	for (size_t bit = 0; bit < 8 * (RECORD_HEADER + 12); bit++) {
		/* Recovery adds a segment with the loss; each round begins from the same disk. */
		struct sim_disk *copy = sim_disk_create(9);
		struct disk *disk = sim_disk_handle(copy);
		const char *names[] = {"META", "0000000000000001.seg"};

		for (size_t i = 0; i < 2; i++) {
			int file = disk->ops->open(disk, names[i], DISK_WRITE | DISK_CREATE);

			bytes = sim_disk_bytes(rig.disk, names[i], &size);
			assert_int_equal(disk_write_all(disk, file, bytes, size, 0), 0);
			(void)disk->ops->close(disk, file);
		}
		bytes = sim_disk_bytes(copy, names[1], &size);
		bytes[place + bit / 8] ^= (uint8_t)(1u << (bit % 8));
		{
			struct rig damaged = {.disk = copy, .bytes = rig.bytes};

			rng_seed(&damaged.rng, bit);
			assert_int_equal(rig_open(&damaged, &err), 0);
			assert_int_equal(damaged.spool->topics[0]->count, 4);
			assert_int_equal(damaged.spool->report.corrupt, 1);
			assert_int_equal(damaged.spool->report.lost_messages, 1);
			assert_int_equal(damaged.spool->report.losses[0].first, 3);
			assert_true(damaged.spool->report.losses[0].corrupt);
			spool_abandon(damaged.spool);
			assert_int_equal(rig_open(&damaged, &err), 0);
			assert_int_equal(damaged.spool->report.lost_messages, 0);
			rig_fini(&damaged);
		}
	}
	rig.spool = NULL;
	rig_fini(&rig);
}

static void test_foreign_and_broken(void **state)
{
	struct rig rig;
	struct err err;
	uint8_t *bytes;
	size_t size;

	(void)state;
	rig_init(&rig, 16 * SEGMENT);
	assert_int_equal(append(&rig, RECORD_TOPIC, 0, SLICE("t"), true), 0);
	spool_close(rig.spool);
	rig.spool = NULL;
	bytes = sim_disk_bytes(rig.disk, "META", &size);
	assert_int_equal(size, 1024);
	/* One bad copy is enough to go on, two are not, and nothing is overwritten. */
	bytes[100] ^= 1;
	assert_int_equal(rig_open(&rig, &err), 0);
	spool_abandon(rig.spool);
	rig.spool = NULL;
	bytes = sim_disk_bytes(rig.disk, "META", &size);
	bytes[17] ^= 1;
	bytes[512 + 17] ^= 1;
	assert_int_equal(rig_open(&rig, &err), -EBADMSG);
	assert_int_equal(err.code, 6001);
	bytes[17] ^= 1;
	bytes[512 + 17] ^= 1;
	assert_int_equal(rig_open(&rig, &err), 0);
	rig_fini(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_comes_back),
		cmocka_unit_test(test_removed_stays_removed),
		cmocka_unit_test(test_quota),
		cmocka_unit_test(test_stock),
		cmocka_unit_test(test_disk_full),
		cmocka_unit_test(test_stock_with_dirt),
		cmocka_unit_test(test_stock_too_small),
		cmocka_unit_test(test_failure_is_final),
		cmocka_unit_test(test_bit_flips),
		cmocka_unit_test(test_foreign_and_broken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
