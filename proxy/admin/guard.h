/*
 * guard: who may ask what (operations.md AD-01..AD-04): classes of paths, the token, Host and
 * Origin rules against browsers. Control thread.
 */
#ifndef PILLION_ADMIN_GUARD_H
#define PILLION_ADMIN_GUARD_H

#include "base/address.h"
#include "base/err.h"

struct admin_call;
struct control;
struct head;

#define ADMIN_TOKEN_MAX 512

struct admin_guard {
	struct control *control;
	struct address address; /* of the TCP socket */
	char token[ADMIN_TOKEN_MAX + 1];
	size_t token_size; /* 0: none, TCP is for looking only */
	unsigned wrong;	   /* wrong tokens since wrong_since_ms */
	uint64_t wrong_since_ms;
	uint64_t closed_until_ms;
};

/* PIL1410 for a token file that others may read, or that is too short. */
MUST_CHECK int admin_guard_init(
	struct admin_guard *guard, struct control *control, int fd, struct err *err);
MUST_CHECK int admin_guard_reload(
	struct admin_guard *guard, struct control *control, struct err *err);
void admin_guard_fini(struct admin_guard *guard); /* cleanses the token */
/* True: go on. False: the call was answered. */
bool admin_guard_check(struct admin_guard *guard, struct admin_call *call, const struct head *head);

#endif
