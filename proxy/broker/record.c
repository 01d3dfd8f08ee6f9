/*
 * The layout of B9-01, offset by offset; the example of that rule is the test.
 */
#include "broker/record.h"

#include <errno.h>

#include "base/crc32c.h"
#include "broker/bytes.h"

#define SEGMENT_VERSION 1
#define SEGMENT_MAGIC	"PILSPOOL"
#define SEGMENT_CRC_AT	60

/* The salt is drawn per segment: bytes of a recycled disk block never pass for a record. */
static uint32_t header_crc(const uint8_t bytes[RECORD_HEADER], uint32_t salt)
{
	uint8_t text[4];

	bytes_put32(text, salt);
	return crc32c(crc32c(0, text, sizeof text), bytes + 4, RECORD_HEADER - 4);
}

/* Everything but the padding behind the record. */
void record_encode(const struct record *record, uint32_t salt, uint8_t ret_bytes[RECORD_HEADER])
{
	ASSERT(record->length >= RECORD_HEADER && record->length <= RECORD_LENGTH_MAX);
	bytes_put32(ret_bytes + 4, record->pcrc);
	bytes_put32(ret_bytes + 8, record->length);
	bytes_put16(ret_bytes + 12, record->attributes);
	ret_bytes[14] = record->type;
	ret_bytes[15] = record->flags;
	bytes_put32(ret_bytes + 16, record->topic);
	bytes_put32(ret_bytes + 20, record->key_crc);
	bytes_put64(ret_bytes + 24, record->seq);
	bytes_put64(ret_bytes + 32, record->time_ms);
	bytes_put64(ret_bytes + 40, record->expiry_ms);
	bytes_put64(ret_bytes + 48, record->synced);
	bytes_put32(ret_bytes, header_crc(ret_bytes, salt));
}

/* Lengths are judged before the sum is believed, so that nothing is read outside the file. */
bool record_decode(const uint8_t bytes[RECORD_HEADER], uint32_t salt, struct record *ret_record)
{
	uint32_t length = bytes_get32(bytes + 8);
	uint16_t attributes = bytes_get16(bytes + 12);

	if (length < RECORD_HEADER || length > RECORD_LENGTH_MAX ||
		attributes > length - RECORD_HEADER ||
		bytes_get32(bytes) != header_crc(bytes, salt)) {
		return false;
	}
	*ret_record = (struct record){
		.pcrc = bytes_get32(bytes + 4),
		.length = length,
		.attributes = attributes,
		.type = bytes[14],
		.flags = bytes[15],
		.topic = bytes_get32(bytes + 16),
		.key_crc = bytes_get32(bytes + 20),
		.seq = bytes_get64(bytes + 24),
		.time_ms = bytes_get64(bytes + 32),
		.expiry_ms = bytes_get64(bytes + 40),
		.synced = bytes_get64(bytes + 48),
	};
	return true;
}

/* Made on entry and checked by the consumer: it covers the whole way. */
uint32_t record_pcrc(struct slice attributes, struct slice body)
{
	return crc32c(crc32c(0, attributes.data, attributes.size), body.data, body.size);
}

/* For the index; equality of keys is decided on the bytes. */
uint32_t record_key_crc(struct slice key)
{
	uint32_t crc;

	if (key.size == 0) {
		return 0;
	}
	crc = crc32c(0, key.data, key.size);
	return crc == 0 ? 1 : crc;
}

/* The caller has checked lengths. */
void record_put_attribute(struct buf *buf, struct slice name, struct slice value)
{
	uint8_t sizes[3];

	ASSERT(name.size > 0 && name.size <= UINT8_MAX && value.size <= UINT16_MAX);
	sizes[0] = (uint8_t)name.size;
	bytes_put16(sizes + 1, (uint16_t)value.size);
	buf_append(buf, sizes, sizeof sizes);
	buf_append_slice(buf, name);
	buf_append_slice(buf, value);
}

/* From disk or link: a length that does not fit is an error, never a guess. */
int record_next_attribute(struct slice *rest, struct slice *ret_name, struct slice *ret_value)
{
	size_t name, value;

	if (rest->size == 0) {
		return 0;
	}
	if (rest->size < 3) {
		return -EBADMSG;
	}
	name = rest->data[0];
	value = bytes_get16(rest->data + 1);
	if (name == 0 || rest->size - 3 < name + value) {
		return -EBADMSG;
	}
	*ret_name = slice_make(rest->data + 3, name);
	*ret_value = slice_make(rest->data + 3 + name, value);
	*rest = slice_from(*rest, 3 + name + value);
	return 1;
}

/* A broken list has no attributes behind the break. */
struct slice record_attribute(struct slice attributes, struct slice name)
{
	struct slice found, value;

	while (record_next_attribute(&attributes, &found, &value) == 1) {
		if (slice_equal(found, name)) {
			return value;
		}
	}
	return slice_make(NULL, 0);
}

/* The sum stands in the index, so that other groups pass the message without its bytes. */
uint32_t record_only(struct slice attributes)
{
	return record_key_crc(record_attribute(attributes, SLICE(RECORD_ONLY_ATTRIBUTE)));
}

/* Reserved bytes are zero and covered by the sum. */
void record_encode_segment(const struct segment_header *header, uint8_t ret_bytes[SEGMENT_HEADER])
{
	memset(ret_bytes, 0, SEGMENT_HEADER);
	memcpy(ret_bytes, SEGMENT_MAGIC, 8);
	bytes_put32(ret_bytes + 8, SEGMENT_VERSION);
	bytes_put32(ret_bytes + 12, header->salt);
	bytes_put64(ret_bytes + 16, header->log);
	bytes_put64(ret_bytes + 24, header->number);
	bytes_put64(ret_bytes + 32, header->created_ms);
	bytes_put32(ret_bytes + 48, SEGMENT_FIRST);
	bytes_put32(ret_bytes + SEGMENT_CRC_AT, crc32c(0, ret_bytes, SEGMENT_CRC_AT));
}

/* A whole header of another version is told from noise: the spool is then left alone. */
int record_decode_segment(const uint8_t bytes[SEGMENT_HEADER], struct segment_header *ret_header)
{
	if (memcmp(bytes, SEGMENT_MAGIC, 8) != 0 ||
		bytes_get32(bytes + SEGMENT_CRC_AT) != crc32c(0, bytes, SEGMENT_CRC_AT)) {
		return -EBADMSG;
	}
	if (bytes_get32(bytes + 8) != SEGMENT_VERSION || bytes_get32(bytes + 48) != SEGMENT_FIRST) {
		return -EPROTONOSUPPORT;
	}
	*ret_header = (struct segment_header){
		.salt = bytes_get32(bytes + 12),
		.log = bytes_get64(bytes + 16),
		.number = bytes_get64(bytes + 24),
		.created_ms = bytes_get64(bytes + 32),
	};
	return 0;
}
