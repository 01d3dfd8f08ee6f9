/*
 * Two slots, written in turn: a torn write costs the newer one, and the older still names the
 * log.
 */
#include "broker/meta.h"

#include <errno.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/disk_ops.h"
#include "base/mem.h"
#include "broker/bytes.h"

#define META_NAME    "META"
#define META_MAGIC   "PILMETA1"
#define META_VERSION 1
#define META_SLOT    512
#define META_CRC_AT  (META_SLOT - 4)

/* Fixed offsets; what is not named is zero and free for later versions. */
static void encode(const struct meta *meta, uint8_t ret_slot[META_SLOT])
{
	memset(ret_slot, 0, META_SLOT);
	memcpy(ret_slot, META_MAGIC, 8);
	bytes_put32(ret_slot + 8, META_VERSION);
	ret_slot[12] = meta->clean;
	bytes_put64(ret_slot + 16, meta->log);
	bytes_put64(ret_slot + 24, meta->generation);
	memcpy(ret_slot + 32, meta->hash_key, sizeof meta->hash_key);
	bytes_put32(ret_slot + META_CRC_AT, crc32c(0, ret_slot, META_CRC_AT));
}

/* The sum first: a version number that is noise must not turn the spool off. */
static int decode(const uint8_t slot[META_SLOT], struct meta *ret_meta)
{
	if (memcmp(slot, META_MAGIC, 8) != 0 ||
		bytes_get32(slot + META_CRC_AT) != crc32c(0, slot, META_CRC_AT)) {
		return -EBADMSG;
	}
	if (bytes_get32(slot + 8) != META_VERSION) {
		return -EPROTONOSUPPORT;
	}
	ret_meta->clean = slot[12] == 1;
	ret_meta->log = bytes_get64(slot + 16);
	ret_meta->generation = bytes_get64(slot + 24);
	memcpy(ret_meta->hash_key, slot + 32, sizeof ret_meta->hash_key);
	return 0;
}

/* The higher generation of those that are whole. */
int meta_load(struct disk *disk, struct meta *ret_meta)
{
	struct meta slots[2] = {{.log = 0}, {.log = 0}};
	uint8_t *data;
	size_t size;
	int first, second;
	int status = disk_load_file(disk, META_NAME, 2 * META_SLOT, &data, &size);

	if (status < 0) {
		return status == -EFBIG ? -EBADMSG : status;
	}
	first = size >= META_SLOT ? decode(data, &slots[0]) : -EBADMSG;
	second = size >= 2 * META_SLOT ? decode(data + META_SLOT, &slots[1]) : -EBADMSG;
	mem_free(data);
	/* A slot of a later version means a later program wrote here: hands off. */
	if (first == -EPROTONOSUPPORT || second == -EPROTONOSUPPORT) {
		return -EPROTONOSUPPORT;
	}
	if (first < 0 && second < 0) {
		return -EBADMSG;
	}
	*ret_meta = second == 0 && (first < 0 || slots[1].generation > slots[0].generation)
			    ? slots[1]
			    : slots[0];
	return 0;
}

/* Both slots alike, and the file appears whole or not at all. */
int meta_create(struct disk *disk, const struct meta *meta)
{
	uint8_t slots[2 * META_SLOT];

	encode(meta, slots);
	encode(meta, slots + META_SLOT);
	return disk_replace_file(disk, META_NAME, slots, sizeof slots);
}

/* The slot that is not in force is overwritten. */
int meta_store(struct disk *disk, struct meta *meta)
{
	uint8_t slot[META_SLOT];
	int file, status;

	meta->generation++;
	encode(meta, slot);
	file = disk->ops->open(disk, META_NAME, DISK_WRITE);
	if (file < 0) {
		return file;
	}
	status = disk_write_all(disk, file, slot, sizeof slot, (meta->generation & 1) * META_SLOT);
	if (status == 0) {
		status = disk->ops->fdatasync(disk, file);
	}
	ASSERT(status <= 0);
	(void)disk->ops->close(disk, file);
	return status;
}
