/*
 * A ring of fixed lines, so that keeping them costs no allocation and the handler of an abort can
 * print them with write alone. A broken invariant of the core ends the process (RC-09): what led to
 * it would be gone with it.
 */
#include "raftreg/node_trace.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

struct node_trace {
	char lines[NODE_TRACE_LINES][NODE_TRACE_BYTES];
	uint64_t count;	 /* ever added */
	const char *row; /* of the last line, if such lines come in rows; or NULL */
};

/* Of the registry thread alone: an abort of any other thread is not the core's. */
static _Thread_local struct node_trace *node_trace_of_thread;

struct node_trace *node_trace_create(void)
{
	return mem_zalloc(sizeof(struct node_trace));
}

void node_trace_destroy(struct node_trace *trace)
{
	mem_free(trace);
}

/* A busy leader commits thousands of times a second. Of such a row only the last line is kept, or
 * an hour's decisions would be gone in one. */
static const char *row_of(const char *line)
{
	static const char *const rows[] = {"commit ", "refused: "};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (strncmp(line, rows[i], strlen(rows[i])) == 0) {
			return rows[i];
		}
	}
	return NULL;
}

void node_trace_add(struct node_trace *trace, uint64_t now_ms, const char *lines)
{
	const char *end;

	for (; (end = strchr(lines, '\n')) != NULL; lines = end + 1) {
		const char *row = row_of(lines);

		if (row && row == trace->row) {
			trace->count--;
		}
		trace->row = row;
		(void)snprintf(trace->lines[trace->count++ % NODE_TRACE_LINES], NODE_TRACE_BYTES,
			"%" PRIu64 " %.*s", now_ms, (int)(end - lines), lines);
	}
	ASSERT(*lines == '\0');
}

static uint64_t oldest(const struct node_trace *trace)
{
	return trace->count > NODE_TRACE_LINES ? trace->count - NODE_TRACE_LINES : 0;
}

void node_trace_json(const struct node_trace *trace, struct buf *ret_json)
{
	buf_append_string(ret_json, "{\"lines\":[");
	for (uint64_t i = oldest(trace); i < trace->count; i++) {
		buf_append_string(ret_json, i == oldest(trace) ? "\"" : ",\"");
		buf_append_json_escaped(
			ret_json, slice_from_string(trace->lines[i % NODE_TRACE_LINES]));
		buf_append_string(ret_json, "\"");
	}
	buf_append_string(ret_json, "]}");
}

/* Only what may be called in a handler; abort goes on when it returns. */
static void on_abort(int number)
{
	const struct node_trace *trace = node_trace_of_thread;
	static const char title[] = "the last decisions of the replica, oldest first:\n";

	(void)number;
	if (!trace) {
		return;
	}
	(void)!write(STDERR_FILENO, title, sizeof title - 1);
	for (uint64_t i = oldest(trace); i < trace->count; i++) {
		const char *line = trace->lines[i % NODE_TRACE_LINES];

		(void)!write(STDERR_FILENO, line, strnlen(line, NODE_TRACE_BYTES));
		(void)!write(STDERR_FILENO, "\n", 1);
	}
}

void node_trace_on_abort(struct node_trace *trace)
{
	struct sigaction action = {.sa_handler = on_abort, .sa_flags = (int)SA_RESETHAND};

	node_trace_of_thread = trace;
	if (trace) {
		(void)sigaction(SIGABRT, &action, NULL);
	}
}
