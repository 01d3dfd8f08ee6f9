/*
 * Loading: defaults without a file, precedence of files, environment, flags and --set, merging of
 * "*" below named services, warnings, and that starting without a file is cheap.
 */
#include "help.h"

#include <time.h>

static void no_file_needed(void **state)
{
	static const struct config_assignment name = {
		"/service/name", "orders", false, "flag --name"};
	struct config_report report;
	struct config *config = NULL;

	(void)state;
	assert_int_equal(help_load(&(struct help_load){.assignments = &name, .assignment_count = 1},
				 &config, &report),
		0);
	assert_int_equal(report.errors + report.warnings, 0);
	assert_null(config->file);
	assert_string_equal(config->self.name, "orders");
	assert_string_equal(config->self.version, "latest");
	assert_false(config->self.app.present);
	assert_int_equal(config->self.weight, 100);
	assert_int_equal(config->self.app.connect_timeout_ms, 300);
	assert_int_equal(config->self.app.check.kind, CONFIG_CHECK_TCP);
	assert_int_equal(config->self.app.max_active, 1024);
	assert_int_equal(config->self.app.stop_signal, 15);
	assert_int_equal(config->process.grace_ms, 25000);
	assert_int_equal(config->listeners.count, 2);
	assert_int_equal(config->services.count, 1);
	assert_string_equal(config->services.items[0].name, "*");
	assert_int_equal(config->services.items[0].retry.max, 3);
	assert_int_equal(config->registry.kind, CONFIG_REGISTRY_RAFT);
	assert_int_equal(config->registry.role, CONFIG_ROLE_CLIENT);
	assert_int_equal(config->registry.election_ms, 250);
	assert_int_equal(config->limits.head_bytes, 65536);
	assert_int_equal(config->limits.h2_refill_per_min, 1200);
	assert_int_equal(config->limits.pool_idle_ms, 3000);
	assert_true(config->broker.enabled);
	assert_int_equal(config->broker.spool.segment, 64 << 20);
	assert_int_equal(config->broker.topic_default.unclaimed.age_ms, 86400000);
	assert_string_equal(config->admin.address.text, "127.0.0.1:7442");
	assert_string_equal(config->metrics.address.text, "off");
	assert_int_equal(config->metrics.address.address.size, 0);
	assert_int_equal(config->log.level, LOG_LEVEL_INFO);
	assert_int_equal(config->log.access.slow_ms, 1000);
	assert_true(config->trace.accept);
	assert_int_equal(config->translation.app.count, 1);
	assert_int_equal(config->translation.max_depth, 100);
	config_destroy(config);
	config_report_fini(&report);
}

/* Lowest first: default, file, environment, flag, --set (CF-12). */
static void precedence(void **state)
{
	static const char file[] =
		"{\"service\":{\"name\":\"file\"},\"registry\":{\"role\":\"learner\"},"
		"\"log\":{\"level\":\"error\"}}";
	static const char *const environment[] = {
		"PILLION_NAME=env", "PILLION_LOG_LEVEL=warn", "PILLION_ROLE=", NULL};
	static const struct config_assignment assignments[] = {
		{"/log/level", "\"debug\"", true, "--set"},
		{"/log/level", "info", false, "flag --log-level"},
		{"/service/name", "flag", false, "flag --name"},
	};
	struct config_report report;
	struct config *config = NULL;

	(void)state;
	assert_int_equal(help_load(&(struct help_load){.text = file}, &config, &report), 0);
	assert_string_equal(config->self.name, "file");
	assert_int_equal(config->log.level, LOG_LEVEL_ERROR);
	config_destroy(config);
	config_report_fini(&report);
	assert_int_equal(help_load(&(struct help_load){.text = file, .environment = environment},
				 &config, &report),
		0);
	assert_string_equal(config->self.name, "env");
	assert_int_equal(config->log.level, LOG_LEVEL_WARN);
	assert_int_equal(config->registry.role, CONFIG_ROLE_LEARNER);
	config_destroy(config);
	config_report_fini(&report);
	assert_int_equal(
		help_load(&(struct help_load){file, environment, assignments, 3}, &config, &report),
		0);
	assert_string_equal(config->self.name, "flag");
	assert_int_equal(config->log.level, LOG_LEVEL_DEBUG);
	config_destroy(config);
	config_report_fini(&report);
}

