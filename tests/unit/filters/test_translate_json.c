/* gRPC clients of a JSON application: requests, answers, errors both ways (codec.md 7, 9, 12). */
#include <stdio.h>
#include <stdlib.h>

#include "translate_rig.h"

#include "codec/codec_base64.h"
#include "codec/compress.h"

/* {"sku":"a","qty":3} */
static const uint8_t item[] = {0, 0, 0, 0, 5, 0x0a, 1, 'a', 0x10, 3};
static const char item_json[] = "{\"sku\":\"a\",\"qty\":3}";

#define JSON                                                                                       \
	{                                                                                          \
		"content-type", "application/json", NULL                                           \
	}

static struct translate_rig *open_rig(const char *app, bool h2)
{
	struct translate_rig *rig = test_malloc(sizeof(*rig));

	translate_rig_init(rig, 1 << 20);
	translate_rig_start(rig, app, h2);
	translate_rig_schema(rig, TRANSLATE_SCHEMA_READY, false);
	rig->answer = (struct translate_answer){
		.fields = {"content-type", "application/json; charset=utf-8", "x-lead", "1", "etag",
			"\"e\"", "x-odd", "caf\xc3\xa9", NULL},
		.body = item_json,
		.body_size = sizeof(item_json) - 1};
	return rig;
}

static void close_rig(struct translate_rig *rig)
{
	translate_rig_fini(rig);
	test_free(rig);
}

static void check_status(const struct rig_call *call, const char *status)
{
	const char *given = rig_field(call, "grpc-status");

	assert_int_equal(call->head->status, 200);
	assert_non_null(given);
	if (strcmp(given, status) != 0) {
		const char *message = rig_field(call, "grpc-message");

		print_error("grpc-status %s: %s\n", given, message ? message : "");
	}
	assert_string_equal(given, status);
}

static void a_call_and_its_answer(void **state)
{
	(void)state;
	for (int h2 = 0; h2 < 2; h2++) {
		struct translate_rig *rig = open_rig("json", h2 == 1);
		struct rig_call *call = translate_rig_grpc(rig, item, sizeof(item));

		check_status(call, "0");
		assert_int_equal(call->body.size, sizeof(item));
		assert_memory_equal(call->body.data, item, sizeof(item));
		assert_string_equal(rig_field(call, "content-type"), "application/grpc");
		assert_string_equal(rig_field(call, "x-lead"), "1");
		assert_null(rig_field(call, "etag"));
		assert_null(rig_field(call, "x-odd"));
		assert_non_null(call->trailers);
		assert_int_equal(rig->body.size, strlen(item_json));
		assert_memory_equal(rig->body.data, item_json, strlen(item_json));
		assert_string_equal(translate_rig_seen(rig, "content-type"), "application/json");
		assert_string_equal(translate_rig_seen(rig, "accept"), "application/json");
		assert_int_equal(rig->seen->method, METHOD_POST);
		assert_true(slice_equal(rig->seen->path, SLICE("/shop.Stock/Get")));
		assert_int_equal(rig->seen->body, h2 == 1 ? rig->seen->body : BODY_LENGTH);
		translate_rig_totals(rig);
		assert_int_equal(rig->totals.messages[2], 1);
		assert_int_equal(rig->totals.messages[3], 1);
		assert_int_equal(rig->totals.headers_dropped, 1);
		close_rig(rig);
	}
}

static void fields_travel_by_the_rules(void **state)
{
	struct translate_rig *rig = open_rig("json", false);
	struct rig_request request = {.method = "POST",
		.path = "/shop.Stock/Get",
		.body = (const char *)item,
		.body_size = sizeof(item),
		.chunked = true,
		.fields = {"content-type", "application/grpc+proto", "grpc-timeout", "5S", "x-a",
			"1", "x-bin", "AQ, Ag==", "grpc-accept-encoding", "gzip", "accept-encoding",
			"identity", NULL}};
	const char *trailers[] = {"x-late", "z", NULL};
	struct rig_call *call;

	(void)state;
	memcpy(rig->answer.trailers, trailers, sizeof(trailers));
	call = rig_once(&rig->rig, "inbound", true, &request);
	check_status(call, "0");
	assert_string_equal(rig_field(call, "content-type"), "application/grpc+proto");
	assert_string_equal(translate_rig_seen(rig, "x-a"), "1");
	assert_string_equal(translate_rig_seen(rig, "x-bin"), "AQ, Ag==");
	assert_null(translate_rig_seen(rig, "grpc-accept-encoding"));
	assert_null(translate_rig_seen(rig, "accept-encoding"));
	/* The remaining deadline goes as grpc-timeout (GJ-01). */
	assert_non_null(translate_rig_seen(rig, "grpc-timeout"));
	close_rig(rig);
}

