/*
 * decision: may a request that failed be sent again, and when (docs/rules/mesh.md 5.2, MT-05). One
 * pure function over facts, so that the whole table is tested without a network. Any thread.
 */
#ifndef PILLION_EXCHANGE_DECISION_H
#define PILLION_EXCHANGE_DECISION_H

#include "upstream/upstream.h"

/* Why no further attempt was made: the `retry=` parameter of x-pillion-reason (MT-05). */
enum retry_stop {
	RETRY_STOP_NONE,
	RETRY_STOP_COMMITTED,
	RETRY_STOP_BODY,
	RETRY_STOP_UNSAFE,
	RETRY_STOP_CALLEE,
	RETRY_STOP_INHERITED,
	RETRY_STOP_MAX,
	RETRY_STOP_BUDGET,
	RETRY_STOP_DEADLINE,
	RETRY_STOP_NONE_LEFT,
	RETRY_STOP_COUNT
};

struct decision_facts {
	const struct service_policy *policy;
	enum attempt_class class; /* how the attempt ended: F0 to F4 or FS */
	bool timed_out;		  /* F2, F3, F4: by a timer of ours, not by a lost connection */
	uint16_t status; /* FS: HTTP status; gRPC 14 counts as 503, 8 as 429, others as 0 */
	bool committed;	 /* a response head was forwarded (F5) */
	bool replayable; /* the whole request can be sent again (MT-06) */
	bool idempotent;
	bool callee_no;	   /* x-pillion-retry: no, or pushback negative or unparsable */
	bool has_wait;	   /* Retry-After or pushback was given */
	uint64_t wait_ms;  /* its value */
	bool inherited;	   /* this hop serves attempt 2 or later (MT-22) */
	unsigned attempts; /* that count: the first one and all that were not free */
	unsigned free_used;
	unsigned candidates;
	bool free_f1_used;   /* the one free repetition after F1 is gone */
	bool free_lost_used; /* and the one without budget after a lost connection */
	bool budget_left;
	bool left;	       /* an untried instance is left */
	uint64_t time_left_ms; /* UINT64_MAX: no deadline */
	uint64_t random;       /* for the jitter of the delay */
	/* The own application, or a reused HTTP/1 connection that was reset (C-11, MT-11). */
	bool app_leg;
	bool stale_connection; /* reused HTTP/1 connection, reset before a response byte */
	bool fresh_used;       /* the one repetition on a fresh connection is gone */
};

struct decision {
	enum retry_stop stop; /* NONE: try again */
	bool fresh;	      /* on the same instance, by a fresh connection */
	bool counts;	      /* an attempt that counts against `max` */
	bool charged;	      /* and one that costs budget */
	uint64_t delay_ms;
};

void decision_make(const struct decision_facts *facts, struct decision *ret_decision);
/* "none_left", ...; NULL for NONE. */
const char *decision_stop_word(enum retry_stop stop);
/* Retry-After in whole seconds, or grpc-retry-pushback-ms (G-12). False: not readable. */
MUST_CHECK bool decision_parse_wait(struct slice text, bool milliseconds, uint64_t *ret_ms);
/* Is the status one that a service may be asked again for: FS by the table, or listed. */
bool decision_status_matters(const struct service_policy *policy, uint16_t status);

#endif
