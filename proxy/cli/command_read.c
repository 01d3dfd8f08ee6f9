/* command_read: what a verb is to send, from a file or standard input. */
#include <errno.h>
#include <string.h>

#include "cli/command.h"

/* The largest max_message a topic may have (broker.md 4): more is refused here, before it is held
 * twice in memory. */
#define READ_MAX   ((size_t)16 << 20)
#define READ_PIECE 65536

bool command_read(const char *verb, const char *name, FILE *file, struct buf *ret_data)
{
	while (ret_data->size <= READ_MAX) {
		size_t got = fread(buf_reserve(ret_data, READ_PIECE), 1, READ_PIECE, file);

		if (got == 0 && ferror(file)) {
			/* A directory opens and cannot be read: that is no empty message. */
			(void)fprintf(stderr, "pillion %s: %s: %s\n", verb, name, strerror(errno));
			return false;
		}
		if (got == 0) {
			return true;
		}
		ret_data->size += got;
	}
	(void)fprintf(stderr, "pillion %s: %s: more than %zu MiB\n", verb, name, READ_MAX >> 20);
	return false;
}
