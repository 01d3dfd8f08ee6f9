/*
 * access_record: filling, formatting and the ring. The worker's side copies bytes and numbers and
 * nothing else: no formatting, no clock beyond the one for the time stamp. The reader's side may be
 * any one thread; the two indices only grow, so "full" and "empty" need no flag, and each side
 * writes only its own.
 */
#include "exchange/access_record.h"

#include <stddef.h>
#include <stdio.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/decimal.h"
#include "http/head.h"

/* LG-04: one write(2) to a pipe stays whole up to here. */
#define ACCESS_LINE_MAX 4096
/* What the fixed fields of a line need at most; texts get the rest. */
#define ACCESS_LINE_FIXED 1024
/* Comma, colon and quotes of a member. */
#define ACCESS_MEMBER_MARKS 6
/* The message is for eyes. */
#define ACCESS_MESSAGE_PATH 128

void access_record_init(struct access_record *record)
{
	memset(record, 0, offsetof(struct access_record, text));
	record->grpc_status = -1;
	ASSERT(record->used == 0);
}

void access_record_put(struct access_record *record, enum access_text which, struct slice text)
{
	size_t room = ACCESS_TEXT_MAX - record->used;
	size_t size = text.size < ACCESS_FIELD_MAX ? text.size : ACCESS_FIELD_MAX;

	ASSERT(which < ACCESS_TEXT_COUNT && record->sizes[which] == 0);
	size = size < room ? size : room;
	record->cut = record->cut || size < text.size;
	if (size > 0) {
		memcpy(record->text + record->used, text.data, size);
		record->used = (uint16_t)(record->used + size);
		record->sizes[which] = (uint16_t)size;
	}
}

void access_record_put_address(
	struct access_record *record, enum access_text which, const struct address *address)
{
	/* Only as many bytes as this family has; the size says which one it is. */
	access_record_put(record, which, slice_make(&address->u, address->size));
}

void access_record_put_header(struct access_record *record, struct slice name, struct slice value)
{
	size_t room = ACCESS_TEXT_MAX - record->used;
	size_t size = value.size < ACCESS_FIELD_MAX ? value.size : ACCESS_FIELD_MAX;
	uint8_t *to = record->text + record->used;

	if (name.size + 2 >= room) {
		record->cut = true;
		return;
	}
	room -= name.size + 2;
	size = size < room ? size : room;
	record->cut = record->cut || size < value.size;
	memcpy(to, name.data, name.size);
	to[name.size] = '\0';
	if (size > 0) {
		memcpy(to + name.size + 1, value.data, size);
	}
	to[name.size + 1 + size] = '\0';
	record->used = (uint16_t)(record->used + name.size + size + 2);
	record->sizes[ACCESS_HEADERS] =
		(uint16_t)(record->sizes[ACCESS_HEADERS] + name.size + size + 2);
}

void access_record_put_fields(
	struct access_record *record, const struct access_options *options, const struct head *head)
{
	for (size_t i = 0; i < options->header_count; i++) {
		struct slice name = slice_from_string(options->headers[i]);
		const struct field *field = head_find_name(head, name);

		if (field != NULL) {
			access_record_put_header(record, name, field->value);
		}
	}
}

struct slice access_record_text(const struct access_record *record, enum access_text which)
{
	size_t offset = 0;

	ASSERT(which < ACCESS_TEXT_COUNT);
	for (unsigned i = 0; i < which; i++) {
		offset += record->sizes[i];
	}
	return slice_make(record->text + offset, record->sizes[which]);
}

/* A JSON member; long texts are cut so that the line keeps its bound. */
static void access_put_text(struct buf *line, const char *name, struct slice text, bool *cut)
{
	size_t limit = ACCESS_LINE_MAX - ACCESS_LINE_FIXED;
	size_t before = line->size;
	/* Each byte may become six. */
	size_t room;

	if (text.size == 0) {
		return;
	}
	/* As many names as a configuration likes to log must not burst the line either. */
	if (before + strlen(name) + ACCESS_MEMBER_MARKS >= limit) {
		*cut = true;
		return;
	}
	buf_append_string(line, ",\"");
	buf_append_string(line, name);
	buf_append_string(line, "\":\"");
	room = line->size < limit ? (limit - line->size) / 6 : 0;
	if (text.size > room) {
		/* Plain bytes need no escape: try them whole when they would fit. */
		bool plain = true;

		for (size_t i = 0; i < text.size && plain; i++) {
			plain = text.data[i] >= 0x20 && text.data[i] < 0x7f &&
				text.data[i] != '"' && text.data[i] != '\\';
		}
		room = plain && line->size + text.size < limit ? text.size : room;
		*cut = *cut || room < text.size;
		text.size = room < text.size ? room : text.size;
	}
	buf_append_json_escaped(line, text);
	buf_append_byte(line, '"');
	ASSERT(line->size > before);
}

