/*
 * What this sidecar knows of services and records: watches that resume, the shrink guard, sets
 * for the workers (registry.md 9, 10; mesh.md MG-01, MG-02). A set changes only by frames of
 * the registry, each of which brings it from one index to another; a delta that does not start
 * where the set is makes it be read again. Watchers get a new immutable set each time, built
 * here once and shared by all.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "raftreg/client.h"
#include "raftreg/client_sub.h"
#include "raftreg/content.h"
#include "raftreg/state.h"
#include "raftreg/viewfile.h"

#define SUBS_MAX  1024 /* registry.md 9 */
#define GUARD_MIN 3    /* MG-02 */

void client_view_init_set(struct client_set *set, bool records, struct slice name)
{
	*set = (struct client_set){.records = records};
	set->name = slice_make(mem_copy(name.data, name.size), name.size);
	map_init(&set->members);
	map_init(&set->guarded);
	map_init(&set->defs);
	list_init(&set->changed);
}

static void free_member(struct client_member *member)
{
	if (member) {
		mem_free((void *)(uintptr_t)member->key.data);
		mem_free((void *)(uintptr_t)member->content.data);
		mem_free(member);
	}
}

static void clear_map(struct map *map)
{
	MAP_FOR_EACH(entry, map)
	{
		free_member(entry->value);
	}
	map_fini(map);
	map_init(map);
}

void client_view_free_set(struct client_set *set)
{
	clear_map(&set->members);
	clear_map(&set->guarded);
	clear_map(&set->defs);
	map_fini(&set->members);
	map_fini(&set->guarded);
	map_fini(&set->defs);
	list_unlink(&set->changed);
	mem_free((void *)(uintptr_t)set->name.data);
}

struct client_set *client_view_set(struct client *client, bool records, struct slice name)
{
	uint8_t bytes[STATE_SET_NAME_MAX + 1];
	struct slice key;

	return state_set_key(records, name, bytes, &key) ? map_get(&client->sets, key) : NULL;
}

/* Kept while it is watched, or has something: an empty set remembers its index, for the next delta.
 */
struct client_set *client_view_make(struct client *client, bool records, struct slice name)
{
	struct client_set *set = client_view_set(client, records, name);
	uint8_t bytes[STATE_SET_NAME_MAX + 1];
	struct slice key = {0};
	bool fits;

	if (set) {
		return set;
	}
	fits = state_set_key(records, name, bytes, &key);
	ASSERT(fits);
	set = mem_zalloc(sizeof *set);
	client_view_init_set(set, records, name);
	(void)map_set(&client->sets, key, set);
	return set;
}

void client_view_init(struct client *client)
{
	map_init(&client->sets);
	list_init(&client->subs);
	list_init(&client->changed);
}

void client_view_fini(struct client *client)
{
	while (!list_empty(&client->subs)) {
		client_sub_free(client, LIST_ENTRY(client->subs.next, struct client_sub, node));
	}
	MAP_FOR_EACH(entry, &client->sets)
	{
		client_view_free_set(entry->value);
		mem_free(entry->value);
	}
	map_fini(&client->sets);
}

/* Copies: frames end with their turn. */
void client_view_put(struct client_set *set, struct map *map, const struct item *item)
{
	struct client_member *member = mem_zalloc(sizeof *member);

	ASSERT(set && (map == &set->members || map == &set->defs || map == &set->guarded));
	member->key = slice_make(mem_copy(item->key.data, item->key.size), item->key.size);
	member->content =
		slice_make(mem_copy(item->content.data, item->content.size), item->content.size);
	member->created = item->created;
	member->modified = item->modified;
	member->suspect = item->suspect;
	member->owned = item->owned;
	free_member(map_set(map, item->key, member));
}

/* Published from the task, once, however many frames changed it in this turn. */
void client_view_changed(struct client *client, struct client_set *set)
{
	if (!list_linked(&set->changed)) {
		list_push_back(&client->changed, &set->changed);
	}
	client->view_changed = true;
	loop_queue(client->loop, &client->deliver);
}

/* Watchers may unwatch from inside: the list is walked by a marker. */
static void tell_watches(
	struct client_sub *sub, struct instance_set *instances, struct record_set *records)
{
	struct list_node waiting;

