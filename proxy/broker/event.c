/*
 * Names and values cross three forms here: fields of a request, attributes of a record, members
 * of a JSON object. Each direction checks or encodes once.
 */
#include "broker/event.h"

#include <stdio.h>

#include "base/clock.h"
#include "broker/json_scan.h"
#include "broker/names.h"
#include "codec/codec_base64.h"

/* B4: a leap year, so that a year is always allowed. */
#define TTL_MAX_MS UINT64_C(31622400000) /* 8784 h */

/* Word and text together: a publisher who reads only one of them knows enough to mend the
 * request. */
static enum reason refuse(const char **ret_text, enum reason reason, const char *text)
{
	*ret_text = text;
	return reason;
}

/* Quotes around the whole value are taken off, then escapes are decoded once (B5-04). */
static bool decode_value(struct slice value, struct buf *ret_text)
{
	buf_clear(ret_text);
	value = slice_trim(value);
	if (value.size >= 2 && value.data[0] == '"' && value.data[value.size - 1] == '"') {
		value = slice_make(value.data + 1, value.size - 2);
	}
	return names_percent_decode(value, ret_text);
}

/* What only a sidecar may say; from outside it is removed and counted (B2-04). */
static bool reserved_attribute(struct slice name)
{
	return slice_starts_with(name, SLICE("dlq")) || slice_starts_with(name, SLICE("pillion"));
}

/* One ce- field. */
static enum reason read_field(const struct head *head, const struct field *field,
	struct message *message, struct event_wishes *wishes, const char **ret_text)
{
	struct slice name = slice_from(field->name, 3);
	enum reason reason = REASON_ok;
	struct buf value;

	/* B5-04: which of two values was meant nobody can tell, and two readers might choose
	 * differently. */
	if (head_find_next(head, field)) {
		return refuse(ret_text, REASON_bad_event, "a ce- field came twice");
	}
	if (slice_equal(name, SLICE("datacontenttype"))) {
		return refuse(ret_text, REASON_bad_event, "the content type has its own field");
	}
	/* Removed and not refused: a dead letter that is published again by hand carries them
	 * innocently. */
	if (reserved_attribute(name)) {
		wishes->removed++;
		return REASON_ok;
	}
	buf_init(&value);
	if (!decode_value(field->value, &value)) {
		reason = refuse(ret_text, REASON_bad_event, "a ce- field has a broken escape");
	} else if (slice_equal(name, SLICE("specversion"))) {
		if (!slice_equal(buf_slice(&value), SLICE("1.0"))) {
			reason = refuse(ret_text, REASON_bad_event, "ce-specversion is 1.0");
		}
	} else if (!message_put(message, name, buf_slice(&value))) {
		reason = refuse(ret_text, REASON_bad_event,
			"a ce- field has a bad name or value, or there are too many");
	}
	buf_fini(&value);
	return reason;
}

/* A parameter of the query, decoded; data NULL: absent. */
static struct slice query_value(const struct head *head, const char *name, struct buf *scratch)
{
	struct slice rest = head->query;

	while (head->has_query && rest.size > 0) {
		size_t end = slice_find(rest, '&');
		struct slice pair = slice_make(rest.data, end);
		size_t equals = slice_find(pair, '=');

		if (slice_equal(slice_make(pair.data, equals), slice_from_string(name))) {
			struct slice value =
				slice_from(pair, equals < pair.size ? equals + 1 : pair.size);

			buf_clear(scratch);
			/* A broken escape is taken as it stands; whoever needs a form checks it
			 * anyway. */
			if (!names_percent_decode(value, scratch)) {
				return value;
			}
			buf_append_byte(scratch, 0);
			scratch->size--;
			return buf_slice(scratch);
		}
		rest = slice_from(rest, end < rest.size ? end + 1 : rest.size);
	}
	return slice_make(NULL, 0);
}

/* Query or field; both and different is an error (B5-03). */
static enum reason parameter(const struct head *head, const char *query, const char *field,
	struct buf *scratch, struct slice *ret_value)
{
	struct slice asked = query_value(head, query, scratch);
	const struct field *found = head_find_name(head, slice_from_string(field));

	if (asked.data && found && !slice_equal(asked, slice_trim(found->value))) {
		return REASON_bad_parameter;
	}
	*ret_value = asked.data ? asked : found ? slice_trim(found->value) : slice_make(NULL, 0);
	return REASON_ok;
}

