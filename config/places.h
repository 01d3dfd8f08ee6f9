/* places: where a sidecar keeps its data when nobody says so (operations.md PR-02). Looks at the
 * environment and the file system, changes nothing. Any thread. */
#ifndef PILLION_CONFIG_PLACES_H
#define PILLION_CONFIG_PLACES_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The first place that exists for this user decides. append_name: a `run` without a file, which
 * shares the place with others. *ret_named: the service name goes behind the base. False: there is
 * no place at all, or its name does not fit.
 */
bool config_data_place(bool append_name, char *ret_base, size_t size, bool *ret_named);

/* "tmpfs", "ramfs", "overlayfs": what lies there ends with the container or the power (CF-24,
 * B9-12). NULL: it lasts, or nobody knows. */
const char *config_place_passing(const char *path);

#endif
