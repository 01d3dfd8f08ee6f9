/*
 * Fuzz target: what a replica or a sidecar reads from its own disk: a vote slot, a snapshot and the
 * state in it, an entry of the log, view.bin. The first byte says which. Checksums are mended where
 * a mutation would only ever meet them.
 */
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "raftreg/bytes.h"
#include "raftreg/client.h"
#include "raftreg/snapfile.h"
#include "raftreg/state.h"
#include "raftreg/viewfile.h"
#include "raftreg/vote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t uuid[16] = {1};

static void read_vote(struct slice bytes)
{
	uint8_t slot[VOTE_SLOT_SIZE] = {0};
	uint8_t again[VOTE_SLOT_SIZE];
	struct vote vote;

	memcpy(slot, bytes.data, bytes.size < sizeof slot ? bytes.size : sizeof slot);
	bytes_put32(slot + sizeof slot - 4, crc32c(0, slot, sizeof slot - 4));
	if (vote_decode(slot, &vote) == 0) {
		vote_encode(&vote, again);
		ASSERT(vote_decode(again, &vote) == 0);
	}
}

static void read_snapshot(struct slice bytes)
{
	struct snapfile_meta meta;
	struct buf content;

	buf_init(&content);
	if (snapfile_parse(bytes, &meta, &content) == 0) {
		ASSERT(member_conf_is_valid(&meta.snapshot.conf));
	}
	buf_fini(&content);
}

/* A state that loads is written as bytes that load again, and are the same. */
static void read_state(struct slice bytes)
{
	struct state state, other;
	struct buf saved, again;

	state_init(&state, uuid);
	if (state_load(&state, bytes) == 0) {
		buf_init(&saved);
		buf_init(&again);
		state_save(&state, &saved);
		state_init(&other, uuid);
		ASSERT(state_load(&other, buf_slice(&saved)) == 0);
		state_save(&other, &again);
		ASSERT(slice_equal(buf_slice(&saved), buf_slice(&again)));
		state_fini(&other);
		buf_fini(&saved);
		buf_fini(&again);
	}
	state_fini(&state);
}

static void apply_entry(struct slice bytes)
{
	struct state state;

	state_init(&state, uuid);
	(void)!state_apply(&state, 1, bytes, NULL, NULL);
	(void)!state_apply(&state, 2, bytes, NULL, NULL);
	state_fini(&state);
}

static void read_view(struct slice bytes)
{
	struct client *client = mem_zalloc(sizeof *client);
	uint8_t *file = mem_zalloc(16 + bytes.size);

	memcpy(file, "PLNVIEW1", 8);
	if (bytes.size > 0) {
		memcpy(file + 16, bytes.data, bytes.size);
	}
	bytes_put32(file + 8, (uint32_t)bytes.size);
	bytes_put32(file + 12, crc32c(0, file + 16, bytes.size));
	client_view_init(client);
	if (viewfile_decode(client, slice_make(file, 16 + bytes.size))) {
		MAP_FOR_EACH(entry, &client->sets)
		{
			const struct client_set *set = entry->value;

			if (!set->records) {
				instance_set_unref(client_publish_instances(set));
			}
		}
	}
	client_view_fini(client);
	mem_free(file);
	mem_free(client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest;

	if (size == 0) {
		return 0;
	}
	rest = slice_make(data + 1, size - 1);
	switch (data[0]) {
	case 'v':
		read_vote(rest);
		break;
	case 's':
		read_snapshot(rest);
		break;
	case 't':
		read_state(rest);
		break;
	case 'e':
		apply_entry(rest);
		break;
	case 'w':
		read_view(rest);
		break;
	default:
		break;
	}
	return 0;
}
