/*
 * The tree of what was written: pointers (RFC 6901), setting, places (CF-04).
 */
#include "help.h"

#include "config/scan.h"

struct tree {
	struct arena arena;
	struct config_report report;
	struct config_source *source;
	struct config_node *root;
};

static void grow(struct tree *tree, const char *text)
{
	struct config_scan scan;

	arena_init(&tree->arena);
	config_report_init(&tree->report);
	tree->source = config_node_source(&tree->arena, "t.json", slice_from_string(text));
	tree->source->is_file = true;
	assert_true(config_scan(tree->source, &tree->report, &scan));
	tree->root = scan.root;
}

static void fell(struct tree *tree)
{
	config_report_fini(&tree->report);
	arena_fini(&tree->arena);
}

static void pointers(void **state)
{
	static const struct {
		const char *pointer;
		bool there;
	} rows[] = {{"", true}, {"/a", true}, {"/a/0", true}, {"/a/1/b", true}, {"/a/2", false},
		{"/a/00", false}, {"/a/-", false}, {"/a/x", false}, {"/x~1y", true},
		{"/x~0z", true}, {"/x/y", false}, {"a", false}, {"/", true}, {"/a/0/0", false},
		{"/a/18446744073709551616", false}};
	struct tree tree;

	(void)state;
	grow(&tree, "{\"a\":[1,{\"b\":2}],\"x/y\":3,\"x~z\":4,\"\":5}");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct config_node *node =
			config_node_find(tree.root, slice_from_string(rows[i].pointer));

		assert_true((node != NULL) == rows[i].there);
		if (node != NULL) {
			assert_string_equal(
				config_node_pointer(&tree.arena, node), rows[i].pointer);
		}
	}
	fell(&tree);
}

static void setting(void **state)
{
	static const struct {
		const char *pointer;
		bool good;
	} rows[] = {{"/a/b/c", true}, {"/a/b/d", true}, {"/list/-", true}, {"/list/-", true},
		{"/old", true}, {"/a/b/c/x", false}, {"/list/x", false}, {"/list/7", false},
		{"", false}, {"x", false}, {"/list/0", true}, {"/deep/er/-", true}};
	struct tree tree;

	(void)state;
	grow(&tree, "{\"old\":1,\"next\":2}");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[16];

		snprintf(text, sizeof(text), "v%zu", i);

		struct config_node *value = config_node_string(&tree.arena, tree.source, text);

		assert_true(config_node_set(&tree.arena, tree.root,
				    slice_from_string(rows[i].pointer), value) == rows[i].good);
	}
	assert_int_equal(config_node_find(tree.root, SLICE("/a/b"))->count, 2);
	assert_int_equal(config_node_find(tree.root, SLICE("/list"))->count, 2);
	assert_true(slice_equal(config_node_find(tree.root, SLICE("/list/0"))->text, SLICE("v10")));
	assert_true(slice_equal(config_node_find(tree.root, SLICE("/list/1"))->text, SLICE("v3")));
	assert_true(slice_equal(config_node_find(tree.root, SLICE("/old"))->text, SLICE("v4")));
	assert_int_equal(config_node_find(tree.root, SLICE("/next"))->integer, 2);
	assert_int_equal(config_node_find(tree.root, SLICE("/deep/er"))->kind, CONFIG_NODE_ARRAY);
	fell(&tree);
}

static void places(void **state)
{
	static const struct {
		const char *pointer;
		int line;
		int column;
		int end;
	} rows[] = {{"/a", 2, 7, 8}, {"/b", 3, 7, 12}, {"/c", 5, 6, 7}, {"/o", 6, 5, 6}};
	struct tree tree;

	(void)state;
	grow(&tree, "{\r\n\t\"a\": 1,\r\n  \"b\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\",\n\n"
		    " \"c\":2,\n\"o\":{\n\"p\":1}}");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct config_node *node =
			config_node_find(tree.root, slice_from_string(rows[i].pointer));
		struct config_place place = config_node_place(node->source, node->span);

		assert_int_equal(place.line, rows[i].line);
		assert_int_equal(place.column, rows[i].column);
		assert_int_equal(place.end_column, rows[i].end);
		assert_null(strchr(place.source, '\r'));
	}
	assert_string_equal(
		config_node_origin(&tree.arena, config_node_find(tree.root, SLICE("/b"))),
		"t.json:3:7");
	fell(&tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pointers),
		cmocka_unit_test(setting),
		cmocka_unit_test(places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
