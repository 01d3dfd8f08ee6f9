/*
 * spool_table: the topics and cursors that are live, as the log last said. Each segment begins with
 * them, so that no older segment is needed for anything but its messages (B9-02).
 */
#include "broker/spool_internal.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "broker/cursor.h"

/* A group that is gone, while an older segment than the one that says so may still name it. */
struct spool_removed {
	struct buf body; /* of its CURSOR record */
	uint64_t segment;
};

/* In the state block. */
static size_t block_size(size_t body)
{
	return (size_t)record_padded(RECORD_HEADER + body);
}

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
	map_init(&topic->removed);
	spool->topics[number - 1] = topic;
	spool->state_bytes += block_size(0);
	return topic;
}

/* "unnamed.3" for number 3: see spool_name_all. It may have come back from a state block. */
static bool is_unnamed(const struct spool_topic *topic)
{
	char text[32];

	(void)snprintf(text, sizeof text, "unnamed.%u", topic->number);
	return strcmp(topic->name, text) == 0;
}

/* The name was checked; an older one goes. */
static void set_name(struct spool *spool, struct spool_topic *topic, struct slice name)
{
	if (topic->name[0] != '\0') {
		(void)map_remove(&spool->names, slice_from_string(topic->name));
	}
	spool->state_bytes -= block_size(strlen(topic->name));
	memcpy(topic->name, name.data, name.size);
	topic->name[name.size] = '\0';
	spool->state_bytes += block_size(strlen(topic->name));
	(void)map_set(&spool->names, name, topic);
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
	if (slice_equal(name, slice_from_string(topic->name))) {
		return 0;
	}
	/* A placeholder gives way: the TOPIC record was lost in a power cut, before anything was
	 * acknowledged under it; whoever binds the number now says its name. */
	if ((topic->name[0] != '\0' && !is_unnamed(topic)) || map_get(&spool->names, name)) {
		return -EBADMSG; /* two names for one number, or two numbers for one name */
	}
	set_name(spool, topic, name);
	return 0;
}

/* Their messages stay visible under a name that says what happened: nothing leaves silently. */
void spool_name_all(struct spool *spool)
{
	for (uint32_t i = 0; i < spool->topic_count; i++) {
		struct spool_topic *topic = spool->topics[i];
		char text[32];

		if (topic && topic->name[0] == '\0') {
			(void)snprintf(text, sizeof text, "unnamed.%u", i + 1);
			set_name(spool, topic, slice_from_string(text));
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

/* NULL where nothing was removed. */
static void free_removed(struct spool *spool, struct spool_removed *removed)
{
	if (removed) {
		spool->state_bytes -= block_size(removed->body.size);
		spool->removed_count--;
		buf_fini(&removed->body);
		mem_free(removed);
	}
}

/* Segments do not go in their order, so one that still names the group may outlive the one that
 * says that it is gone: until then every state block says it again. */
static void note_removed(
	struct spool *spool, struct spool_topic *topic, struct slice group, struct slice body)
{
	const struct segment *newest = LIST_ENTRY(spool->segments.prev, struct segment, node);
	struct buf *cursor = map_remove(&topic->cursors, group);
	struct spool_removed *removed;

	if (!cursor) {
		return; /* never known here, or said already */
	}
	spool->state_bytes -= block_size(cursor->size);
	free_body(cursor);
	if (spool->removed_count == SPOOL_REMOVED_MAX) {
		return;
	}
	removed = mem_zalloc(sizeof *removed);
	removed->segment = newest->header.number;
	buf_init(&removed->body);
	buf_append_slice(&removed->body, body);
	spool->state_bytes += block_size(body.size);
	spool->removed_count++;
	(void)map_set(&topic->removed, group, removed);
}

/* Checked before it is kept, so that a state block never repeats damage. */
int spool_keep_cursor(struct spool *spool, struct spool_topic *topic, struct slice body)
{
	struct cursor_image image;
	struct slice group = cursor_group(body);
	struct buf *copy;

	if (cursor_decode(body, &image) < 0) {
		return -EBADMSG;
	}
	cursor_image_fini(&image);
	if (image.removed) {
		note_removed(spool, topic, group, body);
		return 0;
	}
	free_removed(spool, map_remove(&topic->removed, group));
	copy = map_get(&topic->cursors, group);
	if (!copy) {
		copy = mem_zalloc(sizeof *copy);
		buf_init(copy);
		(void)map_set(&topic->cursors, group, copy);
	} else {
		spool->state_bytes -= block_size(copy->size);
	}
	buf_clear(copy);
	buf_append_slice(copy, body);
	spool->state_bytes += block_size(copy->size);
	return 0;
}

/* From the end, since the map moves its last entry into the gap. */
void spool_forget_removed(struct spool *spool)
{
	const struct segment *oldest = LIST_ENTRY(spool->segments.next, struct segment, node);

	for (uint32_t i = 0; spool->removed_count > 0 && i < spool->topic_count; i++) {
		struct spool_topic *topic = spool->topics[i];

		for (size_t j = topic ? topic->removed.count : 0; j > 0; j--) {
			struct map_entry *entry = &topic->removed.entries[j - 1];
			struct spool_removed *removed = entry->value;

			if (removed->segment < oldest->header.number) {
				(void)map_remove(
					&topic->removed, cursor_group(buf_slice(&removed->body)));
				free_removed(spool, removed);
			}
		}
	}
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
		return spool_keep_cursor(spool, topic, body) == 0;
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
		MAP_FOR_EACH(entry, &topic->removed)
		{
			free_removed(spool, entry->value);
		}
		map_fini(&topic->removed);
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
	ASSERT(ret_block->size == 0);
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
		MAP_FOR_EACH(entry, &topic->removed)
		{
			const struct spool_removed *removed = entry->value;

			put_record(ret_block, &record, buf_slice(&removed->body), salt);
		}
	}
	/* Known before the segment is made, so that it fits. */
	ASSERT(ret_block->size == spool->state_bytes);
}
