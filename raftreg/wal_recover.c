/*
 * Recovery of the log: what is good, what is torn, what is corrupt (registry.md RS-08..RS-11).
 * The difference decides about votes: a torn tail was never acknowledged by this replica, a
 * corrupt record was. A later record whose `durable` field covers the missing index proves that
 * it was synced once, and so that the disk lost it. Looking and repairing are two calls,
 * because the uncertain flag must be durable in between.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "raftreg/bytes.h"
#include "raftreg/wal.h"

#define FLAG_LAST    2u
#define SEGMENTS_MAX 4096u /* far beyond RS-13; more is no directory of ours */

/* One segment while it is looked at. */
struct scan {
	struct wal_segment *segment;
	const uint8_t *data; /* the whole file */
	size_t size, offset; /* of the first record that is not taken yet */
	bool sealed;	     /* the last record taken ends the segment */
	bool last_flag, any; /* it ended a batch; there was one */
};

/* The core took its own references, if it took the entries at all. */
void wal_recovered_fini(struct wal_recovered *recovered)
{
	for (size_t i = 0; i < recovered->count; i++) {
		raft_entry_unref(&recovered->entries[i]);
	}
	mem_free(recovered->entries);
	*recovered = (struct wal_recovered){0};
}

/* A truncation record met while reading. */
static void drop_from(struct wal_recovered *found, uint64_t index)
{
	while (found->count > 0 && found->entries[found->count - 1].index >= index) {
		raft_entry_unref(&found->entries[--found->count]);
	}
	if (found->count == 0 && index <= found->before_index) {
		/* What lies before is in a segment that is gone; only a snapshot knows the term. */
		found->before_index = index - 1;
		found->before_known = index == 1;
		found->before_term = 0;
	}
}

/* Without entries the log ends where it begins: just behind the snapshot. */
static uint64_t found_last(const struct wal_recovered *found)
{
	return found->count > 0 ? found->entries[found->count - 1].index : found->before_index;
}

static uint64_t found_term(const struct wal_recovered *found)
{
	return found->count > 0 ? found->entries[found->count - 1].term : found->before_term;
}

/* The CRC covers what the chain and the payload's CRC are checked against, so a
 * header that passes may be believed on its own (RS-09). */
static bool header_is_valid(const uint8_t *record)
{
	return memcmp(record, "PLR1", 4) == 0 &&
	       bytes_get32(record + 52) == crc32c(0, record, 52) && record[6] == 0 &&
	       record[7] == 0 && bytes_get64(record + 56) == 0;
}

/* The payload reference goes to the list. */
static void keep_entry(
	struct wal_recovered *found, const struct raft_entry *entry, struct scan *scan)
{
	if (found->count == found->capacity) {
		found->capacity = found->capacity ? found->capacity * 2 : 256;
		found->entries =
			mem_realloc(found->entries, found->capacity * sizeof *found->entries);
	}
	found->entries[found->count++] = *entry;
	if (entry->index > scan->segment->high) {
		scan->segment->high = entry->index;
	}
}

/* The record at scan->offset: true when it is good, and taken. */
static bool take_record(struct wal *wal, struct scan *scan, struct wal_recovered *found)
{
	const uint8_t *record = scan->data + scan->offset;
	uint32_t length = bytes_get32(record + 40);
	size_t whole = WAL_RECORD_SIZE + ((size_t)length + 7) / 8 * 8;
	uint32_t chain = crc32c(wal->chain, record, 48);
	struct raft_entry entry = {.index = bytes_get64(record + 16),
		.term = bytes_get64(record + 8),
		.kind = record[4] == WAL_CONF ? RAFT_ENTRY_CONF : RAFT_ENTRY_DATA};
	uint64_t commit = bytes_get64(record + 24);

	if (!header_is_valid(record) || chain != bytes_get32(record + 48) ||
		length > RAFT_ENTRY_BYTES_MAX || whole > scan->size - scan->offset ||
		bytes_get32(record + 44) != crc32c(0, record + WAL_RECORD_SIZE, length)) {
		return false;
	}
	switch (record[4]) {
	case WAL_ENTRY:
	case WAL_CONF:
		if (entry.index != found_last(found) + 1 || entry.term < found_term(found)) {
			return false;
		}
		if (length > 0) {
			entry.payload = raft_payload_create(record + WAL_RECORD_SIZE, length);
		}
		keep_entry(found, &entry, scan);
		break;
	case WAL_TRUNCATE:
		if (entry.index == 0 || entry.index > found_last(found) + 1) {
			return false;
		}
		drop_from(found, entry.index);
		break;
	case WAL_SEAL:
		scan->sealed = true;
		break;
	default:
		return false;
	}
	if (entry.index < scan->segment->low && record[4] != WAL_SEAL) {
		scan->segment->low = entry.index;
	}
	wal->chain = chain;
	found->commit = commit > found->commit ? commit : found->commit;
	scan->any = true;
	scan->last_flag = (record[5] & FLAG_LAST) != 0;
	scan->offset += whole;
	return true;
}

