#include "control/datadir.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/slice.h"
#include "config/places.h"

#define PATH_SIZE 4096
#define TRIES_MAX 9    /* NAME, NAME.2 ... NAME.9 */
#define DYING_MS  3000 /* of a killed process that still syncs */

/* mkdir -p with mode 0700. */
static int make_directories(const char *path)
{
	char part[PATH_SIZE];
	size_t size = strlen(path);
	struct stat status;

	if (size >= sizeof part) {
		return -ENAMETOOLONG;
	}
	for (size_t i = 1; i <= size; i++) {
		/* Each prefix that ends at a slash is a directory to make. */
		if (path[i] != '/' && path[i] != '\0') {
			continue;
		}
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, 0700) < 0 && errno != EEXIST) {
			return -errno;
		}
	}
	/* A file in its place has no directory's permissions either, and that is not what is wrong.
	 */
	if (stat(path, &status) == 0 && !S_ISDIR(status.st_mode)) {
		return -ENOTDIR;
	}
	return access(path, W_OK | X_OK) < 0 ? -errno : 0;
}

/* A process that was killed shows as a zombie, or not at all, before its last threads have let go
 * of its files. */
static bool is_dying(const char *pid)
{
	char path[64], text[256];
	const char *state;
	ssize_t got;
	int file;

	(void)snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0) {
		return true;
	}
	got = read(file, text, sizeof text - 1);
	close(file);
	text[got > 0 ? got : 0] = '\0';
	state = strrchr(text, ')'); /* behind the command, which may hold anything */
	return !state || strncmp(state, ") Z", 3) == 0 || strncmp(state, ") X", 3) == 0;
}

/* False: somebody who lives has it, or it took the dead too long. Puts the holder's pid there. */
static bool take_lock(int lock, char ret_pid[32])
{
	for (int i = 0; i < DYING_MS / 10; i++) {
		ssize_t got;

		/* Not fcntl: a record lock would go when any descriptor of the file is closed. */
		if (flock(lock, LOCK_EX | LOCK_NB) == 0) {
			return true;
		}
		got = pread(lock, ret_pid, 31, 0);
		ret_pid[got > 0 ? got : 0] = '\0';
		ret_pid[strcspn(ret_pid, "\n")] = '\0';
		if (!ret_pid[0] || !is_dying(ret_pid)) {
			return false;
		}
		(void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
	return false;
}

/* The holder's pid stands in the lock file, for the message of PIL2010. */
static int lock_directory(const char *path, int *ret_lock, struct err *err)
{
	char file[PATH_SIZE + 8];
	char pid[32] = "";
	int lock;

	(void)snprintf(file, sizeof file, "%s/lock", path);
	lock = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock < 0) {
		int error = errno;

		err_set(err, 2011, "the data directory %s is not writable: %s", path,
			strerror(error));
		return -error;
	}
	if (!take_lock(lock, pid)) {
		close(lock);
		err_set(err, 2010, "the data directory %s is in use by another pillion (pid %s)",
			path, pid[0] ? pid : "unknown");
		return -EBUSY;
	}
	(void)snprintf(pid, sizeof pid, "%d\n", (int)getpid());
	if (ftruncate(lock, 0) < 0 || pwrite(lock, pid, strlen(pid), 0) < 0) {
		int error = errno;

		close(lock);
		err_set(err, 2011, "the data directory %s cannot be written: %s", path,
			strerror(error));
		return -error;
	}
	*ret_lock = lock;
	return 0;
}

/* Made, locked and named in one step: a directory that is ours but not locked would be used twice.
 */
static int try_path(const char *path, struct datadir *directory, struct err *err)
{
	const char *slash;
	int result = make_directories(path);

	if (result < 0) {
		err_set(err, 2011, "the data directory %s cannot be used: %s", path,
			strerror(-result));
		return result;
	}
	result = lock_directory(path, &directory->lock, err);
	if (result < 0) {
		return result;
	}
	directory->path = mem_strdup(path);
	slash = strrchr(path, '/');
	directory->name = mem_strdup(slash && slash[1] ? slash + 1 : path);
	return 0;
}

/* PR-02: base/NAME, then NAME.2 and so on while a running sidecar holds the lock. */
static int try_named(const char *base, const struct datadir_options *options,
	struct datadir *directory, struct err *err)
{
	char path[PATH_SIZE];
	int result = -EBUSY;

	for (int number = 1; number <= TRIES_MAX && result == -EBUSY; number++) {
		if (number == 1) {
			(void)snprintf(path, sizeof path, "%s/%s", base, options->name);
		} else {
			(void)snprintf(path, sizeof path, "%s/%s.%d", base, options->name, number);
		}
		result = try_path(path, directory, err);
	}
	return result;
}

/* PR-02, in its order. */
static int search(const struct datadir_options *options, struct datadir *directory, struct err *err)
{
	char base[PATH_SIZE - 512]; /* a name and a number fit behind it */
	bool named;

	if (!config_data_place(options->append_name, base, sizeof base, &named)) {
		err_set(err, 2011, "no data directory: neither HOME nor XDG_STATE_HOME is set");
		return -ENOENT;
	}
	return named ? try_named(base, options, directory, err) : try_path(base, directory, err);
}

/* --dev keeps nothing: a directory of this run alone, removed at its end. */
static int make_temporary(struct datadir *directory, struct err *err)
{
	char path[] = "/tmp/pillion-dev-XXXXXX";
	int result;

	if (!mkdtemp(path)) {
		result = -errno;
		err_set(err, 2011, "no directory for --dev below /tmp: %s", strerror(-result));
		return result;
	}
	result = try_path(path, directory, err);
	directory->temporary = result == 0;
	return result;
}

/* A client sidecar runs without a directory, only without a view across restarts; a replica cannot
 * (PR-02). */
int datadir_open(
	const struct datadir_options *options, struct datadir *ret_directory, struct err *err)
{
	struct datadir directory = {.lock = -1};
	int result;

	ASSERT(options->name || options->configured);
	if (options->temporary) {
		result = make_temporary(&directory, err);
	} else if (options->configured) {
		result = try_path(options->configured, &directory, err);
	} else {
		result = search(options, &directory, err);
	}
	/* A held lock is always an error: two sidecars must not share one directory. */
	if (result < 0 && (options->required || result == -EBUSY || options->temporary)) {
		return result;
	}
	*ret_directory = directory;
	return 0;
}

/* Depth first, links not followed: what is removed is what was made below. */
static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
	(void)status;
	(void)kind;
	(void)walk;
	return remove(path);
}

/* The lock goes with its descriptor. The file stays: removing it would let two processes lock two
 * files of one name. */
void datadir_close(struct datadir *directory)
{
	if (directory->temporary && directory->path) {
		(void)nftw(directory->path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	}
	if (directory->lock >= 0) {
		close(directory->lock);
	}
	mem_free(directory->path);
	mem_free(directory->name);
	*directory = (struct datadir){.lock = -1};
}
