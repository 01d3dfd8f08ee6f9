/*
 * snapfile: a snapshot as one file: header, 256 KiB chunks with CRC, a keyed hash over everything
 * (registry.md RS-06). The same bytes lie on disk and travel to other replicas. Pure, but for
 * snapfile_write and snapfile_save, which are for background and disk threads.
 */
#ifndef PILLION_RAFTREG_SNAPFILE_H
#define PILLION_RAFTREG_SNAPFILE_H

#include "base/buf.h"
#include "base/disk_ops.h"
#include "raftreg/core/message.h"

/* RT-08: the same chunks travel to other replicas, so a chunk is also what one
 * message holds. */
#define SNAPFILE_CHUNK	   (256u * 1024)
#define SNAPFILE_NAME_SIZE 80
#define SNAPFILE_HEADER	   96u
#define SNAPFILE_FORMAT	   1

struct snapfile_meta {
	uint8_t uuid[16];
	uint64_t epoch;
	struct raft_snapshot snapshot;
	uint64_t state_hash; /* of the state's bytes (RD-03); snapfile_build finds it itself */
};

void snapfile_name(uint64_t index, uint64_t term, char ret_name[SNAPFILE_NAME_SIZE]);
/* True when the name is one of a snapshot. */
bool snapfile_parse_name(const char *name, uint64_t *ret_index, uint64_t *ret_term);
/* RS-06: equal states give equal files, on every replica. */
void snapfile_build(const struct snapfile_meta *meta, struct slice state, struct buf *ret_file);
/* RS-11: the format number of a header whose CRC is right; -EBADMSG: it is not one. */
MUST_CHECK int snapfile_header_format(const uint8_t *header);
/* Checks every byte. 0, -EBADMSG, -ENOTSUP (newer format). The state is appended to ret_state. */
int snapfile_parse(struct slice file, struct snapfile_meta *ret_meta, struct buf *ret_state);
/* Complete and durable under `name`, but for the directory entry (the caller renames); on failure
 * there is no such file. */
int snapfile_write(struct disk *disk, const char *name, struct slice file);
/* The same of what snapfile_build would make, without its copy of the state. */
int snapfile_save(struct disk *disk, const char *name, const struct snapfile_meta *meta,
	struct slice state, uint64_t *ret_size);

#endif
