#include "http/h1_parse.h"

#include "http/h1_framing.h"
#include "http/h1_scan.h"
#include "http/target.h"

/* H1-04 */
#define H1_METHOD_MAX 32
/* H1-12: what a field costs beside its bytes. */
#define H1_FIELD_COST 32
/* No known field name is longer. */
#define H1_NAME_SHORT 32

/* The three answers of every step below. */
enum h1_step { H1_ERROR = -1, H1_MORE = 0, H1_DONE = 1 };

struct h1_cursor {
	struct h1_message *message;
	const uint8_t *start; /* of the line, for its limit */
	const uint8_t *at;
	const uint8_t *end; /* of the input */
};

void h1_parse_init(struct h1_message *message, struct head *head, const struct http_limits *limits)
{
	ASSERT(head != NULL && limits != NULL);
	message->head = head;
	message->limits = limits;
	message->reason = REASON_ok;
	message->http = 0;
	message->size = 0;
	message->field_count = 0;
	message->host = (struct h1_framing_field){{NULL, 0}, 0};
	message->content_length = message->host;
	message->transfer_encoding = message->host;
	message->expect = message->host;
	fields_connection_init(&message->connection);
	message->length = 0;
	message->keep_alive_s = 0;
	message->chunked = false;
}

static enum h1_step h1_fail(struct h1_message *message, enum reason reason)
{
	ASSERT(reason != REASON_ok);
	message->reason = reason;
	return H1_ERROR;
}

/* A byte that may not stand at `at`: a bare CR or LF is named as such (H1-01), all else is
 * `reason`. */
static enum h1_step h1_fail_byte(struct h1_cursor *cursor, const uint8_t *at, enum reason reason)
{
	ASSERT(at < cursor->end);
	if (*at == '\n') {
		return h1_fail(cursor->message, REASON_bad_line_end);
	}
	if (*at == '\r') {
		if (cursor->end - at < 2) {
			return H1_MORE;
		}
		if (at[1] != '\n') {
			return h1_fail(cursor->message, REASON_bad_line_end);
		}
	}
	return h1_fail(cursor->message, reason);
}

/* CR LF at `at`; anything else is a fault. */
static enum h1_step h1_line_end(struct h1_cursor *cursor, const uint8_t *at, enum reason reason)
{
	if (at == cursor->end) {
		return H1_MORE;
	}
	if (*at != '\r' || cursor->end - at < 2 || at[1] != '\n') {
		return h1_fail_byte(cursor, at, reason);
	}
	cursor->at = at + 2;
	return H1_DONE;
}

/* H1-02: at most one empty line before the start line. */
static enum h1_step h1_skip_empty_line(struct h1_cursor *cursor)
{
	if (cursor->end - cursor->at >= 2 && cursor->at[0] == '\r' && cursor->at[1] == '\n') {
		cursor->at += 2;
	}
	cursor->start = cursor->at;
	return cursor->at == cursor->end ? H1_MORE : H1_DONE;
}

/* H1-04 */
static enum h1_step h1_parse_method(struct h1_cursor *cursor)
{
	struct head *head = cursor->message->head;
	const uint8_t *at = cursor->at;

	while (at < cursor->end && h1_scan_lower[*at] != 0) {
		at++;
		if (at - cursor->at > H1_METHOD_MAX) {
			return h1_fail(cursor->message, REASON_method_unknown);
		}
	}
	if (at == cursor->end) {
		return H1_MORE;
	}
	if (*at != ' ' || at == cursor->at) {
		return h1_fail_byte(cursor, at, REASON_bad_request_line);
	}
	head->method_text = slice_make(cursor->at, (size_t)(at - cursor->at));
	head->method = method_find(head->method_text);
	if (head->method != METHOD_OTHER) {
		head->method_text = method_name(head->method);
	}
	cursor->at = at + 1;
	return H1_DONE;
}

