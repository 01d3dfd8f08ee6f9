#include "base/assert.h"

#include "test_main.h"

struct outer {
	int before;
	int member;
};

static int evaluations;

static void fail_an_assertion(void)
{
	ASSERT(evaluations < 0);
}

static void test_false_condition_stops_the_process(void **state)
{
	(void)state;
	assert_true(test_aborts(fail_an_assertion));
}

static void test_condition_is_evaluated_once(void **state)
{
	(void)state;
	evaluations = 0;
	ASSERT(++evaluations == 1);
	assert_int_equal(evaluations, 1);
}

static void test_container_of(void **state)
{
	struct outer outer = {1, 2};
	int numbers[7];

	(void)state;
	assert_ptr_equal(container_of(&outer.member, struct outer, member), &outer);
	assert_int_equal(ARRAY_SIZE(numbers), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_false_condition_stops_the_process),
		cmocka_unit_test(test_condition_is_evaluated_once),
		cmocka_unit_test(test_container_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
