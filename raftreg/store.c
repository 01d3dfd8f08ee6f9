/*
 * The two threads that write a replica's files. The disk thread takes every sequence that
 * waits, writes the newest vote, then all items in order, and syncs once: that is the group
 * commit. The background thread writes what is large and not urgent (snapshots, spare segments)
 * and reads what is asked for. After the first error nothing is written any more (RS-15): the
 * pages in memory may be ahead of the disk, and only a restart finds out by how much.
 */
#include "raftreg/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/loop.h"
#include "raftreg/store_internal.h"

#define BATCHES_MAX  4096   /* sequences under one sync */
#define SLOW_SYNC_US 100000 /* RO-03 */

/* An answer on its way to the registry thread. */
struct answer {
	struct mail mail;
	struct store *store;
	enum {
		ANSWER_PERSISTED,
		ANSWER_SNAPSHOT,
		ANSWER_STAGED,
		ANSWER_LOADED,
		ANSWER_SPACE,
		ANSWER_FAILED
	} kind;
	uint64_t number; /* sequence, token or bytes */
	struct raft_snapshot snapshot;
	bool ok;	  /* staged; loaded: not damaged; space: there is some */
	int error;	  /* failed: negative errno */
	const char *what; /* failed: static text */
	struct buf file;  /* loaded */
};

/* Work for the background thread, then possibly for the disk thread. */
struct job {
	struct mail mail;
	struct store *store;
	enum { JOB_MAKE, JOB_STAGE, JOB_LOAD, JOB_SPARE } kind;
	struct snapfile_meta meta;
	struct store_source source; /* to make; drop NULL: dropped */
	struct buf bytes;
	uint64_t token, compact_index, file_size;
	int result;
};

/* Also when the loop ends before it reads the answer: the file goes with it. */
static void discard_answer(struct mail *mail)
{
	struct answer *answer = container_of(mail, struct answer, mail);

	buf_fini(&answer->file);
	mem_free(answer);
}

/* After the stop nobody may be called: the owner is being taken apart. */
static void deliver_answer(struct mail *mail)
{
	struct answer *answer = container_of(mail, struct answer, mail);
	struct store *store = answer->store;
	const struct store_events *events = store->events;

	if (!atomic_load(&store->stopping)) {
		switch (answer->kind) {
		case ANSWER_PERSISTED:
			events->on_persisted(store->owner, answer->number);
			break;
		case ANSWER_SNAPSHOT:
			events->on_snapshot(store->owner, &answer->snapshot, answer->number);
			break;
		case ANSWER_STAGED:
			events->on_staged(store->owner, answer->number, answer->ok);
			break;
		case ANSWER_LOADED:
			events->on_loaded(store->owner, answer->number, buf_slice(&answer->file),
				!answer->ok);
			break;
		case ANSWER_SPACE:
			events->on_space(store->owner, !answer->ok);
			break;
		case ANSWER_FAILED:
			events->on_failed(store->owner, answer->error, answer->what);
			break;
		}
	}
	discard_answer(mail);
}

/* One struct for all answers, since they are few and short-lived. */
static struct answer *answer_create(struct store *store, int kind)
{
	struct answer *answer = mem_zalloc(sizeof *answer);

	answer->mail.deliver = deliver_answer;
	answer->mail.discard = discard_answer;
	answer->store = store;
	answer->kind = (__typeof__(answer->kind))kind;
	buf_init(&answer->file);
	return answer;
}

static void post_answer(struct answer *answer)
{
	(void)mailbox_post(loop_mailbox(answer->store->loop), &answer->mail);
}

/* RS-15: never a retry; pages are marked clean after a failed sync. */
static void fail(struct store *store, int error, const char *what)
{
	struct answer *answer;

	ASSERT(error < 0);
	if (atomic_exchange(&store->failed, true)) {
		return;
	}
	answer = answer_create(store, ANSWER_FAILED);
	answer->error = error;
	answer->what = what;
	post_answer(answer);
}

