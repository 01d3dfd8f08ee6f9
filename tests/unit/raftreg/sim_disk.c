#include "sim_disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

#define FILES_MAX   256
#define HANDLES_MAX 256
#define SECTOR	    512u

struct inode {
	uint8_t *now, *durable;
	size_t now_size, durable_size;
};

struct name {
	char text[96];
	int inode; /* -1: free */
};

struct sim_disk {
	struct disk base;
	struct rng rng;
	struct inode inodes[FILES_MAX];
	int inode_count;
	struct name now[FILES_MAX], durable[FILES_MAX];
	struct {
		int inode; /* -1: closed */
		bool dsync;
	} handles[HANDLES_MAX];
	uint64_t operations, fail_at;
};

static struct sim_disk *of(struct disk *disk)
{
	return container_of(disk, struct sim_disk, base);
}

static bool fails(struct sim_disk *disk)
{
	disk->operations++;
	return disk->fail_at > 0 && disk->operations >= disk->fail_at;
}

static struct name *find(struct name *names, const char *text)
{
	for (int i = 0; i < FILES_MAX; i++) {
		if (names[i].inode >= 0 && strcmp(names[i].text, text) == 0) {
			return &names[i];
		}
	}
	return NULL;
}

static struct name *add(struct name *names, const char *text, int inode)
{
	for (int i = 0; i < FILES_MAX; i++) {
		if (names[i].inode < 0) {
			names[i].inode = inode;
			strcpy(names[i].text, text);
			return &names[i];
		}
	}
	abort();
}

static int sim_open(struct disk *base, const char *name, int flags)
{
	struct sim_disk *disk = of(base);
	struct name *found = find(disk->now, name);

	if (fails(disk)) {
		return -EIO;
	}
	if (found && (flags & DISK_CREATE)) {
		return -EEXIST;
	}
	if (!found && !(flags & DISK_CREATE)) {
		return -ENOENT;
	}
	if (!found) {
		ASSERT(disk->inode_count < FILES_MAX);
		found = add(disk->now, name, disk->inode_count++);
	}
	for (int i = 0; i < HANDLES_MAX; i++) {
		if (disk->handles[i].inode < 0) {
			disk->handles[i].inode = found->inode;
			disk->handles[i].dsync = (flags & DISK_DSYNC) != 0;
			return i;
		}
	}
	return -EMFILE;
}

static struct inode *inode_of(struct sim_disk *disk, int file)
{
	ASSERT(file >= 0 && disk->handles[file].inode >= 0);
	return &disk->inodes[disk->handles[file].inode];
}

static ssize_t sim_pread(struct disk *base, int file, void *data, size_t size, uint64_t offset)
{
	struct inode *inode = inode_of(of(base), file);

	if (fails(of(base))) {
		return -EIO;
	}
	if (offset >= inode->now_size) {
		return 0;
	}
	size = size > inode->now_size - offset ? inode->now_size - offset : size;
	memcpy(data, inode->now + offset, size);
	return (ssize_t)size;
}

static void grow(uint8_t **bytes, size_t *size, size_t wanted)
{
	if (wanted > *size) {
		*bytes = mem_realloc(*bytes, wanted);
		memset(*bytes + *size, 0, wanted - *size);
		*size = wanted;
	}
}

static void sync_inode(struct inode *inode)
{
	grow(&inode->durable, &inode->durable_size, inode->now_size);
	inode->durable_size = inode->now_size;
	if (inode->now_size > 0) {
		memcpy(inode->durable, inode->now, inode->now_size);
	}
}

static ssize_t sim_pwritev(
	struct disk *base, int file, const struct iovec *vectors, int count, uint64_t offset)
{
	struct inode *inode = inode_of(of(base), file);
	size_t total = 0;

	if (fails(of(base))) {
		return -EIO;
	}
	for (int i = 0; i < count; i++) {
		grow(&inode->now, &inode->now_size, offset + total + vectors[i].iov_len);
		memcpy(inode->now + offset + total, vectors[i].iov_base, vectors[i].iov_len);
		total += vectors[i].iov_len;
	}
	if (of(base)->handles[file].dsync) {
		sync_inode(inode);
	}
	return (ssize_t)total;
}

static int sim_fdatasync(struct disk *base, int file)
{
	if (fails(of(base))) {
		return -EIO;
	}
	sync_inode(inode_of(of(base), file));
	return 0;
}

static int sim_fallocate(struct disk *base, int file, uint64_t size)
{
	struct inode *inode = inode_of(of(base), file);

	if (fails(of(base))) {
		return -EIO;
	}
	grow(&inode->now, &inode->now_size, size);
	return 0;
}

