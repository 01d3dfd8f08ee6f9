/*
 * directory_registry: the registry's side of the directory: watches over all groups and members,
 * and writing the own ones until they are accepted. Silence removes nothing (B3-07).
 */
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/directory_internal.h"

#define RETRY_MS      2000
#define GROUP_PREFIX  "/ps/group/"
#define MEMBER_PREFIX "/ps/member/"
#define SET_MAX	      512

/* A write under way. */
struct record_put {
	struct list_node node; /* of the directory */
	struct registry_call call;
	struct directory *directory;
	char name[72], group[72], pattern[288];
	bool member;
	enum group_record_state state;
};

/* By name, since the member may have been freed while the write was under way. */
static struct own_member *find_own(const struct record_put *put)
{
	LIST_FOR_EACH(node, &put->directory->own) {
		struct own_member *own = LIST_ENTRY(node, struct own_member, node);

		if (strcmp(own->name, put->name) == 0 && strcmp(own->group, put->group) == 0 &&
			strcmp(own->pattern, put->pattern) == 0) {
			return own;
		}
	}
	return NULL;
}

/* At the end: the registry stops next and runs no completion. */
void directory_forget_puts(struct directory *directory)
{
	LIST_FOR_EACH_SAFE(node, &directory->puts) {
		list_unlink(node);
		mem_free(LIST_ENTRY(node, struct record_put, node));
	}
}

/* A definite refusal and silence are treated alike: the write is repeated until it stands,
 * delivery between known members goes on meanwhile. */
static void on_put(struct registry_call *call, const struct registry_result *result)
{
	struct record_put *put = call->owner;
	struct directory *directory = put->directory;
	struct own_member *own = find_own(put);
	/* A group that is there already is as good as one that was made. */
	bool good =
		result->code == REGISTRY_OK || (!put->member && result->code == REGISTRY_CONFLICT);

	list_unlink(&put->node);
	if (own && put->member) {
		own->member_busy = false;
		own->member_put = good;
		own->put_state = put->state;
	} else if (own) {
		own->group_busy = false;
		own->group_put = good;
	}
	if (own && !good) {
		timer_arm(directory->broker->control_loop, &directory->retry,
			loop_now_ms(directory->broker->control_loop) + RETRY_MS);
	}
	mem_free(put);
	if (good) {
		directory_publish(directory);
	}
}

/* The names are copied: the member may change before the answer comes. */
static struct record_put *make_put(struct directory *directory, const struct own_member *own)
{
	struct record_put *put = mem_zalloc(sizeof *put);

	put->directory = directory;
	put->call.done = on_put;
	put->call.owner = put;
	(void)snprintf(put->name, sizeof put->name, "%s", own->name);
	(void)snprintf(put->group, sizeof put->group, "%s", own->group);
	(void)snprintf(put->pattern, sizeof put->pattern, "%s", own->pattern);
	list_push_back(&directory->puts, &put->node);
	return put;
}

/* A static registry has none (B3-08). */
static bool has_records(const struct directory *directory)
{
	return directory->broker->registry && directory->broker->registry->ops->put_record;
}

/* A durable group outlives every session; an ephemeral one goes with ours. */
static void put_group(struct directory *directory, struct own_member *own)
{
	struct registry *registry = directory->broker->registry;
	struct registry_record record = {.key = SLICE(GROUP_RECORD_KEY)};
	struct known_group *known = directory_group(
		directory, slice_from_string(own->pattern), slice_from_string(own->group), false);
	struct record_put *put = make_put(directory, own);
	char set[SET_MAX];
	struct buf value;

	buf_init(&value);
	group_record_encode(&own->settings, &value);
	record.value = buf_slice(&value);
	record.session = !own->settings.durable;
	(void)snprintf(set, sizeof set, GROUP_PREFIX "%s/%s", own->pattern, own->group);
	own->group_busy = true;
	/* The first declarer makes it; a later one only changes tunables (B3-05). */
	registry->ops->put_record(registry, set, &record, false,
		known && known->recorded ? UINT64_MAX : 0, &put->call);
	buf_fini(&value);
}

/* Hex, as in all names of sidecars. */
static void print_sidecar(const uint8_t id[16], char ret_text[33])
{
	for (unsigned i = 0; i < 16; i++) {
		(void)snprintf(ret_text + 2 * i, 3, "%02x", id[i]);
	}
}

/* Two groups of one process cannot overwrite each other: the set names the group, the key
 * the member. */
static void member_key(const struct directory *directory, const char *name, char ret_key[128])
{
	char sidecar[33];

	print_sidecar(directory->broker->sidecar, sidecar);
	(void)snprintf(ret_key, 128, "%s/%s", sidecar, name);
}

/* What others see: they stop sending to a paused or draining member. */
static enum group_record_state state_of(
	const struct directory *directory, const struct own_member *own)
{
	if (directory->draining) {
		return GROUP_RECORD_DRAINING;
	}
	return own->push.kind == CONFIG_PUSH_APP && !directory->app_ready ? GROUP_RECORD_PAUSED
									  : GROUP_RECORD_READY;
}

