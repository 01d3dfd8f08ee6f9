/* JSON clients of a gRPC application: requests, answers, errors both ways (codec.md 7, 9, 12). */
#include <stdio.h>

#include "translate_rig.h"

#include "codec/compress.h"

#define GET "/shop.Stock/Get"

/* {"sku":"a","qty":3} */
static const uint8_t item[] = {0, 0, 0, 0, 5, 0x0a, 1, 'a', 0x10, 3};

static struct translate_rig *open_rig(const char *app, bool h2)
{
	struct translate_rig *rig = test_malloc(sizeof(*rig));

	translate_rig_init(rig, 1 << 20);
	translate_rig_start(rig, app, h2);
	translate_rig_schema(rig, TRANSLATE_SCHEMA_READY, true);
	rig->answer = (struct translate_answer){
		.fields = {"content-type", "application/grpc", "x-lead", "1", NULL},
		.body = item,
		.body_size = sizeof(item),
		.trailers = {"grpc-status", "0", "x-trail", "2", NULL}};
	return rig;
}

static void close_rig(struct translate_rig *rig)
{
	translate_rig_fini(rig);
	test_free(rig);
}

static void a_call_and_its_answer(void **state)
{
	struct translate_rig *rig = open_rig("auto", true);
	struct rig_call *call = translate_rig_json(rig, GET, "{\"qty\":3,\"sku\":\"a\"}");
	struct access_record record;

	(void)state;
	assert_int_equal(call->head->status, 200);
	assert_body(call, "{\"sku\":\"a\",\"qty\":3}");
	assert_string_equal(rig_field(call, "content-type"), "application/json");
	assert_string_equal(rig_field(call, "x-lead"), "1");
	assert_string_equal(rig_field(call, "grpc-trailer-x-trail"), "2");
	assert_null(rig_field(call, "grpc-status"));
	assert_int_equal(call->head->body, BODY_LENGTH);
	/* Fields are written in the order of the text (EN-02). */
	assert_int_equal(rig->body.size, sizeof(item));
	assert_memory_equal(rig->body.data, "\0\0\0\0\5\x10\3\x0a\1a", sizeof(item));
	assert_string_equal(translate_rig_seen(rig, "content-type"), "application/grpc");
	assert_string_equal(translate_rig_seen(rig, "grpc-accept-encoding"), "identity");
	assert_true(rig->seen->te_trailers);
	assert_int_equal(rig->seen->version, HTTP_2);
	assert_null(translate_rig_seen(rig, "grpc-timeout"));
	rig_record(&rig->rig, &record);
	assert_int_equal(record.status, 200);
	assert_int_equal(record.reason, REASON_ok);
	translate_rig_totals(rig);
	assert_int_equal(rig->totals.messages[0], 1);
	assert_int_equal(rig->totals.messages[1], 1);
	assert_int_equal(rig->totals.bytes_in[0], 19);
	assert_int_equal(rig->totals.bytes_out[0], 5);
	assert_int_equal(rig->totals.passed, 0);
	close_rig(rig);
}

static void an_empty_body_is_the_empty_message(void **state)
{
	static const char *const bodies[] = {NULL, "", "{}"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		struct translate_rig *rig = open_rig("grpc", true);
		struct rig_call *call = translate_rig_json(rig, GET, bodies[i]);

		assert_int_equal(call->head->status, 200);
		assert_int_equal(rig->body.size, 5);
		assert_memory_equal(rig->body.data, "\0\0\0\0\0", 5);
		close_rig(rig);
	}
}

/* ---- what is wrong with a request ---- */

struct bad_row {
	const char *path, *body, *type, *method, *query;
	int status;
	const char *reason, *text;
	const char *field, *value;
};

