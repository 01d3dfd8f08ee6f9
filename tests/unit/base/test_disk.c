#include "base/disk_ops.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "test_main.h"

static char place[64];

static int make_place(void **state)
{
	(void)state;
	strcpy(place, "/tmp/test_disk.XXXXXX");
	return mkdtemp(place) == NULL;
}

static int remove_place(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", place);
	return system(command);
}

static struct disk *open_place(void)
{
	struct disk *disk = NULL;

	assert_int_equal(disk_open_directory(place, &disk), 0);
	return disk;
}

static void test_directory_is_made_private(void **state)
{
	char path[128];
	struct stat facts;
	struct disk *disk;

	(void)state;
	snprintf(path, sizeof(path), "%s/a/b/c", place);
	assert_int_equal(disk_open_directory(path, &disk), 0);
	assert_int_equal(stat(path, &facts), 0);
	assert_int_equal(facts.st_mode & 0777, 0700);
	disk_close_directory(disk);
	disk_close_directory(NULL);
	assert_int_equal(disk_open_directory("", &disk), -ENOENT);
	assert_int_equal(disk_open_directory("/dev/null/x", &disk), -ENOTDIR);
	assert_int_equal(disk_open_directory("/dev/null", &disk), -ENOTDIR);
}

static void test_files(void **state)
{
	struct disk *disk = open_place();
	char bytes[5];
	struct stat facts;
	char path[128];
	int file = disk->ops->open(disk, "log", DISK_WRITE | DISK_CREATE | DISK_DSYNC);
	int dangling;

	(void)state;
	assert_true(file >= 0);
	assert_true((fcntl(file, F_GETFL) & O_DSYNC) != 0);
	snprintf(path, sizeof(path), "%s/log", place);
	assert_int_equal(stat(path, &facts), 0);
	assert_int_equal(facts.st_mode & 0777, 0600);
	assert_int_equal(disk->ops->open(disk, "log", DISK_WRITE | DISK_CREATE), -EEXIST);
	assert_int_equal(disk->ops->open(disk, "none", DISK_READ), -ENOENT);
	assert_int_equal(disk->ops->fallocate(disk, file, 8192), 0);
	assert_int_equal(disk->ops->size(disk, file), 8192);
	assert_int_equal(disk_write_all(disk, file, "hello", 5, 100), 0);
	assert_int_equal(disk->ops->fdatasync(disk, file), 0);
	assert_int_equal(disk_read_all(disk, file, bytes, 5, 100), 0);
	assert_memory_equal(bytes, "hello", 5);
	assert_int_equal(disk_read_all(disk, file, bytes, 5, 8190), -ENODATA);
	assert_int_equal(disk->ops->close(disk, file), 0);
	assert_int_equal(disk->ops->rename(disk, "log", "old"), 0);
	assert_int_equal(disk->ops->open(disk, "log", DISK_READ), -ENOENT);
	assert_int_equal(disk->ops->fsync_dir(disk), 0);
	/* A link that somebody put there is not followed. */
	snprintf(path, sizeof(path), "%s/link", place);
	assert_int_equal(symlink("old", path), 0);
	dangling = disk->ops->open(disk, "link", DISK_READ);
	assert_int_equal(dangling, -ELOOP);
	assert_int_equal(disk->ops->unlink(disk, "link"), 0);
	assert_int_equal(disk->ops->unlink(disk, "old"), 0);
	assert_int_equal(disk->ops->unlink(disk, "old"), -ENOENT);
	disk_close_directory(disk);
}

static void test_names_stay_inside(void **state)
{
	static const char *const bad[] = {"", "/etc/passwd", "../x", "a/../../x"};
	struct disk *disk = open_place();

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(disk->ops->open(disk, bad[i], DISK_READ), -EINVAL);
		assert_int_equal(disk->ops->unlink(disk, bad[i]), -EINVAL);
		assert_int_equal(disk->ops->rename(disk, bad[i], "x"), -EINVAL);
		assert_int_equal(disk->ops->rename(disk, "x", bad[i]), -EINVAL);
		assert_int_equal(disk_replace_file(disk, bad[i], "x", 1), -EINVAL);
	}
	disk_close_directory(disk);
}

static int count_names(void *context, const char *name)
{
	int *count = context;

	assert_true(name[0] != '.');
	return ++*count == 3 ? 77 : 0;
}

