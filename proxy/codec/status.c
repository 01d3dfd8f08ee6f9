/*
 * Errors are small and rare, so this file may allocate and look at its input several times; it
 * must never fail, whatever it is given.
 */
#include "codec/status.h"

#include "base/utf8.h"
#include "codec/codec_base64.h"
#include "codec/json_find.h"
#include "codec/json_to_wire.h"
#include "codec/wire.h"
#include "codec/wire_to_json.h"

#define CODES 17

/* google/rpc/code.proto. */
unsigned status_to_http(unsigned grpc_code)
{
	static const uint16_t http[CODES] = {200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409,
		400, 501, 500, 503, 500, 401};

	return grpc_code < CODES ? http[grpc_code] : 500;
}

/* One row of ER-02. */
struct http_row {
	uint16_t http;
	uint8_t intermediary;
	uint8_t rest;
};

/* One row for both columns, as in ER-02. */
unsigned status_from_http(unsigned http_status, enum status_table table)
{
	static const struct http_row rows[] = {{400, 13, 3}, {401, 16, 16}, {403, 7, 7},
		{404, 12, 5}, {405, 2, 12}, {408, 2, 4}, {409, 2, 10}, {412, 2, 9}, {413, 2, 8},
		{416, 2, 11}, {422, 2, 3}, {429, 14, 8}, {431, 2, 8}, {499, 2, 1}, {500, 2, 13},
		{501, 2, 12}, {502, 14, 14}, {503, 14, 14}, {504, 14, 4}};

	ASSERT(table == STATUS_INTERMEDIARY || table == STATUS_REST);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].http == http_status) {
			return table == STATUS_REST ? rows[i].rest : rows[i].intermediary;
		}
	}
	return STATUS_UNKNOWN;
}

/* go-micro errors carry HTTP's numbers (GM-05). */
unsigned status_from_micro(unsigned micro_code)
{
	static const struct {
		uint16_t micro;
		uint8_t grpc;
	} rows[] = {{400, 3}, {401, 16}, {403, 7}, {404, 5}, {408, 4}, {504, 4}, {409, 6}, {412, 9},
		{429, 8}, {499, 1}, {500, 13}, {501, 12}, {503, 14}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].micro == micro_code) {
			return rows[i].grpc;
		}
	}
	return STATUS_UNKNOWN;
}

const char *status_name(unsigned grpc_code)
{
	static const char *const names[CODES] = {"ok", "canceled", "unknown", "invalid_argument",
		"deadline_exceeded", "not_found", "already_exists", "permission_denied",
		"resource_exhausted", "failed_precondition", "aborted", "out_of_range",
		"unimplemented", "internal", "unavailable", "data_loss", "unauthenticated"};

	return grpc_code < CODES ? names[grpc_code] : NULL;
}

/* GR-05: anything that is no number is UNKNOWN. */
unsigned status_parse(struct slice text)
{
	uint64_t code;

	return slice_parse_u64(text, UINT32_MAX, &code) ? (unsigned)code : STATUS_UNKNOWN;
}

void status_message_encode(struct slice text, struct buf *ret_coded)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t size = text.size;

	if (size > STATUS_MESSAGE_MAX) {
		size = STATUS_MESSAGE_MAX;
		/* Between characters: not in front of a tail byte. */
		while (size > 0 && (text.data[size] & 0xc0) == 0x80) {
			size--;
		}
	}
	ASSERT(size <= text.size);
	for (size_t i = 0; i < size; i++) {
		uint8_t c = text.data[i];

		if (c >= 0x20 && c <= 0x7e && c != '%') {
			buf_append_byte(ret_coded, c);
		} else {
			buf_append_byte(ret_coded, '%');
			buf_append_byte(ret_coded, (uint8_t)hex[c >> 4]);
			buf_append_byte(ret_coded, (uint8_t)hex[c & 15]);
		}
	}
}

