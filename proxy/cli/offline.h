/* offline: reads a configuration as a sidecar would, for verbs that need none running. */
#ifndef PILLION_CLI_OFFLINE_H
#define PILLION_CLI_OFFLINE_H

#include <stdbool.h>

#include "config/load.h"

struct command;

/* The service where neither file nor environment name one. */
#define OFFLINE_NAME "check"

/* Prints the report to standard error (jsonl: to standard output). CLI_DONE or CLI_CONFIG. */
int offline_load(const struct command *command, const char *file, bool strict,
	enum config_report_format format, struct config **ret_config);

#endif
