/*
 * The request is judged on the worker that took it and stored by the owner of its topic; the 200
 * comes only from the disk thread's word (B5-07).
 */
#include "broker/publish.h"

#include <stdio.h>

#include "base/mem.h"
#include "broker/event.h"
#include "broker/names.h"
#include "broker/publication.h"
#include "broker/respond.h"
#include "broker/topic.h"
#include "http/reply.h"

#define COMMIT_MS 10000 /* B5-13 */
#define PREFIX	  "/v1/pub/"

struct publish {
	struct desk *desk;
	struct unary *unary;
	char topic[NAMES_TOPIC_MAX + 1];
	uint32_t slot;
	uint64_t generation;
	bool waiting; /* a ticket is out */
	struct timer timer;
	char id[MESSAGE_ATTRIBUTE_VALUE_MAX + 1]; /* as far as the publisher gave it */
};

/* A ticket that is still out becomes worthless. */
static void free_publish(struct publish *publish)
{
	timer_cancel(&publish->timer);
	if (publish->waiting) {
		(void)desk_ticket_take(publish->desk, publish->slot, publish->generation);
	}
	mem_free(publish);
}

/* With the id, as far as it is known: publishing it again is the client's way out. */
static void refuse(struct publish *publish, enum reason reason, const char *text)
{
	respond_reason(publish->desk->broker, publish->unary, reason, text,
		slice_from_string(publish->id));
	free_publish(publish);
}

static void on_timeout(struct timer *timer)
{
	/* The record may still become durable: the outcome is unknown (B5-11). */
	refuse(container_of(timer, struct publish, timer), REASON_commit_timeout, NULL);
}

/* On the owner's thread; a topic that may not exist is refused there, since only the owner
 * knows. */
static void run_owner(struct desk *desk, struct desk_mail *mail)
{
	struct publication *publication = container_of(mail, struct publication, mail);
	enum reason reason = REASON_ok;
	struct topic *topic = topic_open(desk, slice_from_string(publication->topic_name), &reason);

	if (!topic) {
		publication_finish(publication, reason);
		return;
	}
	topic_publish(topic, publication);
}

/* The level that was reached, not the one that was asked for (B1-02). */
static void answer(struct publish *publish, const struct publication *publication)
{
	const char *level = publication->fsync ? "fsync" : "os";
	struct slice id = message_attribute(publication->message, SLICE("id"));
	struct head head;
	struct arena arena;
	struct buf body;

	buf_init(&body);
	buf_append_string(&body, "{\"id\":\"");
	buf_append_json_escaped(&body, id);
	buf_appendf(&body,
		"\",\"log\":\"%016llx\",\"seq\":%llu,\"durability\":\"%s\",\"groups\":%u}",
		(unsigned long long)publish->desk->broker->log,
		(unsigned long long)publication->seq, level, publication->groups);
	arena_init(&arena);
	head_init(&head, &arena, HEAD_RESPONSE);
	reply_plain(&head, 200, SLICE("application/json"), body.size);
	head_add_token(&head, TOKEN_x_pillion_durability, slice_from_string(level));
	unary_reply(publish->unary, &head, buf_slice(&body));
	arena_fini(&arena);
	buf_fini(&body);
}

/* Nobody waits any more where the ticket is gone: timed out, or the client left. */
void publish_answer(struct desk *desk, struct desk_mail *mail)
{
	struct publication *publication = container_of(mail, struct publication, mail);
	struct publish *publish =
		desk_ticket_take(desk, publication->slot, publication->generation);

	if (publish) {
		publish->waiting = false;
		if (publication->reason == REASON_ok) {
			answer(publish, publication);
			free_publish(publish);
		} else {
			/* B5-11: the id by which it may be published again, also a given one. */
			struct slice id = message_attribute(publication->message, SLICE("id"));

			memcpy(publish->id, id.data ? (const char *)id.data : "", id.size);
			publish->id[id.size] = '\0';
			refuse(publish, publication->reason, NULL);
		}
	}
	publication_destroy(publication);
}

/* From here on the message counts against L1 until it is answered. */
static void send_to_owner(struct publish *publish, struct publication *publication)
{
	struct desk *desk = publish->desk;
	struct broker *broker = desk->broker;
	struct slice id = message_attribute(publication->message, SLICE("id"));

	memcpy(publish->id, id.data ? (const char *)id.data : "", id.size);
	publish->slot = desk_ticket(desk, publish, &publish->generation);
	publish->waiting = true;
	timer_arm(desk->loop, &publish->timer, desk_now_ms(desk) + COMMIT_MS);
	publication->origin = desk->index;
	publication->slot = publish->slot;
	publication->generation = publish->generation;
	publication->mail.desk = desk;
	publication->counted_bytes = message_size(publication->message);
	atomic_fetch_add(&broker->waiting, 1);
	atomic_fetch_add(&broker->waiting_bytes, publication->counted_bytes);
	desk_post(&broker->desks[names_owner(slice_from_string(publish->topic), broker->workers)],
		&publication->mail, run_owner, publication_discard);
}