	list_init(&waiting);
	list_move_all(&waiting, &sub->watches);
	while (!list_empty(&waiting)) {
		struct watch *watch = LIST_ENTRY(list_pop_front(&waiting), struct watch, node);

		list_push_back(&sub->watches, &watch->node);
		if (instances) {
			watch->on_set(watch, instances);
		} else {
			watch->on_records(watch, records);
		}
	}
}

/* One set for all watchers; each takes a reference if it keeps it. */
static void publish_set(struct client *client, struct client_set *set)
{
	struct instance_set *instances = set->records ? NULL : client_publish_instances(set);
	struct record_set *records = set->records ? client_publish_records(set) : NULL;

	LIST_FOR_EACH_SAFE(place, &client->subs) {
		struct client_sub *sub = LIST_ENTRY(place, struct client_sub, node);

		if (client_sub_matches(sub, set->records, set->name)) {
			tell_watches(sub, instances, records);
		}
	}
	instance_set_unref(instances);
	record_set_unref(records);
}

static void free_ended(struct client *client)
{
	LIST_FOR_EACH_SAFE(place, &client->subs) {
		struct client_sub *sub = LIST_ENTRY(place, struct client_sub, node);

		if (sub->ended && list_empty(&sub->watches)) {
			client_sub_free(client, sub);
		} else {
			sub->ended = false;
		}
	}
}

/* From the task only. A watcher may stop the client from inside, hence the look at
 * `stopped`. */
void client_view_publish(struct client *client)
{
	client->telling = true;
	while (!list_empty(&client->changed) && !client->stopped) {
		struct client_set *set =
			LIST_ENTRY(client->changed.next, struct client_set, changed);

		list_unlink(&set->changed);
		if (set->has_data || set->known || set->guarded.count > 0) {
			publish_set(client, set);
		}
	}
	client->telling = false;
	free_ended(client);
}

/* What is known already is told from the loop; the rest comes when the registry speaks. */
int client_view_watch(struct client *client, struct watch *watch)
{
	struct client_sub *sub;
	size_t length = strlen(watch->name);
	size_t count = 0;

	if (length > STATE_SET_NAME_MAX || (length == 0 && !watch->prefix)) {
		return -22;
	}
	LIST_FOR_EACH(place, &client->subs) {
		count++;
	}
	sub = client_sub_find(client, watch);
	if (!sub && count >= SUBS_MAX) {
		return -28;
	}
	sub = sub ? sub : client_sub_make(client, watch);
	list_init(&watch->node);
	list_push_back(&sub->watches, &watch->node);
	/* What is known already is told from the loop, never inside this call. */
	MAP_FOR_EACH(entry, &client->sets)
	{
		struct client_set *set = entry->value;

		if (client_sub_matches(sub, set->records, set->name) &&
			(set->has_data || set->known)) {
			client_view_changed(client, set);
		}
	}
	return 0;
}

/* The last watcher of a name ends the subscription; a set that has something stays, for it may be
 * wanted again. */
void client_view_unwatch(struct client *client, struct watch *watch)
{
	struct client_sub *sub = client_sub_find(client, watch);

	list_unlink(&watch->node);
	if (sub && client->telling) {
		sub->ended = true;
	} else if (sub && list_empty(&sub->watches)) {
		client_sub_free(client, sub);
	}
}

struct lost_member {
	struct list_node node;
	struct client_member *member;
};

/* Taken out of the members; whether it may go for good is decided for all of the step together. */
static void lose_member(
	struct client_set *set, struct slice key, bool guardable, struct list_node *lost)
{
	struct client_member *member = map_remove(&set->members, key);
	struct lost_member *entry;

	if (!member) {
		return;
	}
	if (!guardable) {
		free_member(member);
		return;
	}
	entry = mem_zalloc(sizeof *entry);
	entry->member = member;
	list_init(&entry->node);
	list_push_back(lost, &entry->node);
}

/* MG-02: a step that would remove more than half, and at least three, without a word of their
 * owners, makes them suspect instead. */
static void guard_members(
	struct client *client, struct client_set *set, struct list_node *lost, size_t before)
{
	struct list_node *place;
	size_t count = 0;
	bool guard;

