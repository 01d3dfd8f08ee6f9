#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "filters/access_log.h"
#include "http/h1.h"
#include "http/h2.h"
#include "net/listener.h"
#include "net/transport.h"

/* ---- the snapshot ---- */

static void rig_on_unknown(void *owner, const char *name)
{
	struct rig *rig = owner;

	assert_non_null(name);
	rig->asked_unknown++;
}

static void rig_on_verdict(void *owner, const char *service, const uint8_t id[16], enum tier tier)
{
	(void)owner;
	(void)service;
	(void)id;
	(void)tier;
}

static void rig_destroy_snapshot(struct config_snapshot *snapshot)
{
	struct rig *rig = snapshot->attached;

	rig->destroyed++;
}

static void rig_policy(struct service_policy *policy, const char *name)
{
	*policy = (struct service_policy){
		.name = name,
		.connect_timeout_ms = 1000,
		.queue_timeout_ms = 500,
		.response_timeout_ms = 3000,
		.draws = 2,
		.retry_max = 3,
		.retry_max_wait_ms = 1000,
		.active_max = 1024,
		.queued_max = 1024,
		.connections_max = 1024,
		.pool_idle_ms = 3000,
		.h2_pool_idle_ms = 60000,
		.h1_idle = 64,
		.h2_connections = 4,
	};
}

static void rig_listener(struct rig *rig, unsigned index, const char *name, enum listener_kind kind,
	const char *address)
{
	struct listener_snapshot *listener = &rig->listeners[index];

	*listener = (struct listener_snapshot){.name = name, .kind = kind};
	assert_true(address_parse(slice_from_string(address), false, &listener->address));
	listener->filters = (struct filter_chain){rig->listener_filters, 1};
}

void rig_init(struct rig *rig)
{
	struct config_snapshot *snapshot = mem_zalloc(sizeof(*snapshot));

	memset(rig, 0, sizeof(*rig));
	assert_int_equal(loop_create(&rig->loop), 0);
	rng_seed(&rig->rng, 1);
	block_pool_init(&rig->pool, 64);
	http_limits_default(&rig->limits);
	rig->access = (struct access_options){.success_per_mille = 1000};
	rig->listener_filters[0] = (struct filter_instance){&access_log_filter, &rig->access};
	rig_listener(rig, 0, "inbound", LISTENER_INBOUND, "127.0.0.1:7440");
	rig_listener(rig, 1, "outbound", LISTENER_OUTBOUND, "127.0.0.1:7441");
	rig_listener(rig, 2, "orders-port", LISTENER_SERVICE, "127.0.0.1:9101");
	rig->listeners[2].service = "orders";
	rig->snapshot = snapshot;
	rig->snapshots = 1;
	atomic_init(&snapshot->refs, 1);
	snapshot->generation = 7;
	arena_init(&snapshot->arena);
	map_init(&snapshot->services);
	snapshot->listeners = rig->listeners;
	snapshot->listener_count = 3;
	rig_policy(&rig->service.policy, "*");
	snapshot->default_service = &rig->service;
	http_limits_default(&snapshot->http);
	snapshot->exchange = (struct exchange_limits){
		.body_gap_ms = 30000, .response_gap_ms = 300000, .stream_idle_ms = 3600000};
	snapshot->service_name = "own";
	memset(snapshot->instance_id, 0x3f, sizeof(snapshot->instance_id));
	memcpy(snapshot->id8, "3f2a91c0", 9);
	snapshot->has_app = true;
	rig_policy(&snapshot->app_policy, "app");
	snapshot->egress_allow = true;
	snapshot->replay_bytes = 65536;
	snapshot->replay_total = 16 * 1024 * 1024;
	snapshot->destroy = rig_destroy_snapshot;
	snapshot->attached = rig;
}

struct config_snapshot *rig_copy_snapshot(struct rig *rig)
{
	struct config_snapshot *copy = mem_copy(rig->snapshot, sizeof(*copy));

	atomic_init(&copy->refs, 1);
	arena_init(&copy->arena);
	map_init(&copy->services);
	rig->snapshots++;
	return copy;
}

/* ---- origins ---- */

