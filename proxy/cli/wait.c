/* wait: returns when the sidecar is ready, for scripts that start an application beside it
 * (mesh.md ML-30). */
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/verbs.h"

#define WAIT_MS 30000
#define LOOK_MS 2000

/* What keeps it from being ready is what its user wants to know: the first failing line of
 * /readyz, or that nobody answers. Still exit code 75: the sidecar may come later. */
static int give_up(struct command *command)
{
	char addresses[1][256] = {""};
	char message[1024];
	struct answer answer = {0};
	const char *line = NULL;

	command->timeout_ms = LOOK_MS;
	if (command_addresses(command, addresses, 1) > 0 &&
		command_ask_at(command, addresses[0], "/readyz", NULL, &answer)) {
		line = strstr(buf_string(&answer.body), "[-] ");
	}
	if (line) {
		(void)snprintf(message, sizeof message, "not ready in that time; %.*s",
			(int)strcspn(line + 4, "\n"), line + 4);
	} else if (answer.error[0]) {
		(void)snprintf(message, sizeof message,
			"not ready in that time; no pillion answers at %s (%s)", addresses[0],
			answer.error);
	} else {
		(void)snprintf(message, sizeof message, "not ready in that time");
	}
	command_answer_fini(&answer);
	return command_error(command, CLI_LATER, 4005, message);
}

/* The sidecar itself may not be there yet: that is waited for too (mesh.md ML-30). */
int wait_run(struct command *command)
{
	uint64_t wait =
		command_flag(command, "--timeout", 0) ? (uint64_t)command->timeout_ms : WAIT_MS;
	uint64_t end = clock_monotonic_ms() + wait;
	/* Between two looks for a sidecar that is not there yet; one that is parks the call
	 * itself. */
	struct timespec pause = {.tv_nsec = 100000000};
	char addresses[1][256];
	bool ready = false;

	while (!ready) {
		uint64_t now = clock_monotonic_ms();
		struct answer answer;
		char path[64];

		if (now >= end) {
			return give_up(command);
		}
		/* The sidecar's own clock ends the wait, a second before ours would. */
		command->timeout_ms = (int)(end - now) + 1000;
		(void)snprintf(
			path, sizeof path, "/wait?timeout=%llums", (unsigned long long)(end - now));
		/* Looked for anew each time: its socket may appear meanwhile. */
		if (command_addresses(command, addresses, 1) > 0) {
			ready = command_ask_at(command, addresses[0], path, NULL, &answer) &&
				command_answer_is_ok(&answer);
			command_answer_fini(&answer);
		}
		if (!ready) {
			(void)nanosleep(&pause, NULL);
		}
	}
	return CLI_DONE;
}
