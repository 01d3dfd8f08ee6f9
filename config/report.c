/*
 * report: collecting, sorting and printing what is wrong with a configuration (CF-21, CF-22).
 */
#include "config/report.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "config/type.h"

/* No caret stands behind this column: no more than that is shown of a line. */
#define CARETS_MAX 160

/* One block for all that is kept, so that adding never moves them. */
void config_report_init(struct config_report *report)
{
	*report = (struct config_report){0};
	arena_init(&report->arena);
	report->problems =
		arena_alloc(&report->arena, CONFIG_REPORT_KEPT * sizeof(*report->problems));
}

void config_report_fini(struct config_report *report)
{
	arena_fini(&report->arena);
	*report = (struct config_report){0};
}

static const char *keep(struct config_report *report, const char *text)
{
	return text != NULL ? arena_string(&report->arena, slice_from_string(text)) : NULL;
}

/* Copied, because the report outlives a configuration that was refused. */
static struct config_place keep_place(struct config_report *report, struct config_place place)
{
	place.file = place.file != NULL ? keep(report, place.file) : "";
	place.source = keep(report, place.source);
	return place;
}

/* Beyond the bound only the counts go on. */
void config_report_add(struct config_report *report, const struct config_problem *problem)
{
	ASSERT(report->problems != NULL);
	ASSERT(problem->code >= 1000 && problem->code <= 9999);
	if (problem->severity == CONFIG_ERROR) {
		report->errors++;
	} else {
		report->warnings++;
	}
	/* Counted all the same: "and N more" must be true. */
	if (report->count == CONFIG_REPORT_KEPT) {
		return;
	}

	struct config_problem *copy = &report->problems[report->count++];

	*copy = *problem;
	copy->place = keep_place(report, problem->place);
	ASSERT(problem->text != NULL || problem->expected != NULL);
	copy->pointer = problem->pointer != NULL ? keep(report, problem->pointer) : "";
	copy->text = keep(report, problem->text);
	copy->expected = keep(report, problem->expected);
	copy->found = keep(report, problem->found);
	copy->suggestion = keep(report, problem->suggestion);
	copy->fix = keep(report, problem->fix);
	copy->related_text = keep(report, problem->related_text);
	if (problem->has_related) {
		copy->related = keep_place(report, problem->related);
	}
}

/* File, line, column; what comes from no file stands behind what does (CF-21). */
static int compare(const void *left, const void *right)
{
	const struct config_problem *a = left;
	const struct config_problem *b = right;
	if ((a->place.line == 0) != (b->place.line == 0)) {
		return a->place.line == 0 ? 1 : -1;
	}

	int order = strcmp(a->place.file, b->place.file);

	if (order != 0) {
		return order;
	}
	if (a->place.line != b->place.line) {
		return a->place.line < b->place.line ? -1 : 1;
	}
	if (a->place.column != b->place.column) {
		return a->place.column < b->place.column ? -1 : 1;
	}
	order = strcmp(a->pointer, b->pointer);
	return order != 0 ? order : (int)a->code - (int)b->code;
}

void config_report_sort(struct config_report *report)
{
	ASSERT(report->problems != NULL);
	qsort(report->problems, report->count, sizeof(*report->problems), compare);
}

void config_report_strict(struct config_report *report)
{
	for (size_t i = 0; i < report->count; i++) {
		report->problems[i].severity = CONFIG_ERROR;
	}
	report->errors += report->warnings;
	report->warnings = 0;
}

/* What was not written in a file is named by its origin. */
static void print_place(const struct config_place *place, struct buf *text)
{
	if (place->line > 0) {
		buf_appendf(text, "%s:%d:%d: ", place->file, place->line, place->column);
	} else if (place->file[0] != '\0') {
		buf_appendf(text, "%s: ", place->file);
	}
}

/* A byte that would drive a terminal is shown as a blank; tabs stay one column (CF-04). */
static void append_shown(struct buf *text, const char *line, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		uint8_t byte = (uint8_t)line[i];

		buf_append_byte(text, byte < 0x20 || byte == 0x7f ? ' ' : byte);
	}
}

