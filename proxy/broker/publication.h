/*
 * publication: one message on its way into the spool: from the worker that took it to the topic's
 * owner, to the disk thread, back to the owner, back to the worker (B10-01). Also dead letters and
 * replays, which begin at the owner. Owner: whoever has it at the moment.
 */
#ifndef PILLION_BROKER_PUBLICATION_H
#define PILLION_BROKER_PUBLICATION_H

#include "broker/desk.h"
#include "broker/message.h"
#include "broker/spool_thread.h"

struct topic;

struct publication {
	struct desk_mail mail;
	struct spool_job job;
	struct message *message;
	char topic_name[288];
	uint64_t ttl_ms;
	bool wants_fsync; /* the request raised the level */
	bool wants_os;	  /* it named os, which never lowers it */
	uint8_t flags;	  /* enum record_flag */
	/* Where the answer goes. */
	uint32_t origin; /* worker */
	uint32_t slot;
	uint64_t generation;
	uint64_t counted_bytes; /* in waiting_bytes; 0: not counted */
	/* Result. */
	enum reason reason;
	struct topic *topic; /* the owner's */
	uint64_t seq;
	unsigned groups;
	bool fsync; /* level reached */
	/* Begun by the owner: runs there after the commit, or with a reason. */
	void (*on_committed)(struct publication *publication);
	struct topic *source; /* dead letter: where the message stands */
	uint64_t source_seq;
	char source_group[72];
};

struct publication *publication_create(void);
void publication_destroy(struct publication *publication);
/* For desk_post: where mail is discarded the desks end, and the broker may be gone. */
void publication_discard(struct desk_mail *mail);
/* Owner: sends it back, or runs on_committed. */
void publication_finish(struct publication *publication, enum reason reason);

#endif