static void check_bad(const struct bad_row *row)
{
	struct translate_rig *rig = open_rig("grpc", true);
	struct rig_request request = {.method = row->method ? row->method : "POST",
		.path = row->path ? row->path : GET,
		.query = row->query,
		.body = row->body};
	struct access_record record;
	struct rig_call *call;
	char reason[64];

	if (row->type != NULL) {
		request.fields[0] = "content-type";
		request.fields[1] = row->type;
	}
	if (row->field != NULL && row->field[0] == '+') {
		request.fields[2] = row->field + 1;
		request.fields[3] = row->value;
	}
	call = rig_once(&rig->rig, "inbound", false, &request);
	if (call->head->status != row->status) {
		print_error("%s: %d\n", row->reason, call->head->status);
	}
	assert_int_equal(call->head->status, row->status);
	snprintf(reason, sizeof(reason), "\"reason\":\"%s\"", row->reason);
	buf_append_byte(&call->body, 0);
	if (strcmp(request.method, "HEAD") != 0) {
		assert_non_null(strstr((char *)call->body.data, reason));
		assert_non_null(strstr((char *)call->body.data, row->text));
	}
	if (row->field != NULL && row->field[0] != '+') {
		assert_string_equal(rig_field(call, row->field), row->value);
	}
	/* ER-08: the application sees nothing of it. */
	assert_int_equal(rig->requests, 0);
	rig_record(&rig->rig, &record);
	assert_string_equal(reason_info((enum reason)record.reason)->word, row->reason);
	assert_int_equal(record.outcome, OUTCOME_NOT_PROCESSED);
	translate_rig_totals(rig);
	assert_int_equal(translate_rig_faults(&rig->totals, false), 1);
	close_rig(rig);
}

#define JSON "application/json"

static const struct bad_row bad_rows[] = {
	{.body = "{\"tags\":[1,2,\"x\"]}",
		.type = JSON,
		.status = 400,
		.reason = "codec_request",
		.text = "$.tags[2]"},
	{.body = "{\"child\":{\"qty\":1.5}}",
		.type = JSON,
		.status = 400,
		.reason = "codec_request",
		.text = "at byte 16"},
	{.body = "{\"qty\":1",
		.type = JSON,
		.status = 400,
		.reason = "codec_request",
		.text = "at byte 8"},
	{.body = " ", .type = JSON, .status = 400, .reason = "codec_request", .text = "$"},
	{.body = "{\"nope\":1}",
		.type = JSON,
		.status = 400,
		.reason = "codec_request",
		.text = "nope"},
	{.body = "{}",
		.type = JSON,
		.query = "qty=1",
		.status = 400,
		.reason = "codec_request",
		.text = "query"},
	{.body = "{}",
		.type = JSON,
		.field = "+x-bin",
		.value = "!",
		.status = 400,
		.reason = "codec_request",
		.text = "x-bin"},
	{.body = "{}",
		.type = JSON,
		.field = "+content-encoding",
		.value = "gzip",
		.status = 400,
		.reason = "codec_frame",
		.text = "compressed"},
	{.body = "{}",
		.type = JSON,
		.field = "+content-encoding",
		.value = "br",
		.status = 415,
		.reason = "codec_type",
		.text = "gzip"},
	{.path = "/shop.Stock/Nope",
		.body = "{}",
		.type = JSON,
		.status = 404,
		.reason = "codec_method",
		.text = "no method"},
	{.path = "/",
		.method = "GET",
		.status = 404,
		.reason = "codec_method",
		.text = "no method"},
	{.path = "/x",
		.body = "a=b",
		.type = "application/x-www-form-urlencoded",
		.status = 404,
		.reason = "codec_method",
		.text = "no method"},
	{.body = "a=b",
		.type = "application/x-www-form-urlencoded",
		.status = 415,
		.reason = "codec_type",
		.text = "application/json",
		.field = "accept",
		.value = "application/json, application/grpc, application/protobuf"},
	{.body = "x",
		.type = "application/grpc-web+json",
		.status = 415,
		.reason = "codec_type",
		.text = "application/json"},
	{.method = "GET",
		.status = 405,
		.reason = "codec_type",
		.text = "POST",
		.field = "allow",
		.value = "POST"},
	{.method = "HEAD",
		.status = 405,
		.reason = "codec_type",
		.text = "POST",
		.field = "allow",
		.value = "POST"},
	{.method = "OPTIONS", .status = 405, .reason = "codec_type", .text = "POST"},
	{.path = "/shop.Stock/Watch",
		.body = "{}",
		.type = JSON,
		.status = 501,
		.reason = "codec_type",
		.text = "streaming"},
	{.path = "/shop.Stock/Push",
		.body = "{}",
		.type = JSON,
		.status = 501,
		.reason = "codec_type",
		.text = "streaming"},
};