/* The same thing said twice must be the same. */
static enum reason read_identity(const struct head *head, struct message *message,
	const char *query, const char *attribute, const char **ret_text)
{
	struct slice known = message_attribute(message, slice_from_string(attribute));
	enum reason reason = REASON_ok;
	struct slice value;
	struct buf scratch;

	buf_init(&scratch);
	value = query_value(head, query, &scratch);
	/* B5-03: the third spelling, which clients use who know nothing of CloudEvents. */
	if (!value.data && strcmp(query, "id") == 0) {
		value = slice_trim(head_value(head, TOKEN_idempotency_key));
	}
	if (value.data && known.data && !slice_equal(value, known)) {
		reason = refuse(ret_text, REASON_bad_parameter,
			"a parameter stands in query and header with two values");
	} else if (value.data && !known.data && value.size > 0 &&
		   !message_put(message, slice_from_string(attribute), value)) {
		reason = refuse(ret_text, REASON_bad_event, "id or key is no valid text");
	}
	buf_fini(&scratch);
	return reason;
}

/* What a request asks for beside its event; unknown words are refused, never ignored. */
static enum reason read_wishes(
	const struct head *head, struct event_wishes *wishes, const char **ret_text)
{
	struct buf scratch;
	struct slice value;
	enum reason reason;

	buf_init(&scratch);
	reason = parameter(head, "ttl", "x-pillion-ttl", &scratch, &value);
	if (reason == REASON_ok && value.data &&
		(!names_duration(value, TTL_MAX_MS, &wishes->ttl_ms) || wishes->ttl_ms < 1000)) {
		reason = refuse(ret_text, REASON_bad_parameter, "ttl is 1s to 8784h");
	}
	if (reason == REASON_ok) {
		reason = parameter(head, "delay", "x-pillion-delay", &scratch, &value);
		if (reason == REASON_ok && value.data) {
			reason = refuse(ret_text, REASON_bad_parameter,
				"delay is not offered by this version");
		}
	}
	if (reason == REASON_ok) {
		reason = parameter(head, "durability", "x-pillion-durability", &scratch, &value);
	}
	/* B5-03: a request raises its topic's level and never lowers it; that is decided where
	 * the topic is known. */
	if (reason == REASON_ok && value.data) {
		wishes->fsync = slice_equal(value, SLICE("fsync"));
		wishes->os = slice_equal(value, SLICE("os"));
		if (!wishes->fsync && !wishes->os) {
			reason = refuse(ret_text, REASON_unsupported_durability,
				"durability is os or fsync");
		}
	}
	if (reason == REASON_bad_parameter && !*ret_text) {
		*ret_text = "a parameter stands in query and header with two values";
	}
	buf_fini(&scratch);
	return reason;
}

/* Content-Encoding always, since the body is meaningless without it; others by configuration. */
static bool kept(const struct plan *plan, const struct field *field)
{
	if (field->token == TOKEN_content_encoding) {
		return true;
	}
	for (size_t i = 0; i < plan->keep_header_count; i++) {
		if (slice_equal(field->name, slice_from_string(plan->keep_headers[i]))) {
			return true;
		}
	}
	return false;
}

/* The content type has a default; trace fields that are no valid text are left out. */
static enum reason read_plain(const struct head *head, const struct plan *plan,
	struct message *message, const char **ret_text)
{
	struct slice type = slice_trim(head_value(head, TOKEN_content_type));

	if (type.size == 0) {
		type = SLICE("application/octet-stream");
	}
	if (!message_put(message, SLICE("datacontenttype"), type)) {
		return refuse(ret_text, REASON_bad_event, "the content type is no valid text");
	}
	for (uint32_t i = 0; i < head->field_count; i++) {
		const struct field *field = &head->fields[i];
		char name[160];

		if (field->token == TOKEN_trace_parent || field->token == TOKEN_trace_state) {
			(void)message_put(message, field->name, field->value);
		} else if (kept(plan, field) && field->name.size <= 128) {
			(void)snprintf(name, sizeof name, "h:%.*s", (int)field->name.size,
				(const char *)field->name.data);
			if (!message_put(message, slice_from_string(name), field->value)) {
				return refuse(ret_text, REASON_bad_event,
					"a kept header is no valid text");
			}
		}
	}
	return REASON_ok;
}

/* B5-04. The first fault ends it; nothing was stored or counted by then but removed
 * attributes. */
enum reason event_read(const struct head *head, const struct plan *plan, struct message *message,
	struct event_wishes *ret_wishes, const char **ret_text)
{
	enum reason reason = REASON_ok;

