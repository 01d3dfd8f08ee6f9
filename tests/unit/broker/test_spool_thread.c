/* spool_thread: batches of both levels, their order, faults of the disk under them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "broker/spool_thread.h"
#include "fault_disk.h"
#include "net/loop.h"

#define SEGMENT (UINT64_C(64) << 10)
#define JOBS	64
#define LARGE	60000 /* of 64 KiB: a segment holds one, and nothing before it */

struct job {
	struct spool_job job;
	struct rig *rig;
	uint8_t body[SEGMENT];
};

struct rig {
	char directory[64];
	struct disk *real;
	struct fault_disk disk;
	struct rng rng;
	struct loop *loop;
	struct gate *gate;
	struct spool *spool;
	struct spool_thread *thread;
	struct job jobs[JOBS];
	unsigned sent;
	unsigned order[JOBS]; /* of the answers: indexes of jobs */
	unsigned answered;
};

static void rig_open(struct rig *rig)
{
	struct spool_options options = {.disk = &rig->disk.disk,
		.rng = &rig->rng,
		.bytes = 64 * SEGMENT,
		.segment = SEGMENT,
		.wall_ms = 1};
	struct err err;

	err_clear(&err);
	assert_int_equal(spool_open(&options, &rig->spool, &err), 0);
	assert_int_equal(spool_thread_create(rig->spool, &rig->thread), 0);
}

static void rig_init(struct rig *rig)
{
	memset(rig, 0, sizeof *rig);
	snprintf(rig->directory, sizeof rig->directory, "/tmp/spool-thread-XXXXXX");
	assert_non_null(mkdtemp(rig->directory));
	assert_int_equal(disk_open_directory(rig->directory, &rig->real), 0);
	fault_disk_init(&rig->disk, rig->real);
	rng_seed(&rig->rng, 7);
	assert_int_equal(loop_create(&rig->loop), 0);
	rig->gate = gate_create();
	rig_open(rig);
}

static void rig_fini(struct rig *rig)
{
	char command[100];

	spool_thread_destroy(rig->thread);
	gate_close(rig->gate);
	loop_turn(rig->loop, 0);
	loop_destroy(rig->loop);
	disk_close_directory(rig->real);
	fault_disk_fini(&rig->disk);
	snprintf(command, sizeof command, "rm -rf %s", rig->directory);
	assert_int_equal(system(command), 0);
}

static void on_done(struct spool_job *base)
{
	struct job *job = container_of(base, struct job, job);

	job->rig->order[job->rig->answered++] = (unsigned)(job - job->rig->jobs);
}

static void on_discard(struct spool_job *base)
{
	(void)base;
}

/* Returns its index. */
static unsigned send_sized(struct rig *rig, uint32_t topic, uint64_t seq, bool sync, size_t size)
{
	unsigned index = rig->sent++;
	struct job *job = &rig->jobs[index];
	struct spool_entry *entry = &job->job.entry;

	assert_true(index < JOBS);
	job->rig = rig;
	assert_true(size <= sizeof job->body);
	memset(job->body, (int)index, size);
	entry->body = slice_make(job->body, size);
	entry->record = (struct record){.type = RECORD_MSG,
		.topic = topic,
		.seq = seq,
		.length = (uint32_t)(RECORD_HEADER + entry->body.size),
		.pcrc = record_pcrc(slice_make(NULL, 0), entry->body)};
	job->job.sync = sync;
	job->job.loop = rig->loop;
	job->job.gate = rig->gate;
	job->job.done = on_done;
	job->job.discard = on_discard;
	spool_thread_append(rig->thread, &job->job);
	return index;
}

static unsigned send(struct rig *rig, uint32_t topic, uint64_t seq, bool sync)
{
	return send_sized(rig, topic, seq, sync, 2000);
}

static int status_of(const struct rig *rig, unsigned index)
{
	return rig->jobs[index].job.entry.status;
}

#define UNTIL(rig, condition)                                                                      \
	do {                                                                                       \
		for (int turn_ = 0; !(condition); turn_++) {                                       \
			assert_true(turn_ < 6000);                                                 \
			loop_turn((rig)->loop, 5);                                                 \
		}                                                                                  \
	} while (0)

/* Whether that many lines say that the spool stopped. */
static unsigned count_stops(int fd)
{
	char text[4096] = "";
	ssize_t size;
	unsigned count = 0;

	log_flush(true);
	size = read(fd, text, sizeof text - 1);
	for (const char *at = text; size > 0 && (at = strstr(at, "PIL6001")); at++) {
		count++;
	}
	return count;
}

