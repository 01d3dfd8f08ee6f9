/*
 * spool_table: the topics and cursors that are live, as the log last said. Each segment begins with
 * them, so that no older segment is needed for anything but its messages (B9-02).
 */
#include "broker/spool_internal.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "broker/cursor.h"

/* NULL: no record named that number. */
struct spool_topic *spool_topic_at(const struct spool *spool, uint32_t number)
{
	return number >= 1 && number <= spool->topic_count ? spool->topics[number - 1] : NULL;
}

/* By name, for tests and tools. */
struct spool_topic *spool_find(const struct spool *spool, struct slice name)
{
	return map_get(&spool->names, name);
}

/* The place of a number, without a name as long as no TOPIC record was read. */
static struct spool_topic *make_place(struct spool *spool, uint32_t number)
{
	struct spool_topic *topic = spool_topic_at(spool, number);

	if (topic || number == 0 || number > SPOOL_TOPICS_MAX) {
		return topic;
	}
	if (number > spool->topic_count) {
		spool->topics = mem_realloc(spool->topics, number * sizeof *spool->topics);
		memset(spool->topics + spool->topic_count, 0,
			(number - spool->topic_count) * sizeof *spool->topics);
		spool->topic_count = number;
	}
	topic = mem_zalloc(sizeof *topic);
	topic->number = number;
	map_init(&topic->cursors);
	spool->topics[number - 1] = topic;
	return topic;
}

/* "unnamed.3" for number 3: see spool_name_all. It may have come back from a state block. */
static bool is_unnamed(const struct spool_topic *topic)
{
	char text[32];

	(void)snprintf(text, sizeof text, "unnamed.%u", topic->number);
	return strcmp(topic->name, text) == 0;
}

/* A number and a name belong together for ever. */
int spool_bind(
	struct spool *spool, uint32_t number, struct slice name, struct spool_topic **ret_topic)
{
	struct spool_topic *topic = make_place(spool, number);

	if (!topic || name.size == 0 || name.size > SPOOL_TOPIC_MAX) {
		return -EBADMSG;
	}
	*ret_topic = topic;
	if (is_unnamed(topic) && !map_get(&spool->names, name)) {
		/* Its TOPIC record was lost in a power cut, before anything was acknowledged under
		 * it; whoever binds the number now says its name. */
		(void)map_remove(&spool->names, slice_from_string(topic->name));
		topic->name[0] = '\0';
	}
	if (topic->name[0] != '\0') {
		return slice_equal(name, slice_from_string(topic->name)) ? 0 : -EBADMSG;
	}
	if (map_get(&spool->names, name)) {
		return -EBADMSG; /* two numbers for one name */
	}
	memcpy(topic->name, name.data, name.size);
	topic->name[name.size] = '\0';
	(void)map_set(&spool->names, name, topic);
	return 0;
}

/* Their messages stay visible under a name that says what happened: nothing leaves silently. */
void spool_name_all(struct spool *spool)
{
	for (uint32_t i = 0; i < spool->topic_count; i++) {
		struct spool_topic *topic = spool->topics[i];

		if (topic && topic->name[0] == '\0') {
			(void)snprintf(topic->name, sizeof topic->name, "unnamed.%u", i + 1);
			(void)map_set(&spool->names, slice_from_string(topic->name), topic);
		}
	}
}

/* NULL where the group had none. */
static void free_body(struct buf *body)
{
	if (body) {
		buf_fini(body);
		mem_free(body);
	}
}

/* Checked before it is kept, so that a state block never repeats damage. */
int spool_keep_cursor(struct spool_topic *topic, struct slice body)
{
	struct cursor_image image;
	struct slice group = cursor_group(body);
	struct buf *copy;

	if (cursor_decode(body, &image) < 0) {
		return -EBADMSG;
	}
	cursor_image_fini(&image);
	if (image.removed) {
		free_body(map_remove(&topic->cursors, group));
		return 0;
	}
	copy = map_get(&topic->cursors, group);
	if (!copy) {
		copy = mem_zalloc(sizeof *copy);
		buf_init(copy);
		(void)map_set(&topic->cursors, group, copy);
	}
	buf_clear(copy);
	buf_append_slice(copy, body);
	return 0;
}

/* The same for records that are appended and for those that are recovered: one truth. */
bool spool_note(struct spool *spool, const struct record *record, struct slice body)
{
	struct spool_topic *topic;

	if (record->type > RECORD_CURSOR && !record_is_kept(record)) {
		return true;
	}
	topic = make_place(spool, record->topic);
	if (!topic) {
		return false;
	}
	if (record->type == RECORD_TOPIC && spool_bind(spool, record->topic, body, &topic) < 0) {
		return false;
	}
	if (record->type == RECORD_CURSOR) {
		return spool_keep_cursor(topic, body) == 0;
	}
	if (record->seq > topic->last_seq) {
		topic->last_seq = record->seq;
	}
	return true;
}

/* With the messages that nobody took. */
void spool_table_fini(struct spool *spool)
{
	for (uint32_t i = 0; i < spool->topic_count; i++) {
		struct spool_topic *topic = spool->topics[i];

		if (!topic) {
			continue;
		}
		MAP_FOR_EACH(entry, &topic->cursors)
		{
			free_body(entry->value);
		}
		map_fini(&topic->cursors);
		mem_free(topic->messages);
		mem_free(topic);
	}
	mem_free(spool->topics);
	map_fini(&spool->names);
}

/* One behind the other, padded as on disk. */
static void put_record(
	struct buf *block, const struct record *base, struct slice body, uint32_t salt)
{
	static const uint8_t zeros[RECORD_ALIGN];
	struct record record = *base;
	uint8_t header[RECORD_HEADER];
	size_t padding;

	ASSERT(body.size <= RECORD_LENGTH_MAX - RECORD_HEADER);
	record.length = (uint32_t)(RECORD_HEADER + body.size);
	record.pcrc = record_pcrc(slice_make(NULL, 0), body);
	record_encode(&record, salt, header);
	padding = (size_t)(record_padded(record.length) - record.length);
	buf_append(block, header, sizeof header);
	buf_append_slice(block, body);
	buf_append(block, zeros, padding);
}

/* The last number of each topic is in it: numbers are never given twice, even when all
 * messages are gone. */
void spool_state_block(const struct spool *spool, uint32_t salt, struct buf *ret_block)
{
	for (uint32_t i = 0; i < spool->topic_count; i++) {
		const struct spool_topic *topic = spool->topics[i];
		struct record record = {.type = RECORD_TOPIC, .synced = spool->synced_lsn};

		if (!topic) {
			continue;
		}
		record.topic = topic->number;
		record.seq = topic->last_seq;
		put_record(ret_block, &record, slice_from_string(topic->name), salt);
		record.type = RECORD_CURSOR;
		record.seq = 0;
		MAP_FOR_EACH(entry, &topic->cursors)
		{
			put_record(ret_block, &record, buf_slice(entry->value), salt);
		}
	}
}

/* Known before the segment is made, so that it fits. */
size_t spool_state_size(const struct spool *spool)
{
	size_t size = 0;

	for (uint32_t i = 0; i < spool->topic_count; i++) {
		const struct spool_topic *topic = spool->topics[i];

		if (!topic) {
			continue;
		}
		size += record_padded(RECORD_HEADER + strlen(topic->name));
		MAP_FOR_EACH(entry, &topic->cursors)
		{
			const struct buf *body = entry->value;

			size += record_padded(RECORD_HEADER + body->size);
		}
	}
	return size;
}
