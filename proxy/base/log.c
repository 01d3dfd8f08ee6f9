#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log_sink.h"

#define LOG_LINE_MAX	LOG_SINK_WRITE_MAX
#define LOG_FIELD_MAX	2048 /* bytes of one field after escaping (operations.md LG-03) */
#define LOG_FIELDS_MAX	12
#define LOG_TAIL	32    /* kept free in a line for the mark that it was cut */
#define LOG_FOLD_SLOTS	64    /* (code, module) pairs that are counted at one time */
#define LOG_FOLD_PERIOD 10000 /* ms */
#define LOG_FOLD_FREE	10    /* lines of one kind in a period before folding */
#define LOG_NAME_MAX	256
#define LOG_MODULE_MAX	32

/* Counts one kind of line. Messages without a code are told apart by their text. */
struct log_fold {
	bool used;
	enum log_level level;
	unsigned code;
	uint64_t start_ms;
	uint64_t count;
	char module[LOG_MODULE_MAX];
	char message[LOG_NAME_MAX]; /* of lines without a code, else empty */
};

/* One log for the process, so that any module may speak without being handed one. */
struct log_state {
	pthread_mutex_t lock; /* guards all that follows */
	struct log_sink sink;
	bool json;
	bool torn; /* the last write ended inside a line */
	uint64_t dropped_told;
	char service[LOG_NAME_MAX];
	struct buf line;
	struct log_fold folds[LOG_FOLD_SLOTS];
};

static struct log_state log_state = {
	.lock = PTHREAD_MUTEX_INITIALIZER, .sink = {.fd = -1, .relay = {-1, -1}}};
static _Atomic int log_level_now = LOG_LEVEL_INFO;
static _Atomic uint64_t log_dropped_count;

static void log_count_lost(unsigned lines)
{
	atomic_fetch_add_explicit(&log_dropped_count, lines, memory_order_relaxed);
}

static const char *const log_level_words[] = {"error", "warn", "info", "debug"};

void log_setup(int fd, bool json, const char *service)
{
	struct log_sink opened;

	ASSERT(service != NULL);
	log_sink_open(&opened, fd);
	pthread_mutex_lock(&log_state.lock);
	log_count_lost(log_sink_flush(&log_state.sink));
	log_sink_close(&log_state.sink);
	log_state.sink = opened;
	log_state.json = json;
	log_state.torn = false;
	(void)snprintf(log_state.service, sizeof(log_state.service), "%s", service);
	pthread_mutex_unlock(&log_state.lock);
}

void log_set_level(enum log_level level)
{
	ASSERT(level <= LOG_LEVEL_DEBUG);
	atomic_store_explicit(&log_level_now, (int)level, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&log_level_now, memory_order_relaxed);
}

uint64_t log_dropped(void)
{
	return atomic_load_explicit(&log_dropped_count, memory_order_relaxed);
}

/* Writes the finished line. False when it was dropped. */
static bool log_put(void)
{
	struct buf *line = &log_state.line;
	ssize_t put;

	ASSERT(line->size <= LOG_LINE_MAX);
	if (log_state.torn) {
		/* A line was cut by a full disk: what follows starts on a line of its own. */
		memmove(buf_reserve(line, 1) - line->size + 1, line->data, line->size);
		line->data[0] = '\n';
		line->size++;
	}
	do {
		put = log_sink_write(&log_state.sink, line->data, line->size);
	} while (put < 0 && errno == EINTR);
	if (put > 0) {
		log_state.torn = (size_t)put < line->size;
	}
	if (put < 0 || (size_t)put < line->size) {
		log_count_lost(1);
		return false;
	}
	return true;
}

/* How many bytes of the text fit into LOG_FIELD_MAX when each may become six. */
static size_t log_fitting(struct slice text)
{
	size_t escaped = 0;

	for (size_t i = 0; i < text.size; i++) {
		uint8_t byte = text.data[i];

		escaped += byte < 0x20 || byte >= 0x7f ? 6 : 1;
		escaped += byte == '"' || byte == '\\';
		if (escaped > LOG_FIELD_MAX) {
			return i;
		}
	}
	return text.size;
}

