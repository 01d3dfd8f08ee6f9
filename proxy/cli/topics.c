/* topics: what lies in the local spool, by topic (broker.md B18-04). */
#include "cli/command.h"
#include "cli/verbs.h"

/* A message lies with the sidecar that took it, so each sidecar has a list of its own. */
int topics_run(struct command *command)
{
	static const struct column columns[] = {{"TOPIC", "topic", false, false},
		{"LEVEL", "durability", false, false}, {"MESSAGES", "messages", true, false},
		{"BYTES", "bytes", true, false}, {"GROUPS", "groups", true, false},
		{"OLDEST", "oldest", false, false}};

	return command_list(command, "/v1/topics", columns, ARRAY_SIZE(columns));
}
