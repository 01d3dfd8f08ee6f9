/*
 * The one flat message of sessions, relay and log. Fields that are zero are not written, so
 * commands in the log stay small and a field that a later version adds reads as zero here.
 * Items stay encoded inside the frame and are decoded one at a time where they are used: a
 * REGISTER is scanned once on the worker and never copied into a tree.
 */
#include "raftreg/packet.h"

#include <errno.h>

/* Field numbers of the flat message. */
enum {
	F_KIND = 1,    /* enum packet_kind */
	F_UUID,	       /* cluster, 16 bytes */
	F_EPOCH,       /* fixed64 */
	F_INDEX,       /* cursor, applied index, or that of the entry */
	F_NUMBER,      /* request or subscription, drawn by the client */
	F_CODE,	       /* enum packet_code */
	F_NAME,	       /* of a set */
	F_FLAGS,       /* enum packet_flag */
	F_SESSION,     /* 16 bytes */
	F_INCARNATION, /* rises with each start of a sidecar */
	F_SEQ,	       /* of a REGISTER; DELTA: applied index; BOOKMARK: subscription frames */
	F_DIGEST,      /* fixed64, of a set or a session */
	F_TTL,	       /* ms */
	F_IDENTITY,    /* name of the sidecar, for people */
	F_HOST,	       /* advertised by the sidecar */
	F_PORT,	       /* of its mesh listener */
	F_ZONE,	       /* where it runs */
	F_VERSION,     /* of its program */
	F_ITEM,	       /* repeated: an item, see below */
	F_TEXT,	       /* field path, explanation, address of the leader */
	F_FROM,	       /* index at which a DELTA begins */
	F_RETRY,       /* ms to wait before a repetition */
	F_BOOT,	       /* fixed64: this start of the sidecar; of SESSION_LOST: who has the id */
};

/* And of an item. */
enum {
	I_OP = 1,     /* enum item_op */
	I_SET,	      /* service or record set */
	I_KEY,	      /* of the member in it */
	I_CONTENT,    /* canonical bytes, value, session id */
	I_EXPECTED,   /* modified + 1 of what is replaced; 0: any */
	I_CREATED,    /* index */
	I_MODIFIED,   /* index */
	I_NUMBER,     /* incarnation, or cause of a delete */
	I_GENERATION, /* of a lease */
	I_SUSPECT,    /* the owner's session is */
	I_OWNED,      /* goes with its session */
};

#define DEPTH_MAX	6 /* RT-05 */
#define FIELDS_MAX	65536
#define VIEW_FIELDS_MAX (1u << 19) /* 10,000 instances in one answer */

/* Zero is the default and is not written: one encoding for each value, as in
 * protobuf's own rule for scalars. */
static void put_number(struct buf *buf, uint32_t field, uint64_t value)
{
	if (value != 0) {
		pbscan_put_varint(buf, field, value);
	}
}

/* Fixed width for what is random anyway (digests, epochs): a varint would be longer. */
static void put_fixed(struct buf *buf, uint32_t field, uint64_t value)
{
	if (value != 0) {
		pbscan_put_fixed64(buf, field, value);
	}
}

static void put_bytes(struct buf *buf, uint32_t field, struct slice bytes)
{
	if (bytes.size > 0) {
		pbscan_put_bytes(buf, field, bytes);
	}
}

/* In the order of the numbers: equal frames are equal bytes, in the log too. */
void packet_encode(const struct packet *frame, struct buf *ret_bytes)
{
	ASSERT(frame->kind >= PACKET_HELLO && frame->kind <= PACKET_KIND_LAST);
	pbscan_put_varint(ret_bytes, F_KIND, (uint64_t)frame->kind);
	put_bytes(ret_bytes, F_UUID, frame->uuid);
	put_fixed(ret_bytes, F_EPOCH, frame->epoch);
	put_number(ret_bytes, F_INDEX, frame->index);
	put_number(ret_bytes, F_NUMBER, frame->number);
	put_number(ret_bytes, F_CODE, (uint64_t)frame->code);
	put_bytes(ret_bytes, F_NAME, frame->name);
	put_number(ret_bytes, F_FLAGS, frame->flags);
	put_bytes(ret_bytes, F_SESSION, frame->session);
	put_number(ret_bytes, F_INCARNATION, frame->incarnation);
	put_number(ret_bytes, F_SEQ, frame->seq);
	put_fixed(ret_bytes, F_DIGEST, frame->digest);
	put_number(ret_bytes, F_TTL, frame->ttl_ms);
	put_bytes(ret_bytes, F_IDENTITY, frame->identity);
	put_bytes(ret_bytes, F_HOST, frame->host);
	put_number(ret_bytes, F_PORT, frame->port);
	put_bytes(ret_bytes, F_ZONE, frame->zone);
	put_bytes(ret_bytes, F_VERSION, frame->version);
	put_bytes(ret_bytes, F_TEXT, frame->text);
	put_number(ret_bytes, F_FROM, frame->from);
	put_number(ret_bytes, F_RETRY, frame->retry_after_ms);
	put_fixed(ret_bytes, F_BOOT, frame->boot);
}