static void served_send_body(struct rig_served *served)
{
	static const uint8_t bytes[4096] = {'x'};
	struct stream *stream = served->stream;

	while (served->asked > 0 && stream->out.size < 32768) {
		size_t size = served->asked < sizeof(bytes) ? (size_t)served->asked : sizeof(bytes);

		chain_append_copy(&stream->out, &served->origin->rig->pool, bytes, size);
		served->asked -= size;
	}
}

static void served_let_go(struct rig_served *served, enum reason why)
{
	list_unlink(&served->node);
	stream_reset(served->stream, why);
	buf_fini(&served->body);
	mem_free(served);
}

static void served_finish_body(struct rig_served *served)
{
	struct stream *stream = served->stream;
	bool end = served->asked == 0;

	served_send_body(served);
	end = served->asked == 0;
	stream->codec->ops->send_more(stream, end && !served->trailers);
	if (end && served->trailers) {
		struct head trailers;

		head_init(&trailers, &stream->arena, HEAD_TRAILERS);
		head_add(&trailers, SLICE("grpc-status"), SLICE("0"));
		head_add(&trailers, SLICE("x-tail"), SLICE("end"));
		assert_int_equal(stream->codec->ops->send_head(stream, &trailers, true), 0);
	}
	if (end) {
		served_let_go(served, REASON_ok);
	}
}

static void served_add_echo(struct rig_served *served, struct buf *body)
{
	const struct head *head = served->head;

	buf_appendf(body, "method: %.*s\n", (int)head->method_text.size,
		(const char *)head->method_text.data);
	buf_appendf(body, "authority: %.*s\n", (int)head->authority.size,
		(const char *)head->authority.data);
	buf_appendf(body, "path: %.*s\n", (int)head->path.size, (const char *)head->path.data);
	for (uint32_t i = 0; i < head->field_count; i++) {
		const struct field *field = &head->fields[i];

		buf_appendf(body, "%.*s: %.*s\n", (int)field->name.size,
			(const char *)field->name.data, (int)field->value.size,
			(const char *)field->value.data);
	}
}

static void served_head(struct rig_served *served, struct head *head, int status)
{
	head_init(head, &served->stream->arena, HEAD_RESPONSE);
	head->status = (uint16_t)status;
	head_add(head, SLICE("x-origin"), SLICE("yes"));
	head_add(head, SLICE("x-pillion-forged"), SLICE("1"));
}

static void served_send(struct rig_served *served, struct head *head, struct slice body)
{
	struct stream *stream = served->stream;

	head->body = BODY_LENGTH;
	head->length = body.size;
	if (served->head->method == METHOD_HEAD) {
		head->body = BODY_NONE;
		head->has_declared_length = true;
		head->declared_length = body.size;
		body.size = 0;
	}
	assert_int_equal(stream->codec->ops->send_head(stream, head, body.size == 0), 0);
	if (body.size > 0) {
		chain_append_copy(&stream->out, &served->origin->rig->pool, body.data, body.size);
		stream->codec->ops->send_more(stream, true);
	}
	served_let_go(served, REASON_ok);
}

/* "/status/503", "/status/421/not-processed": a status, perhaps with the outcome of a sidecar. */
static void served_status(struct rig_served *served, const char *path)
{
	struct head head;
	int status = atoi(strstr(path, "/status/") + 8);

	served_head(served, &head, status);
	if (strstr(path, "not-processed") != NULL) {
		head_add(&head, SLICE("x-pillion-outcome"), SLICE("not-processed"));
		head_add(&head, SLICE("x-pillion-reason"), SLICE("draining;code=PIL5043"));
	}
	if (strstr(path, "retry-no") != NULL) {
		head_add(&head, SLICE("x-pillion-retry"), SLICE("no"));
	}
	if (strstr(path, "after") != NULL) {
		head_add(&head, SLICE("retry-after"), SLICE("0"));
	}
	served_send(served, &head, slice_from_string("no luck"));
}

