/*
 * A segment is born whole, grows by appending only, and is never written again once sealed;
 * scanning it needs nothing but its own bytes.
 */
#include "broker/segment.h"

#include <errno.h>
#include <stdio.h>

#include "base/disk_ops.h"
#include "base/mem.h"

/* Large enough that a call costs little beside its bytes, small enough for a thread's heap. */
#define ZERO_PIECE   ((size_t)256 << 10)
#define SCAN_PIECE   ((size_t)256 << 10)
#define STEP_BYTES   ((uint64_t)4 << 20)
#define NUMBER_WIDTH 16

/* Numbers as fixed-width hex, so that names sort as numbers do. */
void segment_name(uint64_t number, const char *suffix, char ret_name[SEGMENT_NAME_SIZE])
{
	int size = snprintf(
		ret_name, SEGMENT_NAME_SIZE, "%016llx.%s", (unsigned long long)number, suffix);

	ASSERT(size > 0 && size < SEGMENT_NAME_SIZE);
}

/* Anything else in the directory is none of ours. */
bool segment_parse_name(const char *name, const char *suffix, uint64_t *ret_number)
{
	struct slice text = slice_from_string(name);
	uint64_t number = 0;
	uint8_t bytes[8];

	if (text.size != NUMBER_WIDTH + 1 + strlen(suffix) || text.data[NUMBER_WIDTH] != '.' ||
		strcmp(name + NUMBER_WIDTH + 1, suffix) != 0 ||
		!slice_parse_hex(slice_make(text.data, NUMBER_WIDTH), bytes, sizeof bytes)) {
		return false;
	}
	for (size_t i = 0; i < sizeof bytes; i++) {
		number = number << 8 | bytes[i];
	}
	*ret_number = number;
	return true;
}

/* The rest of an older preparation never held a record: it goes first. */
int segment_begin(struct disk *disk, const struct segment_header *header, uint64_t size,
	struct segment_making *ret_making)
{
	char temporary[SEGMENT_NAME_SIZE];
	int file, status;

	ASSERT(size > SEGMENT_FIRST && size <= UINT32_MAX);
	segment_name(header->number, "tmp", temporary);
	(void)disk->ops->unlink(disk, temporary);
	file = disk->ops->open(disk, temporary, DISK_WRITE | DISK_CREATE);
	if (file < 0) {
		return file;
	}
	*ret_making = (struct segment_making){disk, *header, size, 0, file};
	status = disk->ops->fallocate(disk, file, size);
	if (status < 0) {
		segment_give_up(ret_making);
	}
	return status;
}

/* The file was never a segment, so nobody misses it. */
void segment_give_up(struct segment_making *making)
{
	char temporary[SEGMENT_NAME_SIZE];

	segment_name(making->header.number, "tmp", temporary);
	(void)making->disk->ops->close(making->disk, making->file);
	(void)making->disk->ops->unlink(making->disk, temporary);
}

/* The blocks are written, not only reserved: appending then changes no metadata (B9-02). Synced
 * piece by piece, so that the sync of a publisher never queues behind a whole segment. */
static int fill_some(struct segment_making *making)
{
	uint8_t *zeros = mem_zalloc(ZERO_PIECE);
	uint64_t until = making->at + STEP_BYTES;
	int status = 0;

	until = until < making->size ? until : making->size;
	while (status == 0 && making->at < until) {
		uint64_t left = until - making->at;
		size_t piece = left < ZERO_PIECE ? (size_t)left : ZERO_PIECE;

		if (making->at == 0) {
			record_encode_segment(&making->header, zeros);
		}
		status = disk_write_all(making->disk, making->file, zeros, piece, making->at);
		if (making->at == 0) {
			memset(zeros, 0, SEGMENT_HEADER);
		}
		making->at += piece;
	}
	mem_free(zeros);
	return status < 0 ? status : making->disk->ops->fdatasync(making->disk, making->file);
}

