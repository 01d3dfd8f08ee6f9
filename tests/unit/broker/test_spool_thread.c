/* spool_thread: batches of both levels, their order, faults of the disk under them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "broker/spool_thread.h"
#include "fault_disk.h"
#include "net/loop.h"

#define SEGMENT (UINT64_C(64) << 10)
#define JOBS	64

struct job {
	struct spool_job job;
	struct rig *rig;
	uint8_t body[2000];
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
static unsigned send(struct rig *rig, uint32_t topic, uint64_t seq, bool sync)
{
	unsigned index = rig->sent++;
	struct job *job = &rig->jobs[index];
	struct spool_entry *entry = &job->job.entry;

	assert_true(index < JOBS);
	job->rig = rig;
	memset(job->body, (int)index, sizeof job->body);
	entry->body = slice_make(job->body, sizeof job->body);
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

/* The disk thread is held in a sync; what is sent now becomes one batch. */
static void hold_in_sync(struct rig *rig)
{
	unsigned before;

	fault_disk_hold(&rig->disk, FAULT_FDATASYNC, false);
	send(rig, 9, rig->sent + 1, true); /* the first segment exists afterwards */
	UNTIL(rig, rig->answered == rig->sent);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_failed_sync),
		cmocka_unit_test(test_short_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
