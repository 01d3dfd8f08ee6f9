#include "broker/spool_internal.h"

#include <errno.h>

#include "base/disk_ops.h"
#include "base/mem.h"
#include "base/rng.h"

#define SEGMENT_SMALL                                                                              \
	((uint64_t)4 << 20) /* the first of a start; each next one is 4 x as large                 \
			     */
#define SEGMENT_GROWTH 4
#define SEGMENT_MAX    ((uint64_t)1 << 30)
#define VECTORS_MAX    1024
#define ENTRY_VECTORS  4
#define END_SIZE       ((uint64_t)RECORD_HEADER)
#define FULL_SHARE     8 /* of the last segment of a full disk, for cursors and losses */

static const uint8_t padding[RECORD_ALIGN];

/* B9-08: after a failed write or sync nothing more is written, and nothing more counts as done. */
static int fail(struct spool *spool)
{
	spool->failed = true;
	return -EIO;
}

/* One call covers everything written since the last one. */
int spool_sync(struct spool *spool)
{
	const struct spool_options *options = &spool->options;

	if (spool->failed) {
		return -EIO;
	}
	if (spool->written_lsn == spool->synced_lsn) {
		return 0;
	}
	ASSERT(spool->current && spool->current->file >= 0);
	if (options->disk->ops->fdatasync(options->disk, spool->current->file) < 0) {
		return fail(spool);
	}
	spool->synced_lsn = spool->written_lsn;
	return 0;
}

/* END, a last sync, and the descriptor closed: nothing is appended to it again. */
static int seal(struct spool *spool)
{
	struct segment *segment = spool->current;
	struct record end = {.type = RECORD_END, .length = RECORD_HEADER};
	uint8_t header[RECORD_HEADER];

	if (spool->failed) {
		return -EIO;
	}
	ASSERT(segment->size - segment->end >= END_SIZE);
	end.synced = spool->synced_lsn;
	end.pcrc = record_pcrc(slice_make(NULL, 0), slice_make(NULL, 0));
	record_encode(&end, segment->header.salt, header);
	if (disk_write_all(
		    spool->options.disk, segment->file, header, sizeof header, segment->end) < 0) {
		return fail(spool);
	}
	segment->end += END_SIZE;
	spool->written_lsn = record_lsn(segment->header.number, segment->end);
	if (spool_sync(spool) < 0) {
		return -EIO;
	}
	(void)spool->options.disk->ops->close(spool->options.disk, segment->file);
	segment->file = -1;
	spool->current = NULL;
	return 0;
}

/* What a segment needs at least to hold the state block, the bytes and its END. */
static uint64_t least_size(const struct spool *spool, uint64_t need)
{
	return record_padded(SEGMENT_FIRST + spool->state_bytes + need + END_SIZE);
}

/* The size of the next segment, from the wish of the configuration and the bytes it must hold. */
static uint64_t next_size(const struct spool *spool, uint64_t need)
{
	uint64_t size = SEGMENT_SMALL;
	uint64_t least = least_size(spool, need);

	for (unsigned i = 0; i < spool->grown && size < spool->options.segment; i++) {
		size *= SEGMENT_GROWTH;
	}
	if (size > spool->options.segment) {
		size = spool->options.segment;
	}
	return size > least ? size : least;
}

/* The reserve is one segment: cursors and dead letters must find a place when messages do not. */
static uint64_t quota(const struct spool *spool, bool reserve)
{
	uint64_t bytes = spool->options.bytes;
	uint64_t kept = spool->options.segment;

	if (reserve) {
		return bytes;
	}
	return bytes > kept ? bytes - kept : 0;
}

/* The state block goes first and is durable before any older segment may go. */
static int write_state(struct spool *spool)
{
	struct segment *segment = spool->current;
	struct buf block;
	int status;

	buf_init(&block);
	spool_state_block(spool, segment->header.salt, &block);
	status = disk_write_all(
		spool->options.disk, segment->file, block.data, block.size, segment->end);
	segment->end += block.size;
	buf_fini(&block);
	if (status < 0) {
		return fail(spool);
	}
	spool->written_lsn = record_lsn(segment->header.number, segment->end);
	return spool_sync(spool);
}

