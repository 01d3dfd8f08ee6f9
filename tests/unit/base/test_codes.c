#include "base/codes.h"

#include "base/assert.h"
#include "test_main.h"

/* The list may be read with one of its two macros alone. */
static const char *const only_words[] = {
#define REASON(word, pil, http, grpc, outcome, stage, text, fix) #word,
#include "base/codes.def"
};

static const unsigned only_numbers[] = {
#define CODE(pil, slug, severity, stage, cause, fix) pil,
#include "base/codes.def"
};

static void test_words(void **state)
{
	enum reason reason = REASON_ok;

	(void)state;
	assert_int_equal(ARRAY_SIZE(only_words), REASON_COUNT);
	assert_int_equal(REASON_ok, 0);
	for (size_t i = 0; i < REASON_COUNT; i++) {
		assert_true(reason_from_word(slice_from_string(only_words[i]), &reason));
		assert_int_equal(reason, i);
		assert_string_equal(reason_word(reason), only_words[i]);
	}
	assert_false(reason_from_word(SLICE("no_such_word"), &reason));
	assert_false(reason_from_word(SLICE(""), &reason));
}

static void test_rows_are_complete(void **state)
{
	(void)state;
	for (size_t i = 0; i < REASON_COUNT; i++) {
		const struct reason_info *info = reason_info((enum reason)i);

		assert_true(strlen(info->text) > 5 && strlen(info->fix) > 3);
		assert_true(info->text[strlen(info->text) - 1] != '.');
		assert_true(info->stage == 1 || info->stage == 2);
		assert_true(info->http == 0 || (info->http >= 400 && info->http < 600));
		/* reasons.md RE-01: 503 and gRPC 14 always mean "not processed". */
		if (info->http == 503 || (info->http != 0 && info->grpc == 14)) {
			assert_int_equal(info->outcome, OUTCOME_NOT_PROCESSED);
		}
		if (info->pil != 0) {
			assert_in_range(info->pil, 5000, 5199);
			assert_ptr_equal(reason_info_by_pil(info->pil), info);
			assert_null(code_info(info->pil));
		}
	}
	assert_null(reason_info_by_pil(0));
	assert_null(reason_info_by_pil(4999));
}

static void test_codes(void **state)
{
	size_t count = 0;

	(void)state;
	for (const struct code_info *info; (info = code_at(count)) != NULL; count++) {
		assert_int_equal(info->pil, only_numbers[count]);
		assert_ptr_equal(code_info(info->pil), info);
		assert_true(strlen(info->slug) > 3);
		assert_true(strlen(info->cause) > 5 && strlen(info->fix) > 3);
	}
	assert_int_equal(count, ARRAY_SIZE(only_numbers));
	assert_string_equal(code_info(2001)->slug, "address_in_use");
	assert_null(code_info(1));
}

static void test_known_rows(void **state)
{
	(void)state;
	assert_int_equal(reason_info(REASON_connect_refused)->pil, 5032);
	assert_int_equal(reason_info(REASON_unsupported_durability)->pil, 5088);
	assert_int_equal(reason_info(REASON_bad_target)->pil, 5106);
	assert_int_equal(reason_info(REASON_memory_full)->pil, 5140);
	assert_int_equal(reason_info(REASON_shutdown)->http, 0);
	assert_int_equal(reason_info(REASON_loop)->http, 508);
	assert_string_equal(outcome_word(OUTCOME_NOT_PROCESSED), "not-processed");
	assert_string_equal(outcome_word(OUTCOME_UNKNOWN), "unknown");
	assert_string_equal(outcome_word(OUTCOME_PROCESSED), "processed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_rows_are_complete),
		cmocka_unit_test(test_codes),
		cmocka_unit_test(test_known_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
