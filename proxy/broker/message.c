#include "broker/message.h"

#include "base/mem.h"
#include "base/utf8.h"

/* Complete only when its sum is set; until then one thread has it. */
struct message *message_create(void)
{
	struct message *message = mem_zalloc(sizeof *message);

	atomic_init(&message->refs, 1);
	buf_init(&message->attributes);
	buf_init(&message->body);
	list_init(&message->cache_node);
	return message;
}

/* Any thread: the bytes never change any more. */
struct message *message_ref(struct message *message)
{
	atomic_fetch_add(&message->refs, 1);
	return message;
}

/* The last one frees, on whatever thread it is. */
void message_unref(struct message *message)
{
	if (!message || atomic_fetch_sub(&message->refs, 1) != 1) {
		return;
	}
	ASSERT(!list_linked(&message->cache_node));
	buf_fini(&message->attributes);
	buf_fini(&message->body);
	mem_free(message);
}

/* A walk: there are few, and the form is that of the disk. */
struct slice message_attribute(const struct message *message, struct slice name)
{
	return record_attribute(buf_slice(&message->attributes), name);
}

/* Of its record. */
size_t message_size(const struct message *message)
{
	return message->attributes.size + message->body.size + RECORD_HEADER;
}

/* B2-04: as HTTP/2 has them, since they become header fields again at the subscriber. */
static bool field_name(struct slice name)
{
	for (size_t i = 0; i < name.size; i++) {
		uint8_t byte = name.data[i];

		if ((byte < 'a' || byte > 'z') && (byte < '0' || byte > '9') && byte != '-' &&
			byte != '_') {
			return false;
		}
	}
	return true;
}

/* Lower-case letters and digits, or "h:" and a field name. */
static bool name_valid(struct slice name)
{
	if (name.size > 2 && name.data[0] == 'h' && name.data[1] == ':') {
		return name.size <= 2 + 128 && field_name(slice_from(name, 2));
	}
	for (size_t i = 0; i < name.size; i++) {
		uint8_t byte = name.data[i];

		if ((byte < 'a' || byte > 'z') && (byte < '0' || byte > '9')) {
			return false;
		}
	}
	return name.size >= 1 && name.size <= 20;
}

/* UTF-8 without control characters, C1 ones included. */
static bool value_valid(struct slice value)
{
	if (value.size > MESSAGE_ATTRIBUTE_VALUE_MAX || !utf8_valid(value)) {
		return false;
	}
	for (size_t i = 0; i < value.size; i++) {
		uint8_t byte = value.data[i];

		if (byte < 0x20 || byte == 0x7F ||
			(byte == 0xC2 && i + 1 < value.size && value.data[i + 1] < 0xA0)) {
			return false;
		}
	}
	return true;
}

/* Refused rather than cut: an event that was changed is another event. */
bool message_put(struct message *message, struct slice name, struct slice value)
{
	struct slice rest = buf_slice(&message->attributes), known, ignored;
	unsigned count = 0;

	if (!name_valid(name) || !value_valid(value) ||
		message->attributes.size + name.size + value.size + 3 >
			MESSAGE_ATTRIBUTE_BYTES_MAX) {
		return false;
	}
	while (record_next_attribute(&rest, &known, &ignored) == 1) {
		if (slice_equal(known, name)) {
			return false; /* one value each */
		}
		count++;
	}
	if (count >= MESSAGE_ATTRIBUTES_MAX) {
		return false;
	}
	record_put_attribute(&message->attributes, name, value);
	return true;
}

/* For messages of another sidecar, which may be of another version or not well at all: what
 * passes here can become a request. */
bool message_valid(const struct message *message)
{
	struct slice rest = buf_slice(&message->attributes), name, value;
	int got;

	while ((got = record_next_attribute(&rest, &name, &value)) == 1) {
		if (!name_valid(name) || !value_valid(value)) {
			return false;
		}
	}
	return got == 0 && message->attributes.size <= UINT16_MAX;
}
