/*
 * Own members are entered here at once and written to the registry behind it; the plan is built
 * from both. A change posts one plan at the end of the turn, however many records made it.
 */
#include "broker/directory_internal.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/names.h"

#define DEFAULT_ACK_WAIT_MS 30000
#define DEFAULT_MAX_DELIVER 16
#define DEFAULT_PROCESSING  UINT64_C(900000)
#define FETCH_IN_FLIGHT	    256

static const uint32_t default_backoff_ms[] = {100, 1000, 10000, 60000};

/* Patterns and groups hold no slash, so the key is unique. */
static void group_key(struct slice pattern, struct slice group, char ret_key[static 400])
{
	(void)snprintf(ret_key, 400, "%.*s/%.*s", (int)pattern.size, (const char *)pattern.data,
		(int)group.size, (const char *)group.data);
}

/* Section 4's defaults, for groups of which only members are known (B3-09). */
static void set_defaults(struct plan_group *settings)
{
	*settings = (struct plan_group){.durable = true,
		.earliest = true,
		.ack_wait_ms = DEFAULT_ACK_WAIT_MS,
		.max_deliver = DEFAULT_MAX_DELIVER,
		.backoff_count = ARRAY_SIZE(default_backoff_ms)};
	memcpy(settings->backoff_ms, default_backoff_ms, sizeof default_backoff_ms);
}

/* NULL where it is unknown and must not be made, or where the limit of groups is reached. */
struct known_group *directory_group(
	struct directory *directory, struct slice pattern, struct slice group, bool make)
{
	struct known_group *known;
	char key[400];

	group_key(pattern, group, key);
	known = map_get(&directory->groups, slice_from_string(key));
	if (known || !make || directory->groups.count >= PLAN_GROUPS_MAX) {
		return known;
	}
	known = mem_zalloc(sizeof *known);
	memcpy(known->pattern, pattern.data, pattern.size);
	memcpy(known->group, group.data, group.size);
	set_defaults(&known->settings);
	(void)map_set(&directory->groups, slice_from_string(key), known);
	return known;
}

/* Strings of a plan live exactly as long as the plan. */
static char *keep(struct plan *plan, const char *text)
{
	return arena_string(&plan->arena, slice_from_string(text));
}

/* Members of one group: those of other sidecars, and our own. */
static void plan_members(struct directory *directory, struct plan *plan,
	const struct known_group *known, struct plan_group *group)
{
	struct plan_member *members =
		arena_alloc(&plan->arena, (known->member_count + 64) * sizeof *members);
	size_t most = known->member_count + 63;

	for (size_t i = 0; i < known->member_count; i++) {
		struct plan_member *member = &members[group->member_count++];

		memcpy(member->sidecar, known->members[i].sidecar, sizeof member->sidecar);
		member->name = keep(plan, known->members[i].name);
		member->host = keep(plan, known->members[i].host);
		member->port = known->members[i].port;
		member->near = directory->zone[0] != '\0' &&
			       strcmp(directory->zone, known->members[i].zone) == 0;
		member->weight = known->members[i].weight;
		member->usable = known->members[i].usable;
	}
	LIST_FOR_EACH(node, &directory->own) {
		const struct own_member *own = LIST_ENTRY(node, struct own_member, node);
		struct plan_member *member = &members[group->member_count];

		if (own->conflict || own->declares_only ||
			strcmp(own->pattern, known->pattern) != 0 ||
			strcmp(own->group, known->group) != 0 || group->member_count >= most) {
			continue;
		}
		group->member_count++;
		memcpy(member->sidecar, directory->broker->sidecar, sizeof member->sidecar);
		member->name = keep(plan, own->name);
		member->host = keep(plan, directory->broker->host);
		member->port = directory->broker->port;
		member->local = true;
		member->near = directory->zone[0] != '\0';
		member->weight = directory->weight;
		member->usable = !directory->draining &&
				 (own->push.kind != CONFIG_PUSH_APP || directory->app_ready);
	}
	group->members = members;
}

/* Every group that is known, also those without a member: a durable one keeps its messages
 * (B3-03). */
