/*
 * A ring of encoded deltas. The sets of one publication are in no order of their own revisions, so
 * the ring is searched by the index at which each delta was published, and whoever reads it looks
 * at the revision as well.
 */
#include "raftreg/recent.h"

#include "base/mem.h"
#include "raftreg/packet.h"

#define RING_START 64

/* Nothing is known of what was applied before. */
void recent_init(struct recent *recent, uint64_t applied)
{
	*recent = (struct recent){.lost = applied};
}

/* The oldest goes, and with it the right to say that anything as old is complete. */
static void drop_first(struct recent *recent)
{
	struct recent_delta *delta = &recent->ring[recent->first];

	ASSERT(recent->count > 0 && recent->bytes >= delta->bytes.size);
	recent->bytes -= delta->bytes.size;
	recent->lost = delta->published;
	mem_free((void *)(uintptr_t)delta->bytes.data);
	recent->first = (recent->first + 1) % recent->capacity;
	recent->count--;
}

void recent_clear(struct recent *recent, uint64_t applied)
{
	while (recent->count > 0) {
		drop_first(recent);
	}
	recent->lost = applied;
}

void recent_fini(struct recent *recent)
{
	recent_clear(recent, 0);
	mem_free(recent->ring);
	*recent = (struct recent){0};
}

/* Doubled and straightened: the ring grows with what there is to remember. */
static void grow(struct recent *recent)
{
	size_t capacity = recent->capacity ? recent->capacity * 2 : RING_START;
	struct recent_delta *ring = mem_zalloc(capacity * sizeof *ring);

	for (size_t i = 0; i < recent->count; i++) {
		ring[i] = recent->ring[(recent->first + i) % recent->capacity];
	}
	mem_free(recent->ring);
	recent->ring = ring;
	recent->first = 0;
	recent->capacity = capacity;
}

/* One that is larger than all there may be falls out at once, and everything before it. */
void recent_add(struct recent *recent, struct slice bytes, uint64_t published)
{
	struct slice copy = slice_make(mem_copy(bytes.data, bytes.size), bytes.size);
	struct recent_delta *delta;
	struct packet frame;
	int decoded = packet_decode(copy, &frame);

	ASSERT(decoded == 0 && frame.kind == PACKET_DELTA && published >= recent->lost);
	if (recent->count == recent->capacity && recent->capacity < RECENT_DELTAS_MAX) {
		grow(recent);
	}
	if (recent->count == recent->capacity) {
		drop_first(recent);
	}
	delta = &recent->ring[(recent->first + recent->count++) % recent->capacity];
	*delta = (struct recent_delta){.records = (frame.flags & PACKET_RECORDS) != 0,
		.name = frame.name,
		.index = frame.index,
		.published = published,
		.bytes = copy};
	recent->bytes += copy.size;
	while (recent->bytes > RECENT_BYTES_MAX) {
		drop_first(recent);
	}
}

bool recent_find(const struct recent *recent, uint64_t cursor, size_t *ret_place)
{
	size_t place = recent->count;

	if (cursor < recent->lost) {
		return false;
	}
	while (place > 0 && recent_at(recent, place - 1)->published > cursor) {
		place--;
	}
	*ret_place = place;
	return true;
}

const struct recent_delta *recent_at(const struct recent *recent, size_t place)
{
	return place < recent->count ? &recent->ring[(recent->first + place) % recent->capacity]
				     : NULL;
}
