/*
 * The form of errors (CF-22): golden text and JSON lines, order, and bytes that would drive a
 * terminal.
 */
#include "help.h"

#include <jansson.h>

static void print(const char *text, enum config_report_format format, struct buf *ret_text)
{
	struct config_report report;
	struct config *config = NULL;

	assert_int_not_equal(help_load(&(struct help_load){.text = text}, &config, &report), 0);
	buf_clear(ret_text);
	config_report_print(&report, format, ret_text);
	config_report_fini(&report);
}

static void golden(void **state)
{
	static const char text[] =
		"{\n  \"service\": { \"name\": \"a\" },\n"
		"  \"services\": {\n"
		"    \"pay\": { \"retrys\": { \"max\": 2 }, \"timeout\": \"1.5s\" },\n"
		"  },\n}\n";
	struct buf printed;

	(void)state;
	buf_init(&printed);
	print(text, CONFIG_REPORT_TEXT, &printed);
	assert_string_equal(buf_string(&printed),
		"pillion.json:4:14: error PIL1101: /services/pay/retrys: unknown key\n"
		"    4 |     \"pay\": { \"retrys\": { \"max\": 2 }, \"timeout\": \"1.5s\" },\n"
		"      |              ^^^^^^^^\n"
		"  fix: did you mean \"retry\"? Keys of a service: timeout, response_timeout, "
		"connect_timeout, queue_timeout, selector, draws, retry, limits, instances, "
		"translation, ...\n"
		"pillion.json:4:49: error PIL1104: /services/pay/timeout: expected a duration such "
		"as \"250ms\", or \"off\", found \"1.5s\"\n"
		"    4 |     \"pay\": { \"retrys\": { \"max\": 2 }, \"timeout\": \"1.5s\" },\n"
		"      |                                                 ^^^^^^\n"
		"  fix: write \"1500ms\"\n"
		"2 errors, 0 warnings in pillion.json.\n");
	buf_fini(&printed);
}

static void related(void **state)
{
	struct buf printed;

	(void)state;
	buf_init(&printed);
	print("{\n\"a\":1,\n \"a\":2}", CONFIG_REPORT_TEXT, &printed);
	assert_string_equal(buf_string(&printed),
		"pillion.json:3:2: error PIL1014: /a: this key stands here a second time\n"
		"    3 |  \"a\":2}\n"
		"      |  ^^^\n"
		"  fix: remove one of the two\n"
		"  see: pillion.json:2:1: it stands here first\n"
		"1 error, 0 warnings in pillion.json.\n");
	buf_fini(&printed);
}

/* Each line is an object of its own with all members. */
static void json_lines(void **state)
{
	static const char *const members[] = {"file", "line", "column", "end_column", "pointer",
		"code", "severity", "expected", "found", "suggestion", "fix", "related"};
	struct buf printed;
	size_t lines = 0;

	(void)state;
	buf_init(&printed);
	print("{\"service\":{\"name\":\"A\\u0007\\\"\",\"x\":1,\"weight\":\"1\"}}",
		CONFIG_REPORT_JSONL, &printed);
	for (const char *at = buf_string(&printed); *at != '\0'; lines++) {
		size_t size = strcspn(at, "\n");
		json_t *line = json_loadb(at, size, 0, NULL);

		assert_non_null(line);
		for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
			assert_non_null(json_object_get(line, members[i]));
		}
		json_decref(line);
		at += size + 1;
	}
	assert_int_equal(lines, 3);
	buf_fini(&printed);
}

static void no_control_bytes(void **state)
{
	struct buf printed;

	(void)state;
	buf_init(&printed);
	print("{\"service\":{\"name\":\"A\\u001b[31m\", \"\x1b[1m\":1}}", CONFIG_REPORT_TEXT,
		&printed);
	for (size_t i = 0; i < printed.size; i++) {
		assert_true(printed.data[i] >= 0x20 || printed.data[i] == '\n');
	}
	print("{\"service\":{\"name\":\"A\\u001b[31m\", \"\\u001b[1m\":1}}", CONFIG_REPORT_TEXT,
		&printed);
	for (size_t i = 0; i < printed.size; i++) {
		assert_true(printed.data[i] >= 0x20 || printed.data[i] == '\n');
	}
	buf_fini(&printed);
}

static void empty_prints_nothing(void **state)
{
	struct config_report report;
	struct buf printed;

	(void)state;
	config_report_init(&report);
	buf_init(&printed);
	config_report_print(&report, CONFIG_REPORT_TEXT, &printed);
	config_report_print(&report, CONFIG_REPORT_JSONL, &printed);
	assert_int_equal(printed.size, 0);
	buf_fini(&printed);
	config_report_fini(&report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden),
		cmocka_unit_test(related),
		cmocka_unit_test(json_lines),
		cmocka_unit_test(no_control_bytes),
		cmocka_unit_test(empty_prints_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
