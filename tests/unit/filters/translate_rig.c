#include "translate_rig.h"

#include <string.h>

#include "base/mem.h"
#include "net/listener.h"
#include "upstream/connection.h"

#include "codec/descriptor.h"
#include "codec/descriptor_builder.h"

/* ---- the schema ---- */

static void put(struct buf *buf, unsigned field, struct slice bytes)
{
	assert_true(bytes.size < 16384);
	buf_append_byte(buf, (uint8_t)(field << 3 | 2));
	if (bytes.size > 127) {
		buf_append_byte(buf, (uint8_t)(bytes.size | 0x80));
		buf_append_byte(buf, (uint8_t)(bytes.size >> 7));
	} else {
		buf_append_byte(buf, (uint8_t)bytes.size);
	}
	buf_append_slice(buf, bytes);
}

static void put_text(struct buf *buf, unsigned field, const char *text)
{
	put(buf, field, slice_from_string(text));
}

static void put_number(struct buf *buf, unsigned field, uint8_t number)
{
	buf_append_byte(buf, (uint8_t)(field << 3));
	buf_append_byte(buf, number);
}

static void put_field(struct buf *message, const char *name, uint8_t number, const char *of)
{
	struct buf field;
	uint8_t type = of == NULL ? 5 : *of == 0 ? 9 : 11;

	buf_init(&field);
	put_text(&field, 1, name);
	put_number(&field, 3, number);
	put_number(&field, 4, number == 3 ? 3 : 1);
	put_number(&field, 5, type);
	if (type == 11) {
		put_text(&field, 6, of);
	}
	put(message, 2, buf_slice(&field));
	buf_fini(&field);
}

static void put_method(struct buf *service, const char *name, const char *output, int streaming)
{
	struct buf method;

	buf_init(&method);
	put_text(&method, 1, name);
	put_text(&method, 2, ".shop.Item");
	put_text(&method, 3, output);
	if (streaming != 0) {
		put_number(&method, (unsigned)streaming, 1);
	}
	put(service, 2, buf_slice(&method));
	buf_fini(&method);
}

struct descriptor_pool *translate_rig_pool(void)
{
	struct descriptor_builder *builder = descriptor_builder_create(DESCRIPTOR_ALL);
	struct descriptor_pool *pool;
	struct buf file, part;
	struct err err;

	err_clear(&err);
	buf_init(&file);
	buf_init(&part);
	put_text(&file, 1, "shop.proto");
	put_text(&file, 2, "shop");
	put_text(&file, 3, "google/api/httpbody.proto");
	put_text(&part, 1, "Item");
	put_field(&part, "sku", 1, "");
	put_field(&part, "qty", 2, NULL);
	put_field(&part, "tags", 3, NULL);
	put_field(&part, "child", 4, ".shop.Item");
	put(&file, 4, buf_slice(&part));
	buf_clear(&part);
	put_text(&part, 1, "Stock");
	put_method(&part, "Get", ".shop.Item", 0);
	put_method(&part, "Watch", ".shop.Item", 6);
	put_method(&part, "Push", ".shop.Item", 5);
	put_method(&part, "Raw", ".google.api.HttpBody", 0);
	put(&file, 6, buf_slice(&part));
	put_text(&file, 12, "proto3");
	if (descriptor_builder_add_file(builder, buf_slice(&file), "test", &err) != 0) {
		fail_msg("%s", err.text);
	}
	pool = descriptor_builder_build(builder, &err);
	if (pool == NULL) {
		fail_msg("%s", err.text);
	}
	descriptor_builder_destroy(builder);
	buf_fini(&file);
	buf_fini(&part);
	return pool;
}

/* ---- the application ---- */

struct served { /* one request at the application */
	struct translate_rig *rig;
	struct stream *stream;
	struct head *head;
	struct buf body;
	struct list_node node;
};

static void served_end(struct served *served, enum reason why)
{
	list_unlink(&served->node);
	stream_reset(served->stream, why);
	buf_fini(&served->body);
	mem_free(served);
}

static void add_fields(struct head *head, const char *const *fields)
{
	for (size_t i = 0; i + 1 < 16 && fields[i] != NULL; i += 2) {
		head_add(head, slice_from_string(fields[i]), slice_from_string(fields[i + 1]));
	}
}

static void serve_body(struct served *served)
{
	struct translate_answer *answer = &served->rig->answer;
	struct stream *stream = served->stream;
	struct block_pool *pool = &served->rig->rig.pool;
	bool trailers = answer->trailers[0] != NULL;
	struct slice body = slice_make(answer->body, answer->body_size);
	struct head head;

	if (answer->cut > 0 && answer->cut < body.size) {
		chain_append_copy(&stream->out, pool, body.data, answer->cut);
		stream->codec->ops->send_more(stream, false);
		/* translate_rig_rest goes on when the piece has arrived. */
		answer->body = body.data + answer->cut;
		answer->body_size = body.size - answer->cut;
		answer->cut = SIZE_MAX;
		return;
	}
	if (body.size > 0) {
		chain_append_copy(&stream->out, pool, body.data, body.size);
	}
	if (body.size > 0 || !trailers) {
		stream->codec->ops->send_more(stream, !trailers);
	}
	if (trailers) {
		head_init(&head, &stream->arena, HEAD_TRAILERS);
		add_fields(&head, answer->trailers);
		assert_int_equal(stream->codec->ops->send_head(stream, &head, true), 0);
	}
	served_end(served, REASON_ok);
}

