/* quit: starts the drain of mesh.md ML-20 and does not wait for its end. */
#include "cli/command.h"
#include "cli/verbs.h"

/* CL-02: with several sidecars one has to be named. It goes on draining when this has returned;
 * `run` ends with the code of its application. */
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
