/* groups: groups of the local spool, and the two verbs that change one (broker.md B18-05). */
#include <string.h>

#include "cli/command.h"
#include "cli/verbs.h"

/* B3-03: rm throws away what nobody has acknowledged, hence --yes; resume ends the pause of B7-08.
 */
static int change(struct command *command, const char *verb)
{
	struct answer answer;
	char path[600];
	int code;

	if (command->word_count < 2 || !strchr(command->words[1], '/')) {
		(void)fprintf(stderr, "usage: pillion groups %s TOPIC/GROUP\n", verb);
		return CLI_USAGE;
	}
	if (strcmp(verb, "rm") == 0 && !command_flag(command, "--yes", 0)) {
		(void)fprintf(stderr, "its backlog is thrown away; say --yes\n");
		return CLI_USAGE;
	}
	(void)snprintf(path, sizeof path, "/v1/groups/%s/%s", command->words[1], verb);
	code = command_ask(command, path, "{}", true, &answer);
	if (code == CLI_DONE && answer.status >= 400) {
		code = command_refused(command, &answer);
	} else if (code == CLI_DONE) {
		(void)printf("%.*s\n", (int)answer.body.size, (const char *)answer.body.data);
	}
	command_answer_fini(&answer);
	return code;
}

/* B18-05, of the local spool. */
int groups_run(struct command *command)
{
	static const struct column columns[] = {{"TOPIC", "topic", false, false},
		{"GROUP", "group", false, false}, {"MEMBERS", "members", true, false},
		{"BACKLOG", "backlog", true, false}, {"IN-FLIGHT", "in_flight", true, false},
		{"RETRYING", "retrying", true, false}, {"DLQ", "dead_letters", true, false},
		{"LAST-ERROR", "last_error", false, false}};
	const char *verb = command->word_count > 0 ? command->words[0] : "ls";

	if (strcmp(verb, "ls") == 0) {
		return command_list(command, "/v1/groups", columns, ARRAY_SIZE(columns));
	}
	if (strcmp(verb, "rm") == 0 || strcmp(verb, "resume") == 0) {
		return change(command, verb);
	}
	(void)fprintf(stderr, "pillion groups: ls, rm or resume, not %s\n", verb);
	return CLI_USAGE;
}
