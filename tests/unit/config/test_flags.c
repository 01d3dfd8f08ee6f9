/*
 * Flags that write keys (ZC-01).
 */
#include "help.h"

#include <errno.h>

struct flag {
	const char *name;
	const char *value;
};

/* Loads what the flags say over a text. */
static int load_flags(const char *text, const struct flag *flags, size_t count,
	struct config **ret_config, struct config_report *report)
{
	struct config_flags collected;
	struct err err;
	int result;

	config_flags_init(&collected);
	for (size_t i = 0; i < count; i++) {
		err_clear(&err);
		result = config_flags_add(&collected, flags[i].name, flags[i].value, &err);
		if (result != 0) {
			print_error("%s: %s\n", flags[i].name, err.text);
		}
		assert_int_equal(result, 0);
	}
	result = help_load(&(struct help_load){text, NULL, collected.items, collected.count},
		ret_config, report);
	config_flags_fini(&collected);
	return result;
}

static void all_flags(void **state)
{
	static const struct flag flags[] = {{"--name", "orders"}, {"--version", "2.0"},
		{"--port", "9000"}, {"--check", "/healthz"}, {"--speaks", "grpc"},
		{"--proto", CONFIG_TEST_DATA "/bad/expected.txt"},
		{"--proto", CONFIG_TEST_DATA "/meson.build"}, {"--bootstrap", NULL},
		{"--new-cluster", "6f1c4f0e"}, {"--role", "voter"},
		{"--advertise", "127.0.0.1:7440"}, {"--subscribe", "stock.low/orders=/events"},
		{"--subscribe", "a.>=/all"}, {"--data-dir", "data"}, {"--grace", "8s"},
		{"--log-level", "debug"}, {"--set", "/services/pay/timeout=\"3s\""},
		{"--set", "/limits/fields=50"}};
	struct config_report report;
	struct config *config = NULL;

	(void)state;
	assert_int_equal(load_flags(NULL, flags, ARRAY_SIZE(flags), &config, &report), 0);
	assert_string_equal(config->self.name, "orders");
	assert_string_equal(config->self.version, "2.0");
	assert_true(config->self.app.present);
	assert_string_equal(config->self.app.address.text, "127.0.0.1:9000");
	assert_int_equal(config->self.app.check.kind, CONFIG_CHECK_HTTP);
	assert_string_equal(config->self.app.check.http, "/healthz");
	assert_int_equal(config->translation.app.items[0], CONFIG_FORMAT_GRPC);
	assert_int_equal(config->translation.descriptors.count, 2);
	assert_int_equal(config->registry.bootstrap, CONFIG_BOOTSTRAP_ALONE);
	assert_string_equal(config->registry.new_cluster, "6f1c4f0e");
	assert_int_equal(config->registry.role, CONFIG_ROLE_VOTER);
	assert_string_equal(config->registry.advertise.host, "127.0.0.1");
	assert_int_equal(config->broker.subscriptions.count, 2);
	assert_string_equal(config->broker.subscriptions.items[0].group, "orders");
	assert_string_equal(config->broker.subscriptions.items[0].push.path, "/events");
	assert_null(config->broker.subscriptions.items[1].group);
	assert_string_equal(config->process.data_dir, "data");
	assert_int_equal(config->process.grace_ms, 8000);
	assert_int_equal(config->log.level, LOG_LEVEL_DEBUG);
	assert_int_equal(config_service(config, SLICE("pay"))->timeout_ms, 3000);
	assert_int_equal(config->limits.fields, 50);
	config_destroy(config);
	config_report_fini(&report);
}

