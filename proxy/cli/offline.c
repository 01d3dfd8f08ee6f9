/* offline: the loader of the sidecar, for verbs that look at files. */
#include "cli/offline.h"

#include <stdio.h>
#include <unistd.h>

#include "cli/command.h"

extern char **environ;

/* As a sidecar would read it here, with this environment (CF-12). The name falls back to a fixed
 * one, so that a file without service.name can be checked; errors end in 78, warnings only with
 * --strict (CF-25). */
int offline_load(const struct command *command, const char *file, bool strict,
	enum config_report_format format, struct config **ret_config)
{
	struct config_sources sources = {.file = file,
		.stdin_allowed = true,
		.environment = (const char *const *)environ,
		.plugins = command->setup->plugins,
		.plugin_count = command->setup->plugin_count,
		.fallback_name = OFFLINE_NAME};
	struct config_report report;
	struct config *config = NULL;
	struct buf text;
	int result;

	config_report_init(&report);
	buf_init(&text);
	result = config_load(&sources, &config, &report);
	if (strict) {
		config_report_strict(&report);
	}
	config_report_print(&report, format, &text);
	(void)fputs(buf_string(&text), format == CONFIG_REPORT_JSONL ? stdout : stderr);
	if (result < 0 || report.errors > 0) {
		config_destroy(config);
		result = CLI_CONFIG;
	} else {
		*ret_config = config;
		result = CLI_DONE;
	}
	buf_fini(&text);
	config_report_fini(&report);
	return result;
}