/* RC-11: a reference on each payload instead of a copy; the core may compact its log
 * while the disk thread still writes from it. */
struct store_batch *store_batch_create(const struct raft_entry *entries, size_t count)
{
	struct store_batch *batch = mem_zalloc(sizeof *batch);

	if (count > 0) {
		batch->entries = mem_copy(entries, count * sizeof *entries);
		batch->entry_count = count;
	}
	for (size_t i = 0; i < count; i++) {
		raft_entry_ref(&batch->entries[i]);
	}
	return batch;
}

void store_batch_free(struct store_batch *batch)
{
	for (size_t i = 0; i < batch->entry_count; i++) {
		raft_entry_unref(&batch->entries[i]);
	}
	mem_free(batch->entries);
	mem_free(batch);
}

static void discard_batch(struct mail *mail)
{
	store_batch_free(container_of(mail, struct store_batch, mail));
}

/* Only gathered: the sync comes when the mailbox is empty. */
static void deliver_batch(struct mail *mail)
{
	struct store_batch *batch = container_of(mail, struct store_batch, mail);
	struct store *store = batch->store;

	if (store->gathered_count == store->gathered_capacity) {
		store->gathered_capacity =
			store->gathered_capacity ? store->gathered_capacity * 2 : 64;
		store->gathered = mem_realloc(
			store->gathered, store->gathered_capacity * sizeof(*store->gathered));
	}
	store->gathered[store->gathered_count++] = batch;
}

/* The registry thread never waits for the disk: it learns of the end by
 * on_persisted. */
void store_submit(struct store *store, struct store_batch *batch)
{
	ASSERT(store->running && batch->seq > 0);
	batch->store = store;
	batch->mail.deliver = deliver_batch;
	batch->mail.discard = discard_batch;
	(void)mailbox_post(store->disk_box, &batch->mail);
}

/* RO-03: a slow disk is the usual reason for a slow registry. The time since begin_ns, in us. */
static uint64_t note_sync(uint64_t begin_ns, const char *file)
{
	uint64_t us = (clock_monotonic_ns() - begin_ns) / 1000;

	if (us > SLOW_SYNC_US) {
		log_event(LOG_LEVEL_WARN, "raftreg", 2102, "a sync was slow",
			(struct log_field[]){LOG_TEXT("pillion.file", file),
				LOG_NUMBER("pillion.ms", us / 1000)},
			2);
	}
	return us;
}

/* Identity and snapshot stay as they are; only the core's part changes. */
static int write_hard(struct store *store, const struct raft_hard *hard)
{
	uint64_t begin = clock_monotonic_ns();
	int result;

	store->vote.term = hard->term;
	store->vote.vote = hard->vote;
	store->vote.uncertain = hard->uncertain;
	result = vote_write(store->disk, store->vote_file, &store->vote);
	(void)note_sync(begin, VOTE_FILE);
	return result;
}

/* RS-05, install order: staged file, vote slot, new empty segment, delete the old log. */
static int install(struct store *store, const struct raft_snapshot *snapshot)
{
	char name[SNAPFILE_NAME_SIZE];
	int result;

	snapfile_name(snapshot->index, snapshot->term, name);
	result = store->disk->ops->rename(store->disk, STORE_STAGED_TMP, name);
	result = result ? result : store->disk->ops->fsync_dir(store->disk);
	if (result < 0) {
		return result;
	}
	store->vote.snapshot_index = store->snapshot_index = snapshot->index;
	store->vote.snapshot_term = store->snapshot_term = snapshot->term;
	result = vote_write(store->disk, store->vote_file, &store->vote);
	result = result ? result : wal_reset(&store->wal, snapshot->index, snapshot->term);
	return result ? result : store_drop_old_snapshots(store);
}

struct items {
	struct wal_item *list;
	size_t count, capacity;
};