/* The source line and carets below the place. */
static void print_source(const struct config_place *place, struct buf *text)
{
	if (place->source == NULL) {
		return;
	}

	int indent = place->column - place->source_column;
	int width = place->end_column - place->column;

	ASSERT(indent >= 0);
	if (width > CARETS_MAX - indent) {
		width = CARETS_MAX - indent;
	}
	buf_appendf(text, "%5d | ", place->line);
	append_shown(text, place->source, strlen(place->source));
	buf_append_string(text, "\n      | ");
	for (int i = 0; i < indent; i++) {
		buf_append_byte(text, ' ');
	}
	for (int i = 0; i < (width < 1 ? 1 : width); i++) {
		buf_append_byte(text, '^');
	}
	buf_append_byte(text, '\n');
}

static const char *severity_word(enum config_severity severity)
{
	return severity == CONFIG_ERROR ? "error" : "warning";
}

/* The form of CF-22; the first line fits the error format of editors. */
static void print_text(const struct config_problem *problem, struct buf *text)
{
	ASSERT(problem->text != NULL || problem->expected != NULL);
	print_place(&problem->place, text);
	buf_appendf(text, "%s PIL%u: ", severity_word(problem->severity), problem->code);
	if (problem->pointer[0] != '\0') {
		append_shown(text, problem->pointer, strlen(problem->pointer));
		buf_append_string(text, ": ");
	}
	if (problem->text != NULL) {
		append_shown(text, problem->text, strlen(problem->text));
	} else {
		buf_append_string(text, "expected ");
		append_shown(text, problem->expected, strlen(problem->expected));
		if (problem->found != NULL) {
			buf_append_string(text, ", found ");
			append_shown(text, problem->found, strlen(problem->found));
		}
	}
	buf_append_byte(text, '\n');
	print_source(&problem->place, text);
	if (problem->fix != NULL) {
		buf_appendf(text, "  fix: %s\n", problem->fix);
	}
	if (problem->has_related) {
		buf_append_string(text, "  see: ");
		print_place(&problem->related, text);
		buf_appendf(
			text, "%s\n", problem->related_text != NULL ? problem->related_text : "");
	}
}

static void member_text(struct buf *text, const char *name, const char *value)
{
	if (value == NULL) {
		buf_appendf(text, ",\"%s\":null", name);
		return;
	}
	buf_appendf(text, ",\"%s\":", name);
	config_type_quote(text, slice_from_string(value));
}

/* All members are always there, as null where there is nothing (CF-22). */
static void print_jsonl(const struct config_problem *problem, struct buf *text)
{
	const struct config_place *place = &problem->place;

	buf_append_string(text, "{\"file\":");
	config_type_quote(text, slice_from_string(place->file));
	buf_appendf(text, ",\"line\":%d,\"column\":%d,\"end_column\":%d", place->line,
		place->column, place->end_column);
	member_text(text, "pointer", problem->pointer);
	buf_appendf(text, ",\"code\":\"PIL%u\",\"severity\":\"%s\"", problem->code,
		severity_word(problem->severity));
	member_text(text, "message", problem->text);
	member_text(text, "expected", problem->expected);
	member_text(text, "found", problem->found);
	member_text(text, "suggestion", problem->suggestion);
	member_text(text, "fix", problem->fix);
	buf_append_string(text, ",\"related\":[");
	if (problem->has_related) {
		buf_append_string(text, "{\"file\":");
		config_type_quote(text, slice_from_string(problem->related.file));
		buf_appendf(text, ",\"line\":%d,\"column\":%d", problem->related.line,
			problem->related.column);
		member_text(text, "message", problem->related_text);
		buf_append_byte(text, '}');
	}
	buf_append_string(text, "]}\n");
}

static const char *plural(size_t count)
{
	return count == 1 ? "" : "s";
}

/* The closing line is complete even where the list is not. */
void config_report_print(
	const struct config_report *report, enum config_report_format format, struct buf *ret_text)
{
	size_t all = report->errors + report->warnings;
	size_t shown =
		report->count < CONFIG_REPORT_PRINTED ? report->count : CONFIG_REPORT_PRINTED;

	for (size_t i = 0; i < shown; i++) {
		if (format == CONFIG_REPORT_JSONL) {
			print_jsonl(&report->problems[i], ret_text);
		} else {
			print_text(&report->problems[i], ret_text);
		}
	}
	if (all == 0 || format == CONFIG_REPORT_JSONL) {
		return;
	}
	if (all > shown) {
		buf_appendf(ret_text, "and %zu more\n", all - shown);
	}
	buf_appendf(ret_text, "%zu error%s, %zu warning%s", report->errors, plural(report->errors),
		report->warnings, plural(report->warnings));
	if (report->file != NULL) {
		buf_appendf(ret_text, " in %s", report->file);
	}
	buf_append_string(ret_text, ".\n");
}
