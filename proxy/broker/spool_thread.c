/*
 * One thread writes and syncs; one in the background reads what is no longer in memory and prepares
 * the next segment. Workers never wait for either. The next batch forms in the mailbox while this
 * one is on its way to the disk.
 */
#include "broker/spool_thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "base/clock.h"
#include "base/disk_ops.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/message.h"
#include "net/loop.h"

/* B9-03: more in one write would only make its first publisher wait longer. */
#define BATCH_RECORDS 1024
#define DRAIN_STEP    32		   /* mails between two looks at the size of the batch */
#define TOPIC_BITS    1024		   /* of a set of topics, by number */
#define OS_SYNC_MS    1000		   /* B8-02 */
#define UNSYNCED_MAX  ((uint64_t)16 << 20) /* L7: a forced sync */
#define READ_LIMIT    RECORD_LENGTH_MAX
#define STOCK_RETRY   1000 /* after a preparation failed, mostly since the disk is full */

/* The segment that the background thread prepares (B9-02): asked for by the disk thread, and taken
 * by it. The first part is under the lock. */
enum stock_state { STOCK_IDLE, STOCK_MAKING, STOCK_MADE, STOCK_OFF };
struct stock {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum stock_state state;
	struct segment_header header;
	uint64_t size;
	struct segment *segment; /* NULL where it failed */
	int status;
	/* Of the background thread: */
	bool wanted, begun;
	struct segment_making making;
	/* Of the disk thread: */
	uint64_t retry_ms; /* not before */
};

struct spool_thread {
	struct spool *spool;
	struct mailbox *jobs;
	struct mailbox *reads;
	pthread_t disk, reader;
	struct spool_numbers numbers;
	pthread_mutex_t syncs_lock;
	struct histogram syncs; /* under the lock */
	/* Of the disk thread: */
	struct spool_job *first, **last;
	bool any_sync;
	uint64_t bytes; /* of the batch that forms */
	bool stopping;
	bool reclaim; /* something was given back */
	uint64_t unsynced_since_ms;
	/* Of the background thread: */
	bool read_stopping;
	struct {
		struct segment_header header;
		int file; /* -1: none */
	} source;	  /* the segment that was read last */
	struct stock stock;
};

struct release_mail {
	struct mail mail;
	struct spool_thread *thread;
	uint64_t segment, count;
};

struct stock_mail {
	struct mail mail;
	struct spool_thread *thread;
};

struct stop_mail {
	struct mail mail;
	bool *flag;
};

/* Plain stores of single words: readers may be one batch behind. Also the one line that says that
 * the spool stopped (B9-08), whatever it was that failed. */
static void publish_numbers(struct spool_thread *thread)
{
	const struct spool *spool = thread->spool;

	if (spool->failed && !atomic_load(&thread->numbers.failed)) {
		LOG(LOG_LEVEL_ERROR, "broker", 6001, "the spool stopped after a failed write");
	}
	atomic_store(&thread->numbers.room, spool_room(spool));
	atomic_store(&thread->numbers.total, spool->total_bytes);
	atomic_store(&thread->numbers.synced_lsn, spool->synced_lsn);
	atomic_store(&thread->numbers.unsynced, spool_unsynced(spool));
	atomic_store(&thread->numbers.waits, spool->waits);
	atomic_store(&thread->numbers.failed, spool->failed);
}

/* What the background thread made, if it is done; `wait`: when it is done. */
static void take_stock(struct spool_thread *thread, bool wait)
{
	struct stock *stock = &thread->stock;

	(void)pthread_mutex_lock(&stock->lock);
	if (wait && stock->state == STOCK_MAKING) {
		atomic_store(&thread->numbers.waits, ++thread->spool->waits);
	}
	while (wait && stock->state == STOCK_MAKING) {
		(void)pthread_cond_wait(&stock->changed, &stock->lock);
	}
	if (stock->state == STOCK_MADE) {
		stock->state = STOCK_IDLE;
		if (!stock->segment) {
			stock->retry_ms = clock_monotonic_ms() + STOCK_RETRY;
			thread->spool->disk_full =
				thread->spool->disk_full || stock->status == -ENOSPC;
		}
	}
	if (stock->segment) {
		spool_stock(thread->spool, stock->segment);
		stock->segment = NULL;
	}
	(void)pthread_mutex_unlock(&stock->lock);
}

/* On the background thread. */
static void deliver_stock(struct mail *mail)
{
	struct stock_mail *self = container_of(mail, struct stock_mail, mail);

	self->thread->stock.wanted = true;
	mem_free(self);
}

