/*
 * The vote file. A write goes over the slot that does not hold the newest version and is
 * durable when it returns; a torn write therefore only costs the write itself. Which slot
 * follows from the version number, so no state outside the file is needed to choose it.
 */
#include "raftreg/vote.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "raftreg/bytes.h"

/* The last character is the format. */
#define MAGIC	       "PLNVOTE1"
#define MAGIC_SIZE     8
#define CRC_OFFSET     (VOTE_SLOT_SIZE - 4)
#define FLAG_UNCERTAIN 1u

/* registry.md 5 has the offsets. The peers' part stays zero until RI-04 is in force. */
void vote_encode(const struct vote *vote, uint8_t ret_slot[VOTE_SLOT_SIZE])
{
	ASSERT(vote->id != 0);
	memset(ret_slot, 0, VOTE_SLOT_SIZE);
	memcpy(ret_slot, MAGIC, MAGIC_SIZE);
	bytes_put64(ret_slot + 8, vote->version);
	bytes_put64(ret_slot + 16, vote->term);
	bytes_put64(ret_slot + 24, vote->vote);
	bytes_put64(ret_slot + 32, vote->id);
	memcpy(ret_slot + 40, vote->incarnation, sizeof vote->incarnation);
	memcpy(ret_slot + 56, vote->uuid, sizeof vote->uuid);
	bytes_put64(ret_slot + 72, vote->epoch);
	bytes_put64(ret_slot + 80, vote->boot_count);
	bytes_put64(ret_slot + 88, vote->snapshot_index);
	bytes_put64(ret_slot + 96, vote->snapshot_term);
	bytes_put32(ret_slot + 104, vote->uncertain ? FLAG_UNCERTAIN : 0);
	bytes_put32(ret_slot + CRC_OFFSET, crc32c(0, ret_slot, CRC_OFFSET));
}

/* After the CRC: a torn slot has no format. */
int vote_slot_format(const uint8_t *slot)
{
	if (bytes_get32(slot + CRC_OFFSET) != crc32c(0, slot, CRC_OFFSET) ||
		memcmp(slot, MAGIC, MAGIC_SIZE - 1) != 0) {
		return -EBADMSG;
	}
	return slot[MAGIC_SIZE - 1] - '0';
}

int vote_decode(const uint8_t slot[VOTE_SLOT_SIZE], struct vote *ret_vote)
{
	struct vote vote = {0};
	int format = vote_slot_format(slot);

	if (format != VOTE_FORMAT) {
		return format == -EBADMSG ? -EBADMSG : -ENOTSUP;
	}
	vote.version = bytes_get64(slot + 8);
	vote.term = bytes_get64(slot + 16);
	vote.vote = bytes_get64(slot + 24);
	vote.id = bytes_get64(slot + 32);
	memcpy(vote.incarnation, slot + 40, sizeof vote.incarnation);
	memcpy(vote.uuid, slot + 56, sizeof vote.uuid);
	vote.epoch = bytes_get64(slot + 72);
	vote.boot_count = bytes_get64(slot + 80);
	vote.snapshot_index = bytes_get64(slot + 88);
	vote.snapshot_term = bytes_get64(slot + 96);
	vote.uncertain = (bytes_get32(slot + 104) & FLAG_UNCERTAIN) != 0;
	if (vote.id == 0 || (vote.term == 0 && vote.vote != 0)) {
		return -EBADMSG;
	}
	*ret_vote = vote;
	return 0;
}

/* The better of what is known and the slot at `offset`. */
static int consider(struct disk *disk, int file, uint64_t offset, int known, struct vote *ret_vote)
{
	uint8_t slot[VOTE_SLOT_SIZE];
	struct vote vote;
	int result = disk_read_all(disk, file, slot, sizeof slot, offset);

	if (result == 0) {
		result = vote_decode(slot, &vote);
	}
	if (result == -ENOTSUP || known == -ENOTSUP) {
		return -ENOTSUP;
	}
	if (result < 0) {
		return known;
	}
	if (known < 0 || vote.version > ret_vote->version) {
		*ret_vote = vote;
	}
	return 0;
}

/* Two good slots differ in version; the higher one was written last. */
int vote_load(struct disk *disk, struct vote *ret_vote)
{
	int file = disk->ops->open(disk, VOTE_FILE, DISK_READ);
	struct vote vote = {0};
	int result;

	if (file < 0) {
		return file;
	}
	result = consider(disk, file, 0, -EBADMSG, &vote);
	result = consider(disk, file, VOTE_SLOT_SIZE, result, &vote);
	(void)disk->ops->close(disk, file);
	if (result == 0) {
		ASSERT(vote.id != 0);
		*ret_vote = vote;
	}
	return result;
}

/* RS-01: complete, synced and renamed before the id in it is used by anybody. */
int vote_create(struct disk *disk, const struct vote *vote)
{
	uint8_t *slots = mem_zalloc(2 * VOTE_SLOT_SIZE);
	int result;

	/* Both slots at once: version 0 and 1 must not tie. */
	ASSERT(vote->version > 0);
	vote_encode(vote, slots + (vote->version % 2) * VOTE_SLOT_SIZE);
	result = disk_replace_file(disk, VOTE_FILE, slots, 2 * VOTE_SLOT_SIZE);
	mem_free(slots);
	return result;
}

/* O_DSYNC: the write is the sync, so no vote can be sent between the two (RC-04). */
int vote_open(struct disk *disk)
{
	return disk->ops->open(disk, VOTE_FILE, DISK_WRITE | DISK_DSYNC);
}

/* RS-01, RS-15: an error means the role stops; the older slot still holds the last
 * good facts. */
int vote_write(struct disk *disk, int file, struct vote *vote)
{
	uint8_t slot[VOTE_SLOT_SIZE];
	uint64_t offset;

	/* A version's slot follows from its number, so the newest is never written over. */
	vote->version++;
	offset = (vote->version % 2) * VOTE_SLOT_SIZE;
	vote_encode(vote, slot);
	return disk_write_all(disk, file, slot, sizeof slot, offset);
}