/* H1-06: the bytes and the length; target.c judges the form later. */
static enum h1_step h1_parse_target_bytes(struct h1_cursor *cursor, struct slice *ret_target)
{
	size_t line_max = cursor->message->limits->start_line_bytes;
	size_t before = (size_t)(cursor->at - cursor->start);
	size_t room = line_max > before ? line_max - before : 0;
	size_t there = (size_t)(cursor->end - cursor->at);
	const uint8_t *at =
		h1_scan_invisible(cursor->at, there > room ? cursor->at + room + 1 : cursor->end);
	size_t size = (size_t)(at - cursor->at);

	if (size > room) {
		return h1_fail(cursor->message, REASON_uri_too_long);
	}
	if (at == cursor->end) {
		return H1_MORE;
	}
	if (*at == ' ' && size > 0) {
		*ret_target = slice_make(cursor->at, size);
		cursor->at = at + 1;
		return H1_DONE;
	}
	/* H1-03: no other blank; H1-06 for all other bytes. */
	return h1_fail_byte(cursor, at,
		*at == ' ' || *at == '\t' || *at == '\r' ? REASON_bad_request_line
							 : REASON_bad_target);
}

/* `HTTP/` DIGIT `.` DIGIT at cursor->at; moves past it. */
static enum h1_step h1_parse_version(
	struct h1_cursor *cursor, uint8_t *ret_major, uint8_t *ret_minor)
{
	static const char pattern[] = "HTTP/0.0";
	const uint8_t *at = cursor->at;

	for (size_t i = 0; i < sizeof(pattern) - 1; i++, at++) {
		bool digit = pattern[i] == '0';

		if (at == cursor->end) {
			return H1_MORE;
		}
		if (digit ? *at < '0' || *at > '9' : *at != (uint8_t)pattern[i]) {
			return h1_fail_byte(cursor, at, REASON_bad_request_line);
		}
	}
	*ret_major = cursor->at[5];
	*ret_minor = cursor->at[7];
	cursor->at = at;
	return H1_DONE;
}

/* H1-05: well formed, but not one that is spoken here. */
static enum h1_step h1_check_version(struct h1_message *message, uint8_t major, uint8_t minor)
{
	if (major != '1' || minor > '1') {
		return h1_fail(message, REASON_bad_version);
	}
	message->head->version = minor == '1' ? HTTP_1_1 : HTTP_1_0;
	return H1_DONE;
}

/* H1-03: method SP target SP version CR LF; then, in this order, version and target are judged. */
static enum h1_step h1_parse_request_line(struct h1_cursor *cursor)
{
	struct h1_message *message = cursor->message;
	struct slice target = {NULL, 0};
	uint8_t major = 0;
	uint8_t minor = 0;
	enum h1_step step = h1_parse_method(cursor);
	enum reason reason;

	if (step == H1_DONE) {
		step = h1_parse_target_bytes(cursor, &target);
	}
	if (step == H1_DONE) {
		step = h1_parse_version(cursor, &major, &minor);
	}
	if (step == H1_DONE) {
		step = h1_line_end(cursor, cursor->at, REASON_bad_request_line);
	}
	if (step != H1_DONE) {
		return step;
	}
	message->size = (size_t)(cursor->at - 2 - cursor->start);
	if (message->size > message->limits->start_line_bytes) {
		return h1_fail(message, REASON_uri_too_long);
	}
	if (h1_check_version(message, major, minor) != H1_DONE) {
		return H1_ERROR;
	}
	reason = target_parse(message->head, target);
	return reason == REASON_ok ? H1_DONE : h1_fail(message, reason);
}

/* Three digits, 100 to 599. */
static enum h1_step h1_parse_status(struct h1_cursor *cursor)
{
	unsigned status = 0;