/* An item without bytes would decode as none: it is our own bug. */
void packet_add_item(struct buf *bytes, struct slice item)
{
	ASSERT(item.size > 0);
	pbscan_put_bytes(bytes, F_ITEM, item);
}

/* Twice into memory: the length stands in front of the bytes. */
void packet_put_item(struct buf *bytes, const struct item *item)
{
	struct buf encoded;

	buf_init(&encoded);
	item_encode(item, &encoded);
	packet_add_item(bytes, buf_slice(&encoded));
	buf_fini(&encoded);
}

/* Items are copied as bytes: what this version does not know inside them survives a
 * relay. */
void packet_copy(const struct packet *frame, struct buf *ret_bytes)
{
	struct slice rest = frame->items;
	struct slice item;

	packet_encode(frame, ret_bytes);
	while (packet_next_item(&rest, &item)) {
		/* Whatever came from outside goes on as it is, an empty one too: who applies it
		 * refuses it. */
		pbscan_put_bytes(ret_bytes, F_ITEM, item);
	}
}

/* Slices into the caller's bytes; nothing is copied here. */
static void take_bytes(struct packet *frame, const struct pbscan_field *field)
{
	switch (field->number) {
	case F_UUID:
		frame->uuid = field->bytes;
		break;
	case F_NAME:
		frame->name = field->bytes;
		break;
	case F_SESSION:
		frame->session = field->bytes;
		break;
	case F_IDENTITY:
		frame->identity = field->bytes;
		break;
	case F_HOST:
		frame->host = field->bytes;
		break;
	case F_ZONE:
		frame->zone = field->bytes;
		break;
	case F_VERSION:
		frame->version = field->bytes;
		break;
	case F_TEXT:
		frame->text = field->bytes;
		break;
	default: /* items are read later; unknown fields are skipped (RT-05) */
		break;
	}
}

/* Values out of range become the one that means nothing, and are refused later by what needs
 * them. */
static void take_number(struct packet *frame, uint32_t field, uint64_t value)
{
	uint64_t *places[] = {[F_EPOCH] = &frame->epoch,
		[F_INDEX] = &frame->index,
		[F_NUMBER] = &frame->number,
		[F_INCARNATION] = &frame->incarnation,
		[F_SEQ] = &frame->seq,
		[F_DIGEST] = &frame->digest,
		[F_TTL] = &frame->ttl_ms,
		[F_FROM] = &frame->from,
		[F_RETRY] = &frame->retry_after_ms,
		[F_BOOT] = &frame->boot};

	if (field == F_KIND) {
		frame->kind = (enum packet_kind)(value > PACKET_KIND_LAST ? 0 : value);
	} else if (field == F_CODE) {
		frame->code = (enum packet_code)(value > CODE_LAST ? CODE_UNAVAILABLE : value);
	} else if (field == F_FLAGS) {
		frame->flags = (unsigned)(value & 0xffff);
	} else if (field == F_PORT) {
		frame->port = value > 65535 ? 0 : (uint32_t)value;
	} else if (field < ARRAY_SIZE(places) && places[field]) {
		*places[field] = value;
	}
}