/* What is not UTF-8 behind `start` becomes U+FFFD, byte by byte. */
static void repair(struct buf *text, size_t start)
{
	struct slice all = slice_from(buf_slice(text), start);
	struct buf fixed;

	if (utf8_valid(all)) {
		return;
	}
	buf_init(&fixed);
	for (const uint8_t *p = all.data, *end = p + all.size; p < end;) {
		unsigned size = utf8_sequence(p, end);

		if (size > 0) {
			buf_append(&fixed, p, size);
		} else {
			buf_append(&fixed, "\xef\xbf\xbd", 3);
		}
		p += size > 0 ? size : 1;
	}
	ASSERT(utf8_valid(buf_slice(&fixed)));
	text->size = start;
	buf_append_slice(text, buf_slice(&fixed));
	buf_fini(&fixed);
}

/* A browser or proxy may have cut it anywhere. */
void status_message_decode(struct slice coded, struct buf *ret_text)
{
	size_t start = ret_text->size;

	for (size_t i = 0; i < coded.size; i++) {
		uint8_t byte = coded.data[i];

		if (byte == '%' && coded.size - i >= 3 &&
			slice_parse_hex(slice_make(coded.data + i + 1, 2), &byte, 1)) {
			i += 2;
		}
		buf_append_byte(ret_text, byte);
	}
	repair(ret_text, start);
}

/* google.rpc.Status and google.protobuf.Any by their published numbers. */
enum {
	TAG_CODE = 0x08,
	TAG_MESSAGE = 0x12,
	TAG_DETAILS = 0x1a,
	TAG_TYPE_URL = 0x0a,
	TAG_VALUE = 0x12,
};

static void append_varint(struct buf *buf, uint8_t tag, uint64_t value)
{
	uint8_t *out = buf_reserve(buf, 1 + WIRE_VARINT_MAX);
	uint8_t *end;

	*out = tag;
	end = wire_put_varint(out + 1, value);
	buf->size += (size_t)(end - out);
}

static void append_bytes(struct buf *buf, uint8_t tag, struct slice bytes)
{
	append_varint(buf, tag, bytes.size);
	buf_append_slice(buf, bytes);
}

/* A JSON string of UTF-8 text (JS-03). */
static void append_json_string(struct buf *json, struct slice text)
{
	size_t plain = 0;

	ASSERT(utf8_valid(text));
	buf_append_byte(json, '"');
	for (size_t i = 0; i <= text.size; i++) {
		uint8_t c = i < text.size ? text.data[i] : 0;

		if (c >= 0x20 && c != '"' && c != '\\') {
			continue;
		}
		if (i > plain) {
			buf_append(json, text.data + plain, i - plain);
		}
		plain = i + 1;
		if (c == '"' || c == '\\') {
			buf_append_byte(json, '\\');
			buf_append_byte(json, c);
		} else if (i < text.size) {
			buf_appendf(json, "\\u%04x", c);
		}
	}
	buf_append_byte(json, '"');
}

/* What grpc-status-details-bin says. */
struct details {
	uint64_t code;
	struct slice message;
	struct slice rest; /* the whole Status, for its details */
};

/* The next field of a message. 1: found, 0: the end, -1: broken. bytes: of a length. */
static int next_field(
	struct slice *rest, uint32_t *ret_tag, uint64_t *ret_value, struct slice *ret_bytes)
{
	const uint8_t *end;
	enum codec_fault_kind kind;
	const uint8_t *start;
	const uint8_t *place;
	const uint8_t *p;
	size_t size = 0;

	if (rest->size == 0) {
		return 0;
	}
	end = rest->data + rest->size;
	start = wire_tag(rest->data, end, ret_tag);
	p = start ? wire_skip(start, end, *ret_tag, CODEC_DEPTH_DEFAULT, &kind, &place) : NULL;
	if (!p) {
		return -1;
	}
	if ((*ret_tag & 7) == WIRE_VARINT) {
		(void)!wire_varint(start, end, ret_value);
	} else if ((*ret_tag & 7) == WIRE_LENGTH) {
		start = wire_length(start, end, &size);
		*ret_bytes = slice_make(start, size);
	}
	*rest = slice_make(p, (size_t)(end - p));
	return 1;
}