	for (int i = 0; i < 3; i++, cursor->at++) {
		if (cursor->at == cursor->end) {
			return H1_MORE;
		}
		if (*cursor->at < '0' || *cursor->at > '9') {
			return h1_fail_byte(cursor, cursor->at, REASON_bad_request_line);
		}
		status = status * 10 + *cursor->at - '0';
	}
	if (status < 100 || status > 599) {
		return h1_fail(cursor->message, REASON_bad_request_line);
	}
	cursor->message->head->status = (uint16_t)status;
	if (status < 200) {
		cursor->message->head->kind = HEAD_INTERIM;
	}
	return H1_DONE;
}

/* H1-07: the reason phrase is checked and dropped. */
static enum h1_step h1_parse_status_line(struct h1_cursor *cursor)
{
	struct h1_message *message = cursor->message;
	size_t line_max = message->limits->start_line_bytes;
	uint8_t major = 0;
	uint8_t minor = 0;
	enum h1_step step = h1_parse_version(cursor, &major, &minor);
	const uint8_t *at;

	if (step != H1_DONE) {
		return step;
	}
	if (h1_check_version(message, major, minor) != H1_DONE) {
		return H1_ERROR;
	}
	if (cursor->at == cursor->end) {
		return H1_MORE;
	}
	if (*cursor->at != ' ') {
		return h1_fail_byte(cursor, cursor->at, REASON_bad_request_line);
	}
	cursor->at++;
	step = h1_parse_status(cursor);
	if (step != H1_DONE) {
		return step;
	}
	at = cursor->at;
	if (at < cursor->end && *at == ' ') {
		at = (size_t)(cursor->end - cursor->start) > line_max
			     ? h1_scan_control(at, cursor->start + line_max + 1)
			     : h1_scan_control(at, cursor->end);
	}
	message->size = (size_t)(at - cursor->start);
	if (message->size > line_max) {
		return h1_fail(message, REASON_head_too_large);
	}
	return h1_line_end(cursor, at, REASON_bad_request_line);
}

/* Timeout of a Keep-Alive value, 0 when there is none that can be read. */
static uint32_t h1_keep_alive(struct slice value)
{
	struct slice name = SLICE("timeout=");
	uint64_t seconds;

	while (value.size > 0) {
		size_t comma = slice_find(value, ',');
		struct slice item = slice_trim(slice_make(value.data, comma));

		if (item.size > name.size &&
			slice_equal_fold(slice_make(item.data, name.size), name) &&
			slice_parse_u64(slice_from(item, name.size), UINT32_MAX, &seconds)) {
			return (uint32_t)seconds;
		}
		value = slice_from(value, comma + 1);
	}
	return 0;
}

static void h1_note(struct h1_framing_field *field, struct slice value)
{
	field->value = value;
	field->count++;
}

/* MM-03: a field about framing or this hop becomes a fact; all others are stored. */
static enum h1_step h1_store_field(
	struct h1_message *message, enum token token, struct slice name, struct slice value)
{
	struct head *head = message->head;

	if (token == TOKEN_connection) {
		return fields_connection_add(&message->connection, value)
			       ? H1_DONE
			       : h1_fail(message, REASON_bad_connection_option);
	}
	if (token == TOKEN_host) {
		h1_note(&message->host, value);
	} else if (token == TOKEN_content_length) {
		h1_note(&message->content_length, value);
	} else if (token == TOKEN_transfer_encoding) {
		h1_note(&message->transfer_encoding, value);
	} else if (token == TOKEN_expect) {
		h1_note(&message->expect, value);
	} else if (token == TOKEN_te) {
		head->te_trailers = head->te_trailers || fields_list_has(value, SLICE("trailers"));
	} else if (token == TOKEN_keep_alive) {
		message->keep_alive_s = h1_keep_alive(value);
	} else if (token == TOKEN_NONE || !fields_is_hop_by_hop(token)) {
		head_add_borrowed(head, token, name, value);
	}
	return H1_DONE;
}

/* One name up to its colon: *ret_token and *ret_name; names that are not known keep their case yet.
 */