/* All sequences of a gathering become one row, so that one sync covers them (RC-04). */
static void add_item(struct items *items, const struct wal_item *item)
{
	if (items->count == items->capacity) {
		items->capacity = items->capacity ? items->capacity * 2 : 256;
		items->list = mem_realloc(items->list, items->capacity * sizeof *items->list);
	}
	items->list[items->count++] = *item;
}

/* Truncation before the entries that replace what it removed. */
static void add_batch(struct items *items, const struct store_batch *batch)
{
	if (batch->truncate_from > 0) {
		add_item(items, &(struct wal_item){.type = WAL_TRUNCATE,
					.index = batch->truncate_from,
					.term = batch->truncate_term});
	}
	for (size_t i = 0; i < batch->entry_count; i++) {
		const struct raft_entry *entry = &batch->entries[i];

		add_item(items,
			&(struct wal_item){
				.type = entry->kind == RAFT_ENTRY_CONF ? WAL_CONF : WAL_ENTRY,
				.index = entry->index,
				.term = entry->term,
				.payload = entry->payload});
	}
}

static int write_items(struct store *store, struct items *items)
{
	uint64_t begin = clock_monotonic_ns();
	uint64_t us;
	int result;

	if (items->count == 0) {
		return 0;
	}
	result = wal_write(&store->wal, items->list, items->count);
	us = note_sync(begin, "log");
	atomic_fetch_add(&store->syncs, 1);
	atomic_fetch_add(&store->sync_us, us);
	atomic_fetch_add(&store->batches, items->count);
	if (us > atomic_load(&store->sync_us_max)) {
		atomic_store(&store->sync_us_max, us);
	}
	atomic_store(&store->log_bytes, store->wal.bytes);
	items->count = 0;
	return result;
}

/* An install ends what came before it: that was about a log that is gone. */
int store_write_gathered(struct store *store)
{
	const struct store_batch *last_hard = NULL;
	struct items items = {0};
	int result = 0;

	for (size_t i = 0; i < store->gathered_count; i++) {
		last_hard = store->gathered[i]->hard_changed ? store->gathered[i] : last_hard;
	}
	/* RC-04 (1): the newest vote covers the older ones, for nothing of them was sent yet. */
	if (last_hard) {
		result = write_hard(store, &last_hard->hard);
	}
	for (size_t i = 0; i < store->gathered_count && result == 0; i++) {
		const struct store_batch *batch = store->gathered[i];

		store->wal.commit =
			batch->commit > store->wal.commit ? batch->commit : store->wal.commit;
		if (batch->install) {
			result = write_items(store, &items);
			result = result ? result : install(store, &batch->snapshot);
		}
		add_batch(&items, batch);
	}
	result = result ? result : write_items(store, &items);
	mem_free(items.list);
	return result;
}

/* Reporting the highest sequence is enough (RC-04). */
static void flush_gathered(struct store *store)
{
	uint64_t seq;
	int result;

	if (store->gathered_count == 0) {
		return;
	}
	seq = store->gathered[store->gathered_count - 1]->seq;
	result = atomic_load(&store->failed) ? -EIO : store_write_gathered(store);
	for (size_t i = 0; i < store->gathered_count; i++) {
		store_batch_free(store->gathered[i]);
	}
	store->gathered_count = 0;
	if (result < 0) {
		fail(store, result, "the log or the vote could not be written");
		return;
	}
	struct answer *answer = answer_create(store, ANSWER_PERSISTED);

	answer->number = seq;
	post_answer(answer);
}

static void drop_source(struct job *job)
{
	if (job->source.drop) {
		job->source.drop(job->source.context);
		job->source.drop = NULL;
	}
}

static void free_job(struct job *job)
{
	drop_source(job);
	buf_fini(&job->bytes);
	mem_free(job);
}

static void discard_job(struct mail *mail)
{
	free_job(container_of(mail, struct job, mail));
}

