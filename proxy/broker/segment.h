/*
 * segment: one file of the spool: prepared whole before its first record (B9-02), scanned record by
 * record after a crash (B9-06). Owner: the spool. The disk thread, or the start-up.
 */
#ifndef PILLION_BROKER_SEGMENT_H
#define PILLION_BROKER_SEGMENT_H

#include "base/list.h"
#include "broker/record.h"

struct disk;

#define SEGMENT_NAME_SIZE 32

struct segment {
	struct list_node node; /* of the spool, oldest first */
	struct segment_header header;
	uint64_t size;
	uint64_t end;	  /* where the next record goes */
	uint64_t durable; /* recovery: everything below was synced once */
	uint64_t live;	  /* messages in it that may still be wanted */
	int file;	  /* -1: sealed */
	bool damaged;	  /* kept as .bad when it goes */
};

/* "<16 hex>.seg" and back. */
void segment_name(uint64_t number, const char *suffix, char ret_name[SEGMENT_NAME_SIZE]);
bool segment_parse_name(const char *name, const char *suffix, uint64_t *ret_number);

/* A segment that is being prepared, in pieces, so that whoever does it can do other things between
 * them. Any thread, one at a time. */
struct segment_making {
	struct disk *disk;
	struct segment_header header;
	uint64_t size;
	uint64_t at; /* zeroed and durable up to here */
	int file;
};
MUST_CHECK int segment_begin(struct disk *disk, const struct segment_header *header, uint64_t size,
	struct segment_making *ret_making);
/* 1: go on; 0: a zeroed file with its header, durable under its name, open for writing; -errno:
 * given up, nothing is left of it. */
MUST_CHECK int segment_step(struct segment_making *making, struct segment **ret_segment);
void segment_give_up(struct segment_making *making);
/* All of it at once. */
MUST_CHECK int segment_create(struct disk *disk, const struct segment_header *header, uint64_t size,
	struct segment **ret_segment);
/* One that exists, prepared and without a record; file is open for writing. */
struct segment *segment_adopt(const struct segment_header *header, uint64_t size, int file);
void segment_destroy(struct segment *segment, struct disk *disk); /* closes; the file stays */

/* Where a scan reads from. */
struct segment_source {
	uint64_t size;
	int (*read)(struct segment_source *source, void *data, size_t size, uint64_t offset);
};

struct segment_found {
	struct record record;
	uint64_t offset;
	struct slice attributes;
	struct slice body;
	bool intact; /* the sum over attributes and body is right */
};

struct segment_visitor {
	void (*on_record)(void *owner, const struct segment_found *found);
	/* Bytes that are no record, followed by records or by the end. */
	void (*on_damage)(void *owner, uint64_t offset, uint64_t size, bool at_end);
	void *owner;
};

/* Reads the header; 0 or as record_decode_segment, or -errno of the source. */
MUST_CHECK int segment_read_header(
	struct segment_source *source, struct segment_header *ret_header);
/* Visits every record; *ret_end is behind the last one. 0, or -errno of the source. */
MUST_CHECK int segment_scan(struct segment_source *source, const struct segment_header *header,
	const struct segment_visitor *visitor, uint64_t *ret_end);

#endif
