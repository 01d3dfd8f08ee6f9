/*
 * fetch: POST /v1/sub/{topic}/{group}/fetch (docs/rules/broker.md 6). The request is parked with
 * its member on the member's home worker until a message or its wait is there.
 */
#include <stdio.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "broker/acknowledge.h"
#include "broker/directory.h"
#include "broker/event.h"
#include "broker/fetch.h"
#include "broker/json_scan.h"
#include "broker/member.h"
#include "broker/respond.h"
#include "http/reply.h"

#define BODY_MAX     ((size_t)4 << 10)
#define MAX_DEFAULT  100
#define MAX_MOST     1000
#define BYTES_MOST   ((uint64_t)4 << 20)
#define BYTES_SMALL  ((uint64_t)1 << 20)
#define WAIT_MOST_MS 60000
#define PREFIX	     "/v1/sub/"

/* On the worker that took the request. */
struct fetch_request {
	struct desk *desk;
	struct unary *unary;
	struct fetch_path path;
	uint32_t slot;
	uint64_t generation;
	bool waiting;
};

/* Parked at the member; also the mail there and back. */
struct fetch {
	struct desk_mail mail;
	struct list_node node; /* of the member */
	struct fetch_path path;
	uint32_t origin, slot;
	uint64_t generation;
	uint64_t max, max_bytes, wait_ms;
	uint64_t deadline_ms;
	bool cancel; /* the mail says that the client left */
	unsigned count;
	uint64_t *leases; /* counters of what it got */
	struct buf body;
};

/* Its leases are the member's; the list only names them. */
static void free_fetch(struct fetch *fetch)
{
	buf_fini(&fetch->body);
	mem_free(fetch->leases);
	mem_free(fetch);
}

/* Leases of a fetch that gets lost like this run out by ack_wait. */
static void discard_fetch(struct desk_mail *mail)
{
	free_fetch(container_of(mail, struct fetch, mail));
}

/* All fetches of one group and topic in this sidecar meet at one worker, whichever took them. */
static struct desk *home_of(struct broker *broker, const struct fetch_path *path)
{
	return &broker->desks[names_home(
		slice_from_string(path->group), slice_from_string(path->member), broker->workers)];
}

/* The client left before its answer: nothing was counted, the messages go to somebody else. */
static void run_return(struct desk *desk, struct desk_mail *mail)
{
	struct fetch *fetch = container_of(mail, struct fetch, mail);
	struct member *member = member_find(
		desk, slice_from_string(fetch->path.group), slice_from_string(fetch->path.member));

	for (unsigned i = 0; member && i < fetch->count; i++) {
		struct frame_outcome back = {.kind = RESULT_RETURNED};
		struct delivery *delivery = map_get(
			&member->leases, slice_make(&fetch->leases[i], sizeof fetch->leases[i]));

		if (delivery) {
			member_settle(delivery, &back);
		}
	}
	free_fetch(fetch);
}

/* The answer, on the worker of the request. */
static void run_answer(struct desk *desk, struct desk_mail *mail)
{
	struct fetch *fetch = container_of(mail, struct fetch, mail);
	struct fetch_request *request = desk_ticket_take(desk, fetch->slot, fetch->generation);

	if (!request) {
		/* B6-04: the client is gone, its leases go back at once. */
		desk_post(home_of(desk->broker, &fetch->path), &fetch->mail, run_return,
			discard_fetch);
		return;
	}
	atomic_fetch_sub(&desk->broker->parked, 1);
	buf_append_string(&fetch->body, "]}");
	unary_reply_plain(request->unary, 200, SLICE("application/json"), buf_slice(&fetch->body));
	mem_free(request);
	free_fetch(fetch);
}

/* With what it has, also nothing. */
static void send_answer(struct member *member, struct fetch *fetch)
{
	list_unlink(&fetch->node);
	desk_post(&member->desk->broker->desks[fetch->origin], &fetch->mail, run_answer,
		discard_fetch);
}

/* First come, first served among the parked; a message never waits for more of its kind
 * beyond this turn. */
