/*
 * The nearest word (CF-23): a table, and every single edit of every key of the table.
 */
#include "help.h"

#include "config/keys.h"
#include "config/nearest.h"

static void table(void **state)
{
	static const char *const words[] = {
		"retry", "timeout", "response_timeout", "limits", "draws"};
	static const struct {
		const char *word;
		int expected;
	} rows[] = {{"retry", 0}, {"retrys", 0}, {"rerty", 0}, {"RETRY", 0}, {"ret", -1},
		{"timeuot", 1}, {"response-timeout", 2}, {"responsetimeout", 2}, {"limit", 3},
		{"drwas", 4}, {"", -1}, {"x", -1}, {"something_else", -1}, {"tmeout", 1}};
	char longest[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(
			config_nearest(slice_from_string(rows[i].word), words, ARRAY_SIZE(words)),
			rows[i].expected);
	}
	memset(longest, 'r', sizeof(longest));
	assert_int_equal(config_nearest(slice_make(longest, 200), words, ARRAY_SIZE(words)), -1);
	assert_int_equal(config_nearest_word(SLICE("vote"), "client|learner|voter"), 2);
}

static void distances(void **state)
{
	(void)state;
	assert_int_equal(config_nearest_distance(SLICE("abcdef"), SLICE("abcdef")), 0);
	assert_int_equal(config_nearest_distance(SLICE("abcdef"), SLICE("bacdef")), 1);
	assert_int_equal(config_nearest_distance(SLICE("abcdef"), SLICE("abdcfe")), 2);
	assert_int_equal(config_nearest_distance(SLICE("abcdef"), SLICE("abc")), -1);
	assert_int_equal(config_nearest_distance(SLICE("a"), SLICE("b")), 1);
	assert_int_equal(config_nearest_distance(SLICE("ab"), SLICE("ba")), 1);
}

/* Every swap of two neighbours and every lost letter of a key is recognised as that key. */
static void misspelt_keys(void **state)
{
	size_t tried = 0;
	size_t right = 0;

	(void)state;
	for (size_t s = 0; s < CONFIG_SECTION_COUNT; s++) {
		const struct config_section *section = &config_sections[s];
		const char *names[64];

		assert_true(section->key_count <= ARRAY_SIZE(names));
		for (size_t i = 0; i < section->key_count; i++) {
			names[i] = section->keys[i].name;
		}
		for (size_t i = 0; i < section->key_count; i++) {
			size_t size = strlen(names[i]);

			for (size_t at = 0; at + 1 < size; at++) {
				char word[64];
				int found;

				snprintf(word, sizeof(word), "%s", names[i]);
				word[at] = names[i][at + 1];
				word[at + 1] = names[i][at];
				found = config_nearest(
					slice_make(word, size), names, section->key_count);
				tried++;
				right += found >= 0 && strcmp(names[found], names[i]) == 0;
				assert_true(found >= 0);

				memmove(word, names[i], at);
				memmove(word + at, names[i] + at + 1, size - at);
				found = config_nearest(
					slice_make(word, size - 1), names, section->key_count);
				tried++;
				right += found >= 0 && strcmp(names[found], names[i]) == 0;
			}
		}
	}
	assert_true(tried > 500);
	assert_true(right * 100 >= tried * 95);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),
		cmocka_unit_test(distances),
		cmocka_unit_test(misspelt_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
