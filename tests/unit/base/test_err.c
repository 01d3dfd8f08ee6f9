#include "base/err.h"

#include "test_main.h"

static void test_set_and_prefix(void **state)
{
	struct err err;

	(void)state;
	err_clear(&err);
	assert_int_equal(err.code, 0);
	err_set(&err, 1104, "expected %s", "a port");
	assert_int_equal(err.code, 1104);
	assert_string_equal(err.text, "expected a port");
	err_prefix(&err, "listener %d", 2);
	assert_string_equal(err.text, "listener 2: expected a port");
	err.line = 7;
	err_set(&err, 1001, "gone");
	assert_int_equal(err.line, 0);
	err_set(NULL, 1001, "nobody looks");
	err_prefix(NULL, "nobody");
}

static void test_long_texts_are_cut(void **state)
{
	struct err err;
	char text[2000];

	(void)state;
	memset(text, 'y', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	err_set(&err, 1, "%s", text);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	for (size_t size = 500; size < 520; size++) {
		err_set(&err, 1, "abcdef");
		err_prefix(&err, "%.*s", (int)size, text);
		assert_true(strlen(err.text) < sizeof(err.text));
	}
	err_set(&err, 1, "%s", text);
	err_prefix(&err, "p");
	assert_memory_equal(err.text, "p: yyy", 6);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_and_prefix),
		cmocka_unit_test(test_long_texts_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