static enum h1_step h1_parse_name(struct h1_cursor *cursor, const uint8_t *stop,
	enum token *ret_token, struct slice *ret_name)
{
	uint8_t lower[H1_NAME_SHORT];
	const uint8_t *at = cursor->at;
	size_t size;

	while (at < stop && h1_scan_lower[*at] != 0) {
		size = (size_t)(at - cursor->at);
		if (size < sizeof(lower)) {
			lower[size] = h1_scan_lower[*at];
		}
		at++;
	}
	if (at == stop) {
		return H1_MORE;
	}
	/* H1-08, H1-09: no blank before the colon, none at the start, no empty name. */
	if (*at != ':' || at == cursor->at) {
		return h1_fail_byte(cursor, at, REASON_bad_header);
	}
	size = (size_t)(at - cursor->at);
	*ret_name = slice_make(cursor->at, size);
	*ret_token = size <= sizeof(lower) ? token_find(slice_make(lower, size)) : TOKEN_NONE;
	if (*ret_token != TOKEN_NONE) {
		*ret_name = token_name(*ret_token);
	}
	cursor->at = at + 1;
	return H1_DONE;
}

/* OWS value OWS CR LF. */
static enum h1_step h1_parse_value(
	struct h1_cursor *cursor, const uint8_t *stop, struct slice *ret_value)
{
	const uint8_t *from = cursor->at;
	const uint8_t *at = h1_scan_control(from, stop);
	enum h1_step step;

	if (at == stop) {
		return H1_MORE;
	}
	step = h1_line_end(cursor, at, REASON_bad_header);
	if (step == H1_DONE) {
		*ret_value = slice_trim(slice_make(from, (size_t)(at - from)));
	}
	return step;
}

/* One field line, which is known not to be the empty one. */
static enum h1_step h1_parse_field(struct h1_cursor *cursor)
{
	struct h1_message *message = cursor->message;
	size_t room = message->limits->head_bytes - message->size;
	size_t there = (size_t)(cursor->end - cursor->at);
	const uint8_t *stop = there > room ? cursor->at + room + 1 : cursor->end;
	enum token token = TOKEN_NONE;
	struct slice name = {NULL, 0};
	struct slice value = {NULL, 0};
	enum h1_step step;
	size_t raw;
	size_t cost;

	cursor->start = cursor->at;
	step = h1_parse_name(cursor, stop, &token, &name);
	if (step == H1_DONE) {
		step = h1_parse_value(cursor, stop, &value);
	}
	if (step != H1_DONE) {
		/* The line is longer than all that the head may still take (H1-12). */
		return step == H1_MORE && there > room ? h1_fail(message, REASON_head_too_large)
						       : step;
	}
	raw = (size_t)(cursor->at - 2 - cursor->start);
	cost = name.size + value.size + H1_FIELD_COST;
	/* Blanks around a value count too, so that the bytes read stay bounded. */
	cost = raw > cost ? raw : cost;
	if (cost > room) {
		return h1_fail(message, REASON_head_too_large);
	}
	message->size += cost;
	message->field_count++;
	if (message->field_count > message->limits->fields) {
		return h1_fail(message, REASON_too_many_fields);
	}
	if (token == TOKEN_NONE && slice_find(name, '_') < name.size && fields_is_alias(name)) {
		return h1_fail(message, REASON_header_alias);
	}
	if (message->head->kind == HEAD_TRAILERS) {
		head_add_borrowed(message->head, token, name, value);
		return H1_DONE;
	}
	return h1_store_field(message, token, name, value);
}

/* Field lines up to and with the empty line. A fault in the first bad line is the one reported. */
static enum h1_step h1_parse_fields(struct h1_cursor *cursor)
{
	enum h1_step step;