/* The disk thread has nothing to lose here: whatever fails now fails again, and is judged, when
 * the segment is needed. */
static void ask_for_stock(struct spool_thread *thread)
{
	struct stock *stock = &thread->stock;
	struct stock_mail *mail;

	(void)pthread_mutex_lock(&stock->lock);
	if (stock->state == STOCK_IDLE && clock_monotonic_ms() >= stock->retry_ms &&
		spool_wants_stock(thread->spool, &stock->header, &stock->size)) {
		stock->state = STOCK_MAKING;
		mail = mem_zalloc(sizeof *mail);
		mail->mail.deliver = deliver_stock;
		mail->thread = thread;
		(void)mailbox_post(thread->reads, &mail->mail);
	}
	atomic_store(&thread->numbers.stock, thread->spool->stock || stock->segment);
	(void)pthread_mutex_unlock(&stock->lock);
}

/* On the loop of whoever sent it, if that one still exists. */
static void deliver_done(struct mail *mail)
{
	struct spool_job *job = container_of(mail, struct spool_job, mail);

	if (gate_pass(job->gate)) {
		job->done(job);
	} else {
		job->discard(job);
	}
}

/* The loop was closed; the record may be on disk all the same. */
static void discard_job(struct mail *mail)
{
	struct spool_job *job = container_of(mail, struct spool_job, mail);

	gate_unref(job->gate);
	job->discard(job);
}

/* Who waits for it asks the spool whether it failed. */
static void sync_now(struct spool_thread *thread)
{
	uint64_t begin = clock_monotonic_ns();
	int status = spool_sync(thread->spool);

	ASSERT(status == 0 || thread->spool->failed);
	(void)pthread_mutex_lock(&thread->syncs_lock);
	histogram_add(&thread->syncs, (clock_monotonic_ns() - begin) / 1000);
	(void)pthread_mutex_unlock(&thread->syncs_lock);
	thread->unsynced_since_ms = 0;
}

/* To the loop of whoever sent it; from then on it is not ours. */
static void report(struct spool_job *job)
{
	job->mail.deliver = deliver_done;
	(void)mailbox_post(loop_mailbox(job->loop), &job->mail);
}

/* B9-03: who asked for `os` waits for no sync. But the messages of a topic are reported in the
 * order of their numbers, so one behind an `fsync` record of its topic waits with it. Returns
 * those that wait, in order. */
static struct spool_job *report_written(struct spool_job *job)
{
	uint64_t waits[TOPIC_BITS / 64] = {0}; /* topics by number; equal bits only cost time */
	struct spool_job *kept = NULL, **last = &kept;

	while (job) {
		struct spool_job *next = job->next;
		uint32_t bit = job->entry.record.topic % TOPIC_BITS;

		if (job->sync || (waits[bit / 64] >> bit % 64 & 1) != 0) {
			waits[bit / 64] |= UINT64_C(1) << bit % 64;
			job->next = NULL;
			*last = job;
			last = &job->next;
		} else {
			report(job);
		}
		job = next;
	}
	return kept;
}

/* One write, then at most one sync for everything in it (B9-03). */
static void commit(struct spool_thread *thread)
{
	struct spool_job *job = thread->first;
	bool any_sync = thread->any_sync;

	if (!job) {
		return;
	}
	for (struct spool_job *one = job; one; one = one->next) {
		one->entry.next = one->next ? &one->next->entry : NULL;
	}
	/* Two segments must never be made at once: they would have one number. */
	take_stock(thread, !spool_fits(thread->spool, thread->bytes, false));
	spool_append(thread->spool, &job->entry);
	thread->first = NULL;
	thread->last = &thread->first;
	thread->any_sync = false;
	thread->bytes = 0;
	ask_for_stock(thread);
	publish_numbers(thread);
	job = report_written(job);
	if (any_sync || spool_unsynced(thread->spool) >= UNSYNCED_MAX) {
		sync_now(thread);
	} else if (spool_unsynced(thread->spool) > 0 && thread->unsynced_since_ms == 0) {
		thread->unsynced_since_ms = clock_monotonic_ms();
	}
	publish_numbers(thread);
	while (job) {
		struct spool_job *next = job->next;

		/* B9-08: written but not synced is not what was asked for; the outcome is unknown
		 * and said to be so. Jobs at level `os` have what they asked for. */
		if (thread->spool->failed && job->entry.status == 0 && job->sync) {
			job->entry.status = -EIO;
		}
		report(job);
		job = next;
	}
}

