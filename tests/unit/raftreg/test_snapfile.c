/* A snapshot as one file (registry.md RS-06). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/siphash.h"
#include "raftreg/snapfile.h"
#include "sim_disk.h"

static const uint8_t uuid[16] = {7, 1};

/* RS-06: written piece by piece it is the same file. */
static void test_snapfile_save(void **state)
{
	static const size_t sizes[] = {
		0, 1, SNAPFILE_CHUNK - 1, SNAPFILE_CHUNK, SNAPFILE_CHUNK + 1, 3 * SNAPFILE_CHUNK};
	struct snapfile_meta meta = {.epoch = 9, .snapshot = {.index = 5, .term = 2}};
	struct buf content;

	(void)state;
	memcpy(meta.uuid, uuid, 16);
	meta.snapshot.conf.voters = (struct raft_ids){.count = 2, .ids = {3, 4}};
	buf_init(&content);
	for (size_t i = 0; i < 3 * SNAPFILE_CHUNK; i++) {
		buf_append_byte(&content, (uint8_t)(i * 31 + i / 251));
	}
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct sim_disk *disk = sim_disk_create(1);
		const struct slice part = slice_make(content.data, sizes[i]);
		const uint8_t *bytes;
		struct buf file;
		uint64_t saved;
		size_t size;

		buf_init(&file);
		snapfile_build(&meta, part, &file);
		assert_int_equal(snapfile_save(sim_disk_base(disk), "f", &meta, part, &saved), 0);
		assert_int_equal(sim_disk_base(disk)->ops->fsync_dir(sim_disk_base(disk)), 0);
		sim_disk_crash(disk, false); /* but for its name it was durable */
		bytes = sim_disk_bytes(disk, "f", &size);
		assert_true(slice_equal(slice_make(bytes, size), buf_slice(&file)));
		assert_int_equal(saved, size);
		buf_fini(&file);
		sim_disk_destroy(disk);
	}
	buf_fini(&content);
}

static void test_snapfile(void **state)
{
	struct snapfile_meta meta = {.epoch = 9, .snapshot = {.index = 5, .term = 2}};
	struct snapfile_meta read;
	struct buf content, file, out;
	uint64_t index, term;

	(void)state;
	buf_init(&content);
	buf_init(&file);
	buf_init(&out);
	memcpy(meta.uuid, uuid, 16);
	meta.snapshot.conf.voters = (struct raft_ids){.count = 2, .ids = {3, 4}};
	for (int i = 0; i < 300000; i++) {
		buf_append_byte(&content, (uint8_t)(i * 31));
	}
	snapfile_build(&meta, buf_slice(&content), &file);
	assert_int_equal(snapfile_parse(buf_slice(&file), &read, &out), 0);
	assert_true(slice_equal(buf_slice(&out), buf_slice(&content)));
	assert_int_equal(read.snapshot.index, 5);
	assert_true(read.state_hash == siphash24(uuid, content.data, content.size));
	assert_true(member_conf_equal(&read.snapshot.conf, &meta.snapshot.conf));
	for (size_t cut = 0; cut < file.size; cut += 1009) {
		buf_clear(&out);
		assert_int_equal(snapfile_parse(slice_make(file.data, cut), &read, &out), -EBADMSG);
		file.data[cut] ^= 0x10;
		assert_true(snapfile_parse(buf_slice(&file), &read, &out) < 0);
		file.data[cut] ^= 0x10;
	}
	assert_true(snapfile_parse_name("00000000000000000005-2.snap", &index, &term));
	assert_int_equal(index, 5);
	assert_int_equal(term, 2);
	assert_false(snapfile_parse_name("5-2.snap", &index, &term));
	buf_fini(&content);
	buf_fini(&file);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_snapfile),
		cmocka_unit_test(test_snapfile_save),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