	LIST_FOR_EACH(node, lost) {
		count++;
	}
	guard = count >= GUARD_MIN && count * 2 > before && !set->records;
	if (guard) {
		log_event(LOG_LEVEL_WARN, "raftreg", 0,
			"a big step would remove instances: they stay as suspect for a while",
			(struct log_field[]){LOG_SLICE("pillion.service", set->name),
				LOG_NUMBER("pillion.count", count)},
			2);
	}
	while ((place = list_pop_front(lost)) != NULL) {
		struct lost_member *entry = LIST_ENTRY(place, struct lost_member, node);

		if (guard) {
			entry->member->guard_until_ms = client_now_ms(client) + CLIENT_GUARD_MS;
			free_member(map_set(&set->guarded, entry->member->key, entry->member));
		} else {
			free_member(entry->member);
		}
		mem_free(entry);
	}
}

/* One member of a frame; its key is then no longer guarded. */
static void take_item(struct client_set *set, const struct item *item, struct list_node *lost)
{
	switch (item->op) {
	case ITEM_UPSERT:
	case ITEM_PUT:
		free_member(map_remove(&set->guarded, item->key));
		client_view_put(set, &set->members, item);
		break;
	case ITEM_DEF:
		client_view_put(set, &set->defs, item);
		break;
	case ITEM_DELETE:
		if (item->number != CAUSE_EXPIRED) {
			free_member(map_remove(&set->guarded, item->key));
		}
		lose_member(set, item->key, item->number == CAUSE_EXPIRED, lost);
		break;
	case ITEM_REMOVE:
	case ITEM_SESSION:
	case ITEM_ADDRESS:
		break;
	}
}

/* Quadratic in the size of one set, which is bounded by its limit and by one frame. */
static bool has_item(const struct packet *frame, struct slice key)
{
	struct slice rest = frame->items;
	struct slice bytes;
	struct item item;

	while (packet_next_item(&rest, &bytes)) {
		if (item_decode(bytes, &item) == 0 && item.op != ITEM_DEF &&
			slice_equal(item.key, key)) {
			return true;
		}
	}
	return false;
}

/* Summed anew each time: sets are small and change seldom, and a sum kept alongside could be
 * wrong in the same way as the set. */
static uint64_t digest_of(const struct client *client, const struct client_set *set)
{
	uint64_t digest = 0;

	MAP_FOR_EACH(entry, &set->members)
	{
		const struct client_member *member = entry->value;
		const struct item item = {.key = member->key,
			.content = member->content,
			.modified = member->modified,
			.suspect = member->suspect};

		digest += state_published_digest(client->uuid, &item);
	}
	return digest;
}

/* The same sum over a whole set that is still a frame. */
static uint64_t digest_of_items(const struct client *client, const struct packet *frame)
{
	struct slice rest = frame->items;
	uint64_t digest = 0;
	struct slice bytes;
	struct item item;

	while (packet_next_item(&rest, &bytes)) {
		if (item_decode(bytes, &item) == 0 &&
			(item.op == ITEM_UPSERT || item.op == ITEM_PUT)) {
			digest += state_published_digest(client->uuid, &item);
		}
	}
	return digest;
}

static void tell_mismatch(struct client *client, const struct client_set *set)
{
	ASSERT(client->greeted);
	client->mismatches++;
	log_event(LOG_LEVEL_ERROR, "raftreg", 9001,
		"a set differs from its digest and is read again",
		(struct log_field[]){LOG_SLICE("pillion.set", set->name)}, 1);
}

/* The set goes from one index to another in one step; watchers see the whole of it. */
static void take_items(
	struct client *client, struct client_set *set, const struct packet *frame, bool whole)
{
	size_t before = set->members.count;
	struct list_node lost;
	struct slice rest = frame->items;
	struct slice bytes;
	struct item item;

	list_init(&lost);
	for (size_t i = 0; whole && i < set->members.count;) {
		struct slice key = set->members.entries[i].key;

		if (has_item(frame, key)) {
			i++;
		} else {
			lose_member(set, key, true, &lost);
		}
	}
	if (whole || (frame->flags & PACKET_DEFS)) {
		clear_map(&set->defs);
	}
	while (packet_next_item(&rest, &bytes)) {
		if (item_decode(bytes, &item) == 0) {
			take_item(set, &item, &lost);
		}
	}
	guard_members(client, set, &lost, before);
	set->modified = frame->index;
	set->digest = frame->digest;
	set->has_data = true;
	set->known = true;
	client_view_changed(client, set);
}