/* Only gathered here; commit does the work for all of them. */
static void deliver_append(struct mail *mail)
{
	struct spool_job *job = container_of(mail, struct spool_job, mail);
	struct spool_thread *thread = job->thread;

	job->next = NULL;
	*thread->last = job;
	thread->last = &job->next;
	thread->any_sync = thread->any_sync || job->sync;
	thread->bytes += record_padded(job->entry.record.length);
}

/* In the order of the posts: one owner's jobs stay in order. */
void spool_thread_append(struct spool_thread *thread, struct spool_job *job)
{
	ASSERT(job->done && job->discard && job->loop);
	job->thread = thread;
	(void)gate_ref(job->gate);
	job->mail.deliver = deliver_append;
	job->mail.discard = discard_job;
	(void)mailbox_post(thread->jobs, &job->mail);
}

/* The deletion itself follows when the batch is through. */
static void deliver_release(struct mail *mail)
{
	struct release_mail *release = container_of(mail, struct release_mail, mail);

	spool_release(release->thread->spool, release->segment, release->count);
	release->thread->reclaim = true;
	mem_free(release);
}

/* Nothing is answered: the space comes back when it comes back. */
void spool_thread_release(struct spool_thread *thread, uint64_t segment, uint64_t count)
{
	struct release_mail *release = mem_zalloc(sizeof *release);

	release->mail.deliver = deliver_release;
	release->thread = thread;
	release->segment = segment;
	release->count = count;
	(void)mailbox_post(thread->jobs, &release->mail);
}

/* Behind everything that was posted before. */
static void deliver_stop(struct mail *mail)
{
	struct stop_mail *stop = container_of(mail, struct stop_mail, mail);

	*stop->flag = true;
	mem_free(stop);
}

/* Until the next second's sync of `os` data, if there is any (B8-02). */
static int sync_wait_ms(const struct spool_thread *thread)
{
	uint64_t now = clock_monotonic_ms();
	uint64_t due = thread->unsynced_since_ms + OS_SYNC_MS;

	if (thread->unsynced_since_ms == 0) {
		return -1;
	}
	return due <= now ? 0 : (int)(due - now);
}

/* A full disk is looked at again, also when nobody publishes. */
static int wait_ms(const struct spool_thread *thread)
{
	int wait = sync_wait_ms(thread);

	return thread->spool->disk_full && (wait < 0 || wait > STOCK_RETRY) ? STOCK_RETRY : wait;
}

/* They belong to control. */
static void block_signals(void)
{
	sigset_t all;

	sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, NULL);
}

/* All that is queued, up to the bounds of a batch; false: nothing was. */
static bool gather_batch(struct spool_thread *thread)
{
	size_t mails = 0, more;

	do {
		more = mailbox_drain(thread->jobs, DRAIN_STEP);
		mails += more;
	} while (more > 0 && mails < BATCH_RECORDS && thread->bytes < SPOOL_BATCH_BYTES);
	return mails > 0;
}

/* Batches until the mailbox is empty, then sync and reclaim, which can wait. */
static void *disk_main(void *argument)
{
	struct spool_thread *thread = argument;

	block_signals();
	while (!thread->stopping) {
		(void)mailbox_wait(thread->jobs, wait_ms(thread));
		mailbox_clear_signal(thread->jobs);
		do {
			/* Once per batch: new segments carry the time, and nothing finer is
			 * wanted of it. */
			thread->spool->options.wall_ms = clock_wall_ms();
			if (!gather_batch(thread)) {
				break;
			}
			commit(thread);
		} while (true);
		if (sync_wait_ms(thread) == 0) {
			sync_now(thread);
		}
		/* Deleting costs a sync of the directory, so it waits until no publisher does. */
		if (thread->reclaim) {
			thread->reclaim = false;
			atomic_fetch_add(&thread->numbers.reclaimed, spool_reclaim(thread->spool));
		}
		if (thread->spool->disk_full) {
			take_stock(thread, false);
			ask_for_stock(thread);
		}
		publish_numbers(thread);
	}
	return NULL;
}

/* Before it sleeps: a segment that is deleted meanwhile keeps its blocks as long as it is open. */
static void close_source(struct spool_thread *thread)
{
	struct disk *disk = thread->spool->options.disk;

	if (thread->source.file >= 0) {
		(void)disk->ops->close(disk, thread->source.file);
	}
	thread->source.file = -1;
}