/* Numbers are never given twice; what an older file of that number left is removed. */
static struct segment_header next_header(struct spool *spool)
{
	return (struct segment_header){.log = spool->meta.log,
		.number = spool->next_segment,
		.salt = (uint32_t)rng_next(spool->options.rng),
		.created_ms = spool->options.wall_ms};
}

/* From the first append on: a spool that nobody publishes to writes nothing. The stock may use the
 * reserve, which it is then (B9-09). */
bool spool_wants_stock(struct spool *spool, struct segment_header *ret_header, uint64_t *ret_size)
{
	uint64_t size;

	if (spool->failed || !spool->current || spool->stock) {
		return false;
	}
	size = next_size(spool, 0);
	if (size > SEGMENT_MAX || spool->total_bytes + size > quota(spool, true)) {
		return false;
	}
	*ret_header = next_header(spool);
	*ret_size = size;
	return true;
}

/* Also one that recovery found. */
void spool_stock(struct spool *spool, struct segment *segment)
{
	ASSERT(!spool->stock && segment->file >= 0 && segment->end == SEGMENT_FIRST);
	ASSERT(segment->header.number == spool->next_segment);
	spool->stock = segment;
	spool->disk_full = false;
	spool->next_segment++;
	spool->total_bytes += segment->size;
}

/* Too small for what must go into it: like a sealed one without messages. */
static void pass_stock(struct spool *spool)
{
	struct segment *stock = spool->stock;

	(void)spool->options.disk->ops->close(spool->options.disk, stock->file);
	stock->file = -1;
	list_push_back(&spool->segments, &stock->node);
	spool->stock = NULL;
}

/* Prepared here and now, while its publishers wait. */
static int make_segment(struct spool *spool, uint64_t size, struct segment **ret_segment)
{
	struct segment_header header = next_header(spool);
	int status;

	spool->waits++;
	status = segment_create(spool->options.disk, &header, size, ret_segment);
	if (status == -ENOSPC || status == -EDQUOT) {
		spool->disk_full = true;
		return -ENOSPC; /* B9-09: full, not failed; the old segment goes on */
	}
	if (status < 0) {
		return fail(spool);
	}
	spool->disk_full = false;
	spool->next_segment++;
	spool->total_bytes += size;
	return 0;
}

/* The new segment exists before the old one is sealed, so that a full disk leaves a log that
 * still works. */
int spool_rotate(struct spool *spool, uint64_t need, bool reserve)
{
	uint64_t size = next_size(spool, need);
	struct segment *segment;
	int status = 0;

	if (spool->failed) {
		return -EIO;
	}
	if (spool->stock && spool->stock->size < least_size(spool, need)) {
		pass_stock(spool);
	}
	if (size > SEGMENT_MAX ||
		spool->total_bytes + (spool->stock ? 0 : size) > quota(spool, reserve)) {
		return -ENOSPC;
	}
	segment = spool->stock;
	spool->stock = NULL;
	status = segment ? 0 : make_segment(spool, size, &segment);
	if (status < 0) {
		return status;
	}
	if (spool->current && seal(spool) < 0) {
		segment_destroy(segment, spool->options.disk);
		return -EIO;
	}
	spool->grown++;
	list_push_back(&spool->segments, &segment->node);
	spool->current = segment;
	return write_state(spool);
}

/* A run of entries on its way into one write. */
struct batch {
	struct spool *spool;
	struct spool_entry *first; /* of the run; NULL: empty */
	uint64_t offset;	   /* where the run begins */
	size_t bytes;
	int count;
	struct iovec vectors[VECTORS_MAX];
};

/* Only what was written is noted: the table never promises what the log does not hold. */
static void note_written(struct spool *spool, struct spool_entry *entry)
{
	bool sensible = spool_note(spool, &entry->record, entry->body);

	ASSERT(sensible); /* our own records */
	entry->status = 0;
	if (record_is_kept(&entry->record)) {
		spool->current->live++;
	}
}

/* One write for the whole run (B9-03); the state of its entries follows from that one result. */
static int flush(struct batch *batch, const struct spool_entry *until)
{
	struct spool *spool = batch->spool;
	struct spool_entry *entry = batch->first;
	int status = 0;

	if (!entry) {
		return 0;
	}
	if (disk_writev_all(spool->options.disk, spool->current->file, batch->vectors, batch->count,
		    batch->offset) < 0) {
		status = fail(spool);
	}
	for (; entry != until; entry = entry->next) {
		if (entry->status != 1) {
			continue; /* was refused before it came to a write */
		}
		if (status < 0) {
			entry->status = status;
		} else {
			note_written(spool, entry);
		}
	}
	if (status == 0) {
		spool->written_lsn = record_lsn(spool->current->header.number, spool->current->end);
	}
	batch->first = NULL;
	batch->count = 0;
	batch->bytes = 0;
	return status;
}

