/* topics: topics, groups and dead letters of the local spool (broker.md 18). */
#include <stdio.h>

#include "admin/pages.h"
#include "admin/server.h"
#include "broker/broker.h"

/* The broker has made status and JSON; nothing is known here of groups and messages. */
static void on_answer(void *owner, int status, struct slice json)
{
	struct admin_call *call = owner;
	struct buf text;

	/* The broker gives bare lists; their shape is the admin interface's (AD-06). */
	if (json.size == 0 || json.data[0] != '[') {
		admin_answer_text(call, status, "application/json", json);
		return;
	}
	buf_init(&text);
	buf_append_string(&text, "{\"items\":");
	buf_append_slice(&text, json);
	buf_appendf(&text, ",\"generation\":%llu}",
		(unsigned long long)control_generation(call->control));
	admin_answer_text(call, status, "application/json", buf_slice(&text));
	buf_fini(&text);
}

/* One way for all: the broker decides what a verb means, and answers later, from the loop. The
 * target is "TOPIC/GROUP", or empty for the lists. */
static void ask(struct admin_call *call, const char *verb, const char *id)
{
	struct broker *broker = control_broker(call->control);
	/* Topic and group are at most 200 and 64 bytes (B2-01); longer ones are cut and found by
	 * nobody. */
	char target[1100] = "";

	if (!broker) {
		admin_answer_error(
			call, 404, 5093, "broker_off", "the broker is off (broker.enabled)");
		return;
	}
	if (call->part_count >= 2) {
		(void)snprintf(target, sizeof target, "%s/%s", call->parts[0], call->parts[1]);
	}
	broker_command(broker, verb, target, id, on_answer, call);
}

/* B18-04: of the local spool; a message lies with its publisher, so other sidecars have their own
 * lists. */
void topics_page(struct admin_call *call)
{
	ask(call, "topics", NULL);
}

/* B18-05, likewise of this spool. */
void topics_groups_page(struct admin_call *call)
{
	ask(call, "groups", NULL);
}

/* B18-06: class S, because dead letters show what applications said to each other. */
void topics_dlq_page(struct admin_call *call)
{
	ask(call, "dlq", NULL);
}

/* Attributes, body and the application's answer, for one message. */
void topics_dlq_show_page(struct admin_call *call)
{
	ask(call, "dlq-show", call->parts[2]);
}

/* Without an id the verb means all dead letters of the group. */
static void ask_with_id(struct admin_call *call, const char *verb)
{
	ask(call, verb, json_string_value(json_object_get(call->json, "id")));
}

/* B10-11: to the original topic, for that group only. */
void topics_dlq_replay_page(struct admin_call *call)
{
	ask_with_id(call, "dlq-replay");
}

/* Gone for good; the command line asks for --yes first. */
void topics_dlq_drop_page(struct admin_call *call)
{
	ask_with_id(call, "dlq-drop");
}

/* B3-03, B7-08: removing a durable group throws its backlog away, resume ends a pause that an
 * answer of the application had caused. */
void topics_verb_page(struct admin_call *call)
{
	if (strcmp(call->parts[2], "rm") == 0) {
		ask(call, "groups-rm", NULL);
	} else if (strcmp(call->parts[2], "resume") == 0) {
		ask(call, "groups-resume", NULL);
	} else {
		admin_answer_error(call, 404, 5404, "not_found", "the verbs are rm and resume");
	}
}