static void test_replace_load_and_list(void **state)
{
	struct disk *disk = open_place();
	uint8_t *data = NULL;
	size_t size = 0;
	int count = 0;
	char path[128];

	(void)state;
	/* A leftover of a crash is no obstacle. */
	snprintf(path, sizeof(path), "%s/view.tmp", place);
	fclose(fopen(path, "w"));
	assert_int_equal(disk_replace_file(disk, "view", "one", 3), 0);
	assert_int_equal(disk_replace_file(disk, "view", "second", 6), 0);
	assert_int_equal(disk_load_file(disk, "view", 6, &data, &size), 0);
	assert_int_equal(size, 6);
	assert_memory_equal(data, "second", 6);
	mem_free(data);
	data = NULL;
	assert_int_equal(disk_load_file(disk, "view", 5, &data, &size), -EFBIG);
	assert_int_equal(disk_load_file(disk, "none", 5, &data, &size), -ENOENT);
	assert_null(data);
	assert_int_equal(disk->ops->list(disk, count_names, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(disk_replace_file(disk, "b", "", 0), 0);
	assert_int_equal(disk_replace_file(disk, "c", "", 0), 0);
	assert_int_equal(disk_replace_file(disk, "d", "", 0), 0);
	count = 0;
	assert_int_equal(disk->ops->list(disk, count_names, &count), 77);
	assert_int_equal(disk_load_file(disk, "b", 5, &data, &size), 0);
	assert_int_equal(size, 0);
	mem_free(data);
	disk_close_directory(disk);
}

/* A disk that moves three bytes a call, is interrupted in between, and fails when told to. */
struct poor_disk {
	struct disk disk;
	uint8_t bytes[256];
	size_t size;
	int calls;
	int fail_at; /* call that fails; 0: none */
	int error;
	bool unlinked;
};

static struct poor_disk *poor(struct disk *disk)
{
	return (struct poor_disk *)(void *)disk;
}

static int poor_step(struct disk *disk)
{
	struct poor_disk *self = poor(disk);

	self->calls++;
	if (self->calls == self->fail_at) {
		return -self->error;
	}
	return self->calls % 2 == 0 ? -EINTR : 0;
}

static ssize_t poor_pread(struct disk *disk, int file, void *data, size_t size, uint64_t offset)
{
	struct poor_disk *self = poor(disk);
	int status = poor_step(disk);
	size_t left = offset < self->size ? self->size - (size_t)offset : 0;

	(void)file;
	if (status != 0) {
		return status;
	}
	size = size < 3 ? size : 3;
	size = size < left ? size : left;
	memcpy(data, self->bytes + offset, size);
	return (ssize_t)size;
}

static ssize_t poor_pwritev(
	struct disk *disk, int file, const struct iovec *vectors, int count, uint64_t offset)
{
	struct poor_disk *self = poor(disk);
	int status = poor_step(disk);
	size_t moved = 0;

	(void)file;
	if (status != 0) {
		return status;
	}
	for (int i = 0; i < count; i++) {
		const uint8_t *bytes = vectors[i].iov_base;

		for (size_t j = 0; j < vectors[i].iov_len && moved < 3; j++) {
			self->bytes[offset + moved++] = bytes[j];
		}
	}
	if (offset + moved > self->size) {
		self->size = (size_t)offset + moved;
	}
	return (ssize_t)moved;
}

static int poor_open(struct disk *disk, const char *name, int flags)
{
	(void)disk;
	(void)name;
	(void)flags;
	return 7;
}

static int poor_file(struct disk *disk, int file)
{
	(void)disk;
	assert_int_equal(file, 7);
	return 0;
}

static int poor_unlink(struct disk *disk, const char *name)
{
	(void)name;
	poor(disk)->unlinked = true;
	return -ENOENT;
}

static int poor_rename(struct disk *disk, const char *from, const char *to)
{
	(void)from;
	(void)to;
	poor(disk)->unlinked = false;
	return 0;
}

static int poor_sync(struct disk *disk)
{
	(void)disk;
	return 0;
}

static const struct disk_ops poor_ops = {.open = poor_open,
	.pread = poor_pread,
	.pwritev = poor_pwritev,
	.fdatasync = poor_file,
	.close = poor_file,
	.unlink = poor_unlink,
	.rename = poor_rename,
	.fsync_dir = poor_sync};

static void test_short_transfers_are_continued(void **state)
{
	struct poor_disk self = {.disk = {&poor_ops}};
	char parts[3][8] = {"abcdefg", "", "hijk"};
	struct iovec vectors[] = {{parts[0], 7}, {parts[1], 0}, {parts[2], 4}};
	char bytes[16];

	(void)state;
	assert_int_equal(disk_writev_all(&self.disk, 7, vectors, 3, 10), 0);
	assert_int_equal(self.size, 21);
	assert_memory_equal(self.bytes + 10, "abcdefghijk", 11);
	assert_int_equal(disk_read_all(&self.disk, 7, bytes, 11, 10), 0);
	assert_memory_equal(bytes, "abcdefghijk", 11);
	assert_int_equal(disk_read_all(&self.disk, 7, bytes, 12, 10), -ENODATA);
}

static void test_every_failure_is_reported(void **state)
{
	(void)state;
	for (int call = 1; call <= 4; call++) {
		struct poor_disk self = {.disk = {&poor_ops}, .fail_at = call, .error = ENOSPC};

		assert_int_equal(disk_write_all(&self.disk, 7, "abcdefgh", 8, 0), -ENOSPC);
		self.calls = 0;
		assert_int_equal(disk_replace_file(&self.disk, "x", "abcdefgh", 8), -ENOSPC);
		assert_true(self.unlinked);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_directory_is_made_private, make_place, remove_place),
		cmocka_unit_test_setup_teardown(test_files, make_place, remove_place),
		cmocka_unit_test_setup_teardown(test_names_stay_inside, make_place, remove_place),
		cmocka_unit_test_setup_teardown(
			test_replace_load_and_list, make_place, remove_place),
		cmocka_unit_test(test_short_transfers_are_continued),
		cmocka_unit_test(test_every_failure_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
