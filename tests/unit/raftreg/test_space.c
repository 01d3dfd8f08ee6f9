/*
 * A disk without room, and one that damages a snapshot (registry.md RS-14): a real directory behind
 * a table that refuses to let files grow while it is told to. The store's threads run as in life.
 */
#include <errno.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "raftreg/store_internal.h"
#include "support.h"

#define WAIT_MS 20000
#define SEGMENT 65536u

struct tight {
	struct disk base;
	struct disk *real;
	atomic_bool full;
	atomic_uint slow_ms; /* each sync */
};

static struct disk *real_of(struct disk *base)
{
	return container_of(base, struct tight, base)->real;
}

static bool is_full(struct disk *base)
{
	return atomic_load(&container_of(base, struct tight, base)->full);
}

static int tight_open(struct disk *base, const char *name, int flags)
{
	return real_of(base)->ops->open(real_of(base), name, flags);
}

static ssize_t tight_pread(struct disk *base, int file, void *data, size_t size, uint64_t offset)
{
	return real_of(base)->ops->pread(real_of(base), file, data, size, offset);
}

/* Blocks that a file has stay its own; only growth needs room. */
static ssize_t tight_pwritev(
	struct disk *base, int file, const struct iovec *vectors, int count, uint64_t offset)
{
	if (is_full(base) && offset >= (uint64_t)real_of(base)->ops->size(real_of(base), file)) {
		return -ENOSPC;
	}
	return real_of(base)->ops->pwritev(real_of(base), file, vectors, count, offset);
}

static int tight_fdatasync(struct disk *base, int file)
{
	unsigned slow_ms = atomic_load(&container_of(base, struct tight, base)->slow_ms);
	const struct timespec wait = {slow_ms / 1000, (long)(slow_ms % 1000) * 1000000};

	(void)nanosleep(&wait, NULL);
	return real_of(base)->ops->fdatasync(real_of(base), file);
}

static int tight_fallocate(struct disk *base, int file, uint64_t size)
{
	return is_full(base) ? -ENOSPC : real_of(base)->ops->fallocate(real_of(base), file, size);
}

static int64_t tight_size(struct disk *base, int file)
{
	return real_of(base)->ops->size(real_of(base), file);
}

static int tight_close(struct disk *base, int file)
{
	return real_of(base)->ops->close(real_of(base), file);
}

static int tight_rename(struct disk *base, const char *from, const char *to)
{
	return real_of(base)->ops->rename(real_of(base), from, to);
}

static int tight_unlink(struct disk *base, const char *name)
{
	return real_of(base)->ops->unlink(real_of(base), name);
}

static int tight_fsync_dir(struct disk *base)
{
	return real_of(base)->ops->fsync_dir(real_of(base));
}

static int tight_list(
	struct disk *base, int (*visit)(void *context, const char *name), void *context)
{
	return real_of(base)->ops->list(real_of(base), visit, context);
}

static const struct disk_ops tight_ops = {tight_open, tight_pread, tight_pwritev, tight_fdatasync,
	tight_fallocate, tight_size, tight_close, tight_rename, tight_unlink, tight_fsync_dir,
	tight_list};

static struct world {
	struct loop *loop;
	char *directory;
	struct tight disk;
	struct store *store;
	uint64_t persisted, snapshots, failed_snapshots, loaded_bytes;
	uint64_t staged_token;
	bool staged_ok;
	unsigned full, room, damaged, loads, failures;
} world;

static void on_persisted(void *owner, uint64_t seq)
{
	(void)owner;
	world.persisted = seq;
}

static void on_snapshot(void *owner, const struct raft_snapshot *snapshot, uint64_t bytes)
{
	(void)owner;
	(void)bytes;
	if (snapshot->index == 0) {
		world.failed_snapshots++;
	} else {
		world.snapshots++;
	}
}

static void on_staged(void *owner, uint64_t token, bool ok)
{
	(void)owner;
	world.staged_token = token;
	world.staged_ok = ok;
}

static void on_loaded(void *owner, uint64_t token, struct slice file, bool damaged)
{
	(void)owner;
	(void)token;
	world.loads++;
	world.damaged += damaged ? 1 : 0;
	world.loaded_bytes = file.size;
}

static void on_space(void *owner, bool full)
{
	(void)owner;
	world.full += full ? 1 : 0;
	world.room += full ? 0 : 1;
}

