/*
 * exchange_begin: the first look at a request: may it be served at all, by when, and where does it
 * go (mesh.md 1 and 6, http.md 7 and 8).
 */
#include "exchange/exchange_steps.h"

#include <stdio.h>

#include "exchange/identity.h"
#include "http/grpc.h"

#define EXCHANGE_PILLION_PATHS "/pillion.v1."
/* MA-12 */
#define EXCHANGE_HOPS_MAX 10

static const struct slice exchange_allow = SLICE("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

static void exchange_refuse_method(struct exchange *x)
{
	struct reply reply = {
		.reason = REASON_method_forbidden, .grpc = -1, .allow = exchange_allow};

	exchange_answer(x, &reply, x->begun_filters - 1);
}

/* U-11: OPTIONS with Max-Forwards 0 is answered here, otherwise the number goes down. */
static bool exchange_max_forwards(struct exchange *x)
{
	struct head *head = x->req.head;
	struct slice value = head_value(head, TOKEN_max_forwards);
	struct head *answer;
	uint64_t left;
	char text[24];

	if (head->method != METHOD_OPTIONS || !slice_parse_u64(value, UINT32_MAX, &left)) {
		return true;
	}
	if (left > 0) {
		int size = snprintf(text, sizeof(text), "%llu", (unsigned long long)(left - 1));

		head_set(head, TOKEN_max_forwards, slice_make(text, (size_t)size));
		return true;
	}
	answer = arena_alloc(&x->down->arena, sizeof(*answer));
	head_init(answer, &x->down->arena, HEAD_RESPONSE);
	reply_plain(answer, 200, SLICE(""), 0);
	head_add_token(answer, TOKEN_allow, exchange_allow);
	x->reason = REASON_respond;
	x->outcome = OUTCOME_PROCESSED;
	exchange_serve(x, answer, NULL, x->begun_filters - 1);
	return false;
}

/* B7, LM-04: more than the worker may hold is refused before anything is done for it. */
bool exchange_has_room(const struct exchange *x)
{
	const struct exchange_server *server = x->server;
	uint32_t most = x->hold->limits.exchanges_max;

	if (most != 0 && server->exchange_count >
				 (most + server->options.workers - 1) / server->options.workers) {
		return false;
	}
	return server->options.buffers_max == 0 ||
	       server->pool.live_bytes <= server->options.buffers_max;
}

/* D-04: HTTP/1 requests on open connections are still served. */
static bool exchange_too_late(const struct exchange *x)
{
	return x->inbound && x->from != NULL && x->server->draining && x->version == HTTP_2;
}

/* REASON_ok: it may go on. In the order in which a client should learn of them. */
static enum reason exchange_may_pass(struct exchange *x)
{
	const struct head *head = x->req.head;
	struct slice via = slice_from_string(x->server->via[x->inbound][x->version]);

	if (x->overloaded) {
		return REASON_overloaded;
	}
	if (head_find(head, TOKEN_via) != NULL && forward_is_loop(head, via)) {
		return REASON_loop;
	}
	if (x->wishes.hops >= EXCHANGE_HOPS_MAX) {
		return REASON_loop;
	}
	/* U-09: what an endpoint serves never came here; the rest of these paths is nobody's. */
	if (x->peer != FORWARD_FROM_SELF &&
		slice_starts_with(head->path, SLICE(EXCHANGE_PILLION_PATHS))) {
		return REASON_reserved_path;
	}
	if (exchange_too_late(x)) {
		return REASON_draining;
	}
	if (x->hold->limits.body_bytes != 0 && head->body == BODY_LENGTH &&
		head->length > x->hold->limits.body_bytes) {
		return REASON_body_too_large;
	}
	return REASON_ok;
}

/* The deadline is kept on the loop's clock, from the turn in which the head was read. */
static void exchange_limit(struct exchange *x, uint64_t left_ns)
{
	uint64_t now = loop_now_ns(x->server->options.loop);
	uint64_t deadline = left_ns < UINT64_MAX - now ? now + left_ns : UINT64_MAX;

	/* MD-02: it never moves later. */
	x->deadline_ns = deadline < x->deadline_ns ? deadline : x->deadline_ns;
}

/* MD-01: what the caller wants. False: bad_deadline. */
static bool exchange_read_deadline(struct exchange *x)
{
	const struct field *timeout = head_find(x->req.head, TOKEN_grpc_timeout);
	uint64_t left_ns;

	if (x->wishes.deadline_ms != 0) {
		exchange_limit(x, x->wishes.deadline_ms * 1000000);
	}
	if (x->grpc && timeout != NULL) {
		if (!grpc_parse_timeout(timeout->value, &left_ns)) {
			return false;
		}
		exchange_limit(x, left_ns);
	}
	return true;
}

/* T-05, T-11: class S may be silent for long. */
bool exchange_is_streaming(struct slice type)
{
	static const struct slice types[] = {SLICE("application/grpc"),
		SLICE("application/connect+"), SLICE("text/event-stream"),
		SLICE("application/x-ndjson"), SLICE("application/json-seq"),
		SLICE("multipart/x-mixed-replace")};

	for (size_t i = 0; type.size > 0 && i < ARRAY_SIZE(types); i++) {
		if (type.size >= types[i].size &&
			slice_equal_fold(slice_make(type.data, types[i].size), types[i])) {
			return true;
		}
	}
	return false;
}

/* Once for all attempts; what differs between attempts is written by forward_attempt. */
static void exchange_edit_head(struct exchange *x)
{
	struct head *head = x->req.head;
	struct forward_hop hop = {
		.inbound = x->inbound,
		.peer = x->peer,
		.via = slice_from_string(x->server->via[x->inbound][x->version]),
	};

	if (x->from != NULL) {
		hop.peer_host = x->from->peer_host;
	}
	x->request_id = identity_request(head, &x->server->rng, x->peer != FORWARD_FROM_OTHER);
	x->streaming = exchange_is_streaming(head_value(head, TOKEN_content_type));
	head->scheme = SLICE("http");
	forward_request(head, &hop);
}

bool exchange_begin(struct exchange *x)
{
	enum reason why;

	ASSERT(!x->begun);
	x->begun = true;
	why = exchange_may_pass(x);
	if (why == REASON_ok && !exchange_read_deadline(x)) {
		why = REASON_bad_deadline;
	}
	if (why != REASON_ok) {
		exchange_fail(x, why, SLICE(""));
		return false;
	}
	if (x->req.head->method == METHOD_TRACE || x->req.head->method == METHOD_CONNECT ||
		slice_equal(x->req.head->method_text, SLICE("TRACK"))) {
		exchange_refuse_method(x);
		return false;
	}
	if (!exchange_max_forwards(x)) {
		return false;
	}
	exchange_edit_head(x);
	return true;
}

static void exchange_set_series(struct exchange *x, struct slice name, bool inbound)
{
	ASSERT(x->series == NULL);
	x->series = server_series(x->server, name, inbound);
	stat_add(&x->series->in_flight, 1);
}

/* Inbound: is it for this sidecar's service (MI-06), and is the application there (ML-04)? */
static bool exchange_choose_app(struct exchange *x)
{
	struct slice own = slice_from_string(x->snapshot->service_name);
	enum reason why = REASON_ok;

	if (x->wishes.service.size > 0 && !slice_equal(x->wishes.service, own)) {
		why = REASON_wrong_service;
	} else if (!x->snapshot->has_app) {
		why = REASON_wrong_service;
	} else if (!x->server->app_ready) {
		why = REASON_app_not_ready;
	}
	x->route.source = ROUTE_FROM_APP;
	x->route.name = own.size > 0 ? own : SLICE("app");
	exchange_set_series(x, x->route.name, true);
	if (why != REASON_ok) {
		exchange_fail(x, why, SLICE(""));
		return false;
	}
	x->to_app = true;
	x->policy = &x->snapshot->app_policy;
	if (!x->raw) {
		pipe_add_filters(x, &x->snapshot->app_filters);
	}
	selection_init(
		&x->selection, upstream_fixed(x->server->upstream, &x->server->app), x->policy);
	return true;
}

static void exchange_set_authority(struct exchange *x, const struct route_query *query)
{
	/* MA-05, A-13: our own address, or none, means nothing to whom it is sent. */
	if (x->inbound) {
		x->route.own_address = x->req.head->authority.size == 0 ||
				       route_is_own(query, x->req.head->authority);
	}
	if (x->route.own_address) {
		x->req.head->authority = x->route.name;
	}
}

/* A host outside the mesh: its address decides (MA-09). */
static bool exchange_choose_external(struct exchange *x)
{
	const struct service_snapshot *service = x->snapshot->default_service;

	exchange_set_series(x, SLICE("_external"), false);
	x->policy = &service->policy;
	pipe_add_filters(x, &service->filters);
	x->resolving = true;
	egress_resolve(x);
	return !x->resolving;
}

/* egress.c found out: the address may be dialled, or why not. */
void exchange_resolved(struct exchange *x, enum reason why, const struct address *address)
{
	struct fixed_target target = {.protocol = INSTANCE_HTTP1};
	struct service *service;

	x->resolving = false;
	if (why != REASON_ok) {
		exchange_fail(x, why, x->route.name);
		return;
	}
	target.name = arena_string(&x->down->arena, x->route.name);
	target.host = target.name;
	target.address = *address;
	target.port = x->route.port != 0 ? x->route.port : 80;
	service = upstream_fixed(x->server->upstream, &target);
	if (service == NULL) {
		exchange_fail(x, REASON_overloaded, SLICE(""));
		return;
	}
	selection_init(&x->selection, service, x->policy);
	exchange_mark(x);
}

/* The first use of a name opens a subscription below us and waits for the answer there (MA-04). */
static bool exchange_choose_service(struct exchange *x)
{
	const struct service_snapshot *service = snapshot_service(x->snapshot, x->route.name);
	struct service *target = upstream_service(x->server->upstream, x->route.name);

	exchange_set_series(x, x->route.name, false);
	if (target == NULL) {
		exchange_fail(x, REASON_service_unknown, SLICE("too many names are in use"));
		return false;
	}
	x->policy = &service->policy;
	pipe_add_filters(x, &service->filters);
	selection_init(&x->selection, target, x->policy);
	return true;
}

/* After the listener's filters: the name, the service, its policy. False: answered, or waiting. */
bool exchange_choose(struct exchange *x)
{
	struct route_query query = {
		.snapshot = x->snapshot,
		.upstream = x->server->upstream,
		.listener = x->listener,
		.local = x->from != NULL ? &x->from->local : NULL,
		.head = x->req.head,
		.wanted = x->wishes.service,
		.grpc = x->grpc,
		.arena = &x->down->arena,
	};
	enum reason why;
	bool chosen;

	ASSERT(!x->routed);
	x->routed = true;
	if (x->inbound) {
		chosen = exchange_choose_app(x);
	} else {
		why = route_resolve(&query, &x->route);
		if (why != REASON_ok) {
			exchange_fail(x, why, SLICE(""));
			return false;
		}
		chosen = x->route.external ? exchange_choose_external(x)
					   : exchange_choose_service(x);
	}
	if (x->resp.own) {
		return false;
	}
	exchange_set_authority(x, &query);
	if (x->policy->timeout_ms > 0) {
		exchange_limit(x, (uint64_t)x->policy->timeout_ms * 1000000);
	}
	/* MD-03: none left: nothing is opened. */
	if (x->deadline_ns <= loop_now_ns(x->server->options.loop)) {
		exchange_fail(x, REASON_deadline_exceeded, SLICE(""));
		return false;
	}
	return chosen;
}
