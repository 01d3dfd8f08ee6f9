/*
 * err: an error that a person must read: a PIL number (docs/errors.md), a text, and where a
 * position is known the file, line and column. Filled by the caller's callee, owned by the caller
 * (usually on its stack). Functions that fill one return a negative errno or false beside it.
 */
#ifndef PILLION_BASE_ERR_H
#define PILLION_BASE_ERR_H

#include "base/assert.h"

struct err {
	unsigned code; /* PIL number; 0: no error recorded */
	int line;      /* 1-based; 0: no position */
	int column;
	char file[256];
	char text[512];
};

void err_clear(struct err *err);
/* Overwrites. NULL err is allowed and ignored. */
void err_set(struct err *err, unsigned code, const char *format, ...) PRINTF_LIKE(3, 4);
/* Puts "context: " before the text. */
void err_prefix(struct err *err, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