/* RS-05: rename, directory, vote slot with the new index, then segments, then old snapshots. */
int store_publish(struct store *store, const struct raft_snapshot *snapshot, uint64_t compact_index)
{
	char name[SNAPFILE_NAME_SIZE];
	int result;

	if (snapshot->index < store->snapshot_index ||
		(snapshot->index == store->snapshot_index && !atomic_load(&store->snapshot_bad))) {
		return 0; /* an installed one overtook it */
	}
	snapfile_name(snapshot->index, snapshot->term, name);
	result = store->disk->ops->rename(store->disk, STORE_SNAPSHOT_TMP, name);
	result = result ? result : store->disk->ops->fsync_dir(store->disk);
	if (result < 0) {
		return result;
	}
	store->vote.snapshot_index = store->snapshot_index = snapshot->index;
	store->vote.snapshot_term = store->snapshot_term = snapshot->term;
	result = vote_write(store->disk, store->vote_file, &store->vote);
	result = result ? result : wal_compact(&store->wal, compact_index);
	result = result ? result : store_drop_old_snapshots(store);
	store->wal.bytes = 0;
	atomic_store(&store->log_bytes, 0);
	atomic_store(&store->snapshot_bad, false);
	return result;
}

/* On the disk thread, after the background thread wrote the file. */
static void deliver_publish(struct mail *mail)
{
	struct job *job = container_of(mail, struct job, mail);
	struct store *store = job->store;
	struct answer *answer;
	int result;

	flush_gathered(store);
	result = atomic_load(&store->failed)
			 ? -EIO
			 : store_publish(store, &job->meta.snapshot, job->compact_index);
	if (result < 0) {
		fail(store, result, "a snapshot could not be published");
	} else {
		answer = answer_create(store, ANSWER_SNAPSHOT);
		answer->snapshot = job->meta.snapshot;
		answer->number = job->file_size;
		post_answer(answer);
	}
	free_job(job);
}

/* RS-14: a snapshot that cannot be written is no end of the role; it is tried again later. */
static void run_make(struct job *job)
{
	struct store *store = job->store;
	struct answer *answer;
	int result;

	job->source.save(job->source.context, &job->bytes);
	drop_source(job);
	result = snapfile_save(store->disk, STORE_SNAPSHOT_TMP, &job->meta, buf_slice(&job->bytes),
		&job->file_size);
	buf_fini(&job->bytes);
	if (result == 0) {
		job->mail.deliver = deliver_publish;
		(void)mailbox_post(store->disk_box, &job->mail);
		return;
	}
	answer = answer_create(store, ANSWER_SNAPSHOT); /* index 0: nothing was made */
	post_answer(answer);
	free_job(job);
}

/* Durable under a name that only an install turns into a snapshot. */
static void run_stage(struct job *job)
{
	struct store *store = job->store;
	struct answer *answer = answer_create(store, ANSWER_STAGED);

	answer->number = job->token;
	answer->ok = snapfile_write(store->disk, STORE_STAGED_TMP, buf_slice(&job->bytes)) == 0;
	post_answer(answer);
	free_job(job);
}

/* Checked before it travels: the receiver would only find the damage again and again. */
static int load_snapshot(struct store *store, const char *name, struct buf *ret_file)
{
	struct snapfile_meta meta;
	struct buf state;
	uint8_t *data = NULL;
	size_t size = 0;
	int result = disk_load_file(store->disk, name, (size_t)STORE_FILE_MAX, &data, &size);

	if (result < 0) {
		return result;
	}
	buf_init(&state);
	result = snapfile_parse(slice_make(data, size), &meta, &state);
	if (result == 0) {
		buf_append(ret_file, data, size);
	}
	buf_fini(&state);
	free(data);
	return result;
}

/* An empty answer: the transfer fails and is tried again. RS-14: one that is there but cannot be
 * read is set aside, so that the next start does not rely on it either. */
