/* check_host: descriptors, memory and the places on disk (operations.md CL-10, host). */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "cli/check.h"
#include "config/places.h"

#define PATH_SIZE   4096
#define SPACE_LEAST ((uint64_t)64 << 20)  /* a segment of the spool, a spare one of the log */
#define LOG_BYTES   ((uint64_t)256 << 20) /* registry.md RS-13, beside three snapshots */
#define SNAPSHOTS   3

/* Whoever creates a cluster is its first voter, whatever `role` says. */
static bool is_replica(const struct config *config)
{
	return config->registry.kind == CONFIG_REGISTRY_RAFT &&
	       (config->registry.role != CONFIG_ROLE_CLIENT ||
		       config->registry.bootstrap != CONFIG_BOOTSTRAP_NEVER);
}

/* SN-07: connections take at most 45 % of the descriptors; the limit is lowered to that at the
 * start by itself, hence a warning. */
void check_host_descriptors(struct check *check)
{
	const struct config_limits *limits = &check->setting->config->limits;
	struct rlimit files;
	bool fits;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0) {
		check_say(check, CHECK_WARN, 0, "descriptors: %s", strerror(errno));
		return;
	}
	fits = files.rlim_max == RLIM_INFINITY ||
	       files.rlim_max / 100 * 45 >= (rlim_t)limits->connections_max;
	check_say(check, fits ? CHECK_OK : CHECK_WARN, fits ? 0 : 1240,
		"%llu descriptors; limits.connections_max %d needs %d",
		(unsigned long long)files.rlim_max, limits->connections_max,
		limits->connections_max * 20 / 9);
}

/* The number behind `name` in a file, or at its start where name is empty; 0: none. */
static uint64_t number_in(const char *path, const char *name)
{
	FILE *file = fopen(path, "re");
	char line[256];
	unsigned long long value = 0;

	while (file && value == 0 && fgets(line, sizeof line, file)) {
		if (strncmp(line, name, strlen(name)) == 0 &&
			sscanf(line + strlen(name), "%llu", &value) != 1) {
			value = 0;
		}
	}
	if (file) {
		(void)fclose(file);
	}
	return value;
}

/* The machine's, or what the control group of a container allows. */
static uint64_t memory_available(void)
{
	static const char *const groups[] = {
		"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
	uint64_t least = number_in("/proc/meminfo", "MemTotal:") * 1024;

	for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
		uint64_t bytes = number_in(groups[i], "");

		least = bytes > 0 && bytes < least ? bytes : least;
	}
	return least;
}

/* CF-24: limits above what the process can have, with the sums. */
void check_host_memory(struct check *check)
{
	const struct config *config = check->setting->config;
	uint64_t sum = config->limits.replay_total + config->translation.memory;
	uint64_t needed = config->limits.memory > 0 ? config->limits.memory : sum;
	uint64_t available = memory_available();
	bool fits = available == 0 || needed <= available;

	check_say(check, fits ? CHECK_OK : CHECK_FAIL, fits ? 0 : 1240,
		"%llu MiB of memory; %s %llu MiB", (unsigned long long)available >> 20,
		config->limits.memory > 0 ? "limits.memory is"
					  : "limits.replay_total and translation.memory are",
		(unsigned long long)needed >> 20);
}

/* The place that a check of the host is about; false after a verdict: there is none. */
static bool place_of(struct check *check, char ret_path[PATH_SIZE])
{
	const struct config *config = check->setting->config;
	const char *path = check->index == 1 ? config->broker.spool.path : config->process.data_dir;
	bool named;
	size_t used;

	if (path) {
		(void)snprintf(ret_path, PATH_SIZE, "%s", path);
		return true;
	}
	if (!config_data_place(!config->file, ret_path, PATH_SIZE, &named)) {
		check_say(check, is_replica(config) ? CHECK_FAIL : CHECK_WARN, 2011,
			"no data directory: neither HOME nor XDG_STATE_HOME is set");
		return false;
	}
	used = strlen(ret_path);
	if (named) {
		(void)snprintf(ret_path + used, PATH_SIZE - used, "/%s", config->self.name);
	}
	return true;
}

