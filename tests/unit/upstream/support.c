#include "support.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/listener.h"
#include "net/transport.h"

static unsigned ready_order;

static void on_unknown(void *owner, const char *name)
{
	struct fixture *fixture = owner;

	assert_non_null(name);
	fixture->unknown++;
}

static void on_forgotten(void *owner, const char *name)
{
	struct fixture *fixture = owner;

	assert_non_null(name);
	fixture->forgotten++;
}

static void on_verdict(void *owner, const char *service, const uint8_t id[16], enum tier tier)
{
	struct fixture *fixture = owner;

	assert_non_null(service);
	fixture->verdicts++;
	fixture->last_verdict = tier;
	memcpy(fixture->last_verdict_id, id, 16);
}

int fixture_setup(void **state)
{
	struct fixture *fixture = mem_zalloc(sizeof(*fixture));
	struct upstream_options options;

	assert_int_equal(loop_create(&fixture->loop), 0);
	block_pool_init(&fixture->pool, 64);
	http_limits_default(&fixture->limits);
	rng_seed(&fixture->rng, 42);
	options = (struct upstream_options){
		.loop = fixture->loop,
		.pool = &fixture->pool,
		.limits = &fixture->limits,
		.rng = &fixture->rng,
		.workers = 1,
		.on_unknown = on_unknown,
		.on_verdict = on_verdict,
		.on_forgotten = on_forgotten,
		.owner = fixture,
	};
	fixture->upstream = upstream_create(&options);
	fixture->policy = (struct service_policy){
		.name = "*",
		.connect_timeout_ms = 1000,
		.queue_timeout_ms = 1000,
		.draws = 2,
		.active_max = 1024,
		.queued_max = 1024,
		.connections_max = 1024,
		.pool_idle_ms = 3000,
		.h2_pool_idle_ms = 60000,
		.h1_idle = 64,
		.h2_connections = 4,
	};
	*state = fixture;
	return 0;
}

int fixture_teardown(void **state)
{
	struct fixture *fixture = *state;

	upstream_destroy(fixture->upstream);
	fixture_turn(fixture, 6);
	loop_destroy(fixture->loop);
	block_pool_fini(&fixture->pool); /* invariant B */
	mem_free(fixture);
	return 0;
}

void fixture_turn(struct fixture *fixture, int times)
{
	for (int i = 0; i < times; i++) {
		loop_turn(fixture->loop, 0);
	}
}

void fixture_sleep(struct fixture *fixture, uint64_t ms)
{
	uint64_t until = clock_monotonic_ms() + ms;

	while (clock_monotonic_ms() < until) {
		loop_turn(fixture->loop, 2);
	}
}

/* ---- servers ---- */

static void server_answer(struct server *server, struct stream *stream)
{
	struct arena arena;
	struct head head;

	arena_init(&arena);
	head_init(&head, &arena, HEAD_RESPONSE);
	head.status = 200;
	head.body = BODY_LENGTH;
	head.length = 2;
	head.close = server->close_after;
	assert_int_equal(stream->codec->ops->send_head(stream, &head, false), 0);
	chain_append_copy(&stream->out, &server->fixture->pool, "ok", 2);
	stream->codec->ops->send_more(stream, true);
	arena_fini(&arena);
	if (server->close_after) {
		stream->codec->ops->drain(stream->codec, false);
	}
	stream_reset(stream, REASON_ok);
}

static void server_take(struct server *server, struct stream *stream)
{
	server->requests++;
	if (server->hold) {
		assert_true(server->held_count < HELD_MAX);
		server->held[server->held_count++] = stream;
		return;
	}
	server_answer(server, stream);
}

static void server_on_head(struct stream *stream, struct head *head, bool end)
{
	(void)head;
	if (end) {
		server_take(stream->owner, stream);
	}
}

static void server_on_body(struct stream *stream, struct chain *body, bool end)
{
	size_t size = body->size;

	chain_clear(body);
	if (end) {
		server_take(stream->owner, stream);
	} else {
		stream->codec->ops->credit(stream, size);
	}
}

static void server_on_sent(struct stream *stream, size_t n)
{
	(void)stream;
	(void)n;
}