static void run_load(struct job *job)
{
	struct store *store = job->store;
	struct answer *answer = answer_create(store, ANSWER_LOADED);
	char name[SNAPFILE_NAME_SIZE];
	char bad[SNAPFILE_NAME_SIZE + 8];
	int result;

	answer->number = job->token;
	snapfile_name(job->meta.snapshot.index, job->meta.snapshot.term, name);
	result = load_snapshot(store, name, &answer->file);
	answer->ok = result == 0 || result == -ENOENT;
	if (!answer->ok) {
		(void)snprintf(bad, sizeof bad, "%s.bad", name);
		(void)store->disk->ops->rename(store->disk, name, bad);
		atomic_fetch_add(&store->corruptions, 1);
		atomic_store(&store->snapshot_bad, true);
	}
	post_answer(answer);
	free_job(job);
}

/* RS-14. Only a change is told; other errors come again when a segment must be begun, and count
 * then (RS-15). */
static void run_spare(struct job *job)
{
	struct store *store = job->store;
	int result = wal_prepare_spare(&store->wal);
	bool full = result == -ENOSPC || result == -EDQUOT;
	struct answer *answer;

	if (atomic_exchange(&store->full, full) != full) {
		answer = answer_create(store, ANSWER_SPACE);
		answer->ok = !full;
		post_answer(answer);
	}
	free_job(job);
}

/* On the background thread; the disk thread never waits for any of these. */
static void deliver_job(struct mail *mail)
{
	struct job *job = container_of(mail, struct job, mail);

	switch (job->kind) {
	case JOB_MAKE:
		run_make(job);
		break;
	case JOB_STAGE:
		run_stage(job);
		break;
	case JOB_LOAD:
		run_load(job);
		break;
	case JOB_SPARE:
		run_spare(job);
		break;
	}
}

static struct job *job_create(struct store *store, int kind)
{
	struct job *job = mem_zalloc(sizeof *job);

	job->mail.deliver = deliver_job;
	job->mail.discard = discard_job;
	job->store = store;
	job->kind = (__typeof__(job->kind))kind;
	buf_init(&job->bytes);
	return job;
}

/* RS-06: the caller only holds on to the state of that index; its bytes are made where they are
 * written, so apply never waits. */
void store_make_snapshot(struct store *store, const struct snapfile_meta *meta,
	const struct store_source *source, uint64_t compact_index)
{
	struct job *job = job_create(store, JOB_MAKE);

	ASSERT(compact_index <= meta->snapshot.index && source->save && source->drop);
	job->meta = *meta;
	job->source = *source;
	job->compact_index = compact_index;
	(void)mailbox_post(store->background_box, &job->mail);
}

/* Nothing refers to the staged file until an install renames it (RS-05). */
void store_stage(
	struct store *store, uint64_t token, const struct raft_snapshot *snapshot, struct buf *file)
{
	struct job *job = job_create(store, JOB_STAGE);

	job->token = token;
	job->meta.snapshot = *snapshot;
	job->bytes = *file;
	buf_init(file);
	(void)mailbox_post(store->background_box, &job->mail);
}

/* Loaded whole: chunks are cut from memory, so a file that is deleted meanwhile does
 * not matter. */
void store_load(struct store *store, uint64_t token, uint64_t index, uint64_t term)
{
	struct job *job = job_create(store, JOB_LOAD);

	job->token = token;
	job->meta.snapshot.index = index;
	job->meta.snapshot.term = term;
	(void)mailbox_post(store->background_box, &job->mail);
}

/* The disk thread asks for one by itself, but only once for each that it took. */
void store_prepare_spare(struct store *store)
{
	ASSERT(store->running);
	(void)mailbox_post(store->background_box, &job_create(store, JOB_SPARE)->mail);
}

static void deliver_wake(struct mail *mail)
{
	mem_free(mail);
}

