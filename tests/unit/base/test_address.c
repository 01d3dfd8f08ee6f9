#include "base/address.h"

#include "base/assert.h"
#include "test_main.h"

#define S(text) slice_from_string(text)

static void test_parse_and_format(void **state)
{
	static const struct {
		const char *text;
		const char *format; /* NULL: refused */
		const char *host;
		bool loopback;
		bool any;
	} rows[] = {
		{"10.0.0.5:7440", "10.0.0.5:7440", "10.0.0.5", false, false},
		{"127.9.8.7:1", "127.9.8.7:1", "127.9.8.7", true, false},
		{"0.0.0.0:65535", "0.0.0.0:65535", "0.0.0.0", false, true},
		{"[::1]:7440", "[::1]:7440", "::1", true, false},
		{"[::]:80", "[::]:80", "::", false, true},
		{"[2001:DB8::0:1]:80", "[2001:db8::1]:80", "2001:db8::1", false, false},
		{"[::ffff:127.0.0.1]:80", "[::ffff:127.0.0.1]:80", "::ffff:127.0.0.1", true, false},
		{"unix:/run/app.sock", "unix:/run/app.sock", "/run/app.sock", true, false},
		{"", NULL, NULL, false, false},
		{":80", NULL, NULL, false, false},
		{"10.0.0.5", NULL, NULL, false, false},
		{"10.0.0.5:", NULL, NULL, false, false},
		{"10.0.0.5:0", NULL, NULL, false, false},
		{"10.0.0.5:65536", NULL, NULL, false, false},
		{"10.0.0.5:000080", NULL, NULL, false, false},
		{"10.0.0.5:80 ", NULL, NULL, false, false},
		{"10.0.0.5:+80", NULL, NULL, false, false},
		{"10.0.0:80", NULL, NULL, false, false},
		{"10.0.0.256:80", NULL, NULL, false, false},
		{"010.0.0.1:80", NULL, NULL, false, false},
		{"localhost:80", NULL, NULL, false, false},
		{"::1:80", NULL, NULL, false, false},
		{"[::1]", NULL, NULL, false, false},
		{"[::1", NULL, NULL, false, false},
		{"[::1]80", NULL, NULL, false, false},
		{"[]:80", NULL, NULL, false, false},
		{"[10.0.0.1]:80", NULL, NULL, false, false},
		{"[::1%lo]:80", NULL, NULL, false, false},
		{"http://10.0.0.1:80", NULL, NULL, false, false},
		{"unix:", NULL, NULL, false, false},
		{"unix:/", NULL, NULL, false, false},
		{"unix:app.sock", NULL, NULL, false, false},
		{"unix:/0123456789012345678901234567890123456789012345678901234567890123456789"
		 "01234567890123456789012345678901234567",
			NULL, NULL, false, false},
	};
	char text[ADDRESS_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct address address;

		assert_int_equal(
			address_parse(S(rows[i].text), false, &address), rows[i].format != NULL);
		if (rows[i].format == NULL) {
			continue;
		}
		assert_string_equal(address_format(&address, text), rows[i].format);
		assert_string_equal(address_host(&address, text), rows[i].host);
		assert_int_equal(address_is_loopback(&address), rows[i].loopback);
		assert_int_equal(address_is_any(&address), rows[i].any);
	}
}

static void test_nul_bytes_are_refused(void **state)
{
	struct address address;

	(void)state;
	assert_false(address_parse(SLICE("10.0.0.1\0x:80"), false, &address));
	assert_false(address_parse(SLICE("unix:/run\0x"), false, &address));
}

