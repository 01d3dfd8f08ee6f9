/*
 * topic: one topic on its owner worker: the index of its messages in the spool, its groups with
 * their cursors, and what is on its way to them (docs/rules/broker.md 10). Topics live as long as
 * the broker; groups go by command or when they were ephemeral. One thread, that of the desk.
 */
#ifndef PILLION_BROKER_TOPIC_H
#define PILLION_BROKER_TOPIC_H

#include "broker/cursor.h"
#include "broker/desk.h"
#include "broker/frame.h"
#include "broker/message.h"
#include "broker/publication.h"
#include "broker/spool_thread.h"

#define TOPIC_DLQ_GROUP "~dlq" /* the cursor of dead letters that were dropped or replayed */

struct topic_entry {
	struct spool_message at;
	bool reading;
	uint8_t failures;	 /* of reading it, in a row */
	struct message *message; /* kept in memory, or NULL */
};

struct topic {
	struct desk *desk;
	char *name;
	uint32_t number;	     /* 0: not bound yet */
	bool naming, named;	     /* its TOPIC record is under way; stands in the log */
	bool dead_letters;	     /* <topic>.dlq.<group> */
	uint64_t last_seq;	     /* given */
	uint64_t committed_seq;	     /* visible to groups */
	struct topic_entry *entries; /* ascending; [first, first + count) */
	size_t first, count, capacity;
	size_t refused;	    /* of those, numbers without a message */
	uint64_t *refusals; /* numbers that must still be noted as refused */
	size_t refusal_count;
	uint64_t bytes;
	struct list_node groups;
	unsigned group_count;
	struct counters_topic *counters;
	struct task task;  /* groups have something to do */
	uint64_t *replays; /* dead letters that wait to be replayed */
	size_t replay_count;
};

/* A number that was given and refused: no message of anybody (B1-03). */
static inline bool topic_entry_refused(const struct topic_entry *entry)
{
	return (entry->at.flags & RECORD_REFUSED) != 0;
}

enum pending_state { PENDING_WAITS, PENDING_FLIES, PENDING_DIES };

/* A message that was handed out, or failed and waits for its next time. */
struct pending {
	uint64_t seq;
	enum pending_state state;
	uint16_t app, suspect;
	uint64_t due_ms;
	size_t place;	   /* in the heap, SIZE_MAX: not there */
	struct lane *lane; /* while it flies */
	uint64_t sent_ms;
	uint64_t first_wall_ms, last_wall_ms;
	uint32_t status;	   /* the last answer */
	char *detail;		   /* its text, malloc'ed; or NULL */
	enum counters_death death; /* while it dies */
};

struct group {
	struct list_node node;
	struct topic *topic;
	uint64_t serial; /* unlike the name its own for ever */
	char name[72];
	const struct plan_group *settings; /* in the desk's plan; NULL: not known there */
	bool durable;
	bool hidden; /* TOPIC_DLQ_GROUP: only a cursor */
	struct cursor cursor;
	uint64_t next;	     /* the first number never looked at */
	struct map pendings; /* seq -> struct pending */
	struct pending **heap;
	size_t heap_count, heap_capacity;
	unsigned in_flight;
	struct list_node lanes;
	unsigned near_lanes; /* of members in our zone */
	uint64_t backlog;
	/* Checkpoints (B8-03): what is done and not yet in a CURSOR record. */
	unsigned dirty;
	uint64_t dirty_since_ms;
	bool writing;
	uint64_t written_floor, written_lsn; /* of the last CURSOR record written */
	uint64_t durable_floor;		     /* of the last one that was synced */
	uint64_t gone_since_ms;		     /* ephemeral: without a member since */
	uint64_t last_error_ms;
	char last_error[176];
	struct timer timer; /* the next redelivery or the end of a pause */
	struct counters_group *counters;
};

/* topic.c */
struct topic *topic_find(struct desk *desk, struct slice name);
/* Made when absent; NULL with the reason when it may not be. */
struct topic *topic_open(struct desk *desk, struct slice name, enum reason *ret_reason);
/* At the start: what recovery found. */
void topic_adopt(struct desk *desk, struct spool_topic *found);
void topic_free(struct topic *topic);
struct topic_entry *topic_at(struct topic *topic, uint64_t seq);
/* The first entry with a number above seq, or NULL. */
struct topic_entry *topic_after(struct topic *topic, uint64_t seq);
void topic_publish(struct topic *topic, struct publication *publication);
void topic_tick(struct topic *topic);
void topic_wake(struct topic *topic);
/* Keeps the message in memory until newer ones push it out. */
void topic_keep(struct topic *topic, struct topic_entry *entry, struct message *message);
/* The next delivery reads it from the disk again (B11-03). */
void topic_forget(struct topic *topic, uint64_t seq);
void topic_plan_changed(struct topic *topic);
/* Asks for the bytes of an entry and of some behind it; topic_wake follows. */
void topic_read(struct topic *topic, struct topic_entry *entry);
/* A CURSOR record of that group; body is copied. done may be NULL. */
void topic_write_cursor(struct group *group, struct slice body, uint64_t floor);

/* topic_index.c */
void topic_add(struct topic *topic, const struct topic_entry *entry);
/* Gives messages back from the front; `relief`: 1 history too, 2 unclaimed
 * ones as well (B9-09, B9-10). */
void topic_release(struct topic *topic, unsigned relief);
/* Drops the oldest pending ones until so many bytes are free (on_full: drop_oldest). */
void topic_drop_oldest(struct topic *topic, uint64_t bytes);

#endif
