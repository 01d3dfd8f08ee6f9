/*
 * What follows from what was written: listeners, checks, roles, pushes, and the checks of meaning
 * that are warnings or need more than one file.
 */
#include "help.h"

#define SELF "\"service\":{\"name\":\"a\"}"

static void listeners(void **state)
{
	struct config *config = help_config("{" SELF "}");
	const struct config_listener *outbound = config_listener(config, SLICE("outbound"));

	(void)state;
	assert_string_equal(
		config_listener(config, SLICE("inbound"))->address.text, "127.0.0.1:7440");
	assert_false(config_listener(config, SLICE("inbound"))->explicit_address);
	assert_string_equal(outbound->address.text, "127.0.0.1:7441");
	assert_string_equal(outbound->second.text, "[::1]:7441");
	assert_true(outbound->enabled);
	assert_int_equal(outbound->kind, CONFIG_OUTBOUND);
	assert_null(config_listener(config, SLICE("none")));
	config_destroy(config);

	config = help_config("{" SELF ",\"registry\":{\"insecure\":true}}");
	assert_string_equal(
		config_listener(config, SLICE("inbound"))->address.text, "0.0.0.0:7440");
	assert_string_equal(
		config_listener(config, SLICE("outbound"))->address.text, "127.0.0.1:7441");
	config_destroy(config);

	config =
		help_config("{" SELF ",\"listeners\":{\"outbound\":{\"listen\":\"127.0.0.1:9000\"},"
			    "\"inbound\":{\"trusted_peers\":[\"10.0.0.0/8\"]},"
			    "\"to-pay\":{\"kind\":\"service\",\"service\":\"pay\","
			    "\"listen\":\"127.0.0.1:9101\"}}}");
	outbound = config_listener(config, SLICE("outbound"));
	assert_int_equal(config->listeners.count, 3);
	assert_true(outbound->explicit_address);
	assert_int_equal(outbound->kind, CONFIG_OUTBOUND);
	assert_int_equal(outbound->second.address.size, 0);
	assert_int_equal(config_listener(config, SLICE("inbound"))->trusted_peers.count, 1);
	assert_string_equal(
		config_listener(config, SLICE("inbound"))->address.text, "127.0.0.1:7440");
	assert_string_equal(config_listener(config, SLICE("to-pay"))->service, "pay");
	config_destroy(config);
}

static void checks(void **state)
{
	static const struct {
		const char *check;
		enum config_check_kind kind;
	} rows[] = {{"{\"http\":\"/x\"}", CONFIG_CHECK_HTTP}, {"{\"tcp\":true}", CONFIG_CHECK_TCP},
		{"{\"grpc\":\"\"}", CONFIG_CHECK_GRPC}, {"\"none\"", CONFIG_CHECK_NONE}};
	struct config *config;
	char text[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		snprintf(text, sizeof(text),
			"{\"service\":{\"name\":\"a\",\"app\":{\"check\":%s}}}", rows[i].check);
		config = help_config(text);
		assert_int_equal(config->self.app.check.kind, rows[i].kind);
		assert_true(config->self.app.present);
		config_destroy(config);
	}
	config = help_config("{\"service\":{\"name\":\"a\",\"app\":{\"stop_signal\":\"QUIT\"}}}");
	assert_int_equal(config->self.app.stop_signal, 3);
	config_destroy(config);
}

static void roles(void **state)
{
	struct config *config = help_config("{" SELF ",\"registry\":{\"bootstrap\":\"alone\"}}");
	struct config_report report;

	(void)state;
	assert_int_equal(config->registry.role, CONFIG_ROLE_VOTER);
	config_report_init(&report);
	assert_true(config_registry_decided(config, false, &report));
	config_destroy(config);
	config = help_config("{" SELF "}");
	assert_true(config_registry_decided(config, true, &report));
	assert_int_equal(report.errors, 0);
	assert_false(config_registry_decided(config, false, &report));
	assert_int_equal(report.problems[0].code, 1230);
	config_destroy(config);
	config = help_config("{" SELF ",\"registry\":{\"kind\":\"static\"}}");
	assert_true(config_registry_decided(config, false, &report));
	config_destroy(config);
	config_report_fini(&report);
}