static void serve(struct served *served)
{
	struct translate_rig *rig = served->rig;
	const struct translate_answer *answer = &rig->answer;
	bool end = answer->body_size == 0 && answer->trailers[0] == NULL;
	struct head head;

	rig->requests++;
	rig->seen = arena_alloc(&rig->arena, sizeof(*rig->seen));
	head_init(rig->seen, &rig->arena, HEAD_REQUEST);
	head_copy(rig->seen, served->head);
	buf_clear(&rig->body);
	buf_append_slice(&rig->body, buf_slice(&served->body));
	if (answer->hang) {
		return;
	}
	if (rig->refuse_next) {
		rig->refuse_next = false;
		served_end(served, REASON_h2_refused);
		return;
	}
	head_init(&head, &served->stream->arena, HEAD_RESPONSE);
	head.status = (uint16_t)(answer->status != 0 ? answer->status : 200);
	add_fields(&head, answer->fields);
	head.body = end ? BODY_NONE : BODY_UNKNOWN;
	if (end && head.status != 204 && head.status != 304) {
		head.body = BODY_LENGTH;
		head.length = 0;
	}
	assert_int_equal(served->stream->codec->ops->send_head(served->stream, &head, end), 0);
	if (end) {
		served_end(served, REASON_ok);
		return;
	}
	serve_body(served);
}

void translate_rig_rest(struct translate_rig *rig)
{
	if (rig->answer.cut != SIZE_MAX || list_empty(&rig->served)) {
		return;
	}
	rig_turn(&rig->rig, 12);
	rig->answer.cut = 0;
	if (list_empty(&rig->served)) {
		return; /* nobody waits for it any more */
	}
	serve_body(container_of(rig->served.next, struct served, node));
}

static void served_on_head(struct stream *stream, struct head *head, bool end)
{
	struct served *served = stream->owner;

	if (head->kind == HEAD_REQUEST) {
		served->head = head;
	}
	if (end) {
		serve(served);
	}
}

static void served_on_body(struct stream *stream, struct chain *body, bool end)
{
	struct served *served = stream->owner;
	size_t size = body->size;

	for (uint32_t i = 0; i < body->count; i++) {
		buf_append_slice(&served->body, chain_span(body, i));
	}
	if (size > 0) {
		stream->codec->ops->credit(stream, size);
	}
	if (end) {
		serve(served);
	}
}

static void served_on_sent(struct stream *stream, size_t n)
{
	(void)stream;
	(void)n;
}

static void served_on_reset(struct stream *stream, enum reason why)
{
	served_end(stream->owner, why);
}

static const struct stream_ops served_ops = {
	served_on_head, served_on_body, served_on_sent, served_on_reset};

static void app_on_stream(struct connection *connection, struct stream *stream)
{
	struct translate_rig *rig = connection_owner(connection);
	struct served *served = mem_zalloc(sizeof(*served));

	rig->streams++;
	served->rig = rig;
	served->stream = stream;
	buf_init(&served->body);
	list_push_back(&rig->served, &served->node);
	stream->ops = &served_ops;
	stream->owner = served;
}

static void app_on_change(struct connection *connection)
{
	(void)connection;
}

static void app_on_closed(struct connection *connection, enum reason why, const char *detail)
{
	struct translate_rig *rig = connection_owner(connection);

	(void)why;
	(void)detail;
	rig->connections--;
}

static const struct connection_events app_events = {
	.on_stream = app_on_stream,
	.on_change = app_on_change,
	.on_closed = app_on_closed,
};

static void app_on_accept(void *owner, struct transport *transport)
{
	struct translate_rig *rig = owner;
	struct connection_options options = {
		.loop = rig->rig.loop,
		.pool = &rig->rig.pool,
		.limits = &rig->rig.limits,
		.events = &app_events,
		.owner = rig,
	};

	rig->connections++;
	connection_accept(&options, transport);
}

static void app_start(struct translate_rig *rig, bool h2)
{
	struct listener_options options = {.on_accept = app_on_accept, .owner = rig};
	struct sockaddr_in bound;
	socklen_t size = sizeof(bound);

	list_init(&rig->served);
	assert_true(address_parse(SLICE("127.0.0.1:0"), true, &rig->address));
	assert_int_equal(listener_bind(&rig->address, 1, &options.fd), 0);
	assert_int_equal(getsockname(options.fd, (struct sockaddr *)&bound, &size), 0);
	address_set_port(&rig->address, ntohs(bound.sin_port));
	assert_int_equal(listener_create(rig->rig.loop, &options, &rig->listener), 0);
	rig->rig.snapshot->app = (struct fixed_target){.name = "app",
		.address = rig->address,
		.host = "127.0.0.1",
		.port = ntohs(bound.sin_port),
		.protocol = h2 ? INSTANCE_H2C : INSTANCE_HTTP1};
}

