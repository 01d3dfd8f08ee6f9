/*
 * writer: formats a long answer over many loop turns, at most about 64 KiB in each, so that a page
 * of any size delays nothing else of control's thread (AD-05). Embedded in the state of the page
 * that is answered, which owns it until `done`. On control's thread.
 */
#ifndef PILLION_ADMIN_WRITER_H
#define PILLION_ADMIN_WRITER_H

#include "base/buf.h"
#include "net/loop.h"

#define ADMIN_TURN_BYTES 65536 /* AD-05: formatted in one loop turn */

struct admin;
struct admin_call;

struct admin_writer {
	/* Set by the page: */
	struct admin_call *call;
	const char *type; /* of the answer's content */
	/* Appends one piece, small against ADMIN_TURN_BYTES; false when none was left. */
	bool (*piece)(struct admin_writer *writer, struct buf *text);
	/* The call was answered: frees the page's state. */
	void (*done)(struct admin_writer *writer);
	/* The writer's own: */
	struct buf text;
	struct task task;
	struct list_node node;
};

void admin_writer_start(struct admin_writer *writer);
/* The interface stops: every call under way is answered by 503, and done. */
void admin_writer_stop_all(struct list_node *writers);

#endif