/* A message of broken UTF-8 makes all of it unusable. */
static bool read_details(struct slice bytes, struct details *ret_details)
{
	struct slice part = {NULL, 0};
	uint64_t value = 0;
	uint32_t tag;
	int more;

	*ret_details = (struct details){.rest = bytes};
	while ((more = next_field(&bytes, &tag, &value, &part)) > 0) {
		if (tag == TAG_CODE) {
			ret_details->code = value;
		} else if (tag == TAG_MESSAGE) {
			ret_details->message = part;
		}
	}
	return more == 0 && utf8_valid(ret_details->message);
}

/* An Any that cannot be translated, as its URL and base64. */
static void print_raw(struct slice any, struct buf *json)
{
	struct slice url = {NULL, 0};
	struct slice value = {NULL, 0};
	struct slice part = {NULL, 0};
	uint64_t number;
	uint32_t tag;

	while (next_field(&any, &tag, &number, &part) > 0) {
		if (tag == TAG_TYPE_URL && utf8_valid(part)) {
			url = part;
		} else if (tag == TAG_VALUE) {
			value = part;
		}
	}
	buf_append_string(json, "{\"@type\":");
	append_json_string(json, url);
	buf_append_string(json, ",\"value\":\"");
	codec_base64_encode(value, true, json);
	buf_append_string(json, "\"}");
}

/* Each detail for itself: one that is broken does not take the others along. */
static void print_details(struct codec_context *context, const struct codec_target *any,
	struct slice status, struct buf *json)
{
	struct slice part = {NULL, 0};
	uint64_t value;
	uint32_t tag;
	bool first = true;

	while (next_field(&status, &tag, &value, &part) > 0) {
		struct codec_fault fault;

		if (tag != TAG_DETAILS) {
			continue;
		}
		if (!first) {
			buf_append_byte(json, ',');
		}
		first = false;
		if (!wire_to_json_translate(context, any, part, json, &fault)) {
			print_raw(part, json);
		}
	}
}

/* ER-05. */
void status_to_json(struct codec_context *context, const struct descriptor_pool *pool,
	const struct status_error *error, const struct codec_options *options, struct buf *ret_json)
{
	struct slice padded = codec_context_pad(context, error->details);
	struct codec_options raw;
	struct codec_target any = {pool, DESCRIPTOR_NONE, &raw};
	struct details details;
	struct buf message;
	bool detailed;

	translate_options_init(&raw);
	if (options) {
		raw = *options;
	}
	raw.any_unknown = CODEC_ANY_RAW;
	any.message = descriptor_pool_find_message(pool, SLICE("google.protobuf.Any"));
	/*
	 * Details that speak of another error are not believed: some libraries leave those of an
	 * earlier call in the trailers.
	 */
	detailed = padded.size > 0 && any.message != DESCRIPTOR_NONE &&
		   read_details(padded, &details) && details.code == error->code;
	buf_init(&message);
	buf_append_slice(&message, detailed ? details.message : error->message);
	repair(&message, 0);
	buf_appendf(ret_json, "{\"code\":%u,\"message\":", error->code);
	append_json_string(ret_json, buf_slice(&message));
	buf_append_string(ret_json, ",\"details\":[");
	if (detailed) {
		print_details(context, &any, details.rest, ret_json);
	}
	buf_append_string(ret_json, "]}");
	buf_fini(&message);
}

/* The body of a failed response while it is read. */
struct body {
	struct codec_context *context;
	const struct descriptor_pool *pool;
	const struct status_response *response;
	struct codec_options options;
	struct slice json; /* with slack */
	struct json_reader reader;
	const uint8_t *object; /* its brace, or NULL: no JSON object */
	struct buf *message;
	struct buf *details;
};