static void access_put_address(struct buf *line, const char *name, struct slice raw)
{
	struct address address = {0};
	char text[ADDRESS_TEXT_MAX];
	bool cut = false;

	if (raw.size == 0 || raw.size > sizeof(address.u)) {
		return;
	}
	memcpy(&address.u, raw.data, raw.size);
	address.size = (socklen_t)raw.size;
	access_put_text(line, name, slice_from_string(address_format(&address, text)), &cut);
}

static void access_put_headers(struct buf *line, struct slice pairs, bool *cut)
{
	char member[128];

	while (pairs.size > 0) {
		struct slice name = slice_make(pairs.data, slice_find(pairs, '\0'));
		struct slice value = slice_from(pairs, name.size + 1);

		value.size = slice_find(value, '\0');
		if (name.size < 64) {
			int size = snprintf(member, sizeof(member), "http.request.headers.%.*s",
				(int)name.size, (const char *)name.data);

			ASSERT(size > 0);
			access_put_text(line, member, value, cut);
		}
		pairs = slice_from(pairs, name.size + value.size + 2);
	}
}

/* Formatting is a good part of what the background thread does, so printf stays out of it. */
static void access_put_number(struct buf *line, const char *name, uint64_t number)
{
	char text[DECIMAL_SIZE];

	buf_append_string(line, name);
	buf_append_slice(line, decimal_text(text, number));
}

static void access_put_message(const struct access_record *record, struct buf *line)
{
	struct slice path = access_record_text(record, ACCESS_PATH);

	buf_append_string(line, ",\"message\":\"");
	buf_append_json_escaped(line, access_record_text(record, ACCESS_METHOD));
	buf_append_byte(line, ' ');
	/* The whole path has a member of its own. */
	path.size = path.size < ACCESS_MESSAGE_PATH ? path.size : ACCESS_MESSAGE_PATH;
	buf_append_json_escaped(line, path);
	access_put_number(line, " ", record->status);
	buf_append_byte(line, ' ');
	buf_append_string(line, reason_word((enum reason)record->reason));
	buf_append_byte(line, '"');
}

static void access_put_instance(const struct access_record *record, struct buf *line)
{
	static const uint8_t none[sizeof(record->instance)];
	static const char digits[] = "0123456789abcdef";

	if (memcmp(record->instance, none, sizeof(none)) == 0) {
		return;
	}
	buf_append_string(line, ",\"pillion.upstream.instance\":\"");
	for (size_t i = 0; i < 4; i++) {
		buf_append_byte(line, (uint8_t)digits[record->instance[i] >> 4]);
		buf_append_byte(line, (uint8_t)digits[record->instance[i] & 15]);
	}
	buf_append_byte(line, '"');
}

static void access_put_numbers(const struct access_record *record, struct buf *line)
{
	static const char *const versions[] = {"1.0\"", "1.1\"", "2\""};
	const struct reason_info *info = reason_info((enum reason)record->reason);

	ASSERT(record->version < ARRAY_SIZE(versions));
	buf_append_string(line, ",\"http.version\":\"");
	buf_append_string(line, versions[record->version]);
	if (record->status != 0) {
		access_put_number(line, ",\"http.response.status_code\":", record->status);
	}
	if (record->grpc_status >= 0) {
		access_put_number(line, ",\"pillion.grpc_status\":", (uint64_t)record->grpc_status);
	}
	if (info->pil != 0) {
		access_put_number(line, ",\"event.code\":\"PIL", info->pil);
		buf_append_byte(line, '"');
	}
	buf_append_string(line, ",\"pillion.reason\":\"");
	buf_append_string(line, info->word);
	buf_append_string(line, "\",\"pillion.outcome\":\"");
	buf_append_string(line, outcome_word((enum outcome)record->outcome));
	access_put_number(line, "\",\"pillion.attempts\":", record->attempts);
	access_put_number(line, ",\"event.duration\":", record->duration_ns);
	access_put_number(line, ",\"pillion.overhead_ns\":", record->overhead_ns);
	access_put_number(line, ",\"http.request.body.bytes\":", record->request_bytes);
	access_put_number(line, ",\"http.response.body.bytes\":", record->response_bytes);
	access_put_number(line, ",\"pillion.index\":", record->index);
	access_put_number(line, ",\"pillion.generation\":", record->generation);
}

