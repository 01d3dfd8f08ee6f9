/*
 * filter: what may look at an exchange, and change it (docs/rules/filters.md). A filter is one file
 * in filters/ and one line in filters/filters.c. Chains are joined listener, then service; requests
 * pass them in that order, responses in reverse. Everything runs on the worker of the exchange, in
 * its run-queue stage; a filter never blocks, and allocates in the exchange's arena.
 */
#ifndef PILLION_EXCHANGE_FILTER_H
#define PILLION_EXCHANGE_FILTER_H

#include "base/err.h"
#include "http/reply.h"

struct chain;
struct exchange;
struct config_filter_plugin;

enum filter_verdict {
	FILTER_NEXT,
	FILTER_WAIT,	/* exchange_resume will be called once; credit is held back meanwhile */
	FILTER_REPLIED, /* the filter called exchange_reply */
};

struct filter_call {
	struct exchange *exchange;
	const void *conf; /* per chain, from configure */
	void *state;	  /* per exchange, zeroed */
};

struct filter_ops { /* a NULL slot means pass; NULL body slots are never asked about bodies */
	const char *name;
	const struct config_filter_plugin *plugin; /* option table, or NULL */
	size_t conf_size;
	size_t state_size;
	/* options: as the plugin's table filled them. False with err set. */
	bool (*configure)(void *conf, const void *options, struct err *err);
	/* Requests, and request trailers by head->kind. end: no body follows. */
	enum filter_verdict (*on_request)(
		const struct filter_call *call, struct head *head, bool end);
	/* May take spans out of or put spans into body. */
	enum filter_verdict (*on_request_body)(
		const struct filter_call *call, struct chain *body, bool end);
	/* Interim and final responses and trailers, by head->kind. */
	enum filter_verdict (*on_response)(
		const struct filter_call *call, struct head *head, bool end);
	enum filter_verdict (*on_response_body)(
		const struct filter_call *call, struct chain *body, bool end);
	/* Exactly once when on_request ran, on every path (FL-05). */
	void (*on_done)(const struct filter_call *call);
};

struct filter_instance { /* one entry of a chain, in the snapshot */
	const struct filter_ops *ops;
	void *conf;
};

struct filter_chain {
	const struct filter_instance *filters;
	unsigned count;
};

/* For filters: */
struct arena *exchange_arena(struct exchange *exchange);
struct block_pool *exchange_pool(struct exchange *exchange);
uint64_t exchange_now_ns(const struct exchange *exchange);
/* Continues after FILTER_WAIT. Same worker, not from inside the slot that waits. */
void exchange_resume(struct exchange *exchange);
/* Ends the exchange with this answer; reply's form, by, trace and outcome are filled in here. */
void exchange_reply(struct exchange *exchange, const struct reply *reply);
/* Ends it with an answer of the filter's own: head is HEAD_RESPONSE in the exchange's arena. */
void exchange_respond(
	struct exchange *exchange, const struct head *head, struct slice body, enum reason reason);
/* The head goes on only with the first body bytes or the end that come out of the filters: for
 * those that gather a body before they know what the head says. Called from on_request,
 * on_response. A held head may still be edited, or be replaced by exchange_reply and
 * exchange_respond. */
void exchange_hold_request_head(struct exchange *exchange);
void exchange_hold_response_head(struct exchange *exchange);
/* The head or the trailers under way end the message, but the filter has a body to give: trailers
 * are dropped, and the body slots are called once more, with end. From on_request, on_response, or
 * while the filter waits. */
void exchange_add_request_body(struct exchange *exchange);
void exchange_add_response_body(struct exchange *exchange);
/* An answer was given meanwhile, or none can be given any more: a filter that waits lets go. */
bool exchange_is_answered(const struct exchange *exchange);
/* Sent instead of a plain end after the response body; in the exchange's arena. Trailers of the
 * upstream that a filter empties end the body plainly. */
void exchange_set_response_trailers(struct exchange *exchange, struct head *trailers);
/* Kept bytes that a filter gathers against a budget of its own are credited by this (FL-04). */
void exchange_credit_request(struct exchange *exchange, size_t bytes);
void exchange_credit_response(struct exchange *exchange, size_t bytes);
/* Facts for filters. */
bool exchange_is_inbound(const struct exchange *exchange);
bool exchange_to_app(const struct exchange *exchange); /* the upstream is the own application */
struct slice exchange_trace_id(const struct exchange *exchange);
struct slice exchange_service_name(const struct exchange *exchange); /* empty: not known yet */
struct slice exchange_peer_host(const struct exchange *exchange);    /* empty: in-process */
const struct head *exchange_request_head(const struct exchange *exchange);
/* What the chosen upstream speaks: HTTP/2 (true) or HTTP/1; known before on_request of service and
 * application filters runs. A gRPC request that is still one after them needs HTTP/2 (G-02). */
bool exchange_upstream_h2(const struct exchange *exchange);
/* Time left until the deadline in ns; UINT64_MAX: none. */
uint64_t exchange_time_left_ns(const struct exchange *exchange);
void *exchange_worker_slot(struct exchange *exchange, unsigned slot); /* see exchange/server.h */

#endif
