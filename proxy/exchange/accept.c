/*
 * accept: a request head came. Endpoints get their stream at once, before any byte of the body, so
 * that nothing has to be handed over later; everything else becomes an exchange.
 */
#include "exchange/exchange_steps.h"
#include "exchange/identity.h"

#include "base/clock.h"

/* Where a request came in. */
struct accept_place {
	struct exchange_server *server;
	struct downstream *from; /* NULL: an in-process client */
	struct snapshot_hold *hold;
	const struct listener_snapshot *listener;
	enum forward_peer peer;
	bool inbound;
	bool raw;
};

static bool accept_is_broker_path(struct slice path)
{
	return slice_starts_with(path, SLICE("/v1/pub/")) ||
	       slice_starts_with(path, SLICE("/v1/sub/"));
}

/* The endpoint that serves this path here, or NULL (endpoints.h; B5-01, U-09). */
static const struct endpoint *accept_find_endpoint(
	const struct accept_place *place, const struct head *head)
{
	const struct config_snapshot *snapshot = place->hold->snapshot;
	unsigned direction = place->inbound ? ENDPOINT_INBOUND : ENDPOINT_OUTBOUND;
	struct route_query query = {.snapshot = snapshot, .head = head};

	if (place->from == NULL || place->listener->kind == LISTENER_SERVICE ||
		snapshot->endpoint_count == 0) {
		return NULL;
	}
	if (accept_is_broker_path(head->path)) {
		query.local = &place->from->local;
		if (place->inbound || !route_is_local_api(&query)) {
			return NULL; /* a call like any other */
		}
	}
	if (place->inbound && place->peer != FORWARD_FROM_MESH) {
		return NULL;
	}
	return endpoint_find(snapshot->endpoints, snapshot->endpoint_count, direction, head->path);
}

/* From here on the stream is the endpoint's: its events never come back to us. */
static void accept_open_endpoint(const struct accept_place *place, const struct endpoint *endpoint,
	const struct endpoint_request *request)
{
	ASSERT(request->stream->owner != NULL && place->from != NULL);
	if (!place->inbound) {
		place->server->last_outbound_ms = request->now_ms;
	}
	endpoint_log_begin(place->from, request->stream, request->head, request->trace_id);
	endpoint->open(endpoint->context, request);
}

/* The one way in, for connections and in-process clients alike: trust first, because both endpoints
 * and exchanges read own fields; then the trace id, because every answer names it. */
static void accept_request(
	const struct accept_place *place, struct stream *stream, struct head *head, bool end)
{
	struct exchange_server *server = place->server;
	struct forward_wishes wishes;
	struct endpoint_request request = {
		.stream = stream,
		.head = head,
		.end = end,
		.worker = server->options.index,
		.direction = place->inbound ? ENDPOINT_INBOUND : ENDPOINT_OUTBOUND,
		.peer = place->from != NULL ? &place->from->peer : NULL,
		.mesh_peer = place->peer == FORWARD_FROM_MESH,
		.now_ms = loop_now_ms(server->options.loop),
	};
	const struct endpoint *endpoint;
	struct exchange *x;

	stat_add(&server->stats->stripped_headers, forward_trust(head, place->peer, &wishes));
	request.trace_id = identity_trace(head, &server->rng);
	endpoint = accept_find_endpoint(place, head);
	if (endpoint != NULL) {
		accept_open_endpoint(place, endpoint, &request);
		return;
	}
	x = server_exchange_alloc(server);
	x->from = place->from;
	x->hold = server_hold(place->hold);
	x->snapshot = place->hold->snapshot;
	x->listener = place->listener;
	x->peer = place->peer;
	x->inbound = place->inbound;
	x->raw = place->raw;
	x->wishes = wishes;
	x->trace_id = request.trace_id;
	if (x->from != NULL) {
		x->from->refs++;
	}
	if (x->inbound) {
		server->inbound_active++;
	} else {
		server->outbound_active++;
		server->last_outbound_ms = request.now_ms;
	}
	exchange_start(x, stream, head, end);
}

/* A listener that a reload changed serves new requests of old connections by its new form. */
static void accept_refresh(struct downstream *from)
{
	struct exchange_server *server = from->server;
	const struct config_snapshot *snapshot = server->hold->snapshot;

	if (from->hold == server->hold) {
		return;
	}
	for (unsigned i = 0; i < snapshot->listener_count; i++) {
		if (strcmp(snapshot->listeners[i].name, from->listener->name) == 0) {
			server_release(from->hold);
			from->hold = server_hold(server->hold);
			from->listener = &snapshot->listeners[i];
			return;
		}
	}
	/* It is gone and this connection drains; the old form holds until then. */
}

static void accept_head(struct stream *stream, struct head *head, bool end)
{
	struct downstream *from = stream->owner;
	struct accept_place place = {.server = from->server, .from = from};

	accept_refresh(from);
	place.hold = from->hold;
	place.listener = from->listener;
	place.peer = from->peer_kind;
	place.inbound = from->listener->kind == LISTENER_INBOUND;
	accept_request(&place, stream, head, end);
}

static void accept_local_head(struct stream *stream, struct head *head, bool end)
{
	struct server_local *local = stream->owner;
	struct accept_place place = {
		.server = local->server,
		.hold = local->server->hold,
		.peer = FORWARD_FROM_SELF,
		.inbound = local->kind != LOCAL_OUTBOUND,
		.raw = local->kind == LOCAL_TO_APP_RAW,
	};

	accept_request(&place, stream, head, end);
}

static void accept_body(struct stream *stream, struct chain *body, bool end)
{
	/* on_head, which made an exchange or opened an endpoint, came before. */
	ASSERT(stream->owner != NULL && body != NULL);
	(void)end;
}

static void accept_sent(struct stream *stream, size_t n)
{
	ASSERT(stream->owner != NULL);
	(void)n;
}

static void accept_reset(struct stream *stream, enum reason why)
{
	/* The request was refused before its head was whole. */
	stream_reset(stream, why);
}

const struct stream_ops accept_ops = {accept_head, accept_body, accept_sent, accept_reset};

static const struct stream_ops accept_local_ops = {
	accept_local_head, accept_body, accept_sent, accept_reset};

void accept_stream(struct connection *connection, struct stream *stream)
{
	stream->ops = &accept_ops;
	stream->owner = connection_owner(connection);
}

static void accept_local_stream(struct codec *codec, struct stream *stream)
{
	stream->ops = &accept_local_ops;
	stream->owner = codec->owner;
}

static void accept_local_change(struct codec *codec)
{
	struct server_local *local = codec->owner;

	loop_queue(local->server->options.loop, &local->task);
}

const struct codec_events accept_local_events = {accept_local_stream, accept_local_change};
