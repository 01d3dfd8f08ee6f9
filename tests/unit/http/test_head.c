#include "../base/test_main.h"
#include "http/head.h"

static struct arena arena;

static int head_setup(void **state)
{
	(void)state;
	arena_init(&arena);
	return 0;
}

static int head_teardown(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

static void assert_value(const struct head *head, enum token token, const char *expected)
{
	struct slice value = head_value(head, token);

	assert_true(slice_equal(value, slice_from_string(expected)));
}

/* The index always names the first field of each token (MM-09). */
static void check_index(const struct head *head)
{
	for (int i = TOKEN_NONE + 1; i < TOKEN_COUNT; i++) {
		const struct field *first = NULL;

		for (uint32_t k = 0; k < head->field_count && first == NULL; k++) {
			first = head->fields[k].token == i ? &head->fields[k] : NULL;
		}
		assert_ptr_equal(head_find(head, (enum token)i), first);
	}
	assert_int_equal(head->first[TOKEN_NONE], 0);
}

static void test_fields(void **state)
{
	struct head head;
	const struct field *field;

	(void)state;
	head_init(&head, &arena, HEAD_REQUEST);
	head_add(&head, SLICE("x-a"), SLICE("1"));
	head_add(&head, SLICE("accept"), SLICE("2"));
	head_add_token(&head, TOKEN_via, SLICE("3"));
	head_add(&head, SLICE("x-a"), SLICE("4"));
	head_add(&head, SLICE("accept"), SLICE(""));
	check_index(&head);
	assert_value(&head, TOKEN_accept, "2");
	assert_value(&head, TOKEN_via, "3");
	assert_value(&head, TOKEN_host, "");
	field = head_find_name(&head, SLICE("x-a"));
	assert_true(slice_equal(field->value, SLICE("1")));
	field = head_find_next(&head, field);
	assert_true(slice_equal(field->value, SLICE("4")));
	assert_null(head_find_next(&head, field));
	assert_null(head_find_name(&head, SLICE("x-b")));
	assert_non_null(head_find_next(&head, head_find(&head, TOKEN_accept)));
	/* Replacing by a part of what goes. */
	head_set(&head, TOKEN_via, slice_from(head_value(&head, TOKEN_via), 0));
	assert_value(&head, TOKEN_via, "3");
	head_set_name(&head, SLICE("x-a"), SLICE("5"));
	head_set_name(&head, SLICE("host"), SLICE("h"));
	check_index(&head);
	assert_int_equal(head.field_count, 5);
	assert_value(&head, TOKEN_host, "h");
	assert_int_equal(head_remove(&head, TOKEN_accept), 2);
	assert_int_equal(head_remove(&head, TOKEN_accept), 0);
	assert_int_equal(head_remove_name(&head, SLICE("x-a")), 1);
	assert_int_equal(head_remove_name(&head, SLICE("via")), 1);
	assert_int_equal(head_remove_name(&head, SLICE("nothing")), 0);
	check_index(&head);
	assert_int_equal(head.field_count, 1);
}

static void test_many(void **state)
{
	struct head head;

	(void)state;
	head_init(&head, &arena, HEAD_RESPONSE);
	for (int i = 0; i < 1000; i++) {
		head_add(&head, i % 2 ? SLICE("x") : SLICE("cookie"), SLICE("v"));
	}
	assert_int_equal(head.field_count, 1000);
	check_index(&head);
	assert_int_equal(head_remove(&head, TOKEN_cookie), 500);
	check_index(&head);
	assert_int_equal(head_size(&head), 13 + 500 * (1 + 1 + 32));
}

/* A copy owns all its bytes. */
static void test_copy(void **state)
{
	struct arena other;
	struct head head;
	struct head copy;
	char text[] = "value";

	(void)state;
	arena_init(&other);
	head_init(&head, &other, HEAD_REQUEST);
	head_set_method(&head, METHOD_OTHER, SLICE("PURGE"));
	head.path = arena_copy(&other, SLICE("/p"));
	head.query = arena_copy(&other, SLICE("q"));
	head.has_query = true;
	head.authority = arena_copy(&other, SLICE("a:1"));
	head_add_borrowed(&head, TOKEN_NONE, SLICE("x"), slice_make(text, 5));
	head_add(&head, SLICE("accept"), SLICE("*"));
	head_init(&copy, &arena, HEAD_REQUEST);
	head_copy(&copy, &head);
	memset(text, 'z', 5);
	arena_fini(&other);
	assert_true(slice_equal(copy.method_text, SLICE("PURGE")));
	assert_true(slice_equal(copy.path, SLICE("/p")));
	assert_true(slice_equal(copy.query, SLICE("q")));
	assert_true(slice_equal(copy.authority, SLICE("a:1")));
	assert_true(slice_equal(head_find_name(&copy, SLICE("x"))->value, SLICE("value")));
	check_index(&copy);
	head_add(&copy, SLICE("y"), SLICE("z"));
	assert_int_equal(copy.field_count, 3);
	head_init(&head, &arena, HEAD_RESPONSE);
	head_init(&copy, &arena, HEAD_RESPONSE);
	head_copy(&copy, &head);
	assert_int_equal(copy.field_count, 0);
}

static void test_methods(void **state)
{
	struct head head;

	(void)state;
	for (int i = METHOD_GET; i < METHOD_OTHER; i++) {
		bool idempotent = i == METHOD_GET || i == METHOD_HEAD || i == METHOD_OPTIONS ||
				  i == METHOD_PUT || i == METHOD_DELETE;

		assert_int_equal(method_find(method_name((enum method)i)), i);
		head_init(&head, &arena, HEAD_REQUEST);
		head_set_method(&head, (enum method)i, SLICE("ignored"));
		assert_true(slice_equal(head.method_text, method_name((enum method)i)));
		assert_int_equal(head_is_idempotent(&head), idempotent);
	}
	assert_int_equal(method_find(SLICE("get")), METHOD_OTHER);
	assert_int_equal(method_find(SLICE("")), METHOD_OTHER);
}

/* G-01 */
static void test_grpc(void **state)
{
	static const struct {
		enum method method;
		enum http_version version;
		const char *type;
		bool grpc;
	} cases[] = {
		{METHOD_POST, HTTP_2, "application/grpc", true},
		{METHOD_POST, HTTP_2, "application/grpc+proto", true},
		{METHOD_POST, HTTP_2, "Application/GRPC", true},
		{METHOD_POST, HTTP_2, "application/grpc;charset=x", true},
		{METHOD_POST, HTTP_2, "application/grpc-web", false},
		{METHOD_POST, HTTP_2, "application/grp", false},
		{METHOD_POST, HTTP_2, "", false},
		{METHOD_GET, HTTP_2, "application/grpc", false},
		{METHOD_POST, HTTP_1_1, "application/grpc", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct head head;

		head_init(&head, &arena, HEAD_REQUEST);
		head.method = cases[i].method;
		head.version = cases[i].version;
		head_add_token(&head, TOKEN_content_type, slice_from_string(cases[i].type));
		assert_int_equal(head_is_grpc(&head), cases[i].grpc);
	}
}

static void test_body_unknown(void **state)
{
	static const enum body_kind before[] = {
		BODY_NONE, BODY_LENGTH, BODY_UNKNOWN, BODY_UNTIL_CLOSE};
	static const enum body_kind after[] = {
		BODY_NONE, BODY_UNKNOWN, BODY_UNKNOWN, BODY_UNTIL_CLOSE};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(before); i++) {
		struct head head;

		head_init(&head, &arena, HEAD_RESPONSE);
		head.body = before[i];
		head.length = 5;
		head_body_unknown(&head);
		assert_int_equal(head.body, after[i]);
	}
}

static void head_empty_name(void)
{
	struct head head;

	arena_init(&arena);
	head_init(&head, &arena, HEAD_RESPONSE);
	head_add(&head, SLICE(""), SLICE("v"));
}

/* MM-10 */
static void test_empty_name(void **state)
{
	(void)state;
	assert_true(test_aborts(head_empty_name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_methods),
		cmocka_unit_test(test_grpc),
		cmocka_unit_test(test_body_unknown),
		cmocka_unit_test(test_empty_name),
	};

	return cmocka_run_group_tests(tests, head_setup, head_teardown);
}