static void trailers_become_trailing_metadata(void **state)
{
	struct translate_rig *rig = open_rig("json", true);
	const char *trailers[] = {"x-late", "z", "grpc-status", "9", NULL};
	struct rig_call *call;

	(void)state;
	memcpy(rig->answer.trailers, trailers, sizeof(trailers));
	call = translate_rig_grpc(rig, item, sizeof(item));
	check_status(call, "0");
	assert_string_equal(rig_field(call, "x-late"), "z");
	assert_memory_equal(call->body.data, item, sizeof(item));
	close_rig(rig);
}

/* ---- what is wrong with a request ---- */

struct bad_row {
	const char *bytes;
	size_t size;
	const char *coding, *field, *value;
	const char *status, *reason, *text;
};

static void bad_requests_are_refused(void **state)
{
	static const struct bad_row rows[] = {
		{"\0\0\0\0\0\0\0\0\0\0", 10, NULL, NULL, NULL, "13", "codec_frame",
			"there are more"},
		{"\0\0\0\0\0\0", 6, NULL, NULL, NULL, "13", "codec_frame", "there are more"},
		{"\0\0\0\0\2\0", 6, NULL, NULL, NULL, "13", "codec_frame", "inside a frame"},
		{"\0\0\0", 3, NULL, NULL, NULL, "13", "codec_frame", "inside a frame"},
		{"\2\0\0\0\0", 5, NULL, NULL, NULL, "13", "codec_frame", "unknown flag"},
		{"\200\0\0\0\0", 5, NULL, NULL, NULL, "13", "codec_frame", "unknown flag"},
		{"\1\0\0\0\0", 5, NULL, NULL, NULL, "13", "codec_frame", "compressed frame"},
		{"\1\0\0\0\0", 5, "identity", NULL, NULL, "13", "codec_frame", "compressed"},
		{"\1\0\0\0\1x", 6, "gzip", NULL, NULL, "13", "codec_frame", "broken"},
		{"\0\0\0\0\0", 5, "br", NULL, NULL, "12", "codec_type", "grpc-encoding"},
		{"\0\xff\xff\xff\xff", 5, NULL, NULL, NULL, "8", "codec_limit", "too large"},
		{"\0\0\0\0\2\x0a\5", 7, NULL, NULL, NULL, "3", "codec_request", "shop.Item"},
		{"\0\0\0\0\3\x0a\1\xff", 8, NULL, NULL, NULL, "3", "codec_request",
			"shop.Item.sku: invalid UTF-8 at byte 2"},
		{"\0\0\0\0\0", 5, NULL, "x-bin", "!", "13", "codec_frame", "x-bin"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct translate_rig *rig = open_rig("json", i % 2 == 0);
		struct rig_request request = {.method = "POST",
			.path = "/shop.Stock/Get",
			.body = rows[i].bytes,
			.body_size = rows[i].size,
			.chunked = true,
			.fields = {"content-type", "application/grpc", "te", "trailers", NULL}};
		struct access_record record;
		struct rig_call *call;
		size_t at = 4;

		if (rows[i].coding != NULL) {
			request.fields[at++] = "grpc-encoding";
			request.fields[at++] = rows[i].coding;
		}
		if (rows[i].field != NULL) {
			request.fields[at++] = rows[i].field;
			request.fields[at++] = rows[i].value;
		}
		call = rig_once(&rig->rig, "inbound", true, &request);
		if (strstr(rig_field(call, "grpc-message"), rows[i].text) == NULL) {
			print_error("row %zu: %s\n", i, rig_field(call, "grpc-message"));
		}
		check_status(call, rows[i].status);
		assert_non_null(strstr(rig_field(call, "grpc-message"), rows[i].text));
		assert_int_equal(rig->requests, 0);
		rig_record(&rig->rig, &record);
		assert_string_equal(reason_info((enum reason)record.reason)->word, rows[i].reason);
		if (rows[i].coding != NULL && strcmp(rows[i].coding, "br") == 0) {
			assert_string_equal(
				rig_field(call, "grpc-accept-encoding"), "identity,deflate,gzip");
		}
		close_rig(rig);
	}
}

static void a_request_without_a_body_has_no_message(void **state)
{
	struct translate_rig *rig = open_rig("json", false);
	struct rig_request request = {.method = "POST",
		.path = "/shop.Stock/Get",
		.fields = {"content-type", "application/grpc", NULL}};
	struct rig_call *call = rig_once(&rig->rig, "inbound", true, &request);

	(void)state;
	check_status(call, "13");
	assert_non_null(strstr(rig_field(call, "grpc-message"), "there is none"));
	close_rig(rig);
}

static void streaming_methods_are_refused(void **state)
{
	static const char *const paths[] = {"/shop.Stock/Watch", "/shop.Stock/Push"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		struct translate_rig *rig = open_rig("json", false);
		struct rig_request request = {.method = "POST",
			.path = paths[i],
			.body = (const char *)item,
			.body_size = sizeof(item),
			.fields = {"content-type", "application/grpc", NULL}};

		check_status(rig_once(&rig->rig, "inbound", true, &request), "12");
		assert_int_equal(rig->requests, 0);
		close_rig(rig);
	}
}

static void grpc_over_http1_is_refused(void **state)
{
	struct translate_rig *rig = open_rig("json", false);
	struct rig_request request = {.method = "POST",
		.path = "/shop.Stock/Get",
		.body = (const char *)item,
		.body_size = sizeof(item),
		.fields = {"content-type", "application/grpc", NULL}};
	struct access_record record;

	(void)state;
	rig_once(&rig->rig, "inbound", false, &request);
	rig_record(&rig->rig, &record);
	assert_int_equal(record.reason, REASON_codec_type);
	assert_int_equal(rig->requests, 0);
	close_rig(rig);
}

/* ---- what is made of answers ---- */

struct answer_row {
	struct translate_answer answer;
	const char *status, *message;
	enum reason reason;
};

#define TEXT(literal) .body = (literal), .body_size = sizeof(literal) - 1

static void answers_become_grpc(void **state)
{
	static const struct answer_row rows[] = {
		{{.status = 204}, "0", NULL, REASON_ok},
		{{.status = 200}, "0", NULL, REASON_ok},
		{{.status = 201,
			 .fields = {"content-type", "application/problem+json", NULL},
			 TEXT("{}")},
			"0", NULL, REASON_ok},
		{{.fields = {"content-type", "text/html", NULL}, TEXT("<p>")}, "13", "content-type",
			REASON_codec_response},
		{{.fields = JSON, TEXT("{\"qty\":\"x\"}")}, "13", "$.qty", REASON_codec_response},
		{{.fields = JSON, TEXT("{\"new\":1}")}, "13", "new", REASON_codec_response},
		{{.fields = {"content-type", "application/json", "content-encoding", "br", NULL},
			 TEXT("{}")},
			"13", "content-encoding", REASON_codec_response},
		{{.fields = {"content-type", "application/json", "content-encoding", "gzip", NULL},
			 TEXT("{}")},
			"13", "compressed", REASON_codec_response},
		{{.status = 302, .fields = {"location", "/x", NULL}}, "2", "HTTP 302", REASON_ok},
		{{.status = 404}, "5", "Not Found", REASON_upstream_status},
		{{.status = 404, .fields = {"content-type", "text/plain", NULL}, TEXT("gone\n")},
			"5", "Not Found: gone", REASON_upstream_status},
		{{.status = 409,
			 .fields = JSON,
			 TEXT("{\"code\":6,\"message\":\"50% \xe2\x82\xac\"}")},
			"6", "50%25 %E2%82%AC", REASON_upstream_status},
		{{.status = 500,
			 .fields = JSON,
			 TEXT("{\"error\":{\"code\":503,\"message\":\"busy\"}}")},
			"14", "busy", REASON_upstream_status},
		{{.status = 400,
			 .fields = JSON,
			 TEXT("{\"code\":\"not_found\",\"message\":\"c\"}")},
			"5", "c", REASON_upstream_status},
		{{.status = 500, .fields = {"content-encoding", "br", NULL}, TEXT("zzz")}, "13",
			"Internal", REASON_upstream_status},
		{{.status = 429, .fields = JSON, TEXT("{\"a\":1}"), .trailers = {"x-t", "1", NULL}},
			"8", "Too Many", REASON_upstream_status},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows) * 2; i++) {
		const struct answer_row *row = &rows[i / 2];
		/* HTTP/1 trailers are only sent to who asked for them. */
		struct translate_rig *rig =
			open_rig("json", i % 2 == 0 || row->answer.trailers[0] != NULL);
		struct access_record record;
		struct rig_call *call;
		const char *message;

		rig->answer = row->answer;
		call = translate_rig_grpc(rig, item, sizeof(item));
		message = rig_field(call, "grpc-message");
		if (row->message != NULL && (!message || !strstr(message, row->message))) {
			print_error("row %zu: %s\n", i / 2, message ? message : "");
		}
		check_status(call, row->status);
		if (row->message != NULL) {
			assert_non_null(strstr(message, row->message));
			/* Trailers-Only: one head. */
			assert_null(call->trailers);
			assert_int_equal(call->body.size, 0);
		} else {
			assert_int_equal(call->body.size, 5);
			assert_memory_equal(call->body.data, "\0\0\0\0\0", 5);
		}
		rig_record(&rig->rig, &record);
		assert_int_equal(record.reason, row->reason);
		assert_int_equal(record.grpc_status, atoi(row->status));
		close_rig(rig);
	}
}