static void server_on_reset(struct stream *stream, enum reason why)
{
	struct server *server = stream->owner;

	(void)why;
	for (unsigned i = 0; i < server->held_count; i++) {
		if (server->held[i] == stream) {
			server->held[i] = server->held[--server->held_count];
			break;
		}
	}
	server->resets++;
	stream_reset(stream, why);
}

static const struct stream_ops server_stream_ops = {
	.on_head = server_on_head,
	.on_body = server_on_body,
	.on_sent = server_on_sent,
	.on_reset = server_on_reset,
};

static void server_on_stream(struct connection *connection, struct stream *stream)
{
	stream->ops = &server_stream_ops;
	stream->owner = connection_owner(connection);
}

static void server_on_change(struct connection *connection)
{
	(void)connection;
}

static void server_on_closed(struct connection *connection, enum reason why, const char *detail)
{
	struct server *server = connection_owner(connection);

	(void)why;
	(void)detail;
	assert_true(server->open > 0);
	server->open--;
	for (unsigned i = 0; i < server->connection_count; i++) {
		if (server->connections[i] == connection) {
			server->connections[i] = server->connections[--server->connection_count];
		}
	}
}

static const struct connection_events server_events = {
	.on_stream = server_on_stream,
	.on_change = server_on_change,
	.on_closed = server_on_closed,
};

static void server_raw_ready(struct transport *transport, int mask)
{
	uint8_t bytes[4096];

	(void)mask;
	if (transport_read(transport, bytes, sizeof(bytes)) < 0) {
		transport_want(transport, 0);
	}
}

static void server_on_accept(void *owner, struct transport *transport)
{
	struct server *server = owner;
	struct connection_options options = {
		.loop = server->fixture->loop,
		.pool = &server->fixture->pool,
		.limits = &server->fixture->limits,
		.events = &server_events,
		.owner = server,
	};

	server->accepted++;
	if (server->raw) {
		transport->owner = server;
		transport->on_ready = server_raw_ready;
		transport_want(transport, TRANSPORT_READ);
		server->raw_transports[server->raw_count++] = transport;
		return;
	}
	server->open++;
	server->connections[server->connection_count++] = connection_accept(&options, transport);
}

void server_start(struct server *server, struct fixture *fixture)
{
	struct listener_options options = {.on_accept = server_on_accept, .owner = server};
	struct sockaddr_in bound;
	socklen_t size = sizeof(bound);
	struct address address;

	server->fixture = fixture;
	assert_true(address_parse(SLICE("127.0.0.1:0"), true, &address));
	if (server->port != 0) {
		address_set_port(&address, server->port);
	}
	assert_int_equal(listener_bind(&address, 1, &options.fd), 0);
	assert_int_equal(getsockname(options.fd, (struct sockaddr *)&bound, &size), 0);
	server->port = ntohs(bound.sin_port);
	assert_int_equal(listener_create(fixture->loop, &options, &server->listener), 0);
}

void server_stop(struct server *server)
{
	if (server->listener) {
		listener_destroy(server->listener, false);
		server->listener = NULL;
	}
	for (unsigned i = 0; i < server->connection_count; i++) {
		connection_close(server->connections[i], REASON_shutdown, false);
	}
	for (unsigned i = 0; i < server->raw_count; i++) {
		transport_close(server->raw_transports[i], false);
	}
	server->raw_count = 0;
	TURN_UNTIL(server->fixture, server->open == 0);
	fixture_turn(server->fixture, 2);
}

void server_release(struct server *server, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct stream *stream = server->held[0];

		assert_true(server->held_count > 0);
		server->held_count--;
		memmove(server->held, server->held + 1,
			server->held_count * sizeof(server->held[0]));
		server_answer(server, stream);
	}
}

uint16_t closed_port(void)
{
	struct address address;
	struct sockaddr_in bound;
	socklen_t size = sizeof(bound);
	int fd;

	assert_true(address_parse(SLICE("127.0.0.1:0"), true, &address));
	assert_int_equal(listener_bind(&address, 1, &fd), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&bound, &size), 0);
	close(fd);
	return ntohs(bound.sin_port);
}

/* ---- sets ---- */

