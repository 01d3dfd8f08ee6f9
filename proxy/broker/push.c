/*
 * push: one message as one request to the application (docs/rules/broker.md 7): through the
 * sidecar's own data path where it is the application's address, else over a connection of its own.
 * Retries are the publisher's business: nothing is repeated here.
 */
#include <stdio.h>

#include "base/mem.h"
#include "broker/answer.h"
#include "broker/event.h"
#include "broker/member.h"
#include "exchange/server.h"
#include "upstream/connection.h"

#define CONNECT_MS 1000
#define ANSWER_MAX ((size_t)64 << 10) /* read; more costs the connection */
#define DETAIL_MAX 1024

struct push {
	struct desk *desk;
	struct delivery *delivery; /* NULL: of no interest any more */
	struct stream *stream;	   /* NULL before and after */
	struct connection *connection;
	bool open; /* the connection was usable */
	bool answered;
	bool by_pillion; /* the answer was made by the data path */
	enum outcome outcome;
	uint32_t status;
	uint32_t retry_ms;
	struct buf text;
	size_t read;
};

/* After its last callback. */
static void free_push(void *object)
{
	struct push *push = object;

	buf_fini(&push->text);
	mem_free(push);
}

/* Lets go of the stream and the connection; the memory goes at the end of the turn, or with the
 * connection. */
static void finish(struct push *push)
{
	if (push->delivery) {
		push->delivery->push = NULL;
		push->delivery = NULL;
	}
	if (push->stream) {
		struct stream *stream = push->stream;

		push->stream = NULL;
		stream_reset(stream,
			push->answered && stream->ended_in ? REASON_ok : REASON_downstream_reset);
	}
	atomic_fetch_sub(&push->desk->broker->pushing, 1);
	if (push->connection) {
		connection_close(push->connection, REASON_ok, false);
	} else {
		loop_bury(push->desk->loop, free_push, push);
	}
}

/* ack_wait passed or the member ends: the outcome was decided elsewhere. */
void push_cancel(struct delivery *delivery)
{
	finish(delivery->push);
}

/* Details are kept for failures only. */
static void settle(struct push *push, enum frame_result kind)
{
	struct delivery *delivery = push->delivery;
	struct frame_outcome outcome = {
		.kind = kind, .status = push->status, .delay_ms = push->retry_ms};
	struct buf detail;

	ASSERT(delivery);
	buf_init(&detail);
	buf_append(&detail, push->text.data,
		push->text.size < DETAIL_MAX ? push->text.size : DETAIL_MAX);
	if (kind != RESULT_ACK) {
		outcome.detail = buf_slice(&detail);
	}
	finish(push);
	member_settle(delivery, &outcome);
	buf_fini(&detail);
}

/* The head is there, and as much of the body as is wanted. */
static void conclude(struct push *push)
{
	enum frame_result kind;

	if (push->by_pillion) {
		/* A8 where the request was surely not processed, else A9. */
		push->status = 0;
		kind = push->outcome == OUTCOME_NOT_PROCESSED ? RESULT_INFRA : RESULT_SUSPECT;
		push->retry_ms = 0;
	} else {
		kind = answer_classify(push->status);
		push->retry_ms = kind == RESULT_BUSY ? push->retry_ms : 0;
	}
	settle(push, kind);
}

/* A body that never ends does not make the answer another one (B7-07). */
bool push_decide(struct delivery *delivery)
{
	if (!delivery->push || !delivery->push->answered) {
		return false;
	}
	conclude(delivery->push);
	return true;
}

/* The first final head decides (B7-07); what the data path itself made carries its own word. */
static void take_head(struct push *push, const struct head *head)
{
	struct slice outcome = head_value(head, TOKEN_x_pillion_outcome);

	push->answered = true;
	push->status = head->status;
	push->by_pillion = head_find(head, TOKEN_x_pillion_reason) != NULL;
	push->outcome = slice_equal(outcome, SLICE("not-processed")) ? OUTCOME_NOT_PROCESSED
								     : OUTCOME_UNKNOWN;
	push->retry_ms = answer_retry_after_ms(
		head_value(head, TOKEN_retry_after), desk_wall_ms(push->desk));
}

/* Interim answers other than 102 say nothing about the message. */
static void on_head(struct stream *stream, struct head *head, bool end)
{
	struct push *push = stream->owner;

	if (head->kind == HEAD_INTERIM) {
		if (head->status == 102) {
			member_extend(push->delivery); /* A3: it works on it */
		}
		return;
	}
	if (head->kind == HEAD_RESPONSE) {
		take_head(push, head);
	}
	if (end) {
		conclude(push);
	}
}

/* Read for the sake of the connection, kept for the sake of a dead letter. */
static void on_body(struct stream *stream, struct chain *body, bool end)
{
	struct push *push = stream->owner;
	size_t size = body->size;

	for (uint32_t i = 0; i < body->count && push->text.size < DETAIL_MAX; i++) {
		struct slice piece = chain_span(body, i);
		size_t room = DETAIL_MAX - push->text.size;

		buf_append(&push->text, piece.data, piece.size < room ? piece.size : room);
	}
	push->read += size;
	if (size > 0) {
		stream->codec->ops->credit(stream, size);
	}
	if (end || push->read > ANSWER_MAX) {
		conclude(push);
	}
}

