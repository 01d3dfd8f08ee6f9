/* health: the probe of containers and service managers (operations.md 7, HE-05: no port is open
 * for strangers). */
#include "cli/command.h"
#include "cli/verbs.h"

#define PROBE_MS 2000 /* a probe never hangs */

/* operations.md 7: needs no configuration, and takes the first place where a sidecar may be, since
 * in its container there is one. What it prints on a failure is what the container engine shows. */
static bool probe(struct command *command, const char *path)
{
	char addresses[1][256];
	struct answer answer;
	bool good;

	command->timeout_ms = PROBE_MS;
	if (command_addresses(command, addresses, 1) < 1) {
		return false;
	}
	good = command_ask_at(command, addresses[0], path, NULL, &answer) &&
	       command_answer_is_ok(&answer);
	if (!good && (answer.status == 200 || answer.status == 0)) {
		(void)printf("%s: no pillion answers at %s (%s)\n", path, addresses[0],
			answer.status ? "what answers there is no pillion" : answer.error);
	} else if (!good) {
		(void)printf("%s: %.*s\n", path, (int)answer.body.size,
			(const char *)(answer.body.data ? answer.body.data : (const uint8_t *)""));
	}
	command_answer_fini(&answer);
	return good;
}

/* For HEALTHCHECK and probes: live and started when nothing is said. */
int health_run(struct command *command)
{
	bool good;

	if (command_flag(command, "--ready", 0)) {
		good = probe(command, "/readyz");
	} else if (command_flag(command, "--startup", 0)) {
		good = probe(command, "/startupz");
	} else if (command_flag(command, "--live", 0)) {
		good = probe(command, "/livez");
	} else {
		/* DK-02: a container is healthy before its application is, for the application
		 * waits for it. */
		good = probe(command, "/livez") && probe(command, "/startupz");
	}
	if (good && !command->quiet) {
		(void)printf("ok\n");
	}
	return good ? CLI_DONE : CLI_FAILED;
}
