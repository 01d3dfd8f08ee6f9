/*
 * The scanner (OT-01, OT-02): rows of valid and invalid texts, each also cut at every byte;
 * positions in original bytes; blanked copies of the same length; random texts with comments
 * against jansson.
 */
#include "help.h"

#include <stdlib.h>

#include <jansson.h>

#include "config/scan.h"

struct row {
	const char *text;
	unsigned code; /* of the first problem; 0: accepted */
	int line;
	int column;
};

static const struct row rows[] = {
	/* Values of every kind. */
	{"{}", 0, 0, 0},
	{"[]", 0, 0, 0},
	{"1", 0, 0, 0},
	{" \t\r\n{ } \n", 0, 0, 0},
	{"\"a\"", 0, 0, 0},
	{"true", 0, 0, 0},
	{"false", 0, 0, 0},
	{"null", 0, 0, 0},
	{"-0", 0, 0, 0},
	{"-12", 0, 0, 0},
	{"9223372036854775807", 0, 0, 0},
	{"-9223372036854775808", 0, 0, 0},
	{"1.5", 0, 0, 0},
	{"1e3", 0, 0, 0},
	{"1E+3", 0, 0, 0},
	{"1.25e-3", 0, 0, 0},
	{"{\"a\":{\"b\":[1,2,{\"c\":null}]}}", 0, 0, 0},
	{"[1,[2,[3]],\"x\"]", 0, 0, 0},
	{"{\"a\":1,\"b\":2}", 0, 0, 0},
	/* Comments and trailing commas. */
	{"// c\n{}", 0, 0, 0},
	{"{}// c", 0, 0, 0},
	{"{} // c\n// d", 0, 0, 0},
	{"/* c */{}", 0, 0, 0},
	{"{/* c */}", 0, 0, 0},
	{"{/*/*/}", 0, 0, 0},
	{"{\"a\"/*x*/:/*y*/1/*z*/}", 0, 0, 0},
	{"{\"a\":1,}", 0, 0, 0},
	{"{\"a\":1, /* x */ }", 0, 0, 0},
	{"{\"a\":1 // x\n, // y\n}", 0, 0, 0},
	{"[1,]", 0, 0, 0},
	{"[1,\n]", 0, 0, 0},
	{"/**/{}/***/", 0, 0, 0},
	{"{\"a\":\"// no comment\"}", 0, 0, 0},
	{"{\"a\":\"/* no comment */\"}", 0, 0, 0},
	{"{\"a\":\"# no comment\"}", 0, 0, 0},
	{"{\"/*\":\"*/\"}", 0, 0, 0},
	/* Strings. */
	{"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", 0, 0, 0},
	{"\"\\u00e9\\u20AC\"", 0, 0, 0},
	{"\"\\ud83d\\ude00\"", 0, 0, 0},
	{"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"", 0, 0, 0},
	{"{\"\\u0061\":1}", 0, 0, 0},
	{"\"\x7f\"", 0, 0, 0},
	/* BOM, CRLF, tabs. */
	{"\xef\xbb\xbf{}", 0, 0, 0},
	{"{\r\n\"a\":1\r\n}\r\n", 0, 0, 0},
	/* PIL1010: unexpected. */
	{"", 1010, 1, 1},
	{"   ", 1010, 1, 4},
	{"// only\n", 1010, 2, 1},
	{"{", 1010, 1, 2},
	{"[", 1010, 1, 2},
	{"{\"a\"", 1010, 1, 5},
	{"{\"a\":", 1010, 1, 6},
	{"{\"a\":1", 1010, 1, 7},
	{"[1", 1010, 1, 3},
	{"[1,", 1010, 1, 4},
	{"[,1]", 1010, 1, 2},
	{"[1,,2]", 1010, 1, 4},
	{"{,}", 1010, 1, 2},
	{"{\"a\" 1}", 1010, 1, 6},
	{"{\"a\":}", 1010, 1, 6},
	{"{\"a\"::1}", 1010, 1, 6},
	{"{1:2}", 1010, 1, 2},
	{"{\"a\":1]", 1010, 1, 7},
	{"[1}", 1010, 1, 3},
	{"{\"a\":1;}", 1010, 1, 7},
	{"tru", 1010, 1, 1},
	{"True", 1010, 1, 1},
	{"nul", 1010, 1, 1},
	{"yes", 1010, 1, 1},
	{"{\"a\":orders}", 1010, 1, 6},
	{"+1", 1010, 1, 1},
	{".5", 1010, 1, 1},
	{"1.", 1010, 1, 1},
	{"-", 1010, 1, 1},
	{"1e", 1010, 1, 1},
	{"80a", 1010, 1, 1},
	{"{\"a\": 80a}", 1010, 1, 7},
	{"-010", 1010, 1, 1},
	{"\"\\x\"", 1010, 1, 2},
	{"\"\\u12\"", 1010, 1, 2},
	{"\"\\u12g4\"", 1010, 1, 2},
	{"/", 1010, 1, 1},
	{"{\"a\":1 / 2}", 1010, 1, 8},
	{"\xc2\xa0{}", 1010, 1, 1},
	{"{\xe2\x80\x9c"
	 "a\xe2\x80\x9d:1}",
		1010, 1, 2},
	/* PIL1011: no end, shown at the start. */
	{"/* x", 1011, 1, 1},
	{"{\"a\":1 /* x }", 1011, 1, 8},
	{"{}\n/* x *", 1011, 2, 1},
	{"/*/", 1011, 1, 1},
	{"\"abc", 1011, 1, 1},
	{"{\"a\":\"b\n\"}", 1011, 1, 6},
	{"{\"a", 1011, 1, 2},
	{"{\"a\\\"", 1011, 1, 2},
	{"'abc", 1011, 1, 1},
	/* PIL1012: bytes and numbers. */
	{"\"\x01\"", 1012, 1, 2},
	{"\"a\tb\"", 1012, 1, 3},
	{"\"\xff\"", 1012, 1, 2},
	{"\"\xc0\x80\"", 1012, 1, 2},
	{"\"\xed\xa0\x80\"", 1012, 1, 2},
	{"\"\xf4\x90\x80\x80\"", 1012, 1, 2},
	{"\"\xe2\x82\"", 1012, 1, 2},
	{"// \xff\n{}", 1012, 1, 4},
	{"\"\\u0000\"", 1012, 1, 2},
	{"\"\\ud800\"", 1012, 1, 2},
	{"\"\\udc00\"", 1012, 1, 2},
	{"\"\\ud800\\u0041\"", 1012, 1, 2},
	{"9223372036854775808", 1012, 1, 1},
	{"-9223372036854775809", 1012, 1, 1},
	{"1e999", 1012, 1, 1},
	/* PIL1014: both places. */
	{"{\"a\":1,\"a\":2}", 1014, 1, 8},
	{"{\"a\":1,\"\\u0061\":2}", 1014, 1, 8},
	{"{\"x\":{\"a\":1,\n\"a\":2}}", 1014, 2, 1},
	/* PIL1015: more text. */
	{"{} {}", 1015, 1, 4},
	{"{}}", 1015, 1, 3},
	{"1 2", 1015, 1, 3},
	{"[] ,", 1015, 1, 4},
	/* PIL1016: read as meant. */
	{"{'a':1}", 1016, 1, 2},
	{"{\"a\":'b'}", 1016, 1, 6},
	{"{a:1}", 1016, 1, 2},
	{"{_a-b.c:1}", 1016, 1, 2},
	{"# c\n{}", 1016, 1, 1},
	{"{} # c", 1016, 1, 4},
	{"{\"a\":1 \"b\":2}", 1016, 1, 7},
	{"[1 2]", 1016, 1, 3},
	{"[{} {}]", 1016, 1, 4},
	{"[\"a\" \"b\"]", 1016, 1, 5},
	{"{\"a\":0x1F}", 1016, 1, 6},
	{"{\"a\":010}", 1016, 1, 6},
	{"[007]", 1016, 1, 2},
	/* Columns are code points of the original bytes; a tab is one; LF alone ends a line. */
	{"{\"port\":80,/*\xc3\xa9*/\"x\":[1,2,],,}", 1010, 1, 28},
	{"{\t\t\"a\" 1}", 1010, 1, 8},
	{"{\r\n\"a\":1,\r\n  ?}", 1010, 3, 3},
	{"\xef\xbb\xbf{?}", 1010, 1, 2},
	{"{\"\xf0\x9f\x98\x80\":?}", 1010, 1, 6},
};

struct run {
	struct arena arena;
	struct config_report report;
	struct config_scan scan;
	bool good;
};

static void start(struct run *run, struct slice text)
{
	arena_init(&run->arena);
	config_report_init(&run->report);

	struct config_source *source =
		config_node_source(&run->arena, "t.json", arena_copy(&run->arena, text));

	source->is_file = true;
	run->good = config_scan(source, &run->report, &run->scan);
}

static void stop(struct run *run)
{
	config_report_fini(&run->report);
	arena_fini(&run->arena);
}

/* The copy is as long, and every line end is where it was. */
static void check_blanked(const struct run *run, struct slice text)
{
	assert_int_equal(run->scan.blanked.size, text.size);
	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] == '\n' || text.data[i] == '\r') {
			assert_int_equal(run->scan.blanked.data[i], text.data[i]);
		} else {
			assert_true(run->scan.blanked.data[i] == text.data[i] ||
				    run->scan.blanked.data[i] == ' ');
		}
	}
	assert_true(run->good == (run->scan.root != NULL));
	assert_true(run->good == (run->report.errors == 0));
}

