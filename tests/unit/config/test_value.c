/*
 * Every type inside a whole configuration (OT-04): what is accepted becomes the right C value, what
 * is refused has its code and its fix.
 */
#include "help.h"

struct refusal {
	const char *text;
	unsigned code;
	const char *fix; /* NULL: none expected */
};

static const struct refusal rows[] = {
	{"{\"process\":{\"grace\":250}}", 1104, "write \"250ms\""},
	{"{\"process\":{\"grace\":\"1.5s\"}}", 1104, "write \"1500ms\""},
	{"{\"process\":{\"grace\":\"1m30s\"}}", 1104, "write \"90s\""},
	{"{\"process\":{\"grace\":\"off\"}}", 1104, NULL},
	{"{\"process\":{\"grace\":\"1ms\"}}", 1105, NULL},
	{"{\"process\":{\"grace\":\"100500us\"}}", 1105, NULL},
	{"{\"process\":{\"grace\":null}}", 1103, "remove the key to get the default"},
	{"{\"process\":{\"grace\":{}}}", 1104, NULL},
	{"{\"limits\":{\"head_bytes\":65536}}", 1104, "write \"64KiB\""},
	{"{\"limits\":{\"head_bytes\":\"64k\"}}", 1104, "write \"64KiB\""},
	{"{\"limits\":{\"head_bytes\":\"64KB\"}}", 1104, "write \"64KiB\""},
	{"{\"limits\":{\"head_bytes\":\"1KiB\"}}", 1105, NULL},
	{"{\"log\":{\"access\":{\"success\":0.2}}}", 1104, "write \"20%\""},
	{"{\"log\":{\"access\":{\"success\":20}}}", 1104, "write \"20%\""},
	{"{\"limits\":{\"h2_refill\":\"100\"}}", 1104, "write \"100/s\""},
	{"{\"limits\":{\"h2_refill\":\"1/m\"}}", 1105, NULL},
	{"{\"limits\":{\"fields\":\"100\"}}", 1104, "write 100"},
	{"{\"limits\":{\"fields\":100.0}}", 1104, "write 100"},
	{"{\"limits\":{\"fields\":1e2}}", 1104, "write 100"},
	{"{\"limits\":{\"fields\":5}}", 1105, NULL},
	{"{\"limits\":{\"fields\":99999999999}}", 1105, NULL},
	{"{\"process\":{\"core_dumps\":\"yes\"}}", 1104, "write true"},
	{"{\"process\":{\"core_dumps\":1}}", 1104, "write true"},
	{"{\"service\":{\"name\":\"Orders\"}}", 1104, "write \"orders\""},
	{"{\"service\":{\"name\":\"\"}}", 1104, NULL},
	{"{\"service\":{\"app\":{\"address\":\"8080\"}}}", 1104, "write \"127.0.0.1:8080\""},
	{"{\"service\":{\"app\":{\"address\":\":8080\"}}}", 1104, "write \"127.0.0.1:8080\""},
	{"{\"service\":{\"app\":{\"address\":\"127.0.0.1:0\"}}}", 1104, NULL},
	{"{\"service\":{\"app\":{\"address\":\"127.0.0.1:65536\"}}}", 1104, NULL},
	{"{\"service\":{\"app\":{\"address\":\"::1\"}}}", 1104, NULL},
	{"{\"service\":{\"app\":{\"address\":\"http://127.0.0.1:80\"}}}", 1104,
		"write \"127.0.0.1:80\""},
	{"{\"registry\":{\"seeds\":[\"mesh\"]}}", 1104, NULL},
	{"{\"registry\":{\"role\":\"vote\"}}", 1104, "write \"voter\""},
	{"{\"registry\":{\"role\":\"Voter\"}}", 1104, "write \"voter\""},
	{"{\"registry\":{\"kind\":\"consul\"}}", 1109, NULL},
	{"{\"listeners\":{\"inbound\":{\"protocol\":\"tcp\"}}}", 1109, NULL},
	{"{\"services\":{\"a\":{\"retry\":{\"on\":[503]}}}}", 1104, "write \"503\""},
	{"{\"services\":{\"a\":{\"retry\":{\"on\":[\"5xx\"]}}}}", 1104, NULL},
	{"{\"services\":{\"a\":{\"retry\":{\"on\":[\"302\"]}}}}", 1105, NULL},
	{"{\"log\":{\"access\":{\"output\":\"stdot\"}}}", 1104, "write \"stdout\""},
	{"{\"log\":{\"access\":{\"output\":\"\"}}}", 1104, NULL},
	{"{\"service\":{\"zone\":1}}", 1104, "write \"1\""},
	{"{\"egress\":{\"allow\":[\"http://x/\"]}}", 1104, NULL},
	{"{\"listeners\":{\"inbound\":{\"trusted_peers\":[\"10.0.0.0/33\"]}}}", 1104, NULL},
};

