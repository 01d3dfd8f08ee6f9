/*
 * lane: one (topic, group, member) on the publisher's side, to a member in this sidecar by mailbox
 * or in another by a link. Owner: the group. One thread, that of the desk.
 */
#ifndef PILLION_BROKER_LANE_H
#define PILLION_BROKER_LANE_H

#include "broker/group.h"

struct link;

enum lane_state { LANE_CLOSED, LANE_OPENING, LANE_OPEN };

struct lane {
	struct list_node node;	    /* of the group */
	struct list_node link_node; /* of the link */
	struct group *group;
	uint32_t id;
	uint8_t sidecar[16];
	char name[72];
	bool local;
	bool wanted;  /* used while the plan is compared */
	bool usable;  /* as the plan says */
	bool drained; /* the member ends: nothing new on this link (B13-04) */
	char host[256];
	uint16_t port;
	bool near; /* in our zone */
	uint32_t weight;
	enum lane_state state;
	struct link *link;
	uint64_t limit, used; /* credits: absolute counts of deliveries */
	unsigned outstanding;
	bool demanded;
	uint64_t hold_until_ms; /* paused by the member, or cooling */
	uint32_t cool_ms;
	unsigned window; /* B10-08: grows with each success after a pause; 0: no bound */
	uint64_t active_ms;
	uint64_t opened_ms; /* when it was asked for */
};

struct lane *lane_find(struct group *group, const uint8_t sidecar[16], const char *name);
struct lane *lane_create(struct group *group, const struct plan_member *member);
/* Deliveries that fly on it end as `kind`. */
void lane_destroy(struct lane *lane, unsigned kind);
struct lane *lane_by_id(struct desk *desk, uint32_t id);
/* May get one more message now. */
bool lane_ready(const struct lane *lane, uint64_t now_ms);
/* Opens it where needed and asks for credit. */
void lane_demand(struct lane *lane, uint32_t want);
bool lane_deliver(struct lane *lane, struct frame *frame); /* takes the frame; false: not sent */
/* A frame of the member. */
void lane_receive(struct desk *desk, struct frame *frame);
/* The link is lost or could not be made: what flies ends as `kind`, the lane is closed. */
void lane_lost(struct lane *lane, unsigned kind, uint64_t retry_ms);
void lane_tick(struct lane *lane);

/* link.c: the dialled side. */
MUST_CHECK int link_attach(struct lane *lane); /* makes lane->link; 0 or -EMFILE */
void link_detach(struct lane *lane);
/* False: the queue is full or the link is not up; the frame stays the caller's. */
bool link_send(struct link *link, const struct frame *frame);
bool link_ready(const struct link *link);
/* A message arrived whole, or with a wrong sum: three of those in a row end the link (B11-03). */
void link_note_sum(struct link *link, bool good);
void link_tick(struct desk *desk);
void link_close_all(struct desk *desk);

#endif
