/*
 * The corpus of fuzz_config and the bad files once more, each also cut at some places and with
 * bytes changed from a fixed seed.
 */
#include "help.h"

#include <dirent.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILE_MAX 65536

static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed >> 16;
}

/* The bytes stand alone on the heap, so that reading past them is seen. */
static void run(const uint8_t *data, size_t size)
{
	uint8_t *exact = malloc(size > 0 ? size : 1);

	assert_non_null(exact);
	memcpy(exact, data, size);
	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
}

static void mutate(const uint8_t *data, size_t size, uint64_t *seed)
{
	static const char pieces[] = "{}[]\",:/*#$'0-1eE.\\\n\t tfnu\xff\xc3\x00";
	uint8_t *copy = malloc(size + 1);

	assert_non_null(copy);
	for (int round = 0; round < 20 && size > 0; round++) {
		memcpy(copy, data, size);
		for (uint64_t edits = next(seed) % 4 + 1; edits > 0; edits--) {
			copy[next(seed) % size] =
				(uint8_t)pieces[next(seed) % (sizeof(pieces) - 1)];
		}
		run(copy, size);
		run(data, next(seed) % size);
	}
	free(copy);
}

static size_t replay(const char *path, uint64_t *seed)
{
	static uint8_t data[FILE_MAX];
	DIR *directory = opendir(path);
	struct dirent *entry;
	size_t count = 0;

	assert_non_null(directory);
	while ((entry = readdir(directory)) != NULL) {
		char name[1024];
		FILE *file;

		if (entry->d_name[0] == '.') {
			continue;
		}
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		file = fopen(name, "rb");
		assert_non_null(file);

		size_t size = fread(data, 1, sizeof(data), file);

		fclose(file);
		run(data, size);
		mutate(data, size, seed);
		count++;
	}
	closedir(directory);
	return count;
}

static void corpora(void **state)
{
	uint64_t seed = 0x1234567;

	(void)state;
	assert_true(replay(CONFIG_FUZZ_CORPUS, &seed) >= 5);
	assert_true(replay(CONFIG_TEST_DATA "/bad", &seed) >= 60);
	run((const uint8_t *)"", 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(corpora)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