static const uint8_t *member(struct body *body, const uint8_t *object, struct slice name)
{
	return object ? json_find_member(&body->reader, object, name) : NULL;
}

static bool integer(struct body *body, const uint8_t *value, unsigned *ret_number)
{
	return value && json_find_integer(&body->reader, value, ret_number);
}

static bool text(struct body *body, const uint8_t *value, struct buf *ret_text)
{
	return value && json_find_string(&body->reader, value, ret_text);
}

/* google.rpc.Status: its details travel on where they can be translated. */
static bool take_status(struct body *body, unsigned *ret_code)
{
	struct codec_target target = {body->pool, DESCRIPTOR_NONE, &body->options};
	const uint8_t *details = member(body, body->object, SLICE("details"));
	struct codec_fault fault;

	if (!integer(body, member(body, body->object, SLICE("code")), ret_code) ||
		*ret_code == STATUS_OK || *ret_code >= CODES) {
		return false;
	}
	(void)text(body, member(body, body->object, SLICE("message")), body->message);
	target.message = descriptor_pool_find_message(body->pool, SLICE("google.rpc.Status"));
	if (!details || target.message == DESCRIPTOR_NONE ||
		!json_to_wire_translate(
			body->context, &target, body->json, body->details, &fault)) {
		return true;
	}
	if (body->details->size > STATUS_DETAILS_MAX) {
		buf_clear(body->details);
	}
	return true;
}

/* A Status of one detail. */
static void put_detail(struct body *body, unsigned code, const char *type_url, struct slice payload)
{
	struct buf any;

	ASSERT(body->details->size == 0);
	buf_init(&any);
	append_bytes(&any, TAG_TYPE_URL, slice_from_string(type_url));
	append_bytes(&any, TAG_VALUE, payload);
	append_varint(body->details, TAG_CODE, code);
	append_bytes(body->details, TAG_MESSAGE, buf_slice(body->message));
	append_bytes(body->details, TAG_DETAILS, buf_slice(&any));
	buf_fini(&any);
	if (body->details->size > STATUS_DETAILS_MAX) {
		buf_clear(body->details);
	}
}

static struct slice trimmed_body(const struct body *body)
{
	return slice_trim(body->response->body);
}

/* {"id","code","detail","status"} of go-micro (GM-05): the text travels verbatim. */
static bool take_micro(struct body *body, unsigned *ret_code)
{
	struct buf parts[3];
	struct buf payload;
	unsigned code = 0;
	bool found;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		buf_init(&parts[i]);
	}
	buf_init(&payload);
	found = text(body, member(body, body->object, SLICE("id")), &parts[0]) &&
		text(body, member(body, body->object, SLICE("detail")), &parts[1]) &&
		text(body, member(body, body->object, SLICE("status")), &parts[2]) &&
		integer(body, member(body, body->object, SLICE("code")), &code);
	if (found) {
		*ret_code = status_from_micro(code);
		buf_append_slice(body->message, trimmed_body(body));
		append_bytes(&payload, 0x0a, buf_slice(&parts[0]));
		append_varint(&payload, 0x10, code);
		append_bytes(&payload, 0x1a, buf_slice(&parts[1]));
		append_bytes(&payload, 0x22, buf_slice(&parts[2]));
		put_detail(
			body, *ret_code, "type.googleapis.com/errors.Error", buf_slice(&payload));
	}
	buf_fini(&payload);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		buf_fini(&parts[i]);
	}
	return found;
}

/* A code as a number (gRPC's or HTTP's) or by Connect's name. */
static bool take_code(struct body *body, const uint8_t *value, unsigned *ret_code)
{
	struct buf name;
	unsigned number;
	bool found = false;

	if (integer(body, value, &number)) {
		*ret_code =
			number < CODES ? number : status_from_http(number, body->response->table);
		return *ret_code != STATUS_OK;
	}
	buf_init(&name);
	if (text(body, value, &name)) {
		for (unsigned code = 1; code < CODES && !found; code++) {
			found = slice_equal(slice_from_string(status_name(code)), buf_slice(&name));
			*ret_code = found ? code : *ret_code;
		}
	}
	buf_fini(&name);
	return found;
}

