#include "broker/command.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "broker/directory.h"
#include "broker/event.h"
#include "broker/group.h"
#include "broker/json_scan.h"
#include "broker/member.h"
#include "broker/names.h"

/* As many topics as a sidecar may have (L2): one answer stays within a few megabytes. */
#define LIST_MAX 10000

struct command {
	struct desk_mail mail;
	struct mail back; /* to control */
	struct gate *gate;
	struct broker *broker;
	char verb[24];
	char topic[288], group[72];
	char id[512];
	bool has_id;
	unsigned next;	  /* the desk to visit */
	unsigned count;	  /* of what was listed or changed */
	unsigned waiting; /* dead letters whose bytes are being read */
	unsigned tries;
	bool found;
	struct buf json;
	struct timer timer;
	struct desk *desk; /* while it waits there */
	void (*done)(void *owner, int status, struct slice json);
	void *owner;
};

/* Also where the desks or control are gone and nobody is answered. */
static void free_command(struct command *command)
{
	buf_fini(&command->json);
	mem_free(command);
}

/* A desk ended while the command was on its way; control ends too and asks no more. */
static void discard(struct desk_mail *mail)
{
	free_command(container_of(mail, struct command, mail));
}

/* The reverse way: control's loop was closed first. */
static void discard_back(struct mail *mail)
{
	struct command *command = container_of(mail, struct command, back);

	gate_unref(command->gate);
	free_command(command);
}

/* Lists grow over several desks, so the comma depends on what the others wrote. */
static void separate(struct command *command)
{
	if (command->count++ > 0) {
		buf_append_byte(&command->json, ',');
	}
}

/* With the level that the policy gives now, not the one that older messages were stored with. */
static void list_topics(struct desk *desk, struct command *command)
{
	MAP_FOR_EACH(entry, &desk->topics)
	{
		const struct topic *topic = entry->value;
		const struct config_topic *policy =
			plan_policy(desk->plan, slice_from_string(topic->name));
		unsigned groups = 0;
		char oldest[CLOCK_TEXT_SIZE] = "";

		/* The bound is one for all desks: what is longer is cut, never gathered. */
		if (command->count >= LIST_MAX) {
			return;
		}
		LIST_FOR_EACH(node, &topic->groups) {
			/* The cursor of a dead-letter topic is bookkeeping and no group of
			 * anybody. */
			groups += !LIST_ENTRY(node, struct group, node)->hidden;
		}
		if (topic->count > 0) {
			clock_format_wall(topic->entries[topic->first].at.time_ms, oldest);
		}
		separate(command);
		buf_append_string(&command->json, "{\"topic\":");
		json_scan_put_string(&command->json, slice_from_string(topic->name));
		buf_appendf(&command->json,
			",\"durability\":\"%s\",\"messages\":%zu,\"bytes\":%llu,\"groups\":%u,"
			"\"oldest\":\"%s\"}",
			policy->durability == CONFIG_DURABILITY_FSYNC ? "fsync" : "os",
			topic->count - topic->refused, (unsigned long long)topic->bytes, groups,
			oldest);
	}
}

/* Dead letters of a group that nobody dropped or replayed. */
static size_t dead_letters(struct desk *desk, const struct group *group)
{
	char name[400];
	struct topic *dead;
	struct group *cursor;
	size_t count = 0;

	(void)snprintf(name, sizeof name, "%s.dlq.%s", group->topic->name, group->name);
	dead = topic_find(desk, slice_from_string(name));
	if (!dead) {
		return 0;
	}
	cursor = group_find(dead, SLICE(TOPIC_DLQ_GROUP));
	for (size_t i = 0; i < dead->count; i++) {
		count += !cursor ||
			 !cursor_done(&cursor->cursor, dead->entries[dead->first + i].at.seq);
	}
	return count;
}

/* From the desk that owns the topic: its numbers are exact at that moment. */
static void list_groups(struct desk *desk, struct command *command)
{
	MAP_FOR_EACH(entry, &desk->topics)
	{
		const struct topic *topic = entry->value;

		LIST_FOR_EACH(node, &topic->groups) {
			const struct group *group = LIST_ENTRY(node, struct group, node);

			if (group->hidden || command->count >= LIST_MAX) {
				continue;
			}
			separate(command);
			buf_append_string(&command->json, "{\"topic\":");
			json_scan_put_string(&command->json, slice_from_string(topic->name));
			buf_append_string(&command->json, ",\"group\":");
			json_scan_put_string(&command->json, slice_from_string(group->name));
			buf_appendf(&command->json,
				",\"members\":%llu,\"backlog\":%llu,\"in_flight\":%u,"
				"\"retrying\":%zu,\"dead_letters\":%zu,\"last_error\":",
				(unsigned long long)group->counters->members,
				(unsigned long long)group->backlog, group->in_flight,
				group->heap_count, dead_letters(desk, group));
			json_scan_put_string(&command->json, slice_from_string(group->last_error));
			buf_append_byte(&command->json, '}');
		}
	}
}