/* The recorded range of every value is a text of its own with the same value. */
static void check_ranges(const struct config_node *node)
{
	struct slice whole = node->source->text;
	struct run run;

	start(&run, slice_make(whole.data + node->span.start, node->span.end - node->span.start));
	assert_true(run.good);
	assert_int_equal(run.scan.root->kind, node->kind);
	assert_int_equal(run.scan.root->count, node->count);
	if (node->kind == CONFIG_NODE_STRING) {
		assert_true(slice_equal(run.scan.root->text, node->text));
	}
	if (node->kind == CONFIG_NODE_INTEGER) {
		assert_int_equal(run.scan.root->integer, node->integer);
	}
	stop(&run);
	for (const struct config_node *child = node->first; child != NULL; child = child->next) {
		check_ranges(child);
	}
}

static void rows_as_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct slice text = slice_from_string(rows[i].text);
		struct run run;

		start(&run, text);
		check_blanked(&run, text);
		if (run.good != (rows[i].code == 0)) {
			print_error("row %zu: %s\n", i, rows[i].text);
		}
		assert_true(run.good == (rows[i].code == 0));
		if (!run.good) {
			const struct config_problem *problem = &run.report.problems[0];

			if (problem->code != rows[i].code || problem->place.line != rows[i].line ||
				problem->place.column != rows[i].column) {
				print_error("row %zu: %s: PIL%u %d:%d\n", i, rows[i].text,
					problem->code, problem->place.line, problem->place.column);
			}
			assert_int_equal(problem->code, rows[i].code);
			assert_int_equal(problem->place.line, rows[i].line);
			assert_int_equal(problem->place.column, rows[i].column);
		} else {
			check_ranges(run.scan.root);
		}
		stop(&run);
	}
}

