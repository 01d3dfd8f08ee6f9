/*
 * attempt: one try of an exchange on one instance (mesh.md M0-01). The exchange embeds a
 * `selection` (all instances tried so far, never one twice: MS-01) and starts attempts from it.
 * Each attempt ends by attempt_finish exactly once on every path (MS-02). One thread.
 */
#ifndef PILLION_UPSTREAM_ATTEMPT_H
#define PILLION_UPSTREAM_ATTEMPT_H

#include "net/loop.h"
#include "net/timer.h"
#include "upstream/upstream.h"

#define SELECTION_TRIED_MAX 16

struct instance_state;

struct selection {
	struct service *service;
	const struct service_policy *policy;
	uint8_t tried[SELECTION_TRIED_MAX][INSTANCE_ID_SIZE]; /* id, or hash of the address */
	unsigned tried_count;
	uint64_t first_key; /* first random key drawn, for the record (MS-12) */
};

enum attempt_state { ATTEMPT_READY, ATTEMPT_WAIT, ATTEMPT_FAILED };

struct attempt {
	struct selection *selection;
	/* WAIT ended: stream is set, or NULL with `failure`. From the run queue, never inside. */
	void (*on_ready)(struct attempt *attempt);
	void *owner;
	struct stream *stream; /* set when READY; its ops and owner are for the exchange to set */
	enum reason failure;   /* why there is no stream: no_instance, connect_refused ... */
	const char *failure_text; /* for people; may be NULL */
	bool later_attempt;  /* the exchange's second or later: met at 90 % by retry_shed (MC-01) */
	bool non_idempotent; /* takes only H1 connections idle <= 500 ms (MT-03) */
	uint64_t deadline_ms; /* never wait beyond; 0: none */
	/* Filled when an instance was chosen: */
	const struct instance *instance; /* valid while the attempt lives (its set is held) */
	struct instance_set *set;
	struct list_node node; /* waiter queue */
	/* Of attempt.c: */
	struct timer timer;
	struct task task;
	struct service *service;
	struct instance_state *state;
	unsigned phase; /* 0: no attempt is under way; zero the struct before its first use */
	bool fresh;	/* takes only a connection that carried nothing before */
	bool slot;
	bool lost; /* its connection went before the owner took the stream */
};

void selection_init(
	struct selection *selection, struct service *service, const struct service_policy *policy);
/* Are untried, usable instances left? (retry=none_left) */
bool selection_left(const struct selection *selection);
unsigned selection_candidates(const struct selection *selection);

/* Chooses an instance and a connection. READY: attempt->stream is usable now. WAIT: on_ready comes.
 * FAILED: attempt->failure says why (nothing was sent: class F0). */
enum attempt_state attempt_start(struct attempt *attempt, struct selection *selection);
/* Ends it: marks load and health (MS-02), gives the slot back, releases the stream (stream_reset
 * with `why` when it is unfinished). Cancels a waiting one. Idempotent. */
void attempt_finish(struct attempt *attempt, enum attempt_class class, enum reason why);
/* Same instance, fresh connection, for the app leg and C-11. */
enum attempt_state attempt_restart_fresh(struct attempt *attempt);
/* MT-01: how far the request of this attempt got, from byte counters. */
enum attempt_class attempt_progress(const struct attempt *attempt, bool request_complete);
/* The answer said draining, or 421: the instance goes to that tier. */
void attempt_set_tier(struct attempt *attempt, enum tier tier);
/* First good response: "contacted" (leaves suspect that was loaded from disk). */
void attempt_contacted(struct attempt *attempt);

#endif
