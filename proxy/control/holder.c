#include "control/holder.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"

#define LISTENING 10 /* TCP_LISTEN in the state column of /proc/net/tcp */

/* The inode of the socket that listens on that port; 0: none is seen. The local address is not
 * compared: another one with the same port does not make an address taken, but the port tells
 * enough and 0.0.0.0 takes them all. */
static unsigned long find_inode(const char *table, uint16_t port)
{
	FILE *file = fopen(table, "re");
	char line[512];
	unsigned long found = 0;

	if (!file) {
		return 0;
	}
	while (found == 0 && fgets(line, sizeof line, file)) {
		unsigned local_port, state;
		unsigned long inode;

		if (sscanf(line,
			    " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*s %*s %lu",
			    &local_port, &state, &inode) == 3 &&
			local_port == port && state == LISTENING) {
			found = inode;
		}
	}
	(void)fclose(file);
	return found;
}

/* Does one of the process's descriptors name that socket? */
static bool holds(const char *pid, const char *wanted)
{
	char path[320];
	DIR *directory;
	const struct dirent *entry;
	bool found = false;

	(void)snprintf(path, sizeof path, "/proc/%.20s/fd", pid);
	directory = opendir(path);
	while (directory && !found && (entry = readdir(directory)) != NULL) {
		char link[64];
		char file[320];
		ssize_t size;

		(void)snprintf(file, sizeof file, "/proc/%.20s/fd/%.20s", pid, entry->d_name);
		size = readlink(file, link, sizeof link - 1);
		if (size > 0) {
			link[size] = '\0';
			found = strcmp(link, wanted) == 0;
		}
	}
	if (directory) {
		(void)closedir(directory);
	}
	return found;
}

static void name_process(const char *pid, char ret_text[HOLDER_TEXT_MAX])
{
	char path[64];
	char name[32] = "a process";
	FILE *file;

	(void)snprintf(path, sizeof path, "/proc/%.20s/comm", pid);
	file = fopen(path, "re");
	if (file) {
		if (fgets(name, sizeof name, file)) {
			name[strcspn(name, "\n")] = '\0';
		}
		(void)fclose(file);
	}
	(void)snprintf(ret_text, HOLDER_TEXT_MAX, "%s (pid %.20s)", name, pid);
}

bool holder_find(const struct address *address, char ret_text[HOLDER_TEXT_MAX])
{
	unsigned long inode = find_inode("/proc/net/tcp", address_port(address));
	char wanted[64];
	DIR *processes;
	const struct dirent *entry;
	bool found = false;

	ASSERT(ret_text);
	inode = inode ? inode : find_inode("/proc/net/tcp6", address_port(address));
	processes = inode ? opendir("/proc") : NULL;
	if (!processes) {
		return false;
	}
	(void)snprintf(wanted, sizeof wanted, "socket:[%lu]", inode);
	while (!found && (entry = readdir(processes)) != NULL) {
		found = isdigit((unsigned char)entry->d_name[0]) && holds(entry->d_name, wanted);
		if (found) {
			name_process(entry->d_name, ret_text);
		}
	}
	(void)closedir(processes);
	return found;
}
