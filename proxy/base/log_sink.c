#include "base/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAITING_MAX (64 * 1024) /* as much as a pipe takes by default */

/* A description of our own, so that its flags are ours too; -1: there is no way to one. */
static int open_anew(int fd, bool terminal)
{
	char path[64];
	int opened;
	unsigned wanted, found;

	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	opened = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (opened >= 0 || !terminal) {
		return opened;
	}
	/* After a change of user the terminal's name belongs to somebody else; the controlling
	 * terminal may be opened by everybody whom it controls. */
	opened = open("/dev/tty", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (opened >= 0 && (ioctl(fd, TIOCGDEV, &wanted) < 0 ||
				   ioctl(opened, TIOCGDEV, &found) < 0 || wanted != found)) {
		close(opened);
		opened = -1;
	}
	return opened;
}

void log_sink_adopt(struct log_sink *sink, int owned)
{
	*sink = (struct log_sink){.kind = owned >= 0 ? LOG_SINK_PLAIN : LOG_SINK_NONE,
		.fd = owned,
		.relay = {-1, -1}};
	buf_init(&sink->waiting);
}

void log_sink_open(struct log_sink *sink, int fd)
{
	struct stat facts;
	bool pipe_or_terminal;
	int opened;

	log_sink_adopt(sink, -1);
	if (fd < 0 || fstat(fd, &facts) < 0) {
		return;
	}
	pipe_or_terminal = S_ISFIFO(facts.st_mode) || S_ISCHR(facts.st_mode);
	opened = pipe_or_terminal ? open_anew(fd, isatty(fd) == 1) : -1;
	if (opened >= 0) {
		log_sink_adopt(sink, opened);
		return;
	}
	opened = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (opened < 0) {
		return;
	}
	sink->fd = opened;
	sink->kind = S_ISSOCK(facts.st_mode)  ? LOG_SINK_SOCKET
		     : S_ISREG(facts.st_mode) ? LOG_SINK_PLAIN
					      : LOG_SINK_POLLED;
	/* splice(2) refuses descriptions in append mode. */
	if (S_ISFIFO(facts.st_mode) && (fcntl(fd, F_GETFL) & O_APPEND) == 0 &&
		pipe2(sink->relay, O_NONBLOCK | O_CLOEXEC) == 0) {
		sink->kind = LOG_SINK_SPLICED;
	}
}

void log_sink_close(struct log_sink *sink)
{
	const int fds[] = {sink->fd, sink->relay[0], sink->relay[1]};

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		if (fds[i] >= 0) {
			close(fds[i]);
		}
	}
	buf_fini(&sink->waiting);
	log_sink_adopt(sink, -1);
}

/* Through the private pipe: written there as one page, moved on whole or not at all. -1 with errno.
 */
static ssize_t splice_out(struct log_sink *sink, const uint8_t *lines, size_t size)
{
	uint8_t rest[LOG_SINK_WRITE_MAX];
	ssize_t moved = write(sink->relay[1], lines, size);
	int error;

	if (moved < 0) {
		return -1;
	}
	ASSERT((size_t)moved == size);
	do {
		moved = splice(sink->relay[0], NULL, sink->fd, NULL, size, SPLICE_F_NONBLOCK);
	} while (moved < 0 && errno == EINTR);
	if (moved != (ssize_t)size) {
		error = moved < 0 ? errno : EAGAIN;
		(void)!read(sink->relay[0], rest, sizeof rest);
		errno = error;
		return -1;
	}
	return moved;
}

/* The longest run of whole lines at the front that one write may carry. */
static size_t front_lines(const struct buf *lines)
{
	size_t size = lines->size < LOG_SINK_WRITE_MAX ? lines->size : LOG_SINK_WRITE_MAX;

	while (size > 0 && lines->data[size - 1] != '\n') {
		size--;
	}
	ASSERT(size > 0);
	return size;
}

static unsigned count_lines(const struct buf *lines)
{
	unsigned count = 0;

	for (size_t i = 0; i < lines->size; i++) {
		count += lines->data[i] == '\n';
	}
	return count;
}

/* Each move takes a slot of the pipe, of which there are sixteen by default: lines that wait leave
 * together, which is why they may. */
unsigned log_sink_flush(struct log_sink *sink)
{
	unsigned lost = 0;

	while (sink->waiting.size > 0) {
		size_t size = front_lines(&sink->waiting);

		if (splice_out(sink, sink->waiting.data, size) < 0) {
			if (errno != EAGAIN) {
				/* The reader is gone: nobody will ever see them. */
				lost += count_lines(&sink->waiting);
				buf_clear(&sink->waiting);
			}
			break;
		}
		sink->waiting.size -= size;
		memmove(sink->waiting.data, sink->waiting.data + size, sink->waiting.size);
	}
	return lost;
}

static ssize_t write_spliced(struct log_sink *sink, const void *lines, size_t size)
{
	ssize_t moved = -1;

	errno = EAGAIN;
	if (sink->waiting.size == 0) {
		moved = splice_out(sink, lines, size);
	}
	if (moved < 0 && errno == EAGAIN && sink->waiting.size + size <= WAITING_MAX) {
		buf_append(&sink->waiting, lines, size);
		moved = (ssize_t)size;
	}
	return moved;
}

ssize_t log_sink_write(struct log_sink *sink, const void *lines, size_t size)
{
	struct pollfd ready = {sink->fd, POLLOUT, 0};

	ASSERT(size > 0 && size <= LOG_SINK_WRITE_MAX);
	switch (sink->kind) {
	case LOG_SINK_SOCKET:
		return send(sink->fd, lines, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	case LOG_SINK_SPLICED:
		return write_spliced(sink, lines, size);
	case LOG_SINK_POLLED:
		if (poll(&ready, 1, 0) <= 0) {
			errno = EAGAIN;
			return -1;
		}
		return write(sink->fd, lines, size);
	case LOG_SINK_PLAIN:
		return write(sink->fd, lines, size);
	case LOG_SINK_NONE:
		break;
	}
	return (ssize_t)size;
}
