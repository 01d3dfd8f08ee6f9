/*
 * frame: what publisher and subscriber say to each other on a lane (docs/rules/broker.md 11). As an
 * object it travels by mailbox inside one sidecar; between sidecars it is coded as the LinkUp and
 * LinkDown messages of that section, by hand. Owner: whoever received it.
 */
#ifndef PILLION_BROKER_FRAME_H
#define PILLION_BROKER_FRAME_H

#include "base/buf.h"
#include "broker/desk.h"
#include "broker/message.h"

#define FRAME_ITEMS_MAX	  256 /* B11-02 */
#define FRAME_BYTES_MAX	  ((size_t)64 << 10)
#define FRAME_RESULTS_MAX 4096
#define FRAME_TEXT_MAX	  1024
#define FRAME_VERSION	  1

/* The number of the field in LinkUp or LinkDown. */
enum frame_up { FRAME_HELLO = 1, FRAME_OPEN, FRAME_DEMAND, FRAME_DELIVER, FRAME_CLOSE };
enum frame_down {
	FRAME_WELCOME = 1,
	FRAME_OPENED,
	FRAME_GRANT,
	FRAME_RESULTS,
	FRAME_HOLD,
	FRAME_DRAIN,
};

/* The outcome classes of B7-07 as Result.kind. */
enum frame_result {
	RESULT_ACK = 1,
	RESULT_APP,
	RESULT_DEAD,
	RESULT_INFRA,
	RESULT_BUSY,
	RESULT_SUSPECT,
	RESULT_RETURNED,
	RESULT_ENDPOINT,
	RESULT_KINDS,
};
const char *frame_result_word(unsigned kind);
/* The detail of RESULT_INFRA for a message whose sum was wrong on arrival (B11-03). */
#define FRAME_DETAIL_CRC "crc"

struct frame_item { /* Message */
	uint64_t seq;
	uint32_t attempt;
	struct message *message; /* one reference */
};

struct frame_outcome { /* Result */
	uint64_t first, last;
	uint32_t kind;
	uint32_t status;
	uint32_t delay_ms;
	struct slice detail; /* owned, malloc'ed */
	bool well;
};

/* Who sent it, so that an answer finds its way. */
struct frame_origin {
	uint32_t worker;
	uint32_t slot;	     /* of an accepted link; UINT32_MAX: the worker itself */
	uint64_t generation; /* of that slot */
};

struct frame {
	struct desk_mail mail;
	bool up;
	unsigned kind;
	uint32_t lane;
	struct frame_origin origin; /* of an up frame; the target of a down frame */
	/* Hello, Welcome */
	uint32_t version_min, version_max; /* Welcome: version in version_min */
	uint8_t sidecar[16];
	uint64_t log;
	uint32_t lanes_max, frame_max;
	/* Open */
	char topic[288];
	char group[72];
	char member[72];
	uint32_t ack_wait_ms;
	/* Opened, Hold: status, reason; Hold, Drain: delay_ms */
	uint32_t status;
	char reason[64];
	uint32_t delay_ms;
	/* Demand: want, used; Grant: limit */
	uint32_t want;
	uint64_t used, limit;
	struct frame_item *items;
	size_t item_count;
	struct frame_outcome *results;
	size_t result_count;
};

struct frame *frame_create(bool up, unsigned kind, uint32_t lane);
void frame_destroy(struct frame *frame); /* with items, results and their references */
void frame_add_item(struct frame *frame, uint64_t seq, uint32_t attempt, struct message *message);
/* Joins ranges of equal outcomes without detail. detail is copied, at most FRAME_TEXT_MAX. */
void frame_add_result(struct frame *frame, const struct frame_outcome *outcome);
/* Bytes of its messages. */
size_t frame_bytes(const struct frame *frame);

void frame_encode(const struct frame *frame, struct buf *ret_message);
/* 0; -EBADMSG malformed or beyond a limit; -ENOSYS: a kind of a later version, to be ignored. */
MUST_CHECK int frame_decode(struct slice message, bool up, struct frame **ret_frame);

#endif
