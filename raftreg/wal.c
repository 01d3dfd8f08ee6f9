/*
 * Writing the log. Segments are zero-filled before use, so that a sync of an appended batch
 * writes data and no metadata; batches are gathered into one buffer and written by one call.
 * The chain makes every record depend on all before it: one that is stale or misplaced cannot
 * pass. Nothing is ever written over, but for the tail that recovery found torn.
 */
#include "raftreg/wal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "raftreg/bytes.h"

#define ZERO_PIECE (256u * 1024)
#define NAMES_MAX  1000u /* segments that may share a first index after truncations */

enum { FLAG_FIRST = 1, FLAG_LAST = 2 };

/* Records start at multiples of 8, so that recovery can look for later ones (RS-09). */
static size_t padded(size_t length)
{
	return (length + 7) / 8 * 8;
}

static size_t item_size(const struct wal_item *item)
{
	return WAL_RECORD_SIZE + (item->payload ? padded(item->payload->length) : 0);
}

/* Touches no file; the limits of a segment are set once, tests use small ones. */
void wal_init(struct wal *wal, struct disk *disk, uint64_t segment_size)
{
	*wal = (struct wal){.disk = disk,
		.segment_size = segment_size ? segment_size : WAL_SEGMENT_SIZE,
		.file = -1,
		.next_number = 1};
	(void)pthread_mutex_init(&wal->spare_lock, NULL);
	ASSERT(wal->segment_size % 8 == 0 && wal->segment_size > 2 * WAL_HEADER_SIZE);
}

/* Syncs nothing: whatever wal_write returned 0 for is durable already. */
void wal_fini(struct wal *wal)
{
	if (wal->file >= 0) {
		(void)wal->disk->ops->close(wal->disk, wal->file);
	}
	wal->file = -1;
	(void)pthread_mutex_destroy(&wal->spare_lock);
	mem_free(wal->segments);
	wal->segments = NULL;
	wal->count = wal->capacity = 0;
}

/* RS-02: headers name uuid and replica, so a segment of another directory is
 * noticed. */
void wal_identify(struct wal *wal, const uint8_t uuid[16], uint64_t id)
{
	ASSERT(wal->count == 0 && id != 0);
	memcpy(wal->uuid, uuid, sizeof wal->uuid);
	wal->id = id;
}

/* Kept in the order of numbers by the callers; next_number follows the highest ever
 * seen. */
struct wal_segment *wal_add_segment(struct wal *wal, const struct wal_segment *segment)
{
	if (wal->count == wal->capacity) {
		wal->capacity = wal->capacity ? wal->capacity * 2 : 8;
		wal->segments = mem_realloc(wal->segments, wal->capacity * sizeof *segment);
	}
	wal->segments[wal->count] = *segment;
	if (segment->number >= wal->next_number) {
		wal->next_number = segment->number + 1;
	}
	return &wal->segments[wal->count++];
}

/* RS-02, RS-03: the chain's seed ties the segment to the one before it, so a missing
 * or swapped segment shows. */
void wal_encode_header(const struct wal *wal, const struct wal_segment *segment, uint32_t chain,
	uint8_t ret_header[WAL_HEADER_SIZE])
{
	memset(ret_header, 0, WAL_HEADER_SIZE);
	memcpy(ret_header, "PLNLOG1\n", 8);
	bytes_put32(ret_header + 8, WAL_FORMAT);
	memcpy(ret_header + 16, wal->uuid, sizeof wal->uuid);
	bytes_put64(ret_header + 32, wal->id);
	bytes_put64(ret_header + 40, segment->first);
	bytes_put64(ret_header + 48, wal->last_term);
	bytes_put32(ret_header + 56, chain);
	bytes_put64(ret_header + 64, segment->number);
	bytes_put32(ret_header + WAL_HEADER_SIZE - 4, crc32c(0, ret_header, WAL_HEADER_SIZE - 4));
}

/* RS-09 rests on `durable`: a later record proves which earlier ones a sync had
 * covered. */
void wal_encode_record(const struct wal_item *item, uint8_t type, uint8_t flags, uint32_t *chain,
	const uint64_t commit_durable[2], uint8_t ret_record[WAL_RECORD_SIZE])
{
	const struct raft_payload *payload = item->payload;

	memset(ret_record, 0, WAL_RECORD_SIZE);
	memcpy(ret_record, "PLR1", 4);
	ret_record[4] = type;
	ret_record[5] = flags;
	bytes_put64(ret_record + 8, item->term);
	bytes_put64(ret_record + 16, item->index);
	bytes_put64(ret_record + 24, commit_durable[0]);
	bytes_put64(ret_record + 32, commit_durable[1]);
	bytes_put32(ret_record + 40, payload ? payload->length : 0);
	bytes_put32(ret_record + 44, payload ? crc32c(0, payload->bytes, payload->length) : 0);
	/* RS-03: stale, misplaced and missing records break the chain. */
	*chain = crc32c(*chain, ret_record, 48);
	bytes_put32(ret_record + 48, *chain);
	bytes_put32(ret_record + 52, crc32c(0, ret_record, 52));
}