/* Reads of a backlog are mostly of one segment: it stays open from one to the next. */
static int open_source(struct spool_thread *thread, uint64_t number)
{
	struct disk *disk = thread->spool->options.disk;
	uint8_t bytes[SEGMENT_HEADER];
	char name[SEGMENT_NAME_SIZE];
	int status;

	if (thread->source.file >= 0 && thread->source.header.number == number) {
		return 0;
	}
	close_source(thread);
	segment_name(number, "seg", name);
	status = disk->ops->open(disk, name, DISK_READ);
	if (status < 0) {
		return status;
	}
	thread->source.file = status;
	status = disk_read_all(disk, thread->source.file, bytes, sizeof bytes, 0);
	status = status < 0 ? status : record_decode_segment(bytes, &thread->source.header);
	if (status == 0 && thread->source.header.number != number) {
		status = -EBADMSG;
	}
	if (status < 0) {
		close_source(thread);
	}
	return status;
}

/* Verified like in recovery: header, length, and the sum over all bytes. */
static int take_record(struct spool_thread *thread, const uint8_t *bytes, struct spool_read *read)
{
	struct message *message;
	struct record record;

	if (!record_decode(bytes, thread->source.header.salt, &record) ||
		record.length != read->length) {
		return -EBADMSG;
	}
	message = message_create();
	message->time_ms = record.time_ms;
	message->expiry_ms = record.expiry_ms;
	message->pcrc = record.pcrc;
	buf_append(&message->attributes, bytes + RECORD_HEADER, record.attributes);
	buf_append(&message->body, bytes + RECORD_HEADER + record.attributes,
		record.length - RECORD_HEADER - record.attributes);
	if (record_pcrc(buf_slice(&message->attributes), buf_slice(&message->body)) !=
		record.pcrc) {
		message_unref(message);
		return -EBADMSG;
	}
	read->message = message;
	return 0;
}

/* Whole or not at all. */
static int read_message(struct spool_thread *thread, struct spool_read *read)
{
	struct disk *disk = thread->spool->options.disk;
	int status = open_source(thread, read->lsn >> 32);
	uint8_t *bytes;

	if (status < 0) {
		return status;
	}
	bytes = mem_alloc(read->length);
	status = disk_read_all(
		disk, thread->source.file, bytes, read->length, read->lsn & UINT32_MAX);
	status = status < 0 ? status : take_record(thread, bytes, read);
	mem_free(bytes);
	return status;
}

/* On the owner's loop. */
static void deliver_read_done(struct mail *mail)
{
	struct spool_read *read = container_of(mail, struct spool_read, mail);

	if (gate_pass(read->gate)) {
		read->done(read);
		return;
	}
	message_unref(read->message);
	read->message = NULL;
	read->discard(read);
}

/* Nobody wants the bytes any more. */
static void discard_read(struct mail *mail)
{
	struct spool_read *read = container_of(mail, struct spool_read, mail);

	gate_unref(read->gate);
	message_unref(read->message);
	read->message = NULL;
	read->discard(read);
}

/* On the reader's thread; the answer goes straight back. */
static void deliver_read(struct mail *mail)
{
	struct spool_read *read = container_of(mail, struct spool_read, mail);

	read->status = read_message(read->thread, read);
	mail->deliver = deliver_read_done;
	(void)mailbox_post(loop_mailbox(read->loop), mail);
}

/* Only for messages that their owner still holds: their segment cannot be deleted meanwhile. */
void spool_thread_read(struct spool_thread *thread, struct spool_read *read)
{
	ASSERT(read->length >= RECORD_HEADER && read->length <= READ_LIMIT);
	read->thread = thread;
	(void)gate_ref(read->gate);
	read->message = NULL;
	read->mail.deliver = deliver_read;
	read->mail.discard = discard_read;
	(void)mailbox_post(thread->reads, &read->mail);
}

/* One piece of the segment that is wanted: readers get their turn between two. */
static void work_on_stock(struct spool_thread *thread)
{
	struct stock *stock = &thread->stock;
	struct segment *segment = NULL;
	int status = 0;

	if (!stock->begun) {
		status = segment_begin(
			thread->spool->options.disk, &stock->header, stock->size, &stock->making);
		stock->begun = status == 0;
	}
	status = status < 0 ? status : segment_step(&stock->making, &segment);
	if (status > 0) {
		return;
	}
	stock->begun = stock->wanted = false;
	(void)pthread_mutex_lock(&stock->lock);
	stock->segment = segment;
	stock->status = status == -EDQUOT ? -ENOSPC : status;
	stock->state = STOCK_MADE;
	atomic_store(&thread->numbers.stock, segment != NULL);
	(void)pthread_cond_broadcast(&stock->changed);
	(void)pthread_mutex_unlock(&stock->lock);
}

