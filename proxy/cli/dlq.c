/* dlq: dead letters of the local spool: list, look, replay, throw away (broker.md B18-06). */
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/verbs.h"

/* B18-06. Without the bodies: they may be large, and are other people's data. */
static int list(struct command *command, const char *target)
{
	static const struct column columns[] = {{"ID", "id", false, false},
		{"REASON", "reason", false, false}, {"STATUS", "status", true, false},
		{"ATTEMPTS", "attempts", true, false}, {"TIME", "time", false, false},
		{"ANSWER", "answer", false, false}};
	char path[COMMAND_PATH_MAX];

	(void)snprintf(path, sizeof path, "/v1/dlq/%s", target);
	return command_list(command, path, columns, ARRAY_SIZE(columns));
}

/* All of one dead letter, as JSON: attributes, body and what the application had answered. */
static int show(struct command *command, const char *target, const char *id)
{
	struct answer answer;
	char path[COMMAND_PATH_MAX], letter[COMMAND_NAME_MAX];
	int code;

	(void)snprintf(path, sizeof path, "/v1/dlq/%s/%s", target, command_escape(id, letter));
	code = command_ask(command, path, NULL, false, &answer);
	if (code == CLI_DONE && answer.status >= 400) {
		code = command_refused(command, &answer);
	} else if (code == CLI_DONE) {
		(void)printf("%.*s\n", (int)answer.body.size, (const char *)answer.body.data);
	}
	command_answer_fini(&answer);
	return code;
}

/* replay and drop; without an ID all dead letters of that group. */
static int change(struct command *command, const char *target, const char *verb, const char *id)
{
	struct answer answer;
	char path[COMMAND_PATH_MAX];
	json_t *body = id ? json_pack("{s:s}", "id", id) : json_object();
	char *text = json_dumps(body, JSON_COMPACT);
	int code;

	(void)snprintf(path, sizeof path, "/v1/dlq/%s/%s", target, verb);
	code = command_ask(command, path, text, true, &answer);
	if (code == CLI_DONE && answer.status >= 400) {
		code = command_refused(command, &answer);
	} else if (code == CLI_DONE) {
		(void)printf("%.*s\n", (int)answer.body.size, (const char *)answer.body.data);
	}
	command_answer_fini(&answer);
	free(text);
	json_decref(body);
	return code;
}

/* A target is always TOPIC/GROUP: dead letters belong to the group that could not take them
 * (B10-10). */
int dlq_run(struct command *command)
{
	const char *verb = command->word_count > 0 ? command->words[0] : "";
	char escaped[COMMAND_NAME_MAX];
	const char *target =
		command->word_count > 1 ? command_escape(command->words[1], escaped) : NULL;
	const char *id =
		command->word_count > 2 ? command->words[2] : command_flag(command, "--id", 0);

	if (!target || !strchr(target, '/')) {
		(void)fprintf(stderr, "usage: pillion dlq ls|show|replay|drop TOPIC/GROUP [ID]\n");
		return CLI_USAGE;
	}
	if (strcmp(verb, "ls") == 0) {
		return list(command, target);
	}
	if (strcmp(verb, "show") == 0) {
		if (!id) {
			(void)fprintf(stderr,
				"pillion dlq: show takes the ID of a message; ls lists them\n");
			return CLI_USAGE;
		}
		return show(command, target, id);
	}
	if (strcmp(verb, "replay") == 0) {
		return change(command, target, "replay", id);
	}
	if (strcmp(verb, "drop") == 0) {
		/* CL-02: never a prompt, so the consent is a flag. */
		if (!command_flag(command, "--yes", 0)) {
			(void)fprintf(stderr, "dropped messages are gone; say --yes\n");
			return CLI_USAGE;
		}
		return change(command, target, "drop", id);
	}
	(void)fprintf(stderr, "pillion dlq: ls, show, replay or drop, not %s\n", verb);
	return CLI_USAGE;
}