static void test_ports_and_equality(void **state)
{
	struct address a;
	struct address b;
	struct address none = {0};
	char text[ADDRESS_TEXT_MAX];

	(void)state;
	assert_false(address_parse(S("10.0.0.1:0"), false, &a));
	assert_true(address_parse(S("10.0.0.1:0"), true, &a));
	assert_int_equal(address_port(&a), 0);
	address_set_port(&a, 7440);
	assert_int_equal(address_port(&a), 7440);
	assert_true(address_parse(S("10.0.0.1:7440"), false, &b));
	assert_true(address_equal(&a, &b));
	address_set_port(&b, 7441);
	assert_false(address_equal(&a, &b));
	assert_true(address_parse(S("[::1]:7440"), false, &a));
	address_set_port(&a, 9);
	assert_int_equal(address_port(&a), 9);
	assert_false(address_equal(&a, &b));
	assert_true(address_parse(S("[::1]:9"), false, &b));
	assert_true(address_equal(&a, &b));
	assert_true(address_parse(S("unix:/a"), false, &a));
	assert_true(address_parse(S("unix:/ab"), false, &b));
	assert_false(address_equal(&a, &b));
	assert_true(address_equal(&a, &a));
	assert_int_equal(address_port(&a), 0);
	assert_string_equal(address_format(&none, text), "");
	assert_false(address_equal(&none, &a));
	assert_false(address_is_loopback(&none));
}

static void test_split(void **state)
{
	static const struct {
		const char *text;
		const char *host; /* NULL: refused */
		uint16_t port;
	} rows[] = {
		{"orders:80", "orders", 80},
		{"a.example:65535", "a.example", 65535},
		{"[::1]:7440", "::1", 7440},
		{"10.0.0.1:1", "10.0.0.1", 1},
		{"orders", NULL, 0},
		{":80", NULL, 0},
		{"orders:", NULL, 0},
		{"orders:0", NULL, 0},
		{"orders:65536", NULL, 0},
		{"orders:8o", NULL, 0},
		{"a:b:80", NULL, 0},
		{"::1", NULL, 0},
		{"[::1]", NULL, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct slice host;
		uint16_t port;

		assert_int_equal(
			address_split(S(rows[i].text), &host, &port), rows[i].host != NULL);
		if (rows[i].host != NULL) {
			assert_true(slice_equal(host, S(rows[i].host)));
			assert_int_equal(port, rows[i].port);
		}
	}
}

static void test_prefixes(void **state)
{
	static const struct {
		const char *prefix;
		const char *address; /* NULL: the prefix is refused */
		bool match;
	} rows[] = {
		{"10.0.0.0/8", "10.255.1.2:1", true},
		{"10.0.0.0/8", "11.0.0.0:1", false},
		{"10.0.0.0/8", "[::ffff:10.1.1.1]:1", true},
		{"10.0.0.0/8", "[::1]:1", false},
		{"10.1.2.3", "10.1.2.3:99", true},
		{"10.1.2.3", "10.1.2.2:99", false},
		{"10.1.2.128/25", "10.1.2.200:9", true},
		{"10.1.2.128/25", "10.1.2.100:9", false},
		{"0.0.0.0/0", "1.2.3.4:5", true},
		{"0.0.0.0/0", "[2001:db8::1]:5", false},
		{"::/0", "[2001:db8::1]:5", true},
		{"::1", "[::1]:5", true},
		{"2001:db8::/33", "[2001:db8:7fff::1]:5", true},
		{"2001:db8::/33", "[2001:db8:8000::1]:5", false},
		{"::ffff:10.0.0.0/104", "10.9.9.9:1", true},
		{"10.0.0.0/8", "unix:/run/x", false},
		{"10.0.0.0/33", NULL, false},
		{"::/129", NULL, false},
		{"10.0.0.0/", NULL, false},
		{"10.0.0.0/x", NULL, false},
		{"10.0.0/8", NULL, false},
		{"", NULL, false},
		{"::ffff:10.0.0.0/8", NULL, false},
		{"host", NULL, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct address_prefix prefix;
		struct address address;

		assert_int_equal(
			address_prefix_parse(S(rows[i].prefix), &prefix), rows[i].address != NULL);
		if (rows[i].address != NULL) {
			assert_true(address_parse(S(rows[i].address), false, &address));
			assert_int_equal(address_prefix_match(&prefix, &address), rows[i].match);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_and_format),
		cmocka_unit_test(test_nul_bytes_are_refused),
		cmocka_unit_test(test_ports_and_equality),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_prefixes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