static void bad_requests_are_refused(void **state)
{

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad_rows); i++) {
		check_bad(&bad_rows[i]);
	}
}

/* ---- what is made of answers ---- */

struct answer_row {
	struct translate_answer answer;
	int status;
	const char *body;
	enum reason reason;
};

#define GRPC                                                                                       \
	{                                                                                          \
		"content-type", "application/grpc", NULL                                           \
	}

static const uint8_t two[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
static const uint8_t flag[] = {2, 0, 0, 0, 0};
static const uint8_t packed[] = {1, 0, 0, 0, 1, 9};
static const uint8_t huge[] = {0, 0xff, 0xff, 0xff, 0xff, 1};
static const uint8_t bad[] = {0, 0, 0, 0, 2, 0x0a, 9};

static const struct answer_row answer_rows[] = {
	{{.fields = GRPC, .trailers = {"grpc-status", "5", "grpc-message", "no%20%E2%82%AC", NULL}},
		404, "{\"code\":5,\"message\":\"no \xe2\x82\xac\",\"details\":[]}",
		REASON_upstream_status},
	/* A message in front of a status is discarded. */
	{{.fields = GRPC,
		 .body = item,
		 .body_size = sizeof(item),
		 .trailers = {"grpc-status", "9", NULL}},
		400, "{\"code\":9,\"message\":\"\",\"details\":[]}", REASON_upstream_status},
	/* Trailers-Only. */
	{{.fields = {"content-type", "application/grpc", "grpc-status", "16", "grpc-message", "who",
		  NULL}},
		401, "{\"code\":16,\"message\":\"who\",\"details\":[]}", REASON_upstream_status},
	{{.fields = {"content-type", "application/grpc", "grpc-status", "00", NULL}}, 502,
		"there is none", REASON_codec_response},
	{{.fields = {"content-type", "application/grpc", "grpc-status", "abc", NULL}}, 500,
		"{\"code\":2,\"message\":\"\",\"details\":[]}", REASON_upstream_status},
	{{.fields = {"content-type", "application/grpc", "grpc-status", "77", NULL}}, 500,
		"{\"code\":77,\"message\":\"\",\"details\":[]}", REASON_upstream_status},
	/* 08 05, 12 01 78: a google.rpc.Status. */
	{{.fields = GRPC,
		 .trailers = {"grpc-status", "5", "grpc-message", "y", "grpc-status-details-bin",
			 "CAUSAXg", NULL}},
		404, "{\"code\":5,\"message\":\"x\",\"details\":[]}", REASON_upstream_status},
	{{.fields = GRPC,
		 .trailers = {"grpc-status", "6", "grpc-message", "y", "grpc-status-details-bin",
			 "CAUSAXg", NULL}},
		409, "{\"code\":6,\"message\":\"y\",\"details\":[]}", REASON_upstream_status},
	{{.fields = GRPC, .body = item, .body_size = sizeof(item)}, 500,
		"{\"code\":2,\"message\":\"the answer has no grpc-status\",\"details\":[]}",
		REASON_upstream_status},
	{{.fields = GRPC}, 500,
		"{\"code\":2,\"message\":\"the answer has no grpc-status\",\"details\":[]}",
		REASON_upstream_status},
	/* ER-02, table I, then ER-01. */
	{{.status = 503, .fields = {"content-type", "text/plain", NULL}}, 503,
		"{\"code\":14,\"message\":\"Service Unavailable\",\"details\":[]}",
		REASON_upstream_status},
	{{.status = 503, .fields = GRPC, .trailers = {"grpc-status", "7", NULL}}, 403,
		"{\"code\":7,\"message\":\"\",\"details\":[]}", REASON_upstream_status},
	/* Faults. */
	{{.fields = GRPC, .trailers = {"grpc-status", "0", NULL}}, 502, "there is none",
		REASON_codec_response},
	{{.fields = GRPC,
		 .body = two,
		 .body_size = sizeof(two),
		 .trailers = {"grpc-status", "0", NULL}},
		502, "there are more", REASON_codec_response},
	{{.fields = GRPC, .body = item, .body_size = 9, .trailers = {"grpc-status", "0", NULL}},
		502, "inside a frame", REASON_codec_response},
	{{.fields = GRPC, .body = item, .body_size = 4, .trailers = {"grpc-status", "0", NULL}},
		502, "inside a frame", REASON_codec_response},
	{{.fields = GRPC,
		 .body = flag,
		 .body_size = sizeof(flag),
		 .trailers = {"grpc-status", "0", NULL}},
		502, "unknown flag", REASON_codec_response},
	{{.fields = GRPC,
		 .body = packed,
		 .body_size = sizeof(packed),
		 .trailers = {"grpc-status", "0", NULL}},
		502, "compressed frame", REASON_codec_response},
	{{.fields = {"content-type", "application/grpc", "grpc-encoding", "br", NULL},
		 .body = packed,
		 .body_size = sizeof(packed),
		 .trailers = {"grpc-status", "0", NULL}},
		502, "not offered", REASON_codec_response},
	{{.fields = {"content-type", "application/grpc", "grpc-encoding", "gzip", NULL},
		 .body = packed,
		 .body_size = sizeof(packed),
		 .trailers = {"grpc-status", "0", NULL}},
		502, "broken", REASON_codec_response},
	{{.fields = GRPC,
		 .body = huge,
		 .body_size = sizeof(huge),
		 .trailers = {"grpc-status", "0", NULL}},
		502, "too large", REASON_codec_limit},
	{{.fields = GRPC,
		 .body = bad,
		 .body_size = sizeof(bad),
		 .trailers = {"grpc-status", "0", NULL}},
		502, "shop.Item", REASON_codec_response},
	{{.fields = {"content-type", "text/html", NULL}, .body = "<p>", .body_size = 3}, 502,
		"content-type", REASON_codec_response},
};

static void answers_become_json(void **state)
{

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(answer_rows); i++) {
		struct translate_rig *rig = open_rig("grpc", true);
		struct access_record record;
		struct rig_call *call;

		rig->answer = answer_rows[i].answer;
		call = translate_rig_json(rig, GET, "{}");
		buf_append_byte(&call->body, 0);
		if (call->head->status != answer_rows[i].status ||
			strstr((char *)call->body.data, answer_rows[i].body) == NULL) {
			print_error(
				"row %zu: %d %s\n", i, call->head->status, (char *)call->body.data);
		}
		assert_int_equal(call->head->status, answer_rows[i].status);
		assert_non_null(strstr((char *)call->body.data, answer_rows[i].body));
		assert_string_equal(rig_field(call, "content-type"), "application/json");
		assert_int_equal(rig->requests, 1);
		rig_record(&rig->rig, &record);
		assert_int_equal(record.reason, answer_rows[i].reason);
		assert_int_equal(record.outcome, OUTCOME_PROCESSED);
		translate_rig_totals(rig);
		assert_int_equal(translate_rig_faults(&rig->totals, true),
			answer_rows[i].reason == REASON_upstream_status ? 0 : 1);
		close_rig(rig);
	}
}

