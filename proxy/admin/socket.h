/* socket: where the admin Unix socket lies, and how it gets there (operations.md AD-01). */
#ifndef PILLION_ADMIN_SOCKET_H
#define PILLION_ADMIN_SOCKET_H

#include "base/err.h"

struct control;

struct admin_socket {
	int fd; /* listening; given away to a listener; -1: none could be made */
	char path[100];
};

/* No usable place is no error (a warning is logged); a configured one that fails is. */
MUST_CHECK int admin_socket_open(
	struct admin_socket *admin_socket, struct control *control, struct err *err);
void admin_socket_close(struct admin_socket *admin_socket); /* removes the file */

#endif
