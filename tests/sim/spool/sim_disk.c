#include "sim_disk.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

#define SECTOR	    512
#define HANDLES_MAX 64

struct sim_write {
	uint64_t offset;
	size_t size;
	uint8_t *data;
};

struct sim_file {
	struct buf cache;   /* what a reader sees */
	struct buf durable; /* what the platter holds */
	struct sim_write *writes;
	size_t write_count;
	unsigned refs; /* names and handles */
};

struct sim_name {
	char name[64];
	struct sim_file *file;
};

struct sim_directory {
	struct sim_name *names;
	size_t count;
};

struct sim_disk {
	struct disk disk;
	struct rng rng;
	struct sim_directory cache;
	struct sim_directory *steps; /* after each unsynced change; [0] is durable */
	size_t step_count;
	struct sim_file *handles[HANDLES_MAX];
	uint64_t operations, kill_at;
	bool dead;
	int fail_sync, fail_write;
};

static struct sim_disk *of(struct disk *disk)
{
	return container_of(disk, struct sim_disk, disk);
}

static void unref(struct sim_file *file)
{
	ASSERT(file->refs > 0);
	if (--file->refs > 0) {
		return;
	}
	for (size_t i = 0; i < file->write_count; i++) {
		mem_free(file->writes[i].data);
	}
	mem_free(file->writes);
	buf_fini(&file->cache);
	buf_fini(&file->durable);
	mem_free(file);
}

static void copy_directory(struct sim_directory *to, const struct sim_directory *from)
{
	to->count = from->count;
	to->names = mem_copy(from->names, from->count * sizeof *from->names);
	for (size_t i = 0; i < from->count; i++) {
		from->names[i].file->refs++;
	}
}

static void free_directory(struct sim_directory *directory)
{
	for (size_t i = 0; i < directory->count; i++) {
		unref(directory->names[i].file);
	}
	mem_free(directory->names);
	*directory = (struct sim_directory){NULL, 0};
}

static struct sim_name *find(struct sim_directory *directory, const char *name)
{
	for (size_t i = 0; i < directory->count; i++) {
		if (strcmp(directory->names[i].name, name) == 0) {
			return &directory->names[i];
		}
	}
	return NULL;
}

static void forget(struct sim_directory *directory, struct sim_name *name)
{
	unref(name->file);
	*name = directory->names[--directory->count];
}

static void note_step(struct sim_disk *disk)
{
	disk->steps = mem_realloc(disk->steps, (disk->step_count + 1) * sizeof *disk->steps);
	copy_directory(&disk->steps[disk->step_count++], &disk->cache);
}

/* True: this operation still happens. *ret_last: it is the one during which the end comes. */
static bool count(struct sim_disk *disk, bool *ret_last)
{
	*ret_last = false;
	if (disk->dead) {
		return false;
	}
	disk->operations++;
	if (disk->kill_at != 0 && disk->operations >= disk->kill_at) {
		disk->dead = true;
		*ret_last = true;
	}
	return true;
}

static int sim_open(struct disk *base, const char *name, int flags)
{
	struct sim_disk *disk = of(base);
	struct sim_name *found = find(&disk->cache, name);
	int handle = 0;
	bool last;

	if (disk->dead) {
		return -EIO;
	}
	while (handle < HANDLES_MAX && disk->handles[handle]) {
		handle++;
	}
	ASSERT(handle < HANDLES_MAX);
	if (!found && !(flags & DISK_CREATE)) {
		return -ENOENT;
	}
	if (found && (flags & DISK_CREATE)) {
		return -EEXIST;
	}
	if (!found) {
		if (!count(disk, &last) || last) {
			return -EIO;
		}
		disk->cache.names = mem_realloc(
			disk->cache.names, (disk->cache.count + 1) * sizeof *disk->cache.names);
		found = &disk->cache.names[disk->cache.count++];
		memset(found, 0, sizeof *found);
		strncpy(found->name, name, sizeof found->name - 1);
		found->file = mem_zalloc(sizeof *found->file);
		buf_init(&found->file->cache);
		buf_init(&found->file->durable);
		found->file->refs = 1;
		note_step(disk);
	}
	found->file->refs++;
	disk->handles[handle] = found->file;
	return handle;
}

