/*
 * fault_disk: a disk that does what another one does, but for the n-th call of one operation, which
 * fails, or waits until it is let go. Owner: the test; its calls may come from any thread.
 */
#ifndef PILLION_TESTS_BROKER_FAULT_DISK_H
#define PILLION_TESTS_BROKER_FAULT_DISK_H

#include <pthread.h>

#include "base/disk_ops.h"

enum fault_op {
	FAULT_OPEN,
	FAULT_PREAD,
	FAULT_PWRITEV,
	FAULT_FDATASYNC,
	FAULT_FALLOCATE,
	FAULT_RENAME,
	FAULT_UNLINK,
	FAULT_FSYNC_DIR,
	FAULT_OPS,
};

struct fault_disk {
	struct disk disk;
	struct disk *real;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned calls[FAULT_OPS];   /* so far */
	unsigned fail_at[FAULT_OPS]; /* that call and `times` - 1 more fail; 0: none */
	unsigned times[FAULT_OPS];
	int error[FAULT_OPS]; /* errno */
	bool held[FAULT_OPS]; /* calls wait */
	bool shortly;	      /* writes take half of what they are given, or are interrupted */
};

void fault_disk_init(struct fault_disk *disk, struct disk *real);
void fault_disk_fini(struct fault_disk *disk);
/* The n-th call from now on (from 1), and `times` - 1 behind it. */
void fault_disk_fail(
	struct fault_disk *disk, enum fault_op op, unsigned n, unsigned times, int error);
void fault_disk_hold(struct fault_disk *disk, enum fault_op op, bool held);
unsigned fault_disk_calls(struct fault_disk *disk, enum fault_op op);

#endif