static void plan_groups(struct directory *directory, struct plan *plan)
{
	struct plan_group *groups =
		arena_alloc(&plan->arena, (directory->groups.count + 1) * sizeof *groups);

	MAP_FOR_EACH(entry, &directory->groups)
	{
		const struct known_group *known = entry->value;
		struct plan_group *group = &groups[plan->group_count++];

		*group = known->settings;
		group->pattern = keep(plan, known->pattern);
		group->group = keep(plan, known->group);
		group->member_count = 0;
		plan_members(directory, plan, known, group);
	}
	plan->groups = groups;
}

/* Settings of the members that live in this sidecar, for their home workers. */
static void plan_locals(struct directory *directory, struct plan *plan)
{
	struct plan_local *locals;
	size_t count = 0;

	LIST_FOR_EACH(node, &directory->own) {
		count++;
	}
	locals = arena_alloc(&plan->arena, (count + 1) * sizeof *locals);
	LIST_FOR_EACH(node, &directory->own) {
		const struct own_member *own = LIST_ENTRY(node, struct own_member, node);
		struct plan_local *local = &locals[plan->local_count];

		if (own->conflict || own->declares_only) {
			continue;
		}
		plan->local_count++;
		local->name = keep(plan, own->name);
		local->pattern = keep(plan, own->pattern);
		local->group = keep(plan, own->group);
		local->push = own->push;
		local->push.authority = keep(plan, own->push_authority);
		local->push.path = keep(plan, own->push_path);
		local->push.text = NULL;
		local->http2 = own->http2;
		local->ack_wait_ms = own->settings.ack_wait_ms;
		local->max_processing_ms = own->max_processing_ms;
		local->max_in_flight = own->max_in_flight;
		local->max_in_flight_bytes = own->max_in_flight_bytes;
	}
	plan->locals = locals;
}

/* Groups that a command took away. They stay in the plan, since a topic may appear later. */
static void plan_removals(struct directory *directory, struct plan *plan)
{
	struct plan_removed *removed =
		arena_alloc(&plan->arena, (directory->removed_count + 1) * sizeof *removed);

	for (size_t i = 0; i < directory->removed_count; i++) {
		removed[i].pattern = keep(plan, directory->removed[i].pattern);
		removed[i].group = keep(plan, directory->removed[i].group);
	}
	plan->removed = removed;
	plan->removed_count = directory->removed_count;
}

/* A fresh immutable value; the old one lives on as long as a desk holds it. */
struct plan *directory_plan(struct directory *directory)
{
	struct plan *plan = plan_create();

	/* Strings of the configuration's part live in a plan that this one copies from. */
	plan_copy_config(plan, directory->config);
	plan->app_ready = directory->app_ready;
	plan->draining = directory->draining;
	plan_groups(directory, plan);
	plan_locals(directory, plan);
	plan_removals(directory, plan);
	return plan;
}

struct plan_mail {
	struct desk_mail mail;
	struct plan *plan;
};

/* The reference of the mail. */
static void discard_plan(struct desk_mail *mail)
{
	struct plan_mail *self = container_of(mail, struct plan_mail, mail);

	plan_unref(self->plan);
	mem_free(self);
}

/* On the desk's thread. */
static void run_plan(struct desk *desk, struct desk_mail *mail)
{
	struct plan_mail *self = container_of(mail, struct plan_mail, mail);

	desk_set_plan(desk, plan_ref(self->plan));
	discard_plan(mail);
}

/* The same plan to every desk: they count on it, nobody copies it. */
static void post_plan(struct task *task)
{
	struct directory *directory = container_of(task, struct directory, task);
	struct plan *plan = directory_plan(directory);

	for (unsigned i = 0; i < directory->broker->workers; i++) {
		struct plan_mail *mail = mem_zalloc(sizeof *mail);

		mail->plan = plan_ref(plan);
		desk_post(&directory->broker->desks[i], &mail->mail, run_plan, discard_plan);
	}
	plan_unref(plan);
}

/* Queued once, whatever happens more in this turn. */
void directory_changed(struct directory *directory)
{
	loop_queue(directory->broker->control_loop, &directory->task);
}

/* B3-04: only the first group of a pattern gets what was published before it existed. */
static bool first_of_pattern(struct directory *directory, const char *pattern)
{
	MAP_FOR_EACH(entry, &directory->groups)
	{
		const struct known_group *known = entry->value;

		if (strcmp(known->pattern, pattern) == 0) {
			return false;
		}
	}
	return true;
}

