/*
 * disk_ops: every file operation of the registry's log and of the broker's spool goes through this
 * table, so that simulators and crash harnesses can replace the disk. All functions return >= 0 or
 * a negative errno. Paths are relative to the directory handle. Called on disk and background
 * threads.
 */
#ifndef PILLION_BASE_DISK_OPS_H
#define PILLION_BASE_DISK_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct disk; /* an implementation: one open directory, real or simulated */

enum disk_open_flags {
	DISK_READ = 0,
	DISK_WRITE = 1,	 /* read and write */
	DISK_CREATE = 2, /* fails with -EEXIST when it is there */
	DISK_DSYNC = 4,	 /* each write is durable when it returns (O_DSYNC) */
};

struct disk_ops {
	int (*open)(struct disk *disk, const char *name, int flags); /* file handle >= 0 */
	ssize_t (*pread)(struct disk *disk, int file, void *data, size_t size, uint64_t offset);
	ssize_t (*pwritev)(struct disk *disk, int file, const struct iovec *vectors, int count,
		uint64_t offset);
	int (*fdatasync)(struct disk *disk, int file);
	int (*fallocate)(struct disk *disk, int file, uint64_t size);
	int64_t (*size)(struct disk *disk, int file);
	int (*close)(struct disk *disk, int file);
	int (*rename)(struct disk *disk, const char *from, const char *to);
	int (*unlink)(struct disk *disk, const char *name);
	int (*fsync_dir)(struct disk *disk);
	/* Calls visit for each entry; stops at a non-zero result and returns it. */
	int (*list)(
		struct disk *disk, int (*visit)(void *context, const char *name), void *context);
};

struct disk {
	const struct disk_ops *ops;
};

/* A real directory, made with mode 0700 when absent. Files are 0600, opened with O_NOFOLLOW. */
int disk_open_directory(const char *path, struct disk **ret_disk);
void disk_close_directory(struct disk *disk);

/* Complete writes and reads: short ones and EINTR are continued; a read at the end is -ENODATA. */
int disk_write_all(struct disk *disk, int file, const void *data, size_t size, uint64_t offset);
int disk_writev_all(struct disk *disk, int file, struct iovec *vectors, int count, uint64_t offset);
int disk_read_all(struct disk *disk, int file, void *data, size_t size, uint64_t offset);
/* New file: tmp, write, fsync, rename, fsync of the directory. */
int disk_replace_file(struct disk *disk, const char *name, const void *data, size_t size);
/* Reads a whole file of at most `limit` bytes; *ret_data is malloc'ed. -EFBIG beyond. */
int disk_load_file(
	struct disk *disk, const char *name, size_t limit, uint8_t **ret_data, size_t *ret_size);

#endif