static bool stocked(const struct rig *rig)
{
	return atomic_load(&spool_thread_numbers(rig->thread)->stock);
}

/* The first segment is begun and the second in stock: the background rests. */
static void begin(struct rig *rig)
{
	send(rig, 9, rig->sent + 1, true);
	UNTIL(rig, rig->answered == rig->sent && stocked(rig));
}

/* The disk thread is held in a sync; what is sent now becomes one batch. */
static void hold_in_sync(struct rig *rig)
{
	unsigned before;

	begin(rig);
	before = fault_disk_calls(&rig->disk, FAULT_FDATASYNC);
	fault_disk_hold(&rig->disk, FAULT_FDATASYNC, true);
	send(rig, 9, rig->sent + 1, true);
	UNTIL(rig, fault_disk_calls(&rig->disk, FAULT_FDATASYNC) > before);
}

/* B9-03: `os` records of a batch are answered before its sync, but never before an earlier message
 * of their topic. */
static void test_levels(void **state)
{
	struct rig *rig = mem_zalloc(sizeof *rig);
	unsigned fsync, other, behind, more;

	(void)state;
	rig_init(rig);
	hold_in_sync(rig);
	fsync = send(rig, 1, 1, true);
	other = send(rig, 2, 1, false);
	behind = send(rig, 1, 2, false);
	more = send(rig, 2, 2, false);
	fault_disk_hold(&rig->disk, FAULT_FDATASYNC, false);
	UNTIL(rig, rig->answered == rig->sent);
	assert_int_equal(rig->order[2], other);
	assert_int_equal(rig->order[3], more);
	assert_int_equal(rig->order[4], fsync);
	assert_int_equal(rig->order[5], behind);
	for (unsigned i = 0; i < rig->sent; i++) {
		assert_int_equal(status_of(rig, i), 0);
	}
	rig_fini(rig);
	mem_free(rig);
}

/* B9-08: one line says that the spool stopped, whatever failed and whoever asked. */
static void test_says_so(void **state)
{
	static const enum fault_op ops[] = {FAULT_PWRITEV, FAULT_FDATASYNC};

	(void)state;
	for (unsigned i = 0; i < 2 * ARRAY_SIZE(ops); i++) {
		struct rig *rig = mem_zalloc(sizeof *rig);
		int fds[2];

		assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
		rig_init(rig);
		begin(rig);
		log_setup(fds[1], false, "test");
		fault_disk_fail(&rig->disk, ops[i / 2], 1, 1, EIO);
		send(rig, 1, 1, i % 2 == 0);
		UNTIL(rig, rig->answered == rig->sent);
		UNTIL(rig, atomic_load(&spool_thread_numbers(rig->thread)->failed));
		send(rig, 1, 2, true); /* behind the line of a sync that nobody waits for */
		UNTIL(rig, rig->answered == rig->sent);
		assert_int_equal(count_stops(fds[0]), 1);
		log_setup(STDERR_FILENO, false, "test");
		rig_fini(rig);
		mem_free(rig);
		close(fds[0]);
		close(fds[1]);
	}
}

/* B9-08: when that sync fails, `os` records have what they asked for and the others do not. */
static void test_failed_sync(void **state)
{
	struct rig *rig = mem_zalloc(sizeof *rig);
	unsigned fsync, other, late;

	(void)state;
	rig_init(rig);
	hold_in_sync(rig);
	fsync = send(rig, 1, 1, true);
	other = send(rig, 2, 1, false);
	fault_disk_fail(&rig->disk, FAULT_FDATASYNC, 1, 1, EIO); /* not the one held now */
	fault_disk_hold(&rig->disk, FAULT_FDATASYNC, false);
	UNTIL(rig, rig->answered == rig->sent);
	assert_int_equal(status_of(rig, 1), 0);
	assert_int_equal(status_of(rig, fsync), -EIO);
	assert_int_equal(status_of(rig, other), 0);
	assert_true(atomic_load(&spool_thread_numbers(rig->thread)->failed));
	/* The disk works again; nothing is written any more. */
	late = send(rig, 2, 2, false);
	UNTIL(rig, rig->answered == rig->sent);
	assert_int_equal(status_of(rig, late), -EIO);
	rig_fini(rig);
	mem_free(rig);
}

