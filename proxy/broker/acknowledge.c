/*
 * A reader's answer about leases goes to the member's home worker, is settled there item by
 * item, and comes back with one status for each lease in the order in which it was named.
 */
#include "broker/acknowledge.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "broker/json_scan.h"
#include "broker/member.h"
#include "broker/respond.h"

#define BODY_MAX   ((size_t)1 << 20)
#define LEASES_MAX 4096
#define DELAY_MAX  3600000

enum verdict { VERDICT_ACK, VERDICT_NACK, VERDICT_EXTEND, VERDICT_TERM };

struct settlement {
	enum verdict verdict;
	bool readable; /* it has the form of a lease */
	bool twice;
	struct lease lease;
	char text[48]; /* as it was sent */
	uint64_t delay_ms;
	bool delayed;
	char reason[128];
	const char *status;
};

struct acknowledgement { /* the mail to the member's home and back */
	struct desk_mail mail;
	struct fetch_path path;
	uint32_t origin, slot;
	uint64_t generation;
	struct settlement *items;
	size_t count;
};

struct ack_request { /* on the worker of the request */
	struct desk *desk;
	struct unary *unary;
	struct fetch_path path;
	uint32_t slot;
	uint64_t generation;
	bool waiting;
};

/* Only frees: the request that waits hears nothing, its worker is gone. */
static void discard(struct desk_mail *mail)
{
	struct acknowledgement *ack = container_of(mail, struct acknowledgement, mail);

	mem_free(ack->items);
	mem_free(ack);
}

/* Back on the worker of the request. The client may have left meanwhile: then the settlement
 * stands and nobody reads of it. */
static void run_answer(struct desk *desk, struct desk_mail *mail)
{
	struct acknowledgement *ack = container_of(mail, struct acknowledgement, mail);
	struct ack_request *request = desk_ticket_take(desk, ack->slot, ack->generation);
	struct buf body;

	if (request) {
		buf_init(&body);
		buf_append_string(&body, "{\"results\":[");
		for (size_t i = 0; i < ack->count; i++) {
			buf_append_string(&body, i > 0 ? ",{\"lease\":" : "{\"lease\":");
			json_scan_put_string(&body, slice_from_string(ack->items[i].text));
			buf_appendf(&body, ",\"status\":\"%s\"}", ack->items[i].status);
		}
		buf_append_string(&body, "]}");
		unary_reply_plain(request->unary, 200, SLICE("application/json"), buf_slice(&body));
		buf_fini(&body);
		mem_free(request);
	}
	discard(mail);
}

/* The verdict becomes the outcome class that a pushed answer would have had; everything
 * behind it is the same for both ways. */
static void settle(struct delivery *delivery, const struct settlement *item)
{
	struct frame_outcome outcome = {.kind = RESULT_ACK};

	switch (item->verdict) {
	case VERDICT_EXTEND:
		member_extend(delivery);
		return;
	case VERDICT_ACK:
		break;
	case VERDICT_NACK:
		outcome.kind = RESULT_APP;
		/* One more than the wish, since 0 asks for the group's own backoff. */
		outcome.delay_ms = item->delayed ? (uint32_t)item->delay_ms + 1 : 0;
		break;
	case VERDICT_TERM:
		outcome.kind = RESULT_DEAD;
		outcome.detail = slice_from_string(item->reason);
		break;
	}
	member_settle(delivery, &outcome);
}

/* On the home worker. */
static void run_home(struct desk *desk, struct desk_mail *mail)
{
	struct acknowledgement *ack = container_of(mail, struct acknowledgement, mail);
	struct member *member = member_find(
		desk, slice_from_string(ack->path.group), slice_from_string(ack->path.member));

	for (size_t i = 0; i < ack->count; i++) {
		struct settlement *item = &ack->items[i];
		struct delivery *delivery =
			member && item->readable && !item->twice
				? map_get(&member->leases, slice_make(&item->lease.counter,
								   sizeof item->lease.counter))
				: NULL;

		item->status = item->twice ? "conflict" : "unknown";
		if (delivery && delivery->lease.random == item->lease.random) {
			settle(delivery, item);
			item->status = "ok";
		} else if (member && !item->twice && item->readable &&
			   member_late(member, &item->lease, item->verdict == VERDICT_ACK)) {
			item->status = "expired";
		}
	}
	desk_post(&desk->broker->desks[ack->origin], mail, run_answer, discard);
}

/* One lease as it was written. A text that has not the form of a lease is kept for the
 * answer, where it is `unknown`: it may be a typing error among good ones. */
static bool add(struct acknowledgement *ack, enum verdict verdict, struct slice value,
	struct settlement **ret_item)
{
	struct settlement *item;
	struct buf text;
	bool good;

	if (ack->count == LEASES_MAX) {
		return false;
	}
	ack->items = mem_realloc(ack->items, (ack->count + 1) * sizeof *ack->items);
	item = &ack->items[ack->count];
	*item = (struct settlement){.verdict = verdict};
	buf_init(&text);
	good = json_scan_string(value, &text) && text.size < sizeof item->text;
	if (good) {
		memcpy(item->text, text.data ? (const char *)text.data : "", text.size);
		item->readable = names_parse_lease(buf_slice(&text), &item->lease);
		ack->count++;
	}
	buf_fini(&text);
	*ret_item = item;
	return good;
}

