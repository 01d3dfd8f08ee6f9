/*
 * Spellings of scalar values: accepted, refused, and written back (OT-04).
 */
#include "help.h"

#include "config/type.h"

static void durations(void **state)
{
	static const struct {
		const char *text;
		int64_t us; /* -1: refused */
	} rows[] = {{"0s", 0}, {"1us", 1}, {"250ms", 250000}, {"5s", 5000000}, {"2m", 120000000},
		{"1h", 3600000000}, {"007s", 7000000}, {"", -1}, {"5", -1}, {"s", -1}, {"1.5s", -1},
		{"1m30s", -1}, {"5S", -1}, {" 5s", -1}, {"5s ", -1}, {"-5s", -1}, {"5sec", -1},
		{"99999999999999999999s", -1}, {"9999999999999999h", -1}, {"1d", -1}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t us = -1;
		bool good = config_type_duration(slice_from_string(rows[i].text), &us);

		assert_true(good == (rows[i].us >= 0));
		assert_int_equal(us, rows[i].us);
	}
}

static void sizes(void **state)
{
	static const struct {
		const char *text;
		int64_t bytes;
	} rows[] = {{"0B", 0}, {"256B", 256}, {"64KiB", 65536}, {"1MiB", 1048576},
		{"4GiB", 4294967296}, {"64", -1}, {"64k", -1}, {"64KB", -1}, {"64kib", -1},
		{"KiB", -1}, {"1.5MiB", -1}, {"9999999999999GiB", -1}, {"1TiB", -1}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t bytes = (uint64_t)-1;
		bool good = config_type_size(slice_from_string(rows[i].text), &bytes);

		assert_true(good == (rows[i].bytes >= 0));
		assert_int_equal((int64_t)bytes, rows[i].bytes);
	}
}

static void percents_and_rates(void **state)
{
	static const struct {
		const char *text;
		int per_mille;
	} percents[] = {{"0%", 0}, {"20%", 200}, {"0.1%", 1}, {"99.9%", 999}, {"100%", 1000},
		{"100.0%", 1000}, {"100.1%", -1}, {"101%", -1}, {"20", -1}, {"0.25%", -1},
		{"%", -1}, {".5%", -1}, {"5.%", -1}, {"-1%", -1}};
	static const struct {
		const char *text;
		int64_t per_min;
	} rates[] = {{"100/s", 6000}, {"600/m", 600}, {"0/s", 0}, {"100", -1}, {"100/h", -1},
		{"/s", -1}, {"1.5/s", -1}, {"100 /s", -1}, {"9999999999/s", -1}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(percents); i++) {
		int value = -1;

		(void)config_type_percent(slice_from_string(percents[i].text), &value);
		assert_int_equal(value, percents[i].per_mille);
	}
	for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
		int64_t value = -1;

		(void)config_type_rate(slice_from_string(rates[i].text), &value);
		assert_int_equal(value, rates[i].per_min);
	}
}

static void names(void **state)
{
	static const char *const good[] = {
		"a", "0", "orders", "a.b", "a-b_c.d", "go.micro.srv.greeter"};
	static const char *const bad[] = {"", "A", "a-", "-a", ".", "a/b", "a b", "\xc3\xa9", "a."};
	char longest[255];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_true(config_type_name(slice_from_string(good[i])));
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_false(config_type_name(slice_from_string(bad[i])));
	}
	memset(longest, 'a', sizeof(longest));
	assert_true(config_type_name(slice_make(longest, 253)));
	assert_false(config_type_name(slice_make(longest, 254)));
}

static void egress(void **state)
{
	static const struct {
		const char *text;
		const char *host; /* NULL: refused */
		int port;
		bool prefix;
	} rows[] = {{"api.bank.example:443", "api.bank.example", 443, false},
		{"api.bank.example", "api.bank.example", 0, false},
		{"*.example.com:80", "*.example.com", 80, false},
		{"10.0.0.0/8", "10.0.0.0/8", 0, true}, {"10.1.2.3:80", "10.1.2.3", 80, true},
		{"10.1.2.3", "10.1.2.3", 0, true}, {"[::1]:80", "::1", 80, true},
		{"http://x", NULL, 0, false}, {"", NULL, 0, false}, {"a b", NULL, 0, false},
		{"x:99999", NULL, 0, false}};
	struct arena arena;

	(void)state;
	arena_init(&arena);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct config_egress_entry entry = {0};
		bool good = config_type_egress(&arena, slice_from_string(rows[i].text), &entry);

		assert_true(good == (rows[i].host != NULL));
		if (good) {
			assert_string_equal(entry.host, rows[i].host);
			assert_int_equal(entry.port, rows[i].port);
			assert_true(entry.is_prefix == rows[i].prefix);
		}
	}
	arena_fini(&arena);
}

static void words(void **state)
{
	(void)state;
	assert_int_equal(config_type_word_count("a|bb|c"), 3);
	assert_int_equal(config_type_word("a|bb|c", SLICE("bb")), 1);
	assert_int_equal(config_type_word("a|bb|c", SLICE("c")), 2);
	assert_int_equal(config_type_word("a|bb|c", SLICE("b")), -1);
	assert_int_equal(config_type_word("a|bb|c", SLICE("A")), -1);
	assert_int_equal(config_type_word("one", SLICE("one")), 0);
	assert_true(slice_equal(config_type_word_at("a|bb|c", 1), SLICE("bb")));
}

/* What is formatted is read back as the same value. */
static void formats_round(void **state)
{
	static const int64_t durations_ms[] = {
		1, 250, 999, 1000, 1500, 60000, 90000, 3600000, 5400000};
	static const uint64_t bytes[] = {1, 256, 1024, 1500, 65536, 1048576, 4294967296};
	static const struct config_key key = {.name = "k"};
	static const struct config_key off = {.name = "k", .flags = CONFIG_MAY_BE_OFF};
	struct buf text;
	int64_t zero = 0;

	(void)state;
	buf_init(&text);
	for (size_t i = 0; i < ARRAY_SIZE(durations_ms); i++) {
		int64_t us = 0;

		buf_clear(&text);
		config_type_format(&key, CONFIG_DURATION, &durations_ms[i], &text);
		assert_true(config_type_duration(slice_make(text.data + 1, text.size - 2), &us));
		assert_int_equal(us, durations_ms[i] * 1000);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bytes); i++) {
		uint64_t value = 0;

		buf_clear(&text);
		config_type_format(&key, CONFIG_SIZE, &bytes[i], &text);
		assert_true(config_type_size(slice_make(text.data + 1, text.size - 2), &value));
		assert_int_equal(value, bytes[i]);
	}
	buf_clear(&text);
	config_type_format(&off, CONFIG_DURATION, &zero, &text);
	assert_string_equal(buf_string(&text), "\"off\"");
	buf_clear(&text);
	config_type_quote(&text, SLICE("a\"b\\c\n\x01\xc3\xa9"));
	assert_string_equal(buf_string(&text), "\"a\\\"b\\\\c\\n\\u0001\xc3\xa9\"");
	buf_fini(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations),
		cmocka_unit_test(sizes),
		cmocka_unit_test(percents_and_rates),
		cmocka_unit_test(names),
		cmocka_unit_test(egress),
		cmocka_unit_test(words),
		cmocka_unit_test(formats_round),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