static void services_merge(void **state)
{
	struct config *config =
		help_config("{\"service\":{\"name\":\"a\"},"
			    "\"translation\":{\"emit_defaults\":true,\"max_depth\":50},"
			    "\"services\":{"
			    "\"pay\":{\"timeout\":\"3s\",\"retry\":{\"max\":2},\"translation\":{"
			    "\"max_depth\":20}},"
			    "\"*\":{\"draws\":4,\"retry\":{\"idempotent\":true,\"on\":[\"503\"]},"
			    "\"limits\":{\"active\":7},\"translation\":{\"proto_names\":true}},"
			    "\"log\":{\"retry\":\"never\"},\"cat\":{\"retry\":\"off\",\"limits\":{"
			    "\"queued\":9}}}}");
	const struct config_service *pay = config_service(config, SLICE("pay"));
	const struct config_service *other = config_service(config, SLICE("somebody"));
	const struct config_service *log = config_service(config, SLICE("log"));
	const struct config_service *cat = config_service(config, SLICE("cat"));

	(void)state;
	assert_string_equal(config->services.items[0].name, "*");
	assert_ptr_equal(other, &config->services.items[0]);
	assert_string_equal(pay->name, "pay");
	assert_int_equal(pay->timeout_ms, 3000);
	assert_int_equal(pay->draws, 4);
	assert_int_equal(pay->retry.max, 2);
	assert_true(pay->retry.idempotent);
	assert_int_equal(pay->retry.on.count, 1);
	assert_int_equal(pay->limits.active, 7);
	assert_true(pay->translation.emit_defaults);
	assert_true(pay->translation.proto_names);
	assert_int_equal(pay->translation.max_depth, 20);
	assert_int_equal(other->timeout_ms, 0);
	assert_int_equal(other->translation.max_depth, 50);
	assert_false(config->translation.proto_names);
	assert_int_equal(log->retry.mode, CONFIG_RETRY_NEVER);
	assert_int_equal(cat->retry.mode, CONFIG_RETRY_OFF);
	assert_int_equal(cat->limits.queued, 9);
	assert_int_equal(cat->limits.active, 7);
	config_destroy(config);
}

/* An object of a named service undoes a word of "*". */
static void object_over_word(void **state)
{
	struct config *config = help_config("{\"service\":{\"name\":\"a\"},\"services\":{\"*\":{"
					    "\"retry\":\"off\"},\"pay\":{\"retry\":{\"max\":5}}}}");

	(void)state;
	assert_int_equal(config->services.items[0].retry.mode, CONFIG_RETRY_OFF);
	assert_int_equal(config_service(config, SLICE("pay"))->retry.mode, CONFIG_RETRY_ON);
	assert_int_equal(config_service(config, SLICE("pay"))->retry.max, 5);
	config_destroy(config);
}

static void filters(void **state)
{
	struct config *config =
		help_config("{\"service\":{\"name\":\"a\"},\"services\":{\"*\":{\"filters\":[{"
			    "\"use\":\"headers\","
			    "\"set\":{\"x-trace\":\"${trace_id}\"},\"remove\":[\"a\",\"b\"]},"
			    "{\"use\":\"headers\",\"trailers\":false,\"delay\":\"1s\"}]}}}");
	const struct config_service *all = &config->services.items[0];
	const struct help_filter_conf *first = all->filters.items[0].conf;
	const struct help_filter_conf *second = all->filters.items[1].conf;

	(void)state;
	assert_int_equal(all->filters.count, 2);
	assert_ptr_equal(all->filters.items[0].plugin, &help_filter);
	assert_true(first->trailers);
	assert_int_equal(first->delay_ms, 10);
	assert_string_equal(first->set.items[0].value, "${trace_id}");
	assert_int_equal(first->remove.count, 2);
	assert_false(second->trailers);
	assert_int_equal(second->delay_ms, 1000);
	config_destroy(config);
}

