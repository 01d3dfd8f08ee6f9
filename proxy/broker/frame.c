/*
 * The hand-written coder of section 11. Readers take fields in any order and skip unknown ones;
 * the test holds the bytes against the examples of the rule.
 */
#include "broker/frame.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/pbscan.h"

/* The label `class` and the words of `pillion groups`. */
const char *frame_result_word(unsigned kind)
{
	static const char *const words[RESULT_KINDS] = {
		"none", "ack", "app", "dead", "infra", "busy", "suspect", "returned", "endpoint"};

	return words[kind < RESULT_KINDS ? kind : 0];
}

/* Zeroed: a field that a kind has not is never looked at. */
struct frame *frame_create(bool up, unsigned kind, uint32_t lane)
{
	struct frame *frame = mem_zalloc(sizeof *frame);

	ASSERT(kind >= 1);
	frame->up = up;
	frame->kind = kind;
	frame->lane = lane;
	return frame;
}

/* Messages may still be referenced by a cache or by other lanes. */
void frame_destroy(struct frame *frame)
{
	if (!frame) {
		return;
	}
	for (size_t i = 0; i < frame->item_count; i++) {
		message_unref(frame->items[i].message);
	}
	for (size_t i = 0; i < frame->result_count; i++) {
		mem_free((void *)(uintptr_t)frame->results[i].detail.data);
	}
	mem_free(frame->items);
	mem_free(frame->results);
	mem_free(frame);
}

/* Takes a reference of its own. */
void frame_add_item(struct frame *frame, uint64_t seq, uint32_t attempt, struct message *message)
{
	/* B11-02: whoever builds a frame begins a new one at the bound; a reader refuses the
	 * frame instead. */
	ASSERT(frame->item_count < FRAME_ITEMS_MAX);
	frame->items = mem_realloc(frame->items, (frame->item_count + 1) * sizeof *frame->items);
	frame->items[frame->item_count++] = (struct frame_item){seq, attempt, message_ref(message)};
}

/* Most results are runs of the same outcome, which travel as one range (B11-05). */
void frame_add_result(struct frame *frame, const struct frame_outcome *outcome)
{
	struct frame_outcome *last =
		frame->result_count > 0 ? &frame->results[frame->result_count - 1] : NULL;
	struct frame_outcome copy = *outcome;

	ASSERT(outcome->kind > 0 && outcome->kind < RESULT_KINDS);
	if (last && last->last + 1 == outcome->first && last->kind == outcome->kind &&
		last->status == outcome->status && last->delay_ms == outcome->delay_ms &&
		last->detail.size == 0 && outcome->detail.size == 0) {
		last->last = outcome->last;
		return;
	}
	/* B10-10: a dead letter keeps no more of the application's answer than this. */
	if (copy.detail.size > FRAME_TEXT_MAX) {
		copy.detail.size = FRAME_TEXT_MAX;
	}
	copy.detail.data =
		copy.detail.size > 0 ? mem_copy(copy.detail.data, copy.detail.size) : NULL;
	frame->results =
		mem_realloc(frame->results, (frame->result_count + 1) * sizeof *frame->results);
	frame->results[frame->result_count++] = copy;
}

/* For the bound of one frame, not the exact size on the wire. */
size_t frame_bytes(const struct frame *frame)
{
	size_t bytes = 0;

	for (size_t i = 0; i < frame->item_count; i++) {
		bytes += message_size(frame->items[i].message);
	}
	return bytes;
}

/* proto3 leaves zeros out. */
static void put(struct buf *buf, uint32_t number, uint64_t value)
{
	if (value != 0) {
		pbscan_put_varint(buf, number, value);
	}
}

/* An empty string is left out like any zero. */
static void put_text(struct buf *buf, uint32_t number, const char *text)
{
	if (text[0] != '\0') {
		pbscan_put_bytes(buf, number, slice_from_string(text));
	}
}