/* No prefix crashes or reads past its end, and none is called an error of this program. */
static void rows_cut_at_every_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t size = strlen(rows[i].text);

		for (size_t cut = 0; cut < size; cut++) {
			uint8_t *exact = malloc(cut + 1);
			struct run run;

			memcpy(exact, rows[i].text, cut);
			start(&run, slice_make(exact, cut));
			check_blanked(&run, slice_make(exact, cut));
			for (size_t j = 0; j < run.report.count; j++) {
				assert_int_not_equal(run.report.problems[j].code, 9001);
			}
			stop(&run);
			free(exact);
		}
	}
}

/* The bytes of CF-03. */
static void example_is_blanked(void **state)
{
	static const char original[] = "{\"port\":80,/*\xc3\xa9*/\"x\":[1,2,],}";
	static const char blanked[] = "{\"port\":80,      \"x\":[1,2 ] }";
	struct run run;

	(void)state;
	start(&run, slice_from_string(original));
	assert_true(run.good);
	assert_true(slice_equal(run.scan.blanked, slice_from_string(blanked)));

	const struct config_node *x = config_node_find(run.scan.root, SLICE("/x"));
	struct config_place place = config_node_place(x->source, x->key_span);

	assert_int_equal(place.line, 1);
	assert_int_equal(place.column, 17);
	assert_int_equal(place.end_column, 20);
	stop(&run);
}

