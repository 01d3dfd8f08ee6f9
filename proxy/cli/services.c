/* services: every service that the registry knows, one line each (registry.md 13). */
#include "cli/command.h"
#include "cli/verbs.h"

/* UP counts the instances that the registry believes in; whether this sidecar can reach them is
 * said by `instances`. */
int services_run(struct command *command)
{
	static const struct column columns[] = {{"SERVICE", "name", false, false},
		{"VERSION", "version", false, false}, {"INSTANCES", "instances", true, false},
		{"UP", "up", true, false}, {"FORMATS", "formats", false, false},
		{"INDEX", "index", true, false}};

	return command_list(command, "/v1/services", columns, ARRAY_SIZE(columns));
}
