/*
 * spool: the one write-ahead log of a sidecar (docs/rules/broker.md 9), as plain synchronous calls
 * over disk_ops: opening with recovery, appending and syncing batches, giving segments back. It
 * knows topics, cursors and counts per segment; which message is still wanted is its caller's
 * knowledge. Owner: spool_thread; one thread at a time.
 */
#ifndef PILLION_BROKER_SPOOL_H
#define PILLION_BROKER_SPOOL_H

#include "base/err.h"
#include "base/map.h"
#include "broker/meta.h"
#include "broker/segment.h"

struct disk;
struct rng;

#define SPOOL_TOPICS_MAX  110000 /* L2, and a dead-letter topic for each cursor of L3 */
#define SPOOL_TOPIC_MAX	  280	 /* of a dead-letter topic: topic, ".dlq.", group */
#define SPOOL_BATCH_BYTES ((size_t)4 << 20)
#define SPOOL_BAD_KEPT	  2

struct spool_options {
	struct disk *disk;
	struct rng *rng; /* salts */
	uint64_t bytes;	 /* quota */
	uint64_t segment;
	uint64_t wall_ms;
};

/* One message as its owner remembers it. */
struct spool_message {
	uint64_t lsn;
	uint64_t seq;
	uint64_t time_ms;
	uint64_t expiry_ms;
	uint32_t length; /* of the record */
	uint32_t only;	 /* sum of the name of the one group that gets it; 0: all */
	uint16_t attributes;
	uint8_t flags;
};

struct spool_topic {
	uint32_t number; /* from 1 */
	char name[SPOOL_TOPIC_MAX + 1];
	uint64_t last_seq;
	struct map cursors; /* group -> struct buf with the body of its last CURSOR record */
	struct map removed; /* group -> struct spool_removed */
	/* What recovery found, ascending by seq; taken over by the owner (spool_take_messages). */
	struct spool_message *messages;
	size_t count, capacity;
};

/* One record to append. The bytes stay the caller's until the call returned. */
struct spool_entry {
	struct spool_entry *next;
	struct record record; /* synced is set here */
	struct slice attributes;
	struct slice body;
	bool reserve; /* may use the reserved segment: cursors, losses, dead letters */
	uint64_t lsn; /* result */
	int status;   /* result: 0, -ENOSPC (quota or disk full), -EIO (the spool failed) */
	uint8_t header[RECORD_HEADER];
};

struct spool_loss { /* sequence numbers that are gone, found at the start */
	uint32_t topic;
	uint64_t first, last;
	bool corrupt; /* else torn: no fsync answer covered them */
};

#define SPOOL_LOSSES_MAX 1024

struct spool_report { /* what recovery saw */
	uint64_t segments, records, holes, torn, corrupt, bad_bodies, lost_messages;
	struct spool_loss losses[SPOOL_LOSSES_MAX];
	size_t loss_count;
	bool was_clean;
};

struct spool {
	struct spool_options options;
	struct meta meta;
	struct list_node segments;   /* oldest first */
	struct segment *current;     /* the last one, or NULL before the first append */
	struct segment *stock;	     /* the next one, prepared; in no list; NULL: none */
	struct spool_topic **topics; /* by number - 1; NULL where a number is not known */
	uint32_t topic_count;
	struct map names;     /* name -> struct spool_topic */
	size_t removed_count; /* of all topics */
	size_t state_bytes;   /* of the block that a new segment begins with */
	uint64_t next_segment;
	uint64_t total_bytes; /* of all segments, the stock too */
	uint64_t written_lsn, synced_lsn;
	unsigned grown; /* segments made since the start: the first ones are small */
	uint64_t waits; /* times an append waited for a segment to be prepared */
	bool disk_full; /* the last segment that was wanted found no place on the disk */
	bool failed;	/* B9-08: final */
	struct spool_report report;
};

/* 0; -errno with err: nothing was overwritten and the spool is off. */
MUST_CHECK int spool_open(
	const struct spool_options *options, struct spool **ret_spool, struct err *err);
/* In order: syncs, writes END, the clean flag. NULL allowed. */
void spool_close(struct spool *spool);
/* Without any of that, as after a crash. */
void spool_abandon(struct spool *spool);

struct spool_topic *spool_find(const struct spool *spool, struct slice name);
/* Messages in a recovered topic; the array is the caller's (mem_free). */
struct spool_message *spool_take_messages(struct spool_topic *topic, size_t *ret_count);

/* Writes all entries; the batch is not durable yet. Every entry has its status afterwards. */
void spool_append(struct spool *spool, struct spool_entry *first);
/* One fdatasync for everything written. 0 or -EIO; a failure is final. */
MUST_CHECK int spool_sync(struct spool *spool);
/* A message of that segment is wanted no more, and the cursors that say so are synced. */
void spool_release(struct spool *spool, uint64_t segment, uint64_t count);
/* Deletes sealed segments without wanted messages; returns how many. */
unsigned spool_reclaim(struct spool *spool);
/* B9-02: whether the next segment should be prepared now, and as what. Until it came no rotation
 * may happen: spool_fits tells whether an append can need one. */
bool spool_wants_stock(struct spool *spool, struct segment_header *ret_header, uint64_t *ret_size);
void spool_stock(struct spool *spool, struct segment *segment); /* takes it */
/* Records of that size go into the current segment. */
bool spool_fits(const struct spool *spool, uint64_t bytes, bool reserve);
/* Bytes of records that fit before a quota refusal. */
uint64_t spool_room(const struct spool *spool);
uint64_t spool_unsynced(const struct spool *spool);

#endif
