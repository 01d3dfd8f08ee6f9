/* CT-16 where it is the engine's: tables of codes, error bodies both ways, grpc-message, base64. */
#include "codec_test.h"

#include "codec/codec_base64.h"
#include "codec/status.h"

static void test_tables(void **state)
{
	static const unsigned http[] = {200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400,
		501, 500, 503, 500, 401, 500};
	static const struct {
		unsigned http;
		unsigned intermediary;
		unsigned rest;
	} rows[] = {{400, 13, 3}, {401, 16, 16}, {403, 7, 7}, {404, 12, 5}, {405, 2, 12},
		{408, 2, 4}, {409, 2, 10}, {412, 2, 9}, {413, 2, 8}, {416, 2, 11}, {422, 2, 3},
		{429, 14, 8}, {431, 2, 8}, {499, 2, 1}, {500, 2, 13}, {501, 2, 12}, {502, 14, 14},
		{503, 14, 14}, {504, 14, 4}, {418, 2, 2}, {200, 2, 2}, {0, 2, 2}};

	(void)state;
	for (unsigned code = 0; code < ARRAY_SIZE(http); code++) {
		assert_int_equal(status_to_http(code), http[code]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(
			status_from_http(rows[i].http, STATUS_INTERMEDIARY), rows[i].intermediary);
		assert_int_equal(status_from_http(rows[i].http, STATUS_REST), rows[i].rest);
	}
	assert_int_equal(status_from_micro(409), 6);
	assert_int_equal(status_from_micro(504), 4);
	assert_int_equal(status_from_micro(777), 2);
	assert_string_equal(status_name(1), "canceled");
	assert_string_equal(status_name(16), "unauthenticated");
	assert_null(status_name(17));
	assert_int_equal(status_parse(SLICE("5")), 5);
	assert_int_equal(status_parse(SLICE("99")), 99);
	assert_int_equal(status_parse(SLICE("")), 2);
	assert_int_equal(status_parse(SLICE("x")), 2);
	assert_int_equal(status_parse(SLICE("-1")), 2);
}

static void test_messages(void **state)
{
	static const struct {
		const char *plain;
		const char *coded;
	} rows[] = {{"", ""}, {"plain text", "plain text"}, {"100%", "100%25"},
		{"a\nb\r", "a%0Ab%0D"}, {"\xc3\xa9", "%C3%A9"}, {"~\x7f", "~%7F"}};
	static const struct {
		const char *coded;
		const char *plain;
	} decode[] = {{"%", "%"}, {"%4", "%4"}, {"%zz", "%zz"}, {"%41%", "A%"},
		{"%c3%a9", "\xc3\xa9"}, {"%FF", "\xef\xbf\xbd"}, {"a%C3", "a\xef\xbf\xbd"},
		{"\xff", "\xef\xbf\xbd"}};
	struct buf buf;

	(void)state;
	buf_init(&buf);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		buf_clear(&buf);
		status_message_encode(slice_from_string(rows[i].plain), &buf);
		assert_string_equal(buf_string(&buf), rows[i].coded);
		buf_clear(&buf);
		status_message_decode(slice_from_string(rows[i].coded), &buf);
		assert_string_equal(buf_string(&buf), rows[i].plain);
	}
	for (size_t i = 0; i < ARRAY_SIZE(decode); i++) {
		buf_clear(&buf);
		status_message_decode(slice_from_string(decode[i].coded), &buf);
		assert_string_equal(buf_string(&buf), decode[i].plain);
	}
	/* cut between characters */
	struct buf text;

	buf_init(&text);
	for (int i = 0; i < 341; i++) {
		buf_append_string(&text, "\xe2\x82\xac");
	}
	buf_append_string(&text, "xy");
	buf_clear(&buf);
	status_message_encode(buf_slice(&text), &buf);
	assert_int_equal(buf.size, 341 * 9 + 1);
	buf_append_string(&text, "z");
	text.data[0] = 'a';
	memmove(text.data + 1, text.data + 3, text.size - 3);
	text.size -= 2;
	buf_append_string(&text, "\xe2\x82\xac\xe2\x82\xac");
	buf_clear(&buf);
	status_message_encode(buf_slice(&text), &buf);
	assert_int_equal(buf.size, 1 + 340 * 9 + 3);
	buf_fini(&text);
	buf_fini(&buf);
}