/* Plain words need no quotes in the text form. */
static bool log_plain(struct slice text)
{
	for (size_t i = 0; i < text.size; i++) {
		uint8_t byte = text.data[i];

		if (byte <= ' ' || byte >= 0x7f || byte == '"' || byte == '\\' || byte == '=') {
			return false;
		}
	}
	return text.size > 0;
}

/* In quotes with everything escaped that could end a line or drive a terminal. */
static void log_append_text(struct buf *line, struct slice text, bool quoted)
{
	if (!quoted) {
		buf_append_slice(line, text);
		return;
	}
	buf_append_byte(line, '"');
	buf_append_json_escaped(line, text);
	buf_append_byte(line, '"');
}

/* Appends one field; returns false when its text had to be cut. */
static bool log_append_field(struct buf *line, bool json, const struct log_field *field)
{
	struct slice text = field->text;

	ASSERT(field->name != NULL);
	buf_appendf(line, json ? ",\"%s\":" : " %s=", field->name);
	switch (field->kind) {
	case LOG_FIELD_TEXT:
		text.size = log_fitting(text);
		log_append_text(line, text, json || !log_plain(text));
		return text.size == field->text.size;
	case LOG_FIELD_NUMBER:
		buf_appendf(line, "%lld", (long long)field->number);
		return true;
	case LOG_FIELD_BOOL:
		buf_append_string(line, field->number != 0 ? "true" : "false");
		return true;
	}
	return true;
}

/* What every line begins with, in the order in which people read it. */
static void log_append_start(struct buf *line, enum log_level level, const char *module,
	unsigned code, const char *message)
{
	char time[CLOCK_TEXT_SIZE];
	struct slice text = slice_from_string(message);

	text.size = log_fitting(text);
	clock_format_wall(clock_wall_ms(), time);
	if (!log_state.json) {
		buf_appendf(line, "%s %-5s %s ", time, log_level_words[level], module);
		if (code != 0) {
			buf_appendf(line, "PIL%04u ", code);
		}
		/* Fixed text of the program: nothing in it needs an escape. */
		buf_append_slice(line, text);
		return;
	}
	buf_appendf(line, "{\"@timestamp\":\"%s\",\"log.level\":\"%s\",\"log.logger\":\"%s\"", time,
		log_level_words[level], module);
	buf_append_string(line, ",\"message\":");
	log_append_text(line, text, true);
	if (code != 0) {
		buf_appendf(line, ",\"event.code\":\"PIL%04u\"", code);
	}
	buf_append_string(line, ",\"service.name\":");
	log_append_text(line, slice_from_string(log_state.service), true);
}

/* Builds and writes one line. A field that does not fit is left out and the line marked. */
static bool log_emit(enum log_level level, const char *module, unsigned code, const char *message,
	const struct log_field *fields, int field_count)
{
	struct buf *line = &log_state.line;
	bool cut = false;

	buf_clear(line);
	log_append_start(line, level, module, code, message);
	for (int i = 0; i < field_count; i++) {
		size_t before = line->size;

		if (!log_append_field(line, log_state.json, &fields[i])) {
			cut = true;
		}
		if (line->size > LOG_LINE_MAX - LOG_TAIL) {
			line->size = before;
			cut = true;
		}
	}
	if (cut) {
		buf_append_string(line, log_state.json ? ",\"pillion.cut\":true" : " cut=true");
	}
	buf_append_string(line, log_state.json ? "}\n" : "\n");
	return log_put();
}

