#include "../base/test_main.h"
#include "base/rng.h"
#include "http/target.h"

static struct arena arena;

static int target_setup(void **state)
{
	(void)state;
	arena_init(&arena);
	return 0;
}

static int target_teardown(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

/* U-05, U-06, and the path table of http.md 19; NULL: refused. */
static const struct {
	const char *in;
	const char *out;
} target_paths[] = {
	{"/", "/"},
	{"/a/./b", "/a/b"},
	{"/a/../b", "/b"},
	{"/a/..", "/"},
	{"/a/.", "/a/"},
	{"/.", "/"},
	{"/./", "/"},
	{"/a/b/../..", "/"},
	{"/a/b/../../", "/"},
	{"/a//../b", "/a/b"},
	{"//", "//"},
	{"/%61%2D%7e", "/a-~"},
	{"/a%2fb", "/a%2Fb"},
	{"/a/%2e%2E/b", "/b"},
	{"/a{b}", "/a%7Bb%7D"},
	{"/\"<>^`|", "/%22%3C%3E%5E%60%7C"},
	{"/a//b", "/a//b"},
	{"/a;x=1/b", "/a;x=1/b"},
	{"/p.S/M", "/p.S/M"},
	{"/.a", "/.a"},
	{"/..a/...", "/..a/..."},
	{"/%e2%82%ac", "/%E2%82%AC"},
	{"/%25%32%35", "/%2525"},
	{"/a:b@c!$&'()*+,=", "/a:b@c!$&'()*+,="},
	{"/../a", NULL},
	{"/a/../../b", NULL},
	{"/%2e%2e/a", NULL},
	{"/..", NULL},
	{"", NULL},
	{"a", NULL},
	{"*", NULL},
	{"/a?b", NULL},
	{"/a#b", NULL},
	{"/a\\b", NULL},
	{"/a%5cb", NULL},
	{"/a b", NULL},
	{"/a\x7f", NULL},
	{"/\x80", NULL},
	{"/%", NULL},
	{"/%4", NULL},
	{"/%4g", NULL},
	{"/%g4", NULL},
	{"/%00", NULL},
	{"/%1f", NULL},
	{"/%7F", NULL},
};

static void test_paths(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(target_paths); i++) {
		struct slice path = {NULL, 0};
		bool taken =
			target_normalise_path(&arena, slice_from_string(target_paths[i].in), &path);

		assert_int_equal(taken, target_paths[i].out != NULL);
		if (taken && !slice_equal(path, slice_from_string(target_paths[i].out))) {
			fail_msg("%s: got %.*s", target_paths[i].in, (int)path.size,
				(const char *)path.data);
		}
	}
}

/* normalise(normalise(p)) = normalise(p), on text made of the interesting pieces. */
static void test_idempotent(void **state)
{
	static const char *const pieces[] = {"/", "a", ".", "..", "%2e", "%2F", "%25", "2e", "%41",
		"%7b", "{", ";", "//", "%E2", "/.", "/..", "%3f", "~"};
	struct rng rng;
	unsigned taken = 0;

	(void)state;
	rng_seed(&rng, 1);
	for (int i = 0; i < 50000; i++) {
		char text[128] = "/";
		struct slice once;
		struct slice twice;

		for (uint64_t n = rng_below(&rng, 12); n > 0; n--) {
			strcat(text, pieces[rng_below(&rng, ARRAY_SIZE(pieces))]);
		}
		if (!target_normalise_path(&arena, slice_from_string(text), &once)) {
			continue;
		}
		taken++;
		assert_true(target_normalise_path(&arena, once, &twice));
		assert_true(slice_equal(once, twice));
		assert_int_equal(once.data[0], '/');
		arena_reset(&arena);
	}
	assert_true(taken > 10000);
}

/* U-07 */
static void test_ambiguous(void **state)
{
	static const struct {
		const char *path;
		bool ambiguous;
	} cases[] = {{"/a%2Fb", true}, {"//a", true}, {"/a//", true}, {"/..;/a", true},
		{"/.;x", true}, {"/%252e/a", true}, {"/%252f", true}, {"/%255C", true},
		{"/%2500", true}, {"/", false}, {"/a/b", false}, {"/a;x=1/b", false},
		{"/.a;", false}, {"/%2541", false}, {"/a%20b", false}, {"/%25", false},
		{"/%252", false}, {"*", false}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(target_path_ambiguous(slice_from_string(cases[i].path)),
			cases[i].ambiguous);
	}
}

