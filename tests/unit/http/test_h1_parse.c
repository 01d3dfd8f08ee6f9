#include "../base/test_main.h"
#include "http/h1_framing.h"
#include "http/h1_scan.h"

static struct arena arena;
static struct http_limits limits;

static int parse_setup(void **state)
{
	(void)state;
	arena_init(&arena);
	http_limits_default(&limits);
	return 0;
}

static int parse_teardown(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

static ssize_t parse(struct h1_message *message, struct head *head, enum head_kind kind,
	const void *bytes, size_t size)
{
	head_init(head, &arena, kind);
	h1_parse_init(message, head, &limits);
	return h1_parse_head(message, slice_make(bytes, size));
}

/* A good head: every proper prefix wants more, never more than the head is used, and nothing of the
 * input is needed afterwards. The exact allocation lets the sanitizer see a read past the end. */
static void test_prefixes(void **state)
{
	static const char text[] = "\r\nPATCH http://H.example:80/a/%7e?q=1 HTTP/1.1\r\n"
				   "Host: other\r\nX-Thing:  some value \r\nAccept: */*\r\n"
				   "Content-Length: 12\r\nCookie: a=1\r\n\r\nbody and more";
	size_t size = strlen(text) - strlen("body and more");
	struct h1_message message;
	struct head head;

	(void)state;
	for (size_t i = 1; i <= sizeof(text) - 1; i++) {
		char *copy = malloc(i);
		ssize_t used;

		memcpy(copy, text, i);
		used = parse(&message, &head, HEAD_REQUEST, copy, i);
		memset(copy, 'z', i);
		free(copy);
		assert_int_equal(used, i < size ? 0 : (ssize_t)size);
	}
	assert_int_equal(head.method, METHOD_PATCH);
	assert_true(head.absolute_form);
	assert_true(slice_equal(head.scheme, SLICE("http")));
	assert_true(slice_equal(head.authority, SLICE("h.example:80")));
	assert_true(slice_equal(head.path, SLICE("/a/~")));
	assert_true(slice_equal(head.query, SLICE("q=1")));
	assert_int_equal(head.field_count, 3);
	assert_true(slice_equal(head.fields[0].name, SLICE("x-thing")));
	assert_true(slice_equal(head.fields[0].value, SLICE("some value")));
	assert_int_equal(head.fields[1].token, TOKEN_accept);
	assert_int_equal(head.body, BODY_LENGTH);
	assert_int_equal(head.length, 12);
	assert_int_equal(message.field_count, 5);
	assert_false(head.close);
}

/* H1-14: numbers around the powers of two. */
static void test_lengths(void **state)
{
	static const struct {
		const char *text;
		uint64_t value; /* UINT64_MAX: refused */
	} cases[] = {
		{"2147483647", 2147483647},
		{"2147483648", 2147483648},
		{"2147483649", 2147483649},
		{"4294967295", 4294967295},
		{"4294967296", 4294967296},
		{"4294967297", 4294967297},
		{"9223372036854775806", 9223372036854775806},
		{"9223372036854775807", 9223372036854775807},
		{"9223372036854775808", UINT64_MAX},
		{"9223372036854775809", UINT64_MAX},
		{"18446744073709551614", UINT64_MAX},
		{"18446744073709551615", UINT64_MAX},
		{"18446744073709551616", UINT64_MAX},
		{"18446744073709551617", UINT64_MAX},
		{"0", 0},
		{"0000000000000000007", 7},
		{"00000000000000000007", UINT64_MAX},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct h1_message message;
		struct head head;
		char text[200];
		int size = snprintf(text, sizeof(text),
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %s\r\n\r\n", cases[i].text);
		bool good = cases[i].value != UINT64_MAX;
		ssize_t used = parse(&message, &head, HEAD_REQUEST, text, (size_t)size);

		assert_int_equal(used, good ? size : -1);
		assert_int_equal(message.reason, good ? REASON_ok : REASON_bad_length);
		assert_true(!good || head.length == cases[i].value);
		/* The same number in a response. */
		size = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n",
			cases[i].text);
		used = parse(&message, &head, HEAD_RESPONSE, text, (size_t)size);
		assert_int_equal(used, size);
		assert_int_equal(h1_framing_response(&message, false), good);
		assert_true(!good || head.length == cases[i].value);
	}
}

/* H1-12: at each limit, and one beyond. */
static void test_limits(void **state)
{
	struct h1_message message;
	struct head head;
	char text[4096];

	(void)state;
	limits.head_bytes = 1000;
	limits.start_line_bytes = 100;
	limits.fields = 3;
	for (size_t over = 0; over <= 1; over++) {
		/* Start line: "GET /" + 86 + " HTTP/1.1" = 100. */
		int size = snprintf(text, sizeof(text), "GET /%0*d HTTP/1.1\r\nHost: a\r\n\r\n",
			86 + (int)over, 0);

		assert_int_equal(
			parse(&message, &head, HEAD_REQUEST, text, (size_t)size), over ? -1 : size);
		assert_int_equal(message.reason, over ? REASON_uri_too_long : REASON_ok);
		/* 14 + (4 + 1 + 32) + (1 + n + 32) = 1000. */
		size = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\nX: %0*d\r\n\r\n",
			916 + (int)over, 0);
		assert_int_equal(
			parse(&message, &head, HEAD_REQUEST, text, (size_t)size), over ? -1 : size);
		assert_int_equal(message.reason, over ? REASON_head_too_large : REASON_ok);
		assert_true(over || message.size == 1000);
		size = snprintf(text, sizeof(text),
			"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nX: 2\r\n%s\r\n",
			over ? "X: 3\r\n" : "");
		assert_int_equal(
			parse(&message, &head, HEAD_REQUEST, text, (size_t)size), over ? -1 : size);
		assert_int_equal(message.reason, over ? REASON_too_many_fields : REASON_ok);
	}
	/* A line that never ends is refused as soon as it is too long. */
	memset(text, 'a', sizeof(text));
	memcpy(text, "GET / HTTP/1.1\r\nX:", 18);
	assert_int_equal(parse(&message, &head, HEAD_REQUEST, text, 16 + 986), 0);
	assert_int_equal(parse(&message, &head, HEAD_REQUEST, text, 16 + 987), -1);
	assert_int_equal(message.reason, REASON_head_too_large);
	http_limits_default(&limits);
}

