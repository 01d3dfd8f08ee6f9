/*
 * Substitution and taint (CF-08, CF-09).
 */
#include "help.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const environment[] = {"ZONE=b", "EMPTY=", "PORT_OF_APP=9000", "FLAG=true",
	"DB_PASSWORD=hunter2", "NESTED=${ZONE}", "JSON={\"a\":1}", "BINARY=\xff", "SIX=6",
	"OCT=010", NULL};

/* The zone of a configuration whose zone is that text; NULL: refused with *ret_code. */
static const char *zone_of(const char *text, unsigned *ret_code, char ret_zone[128])
{
	char file[300];
	struct config_report report;
	struct config *config = NULL;
	const char *zone = NULL;

	snprintf(file, sizeof(file), "{\"service\":{\"name\":\"a\",\"zone\":\"%s\"}}", text);
	if (help_load(&(struct help_load){file, environment, NULL, 0}, &config, &report) == 0) {
		snprintf(ret_zone, 128, "%s", config->self.zone);
		zone = ret_zone;
	} else {
		*ret_code = report.problems[0].code;
	}
	config_destroy(config);
	config_report_fini(&report);
	return zone;
}

static void texts(void **state)
{
	static const struct {
		const char *text;
		const char *expected; /* NULL: refused */
		unsigned code;
	} rows[] = {{"${ZONE}", "b", 0}, {"x-${ZONE}-y-${ZONE}", "x-b-y-b", 0},
		{"${NOBODY:-d}", "d", 0}, {"${EMPTY:-d}", "d", 0}, {"${ZONE:-d}", "b", 0},
		{"${ZONE:?m}", "b", 0}, {"$${ZONE}", "${ZONE}", 0}, {"$ZONE", "$ZONE", 0},
		{"$", "$", 0}, {"$$", "$$", 0}, {"${NESTED}", "${ZONE}", 0},
		{"${JSON}", "{\"a\":1}", 0}, {"${NOBODY:-${ZONE}", "${ZONE", 0},
		{"${NOBODY}", NULL, 1501}, {"${NOBODY:?why}", NULL, 1501},
		{"${EMPTY:?why}", NULL, 1501}, {"${zone}", NULL, 1502}, {"${}", NULL, 1502},
		{"${ZONE", NULL, 1502}, {"${ZONE:x}", NULL, 1502}, {"${1A}", NULL, 1502},
		{"${ZO NE}", NULL, 1502}, {"${trace_id}", NULL, 1502}, {"${BINARY}", NULL, 1012},
		{"${file:x}", NULL, 1502}, {"${file:/nonexistent}", NULL, 1005},
		{"${EMPTY}", NULL, 1104}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char zone[128];
		unsigned code = 0;
		const char *found = zone_of(rows[i].text, &code, zone);

		if ((found == NULL) != (rows[i].expected == NULL) || code != rows[i].code) {
			print_error("%s: %s PIL%u\n", rows[i].text, found ? found : "-", code);
		}
		assert_true((found == NULL) == (rows[i].expected == NULL));
		assert_int_equal(code, rows[i].code);
		if (found != NULL) {
			assert_string_equal(found, rows[i].expected);
		}
	}
}

/* A string that held a substitution may stand for an int or bool, strictly; another one may not. */
static void numbers_and_bools(void **state)
{
	static const struct {
		const char *text;
		unsigned code;
	} rows[] = {
		{"{\"service\":{\"name\":\"a\",\"weight\":\"${SIX}\"}}", 0},
		{"{\"service\":{\"name\":\"a\",\"weight\":\"1${SIX}\"}}", 0},
		{"{\"service\":{\"name\":\"a\",\"weight\":\"${OCT}\"}}", 1104},
		{"{\"service\":{\"name\":\"a\",\"weight\":\"${ZONE}\"}}", 1104},
		{"{\"service\":{\"name\":\"a\",\"weight\":\"6\"}}", 1104},
		{"{\"service\":{\"name\":\"a\"},\"process\":{\"core_dumps\":\"${FLAG}\"}}", 0},
		{"{\"service\":{\"name\":\"a\"},\"process\":{\"core_dumps\":\"${SIX}\"}}", 1104},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct config_report report;
		struct config *config = NULL;
		int result = help_load(
			&(struct help_load){rows[i].text, environment, NULL, 0}, &config, &report);

		assert_int_equal(result == 0 ? 0 : report.problems[0].code, rows[i].code);
		if (i == 1) {
			assert_int_equal(config->self.weight, 16);
		}
		config_destroy(config);
		config_report_fini(&report);
	}
}

