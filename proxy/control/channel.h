/*
 * channel: the SOCK_SEQPACKET pair between the parent and the proxy process (docs/parent.md). Every
 * message is one struct of fixed size; descriptors travel beside it. Blocking sends (the messages
 * are few and small), non-blocking receives where the caller asks. One thread on each end.
 */
#ifndef PILLION_CONTROL_CHANNEL_H
#define PILLION_CONTROL_CHANNEL_H

#include "base/address.h"
#include "base/assert.h"

enum channel_op {
	/* proxy -> parent */
	CHANNEL_BIND = 1,   /* id, count, address: bind and listen; LISTENER messages follow */
	CHANNEL_CLOSE,	    /* id: close that listener's sockets in the parent */
	CHANNEL_START_APP,  /* text: the application's outbound address; APP or EXITED follows */
	CHANNEL_SIGNAL_APP, /* value: signal for the application's process group */
	CHANNEL_READY,	    /* listeners are bound, the first configuration is active */
	CHANNEL_DRAINED,    /* value: exit code; the proxy ends now and must not be started again */
	/* parent -> proxy */
	CHANNEL_LISTENER, /* id, index, descriptor; or value = -errno and no descriptor */
	CHANNEL_APP,	  /* value: pid */
	CHANNEL_EXITED,	  /* value: wait status; index 1: it could not be started, value = errno */
	CHANNEL_STOP,	  /* value: how many stop signals came so far */
	CHANNEL_RELOAD,
	CHANNEL_LOGS, /* SIGUSR1 without an application: reopen logs */
	CHANNEL_DUMP, /* SIGUSR2 without an application: state to the log */
};

struct channel_message {
	uint32_t op;
	int32_t value;
	uint32_t id;
	uint32_t index;
	uint32_t count;
	struct address address;
	char text[256];
};

/* Two connected ends, both close-on-exec. */
MUST_CHECK int channel_pair(int ret_ends[2]);
/* descriptor -1: none. 0 or -errno (-EPIPE: the other process is gone). */
MUST_CHECK int channel_send(int end, const struct channel_message *message, int descriptor);
/* 1: a message (and *ret_descriptor, -1 if none came); 0: nothing yet (only with wait false);
 * -EPIPE: the other end is closed; -EBADMSG: not a message of ours. */
MUST_CHECK int channel_receive(
	int end, bool wait, struct channel_message *ret_message, int *ret_descriptor);

#endif