static void depth_is_bounded(void **state)
{
	char text[80];

	(void)state;
	for (size_t depth = 30; depth <= 36; depth++) {
		struct run run;

		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		start(&run, slice_make(text, depth * 2));
		assert_true(run.good == (depth <= CONFIG_DEPTH_MAX));
		if (!run.good) {
			assert_int_equal(run.report.problems[0].code, 1013);
			assert_int_equal(run.report.problems[0].place.column, 33);
		}
		stop(&run);
	}
}

static void mistakes_are_bounded(void **state)
{
	struct buf text;
	struct run run;

	(void)state;
	buf_init(&text);
	buf_append_byte(&text, '{');
	for (int i = 0; i < 30; i++) {
		buf_appendf(&text, "a%d:1,", i);
	}
	buf_append_byte(&text, '}');
	start(&run, buf_slice(&text));
	assert_false(run.good);
	assert_int_equal(run.report.errors, CONFIG_MISTAKE_MAX);
	stop(&run);
	buf_fini(&text);
}

/* Several mistakes of one file are seen in one run (CF-06). */
static void mistakes_go_on(void **state)
{
	struct run run;

	(void)state;
	start(&run, SLICE("{ a: 'x', # c\n \"b\": 010 \"c\": 0x1f, \"d\": [1 2] }"));
	assert_int_equal(run.report.errors, 7);
	for (size_t i = 0; i < run.report.count; i++) {
		assert_int_equal(run.report.problems[i].code, 1016);
		assert_non_null(run.report.problems[i].fix);
	}
	stop(&run);
}

static void duplicate_shows_both(void **state)
{
	struct run run;

	(void)state;
	start(&run, SLICE("{\n \"a\": 1,\n \"b\": 2,\n \"a\": 3\n}"));
	assert_int_equal(run.report.count, 1);
	assert_int_equal(run.report.problems[0].place.line, 4);
	assert_true(run.report.problems[0].has_related);
	assert_int_equal(run.report.problems[0].related.line, 2);
	assert_string_equal(run.report.problems[0].pointer, "/a");
	stop(&run);
}

/* A text of random JSON, once plain and once with comments and trailing commas strewn in. */
struct random_text {
	uint64_t seed;
	struct buf plain;
	struct buf decorated;
};

static unsigned draw(struct random_text *text, unsigned bound)
{
	text->seed ^= text->seed << 13;
	text->seed ^= text->seed >> 7;
	text->seed ^= text->seed << 17;
	return (unsigned)(text->seed >> 33) % bound;
}

static void both(struct random_text *text, const char *piece)
{
	buf_append_string(&text->plain, piece);
	buf_append_string(&text->decorated, piece);
}

