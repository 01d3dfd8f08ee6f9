/*
 * cli: the command line (operations.md 7): a client of the admin interface and of the outbound
 * listener, one file per verb, one table (commands.c) for parser and help. Blocking; one
 * thread but for `check`, which looks at many things at once.
 */
#ifndef PILLION_CLI_CLI_H
#define PILLION_CLI_CLI_H

#include <stddef.h>

/* Exit codes of CL-04. */
enum {
	CLI_DONE = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_NOT_REACHED = 69,
	CLI_LATER = 75,
	CLI_CONFIG = 78,
};

struct config_filter_plugin;

/* What main.c knows and this room may not include: the filters' own options. */
struct cli_setup {
	const struct config_filter_plugin *const *plugins; /* option tables, for check and config */
	size_t plugin_count;
};

/* arguments: those after the verb. Returns the exit code. */
int cli_main(const struct cli_setup *setup, const char *verb, int count, char **arguments);

#endif