static void a_compressed_answer_is_inflated(void **state)
{
	static const char *const codings[] = {"gzip", "deflate"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(codings); i++) {
		struct translate_rig *rig = open_rig("grpc", true);
		struct rig_call *call;
		struct buf frame;

		buf_init(&frame);
		buf_append(&frame, "\1\0\0\0\0", 5);
		compress_deflate(compress_coding_find(slice_from_string(codings[i])),
			slice_make(item + 5, 5), &frame);
		frame.data[4] = (uint8_t)(frame.size - 5);
		rig->answer.fields[2] = "grpc-encoding";
		rig->answer.fields[3] = codings[i];
		rig->answer.body = frame.data;
		rig->answer.body_size = frame.size;
		call = translate_rig_json(rig, GET, "{}");
		assert_int_equal(call->head->status, 200);
		assert_body(call, "{\"sku\":\"a\",\"qty\":3}");
		assert_null(rig_field(call, "grpc-encoding"));
		buf_fini(&frame);
		close_rig(rig);
	}
}

static void a_compressed_request_is_inflated(void **state)
{
	struct translate_rig *rig = open_rig("grpc", true);
	struct rig_request request = {.method = "POST",
		.path = GET,
		.fields = {"content-type", "application/json; charset=utf-8", "content-encoding",
			"gzip", NULL}};
	struct buf body;

	(void)state;
	buf_init(&body);
	compress_deflate(COMPRESS_GZIP, SLICE("{\"sku\":\"a\",\"qty\":3}"), &body);
	request.body = (const char *)body.data;
	request.body_size = body.size;
	assert_int_equal(rig_once(&rig->rig, "inbound", true, &request)->head->status, 200);
	assert_int_equal(rig->body.size, sizeof(item));
	assert_memory_equal(rig->body.data, item, sizeof(item));
	assert_null(translate_rig_seen(rig, "content-encoding"));
	buf_fini(&body);
	close_rig(rig);
}