/* Attributes of a dead letter are text in the spool; two of them are numbers in JSON. */
static void put_attribute(struct command *command, const char *key, const struct message *message,
	const char *name, bool number)
{
	struct slice value = message_attribute(message, slice_from_string(name));

	buf_appendf(&command->json, ",\"%s\":", key);
	if (number) {
		buf_appendf(&command->json, "%.*s", value.size > 0 ? (int)value.size : 1,
			value.size > 0 ? (const char *)value.data : "0");
	} else {
		json_scan_put_string(&command->json, value);
	}
}

/* The columns of `pillion dlq ls`; the body is shown by `show` alone, since it may be large
 * or secret. */
static void print_dead(struct command *command, const struct message *message)
{
	buf_append_string(&command->json, "{\"id\":");
	json_scan_put_string(&command->json, message_attribute(message, SLICE("id")));
	put_attribute(command, "reason", message, "dlqreason", false);
	put_attribute(command, "status", message, "dlqstatus", true);
	put_attribute(command, "attempts", message, "deliverycount", true);
	put_attribute(command, "time", message,
		message_attribute(message, SLICE("lastattempt")).size > 0 ? "lastattempt" : "time",
		false);
	put_attribute(command, "answer", message, "dlqdata", false);
	buf_append_byte(&command->json, '}');
}

static void on_wait(struct timer *timer);

/* Their bytes come from the disk: the visit begins again when they are there. */
static bool wait_for_bytes(struct desk *desk, struct command *command, struct topic *dead)
{
	struct group *cursor = group_find(dead, SLICE(TOPIC_DLQ_GROUP));
	bool missing = false;

	for (size_t i = 0; i < dead->count && i < LIST_MAX; i++) {
		struct topic_entry *entry = &dead->entries[dead->first + i];

		if (!entry->message && (!cursor || !cursor_done(&cursor->cursor, entry->at.seq))) {
			topic_read(dead, entry);
			missing = true;
		}
	}
	/* About a second: what the disk has not given by then is left out of the list rather than
	 * holding the admin request. */
	if (!missing || ++command->tries > 100) {
		return false;
	}
	command->desk = desk;
	timer_init(&command->timer, on_wait);
	timer_arm(desk->loop, &command->timer, desk_now_ms(desk) + 10);
	return true;
}

/* The verb decides what happens to a dead letter that is still there. */
static void treat_dead(struct topic *dead, struct command *command, struct topic_entry *entry)
{
	bool listed = strcmp(command->verb, "dlq") == 0;
	uint64_t seq = entry->at.seq;
	struct slice id = message_attribute(entry->message, SLICE("id"));

	if (command->has_id && !slice_equal(id, slice_from_string(command->id))) {
		return;
	}
	if (listed) {
		separate(command);
		print_dead(command, entry->message);
	} else if (strcmp(command->verb, "dlq-show") == 0) {
		if (command->count++ == 0) {
			event_print(entry->message, &command->json);
		}
	} else if (strcmp(command->verb, "dlq-replay") == 0) {
		command->count++;
		dead_replay(dead, seq);
	} else {
		command->count++;
		dead_drop(dead, seq);
	}
}

/* True: it waits here and goes on later. */
static bool visit_dead(struct desk *desk, struct command *command)
{
	char name[400];
	struct topic *dead;
	struct group *cursor;

	(void)snprintf(name, sizeof name, "%s.dlq.%s", command->topic, command->group);
	dead = topic_find(desk, slice_from_string(name));
	if (!dead) {
		return false;
	}
	if (wait_for_bytes(desk, command, dead)) {
		return true;
	}
	command->found = true;
	cursor = dead_cursor(dead);
	for (size_t i = 0; i < dead->count; i++) {
		struct topic_entry *entry = &dead->entries[dead->first + i];

		if (entry->message && cursor && !cursor_done(&cursor->cursor, entry->at.seq)) {
			treat_dead(dead, command, entry);
		}
	}
	return false;
}

/* Pauses end at once: somebody says that the address is right now (B7-08). */
static void resume(struct desk *desk, struct command *command)
{
	MAP_FOR_EACH(entry, &desk->members)
	{
		struct member *member = entry->value;

		if (strcmp(member->group, command->group) == 0) {
			member_resume(member);
			command->count++;
			command->found = true;
		}
	}
	MAP_FOR_EACH(entry, &desk->topics)
	{
		topic_wake(entry->value);
	}
}

