/* Lists in their four forms (operations.md CL-03). */
#include "test_cli.h"

#define ITEMS                                                                                      \
	"{\"items\":[{\"name\":\"stock\",\"count\":2,\"load\":0.1234,\"ok\":true,\"tags\":[1,2]}," \
	"{\"name\":\"a\\u001b[31mb\",\"count\":12345,\"ok\":false,\"load\":null}],\"index\":7}"

static const struct column columns[] = {
	{"NAME", "name", false, false},
	{"COUNT", "count", true, false},
	{"LOAD", "load", false, true},
	{"TAGS", "tags", false, true},
	{"OK", "ok", false, false},
};

static const char *print(enum command_output output, const char *body)
{
	static struct capture captured;
	struct command command = {.verb = "x", .output = output};
	struct answer answer = {.status = 200};

	buf_init(&answer.body);
	buf_append_string(&answer.body, body);
	capture_begin(&captured);
	assert_int_equal(
		command_print_list(&command, &answer, columns, ARRAY_SIZE(columns)), CLI_DONE);
	capture_end(&captured);
	command_answer_fini(&answer);
	return captured.out;
}

static void tables(void **state)
{
	(void)state;
	/* Numbers stand right; bytes of others never drive the terminal; no value is a dash. */
	assert_string_equal(print(OUTPUT_TABLE, ITEMS), "NAME     COUNT  OK\n"
							"stock        2  yes\n"
							"a?[31mb  12345  no\n");
	assert_string_equal(print(OUTPUT_WIDE, ITEMS), "NAME     COUNT  LOAD   TAGS   OK\n"
						       "stock        2  0.123  [1,2]  yes\n"
						       "a?[31mb  12345  -      -      no\n");
	assert_string_equal(print(OUTPUT_TABLE, "{\"items\":[]}"), "NAME  COUNT  OK\n");
}

static void for_programs(void **state)
{
	(void)state;
	assert_string_equal(print(OUTPUT_JSON, ITEMS), ITEMS "\n");
	assert_string_equal(print(OUTPUT_JSONL, "{\"items\":[{\"a\":1},{\"b\":\"x\"}]}"),
		"{\"a\":1}\n{\"b\":\"x\"}\n");
}

static void odd_answers(void **state)
{
	(void)state;
	assert_string_equal(print(OUTPUT_TABLE, "no JSON"), "NAME  COUNT  OK\n");
	assert_string_equal(print(OUTPUT_TABLE, "{\"items\":[7,{}]}"),
		"NAME  COUNT  OK\n-         -  -\n-         -  -\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(tables), cmocka_unit_test(for_programs),
		cmocka_unit_test(odd_answers)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