/* {"error":{"code","message"}}, or Connect's {"code":"<name>","message"}. */
static bool take_error(struct body *body, unsigned *ret_code)
{
	const uint8_t *error = member(body, body->object, SLICE("error"));
	bool has_message = text(body, member(body, error, SLICE("message")), body->message);
	bool has_code = take_code(body, member(body, error, SLICE("code")), ret_code);

	if (has_message || has_code) {
		return true;
	}
	if (!take_code(body, member(body, body->object, SLICE("code")), ret_code)) {
		return false;
	}
	(void)text(body, member(body, body->object, SLICE("message")), body->message);
	return true;
}

static const char *phrase(unsigned http_status)
{
	static const struct {
		unsigned status;
		const char *text;
	} phrases[] = {{400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"},
		{404, "Not Found"}, {405, "Method Not Allowed"}, {408, "Request Timeout"},
		{409, "Conflict"}, {410, "Gone"}, {412, "Precondition Failed"},
		{413, "Content Too Large"}, {415, "Unsupported Media Type"},
		{422, "Unprocessable Content"}, {429, "Too Many Requests"},
		{500, "Internal Server Error"}, {501, "Not Implemented"}, {502, "Bad Gateway"},
		{503, "Service Unavailable"}, {504, "Gateway Timeout"}};

	for (size_t i = 0; i < ARRAY_SIZE(phrases); i++) {
		if (phrases[i].status == http_status) {
			return phrases[i].text;
		}
	}
	return NULL;
}

/* Anything else: the reason phrase, the printable bytes, and the body as a google.api.HttpBody. */
static unsigned take_anything(struct body *body)
{
	const struct status_response *response = body->response;
	unsigned code = status_from_http(response->http_status, response->table);
	const char *reason = phrase(response->http_status);
	size_t size = response->body.size;
	struct buf payload;

	buf_clear(body->message);
	if (reason) {
		buf_append_string(body->message, reason);
	} else {
		buf_appendf(body->message, "HTTP %u", response->http_status);
	}
	if (size == 0) {
		return code;
	}
	buf_append_string(body->message, ": ");
	for (size_t i = 0; i < size && i < STATUS_MESSAGE_MAX; i++) {
		uint8_t c = response->body.data[i];

		if (c >= 0x20 && c < 0x7f) {
			buf_append_byte(body->message, c);
		}
	}
	buf_init(&payload);
	append_bytes(&payload, 0x0a, response->content_type);
	append_bytes(&payload, 0x12, response->body);
	if (payload.size <= STATUS_DETAILS_MAX && utf8_valid(response->content_type)) {
		put_detail(
			body, code, "type.googleapis.com/google.api.HttpBody", buf_slice(&payload));
	}
	buf_fini(&payload);
	return code;
}

/* ER-04: the forms are tried in its order. */
unsigned status_from_json(struct codec_context *context, const struct descriptor_pool *pool,
	const struct status_response *response, struct buf *ret_message, struct buf *ret_details)
{
	struct body body = {.context = context,
		.pool = pool,
		.response = response,
		.message = ret_message,
		.details = ret_details};
	unsigned code = status_from_http(response->http_status, response->table);

	ASSERT(ret_message->size == 0 && ret_details->size == 0);
	translate_options_init(&body.options);
	body.options.ignore_unknown = true;
	body.options.any_unknown = CODEC_ANY_RAW;
	body.json = codec_context_pad(context, response->body);
	json_find_init(&body.reader, context, &body.options, body.json);
	if (json_find_valid(&body.reader)) {
		body.object = json_reader_space(&body.reader, body.reader.begin);
	}
	if (take_status(&body, &code) || take_micro(&body, &code) || take_error(&body, &code)) {
		return code;
	}
	return take_anything(&body);
}
