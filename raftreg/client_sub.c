/*
 * Each subscription has a cursor: the index up to which the sets below it are complete here. It is
 * raised by the END of its own sync and by the bookmarks behind that, never by those of another
 * one, and so a stream that breaks between two syncs loses nothing. What the replica adds its sets
 * up to is compared at both occasions (RW-05): a set that was never sent would otherwise stay
 * unknown until it changes again.
 */
#include "raftreg/client_sub.h"

#include "base/log.h"
#include "base/mem.h"
#include "raftreg/state.h"

#define RETRY_MIN_MS  100  /* RW-08 */
#define DOUBT_EACH_MS 5000 /* so often at most something is read again from nothing */

/* A prefix sees every set below it; an exact name only its own. */
bool client_sub_matches(const struct client_sub *sub, bool records, struct slice name)
{
	struct slice wanted = slice_from_string(sub->name);

	return sub->records == records &&
	       (sub->prefix ? slice_starts_with(name, wanted) : slice_equal(name, wanted));
}

/* The number is drawn anew for each, so that frames of an older stream or an older question cannot
 * be taken for answers to this one. */
static void send_subscribe(struct client *client, struct client_sub *sub)
{
	struct packet frame = {.kind = PACKET_SUBSCRIBE,
		.name = slice_from_string(sub->name),
		.flags = (sub->records ? PACKET_RECORDS : 0u) |
			 (sub->prefix ? (unsigned)PACKET_PREFIX : 0u),
		.index = sub->cursor};
	struct buf bytes;

	sub->number = frame.number = ++client->next_number;
	sub->synced = false;
	sub->retry_ms = 0;
	client->sub_requests++;
	buf_init(&bytes);
	packet_encode(&frame, &bytes);
	sub->sent = client_send(client, buf_slice(&bytes));
	buf_fini(&bytes);
}

static void send_unsubscribe(struct client *client, struct client_sub *sub)
{
	const struct packet frame = {.kind = PACKET_UNSUBSCRIBE, .number = sub->number};
	struct buf bytes;

	sub->sent = false;
	client->sub_requests++;
	buf_init(&bytes);
	packet_encode(&frame, &bytes);
	(void)client_send(client, buf_slice(&bytes));
	buf_fini(&bytes);
}

/* RW-03: each resumes by itself; those that never had an END start from nothing. */
void client_sub_welcome(struct client *client)
{
	client->sub_requests = 0;
	LIST_FOR_EACH(place, &client->subs) {
		send_subscribe(client, LIST_ENTRY(place, struct client_sub, node));
	}
}

struct client_sub *client_sub_find(const struct client *client, const struct watch *watch)
{
	LIST_FOR_EACH(place, &client->subs) {
		struct client_sub *sub = LIST_ENTRY(place, struct client_sub, node);

		if (sub->records == (watch->kind == WATCH_RECORDS) &&
			sub->prefix == watch->prefix && strcmp(sub->name, watch->name) == 0) {
			return sub;
		}
	}
	return NULL;
}

/* A set that was watched before, in this run or the last one, goes on from there. Below a prefix
 * there may be sets that were never heard of, so it begins with nothing. */
struct client_sub *client_sub_make(struct client *client, const struct watch *watch)
{
	struct client_sub *sub = mem_zalloc(sizeof *sub);

	sub->records = watch->kind == WATCH_RECORDS;
	sub->prefix = watch->prefix;
	sub->name = mem_strdup(watch->name);
	list_init(&sub->watches);
	list_init(&sub->node);
	list_push_back(&client->subs, &sub->node);
	if (!sub->prefix) {
		sub->cursor = client_view_make(client, sub->records, slice_from_string(sub->name))
				      ->cursor;
	}
	if (client->greeted) {
		send_subscribe(client, sub);
	}
	return sub;
}

static bool is_watched(const struct client *client, const struct client_set *set)
{
	LIST_FOR_EACH(place, &client->subs) {
		const struct client_sub *sub = LIST_ENTRY(place, struct client_sub, node);

		if (client_sub_matches(sub, set->records, set->name)) {
			return true;
		}
	}
	return false;
}