/* B3-04: the start is resolved here and stored as a fact. */
static void declare(struct directory *directory, struct own_member *own)
{
	struct slice pattern = slice_from_string(own->pattern);
	struct slice name = slice_from_string(own->group);
	bool first = first_of_pattern(directory, own->pattern);
	struct known_group *group = directory_group(directory, pattern, name, true);

	if (!group) {
		log_event(LOG_LEVEL_WARN, "broker", 6004, "too many groups",
			(struct log_field[]){LOG_TEXT("pillion.group", own->group)}, 1);
		return;
	}
	own->settings.created_ms = clock_wall_ms();
	own->settings.earliest =
		own->start == CONFIG_START_EARLIEST ||
		(own->start == CONFIG_START_AUTO && first && own->settings.durable);
	if (!group->recorded) {
		struct plan_group old = group->settings;

		group->settings = own->settings;
		if (old.created_ms != 0) {
			group->settings.created_ms = old.created_ms;
			group->settings.earliest = old.earliest;
		}
	} else if (group->settings.durable != own->settings.durable) {
		own->conflict = true;
	} else {
		/* The latest declaration of a tunable wins (B3-05). */
		own->settings.created_ms = group->settings.created_ms;
		own->settings.earliest = group->settings.earliest;
		group->settings = own->settings;
	}
	/* It is wanted again: an older removal is over. */
	for (size_t i = 0; i < directory->removed_count; i++) {
		if (strcmp(directory->removed[i].pattern, own->pattern) == 0 &&
			strcmp(directory->removed[i].group, own->group) == 0) {
			mem_free((void *)(uintptr_t)directory->removed[i].pattern);
			mem_free((void *)(uintptr_t)directory->removed[i].group);
			directory->removed[i] = directory->removed[--directory->removed_count];
			break;
		}
	}
}

/* The configuration may go; what it said of the address stays. */
static void copy_push(struct own_member *own, const struct config_push *push)
{
	own->push = *push;
	(void)snprintf(own->push_authority, sizeof own->push_authority, "%s",
		push->authority ? push->authority : "localhost");
	(void)snprintf(own->push_path, sizeof own->push_path, "%s", push->path ? push->path : "/");
}

/* A member is named by its group and its name (B3-02). */
static struct own_member *find_own(struct directory *directory, const char *group, const char *name)
{
	LIST_FOR_EACH(node, &directory->own) {
		struct own_member *own = LIST_ENTRY(node, struct own_member, node);

		if (strcmp(own->group, group) == 0 && strcmp(own->name, name) == 0) {
			return own;
		}
	}
	return NULL;
}

/* A subscription without a group is a broadcast: private, not durable, from now on. */
static void fill_own(
	struct directory *directory, struct own_member *own, const struct config_subscription *sub)
{
	set_defaults(&own->settings);
	(void)snprintf(own->name, sizeof own->name, "%s", sub->name);
	(void)snprintf(own->pattern, sizeof own->pattern, "%s", sub->topic);
	own->settings.durable = sub->group != NULL && sub->durable;
	own->start = sub->group ? sub->start : CONFIG_START_NEW;
	own->settings.ack_wait_ms = (uint32_t)sub->ack_wait_ms;
	own->settings.max_deliver = (uint32_t)sub->max_deliver;
	if (sub->backoff_ms.count > 0) {
		own->settings.backoff_count = 0;
	}
	for (size_t i = 0; i < sub->backoff_ms.count && i < PLAN_BACKOFF_MAX; i++) {
		own->settings.backoff_ms[own->settings.backoff_count++] =
			(uint32_t)sub->backoff_ms.items[i];
	}
	own->max_processing_ms = (uint64_t)sub->max_processing_ms;
	own->max_in_flight = (uint32_t)sub->max_in_flight;
	own->max_in_flight_bytes = sub->max_in_flight_bytes;
	own->http2 = sub->http2;
	copy_push(own, &sub->push);
	ASSERT(directory->broker->workers > 0);
}