/* H1-25: trailers count together with the head. */
static void test_trailers(void **state)
{
	static const char good[] = "X-Y: z\r\nHost: b\r\n\r\nrest";
	struct h1_message message;
	struct head head;
	struct head trailers;

	(void)state;
	head_init(&head, &arena, HEAD_REQUEST);
	for (size_t i = 1; i < sizeof(good) - 1; i++) {
		ssize_t used;

		h1_parse_init(&message, &head, &limits);
		message.size = 1000;
		message.field_count = 50;
		head_init(&trailers, &arena, HEAD_TRAILERS);
		used = h1_parse_trailers(&message, &trailers, slice_make(good, i));
		assert_int_equal(used, i < 19 ? 0 : 19);
		assert_int_equal(message.field_count, i < 19 ? 50 : 52);
	}
	assert_int_equal(trailers.field_count, 2);
	assert_true(slice_equal(trailers.fields[0].name, SLICE("x-y")));
	assert_ptr_equal(message.head, &head);
	h1_parse_init(&message, &head, &limits);
	message.field_count = limits.fields - 1;
	head_init(&trailers, &arena, HEAD_TRAILERS);
	assert_int_equal(h1_parse_trailers(&message, &trailers, slice_make(good, 19)), -1);
	assert_int_equal(message.reason, REASON_bad_trailer);
}

/* Wide and narrow search agree at every offset and for every byte. */
static void test_finders(void **state)
{
	uint8_t bytes[80];

	(void)state;
	for (size_t place = 0; place < 40; place++) {
		for (unsigned byte = 0; byte < 256; byte++) {
			bool control = (byte < 0x20 && byte != '\t') || byte == 0x7F;
			bool invisible = byte <= 0x20 || byte >= 0x7F;

			memset(bytes, 'a', sizeof(bytes));
			bytes[place] = (uint8_t)byte;
			bytes[60] = 0;
			assert_ptr_equal(
				h1_scan_control(bytes, bytes + 50), bytes + (control ? place : 50));
			assert_ptr_equal(h1_scan_invisible(bytes, bytes + 50),
				bytes + (invisible ? place : 50));
			assert_ptr_equal(h1_scan_control(bytes, bytes + sizeof(bytes)),
				bytes + (control ? place : 60));
		}
	}
}

/* The watch over a trickling head: it fires at line ends that decide, and at sizes. */
static void test_scan(void **state)
{
	static const char good[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	struct h1_scan scan;

	(void)state;
	h1_scan_init(&scan);
	for (size_t i = 0; i < sizeof(good) - 1; i++) {
		assert_int_equal(
			h1_scan_bytes(&scan, slice_make(good + i, 1)), i == sizeof(good) - 2);
	}
	assert_int_equal(scan.seen, sizeof(good) - 1);
	h1_scan_init(&scan);
	assert_true(h1_scan_bytes(&scan, slice_make(good, sizeof(good) - 1)));
	h1_scan_init(&scan);
	assert_false(h1_scan_bytes(&scan, SLICE("GET /\r")));
	assert_false(h1_scan_bytes(&scan, SLICE("\nX:")));
	assert_true(h1_scan_bytes(&scan, SLICE("a\n")));
	h1_scan_init(&scan);
	for (unsigned i = 0, fired = 0; i < 64 * 1024; i++) {
		fired += h1_scan_bytes(&scan, SLICE("a"));
		assert_true(fired <= 1 + i / 8192);
		assert_true(i < 8193 || fired > 0);
	}
}

/* H1-17, H1-28 */
static void test_response_framing(void **state)
{
	static const struct {
		const char *head;
		bool asked_head;
		enum body_kind body;
		bool declared;
		bool stray;
	} cases[] = {
		{"HTTP/1.1 200 OK\r\n\r\n", false, BODY_UNTIL_CLOSE, false, false},
		{"HTTP/1.1 200 OK\r\n\r\n", true, BODY_NONE, false, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", true, BODY_NONE, true, true},
		{"HTTP/1.1 304 OK\r\nContent-Length: 3\r\n\r\n", false, BODY_NONE, true, true},
		{"HTTP/1.1 204 OK\r\nContent-Length: x\r\n\r\n", false, BODY_NONE, false, true},
		{"HTTP/1.1 100 OK\r\nTransfer-Encoding: x\r\n\r\n", false, BODY_NONE, false, true},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, BODY_UNKNOWN,
			false, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct h1_message message;
		struct head head;

		assert_true(parse(&message, &head, HEAD_RESPONSE, cases[i].head,
				    strlen(cases[i].head)) > 0);
		assert_true(h1_framing_response(&message, cases[i].asked_head));
		assert_int_equal(head.body, cases[i].body);
		assert_int_equal(head.has_declared_length, cases[i].declared);
		assert_int_equal(h1_framing_stray(&message), cases[i].stray);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_trailers),
		cmocka_unit_test(test_finders),
		cmocka_unit_test(test_scan),
		cmocka_unit_test(test_response_framing),
	};

	return cmocka_run_group_tests(tests, parse_setup, parse_teardown);
}
