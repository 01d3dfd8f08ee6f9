/*
 * Forms of single strings.
 */
#include "help.h"

#include "config/keys.h"

struct row {
	const char *(*form)(struct slice text);
	const char *text;
	bool good;
};

static const struct row rows[] = {
	{config_form_path, "/", true},
	{config_form_path, "/a?b=c", true},
	{config_form_path, "a", false},
	{config_form_path, "", false},
	{config_form_path, "/a b", false},
	{config_form_path, "/a#b", false},
	{config_form_path, "/\xc3\xa9", false},
	{config_form_version, "1.0+x", true},
	{config_form_version, "", false},
	{config_form_version, "a b", false},
	{config_form_uuid, "6f1c4f0e-2b7a-4f7e-9a51-0d3c8e5b7a10", true},
	{config_form_uuid, "6f1c4f0e-2b7a-4f7e-9a51-0d3c8e5b7a1", false},
	{config_form_uuid, "6f1c4f0e02b7a04f7e09a5100d3c8e5b7a10", false},
	{config_form_uuid, "6f1c4f0e-2b7a-4f7e-9a51-0d3c8e5b7aZZ", false},
	{config_form_uuid_prefix, "6f1c4f0e", true},
	{config_form_uuid_prefix, "6F1C4f0e-2b7", true},
	{config_form_uuid_prefix, "6f1c4f0e-2b7a-4f7e-9a51-0d3c8e5b7a10", true},
	{config_form_uuid_prefix, "6f1c4f0", false},
	{config_form_uuid_prefix, "6f1c4f0e2", false},
	{config_form_uuid_prefix, "6f1c4f0g", false},
	{config_form_uuid_prefix, "6f1c4f0e-2b7a-4f7e-9a51-0d3c8e5b7a100", false},
	{config_form_group, "A-b_9", true},
	{config_form_group, "", false},
	{config_form_group, "a.b", false},
	{config_form_group, "dlq", false},
	{config_form_pattern, "a", true},
	{config_form_pattern, "a.*.c", true},
	{config_form_pattern, "a.>", true},
	{config_form_pattern, ">", true},
	{config_form_pattern, "a.dlq", true},
	{config_form_pattern, ">.a", false},
	{config_form_pattern, "a..b", false},
	{config_form_pattern, ".a", false},
	{config_form_pattern, "a.", false},
	{config_form_pattern, "a*", false},
	{config_form_pattern, "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16", true},
	{config_form_pattern, "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17", false},
	{config_form_push, "/x", true},
	{config_form_push, "http://127.0.0.1:80/x", true},
	{config_form_push, "http://127.0.0.1:80", true},
	{config_form_push, "http://localhost:80/x", true},
	{config_form_push, "http://[::1]:80/x", true},
	{config_form_push, "unix:/run/a.sock:/x", true},
	{config_form_push, "unix:/run/a.sock", false},
	{config_form_push, "unix:/:x", false},
	{config_form_push, "http://10.0.0.1:80/x", false},
	{config_form_push, "http://localhost:0/x", false},
	{config_form_push, "http://localhost/x", false},
	{config_form_push, "https://127.0.0.1:80/x", false},
	{config_form_push, "x", false},
	{config_form_push, "", false},
	{config_form_header, "x-a", true},
	{config_form_header, "X-A", false},
	{config_form_header, "", false},
	{config_form_header, "a b", false},
	{config_form_header, "a:", false},
	{config_form_origin, "https://a.example", true},
	{config_form_origin, "http://a:80", true},
	{config_form_origin, "a.example", false},
	{config_form_origin, "https://a/", false},
	{config_form_origin, "https://a/b", false},
	{config_form_host, "a.b:80", true},
	{config_form_host, "[::1]:80", true},
	{config_form_host, "a/b", false},
	{config_form_host, "", false},
};

static void table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *expected = rows[i].form(slice_from_string(rows[i].text));

		if ((expected == NULL) != rows[i].good) {
			print_error("%s\n", rows[i].text);
		}
		assert_true((expected == NULL) == rows[i].good);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(table)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