/* Nothing more is to be sent than was queued at once. */
static void on_sent(struct stream *stream, size_t n)
{
	ASSERT(stream->owner);
	(void)n;
}

/* Before the request left whole it cannot have done anything; after that it may have. */
static void on_reset(struct stream *stream, enum reason why)
{
	struct push *push = stream->owner;
	bool unsent = stream->unprocessed ||
		      (push->connection && connection_written(push->connection) < stream->head_end);

	if (push->answered) {
		conclude(push);
		return;
	}
	settle(push, unsent || reason_info(why)->outcome == OUTCOME_NOT_PROCESSED ? RESULT_INFRA
										  : RESULT_SUSPECT);
}

static const struct stream_ops push_stream_ops = {on_head, on_body, on_sent, on_reset};

/* B7-01 */
static void fill_head(const struct push *push, struct head *head)
{
	const struct delivery *delivery = push->delivery;
	const struct config_push *target = &delivery->member->settings->push;
	struct slice path = slice_from_string(target->path);
	size_t mark = slice_find(path, '?');
	char text[NAMES_LEASE_SIZE];

	head_set_method(head, METHOD_POST, SLICE("POST"));
	head->scheme = SLICE("http");
	head->authority = slice_from_string(target->authority ? target->authority : "localhost");
	head->path = slice_make(path.data, mark);
	head->has_query = mark < path.size;
	head->query = head->has_query ? slice_from(path, mark + 1) : slice_make(NULL, 0);
	head->body = BODY_LENGTH;
	head->length = delivery->message->body.size;
	event_write(delivery->message, head);
	head_add(head, SLICE("x-pillion-topic"), slice_from_string(delivery->topic));
	head_add(head, SLICE("x-pillion-group"), slice_from_string(delivery->member->group));
	(void)snprintf(text, sizeof text, "%u", delivery->attempt);
	head_add(head, SLICE("x-pillion-delivery"), slice_from_string(text));
	names_print_lease(&delivery->lease, text);
	head_add(head, SLICE("x-pillion-lease"), slice_from_string(text));
}

/* Length known, body queued at once: one request, never chunked (B7-01). */
static bool send_request(struct push *push, struct codec *codec)
{
	struct stream *stream = codec->ops->open(codec);
	const struct buf *body = &push->delivery->message->body;
	struct head head;

	if (!stream) {
		return false;
	}
	push->stream = stream;
	stream->ops = &push_stream_ops;
	stream->owner = push;
	head_init(&head, &stream->arena, HEAD_REQUEST);
	fill_head(push, &head);
	if (codec->ops->send_head(stream, &head, body->size == 0) < 0) {
		push->stream = NULL;
		stream_reset(stream, REASON_internal_error);
		return false;
	}
	if (body->size > 0) {
		chain_append_copy(&stream->out, codec->pool, body->data, body->size);
		codec->ops->send_more(stream, true);
	}
	return true;
}

/* The delivery may have been settled while the connection was made. */
static void on_connection_open(struct connection *connection)
{
	struct push *push = connection_owner(connection);

	push->open = true;
	if (push->delivery && !send_request(push, connection_codec(connection))) {
		settle(push, RESULT_INFRA);
	}
}

/* The slot of accepting sides. */
static void on_connection_stream(struct connection *connection, struct stream *stream)
{
	ASSERT(connection && !stream); /* a client's connection accepts none */
}

/* One connection, one request: nothing to decide. */
static void on_connection_change(struct connection *connection)
{
	ASSERT(connection_owner(connection));
}

/* Without an answer it was not reached; streams hear of a break before this. */
static void on_connection_closed(struct connection *connection, enum reason why, const char *detail)
{
	struct push *push = connection_owner(connection);

	(void)why;
	push->connection = NULL;
	if (push->delivery) {
		buf_append_string(&push->text, detail ? detail : "");
		settle(push, push->answered ? RESULT_SUSPECT : RESULT_INFRA);
		return;
	}
	loop_bury(push->desk->loop, free_push, push);
}

static const struct connection_events push_events = {
	on_connection_open, on_connection_stream, on_connection_change, on_connection_closed};

/* For addresses beside the application's own: no pool, since such pushes are the exception. */
static void dial(struct push *push)
{
	const struct plan_local *settings = push->delivery->member->settings;
	struct connection_options options = {.loop = push->desk->loop,
		.pool = &push->desk->pool,
		.limits = &push->desk->limits,
		.events = &push_events,
		.owner = push};
	struct connection_target target = {.address = settings->push.address,
		.h2 = settings->http2,
		.connect_timeout_ms = CONNECT_MS};

	push->connection = connection_dial(&options, &target);
}

/* The data path's own client never repeats a request (LOCAL_TO_APP_RAW). */
void push_start(struct delivery *delivery)
{
	struct desk *desk = delivery->member->desk;
	struct push *push = mem_zalloc(sizeof *push);

	push->desk = desk;
	push->delivery = delivery;
	delivery->push = push;
	buf_init(&push->text);
	atomic_fetch_add(&desk->broker->pushing, 1);
	if (delivery->member->settings->push.kind != CONFIG_PUSH_APP) {
		dial(push);
	} else if (!send_request(push, exchange_server_local(desk->server, LOCAL_TO_APP_RAW))) {
		settle(push, RESULT_INFRA);
	}
}
