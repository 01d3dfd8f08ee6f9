/*
 * packet: one message of the session protocol, of the relay between replicas, and one command in
 * the log: the same flat protobuf message in all three places (registry.md 7, 9; field numbers are
 * in packet.c). Coded by hand over pbscan. Slices of a decoded frame point into the bytes it was
 * decoded from. Pure.
 */
#ifndef PILLION_RAFTREG_PACKET_H
#define PILLION_RAFTREG_PACKET_H

#include "base/pbscan.h"

/* Numbers are part of wire and log. */
enum packet_kind {
	PACKET_HELLO = 1,
	PACKET_WELCOME = 2,
	PACKET_SUBSCRIBE = 3,
	PACKET_UNSUBSCRIBE = 4,
	PACKET_OPEN = 5,     /* also a command */
	PACKET_REGISTER = 6, /* also a command */
	PACKET_CLOSE = 7,    /* also a command */
	PACKET_RENEW = 8,
	PACKET_GET = 9,
	PACKET_LIST = 10,
	PACKET_MEMBERS = 11,
	PACKET_ANSWER = 12,
	PACKET_BEGIN = 13,
	PACKET_SET = 14, /* a whole service or record set */
	PACKET_END = 15,
	PACKET_DELTA = 16,
	PACKET_BOOKMARK = 17,
	PACKET_GOAWAY = 18,
	PACKET_SUSPECT = 19, /* commands only */
	PACKET_REVIVE = 20,  /* commands only */
	PACKET_EXPIRE = 21,  /* commands only */
	PACKET_GC = 22,	     /* commands only */
	PACKET_KIND_LAST = 22
};

/* registry.md 7: what a request is answered with. */
enum packet_code {
	CODE_OK = 0,
	CODE_ALREADY,
	CODE_UNCHANGED,
	CODE_INVALID,
	CODE_DENIED,
	CODE_NOT_FOUND,
	CODE_TAKEN,
	CODE_CONFLICT,
	CODE_QUOTA,
	CODE_SESSION_LOST,
	CODE_RETRY_LATER,
	CODE_NO_QUORUM,
	CODE_DISK_FULL,
	CODE_MAYBE,
	CODE_UNAVAILABLE,
	CODE_NOT_LEADER,
	CODE_LAST = CODE_NOT_LEADER
};

enum packet_flag {
	PACKET_FULL = 1,       /* REGISTER, BEGIN */
	PACKET_RECORDS = 2,    /* the set holds records, not instances */
	PACKET_PREFIX = 4,     /* SUBSCRIBE */
	PACKET_ABSENT = 8,     /* SET: there is none */
	PACKET_NO_QUORUM = 16, /* WELCOME, BOOKMARK */
	PACKET_DIGEST = 32,    /* END, BOOKMARK: they carry one */
	PACKET_DEFS = 64       /* DELTA: its methods are all there are */
};

#define PACKET_BYTES_MAX (1024u * 1024) /* RT-05, session */
#define PACKET_RELAY_MAX (2u * 1024 * 1024)
#define PACKET_VIEW_MAX	 (16u * 1024 * 1024) /* a whole set, from a replica */

/* One struct for all kinds: a field that a kind does not use is zero and is not
 * encoded. The table of registry.md 9 says which kind uses what. */
struct packet {
	enum packet_kind kind;
	enum packet_code code;
	unsigned flags;
	uint64_t number; /* request, subscription */
	uint64_t index, from;
	uint64_t incarnation, seq, digest, epoch, boot;
	uint64_t ttl_ms, retry_after_ms;
	uint32_t port;
	struct slice uuid;			    /* empty or 16 bytes */
	struct slice session;			    /* empty or 16 bytes */
	struct slice name;			    /* of a set */
	struct slice identity, host, zone, version; /* of the sidecar */
	struct slice text;
	struct slice items; /* the frame's own bytes: see packet_next_item */
};

void packet_encode(const struct packet *frame, struct buf *ret_bytes); /* without items */
/* With its items. */
void packet_copy(const struct packet *frame, struct buf *ret_bytes);
void packet_add_item(struct buf *bytes, struct slice item);
/* 0 or -EBADMSG: kind, code, lengths. pbscan_check ran before on what came from outside. */
MUST_CHECK int packet_decode(struct slice bytes, struct packet *ret_frame);
/* Takes the next item off *rest, which begins as frame->items. False at the end. */
bool packet_next_item(struct slice *rest, struct slice *ret_item);
/* RT-05: looks at bytes from outside before anything else does. 0, -EMSGSIZE, -EBADMSG, -E2BIG. */
MUST_CHECK int packet_scan(struct slice bytes, size_t bytes_max);
const char *packet_code_word(enum packet_code code);

/* One change in a REGISTER, or one member in SET and DELTA. */
enum item_op {
	ITEM_UPSERT = 1,  /* instance */
	ITEM_DELETE = 2,  /* instance or, in DELTA, any member */
	ITEM_DEF = 3,	  /* methods of a version */
	ITEM_PUT = 4,	  /* record */
	ITEM_REMOVE = 5,  /* record */
	ITEM_SESSION = 6, /* SUSPECT, REVIVE, EXPIRE: (session, incarnation, generation); in a
			     relayed RENEW generation is the number to answer under */
	ITEM_ADDRESS = 7, /* WELCOME: content = address, set = name; LIST: content = name */
	ITEM_OP_LAST = 7
};
/* RV-05: why a member went decides whether the shrink guard may hold it: only an
 * expiry is silence, all the others are somebody's word. */
enum item_cause { CAUSE_DELETED = 0, CAUSE_CLOSED = 1, CAUSE_REPLACED = 2, CAUSE_EXPIRED = 3 };

struct item {
	enum item_op op;
	struct slice set;     /* service or record set */
	struct slice key;     /* instance: version NUL id; record: its key; def: version */
	struct slice content; /* canonical bytes (content.h), a record's value, a session id */
	uint64_t expected;    /* modified + 1; 0: any */
	uint64_t created, modified;
	uint64_t number, generation; /* incarnation and lease generation; cause of a delete */
	bool suspect, owned;	     /* owned: the record belongs to the session */
};
void item_encode(const struct item *item, struct buf *ret_bytes);
void packet_put_item(struct buf *bytes, const struct item *item); /* encoded here */
MUST_CHECK int item_decode(struct slice bytes, struct item *ret_item);

#endif