/* Zeroes all of it, so that later syncs write no metadata (RS-02). */
static int fill_segment(const struct wal *wal, int file)
{
	uint8_t *zeros = mem_zalloc(ZERO_PIECE);
	uint64_t offset = 0;
	int result = wal->disk->ops->fallocate(wal->disk, file, wal->segment_size);

	/* File systems without it: writing the zeros allocates too. */
	result = result == -EOPNOTSUPP ? 0 : result;
	while (result == 0 && offset < wal->segment_size) {
		uint64_t left = wal->segment_size - offset;
		size_t piece = left < ZERO_PIECE ? (size_t)left : ZERO_PIECE;

		result = disk_write_all(wal->disk, file, zeros, piece, offset);
		offset += piece;
	}
	if (result == 0) {
		result = wal->disk->ops->fdatasync(wal->disk, file);
	}
	mem_free(zeros);
	return result;
}

/* Under its lock. What an earlier attempt left is no use: it may be half full. */
static int make_spare(struct wal *wal)
{
	struct disk *disk = wal->disk;
	int file;
	int result;

	if (atomic_load(&wal->spare)) {
		return 0;
	}
	(void)disk->ops->unlink(disk, WAL_SPARE);
	file = disk->ops->open(disk, WAL_SPARE, DISK_WRITE | DISK_CREATE);
	if (file < 0) {
		return file;
	}
	result = fill_segment(wal, file);
	(void)disk->ops->close(disk, file);
	if (result == 0) {
		atomic_store(&wal->spare, true);
	} else {
		(void)disk->ops->unlink(disk, WAL_SPARE); /* half of one only takes space away */
	}
	return result;
}

/* RS-02: zeroing 16 MiB takes long, so it happens off the disk thread; the lock only
 * matters when the disk thread runs out first and makes one itself. */
int wal_prepare_spare(struct wal *wal)
{
	int result;

	ASSERT(wal->disk);
	(void)pthread_mutex_lock(&wal->spare_lock);
	result = make_spare(wal);
	(void)pthread_mutex_unlock(&wal->spare_lock);
	return result;
}

/* The spare becomes the file `name` with that header; the open file or -errno. */
static int take_spare(struct wal *wal, const char *name, const uint8_t header[WAL_HEADER_SIZE])
{
	struct disk *disk = wal->disk;
	int file;
	int result = make_spare(wal);

	if (result < 0) {
		return result;
	}
	atomic_store(&wal->spare, false);
	file = disk->ops->open(disk, WAL_SPARE, DISK_WRITE);
	if (file < 0) {
		return file;
	}
	result = disk_write_all(disk, file, header, WAL_HEADER_SIZE, 0);
	result = result ? result : disk->ops->fdatasync(disk, file);
	result = result ? result : disk->ops->rename(disk, WAL_SPARE, name);
	result = result ? result : disk->ops->fsync_dir(disk);
	if (result < 0) {
		(void)disk->ops->close(disk, file);
		return result;
	}
	return file;
}

/* A name that is not taken: after truncations another segment may begin at the same index. */
static int choose_name(struct wal *wal, struct wal_segment *segment)
{
	for (unsigned attempt = 0; attempt < NAMES_MAX; attempt++) {
		bool taken = false;

		if (attempt == 0) {
			(void)snprintf(segment->name, sizeof segment->name, "%020llu.log",
				(unsigned long long)segment->first);
		} else {
			(void)snprintf(segment->name, sizeof segment->name, "%020llu-%llu.log",
				(unsigned long long)segment->first,
				(unsigned long long)segment->number + attempt - 1);
		}
		for (size_t i = 0; i < wal->count; i++) {
			taken = taken || strcmp(wal->segments[i].name, segment->name) == 0;
		}
		if (!taken) {
			return 0;
		}
	}
	return -EEXIST;
}

/* RS-02: header into the spare, sync, rename, sync of the directory. */
static int open_segment(struct wal *wal, uint64_t first)
{
	struct wal_segment segment = {.number = wal->next_number, .first = first, .low = first};
	uint8_t header[WAL_HEADER_SIZE];
	int file;
	int result = choose_name(wal, &segment);

	ASSERT(wal->id != 0 && first > 0);
	if (result < 0) {
		return result;
	}
	segment.high = first - 1;
	wal_encode_header(wal, &segment, wal->chain, header);
	(void)pthread_mutex_lock(&wal->spare_lock);
	file = take_spare(wal, segment.name, header);
	(void)pthread_mutex_unlock(&wal->spare_lock);
	if (file < 0) {
		return file;
	}
	if (wal->file >= 0) {
		(void)wal->disk->ops->close(wal->disk, wal->file);
	}
	wal->file = file;
	wal->offset = WAL_HEADER_SIZE;
	(void)wal_add_segment(wal, &segment);
	return 0;
}