	if (cursor->message->size > cursor->message->limits->head_bytes) {
		return h1_fail(cursor->message, REASON_head_too_large);
	}
	do {
		if (cursor->at == cursor->end) {
			return H1_MORE;
		}
		if (*cursor->at == '\r') {
			return h1_line_end(cursor, cursor->at, REASON_bad_line_end);
		}
		step = h1_parse_field(cursor);
	} while (step == H1_DONE);
	return step;
}

/* A slice inside [from, from + size) moves to the same place behind `to`. */
static struct slice h1_moved(struct slice bytes, struct slice from, const uint8_t *to)
{
	uintptr_t offset = (uintptr_t)bytes.data - (uintptr_t)from.data;

	return bytes.data != NULL && offset < from.size ? slice_make(to + offset, bytes.size)
							: bytes;
}

/* The head becomes independent of the input: one copy, then all slices point into it. */
static void h1_copy_head(struct head *head, struct slice used)
{
	uint8_t *copy = arena_alloc(head->arena, used.size);

	memcpy(copy, used.data, used.size);
	head->method_text = h1_moved(head->method_text, used, copy);
	head->path = h1_moved(head->path, used, copy);
	head->query = h1_moved(head->query, used, copy);
	for (uint32_t i = 0; i < head->field_count; i++) {
		struct field *field = &head->fields[i];

		field->value = h1_moved(field->value, used, copy);
		if (field->token == TOKEN_NONE) {
			size_t offset = (size_t)(field->name.data - used.data);

			ASSERT(offset < used.size);
			for (size_t k = offset; k < offset + field->name.size; k++) {
				copy[k] = h1_scan_lower[copy[k]];
			}
			field->name.data = copy + offset;
		}
	}
}

ssize_t h1_parse_head(struct h1_message *message, struct slice bytes)
{
	struct h1_cursor cursor = {message, bytes.data, bytes.data, bytes.data + bytes.size};
	struct head *head = message->head;
	bool request = head->kind == HEAD_REQUEST;
	enum h1_step step;
	size_t used;

	ASSERT(bytes.size > 0 && head->field_count == 0);
	step = h1_skip_empty_line(&cursor);
	if (step == H1_DONE) {
		step = request ? h1_parse_request_line(&cursor) : h1_parse_status_line(&cursor);
	}
	if (step == H1_DONE) {
		step = h1_parse_fields(&cursor);
	}
	if (step != H1_DONE) {
		return step;
	}
	if (request && !h1_framing_request(message)) {
		return H1_ERROR;
	}
	head->close = message->connection.close || head->version == HTTP_1_0;
	fields_connection_apply(&message->connection, head);
	used = (size_t)(cursor.at - bytes.data);
	h1_copy_head(head, slice_make(bytes.data, used));
	if (!request) {
		/* Framing is judged by h1_framing_response, which needs the text. */
		message->content_length.value =
			arena_copy(head->arena, message->content_length.value);
		message->transfer_encoding.value =
			arena_copy(head->arena, message->transfer_encoding.value);
	}
	return (ssize_t)used;
}

ssize_t h1_parse_trailers(struct h1_message *message, struct head *trailers, struct slice bytes)
{
	struct h1_cursor cursor = {message, bytes.data, bytes.data, bytes.data + bytes.size};
	size_t size = message->size;
	size_t field_count = message->field_count;
	struct head *head = message->head;
	enum h1_step step;

	ASSERT(trailers->kind == HEAD_TRAILERS && trailers->field_count == 0);
	message->head = trailers;
	step = h1_parse_fields(&cursor);
	message->head = head;
	if (step == H1_DONE) {
		size_t used = (size_t)(cursor.at - bytes.data);

		h1_copy_head(trailers, slice_make(bytes.data, used));
		return (ssize_t)used;
	}
	/* Another try counts again from the head on. */
	message->size = size;
	message->field_count = field_count;
	if (step == H1_ERROR && message->reason != REASON_bad_line_end) {
		message->reason = REASON_bad_trailer;
	}
	return step;
}