/* RS-09: a clean end is followed by the zeros that the segment was made with. */
static bool only_zeros(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (data[i] != 0) {
			return false;
		}
	}
	return true;
}

/* RS-09: something later was written when the missing index was durable already: no torn tail. */
static bool later_record_proves(const struct scan *scan, uint64_t missing)
{
	for (size_t at = scan->offset; at + WAL_RECORD_SIZE <= scan->size; at += 8) {
		const uint8_t *record = scan->data + at;

		if (memcmp(record, "PLR1", 4) == 0 && header_is_valid(record) &&
			bytes_get64(record + 32) >= missing) {
			return true;
		}
	}
	return false;
}

/* Clean, torn or corrupt (RS-09, RS-10). */
static void judge_end(struct scan *scan, bool last, size_t index, struct wal_recovered *found)
{
	size_t rest = scan->size - scan->offset;

	if (scan->sealed && !last) {
		return;
	}
	if (last && (scan->sealed || ((scan->last_flag || !scan->any) &&
					     only_zeros(scan->data + scan->offset, rest)))) {
		return; /* clean */
	}
	found->segment = index;
	found->offset = scan->offset;
	(void)snprintf(found->file, sizeof found->file, "%s", scan->segment->name);
	if (last && !later_record_proves(scan, found_last(found) + 1)) {
		found->torn = true;
	} else {
		found->corrupt = true;
	}
}

/* RS-10: the prefix that was read so far stays; this segment and later ones go. */
static void mark_corrupt(
	struct wal_recovered *found, const struct wal_segment *segment, size_t index)
{
	found->corrupt = true;
	found->segment = index;
	found->offset = 0;
	(void)snprintf(found->file, sizeof found->file, "%s", segment->name);
}

/* False: this segment does not continue what was read so far. */
static bool header_fits(
	const struct wal *wal, const uint8_t *data, const struct wal_recovered *found, bool first)
{
	if (memcmp(data + 16, wal->uuid, 16) != 0 || bytes_get64(data + 32) != wal->id ||
		bytes_get64(data + 40) == 0) {
		return false;
	}
	return first || (bytes_get64(data + 40) == found_last(found) + 1 &&
				bytes_get32(data + 56) == wal->chain);
}

/* The number may be any: it is for the caller to know it. */
int wal_header_format(const uint8_t *header)
{
	uint32_t format = bytes_get32(header + 8);

	if (memcmp(header, "PLNLOG", 6) != 0 || format > INT32_MAX ||
		bytes_get32(header + WAL_HEADER_SIZE - 4) !=
			crc32c(0, header, WAL_HEADER_SIZE - 4)) {
		return -EBADMSG;
	}
	return (int)format;
}

/* Reads a whole segment; a read error counts as damage (RS-10), for a retry may return stale
 * pages. */
static int scan_segment(struct wal *wal, size_t index, struct wal_recovered *found)
{
	struct wal_segment *segment = &wal->segments[index];
	struct scan scan = {.segment = segment, .offset = WAL_HEADER_SIZE};
	uint8_t *data = NULL;
	int result = disk_load_file(
		wal->disk, segment->name, wal->segment_size + WAL_HEADER_SIZE, &data, &scan.size);

	if (result < 0 || scan.size < WAL_HEADER_SIZE ||
		!header_fits(wal, data, found, index == 0)) {
		mark_corrupt(found, segment, index); /* EIO too (RS-10) */
		free(data);
		return 0;
	}
	scan.data = data;
	if (index == 0) {
		found->before_index = segment->first - 1;
		/* The records prove all that a damaged header says, but not this term. */
		found->before_known = segment->first == 1 || wal_header_format(data) == WAL_FORMAT;
		found->before_term =
			segment->first > 1 && found->before_known ? bytes_get64(data + 48) : 0;
	}
	wal->chain = bytes_get32(data + 56);
	while (!scan.sealed && scan.size - scan.offset >= WAL_RECORD_SIZE &&
		take_record(wal, &scan, found)) {
	}
	wal->offset = scan.offset;
	judge_end(&scan, index + 1 == wal->count, index, found);
	if (index + 1 == wal->count && scan.sealed && !found->corrupt) {
		wal->offset = wal->segment_size; /* nothing may follow a seal */
	}
	free(data);
	return 0;
}