static void check_body(struct codec_test *test, unsigned code, const char *message,
	const char *details, const char *body)
{
	struct buf bytes = codec_test_unhex(details);
	struct status_error error = {code, slice_from_string(message), buf_slice(&bytes)};
	struct buf json;

	buf_init(&json);
	status_to_json(test->context, test->pool, &error, NULL, &json);
	assert_string_equal(buf_string(&json), body);
	buf_fini(&json);
	buf_fini(&bytes);
}

static void test_to_json(void **state)
{
	struct codec_test test;

	(void)state;
	codec_test_open(&test);
	check_body(&test, 5, "no \"such\" thing\n\x01", "",
		"{\"code\":5,\"message\":\"no \\\"such\\\" thing\\u000a\\u0001\",\"details\":[]}");
	check_body(&test, 5, "bad \xff", "",
		"{\"code\":5,\"message\":\"bad \xef\xbf\xbd\",\"details\":[]}");
	/* details with their own message */
	check_body(&test, 5, "plain", "0805 120464657461",
		"{\"code\":5,\"message\":\"deta\",\"details\":[]}");
	check_body(&test, 5, "plain", "0805 120464657474",
		"{\"code\":5,\"message\":\"dett\",\"details\":[]}");
	/* another code: not believed */
	check_body(&test, 5, "plain", "0806 120464657474",
		"{\"code\":5,\"message\":\"plain\",\"details\":[]}");
	/* one known, one unknown, one broken */
	check_body(&test, 5, "plain",
		"0805 120162 1a0d 0a06782f74332e4d 12030a0161 1a0b 0a06782f74332e58 120161 "
		"1a0b 0a06782f74332e4d 12010a",
		"{\"code\":5,\"message\":\"b\",\"details\":[{\"@type\":\"x/t3.M\",\"name\":\"a\"},"
		"{\"@type\":\"x/t3.X\",\"value\":\"YQ==\"},{\"@type\":\"x/"
		"t3.M\",\"value\":\"Cg==\"}]}");
	check_body(
		&test, 5, "plain", "0805 12", "{\"code\":5,\"message\":\"plain\",\"details\":[]}");
	codec_test_close(&test);
}

struct response_row {
	unsigned http;
	const char *type;
	const char *body;
	unsigned code;
	const char *message;
	const char *details; /* the Status as JSON, or NULL */
};

static void check_response(struct codec_test *test, const struct response_row *row)
{
	struct status_response response = {
		row->http, STATUS_REST, slice_from_string(row->type), slice_from_string(row->body)};
	struct buf message;
	struct buf details;

	buf_init(&message);
	buf_init(&details);
	assert_int_equal(status_from_json(test->context, test->pool, &response, &message, &details),
		row->code);
	assert_string_equal(buf_string(&message), row->message);
	assert_int_equal(details.size > 0, row->details != NULL);
	if (row->details) {
		translate_options_init(&test->options);
		test->options.any_unknown = CODEC_ANY_RAW;
		assert_true(codec_test_to_json(test, "google.rpc.Status", buf_slice(&details)));
		assert_string_equal(buf_string(&test->out), row->details);
	}
	buf_fini(&message);
	buf_fini(&details);
}

