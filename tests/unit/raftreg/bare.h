/*
 * bare: a replica without network and disk: the registry thread's own code on the test's loop, one
 * turn at a time. Accepted streams are slots of a pretended worker, peers and the store only note
 * what they are given.
 */
#ifndef PILLION_TESTS_RAFTREG_BARE_H
#define PILLION_TESTS_RAFTREG_BARE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "raftreg/fanout.h"
#include "raftreg/node.h"

#define BARE_STREAMS 80
#define BARE_FRAMES  4096

struct bare_stream {
	struct buf frames[BARE_FRAMES]; /* what the replica sent and nobody took yet */
	size_t count, bytes;
	int status; /* it ended with; -1: it did not */
};

struct bare {
	struct raftreg_node *node;
	struct bare_stream *streams;
	struct buf relayed[64]; /* by peers_relay */
	size_t relay_count;
	bool relay_down;
	uint64_t submitted; /* the last sequence that the store was given */
};

extern struct bare bare;

/* A member of a cluster of which replica 2 leads; state and fan-out are empty. */
void bare_create(void);
void bare_destroy(void);
/* It leads, alone: what it proposes is durable and applied within a few turns. */
void bare_lead(void);
void bare_turn(void);

/* A stream of a kind in a slot; a session says hello by itself. */
void bare_open(unsigned slot, enum door_kind kind);
/* A session that says this hello, whatever comes of it. */
void bare_greet(unsigned slot, const struct packet *hello);
void bare_close(unsigned slot);
void bare_send(unsigned slot, const struct packet *frame, const struct item *items, size_t count);
/* The first word of a replica on a stream of its kind. */
void bare_hello(unsigned slot, uint64_t id);
/* The reader takes everything: its frames are forgotten, and the replica may send again. */
void bare_take(unsigned slot);
/* Frame i as decoded; fails when there are not so many. */
struct packet bare_frame(unsigned slot, size_t i);
/* "BSSE": kinds of all frames that wait: Begin Set End Delta booKmark Answer Welcome. */
const char *bare_kinds(unsigned slot);

/* Commands as one entry: an instance of a service by a session, or its end. */
void bare_register(unsigned session, const char *service, uint16_t port);
/* Methods of a version, by session 1; they go with its last instance. */
void bare_define(const char *service, const char *version, const char *method);
/* A record of nobody's in a set; the value is `size` bytes. */
void bare_record(const char *set, const char *key, size_t size, bool remove);
/* Command 8: empty sets up to this index are forgotten. */
void bare_forget(uint64_t index);
void bare_publish(void);

#endif
