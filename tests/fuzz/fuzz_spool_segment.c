/*
 * A segment of the spool as recovery scans it: any bytes are read to the end without a crash,
 * records lie inside the file and in order, and what is intact decodes. The salt is that of the
 * corpus, so that changed records are refused by their sums and unchanged ones are found again.
 */
#include "base/assert.h"
#include "broker/cursor.h"
#include "broker/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct memory_source {
	struct segment_source source;
	const uint8_t *data;
};

static int read_memory(struct segment_source *source, void *data, size_t size, uint64_t offset)
{
	struct memory_source *memory = container_of(source, struct memory_source, source);

	ASSERT(offset <= source->size && size <= source->size - offset);
	for (size_t i = 0; i < size; i++) {
		((uint8_t *)data)[i] = memory->data[offset + i];
	}
	return 0;
}

struct scan {
	uint64_t end;
	uint64_t size;
};

static void on_record(void *owner, const struct segment_found *found)
{
	struct scan *scan = owner;
	struct slice rest = found->attributes, name, value;
	struct cursor_image image;

	ASSERT(found->offset >= scan->end && found->record.length <= scan->size - found->offset);
	scan->end = found->offset + found->record.length;
	while (record_next_attribute(&rest, &name, &value) == 1) {
		ASSERT(name.size > 0);
	}
	if (found->record.type == RECORD_CURSOR && cursor_decode(found->body, &image) == 0) {
		cursor_image_fini(&image);
	}
}

static void on_damage(void *owner, uint64_t offset, uint64_t size, bool at_end)
{
	struct scan *scan = owner;

	ASSERT(offset >= scan->end && size > 0 && offset + size <= scan->size);
	ASSERT(at_end == (offset + size == scan->size) || !at_end);
	scan->end = offset;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct memory_source memory = {.source = {.size = size, .read = read_memory}, .data = data};
	struct scan scan = {.end = 0, .size = size};
	struct segment_visitor visitor = {on_record, on_damage, &scan};
	struct segment_header header;
	struct cursor_image image;
	uint64_t end;

	if (cursor_decode(slice_make(data, size), &image) == 0) {
		cursor_image_fini(&image);
	}
	if (segment_read_header(&memory.source, &header) < 0) {
		header = (struct segment_header){.salt = 0x5EED1234};
		if (size < SEGMENT_FIRST) {
			return 0;
		}
	}
	if (segment_scan(&memory.source, &header, &visitor, &end) == 0) {
		ASSERT(end <= size + RECORD_ALIGN);
	}
	return 0;
}
