#include "../base/test_main.h"
#include "http/fields.h"

static struct arena arena;

static int fields_setup(void **state)
{
	(void)state;
	arena_init(&arena);
	return 0;
}

static int fields_teardown(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

/* F-01, F-02 beside what tests/data/h1.tsv has. */
static void test_connection(void **state)
{
	struct fields_connection connection;
	struct head head;

	(void)state;
	head_init(&head, &arena, HEAD_RESPONSE);
	head_add(&head, SLICE("x-a"), SLICE("1"));
	head_add(&head, SLICE("accept"), SLICE("2"));
	head_add(&head, SLICE("x-b"), SLICE("3"));
	head_add(&head, SLICE("x-a"), SLICE("4"));
	fields_connection_init(&connection);
	assert_true(fields_connection_add(&connection, SLICE("Close, X-A")));
	assert_true(fields_connection_add(&connection, SLICE("\t,ACCEPT ,")));
	assert_true(fields_connection_add(&connection, SLICE("")));
	assert_true(connection.close);
	fields_connection_apply(&connection, &head);
	assert_int_equal(head.field_count, 1);
	assert_non_null(head_find_name(&head, SLICE("x-b")));
	assert_false(fields_connection_add(&connection, SLICE("x a")));
	assert_false(fields_connection_add(&connection, SLICE("Content-Type")));
}

/* */
static void test_trailers(void **state)
{
	static const char *const dropped[] = {"content-length", "content-type", "content-range",
		"transfer-encoding", "connection", "keep-alive", "te", "upgrade", "trailer", "host",
		"authorization", "cookie", "set-cookie", "cache-control", "cache-status", "expect",
		"range", "max-forwards", "forwarded", "x-forwarded-for", "x-forwarded-client-cert",
		"x-real-ip", "x-pillion-service", "x-pillion-new", "proxy-authorization", "via",
		"x-request-id", "http2-settings"};
	static const char *const kept[] = {"content-digest", "grpc-status", "grpc-message", "x",
		"server-timing", "etag", "grpc-status-details-bin", "micro-error"};
	struct head head;

	(void)state;
	head_init(&head, &arena, HEAD_TRAILERS);
	for (size_t i = 0; i < ARRAY_SIZE(dropped); i++) {
		head_add(&head, slice_from_string(dropped[i]), SLICE("v"));
		assert_true(fields_forbidden_in_trailers(&head.fields[i]));
	}
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		head_add(&head, slice_from_string(kept[i]), SLICE("v"));
	}
	assert_int_equal(fields_filter_trailers(&head), ARRAY_SIZE(dropped));
	assert_int_equal(head.field_count, ARRAY_SIZE(kept));
	assert_int_equal(fields_filter_trailers(&head), 0);
}

/* */
static void test_cookies(void **state)
{
	struct head head;

	(void)state;
	head_init(&head, &arena, HEAD_REQUEST);
	fields_join_cookies(&head);
	head_add(&head, SLICE("cookie"), SLICE("a=1"));
	fields_join_cookies(&head);
	assert_int_equal(head.field_count, 1);
	head_add(&head, SLICE("x"), SLICE("y"));
	head_add(&head, SLICE("cookie"), SLICE("b=2"));
	head_add(&head, SLICE("cookie"), SLICE(""));
	head.fields[2].never_index = true;
	fields_join_cookies(&head);
	assert_int_equal(head.field_count, 2);
	assert_true(slice_equal(head_value(&head, TOKEN_cookie), SLICE("a=1; b=2; ")));
	assert_true(head_find(&head, TOKEN_cookie)->never_index);
}

static void test_removal(void **state)
{
	static const char *const names[] = {"connection", "keep-alive", "proxy-connection", "te",
		"transfer-encoding", "upgrade", "http2-settings", "proxy-authorization",
		"proxy-authenticate", "content-length", "x-pillion-service", "x-pillion-new",
		"x-forwarded-client-cert", "x-forwarded-for", "x"};
	struct head head;

	(void)state;
	head_init(&head, &arena, HEAD_REQUEST);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		head_add(&head, slice_from_string(names[i]), SLICE("v"));
	}
	assert_int_equal(fields_remove_hop_by_hop(&head), 10);
	assert_int_equal(fields_remove_identity(&head), 3);
	assert_int_equal(head.field_count, 2);
	assert_false(fields_is_hop_by_hop(TOKEN_NONE));
}

/* H1-11 */
static void test_alias(void **state)
{
	static const struct {
		const char *name;
		bool alias;
	} cases[] = {{"content_length", true}, {"x_pillion_a", true}, {"x-pillion_a", true},
		{"Grpc_Timeout", true}, {"content-length", false}, {"x_y", false}, {"_", false},
		{"hos_t", false}, {"", false},
		{"x_pillion_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
			true}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(fields_is_alias(slice_from_string(cases[i].name)), cases[i].alias);
	}
}

static void test_list(void **state)
{
	static const struct {
		const char *list;
		bool found;
	} cases[] = {{"trailers", true}, {"gzip, Trailers", true}, {"trailers;q=0.5", true},
		{" trailers ,", true}, {"", false}, {"trailersx", false}, {"x trailers", false},
		{",,", false}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(
			fields_list_has(slice_from_string(cases[i].list), SLICE("trailers")),
			cases[i].found);
	}
}

/* H1-41 */
static void test_spelling(void **state)
{
	static const char *const names[][2] = {{"x-my-header", "X-My-Header"}, {"etag", "ETag"},
		{"te", "TE"}, {"traceparent", "traceparent"}, {"x--y", "X--Y"},
		{"1a-b_c", "1a-B_c"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct slice name = slice_from_string(names[i][0]);
		uint8_t text[32];

		fields_spell(token_find(name), name, text);
		assert_memory_equal(text, names[i][1], name.size);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connection),
		cmocka_unit_test(test_trailers),
		cmocka_unit_test(test_cookies),
		cmocka_unit_test(test_removal),
		cmocka_unit_test(test_alias),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_spelling),
	};

	return cmocka_run_group_tests(tests, fields_setup, fields_teardown);
}