/* Written at changes of state only, never per message (B3-01). */
static void put_member(struct directory *directory, struct own_member *own)
{
	struct registry *registry = directory->broker->registry;
	struct group_record_member member = {.port = directory->broker->port,
		.state = state_of(directory, own),
		.pushed = own->push.kind != CONFIG_PUSH_NONE,
		.max_in_flight = own->max_in_flight};
	struct registry_record record = {.session = true};
	struct record_put *put = make_put(directory, own);
	char set[SET_MAX], key[128];
	struct buf value;

	(void)snprintf(member.host, sizeof member.host, "%s", directory->broker->host);
	(void)snprintf(member.zone, sizeof member.zone, "%s", directory->zone);
	member.weight = directory->weight;
	member_key(directory, own->name, key);
	buf_init(&value);
	group_record_encode_member(&member, &value);
	record.key = slice_from_string(key);
	record.value = buf_slice(&value);
	(void)snprintf(set, sizeof set, MEMBER_PREFIX "%s/%s", own->pattern, own->group);
	put->member = true;
	put->state = member.state;
	own->member_busy = true;
	registry->ops->put_record(registry, set, &record, false, UINT64_MAX, &put->call);
	buf_fini(&value);
}

/* One write of each member at a time; the group stands before its member does. */
void directory_publish(struct directory *directory)
{
	if (!directory->started || !has_records(directory)) {
		return;
	}
	LIST_FOR_EACH(node, &directory->own) {
		struct own_member *own = LIST_ENTRY(node, struct own_member, node);

		if (own->conflict || own->group_busy || own->member_busy) {
			continue;
		}
		if (!own->group_put) {
			put_group(directory, own);
		} else if (!own->declares_only &&
			   (!own->member_put || own->put_state != state_of(directory, own)) &&
			   (own->push.kind != CONFIG_PUSH_APP || directory->ever_ready)) {
			/* B7-02: no member before its application was ready once. */
			put_member(directory, own);
		}
	}
}

/* Nothing to do: what could not be deleted dies with the session. */
static void on_withdrawn(struct registry_call *call, const struct registry_result *result)
{
	struct record_put *put = call->owner;

	/* One that failed dies with the session. */
	ASSERT(result);
	list_unlink(&put->node);
	mem_free(put);
}

/* Removed subscriptions leave at once, so that nobody sends to them. */
void directory_withdraw(struct directory *directory, const struct own_member *own)
{
	struct registry *registry = directory->broker->registry;
	struct registry_record record = {.session = true};
	struct record_put *put;
	char set[SET_MAX], key[128];

	if (!has_records(directory) || !directory->started) {
		return;
	}
	put = make_put(directory, own);
	put->call.done = on_withdrawn;
	member_key(directory, own->name, key);
	record.key = slice_from_string(key);
	(void)snprintf(set, sizeof set, MEMBER_PREFIX "%s/%s", own->pattern, own->group);
	registry->ops->put_record(registry, set, &record, true, UINT64_MAX, &put->call);
}

/* By confirmed command only (F12). */
void directory_delete_group(struct directory *directory, const struct known_group *group)
{
	struct registry *registry = directory->broker->registry;
	struct registry_record record = {.key = SLICE(GROUP_RECORD_KEY)};
	struct record_put *put;
	char set[SET_MAX];

	if (!has_records(directory) || !directory->started) {
		return;
	}
	put = mem_zalloc(sizeof *put);
	put->directory = directory;
	put->call.done = on_withdrawn;
	put->call.owner = put;
	list_push_back(&directory->puts, &put->node);
	(void)snprintf(set, sizeof set, GROUP_PREFIX "%s/%s", group->pattern, group->group);
	registry->ops->put_record(registry, set, &record, true, UINT64_MAX, &put->call);
}

/* B3-05: the existing group stays untouched; the later declaration takes no part and is told
 * why. */
static void note_conflicts(struct directory *directory, const struct known_group *group)
{
	LIST_FOR_EACH(node, &directory->own) {
		struct own_member *own = LIST_ENTRY(node, struct own_member, node);

		if (strcmp(own->pattern, group->pattern) != 0 ||
			strcmp(own->group, group->group) != 0) {
			continue;
		}
		if (own->settings.durable != group->settings.durable && !own->conflict) {
			const struct reason_info *info = reason_info(REASON_group_conflict);

			own->conflict = true;
			log_event(LOG_LEVEL_ERROR, "broker", info->pil, info->text,
				(struct log_field[]){LOG_TEXT("pillion.topic", own->pattern),
					LOG_TEXT("pillion.group", own->group),
					LOG_TEXT("pillion.field", "durable")},
				3);
		}
	}
}

