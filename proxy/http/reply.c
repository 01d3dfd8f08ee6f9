#include "http/reply.h"

#include <stdio.h>
#include <time.h>

/* RE-05: the JSON line is at most 1 KiB; these parts keep it so with room for the rest. */
#define REPLY_BODY_MAX	  1024
#define REPLY_MESSAGE_MAX 400
#define REPLY_NAME_MAX	  128
/* G-11 */
#define REPLY_GRPC_MESSAGE_MAX 1024
/* RE-08: words of the HTTP reader. */
#define REPLY_READER_FIRST 5101
#define REPLY_READER_LAST  5120

static struct slice reply_cut(struct slice text, size_t most)
{
	return slice_make(text.data, text.size < most ? text.size : most);
}

/* The caller's sentence, or the one of the table. */
static struct slice reply_message(const struct reply *reply)
{
	struct slice text = reply->message.size > 0
				    ? reply->message
				    : slice_from_string(reason_info(reply->reason)->text);

	return reply_cut(text, REPLY_MESSAGE_MAX);
}

/* An RFC 9651 string: other bytes than visible ASCII and space cannot stand in it. */
static void reply_put_string(struct buf *buf, const char *name, struct slice text)
{
	text = reply_cut(text, REPLY_NAME_MAX);
	buf_appendf(buf, ";%s=\"", name);
	for (size_t i = 0; i < text.size; i++) {
		uint8_t byte = text.data[i];

		if (byte == '"' || byte == '\\') {
			buf_append_byte(buf, '\\');
		}
		buf_append_byte(buf, byte >= 0x20 && byte < 0x7F ? byte : '?');
	}
	buf_append_byte(buf, '"');
}

/* An RFC 9651 token, for words that are pillion's own. */
static void reply_put_token(struct buf *buf, const char *name, struct slice text)
{
	buf_appendf(buf, ";%s=", name);
	buf_append_slice(buf, reply_cut(text, REPLY_NAME_MAX));
}

/* RE-04 */
static void reply_put_reason(const struct reply *reply, struct buf *buf)
{
	const struct reason_info *info = reason_info(reply->reason);

	buf_appendf(buf, "%s;code=PIL%04u", info->word, info->pil);
	if (!reply->detailed) {
		return;
	}
	if (reply->service.size > 0) {
		reply_put_string(buf, "service", reply->service);
	}
	if (reply->index > 0) {
		buf_appendf(buf, ";index=%llu", (unsigned long long)reply->index);
	}
	if (reply->attempts > 0) {
		buf_appendf(buf, ";attempts=%u", reply->attempts);
	}
	if (reply->retry_stop != NULL) {
		reply_put_token(buf, "retry", slice_from_string(reply->retry_stop));
	}
	if (reply->by.size > 0) {
		reply_put_token(buf, "by", reply->by);
	}
}

/* Texts are cut by the caller; escapes are the only growth left. */
static void reply_put_member(struct buf *buf, const char *name, struct slice text)
{
	buf_appendf(buf, ",\"%s\":\"", name);
	buf_append_json_escaped(buf, text);
	buf_append_byte(buf, '"');
}

/* RE-05, one line; every text of the caller is cut at 1/divisor of its usual bound. */
static void reply_put_json(const struct reply *reply, size_t divisor, struct buf *buf)
{
	size_t name_max = REPLY_NAME_MAX / divisor;
	const struct reason_info *info = reason_info(reply->reason);

	buf_appendf(buf, "{\"error\":{\"reason\":\"%s\",\"code\":\"PIL%04u\",\"message\":\"",
		info->word, info->pil);
	buf_append_json_escaped(buf, reply_cut(reply_message(reply), REPLY_MESSAGE_MAX / divisor));
	buf_append_byte(buf, '"');
	if (reply->service.size > 0) {
		reply_put_member(buf, "service", reply_cut(reply->service, name_max));
	}
	buf_appendf(buf, ",\"outcome\":\"%s\"", outcome_word(reply->outcome));
	if (reply->trace_id.size > 0) {
		reply_put_member(buf, "id", reply_cut(reply->trace_id, name_max));
	}
	if (reply->event.size > 0) {
		reply_put_member(buf, "event", reply_cut(reply->event, name_max));
	}
	buf_append_string(buf, "}}\n");
}

/* IMF-fixdate (RFC 9110 5.6.7), in English whatever the locale says. */
static void reply_put_date(struct head *head, uint64_t wall_ms)
{
	static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[][4] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm parts;
	char text[64];
	int size;

	/* A caller without a wall clock sends none (RFC 9110 6.6.1 allows it). */
	if (wall_ms == 0 || gmtime_r(&seconds, &parts) == NULL) {
		return;
	}
	ASSERT(parts.tm_wday >= 0 && parts.tm_wday < 7 && parts.tm_mon >= 0 && parts.tm_mon < 12);
	size = snprintf(text, sizeof(text), "%s, %02d %s %04d %02d:%02d:%02d GMT",
		days[parts.tm_wday], parts.tm_mday, months[parts.tm_mon], parts.tm_year + 1900,
		parts.tm_hour, parts.tm_min, parts.tm_sec);
	ASSERT(size > 0 && (size_t)size < sizeof(text));
	head_add_token(head, TOKEN_date, slice_make(text, (size_t)size));
}

