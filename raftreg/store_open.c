/*
 * Recovery of a replica's directory and the birth of its identity (registry.md RS-08, RI-01).
 * The order matters: vote, because it says which snapshot counts; snapshot, because it says
 * where the log may begin; log. Whatever is cut or set aside makes the replica uncertain first,
 * durably, so that its vote cannot help to forget what it has just lost (RI-06).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "raftreg/store_internal.h"

#define SNAPSHOTS_MAX 16 /* more are never kept */
#define STORE_FORMAT  1	 /* RS-11 */

_Static_assert(VOTE_FORMAT == STORE_FORMAT && WAL_FORMAT == STORE_FORMAT &&
		       SNAPFILE_FORMAT == STORE_FORMAT,
	"a file of its own format says its own number");

struct listing {
	struct store *store;
	bool any; /* a file of ours besides vote */
	struct {
		uint64_t index, term;
	} snapshots[SNAPSHOTS_MAX];
	size_t count;
	char tmp[SNAPSHOTS_MAX][64];
	size_t tmp_count;
};

/* Sorts the names: ours, left-overs, and everything else, which is not touched. */
static int visit(void *context, const char *name)
{
	struct listing *listing = context;
	size_t length = strlen(name);
	uint64_t index, term;

	if (length > 4 && length < 64 && strcmp(name + length - 4, ".tmp") == 0) {
		if (listing->tmp_count < SNAPSHOTS_MAX) {
			memcpy(listing->tmp[listing->tmp_count++], name, length + 1);
		}
		return 0;
	}
	if (length > 4 && strcmp(name + length - 4, ".log") == 0) {
		listing->any = true;
	}
	if (snapfile_parse_name(name, &index, &term)) {
		listing->any = true;
		if (listing->count < SNAPSHOTS_MAX) {
			listing->snapshots[listing->count].index = index;
			listing->snapshots[listing->count++].term = term;
		}
	}
	return 0;
}

struct formats {
	struct store *store;
	struct err *err;
};

/* One header: 0 when its format is the one we write, when it cannot be read (which is damage, and
 * looked at later), or when it is not there. */
static int check_format(const struct formats *formats, const char *name, uint64_t offset,
	size_t size, int (*format_of)(const uint8_t *header))
{
	struct disk *disk = formats->store->disk;
	uint8_t header[WAL_HEADER_SIZE];
	int file = disk->ops->open(disk, name, DISK_READ);
	int format = -EBADMSG;

	ASSERT(size <= sizeof header);
	if (file < 0) {
		return 0;
	}
	if (disk_read_all(disk, file, header, size, offset) == 0) {
		format = format_of(header);
	}
	(void)disk->ops->close(disk, file);
	if (format == STORE_FORMAT || format == -EBADMSG) {
		return 0;
	}
	err_set(formats->err, 2104, "%s is of format %d, this program reads format %d", name,
		format, STORE_FORMAT);
	return -ENOTSUP;
}

static int visit_format(void *context, const char *name)
{
	const struct formats *formats = context;
	size_t length = strlen(name);
	uint64_t index, term;
	int result = 0;

	if (strcmp(name, VOTE_FILE) == 0) {
		result = check_format(formats, name, 0, VOTE_SLOT_SIZE, vote_slot_format);
		return result ? result
			      : check_format(formats, name, VOTE_SLOT_SIZE, VOTE_SLOT_SIZE,
					vote_slot_format);
	}
	if (length > 4 && strcmp(name + length - 4, ".log") == 0) {
		result = check_format(formats, name, 0, WAL_HEADER_SIZE, wal_header_format);
	} else if (snapfile_parse_name(name, &index, &term)) {
		result = check_format(formats, name, 0, SNAPFILE_HEADER, snapfile_header_format);
	}
	return result;
}

/* Leftovers of a crash: a .tmp was never renamed, so nothing refers to it (RS-05). */
static int list_files(struct store *store, struct listing *listing)
{
	int result = store->disk->ops->list(store->disk, visit, listing);

	ASSERT(listing->tmp_count <= SNAPSHOTS_MAX);
	for (size_t i = 0; i < listing->tmp_count && result == 0; i++) {
		(void)store->disk->ops->unlink(store->disk, listing->tmp[i]);
	}
	return result;
}

