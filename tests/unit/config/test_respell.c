/*
 * The valid spelling shown for what people write elsewhere (CF-07).
 */
#include "help.h"

#include "config/respell.h"

static void rows(void **state)
{
	static const struct {
		enum config_type type;
		const char *text;
		const char *expected; /* JSON; NULL: no suggestion */
	} table[] = {{CONFIG_DURATION, "250", "\"250ms\""}, {CONFIG_DURATION, "1.5s", "\"1500ms\""},
		{CONFIG_DURATION, "1m30s", "\"90s\""}, {CONFIG_DURATION, "5 sec", "\"5s\""},
		{CONFIG_DURATION, "5S", "\"5s\""}, {CONFIG_DURATION, "2 days", "\"48h\""},
		{CONFIG_DURATION, "1h30m", "\"90m\""}, {CONFIG_DURATION, "soon", NULL},
		{CONFIG_DURATION, "", NULL}, {CONFIG_DURATION, "0.0001s", NULL},
		{CONFIG_DURATION, "99999999999s", NULL}, {CONFIG_SIZE, "65536", "\"64KiB\""},
		{CONFIG_SIZE, "64k", "\"64KiB\""}, {CONFIG_SIZE, "64KB", "\"64KiB\""},
		{CONFIG_SIZE, "1.5 MB", "\"1536KiB\""}, {CONFIG_SIZE, "4g", "\"4GiB\""},
		{CONFIG_SIZE, "100", "\"100B\""}, {CONFIG_SIZE, "big", NULL},
		{CONFIG_PERCENT, "0.2", "\"20%\""}, {CONFIG_PERCENT, "20", "\"20%\""},
		{CONFIG_PERCENT, "20 %", "\"20%\""}, {CONFIG_PERCENT, "0.125%", "\"0.1%\""},
		{CONFIG_PERCENT, "200", NULL}, {CONFIG_RATE, "100", "\"100/s\""},
		{CONFIG_RATE, "600/min", "\"600/m\""}, {CONFIG_RATE, "100/sec", "\"100/s\""},
		{CONFIG_BOOL, "yes", "true"}, {CONFIG_BOOL, "Off", "false"},
		{CONFIG_BOOL, "1", "true"}, {CONFIG_BOOL, "maybe", NULL},
		{CONFIG_INT, "8080", "8080"}, {CONFIG_INT, "8080.0", "8080"},
		{CONFIG_INT, "1e3", "1000"}, {CONFIG_INT, "1.5", NULL}, {CONFIG_INT, "x", NULL},
		{CONFIG_NAME, "Orders Service", "\"orders-service\""}, {CONFIG_NAME, "--", NULL},
		{CONFIG_ADDRESS, "8080", "\"127.0.0.1:8080\""},
		{CONFIG_ADDRESS, ":7440", "\"127.0.0.1:7440\""},
		{CONFIG_ADDRESS, "http://10.0.0.5:80/", "\"10.0.0.5:80\""},
		{CONFIG_ADDRESS, "localhost:8080", "\"127.0.0.1:8080\""},
		{CONFIG_ADDRESS, "0.0.0.0:80a", NULL}, {CONFIG_ADDRESS, "::1", NULL},
		{CONFIG_HOST, "http://mesh:7440/x", "\"mesh:7440\""}, {CONFIG_HOST, "mesh", NULL},
		{CONFIG_STRING, "12", "\"12\""}, {CONFIG_FILE, "12", NULL}};
	static const struct config_key key = {.name = "k"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct buf text;

		buf_init(&text);
		bool good = config_respell(
			&key, table[i].type, slice_from_string(table[i].text), &text);

		if (good != (table[i].expected != NULL)) {
			print_error("%s: %s\n", table[i].text, buf_string(&text));
		}
		assert_true(good == (table[i].expected != NULL));
		if (good) {
			assert_string_equal(buf_string(&text), table[i].expected);
		}
		buf_fini(&text);
	}
}

static void in_range_only(void **state)
{
	static const struct config_key key = {.name = "k", .min = 1, .max = 64};
	static const struct config_key word = {.name = "k", .words = "inbound|outbound|service"};
	struct buf text;

	(void)state;
	buf_init(&text);
	assert_false(config_respell(&key, CONFIG_INT, SLICE("100"), &text));
	assert_true(config_respell(&word, CONFIG_WORD, SLICE("outbond"), &text));
	assert_string_equal(buf_string(&text), "\"outbound\"");
	assert_false(config_respell(&word, CONFIG_WORD, SLICE("x"), &text));
	buf_fini(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows),
		cmocka_unit_test(in_range_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
