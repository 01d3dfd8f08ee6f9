/*
 * The ring holds only what is done out of order: a group that keeps up needs no memory at all.
 */
#include "broker/cursor.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "broker/bytes.h"

#define CURSOR_VERSION	1
#define CURSOR_REMOVED	1
#define CURSOR_CAPACITY 64 /* the first ring */

void cursor_init(struct cursor *cursor, uint64_t floor)
{
	*cursor = (struct cursor){.floor = floor};
}

/* Leaves a cursor that may be used again, with nothing above its floor. */
void cursor_fini(struct cursor *cursor)
{
	mem_free(cursor->bits);
	cursor->bits = NULL;
	cursor->capacity = 0;
}

/* Each number between floor + 1 and floor + capacity has exactly one place. */
static bool bit_get(const struct cursor *cursor, uint64_t seq)
{
	uint64_t place = seq & (cursor->capacity - 1);

	return (cursor->bits[place / 64] >> (place % 64) & 1) != 0;
}

/* The caller keeps the count of set bits. */
static void bit_set(struct cursor *cursor, uint64_t seq, bool on)
{
	uint64_t place = seq & (cursor->capacity - 1);
	uint64_t mask = UINT64_C(1) << (place % 64);

	if (on) {
		cursor->bits[place / 64] |= mask;
	} else {
		cursor->bits[place / 64] &= ~mask;
	}
}

/* Beyond the ring nothing can be done. */
bool cursor_done(const struct cursor *cursor, uint64_t seq)
{
	if (seq <= cursor->floor) {
		return true;
	}
	if (seq - cursor->floor > cursor->capacity) {
		return false;
	}
	return bit_get(cursor, seq);
}

/* A ring that holds floor + 1 .. floor + capacity, so that each number has a place of its own. */
static void grow(struct cursor *cursor, uint64_t seq)
{
	struct cursor larger = *cursor;
	uint32_t capacity = cursor->capacity > 0 ? cursor->capacity : CURSOR_CAPACITY;

	while (seq - cursor->floor > capacity) {
		capacity *= 2;
	}
	if (capacity == cursor->capacity) {
		return;
	}
	larger.capacity = capacity;
	larger.bits = mem_zalloc(capacity / 8);
	for (uint32_t i = 1; i <= cursor->capacity; i++) {
		bit_set(&larger, cursor->floor + i, bit_get(cursor, cursor->floor + i));
	}
	mem_free(cursor->bits);
	*cursor = larger;
}

/* The floor passes what is done right above it; the bits are given back when none is left. */
static void settle(struct cursor *cursor)
{
	while (cursor->above > 0 && bit_get(cursor, cursor->floor + 1)) {
		cursor->floor++;
		bit_set(cursor, cursor->floor, false);
		cursor->above--;
	}
	if (cursor->above == 0) {
		cursor_fini(cursor);
	}
}

/* The usual case, the next number in order, touches no ring. */
bool cursor_mark(struct cursor *cursor, uint64_t seq)
{
	if (cursor_done(cursor, seq)) {
		return false;
	}
	ASSERT(seq - cursor->floor <= CURSOR_WINDOW);
	if (seq == cursor->floor + 1 && cursor->above == 0) {
		cursor->floor = seq;
		return true;
	}
	grow(cursor, seq);
	bit_set(cursor, seq, true);
	cursor->above++;
	settle(cursor);
	return true;
}

/* Bits that the floor passes are cleared: their places will stand for other numbers. */
void cursor_raise(struct cursor *cursor, uint64_t seq)
{
	if (seq <= cursor->floor) {
		return;
	}
	if (seq - cursor->floor >= cursor->capacity) {
		cursor_fini(cursor);
		cursor->above = 0;
		cursor->floor = seq;
		return;
	}
	while (cursor->floor < seq) {
		cursor->floor++;
		if (bit_get(cursor, cursor->floor)) {
			bit_set(cursor, cursor->floor, false);
			ASSERT(cursor->above > 0);
			cursor->above--;
		}
	}
	settle(cursor);
}

static void put64(struct buf *buf, uint64_t value)
{
	uint8_t bytes[8];

	bytes_put64(bytes, value);
	buf_append(buf, bytes, sizeof bytes);
}

static void put32(struct buf *buf, uint32_t value)
{
	uint8_t bytes[4];

	bytes_put32(bytes, value);
	buf_append(buf, bytes, sizeof bytes);
}

/* What the removed and the ordinary form share; cursor_group reads exactly this. */
static void put_start(struct slice group, uint8_t flags, struct buf *buf)
{
	ASSERT(group.size > 0 && group.size <= CURSOR_GROUP_MAX);
	buf_append_byte(buf, CURSOR_VERSION);
	buf_append_byte(buf, flags);
	buf_append_byte(buf, (uint8_t)group.size);
	buf_append_slice(buf, group);
}