/* Short and interrupted writes are continued: every byte comes back. */
static void test_short_writes(void **state)
{
	struct rig *rig = mem_zalloc(sizeof *rig);
	size_t count;
	struct spool_message *messages;

	(void)state;
	rig_init(rig);
	rig->disk.shortly = true;
	for (uint64_t seq = 1; seq <= 40; seq++) {
		send(rig, 1, seq, seq % 2 == 0);
	}
	UNTIL(rig, rig->answered == rig->sent);
	for (unsigned i = 0; i < rig->sent; i++) {
		assert_int_equal(rig->order[i], i);
		assert_int_equal(status_of(rig, i), 0);
	}
	spool_thread_destroy(rig->thread);
	rig_open(rig);
	messages = spool_take_messages(rig->spool->topics[0], &count);
	assert_int_equal(count, 40);
	assert_int_equal(rig->spool->report.corrupt + rig->spool->report.torn, 0);
	mem_free(messages);
	rig_fini(rig);
	mem_free(rig);
}

static uint64_t waits(const struct rig *rig)
{
	return atomic_load(&spool_thread_numbers(rig->thread)->waits);
}

/* B9-02: after the first one, nobody waits for a segment, not even after a restart. */
static void test_stock(void **state)
{
	struct rig *rig = mem_zalloc(sizeof *rig);

	(void)state;
	rig_init(rig);
	begin(rig);
	assert_int_equal(waits(rig), 1);
	for (uint64_t seq = 1; seq <= 10; seq++) {
		send_sized(rig, 1, seq, true, LARGE);
		UNTIL(rig, rig->answered == rig->sent && stocked(rig));
		assert_int_equal(status_of(rig, rig->sent - 1), 0);
	}
	assert_int_equal(waits(rig), 1);
	assert_int_equal(atomic_load(&spool_thread_numbers(rig->thread)->total), 11 * SEGMENT);
	spool_thread_destroy(rig->thread);
	rig_open(rig);
	assert_non_null(rig->spool->stock);
	send(rig, 1, 11, true);
	UNTIL(rig, rig->answered == rig->sent && stocked(rig));
	assert_int_equal(status_of(rig, rig->sent - 1), 0);
	assert_int_equal(waits(rig), 0);
	rig_fini(rig);
	mem_free(rig);
}

/* A batch that comes before the stock waits for it, and is counted; no number is given twice. */
static void test_stock_is_late(void **state)
{
	struct rig *rig = mem_zalloc(sizeof *rig);

	(void)state;
	rig_init(rig);
	send(rig, 9, 1, false);
	UNTIL(rig, rig->answered == rig->sent);
	begin(rig);
	fault_disk_hold(&rig->disk, FAULT_FALLOCATE, true);
	send_sized(rig, 1, 1, true, LARGE); /* takes the stock */
	UNTIL(rig, rig->answered == rig->sent);
	send_sized(rig, 1, 2, true, LARGE);
	UNTIL(rig, waits(rig) == 2);
	assert_int_equal(rig->answered, rig->sent - 1);
	fault_disk_hold(&rig->disk, FAULT_FALLOCATE, false);
	UNTIL(rig, rig->answered == rig->sent);
	assert_int_equal(status_of(rig, rig->sent - 1), 0);
	UNTIL(rig, stocked(rig));
	rig_fini(rig);
	mem_free(rig);
}

/* A preparation that fails costs nothing: what fails when the segment is needed is judged. */
static void test_stock_fails(void **state)
{
	static const struct {
		enum fault_op op;
		int error;
		int status;
	} rows[] = {{FAULT_FALLOCATE, ENOSPC, -ENOSPC}, {FAULT_FALLOCATE, EIO, -EIO},
		{FAULT_RENAME, EIO, -EIO}, {FAULT_FSYNC_DIR, EIO, -EIO},
		{FAULT_OPEN, EMFILE, -EIO}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rig *rig = mem_zalloc(sizeof *rig);
		unsigned before;

		rig_init(rig);
		begin(rig);
		before = fault_disk_calls(&rig->disk, rows[i].op);
		/* The first preparation fails in the background. */
		fault_disk_fail(&rig->disk, rows[i].op, 1, 1, rows[i].error);
		send_sized(rig, 1, 1, true, LARGE);
		UNTIL(rig, rig->answered == rig->sent &&
				   fault_disk_calls(&rig->disk, rows[i].op) == before + 1);
		assert_int_equal(status_of(rig, rig->sent - 1), 0);
		send_sized(rig, 1, 2, true, LARGE);
		UNTIL(rig, rig->answered == rig->sent);
		assert_int_equal(status_of(rig, rig->sent - 1), 0);
		assert_false(atomic_load(&spool_thread_numbers(rig->thread)->failed));
		/* Then the one that is needed now. */
		fault_disk_fail(&rig->disk, rows[i].op, 1, 1000, rows[i].error);
		send_sized(rig, 1, 3, true, LARGE);
		UNTIL(rig, rig->answered == rig->sent);
		send_sized(rig, 1, 4, true, LARGE);
		UNTIL(rig, rig->answered == rig->sent);
		assert_int_equal(status_of(rig, rig->sent - 1), rows[i].status);
		assert_int_equal(atomic_load(&spool_thread_numbers(rig->thread)->failed),
			rows[i].status == -EIO);
		rig_fini(rig);
		mem_free(rig);
	}
}