static void on_failed(void *owner, int error, const char *what)
{
	(void)owner;
	(void)error;
	(void)what;
	world.failures++;
}

static const struct store_events events = {
	on_persisted, on_snapshot, on_staged, on_loaded, on_space, on_failed};

static int setup(void **state)
{
	static const uint8_t uuid[16] = {7, 1};
	struct raft_payload *payload = raft_payload_create("birth", 5);
	struct store_options options = {.segment_size = SEGMENT};
	struct store_recovered found;
	struct err err;

	(void)state;
	memset(&world, 0, sizeof world);
	assert_int_equal(loop_create(&world.loop), 0);
	world.directory = support_directory();
	assert_int_equal(disk_open_directory(world.directory, &world.disk.real), 0);
	world.disk.base.ops = &tight_ops;
	options.disk = &world.disk.base;
	err_clear(&err);
	assert_int_equal(store_open(&options, &world.store, &found, &err), 0);
	store_recovered_fini(&found);
	assert_int_equal(store_start(world.store, world.loop, &events, NULL), 0);
	assert_int_equal(store_bootstrap(world.store, uuid, 1, payload), 0);
	raft_payload_unref(payload);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_stop(world.store);
	loop_turn(world.loop, 0);
	store_destroy(world.store);
	disk_close_directory(world.disk.real);
	loop_destroy(world.loop);
	support_remove(world.directory);
	return 0;
}

static bool is_persisted(void *context)
{
	return world.persisted == *(uint64_t *)context;
}

static bool has_full(void *context)
{
	(void)context;
	return world.full > 0;
}

static bool has_room(void *context)
{
	(void)context;
	return world.room > 0;
}

static bool has_loaded(void *context)
{
	return world.loads == *(unsigned *)context;
}

static bool has_snapshots(void *context)
{
	return world.snapshots + world.failed_snapshots == *(uint64_t *)context;
}

static void submit(uint64_t seq, uint64_t index, uint64_t truncate_from)
{
	struct raft_entry entry = {.index = index,
		.term = 1,
		.kind = RAFT_ENTRY_DATA,
		.payload = raft_payload_create(NULL, 2000)};
	struct store_batch *batch;

	memset(entry.payload->bytes, 5, 2000);
	batch = store_batch_create(&entry, index > 0 ? 1 : 0);
	raft_payload_unref(entry.payload);
	batch->seq = seq;
	batch->truncate_from = truncate_from;
	batch->truncate_term = 2;
	batch->hard_changed = truncate_from > 0;
	batch->hard = (struct raft_hard){.term = 2};
	store_submit(world.store, batch);
}

static void save_state(void *context, struct buf *ret_state)
{
	buf_append_string(ret_state, context);
}

static void drop_state(void *context)
{
	assert_non_null(context);
}

static void make_snapshot(uint64_t expected)
{
	struct snapfile_meta meta = {.snapshot = {.index = 1, .term = 1}};
	struct store_source source = {"the state of then", save_state, drop_state};

	memcpy(meta.uuid, world.store->vote.uuid, 16);
	meta.snapshot.conf.voters = (struct raft_ids){.count = 1, .ids = {world.store->vote.id}};
	store_make_snapshot(world.store, &meta, &source, 1);
	assert_true(support_until(world.loop, has_snapshots, &expected, WAIT_MS));
}

static bool exists(const char *name)
{
	int file = world.disk.real->ops->open(world.disk.real, name, DISK_READ);

	if (file >= 0) {
		(void)world.disk.real->ops->close(world.disk.real, file);
	}
	return file >= 0;
}

/* The spare cannot be made: told once; vote and truncation are written all the same; told again
 * when there is room, and not a byte of a half-made spare is left meanwhile. */
static void test_no_room_for_the_spare(void **state)
{
	uint64_t seq = 2;

	(void)state;
	atomic_store(&world.disk.full, true);
	submit(1, 2, 0);
	assert_true(support_until(world.loop, has_full, NULL, WAIT_MS));
	assert_false(exists(WAL_SPARE));
	submit(2, 0, 2);
	assert_true(support_until(world.loop, is_persisted, &seq, WAIT_MS));
	store_prepare_spare(world.store);
	seq = 3;
	submit(3, 2, 0);
	assert_true(support_until(world.loop, is_persisted, &seq, WAIT_MS));
	assert_int_equal(world.room, 0);
	atomic_store(&world.disk.full, false);
	store_prepare_spare(world.store);
	assert_true(support_until(world.loop, has_room, NULL, WAIT_MS));
	assert_true(exists(WAL_SPARE));
	assert_int_equal(world.full, 1);
	assert_int_equal(world.failures, 0);
}

