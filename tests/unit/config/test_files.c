/*
 * Which file is read, and which is refused (CF-01, CF-02).
 */
#include "help.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/pillion-test-files-XXXXXX";

static int make_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) == NULL || chdir(directory) != 0 ? -1 : 0;
}

static int remove_directory(void **state)
{
	(void)state;
	unlink("pillion.json");
	unlink("other.json");
	rmdir("sub");
	return chdir("/") != 0 || rmdir(directory) != 0 ? -1 : 0;
}

static void put(const char *name, const char *text, unsigned mode)
{
	FILE *file = fopen(name, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	assert_int_equal(chmod(name, mode), 0);
}

/* The name that a load finds, or the code of its first error as text. */
static const char *found_name(const struct config_sources *sources, char ret_name[128])
{
	struct config_report report;
	struct config *config = NULL;

	config_report_init(&report);
	if (config_load(sources, &config, &report) == 0) {
		snprintf(ret_name, 128, "%s", config->self.name);
	} else {
		snprintf(ret_name, 128, "PIL%u", report.problems[0].code);
	}
	config_destroy(config);
	config_report_fini(&report);
	return ret_name;
}

static void order_of_places(void **state)
{
	static const char *const environment[] = {"PILLION_CONFIG=other.json", NULL};
	static const char *const missing[] = {"PILLION_CONFIG=none.json", NULL};
	char name[128];

	(void)state;
	unlink("pillion.json");
	put("other.json", "{\"service\":{\"name\":\"other\"}}", 0644);
	assert_string_equal(
		found_name(&(struct config_sources){.fallback_name = "none"}, name), "none");
	put("pillion.json", "{\"service\":{\"name\":\"implicit\"}}", 0644);
	assert_string_equal(found_name(&(struct config_sources){0}, name), "implicit");
	assert_string_equal(
		found_name(&(struct config_sources){.environment = environment}, name), "other");
	assert_string_equal(
		found_name(&(struct config_sources){.environment = missing}, name), "PIL1001");
	assert_string_equal(found_name(&(struct config_sources){.file = "pillion.json",
					       .environment = environment},
				    name),
		"implicit");
	assert_string_equal(
		found_name(&(struct config_sources){.no_file = true, .fallback_name = "x"}, name),
		"x");
	assert_string_equal(
		found_name(&(struct config_sources){.file = "none.json"}, name), "PIL1001");
	assert_string_equal(found_name(&(struct config_sources){.file = "-"}, name), "PIL1002");
}

static void refused_files(void **state)
{
	char name[128];
	FILE *file;

	(void)state;
	put("other.json", "{\"service\":{\"name\":\"other\"}}", 0666);
	assert_string_equal(
		found_name(&(struct config_sources){.file = "other.json"}, name), "PIL1003");
	put("other.json", "{\"service\":{\"name\":\"other\"}}", 0640);
	assert_string_equal(
		found_name(&(struct config_sources){.file = "other.json"}, name), "other");
	assert_int_equal(mkdir("sub", 0700), 0);
	assert_string_equal(found_name(&(struct config_sources){.file = "sub"}, name), "PIL1003");
	assert_string_equal(
		found_name(&(struct config_sources){.file = "/dev/null"}, name), "PIL1003");
	file = fopen("other.json", "w");
	assert_non_null(file);
	for (int i = 0; i < 4 * 1024 * 1024 + 1; i++) {
		fputc(' ', file);
	}
	fclose(file);
	assert_string_equal(
		found_name(&(struct config_sources){.file = "other.json"}, name), "PIL1004");
	if (geteuid() == 0) {
		put("pillion.json", "{\"service\":{\"name\":\"a\"}}", 0644);
		assert_int_equal(chown("pillion.json", 12345, 12345), 0);
		assert_string_equal(found_name(&(struct config_sources){0}, name), "PIL1003");
		assert_string_equal(
			found_name(&(struct config_sources){.file = "pillion.json"}, name), "a");
	}
}

/* A path in a file is relative to that file. */
static void relative_paths(void **state)
{
	char path[200];
	struct config_report report;
	struct config *config = NULL;

	(void)state;
	put("other.json",
		"{\"service\":{\"name\":\"a\"},\"process\":{\"data_dir\":\"d\"},"
		"\"broker\":{\"spool\":{\"path\":\"/abs\"}}}",
		0644);
	snprintf(path, sizeof(path), "%s/other.json", directory);
	config_report_init(&report);
	assert_int_equal(config_load(&(struct config_sources){.file = path}, &config, &report), 0);
	assert_string_equal(config->file, path);
	snprintf(path, sizeof(path), "%s/d", directory);
	assert_string_equal(config->process.data_dir, path);
	assert_string_equal(config->broker.spool.path, "/abs");
	config_destroy(config);
	config_report_fini(&report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_of_places),
		cmocka_unit_test(refused_files),
		cmocka_unit_test(relative_paths),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
