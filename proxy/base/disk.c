#include "base/disk_ops.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"

#define DISK_NAME_MAX 255
/* Most vectors a single call hands to the kernel (Linux: UIO_MAXIOV). */
#define DISK_VECTORS_MAX 1024

/* The real thing: a directory descriptor; file handles are descriptors. */
struct disk_directory {
	struct disk disk;
	int fd;
};

static int disk_fd(struct disk *disk)
{
	return container_of(disk, struct disk_directory, disk)->fd;
}

/* Names stay below the directory: relative, and without a step upwards. */
static bool disk_name_valid(const char *name)
{
	return name[0] != '\0' && name[0] != '/' && strstr(name, "..") == NULL &&
	       strlen(name) <= DISK_NAME_MAX;
}

static int disk_real_open(struct disk *disk, const char *name, int flags)
{
	int mode = (flags & DISK_WRITE) ? O_RDWR : O_RDONLY;
	int fd;

	if (!disk_name_valid(name)) {
		return -EINVAL;
	}
	mode |= O_CLOEXEC | O_NOFOLLOW;
	mode |= (flags & DISK_CREATE) ? O_CREAT | O_EXCL : 0;
	mode |= (flags & DISK_DSYNC) ? O_DSYNC : 0;
	do {
		fd = openat(disk_fd(disk), name, mode, 0600);
	} while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

/* Short reads are passed on as they are: disk_read_all is the one that goes on. */
static ssize_t disk_real_pread(
	struct disk *disk, int file, void *data, size_t size, uint64_t offset)
{
	ssize_t got = pread(file, data, size, (off_t)offset);

	(void)disk;
	return got < 0 ? -errno : got;
}

static ssize_t disk_real_pwritev(
	struct disk *disk, int file, const struct iovec *vectors, int count, uint64_t offset)
{
	ssize_t put = pwritev(file, vectors, count, (off_t)offset);

	(void)disk;
	return put < 0 ? -errno : put;
}

static int disk_real_fdatasync(struct disk *disk, int file)
{
	(void)disk;
	/* Never repeated: after a failed sync the pages may be marked clean (registry.md RS-15). */
	return fdatasync(file) < 0 ? -errno : 0;
}

static int disk_real_fallocate(struct disk *disk, int file, uint64_t size)
{
	int status;

	(void)disk;
	do {
		status = fallocate(file, 0, 0, (off_t)size);
	} while (status < 0 && errno == EINTR);
	/* File systems without the call get at least the size. */
	if (status < 0 && errno == EOPNOTSUPP) {
		status = ftruncate(file, (off_t)size);
	}
	return status < 0 ? -errno : 0;
}

static int64_t disk_real_size(struct disk *disk, int file)
{
	struct stat facts;

	(void)disk;
	return fstat(file, &facts) < 0 ? -errno : (int64_t)facts.st_size;
}

static int disk_real_close(struct disk *disk, int file)
{
	(void)disk;
	/* Linux frees the descriptor also on EINTR: it must not be closed again. */
	return close(file) < 0 && errno != EINTR ? -errno : 0;
}

/* Durable only after fsync_dir, which the caller orders (registry.md RS-05). */
static int disk_real_rename(struct disk *disk, const char *from, const char *to)
{
	if (!disk_name_valid(from) || !disk_name_valid(to)) {
		return -EINVAL;
	}
	return renameat(disk_fd(disk), from, disk_fd(disk), to) < 0 ? -errno : 0;
}

static int disk_real_unlink(struct disk *disk, const char *name)
{
	if (!disk_name_valid(name)) {
		return -EINVAL;
	}
	return unlinkat(disk_fd(disk), name, 0) < 0 ? -errno : 0;
}

/* Makes creations, renames and removals of this directory durable. */
static int disk_real_fsync_dir(struct disk *disk)
{
	return fsync(disk_fd(disk)) < 0 ? -errno : 0;
}

/* Without the two entries that every directory has; in no order. */
static int disk_real_list(
	struct disk *disk, int (*visit)(void *context, const char *name), void *context)
{
	/* A descriptor of its own, since reading moves the position of the open directory. */
	int fd = openat(disk_fd(disk), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	int result = 0;

	if (directory == NULL) {
		result = -errno;
		if (fd >= 0) {
			close(fd);
		}
		return result;
	}
	while (result == 0) {
		struct dirent *entry;

		errno = 0;
		entry = readdir(directory);
		if (entry == NULL) {
			result = -errno;
			break;
		}
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
			result = visit(context, entry->d_name);
		}
	}
	closedir(directory);
	return result;
}

static const struct disk_ops disk_real_ops = {
	.open = disk_real_open,
	.pread = disk_real_pread,
	.pwritev = disk_real_pwritev,
	.fdatasync = disk_real_fdatasync,
	.fallocate = disk_real_fallocate,
	.size = disk_real_size,
	.close = disk_real_close,
	.rename = disk_real_rename,
	.unlink = disk_real_unlink,
	.fsync_dir = disk_real_fsync_dir,
	.list = disk_real_list,
};

/* Makes each missing directory of the path, the last one included. */
static int disk_make_path(const char *path)
{
	char part[PATH_MAX];
	size_t size = strlen(path);

	if (size == 0 || size >= sizeof(part)) {
		return size == 0 ? -ENOENT : -ENAMETOOLONG;
	}
	memcpy(part, path, size + 1);
	for (size_t i = 1; i <= size; i++) {
		if (part[i] != '/' && part[i] != '\0') {
			continue;
		}
		part[i] = '\0';
		/* EROFS and EACCES are no matter for a part that exists; opening will tell. */
		if (mkdir(part, 0700) < 0 && errno != EEXIST && access(part, F_OK) < 0) {
			return -errno;
		}
		part[i] = path[i];
	}
	return 0;
}

int disk_open_directory(const char *path, struct disk **ret_disk)
{
	struct disk_directory *directory;
	int status = disk_make_path(path);
	int fd;

	ASSERT(ret_disk != NULL);
	if (status < 0) {
		return status;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	/* All names are resolved from this descriptor: the path may be renamed meanwhile. */
	directory = mem_zalloc(sizeof(*directory));
	directory->disk.ops = &disk_real_ops;
	directory->fd = fd;
	*ret_disk = &directory->disk;
	return 0;
}

void disk_close_directory(struct disk *disk)
{
	if (disk == NULL) {
		return;
	}
	/* A simulated disk is its maker's. */
	ASSERT(disk->ops == &disk_real_ops);
	close(disk_fd(disk));
	mem_free(container_of(disk, struct disk_directory, disk));
}

int disk_write_all(struct disk *disk, int file, const void *data, size_t size, uint64_t offset)
{
	struct iovec vector = {(void *)(uintptr_t)data, size};

	return disk_writev_all(disk, file, &vector, 1, offset);
}

int disk_writev_all(struct disk *disk, int file, struct iovec *vectors, int count, uint64_t offset)
{
	while (count > 0) {
		int most = count < DISK_VECTORS_MAX ? count : DISK_VECTORS_MAX;
		ssize_t put;

		if (vectors->iov_len == 0) {
			vectors++;
			count--;
			continue;
		}
		put = disk->ops->pwritev(disk, file, vectors, most, offset);
		if (put == -EINTR) {
			continue;
		}
		/* Nothing written and no error would be an endless loop: call it what it is. */
		if (put <= 0) {
			return put == 0 ? -ENOSPC : (int)put;
		}
		offset += (uint64_t)put;
		while (count > 0 && (size_t)put >= vectors->iov_len) {
			put -= (ssize_t)vectors->iov_len;
			vectors++;
			count--;
		}
		if (put > 0) {
			ASSERT(count > 0);
			vectors->iov_base = (uint8_t *)vectors->iov_base + put;
			vectors->iov_len -= (size_t)put;
		}
	}
	return 0;
}

int disk_read_all(struct disk *disk, int file, void *data, size_t size, uint64_t offset)
{
	uint8_t *place = data;

	ASSERT(data != NULL || size == 0);
	while (size > 0) {
		ssize_t got = disk->ops->pread(disk, file, place, size, offset);

		if (got == -EINTR) {
			continue;
		}
		if (got <= 0) {
			return got == 0 ? -ENODATA : (int)got;
		}
		ASSERT((size_t)got <= size);
		place += got;
		size -= (size_t)got;
		offset += (uint64_t)got;
	}
	return 0;
}

/* Writes and syncs a file that was just created, and closes it in every case. */
static int disk_fill(struct disk *disk, int file, const void *data, size_t size)
{
	int status = disk_write_all(disk, file, data, size, 0);
	int closed;

	if (status == 0) {
		status = disk->ops->fdatasync(disk, file);
	}
	closed = disk->ops->close(disk, file);
	return status < 0 ? status : closed;
}

int disk_replace_file(struct disk *disk, const char *name, const void *data, size_t size)
{
	char temporary[DISK_NAME_MAX + 8];
	int file;
	int status;

	if (!disk_name_valid(name)) {
		return -EINVAL;
	}
	(void)snprintf(temporary, sizeof(temporary), "%s.tmp", name);
	/* A leftover of a crash; its absence is the ordinary case. */
	status = disk->ops->unlink(disk, temporary);
	if (status < 0 && status != -ENOENT) {
		return status;
	}
	file = disk->ops->open(disk, temporary, DISK_WRITE | DISK_CREATE);
	if (file < 0) {
		return file;
	}
	status = disk_fill(disk, file, data, size);
	if (status == 0) {
		status = disk->ops->rename(disk, temporary, name);
	}
	if (status < 0) {
		(void)disk->ops->unlink(disk, temporary);
		return status;
	}
	/* Only now is the new name durable (registry.md TRAP-06). */
	return disk->ops->fsync_dir(disk);
}

int disk_load_file(
	struct disk *disk, const char *name, size_t limit, uint8_t **ret_data, size_t *ret_size)
{
	int file = disk->ops->open(disk, name, DISK_READ);
	uint8_t *data = NULL;
	int64_t size;
	int status;

	ASSERT(ret_data != NULL && ret_size != NULL);
	if (file < 0) {
		return file;
	}
	/* The limit is checked before memory is taken for what somebody else may have written. */
	size = disk->ops->size(disk, file);
	status = size < 0 ? (int)size : 0;
	if (status == 0 && (uint64_t)size > limit) {
		status = -EFBIG;
	}
	if (status == 0) {
		data = mem_alloc((size_t)size);
		status = disk_read_all(disk, file, data, (size_t)size, 0);
	}
	(void)disk->ops->close(disk, file);
	if (status < 0) {
		mem_free(data);
		return status;
	}
	*ret_data = data;
	*ret_size = (size_t)size;
	return 0;
}
