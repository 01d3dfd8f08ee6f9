/*
 * record: the bytes of the spool (docs/rules/broker.md B9-01): the header of a segment, the header
 * of a record, and the attributes behind it. Little endian, records aligned to 8. Values; pure.
 */
#ifndef PILLION_BROKER_RECORD_H
#define PILLION_BROKER_RECORD_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/slice.h"

enum {
	RECORD_HEADER = 56,
	RECORD_ALIGN = 8,
	RECORD_LENGTH_MAX = 20 << 20, /* the largest message, its attributes and the header */
	SEGMENT_HEADER = 64,
	SEGMENT_FIRST = 4096, /* offset of the first record */
};

enum record_type {
	RECORD_MSG = 1,
	RECORD_TOPIC,
	RECORD_CURSOR,
	RECORD_DELAY,
	RECORD_DELAY_DONE,
	RECORD_LOST,
	RECORD_END,
};

enum record_flag {
	RECORD_MOVED = 1,
	RECORD_DEAD_LETTER = 2,
	RECORD_ONLY_GROUP = 4,
	RECORD_REFUSED = 8, /* of LOST: a number that was given to a message and then refused */
};

struct record {
	uint32_t pcrc;	     /* of attributes and body */
	uint32_t length;     /* with the header, without padding */
	uint16_t attributes; /* bytes */
	uint8_t type;	     /* enum record_type, or one of a later version */
	uint8_t flags;
	uint32_t topic;
	uint32_t key_crc; /* 0: no key */
	uint64_t seq;
	uint64_t time_ms;
	uint64_t expiry_ms; /* 0: none */
	uint64_t synced;    /* LSN that was durable when this was written */
};

/* A message, or a number without one: kept until all groups have passed it. */
static inline bool record_is_kept(const struct record *record)
{
	return record->type == RECORD_MSG ||
	       (record->type == RECORD_LOST && (record->flags & RECORD_REFUSED) != 0);
}

static inline uint64_t record_lsn(uint64_t segment, uint64_t offset)
{
	return segment << 32 | offset;
}

static inline uint64_t record_padded(uint64_t length)
{
	return (length + RECORD_ALIGN - 1) & ~(uint64_t)(RECORD_ALIGN - 1);
}

/* hcrc is made here, so `synced` must be final. */
void record_encode(const struct record *record, uint32_t salt, uint8_t ret_bytes[RECORD_HEADER]);
/* False: another hcrc, or a length that no record has. */
MUST_CHECK bool record_decode(
	const uint8_t bytes[RECORD_HEADER], uint32_t salt, struct record *ret_record);
uint32_t record_pcrc(struct slice attributes, struct slice body);
/* B9-01: 0 means "no key", so a real 0 is stored as 1. */
uint32_t record_key_crc(struct slice key);

/* The attribute that names the one group that gets a message (B10-11), as a sum; 0: all get it. */
#define RECORD_ONLY_ATTRIBUTE "pilliongroup"
uint32_t record_only(struct slice attributes);

/* Attributes: u8 name length, u16 value length, name, value. */
void record_put_attribute(struct buf *buf, struct slice name, struct slice value);
/* Takes the next one off *rest. 1 taken, 0 at the end, -EBADMSG. */
MUST_CHECK int record_next_attribute(
	struct slice *rest, struct slice *ret_name, struct slice *ret_value);
/* The value, or an empty slice with data NULL. */
struct slice record_attribute(struct slice attributes, struct slice name);

struct segment_header {
	uint32_t salt;
	uint64_t log;
	uint64_t number;
	uint64_t created_ms;
};

void record_encode_segment(const struct segment_header *header, uint8_t ret_bytes[SEGMENT_HEADER]);
/* 0; -EBADMSG: no header; -EPROTONOSUPPORT: of another version. */
MUST_CHECK int record_decode_segment(
	const uint8_t bytes[SEGMENT_HEADER], struct segment_header *ret_header);

#endif