/* Sets that have something stay, and remember how far they were followed. Names come from requests
 * (MA-04): those that no service has must not stay for ever. */
void client_sub_free(struct client *client, struct client_sub *sub)
{
	list_unlink(&sub->node);
	for (size_t i = 0; i < client->sets.count;) {
		struct client_set *set = client->sets.entries[i++].value;

		if (!client_sub_matches(sub, set->records, set->name)) {
			continue;
		}
		set->cursor = sub->cursor > set->cursor ? sub->cursor : set->cursor;
		if (set->members.count + set->guarded.count == 0 && !is_watched(client, set)) {
			(void)map_remove(&client->sets, client->sets.entries[--i].key);
			client_view_free_set(set);
			mem_free(set);
			client->view_changed = true;
		}
	}
	if (client->greeted && sub->sent) {
		send_unsubscribe(client, sub);
	}
	mem_free(sub->name);
	mem_free(sub);
}

/* What was refused for now is asked again; what is in doubt is asked for again from nothing. */
void client_sub_tick(struct client *client, uint64_t now_ms)
{
	bool may_doubt = now_ms >= client->doubt_ms;

	if (!client->greeted) {
		return;
	}
	LIST_FOR_EACH(place, &client->subs) {
		struct client_sub *sub = LIST_ENTRY(place, struct client_sub, node);

		if (sub->doubted && sub->sent && may_doubt) {
			sub->doubted = false;
			client->doubt_ms = now_ms + DOUBT_EACH_MS;
			send_unsubscribe(client, sub);
			send_subscribe(client, sub);
		} else if (!sub->sent && now_ms >= sub->retry_ms) {
			send_subscribe(client, sub);
		}
	}
}

/* RW-08: with full jitter, for many were refused in the same moment. Other refusals are the
 * client's own mistakes and would be refused again. */
bool client_sub_answered(struct client *client, const struct packet *answer)
{
	LIST_FOR_EACH(place, &client->subs) {
		struct client_sub *sub = LIST_ENTRY(place, struct client_sub, node);

		if (sub->number != answer->number || !sub->sent) {
			continue;
		}
		if (answer->code == CODE_RETRY_LATER) {
			sub->sent = false;
			sub->retry_ms = client_now_ms(client) + answer->retry_after_ms +
					RETRY_MIN_MS +
					rng_below(&client->rng, client->ttl_ms / 3 + 1);
		}
		return true;
	}
	return false;
}

/* Frames of a subscription that ended meanwhile find nobody and are dropped. */
static struct client_sub *sub_of(const struct client *client, uint64_t number)
{
	LIST_FOR_EACH(place, &client->subs) {
		struct client_sub *sub = LIST_ENTRY(place, struct client_sub, node);

		if (sub->number == number && sub->sent) {
			return sub;
		}
	}
	return NULL;
}

/* What the sync does not mention is known only at its end. */
void client_sub_begin(struct client *client, const struct packet *frame)
{
	struct client_sub *sub = sub_of(client, frame->number);

	if (!sub) {
		return;
	}
	sub->full = (frame->flags & PACKET_FULL) != 0;
	MAP_FOR_EACH(entry, &client->sets)
	{
		((struct client_set *)entry->value)->mentioned = false;
	}
}

/* RW-05, the replica's sum for the same sets. `only`: of one subscription; NULL: of all. */
static uint64_t view_digest(const struct client *client, const struct client_sub *only)
{
	uint64_t digest = 0;

	MAP_FOR_EACH(entry, &client->sets)
	{
		const struct client_set *set = entry->value;
		bool counts = false;

		LIST_FOR_EACH(place, &client->subs) {
			const struct client_sub *sub = LIST_ENTRY(place, struct client_sub, node);

			counts =
				counts || ((!only || sub == only) &&
						  client_sub_matches(sub, set->records, set->name));
		}
		if (counts && set->members.count > 0) {
			digest += state_view_digest(
				client->uuid, set->records, set->name, set->digest);
		}
	}
	return digest;
}

