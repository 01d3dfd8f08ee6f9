/*
 * meta: the file META of a spool: who this log is. Two slots of 512 bytes, written in turn, each
 * with a sum (B9-01). A value; the disk thread or the start-up.
 */
#ifndef PILLION_BROKER_META_H
#define PILLION_BROKER_META_H

#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"

struct disk;

struct meta {
	uint64_t log;
	uint8_t hash_key[16];
	uint64_t generation; /* the higher slot is in force */
	bool clean;	     /* the last owner ended in order */
};

/* 0; -ENOENT: no file; -EBADMSG: both slots are bad; -EPROTONOSUPPORT: of another version. */
MUST_CHECK int meta_load(struct disk *disk, struct meta *ret_meta);
/* The first one: the whole file. */
MUST_CHECK int meta_create(struct disk *disk, const struct meta *meta);
/* Raises the generation and writes the older slot. */
MUST_CHECK int meta_store(struct disk *disk, struct meta *meta);

#endif
