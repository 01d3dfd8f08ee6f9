/*
 * vote: the replica's own facts on disk: term and vote, identity, cluster, boot count, which
 * snapshot counts (registry.md 5, RS-01). Two slots of 4096 bytes; each write goes over the older
 * one with O_DSYNC, so one good slot is always there. Blocking; start-up or disk thread.
 */
#ifndef PILLION_RAFTREG_VOTE_H
#define PILLION_RAFTREG_VOTE_H

#include <stdbool.h>

#include "base/disk_ops.h"

#define VOTE_SLOT_SIZE 4096
#define VOTE_FILE      "vote"
#define VOTE_FORMAT    1

struct vote {
	uint64_t version;
	uint64_t term, vote; /* vote 0: none */
	uint64_t id;	     /* of this replica, never 0 */
	uint8_t incarnation[16];
	uint8_t uuid[16]; /* zero: belongs to no cluster yet */
	uint64_t epoch;	  /* counter in the high half, nonce in the low one (RI-02) */
	uint64_t boot_count;
	uint64_t snapshot_index, snapshot_term; /* 0: none */
	bool uncertain;				/* RI-06 */
};

/* Pure, with every unused byte zero, so that equal facts give equal slots. */
void vote_encode(const struct vote *vote, uint8_t ret_slot[VOTE_SLOT_SIZE]);
/* RS-11: the format number of a slot whose CRC is right; -EBADMSG: it is not one. */
int vote_slot_format(const uint8_t *slot);
/* 0; -EBADMSG; -ENOTSUP: of another format. */
int vote_decode(const uint8_t slot[VOTE_SLOT_SIZE], struct vote *ret_vote);

/* The newest valid slot. -ENOENT: no file; -EBADMSG: neither slot can be read (RI-05). */
int vote_load(struct disk *disk, struct vote *ret_vote);
/* The file, complete and durable, before the id in it is used. */
int vote_create(struct disk *disk, const struct vote *vote);
/* For vote_write; a file handle or -errno. */
int vote_open(struct disk *disk);
/* One durable write; raises vote->version. */
int vote_write(struct disk *disk, int file, struct vote *vote);

#endif