/* Empty parts are left out. */
static void add_vector(struct batch *batch, const void *data, size_t size)
{
	if (size > 0) {
		ASSERT(batch->count < VECTORS_MAX);
		batch->vectors[batch->count++] = (struct iovec){(void *)(uintptr_t)data, size};
	}
}

/* The entry goes to the end of the current segment, which has room for it. */
static void gather(struct batch *batch, struct spool_entry *entry)
{
	struct segment *segment = batch->spool->current;
	size_t length = record_padded(entry->record.length);

	if (!batch->first) {
		batch->first = entry;
		batch->offset = segment->end;
	}
	entry->status = 1; /* under way */
	entry->record.synced = batch->spool->synced_lsn;
	entry->lsn = record_lsn(segment->header.number, segment->end);
	record_encode(&entry->record, segment->header.salt, entry->header);
	add_vector(batch, entry->header, RECORD_HEADER);
	add_vector(batch, entry->attributes.data, entry->attributes.size);
	add_vector(batch, entry->body.data, entry->body.size);
	add_vector(batch, padding, length - entry->record.length);
	segment->end += length;
	batch->bytes += length;
}

/* END needs its place too; and while no segment can be made, what is left of this one is first of
 * all for cursors, whose progress gives space back (B9-09). */
bool spool_fits(const struct spool *spool, uint64_t bytes, bool reserve)
{
	const struct segment *segment = spool->current;
	uint64_t kept = END_SIZE;

	if (!segment) {
		return false;
	}
	if (spool->disk_full && !reserve) {
		kept += segment->size / FULL_SHARE;
	}
	return segment->size - segment->end >= bytes + kept;
}

/* A run never spans two segments. */
static int append_one(struct batch *batch, struct spool_entry *entry)
{
	struct spool *spool = batch->spool;
	uint64_t length = record_padded(entry->record.length);
	int status = 0;

	ASSERT(entry->record.length == RECORD_HEADER + entry->attributes.size + entry->body.size);
	ASSERT(entry->record.attributes == entry->attributes.size);
	if (batch->count + ENTRY_VECTORS > VECTORS_MAX || batch->bytes > SPOOL_BATCH_BYTES) {
		status = flush(batch, entry);
	}
	if (status == 0 && !spool_fits(spool, length, entry->reserve)) {
		status = flush(batch, entry);
		status = status == 0 ? spool_rotate(spool, length, entry->reserve) : status;
	}
	if (status == 0) {
		gather(batch, entry);
	}
	return status;
}

/* Entries after a failure are refused; those before it stand. */
void spool_append(struct spool *spool, struct spool_entry *first)
{
	struct batch *batch = mem_zalloc(sizeof *batch);

	batch->spool = spool;
	for (struct spool_entry *entry = first; entry; entry = entry->next) {
		int status = spool->failed ? -EIO : append_one(batch, entry);

		if (status < 0) {
			entry->status = status;
		}
	}
	(void)flush(batch, NULL);
	mem_free(batch);
}

/* A number that is not there was deleted already. */
void spool_release(struct spool *spool, uint64_t segment, uint64_t count)
{
	LIST_FOR_EACH(node, &spool->segments) {
		struct segment *one = LIST_ENTRY(node, struct segment, node);

		if (one->header.number == segment) {
			ASSERT(one->live >= count);
			one->live -= count;
			return;
		}
	}
}

/* B9-01: damaged ones stay for a report, the last two of them. */
static void drop_old_bad(struct spool *spool, uint64_t number)
{
	struct disk *disk = spool->options.disk;
	char name[SEGMENT_NAME_SIZE];

	/* Numbers only grow, so the ones to go are below; few were damaged ever. */
	for (uint64_t i = 0, kept = 1; i < number && i < 4096; i++) {
		int file;

		segment_name(number - 1 - i, "bad", name);
		file = disk->ops->open(disk, name, DISK_READ);
		if (file < 0) {
			continue;
		}
		(void)disk->ops->close(disk, file);
		if (++kept > SPOOL_BAD_KEPT) {
			(void)disk->ops->unlink(disk, name);
		}
	}
}