static void served_grpc(struct rig_served *served, const char *path)
{
	struct head head;

	served_head(served, &head, 200);
	head_add(&head, SLICE("content-type"), SLICE("application/grpc"));
	if (strncmp(path, "/grpc/only", 10) == 0) {
		head_add(&head, SLICE("grpc-status"), slice_from_string(path + 11));
		assert_int_equal(
			served->stream->codec->ops->send_head(served->stream, &head, true), 0);
		served_let_go(served, REASON_ok);
		return;
	}
	head.body = BODY_UNKNOWN;
	assert_int_equal(served->stream->codec->ops->send_head(served->stream, &head, false), 0);
	served->asked = 10;
	served->trailers = true;
	served_finish_body(served);
}

static void served_big(struct rig_served *served, uint64_t size, bool known)
{
	struct head head;

	served_head(served, &head, 200);
	head.body = known ? BODY_LENGTH : BODY_UNKNOWN;
	head.length = known ? size : 0;
	served->asked = size;
	assert_int_equal(served->stream->codec->ops->send_head(served->stream, &head, false), 0);
	served_finish_body(served);
}

static void served_cut(struct rig_served *served)
{
	struct head head;

	served_head(served, &head, 200);
	head.body = BODY_LENGTH;
	head.length = 100;
	assert_int_equal(served->stream->codec->ops->send_head(served->stream, &head, false), 0);
	chain_append_copy(&served->stream->out, &served->origin->rig->pool, "half", 4);
	served->stream->codec->ops->send_more(served->stream, false);
	served->answered = true;
}

/* Answers a whole request by its path. */
static void served_answer(struct rig_served *served)
{
	const char *path = served->origin->behave ? served->origin->behave : served->path;
	struct rig *rig = served->origin->rig;
	struct head head;
	struct buf body;

	served->answered = true;
	if (served->origin->behave && rig->second) {
		/* Whoever is asked next behaves differently. */
		for (unsigned i = 0; i < RIG_ORIGINS; i++) {
			rig->origins[i].behave = rig->second;
		}
		rig->second = NULL;
	}
	if (strncmp(path, "/status/", 8) == 0) {
		served_status(served, path);
	} else if (strncmp(path, "/reset", 6) == 0) {
		served_let_go(served, REASON_upstream_reset);
	} else if (strncmp(path, "/hang", 5) == 0) {
		served->asked = 0;
	} else if (strncmp(path, "/cut", 4) == 0) {
		served_cut(served);
	} else if (strncmp(path, "/grpc/", 6) == 0) {
		served_grpc(served, path);
	} else if (strncmp(path, "/big/", 5) == 0) {
		served_big(served, strtoull(path + 5, NULL, 10), true);
	} else if (strncmp(path, "/stream/", 8) == 0) {
		served_big(served, strtoull(path + 8, NULL, 10), false);
	} else {
		served_head(served, &head, 200);
		buf_init(&body);
		if (strncmp(path, "/fields", 7) == 0) {
			served_add_echo(served, &body);
		} else {
			buf_append_slice(&body, buf_slice(&served->body));
		}
		served_send(served, &head, buf_slice(&body));
		buf_fini(&body);
	}
}

static void served_on_head(struct stream *stream, struct head *head, bool end)
{
	struct rig_served *served = stream->owner;

	if (head->kind == HEAD_REQUEST) {
		const struct field *id = head_find_name(head, SLICE("x-id"));
		uint64_t number;

		served->head = head;
		served->origin->requests++;
		snprintf(served->path, sizeof(served->path), "%.*s", (int)head->path.size,
			(const char *)head->path.data);
		/* Whoever says "not processed" executes nothing. */
		if (id != NULL && slice_parse_u64(id->value, RIG_CALLS - 1, &number) &&
			strstr(served->path, "not-processed") == NULL &&
			strstr(served->path, "421") == NULL) {
			served->origin->rig->executed[number]++;
		}
		if (strncmp(served->path, "/early/", 7) == 0) {
			/* An answer before the body was read. */
			served->answered = true;
			served_status(served, served->path + 6);
			return;
		}
	}
	if (end) {
		served->ended = true;
		served_answer(served);
	}
}

static void served_on_body(struct stream *stream, struct chain *body, bool end)
{
	struct rig_served *served = stream->owner;
	size_t size = body->size;

	for (uint32_t i = 0; i < body->count; i++) {
		buf_append_slice(&served->body, chain_span(body, i));
	}
	served->origin->rig->origin_bytes += (unsigned)size;
	if (size > 0) {
		stream->codec->ops->credit(stream, size);
	}
	if (end) {
		served->ended = true;
		served_answer(served);
	}
}

