#include "base/buf.h"

#include "test_main.h"

static void test_appending(void **state)
{
	struct buf buf;

	(void)state;
	buf_init(&buf);
	assert_int_equal(buf_slice(&buf).size, 0);
	assert_string_equal(buf_string(&buf), "");
	buf_append(&buf, NULL, 0);
	buf_append_string(&buf, "a");
	buf_append_byte(&buf, 'b');
	buf_append_slice(&buf, SLICE("cd"));
	buf_appendf(&buf, "%d-%s", 17, "x");
	assert_string_equal(buf_string(&buf), "abcd17-x");
	assert_int_equal(buf.size, 8);
	buf_clear(&buf);
	assert_int_equal(buf.size, 0);
	buf_fini(&buf);
	assert_null(buf.data);
}

static void test_growth_keeps_content(void **state)
{
	struct buf buf;
	char text[301];

	(void)state;
	memset(text, 'x', 300);
	text[300] = '\0';
	buf_init(&buf);
	for (int i = 0; i < 1000; i++) {
		buf_append_byte(&buf, (uint8_t)i);
	}
	/* A format that needs more room than is left at the first attempt. */
	buf_appendf(&buf, "%s%s%s%s", text, text, text, text);
	assert_int_equal(buf.size, 2200);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(buf.data[i], (uint8_t)i);
	}
	for (int i = 1000; i < 2200; i++) {
		assert_int_equal(buf.data[i], 'x');
	}
	memcpy(buf_reserve(&buf, 5), "hello", 5);
	buf.size += 5;
	assert_memory_equal(buf.data + 2200, "hello", 5);
	buf_fini(&buf);
}

static void test_json_escapes(void **state)
{
	static const struct {
		const char *in;
		const char *out;
	} rows[] = {
		{"", ""},
		{"plain /path?x=1", "plain /path?x=1"},
		{"a\"b\\c", "a\\\"b\\\\c"},
		{"\n\r\t", "\\n\\r\\t"},
		{"\x01\x1f\x7f", "\\u0001\\u001f\\u007f"},
		{"\x80\xff", "\\u0080\\u00ff"},
		{"\x1b[31m", "\\u001b[31m"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct buf buf;

		buf_init(&buf);
		buf_append_json_escaped(&buf, slice_from_string(rows[i].in));
		assert_string_equal(buf_string(&buf), rows[i].out);
		buf_fini(&buf);
	}
}

static void test_json_escapes_every_byte(void **state)
{
	struct buf buf;

	(void)state;
	buf_init(&buf);
	for (int i = 0; i < 256; i++) {
		uint8_t byte = (uint8_t)i;

		buf_append_json_escaped(&buf, slice_make(&byte, 1));
	}
	for (size_t i = 0; i < buf.size; i++) {
		assert_in_range(buf.data[i], 0x20, 0x7e);
	}
	buf_fini(&buf);
}

/* Texts are looked at eight bytes at a time: each byte at each place of one gives what it gives
 * alone. */
static void test_json_escapes_at_every_place(void **state)
{
	static const char around[] = "abcdefghijklmnopqrstu";

	(void)state;
	for (int byte = 0; byte < 256; byte++) {
		for (size_t place = 0; place < sizeof(around) - 1; place++) {
			uint8_t text[sizeof(around) - 1];
			struct buf alone;
			struct buf whole;

			memcpy(text, around, sizeof(text));
			text[place] = (uint8_t)byte;
			buf_init(&alone);
			buf_init(&whole);
			buf_append(&alone, around, place);
			buf_append_json_escaped(&alone, slice_make(text + place, 1));
			buf_append_string(&alone, around + place + 1);
			buf_append_json_escaped(&whole, slice_make(text, sizeof(text)));
			assert_string_equal(buf_string(&whole), buf_string(&alone));
			buf_fini(&alone);
			buf_fini(&whole);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_appending),
		cmocka_unit_test(test_growth_keeps_content),
		cmocka_unit_test(test_json_escapes),
		cmocka_unit_test(test_json_escapes_every_byte),
		cmocka_unit_test(test_json_escapes_at_every_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