/* RI-01: identity drawn once, complete on disk before it is used. */
static int make_identity(struct store *store)
{
	store->vote = (struct vote){.version = 1, .boot_count = 1};
	do {
		rng_system_bytes(&store->vote.id, sizeof store->vote.id);
	} while (store->vote.id == 0);
	rng_system_bytes(store->vote.incarnation, sizeof store->vote.incarnation);
	return vote_create(store->disk, &store->vote);
}

/* RI-05: no vote beside other files means that it was lost, and a new one would be a second
 * life. */
static int open_vote(
	struct store *store, const struct listing *listing, bool *ret_fresh, struct err *err)
{
	int result = vote_load(store->disk, &store->vote);

	*ret_fresh = result == -ENOENT && !listing->any;
	if (*ret_fresh) {
		result = make_identity(store);
	} else if (result == -ENOENT || result == -EBADMSG) {
		/* RI-05: a vote is never guessed. */
		err_set(err, 2103,
			"neither slot of the file vote can be read: this replica must be set up "
			"anew");
		return -EBADMSG;
	}
	if (result == 0) {
		store->vote_file = vote_open(store->disk);
		result = store->vote_file < 0 ? store->vote_file : 0;
	}
	if (result == 0 && !*ret_fresh) {
		store->vote.boot_count++; /* durable before the first message */
		result = vote_write(store->disk, store->vote_file, &store->vote);
	}
	if (result < 0) {
		err_set(err, 2102, "the file vote cannot be used: %s", strerror(-result));
	}
	return result;
}

/* One that fails its checks is kept for a report and no longer looked at (RS-07). */
static void try_snapshot(
	struct store *store, uint64_t index, uint64_t term, struct store_recovered *found)
{
	char name[SNAPFILE_NAME_SIZE];
	char bad[SNAPFILE_NAME_SIZE + 8];
	uint8_t *data = NULL;
	size_t size = 0;
	int result;

	snapfile_name(index, term, name);
	result = disk_load_file(store->disk, name, (size_t)STORE_FILE_MAX, &data, &size);
	if (result == 0) {
		result = snapfile_parse(slice_make(data, size), &found->meta, &found->state);
		free(data);
	}
	if (result == 0 && memcmp(found->meta.uuid, store->vote.uuid, 16) != 0) {
		result = -EBADMSG;
	}
	if (result == 0) {
		found->has_snapshot = true;
		found->snapshot_bytes = size;
		return;
	}
	buf_clear(&found->state);
	(void)snprintf(bad, sizeof bad, "%s.bad", name);
	(void)store->disk->ops->rename(store->disk, name, bad);
	(void)snprintf(found->damage, sizeof found->damage, "snapshot %s", name);
}

/* The newest usable one whose publication the vote slot knows of, else an older one. */
static void load_snapshot(
	struct store *store, struct listing *listing, struct store_recovered *found)
{
	while (listing->count > 0 && !found->has_snapshot) {
		size_t best = 0;

		for (size_t i = 1; i < listing->count; i++) {
			if (listing->snapshots[i].index > listing->snapshots[best].index) {
				best = i;
			}
		}
		if (listing->snapshots[best].index <= store->vote.snapshot_index) {
			try_snapshot(store, listing->snapshots[best].index,
				listing->snapshots[best].term, found);
		}
		listing->snapshots[best] = listing->snapshots[--listing->count];
	}
}

/* Is the snapshot's position in the log, or just before it? */
static bool log_covers(const struct wal_recovered *log, uint64_t index, uint64_t term)
{
	if (index == log->before_index) {
		return log->before_known ? log->before_term == term : log->count > 0;
	}
	if (index < log->before_index || log->count == 0 ||
		index > log->entries[log->count - 1].index) {
		return false;
	}
	return log->entries[index - log->before_index - 1].term == term;
}

/* Entries at and below the snapshot leave when the position before them has no known term. */
static void trim_log(struct store_recovered *found)
{
	struct wal_recovered *log = &found->log;
	uint64_t index = found->meta.snapshot.index;
	size_t drop = 0;

	if (!found->has_snapshot || log->before_known) {
		return;
	}
	while (drop < log->count && log->entries[drop].index <= index) {
		raft_entry_unref(&log->entries[drop++]);
	}
	log->count -= drop;
	if (log->count == 0) {
		log->before_index = index;
	} else {
		memmove(log->entries, log->entries + drop, log->count * sizeof *log->entries);
	}
	log->before_index = index;
	log->before_term = found->meta.snapshot.term;
	log->before_known = true;
}

