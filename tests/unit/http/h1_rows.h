/* h1_rows: acceptance tables of tests/data, one row a line; see the comments in h1.tsv. */
#ifndef PILLION_TESTS_H1_ROWS_H
#define PILLION_TESTS_H1_ROWS_H

#include "base/buf.h"

struct h1_row {
	unsigned line;
	char id[16];
	char flags[32];
	struct slice input;   /* bytes */
	struct slice verdict; /* bytes */
};

/* Calls check for each row; returns how many. */
unsigned h1_rows_each(const char *path, void (*check)(const struct h1_row *row));
bool h1_row_has(const struct h1_row *row, const char *flag);

#endif