static void served_on_sent(struct stream *stream, size_t n)
{
	struct rig_served *served = stream->owner;

	(void)n;
	if (served->asked > 0) {
		served_finish_body(served);
	}
}

static void served_on_reset(struct stream *stream, enum reason why)
{
	struct rig_served *served = stream->owner;

	served->origin->resets++;
	served_let_go(served, why);
}

static const struct stream_ops served_ops = {
	served_on_head, served_on_body, served_on_sent, served_on_reset};

static void origin_on_stream(struct connection *connection, struct stream *stream)
{
	struct rig_origin *origin = connection_owner(connection);
	struct rig_served *served = mem_zalloc(sizeof(*served));

	served->origin = origin;
	served->stream = stream;
	buf_init(&served->body);
	list_push_back(&origin->served, &served->node);
	stream->ops = &served_ops;
	stream->owner = served;
}

static void origin_on_change(struct connection *connection)
{
	(void)connection;
}

static void origin_on_closed(struct connection *connection, enum reason why, const char *detail)
{
	struct rig_origin *origin = connection_owner(connection);

	(void)why;
	(void)detail;
	origin->connections--;
}

static const struct connection_events origin_events = {
	.on_stream = origin_on_stream,
	.on_change = origin_on_change,
	.on_closed = origin_on_closed,
};

static void origin_on_accept(void *owner, struct transport *transport)
{
	struct rig_origin *origin = owner;
	struct connection_options options = {
		.loop = origin->rig->loop,
		.pool = &origin->rig->pool,
		.limits = &origin->rig->limits,
		.events = &origin_events,
		.owner = origin,
	};

	origin->connections++;
	connection_accept(&options, transport);
}

static void origin_start(struct rig *rig, struct rig_origin *origin)
{
	struct listener_options options = {.on_accept = origin_on_accept, .owner = origin};
	struct address any;
	struct sockaddr_in bound;
	socklen_t size = sizeof(bound);

	origin->rig = rig;
	list_init(&origin->served);
	assert_true(address_parse(SLICE("127.0.0.1:0"), true, &any));
	assert_int_equal(listener_bind(&any, 1, &options.fd), 0);
	assert_int_equal(getsockname(options.fd, (struct sockaddr *)&bound, &size), 0);
	origin->address = any;
	address_set_port(&origin->address, ntohs(bound.sin_port));
	assert_int_equal(listener_create(rig->loop, &options, &origin->listener), 0);
}

/* ---- life ---- */

void rig_start(struct rig *rig)
{
	struct exchange_server_options options = {
		.loop = rig->loop,
		.workers = 1,
		.resolver = rig->resolver,
		.snapshot = rig->snapshot,
		.buffers_max = 64 * 1024 * 1024,
		.on_unknown_service = rig_on_unknown,
		.on_verdict = rig_on_verdict,
		.owner = rig,
	};

	for (unsigned i = 0; i < RIG_ORIGINS; i++) {
		origin_start(rig, &rig->origins[i]);
	}
	if (rig->snapshot->app.address.size == 0) {
		rig->snapshot->app = (struct fixed_target){.name = "app",
			.address = rig->origins[0].address,
			.host = "127.0.0.1",
			.port = address_port(&rig->origins[0].address),
			.protocol = INSTANCE_HTTP1};
	}
	rig->server = exchange_server_create(&options);
	exchange_server_set_app(rig->server, true, false, false);
}

void rig_service(struct rig *rig, const char *name, unsigned count, enum instance_protocol protocol)
{
	struct instance_set *set = instance_set_create(name, count);

	set->index = 812;
	set->known = true;
	for (unsigned i = 0; i < count; i++) {
		struct instance *instance = &set->instances[i];

		instance->id[0] = 0xaa;
		instance->id[1] = (uint8_t)(i + 1);
		instance->version = instance_set_string(set, "1.8.0");
		instance->host = instance_set_string(set, "127.0.0.1");
		instance->address = rig->origins[i].address;
		instance->port = address_port(&instance->address);
		instance->protocol = protocol;
		instance->weight = 100;
	}
	exchange_server_set_instances(rig->server, set);
	instance_set_unref(set);
}