static const char *op_name(enum fault_op op)
{
	static const char *const names[FAULT_OPS] = {"open", "pread", "pwritev", "fdatasync",
		"fallocate", "rename", "unlink", "fsync_dir"};

	return names[op];
}

/* What the next start finds of messages that were answered. */
static void check_kept(struct rig *rig)
{
	size_t count = 0, place = 0;
	struct spool_message *messages;

	spool_thread_destroy(rig->thread);
	for (unsigned op = 0; op < FAULT_OPS; op++) {
		fault_disk_fail(&rig->disk, (enum fault_op)op, 0, 0, 0);
	}
	rig_open(rig);
	messages = rig->spool->topic_count > 0 ? spool_take_messages(rig->spool->topics[0], &count)
					       : NULL;
	for (unsigned i = 0; i < rig->sent; i++) {
		uint64_t seq = i + 1;

		while (messages && place < count && messages[place].seq < seq) {
			place++;
		}
		assert_true(status_of(rig, i) != 0 ||
			    (messages && place < count && messages[place].seq == seq));
	}
	assert_int_equal(rig->spool->report.corrupt, 0);
	mem_free(messages);
}

/* False: the fault was not reached. */
static bool run_fault(enum fault_op op, unsigned n, int error)
{
	struct rig *rig = mem_zalloc(sizeof *rig);
	bool failed = false, hit;

	rig_init(rig);
	fault_disk_fail(&rig->disk, op, n, 1, error);
	for (uint64_t seq = 1; seq <= 6; seq++) {
		unsigned index = send_sized(rig, 1, seq, seq % 2 == 0, seq % 3 == 0 ? 100 : LARGE);

		UNTIL(rig, rig->answered == rig->sent);
		/* After the first failure nothing is accepted any more. */
		assert_true(status_of(rig, index) == 0 || status_of(rig, index) == -EIO ||
			    status_of(rig, index) == -ENOSPC);
		assert_true(!failed || status_of(rig, index) == -EIO);
		failed = atomic_load(&spool_thread_numbers(rig->thread)->failed);
		assert_true(status_of(rig, index) != -EIO || failed);
	}
	hit = fault_disk_calls(&rig->disk, op) >= rig->disk.fail_at[op];
	check_kept(rig);
	rig_fini(rig);
	mem_free(rig);
	return hit;
}

/* BT-13: each operation of the disk fails once, wherever it happens: nothing that was answered is
 * missing at the next start, and a failure is final or says that the disk is full. */
static void test_every_fault(void **state)
{
	static const enum fault_op ops[] = {FAULT_OPEN, FAULT_PWRITEV, FAULT_FDATASYNC,
		FAULT_FALLOCATE, FAULT_RENAME, FAULT_FSYNC_DIR};
	static const int errors[] = {EIO, ENOSPC};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(errors); j++) {
			unsigned n = 1;

			while (run_fault(ops[i], n, errors[j])) {
				assert_true(n++ < 100);
			}
			print_message(
				"%s %s: %u places\n", op_name(ops[i]), strerror(errors[j]), n - 1);
			assert_true(n > 1);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_says_so),
		cmocka_unit_test(test_failed_sync),
		cmocka_unit_test(test_short_writes),
		cmocka_unit_test(test_stock),
		cmocka_unit_test(test_stock_is_late),
		cmocka_unit_test(test_stock_fails),
		cmocka_unit_test(test_every_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
