#include "test_main.h"

#include "base/utf8.h"

/* The first and last of every length, and their neighbours that RFC 3629 refuses. */
static void sequences(void **state)
{
	static const struct {
		const char *bytes;
		unsigned size;
	} rows[] = {{"A", 1}, {"\x7f", 1}, {"\x80", 0}, {"\xbf", 0}, {"\xc1\xbf", 0},
		{"\xc2\x80", 2}, {"\xdf\xbf", 2}, {"\xdf", 0}, {"\xdf\x41", 0}, {"\xe0\x9f\xbf", 0},
		{"\xe0\xa0\x80", 3}, {"\xed\x9f\xbf", 3}, {"\xed\xa0\x80", 0}, {"\xef\xbf\xbf", 3},
		{"\xef\xbf", 0}, {"\xef\xbf\xc0", 0}, {"\xf0\x8f\xbf\xbf", 0},
		{"\xf0\x90\x80\x80", 4}, {"\xf4\x8f\xbf\xbf", 4}, {"\xf4\x90\x80\x80", 0},
		{"\xf5\x80\x80\x80", 0}, {"\xff", 0}};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct slice text = slice_from_string(rows[i].bytes);

		assert_int_equal(utf8_sequence(text.data, text.data + text.size), rows[i].size);
		assert_int_equal(utf8_valid(text), rows[i].size > 0);
	}
	assert_true(utf8_valid(slice_make(NULL, 0)));
	assert_true(utf8_valid(slice_from_string("eight by\xc3\xa9"
						 "eight by")));
	assert_false(utf8_valid(slice_from_string("eight by\xc3"
						  "eight by")));
}

/* What is written is read as one sequence of the same bytes. */
static void written(void **state)
{
	static const struct {
		uint32_t point;
		const char *bytes;
	} rows[] = {{0x41, "A"}, {0x7f, "\x7f"}, {0x80, "\xc2\x80"}, {0x7ff, "\xdf\xbf"},
		{0x800, "\xe0\xa0\x80"}, {0xffff, "\xef\xbf\xbf"}, {0x10000, "\xf0\x90\x80\x80"},
		{0x10ffff, "\xf4\x8f\xbf\xbf"}};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint8_t bytes[4];
		size_t size = (size_t)(utf8_write(rows[i].point, bytes) - bytes);

		assert_true(slice_equal(slice_make(bytes, size), slice_from_string(rows[i].bytes)));
	}
}

static void hex_units(void **state)
{
	static const struct {
		const char *text;
		int32_t unit;
	} rows[] = {{"0000", 0}, {"00e9", 0xe9}, {"FFff", 0xffff}, {"D83d7", 0xd83d}, {"123", -1},
		{"", -1}, {"12g4", -1}, {"12:4", -1}, {"@234", -1}, {"`234", -1},
		{"\x10"
		 "234",
			-1}};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct slice text = slice_from_string(rows[i].text);

		assert_int_equal(utf8_hex_unit(text.data, text.data + text.size), rows[i].unit);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(sequences), cmocka_unit_test(written),
		cmocka_unit_test(hex_units)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