/* ---- pieces, trailers, limits ---- */

static void bodies_may_be_cut_anywhere(void **state)
{
	(void)state;
	for (size_t cut = 1; cut < sizeof(item); cut++) {
		struct translate_rig *rig = open_rig("grpc", true);
		struct rig_call *call;

		rig->answer.cut = cut;
		call = translate_rig_json(rig, GET, "{\"sku\":\"a\",\"qty\":3}");
		assert_int_equal(call->head->status, 200);
		assert_body(call, "{\"sku\":\"a\",\"qty\":3}");
		close_rig(rig);
	}
	for (size_t throttle = 1; throttle < 8; throttle++) {
		struct translate_rig *rig = open_rig("grpc", true);
		struct rig_call *call;

		rig->rig.throttle = throttle;
		call = translate_rig_json(rig, GET, "{\"sku\":\"a\",\"qty\":3}");
		assert_int_equal(call->head->status, 200);
		assert_memory_equal(rig->body.data, item, sizeof(item));
		close_rig(rig);
	}
}

/* ER-08: not even a head, though the fault comes late. */
static void a_late_fault_opens_nothing(void **state)
{
	struct translate_rig *rig = open_rig("grpc", true);

	(void)state;
	rig->rig.throttle = 3;
	assert_int_equal(
		translate_rig_json(rig, GET, "{\"sku\":\"a\",\"qty\":}")->head->status, 400);
	assert_int_equal(rig->streams, 0);
	close_rig(rig);
}

static void trailers_of_a_request_end_it(void **state)
{
	struct translate_rig *rig = open_rig("grpc", true);
	struct rig_request request = {.method = "POST",
		.path = GET,
		.body = "{\"sku\":\"a\",\"qty\":3}",
		.chunked = true,
		.trailers = true,
		.fields = {"content-type", "application/json", NULL}};

	(void)state;
	assert_int_equal(rig_once(&rig->rig, "inbound", true, &request)->head->status, 200);
	assert_memory_equal(rig->body.data, item, sizeof(item));
	close_rig(rig);
}

