/*
 * view.bin (MG-03). One CRC over everything: the file is whole or it is ignored. It holds for each
 * set the index at which it was complete, so that the next start resumes its watches from there
 * instead of reading everything again. Writing happens on a thread of its own because a sync
 * may take long and control has an application to look after.
 */
#include "raftreg/viewfile.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/disk_ops.h"
#include "base/log.h"
#include "base/mem.h"
#include "raftreg/bytes.h"
#include "raftreg/client.h"
#include "raftreg/client_sub.h"
#include "raftreg/state.h"

#define MAGIC	    "PLNVIEW1"
#define HEADER_SIZE 16

enum {
	V_UUID = 1, /* of the cluster */
	V_EPOCH,    /* fixed64 */
	V_INDEX,    /* the highest that was seen */
	V_ADDRESS,  /* repeated: where replicas are */
	V_SET,	    /* repeated */
};
enum {
	W_NAME = 1, /* first */
	W_RECORDS,  /* second: the set begins */
	W_MODIFIED, /* where its next delta must start */
	W_DIGEST,   /* fixed64 */
	W_ITEM,	    /* repeated: members and methods */
	W_CURSOR,   /* up to which the set was followed */
};

struct viewfile_writer {
	pthread_t thread;
	char *data_dir;
	struct buf file;
	_Atomic bool done;
};

/* The same items as on the wire, so one decoder reads both. */
static void put_item(struct buf *out, const struct client_member *member, enum item_op op)
{
	const struct item item = {.op = op,
		.key = member->key,
		.content = member->content,
		.created = member->created,
		.modified = member->modified,
		.suspect = member->suspect,
		.owned = member->owned};
	size_t mark = pbscan_begin(out, W_ITEM);

	item_encode(&item, out);
	pbscan_end(out, mark);
}

/* Methods before members, as in the frames of the registry. */
static void put_set(struct buf *out, const struct client *client, const struct client_set *set)
{
	size_t mark = pbscan_begin(out, V_SET);

	pbscan_put_bytes(out, W_NAME, set->name);
	pbscan_put_varint(out, W_RECORDS, set->records);
	pbscan_put_varint(out, W_MODIFIED, set->modified);
	pbscan_put_fixed64(out, W_DIGEST, set->digest);
	pbscan_put_varint(out, W_CURSOR, client_sub_cursor(client, set));
	MAP_FOR_EACH(entry, &set->defs)
	{
		put_item(out, entry->value, ITEM_DEF);
	}
	MAP_FOR_EACH(member, &set->members)
	{
		put_item(out, member->value, set->records ? ITEM_PUT : ITEM_UPSERT);
	}
	pbscan_end(out, mark);
}

/* Guarded instances are left out: at the next start the registry speaks for itself. */
void viewfile_encode(const struct client *client, struct buf *ret_file)
{
	uint8_t *header = buf_reserve(ret_file, HEADER_SIZE);

	ASSERT(ret_file->size == 0);
	memset(header, 0, HEADER_SIZE);
	memcpy(header, MAGIC, 8);
	ret_file->size = HEADER_SIZE;
	pbscan_put_bytes(ret_file, V_UUID, slice_make(client->uuid, 16));
	pbscan_put_fixed64(ret_file, V_EPOCH, client->epoch);
	pbscan_put_varint(ret_file, V_INDEX, client->highest);
	for (size_t i = 0; i < client->address_count; i++) {
		char text[300];

		(void)snprintf(text, sizeof text,
			strchr(client->addresses[i].host, ':') ? "[%s]:%u" : "%s:%u",
			client->addresses[i].host, client->addresses[i].port);
		pbscan_put_bytes(ret_file, V_ADDRESS, slice_from_string(text));
	}
	MAP_FOR_EACH(entry, &client->sets)
	{
		const struct client_set *set = entry->value;

		if (set->has_data) {
			put_set(ret_file, client, set);
		}
	}
	bytes_put32(ret_file->data + 8, (uint32_t)(ret_file->size - HEADER_SIZE));
	bytes_put32(ret_file->data + 12,
		crc32c(0, ret_file->data + HEADER_SIZE, ret_file->size - HEADER_SIZE));
}

/* Name and kind stand first; the rest belongs to the set they named. */
static bool get_set(struct client *client, struct slice bytes)
{
	struct client_set *set = NULL;
	struct pbscan_field field;
	struct slice name = {0};
	struct item item;
	int got;

	while ((got = pbscan_next(&bytes, &field)) == 1) {
		if (field.number == W_NAME) {
			name = field.bytes;
		} else if (field.number == W_RECORDS) {
			if (name.size == 0 || name.size > STATE_SET_NAME_MAX) {
				return false;
			}
			set = client_view_make(client, field.value != 0, name);
			set->has_data = true;
		} else if (!set) {
			return false;
		} else if (field.number == W_MODIFIED) {
			set->modified = field.value;
		} else if (field.number == W_CURSOR) {
			set->cursor = field.value;
		} else if (field.number == W_DIGEST) {
			set->digest = field.value;
		} else if (field.number == W_ITEM) {
			if (item_decode(field.bytes, &item) < 0) {
				return false;
			}
			client_view_put(
				set, item.op == ITEM_DEF ? &set->defs : &set->members, &item);
		}
	}
	return got == 0 && set;
}