bool fetch_take(struct member *member, struct delivery *delivery)
{
	char lease[NAMES_LEASE_SIZE];
	struct fetch *fetch = NULL;

	LIST_FOR_EACH(node, &member->parked) {
		struct fetch *one = LIST_ENTRY(node, struct fetch, node);

		/* B6-01: one message may be larger than max_bytes, or it could never be fetched
		 * at all. */
		if (one->count < one->max &&
			(one->count == 0 || one->body.size + message_size(delivery->message) <=
						    one->max_bytes)) {
			fetch = one;
			break;
		}
	}
	if (!fetch) {
		return false;
	}
	names_print_lease(&delivery->lease, lease);
	buf_appendf(&fetch->body,
		"%s{\"lease\":\"%s\",\"attempt\":%u,\"topic\":\"%s\",\"seq\":%llu,"
		"\"event\":",
		fetch->count > 0 ? "," : "", lease, delivery->attempt, delivery->topic,
		(unsigned long long)delivery->seq);
	event_print(delivery->message, &fetch->body);
	buf_append_byte(&fetch->body, '}');
	fetch->leases[fetch->count++] = delivery->lease.counter;
	/* B6-02: the answer goes out at the end of this turn, with what else came in it. */
	loop_queue(member->desk->loop, &member->task);
	return true;
}

/* What the member may ask publishers for: no message is fetched ahead of a reader. */
unsigned fetch_wanted(const struct member *member)
{
	unsigned wanted = 0;

	LIST_FOR_EACH(node, &member->parked) {
		const struct fetch *fetch = LIST_ENTRY(node, struct fetch, node);

		/* Messages that nobody waits for would only burn their ack_wait here. */
		wanted += (unsigned)fetch->max - fetch->count;
	}
	return wanted;
}

/* At the end of a turn, so that a burst travels in one answer. */
void fetch_flush(struct member *member, bool all)
{
	uint64_t now_ms = desk_now_ms(member->desk);

	LIST_FOR_EACH_SAFE(node, &member->parked) {
		struct fetch *fetch = LIST_ENTRY(node, struct fetch, node);

		if (all || fetch->count > 0 || now_ms >= fetch->deadline_ms) {
			send_answer(member, fetch);
		}
	}
}

/* The parked request of a client that hung up. */
static void cancel(struct member *member, struct fetch *fetch)
{
	LIST_FOR_EACH_SAFE(node, &member->parked) {
		struct fetch *one = LIST_ENTRY(node, struct fetch, node);

		if (one->origin == fetch->origin && one->slot == fetch->slot &&
			one->generation == fetch->generation) {
			list_unlink(&one->node);
			free_fetch(one);
		}
	}
}

/* On the home worker. */
static void run_fetch(struct desk *desk, struct desk_mail *mail)
{
	struct fetch *fetch = container_of(mail, struct fetch, mail);
	struct slice group = slice_from_string(fetch->path.group);
	struct slice name = slice_from_string(fetch->path.member);
	struct member *member = member_find(desk, group, name);

	if (fetch->cancel) {
		if (member) {
			cancel(member, fetch);
		}
		free_fetch(fetch);
		return;
	}
	if (!member) {
		member = member_create(desk, group, name);
	}
	member->fetched = true;
	member->fetched_ms = desk_now_ms(desk);
	if (!member->settings) {
		/* B6-07: the first fetch declares the member; messages come with the plan. */
		member->settings = plan_local(desk->plan, group, name);
		if (!member->settings) {
			directory_fetch_began(desk, &fetch->path);
		}
	}
	fetch->deadline_ms = desk_now_ms(desk) + fetch->wait_ms;
	list_push_back(&member->parked, &fetch->node);
	/* B13-04: answered empty at once, so that the client goes elsewhere before this sidecar
	 * ends. */
	if (desk->plan->draining) {
		fetch_flush(member, true);
		return;
	}
	member_grant(member);
}