static ssize_t sim_pread(struct disk *base, int handle, void *data, size_t size, uint64_t offset)
{
	struct sim_disk *disk = of(base);
	struct sim_file *file = disk->handles[handle];

	if (disk->dead) {
		return -EIO;
	}
	if (offset >= file->cache.size) {
		return 0;
	}
	size = size < file->cache.size - offset ? size : (size_t)(file->cache.size - offset);
	memcpy(data, file->cache.data + offset, size);
	return (ssize_t)size;
}

static void put(struct buf *buf, const uint8_t *data, size_t size, uint64_t offset)
{
	if (offset + size > buf->size) {
		size_t more = (size_t)(offset + size) - buf->size;

		memset(buf_reserve(buf, more), 0, more);
		buf->size += more;
	}
	memcpy(buf->data + offset, data, size);
}

static ssize_t sim_pwritev(
	struct disk *base, int handle, const struct iovec *vectors, int count_, uint64_t offset)
{
	struct sim_disk *disk = of(base);
	struct sim_file *file = disk->handles[handle];
	struct buf all;
	size_t size;
	bool last;

	if (!count(disk, &last)) {
		return -EIO;
	}
	if (disk->fail_write) {
		int error = disk->fail_write;

		disk->fail_write = 0;
		return -error;
	}
	buf_init(&all);
	for (int i = 0; i < count_; i++) {
		buf_append(&all, vectors[i].iov_base, vectors[i].iov_len);
	}
	size = all.size;
	/* Killed inside the call: any part may have arrived. Else now and then a short write. */
	if (last) {
		size = (size_t)rng_below(&disk->rng, size + 1);
	} else if (size > 1 && rng_below(&disk->rng, 16) == 0) {
		size = 1 + (size_t)rng_below(&disk->rng, size - 1);
	}
	if (size > 0) {
		put(&file->cache, all.data, size, offset);
		file->writes =
			mem_realloc(file->writes, (file->write_count + 1) * sizeof *file->writes);
		file->writes[file->write_count++] =
			(struct sim_write){offset, size, mem_copy(all.data, size)};
	}
	buf_fini(&all);
	return last ? -EIO : (ssize_t)size;
}

static int sim_fdatasync(struct disk *base, int handle)
{
	struct sim_disk *disk = of(base);
	struct sim_file *file = disk->handles[handle];
	bool last;

	if (!count(disk, &last) || last) {
		return -EIO;
	}
	if (disk->fail_sync) {
		int error = disk->fail_sync;

		disk->fail_sync = 0;
		return -error;
	}
	buf_clear(&file->durable);
	buf_append(&file->durable, file->cache.data, file->cache.size);
	for (size_t i = 0; i < file->write_count; i++) {
		mem_free(file->writes[i].data);
	}
	file->write_count = 0;
	return 0;
}

static int sim_fallocate(struct disk *base, int handle, uint64_t size)
{
	struct sim_disk *disk = of(base);
	struct sim_file *file = disk->handles[handle];
	bool last;

	if (!count(disk, &last) || last) {
		return -EIO;
	}
	if (size > file->cache.size) {
		uint8_t zero = 0;

		put(&file->cache, &zero, 1, size - 1);
	}
	return 0;
}

static int64_t sim_size(struct disk *base, int handle)
{
	return of(base)->dead ? -EIO : (int64_t)of(base)->handles[handle]->cache.size;
}

static int sim_close(struct disk *base, int handle)
{
	struct sim_disk *disk = of(base);

	unref(disk->handles[handle]);
	disk->handles[handle] = NULL;
	return 0;
}

static int sim_rename(struct disk *base, const char *from, const char *to)
{
	struct sim_disk *disk = of(base);
	struct sim_name *source, *target;
	bool last;

	if (!count(disk, &last) || last) {
		return -EIO;
	}
	target = find(&disk->cache, to);
	if (!find(&disk->cache, from)) {
		return -ENOENT;
	}
	if (target) {
		forget(&disk->cache, target);
	}
	source = find(&disk->cache, from);
	memset(source->name, 0, sizeof source->name);
	strncpy(source->name, to, sizeof source->name - 1);
	note_step(disk);
	return 0;
}

static int sim_unlink(struct disk *base, const char *name)
{
	struct sim_disk *disk = of(base);
	struct sim_name *found = find(&disk->cache, name);
	bool last;

	if (!found) {
		return disk->dead ? -EIO : -ENOENT;
	}
	if (!count(disk, &last) || last) {
		return -EIO;
	}
	forget(&disk->cache, found);
	note_step(disk);
	return 0;
}