void translate_rig_cut(struct translate_rig *rig)
{
	LIST_FOR_EACH_SAFE(node, &rig->served) {
		served_end(container_of(node, struct served, node), REASON_upstream_reset);
	}
}

/* ---- life ---- */

void translate_rig_init(struct translate_rig *rig, uint64_t memory)
{
	memset(rig, 0, sizeof(*rig));
	rig_init(&rig->rig);
	arena_init(&rig->arena);
	buf_init(&rig->body);
	rig->worker = translate_worker_create(memory);
	rig->pool = translate_rig_pool();
	rig->options = (struct config_translation){
		.schema_wait_ms = 200,
		.max_message = 4 << 20,
		.max_json = 8 << 20,
		.max_depth = 100,
	};
}

void translate_rig_start(struct translate_rig *rig, const char *app, bool h2)
{
	struct err err;

	rig->options.app.items = rig->formats;
	for (const char *p = app; *p != 0; p += strcspn(p, " "), p += *p == ' ') {
		rig->formats[rig->options.app.count++] = *p == 'a'   ? CONFIG_FORMAT_AUTO
							 : *p == 'g' ? CONFIG_FORMAT_GRPC
							 : *p == 'j' ? CONFIG_FORMAT_JSON
								     : CONFIG_FORMAT_OPAQUE;
	}
	rig->conf = mem_zalloc(translate_filter.conf_size);
	assert_true(translate_filter.configure(rig->conf, &rig->options, &err));
	rig->filters[0] = (struct filter_instance){&translate_filter, rig->conf};
	rig->rig.snapshot->app_filters = (struct filter_chain){rig->filters, 1};
	rig->rig.slots[TRANSLATE_SLOT] = rig->worker;
	app_start(rig, h2);
	rig_start(&rig->rig);
	exchange_server_set_app(rig->rig.server, true, false, h2);
}

void translate_rig_fini(struct translate_rig *rig)
{
	/* Its requests end with the server; its connections close before the loop does. */
	translate_rig_cut(rig);
	listener_destroy(rig->listener, false);
	rig_fini(&rig->rig);
	assert_int_equal(rig->connections, 0);
	assert_true(list_empty(&rig->served));
	translate_rig_totals(rig);
	/* Nothing is gathered any more: memory is flat. */
	assert_int_equal(rig->totals.memory_bytes, 0);
	translate_worker_destroy(rig->worker);
	descriptor_pool_unref(rig->pool);
	mem_free(rig->conf);
	arena_fini(&rig->arena);
	buf_fini(&rig->body);
}

void translate_rig_schema(struct translate_rig *rig, enum translate_schema state, bool grpc_app)
{
	translate_worker_set_schema(
		rig->worker, state, state == TRANSLATE_SCHEMA_READY ? rig->pool : NULL, grpc_app);
}

void translate_rig_totals(struct translate_rig *rig)
{
	rig->totals = (struct translate_totals){0};
	translate_totals_add(&rig->totals, translate_worker_totals(rig->worker));
}

uint64_t translate_rig_faults(const struct translate_totals *totals, bool response)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < CODEC_FAULT_COUNT; i++) {
		sum += totals->faults[response][i];
	}
	return sum;
}

/* To the end of the call, with an answer in two pieces where it is cut. */
static struct rig_call *finish(struct translate_rig *rig, struct rig_call *call)
{
	for (int i = 0; i < 4000 && !call->done; i++) {
		translate_rig_rest(rig);
		loop_turn(rig->rig.loop, 5);
	}
	rig_wait(call);
	rig_client_close(call->client);
	rig_turn(&rig->rig, 6);
	return call;
}

struct rig_call *translate_rig_json(struct translate_rig *rig, const char *path, const char *body)
{
	struct rig_request request = {.method = "POST",
		.path = path,
		.body = body,
		.fields = {"content-type", "application/json", NULL}};

	return finish(rig, rig_call(rig_client(&rig->rig, "inbound", false), &request));
}

struct rig_call *translate_rig_grpc(struct translate_rig *rig, const void *body, size_t size)
{
	struct rig_request request = {.method = "POST",
		.path = "/shop.Stock/Get",
		.body = body,
		.body_size = size,
		.chunked = true,
		.fields = {"content-type", "application/grpc", "te", "trailers", NULL}};

	return finish(rig, rig_call(rig_client(&rig->rig, "inbound", true), &request));
}

const char *translate_rig_seen(const struct translate_rig *rig, const char *name)
{
	const struct field *field = head_find_name(rig->seen, slice_from_string(name));

	return field != NULL ? (const char *)field->value.data : NULL;
}