	*ret_wishes = (struct event_wishes){.ttl_ms = 0};
	*ret_text = NULL;
	for (uint32_t i = 0; i < head->field_count && reason == REASON_ok; i++) {
		const struct field *field = &head->fields[i];

		if (slice_starts_with(field->name, SLICE("ce-"))) {
			reason = read_field(head, field, message, ret_wishes, ret_text);
		}
	}
	if (reason == REASON_ok) {
		reason = read_identity(head, message, "id", "id", ret_text);
	}
	if (reason == REASON_ok) {
		reason = read_identity(head, message, "key", "partitionkey", ret_text);
	}
	if (reason == REASON_ok) {
		reason = read_plain(head, plan, message, ret_text);
	}
	return reason == REASON_ok ? read_wishes(head, ret_wishes, ret_text) : reason;
}

/* Only where the publisher said nothing. */
static void fill(struct message *message, const char *name, struct slice value)
{
	if (!message_attribute(message, slice_from_string(name)).data) {
		record_put_attribute(&message->attributes, slice_from_string(name), value);
	}
}

/* So that plain `curl -d` publishes a complete event. */
void event_fill(struct message *message, const char *service, struct slice topic)
{
	char source[300], when[CLOCK_TEXT_SIZE];

	(void)snprintf(source, sizeof source, "//pillion/%s", service);
	fill(message, "source", slice_from_string(source));
	fill(message, "type", topic);
	clock_format_wall(message->time_ms, when);
	fill(message, "time", slice_from_string(when));
}

/* Fields of the message that are headers of their own. */
static struct slice plain_name(struct slice name)
{
	if (slice_equal(name, SLICE("datacontenttype"))) {
		return SLICE("content-type");
	}
	if (slice_equal(name, SLICE("traceparent")) || slice_equal(name, SLICE("tracestate"))) {
		return name;
	}
	return slice_starts_with(name, SLICE("h:")) ? slice_from(name, 2) : slice_make(NULL, 0);
}

/* The attribute that names the only group stays inside: it is bookkeeping, not part of the
 * event. */
void event_write(const struct message *message, struct head *head)
{
	struct slice rest = buf_slice(&message->attributes), name, value;
	struct buf text;

	head_add(head, SLICE("ce-specversion"), SLICE("1.0"));
	buf_init(&text);
	while (record_next_attribute(&rest, &name, &value) == 1) {
		struct slice plain = plain_name(name);
		char field[40];

		if (plain.data) {
			head_add(head, plain, value);
			continue;
		}
		/* B2-05 allows names of 20 bytes, which `field` has room for. */
		if (slice_equal(name, SLICE(RECORD_ONLY_ATTRIBUTE)) || name.size > 32) {
			continue;
		}
		(void)snprintf(
			field, sizeof field, "ce-%.*s", (int)name.size, (const char *)name.data);
		buf_clear(&text);
		/* B7-04: values may hold any text, header fields may not. */
		names_percent_encode(value, &text);
		head_add(head, slice_from_string(field), buf_slice(&text));
	}
	buf_fini(&text);
}

/* `*`/json, `*`/`*`+json, or none. */
static bool json_type(struct slice type)
{
	size_t end = slice_find(type, ';');
	struct slice essence = slice_trim(slice_make(type.data, end));

	if (essence.size == 0) {
		return true;
	}
	if (essence.size < 5) {
		return false;
	}
	return slice_equal_fold(slice_from(essence, essence.size - 5), SLICE("/json")) ||
	       slice_equal_fold(slice_from(essence, essence.size - 5), SLICE("+json"));
}

/* A body of a JSON type goes verbatim: numbers keep every digit they had (B7-05). */
void event_print(const struct message *message, struct buf *ret_json)
{
	struct slice rest = buf_slice(&message->attributes), name, value;
	struct slice type = message_attribute(message, SLICE("datacontenttype"));
	struct slice body = buf_slice(&message->body);

	buf_append_string(ret_json, "{\"specversion\":\"1.0\"");
	while (record_next_attribute(&rest, &name, &value) == 1) {
		if (slice_equal(name, SLICE(RECORD_ONLY_ATTRIBUTE)) ||
			slice_starts_with(name, SLICE("h:"))) {
			continue;
		}
		buf_append_byte(ret_json, ',');
		json_scan_put_string(ret_json, name);
		buf_append_byte(ret_json, ':');
		json_scan_put_string(ret_json, value);
	}
	/* B7-05: what calls itself JSON and is none goes as bytes, for it would break the whole
	 * answer. */
	if (body.size > 0 && json_type(type) && json_scan_valid(body)) {
		buf_append_string(ret_json, ",\"data\":");
		buf_append_slice(ret_json, body);
	} else if (body.size > 0) {
		buf_append_string(ret_json, ",\"data_base64\":\"");
		codec_base64_encode(body, true, ret_json);
		buf_append_byte(ret_json, '"');
	}
	buf_append_byte(ret_json, '}');
}