/* U-03, U-04; NULL: refused. The full table is in tests/data/h1.tsv. */
static void test_authorities(void **state)
{
	static const struct {
		const char *in;
		const char *out;
		const char *host;
		unsigned port;
	} cases[] = {
		{"a", "a", "a", 0},
		{"A.B.:80", "a.b:80", "a.b", 80},
		{"a:", "a", "a", 0},
		{"a:65535", "a:65535", "a", 65535},
		{"a:00080", "a:00080", "a", 80},
		{"[::1]", "[::1]", "[::1]", 0},
		{"[::FFFF:1.2.3.4]:1", "[::ffff:1.2.3.4]:1", "[::ffff:1.2.3.4]", 1},
		{"", NULL, NULL, 0},
		{":80", NULL, NULL, 0},
		{"a:000080", NULL, NULL, 0},
		{"a:-1", NULL, NULL, 0},
		{"a:+1", NULL, NULL, 0},
		{"[::1", NULL, NULL, 0},
		{"[::1]:", "[::1]", "[::1]", 0},
		{"[1.2.3.4]", NULL, NULL, 0},
		{"[::1%lo]", NULL, NULL, 0},
		{"[1:2:3:4:5:6:7:8:9]", NULL, NULL, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct slice authority = {NULL, 0};
		struct slice host;
		uint16_t port;

		assert_int_equal(target_normalise_authority(
					 &arena, slice_from_string(cases[i].in), &authority),
			cases[i].out != NULL);
		if (cases[i].out == NULL) {
			continue;
		}
		assert_true(slice_equal(authority, slice_from_string(cases[i].out)));
		target_split_authority(authority, &host, &port);
		assert_true(slice_equal(host, slice_from_string(cases[i].host)));
		assert_int_equal(port, cases[i].port);
	}
	assert_false(target_normalise_authority(
		&arena, slice_make("[::1\0]", 6), &(struct slice){NULL, 0}));
}

static void test_split(void **state)
{
	struct slice host;
	uint16_t port;

	(void)state;
	target_split_authority(SLICE(""), &host, &port);
	assert_int_equal(host.size + port, 0);
	target_split_authority(SLICE("a:99999"), &host, &port);
	assert_int_equal(port, 0);
	target_split_authority(SLICE("a:x"), &host, &port);
	assert_int_equal(port, 0);
}

/* U-01: forms and methods; what is set. */
static void test_forms(void **state)
{
	static const struct {
		enum method method;
		const char *target;
		enum reason reason;
		const char *path;
		bool absolute;
	} cases[] = {
		{METHOD_GET, "/a?b", REASON_ok, "/a", false},
		{METHOD_GET, "https://h/a", REASON_ok, "/a", true},
		{METHOD_GET, "HTTP://h", REASON_ok, "/", true},
		{METHOD_OPTIONS, "*", REASON_ok, "*", false},
		{METHOD_OPTIONS, "http://h", REASON_ok, "*", true},
		{METHOD_CONNECT, "h:1", REASON_ok, "", false},
		{METHOD_GET, "*", REASON_bad_target, NULL, false},
		{METHOD_GET, "", REASON_bad_target, NULL, false},
		{METHOD_GET, "h:1", REASON_bad_target, NULL, false},
		{METHOD_GET, "http://h#", REASON_bad_target, NULL, false},
		{METHOD_GET, "/a?b#", REASON_bad_target, NULL, false},
		{METHOD_CONNECT, "h", REASON_bad_target, NULL, false},
		{METHOD_CONNECT, "/", REASON_bad_target, NULL, false},
		{METHOD_CONNECT, "u@h:1", REASON_bad_target, NULL, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct head head;

		head_init(&head, &arena, HEAD_REQUEST);
		head.method = cases[i].method;
		assert_int_equal(
			target_parse(&head, slice_from_string(cases[i].target)), cases[i].reason);
		if (cases[i].reason == REASON_ok) {
			assert_true(slice_equal(head.path, slice_from_string(cases[i].path)));
			assert_int_equal(head.absolute_form, cases[i].absolute);
			assert_int_equal(head.scheme.size > 0, cases[i].absolute);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_idempotent),
		cmocka_unit_test(test_ambiguous),
		cmocka_unit_test(test_authorities),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_forms),
	};

	return cmocka_run_group_tests(tests, target_setup, target_teardown);
}
