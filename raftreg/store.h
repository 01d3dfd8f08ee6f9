/*
 * store: everything a replica has on disk (vote, log, snapshots), its recovery, and the two threads
 * that write it (RR-02): the disk thread does vote, log and directory in order, many sequences
 * under one sync; the background thread writes snapshot files and spare segments. Results come back
 * by the mailbox of the registry's loop. The first error stops everything for good (RS-15).
 */
#ifndef PILLION_RAFTREG_STORE_H
#define PILLION_RAFTREG_STORE_H

#include "base/err.h"
#include "net/mailbox.h"
#include "raftreg/core/event.h"
#include "raftreg/snapfile.h"
#include "raftreg/vote.h"
#include "raftreg/wal.h"

struct loop;
struct store;

struct store_options {
	struct disk *disk;     /* <data_dir>/raft; the caller's */
	uint64_t segment_size; /* 0: the usual */
};

struct store_recovered {
	struct vote vote; /* boot_count already raised, durably */
	bool fresh;	  /* the directory was empty: a new identity was made (RI-01) */
	bool has_snapshot;
	struct snapfile_meta meta;
	struct buf state;
	uint64_t snapshot_bytes;
	struct wal_recovered log;
	char damage[160]; /* what was cut or set aside, or empty; for the log */
};

/* Blocking. 0, or -errno with err: 2102, 2103, 2104. */
MUST_CHECK int store_open(const struct store_options *options, struct store **ret_store,
	struct store_recovered *ret_recovered, struct err *err);
void store_recovered_fini(struct store_recovered *recovered);
/* Before start: makes this directory the first replica of a new cluster; entry 1 is `payload`.
 * Blocking; also while the threads run, from the registry thread, as long as nothing was
 * submitted. */
int store_bootstrap(
	struct store *store, const uint8_t uuid[16], uint64_t epoch, struct raft_payload *payload);
/* The same for a replica that learnt which cluster it belongs to. */
int store_adopt(struct store *store, const uint8_t uuid[16], uint64_t epoch);

/* All run on the loop's thread. */
struct store_events {
	void (*on_persisted)(void *owner, uint64_t seq);
	void (*on_snapshot)(void *owner, const struct raft_snapshot *snapshot, uint64_t bytes);
	/* A received snapshot is durable (or not). */
	void (*on_staged)(void *owner, uint64_t token, bool ok);
	/* The file that was asked for, borrowed. Empty: it is not there, or (damaged) it could not
	 * be read and was set aside: another is to be made (RS-14). */
	void (*on_loaded)(void *owner, uint64_t token, struct slice file, bool damaged);
	/* RS-14: there is no room for a spare segment; there is again. */
	void (*on_space)(void *owner, bool full);
	void (*on_failed)(void *owner, int error, const char *what); /* once (RS-16) */
};
int store_start(
	struct store *store, struct loop *loop, const struct store_events *events, void *owner);
/* Joins both threads after what was submitted is done. No event afterwards; answers under way are
 * mails of the loop still: drain it before store_destroy. NULL is allowed. */
void store_stop(struct store *store);
void store_destroy(struct store *store);

/* One sequence of the core (RC-04). Filled by the caller, owned by the store once submitted. */
struct store_batch {
	struct mail mail;
	struct store *store;
	uint64_t seq;
	bool hard_changed;
	struct raft_hard hard;
	bool install;
	struct raft_snapshot snapshot; /* to install: staged before under (index, term) */
	uint64_t truncate_from, truncate_term;
	uint64_t commit;
	struct raft_entry *entries; /* with a reference each */
	size_t entry_count;
};
struct store_batch *store_batch_create(const struct raft_entry *entries, size_t count);
void store_batch_free(struct store_batch *batch);
/* In the order of their sequences; several of them may share one sync. */
void store_submit(struct store *store, struct store_batch *batch);

/* What a snapshot is made of (RS-06). `save` at most once, then `drop` once: on the background
 * thread, or where the store ends. */
struct store_source {
	void *context;
	void (*save)(void *context, struct buf *ret_state);
	void (*drop)(void *context);
};
/* Afterwards the log may be cut up to compact_index. */
void store_make_snapshot(struct store *store, const struct snapfile_meta *meta,
	const struct store_source *source, uint64_t compact_index);
/* RM-19: the file of another replica, written beside the own ones and not yet in
 * force; an install with the same (index, term) adopts it. `file` is taken over. */
void store_stage(struct store *store, uint64_t token, const struct raft_snapshot *snapshot,
	struct buf *file);
/* Tries again to make the spare segment; on_space says when it is there. */
void store_prepare_spare(struct store *store);
/* For a peer that needs what the log no longer has (RM-09). */
void store_load(struct store *store, uint64_t token, uint64_t index, uint64_t term);

struct store_figures { /* for metrics; any thread */
	uint64_t syncs, sync_us_total, sync_us_max, batches, log_bytes, tail_cuts, corruptions;
};
void store_figures(const struct store *store, struct store_figures *ret_figures);
uint64_t store_log_bytes(const struct store *store); /* written since the last snapshot */

#endif