/* The length of a nested message is one or two bytes most often, so it is built apart. */
static void put_message(struct buf *buf, uint32_t number, struct buf *inner)
{
	pbscan_put_bytes(buf, number, buf_slice(inner));
	buf_clear(inner);
}

/* Attributes and body leave as the spool holds them: nothing is coded again. */
static void encode_items(const struct frame *frame, struct buf *buf)
{
	struct buf inner;

	buf_init(&inner);
	for (size_t i = 0; i < frame->item_count; i++) {
		const struct message *message = frame->items[i].message;

		put(&inner, 1, frame->items[i].seq);
		pbscan_put_fixed64(&inner, 2, message->time_ms);
		put(&inner, 3, frame->items[i].attempt);
		/* The sum is the one that was made when the message came in, so that the reader's
		 * check covers the disk and the way together (B11-03). */
		pbscan_put_fixed32(&inner, 5, message->pcrc);
		if (message->attributes.size > 0) {
			pbscan_put_bytes(&inner, 6, buf_slice(&message->attributes));
		}
		if (message->body.size > 0) {
			pbscan_put_bytes(&inner, 7, buf_slice(&message->body));
		}
		put_message(buf, 2, &inner);
	}
	buf_fini(&inner);
}

/* Details are short and rare. */
static void encode_results(const struct frame *frame, struct buf *buf)
{
	struct buf inner;

	buf_init(&inner);
	for (size_t i = 0; i < frame->result_count; i++) {
		const struct frame_outcome *outcome = &frame->results[i];

		put(&inner, 1, outcome->first);
		put(&inner, 2, outcome->last);
		put(&inner, 3, outcome->kind);
		put(&inner, 4, outcome->status);
		put(&inner, 5, outcome->delay_ms);
		if (outcome->detail.size > 0) {
			pbscan_put_bytes(&inner, 6, outcome->detail);
		}
		put(&inner, 7, outcome->well);
		put_message(buf, 2, &inner);
	}
	buf_fini(&inner);
}

/* What the publisher says. */
static void encode_up(const struct frame *frame, struct buf *buf)
{
	switch ((enum frame_up)frame->kind) {
	case FRAME_HELLO:
		put(buf, 1, frame->version_min);
		put(buf, 2, frame->version_max);
		pbscan_put_bytes(buf, 3, slice_make(frame->sidecar, sizeof frame->sidecar));
		pbscan_put_fixed64(buf, 5, frame->log);
		break;
	case FRAME_OPEN:
		put(buf, 1, frame->lane);
		put_text(buf, 2, frame->topic);
		put_text(buf, 3, frame->group);
		put_text(buf, 4, frame->member);
		put(buf, 6, frame->ack_wait_ms);
		break;
	case FRAME_DEMAND:
		put(buf, 1, frame->lane);
		put(buf, 2, frame->want);
		put(buf, 3, frame->used);
		break;
	case FRAME_DELIVER:
		put(buf, 1, frame->lane);
		encode_items(frame, buf);
		break;
	case FRAME_CLOSE:
		put(buf, 1, frame->lane);
		break;
	}
}

/* What the subscriber says. */
static void encode_down(const struct frame *frame, struct buf *buf)
{
	switch ((enum frame_down)frame->kind) {
	case FRAME_WELCOME:
		put(buf, 1, frame->version_min);
		pbscan_put_bytes(buf, 2, slice_make(frame->sidecar, sizeof frame->sidecar));
		put(buf, 3, frame->lanes_max);
		put(buf, 4, frame->frame_max);
		break;
	case FRAME_OPENED:
		put(buf, 1, frame->lane);
		put(buf, 2, frame->status);
		put_text(buf, 3, frame->reason);
		break;
	case FRAME_GRANT:
		put(buf, 1, frame->lane);
		put(buf, 2, frame->limit);
		break;
	case FRAME_RESULTS:
		put(buf, 1, frame->lane);
		encode_results(frame, buf);
		break;
	case FRAME_HOLD:
		put(buf, 1, frame->lane);
		put(buf, 2, frame->delay_ms);
		put(buf, 3, frame->status);
		break;
	case FRAME_DRAIN:
		put(buf, 1, frame->delay_ms);
		break;
	}
}