void rig_turn(struct rig *rig, int times)
{
	for (int i = 0; i < times; i++) {
		loop_turn(rig->loop, 0);
	}
}

static void call_free(struct rig_call *call)
{
	if (call->stream != NULL) {
		stream_reset(call->stream, REASON_downstream_closed);
	}
	arena_fini(&call->arena);
	buf_fini(&call->body);
	mem_free(call);
}

void rig_fini(struct rig *rig)
{
	for (unsigned i = 0; i < rig->client_count; i++) {
		rig_client_close(rig->clients[i]);
	}
	for (unsigned i = 0; i < rig->call_count; i++) {
		call_free(rig->calls[i]);
	}
	for (unsigned i = 0; i < rig->client_count; i++) {
		mem_free(rig->clients[i]);
	}
	rig_turn(rig, 4);
	exchange_server_destroy(rig->server);
	for (unsigned i = 0; i < RIG_ORIGINS; i++) {
		listener_destroy(rig->origins[i].listener, false);
	}
	rig_turn(rig, EXCHANGE_SERVER_TURNS);
	for (unsigned i = 0; i < RIG_ORIGINS; i++) {
		LIST_FOR_EACH_SAFE(node, &rig->origins[i].served) {
			served_let_go(container_of(node, struct rig_served, node),
				REASON_downstream_closed);
		}
		RIG_UNTIL(rig, rig->origins[i].connections == 0);
	}
	snapshot_unref(rig->snapshot);
	rig_turn(rig, 8);
	assert_int_equal(rig->destroyed, rig->snapshots);
	loop_destroy(rig->loop);
	block_pool_fini(&rig->pool); /* invariant B, on our side */
}

void rig_cut_origins(struct rig *rig)
{
	for (unsigned i = 0; i < RIG_ORIGINS; i++) {
		LIST_FOR_EACH_SAFE(node, &rig->origins[i].served) {
			served_let_go(
				container_of(node, struct rig_served, node), REASON_upstream_reset);
		}
	}
}

/* ---- clients ---- */

static void client_want(struct rig_client *client)
{
	transport_want(client->transport,
		(client->eof || !client->codec->want_read ? 0 : TRANSPORT_READ) |
			(client->out.size > 0 && !client->eof ? TRANSPORT_WRITE : 0));
}

static void client_run(struct task *task)
{
	struct rig_client *client = container_of(task, struct rig_client, task);

	if (client->closed) {
		return;
	}
	if (client->codec->again) {
		client->codec->ops->receive(client->codec, false, loop_now_ms(client->rig->loop));
	}
	client_want(client);
	loop_queue_write(client->rig->loop, &client->write_task);
}

static void client_write(struct task *task)
{
	struct rig_client *client = container_of(task, struct rig_client, write_task);
	struct iovec vectors[16];
	ssize_t n;

	if (client->closed) {
		return;
	}
	if (client->codec->has_output) {
		client->codec->ops->produce(client->codec, &client->out, 65536);
	}
	while (client->out.size > 0) {
		int count = chain_iovec(&client->out, vectors, 16);

		n = transport_write(client->transport, vectors, count);
		if (n <= 0) {
			break;
		}
		chain_drop(&client->out, (size_t)n);
	}
	client_want(client);
	if (client->codec->has_output && client->out.size == 0) {
		loop_queue(client->rig->loop, &client->task);
	}
}

static void client_ready(struct transport *transport, int mask)
{
	struct rig_client *client = transport->owner;
	struct block *block;
	ssize_t n;

	loop_queue(client->rig->loop, &client->task);
	if ((mask & TRANSPORT_READ) == 0 || client->closed) {
		return;
	}
	if (!client->codec->want_read) {
		transport_want(transport, transport->wanted & ~TRANSPORT_READ);
		return;
	}
	block = block_create(&client->rig->pool);
	n = transport_read(transport, block->data, block->capacity);
	if (n > 0) {
		block->used = (uint32_t)n;
		chain_append_block(&client->codec->in, block, block->data, (size_t)n);
	}
	block_unref(block);
	if (n != 0) {
		client->codec->input_error = n < 0 && n != IO_EOF ? (int)n : 0;
		client->codec->ops->receive(client->codec, n < 0, loop_now_ms(client->rig->loop));
	}
	if (n < 0) {
		client->eof = true;
		transport_want(transport, 0);
	}
}

