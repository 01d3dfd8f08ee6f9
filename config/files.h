/*
 * files: which file is read, whether it may be, and its bytes (operations.md CF-01, CF-02).
 * Internal to config. Blocking.
 */
#ifndef PILLION_CONFIG_FILES_H
#define PILLION_CONFIG_FILES_H

#include "config/load.h"
#include "config/node.h"

/* The value of a variable in the array, NULL when it is not there or empty. */
const char *config_files_variable(const char *const *environment, const char *name);

/*
 * 0 and *ret_source with the whole text in the arena; *ret_source NULL when there is no file to
 * read, which is no error. -EINVAL: reported.
 */
int config_files_read(const struct config_sources *sources, struct arena *arena,
	struct config_report *report, struct config_source **ret_source) MUST_CHECK;

#endif