/* The inner message is built first, because its length stands before it. */
void frame_encode(const struct frame *frame, struct buf *ret_message)
{
	struct buf inner;

	buf_init(&inner);
	if (frame->up) {
		encode_up(frame, &inner);
	} else {
		encode_down(frame, &inner);
	}
	put_message(ret_message, frame->kind, &inner);
	buf_fini(&inner);
}

/* The sum over the bytes is checked by the member, which knows whom to tell. */
static int take_item(struct slice bytes, struct frame *frame)
{
	struct frame_item item = {.attempt = 0};
	struct pbscan_field field;
	int got;

	if (frame->item_count == FRAME_ITEMS_MAX) {
		return -EBADMSG;
	}
	item.message = message_create();
	while ((got = pbscan_next(&bytes, &field)) == 1) {
		switch (field.number) {
		case 1:
			item.seq = field.value;
			break;
		case 2:
			item.message->time_ms = field.value;
			break;
		case 3:
			item.attempt = (uint32_t)field.value;
			break;
		case 5:
			item.message->pcrc = (uint32_t)field.value;
			break;
		case 6:
			buf_clear(&item.message->attributes);
			buf_append_slice(&item.message->attributes, field.bytes);
			break;
		case 7:
			buf_clear(&item.message->body);
			buf_append_slice(&item.message->body, field.bytes);
			break;
		default:
			break; /* of a later version */
		}
	}
	if (got == 0) {
		frame_add_item(frame, item.seq, item.attempt, item.message);
	}
	message_unref(item.message);
	return got;
}

/* A range is bounded here, so that nobody walks for ever over numbers that a peer made up. */
static int take_result(struct slice bytes, struct frame *frame)
{
	struct frame_outcome outcome = {.kind = 0};
	struct pbscan_field field;
	int got;

	while ((got = pbscan_next(&bytes, &field)) == 1) {
		switch (field.number) {
		case 1:
			outcome.first = field.value;
			break;
		case 2:
			outcome.last = field.value;
			break;
		case 3:
			outcome.kind = (uint32_t)field.value;
			break;
		case 4:
			outcome.status = (uint32_t)field.value;
			break;
		case 5:
			outcome.delay_ms = (uint32_t)field.value;
			break;
		case 6:
			outcome.detail = field.bytes;
			break;
		case 7:
			outcome.well = field.value != 0;
			break;
		default:
			break;
		}
	}
	/* A range is walked number by number: its length is bounded by what can be in flight. */
	if (got < 0 || frame->result_count == FRAME_RESULTS_MAX || outcome.kind == 0 ||
		outcome.kind >= RESULT_KINDS || outcome.last < outcome.first ||
		outcome.last - outcome.first >= FRAME_RESULTS_MAX) {
		return -EBADMSG;
	}
	frame_add_result(frame, &outcome);
	return 0;
}

/* No NUL inside: these texts become C strings. */
static int take_text(struct slice bytes, char *ret_text, size_t size)
{
	if (bytes.size == 0) {
		ret_text[0] = '\0';
		return 0;
	}
	if (bytes.size >= size || memchr(bytes.data, 0, bytes.size)) {
		return -EBADMSG;
	}
	memcpy(ret_text, bytes.data, bytes.size);
	ret_text[bytes.size] = '\0';
	return 0;
}

/* An identity has one length. */
static int take_sidecar(struct slice bytes, struct frame *frame)
{
	if (bytes.size != sizeof frame->sidecar) {
		return -EBADMSG;
	}
	memcpy(frame->sidecar, bytes.data, bytes.size);
	return 0;
}

