/* Who reads too slowly (operations.md AD-05): 30 KiB in 30 s, as long as something waits. */
#include "test_admin.h"

#include "admin/pace.h"

struct look {
	uint64_t now_ms, taken;
	bool waiting, slow;
};

static void check(const struct look *looks, size_t count)
{
	struct admin_pace pace = {0};

	for (size_t i = 0; i < count; i++) {
		if (admin_pace_too_slow(&pace, looks[i].now_ms, looks[i].taken, looks[i].waiting) !=
			looks[i].slow) {
			fail_msg("look %zu", i);
		}
	}
}

static void slow_or_not(void **state)
{
	/* Exactly the bound is enough; a byte less is not. */
	static const struct look enough[] = {{1000, 500, true, false}, {30999, 500, true, false},
		{31000, 500 + 30720, true, false}, {61000, 500 + 2 * 30720, true, false}};
	static const struct look short_of_it[] = {
		{1000, 500, true, false}, {31000, 500 + 30719, true, true}};
	/* A fast start does not pay for what follows: each period is judged alone. */
	static const struct look stalled[] = {
		{0, 0, true, false}, {30000, 1000000, true, false}, {60000, 1000001, true, true}};
	/* Nothing waited in between: the time before does not count. */
	static const struct look drained[] = {{0, 0, true, false}, {29000, 100, false, false},
		{40000, 100, true, false}, {69000, 100, true, false}, {70000, 100, true, true}};
	static const struct look idle[] = {
		{0, 100, false, false}, {100000, 100, false, false}, {200000, 100, true, false}};

	(void)state;
	check(enough, sizeof enough / sizeof *enough);
	check(short_of_it, sizeof short_of_it / sizeof *short_of_it);
	check(stalled, sizeof stalled / sizeof *stalled);
	check(drained, sizeof drained / sizeof *drained);
	check(idle, sizeof idle / sizeof *idle);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(slow_or_not)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