/* The path itself, or the directory above it in which it will be made. */
static void nearest_existing(const char *path, char ret_path[PATH_SIZE])
{
	struct stat status;

	(void)snprintf(ret_path, PATH_SIZE, "%s", path);
	while (stat(ret_path, &status) < 0 && errno == ENOENT) {
		char *slash = strrchr(ret_path, '/');

		if (!slash || slash == ret_path) {
			(void)snprintf(ret_path, PATH_SIZE, "%s", slash ? "/" : ".");
			return;
		}
		*slash = '\0';
	}
}

/* PR-02: a client runs without, and forgets its view at each restart; a replica does not run, and
 * neither does a required broker. */
void check_host_writable(struct check *check)
{
	const struct config *config = check->setting->config;
	bool needed = is_replica(config) || config->broker.required;
	char path[PATH_SIZE];
	char existing[PATH_SIZE];
	struct stat status;
	int error = 0;

	if (!place_of(check, path)) {
		return;
	}
	nearest_existing(path, existing);
	if (stat(existing, &status) < 0 || access(existing, W_OK | X_OK) < 0) {
		error = errno;
	} else if (!S_ISDIR(status.st_mode)) {
		error = ENOTDIR;
	}
	if (error) {
		check_say(check, needed ? CHECK_FAIL : CHECK_WARN, 2011, "%.500s: %s", existing,
			strerror(error));
	} else {
		check_say(check, CHECK_OK, 0, "%.500s %s", path,
			strcmp(path, existing) == 0 ? "is writable" : "can be made");
	}
}

/* What the configuration lets grow there. An unset spool takes half of what is free at most. */
static uint64_t space_needed(const struct check *check)
{
	const struct config *config = check->setting->config;
	bool spool_here = check->index == 1 || !config->broker.spool.path;
	uint64_t needed = 0;

	if (check->index == 0 && is_replica(config)) {
		needed += LOG_BYTES + SNAPSHOTS * config->registry.state_bytes_max;
	}
	if (spool_here && config->broker.enabled) {
		needed += config->broker.spool.bytes;
	}
	return needed;
}

/* A disk that is full stops a replica and a required broker; one that may become full later is
 * worth a warning now. */
void check_host_space(struct check *check)
{
	const struct config *config = check->setting->config;
	uint64_t needed = space_needed(check);
	char path[PATH_SIZE];
	char existing[PATH_SIZE];
	struct statfs space;
	uint64_t available;
	enum check_verdict verdict = CHECK_OK;

	if (!place_of(check, path)) {
		return;
	}
	nearest_existing(path, existing);
	if (statfs(existing, &space) < 0) {
		check_say(check, CHECK_WARN, 2011, "%.500s: %s", existing, strerror(errno));
		return;
	}
	available = (uint64_t)space.f_bavail * (uint64_t)space.f_bsize;
	if (available < SPACE_LEAST) {
		verdict = is_replica(config) || config->broker.required ? CHECK_FAIL : CHECK_WARN;
	} else if (available < needed) {
		verdict = CHECK_WARN;
	}
	check_say(check, verdict, verdict == CHECK_OK ? 0 : 2101,
		"%.500s: %llu MiB free, %llu MiB may be needed", existing,
		(unsigned long long)available >> 20,
		(unsigned long long)(needed > SPACE_LEAST ? needed : SPACE_LEAST) >> 20);
}

/* CF-24, B9-12: what was synced there does not outlive the container or the power. */
void check_host_kind(struct check *check)
{
	const struct config *config = check->setting->config;
	bool matters =
		config_broker_syncs(&config->broker) || (check->index == 0 && is_replica(config));
	char path[PATH_SIZE];
	char existing[PATH_SIZE];
	const char *kind;

	if (!place_of(check, path)) {
		return;
	}
	nearest_existing(path, existing);
	kind = config_place_passing(existing);
	if (kind && matters) {
		check_say(check, CHECK_WARN, 1241,
			"%.500s lies on %s: what is kept there ends with it", existing, kind);
	} else {
		check_say(check, CHECK_OK, 0, "%.500s: %s", existing,
			kind ? kind : "a file system that lasts");
	}
}