/* Broadcast: a private group of this sidecar and subscription. */
static void group_of(const struct directory *directory, const struct config_subscription *sub,
	char ret_group[72])
{
	const uint8_t *id = directory->broker->sidecar;

	if (sub->group) {
		(void)snprintf(ret_group, 72, "%s", sub->group);
	} else {
		(void)snprintf(ret_group, 72, "~%02x%02x%02x%02x-%.52s", id[0], id[1], id[2], id[3],
			sub->name);
	}
}

/* Takes it out of the list as well. */
static void free_own(struct own_member *own)
{
	list_unlink(&own->node);
	mem_free(own);
}

/* An unchanged one keeps its registration; one that moved to another topic is a new member. */
static void take_subscription(struct directory *directory, const struct config_subscription *sub)
{
	struct own_member *own;
	char group[72];

	group_of(directory, sub, group);
	own = find_own(directory, group, sub->name);
	if (own && strcmp(own->pattern, sub->topic) != 0) {
		directory_withdraw(directory, own);
		free_own(own);
		own = NULL;
	}
	if (!own) {
		own = mem_zalloc(sizeof *own);
		list_push_back(&directory->own, &own->node);
	}
	fill_own(directory, own, sub);
	(void)snprintf(own->group, sizeof own->group, "%s", group);
	own->keep = true;
	/* Without `push` it declares the group; its members come with their fetches. */
	own->declares_only = sub->push.kind == CONFIG_PUSH_NONE;
	own->group_put = false;
	own->conflict = false;
	declare(directory, own);
}

/* Where the registry keeps no records the configuration names the others, by the address of
 * their sidecar. */
static void take_members(struct directory *directory, const struct config_broker *config)
{
	/* B3-08: only where the registry has no records. */
	for (size_t i = 0; i < config->members.count; i++) {
		const struct config_member *from = &config->members.items[i];
		struct known_group *group = directory_group(directory,
			slice_from_string(from->topic), slice_from_string(from->group), true);
		struct known_member *member;
		uint32_t sum;

		if (!group || group->member_count >= PLAN_MEMBERS_MAX ||
			(strcmp(from->address.host, directory->broker->host) == 0 &&
				from->address.port == directory->broker->port)) {
			continue;
		}
		group->members = mem_realloc(
			group->members, (group->member_count + 1) * sizeof *group->members);
		member = &group->members[group->member_count++];
		memset(member, 0, sizeof *member);
		(void)snprintf(member->name, sizeof member->name, "%s", from->name);
		(void)snprintf(member->host, sizeof member->host, "%s", from->address.host);
		member->port = from->address.port;
		member->weight = GROUP_RECORD_WEIGHT;
		member->usable = true;
		sum = crc32c(from->address.port, member->host, strlen(member->host));
		memcpy(member->sidecar, &sum, sizeof sum);
	}
}

/* Members say where they are and what they can take; others learn of a change (B10-03). */
static void take_place(struct directory *directory, const struct config_self *self)
{
	const char *zone = self->zone ? self->zone : "";

	if (strcmp(directory->zone, zone) == 0 && directory->weight == (uint32_t)self->weight) {
		return;
	}
	(void)snprintf(directory->zone, sizeof directory->zone, "%s", zone);
	directory->weight = (uint32_t)self->weight;
	LIST_FOR_EACH(node, &directory->own) {
		LIST_ENTRY(node, struct own_member, node)->member_put = false;
	}
}

/* By name: kept, changed, added, and what is left over goes (B4-03). */
void directory_set_config(struct directory *directory, const struct config *config)
{
	bool records = directory->broker->registry && directory->broker->registry->ops->put_record;

	plan_unref(directory->config);
	directory->config = plan_create();
	plan_set_config(directory->config, &config->broker);
	take_place(directory, &config->self);
	if (!records) {
		MAP_FOR_EACH(entry, &directory->groups)
		{
			struct known_group *known = entry->value;

			known->member_count = 0;
		}
		take_members(directory, &config->broker);
	}
	LIST_FOR_EACH(node, &directory->own) {
		LIST_ENTRY(node, struct own_member, node)->keep = false;
	}
	for (size_t i = 0; i < config->broker.subscriptions.count; i++) {
		take_subscription(directory, &config->broker.subscriptions.items[i]);
	}
	LIST_FOR_EACH_SAFE(node, &directory->own) {
		struct own_member *own = LIST_ENTRY(node, struct own_member, node);

		if (!own->keep && !own->fetched) {
			directory_withdraw(directory, own); /* B4-03 */
			free_own(own);
		}
	}
	directory_publish(directory);
	directory_changed(directory);
}

