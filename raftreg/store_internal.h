/*
 * store_internal: the struct that store.c (threads) and store_open.c (recovery) share.
 */
#ifndef PILLION_RAFTREG_STORE_INTERNAL_H
#define PILLION_RAFTREG_STORE_INTERNAL_H

#include <pthread.h>

#include "raftreg/store.h"

/* Both are removed at every start: without the rename they never counted. */
#define STORE_SNAPSHOT_TMP "snapshot.tmp"
#define STORE_STAGED_TMP   "staged.tmp"
#define STORE_FILE_MAX	   (4ull << 30) /* registry.state_bytes_max cannot be higher */

struct store {
	struct disk *disk;
	struct vote vote; /* the disk thread's once it runs */
	int vote_file;	  /* -1: none */
	struct wal wal;	  /* the disk thread's; `spare` is shared */
	uint64_t snapshot_index, snapshot_term;

	struct loop *loop; /* the registry's */
	const struct store_events *events;
	void *owner;
	struct mailbox *disk_box, *background_box;
	pthread_t disk_thread, background_thread;
	bool running;
	/* Set once and never cleared. failed: RS-15, nothing is written any more. */
	_Atomic bool stopping;
	_Atomic bool failed;
	_Atomic bool full;	   /* RS-14: no room for the spare */
	_Atomic bool snapshot_bad; /* the current one was set aside: its index may come again */

	struct store_batch **gathered; /* of the disk thread: wait for one sync */
	size_t gathered_count, gathered_capacity;

	_Atomic uint64_t syncs, sync_us, sync_us_max, batches, log_bytes, tail_cuts, corruptions;
};

/* The disk thread's work, blocking: what is gathered becomes durable (RC-04). */
int store_write_gathered(struct store *store);
/* STORE_SNAPSHOT_TMP, complete and durable, becomes the snapshot; the log is cut (RS-05). */
int store_publish(
	struct store *store, const struct raft_snapshot *snapshot, uint64_t compact_index);
/* Deletes snapshots older than the current one and the one before it. */
int store_drop_old_snapshots(struct store *store);

#endif
