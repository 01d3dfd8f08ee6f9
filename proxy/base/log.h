/*
 * log: the application log (operations.md LG-01): one event a line, text on a TTY, JSON otherwise.
 * Messages are fixed text; variables are fields. Never blocks: lines that cannot be written at once
 * are dropped and counted. Equal (code, module) over ten times in ten seconds are folded. Any
 * thread (one short lock; on the request path only where a request is refused).
 */
#ifndef PILLION_BASE_LOG_H
#define PILLION_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/slice.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

struct log_field {
	const char *name; /* ECS name or pillion.* */
	enum { LOG_FIELD_TEXT, LOG_FIELD_NUMBER, LOG_FIELD_BOOL } kind;
	struct slice text;
	int64_t number;
};

#define LOG_TEXT(name, string)                                                                     \
	((struct log_field){(name), LOG_FIELD_TEXT, slice_from_string(string), 0})
#define LOG_SLICE(name, bytes) ((struct log_field){(name), LOG_FIELD_TEXT, (bytes), 0})
#define LOG_NUMBER(name, value)                                                                    \
	((struct log_field){(name), LOG_FIELD_NUMBER, {0}, (int64_t)(value)})

/* Before any other call: JSON or text, file descriptor (a sink of its own, log_sink.h), service
 * name for every line. Call again to change. */
void log_setup(int fd, bool json, const char *service);
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);
uint64_t log_dropped(void);

/*
 * code is a PIL number or 0. message is fixed text. Up to 12 fields:
 *   log_event(LOG_LEVEL_WARN, "raftreg", 3002, "no quorum",
 *   	(struct log_field[]){LOG_NUMBER("pillion.term", term)}, 1);
 */
void log_event(enum log_level level, const char *module, unsigned code, const char *message,
	const struct log_field *fields, int field_count);

/* Tries again what a full pipe did not take, and prints the counts of folded lines whose time is
 * over (`all`: of all, before the process ends) and of dropped lines. Any later line does the same;
 * call it now and then when little is logged. */
void log_flush(bool all);

#define LOG(level, module, code, message) log_event(level, module, code, message, NULL, 0)

#endif
