/*
 * door: what lies between a worker's accepted registry streams and the registry thread. The worker
 * side (door.c) terminates gRPC and scans bytes; the registry side (gate.c) sees streams with a
 * slot and a generation. Both directions go as records in few, large mails; both are bounded by
 * acknowledgement: nobody posts more than DOOR_WINDOW bytes of one stream that the other side has
 * not taken. Internal to raftreg.
 */
#ifndef PILLION_RAFTREG_DOOR_H
#define PILLION_RAFTREG_DOOR_H

#include "base/buf.h"
#include "net/mailbox.h"

#define DOOR_WINDOW	 (256u * 1024) /* RW-04; one message may go over it */
#define DOOR_STREAMS_MAX 16384u	       /* a worker */
#define DOOR_WORKERS_MAX 64u

struct door_worker;
struct gate;
struct loop;

enum door_kind { DOOR_CONTROL, DOOR_BULK, DOOR_RELAY, DOOR_SESSION };

enum door_op {
	DOOR_OPEN,    /* to the registry: kind byte, then the peer's address as text */
	DOOR_MESSAGE, /* both ways */
	DOOR_CLOSED,  /* to the registry: the stream is gone; a byte: 1 without a clean end */
	DOOR_FINISH,  /* to the worker: status byte, then text */
	DOOR_ACK      /* both ways: u32 bytes of messages taken */
};

/* Records of one mail follow each other without padding: this head, then `size`
 * bytes. The generation tells a stream from an earlier one in the same slot, so what
 * was under way when a stream ended cannot reach its successor. */
struct door_record {
	uint32_t slot, generation, op, size;
};

/* One mail a turn and direction, however many streams: the mailbox's cost is paid
 * once. */
struct door_mail {
	struct mail mail;
	struct gate *gate;	    /* to the registry */
	struct door_worker *worker; /* where it comes from or goes to */
	unsigned index;		    /* of that worker */
	struct buf records;
};
/* Whoever creates a mail frees it, unless it was posted: then the other side does. */
struct door_mail *door_mail_create(void);
void door_mail_free(struct door_mail *mail);
void door_mail_add(struct door_mail *mail, const struct door_record *record, const void *bytes);
/* Takes the next record off; false at the end. */
bool door_mail_next(struct slice *rest, struct door_record *ret_record, struct slice *ret_bytes);

/* On the worker's thread. Takes the mail. */
void door_deliver(struct door_mail *mail);
struct loop *door_loop(const struct door_worker *worker);

#endif
