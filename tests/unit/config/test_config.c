/*
 * Look-ups: the policy of a topic is that of the most specific pattern (B4-02).
 */
#include "help.h"

static void topics(void **state)
{
	static const struct {
		const char *topic;
		const char *expected;
	} rows[] = {{"orders.placed", "orders.placed"}, {"orders.paid", "orders.*"},
		{"orders.paid.late", "orders.>"}, {"stock.low", "*.low"}, {"stock.high", ">"},
		{"orders", ">"}, {"orders.low", "*.low"}, {"a.b.c", "a.*.c"}, {"a.b.d", ">"},
		{"orders.dlq", ">"}, {"x.dlq.y", ">"}, {"named.dlq", "named.dlq"}};
	struct config *config = help_config(
		"{\"service\":{\"name\":\"a\"},\"broker\":{\"topics\":{\"orders.>\":{},\"*.low\":{}"
		","
		"\"orders.*\":{},\"orders.placed\":{},\"a.*.c\":{},\"named.dlq\":{}}}}");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct config_topic *topic =
			config_topic(&config->broker, slice_from_string(rows[i].topic));

		if (strcmp(topic->name, rows[i].expected) != 0) {
			print_error("%s: %s\n", rows[i].topic, topic->name);
		}
		assert_string_equal(topic->name, rows[i].expected);
	}
	config_destroy(config);
}

static void names(void **state)
{
	struct config *config =
		help_config("{\"service\":{\"name\":\"a\"},\"services\":{\"b\":{\"draws\":1}}}");

	(void)state;
	assert_int_equal(config_service(config, SLICE("b"))->draws, 1);
	assert_string_equal(config_service(config, SLICE("c"))->name, "*");
	assert_string_equal(config_service(config, SLICE("*"))->name, "*");
	assert_string_equal(config_service(config, SLICE(""))->name, "*");
	config_destroy(config);
	config_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(topics),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
