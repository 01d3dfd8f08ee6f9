#include "fault_disk.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/assert.h"

static struct fault_disk *of(struct disk *disk)
{
	return container_of(disk, struct fault_disk, disk);
}

/* 0: the call goes on; -errno: it fails. */
static int enter(struct fault_disk *disk, enum fault_op op)
{
	unsigned call;
	int status = 0;

	(void)pthread_mutex_lock(&disk->lock);
	call = ++disk->calls[op];
	(void)pthread_cond_broadcast(&disk->changed);
	while (disk->held[op]) {
		(void)pthread_cond_wait(&disk->changed, &disk->lock);
	}
	if (disk->fail_at[op] != 0 && call >= disk->fail_at[op] &&
		call - disk->fail_at[op] < disk->times[op]) {
		status = -disk->error[op];
	} else if (op == FAULT_PWRITEV && disk->shortly && call % 3 == 0) {
		status = -EINTR;
	}
	(void)pthread_mutex_unlock(&disk->lock);
	return status;
}

static int fault_open(struct disk *base, const char *name, int flags)
{
	struct fault_disk *disk = of(base);
	int status = enter(disk, FAULT_OPEN);

	return status < 0 ? status : disk->real->ops->open(disk->real, name, flags);
}

static ssize_t fault_pread(struct disk *base, int file, void *data, size_t size, uint64_t offset)
{
	struct fault_disk *disk = of(base);
	int status = enter(disk, FAULT_PREAD);

	return status < 0 ? status : disk->real->ops->pread(disk->real, file, data, size, offset);
}

static ssize_t fault_pwritev(
	struct disk *base, int file, const struct iovec *vectors, int count, uint64_t offset)
{
	struct fault_disk *disk = of(base);
	int status = enter(disk, FAULT_PWRITEV);
	struct iovec half;

	if (status < 0) {
		return status;
	}
	if (disk->shortly) {
		half = (struct iovec){vectors->iov_base, (vectors->iov_len + 1) / 2};
		return disk->real->ops->pwritev(disk->real, file, &half, 1, offset);
	}
	return disk->real->ops->pwritev(disk->real, file, vectors, count, offset);
}

static int fault_fdatasync(struct disk *base, int file)
{
	struct fault_disk *disk = of(base);
	int status = enter(disk, FAULT_FDATASYNC);

	return status < 0 ? status : disk->real->ops->fdatasync(disk->real, file);
}

static int fault_fallocate(struct disk *base, int file, uint64_t size)
{
	struct fault_disk *disk = of(base);
	int status = enter(disk, FAULT_FALLOCATE);

	return status < 0 ? status : disk->real->ops->fallocate(disk->real, file, size);
}

static int64_t fault_size(struct disk *base, int file)
{
	return of(base)->real->ops->size(of(base)->real, file);
}

static int fault_close(struct disk *base, int file)
{
	return of(base)->real->ops->close(of(base)->real, file);
}

static int fault_rename(struct disk *base, const char *from, const char *to)
{
	struct fault_disk *disk = of(base);
	int status = enter(disk, FAULT_RENAME);

	return status < 0 ? status : disk->real->ops->rename(disk->real, from, to);
}

static int fault_unlink(struct disk *base, const char *name)
{
	struct fault_disk *disk = of(base);
	int status = enter(disk, FAULT_UNLINK);

	return status < 0 ? status : disk->real->ops->unlink(disk->real, name);
}

static int fault_fsync_dir(struct disk *base)
{
	struct fault_disk *disk = of(base);
	int status = enter(disk, FAULT_FSYNC_DIR);

	return status < 0 ? status : disk->real->ops->fsync_dir(disk->real);
}

static int fault_list(
	struct disk *base, int (*visit)(void *context, const char *name), void *context)
{
	return of(base)->real->ops->list(of(base)->real, visit, context);
}

static const struct disk_ops fault_ops = {.open = fault_open,
	.pread = fault_pread,
	.pwritev = fault_pwritev,
	.fdatasync = fault_fdatasync,
	.fallocate = fault_fallocate,
	.size = fault_size,
	.close = fault_close,
	.rename = fault_rename,
	.unlink = fault_unlink,
	.fsync_dir = fault_fsync_dir,
	.list = fault_list};

void fault_disk_init(struct fault_disk *disk, struct disk *real)
{
	memset(disk, 0, sizeof *disk);
	disk->disk.ops = &fault_ops;
	disk->real = real;
	(void)pthread_mutex_init(&disk->lock, NULL);
	(void)pthread_cond_init(&disk->changed, NULL);
}

void fault_disk_fini(struct fault_disk *disk)
{
	(void)pthread_cond_destroy(&disk->changed);
	(void)pthread_mutex_destroy(&disk->lock);
}

void fault_disk_fail(
	struct fault_disk *disk, enum fault_op op, unsigned n, unsigned times, int error)
{
	(void)pthread_mutex_lock(&disk->lock);
	disk->fail_at[op] = n == 0 ? 0 : disk->calls[op] + n;
	disk->times[op] = times;
	disk->error[op] = error;
	(void)pthread_mutex_unlock(&disk->lock);
}

void fault_disk_hold(struct fault_disk *disk, enum fault_op op, bool held)
{
	(void)pthread_mutex_lock(&disk->lock);
	disk->held[op] = held;
	(void)pthread_cond_broadcast(&disk->changed);
	(void)pthread_mutex_unlock(&disk->lock);
}

unsigned fault_disk_calls(struct fault_disk *disk, enum fault_op op)
{
	unsigned calls;

	(void)pthread_mutex_lock(&disk->lock);
	calls = disk->calls[op];
	(void)pthread_mutex_unlock(&disk->lock);
	return calls;
}
