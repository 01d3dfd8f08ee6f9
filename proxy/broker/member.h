/*
 * member: a consumer of this sidecar: a subscription that is pushed to the application, or what
 * fetches by the local API. It owns one pool of credits (`max_in_flight`) and gives them to the
 * lanes that ask, first come (docs/rules/broker.md 10, 7, 6). Lives on its home worker.
 */
#ifndef PILLION_BROKER_MEMBER_H
#define PILLION_BROKER_MEMBER_H

#include "broker/desk.h"
#include "broker/frame.h"
#include "broker/names.h"

#define MEMBER_LATE 256
#define MEMBER_KEPT 256

struct delivery;
struct member;

/* A lane seen from the member. */
struct inlet {
	struct list_node node; /* of the member */
	struct member *member;
	struct frame_origin origin;
	uint32_t lane;
	char topic[288];
	uint64_t log;	      /* of the publisher; 0: this sidecar */
	uint64_t limit, most; /* granted now, and ever */
	uint64_t delivered;
	uint32_t want;
	struct frame *results; /* gathered in this turn */
	struct list_node deliveries;
};

struct member {
	struct desk *desk;
	char key[160]; /* "group/name" */
	char group[72];
	char name[72];
	const struct plan_local *settings; /* in the desk's plan; NULL: gone from it */
	struct list_node inlets;
	unsigned open; /* deliveries without an outcome */
	uint64_t open_bytes;
	unsigned granted; /* credits that were given and not used */
	uint64_t hold_until_ms;
	uint32_t busy_ms, endpoint_ms, infra_ms; /* the next pause of each kind */
	uint64_t acked_ms;			 /* the last acknowledgement */
	bool gone_410;				 /* paused until it registers anew or by command */
	struct map leases;			 /* counter -> struct delivery */
	struct list_node parked;		 /* struct fetch */
	uint64_t fetched_ms;
	bool fetched; /* made by a fetch, not by the configuration */
	struct task task;
	/* Leases that ran out: a late ack still counts (B10-12). */
	struct late_lease {
		struct lease lease;
		struct frame_origin origin;
		uint32_t lane;
		uint64_t seq;
	} late[MEMBER_LATE];
	unsigned late_next;
	/* Acknowledgements whose lane was gone: for the next one (B10-12). */
	struct kept_ack {
		uint64_t log, seq, at_ms;
		char topic[288];
	} * kept;
	unsigned kept_next;
};

/* One message handed to the consumer. */
struct delivery {
	struct list_node node; /* of the inlet */
	struct inlet *inlet;   /* NULL: the lane is gone */
	struct member *member;
	struct message *message;
	uint64_t seq;
	uint32_t attempt;
	struct lease lease;
	struct timer timer; /* ack_wait */
	uint64_t started_ms;
	struct push *push; /* NULL: fetched */
	uint64_t log;
	char topic[288];
};

struct member *member_find(struct desk *desk, struct slice group, struct slice name);
struct member *member_create(struct desk *desk, struct slice group, struct slice name);
void member_destroy(struct member *member);
void member_plan_changed(struct desk *desk);
/* A frame of a publisher. */
void member_receive(struct desk *desk, struct frame *frame);
/* An accepted link is gone. */
void member_origin_lost(struct desk *desk, const struct frame_origin *origin);
/* Credits that may be given now go to those who asked. */
void member_grant(struct member *member);
/* ack_wait begins again (B6-05, A3). */
void member_extend(struct delivery *delivery);
/* The outcome; frees the delivery. */
void member_settle(struct delivery *delivery, const struct frame_outcome *outcome);
/* A lease that ran out; `ack`: its acknowledgement goes to the publisher. False: not known. */
bool member_late(struct member *member, const struct lease *lease, bool ack);
/* The member pauses: a Hold on every lane. */
void member_hold(struct member *member, uint32_t delay_ms, uint32_t status);
/* Every pause ends, here and at the publishers (B7-08). */
void member_resume(struct member *member);
void member_tick(struct member *member);
/* How many messages it takes at once now. */
unsigned member_capacity(const struct member *member);

/* push.c */
void push_start(struct delivery *delivery);
void push_cancel(struct delivery *delivery); /* the answer is of no interest any more */
/* Settles by the head that came, whatever its body still does; false: none came. */
bool push_decide(struct delivery *delivery);

/* fetch.c */
bool fetch_take(struct member *member, struct delivery *delivery); /* false: nobody is parked */
unsigned fetch_wanted(const struct member *member);
void fetch_flush(struct member *member, bool all); /* answers those that have something */
void fetch_open(void *context, const struct endpoint_request *request);

/* link_in.c: the accepted side. */
void link_in_open(void *context, const struct endpoint_request *request);
void link_in_send(struct desk *desk, struct frame *frame); /* takes it */
void link_in_close_all(struct desk *desk);

#endif