/* {"lease":"l2","delay":"5s"} or {"lease":"l4","reason":"bad data"} */
static bool add_object(struct acknowledgement *ack, enum verdict verdict, struct slice value)
{
	struct settlement extra = {.delay_ms = 0}, *item = NULL;
	struct json_scan scan;
	struct slice member;
	struct buf name, text;
	bool good = json_scan_object(value, &scan);

	buf_init(&name);
	buf_init(&text);
	while (good && json_scan_member(&scan, &name, &member)) {
		buf_clear(&text);
		if (slice_equal(buf_slice(&name), SLICE("lease"))) {
			good = !item && add(ack, verdict, member, &item);
		} else if (slice_equal(buf_slice(&name), SLICE("delay")) &&
			   verdict == VERDICT_NACK) {
			extra.delayed = true;
			good = json_scan_string(member, &text) &&
			       names_duration(buf_slice(&text), DELAY_MAX, &extra.delay_ms);
		} else if (slice_equal(buf_slice(&name), SLICE("reason")) &&
			   verdict == VERDICT_TERM) {
			good = json_scan_string(member, &text);
			(void)snprintf(extra.reason, sizeof extra.reason, "%.*s", (int)text.size,
				text.data ? (const char *)text.data : "");
		} else {
			good = false;
		}
	}
	if (good && item) {
		item->delayed = extra.delayed;
		item->delay_ms = extra.delay_ms;
		memcpy(item->reason, extra.reason, sizeof item->reason);
	}
	buf_fini(&name);
	buf_fini(&text);
	return good && item;
}

/* Plain strings for ack and extend, objects for the two verdicts that carry more. */
static bool read_list(struct acknowledgement *ack, enum verdict verdict, struct slice list)
{
	bool objects = verdict == VERDICT_NACK || verdict == VERDICT_TERM;
	struct settlement *item;
	struct json_scan scan;
	struct slice value;

	if (!json_scan_array(list, &scan)) {
		return false;
	}
	while (json_scan_element(&scan, &value)) {
		if (objects ? !add_object(ack, verdict, value) : !add(ack, verdict, value, &item)) {
			return false;
		}
	}
	return true;
}

/* Equal texts end up side by side, wherever in the request they stood. */
static int compare_leases(const void *a, const void *b)
{
	const struct settlement *left = *(struct settlement *const *)a;
	const struct settlement *right = *(struct settlement *const *)b;

	return strcmp(left->text, right->text);
}

/* One lease twice: none of the two is applied. */
static void mark_twice(struct acknowledgement *ack)
{
	struct settlement **order = mem_alloc((ack->count + 1) * sizeof *order);

	for (size_t i = 0; i < ack->count; i++) {
		order[i] = &ack->items[i];
	}
	if (ack->count > 0) {
		qsort(order, ack->count, sizeof *order, compare_leases);
	}
	for (size_t i = 1; i < ack->count; i++) {
		if (strcmp(order[i - 1]->text, order[i]->text) == 0) {
			order[i - 1]->twice = order[i]->twice = true;
		}
	}
	mem_free(order);
}

/* The whole body is read before anything is applied: half a request must not settle half of
 * its messages. */
static bool read_body(struct acknowledgement *ack, struct slice body)
{
	static const char *const lists[] = {"ack", "nack", "extend", "term"};
	struct json_scan scan;
	struct slice value;
	struct buf name;
	bool good = json_scan_valid(body) && json_scan_object(body, &scan);

	buf_init(&name);
	while (good && json_scan_member(&scan, &name, &value)) {
		good = false;
		for (unsigned i = 0; i < ARRAY_SIZE(lists); i++) {
			if (slice_equal(buf_slice(&name), slice_from_string(lists[i]))) {
				good = read_list(ack, (enum verdict)i, value);
			}
		}
	}
	buf_fini(&name);
	if (good) {
		mark_twice(ack);
	}
	return good;
}

/* Parsed here, so that a malformed body costs the member's worker nothing. */
static void on_request(struct unary *unary, struct slice body)
{
	struct ack_request *request = unary_owner(unary);
	struct desk *desk = request->desk;
	struct broker *broker = desk->broker;
	struct acknowledgement *ack = mem_zalloc(sizeof *ack);

	request->unary = unary;
	if (!read_body(ack, body)) {
		discard(&ack->mail);
		mem_free(request);
		respond_reason(broker, unary, REASON_bad_body,
			"the body is {\"ack\":[],\"nack\":[{}],\"extend\":[],\"term\":[{}]}, 4096 "
			"leases",
			slice_make(NULL, 0));
		return;
	}
	request->slot = desk_ticket(desk, request, &request->generation);
	request->waiting = true;
	ack->path = request->path;
	ack->origin = desk->index;
	ack->slot = request->slot;
	ack->generation = request->generation;
	desk_post(&broker->desks[names_home(slice_from_string(ack->path.group),
			  slice_from_string(ack->path.member), broker->workers)],
		&ack->mail, run_home, discard);
}

/* What was sent on is settled all the same; only the way back is closed. */
static void on_gone(struct unary *unary)
{
	struct ack_request *request = unary_owner(unary);

	if (request->waiting) {
		(void)desk_ticket_take(request->desk, request->slot, request->generation);
	}
	mem_free(request);
}

static const struct unary_ops ack_ops = {on_request, on_gone};

void acknowledge_open(
	struct desk *desk, const struct endpoint_request *request, const struct fetch_path *path)
{
	struct ack_request *ack = mem_zalloc(sizeof *ack);

	ASSERT(desk->server);
	ack->desk = desk;
	ack->path = *path;
	unary_accept(request, BODY_MAX, &ack_ops, ack);
}
