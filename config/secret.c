/*
 * secret: files are judged by their open descriptor, so that nothing can be swapped in between.
 */
#include "config/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"

/* Docker and Kubernetes mount secrets 0444 or 0644 here; the mount is the boundary. */
static bool below_secret_mount(const char *path)
{
	return strstr(path, "/../") == NULL && (strncmp(path, "/run/secrets/", 13) == 0 ||
						       strncmp(path, "/var/run/secrets/", 17) == 0);
}

/* Group-readable is allowed: Kubernetes fsGroup gives 0440 (CF-09). */
static bool acceptable(int fd, const char *path, struct err *err)
{
	struct stat status;

	ASSERT(fd >= 0);

	if (fstat(fd, &status) < 0) {
		err_set(err, 1005, "%s cannot be read: %s", path, strerror(errno));
		return false;
	}
	if (!S_ISREG(status.st_mode)) {
		err_set(err, 1410, "%s is not a regular file", path);
		return false;
	}
	if ((status.st_mode & S_IWOTH) != 0) {
		err_set(err, 1410, "%s may be written by everyone", path);
		return false;
	}
	if ((status.st_mode & S_IROTH) != 0 && !below_secret_mount(path)) {
		err_set(err, 1410, "%s may be read by everyone", path);
		return false;
	}
	if (status.st_size > CONFIG_SECRET_MAX) {
		err_set(err, 1410, "%s is larger than 64 KiB", path);
		return false;
	}
	return true;
}

/* Read in pieces until the end: some mounts report a size of 0. */
bool config_secret_read(const char *path, struct buf *ret_bytes, struct err *err)
{
	size_t before = ret_bytes->size;
	bool good = false;
	int fd;

	ASSERT(path != NULL);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		err_set(err, 1005, "%s cannot be read: %s", path, strerror(errno));
		return false;
	}
	if (!acceptable(fd, path, err)) {
		goto done;
	}
	while (ret_bytes->size - before <= CONFIG_SECRET_MAX) {
		uint8_t *room = buf_reserve(ret_bytes, 4096);
		ssize_t got = read(fd, room, 4096);

		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got < 0) {
			err_set(err, 1005, "%s cannot be read: %s", path, strerror(errno));
			goto done;
		}
		if (got == 0) {
			good = true;
			break;
		}
		ret_bytes->size += (size_t)got;
	}
	if (!good) {
		err_set(err, 1410, "%s is larger than 64 KiB", path);
	} else if (ret_bytes->size > before && ret_bytes->data[ret_bytes->size - 1] == '\n') {
		ret_bytes->size--;
	}
done:
	if (!good) {
		ret_bytes->size = before;
	}
	close(fd);
	return good;
}

/* The whole capacity, as a longer secret may have been there before. */
void config_secret_wipe(struct buf *bytes)
{
	ASSERT(bytes != NULL);
	if (bytes->data != NULL) {
		explicit_bzero(bytes->data, bytes->capacity);
	}
	buf_fini(bytes);
}