/* RS-12: what earlier starts wrote counts too, or a log that is restarted often only grows. */
static void count_log(struct store *store, const struct store_recovered *found)
{
	uint64_t snapshot = found->has_snapshot ? found->meta.snapshot.index : 0;

	store->wal.bytes = 0;
	for (size_t i = 0; i < found->log.count; i++) {
		const struct raft_entry *entry = &found->log.entries[i];

		if (entry->index > snapshot) {
			store->wal.bytes +=
				WAL_RECORD_SIZE + (entry->payload ? entry->payload->length : 0);
		}
	}
	atomic_store(&store->log_bytes, store->wal.bytes);
}

/* RI-06: once only, for the flag is already durable when it is set. */
static int set_uncertain(struct store *store)
{
	if (store->vote.uncertain) {
		return 0;
	}
	store->vote.uncertain = true;
	return vote_write(store->disk, store->vote_file, &store->vote);
}

/* The flag, then the cut; a crash between leaves both to be done again. */
static int repair_log(struct store *store, struct store_recovered *found)
{
	struct wal_recovered *log = &found->log;
	bool covered;
	int result;

	if (log->torn || log->corrupt) {
		(void)snprintf(found->damage, sizeof found->damage, "%s %s at %llu",
			log->torn ? "cut the tail of" : "set aside", log->file,
			(unsigned long long)log->offset);
		atomic_fetch_add(log->torn ? &store->tail_cuts : &store->corruptions, 1);
		/* RI-06: durable before the cut. */
		result = set_uncertain(store);
		if (result < 0) {
			return result;
		}
	}
	covered = !found->has_snapshot ||
		  log_covers(log, found->meta.snapshot.index, found->meta.snapshot.term);
	if (covered) {
		trim_log(found); /* a repair writes the position before it, too */
	}
	result = wal_repair(&store->wal, log);
	if (result < 0 || covered) {
		return result;
	}
	/* RS-08: an install was interrupted; the log is that of before. */
	(void)snprintf(found->damage, sizeof found->damage, "dropped a log without index %llu",
		(unsigned long long)found->meta.snapshot.index);
	result = set_uncertain(store);
	wal_recovered_fini(log);
	log->before_index = found->meta.snapshot.index;
	log->before_term = found->meta.snapshot.term;
	log->before_known = true;
	return result ? result : wal_reset(&store->wal, log->before_index, log->before_term);
}

/* RB-01: a birth that was cut short between log and vote leaves a log that belongs to no cluster.
 * Should it be one whose newest vote is damaged, it lost what it acknowledged. */
static int drop_unborn_log(struct store *store, bool any, struct store_recovered *found)
{
	int result = any ? set_uncertain(store) : 0;

	found->log = (struct wal_recovered){.before_known = true};
	return result ? result : wal_set_aside(&store->wal);
}

/* What recovery may not make good: then the replica must be set up anew. */
static const char *find_loss(const struct store *store, const struct store_recovered *found)
{
	const struct wal_recovered *log = &found->log;
	uint64_t term = found->has_snapshot ? found->meta.snapshot.term : 0;

	if (!found->has_snapshot && (store->vote.snapshot_index > 0 || log->before_index > 0)) {
		/* RS-07: the beginning of the log is gone and nothing stands for it. */
		return "no snapshot can be read and the log does not begin at 1";
	}
	if (log->count > 0 && log->entries[log->count - 1].term > term) {
		term = log->entries[log->count - 1].term;
	}
	/* RI-05, RC-04: the vote of that term was durable before its entries. */
	return term > store->vote.term ? "the newest vote cannot be read" : NULL;
}

/* Without a snapshot the log must begin at 1, or its beginning is lost. */
static int open_log(struct store *store, bool any, struct store_recovered *found, struct err *err)
{
	static const uint8_t none[16];
	bool unborn = memcmp(store->vote.uuid, none, sizeof none) == 0;
	const char *loss;
	int result;

	wal_identify(&store->wal, store->vote.uuid, store->vote.id);
	result =
		unborn ? drop_unborn_log(store, any, found) : wal_recover(&store->wal, &found->log);
	loss = result == 0 ? find_loss(store, found) : NULL;
	if (loss) {
		err_set(err, 2103, "%s: this replica must be set up anew", loss);
		return -EBADMSG;
	}
	result = result ? result : repair_log(store, found);
	if (result < 0) {
		err_set(err, 2102, "the registry's log cannot be used: %s", strerror(-result));
		return result;
	}
	count_log(store, found);
	if (found->has_snapshot && found->log.commit < found->meta.snapshot.index) {
		found->log.commit = found->meta.snapshot.index;
	}
	return 0;
}