static void pushes(void **state)
{
	struct config *config = help_config(
		"{\"service\":{\"name\":\"a\",\"app\":{\"address\":\"127.0.0.1:8080\"}},"
		"\"broker\":{\"subscriptions\":["
		"{\"topic\":\"a.>\",\"group\":\"g\",\"push\":\"/events\"},"
		"{\"topic\":\"b\",\"push\":\"http://127.0.0.1:8080/x\"},"
		"{\"topic\":\"c\",\"push\":\"http://localhost:9000\",\"max_in_flight\":3},"
		"{\"topic\":\"d.*\",\"push\":\"unix:/run/a.sock:/p?q=1\"},"
		"{\"name\":\"five\",\"topic\":\"e\",\"start\":\"earliest\"}]}}");
	const struct config_subscription *items = config->broker.subscriptions.items;

	(void)state;
	assert_int_equal(config->broker.subscriptions.count, 5);
	assert_string_equal(items[0].name, "a-all-g");
	assert_int_equal(items[0].push.kind, CONFIG_PUSH_APP);
	assert_string_equal(items[0].push.path, "/events");
	assert_string_equal(items[0].push.authority, "127.0.0.1:8080");
	assert_int_equal(items[0].max_in_flight, 16);
	assert_true(items[0].durable);
	assert_int_equal(items[0].backoff_ms.count, 4);
	assert_int_equal(items[0].backoff_ms.items[3], 60000);
	assert_int_equal(items[1].push.kind, CONFIG_PUSH_APP);
	assert_string_equal(items[1].push.path, "/x");
	assert_false(items[1].durable);
	assert_int_equal(items[2].push.kind, CONFIG_PUSH_HTTP);
	assert_string_equal(items[2].push.path, "/");
	assert_int_equal(address_port(&items[2].push.address), 9000);
	assert_int_equal(items[2].max_in_flight, 3);
	assert_int_equal(items[3].push.kind, CONFIG_PUSH_UNIX);
	assert_string_equal(items[3].push.path, "/p?q=1");
	assert_string_equal(items[3].name, "d-any");
	assert_int_equal(items[4].push.kind, CONFIG_PUSH_NONE);
	assert_int_equal(items[4].max_in_flight, 256);
	assert_int_equal(items[4].start, CONFIG_START_EARLIEST);
	config_destroy(config);
}

static unsigned first_warning(const char *text)
{
	struct config_report report;
	struct config *config = NULL;
	unsigned code;

	assert_int_equal(help_load(&(struct help_load){.text = text}, &config, &report), 0);
	code = report.warnings > 0 ? report.problems[0].code : 0;
	config_destroy(config);
	config_report_fini(&report);
	return code;
}

static void warnings(void **state)
{
	(void)state;
	assert_int_equal(first_warning("{" SELF "}"), 0);
	assert_int_equal(first_warning("{" SELF ",\"registry\":{\"insecure\":true}}"), 0);
	assert_int_equal(first_warning("{" SELF ",\"registry\":{\"insecure\":true,"
				       "\"seeds\":[\"mesh-0:7440\"]}}"),
		1231);
	assert_int_equal(first_warning("{" SELF ",\"registry\":{\"seeds\":[\"localhost:7440\","
				       "\"127.0.0.1:7440\",\"[::1]:7440\"]}}"),
		0);
	assert_int_equal(
		first_warning(
			"{" SELF ",\"listeners\":{\"inbound\":{\"listen\":\"0.0.0.0:7440\"}}}"),
		1405);
	assert_int_equal(
		first_warning("{" SELF ",\"listeners\":{\"outbound\":{\"listen\":\"0.0.0.0:7441\","
			      "\"exposed\":true}}}"),
		0);
}

static void errors(void **state)
{
	(void)state;
	/* A listener that is switched off is in nobody's way. */
	assert_int_equal(
		help_code("{" SELF ",\"listeners\":{\"x\":{\"kind\":\"inbound\",\"listen\":"
			  "\"127.0.0.1:7440\",\"enabled\":false}}}"),
		0);
	assert_int_equal(
		help_code("{" SELF ",\"listeners\":{\"x\":{\"kind\":\"inbound\",\"listen\":"
			  "\"127.0.0.1:7440\"}}}"),
		1210);
	assert_int_equal(
		help_code("{" SELF ",\"registry\":{\"insecure\":true},\"listeners\":{\"x\":{"
			  "\"kind\":\"inbound\",\"listen\":\"127.0.0.1:7440\"}}}"),
		1210);
	assert_int_equal(help_code("{" SELF ",\"metrics\":{\"address\":\"[::1]:7441\"}}"), 1210);
	assert_int_equal(help_code("{" SELF ",\"admin\":{\"address\":\"off\"},\"metrics\":{"
				   "\"address\":\"0.0.0.0:7442\"}}"),
		0);
	assert_int_equal(help_code("{" SELF ",\"limits\":{\"memory\":\"300MiB\"}}"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(listeners),
		cmocka_unit_test(checks),
		cmocka_unit_test(roles),
		cmocka_unit_test(pushes),
		cmocka_unit_test(warnings),
		cmocka_unit_test(errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
