/*
 * report: every error and warning of one reading of the configuration, sorted by file, line and
 * column (operations.md CF-21), and the forms in which people and programs get it (CF-22). Owned by
 * whoever called config_report_init; one thread.
 */
#ifndef PILLION_CONFIG_REPORT_H
#define PILLION_CONFIG_REPORT_H

#include "base/arena.h"
#include "base/buf.h"

enum config_severity { CONFIG_ERROR, CONFIG_WARNING };
enum config_report_format { CONFIG_REPORT_TEXT, CONFIG_REPORT_JSONL };

/* At most so many are kept and printed; the rest is counted. */
#define CONFIG_REPORT_PRINTED 100
#define CONFIG_REPORT_KEPT    1000

struct config_place {
	const char *file; /* or the origin: "env PILLION_APP", "flag --port"; "": nobody wrote it */
	int line;	  /* 1-based; 0: not from a file */
	int column;	  /* code points from 1 */
	int end_column;	  /* first column behind it, same line */
	const char *source; /* that line, or a piece of it around the place; NULL: there is none */
	int source_column;  /* of the first character of `source` */
};

struct config_problem {
	unsigned code; /* PIL number */
	enum config_severity severity;
	struct config_place place;
	const char *pointer;	/* JSON pointer; "" for the whole text */
	const char *text;	/* whole sentence; NULL: "expected <expected>, found <found>" */
	const char *expected;	/* NULL: none */
	const char *found;	/* NULL: none; "<redacted>" where it is a secret */
	const char *suggestion; /* nearest valid word or spelling; NULL: none */
	const char *fix;	/* NULL: none */
	bool has_related;
	struct config_place related;
	const char *related_text; /* "first written here" */
};

struct config_report {
	struct config_problem *problems; /* sorted once loading is over */
	size_t count;
	size_t errors; /* all, also those beyond CONFIG_REPORT_KEPT */
	size_t warnings;
	const char *file; /* main file for the closing line; NULL: none */
	struct arena arena;
};

void config_report_init(struct config_report *report);
void config_report_fini(struct config_report *report);
/* A copy is kept. Texts in it are copied too. */
void config_report_add(struct config_report *report, const struct config_problem *problem);
void config_report_sort(struct config_report *report);
/* Warnings become errors (--strict). */
void config_report_strict(struct config_report *report);
/* Text closes with "N errors, N warnings in FILE."; jsonl is one object a line. Nothing when empty.
 */
void config_report_print(
	const struct config_report *report, enum config_report_format format, struct buf *ret_text);

#endif