void access_record_format(const struct access_record *record, struct buf *line)
{
	char time[CLOCK_TEXT_SIZE];
	bool cut = record->cut;

	buf_clear(line);
	clock_format_wall(record->wall_ms, time);
	buf_append_string(line, "{\"@timestamp\":\"");
	buf_append_string(line, time);
	buf_append_string(
		line, record->failed ? "\",\"log.level\":\"warn\"" : "\",\"log.level\":\"info\"");
	buf_append_string(line, ",\"event.dataset\":\"pillion.access\"");
	access_put_message(record, line);
	buf_append_string(line, record->inbound ? ",\"pillion.direction\":\"in\""
						: ",\"pillion.direction\":\"out\"");
	access_put_numbers(record, line);
	access_put_instance(record, line);
	access_put_address(
		line, "destination.address", access_record_text(record, ACCESS_DESTINATION));
	access_put_address(line, "source.address", access_record_text(record, ACCESS_SOURCE));
	access_put_text(line, "trace.id", access_record_text(record, ACCESS_TRACE_ID), &cut);
	access_put_text(
		line, "http.request.id", access_record_text(record, ACCESS_REQUEST_ID), &cut);
	access_put_text(
		line, "http.request.method", access_record_text(record, ACCESS_METHOD), &cut);
	access_put_text(line, "service.name", access_record_text(record, ACCESS_OWN_SERVICE), &cut);
	access_put_text(
		line, "pillion.upstream.service", access_record_text(record, ACCESS_SERVICE), &cut);
	access_put_text(
		line, "pillion.upstream.version", access_record_text(record, ACCESS_VERSION), &cut);
	access_put_text(line, "url.domain", access_record_text(record, ACCESS_AUTHORITY), &cut);
	access_put_text(line, "url.path", access_record_text(record, ACCESS_PATH), &cut);
	access_put_text(line, "url.query", access_record_text(record, ACCESS_QUERY), &cut);
	access_put_headers(line, access_record_text(record, ACCESS_HEADERS), &cut);
	buf_append_string(line, cut ? ",\"pillion.cut\":true}\n" : "}\n");
	ASSERT(line->size <= ACCESS_LINE_MAX);
}

/* Bytes of a record in the ring: rounded, so that the size word of the next one is aligned. */
static size_t access_ring_size_of(const struct access_record *record)
{
	return (offsetof(struct access_record, text) + record->used + 7) & ~(size_t)7;
}

static void access_ring_copy_in(struct access_ring *ring, size_t at, const void *bytes, size_t size)
{
	size_t place = at % ACCESS_RING_SIZE;
	size_t first = ACCESS_RING_SIZE - place < size ? ACCESS_RING_SIZE - place : size;

	memcpy(ring->bytes + place, bytes, first);
	memcpy(ring->bytes, (const uint8_t *)bytes + first, size - first);
}

static void access_ring_copy_out(struct access_ring *ring, size_t at, void *bytes, size_t size)
{
	size_t place = at % ACCESS_RING_SIZE;
	size_t first = ACCESS_RING_SIZE - place < size ? ACCESS_RING_SIZE - place : size;

	memcpy(bytes, ring->bytes + place, first);
	memcpy((uint8_t *)bytes + first, ring->bytes, size - first);
}

bool access_ring_put(struct access_ring *ring, const struct access_record *record)
{
	size_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	size_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
	size_t size = access_ring_size_of(record);

	ASSERT(record->used <= ACCESS_TEXT_MAX);
	if (ACCESS_RING_SIZE - (tail - head) < size) {
		atomic_fetch_add_explicit(&ring->dropped, 1, memory_order_relaxed);
		return false;
	}
	access_ring_copy_in(
		ring, tail, record, offsetof(struct access_record, text) + record->used);
	atomic_store_explicit(&ring->tail, tail + size, memory_order_release);
	return true;
}

bool access_ring_take(struct access_ring *ring, struct access_record *ret_record)
{
	size_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	size_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);

	if (head == tail) {
		return false;
	}
	access_ring_copy_out(ring, head, ret_record, offsetof(struct access_record, text));
	ASSERT(ret_record->used <= ACCESS_TEXT_MAX);
	access_ring_copy_out(ring, head + offsetof(struct access_record, text), ret_record->text,
		ret_record->used);
	atomic_store_explicit(
		&ring->head, head + access_ring_size_of(ret_record), memory_order_release);
	return true;
}

size_t access_ring_used(struct access_ring *ring)
{
	return atomic_load_explicit(&ring->tail, memory_order_relaxed) -
	       atomic_load_explicit(&ring->head, memory_order_relaxed);
}