static void details_of_an_error_travel(void **state)
{
	static const char body[] = "{\"code\":3,\"message\":\"m\",\"details\":[{\"@type\":"
				   "\"type.googleapis.com/shop.Item\",\"qty\":7}]}";
	struct translate_rig *rig = open_rig("json", false);
	struct rig_call *call;
	struct buf details;

	(void)state;
	rig->answer = (struct translate_answer){
		.status = 400, .fields = JSON, .body = body, .body_size = sizeof(body) - 1};
	call = translate_rig_grpc(rig, item, sizeof(item));
	check_status(call, "3");
	buf_init(&details);
	assert_non_null(rig_field(call, "grpc-status-details-bin"));
	assert_null(strchr(rig_field(call, "grpc-status-details-bin"), '='));
	assert_true(codec_base64_decode(
		slice_from_string(rig_field(call, "grpc-status-details-bin")), &details));
	assert_memory_equal(details.data, "\x08\3\x12\1m\x1a", 6);
	buf_fini(&details);
	close_rig(rig);
}

static void an_http_body_is_taken_raw(void **state)
{
	struct translate_rig *rig = open_rig("json", false);
	struct rig_request request = {.method = "POST",
		.path = "/shop.Stock/Raw",
		.body = (const char *)item,
		.body_size = sizeof(item),
		.fields = {"content-type", "application/grpc", NULL}};
	struct rig_call *call;

	(void)state;
	rig->answer = (struct translate_answer){
		.fields = {"content-type", "text/plain", NULL}, TEXT("<raw>")};
	call = rig_once(&rig->rig, "inbound", true, &request);
	check_status(call, "0");
	assert_int_equal(call->body.size, 24);
	assert_memory_equal(call->body.data, "\0\0\0\0\x13\x0a\x0atext/plain\x12\5<raw>", 24);
	close_rig(rig);
}

