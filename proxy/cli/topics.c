#include "cli/command.h"
#include "cli/verbs.h"

int topics_run(struct command *command)
{
	static const struct column columns[] = {{"TOPIC", "topic", false, false},
		{"LEVEL", "durability", false, false}, {"MESSAGES", "messages", true, false},
		{"BYTES", "bytes", true, false}, {"GROUPS", "groups", true, false},
		{"OLDEST", "oldest", false, false}};

	return command_list(command, "/v1/topics", columns, ARRAY_SIZE(columns));
}
