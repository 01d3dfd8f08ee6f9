#include "config/places.h"

#include <stdio.h>
#include <stdlib.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <unistd.h>

#define SHARED "/var/lib/pillion"

/* Falling through from a place that fails to the next one would split a sidecar's memory over two
 * places; hence nothing is asked here but whether the place is meant for this user. */
bool config_data_place(bool append_name, char *ret_base, size_t size, bool *ret_named)
{
	const char *state = getenv("STATE_DIRECTORY");
	const char *xdg = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");
	int length = -1;

	*ret_named = append_name;
	if (state && state[0] == '/') {
		length = snprintf(ret_base, size, "%s", state);
	} else if (access(SHARED, W_OK) == 0) {
		length = snprintf(ret_base, size, "%s", SHARED);
	} else if (xdg && xdg[0] == '/') {
		*ret_named = true;
		length = snprintf(ret_base, size, "%s/pillion", xdg);
	} else if (home && home[0] == '/') {
		*ret_named = true;
		length = snprintf(ret_base, size, "%s/.local/state/pillion", home);
	}
	return length > 0 && (size_t)length < size;
}

const char *config_place_passing(const char *path)
{
	struct statfs status;

	if (statfs(path, &status) < 0) {
		return NULL;
	}
	return status.f_type == TMPFS_MAGIC		? "tmpfs"
	       : status.f_type == RAMFS_MAGIC		? "ramfs"
	       : status.f_type == OVERLAYFS_SUPER_MAGIC ? "overlayfs"
							: NULL;
}