/* Under its final name only when it is complete and durable (B9-02). */
static int give_name(struct segment_making *making)
{
	char temporary[SEGMENT_NAME_SIZE], name[SEGMENT_NAME_SIZE];
	struct disk *disk = making->disk;
	int status;

	segment_name(making->header.number, "tmp", temporary);
	segment_name(making->header.number, "seg", name);
	status = disk->ops->rename(disk, temporary, name);
	if (status < 0) {
		return status;
	}
	/* Without it a power cut could forget the name and with it every record that was synced
	 * into the file. */
	status = disk->ops->fsync_dir(disk);
	if (status < 0) {
		(void)disk->ops->unlink(disk, name);
	}
	return status;
}

/* The name comes with the last piece. */
int segment_step(struct segment_making *making, struct segment **ret_segment)
{
	int status = fill_some(making);

	if (status == 0 && making->at < making->size) {
		return 1;
	}
	status = status < 0 ? status : give_name(making);
	if (status < 0) {
		segment_give_up(making);
		return status;
	}
	*ret_segment = segment_adopt(&making->header, making->size, making->file);
	return 0;
}

/* For whoever has to wait for it anyway. */
int segment_create(struct disk *disk, const struct segment_header *header, uint64_t size,
	struct segment **ret_segment)
{
	struct segment_making making;
	int status = segment_begin(disk, header, size, &making);

	if (status < 0) {
		return status;
	}
	do {
		status = segment_step(&making, ret_segment);
	} while (status > 0);
	return status;
}

/* Nothing is read: the caller knows that it is empty. */
struct segment *segment_adopt(const struct segment_header *header, uint64_t size, int file)
{
	struct segment *segment = mem_zalloc(sizeof *segment);

	ASSERT(file >= 0);
	list_init(&segment->node);
	segment->header = *header;
	segment->size = size;
	segment->end = SEGMENT_FIRST;
	segment->file = file;
	return segment;
}

/* The object, not the file. */
void segment_destroy(struct segment *segment, struct disk *disk)
{
	if (!segment) {
		return;
	}
	if (segment->file >= 0) {
		(void)disk->ops->close(disk, segment->file);
	}
	list_unlink(&segment->node);
	mem_free(segment);
}

/* Shorter than a header is damaged, not empty. */
int segment_read_header(struct segment_source *source, struct segment_header *ret_header)
{
	uint8_t bytes[SEGMENT_HEADER];
	int status;

	if (source->size < SEGMENT_FIRST) {
		return -EBADMSG;
	}
	status = source->read(source, bytes, sizeof bytes, 0);
	return status < 0 ? status : record_decode_segment(bytes, ret_header);
}

/* A part of the file in memory; moved forward as the scan goes. */
struct window {
	struct segment_source *source;
	struct buf buf;
	uint64_t base;
};

/* Makes [offset, offset + size) readable; it lies inside the file. */
static int window_read(
	struct window *window, uint64_t offset, uint64_t size, const uint8_t **ret_bytes)
{
	uint64_t left = window->source->size - offset;
	size_t want;
	int status;

	ASSERT(size <= left);
	if (offset >= window->base && offset + size <= window->base + window->buf.size) {
		*ret_bytes = window->buf.data + (offset - window->base);
		return 0;
	}
	/* A record may be larger than a piece; then the window is as large as the record,
	 * once. */
	want = (size_t)(size > SCAN_PIECE ? size : SCAN_PIECE);
	want = want < left ? want : (size_t)left;
	buf_clear(&window->buf);
	status =
		window->source->read(window->source, buf_reserve(&window->buf, want), want, offset);
	if (status < 0) {
		return status;
	}
	window->buf.size = want;
	window->base = offset;
	*ret_bytes = window->buf.data;
	return 0;
}

/* 1: a record header that fits into the file; 0: none; -errno. */
static int header_at(struct window *window, const struct segment_header *header, uint64_t offset,
	struct record *ret_record)
{
	const uint8_t *bytes;
	int status;