static void test_snapshot_cannot_be_written(void **state)
{
	(void)state;
	atomic_store(&world.disk.full, true);
	make_snapshot(1);
	assert_int_equal(world.failed_snapshots, 1);
	assert_false(exists(STORE_SNAPSHOT_TMP));
	atomic_store(&world.disk.full, false);
	make_snapshot(2);
	assert_int_equal(world.snapshots, 1);
	assert_int_equal(world.failures, 0);
}

static bool has_staged(void *context)
{
	return world.staged_token == *(uint64_t *)context;
}

static void stage(uint64_t token)
{
	const struct raft_snapshot snapshot = {.index = 9, .term = 1};
	struct buf file;

	buf_init(&file);
	for (int i = 0; i < 100000; i++) {
		buf_append_string(&file, "a snapshot");
	}
	store_stage(world.store, token, &snapshot, &file);
	assert_true(support_until(world.loop, has_staged, &token, WAIT_MS));
}

/* RS-14: what there was room for is not left in the way. */
static void test_received_snapshot_cannot_be_written(void **state)
{
	(void)state;
	atomic_store(&world.disk.full, true);
	stage(1);
	assert_false(world.staged_ok);
	assert_false(exists(STORE_STAGED_TMP));
	atomic_store(&world.disk.full, false);
	stage(2);
	assert_true(world.staged_ok);
	assert_true(exists(STORE_STAGED_TMP));
	assert_int_equal(world.failures, 0);
}

static void load(unsigned count)
{
	store_load(world.store, count, 1, 1);
	assert_true(support_until(world.loop, has_loaded, &count, WAIT_MS));
}

/* Damage shows when a peer needs it: set aside, and another one of the same index takes its place.
 */
static void test_snapshot_cannot_be_read(void **state)
{
	char name[SNAPFILE_NAME_SIZE];
	char bad[SNAPFILE_NAME_SIZE + 8];
	int file;

	(void)state;
	make_snapshot(1);
	load(1);
	assert_int_equal(world.damaged, 0);
	assert_true(world.loaded_bytes > 0);
	snapfile_name(1, 1, name);
	(void)snprintf(bad, sizeof bad, "%s.bad", name);
	file = world.disk.real->ops->open(world.disk.real, name, DISK_WRITE);
	assert_int_equal(disk_write_all(world.disk.real, file, "?", 1, 130), 0);
	(void)world.disk.real->ops->close(world.disk.real, file);
	load(2);
	assert_int_equal(world.damaged, 1);
	assert_int_equal(world.loaded_bytes, 0);
	assert_true(exists(bad));
	assert_false(exists(name));
	/* Gone is not damaged. */
	load(3);
	assert_int_equal(world.damaged, 1);
	make_snapshot(2);
	load(4);
	assert_true(world.loaded_bytes > 0);
	assert_int_equal(world.snapshots, 2);
}

/* RO-03: a sync of more than 100 ms is said, with the file; a quick one is not. */
static void test_slow_sync_is_logged(void **state)
{
	FILE *log = tmpfile();
	char text[4096] = "";
	uint64_t seq = 1;
	size_t size;

	(void)state;
	log_setup(fileno(log), true, "voter");
	submit(1, 2, 0);
	assert_true(support_until(world.loop, is_persisted, &seq, WAIT_MS));
	atomic_store(&world.disk.slow_ms, 150);
	seq = 2;
	submit(2, 3, 0);
	assert_true(support_until(world.loop, is_persisted, &seq, WAIT_MS));
	log_flush(true);
	size = (size_t)pread(fileno(log), text, sizeof text - 1, 0);
	assert_true(size < sizeof text);
	assert_non_null(strstr(text, "a sync was slow"));
	assert_non_null(strstr(text, "\"pillion.file\":\"log\""));
	log_setup(STDERR_FILENO, true, "voter");
	(void)fclose(log);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(test_no_room_for_the_spare),
		TEST(test_snapshot_cannot_be_written),
		TEST(test_received_snapshot_cannot_be_written), TEST(test_snapshot_cannot_be_read),
		TEST(test_slow_sync_is_logged)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