/* The whole set each time; an empty one is a committed delete and nothing else ever is. */
static void on_group_records(struct watch *watch, struct record_set *set)
{
	struct directory *directory = watch->owner;
	struct slice pattern, name;
	struct known_group *group;

	if (!group_record_parse_set(
		    slice_from_string(set->name), SLICE(GROUP_PREFIX), &pattern, &name)) {
		return;
	}
	group = directory_group(directory, pattern, name, set->count > 0);
	if (!group) {
		return;
	}
	if (set->count == 0) {
		/* A committed delete, by somebody's command (B3-03). */
		if (group->recorded && group->settings.durable) {
			(void)directory_remove_group(directory, pattern, name);
		} else {
			group->recorded = false;
			directory_changed(directory);
		}
		return;
	}
	for (uint32_t i = 0; i < set->count; i++) {
		if (slice_equal(set->records[i].key, SLICE(GROUP_RECORD_KEY)) &&
			group_record_decode(set->records[i].value, &group->settings)) {
			group->recorded = true;
		}
	}
	note_conflicts(directory, group);
	directory_changed(directory);
}

/* A record that does not decode is as if it were not there; its sidecar will write a better
 * one. */
static void take_member(struct directory *directory, struct known_group *group,
	const struct registry_record *record)
{
	struct group_record_member decoded;
	struct known_member *member;
	size_t slash = slice_find(record->key, '/');
	struct slice name = slice_from(record->key, slash < record->key.size ? slash + 1 : slash);
	uint8_t sidecar[16];

	if (!slice_parse_hex(slice_make(record->key.data, slash), sidecar, sizeof sidecar) ||
		name.size == 0 || name.size >= sizeof member->name ||
		!group_record_decode_member(record->value, &decoded) ||
		group->member_count >= PLAN_MEMBERS_MAX) {
		return;
	}
	if (memcmp(sidecar, directory->broker->sidecar, sizeof sidecar) == 0) {
		group->own_listed = true;
		return; /* known better here (B1-07) */
	}
	group->members =
		mem_realloc(group->members, (group->member_count + 1) * sizeof *group->members);
	member = &group->members[group->member_count++];
	memset(member, 0, sizeof *member);
	memcpy(member->sidecar, sidecar, sizeof sidecar);
	memcpy(member->name, name.data, name.size);
	(void)snprintf(member->host, sizeof member->host, "%s", decoded.host);
	member->port = decoded.port;
	memcpy(member->zone, decoded.zone, sizeof member->zone);
	member->weight = decoded.weight;
	member->usable = decoded.state == GROUP_RECORD_READY;
}

/* Members of other sidecars are replaced whole: what is not in the set is gone by the
 * registry's word. */
static void on_member_records(struct watch *watch, struct record_set *set)
{
	struct directory *directory = watch->owner;
	struct slice pattern, name;
	struct known_group *group;

	if (!group_record_parse_set(
		    slice_from_string(set->name), SLICE(MEMBER_PREFIX), &pattern, &name)) {
		return;
	}
	group = directory_group(directory, pattern, name, true);
	if (!group) {
		return;
	}
	group->member_count = 0;
	group->own_listed = false;
	for (uint32_t i = 0; i < set->count; i++) {
		take_member(directory, group, &set->records[i]);
	}
	/* Our session ended and another began: what it held is declared again. */
	LIST_FOR_EACH(node, &directory->own) {
		struct own_member *own = LIST_ENTRY(node, struct own_member, node);

		if (!group->own_listed && own->member_put && !own->member_busy &&
			strcmp(own->pattern, group->pattern) == 0 &&
			strcmp(own->group, group->group) == 0) {
			own->member_put = false;
			timer_arm(directory->broker->control_loop, &directory->retry,
				loop_now_ms(directory->broker->control_loop) + RETRY_MS);
		}
	}
	directory_changed(directory);
}

/* The slot for services, which these watches never use. */
static void on_set(struct watch *watch, struct instance_set *set)
{
	ASSERT(watch && !set); /* only records are watched */
}

/* Two prefixes: all groups and all members (B3-07). */
void directory_watch(struct directory *directory)
{
	struct registry *registry = directory->broker->registry;

	if (!has_records(directory) || !registry->ops->watch_service || directory->watching) {
		return;
	}
	directory->group_watch = (struct watch){.kind = WATCH_RECORDS,
		.prefix = true,
		.name = GROUP_PREFIX,
		.on_set = on_set,
		.on_records = on_group_records,
		.owner = directory};
	directory->member_watch = directory->group_watch;
	directory->member_watch.name = MEMBER_PREFIX;
	directory->member_watch.on_records = on_member_records;
	list_init(&directory->group_watch.node);
	list_init(&directory->member_watch.node);
	if (registry->ops->watch_service(registry, &directory->group_watch) < 0) {
		return;
	}
	if (registry->ops->watch_service(registry, &directory->member_watch) < 0) {
		registry->ops->unwatch_service(registry, &directory->group_watch);
		return;
	}
	directory->watching = true;
}

/* Before the registry stops. */
void directory_unwatch(struct directory *directory)
{
	struct registry *registry = directory->broker->registry;

	if (directory->watching) {
		directory->watching = false;
		registry->ops->unwatch_service(registry, &directory->group_watch);
		registry->ops->unwatch_service(registry, &directory->member_watch);
	}
}