	if (window->source->size - offset < RECORD_HEADER) {
		return 0;
	}
	status = window_read(window, offset, RECORD_HEADER, &bytes);
	if (status < 0) {
		return status;
	}
	/* B9-01: the salt of the segment is part of the sum, so that a record which an older file
	 * left in the same blocks is none of this one. */
	if (!record_decode(bytes, header->salt, ret_record) ||
		ret_record->length > window->source->size - offset) {
		return 0;
	}
	return 1;
}

/* The next place that holds a record, or the end of the file. */
static int search(struct window *window, const struct segment_header *header, uint64_t offset,
	uint64_t *ret_next, bool *ret_zeros)
{
	uint64_t size = window->source->size;
	struct record record;

	*ret_zeros = true;
	for (; size - offset >= RECORD_ALIGN; offset += RECORD_ALIGN) {
		static const uint8_t zeros[RECORD_ALIGN];
		const uint8_t *bytes;
		int status = window_read(window, offset, RECORD_ALIGN, &bytes);

		if (status < 0) {
			return status;
		}
		/* A header begins with its sum: eight zero bytes begin none worth a look. */
		if (memcmp(bytes, zeros, sizeof zeros) == 0) {
			continue;
		}
		*ret_zeros = false;
		status = header_at(window, header, offset, &record);
		if (status != 0) {
			*ret_next = offset;
			return status < 0 ? status : 0;
		}
	}
	*ret_next = size;
	return 0;
}

/* The whole record is in the window while it is visited. */
static int visit_record(struct window *window, const struct segment_visitor *visitor,
	uint64_t offset, const struct record *record)
{
	struct segment_found found = {.record = *record, .offset = offset};
	const uint8_t *bytes;
	int status = window_read(window, offset, record->length, &bytes);

	if (status < 0) {
		return status;
	}
	found.attributes = slice_make(bytes + RECORD_HEADER, record->attributes);
	found.body = slice_make(bytes + RECORD_HEADER + record->attributes,
		record->length - RECORD_HEADER - record->attributes);
	/* B9-06: a bad body loses this record alone, since its header still tells where the next
	 * one begins. */
	found.intact = record_pcrc(found.attributes, found.body) == record->pcrc;
	visitor->on_record(visitor->owner, &found);
	return 0;
}

/* B9-06: behind a bad place the records that follow are kept. */
static int pass_damage(struct window *window, const struct segment_header *header,
	const struct segment_visitor *visitor, uint64_t *offset)
{
	uint64_t next = *offset;
	bool zeros;
	int status = search(window, header, *offset, &next, &zeros);

	if (status < 0) {
		return status;
	}
	ASSERT(next >= *offset);
	if (!zeros) {
		visitor->on_damage(
			visitor->owner, *offset, next - *offset, next == window->source->size);
	} else if (next < window->source->size) {
		/* Zeros with a record behind them: a batch of which only the tail arrived. */
		visitor->on_damage(visitor->owner, *offset, next - *offset, false);
	}
	*offset = next;
	return 0;
}

/* Every byte is looked at once, but for the search behind damage. */
int segment_scan(struct segment_source *source, const struct segment_header *header,
	const struct segment_visitor *visitor, uint64_t *ret_end)
{
	struct window window = {.source = source};
	uint64_t offset = SEGMENT_FIRST, end = SEGMENT_FIRST;
	int status = 0;

	buf_init(&window.buf);
	while (status == 0 && offset < source->size) {
		struct record record;

		status = header_at(&window, header, offset, &record);
		if (status == 0) {
			status = pass_damage(&window, header, visitor, &offset);
			continue;
		}
		if (status > 0) {
			status = visit_record(&window, visitor, offset, &record);
			offset += record_padded(record.length);
			end = offset;
			/* Padding may lie beyond the end of a file that was cut. */
			offset = offset > source->size ? source->size : offset;
		}
	}
	buf_fini(&window.buf);
	if (status < 0) {
		return status;
	}
	*ret_end = end;
	return 0;
}
