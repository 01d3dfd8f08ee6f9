/* members: every sidecar that has a session with the registry (registry.md 13). */
#include "cli/command.h"
#include "cli/verbs.h"

/* The sidecar asks a replica, since only they know all sessions. */
int members_run(struct command *command)
{
	static const struct column columns[] = {{"NODE", "node", false, false},
		{"ADDRESS", "address", false, false}, {"ROLE", "role", false, false},
		{"STATE", "state", false, false}, {"SESSION", "session", false, false},
		{"INSTANCES", "instances", true, false}, {"VERSION", "version", false, true},
		{"SEEN", "seen", false, false}};

	return command_list(command, "/v1/members", columns, ARRAY_SIZE(columns));
}