static void decorate(struct random_text *text)
{
	static const char *const pieces[] = {
		" ", "\n", "/* \" { */", "// ] , \" \n", "\t", "/*\xc3\xa9\n*/", "\r\n", "/***/"};

	for (unsigned i = draw(text, 3); i > 0; i--) {
		buf_append_string(&text->decorated, pieces[draw(text, ARRAY_SIZE(pieces))]);
	}
}

static void random_value(struct random_text *text, int depth)
{
	static const char *const scalars[] = {"1", "-20", "0", "1.5", "true", "false", "null",
		"\"\"", "\"a\"", "\"// x\"", "\"/* y */\"", "\"\\u00e9\\\"\"", "\"\xc3\xa9\"",
		"1e5"};
	unsigned kind = depth > 4 ? 0 : draw(text, 4);
	unsigned count = draw(text, 4);
	char key[16];

	decorate(text);
	if (kind < 2) {
		both(text, scalars[draw(text, ARRAY_SIZE(scalars))]);
		decorate(text);
		return;
	}
	both(text, kind == 2 ? "[" : "{");
	decorate(text);
	for (unsigned i = 0; i < count; i++) {
		if (kind == 3) {
			snprintf(key, sizeof(key), "\"k%u\"", i);
			both(text, key);
			decorate(text);
			both(text, ":");
		}
		random_value(text, depth + 1);
		if (i + 1 < count) {
			both(text, ",");
			decorate(text);
		}
	}
	if (count > 0 && draw(text, 2) == 0) {
		buf_append_byte(&text->decorated, ',');
		decorate(text);
	}
	both(text, kind == 2 ? "]" : "}");
	decorate(text);
}

/* OT-02: what jansson reads from the blanked copy equals what it reads without the decoration. */
static void random_comments_change_nothing(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 2000; seed++) {
		struct random_text text = {.seed = seed * 0x9e3779b97f4a7c15u};
		struct run run;

		buf_init(&text.plain);
		buf_init(&text.decorated);
		random_value(&text, 0);
		start(&run, buf_slice(&text.decorated));
		if (!run.good) {
			print_error("seed %llu: %s\n", (unsigned long long)seed,
				buf_string(&text.decorated));
		}
		assert_true(run.good);

		json_t *plain = json_loadb(
			(const char *)text.plain.data, text.plain.size, JSON_DECODE_ANY, NULL);
		json_t *blanked = json_loadb((const char *)run.scan.blanked.data,
			run.scan.blanked.size, JSON_DECODE_ANY, NULL);

		assert_non_null(plain);
		assert_true(json_equal(plain, blanked));
		json_decref(plain);
		json_decref(blanked);
		stop(&run);
		buf_fini(&text.plain);
		buf_fini(&text.decorated);
	}
}

/* One line of megabytes: only a piece of it is shown, and nothing takes quadratic time. */
static void long_line_is_cut(void **state)
{
	struct buf text;
	struct run run;
	struct buf printed;

	(void)state;
	buf_init(&text);
	buf_init(&printed);
	buf_append_byte(&text, '{');
	for (int i = 0; i < 20000; i++) {
		buf_appendf(&text, "\"key%d\":\"\xc3\xa9\xc3\xa9\",", i);
	}
	buf_append_string(&text, "\"key7\":1}");
	start(&run, buf_slice(&text));
	assert_int_equal(run.report.count, 1);
	assert_true(strlen(run.report.problems[0].place.source) <= 200);
	config_report_print(&run.report, CONFIG_REPORT_TEXT, &printed);
	assert_true(printed.size < 2000);
	stop(&run);
	buf_fini(&text);
	buf_fini(&printed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_as_written),
		cmocka_unit_test(rows_cut_at_every_byte),
		cmocka_unit_test(example_is_blanked),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(mistakes_are_bounded),
		cmocka_unit_test(mistakes_go_on),
		cmocka_unit_test(duplicate_shows_both),
		cmocka_unit_test(random_comments_change_nothing),
		cmocka_unit_test(long_line_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