static void refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct config_report report;
		struct config *config = NULL;

		assert_int_not_equal(
			help_load(&(struct help_load){.text = rows[i].text}, &config, &report), 0);

		const struct config_problem *found = NULL;

		for (size_t j = 0; j < report.count && found == NULL; j++) {
			found = report.problems[j].code == rows[i].code ? &report.problems[j]
									: NULL;
		}
		if (found == NULL) {
			print_error("%s: PIL%u\n", rows[i].text, report.problems[0].code);
		}
		assert_non_null(found);
		if (rows[i].fix != NULL) {
			assert_non_null(found->fix);
			assert_string_equal(found->fix, rows[i].fix);
		} else if (found->code == 1104 && found->fix != NULL) {
			print_error("%s: %s\n", rows[i].text, found->fix);
			fail();
		}
		config_report_fini(&report);
	}
}

static void accepted(void **state)
{
	struct config *config = help_config(
		"{\"service\":{\"name\":\"a\",\"app\":{\"address\":\"unix:/run/app.sock\"}},"
		"\"process\":{\"grace\":\"2m\",\"core_dumps\":true},\"limits\":{\"body_bytes\":"
		"\"1MiB\",\"h2_refill\":\"120/m\",\"fields\":200},"
		"\"services\":{\"x\":{\"timeout\":\"0s\",\"retry\":{\"on\":[\"503\",\"429\"]}}},"
		"\"log\":{\"access\":{\"success\":\"0.1%\",\"output\":\"/var/log/a\"}},"
		"\"egress\":{\"allow\":[\"10.0.0.0/8\",\"api.example:443\"]},"
		"\"registry\":{\"seeds\":[\"[::1]:7440\",\"localhost:7440\"]}}");
	const struct config_service *x = config_service(config, SLICE("x"));

	(void)state;
	assert_int_equal(config->self.app.address.address.u.any.sa_family, AF_UNIX);
	assert_int_equal(config->process.grace_ms, 120000);
	assert_true(config->process.core_dumps);
	assert_int_equal(config->limits.body_bytes, 1048576);
	assert_int_equal(config->limits.h2_refill_per_min, 120);
	assert_int_equal(config->limits.fields, 200);
	assert_int_equal(x->timeout_ms, 0);
	assert_int_equal(x->retry.on.count, 2);
	assert_int_equal(x->retry.on.items[1], 429);
	assert_int_equal(config->log.access.success_per_mille, 1);
	assert_int_equal(config->log.access.output.kind, CONFIG_OUTPUT_FILE);
	assert_string_equal(config->log.access.output.path, "/var/log/a");
	assert_int_equal(config->egress.allow.count, 2);
	assert_true(config->egress.allow.items[0].is_prefix);
	assert_int_equal(config->egress.allow.items[1].port, 443);
	assert_int_equal(config->registry.seeds.count, 2);
	assert_string_equal(config->registry.seeds.items[0].host, "::1");
	assert_int_equal(config->registry.seeds.items[1].port, 7440);
	config_destroy(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused),
		cmocka_unit_test(accepted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