/* Runs of done numbers: distance from the floor and length, both u32. */
static void put_runs(const struct cursor *cursor, struct buf *buf)
{
	size_t count_at = buf->size;
	uint32_t runs = 0;

	put32(buf, 0);
	for (uint32_t i = 1; cursor->above > 0 && i <= cursor->capacity; i++) {
		uint32_t length = 0;

		while (i + length <= cursor->capacity &&
			bit_get(cursor, cursor->floor + i + length)) {
			length++;
		}
		if (length > 0) {
			put32(buf, i);
			put32(buf, length);
			runs++;
			i += length;
		}
	}
	bytes_put32(buf->data + count_at, runs);
}

/* The form is absolute: the last record of a group is all that recovery needs (B9-04). */
void cursor_encode(struct slice group, const struct cursor *cursor,
	const struct cursor_budget *budgets, size_t budget_count, struct buf *ret_body)
{
	ASSERT(budget_count <= CURSOR_BUDGETS_MAX);
	put_start(group, 0, ret_body);
	put64(ret_body, cursor->floor);
	put64(ret_body, 0); /* last seek: none in this version */
	put_runs(cursor, ret_body);
	put32(ret_body, (uint32_t)budget_count);
	for (size_t i = 0; i < budget_count; i++) {
		put64(ret_body, budgets[i].seq);
		put32(ret_body, (uint32_t)budgets[i].app | (uint32_t)budgets[i].suspect << 16);
	}
}

/* A mark that makes recovery forget the group, with empty parts behind it so that one reader
 * serves both. */
void cursor_encode_removed(struct slice group, struct buf *ret_body)
{
	struct cursor none;

	cursor_init(&none, 0);
	put_start(group, CURSOR_REMOVED, ret_body);
	put64(ret_body, 0);
	put64(ret_body, 0);
	put_runs(&none, ret_body);
	put32(ret_body, 0);
}

/* Used before anything is decoded, so it checks what it reads. */
struct slice cursor_group(struct slice body)
{
	if (body.size < 3 || body.data[0] != CURSOR_VERSION || body.data[2] == 0 ||
		body.data[2] > CURSOR_GROUP_MAX || body.size - 3 < body.data[2]) {
		return slice_make(NULL, 0);
	}
	return slice_make(body.data + 3, body.data[2]);
}

/* Marks the runs; false: they are not ascending or leave the window. */
static bool take_runs(struct slice runs, struct cursor *cursor)
{
	uint64_t base = cursor->floor;
	uint64_t after =
		1; /* the least distance of the next run; a run never begins at the floor */

	for (; runs.size >= 8; runs = slice_from(runs, 8)) {
		uint64_t distance = bytes_get32(runs.data);
		uint64_t length = bytes_get32(runs.data + 4);

		if (distance < after + 1 || length == 0 || distance + length > CURSOR_WINDOW + 1) {
			return false;
		}
		for (uint64_t i = 0; i < length; i++) {
			(void)cursor_mark(cursor, base + distance + i);
		}
		after = distance + length;
	}
	return true;
}

/* The count was checked against the size of the body. */
static void take_budgets(struct slice bytes, struct cursor_image *image)
{
	image->budget_count = bytes.size / 12;
	image->budgets = mem_zalloc(image->budget_count * sizeof *image->budgets);
	for (size_t i = 0; i < image->budget_count; i++) {
		const uint8_t *at = bytes.data + 12 * i;

		image->budgets[i] = (struct cursor_budget){
			bytes_get64(at), bytes_get16(at + 8), bytes_get16(at + 10)};
	}
}

/* From disk: every length is checked, runs must ascend, and nothing may lie outside the
 * window. */
int cursor_decode(struct slice body, struct cursor_image *ret_image)
{
	struct slice group = cursor_group(body);
	struct cursor_image image = {.removed = false};
	struct slice rest;
	uint64_t runs, budgets;

	if (group.size == 0) {
		return -EBADMSG;
	}
	memcpy(image.group, group.data, group.size);
	image.removed = (body.data[1] & CURSOR_REMOVED) != 0;
	rest = slice_from(body, 3 + group.size);
	if (rest.size < 20) {
		return -EBADMSG;
	}
	runs = bytes_get32(rest.data + 16);
	if ((rest.size - 20) / 8 < runs || rest.size - 20 - runs * 8 < 4) {
		return -EBADMSG;
	}
	budgets = bytes_get32(rest.data + 20 + runs * 8);
	if (budgets > CURSOR_BUDGETS_MAX || rest.size != 24 + runs * 8 + budgets * 12) {
		return -EBADMSG;
	}
	cursor_init(&image.cursor, bytes_get64(rest.data));
	if (!take_runs(slice_make(rest.data + 20, runs * 8), &image.cursor)) {
		cursor_fini(&image.cursor);
		return -EBADMSG;
	}
	take_budgets(slice_make(rest.data + 24 + runs * 8, budgets * 12), &image);
	*ret_image = image;
	return 0;
}

/* Also for an image that was never filled. */
void cursor_image_fini(struct cursor_image *image)
{
	cursor_fini(&image->cursor);
	mem_free(image->budgets);
	image->budgets = NULL;
}
