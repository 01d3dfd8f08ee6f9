#include "cli/command.h"
#include "cli/verbs.h"

int services_run(struct command *command)
{
	static const struct column columns[] = {{"SERVICE", "name", false, false},
		{"VERSION", "version", false, false}, {"INSTANCES", "instances", true, false},
		{"UP", "up", true, false}, {"FORMATS", "formats", false, false},
		{"INDEX", "index", true, false}};

	return command_list(command, "/v1/services", columns, ARRAY_SIZE(columns));
}