static void limits_hold(void **state)
{
	static const struct {
		uint64_t max_json, max_message, memory;
		int size, status;
		bool chunked;
		enum reason reason;
	} rows[] = {
		{1000, 1000, 1 << 20, 1000, 200, false, REASON_ok},
		{1000, 1000, 1 << 20, 1001, 413, false, REASON_codec_limit},
		{1000, 1000, 1 << 20, 1001, 413, true, REASON_codec_limit},
		/* The wire is ten bytes shorter than the text: {"sku":""} against 0a, length. */
		{1000, 500, 1 << 20, 507, 200, true, REASON_ok},
		{1000, 500, 1 << 20, 508, 413, true, REASON_codec_limit},
		{1 << 20, 1 << 20, 100000, 200000, 503, true, REASON_overloaded},
		{1 << 20, 1 << 20, 100000, 60000, 503, true, REASON_overloaded},
		{1 << 20, 1 << 20, 100000, 30000, 200, true, REASON_ok},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct translate_rig *rig = test_malloc(sizeof(*rig));
		struct rig_request request = {.method = "POST",
			.path = GET,
			.chunked = rows[i].chunked,
			.fields = {"content-type", "application/json", NULL}};
		struct access_record record;
		struct rig_call *call;
		struct buf body;

		translate_rig_init(rig, rows[i].memory);
		rig->options.max_json = rows[i].max_json;
		rig->options.max_message = rows[i].max_message;
		translate_rig_start(rig, "grpc", true);
		translate_rig_schema(rig, TRANSLATE_SCHEMA_READY, true);
		rig->answer = (struct translate_answer){.fields = GRPC,
			.body = item,
			.body_size = sizeof(item),
			.trailers = {"grpc-status", "0", NULL}};
		buf_init(&body);
		buf_append_string(&body, "{\"sku\":\"");
		while (body.size + 2 < (size_t)rows[i].size) {
			buf_append_byte(&body, 'x');
		}
		buf_append_string(&body, "\"}");
		request.body = (const char *)body.data;
		request.body_size = body.size;
		call = rig_once(&rig->rig, "inbound", i % 2 == 0, &request);
		rig_record(&rig->rig, &record);
		if (call->head->status != rows[i].status) {
			print_error("row %zu: %d\n", i, call->head->status);
		}
		assert_int_equal(call->head->status, rows[i].status);
		assert_int_equal(record.reason, rows[i].reason);
		buf_fini(&body);
		close_rig(rig);
	}
}

static void the_remaining_time_is_sent(void **state)
{
	struct translate_rig *rig = open_rig("grpc", true);
	struct rig_request request = {.method = "POST",
		.path = GET,
		.body = "{}",
		.fields = {"content-type", "application/json", "x-pillion-deadline", "2000",
			"expect", "100-continue", NULL}};
	const char *timeout;

	(void)state;
	assert_int_equal(rig_once(&rig->rig, "inbound", false, &request)->head->status, 200);
	timeout = translate_rig_seen(rig, "grpc-timeout");
	assert_non_null(timeout);
	assert_int_equal(timeout[strlen(timeout) - 1], 'u');
	close_rig(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_and_its_answer),
		cmocka_unit_test(an_empty_body_is_the_empty_message),
		cmocka_unit_test(bad_requests_are_refused),
		cmocka_unit_test(answers_become_json),
		cmocka_unit_test(a_compressed_answer_is_inflated),
		cmocka_unit_test(a_compressed_request_is_inflated),
		cmocka_unit_test(bodies_may_be_cut_anywhere),
		cmocka_unit_test(a_late_fault_opens_nothing),
		cmocka_unit_test(trailers_of_a_request_end_it),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(the_remaining_time_is_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