/* Kind and field together are one number, so one switch serves all kinds. */
static int take_up(const struct pbscan_field *field, struct frame *frame)
{
	uint32_t small = (uint32_t)field->value;

	switch (frame->kind << 8 | field->number) {
	case FRAME_HELLO << 8 | 1:
		frame->version_min = small;
		return 0;
	case FRAME_HELLO << 8 | 2:
		frame->version_max = small;
		return 0;
	case FRAME_HELLO << 8 | 3:
		return take_sidecar(field->bytes, frame);
	case FRAME_HELLO << 8 | 5:
		frame->log = field->value;
		return 0;
	case FRAME_OPEN << 8 | 2:
		return take_text(field->bytes, frame->topic, sizeof frame->topic);
	case FRAME_OPEN << 8 | 3:
		return take_text(field->bytes, frame->group, sizeof frame->group);
	case FRAME_OPEN << 8 | 4:
		return take_text(field->bytes, frame->member, sizeof frame->member);
	case FRAME_OPEN << 8 | 6:
		frame->ack_wait_ms = small;
		return 0;
	case FRAME_DEMAND << 8 | 2:
		frame->want = small;
		return 0;
	case FRAME_DEMAND << 8 | 3:
		frame->used = field->value;
		return 0;
	case FRAME_DELIVER << 8 | 2:
		return take_item(field->bytes, frame);
	default:
		break;
	}
	/* Field 1 is the lane in every kind but the one that concerns the whole link. */
	if (frame->kind != FRAME_HELLO && field->number == 1) {
		frame->lane = small;
	}
	return 0;
}

/* The same for the other direction. */
static int take_down(const struct pbscan_field *field, struct frame *frame)
{
	uint32_t small = (uint32_t)field->value;

	switch (frame->kind << 8 | field->number) {
	case FRAME_WELCOME << 8 | 1:
		frame->version_min = small;
		return 0;
	case FRAME_WELCOME << 8 | 2:
		return take_sidecar(field->bytes, frame);
	case FRAME_WELCOME << 8 | 3:
		frame->lanes_max = small;
		return 0;
	case FRAME_WELCOME << 8 | 4:
		frame->frame_max = small;
		return 0;
	case FRAME_OPENED << 8 | 2:
		frame->status = small;
		return 0;
	case FRAME_OPENED << 8 | 3:
		return take_text(field->bytes, frame->reason, sizeof frame->reason);
	case FRAME_GRANT << 8 | 2:
		frame->limit = field->value;
		return 0;
	case FRAME_RESULTS << 8 | 2:
		return take_result(field->bytes, frame);
	case FRAME_HOLD << 8 | 2:
	case FRAME_DRAIN << 8 | 1:
		frame->delay_ms = small;
		return 0;
	case FRAME_HOLD << 8 | 3:
		frame->status = small;
		return 0;
	default:
		break;
	}
	/* Welcome and Drain have no lane; what they keep there is taken above. */
	if (field->number == 1) {
		frame->lane = small;
	}
	return 0;
}

/* From outside: anything may stand here. Nothing is handed out unless all of it was read. */
int frame_decode(struct slice message, bool up, struct frame **ret_frame)
{
	struct pbscan_field outer, field;
	struct frame *frame;
	int got = pbscan_next(&message, &outer);

	/* Exactly one member of the oneof. */
	if (got != 1 || outer.wire_type != 2 || message.size > 0) {
		return -EBADMSG;
	}
	/* B11-02: a kind of a later version is told apart from a broken frame, for only the
	 * latter ends the stream. */
	if (outer.number > (up ? (unsigned)FRAME_CLOSE : (unsigned)FRAME_DRAIN)) {
		return -ENOSYS;
	}
	frame = frame_create(up, outer.number, 0);
	while ((got = pbscan_next(&outer.bytes, &field)) == 1) {
		/* Larger numbers are of a later version too; they must not spill over into the
		 * kind of the switches above. */
		got = field.number > UINT8_MAX ? 0
		      : up		       ? take_up(&field, frame)
					       : take_down(&field, frame);
		if (got < 0) {
			break;
		}
	}
	if (got < 0) {
		frame_destroy(frame);
		return -EBADMSG;
	}
	*ret_frame = frame;
	return 0;
}