static void client_on_stream(struct codec *codec, struct stream *stream)
{
	(void)codec;
	(void)stream;
	fail();
}

static void client_on_change(struct codec *codec)
{
	struct rig_client *client = codec->owner;

	loop_queue(client->rig->loop, &client->task);
}

static const struct codec_events client_events = {client_on_stream, client_on_change};

struct rig_client *rig_client(struct rig *rig, const char *listener, bool h2)
{
	struct rig_client *client = mem_zalloc(sizeof(*client));
	struct codec_options options = {
		.events = &client_events,
		.owner = client,
		.pool = &rig->pool,
		.limits = &rig->limits,
		.now_ms = loop_now_ms(rig->loop),
		.client = true,
	};
	struct transport *far;

	assert_true(rig->client_count < RIG_CLIENTS);
	client->rig = rig;
	chain_init(&client->out);
	task_init(&client->task, client_run);
	task_init(&client->write_task, client_write);
	transport_mem_pair(rig->loop, 65536, &client->transport, &far);
	assert_true(address_parse(SLICE("127.0.0.1:51544"), false, &far->peer));
	assert_true(address_parse(SLICE("127.0.0.1:7441"), false, &far->local));
	if (rig->throttle != 0) {
		transport_mem_throttle(client->transport, rig->throttle);
		transport_mem_throttle(far, rig->throttle);
	}
	client->transport->on_ready = client_ready;
	client->transport->owner = client;
	client->codec = h2 ? h2_create(&options) : h1_create(&options);
	rig->clients[rig->client_count++] = client;
	exchange_server_accept(rig->server, listener, far);
	loop_queue(rig->loop, &client->task);
	return client;
}

void rig_client_close(struct rig_client *client)
{
	if (client->closed) {
		return;
	}
	client->codec->input_error = -1;
	client->codec->ops->receive(client->codec, true, loop_now_ms(client->rig->loop));
	client->closed = true;
	for (unsigned i = 0; i < client->rig->call_count; i++) {
		struct rig_call *call = client->rig->calls[i];

		if (call->client == client && call->stream != NULL) {
			stream_reset(call->stream, REASON_downstream_closed);
			call->stream = NULL;
		}
	}
	task_cancel(&client->task);
	task_cancel(&client->write_task);
	client->codec->ops->destroy(client->codec);
	chain_fini(&client->out);
	transport_close(client->transport, false);
}

static void call_on_head(struct stream *stream, struct head *head, bool end)
{
	struct rig_call *call = stream->owner;
	struct head *copy;

	if (head->kind == HEAD_INTERIM) {
		call->interim = true;
		return;
	}
	copy = arena_alloc(&call->arena, sizeof(*copy));
	head_init(copy, &call->arena, head->kind);
	head_copy(copy, head);
	if (head->kind == HEAD_RESPONSE) {
		call->head = copy;
	} else {
		call->trailers = copy;
	}
	call->done = call->done || end;
}

static void call_on_body(struct stream *stream, struct chain *body, bool end)
{
	struct rig_call *call = stream->owner;
	size_t size = body->size;

	for (uint32_t i = 0; i < body->count; i++) {
		buf_append_slice(&call->body, chain_span(body, i));
	}
	call->owed += size;
	if (!call->slow) {
		rig_call_credit(call);
	}
	call->done = call->done || end;
}

void rig_call_credit(struct rig_call *call)
{
	if (call->owed > 0 && call->stream != NULL) {
		call->stream->codec->ops->credit(call->stream, call->owed);
		call->owed = 0;
	}
}

static void call_send_body(struct rig_call *call)
{
	struct stream *stream = call->stream;
	size_t size = call->send.size < 16384 ? call->send.size : 16384;

	if (stream->ended_out || stream->out.size > 0) {
		return;
	}
	if (size > 0) {
		chain_append_copy(&stream->out, &call->client->rig->pool, call->send.data, size);
		call->send = slice_from(call->send, size);
	}
	stream->codec->ops->send_more(stream, call->send.size == 0 && !call->ends_with_trailers);
	if (call->send.size == 0 && call->ends_with_trailers) {
		struct head trailers;

		head_init(&trailers, &call->arena, HEAD_TRAILERS);
		head_add(&trailers, SLICE("x-end"), SLICE("1"));
		assert_int_equal(stream->codec->ops->send_head(stream, &trailers, true), 0);
	}
}

