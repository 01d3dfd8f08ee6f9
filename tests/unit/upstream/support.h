/*
 * support: one loop with an upstream, servers in the same loop, and callers that make whole
 * exchanges by attempts. Everything runs over loopback TCP with ports that the kernel chooses.
 */
#ifndef PILLION_TESTS_UPSTREAM_SUPPORT_H
#define PILLION_TESTS_UPSTREAM_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/block.h"
#include "base/clock.h"
#include "net/loop.h"
#include "upstream/attempt.h"
#include "upstream/connection.h"
#include "upstream/service.h"

#define HELD_MAX   256
#define CALLER_MAX 256

struct listener;
struct fixture;

struct server {
	struct fixture *fixture;
	struct listener *listener;
	uint16_t port;
	unsigned accepted, open, requests, resets;
	bool hold;	  /* keep requests until server_release */
	bool close_after; /* answer with Connection: close */
	bool raw;	  /* keep transports without a codec, see raw_transports */
	struct stream *held[HELD_MAX];
	unsigned held_count;
	struct connection *connections[HELD_MAX];
	unsigned connection_count;
	struct transport *raw_transports[HELD_MAX];
	unsigned raw_count;
};

struct fixture {
	struct loop *loop;
	struct block_pool pool;
	struct http_limits limits;
	struct rng rng;
	struct upstream *upstream;
	struct service_policy policy;
	unsigned unknown, verdicts, forgotten;
	enum tier last_verdict;
	uint8_t last_verdict_id[16];
};

struct caller {
	struct attempt attempt; /* first */
	struct fixture *fixture;
	struct selection selection;
	enum attempt_state started;
	unsigned ready_calls;
	unsigned order; /* when on_ready came */
	bool post, hold;
	bool done, reset;
	enum reason why;
	uint16_t status;
	size_t body;
	uint8_t chosen[16];
};

int fixture_setup(void **state);
int fixture_teardown(void **state);
void fixture_turn(struct fixture *fixture, int times);
/* Turns the loop until the condition holds; fails the test after a generous bound. */
#define TURN_UNTIL(fixture, condition)                                                             \
	do {                                                                                       \
		for (uint64_t end_ = clock_monotonic_ms() + 60000; !(condition);) {                \
			assert_true(clock_monotonic_ms() < end_);                                  \
			loop_turn((fixture)->loop, 5);                                             \
		}                                                                                  \
	} while (0)
void fixture_sleep(struct fixture *fixture, uint64_t ms);

void server_start(struct server *server, struct fixture *fixture);
void server_stop(struct server *server);
void server_release(
	struct server *server, unsigned count); /* answers held requests, oldest first */
/* A port where nothing listens. */
uint16_t closed_port(void);

/* A set of `count` instances on the ports; ids are {0xaa, i + 1, ...}. */
struct instance_set *make_set(const char *service, const uint16_t *ports, uint32_t count,
	enum instance_protocol protocol);
void give_set(struct fixture *fixture, const char *service, const uint16_t *ports, uint32_t count,
	enum instance_protocol protocol);
struct service *service_of(struct fixture *fixture, const char *name);

void caller_init(struct caller *caller, struct fixture *fixture, struct service *service);
enum attempt_state caller_start(struct caller *caller);
void caller_finish(struct caller *caller, enum attempt_class class);
/* Start, answer, finish; asserts 200. */
void call_once(struct fixture *fixture, struct service *service);

#endif
