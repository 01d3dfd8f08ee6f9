/*
 * spool_thread: the spool on its disk thread, beside a background thread for cold reads and for the
 * segment in stock. Jobs come by mailbox, are gathered into batches with one write and at most one
 * fdatasync (B9-03), and go back to the loop that sent them. Numbers for others are atomics.
 * Created and stopped by control.
 */
#ifndef PILLION_BROKER_SPOOL_THREAD_H
#define PILLION_BROKER_SPOOL_THREAD_H

#include <stdatomic.h>

#include "base/stat.h"
#include "broker/gate.h"
#include "broker/spool.h"
#include "net/mailbox.h"

struct loop;
struct message;
struct spool_thread;

/* One record to append. Owner: the sender until `done` ran on its loop; discard where it cannot. */
struct spool_job {
	struct mail mail;
	struct spool_entry entry;
	bool sync; /* level fsync */
	struct loop *loop;
	struct gate *gate; /* of what `done` belongs to; borrowed until the call */
	void (*done)(struct spool_job *job);
	void (*discard)(struct spool_job *job); /* only frees */
	struct spool_thread *thread;		/* set by append */
	struct spool_job *next;
};

/* A message to read back. */
struct spool_read {
	struct mail mail;
	uint64_t lsn;
	uint32_t length;
	int status; /* 0, -EBADMSG: damaged, -errno */
	struct message *message;
	struct loop *loop;
	struct gate *gate;
	void (*done)(struct spool_read *read);
	void (*discard)(struct spool_read *read);
	struct spool_thread *thread;
};

struct spool_numbers {
	_Atomic uint64_t room;	     /* bytes before a refusal */
	_Atomic uint64_t total;	     /* of all segments */
	_Atomic uint64_t synced_lsn; /* everything below is durable */
	_Atomic uint64_t unsynced;
	_Atomic uint64_t reclaimed;
	_Atomic uint64_t waits; /* batches that waited for a segment to be prepared (B9-02) */
	_Atomic bool stock;	/* the next segment is prepared */
	_Atomic bool failed;
};

MUST_CHECK int spool_thread_create(struct spool *spool, struct spool_thread **ret_thread);
/* Finishes what waits, closes the spool in order. No job may come any more. */
void spool_thread_destroy(struct spool_thread *thread);
const struct spool_numbers *spool_thread_numbers(const struct spool_thread *thread);
/* Any thread. */
void spool_thread_append(struct spool_thread *thread, struct spool_job *job);
void spool_thread_release(struct spool_thread *thread, uint64_t segment, uint64_t count);
void spool_thread_read(struct spool_thread *thread, struct spool_read *read);
/* A copy of the times of fdatasync. Any thread. */
void spool_thread_syncs(struct spool_thread *thread, struct histogram *ret_syncs);

#endif