/* One line says afterwards how many were dropped (LG-04). */
static void log_tell_dropped(void)
{
	uint64_t dropped = log_dropped();
	struct log_field field = LOG_NUMBER("pillion.dropped", dropped - log_state.dropped_told);

	if (dropped == log_state.dropped_told) {
		return;
	}
	if (log_emit(LOG_LEVEL_WARN, "log", 0, "log lines were dropped", &field, 1)) {
		log_state.dropped_told = dropped;
	} else {
		/* The failed note is not a lost line of anybody. */
		atomic_fetch_sub_explicit(&log_dropped_count, 1, memory_order_relaxed);
	}
}

/* Says how many lines were left out, if any, and frees the counter. */
static void log_end_fold(struct log_fold *fold)
{
	struct log_field field = LOG_NUMBER("pillion.repeated", fold->count - LOG_FOLD_FREE);

	ASSERT(fold->used);
	fold->used = false;
	if (fold->count > LOG_FOLD_FREE) {
		(void)log_emit(fold->level, fold->module, fold->code,
			fold->message[0] != '\0' ? fold->message : "repeated lines were folded",
			&field, 1);
	}
}

/* Names longer than the counter keeps are equal when their kept parts are. */
static bool log_fold_matches(
	const struct log_fold *fold, const char *module, unsigned code, const char *message)
{
	return fold->used && fold->code == code &&
	       strncmp(fold->module, module, LOG_MODULE_MAX - 1) == 0 &&
	       (code != 0 || strncmp(fold->message, message, LOG_NAME_MAX - 1) == 0);
}

/* The counter of this kind of line; when all are taken, the oldest is ended early. */
static struct log_fold *log_fold_for(
	enum log_level level, const char *module, unsigned code, const char *message)
{
	struct log_fold *chosen = &log_state.folds[0];

	for (size_t i = 0; i < LOG_FOLD_SLOTS; i++) {
		struct log_fold *fold = &log_state.folds[i];

		if (log_fold_matches(fold, module, code, message)) {
			return fold;
		}
		if (chosen->used && (!fold->used || fold->start_ms < chosen->start_ms)) {
			chosen = fold;
		}
	}
	if (chosen->used) {
		log_end_fold(chosen);
	}
	*chosen = (struct log_fold){.used = true, .level = level, .code = code};
	chosen->start_ms = clock_monotonic_ms();
	(void)snprintf(chosen->module, sizeof(chosen->module), "%s", module);
	(void)snprintf(chosen->message, sizeof(chosen->message), "%s", code == 0 ? message : "");
	return chosen;
}

/* Called with the lock. Ends what is old, so that counts appear although no equal line follows. */
static void log_end_old_folds(void)
{
	uint64_t now = clock_monotonic_ms();

	for (size_t i = 0; i < LOG_FOLD_SLOTS; i++) {
		struct log_fold *fold = &log_state.folds[i];

		if (fold->used && now - fold->start_ms >= LOG_FOLD_PERIOD) {
			log_end_fold(fold);
		}
	}
}

void log_flush(bool all)
{
	pthread_mutex_lock(&log_state.lock);
	log_count_lost(log_sink_flush(&log_state.sink));
	log_end_old_folds();
	for (size_t i = 0; all && i < LOG_FOLD_SLOTS; i++) {
		if (log_state.folds[i].used) {
			log_end_fold(&log_state.folds[i]);
		}
	}
	log_tell_dropped();
	pthread_mutex_unlock(&log_state.lock);
}

void log_event(enum log_level level, const char *module, unsigned code, const char *message,
	const struct log_field *fields, int field_count)
{
	ASSERT(module != NULL && message != NULL);
	ASSERT(field_count >= 0 && field_count <= LOG_FIELDS_MAX);
	if (!log_enabled(level)) {
		return;
	}
	pthread_mutex_lock(&log_state.lock);
	log_count_lost(log_sink_flush(&log_state.sink));
	log_end_old_folds();
	log_tell_dropped();
	if (++log_fold_for(level, module, code, message)->count <= LOG_FOLD_FREE) {
		(void)log_emit(level, module, code, message, fields, field_count);
	}
	pthread_mutex_unlock(&log_state.lock);
}