/* Ids are of one size or absent, so that nobody below has to ask. */
int packet_decode(struct slice bytes, struct packet *ret_frame)
{
	struct packet frame = {.items = bytes};
	struct slice rest = bytes;
	struct pbscan_field field;
	int got;

	while ((got = pbscan_next(&rest, &field)) == 1) {
		if (field.wire_type == 2) {
			take_bytes(&frame, &field);
		} else {
			take_number(&frame, field.number, field.value);
		}
	}
	if (got < 0 || frame.kind == 0 || (frame.uuid.size != 0 && frame.uuid.size != 16) ||
		(frame.session.size != 0 && frame.session.size != 16)) {
		return -EBADMSG;
	}
	*ret_frame = frame;
	return 0;
}

bool packet_next_item(struct slice *rest, struct slice *ret_item)
{
	struct pbscan_field field;

	while (pbscan_next(rest, &field) == 1) {
		if (field.number == F_ITEM && field.wire_type == 2) {
			*ret_item = field.bytes;
			return true;
		}
	}
	return false;
}

/* Items and what they contain may be messages; so may metadata inside content. */
static bool nested(const void *context, unsigned depth, uint32_t parent, uint32_t number)
{
	(void)context;
	(void)parent;
	return depth == 0 && number == F_ITEM;
}

/* RT-05: views are the exception to the number of fields, since a whole service of
 * 10,000 instances is one frame, and it comes from a replica. */
int packet_scan(struct slice bytes, size_t bytes_max)
{
	const struct pbscan_limits limits = {.bytes_max = bytes_max,
		.depth_max = DEPTH_MAX,
		.fields_max = bytes_max > PACKET_RELAY_MAX ? VIEW_FIELDS_MAX : FIELDS_MAX};
	const struct pbscan_shape shape = {.nested = nested};

	ASSERT(bytes_max > 0);
	return pbscan_check(bytes, &limits, &shape);
}

const char *packet_code_word(enum packet_code code)
{
	static const char *const words[] = {"ok", "already", "unchanged", "invalid", "denied",
		"not_found", "taken", "conflict", "quota", "session_lost", "retry_later",
		"no_quorum", "disk_full", "maybe", "unavailable", "not_leader"};

	ASSERT((size_t)code < ARRAY_SIZE(words));
	return words[code];
}

/* Like a packet: zero fields are not written. */
void item_encode(const struct item *item, struct buf *ret_bytes)
{
	ASSERT(item->op >= ITEM_UPSERT && item->op <= ITEM_OP_LAST);
	pbscan_put_varint(ret_bytes, I_OP, (uint64_t)item->op);
	put_bytes(ret_bytes, I_SET, item->set);
	put_bytes(ret_bytes, I_KEY, item->key);
	put_bytes(ret_bytes, I_CONTENT, item->content);
	put_number(ret_bytes, I_EXPECTED, item->expected);
	put_number(ret_bytes, I_CREATED, item->created);
	put_number(ret_bytes, I_MODIFIED, item->modified);
	put_number(ret_bytes, I_NUMBER, item->number);
	put_number(ret_bytes, I_GENERATION, item->generation);
	put_number(ret_bytes, I_SUSPECT, item->suspect);
	put_number(ret_bytes, I_OWNED, item->owned);
}

/* An unknown operation is malformed: it must not be skipped in a command. */
int item_decode(struct slice bytes, struct item *ret_item)
{
	struct item item = {0};
	struct pbscan_field field;
	int got;

	while ((got = pbscan_next(&bytes, &field)) == 1) {
		switch (field.number) {
		case I_OP:
			if (field.value == 0 || field.value > ITEM_OP_LAST) {
				return -EBADMSG;
			}
			item.op = (enum item_op)field.value;
			break;
		case I_SET:
			item.set = field.bytes;
			break;
		case I_KEY:
			item.key = field.bytes;
			break;
		case I_CONTENT:
			item.content = field.bytes;
			break;
		case I_EXPECTED:
			item.expected = field.value;
			break;
		case I_CREATED:
			item.created = field.value;
			break;
		case I_MODIFIED:
			item.modified = field.value;
			break;
		case I_NUMBER:
			item.number = field.value;
			break;
		case I_GENERATION:
			item.generation = field.value;
			break;
		case I_SUSPECT:
			item.suspect = field.value != 0;
			break;
		case I_OWNED:
			item.owned = field.value != 0;
			break;
		default:
			break;
		}
	}
	if (got < 0 || item.op == 0) {
		return -EBADMSG;
	}
	*ret_item = item;
	return 0;
}