static void assert_no_secret(const struct buf *text)
{
	const char *found = NULL;

	for (size_t i = 0; i + 7 <= text->size; i++) {
		if (memcmp(text->data + i, "hunter2", 7) == 0) {
			found = (const char *)text->data + i;
		}
	}
	assert_null(found);
}

/* No output shows a secret: errors, both dumps, diff. */
static void secrets_are_redacted(void **state)
{
	static const char bad[] =
		"{\"service\":{\"name\":\"a\",\"weight\":\"${DB_PASSWORD}\","
		"\"zone\":\"${DB_PASSWORD} \"},\"log\":{\"level\":\"${DB_PASSWORD}\"}}";
	static const char good[] = "{\"service\":{\"name\":\"a\",\"version\":\"v-${DB_PASSWORD}\","
				   "\"metadata\":{\"k\":\"${DB_PASSWORD}\"}}}";
	static const char *const other[] = {"DB_PASSWORD=else", NULL};
	struct config_report report;
	struct config *config = NULL;
	struct config *second = NULL;
	struct config_changes changes;
	struct buf text;

	(void)state;
	buf_init(&text);
	assert_int_not_equal(
		help_load(&(struct help_load){bad, environment, NULL, 0}, &config, &report), 0);
	assert_int_equal(report.errors, 3);
	config_report_print(&report, CONFIG_REPORT_TEXT, &text);
	config_report_print(&report, CONFIG_REPORT_JSONL, &text);
	assert_no_secret(&text);
	assert_non_null(strstr(buf_string(&text), "found \"<redacted>\""));
	config_report_fini(&report);

	assert_int_equal(
		help_load(&(struct help_load){good, environment, NULL, 0}, &config, &report), 0);
	config_report_fini(&report);
	assert_string_equal(config->self.version, "v-hunter2");
	buf_clear(&text);
	assert_true(config_show(config, &(struct config_show_options){0}, &text));
	assert_true(config_show(
		config, &(struct config_show_options){.effective = true, .origin = true}, &text));
	assert_no_secret(&text);
	assert_non_null(strstr(buf_string(&text), "<redacted>"));

	assert_int_equal(help_load(&(struct help_load){good, other, NULL, 0}, &second, &report), 0);
	config_report_fini(&report);
	config_diff(config, second, &changes);
	buf_clear(&text);
	config_changes_print(&changes, false, &text);
	config_changes_print(&changes, true, &text);
	assert_no_secret(&text);
	assert_true(changes.count >= 1);
	config_changes_fini(&changes);
	config_destroy(config);
	config_destroy(second);
	buf_fini(&text);
}

static void secret_files(void **state)
{
	static const struct {
		unsigned mode;
		unsigned code;
	} rows[] = {{0600, 0}, {0440, 0}, {0644, 1410}, {0602, 1410}};
	char path[] = "/tmp/pillion-test-secret-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "zone7\n", 6), 6);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[200];
		char zone[128];
		unsigned code = 0;
		const char *found;

		assert_int_equal(fchmod(fd, rows[i].mode), 0);
		snprintf(text, sizeof(text), "${file:%s}", path);
		found = zone_of(text, &code, zone);
		assert_int_equal(code, rows[i].code);
		assert_true((found != NULL) == (rows[i].code == 0));
		if (found != NULL) {
			assert_string_equal(found, "zone7");
		}
	}
	close(fd);
	unlink(path);
}

/* What the shell put into a flag is not expanded again. */
static void flags_are_literal(void **state)
{
	static const struct config_assignment zone = {
		"/service/zone", "${ZONE}", false, "flag --zone"};
	struct config_report report;
	struct config *config = NULL;

	(void)state;
	assert_int_equal(help_load(&(struct help_load){"{\"service\":{\"name\":\"a\"}}",
					   environment, &zone, 1},
				 &config, &report),
		0);
	assert_string_equal(config->self.zone, "${ZONE}");
	config_destroy(config);
	config_report_fini(&report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts),
		cmocka_unit_test(numbers_and_bools),
		cmocka_unit_test(secrets_are_redacted),
		cmocka_unit_test(secret_files),
		cmocka_unit_test(flags_are_literal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
