/*
 * desk: the broker's part of one worker: the topics it owns, the members and links that live there.
 * Desks speak by mail. Everything here belongs to that worker's thread, but for what is said to be
 * shared: struct broker's atomics and immutable values. No pointer into a desk crosses threads.
 */
#ifndef PILLION_BROKER_DESK_H
#define PILLION_BROKER_DESK_H

#include "base/block.h"
#include "base/map.h"
#include "base/rng.h"
#include "broker/broker.h"
#include "broker/counters.h"
#include "broker/gate.h"
#include "broker/plan.h"
#include "net/loop.h"
#include "net/mailbox.h"
#include "net/timer.h"

struct desk;
struct directory;
struct exchange_server;
struct spool;
struct spool_thread;

#define DESK_TICK_MS	   100
#define DESK_CACHE_BYTES   ((size_t)32 << 20) /* L7, of all workers */
#define DESK_WAITING_MAX   4096		      /* L1 */
#define DESK_WAITING_BYTES ((uint64_t)16 << 20)
#define DESK_TOPICS_MAX	   10000  /* L2, without dead-letter topics */
#define DESK_CURSORS_MAX   100000 /* L3 */
#define DESK_GROUPS_MAX	   256	  /* of a topic, L2 */
#define DESK_LINKS_MAX	   1024	  /* L4 */
#define DESK_LANES_MAX	   1024	  /* of a link, L4 */
#define DESK_WAITERS_MAX   1024	  /* parked fetches, L6 */

struct desk_mail {
	struct mail mail;
	struct desk *desk; /* the receiver */
	struct gate *gate;
	void (*run)(struct desk *desk, struct desk_mail *mail);
	void (*discard)(struct desk_mail *mail); /* only frees */
};
/* Any thread. run gets the mail on the desk's thread; discard where the desk is gone. */
void desk_post(struct desk *desk, struct desk_mail *mail,
	void (*run)(struct desk *desk, struct desk_mail *mail),
	void (*discard)(struct desk_mail *mail));

struct desk_ticket { /* a request that waits for another thread */
	void *owner;
	uint64_t generation;
};

struct desk {
	struct broker *broker;
	struct gate *gate; /* of mail to this desk */
	unsigned index;
	struct loop *loop;
	struct exchange_server *server; /* NULL: not attached, or detached */
	struct plan *plan;
	struct rng rng;
	struct timer tick;
	struct map topics; /* name -> struct topic */
	struct map lanes;  /* id -> struct lane, of groups of those topics */
	uint32_t next_lane;
	struct map links;   /* "host:port" -> struct link, dialled */
	struct map members; /* "group/name" -> struct member, of this sidecar */
	struct map inlets;  /* origin and lane -> struct inlet */
	struct link_in **accepted;
	uint32_t accepted_count, accepted_live;
	uint64_t next_generation;
	struct desk_ticket *tickets;
	uint32_t ticket_count;
	struct block_pool pool;		/* of connections that this room dials */
	struct http_limits limits;	/* of pushes */
	struct http_limits link_limits; /* the same, with PINGs: only sidecars are asked (H2-37) */
	struct list_node cache;		/* messages kept in memory, oldest first */
	size_t cache_bytes;
	uint64_t ticks;
};

struct broker { /* shared; fixed after broker_create unless atomic */
	struct desk *desks;
	unsigned workers;
	uint8_t sidecar[16];
	char service[256];
	char host[256];
	uint16_t port;
	struct loop *control_loop;
	struct gate *gate; /* of mail to control */
	struct registry *registry;
	struct resolver *resolver;
	struct spool *spool;	     /* the spool thread's, after the start */
	struct spool_thread *thread; /* NULL: off */
	char off_reason[128];
	int lock_fd;
	uint64_t log;
	uint64_t spool_bytes;
	struct counters counters;
	struct directory *directory; /* control's */
	struct arena owned;	     /* of control */
	_Atomic bool draining;
	_Atomic uint32_t waiting; /* publishes without their commit */
	_Atomic uint64_t waiting_bytes;
	_Atomic uint32_t delivering;	/* deliveries without a result */
	_Atomic uint32_t pushing;	/* requests to the application */
	_Atomic uint32_t parked;	/* fetches */
	_Atomic uint32_t topics;	/* ordinary ones */
	_Atomic uint32_t topic_numbers; /* the last one given */
	_Atomic uint32_t topic_places;	/* numbers given, and topics that may still ask for one */
	_Atomic uint32_t cursors;
	_Atomic int64_t wall_offset_ms; /* wall minus monotonic (B9-11) */
};

/* desk.c */
void desk_init(struct desk *desk, struct broker *broker, unsigned index, struct loop *loop);
void desk_attach(struct desk *desk, struct exchange_server *server);
void desk_detach(struct desk *desk);
void desk_fini(struct desk *desk);
void desk_set_plan(struct desk *desk, struct plan *plan); /* takes the reference */
uint64_t desk_wall_ms(const struct desk *desk);
uint64_t desk_now_ms(const struct desk *desk);
/* Slots for requests that wait: the number and generation travel, the pointer does not. */
uint32_t desk_ticket(struct desk *desk, void *owner, uint64_t *ret_generation);
void *desk_ticket_take(struct desk *desk, uint32_t slot, uint64_t generation);

#endif
