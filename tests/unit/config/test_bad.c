/*
 * A corpus of bad files, each with all its expected errors: code, line and column (OT-03). The list
 * stands in bad/expected.txt, in the order in which the report is sorted.
 */
#include "help.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

static char *read_text(const char *name, size_t *ret_size)
{
	FILE *file = fopen(name, "rb");
	char *text = malloc(1 << 20);

	assert_non_null(file);
	*ret_size = fread(text, 1, (1 << 20) - 1, file);
	text[*ret_size] = '\0';
	fclose(file);
	return text;
}

/* One line per error of the file, as in expected.txt. */
static void append_found(const char *name, struct buf *lines)
{
	size_t size = 0;
	char *text = read_text(name, &size);
	struct config_sources sources = {.file = name,
		.text = text,
		.text_size = size,
		.plugins = help_plugins,
		.plugin_count = 1};
	struct config_report report;
	struct config *config = NULL;
	struct buf printed;

	config_report_init(&report);
	assert_int_not_equal(config_load(&sources, &config, &report), 0);
	assert_null(config);
	for (size_t i = 0; i < report.count; i++) {
		const struct config_problem *problem = &report.problems[i];

		if (problem->severity == CONFIG_ERROR) {
			buf_appendf(lines, "%s:%d:%d PIL%u\n", name, problem->place.line,
				problem->place.column, problem->code);
		}
	}
	/* Both forms can be printed of everything. */
	buf_init(&printed);
	config_report_print(&report, CONFIG_REPORT_TEXT, &printed);
	config_report_print(&report, CONFIG_REPORT_JSONL, &printed);
	assert_true(printed.size > 0);
	buf_fini(&printed);
	config_report_fini(&report);
	free(text);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void corpus(void **state)
{
	char *names[256];
	size_t count = 0;
	size_t size = 0;
	struct buf lines;
	struct dirent *entry;
	DIR *directory;

	(void)state;
	assert_int_equal(chdir(CONFIG_TEST_DATA "/bad"), 0);
	directory = opendir(".");
	assert_non_null(directory);
	while ((entry = readdir(directory)) != NULL) {
		const char *dot = strrchr(entry->d_name, '.');

		if (dot != NULL && strcmp(dot, ".json") == 0) {
			assert_true(count < ARRAY_SIZE(names));
			names[count++] = strdup(entry->d_name);
		}
	}
	closedir(directory);
	assert_true(count >= 60);
	qsort(names, count, sizeof(names[0]), by_name);
	buf_init(&lines);
	for (size_t i = 0; i < count; i++) {
		append_found(names[i], &lines);
		free(names[i]);
	}

	char *expected = read_text("expected.txt", &size);
	const char *found = buf_string(&lines);

	/* The first line that differs says more than the whole. */
	for (const char *a = expected, *b = found; *a != '\0' || *b != '\0';) {
		size_t line_a = strcspn(a, "\n");
		size_t line_b = strcspn(b, "\n");

		if (line_a != line_b || memcmp(a, b, line_a) != 0) {
			print_error(
				"expected %.*s\nfound    %.*s\n", (int)line_a, a, (int)line_b, b);
			fail();
		}
		a += line_a + (a[line_a] == '\n' ? 1 : 0);
		b += line_b + (b[line_b] == '\n' ? 1 : 0);
	}
	free(expected);
	buf_fini(&lines);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(corpus)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
