/*
 * files: a configuration decides what a process does, so a file that a stranger could have written
 * is refused.
 */
#include "config/files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"

#define FILE_SIZE_MAX (4u * 1024 * 1024)

/* Looked at in this order when nobody names a file; both may be missing. */
static const char *const implicit_places[] = {"./pillion.json", "/etc/pillion/pillion.json"};

/* A file to be read; implicit ones may be missing, and are trusted less. */
struct wanted {
	const char *path;
	bool implicit;
	struct config_report *report;
};

/* An empty variable is one that nobody set. */
const char *config_files_variable(const char *const *environment, const char *name)
{
	size_t size = strlen(name);

	for (size_t i = 0; environment != NULL && environment[i] != NULL; i++) {
		if (strncmp(environment[i], name, size) == 0 && environment[i][size] == '=') {
			const char *value = environment[i] + size + 1;

			return value[0] != '\0' ? value : NULL;
		}
	}
	return NULL;
}

/* Errors of whole files have a name and no line. */
static int refuse(const struct wanted *wanted, unsigned code, const char *why, const char *fix)
{
	struct buf text;
	struct config_problem problem = {.code = code, .place = {.file = wanted->path}, .fix = fix};

	buf_init(&text);
	buf_appendf(&text, "%s", why);
	problem.text = buf_string(&text);
	config_report_add(wanted->report, &problem);
	buf_fini(&text);
	return -EINVAL;
}

/* Whoever else owns the file could change what this process does. */
static bool trusted_owner(uid_t owner)
{
	return owner == 0 || owner == geteuid();
}

/* Rules of CF-02 on the open descriptor; an implicit file is also judged by its directory. */
static int judge(const struct wanted *wanted, int fd)
{
	struct stat status;
	struct stat directory;
	const char *slash = strrchr(wanted->path, '/');

	if (fstat(fd, &status) < 0) {
		return refuse(wanted, 1005, strerror(errno), NULL);
	}
	if (!S_ISREG(status.st_mode)) {
		return refuse(wanted, 1003, "this is not a regular file", NULL);
	}
	if ((status.st_mode & S_IWOTH) != 0) {
		return refuse(wanted, 1003, "everyone may write this file", "chmod o-w it");
	}
	if (!wanted->implicit) {
		return 0;
	}
	ASSERT(slash != NULL);

	char parent[64] = {0};

	ASSERT((size_t)(slash - wanted->path) < sizeof(parent));
	memcpy(parent, wanted->path, (size_t)(slash - wanted->path));
	if (stat(parent, &directory) < 0) {
		return refuse(wanted, 1005, strerror(errno), NULL);
	}
	if (!trusted_owner(status.st_uid) || !trusted_owner(directory.st_uid)) {
		return refuse(wanted, 1003,
			"this file or its directory belongs to neither root nor this user",
			"name it with -c to use it all the same");
	}
	return 0;
}

/* The size is judged while reading: a file may grow after fstat, and standard input has none. */
static int read_all(const struct wanted *wanted, int fd, struct buf *ret_bytes)
{
	for (;;) {
		uint8_t *room = buf_reserve(ret_bytes, 16384);
		ssize_t got = read(fd, room, 16384);

		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got < 0) {
			return refuse(wanted, 1005, strerror(errno), NULL);
		}
		ret_bytes->size += (size_t)got;
		if (ret_bytes->size > FILE_SIZE_MAX) {
			return refuse(wanted, 1004, "this file is larger than 4 MiB", NULL);
		}
		if (got == 0) {
			return 0;
		}
	}
}

/* The place of the text, and where its relative paths start. */
static struct config_source *source_of(struct arena *arena, const char *path, struct slice bytes)
{
	struct config_source *source = config_node_source(arena, path, arena_copy(arena, bytes));
	const char *slash = strrchr(path, '/');

	source->is_file = true;
	if (slash != NULL && strcmp(path, "-") != 0) {
		size_t size = slash == path ? 1 : (size_t)(slash - path);

		source->directory = arena_string(arena, slice_make(path, size));
	}
	return source;
}

/* Opened without blocking, as the name may be that of a pipe (CF-02). */
static int read_path(
	const struct wanted *wanted, struct arena *arena, struct config_source **ret_source)
{
	bool standard_input = strcmp(wanted->path, "-") == 0;
	struct buf bytes;
	int fd = standard_input ? STDIN_FILENO
				: open(wanted->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int result;

	if (fd < 0 && errno == ENOENT) {
		return wanted->implicit ? 0 : refuse(wanted, 1001, "there is no such file", NULL);
	}
	if (fd < 0) {
		/* An implicit place that may not even be looked at is as good as empty. */
		return wanted->implicit && (errno == EACCES || errno == ENOTDIR)
			       ? 0
			       : refuse(wanted, 1005, strerror(errno), NULL);
	}
	/* The descriptor is judged, not the name: the name may mean another file by now. */
	buf_init(&bytes);
	result = standard_input ? 0 : judge(wanted, fd);
	if (result == 0) {
		result = read_all(wanted, fd, &bytes);
	}
	if (result == 0) {
		*ret_source = source_of(arena, wanted->path, buf_slice(&bytes));
	}
	buf_fini(&bytes);
	if (!standard_input) {
		close(fd);
	}
	return result;
}

/* The order of CF-01; the first place that has a file decides. */
int config_files_read(const struct config_sources *sources, struct arena *arena,
	struct config_report *report, struct config_source **ret_source)
{
	struct wanted wanted = {.path = sources->file, .report = report};

	ASSERT(ret_source != NULL);
	*ret_source = NULL;
	if (wanted.path == NULL && !sources->no_file) {
		wanted.path = config_files_variable(sources->environment, "PILLION_CONFIG");
	}
	if (sources->text != NULL) {
		*ret_source = source_of(arena, wanted.path != NULL ? wanted.path : "pillion.json",
			slice_make(sources->text, sources->text_size));
		return 0;
	}
	if (wanted.path != NULL) {
		if (strcmp(wanted.path, "-") == 0 && !sources->stdin_allowed) {
			return refuse(&wanted, 1002,
				"standard input is read by `check` and `config` only", NULL);
		}
		return read_path(&wanted, arena, ret_source);
	}
	for (size_t i = 0; i < ARRAY_SIZE(implicit_places) && !sources->no_file; i++) {
		struct wanted place = {implicit_places[i], true, report};
		int result = read_path(&place, arena, ret_source);

		if (result < 0 || *ret_source != NULL) {
			return result;
		}
	}
	return 0;
}