/* The body is there whole: the number it gets is later than everything answered before
 * (B5-10). */
static void on_request(struct unary *unary, struct slice body)
{
	struct publish *publish = unary_owner(unary);
	struct desk *desk = publish->desk;
	struct publication *publication = publication_create();
	struct event_wishes wishes;
	const char *text = NULL;
	enum reason reason;

	publish->unary = unary;
	publication->mail.desk = desk;
	publication->message = message_create();
	publication->message->time_ms = desk_wall_ms(desk);
	reason = event_read(unary_head(unary), desk->plan, publication->message, &wishes, &text);
	counters_add(&desk->broker->counters.removed_attributes, wishes.removed);
	if (reason != REASON_ok) {
		publication_destroy(publication);
		refuse(publish, reason, text);
		return;
	}
	event_fill(publication->message, desk->broker->service, slice_from_string(publish->topic));
	buf_append_slice(&publication->message->body, body);
	(void)snprintf(
		publication->topic_name, sizeof publication->topic_name, "%s", publish->topic);
	publication->ttl_ms = wishes.ttl_ms;
	publication->wants_fsync = wishes.fsync;
	publication->wants_os = wishes.os;
	send_to_owner(publish, publication);
}

/* A client that hangs up undoes nothing (B5-11). */
static void on_gone(struct unary *unary)
{
	free_publish(unary_owner(unary));
}

static const struct unary_ops publish_ops = {on_request, on_gone};

/* The reason for which nothing is taken now, whatever it is. */
static enum reason closed(const struct desk *desk)
{
	struct broker *broker = desk->broker;

	if (!desk->plan->enabled) {
		return REASON_broker_off;
	}
	if (atomic_load(&broker->draining)) {
		return REASON_draining;
	}
	if (!broker->thread || atomic_load(&spool_thread_numbers(broker->thread)->failed)) {
		return REASON_spool_failed;
	}
	if (atomic_load(&broker->waiting) >= DESK_WAITING_MAX ||
		atomic_load(&broker->waiting_bytes) >= DESK_WAITING_BYTES) {
		return REASON_in_flight; /* L1 */
	}
	return REASON_ok;
}

/* Decoded once, then checked. */
static enum reason read_topic(const struct head *head, char ret_topic[NAMES_TOPIC_MAX + 1])
{
	struct slice segment = slice_from(head->path, sizeof PREFIX - 1);
	enum reason reason = REASON_bad_topic;
	struct buf name;

	buf_init(&name);
	if (names_percent_decode(segment, &name)) {
		reason = names_topic(buf_slice(&name));
	}
	if (reason == REASON_ok) {
		memcpy(ret_topic, name.data, name.size);
		ret_topic[name.size] = '\0';
	}
	buf_fini(&name);
	return reason;
}

/* Cheap refusals first; the body's bound depends on the topic. */
void publish_open(void *context, const struct endpoint_request *request)
{
	struct broker *broker = context;
	struct desk *desk = &broker->desks[request->worker];
	struct slice type = slice_trim(head_value(request->head, TOKEN_content_type));
	char topic[NAMES_TOPIC_MAX + 1];
	struct publish *publish;
	enum reason reason;

	if (!desk->server) {
		respond_refuse(broker, request, REASON_draining, NULL);
		return;
	}
	if (respond_wrong_method(broker, request) || respond_cross_site(desk, request)) {
		return;
	}
	reason = closed(desk);
	if (reason == REASON_ok) {
		reason = read_topic(request->head, topic);
	}
	if (reason == REASON_ok && type.size >= 23 &&
		slice_equal_fold(slice_make(type.data, 23), SLICE("application/cloudevents"))) {
		reason = REASON_bad_event_format; /* only the binary mode is offered */
	}
	if (reason != REASON_ok) {
		respond_refuse(broker, request, reason,
			reason == REASON_spool_failed && broker->off_reason[0] ? broker->off_reason
									       : NULL);
		return;
	}
	publish = mem_zalloc(sizeof *publish);
	publish->desk = desk;
	timer_init(&publish->timer, on_timeout);
	memcpy(publish->topic, topic, sizeof topic);
	unary_accept(request,
		(size_t)plan_policy(desk->plan, slice_from_string(topic))->max_message,
		&publish_ops, publish);
}