/* An unknown member is an error: a typing mistake must not silently become a default. */
static bool read_option(struct slice name, struct slice value, struct fetch *fetch)
{
	struct buf text;
	bool good;

	if (slice_equal(name, SLICE("max"))) {
		return json_scan_number(value, MAX_MOST, &fetch->max) && fetch->max > 0;
	}
	if (slice_equal(name, SLICE("max_bytes"))) {
		return json_scan_number(value, BYTES_MOST, &fetch->max_bytes) &&
		       fetch->max_bytes > 0;
	}
	if (!slice_equal(name, SLICE("wait"))) {
		return false;
	}
	buf_init(&text);
	good = json_scan_string(value, &text) &&
	       names_duration(buf_slice(&text), WAIT_MOST_MS, &fetch->wait_ms);
	buf_fini(&text);
	return good;
}

/* An empty body means all defaults. */
static bool read_options(struct slice body, struct fetch *fetch)
{
	struct json_scan scan;
	struct slice value;
	struct buf name;
	bool good = true;

	fetch->max = MAX_DEFAULT;
	fetch->max_bytes = BYTES_SMALL;
	if (slice_trim(body).size == 0) {
		return true;
	}
	if (!json_scan_valid(body) || !json_scan_object(body, &scan)) {
		return false;
	}
	buf_init(&name);
	while (good && json_scan_member(&scan, &name, &value)) {
		good = read_option(buf_slice(&name), value, fetch);
	}
	buf_fini(&name);
	return good;
}

/* The limit of parked fetches is one for the sidecar, so it is an atomic. */
static void on_request(struct unary *unary, struct slice body)
{
	struct fetch_request *request = unary_owner(unary);
	struct desk *desk = request->desk;
	struct fetch *fetch = mem_zalloc(sizeof *fetch);

	request->unary = unary;
	buf_init(&fetch->body);
	if (!read_options(body, fetch)) {
		respond_reason(desk->broker, unary, REASON_bad_body,
			"the body is "
			"{\"max\":1..1000,\"max_bytes\":1..4194304,\"wait\":\"0s\"..\"60s\"}",
			slice_make(NULL, 0));
		free_fetch(fetch);
		mem_free(request);
		return;
	}
	if (atomic_fetch_add(&desk->broker->parked, 1) >= DESK_WAITERS_MAX) {
		atomic_fetch_sub(&desk->broker->parked, 1);
		respond_reason(
			desk->broker, unary, REASON_waiters, NULL, slice_make(NULL, 0)); /* L6 */
		free_fetch(fetch);
		mem_free(request);
		return;
	}
	/* A ticket and no pointer: the request may be gone when the answer comes back. */
	request->slot = desk_ticket(desk, request, &request->generation);
	request->waiting = true;
	fetch->path = request->path;
	fetch->origin = desk->index;
	fetch->slot = request->slot;
	fetch->generation = request->generation;
	fetch->leases = mem_zalloc((size_t)fetch->max * sizeof *fetch->leases);
	buf_append_string(&fetch->body, "{\"messages\":[");
	desk_post(home_of(desk->broker, &fetch->path), &fetch->mail, run_fetch, discard_fetch);
}

/* Before the answer: the home worker is told. After it nothing is left to do. */
static void on_gone(struct unary *unary)
{
	struct fetch_request *request = unary_owner(unary);
	struct desk *desk = request->desk;

	if (request->waiting &&
		desk_ticket_take(desk, request->slot, request->generation) != NULL) {
		struct fetch *fetch = mem_zalloc(sizeof *fetch);

		atomic_fetch_sub(&desk->broker->parked, 1);
		buf_init(&fetch->body);
		fetch->cancel = true;
		fetch->path = request->path;
		fetch->origin = desk->index;
		fetch->slot = request->slot;
		fetch->generation = request->generation;
		desk_post(home_of(desk->broker, &fetch->path), &fetch->mail, run_fetch,
			discard_fetch);
	}
	mem_free(request);
}

static const struct unary_ops fetch_ops = {on_request, on_gone};

