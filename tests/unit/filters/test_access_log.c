/* The filter `access_log`: which exchanges it writes, and what of them. */
#include <string.h>

#include "base/mem.h"
#include "config/config.h"
#include "filters/access_log.h"
#include "rig.h"

static void options_come_from_the_configuration(void **state)
{
	const char *headers[] = {"user-agent"};
	struct config_access_log log = {
		.success_per_mille = 10, .slow_ms = 1000, .query = true, .headers = {headers, 1}};
	struct access_options options;
	struct err err;

	(void)state;
	assert_true(access_log_filter.configure(&options, &log, &err));
	assert_int_equal(options.success_per_mille, 10);
	assert_int_equal(options.slow_ms, 1000);
	assert_true(options.query);
	assert_int_equal(options.header_count, 1);
	assert_true(access_log_filter.configure(&options, NULL, &err));
	assert_int_equal(options.success_per_mille, 1000);
	log.success_per_mille = 1001;
	assert_false(access_log_filter.configure(&options, &log, &err));
}

static void failures_always_successes_by_share(void **state)
{
	struct rig *rig = test_malloc(sizeof(*rig));
	struct rig_request good = {.path = "/echo"};
	struct rig_request bad = {.path = "/status/500"};
	struct access_record *records = mem_alloc(8 * sizeof(*records));

	(void)state;
	rig_init(rig);
	rig->access.success_per_mille = 0;
	rig_start(rig);
	rig_service(rig, "orders", 1, INSTANCE_H2C);
	for (int i = 0; i < 3; i++) {
		rig_once(rig, "outbound", true, &good);
		rig_once(rig, "outbound", true, &bad);
	}
	assert_int_equal(exchange_server_take_records(rig->server, records, 8), 3);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(records[i].status, 500);
		assert_true(records[i].failed);
	}
	mem_free(records);
	rig_fini(rig);
	test_free(rig);
}

static void query_and_fields_only_when_asked(void **state)
{
	static const char *const headers[] = {"user-agent", "x-none"};

	(void)state;
	for (int asked = 0; asked < 2; asked++) {
		struct rig *rig = test_malloc(sizeof(*rig));
		struct rig_request request = {.path = "/echo",
			.query = "card=4111",
			.fields = {"user-agent", "curl", "authorization", "secret", NULL}};
		struct access_record record;
		struct buf line;

		rig_init(rig);
		rig->access.query = asked == 1;
		rig->access.headers = headers;
		rig->access.header_count = asked == 1 ? 2 : 0;
		rig_start(rig);
		rig_service(rig, "orders", 1, INSTANCE_H2C);
		rig_once(rig, "outbound", false, &request);
		rig_record(rig, &record);
		buf_init(&line);
		access_record_format(&record, &line);
		assert_int_equal(strstr(buf_string(&line), "card=4111") != NULL, asked == 1);
		assert_int_equal(strstr(buf_string(&line), "curl") != NULL, asked == 1);
		assert_null(strstr(buf_string(&line), "secret"));
		assert_non_null(strstr(buf_string(&line), "\"url.path\":\"/echo\""));
		assert_non_null(
			strstr(buf_string(&line), "\"source.address\":\"127.0.0.1:51544\""));
		assert_non_null(
			strstr(buf_string(&line), "\"pillion.upstream.instance\":\"aa010000\""));
		assert_non_null(strstr(buf_string(&line), "\"pillion.index\":812"));
		buf_fini(&line);
		rig_fini(rig);
		test_free(rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_come_from_the_configuration),
		cmocka_unit_test(failures_always_successes_by_share),
		cmocka_unit_test(query_and_fields_only_when_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