static void call_on_sent(struct stream *stream, size_t n)
{
	struct rig_call *call = stream->owner;

	(void)n;
	if (call->send.size > 0) {
		call_send_body(call);
	}
}

static void call_on_reset(struct stream *stream, enum reason why)
{
	struct rig_call *call = stream->owner;

	call->reset = true;
	call->done = true;
	call->why = why;
}

static const struct stream_ops call_ops = {call_on_head, call_on_body, call_on_sent, call_on_reset};

struct rig_call *rig_call(struct rig_client *client, const struct rig_request *request)
{
	struct rig *rig = client->rig;
	struct rig_call *call = mem_zalloc(sizeof(*call));
	const char *method = request->method ? request->method : "GET";
	struct head head;
	size_t body_size = request->body_size != 0 ? request->body_size
			   : request->body	   ? strlen(request->body)
						   : 0;

	assert_true(rig->call_count < RIG_CALLS);
	arena_init(&call->arena);
	buf_init(&call->body);
	call->client = client;
	call->slow = request->slow;
	call->ends_with_trailers = request->trailers;
	call->stream = client->codec->ops->open(client->codec);
	assert_non_null(call->stream);
	call->stream->ops = &call_ops;
	call->stream->owner = call;
	head_init(&head, &call->arena, HEAD_REQUEST);
	head_set_method(&head, method_find(slice_from_string(method)), slice_from_string(method));
	head.scheme = SLICE("http");
	head.authority = slice_from_string(request->authority ? request->authority : "orders");
	head.path = slice_from_string(request->path ? request->path : "/");
	head.query = slice_from_string(request->query);
	head.has_query = request->query != NULL;
	for (unsigned i = 0; i + 1 < 16 && request->fields[i] != NULL; i += 2) {
		head_add(&head, slice_from_string(request->fields[i]),
			slice_from_string(request->fields[i + 1]));
	}
	head.body = request->body == NULL ? BODY_NONE
		    : request->chunked	  ? BODY_UNKNOWN
					  : BODY_LENGTH;
	head.length = head.body == BODY_LENGTH ? body_size : 0;
	call->send = slice_make(request->body, body_size);
	rig->calls[rig->call_count++] = call;
	assert_int_equal(
		client->codec->ops->send_head(call->stream, &head, request->body == NULL), 0);
	if (request->body != NULL) {
		call_send_body(call);
	}
	return call;
}

void rig_wait(struct rig_call *call)
{
	RIG_UNTIL(call->client->rig, call->done);
	if (call->stream != NULL) {
		rig_call_credit(call);
		stream_reset(call->stream, call->reset ? call->why : REASON_ok);
		call->stream = NULL;
	}
	rig_turn(call->client->rig, 6);
}

struct rig_call *rig_once(
	struct rig *rig, const char *listener, bool h2, const struct rig_request *request)
{
	struct rig_client *client = rig_client(rig, listener, h2);
	struct rig_call *call = rig_call(client, request);

	rig_wait(call);
	rig_client_close(client);
	rig_turn(rig, 6);
	return call;
}

const char *rig_field(const struct rig_call *call, const char *name)
{
	const struct field *field;

	assert_non_null(call->head);
	field = head_find_name(call->head, slice_from_string(name));
	if (field == NULL && call->trailers != NULL) {
		field = head_find_name(call->trailers, slice_from_string(name));
	}
	/* Copies end with a NUL. */
	return field != NULL ? (const char *)field->value.data : NULL;
}

void rig_record(struct rig *rig, struct access_record *ret_record)
{
	struct access_record *records = mem_alloc(2 * sizeof(*records));
	size_t count = exchange_server_take_records(rig->server, records, 2);

	assert_int_equal(count, 1);
	memcpy(ret_record, &records[0], sizeof(*ret_record));
	mem_free(records);
}