struct instance_set *make_set(
	const char *service, const uint16_t *ports, uint32_t count, enum instance_protocol protocol)
{
	struct instance_set *set = instance_set_create(service, count);

	set->known = true;
	for (uint32_t i = 0; i < count; i++) {
		struct instance *instance = &set->instances[i];

		instance->id[0] = 0xaa;
		instance->id[1] = (uint8_t)(i + 1);
		instance->host = instance_set_string(set, "127.0.0.1");
		instance->port = ports[i];
		assert_true(address_parse(SLICE("127.0.0.1:1"), false, &instance->address));
		address_set_port(&instance->address, ports[i]);
		instance->protocol = protocol;
		instance->weight = 100;
	}
	return set;
}

void give_set(struct fixture *fixture, const char *service, const uint16_t *ports, uint32_t count,
	enum instance_protocol protocol)
{
	struct instance_set *set = make_set(service, ports, count, protocol);

	upstream_update(fixture->upstream, set);
	instance_set_unref(set);
}

struct service *service_of(struct fixture *fixture, const char *name)
{
	struct service *service = upstream_service(fixture->upstream, slice_from_string(name));

	assert_non_null(service);
	return service;
}

/* ---- callers ---- */

static void caller_on_head(struct stream *stream, struct head *head, bool end)
{
	struct caller *caller = stream->owner;

	if (head->kind == HEAD_RESPONSE) {
		caller->status = head->status;
	}
	caller->done = end;
}

static void caller_on_body(struct stream *stream, struct chain *body, bool end)
{
	struct caller *caller = stream->owner;

	caller->body += body->size;
	chain_clear(body);
	caller->done = end;
}

static void caller_on_reset(struct stream *stream, enum reason why)
{
	struct caller *caller = stream->owner;

	caller->reset = true;
	caller->why = why;
}

static const struct stream_ops caller_ops = {
	.on_head = caller_on_head,
	.on_body = caller_on_body,
	.on_sent = server_on_sent,
	.on_reset = caller_on_reset,
};

static void caller_send(struct caller *caller)
{
	struct stream *stream = caller->attempt.stream;
	struct arena arena;
	struct head head;

	stream->ops = &caller_ops;
	stream->owner = caller;
	if (caller->attempt.instance) {
		memcpy(caller->chosen, caller->attempt.instance->id, 16);
	}
	if (caller->hold) {
		return;
	}
	arena_init(&arena);
	head_init(&head, &arena, HEAD_REQUEST);
	head_set_method(&head, caller->post ? METHOD_POST : METHOD_GET, slice_make(NULL, 0));
	head.scheme = SLICE("http");
	head.authority = SLICE("orders");
	head.path = SLICE("/x");
	head.body = BODY_NONE;
	assert_int_equal(stream->codec->ops->send_head(stream, &head, true), 0);
	arena_fini(&arena);
}

static void caller_on_ready(struct attempt *attempt)
{
	struct caller *caller = (struct caller *)attempt;

	caller->ready_calls++;
	caller->order = ++ready_order;
	if (attempt->stream) {
		caller_send(caller);
	}
}

void caller_init(struct caller *caller, struct fixture *fixture, struct service *service)
{
	memset(caller, 0, sizeof(*caller));
	caller->fixture = fixture;
	caller->attempt.on_ready = caller_on_ready;
	selection_init(&caller->selection, service, &fixture->policy);
}

enum attempt_state caller_start(struct caller *caller)
{
	caller->done = false;
	caller->reset = false;
	caller->ready_calls = 0;
	caller->status = 0;
	caller->started = attempt_start(&caller->attempt, &caller->selection);
	if (caller->started == ATTEMPT_READY) {
		assert_non_null(caller->attempt.stream);
		caller_send(caller);
	}
	return caller->started;
}

void caller_finish(struct caller *caller, enum attempt_class class)
{
	attempt_finish(&caller->attempt, class, REASON_ok);
	attempt_finish(&caller->attempt, class, REASON_ok); /* harmless the second time */
}

void call_once(struct fixture *fixture, struct service *service)
{
	struct caller caller;

	caller_init(&caller, fixture, service);
	assert_int_not_equal(caller_start(&caller), ATTEMPT_FAILED);
	TURN_UNTIL(fixture, caller.done || caller.reset || caller.attempt.failure != REASON_ok);
	assert_true(caller.done);
	assert_int_equal(caller.status, 200);
	assert_int_equal(caller.body, 2);
	caller_finish(&caller, CLASS_OK);
	fixture_turn(fixture, 3);
}