static void test_from_json(void **state)
{
	static const struct response_row rows[] = {
		{404, "application/json", "{\"code\":5,\"message\":\"none\",\"details\":[]}", 5,
			"none", "{\"code\":5,\"message\":\"none\"}"},
		{500, "application/json",
			"{\"code\":9,\"message\":\"m\",\"details\":[{\"@type\":\"x/"
			"t3.M\",\"name\":\"a\"}]}",
			9, "m",
			"{\"code\":9,\"message\":\"m\",\"details\":[{\"@type\":\"x/"
			"t3.M\",\"name\":\"a\"}]}"},
		{500, "application/json", "{\"code\":9,\"message\":\"m\",\"details\":[5]}", 9, "m",
			NULL},
		{500, "application/json", "{\"code\":9}", 9, "", NULL},
		{500, "application/json",
			" {\"id\":\"svc\",\"code\":404,\"detail\":\"d\",\"status\":\"Not Found\"} ",
			5,
			"{\"id\":\"svc\",\"code\":404,\"detail\":\"d\",\"status\":\"Not Found\"}",
			"{\"code\":5,\"message\":\"{\\\"id\\\":\\\"svc\\\",\\\"code\\\":404,"
			"\\\"detail\\\":"
			"\\\"d\\\",\\\"status\\\":\\\"Not Found\\\"}\",\"details\":[{\"@type\":"
			"\"type.googleapis.com/"
			"errors.Error\",\"value\":\"CgNzdmMQlAMaAWQiCU5vdCBGb3VuZA==\"}]}"},
		{400, "application/json", "{\"error\":{\"code\":404,\"message\":\"gone\"}}", 5,
			"gone", NULL},
		{400, "application/json", "{\"error\":{\"code\":7,\"message\":\"no\"}}", 7, "no",
			NULL},
		{400, "application/json", "{\"error\":{\"code\":\"not_found\"}}", 5, "", NULL},
		{503, "application/json",
			"{\"error\":{\"reason\":\"no_instance\",\"code\":\"PIL5022\",\"message\":"
			"\"none\"}}",
			14, "none", NULL},
		{404, "application/json", "{\"code\":\"aborted\",\"message\":\"m\"}", 10, "m",
			NULL},
		{404, "text/plain", "", 5, "Not Found", NULL},
		{418, "text/plain", "", 2, "HTTP 418", NULL},
		{404, "text/plain", "no\nsuch \xc3\xa9 thing", 5, "Not Found: nosuch  thing",
			"{\"code\":5,\"message\":\"Not Found: nosuch  "
			"thing\",\"details\":[{\"@type\":"
			"\"type.googleapis.com/google.api.HttpBody\",\"contentType\":\"text/"
			"plain\","
			"\"data\":\"bm8Kc3VjaCDDqSB0aGluZw==\"}]}"},
		{500, "application/json", "[1]", 13, "Internal Server Error: [1]",
			"{\"code\":13,\"message\":\"Internal Server Error: "
			"[1]\",\"details\":[{\"@type\":"
			"\"type.googleapis.com/google.api.HttpBody\",\"contentType\":\"application/"
			"json\","
			"\"data\":\"WzFd\"}]}"},
		{200, "", "{\"code\":0}", 2, "HTTP 200: {\"code\":0}",
			"{\"code\":2,\"message\":\"HTTP 200: "
			"{\\\"code\\\":0}\",\"details\":[{\"@type\":"
			"\"type.googleapis.com/"
			"google.api.HttpBody\",\"data\":\"eyJjb2RlIjowfQ==\"}]}"},
	};
	struct codec_test test;

	(void)state;
	codec_test_open(&test);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		check_response(&test, &rows[i]);
	}
	codec_test_close(&test);
}

/* ER-05: no details above 4 KiB. */
static void test_large_body(void **state)
{
	struct status_response response = {500, STATUS_REST, SLICE("text/plain"), {NULL, 0}};
	struct codec_test test;
	struct buf body;
	struct buf message;
	struct buf details;

	(void)state;
	codec_test_open(&test);
	buf_init(&body);
	buf_init(&message);
	buf_init(&details);
	for (int i = 0; i < 5000; i++) {
		buf_append_byte(&body, 'x');
	}
	response.body = buf_slice(&body);
	assert_int_equal(
		status_from_json(test.context, test.pool, &response, &message, &details), 13);
	assert_int_equal(details.size, 0);
	assert_int_equal(message.size, strlen("Internal Server Error: ") + 1024);
	buf_fini(&body);
	buf_fini(&message);
	buf_fini(&details);
	codec_test_close(&test);
}

static void test_base64(void **state)
{
	struct buf text;
	struct buf back;
	uint8_t bytes[100];

	(void)state;
	buf_init(&text);
	buf_init(&back);
	for (size_t size = 0; size < sizeof(bytes); size++) {
		for (size_t i = 0; i < size; i++) {
			bytes[i] = (uint8_t)(i * 37 + size * 11);
		}
		for (int padded = 0; padded < 2; padded++) {
			buf_clear(&text);
			buf_clear(&back);
			codec_base64_encode(slice_make(bytes, size), padded != 0, &text);
			assert_int_equal(
				text.size, padded ? (size + 2) / 3 * 4 : (size * 4 + 2) / 3);
			assert_true(codec_base64_decode(buf_slice(&text), &back));
			assert_int_equal(back.size, size);
			assert_memory_equal(back.data, bytes, size);
		}
	}
	assert_false(codec_base64_decode(SLICE("A"), &back));
	assert_false(codec_base64_decode(SLICE("AA=A"), &back));
	assert_false(codec_base64_decode(SLICE("===="), &back));
	assert_false(codec_base64_decode(SLICE("AA,A"), &back));
	buf_fini(&text);
	buf_fini(&back);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_to_json),
		cmocka_unit_test(test_from_json),
		cmocka_unit_test(test_large_body),
		cmocka_unit_test(test_base64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