/* One desk's share of the verb. True: it is not finished here. */
static bool visit(struct desk *desk, struct command *command)
{
	if (strcmp(command->verb, "topics") == 0) {
		list_topics(desk, command);
	} else if (strcmp(command->verb, "groups") == 0) {
		list_groups(desk, command);
	} else if (strncmp(command->verb, "dlq", 3) == 0) {
		return visit_dead(desk, command);
	} else if (strcmp(command->verb, "groups-resume") == 0) {
		resume(desk, command);
	} else {
		struct topic *topic = topic_find(desk, slice_from_string(command->topic));

		command->found = command->found ||
				 (topic && group_find(topic, slice_from_string(command->group)));
	}
	return false;
}

static void go_on(struct command *command);

/* Desk after desk: the command is one object that travels, so it needs no lock and no count
 * of answers. */
static void run_visit(struct desk *desk, struct desk_mail *mail)
{
	struct command *command = container_of(mail, struct command, mail);

	if (!visit(desk, command)) {
		command->next++;
		go_on(command);
	}
}

/* The desk may have been detached while the bytes were read; then nobody is left to answer. */
static void on_wait(struct timer *timer)
{
	struct command *command = container_of(timer, struct command, timer);

	if (!command->desk->server) {
		free_command(command);
		return;
	}
	run_visit(command->desk, &command->mail);
}

/* The same shape as every error of the admin interface. */
static void finish_error(struct command *command, int status, const char *word)
{
	buf_clear(&command->json);
	buf_appendf(&command->json, "{\"error\":{\"reason\":\"%s\",\"message\":\"no %s there\"}}",
		word, word);
	command->done(command->owner, status, buf_slice(&command->json));
}

/* On control's thread, with what all desks wrote. */
static void finish(struct command *command)
{
	static const struct {
		const char *verb, *key;
	} changes[] = {{"dlq-replay", "replayed"}, {"dlq-drop", "dropped"},
		{"groups-rm", "removed"}, {"groups-resume", "resumed"}};

	/* B3-03: the only thing that ends a durable group. It is removed once, by control, after
	 * the desks have said whether anybody has it. */
	if (strcmp(command->verb, "groups-rm") == 0) {
		bool known = directory_remove_group(command->broker->directory,
			slice_from_string(command->topic), slice_from_string(command->group));

		command->count = command->found && known;
	}
	if (strcmp(command->verb, "dlq-show") == 0) {
		if (command->count == 0) {
			finish_error(command, 404, "not_found");
			return;
		}
		command->done(command->owner, 200, buf_slice(&command->json));
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		if (strcmp(command->verb, changes[i].verb) != 0) {
			continue;
		}
		/* A change that met nothing is an error, because its caller believes that
		 * something happened. */
		if (!command->found || (command->has_id && command->count == 0)) {
			finish_error(command, 404, "not_found");
			return;
		}
		buf_clear(&command->json);
		buf_appendf(&command->json, "{\"%s\":%u}", changes[i].key, command->count);
		command->done(command->owner, 200, buf_slice(&command->json));
		return;
	}
	buf_append_byte(&command->json, ']');
	command->done(command->owner, 200, buf_slice(&command->json));
}

/* The gate tells whether the broker still exists. */
static void deliver_back(struct mail *mail)
{
	struct command *command = container_of(mail, struct command, back);

	if (gate_pass(command->gate)) {
		finish(command);
	}
	free_command(command);
}

/* The next desk, or home. */
static void go_on(struct command *command)
{
	struct broker *broker = command->broker;

	if (command->next < broker->workers) {
		desk_post(&broker->desks[command->next], &command->mail, run_visit, discard);
		return;
	}
	command->gate = gate_ref(broker->gate);
	command->back.deliver = deliver_back;
	command->back.discard = discard_back;
	(void)mailbox_post(loop_mailbox(broker->control_loop), &command->back);
}

/* Everything is copied: the caller's strings are gone when the command comes back. */
void command_run(struct broker *broker, const struct command_request *request)
{
	struct command *command = mem_zalloc(sizeof *command);
	struct slice target = slice_from_string(request->target);
	size_t slash = slice_find(target, '/');

	ASSERT(request->done && request->verb);
	command->broker = broker;
	command->done = request->done;
	command->owner = request->owner;
	(void)snprintf(command->verb, sizeof command->verb, "%s", request->verb);
	if (target.size > 0) {
		(void)snprintf(
			command->topic, sizeof command->topic, "%.*s", (int)slash, request->target);
		(void)snprintf(command->group, sizeof command->group, "%s",
			slash < target.size ? request->target + slash + 1 : "");
	}
	if (request->id && request->id[0]) {
		command->has_id = true;
		(void)snprintf(command->id, sizeof command->id, "%s", request->id);
	}
	buf_init(&command->json);
	/* That one answers with an event; all others begin a list, which a change throws away
	 * again. */
	if (strcmp(command->verb, "dlq-show") != 0) {
		buf_append_byte(&command->json, '[');
	}
	go_on(command);
}
