/*
 * flags: names outside the file that write keys: command line flags and PILLION_ variables
 * (operations.md ZC-01, CF-12). Internal to config; the public part is in config/load.h.
 */
#ifndef PILLION_CONFIG_FLAGS_H
#define PILLION_CONFIG_FLAGS_H

#include "config/load.h"

/* Adds what the PILLION_ variables say; unknown ones become warning PIL1510. */
void config_flags_environment(
	struct config_flags *flags, const char *const *environment, struct config_report *report);

#endif