static void over_a_file(void **state)
{
	static const char file[] = "{\"service\":{\"name\":\"f\",\"app\":{\"check\":\"none\"}},"
				   "\"registry\":{\"seeds\":[\"localhost:1\"]},"
				   "\"broker\":{\"subscriptions\":[{\"topic\":\"t\"}]}}";
	static const struct flag flags[] = {{"--join", "127.0.0.1:7440, localhost:7460"},
		{"--app", "unix:/run/a.sock"}, {"--check", "/h"}, {"--subscribe", "x=/y"}};
	struct config_report report;
	struct config *config = NULL;

	(void)state;
	assert_int_equal(load_flags(file, flags, ARRAY_SIZE(flags), &config, &report), 0);
	assert_int_equal(config->registry.seeds.count, 2);
	assert_int_equal(config->registry.seeds.items[1].port, 7460);
	assert_string_equal(config->self.app.address.text, "unix:/run/a.sock");
	assert_int_equal(config->self.app.check.kind, CONFIG_CHECK_HTTP);
	assert_int_equal(config->broker.subscriptions.count, 2);
	config_destroy(config);
	config_report_fini(&report);
}

/* The value of a flag is judged by its key; the error names the flag. */
static void bad_values(void **state)
{
	static const struct {
		struct flag flag;
		unsigned code;
		const char *origin;
	} rows[] = {{{"--grace", "250"}, 1104, "flag --grace"},
		{{"--role", "x"}, 1104, "flag --role"}, {{"--port", "0"}, 1104, "flag --port"},
		{{"--join", "host"}, 1104, "flag --join"},
		{{"--join", "far:7440"}, 1231, "flag --join"}, {{"--set", "/a=1"}, 1101, "--set"},
		{{"--set", "/process/grace=5s"}, 1010, "--set"},
		{{"--set", "/service={}}"}, 1015, "--set"},
		{{"--set", "/process/grace/x=1"}, 1104, "--set"},
		{{"--subscribe", "a..b=/x"}, 1104, "flag --subscribe"},
		{{"--subscribe", "a=x"}, 1104, "flag --subscribe"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct flag flags[] = {{"--name", "a"}, {"--grace", "5s"}, rows[i].flag};
		struct config_report report;
		struct config *config = NULL;

		assert_int_not_equal(load_flags(NULL, flags, 3, &config, &report), 0);
		if (report.problems[0].code != rows[i].code) {
			print_error("row %zu: PIL%u\n", i, report.problems[0].code);
		}
		assert_int_equal(report.problems[0].code, rows[i].code);
		assert_string_equal(report.problems[0].place.file, rows[i].origin);
		assert_int_equal(report.problems[0].place.line, 0);
		config_report_fini(&report);
	}
}

static void bad_flags(void **state)
{
	static const struct {
		struct flag flag;
		int result;
	} rows[] = {{{"--nmae", "x"}, -ENOENT}, {{"--name", NULL}, -EINVAL},
		{{"--name", ""}, -EINVAL}, {{"--bootstrap", "x"}, -EINVAL},
		{{"--port", "abc"}, -EINVAL}, {{"--port", "70000"}, -EINVAL},
		{{"--set", "x=1"}, -EINVAL}, {{"--set", "/x"}, -EINVAL},
		{{"--subscribe", "topic"}, -EINVAL}, {{"--subscribe", "=/x"}, -EINVAL}};
	struct config_flags flags;
	struct err err;

	(void)state;
	config_flags_init(&flags);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		err_clear(&err);
		assert_int_equal(
			config_flags_add(&flags, rows[i].flag.name, rows[i].flag.value, &err),
			rows[i].result);
		assert_true((err.code != 0) == (rows[i].result == -EINVAL));
	}
	assert_int_equal(flags.count, 0);
	assert_true(config_flag_count() > 10);
	for (size_t i = 0; i < config_flag_count(); i++) {
		assert_true(strncmp(config_flag_at(i)->name, "--", 2) == 0);
		assert_non_null(config_flag_at(i)->help);
	}
	config_flags_fini(&flags);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_flags),
		cmocka_unit_test(over_a_file),
		cmocka_unit_test(bad_values),
		cmocka_unit_test(bad_flags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