/* Something was not accepted the last time. */
static void on_retry(struct timer *timer)
{
	directory_publish(container_of(timer, struct directory, retry));
}

/* No plan is posted yet; broker_create hands the first one over itself. */
struct directory *directory_create(struct broker *broker, const struct config *config)
{
	struct directory *directory = mem_zalloc(sizeof *directory);

	directory->broker = broker;
	map_init(&directory->groups);
	list_init(&directory->own);
	list_init(&directory->puts);
	task_init(&directory->task, post_plan);
	timer_init(&directory->retry, on_retry);
	directory_set_config(directory, config);
	return directory;
}

/* Watches end here, while the registry still runs. */
void directory_destroy(struct directory *directory)
{
	if (!directory) {
		return;
	}
	directory_unwatch(directory);
	task_cancel(&directory->task);
	timer_cancel(&directory->retry);
	LIST_FOR_EACH_SAFE(node, &directory->own) {
		free_own(LIST_ENTRY(node, struct own_member, node));
	}
	MAP_FOR_EACH(entry, &directory->groups)
	{
		struct known_group *group = entry->value;

		mem_free(group->members);
		mem_free(group);
	}
	map_fini(&directory->groups);
	for (size_t i = 0; i < directory->removed_count; i++) {
		mem_free((void *)(uintptr_t)directory->removed[i].pattern);
		mem_free((void *)(uintptr_t)directory->removed[i].group);
	}
	plan_unref(directory->config);
	directory_forget_puts(directory);
	mem_free(directory);
}

/* The registry was started by control; its first answers come from its loop, never inside
 * these calls. */
void directory_start(struct directory *directory)
{
	directory->started = true;
	directory_watch(directory);
	directory_publish(directory);
	directory_changed(directory);
}

/* Members follow at once here; others read it in the records. */
void directory_set_app_ready(struct directory *directory, bool ready)
{
	if (directory->app_ready == ready) {
		return;
	}
	directory->app_ready = ready;
	directory->ever_ready = directory->ever_ready || ready;
	directory_publish(directory);
	directory_changed(directory);
}

/* Members are shown as draining until the session closes, which removes them. */
void directory_drain(struct directory *directory)
{
	directory->draining = true;
	directory_publish(directory);
	directory_changed(directory);
}

/* The desks drop its cursors when the plan comes; the record goes from the registry, so that
 * others do the same. */
bool directory_remove_group(struct directory *directory, struct slice pattern, struct slice group)
{
	struct known_group *known = directory_group(directory, pattern, group, false);
	struct plan_removed *removed = &directory->removed[directory->removed_count];
	char key[400];

	if (directory->removed_count == DIRECTORY_REMOVED_MAX) {
		return false;
	}
	*removed = (struct plan_removed){mem_zalloc(pattern.size + 1), mem_zalloc(group.size + 1)};
	memcpy((void *)(uintptr_t)removed->pattern, pattern.data, pattern.size);
	memcpy((void *)(uintptr_t)removed->group, group.data, group.size);
	directory->removed_count++;
	if (known) {
		if (known->recorded) {
			known->recorded = false;
			directory_delete_group(directory, known);
		}
		group_key(pattern, group, key);
		(void)map_remove(&directory->groups, slice_from_string(key));
		mem_free(known->members);
		mem_free(known);
	}
	directory_changed(directory);
	return true;
}

/* Nothing changed but the wish to try again. */
void directory_resume(struct directory *directory)
{
	directory_changed(directory);
}

/* Mail of a desk to control. */
struct fetch_mail {
	struct mail mail;
	struct gate *gate;
	struct broker *broker;
	struct fetch_path path;
	bool ended;
};

/* The pattern of a group of that name that covers the topic, so that both are one group. */
static const char *pattern_of(struct directory *directory, const struct fetch_path *path)
{
	MAP_FOR_EACH(entry, &directory->groups)
	{
		const struct known_group *group = entry->value;

		if (strcmp(group->group, path->group) == 0 &&
			names_match(slice_from_string(group->pattern),
				slice_from_string(path->topic))) {
			return group->pattern;
		}
	}
	return path->topic;
}

