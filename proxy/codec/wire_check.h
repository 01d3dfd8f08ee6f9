/*
 * wire_check: the first pass of careful mode (codec.md EN-05): checks a message to its last byte,
 * also where nothing of it will be printed, and records where groups end. Internal.
 */
#ifndef PILLION_CODEC_WIRE_CHECK_H
#define PILLION_CODEC_WIRE_CHECK_H

#include "codec/wire_printer.h"

/* A group, known or not, by the place behind its start tag. */
struct wire_group {
	const uint8_t *start;
	const uint8_t *content_end; /* in front of the end tag */
	const uint8_t *after;	    /* behind it */
};

/* Appends to context->groups, in the order of their places. The caller entered the level. */
bool wire_check_message(struct wire_printer *x, const uint8_t *p, const uint8_t *end,
	const struct pool_message *message) MUST_CHECK;

/* A recorded group of the bytes being printed. */
struct wire_group wire_check_group(const struct wire_printer *x, const uint8_t *start);

#endif