/* The CRC covers all of it, so what follows is what was written; the shapes are checked all the
 * same. */
bool viewfile_decode(struct client *client, struct slice file)
{
	struct pbscan_field field;
	struct slice rest;
	int got;

	if (file.size < HEADER_SIZE || memcmp(file.data, MAGIC, 8) != 0 ||
		bytes_get32(file.data + 8) != file.size - HEADER_SIZE ||
		bytes_get32(file.data + 12) !=
			crc32c(0, file.data + HEADER_SIZE, file.size - HEADER_SIZE)) {
		return false;
	}
	rest = slice_from(file, HEADER_SIZE);
	while ((got = pbscan_next(&rest, &field)) == 1) {
		if (field.number == V_UUID && field.bytes.size == 16) {
			memcpy(client->uuid, field.bytes.data, 16);
		} else if (field.number == V_EPOCH) {
			client->epoch = field.value;
		} else if (field.number == V_INDEX) {
			client->highest = field.value;
		} else if (field.number == V_ADDRESS) {
			client_add_address(client, field.bytes, false);
		} else if (field.number == V_SET && !get_set(client, field.bytes)) {
			return false;
		}
	}
	return got == 0;
}

/* Never an error: without it the sidecar only knows less. */
void viewfile_load(struct client *client)
{
	uint8_t *data = NULL;
	struct disk *disk;
	size_t size = 0;
	int result;

	if (!client->data_dir || disk_open_directory(client->data_dir, &disk) < 0) {
		return;
	}
	result = disk_load_file(disk, VIEWFILE_NAME, VIEWFILE_MAX, &data, &size);
	disk_close_directory(disk);
	if (result < 0) {
		return;
	}
	if (!viewfile_decode(client, slice_make(data, size))) {
		log_event(LOG_LEVEL_WARN, "raftreg", 2103, "view.bin cannot be read and is ignored",
			NULL, 0);
	}
	free(data);
}

/* A failure is one line in the log: the sidecar works, it only would start knowing less
 * (MG-04). */
static void *run_writer(void *context)
{
	struct viewfile_writer *writer = context;
	struct disk *disk;

	if (disk_open_directory(writer->data_dir, &disk) == 0) {
		int result = disk_replace_file(
			disk, VIEWFILE_NAME, writer->file.data, writer->file.size);

		if (result < 0) {
			log_event(LOG_LEVEL_WARN, "raftreg", result == -28 ? 2101 : 2102,
				"view.bin was not written", NULL, 0);
		}
		disk_close_directory(disk);
	}
	atomic_store(&writer->done, true);
	return NULL;
}

/* Waits only when the writer is done already, or at the end of the process. */
static void join_writer(struct client *client)
{
	struct viewfile_writer *writer = client->writer;

	client->writer = NULL;
	if (writer) {
		(void)pthread_join(writer->thread, NULL);
		mem_free(writer->data_dir);
		buf_fini(&writer->file);
		mem_free(writer);
	}
}

/* Encoded here, on control's thread, so that the writer shares nothing with it. */
static void start_writer(struct client *client)
{
	struct viewfile_writer *writer = mem_zalloc(sizeof *writer);

	ASSERT(!client->writer);
	writer->data_dir = mem_strdup(client->data_dir);
	buf_init(&writer->file);
	viewfile_encode(client, &writer->file);
	client->view_changed = false;
	if (pthread_create(&writer->thread, NULL, run_writer, writer) == 0) {
		client->writer = writer;
		return;
	}
	mem_free(writer->data_dir);
	buf_fini(&writer->file);
	mem_free(writer);
}

/* At most one writer, at most once a second. */
void viewfile_tick(struct client *client, uint64_t now_ms)
{
	if (client->writer && atomic_load(&client->writer->done)) {
		join_writer(client);
	}
	if (!client->data_dir || !client->view_changed || client->writer ||
		now_ms - client->view_written_ms < VIEWFILE_EVERY_MS) {
		return;
	}
	client->view_written_ms = now_ms;
	start_writer(client);
}

/* The last view of this run is the first one of the next: written even if the second
 * is not over. */
void viewfile_finish(struct client *client)
{
	join_writer(client);
	if (client->data_dir && client->view_changed) {
		start_writer(client);
		join_writer(client);
	}
}