/* A thread that waits for mail notices `stopping` only after one. */
static void wake(struct mailbox *mailbox)
{
	struct mail *mail = mem_zalloc(sizeof *mail);

	mail->deliver = deliver_wake;
	(void)mailbox_post(mailbox, mail);
}

/* Sleeps until mail comes; one sync for all of it. */
static void *run_disk(void *context)
{
	struct store *store = context;
	bool spare_asked = false;

	while (!atomic_load(&store->stopping) || mailbox_wait(store->disk_box, 0)) {
		if (!mailbox_wait(store->disk_box, -1)) {
			continue;
		}
		(void)mailbox_drain(store->disk_box, BATCHES_MAX);
		flush_gathered(store);
		/* RS-02: one spare is always ready. */
		if (!atomic_load(&store->wal.spare) && store->wal.count > 0 && !spare_asked) {
			(void)mailbox_post(
				store->background_box, &job_create(store, JOB_SPARE)->mail);
			spare_asked = true;
		} else if (atomic_load(&store->wal.spare)) {
			spare_asked = false;
		}
	}
	return NULL;
}

/* Ends when told to and nothing is left, so that a snapshot under way is not wasted. */
static void *run_background(void *context)
{
	struct store *store = context;

	while (!atomic_load(&store->stopping) || mailbox_wait(store->background_box, 0)) {
		if (mailbox_wait(store->background_box, -1)) {
			(void)mailbox_drain(store->background_box, BATCHES_MAX);
		}
	}
	return NULL;
}

/* The background thread first: the disk thread asks it for a spare. */
int store_start(
	struct store *store, struct loop *loop, const struct store_events *events, void *owner)
{
	int result = mailbox_create(&store->disk_box);

	ASSERT(!store->running && events->on_persisted && events->on_failed);
	store->loop = loop;
	store->events = events;
	store->owner = owner;
	result = result ? result : mailbox_create(&store->background_box);
	if (result < 0) {
		return result;
	}
	if (pthread_create(&store->background_thread, NULL, run_background, store) != 0) {
		return -EAGAIN;
	}
	if (pthread_create(&store->disk_thread, NULL, run_disk, store) != 0) {
		atomic_store(&store->stopping, true);
		wake(store->background_box);
		(void)pthread_join(store->background_thread, NULL);
		return -EAGAIN;
	}
	store->running = true;
	if (store->wal.count > 0) {
		store_prepare_spare(store);
	}
	return 0;
}

void store_stop(struct store *store)
{
	if (store && store->running) {
		/* The background thread first: it may still hand the disk thread something. */
		atomic_store(&store->stopping, true);
		wake(store->background_box);
		(void)pthread_join(store->background_thread, NULL);
		wake(store->disk_box);
		(void)pthread_join(store->disk_thread, NULL);
		store->running = false;
	}
}

/* After store_stop and the last turn of the loop: answers that were under way point here. */
void store_destroy(struct store *store)
{
	if (!store) {
		return;
	}
	store_stop(store);
	mailbox_destroy(store->background_box);
	mailbox_destroy(store->disk_box);
	if (store->vote_file >= 0) {
		(void)store->disk->ops->close(store->disk, store->vote_file);
	}
	wal_fini(&store->wal);
	mem_free(store->gathered);
	mem_free(store);
}

/* Any thread; each number is right by itself, not all of them of one moment. */
void store_figures(const struct store *store, struct store_figures *ret_figures)
{
	*ret_figures = (struct store_figures){.syncs = atomic_load(&store->syncs),
		.sync_us_total = atomic_load(&store->sync_us),
		.sync_us_max = atomic_load(&store->sync_us_max),
		.batches = atomic_load(&store->batches),
		.log_bytes = atomic_load(&store->log_bytes),
		.tail_cuts = atomic_load(&store->tail_cuts),
		.corruptions = atomic_load(&store->corruptions)};
}

uint64_t store_log_bytes(const struct store *store)
{
	return atomic_load(&store->log_bytes);
}
