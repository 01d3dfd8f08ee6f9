/*
 * The examples of the documentation load without a warning, and say what they are meant to say.
 */
#include "help.h"

static struct config *example(const char *name)
{
	char path[1024];
	struct config_sources sources = {.file = path};
	struct config_report report;
	struct config *config = NULL;
	struct buf printed;

	snprintf(path, sizeof(path), "%s/%s", CONFIG_EXAMPLES, name);
	config_report_init(&report);
	(void)!config_load(&sources, &config, &report);
	if (report.errors + report.warnings > 0) {
		buf_init(&printed);
		config_report_print(&report, CONFIG_REPORT_TEXT, &printed);
		print_error("%s", buf_string(&printed));
		buf_fini(&printed);
	}
	assert_int_equal(report.errors + report.warnings, 0);
	config_report_fini(&report);
	assert_non_null(config);
	return config;
}

static void full(void **state)
{
	struct config *config = example("full.json");

	(void)state;
	assert_string_equal(config->self.zone, "a");
	assert_int_equal(config->listeners.count, 3);
	assert_int_equal(config->services.count, 4);
	assert_int_equal(config_service(config, SLICE("pay"))->retry.max, 2);
	assert_int_equal(config_service(config, SLICE("stock"))->selector, CONFIG_ROUND_ROBIN);
	config_destroy(config);
}

static void broker(void **state)
{
	struct config *config = example("broker.json");

	(void)state;
	assert_int_equal(config->broker.topics.items[0].ttl_ms, 72 * 3600 * 1000);
	assert_int_equal(config->broker.subscriptions.items[0].push.kind, CONFIG_PUSH_APP);
	config_destroy(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full),
		cmocka_unit_test(broker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