/* One decoded segment up to the next slash; false: bad escape, or too long. */
static bool take_segment(struct slice *rest, char *ret_text, size_t size)
{
	size_t end = slice_find(*rest, '/');
	struct buf text;
	bool good;

	buf_init(&text);
	good = names_percent_decode(slice_make(rest->data, end), &text) && text.size < size &&
	       !memchr(text.data ? (const char *)text.data : "", 0, text.size);
	if (good) {
		memcpy(ret_text, text.data ? (const char *)text.data : "", text.size);
		ret_text[text.size] = '\0';
	}
	buf_fini(&text);
	*rest = slice_from(*rest, end < rest->size ? end + 1 : rest->size);
	return good;
}

/* Segments are decoded once and checked afterwards, so that an encoded slash is part of a
 * name and refused there. */
static enum reason read_path(
	const struct endpoint_request *request, struct fetch_path *path, char ret_verb[16])
{
	struct slice rest = slice_from(request->head->path, sizeof PREFIX - 1);
	enum reason reason;

	*path = (struct fetch_path){.topic = ""};
	if (!take_segment(&rest, path->topic, sizeof path->topic)) {
		return REASON_bad_topic;
	}
	if (slice_find(rest, '/') < rest.size &&
		!take_segment(&rest, path->group, sizeof path->group)) {
		return REASON_bad_group;
	}
	if (!take_segment(&rest, ret_verb, 16) || rest.size > 0) {
		return REASON_bad_parameter;
	}
	reason = names_readable_topic(slice_from_string(path->topic));
	if (reason != REASON_ok) {
		return reason;
	}
	if (path->group[0] == '\0') {
		/* Broadcast: a private group of this connection. */
		(void)snprintf(path->group, sizeof path->group, "~port-%u",
			request->peer ? address_port(request->peer) : 0);
	}
	(void)snprintf(path->member, sizeof path->member, "fetch-%08x",
		crc32c(0, path->topic, strlen(path->topic)));
	return names_group(slice_from_string(path->group), true);
}

/* Only asked where groups must be declared; ephemeral ones need no declaration. */
static bool group_known(const struct plan *plan, const struct fetch_path *path)
{
	for (size_t i = 0; i < plan->group_count; i++) {
		if (strcmp(plan->groups[i].group, path->group) == 0 &&
			names_match(slice_from_string(plan->groups[i].pattern),
				slice_from_string(path->topic))) {
			return true;
		}
	}
	return path->group[0] == '~';
}

/* Two verbs share everything up to here. */
void fetch_open(void *context, const struct endpoint_request *request)
{
	struct broker *broker = context;
	struct desk *desk = &broker->desks[request->worker];
	struct fetch_request *fetch;
	struct fetch_path path;
	enum reason reason = REASON_ok;
	char verb[16] = "";

	if (!desk->server) {
		respond_refuse(broker, request, REASON_draining, NULL);
		return;
	}
	if (respond_wrong_method(broker, request) || respond_cross_site(desk, request)) {
		return;
	}
	if (!desk->plan->enabled) {
		reason = REASON_broker_off;
	} else {
		reason = read_path(request, &path, verb);
	}
	/* B6-06: acknowledging asks for no declared group, because a lease is proof enough. */
	if (reason == REASON_ok && strcmp(verb, "ack") == 0) {
		acknowledge_open(desk, request, &path);
		return;
	}
	if (reason == REASON_ok && strcmp(verb, "fetch") != 0) {
		reason = REASON_bad_parameter;
	}
	if (reason == REASON_ok && !desk->plan->auto_groups && !group_known(desk->plan, &path)) {
		reason = REASON_unknown_group;
	}
	if (reason != REASON_ok) {
		respond_refuse(broker, request, reason,
			reason == REASON_bad_parameter ? "the path ends in fetch or ack" : NULL);
		return;
	}
	fetch = mem_zalloc(sizeof *fetch);
	fetch->desk = desk;
	fetch->path = path;
	unary_accept(request, BODY_MAX, &fetch_ops, fetch);
}