static void doubt(struct client *client, struct client_sub *sub)
{
	ASSERT(client->greeted);
	sub->doubted = true;
	sub->cursor = 0;
	MAP_FOR_EACH(entry, &client->sets)
	{
		struct client_set *set = entry->value;

		if (client_sub_matches(sub, set->records, set->name)) {
			set->cursor = 0;
		}
	}
}

static void tell_mismatch(struct client *client, const struct client_sub *sub)
{
	client->mismatches++;
	log_event(LOG_LEVEL_ERROR, "raftreg", 9001,
		"what is watched differs from the registry and is read again",
		(struct log_field[]){LOG_TEXT("pillion.watch", sub ? sub->name : "all")}, 1);
}

/* The sync is complete: names nobody mentioned are empty, and the cursor is good. */
void client_sub_end(struct client *client, const struct packet *frame)
{
	struct client_sub *sub = sub_of(client, frame->number);

	if (!sub) {
		return;
	}
	MAP_FOR_EACH(entry, &client->sets)
	{
		struct client_set *set = entry->value;

		if (!client_sub_matches(sub, set->records, set->name)) {
			continue;
		}
		if (sub->full && !set->mentioned && (set->members.count > 0 || !set->known)) {
			client_view_empty(client, set, frame->index);
		} else if (!set->known) {
			set->known = true; /* unchanged since the cursor */
			client_view_changed(client, set);
		}
	}
	sub->synced = true;
	client->view_changed = true;
	client->highest = frame->index > client->highest ? frame->index : client->highest;
	if ((frame->flags & PACKET_DIGEST) && frame->digest != view_digest(client, sub)) {
		tell_mismatch(client, sub);
		doubt(client, sub);
	} else if (!sub->doubted) {
		sub->cursor = frame->index;
	}
}

/* RW-05: everything up to here came before it on this stream. The sums can be compared when both
 * sides mean the same subscriptions. */
void client_sub_bookmark(struct client *client, const struct packet *frame)
{
	bool all = client->sub_requests == frame->seq && (frame->flags & PACKET_DIGEST) != 0;

	LIST_FOR_EACH(place, &client->subs) {
		const struct client_sub *sub = LIST_ENTRY(place, struct client_sub, node);

		all = all && sub->synced && !sub->doubted;
	}
	if (all && frame->digest != view_digest(client, NULL)) {
		tell_mismatch(client, NULL);
		LIST_FOR_EACH(wrong, &client->subs) {
			doubt(client, LIST_ENTRY(wrong, struct client_sub, node));
		}
		return;
	}
	LIST_FOR_EACH(node, &client->subs) {
		struct client_sub *sub = LIST_ENTRY(node, struct client_sub, node);

		if (sub->synced && !sub->doubted) {
			sub->cursor = frame->index;
		}
	}
	client->highest = frame->index > client->highest ? frame->index : client->highest;
}

static uint64_t reached(const struct client *client, const struct client_set *set, uint64_t least)
{
	LIST_FOR_EACH(place, &client->subs) {
		const struct client_sub *sub = LIST_ENTRY(place, struct client_sub, node);

		if (sub->cursor > least && client_sub_matches(sub, set->records, set->name)) {
			least = sub->cursor;
		}
	}
	return least;
}

/* Also of a set that nobody spoke of yet: below a complete subscription it is known to be empty. */
uint64_t client_sub_revision(const struct client *client, const struct client_set *set)
{
	return reached(client, set, set->modified);
}

uint64_t client_sub_cursor(const struct client *client, const struct client_set *set)
{
	return reached(client, set, set->cursor);
}

void client_sub_doubt(struct client *client, struct client_set *set)
{
	LIST_FOR_EACH(place, &client->subs) {
		struct client_sub *sub = LIST_ENTRY(place, struct client_sub, node);

		if (client_sub_matches(sub, set->records, set->name)) {
			doubt(client, sub);
		}
	}
}
