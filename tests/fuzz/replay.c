/*
 * Runs a fuzz target over every file of a folder, so that each corpus is part of the unit suite.
 * Usage: replay DIRECTORY
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REPLAY_FILE_MAX (1024 * 1024)

static int replay_file(const char *directory, const char *name)
{
	char path[4096];
	uint8_t *data = malloc(REPLAY_FILE_MAX);
	uint8_t *exact;
	FILE *file;
	size_t size;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "rb");
	if (file == NULL || data == NULL) {
		fprintf(stderr, "cannot read %s\n", path);
		free(data);
		return 1;
	}
	size = fread(data, 1, REPLAY_FILE_MAX, file);
	fclose(file);
	/* An allocation of the very size, so that a read past the end is seen. */
	exact = malloc(size > 0 ? size : 1);
	for (size_t i = 0; i < size; i++) {
		exact[i] = data[i];
	}
	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
	free(data);
	return 0;
}

int main(int argc, char **argv)
{
	DIR *directory = argc == 2 ? opendir(argv[1]) : NULL;
	struct dirent *entry;
	unsigned count = 0;
	int failed = 0;

	if (directory == NULL) {
		fprintf(stderr, "usage: replay DIRECTORY\n");
		return 1;
	}
	while ((entry = readdir(directory)) != NULL) {
		if (entry->d_name[0] != '.') {
			failed |= replay_file(argv[1], entry->d_name);
			count++;
		}
	}
	closedir(directory);
	printf("%u inputs\n", count);
	return failed || count == 0;
}