static void compressed_messages_are_inflated(void **state)
{
	struct translate_rig *rig = open_rig("json", false);
	struct rig_request request = {.method = "POST",
		.path = "/shop.Stock/Get",
		.fields = {"content-type", "application/grpc", "grpc-encoding", "gzip", NULL}};
	struct buf frame, body;
	struct rig_call *call;

	(void)state;
	buf_init(&frame);
	buf_init(&body);
	buf_append(&frame, "\1\0\0\0\0", 5);
	compress_deflate(COMPRESS_GZIP, slice_make(item + 5, 5), &frame);
	frame.data[4] = (uint8_t)(frame.size - 5);
	compress_deflate(COMPRESS_GZIP, slice_from_string(item_json), &body);
	request.body = (const char *)frame.data;
	request.body_size = frame.size;
	rig->answer = (struct translate_answer){
		.fields = {"content-type", "application/json", "content-encoding", "gzip", NULL},
		.body = body.data,
		.body_size = body.size};
	call = rig_once(&rig->rig, "inbound", true, &request);
	check_status(call, "0");
	assert_memory_equal(rig->body.data, item_json, strlen(item_json));
	assert_memory_equal(call->body.data, item, sizeof(item));
	assert_null(rig_field(call, "content-encoding"));
	buf_fini(&frame);
	buf_fini(&body);
	close_rig(rig);
}

