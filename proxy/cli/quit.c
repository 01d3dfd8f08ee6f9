#include "cli/command.h"
#include "cli/verbs.h"

int quit_run(struct command *command)
{
	struct answer answer;
	int code = command_ask(command, "/v1/quit", "{}", true, &answer);

	if (code == CLI_DONE && answer.status >= 400) {
		code = command_refused(command, &answer);
	} else if (code == CLI_DONE && !command->quiet) {
		(void)printf("draining\n");
	}
	command_answer_fini(&answer);
	return code;
}