/* A group that a subscription with a wider pattern declared is joined under that pattern, so
 * that both share its messages. */
static void fetch_began(struct directory *directory, const struct fetch_path *path)
{
	struct own_member *own = find_own(directory, path->group, path->member);
	struct known_group *known;
	const char *pattern = pattern_of(directory, path);

	if (own) {
		directory_changed(directory);
		return;
	}
	own = mem_zalloc(sizeof *own);
	set_defaults(&own->settings);
	(void)snprintf(own->name, sizeof own->name, "%s", path->member);
	(void)snprintf(own->group, sizeof own->group, "%s", path->group);
	(void)snprintf(own->pattern, sizeof own->pattern, "%s", pattern);
	known = directory_group(
		directory, slice_from_string(own->pattern), slice_from_string(own->group), false);
	if (known) {
		own->settings = known->settings;
	} else {
		own->settings.durable = path->group[0] != '~';
	}
	own->start = own->settings.durable ? CONFIG_START_AUTO : CONFIG_START_NEW;
	own->fetched = true;
	own->max_in_flight = FETCH_IN_FLIGHT;
	own->max_in_flight_bytes = UINT64_C(8) << 20;
	own->max_processing_ms = DEFAULT_PROCESSING;
	list_push_back(&directory->own, &own->node);
	declare(directory, own);
	directory_publish(directory);
	directory_changed(directory);
}

/* Five minutes without a fetch: the member goes, and an ephemeral group with its last one. */
static void fetch_ended(struct directory *directory, const struct fetch_path *path)
{
	struct own_member *own = find_own(directory, path->group, path->member);
	struct known_group *known;

	if (!own || !own->fetched) {
		return;
	}
	directory_withdraw(directory, own);
	known = directory_group(
		directory, slice_from_string(own->pattern), slice_from_string(own->group), false);
	/* An ephemeral group ends with its last member. */
	if (known && !known->settings.durable && known->member_count == 0) {
		char key[400];

		group_key(slice_from_string(own->pattern), slice_from_string(own->group), key);
		if (known->recorded) {
			directory_delete_group(directory, known);
		}
		(void)map_remove(&directory->groups, slice_from_string(key));
		mem_free(known->members);
		mem_free(known);
	}
	free_own(own);
	directory_changed(directory);
}

/* On control's loop; the broker may be gone by then. */
static void deliver_fetch(struct mail *mail)
{
	struct fetch_mail *self = container_of(mail, struct fetch_mail, mail);
	struct directory *directory = gate_pass(self->gate) ? self->broker->directory : NULL;

	if (directory && self->ended) {
		fetch_ended(directory, &self->path);
	} else if (directory && !directory->draining) {
		fetch_began(directory, &self->path);
	}
	mem_free(self);
}

/* Control's mailbox was closed first. */
static void discard_fetch(struct mail *mail)
{
	struct fetch_mail *self = container_of(mail, struct fetch_mail, mail);

	gate_unref(self->gate);
	mem_free(self);
}

/* Desks never touch the directory: they ask by mail. */
static void post_fetch(struct desk *desk, const struct fetch_path *path, bool ended)
{
	struct fetch_mail *mail = mem_zalloc(sizeof *mail);

	mail->mail.deliver = deliver_fetch;
	mail->mail.discard = discard_fetch;
	mail->gate = gate_ref(desk->broker->gate);
	mail->broker = desk->broker;
	mail->path = *path;
	mail->ended = ended;
	(void)mailbox_post(loop_mailbox(desk->broker->control_loop), &mail->mail);
}

/* Asked again for a member that exists it only repeats the plan, which is harmless. */
void directory_fetch_began(struct desk *desk, const struct fetch_path *path)
{
	post_fetch(desk, path, false);
}

/* The topic is not needed: the member's name holds its sum. */
void directory_fetch_ended(struct desk *desk, const char *group, const char *member)
{
	struct fetch_path path = {.topic = ""};

	(void)snprintf(path.group, sizeof path.group, "%s", group);
	(void)snprintf(path.member, sizeof path.member, "%s", member);
	post_fetch(desk, &path, true);
}