static int64_t sim_size(struct disk *base, int file)
{
	return (int64_t)inode_of(of(base), file)->now_size;
}

static int sim_close(struct disk *base, int file)
{
	of(base)->handles[file].inode = -1;
	return 0;
}

static int sim_rename(struct disk *base, const char *from, const char *to)
{
	struct sim_disk *disk = of(base);
	struct name *source = find(disk->now, from);
	struct name *target = find(disk->now, to);

	if (fails(disk)) {
		return -EIO;
	}
	if (!source) {
		return -ENOENT;
	}
	if (target) {
		target->inode = -1;
	}
	strcpy(source->text, to);
	return 0;
}

static int sim_unlink(struct disk *base, const char *name)
{
	struct sim_disk *disk = of(base);
	struct name *found = find(disk->now, name);

	if (fails(disk)) {
		return -EIO;
	}
	if (!found) {
		return -ENOENT;
	}
	found->inode = -1;
	return 0;
}

static int sim_fsync_dir(struct disk *base)
{
	struct sim_disk *disk = of(base);

	if (fails(disk)) {
		return -EIO;
	}
	memcpy(disk->durable, disk->now, sizeof disk->durable);
	return 0;
}

static int sim_list(struct disk *base, int (*visit)(void *context, const char *name), void *context)
{
	struct sim_disk *disk = of(base);

	for (int i = 0; i < FILES_MAX; i++) {
		int result = disk->now[i].inode >= 0 ? visit(context, disk->now[i].text) : 0;

		if (result != 0) {
			return result;
		}
	}
	return 0;
}

static const struct disk_ops ops = {sim_open, sim_pread, sim_pwritev, sim_fdatasync, sim_fallocate,
	sim_size, sim_close, sim_rename, sim_unlink, sim_fsync_dir, sim_list};

struct sim_disk *sim_disk_create(uint64_t seed)
{
	struct sim_disk *disk = mem_zalloc(sizeof *disk);

	disk->base.ops = &ops;
	rng_seed(&disk->rng, seed);
	for (int i = 0; i < FILES_MAX; i++) {
		disk->now[i].inode = disk->durable[i].inode = -1;
		disk->handles[i].inode = -1;
	}
	return disk;
}

void sim_disk_destroy(struct sim_disk *disk)
{
	for (int i = 0; i < disk->inode_count; i++) {
		mem_free(disk->inodes[i].now);
		mem_free(disk->inodes[i].durable);
	}
	mem_free(disk);
}

struct disk *sim_disk_base(struct sim_disk *disk)
{
	return &disk->base;
}

void sim_disk_fail_at(struct sim_disk *disk, uint64_t operation)
{
	disk->operations = 0;
	disk->fail_at = operation;
}

uint64_t sim_disk_operations(const struct sim_disk *disk)
{
	return disk->operations;
}

static void crash_inode(struct sim_disk *disk, struct inode *inode, bool tear)
{
	size_t wanted = tear ? inode->now_size : inode->durable_size;

	grow(&inode->durable, &inode->durable_size, wanted);
	for (size_t at = 0; tear && at < inode->now_size; at += SECTOR) {
		size_t size = inode->now_size - at < SECTOR ? inode->now_size - at : SECTOR;

		if (rng_below(&disk->rng, 2) == 0) {
			memcpy(inode->durable + at, inode->now + at, size);
		}
	}
	grow(&inode->now, &inode->now_size, inode->durable_size);
	inode->now_size = inode->durable_size;
	if (inode->now_size > 0) {
		memcpy(inode->now, inode->durable, inode->now_size);
	}
}

void sim_disk_crash(struct sim_disk *disk, bool tear)
{
	memcpy(disk->now, disk->durable, sizeof disk->now);
	for (int i = 0; i < disk->inode_count; i++) {
		crash_inode(disk, &disk->inodes[i], tear);
	}
	for (int i = 0; i < HANDLES_MAX; i++) {
		disk->handles[i].inode = -1;
	}
	disk->fail_at = 0;
	disk->operations = 0;
}

uint8_t *sim_disk_bytes(struct sim_disk *disk, const char *name, size_t *ret_size)
{
	struct name *found = find(disk->now, name);

	if (!found) {
		return NULL;
	}
	*ret_size = disk->inodes[found->inode].now_size;
	return disk->inodes[found->inode].now;
}

const char *sim_disk_name(const struct sim_disk *disk, size_t i)
{
	for (int at = 0; at < FILES_MAX; at++) {
		if (disk->now[at].inode >= 0 && i-- == 0) {
			return disk->now[at].text;
		}
	}
	return NULL;
}
