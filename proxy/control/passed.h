/*
 * passed: listening sockets that whoever started this program had opened for it (socket activation,
 * operations.md PR-04). Owner: the parent, for as long as it lives, so that connections that came
 * while nothing ran, or while a proxy process was started again, are not lost. One thread.
 */
#ifndef PILLION_CONTROL_PASSED_H
#define PILLION_CONTROL_PASSED_H

#include "base/address.h"
#include "base/err.h"

#define PASSED_MAX 32

struct passed_socket {
	char name[64]; /* LISTEN_FDNAMES */
	struct address address;
	bool listens; /* a stream socket that takes connections */
	int fd;
};

struct passed {
	size_t count;
	struct passed_socket sockets[PASSED_MAX];
};

/* From LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES, which are removed from the environment. None is
 * no error; -EINVAL with PIL2003: the variables contradict themselves. */
MUST_CHECK int passed_take(struct passed *passed, struct err *err);
/* In a process that only has to know what was passed. */
void passed_close(const struct passed *passed);
/* `count` descriptors of the socket with that address; 0, -ENOENT: none was passed, or -errno. They
 * share one queue, hence the workers take connections from it as they come. */
MUST_CHECK int passed_bind(
	const struct passed *passed, const struct address *address, int count, int *ret_fds);

#endif
