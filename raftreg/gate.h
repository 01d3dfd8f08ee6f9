/*
 * gate: the registry thread's side of accepted streams (see door.h). A gate_stream lives from
 * on_open to on_closed, or until gate_finish; then it must be forgotten. Registry thread.
 */
#ifndef PILLION_RAFTREG_GATE_H
#define PILLION_RAFTREG_GATE_H

#include "net/loop.h"
#include "raftreg/door.h"

#define GATE_UNREAD_MAX 4096 /* sum of weights */

struct gate_stream {
	struct gate *gate;
	unsigned worker;
	uint32_t slot, generation;
	enum door_kind kind;
	char peer[64];	   /* address, for logs and for unspecified hosts */
	size_t unacked;	   /* bytes posted and not yet taken by the worker */
	size_t unreported; /* bytes taken here and not yet acknowledged */
	unsigned unread;   /* what was taken since it was full */
	void *owner;	   /* of the gate's user */
};

/* on_closed is the last event of a stream, and never comes after gate_finish.
 * on_writable comes once after gate_is_full was seen true. None is called from
 * inside gate_send. */
struct gate_events {
	void (*on_open)(void *owner, struct gate_stream *stream);
	void (*on_message)(void *owner, struct gate_stream *stream, struct slice message);
	void (*on_closed)(void *owner, struct gate_stream *stream, bool reset);
	void (*on_writable)(void *owner, struct gate_stream *stream);
};

struct gate *gate_create(struct loop *loop, const struct gate_events *events, void *owner);
void gate_destroy(struct gate *gate); /* streams are forgotten without an event */
/* Any thread. Takes the mail. */
void gate_post(struct gate *gate, struct door_mail *mail);
/* Queues; leaves at the end of the turn. */
void gate_send(struct gate_stream *stream, struct slice message);
/* RW-04: above the window nothing more should be sent; the gate itself refuses
 * nothing, so one message may always go over it. */
bool gate_is_full(const struct gate_stream *stream);
/* Counts a message taken. False: too many were since it was full, nobody reads the answers. */
bool gate_is_read(struct gate_stream *stream, unsigned weight);
/* Ends it with a gRPC status; the stream is gone for its user at once. */
void gate_finish(struct gate_stream *stream, int status, const char *text);
/* Calls visit for each stream. */
void gate_each(
	struct gate *gate, void (*visit)(void *context, struct gate_stream *stream), void *context);

#endif