/* RS-11: formats first, for nothing may be written into a directory of another version. */
int store_open(const struct store_options *options, struct store **ret_store,
	struct store_recovered *ret_recovered, struct err *err)
{
	struct store *store = mem_zalloc(sizeof *store);
	struct listing listing = {.store = store};
	struct formats formats = {store, err};
	int result;

	*ret_recovered = (struct store_recovered){0};
	buf_init(&ret_recovered->state);
	store->disk = options->disk;
	store->vote_file = -1;
	wal_init(&store->wal, options->disk, options->segment_size);
	result = store->disk->ops->list(store->disk, visit_format, &formats);
	result = result ? result : list_files(store, &listing);
	if (result < 0 && result != -ENOTSUP) {
		err_set(err, 2102, "the registry's directory cannot be read: %s",
			strerror(-result));
	}
	result = result ? result : open_vote(store, &listing, &ret_recovered->fresh, err);
	if (result == 0) {
		load_snapshot(store, &listing, ret_recovered);
	}
	result = result ? result : open_log(store, listing.any, ret_recovered, err);
	if (result < 0) {
		store_recovered_fini(ret_recovered);
		store_destroy(store);
		return result;
	}
	if (ret_recovered->has_snapshot) {
		store->snapshot_index = ret_recovered->meta.snapshot.index;
		store->snapshot_term = ret_recovered->meta.snapshot.term;
	}
	ret_recovered->vote = store->vote;
	*ret_store = store;
	return 0;
}

void store_recovered_fini(struct store_recovered *recovered)
{
	wal_recovered_fini(&recovered->log);
	buf_fini(&recovered->state);
}

/* Only a replica that never wrote an entry can still choose. */
int store_adopt(struct store *store, const uint8_t uuid[16], uint64_t epoch)
{
	ASSERT(store->wal.count == 0 && store->vote.snapshot_index == 0);
	memcpy(store->vote.uuid, uuid, 16);
	store->vote.epoch = epoch;
	wal_identify(&store->wal, uuid, store->vote.id);
	return vote_write(store->disk, store->vote_file, &store->vote);
}

/* RB-01. A crash between the two writes leaves a log but no uuid in the vote slot:
 * the directory still belongs to no cluster, and the segment is set aside at the next
 * start. */
int store_bootstrap(
	struct store *store, const uint8_t uuid[16], uint64_t epoch, struct raft_payload *payload)
{
	const struct wal_item item = {.type = WAL_CONF, .index = 1, .term = 1, .payload = payload};
	int result;

	ASSERT(store->wal.count == 0 && store->vote.term == 0);
	/* The log first: a vote slot with a uuid promises that the cluster exists. */
	wal_identify(&store->wal, uuid, store->vote.id);
	store->wal.commit = 1;
	result = wal_write(&store->wal, &item, 1);
	if (result == 0) {
		store->vote.term = 1;
		store->vote.uncertain = false; /* this log is all there ever was */
		memcpy(store->vote.uuid, uuid, 16);
		store->vote.epoch = epoch;
		result = vote_write(store->disk, store->vote_file, &store->vote);
	}
	return result;
}

static int visit_old(void *context, const char *name)
{
	return visit(context, name);
}

/* One older stays: should the newest turn out unreadable, it is the way back. */
int store_drop_old_snapshots(struct store *store)
{
	struct listing listing = {.store = store};
	uint64_t keep = 0;
	int result = store->disk->ops->list(store->disk, visit_old, &listing);

	for (size_t i = 0; i < listing.count; i++) {
		uint64_t index = listing.snapshots[i].index;

		if (index < store->snapshot_index && index > keep) {
			keep = index;
		}
	}
	for (size_t i = 0; i < listing.count && result == 0; i++) {
		char name[SNAPFILE_NAME_SIZE];

		if (listing.snapshots[i].index >= keep) {
			continue;
		}
		snapfile_name(listing.snapshots[i].index, listing.snapshots[i].term, name);
		result = store->disk->ops->unlink(store->disk, name);
	}
	return result;
}
