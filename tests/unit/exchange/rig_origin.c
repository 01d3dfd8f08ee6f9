/* What answers at the far end: by the request's path, or as the test says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/transport.h"
#include "rig.h"

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

void rig_served_reset(struct rig_served *served, enum reason why)
{
	ASSERT(why != REASON_ok);
	served_let_go(served, why);
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

static void served_cut(struct rig_served *served, bool known)
{
	struct head head;

	served_head(served, &head, 200);
	head.body = known ? BODY_LENGTH : BODY_UNKNOWN;
	head.length = known ? 100 : 0;
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
	} else if (strncmp(path, "/cancel", 7) == 0) {
		served_let_go(served, REASON_drain_cut);
	} else if (strncmp(path, "/hang", 5) == 0) {
		served->asked = 0;
	} else if (strncmp(path, "/cut", 4) == 0) {
		served_cut(served, strcmp(path, "/cut/unknown") != 0);
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
	if (size > 0 && strncmp(served->path, "/stall", 6) != 0) {
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

void rig_origin_start(struct rig *rig, struct rig_origin *origin)
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

void rig_cut_origins(struct rig *rig)
{
	for (unsigned i = 0; i < RIG_ORIGINS; i++) {
		LIST_FOR_EACH_SAFE(node, &rig->origins[i].served) {
			served_let_go(
				container_of(node, struct rig_served, node), REASON_upstream_reset);
		}
	}
}