/* Oldest first (RS-05): a crash in between leaves a log that only begins earlier. */
int wal_delete(struct wal *wal, size_t count)
{
	int result = 0;

	ASSERT(count < wal->count);
	for (size_t i = 0; i < count && result == 0; i++) {
		result = wal->disk->ops->unlink(wal->disk, wal->segments[i].name);
		result = result == -ENOENT ? 0 : result;
	}
	if (count > 0 && result == 0) {
		wal->count -= count;
		memmove(wal->segments, wal->segments + count, wal->count * sizeof *wal->segments);
		result = wal->disk->ops->fsync_dir(wal->disk);
	}
	return result;
}

/* The new segment starts a chain of its own: nothing before it is needed to read it. */
int wal_begin(struct wal *wal, uint64_t index, uint64_t term)
{
	wal->last_index = wal->durable = index;
	wal->last_term = term;
	wal->chain = 0;
	wal->bytes = 0;
	if (index > wal->commit) {
		wal->commit = index;
	}
	return open_segment(wal, index + 1);
}

/* RS-05: the new segment is durable before the old log goes, so a crash finds one of
 * them. */
int wal_reset(struct wal *wal, uint64_t index, uint64_t term)
{
	int result = wal_begin(wal, index, term);

	return result ? result : wal_delete(wal, wal->count - 1);
}

/* Whole segments only; the one being written stays, whatever it holds. */
int wal_compact(struct wal *wal, uint64_t index)
{
	size_t count = 0;

	while (count + 1 < wal->count && wal->segments[count].high <= index) {
		count++;
	}
	return count > 0 ? wal_delete(wal, count) : 0;
}

/* One write of a whole batch; the record bytes are gathered. */
static int write_batch(struct wal *wal, const struct wal_item *items, size_t count, size_t size)
{
	struct wal_segment *segment = &wal->segments[wal->count - 1];
	const uint64_t known[2] = {wal->commit, wal->durable};
	uint8_t *bytes = mem_zalloc(size);
	size_t used = 0;
	int result;

	for (size_t i = 0; i < count; i++) {
		const struct wal_item *item = &items[i];
		uint8_t flags =
			(uint8_t)((i == 0 ? FLAG_FIRST : 0) | (i + 1 == count ? FLAG_LAST : 0));

		wal_encode_record(
			item, (uint8_t)item->type, flags, &wal->chain, known, bytes + used);
		if (item->payload) {
			memcpy(bytes + used + WAL_RECORD_SIZE, item->payload->bytes,
				item->payload->length);
		}
		used += item_size(item);
		if (item->index < segment->low) {
			segment->low = item->index;
		}
		if (item->type == WAL_TRUNCATE) {
			wal->last_index = item->index - 1;
			wal->durable =
				wal->durable < wal->last_index ? wal->durable : wal->last_index;
		} else {
			wal->last_index = item->index;
			segment->high = item->index > segment->high ? item->index : segment->high;
		}
		wal->last_term = item->term;
	}
	ASSERT(used == size);
	result = disk_write_all(wal->disk, wal->file, bytes, size, wal->offset);
	mem_free(bytes);
	result = result ? result : wal->disk->ops->fdatasync(wal->disk, wal->file);
	wal->offset += size;
	wal->bytes += size;
	wal->durable = wal->last_index;
	return result;
}

/* RS-04: a seal record, synced, ends a segment. It always finds room (see next_batch). */
static int seal_segment(struct wal *wal)
{
	const struct wal_item item = {
		.type = WAL_TRUNCATE, .index = wal->last_index, .term = wal->last_term};
	const uint64_t known[2] = {wal->commit, wal->durable};
	uint8_t record[WAL_RECORD_SIZE];
	int result;

	ASSERT(wal->offset + WAL_RECORD_SIZE <= wal->segment_size);
	wal_encode_record(&item, WAL_SEAL, FLAG_FIRST | FLAG_LAST, &wal->chain, known, record);
	result = disk_write_all(wal->disk, wal->file, record, sizeof record, wal->offset);
	return result ? result : wal->disk->ops->fdatasync(wal->disk, wal->file);
}

/* How many of the items make the next batch: at most what one batch and one segment hold. */
static size_t next_batch(
	const struct wal *wal, const struct wal_item *items, size_t count, size_t *ret_size)
{
	size_t most = wal->segment_size - WAL_HEADER_SIZE - WAL_RECORD_SIZE;
	size_t size = 0;
	size_t taken = 0;

	most = most < WAL_BATCH_MAX ? most : WAL_BATCH_MAX;
	while (taken < count && size + item_size(&items[taken]) <= most) {
		size += item_size(&items[taken++]);
	}
	*ret_size = size;
	return taken;
}

/* A batch that does not fit the segment seals it; a new one follows the chain. */
int wal_write(struct wal *wal, const struct wal_item *items, size_t count)
{
	int result = 0;

	while (count > 0 && result == 0) {
		size_t size;
		size_t taken = next_batch(wal, items, count, &size);

		if (taken == 0) {
			return -EMSGSIZE;
		}
		if (wal->file < 0 || wal->offset + size + WAL_RECORD_SIZE > wal->segment_size) {
			result = wal->file >= 0 ? seal_segment(wal) : 0;
			result = result ? result : open_segment(wal, wal->last_index + 1);
		}
		result = result ? result : write_batch(wal, items, taken, size);
		items += taken;
		count -= taken;
	}
	return result;
}
