/*
 * log_sink: where log lines go, without ever waiting for a reader and without touching the flags of
 * an inherited description, which application and shell share (operations.md LG-04). A pipe that
 * this user may not open anew is fed by splice(2), which can be told not to wait; a terminal is
 * looked for at /dev/tty. Owner: whoever embeds it. One thread at a time.
 */
#ifndef PILLION_BASE_LOG_SINK_H
#define PILLION_BASE_LOG_SINK_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"

#define LOG_SINK_WRITE_MAX 4096 /* POSIX PIPE_BUF: a write of at most this is atomic on a pipe */

enum log_sink_kind {
	LOG_SINK_NONE,	/* takes everything */
	LOG_SINK_PLAIN, /* a file, or a description of our own that does not wait */
	LOG_SINK_SOCKET,
	LOG_SINK_SPLICED, /* a pipe of somebody else's */
	LOG_SINK_POLLED,  /* anything else: asked for room before each write */
};

struct log_sink {
	enum log_sink_kind kind;
	int fd;
	int relay[2];	    /* LOG_SINK_SPLICED: a private pipe, empty between two calls */
	struct buf waiting; /* LOG_SINK_SPLICED: whole lines that the pipe had no room for */
};

/* fd is not taken over and may be -1. owned: a descriptor of ours, which is. */
void log_sink_open(struct log_sink *sink, int fd);
void log_sink_adopt(struct log_sink *sink, int owned);
void log_sink_close(struct log_sink *sink);
/*
 * Whole lines, at most LOG_SINK_WRITE_MAX bytes. The bytes that were taken, as write(2) says it, or
 * -1 with errno: EAGAIN where there is no room. Files may take a part.
 */
ssize_t log_sink_write(struct log_sink *sink, const void *lines, size_t size);
/* Tries again what waits; the number of lines that are lost for good since the last call. */
unsigned log_sink_flush(struct log_sink *sink);
/* Something waits: flush again soon. */
static inline bool log_sink_waits(const struct log_sink *sink)
{
	return sink->waiting.size > 0;
}

#endif