/* RW-01, RW-02: nothing older than what is there. A delta names each member as it is afterwards, so
 * it also brings a copy to its end that is between its ends already. */
static void on_delta(struct client *client, struct client_set *set, const struct packet *frame)
{
	uint64_t revision = client_sub_revision(client, set);

	if (frame->index <= revision) {
		return; /* an overlap of two subscriptions, or of a sync that did not end */
	}
	if (frame->from > revision) {
		client_sub_doubt(client, set);
		return;
	}
	take_items(client, set, frame, false);
	if (digest_of(client, set) != frame->digest) {
		tell_mismatch(client, set);
		client_sub_doubt(client, set);
	}
}

/* RV-05: a whole set that is not what its digest says changes nothing. */
static void on_whole(struct client *client, struct client_set *set, const struct packet *frame)
{
	if (set->known && frame->index < set->modified) {
		return; /* an overlap of two subscriptions */
	}
	if (digest_of_items(client, frame) != frame->digest) {
		tell_mismatch(client, set);
		return; /* the digest of END brings it up again */
	}
	take_items(client, set, frame, true);
}

static void on_set_frame(struct client *client, const struct packet *frame)
{
	struct client_set *set;

	if (frame->name.size == 0 || frame->name.size > STATE_SET_NAME_MAX) {
		return;
	}
	set = client_view_make(client, (frame->flags & PACKET_RECORDS) != 0, frame->name);
	set->mentioned = true;
	if (frame->kind == PACKET_SET) {
		on_whole(client, set, frame);
	} else {
		on_delta(client, set, frame);
	}
}

/* A full sync that did not mention a set says that it has no member. */
void client_view_empty(struct client *client, struct client_set *set, uint64_t index)
{
	const struct packet nothing = {.kind = PACKET_SET, .index = index};

	take_items(client, set, &nothing, true);
}

/* In the order of the stream: that is what makes a bookmark mean everything before it. */
void client_view_frame(struct client *client, const struct packet *frame)
{
	switch (frame->kind) {
	case PACKET_BEGIN:
		client_sub_begin(client, frame);
		break;
	case PACKET_SET:
	case PACKET_DELTA:
		on_set_frame(client, frame);
		break;
	case PACKET_END:
		client_sub_end(client, frame);
		break;
	case PACKET_BOOKMARK:
		client_sub_bookmark(client, frame);
		break;
	default:
		break;
	}
}

/* RV-06, MG-01: another cluster does not take away what the old one knew. */
void client_view_cluster_changed(struct client *client)
{
	LIST_FOR_EACH(place, &client->subs) {
		LIST_ENTRY(place, struct client_sub, node)->cursor = 0;
	}
	MAP_FOR_EACH(entry, &client->sets)
	{
		struct client_set *set = entry->value;

		while (set->members.count > 0) {
			struct client_member *member =
				map_remove(&set->members, set->members.entries[0].key);

			if (set->records) {
				free_member(member);
				continue;
			}
			member->guard_until_ms = client_now_ms(client) + CLIENT_FOREIGN_MS;
			free_member(map_set(&set->guarded, member->key, member));
		}
		set->modified = 0;
		set->cursor = 0;
		set->known = false;
		client_view_changed(client, set);
	}
}

/* Guards end only while the registry speaks: its silence must not empty anything. */
void client_view_tick(struct client *client, uint64_t now_ms)
{
	MAP_FOR_EACH(entry, &client->sets)
	{
		struct client_set *set = entry->value;

		for (size_t i = 0; i < set->guarded.count;) {
			const struct client_member *member = set->guarded.entries[i].value;

			/* RV-02: only while the registry speaks does time count against them. */
			if (now_ms < member->guard_until_ms || !client_is_live(client)) {
				i++;
				continue;
			}
			free_member(map_remove(&set->guarded, member->key));
			client_view_changed(client, set);
		}
	}
	client_sub_tick(client, now_ms);
	viewfile_tick(client, now_ms);
}