/* Names that are not ours are none of our business. */
static int visit_name(void *context, const char *name)
{
	struct wal *wal = context;
	struct wal_segment segment = {0};
	size_t length = strlen(name);

	if (length < 24 || length >= WAL_NAME_SIZE || strcmp(name + length - 4, ".log") != 0 ||
		strspn(name, "0123456789") != 20) {
		return 0;
	}
	if (wal->count >= SEGMENTS_MAX) {
		return -E2BIG;
	}
	memcpy(segment.name, name, length + 1);
	(void)wal_add_segment(wal, &segment);
	return 0;
}

/* Reads the header's number and first index. One that cannot be read keeps number 0. */
static void look_at_header(struct wal *wal, struct wal_segment *segment)
{
	uint8_t header[WAL_HEADER_SIZE];
	int file = wal->disk->ops->open(wal->disk, segment->name, DISK_READ);
	int result;

	segment->first = strtoull(segment->name, NULL, 10);
	segment->low = segment->first;
	segment->high = segment->first - 1;
	if (file < 0) {
		return;
	}
	result = disk_read_all(wal->disk, file, header, sizeof header, 0);
	(void)wal->disk->ops->close(wal->disk, file);
	if (result < 0 || wal_header_format(header) != WAL_FORMAT) {
		return;
	}
	segment->first = segment->low = bytes_get64(header + 40);
	segment->high = segment->first - 1;
	segment->number = bytes_get64(header + 64);
}

/* Numbers, not first indexes: after a truncation a later segment may begin lower. */
static int compare_segments(const void *a, const void *b)
{
	const struct wal_segment *left = a;
	const struct wal_segment *right = b;

	if (left->number != right->number) {
		return left->number < right->number ? -1 : 1;
	}
	return left->first < right->first ? -1 : left->first > right->first;
}

/* A header that cannot be read takes the number its name suggests: behind the nearest segment with
 * a lower first index. It is corrupt in any case; only its place among the others matters. */
static void place_unreadable(struct wal *wal)
{
	for (size_t i = 0; i < wal->count; i++) {
		struct wal_segment *lost = &wal->segments[i];
		uint64_t first_known = UINT64_MAX;

		if (lost->number != 0) {
			continue;
		}
		for (size_t j = 0; j < wal->count; j++) {
			const struct wal_segment *other = &wal->segments[j];

			if (other->number == 0) {
				continue;
			}
			if (other->first < lost->first && other->number >= lost->number) {
				lost->number = other->number + 1;
			}
			first_known = other->number < first_known ? other->number : first_known;
		}
		if (lost->number == 0) {
			lost->number =
				first_known == UINT64_MAX || first_known == 0 ? 1 : first_known - 1;
		}
	}
}

/* RS-10: the first `count` are kept for a report, but no longer read. The newest goes first, so
 * that what stands before the others shows until the end that they are not needed. */
static int set_aside(struct wal *wal, size_t count)
{
	int result = 0;

	for (size_t i = count; i > 0 && result == 0; i--) {
		char bad[WAL_NAME_SIZE + 8];

		(void)snprintf(bad, sizeof bad, "%s.bad", wal->segments[i - 1].name);
		result = wal->disk->ops->rename(wal->disk, wal->segments[i - 1].name, bad);
	}
	wal->count -= count;
	memmove(wal->segments, wal->segments + count, wal->count * sizeof *wal->segments);
	return result ? result : wal->disk->ops->fsync_dir(wal->disk);
}

/* A repair copies all that is good behind a gap, then does away with the originals, oldest first. A
 * copy that begins lower than what is left of them is complete. */
static int finish_repair(struct wal *wal)
{
	for (size_t i = 1; i < wal->count; i++) {
		if (wal->segments[i].number != wal->segments[i - 1].number + 1 &&
			wal->segments[i].first < wal->segments[0].first) {
			return set_aside(wal, i);
		}
	}
	return 0;
}

