#include "broker/group_record.h"

#include "base/pbscan.h"

enum { START_EARLIEST = 1, START_NEW = 2 };

/* Zeros are written too: a reader tells "false" from "of an older version". */
void group_record_encode(const struct plan_group *group, struct buf *ret_value)
{
	pbscan_put_varint(ret_value, 1, group->durable ? 1 : 0);
	pbscan_put_varint(ret_value, 2, group->earliest ? START_EARLIEST : START_NEW);
	pbscan_put_varint(ret_value, 3, group->created_ms);
	pbscan_put_varint(ret_value, 5, group->ack_wait_ms);
	pbscan_put_varint(ret_value, 6, group->max_deliver);
	for (uint32_t i = 0; i < group->backoff_count; i++) {
		pbscan_put_varint(ret_value, 7, group->backoff_ms[i]);
	}
}

/* Unknown fields are ignored (B3-09). */
bool group_record_decode(struct slice value, struct plan_group *ret_group)
{
	struct pbscan_field field;
	uint32_t backoff = 0;
	int got;

	while ((got = pbscan_next(&value, &field)) == 1) {
		uint32_t small = field.value > UINT32_MAX ? UINT32_MAX : (uint32_t)field.value;

		switch (field.number) {
		case 1:
			ret_group->durable = field.value != 0;
			break;
		case 2:
			ret_group->earliest = field.value == START_EARLIEST;
			break;
		case 3:
			ret_group->created_ms = field.value;
			break;
		case 5:
			ret_group->ack_wait_ms = small;
			break;
		case 6:
			ret_group->max_deliver = small;
			break;
		case 7:
			/* More steps than this version has room for: the last known one repeats,
			 * as it would anyway. */
			if (backoff < PLAN_BACKOFF_MAX) {
				ret_group->backoff_ms[backoff++] = small;
			}
			break;
		default:
			break;
		}
	}
	/* A record without steps leaves the defaults that the caller has put in. */
	ret_group->backoff_count = backoff > 0 ? backoff : ret_group->backoff_count;
	return got == 0;
}

/* Identity is the session's; the record holds only where and how. */
void group_record_encode_member(const struct group_record_member *member, struct buf *ret_value)
{
	pbscan_put_bytes(ret_value, 1, slice_from_string(member->host));
	pbscan_put_varint(ret_value, 2, member->port);
	pbscan_put_bytes(ret_value, 3, slice_from_string(member->zone));
	pbscan_put_varint(ret_value, 4, member->weight);
	pbscan_put_varint(ret_value, 5, member->pushed ? 1 : 2);
	pbscan_put_varint(ret_value, 6, member->max_in_flight);
	pbscan_put_varint(ret_value, 7, member->state);
}

/* False: it does not fit. */
static bool copy_text(struct slice text, char *ret_text, size_t size)
{
	if (text.size >= size) {
		return false;
	}
	memcpy(ret_text, text.data, text.size);
	ret_text[text.size] = '\0';
	return true;
}

/* Without an address it is of no use to anybody. */
bool group_record_decode_member(struct slice value, struct group_record_member *ret_member)
{
	struct pbscan_field field;
	int got;

	*ret_member = (struct group_record_member){.weight = GROUP_RECORD_WEIGHT};
	while ((got = pbscan_next(&value, &field)) == 1) {
		switch (field.number) {
		case 1:
			if (!copy_text(field.bytes, ret_member->host, sizeof ret_member->host)) {
				return false;
			}
			break;
		case 2:
			/* A number beyond 16 bits names no port; whatever remains of it fails
			 * when it is dialled. */
			ret_member->port = (uint16_t)field.value;
			break;
		case 3:
			/* A longer name is none that this version could have: far away. */
			(void)copy_text(field.bytes, ret_member->zone, sizeof ret_member->zone);
			break;
		case 4:
			ret_member->weight = field.value == 0 ? 1
					     : field.value > GROUP_RECORD_WEIGHT_MAX
						     ? GROUP_RECORD_WEIGHT_MAX
						     : (uint32_t)field.value;
			break;
		case 5:
			ret_member->pushed = field.value == 1;
			break;
		case 6:
			ret_member->max_in_flight = (uint32_t)field.value;
			break;
		case 7:
			/* A state of a later version counts as paused. */
			ret_member->state = field.value <= GROUP_RECORD_DRAINING
						    ? (enum group_record_state)field.value
						    : GROUP_RECORD_PAUSED;
			break;
		default:
			break;
		}
	}
	return got == 0 && ret_member->host[0] != '\0' && ret_member->port != 0;
}

/* The set is the path up to the group (B3-01); anything longer is of a later version. */
bool group_record_parse_set(
	struct slice set, struct slice prefix, struct slice *ret_pattern, struct slice *ret_group)
{
	struct slice rest;
	size_t slash;

	if (!slice_starts_with(set, prefix)) {
		return false;
	}
	rest = slice_from(set, prefix.size);
	slash = slice_find(rest, '/');
	if (slash == 0 || slash >= rest.size - 1 || rest.size == 0) {
		return false;
	}
	*ret_pattern = slice_make(rest.data, slash);
	*ret_group = slice_from(rest, slash + 1);
	/* The bounds of the structs that will hold them; a dead-letter topic is the longest name
	 * there is. */
	return ret_pattern->size <= 280 && ret_group->size < 72 &&
	       slice_find(*ret_group, '/') == ret_group->size;
}