/* The disk thread may go on for a while; nobody makes segments for it any more. */
static void end_stock(struct stock *stock)
{
	if (stock->begun) {
		segment_give_up(&stock->making);
	}
	(void)pthread_mutex_lock(&stock->lock);
	stock->state = STOCK_OFF;
	(void)pthread_cond_broadcast(&stock->changed);
	(void)pthread_mutex_unlock(&stock->lock);
}

/* It sleeps until somebody asks. */
static void *reader_main(void *argument)
{
	struct spool_thread *thread = argument;

	block_signals();
	while (!thread->read_stopping) {
		(void)mailbox_wait(thread->reads, thread->stock.wanted ? 0 : -1);
		mailbox_clear_signal(thread->reads);
		while (mailbox_drain(thread->reads, 64) > 0) {
		}
		close_source(thread);
		if (thread->stock.wanted && !thread->read_stopping) {
			work_on_stock(thread);
		}
	}
	end_stock(&thread->stock);
	return NULL;
}

/* Joined: afterwards nobody touches what belonged to it. */
static void stop(struct mailbox *mailbox, bool *flag, pthread_t id)
{
	struct stop_mail *mail = mem_zalloc(sizeof *mail);

	mail->mail.deliver = deliver_stop;
	mail->flag = flag;
	(void)mailbox_post(mailbox, &mail->mail);
	(void)pthread_join(id, NULL);
}

/* Both or none. */
static int start_threads(struct spool_thread *thread)
{
	int status = -pthread_create(&thread->disk, NULL, disk_main, thread);

	if (status < 0) {
		return status;
	}
	(void)pthread_setname_np(thread->disk, "spool");
	status = -pthread_create(&thread->reader, NULL, reader_main, thread);
	if (status < 0) {
		stop(thread->jobs, &thread->stopping, thread->disk);
		return status;
	}
	(void)pthread_setname_np(thread->reader, "spool-back");
	return 0;
}

/* What both threads used; they have ended, or never began. */
static void free_thread(struct spool_thread *thread)
{
	if (thread->jobs) {
		mailbox_destroy(thread->jobs);
	}
	if (thread->reads) {
		mailbox_destroy(thread->reads);
	}
	(void)pthread_mutex_destroy(&thread->syncs_lock);
	(void)pthread_cond_destroy(&thread->stock.changed);
	(void)pthread_mutex_destroy(&thread->stock.lock);
	mem_free(thread);
}

/* The spool is this thread's from here on. */
int spool_thread_create(struct spool *spool, struct spool_thread **ret_thread)
{
	struct spool_thread *thread = mem_zalloc(sizeof *thread);
	int status = mailbox_create(&thread->jobs);

	ASSERT(spool);
	thread->spool = spool;
	thread->last = &thread->first;
	thread->source.file = -1;
	(void)pthread_mutex_init(&thread->syncs_lock, NULL);
	(void)pthread_mutex_init(&thread->stock.lock, NULL);
	(void)pthread_cond_init(&thread->stock.changed, NULL);
	status = status < 0 ? status : mailbox_create(&thread->reads);
	if (status == 0) {
		publish_numbers(thread);
		status = start_threads(thread);
	}
	if (status < 0) {
		free_thread(thread);
		return status;
	}
	*ret_thread = thread;
	return 0;
}

/* What was accepted is written before the log is closed. */
void spool_thread_destroy(struct spool_thread *thread)
{
	if (!thread) {
		return;
	}
	/* The reader first: it opens files that the other one may delete. */
	stop(thread->reads, &thread->read_stopping, thread->reader);
	stop(thread->jobs, &thread->stopping, thread->disk);
	commit(thread);
	take_stock(thread, false);
	spool_close(thread->spool);
	free_thread(thread);
}

/* Lives as long as the thread. */
const struct spool_numbers *spool_thread_numbers(const struct spool_thread *thread)
{
	return &thread->numbers;
}

/* The histogram behind pillion_spool_sync_seconds. */
void spool_thread_syncs(struct spool_thread *thread, struct histogram *ret_syncs)
{
	(void)pthread_mutex_lock(&thread->syncs_lock);
	*ret_syncs = thread->syncs;
	(void)pthread_mutex_unlock(&thread->syncs_lock);
}
