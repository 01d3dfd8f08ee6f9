/* The words of reasons.md 3, and sets of records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "upstream/registry.h"

static void test_words(void **state)
{
	static const char *const words[] = {"ok", "invalid", "denied", "not_found", "taken",
		"conflict", "not_caught_up", "quota", "retry_later", "no_quorum", "disk_full",
		"maybe", "unavailable"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		assert_string_equal(registry_code_word((enum registry_code)i), words[i]);
	}
	assert_int_equal(ARRAY_SIZE(words), REGISTRY_UNAVAILABLE + 1);
}

/* mesh.md 0, registry.md RA-01 */
static void test_text(void **state)
{
	char text[REGISTRY_TEXT_MAX];

	(void)state;
	assert_string_equal(
		registry_text(REGISTRY_LIVE, 812, 3249, text), "idx=812;age=3.2s;mode=live");
	assert_string_equal(registry_text(REGISTRY_CONNECTING, UINT64_MAX, UINT64_MAX, text),
		"idx=18446744073709551615;age=18446744073709551.6s;mode=connecting");
}

static void test_record_set(void **state)
{
	struct record_set *set = record_set_create("/ps/group/a", 2);
	uint8_t bytes[] = "value";

	(void)state;
	set->records[0].key = record_set_copy(set, SLICE("k"));
	set->records[0].value = record_set_copy(set, slice_make(bytes, 5));
	bytes[0] = 'x';
	assert_true(slice_equal(set->records[0].value, SLICE("value")));
	assert_int_equal(set->records[1].value.size, 0);
	assert_string_equal(set->name, "/ps/group/a");
	assert_ptr_equal(record_set_ref(set), set);
	record_set_unref(set);
	assert_true(slice_equal(set->records[0].key, SLICE("k")));
	record_set_unref(set);
	record_set_unref(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_record_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
