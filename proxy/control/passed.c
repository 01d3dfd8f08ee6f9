#include "control/passed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FIRST 3 /* sd_listen_fds(3) */

static int option(int fd, int name)
{
	int value = 0;
	socklen_t size = sizeof value;

	return getsockopt(fd, SOL_SOCKET, name, &value, &size) < 0 ? -1 : value;
}

/* False: the descriptor is no open one. It must not travel into the application. */
static bool look_at(struct passed_socket *one)
{
	if (fcntl(one->fd, F_SETFD, FD_CLOEXEC) < 0) {
		return false;
	}
	one->address.size = sizeof one->address.u;
	if (getsockname(one->fd, &one->address.u.any, &one->address.size) < 0) {
		one->address.size = 0;
	}
	one->listens = one->address.size > 0 && option(one->fd, SO_TYPE) == SOCK_STREAM &&
		       option(one->fd, SO_ACCEPTCONN) == 1;
	return true;
}

/* Names are joined by colons and may be missing at the end. */
static struct slice next_name(struct slice *names)
{
	size_t end = slice_find(*names, ':');
	struct slice name = slice_make(names->data, end);

	*names = end < names->size ? slice_from(*names, end + 1) : (struct slice){0};
	return name;
}

int passed_take(struct passed *passed, struct err *err)
{
	const char *pid = getenv("LISTEN_PID");
	const char *count_text = getenv("LISTEN_FDS");
	const char *names_text = getenv("LISTEN_FDNAMES");
	struct slice names = slice_from_string(names_text ? names_text : "");
	uint64_t count = 0, ours = 0;
	int result = 0;

	passed->count = 0;
	/* Variables that are meant for another process were inherited by mistake. */
	if (!pid || !count_text || !slice_parse_u64(slice_from_string(pid), INT32_MAX, &ours) ||
		ours != (uint64_t)getpid()) {
		return 0;
	}
	if (!slice_parse_u64(slice_from_string(count_text), PASSED_MAX, &count)) {
		err_set(err, 2003, "LISTEN_FDS is %.40s, expected at most %d", count_text,
			PASSED_MAX);
		result = -EINVAL;
	}
	for (size_t i = 0; i < count && result == 0; i++) {
		struct passed_socket *one = &passed->sockets[i];
		struct slice name = next_name(&names);

		*one = (struct passed_socket){.fd = FIRST + (int)i};
		(void)snprintf(one->name, sizeof one->name, "%.*s", (int)name.size,
			(const char *)name.data);
		if (!look_at(one)) {
			err_set(err, 2003, "LISTEN_FDS is %.40s, but descriptor %d is not open",
				count_text, one->fd);
			result = -EINVAL;
		}
		passed->count = i + 1;
	}
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
	return result;
}

void passed_close(const struct passed *passed)
{
	for (size_t i = 0; i < passed->count; i++) {
		close(passed->sockets[i].fd);
	}
}

/* O_NONBLOCK is a flag of the description that all copies share; whoever passed the socket does not
 * accept on it. */
int passed_bind(const struct passed *passed, const struct address *address, int count, int *ret_fds)
{
	const struct passed_socket *one = NULL;
	int made = 0;

	for (size_t i = 0; i < passed->count; i++) {
		if (address_equal(&passed->sockets[i].address, address)) {
			one = &passed->sockets[i];
		}
	}
	if (!one) {
		return -ENOENT;
	}
	if (fcntl(one->fd, F_SETFL, fcntl(one->fd, F_GETFL) | O_NONBLOCK) < 0) {
		return -errno;
	}
	for (; made < count; made++) {
		ret_fds[made] = fcntl(one->fd, F_DUPFD_CLOEXEC, 3);
		if (ret_fds[made] < 0) {
			int error = errno;

			while (made > 0) {
				close(ret_fds[--made]);
			}
			return -error;
		}
	}
	return 0;
}