static void bodies_may_be_cut_anywhere(void **state)
{
	(void)state;
	for (size_t cut = 1; cut < sizeof(item_json) - 1; cut++) {
		struct translate_rig *rig = open_rig("json", cut % 2 == 0);
		struct rig_call *call;

		rig->answer.cut = cut;
		call = translate_rig_grpc(rig, item, sizeof(item));
		check_status(call, "0");
		assert_memory_equal(call->body.data, item, sizeof(item));
		close_rig(rig);
	}
	for (size_t throttle = 1; throttle < 8; throttle++) {
		struct translate_rig *rig = open_rig("json", throttle % 2 == 0);
		struct rig_call *call;

		rig->rig.throttle = throttle;
		call = translate_rig_grpc(rig, item, sizeof(item));
		check_status(call, "0");
		assert_memory_equal(rig->body.data, item_json, strlen(item_json));
		close_rig(rig);
	}
}

static void an_answer_has_limits(void **state)
{
	static const struct {
		uint64_t max_json, max_message, memory;
		int size, status;
	} rows[] = {
		{1000, 1000, 1 << 20, 1000, 0},
		{1000, 1000, 1 << 20, 1001, 8},
		{1000, 500, 1 << 20, 508, 8},
		{1 << 20, 1 << 20, 100000, 200000, 8},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct translate_rig *rig = test_malloc(sizeof(*rig));
		struct rig_call *call;
		struct buf body;
		char status[8];

		translate_rig_init(rig, rows[i].memory);
		rig->options.max_json = rows[i].max_json;
		rig->options.max_message = rows[i].max_message;
		translate_rig_start(rig, "json", i % 2 == 0);
		translate_rig_schema(rig, TRANSLATE_SCHEMA_READY, false);
		buf_init(&body);
		buf_append_string(&body, "{\"sku\":\"");
		while (body.size + 2 < (size_t)rows[i].size) {
			buf_append_byte(&body, 'x');
		}
		buf_append_string(&body, "\"}");
		rig->answer = (struct translate_answer){
			.fields = JSON, .body = body.data, .body_size = body.size};
		call = translate_rig_grpc(rig, item, sizeof(item));
		snprintf(status, sizeof(status), "%d", rows[i].status);
		check_status(call, status);
		buf_fini(&body);
		close_rig(rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_and_its_answer),
		cmocka_unit_test(fields_travel_by_the_rules),
		cmocka_unit_test(trailers_become_trailing_metadata),
		cmocka_unit_test(bad_requests_are_refused),
		cmocka_unit_test(a_request_without_a_body_has_no_message),
		cmocka_unit_test(streaming_methods_are_refused),
		cmocka_unit_test(grpc_over_http1_is_refused),
		cmocka_unit_test(answers_become_grpc),
		cmocka_unit_test(details_of_an_error_travel),
		cmocka_unit_test(an_http_body_is_taken_raw),
		cmocka_unit_test(compressed_messages_are_inflated),
		cmocka_unit_test(bodies_may_be_cut_anywhere),
		cmocka_unit_test(an_answer_has_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
