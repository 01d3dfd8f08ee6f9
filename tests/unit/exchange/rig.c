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
	listener->access = &rig->access;
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

	memcpy(options.slots, rig->slots, sizeof(options.slots));
	for (unsigned i = 0; i < RIG_ORIGINS; i++) {
		rig_origin_start(rig, &rig->origins[i]);
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
	rig_cut_origins(rig);
	for (unsigned i = 0; i < RIG_ORIGINS; i++) {
		RIG_UNTIL(rig, rig->origins[i].connections == 0);
	}
	snapshot_unref(rig->snapshot);
	rig_turn(rig, 8);
	assert_int_equal(rig->destroyed, rig->snapshots);
	loop_destroy(rig->loop);
	block_pool_fini(&rig->pool); /* invariant B, on our side */
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