/* The fields of every form. `scratch` is used and left empty. */
static void reply_put_common(const struct reply *reply, struct head *head, struct buf *scratch)
{
	reply_put_date(head, reply->wall_ms);
	reply_put_reason(reply, scratch);
	head_add_token(head, TOKEN_x_pillion_reason, buf_slice(scratch));
	buf_clear(scratch);
	head_add_token(
		head, TOKEN_x_pillion_outcome, slice_from_string(outcome_word(reply->outcome)));
	if (reply->field_name.size > 0) {
		head_add(head, reply->field_name, reply->field_value);
	}
}

void reply_grpc_message(struct buf *buf, struct slice text)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t begin = buf->size;

	for (size_t i = 0; i < text.size; i++) {
		uint8_t byte = text.data[i];
		bool plain = byte >= 0x20 && byte <= 0x7E && byte != '%';

		/* An escape is never cut in half. */
		if (buf->size - begin + (plain ? 1 : 3) > REPLY_GRPC_MESSAGE_MAX) {
			return;
		}
		if (plain) {
			buf_append_byte(buf, byte);
			continue;
		}
		buf_append_byte(buf, '%');
		buf_append_byte(buf, (uint8_t)digits[byte >> 4]);
		buf_append_byte(buf, (uint8_t)digits[byte & 15]);
	}
	ASSERT(buf->size - begin <= REPLY_GRPC_MESSAGE_MAX);
}

/* RE-06: everything in one head that ends the stream. */
static void reply_build_grpc(const struct reply *reply, struct head *head, struct buf *scratch)
{
	const struct reason_info *info = reason_info(reply->reason);
	int status = reply->grpc >= 0 ? reply->grpc : info->grpc;
	struct slice type =
		reply->content_type.size > 0 ? reply->content_type : SLICE("application/grpc");

	/* A failure never reads as success (G-09). */
	status = status == 0 ? 2 : status;
	head->status = 200;
	head->body = BODY_NONE;
	head_add_token(head, TOKEN_content_type, type);
	buf_appendf(scratch, "%d", status);
	head_add_token(head, TOKEN_grpc_status, buf_slice(scratch));
	buf_clear(scratch);
	reply_grpc_message(scratch, slice_from_string(info->word));
	reply_grpc_message(scratch, SLICE(": "));
	reply_grpc_message(scratch, reply_message(reply));
	head_add_token(
		head, TOKEN_grpc_message, reply_cut(buf_slice(scratch), REPLY_GRPC_MESSAGE_MAX));
	buf_clear(scratch);
	reply_put_common(reply, head, scratch);
}

/* RE-07 */
static void reply_put_retry_after(struct head *head, int status)
{
	if (status == 429 || status == 503) {
		head_add_token(head, TOKEN_retry_after, SLICE("1"));
	} else if (status == 507) {
		head_add_token(head, TOKEN_retry_after, SLICE("5"));
	}
}

void reply_build(const struct reply *reply, struct head *ret_head, struct buf *ret_body)
{
	int status = reply->http != 0 ? reply->http : reason_info(reply->reason)->http;

	ASSERT(ret_head->kind == HEAD_RESPONSE && ret_head->field_count == 0);
	ASSERT(reply->outcome != OUTCOME_BY_PROGRESS);
	buf_clear(ret_body);
	ret_head->close = reply_closes(reply->reason);
	if (reply->grpc_client) {
		reply_build_grpc(reply, ret_head, ret_body);
		return;
	}
	/* A word that no client should see still needs a status when it is sent at all. */
	ret_head->status = (uint16_t)(status >= 200 && status <= 599 ? status : 500);
	reply_put_common(reply, ret_head, ret_body);
	head_add_token(ret_head, TOKEN_content_type, SLICE("application/json"));
	head_add_token(ret_head, TOKEN_cache_control, SLICE("no-store"));
	reply_put_retry_after(ret_head, ret_head->status);
	if (reply->allow.size > 0) {
		head_add_token(ret_head, TOKEN_allow, reply->allow);
	}
	reply_put_json(reply, 1, ret_body);
	if (ret_body->size > REPLY_BODY_MAX) {
		/* Escapes made it six times as long; an eighth of each text always fits. */
		buf_clear(ret_body);
		reply_put_json(reply, 8, ret_body);
		ASSERT(ret_body->size <= REPLY_BODY_MAX);
	}
	if (reply->head_request) {
		ret_head->body = BODY_NONE;
		ret_head->has_declared_length = true;
		ret_head->declared_length = ret_body->size;
		buf_clear(ret_body);
		return;
	}
	ret_head->body = BODY_LENGTH;
	ret_head->length = ret_body->size;
}

bool reply_closes(enum reason reason)
{
	unsigned pil = reason_info(reason)->pil;

	return (pil >= REPLY_READER_FIRST && pil <= REPLY_READER_LAST) ||
	       reason == REASON_draining || reason == REASON_head_timeout ||
	       reason == REASON_body_timeout || reason == REASON_body_too_large ||
	       reason == REASON_internal_error;
}

void reply_plain(struct head *ret_head, int status, struct slice content_type, size_t body_size)
{
	ASSERT(ret_head->kind == HEAD_RESPONSE && status >= 200 && status <= 599);
	ret_head->status = (uint16_t)status;
	if (content_type.size > 0) {
		head_add_token(ret_head, TOKEN_content_type, content_type);
	}
	ret_head->body = BODY_LENGTH;
	ret_head->length = body_size;
	if (status == 204 || status == 304) {
		ASSERT(body_size == 0);
		ret_head->body = BODY_NONE;
	}
}
