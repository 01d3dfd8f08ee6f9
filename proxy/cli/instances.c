/* instances: one service as the registry and this sidecar see it (operations.md 7; tiers: mesh.md
 * MS-03). */
#include "cli/command.h"
#include "cli/verbs.h"

/* Without a name the sidecar takes its own service. WHY says what keeps an instance out of use
 * here; the registry alone does not know that. */
int instances_run(struct command *command)
{
	static const struct column columns[] = {{"ID", "id", false, false},
		{"SERVICE", "service", false, false}, {"VERSION", "version", false, false},
		{"ADDRESS", "address", false, false}, {"TIER", "tier", false, false},
		{"WHY", "why", false, false}, {"WEIGHT", "weight", true, false},
		{"ZONE", "zone", false, true}, {"METADATA", "metadata", false, true}};
	char path[COMMAND_PATH_MAX], name[COMMAND_NAME_MAX];

	(void)snprintf(path, sizeof path, "/v1/instances?service=%s",
		command_escape(command->word_count > 0 ? command->words[0] : "", name));
	return command_list(command, path, columns, ARRAY_SIZE(columns));
}