/* Finds the segments and puts them in order. */
static int list_segments(struct wal *wal)
{
	int result = wal->disk->ops->list(wal->disk, visit_name, wal);

	if (result < 0 || wal->count == 0) {
		return result;
	}
	for (size_t i = 0; i < wal->count; i++) {
		look_at_header(wal, &wal->segments[i]);
	}
	place_unreadable(wal);
	qsort(wal->segments, wal->count, sizeof *wal->segments, compare_segments);
	return finish_repair(wal);
}

/* Stops at the first damage: what follows it cannot be trusted to follow. */
int wal_recover(struct wal *wal, struct wal_recovered *ret_recovered)
{
	int result = list_segments(wal);

	*ret_recovered = (struct wal_recovered){.before_known = true};
	if (result < 0) {
		return result;
	}
	for (size_t i = 0; i < wal->count && !ret_recovered->corrupt; i++) {
		if (i > 0 && wal->segments[i].number != wal->segments[i - 1].number + 1) {
			mark_corrupt(ret_recovered, &wal->segments[i], i);
			break;
		}
		result = scan_segment(wal, i, ret_recovered);
		if (result < 0) {
			return result;
		}
	}
	for (size_t i = 0; i < wal->count; i++) {
		if (wal->segments[i].number >= wal->next_number) {
			wal->next_number = wal->segments[i].number + 1;
		}
	}
	if (ret_recovered->commit > found_last(ret_recovered)) {
		ret_recovered->commit = found_last(ret_recovered);
	}
	return 0;
}

int wal_set_aside(struct wal *wal)
{
	int result = wal->disk->ops->list(wal->disk, visit_name, wal);

	result = result || wal->count == 0 ? result : set_aside(wal, wal->count);
	wal->next_number = 1;
	return result;
}

/* What was torn must not look like a record at the next recovery. */
static int zero_tail(struct wal *wal, uint64_t offset)
{
	size_t size = (size_t)(wal->segment_size - offset);
	uint8_t *zeros = mem_zalloc(size);
	int result = disk_write_all(wal->disk, wal->file, zeros, size, offset);

	mem_free(zeros);
	return result ? result : wal->disk->ops->fdatasync(wal->disk, wal->file);
}

/* In new segments, under the same indexes. */
static int rewrite_entries(struct wal *wal, const struct wal_recovered *found)
{
	struct wal_item *items = mem_alloc((found->count + 1) * sizeof *items);
	int result;

	for (size_t i = 0; i < found->count; i++) {
		const struct raft_entry *entry = &found->entries[i];

		items[i] = (struct wal_item){
			.type = entry->kind == RAFT_ENTRY_CONF ? WAL_CONF : WAL_ENTRY,
			.index = entry->index,
			.term = entry->term,
			.payload = entry->payload};
	}
	result = wal_write(wal, items, found->count);
	mem_free(items);
	return result;
}

/* Everything that is good goes into new segments behind a gap in the numbers; only then the old
 * ones go. A crash before the first of them went leaves copies that are set aside at the next try,
 * one behind it leaves the rest to finish_repair. */
static int repair_corrupt(struct wal *wal, const struct wal_recovered *found)
{
	size_t good = found->segment;
	size_t bad = wal->count - good;
	int result;

	wal->next_number = wal->segments[wal->count - 1].number + 2;
	wal->file = -1;
	result = wal_begin(wal, found->before_index, found->before_term);
	result = result ? result : rewrite_entries(wal, found);
	result = result ? result : wal_delete(wal, good);
	return result ? result : set_aside(wal, bad);
}

/* Leaves the log ready for writing, with a file open or none when the last one was sealed. */
int wal_repair(struct wal *wal, const struct wal_recovered *found)
{
	struct wal_segment *last;

	wal->commit = found->commit;
	if (found->corrupt) {
		return repair_corrupt(wal, found);
	}
	wal->last_index = wal->durable = found_last(found);
	wal->last_term = found_term(found);
	if (wal->count == 0) {
		return 0;
	}
	last = &wal->segments[wal->count - 1];
	wal->file = wal->disk->ops->open(wal->disk, last->name, DISK_WRITE);
	if (wal->file < 0) {
		return wal->file;
	}
	if (found->torn) {
		ASSERT(found->segment == wal->count - 1 && found->offset >= WAL_HEADER_SIZE);
		return zero_tail(wal, found->offset);
	}
	if (wal->offset == wal->segment_size) {
		(void)wal->disk->ops->close(wal->disk, wal->file); /* sealed: the next is new */
		wal->file = -1;
	}
	return 0;
}
