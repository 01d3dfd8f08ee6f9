/*
 * cursor: how far one group has come in one topic of one log: everything up to `floor` is done, and
 * single sequence numbers above it, at most CURSOR_WINDOW, as a ring of bits that grows when
 * needed. Also the form of a CURSOR record (docs/rules/broker.md B9-04). Owner: the group. One
 * thread.
 */
#ifndef PILLION_BROKER_CURSOR_H
#define PILLION_BROKER_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

#define CURSOR_WINDOW	   65536 /* L5 */
#define CURSOR_BUDGETS_MAX 4096
#define CURSOR_GROUP_MAX   64

struct cursor {
	uint64_t floor;
	uint64_t *bits;	   /* done above the floor, by seq modulo capacity; NULL: none */
	uint32_t capacity; /* bits, a power of two */
	uint32_t above;	   /* how many are set */
};

void cursor_init(struct cursor *cursor, uint64_t floor);
void cursor_fini(struct cursor *cursor);
bool cursor_done(const struct cursor *cursor, uint64_t seq);
/* Marks one; false: it was done before. seq <= floor + CURSOR_WINDOW. */
bool cursor_mark(struct cursor *cursor, uint64_t seq);
/* Everything up to seq is done. */
void cursor_raise(struct cursor *cursor, uint64_t seq);

/* What an attempt at a message has cost so far (B10-07). */
struct cursor_budget {
	uint64_t seq;
	uint16_t app;
	uint16_t suspect;
};

/* The body of a CURSOR record. */
struct cursor_image {
	char group[CURSOR_GROUP_MAX + 1];
	bool removed; /* the group is gone for good */
	struct cursor cursor;
	struct cursor_budget *budgets;
	size_t budget_count;
};

void cursor_encode(struct slice group, const struct cursor *cursor,
	const struct cursor_budget *budgets, size_t budget_count, struct buf *ret_body);
void cursor_encode_removed(struct slice group, struct buf *ret_body);
/* 0 or -EBADMSG; the image is initialised only on success. */
MUST_CHECK int cursor_decode(struct slice body, struct cursor_image *ret_image);
void cursor_image_fini(struct cursor_image *image);
/* The group's name alone; empty when the body is broken. */
struct slice cursor_group(struct slice body);

#endif