/* A failed removal is tried again with the next reclaim. */
static int delete_segment(struct spool *spool, struct segment *segment)
{
	struct disk *disk = spool->options.disk;
	char name[SEGMENT_NAME_SIZE], bad[SEGMENT_NAME_SIZE];
	int status;

	segment_name(segment->header.number, "seg", name);
	segment_name(segment->header.number, "bad", bad);
	if (segment->damaged) {
		status = disk->ops->rename(disk, name, bad);
		drop_old_bad(spool, segment->header.number);
	} else {
		status = disk->ops->unlink(disk, name);
	}
	if (status < 0) {
		return status;
	}
	spool->total_bytes -= segment->size;
	segment_destroy(segment, disk);
	return 0;
}

/* Sealed, and nothing in it is wanted. */
static bool deletable(const struct segment *segment)
{
	return segment->file < 0 && segment->live == 0;
}

/* Whole segments only: nothing is rewritten. */
unsigned spool_reclaim(struct spool *spool)
{
	unsigned count = 0, wanted = 0;

	LIST_FOR_EACH(node, &spool->segments) {
		wanted += deletable(LIST_ENTRY(node, struct segment, node));
	}
	/* What the old ones say of topics and cursors must stand in a newer one first. */
	if (wanted == 0 || spool->failed || (!spool->current && spool_rotate(spool, 0, true) < 0)) {
		return 0;
	}
	LIST_FOR_EACH_SAFE(node, &spool->segments) {
		struct segment *segment = LIST_ENTRY(node, struct segment, node);

		if (deletable(segment) && delete_segment(spool, segment) == 0) {
			count++;
		}
	}
	spool_forget_removed(spool);
	return count;
}

/* What the owners ask before they give a number: the refusal should come from them, not from
 * here. */
uint64_t spool_room(const struct spool *spool)
{
	uint64_t most = quota(spool, false);
	uint64_t next = spool->stock ? spool->stock->size : next_size(spool, 0);
	uint64_t used = spool->total_bytes - (spool->stock ? next : 0);
	uint64_t left = used < most ? most - used : 0;

	/* A segment that would pass the quota is not begun. */
	left = left >= next && !spool->disk_full ? left : 0;
	if (spool->current) {
		uint64_t rest = spool->current->size - spool->current->end;
		uint64_t kept = spool->disk_full ? spool->current->size / FULL_SHARE : 0;

		left += rest > kept ? rest - kept : 0;
	}
	return left;
}

/* What a power cut could take now. */
uint64_t spool_unsynced(const struct spool *spool)
{
	/* Both in one segment: a segment is synced before the next one begins. */
	return spool->written_lsn - spool->synced_lsn;
}

/* Also of a spool that was never opened whole. */
static void destroy(struct spool *spool)
{
	LIST_FOR_EACH_SAFE(node, &spool->segments) {
		segment_destroy(LIST_ENTRY(node, struct segment, node), spool->options.disk);
	}
	segment_destroy(spool->stock, spool->options.disk);
	spool_table_fini(spool);
	mem_free(spool);
}

/* On failure nothing is left behind and nothing was changed on disk. */
int spool_open(const struct spool_options *options, struct spool **ret_spool, struct err *err)
{
	struct spool *spool = mem_zalloc(sizeof *spool);
	int status;

	ASSERT(options->disk && options->rng && options->segment > SEGMENT_FIRST);
	spool->options = *options;
	list_init(&spool->segments);
	map_init(&spool->names);
	spool->next_segment = 1;
	status = spool_recover(spool, err);
	if (status < 0) {
		destroy(spool);
		return status;
	}
	*ret_spool = spool;
	return 0;
}

/* END and the clean flag tell the next start that nothing is missing. */
void spool_close(struct spool *spool)
{
	if (!spool) {
		return;
	}
	if ((!spool->current || seal(spool) == 0) && !spool->failed) {
		spool->meta.clean = true;
		/* Without the flag the next start only looks more closely. */
		spool->failed = meta_store(spool->options.disk, &spool->meta) < 0;
	}
	destroy(spool);
}

/* What a kill does, for tests and for a spool that was never used. */
void spool_abandon(struct spool *spool)
{
	if (spool) {
		destroy(spool);
	}
}