static void warnings_do_not_stop(void **state)
{
	static const char *const environment[] = {"PILLION_NAMME=x",
		"PILLION_PORT=tcp://1.2.3.4:80", "PILLION_PORT_80_TCP_ADDR=1.2.3.4",
		"PILLION_SERVICE_HOST=1.2.3.4", "PILLION_NAME_SERVICE_PORT=80",
		"PILLION_APP_PORT_80_TCP=x", "PILLION_CONFIG=", "PILLION_TOKEN_FILE=/x",
		"PILLION_SERVICE=a", "OTHER=1", NULL};
	struct config_report report;
	struct config *config = NULL;
	struct buf text;

	(void)state;
	assert_int_equal(help_load(&(struct help_load){.text = "{\"service\":{\"name\":\"a\"}}",
					   .environment = environment},
				 &config, &report),
		0);
	assert_int_equal(report.warnings, 1);
	assert_int_equal(report.problems[0].code, 1510);
	assert_string_equal(report.problems[0].suggestion, "PILLION_NAME");
	config_report_strict(&report);
	assert_int_equal(report.errors, 1);
	assert_int_equal(report.warnings, 0);
	buf_init(&text);
	config_report_print(&report, CONFIG_REPORT_TEXT, &text);
	assert_string_equal(buf_string(&text),
		"env PILLION_NAMME: error PIL1510: no such variable is read\n"
		"  fix: did you mean PILLION_NAME?\n"
		"1 error, 0 warnings in pillion.json.\n");
	buf_fini(&text);
	config_destroy(config);
	config_report_fini(&report);
}

/* What the environment says has the place of the variable, not of a file. */
static void places_of_variables(void **state)
{
	static const char *const environment[] = {
		"PILLION_NAME=Bad Name", "PILLION_APP=x", "PILLION_JOIN=a,b:1", NULL};
	struct config_report report;
	struct config *config = NULL;

	(void)state;
	assert_int_not_equal(
		help_load(&(struct help_load){.environment = environment}, &config, &report), 0);
	assert_int_equal(report.errors, 3);
	assert_string_equal(report.problems[0].place.file, "env PILLION_APP");
	assert_string_equal(report.problems[1].place.file, "env PILLION_JOIN");
	assert_string_equal(report.problems[1].pointer, "/registry/seeds/0");
	assert_string_equal(report.problems[2].place.file, "env PILLION_NAME");
	assert_int_equal(report.problems[2].place.line, 0);
	config_report_fini(&report);
}

static void fallback_name(void **state)
{
	struct config_sources sources = {.no_file = true, .fallback_name = "orders-app"};
	struct config_report report;
	struct config *config = NULL;

	(void)state;
	config_report_init(&report);
	assert_int_equal(config_load(&sources, &config, &report), 0);
	assert_string_equal(config->self.name, "orders-app");
	config_destroy(config);
	config = NULL;
	sources.fallback_name = "Bad Name";
	assert_int_not_equal(config_load(&sources, &config, &report), 0);
	assert_int_equal(report.problems[0].code, 1106);
	config_report_fini(&report);
}

/* At most 1,000 are kept, 100 printed, all counted. */
static void report_is_bounded(void **state)
{
	struct buf text;
	struct buf printed;
	struct config_report report;
	struct config *config = NULL;

	(void)state;
	buf_init(&text);
	buf_init(&printed);
	buf_append_string(&text, "{\"service\":{\"name\":\"a\"}");
	for (int i = 0; i < 3000; i++) {
		buf_appendf(&text, ",\n\"key%d\":1", i);
	}
	buf_append_byte(&text, '}');
	assert_int_not_equal(
		help_load(&(struct help_load){.text = buf_string(&text)}, &config, &report), 0);
	assert_int_equal(report.errors, 3000);
	assert_int_equal(report.count, CONFIG_REPORT_KEPT);
	config_report_print(&report, CONFIG_REPORT_TEXT, &printed);
	assert_non_null(strstr(buf_string(&printed), "and 2900 more\n3000 errors, 0 warnings"));
	config_report_fini(&report);
	buf_fini(&text);
	buf_fini(&printed);
}

/* Start-up without a file: well below 1 ms in a plain build; the bound here is for loaded machines
 * with sanitizers, and catches only something quadratic. */
static void is_cheap(void **state)
{
	static const struct config_assignment name = {"/service/name", "a", false, "flag --name"};
	struct timespec before;
	struct timespec after;

	(void)state;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	for (int i = 0; i < 100; i++) {
		struct config_report report;
		struct config *config = NULL;

		assert_int_equal(
			help_load(&(struct help_load){.assignments = &name, .assignment_count = 1},
				&config, &report),
			0);
		config_destroy(config);
		config_report_fini(&report);
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	assert_true(after.tv_sec - before.tv_sec < 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_file_needed),
		cmocka_unit_test(precedence),
		cmocka_unit_test(services_merge),
		cmocka_unit_test(object_over_word),
		cmocka_unit_test(filters),
		cmocka_unit_test(warnings_do_not_stop),
		cmocka_unit_test(places_of_variables),
		cmocka_unit_test(fallback_name),
		cmocka_unit_test(report_is_bounded),
		cmocka_unit_test(is_cheap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
