/*
 * wal: the replica's log on disk as a row of preallocated segments (registry.md 5, RS-02..RS-04).
 * A batch is what one sync makes durable. Truncation is a record, never an overwrite; only whole
 * segments are deleted. Recovery first looks and decides (wal_recover), then, after the caller has
 * made the uncertain flag durable, repairs (wal_repair). Blocking; start-up or disk thread.
 */
#ifndef PILLION_RAFTREG_WAL_H
#define PILLION_RAFTREG_WAL_H

#include <pthread.h>
#include <stdbool.h>

#include "base/disk_ops.h"
#include "base/slice.h"
#include "raftreg/core/message.h"

#define WAL_SEGMENT_SIZE (16u * 1024 * 1024)
#define WAL_BATCH_MAX	 (8u * 1024 * 1024) /* RS-04; a segment always has room for one */
#define WAL_HEADER_SIZE	 4096u
#define WAL_RECORD_SIZE	 64u
#define WAL_FORMAT	 1
#define WAL_SPARE	 "spare.tmp"
#define WAL_NAME_SIZE	 64

/* registry.md 5. A seal ends a segment and holds no index of its own. */
enum wal_type { WAL_ENTRY = 1, WAL_CONF = 2, WAL_TRUNCATE = 3, WAL_SEAL = 4 };

struct wal_item {
	enum wal_type type; /* not WAL_SEAL */
	uint64_t index, term;
	struct raft_payload *payload; /* borrowed; NULL: empty */
};

struct wal_segment {
	/* Numbers rise by one: after truncations the order of first indexes is not that of time. */
	uint64_t number, first;
	uint64_t high; /* highest index of an entry in it; first - 1: none */
	uint64_t low;  /* lowest index that its records speak of */
	char name[WAL_NAME_SIZE];
};

struct wal {
	struct disk *disk;
	uint8_t uuid[16];
	uint64_t id;
	uint64_t segment_size;
	struct wal_segment *segments; /* by number; the last one is written to */
	size_t count, capacity;
	int file; /* of the last segment; -1: none is open */
	uint64_t offset;
	/* RS-03: continues from record to record and from segment to segment. */
	uint32_t chain;
	uint64_t last_index, last_term;
	uint64_t durable;   /* last index that a sync covered */
	uint64_t commit;    /* the highest known, written into records */
	uint64_t bytes;	    /* written since the last snapshot */
	_Atomic bool spare; /* WAL_SPARE is ready (background thread sets it) */
	uint64_t next_number;
	pthread_mutex_t spare_lock; /* held while the spare is made or taken */
};

/* segment_size 0: the usual. Creates no file. */
void wal_init(struct wal *wal, struct disk *disk, uint64_t segment_size);
void wal_fini(struct wal *wal);
/* What the headers of new segments say; before the first append. */
void wal_identify(struct wal *wal, const uint8_t uuid[16], uint64_t id);
/* Nothing is on disk: the log begins after (index, term); deletes every segment there is, after
 * the new empty one is durable (install, RS-05). */
int wal_reset(struct wal *wal, uint64_t index, uint64_t term);
/* Writes the items as batches and syncs: durable when it returns 0. Entries are contiguous. */
int wal_write(struct wal *wal, const struct wal_item *items, size_t count);
/* Deletes whole segments that hold nothing above index (never the last), oldest first. */
int wal_compact(struct wal *wal, uint64_t index);
/* Background thread: makes the spare segment unless it is there. */
int wal_prepare_spare(struct wal *wal);

/* What a look at the segments found. */
struct wal_recovered {
	struct raft_entry *entries; /* owned, with one reference each */
	size_t count, capacity;
	uint64_t before_index, before_term; /* the position before entries[0] */
	bool before_known;		    /* its term is known */
	uint64_t commit;		    /* highest seen in a record, at most the last index */
	bool torn, corrupt;
	char file[WAL_NAME_SIZE]; /* where the damage is */
	uint64_t offset;	  /* in that file */
	size_t segment;		  /* index of that segment */
};
/* 0 or -errno. Formats were looked at before (RS-11): a segment of another one is damage here. */
int wal_recover(struct wal *wal, struct wal_recovered *ret_recovered);
/* Instead of both: every segment becomes a .bad, the log is empty. */
int wal_set_aside(struct wal *wal);
/* Cuts a torn tail, sets corrupt segments aside as .bad, makes the log ready for wal_write. */
int wal_repair(struct wal *wal, const struct wal_recovered *recovered);
void wal_recovered_fini(struct wal_recovered *recovered);

/* RS-11: the format number of a segment's header whose CRC is right; -EBADMSG: it is not one. */
int wal_header_format(const uint8_t *header);

/* For wal.c and wal_recover.c. */
void wal_encode_header(const struct wal *wal, const struct wal_segment *segment, uint32_t chain,
	uint8_t ret_header[WAL_HEADER_SIZE]);
void wal_encode_record(const struct wal_item *item, uint8_t type, uint8_t flags, uint32_t *chain,
	const uint64_t commit_durable[2], uint8_t ret_record[WAL_RECORD_SIZE]);
/* A new empty segment after (index, term); older ones stay. */
int wal_begin(struct wal *wal, uint64_t index, uint64_t term);
/* Deletes the oldest `count` segments. */
int wal_delete(struct wal *wal, size_t count);
/* The returned place is valid until the next one is added. */
struct wal_segment *wal_add_segment(struct wal *wal, const struct wal_segment *segment);

#endif