/* What came before is durable: only the last step stays. */
static int sim_fsync_dir(struct disk *base)
{
	struct sim_disk *disk = of(base);
	bool last;

	if (!count(disk, &last) || last) {
		return -EIO;
	}
	for (size_t i = 0; i < disk->step_count; i++) {
		free_directory(&disk->steps[i]);
	}
	disk->step_count = 0;
	note_step(disk);
	return 0;
}

static int sim_list(struct disk *base, int (*visit)(void *context, const char *name), void *context)
{
	struct sim_disk *disk = of(base);
	int result = disk->dead ? -EIO : 0;

	for (size_t i = 0; i < disk->cache.count && result == 0; i++) {
		result = visit(context, disk->cache.names[i].name);
	}
	return result;
}

static const struct disk_ops sim_ops = {sim_open, sim_pread, sim_pwritev, sim_fdatasync,
	sim_fallocate, sim_size, sim_close, sim_rename, sim_unlink, sim_fsync_dir, sim_list};

struct sim_disk *sim_disk_create(uint64_t seed)
{
	struct sim_disk *disk = mem_zalloc(sizeof *disk);

	disk->disk.ops = &sim_ops;
	rng_seed(&disk->rng, seed);
	note_step(disk);
	return disk;
}

void sim_disk_destroy(struct sim_disk *disk)
{
	for (int i = 0; i < HANDLES_MAX; i++) {
		if (disk->handles[i]) {
			unref(disk->handles[i]);
		}
	}
	for (size_t i = 0; i < disk->step_count; i++) {
		free_directory(&disk->steps[i]);
	}
	mem_free(disk->steps);
	free_directory(&disk->cache);
	mem_free(disk);
}

struct disk *sim_disk_handle(struct sim_disk *disk)
{
	return &disk->disk;
}

void sim_disk_kill_after(struct sim_disk *disk, uint64_t operations)
{
	disk->kill_at = operations == 0 ? 0 : disk->operations + operations;
}

bool sim_disk_dead(const struct sim_disk *disk)
{
	return disk->dead;
}

uint64_t sim_disk_operations(const struct sim_disk *disk)
{
	return disk->operations;
}

/* Of each unsynced write none, all, or single sectors arrived, in any order. */
static void cut_file(struct sim_disk *disk, struct sim_file *file)
{
	for (size_t i = 0; i < file->write_count; i++) {
		struct sim_write *write = &file->writes[i];
		uint64_t choice = rng_below(&disk->rng, 3);

		for (size_t at = 0; choice > 0 && at < write->size;) {
			size_t piece = SECTOR - (size_t)((write->offset + at) % SECTOR);

			piece = piece < write->size - at ? piece : write->size - at;
			if (choice == 1 || rng_below(&disk->rng, 2) == 0) {
				put(&file->durable, write->data + at, piece, write->offset + at);
			}
			at += piece;
		}
		mem_free(write->data);
	}
	file->write_count = 0;
	buf_clear(&file->cache);
	buf_append(&file->cache, file->durable.data, file->durable.size);
}

void sim_disk_restart(struct sim_disk *disk, bool power)
{
	disk->dead = false;
	disk->kill_at = 0;
	disk->fail_sync = disk->fail_write = 0;
	for (int i = 0; i < HANDLES_MAX; i++) {
		if (disk->handles[i]) {
			unref(disk->handles[i]);
			disk->handles[i] = NULL;
		}
	}
	if (!power) {
		return;
	}
	/* Changes of the directory are journalled: some first part of them happened. */
	free_directory(&disk->cache);
	copy_directory(&disk->cache, &disk->steps[rng_below(&disk->rng, disk->step_count)]);
	for (size_t i = 0; i < disk->cache.count; i++) {
		cut_file(disk, disk->cache.names[i].file);
	}
	for (size_t i = 0; i < disk->step_count; i++) {
		free_directory(&disk->steps[i]);
	}
	disk->step_count = 0;
	note_step(disk);
}

void sim_disk_fail_sync(struct sim_disk *disk, int error)
{
	disk->fail_sync = error;
}

void sim_disk_fail_write(struct sim_disk *disk, int error)
{
	disk->fail_write = error;
}

uint8_t *sim_disk_bytes(struct sim_disk *disk, const char *name, size_t *ret_size)
{
	struct sim_name *found = find(&disk->cache, name);

	if (!found) {
		return NULL;
	}
	*ret_size = found->file->cache.size;
	return found->file->cache.data;
}

unsigned sim_disk_files(const struct sim_disk *disk)
{
	return (unsigned)disk->cache.count;
}
