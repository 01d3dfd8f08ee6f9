#include "../base/test_main.h"
#include "base/assert.h"
#include "http/token.h"

/* Every name of tokens.def is found, spelled alike but for case, and in order. */
static void test_all(void **state)
{
	(void)state;
	for (int i = TOKEN_NONE + 1; i < TOKEN_COUNT; i++) {
		enum token token = (enum token)i;
		struct slice name = token_name(token);

		assert_int_equal(token_find(name), token);
		assert_true(slice_equal_fold(name, token_spelling(token)));
		for (size_t k = 0; k < name.size; k++) {
			assert_false(name.data[k] >= 'A' && name.data[k] <= 'Z');
		}
		if (i > TOKEN_NONE + 1) {
			assert_true(slice_compare(token_name((enum token)(i - 1)), name) < 0);
		}
	}
}

static void test_unknown(void **state)
{
	static const char *const names[] = {"", "x", "hos", "hostx", "Host", "content-lengt",
		"content-lengthx", "content_length", "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(token_find(slice_from_string(names[i])), TOKEN_NONE);
	}
}

/* F-05 */
static void test_guarded(void **state)
{
	static const struct {
		const char *name;
		bool guarded;
	} cases[] = {{"content-length", true}, {"transfer-encoding", true}, {"host", true},
		{"connection", true}, {"te", true}, {"upgrade", true}, {"trailer", true},
		{"authorization", true}, {"cookie", true}, {"via", true}, {"forwarded", true},
		{"x-forwarded-", true}, {"x-forwarded-for", true}, {"x-real-ip", true},
		{"x-request-id", true}, {"x-pillion-any", true}, {"grpc-status", true},
		{"micro-topic", true}, {"", false}, {"hosts", false}, {"x-forwarded", false},
		{"grpc", false}, {"accept", false}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(
			token_guarded_name(slice_from_string(cases[i].name)), cases[i].guarded);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_guarded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
