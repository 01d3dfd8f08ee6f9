/* translate: what passes, who waits for a schema, ends from outside, repeated attempts. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "translate_rig.h"

#include "base/log.h"
#include "net/loop.h"

#define GET "/shop.Stock/Get"

static const uint8_t item[] = {0, 0, 0, 0, 5, 0x0a, 1, 'a', 0x10, 3};

static struct translate_rig *open_rig(const char *app, bool h2)
{
	struct translate_rig *rig = test_malloc(sizeof(*rig));

	translate_rig_init(rig, 1 << 20);
	translate_rig_start(rig, app, h2);
	rig->answer =
		(struct translate_answer){.fields = {"content-type", "application/grpc", NULL},
			.body = item,
			.body_size = sizeof(item),
			.trailers = {"grpc-status", "0", NULL}};
	return rig;
}

static void close_rig(struct translate_rig *rig)
{
	translate_rig_fini(rig);
	test_free(rig);
}

static struct rig_call *begin(struct translate_rig *rig, const char *deadline)
{
	struct rig_request request = {.method = "POST",
		.path = GET,
		.body = "{\"sku\":\"a\",\"qty\":3}",
		.fields = {"content-type", "application/json", NULL}};

	if (deadline != NULL) {
		request.fields[2] = "x-pillion-deadline";
		request.fields[3] = deadline;
	}
	return rig_call(rig_client(&rig->rig, "inbound", false), &request);
}

static void check_word(struct translate_rig *rig, enum reason reason)
{
	struct access_record record;

	rig_record(&rig->rig, &record);
	assert_int_equal(record.reason, reason);
}

/* ---- pass (CX-06) ---- */

static void what_passes_is_not_touched(void **state)
{
	static const struct {
		const char *app, *type;
		bool h2;
	} rows[] = {
		{"grpc", "application/grpc", true},
		{"auto", "application/grpc", true},
		{"json", "application/json", false},
		{"opaque", "application/json", true},
		{"auto", "application/json", false},
		{"json opaque", "application/grpc+json", true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct translate_rig *rig = open_rig(rows[i].app, rows[i].h2);
		struct rig_request request = {.method = "POST",
			.path = GET,
			.query = "a=b",
			/* Neither frames nor JSON. */
			.body = "\xff{{",
			.fields = {"content-type", rows[i].type, "content-encoding", "br",
				"grpc-encoding", "none", "accept-encoding", "x", "content-md5", "y",
				NULL}};
		struct rig_call *call;

		translate_rig_schema(rig, TRANSLATE_SCHEMA_READY, true);
		rig->answer = (struct translate_answer){.status = 418,
			.fields = {"content-type", "x/y", "etag", "z", "content-encoding", "br",
				NULL},
			.body = "}}",
			.body_size = 2};
		call = rig_once(&rig->rig, "inbound", true, &request);
		assert_int_equal(call->head->status, 418);
		assert_body(call, "}}");
		assert_string_equal(rig_field(call, "etag"), "z");
		assert_string_equal(rig_field(call, "content-type"), "x/y");
		assert_string_equal(rig_field(call, "content-encoding"), "br");
		assert_int_equal(rig->body.size, 3);
		assert_memory_equal(rig->body.data, "\xff{{", 3);
		assert_string_equal(translate_rig_seen(rig, "content-type"), rows[i].type);
		assert_string_equal(translate_rig_seen(rig, "content-encoding"), "br");
		assert_string_equal(translate_rig_seen(rig, "accept-encoding"), "x");
		assert_string_equal(translate_rig_seen(rig, "content-md5"), "y");
		assert_true(slice_equal(rig->seen->query, SLICE("a=b")));
		translate_rig_totals(rig);
		assert_int_equal(rig->totals.passed, 1);
		assert_int_equal(rig->totals.messages[0] + rig->totals.messages[2], 0);
		close_rig(rig);
	}
}

/* ---- the schema (RF-04) ---- */

static void a_request_waits_for_the_schema(void **state)
{
	static const char *const apps[] = {"auto", "grpc"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(apps); i++) {
		struct translate_rig *rig = open_rig(apps[i], true);
		struct rig_call *call = begin(rig, NULL);

		rig_turn(&rig->rig, 20);
		translate_worker_expire(rig->worker, loop_now_ns(rig->rig.loop));
		/* Still nothing is known: it goes on waiting. */
		translate_rig_schema(rig, TRANSLATE_SCHEMA_PENDING, false);
		rig_turn(&rig->rig, 20);
		assert_false(call->done);
		assert_int_equal(rig->requests, 0);
		translate_rig_schema(rig, TRANSLATE_SCHEMA_READY, true);
		rig_wait(call);
		assert_int_equal(call->head->status, 200);
		assert_body(call, "{\"sku\":\"a\",\"qty\":3}");
		assert_int_equal(rig->requests, 1);
		close_rig(rig);
	}
}

static void an_empty_request_waits_too(void **state)
{
	struct translate_rig *rig = open_rig("grpc", true);
	struct rig_request request = {.method = "POST", .path = GET};
	struct rig_call *call = rig_call(rig_client(&rig->rig, "inbound", false), &request);

	(void)state;
	rig_turn(&rig->rig, 20);
	assert_false(call->done);
	translate_rig_schema(rig, TRANSLATE_SCHEMA_READY, true);
	rig_wait(call);
	assert_int_equal(call->head->status, 200);
	assert_int_equal(rig->body.size, 5);
	close_rig(rig);
}

static void no_schema_came(void **state)
{
	static const struct {
		const char *app;
		bool grpc_app;
		int status;
		enum reason reason;
	} rows[] = {
		{"grpc", false, 501, REASON_codec_schema},
		{"auto", true, 501, REASON_codec_schema},
		/* Then it is an application of which nothing is known: it passes. */
		{"auto", false, 200, REASON_ok},
		{"grpc opaque", false, 200, REASON_ok},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct translate_rig *rig = open_rig(rows[i].app, true);
		struct rig_call *call = begin(rig, NULL);

		rig_turn(&rig->rig, 20);
		assert_false(call->done);
		translate_rig_schema(rig, TRANSLATE_SCHEMA_NONE, rows[i].grpc_app);
		rig_wait(call);
		assert_int_equal(call->head->status, rows[i].status);
		check_word(rig, rows[i].reason);
		if (rows[i].status == 200) {
			assert_memory_equal(rig->body.data, "{\"sku\"", 6);
		}
		close_rig(rig);
	}
}

static void the_wait_ends(void **state)
{
	for (int wait_ms = 0; wait_ms < 60; wait_ms += 50) {
		struct translate_rig *rig = open_rig("auto", true);
		struct rig_call *call;
		uint64_t now;

		(void)state;
		rig->options.schema_wait_ms = wait_ms;
		now = loop_now_ns(rig->rig.loop);
		call = begin(rig, NULL);
		rig_turn(&rig->rig, 20);
		if (wait_ms > 0) {
			translate_worker_expire(rig->worker, now + 49000000);
			rig_turn(&rig->rig, 20);
			assert_false(call->done);
			translate_worker_expire(rig->worker, now + 2000000000);
		}
		rig_wait(call);
		assert_int_equal(call->head->status, 503);
		assert_string_equal(rig_field(call, "retry-after"), "1");
		check_word(rig, REASON_codec_schema_wait);
		assert_int_equal(rig->requests, 0);
		/* Nobody waits any more. */
		translate_rig_schema(rig, TRANSLATE_SCHEMA_READY, true);
		translate_rig_totals(rig);
		assert_int_equal(translate_rig_faults(&rig->totals, false), 1);
		close_rig(rig);
	}
}

static void who_waits_may_leave(void **state)
{
	struct translate_rig *rig = open_rig("grpc", true);
	struct rig_call *call = begin(rig, NULL);

	(void)state;
	rig_turn(&rig->rig, 20);
	rig_client_close(call->client);
	/* In the same turn, before the exchange has ended, and after it. */
	translate_rig_schema(rig, TRANSLATE_SCHEMA_PENDING, true);
	rig_turn(&rig->rig, 20);
	translate_rig_schema(rig, TRANSLATE_SCHEMA_READY, true);
	rig_turn(&rig->rig, 20);
	assert_int_equal(rig->requests, 0);
	close_rig(rig);
}

static void the_deadline_ends_a_wait(void **state)
{
	struct translate_rig *rig = open_rig("grpc", true);
	struct rig_call *call = begin(rig, "30");

	(void)state;
	rig_wait(call);
	assert_int_equal(call->head->status, 504);
	check_word(rig, REASON_deadline_exceeded);
	translate_rig_schema(rig, TRANSLATE_SCHEMA_READY, true);
	rig_turn(&rig->rig, 20);
	assert_int_equal(rig->requests, 0);
	close_rig(rig);
}

/* The answer is on its way to a slow client when the schema comes. */
static void an_answer_is_not_replaced(void **state)
{
	struct translate_rig *rig = open_rig("grpc", true);
	struct rig_call *call;

	(void)state;
	rig->rig.throttle = 1;
	call = begin(rig, "100");
	/* One byte a turn: some of the answer is there, most of it is still to come. */
	RIG_UNTIL(&rig->rig, call->client->codec->in.size > 20);
	assert_false(call->done);
	translate_rig_schema(rig, TRANSLATE_SCHEMA_NONE, true);
	rig_wait(call);
	assert_int_equal(call->head->status, 504);
	check_word(rig, REASON_deadline_exceeded);
	close_rig(rig);
}

static void an_unknown_method_asks_for_a_refresh(void **state)
{
	struct translate_rig *rig = open_rig("grpc", true);

	(void)state;
	translate_rig_schema(rig, TRANSLATE_SCHEMA_READY, true);
	assert_false(translate_worker_take_unknown(rig->worker));
	assert_int_equal(translate_rig_json(rig, "/shop.Stock/New", "{}")->head->status, 404);
	assert_true(translate_worker_take_unknown(rig->worker));
	assert_false(translate_worker_take_unknown(rig->worker));
	close_rig(rig);
}

static void an_exchange_keeps_its_schema(void **state)
{
	struct translate_rig *rig = open_rig("grpc", true);
	struct rig_call *call;

	(void)state;
	translate_rig_schema(rig, TRANSLATE_SCHEMA_READY, true);
	rig->answer.cut = 4;
	call = begin(rig, NULL);
	RIG_UNTIL(&rig->rig, rig->requests == 1);
	/* The pool in force goes away while the answer comes. */
	translate_rig_schema(rig, TRANSLATE_SCHEMA_NONE, true);
	translate_rig_rest(rig);
	rig_wait(call);
	assert_int_equal(call->head->status, 200);
	assert_body(call, "{\"sku\":\"a\",\"qty\":3}");
	close_rig(rig);
}

/* ---- ends from outside ---- */

static void an_application_that_hangs_is_given_up(void **state)
{
	struct translate_rig *rig = open_rig("grpc", true);
	struct rig_call *call;

	(void)state;
	translate_rig_schema(rig, TRANSLATE_SCHEMA_READY, true);
	rig->answer.hang = true;
	call = begin(rig, "60");
	rig_wait(call);
	assert_int_equal(call->head->status, 504);
	check_word(rig, REASON_deadline_exceeded);
	close_rig(rig);
}

static void an_application_that_cuts_its_answer(void **state)
{
	struct translate_rig *rig = open_rig("grpc", true);
	struct rig_call *call;

	(void)state;
	translate_rig_schema(rig, TRANSLATE_SCHEMA_READY, true);
	rig->answer.cut = 7;
	call = begin(rig, NULL);
	RIG_UNTIL(&rig->rig, rig->requests == 1);
	rig_turn(&rig->rig, 20);
	translate_rig_cut(rig);
	rig_wait(call);
	/* The head was held: the client gets a true status. */
	assert_int_equal(call->head->status, 502);
	close_rig(rig);
}

static void a_client_that_leaves_in_the_middle(void **state)
{
	for (int answering = 0; answering < 2; answering++) {
		struct translate_rig *rig = open_rig("grpc", true);
		struct rig_call *call;

		(void)state;
		translate_rig_schema(rig, TRANSLATE_SCHEMA_READY, true);
		rig->answer.cut = 7;
		rig->answer.hang = answering == 0;
		call = begin(rig, NULL);
		RIG_UNTIL(&rig->rig, rig->requests == 1);
		rig_turn(&rig->rig, 20);
		rig_client_close(call->client);
		rig_turn(&rig->rig, 20);
		translate_rig_totals(rig);
		assert_int_equal(rig->totals.memory_bytes, 0);
		close_rig(rig);
	}
}

/* MT-11, CX-10: a request that was not processed is tried once more, and translated again from the
 * bytes that were received. */
static void another_attempt_translates_anew(void **state)
{
	static const char *const bodies[] = {"{\"sku\":\"a\",\"qty\":3}", NULL};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		struct translate_rig *rig = open_rig("grpc", true);
		struct rig_call *call;

		translate_rig_schema(rig, TRANSLATE_SCHEMA_READY, true);
		rig->refuse_next = true;
		call = translate_rig_json(rig, GET, bodies[i]);
		assert_int_equal(call->head->status, 200);
		assert_body(call, "{\"sku\":\"a\",\"qty\":3}");
		assert_int_equal(rig->requests, 2);
		assert_int_equal(rig->body.size, i == 0 ? sizeof(item) : 5);
		assert_memory_equal(
			rig->body.data, i == 0 ? item : (const uint8_t[5]){0}, rig->body.size);
		assert_string_equal(translate_rig_seen(rig, "content-type"), "application/grpc");
		translate_rig_totals(rig);
		assert_int_equal(rig->totals.messages[0], 2);
		close_rig(rig);
	}
}

/* With 20 calls of 40,000 bytes held, the reserve and the budget of 100,000 hold seven more. */
static void small_calls_have_an_end(
	struct translate_rig *rig, struct rig_client *client, const char *body)
{
	for (int i = 0; i < 8; i++) {
		struct rig_request request = {.method = "POST",
			.path = GET,
			.body = body,
			.fields = {"content-type", "application/json", NULL}};
		struct rig_call *call = rig_call(client, &request);

		rig_turn(&rig->rig, 40);
		if (call->done) {
			assert_true(i >= 5);
			assert_int_equal(call->head->status, 503);
			return;
		}
	}
	fail();
}

/* LM-04: what the application has not answered yet is charged; small calls have a reserve. */
static void small_calls_survive_a_flood(void **state)
{
	struct translate_rig *rig = test_malloc(sizeof(*rig));
	struct rig_client *client;
	struct rig_call *held;
	struct buf body;

	(void)state;
	translate_rig_init(rig, 100000);
	translate_rig_start(rig, "grpc", true);
	translate_rig_schema(rig, TRANSLATE_SCHEMA_READY, true);
	buf_init(&body);
	buf_append_string(&body, "{\"sku\":\"");
	memset(buf_reserve(&body, 70000), 'x', 70000);
	body.size += 70000;
	buf_append_string(&body, "\"}");
	/* Text and wire together stand in the budget while one becomes the other. */
	assert_int_equal(translate_rig_json(rig, GET, buf_string(&body))->head->status, 503);
	memmove(body.data + 8, body.data + 8 + 30000, body.size - 30000 - 8);
	body.size -= 30000;
	rig->answer.hang = true;
	client = rig_client(&rig->rig, "inbound", true);
	for (int i = 0; i < 20; i++) {
		struct rig_request request = {.method = "POST",
			.path = GET,
			.body = buf_string(&body),
			.fields = {"content-type", "application/json", NULL}};

		held = rig_call(client, &request);
		rig_turn(&rig->rig, 40);
		assert_false(held->done);
	}
	translate_rig_totals(rig);
	assert_true(rig->totals.memory_bytes > 20 * 40000);
	small_calls_have_an_end(rig, client, buf_string(&body));
	rig->answer =
		(struct translate_answer){.fields = {"content-type", "application/grpc", NULL},
			.body = item,
			.body_size = sizeof(item),
			.trailers = {"grpc-status", "0", NULL}};
	assert_int_equal(translate_rig_json(rig, GET, "{}")->head->status, 200);
	buf_fini(&body);
	close_rig(rig);
}

static void many_calls_leave_nothing_behind(void **state)
{
	struct translate_rig *rig = open_rig("grpc", true);
	struct rig_client *client = rig_client(&rig->rig, "inbound", true);

	(void)state;
	translate_rig_schema(rig, TRANSLATE_SCHEMA_READY, true);
	for (int i = 0; i < 50; i++) {
		struct rig_request request = {.method = "POST",
			.path = GET,
			.body = i % 5 == 4 ? "{\"bad\":1}" : "{\"qty\":1}",
			.fields = {"content-type", "application/json", NULL}};
		struct rig_call *call = rig_call(client, &request);

		rig_wait(call);
		assert_int_equal(call->head->status, i % 5 == 4 ? 400 : 200);
		translate_rig_totals(rig);
		assert_int_equal(rig->totals.memory_bytes, 0);
	}
	assert_int_equal(translate_rig_faults(&rig->totals, false), 10);
	close_rig(rig);
}

/* Every line that was logged since, as text. */
static const char *logged(int fd)
{
	static char text[65536];
	ssize_t size = pread(fd, text, sizeof(text) - 1, 0);

	assert_true(size >= 0);
	text[size] = '\0';
	return text;
}

/* ER-07, ER-08: each fault by its name and side; one line each, folded when there are many. */
static void faults_are_counted_and_logged(void **state)
{
	char path[] = "/tmp/test_translate.XXXXXX";
	int fd = mkstemp(path);
	struct translate_rig *rig;
	struct rig_client *client;
	unsigned lines = 0;

	(void)state;
	assert_true(fd >= 0);
	unlink(path);
	log_setup(fd, true, "stock");
	rig = open_rig("grpc", true);
	translate_rig_schema(rig, TRANSLATE_SCHEMA_READY, true);
	(void)translate_rig_json(rig, GET, "{\"qty\":\"secret\"}");
	assert_non_null(strstr(logged(fd), "\"log.level\":\"info\""));
	assert_non_null(strstr(logged(fd), "\"url.path\":\"/shop.Stock/Get\""));
	assert_non_null(strstr(logged(fd), "\"pillion.codec.direction\":\"json to grpc\""));
	assert_non_null(strstr(logged(fd), "\"pillion.codec.fault\":\"json_type\""));
	assert_non_null(strstr(logged(fd), "\"error.message\":\"$.qty: "));
	assert_non_null(strstr(logged(fd), "\"event.code\":\"PIL5071\""));
	assert_non_null(strstr(logged(fd), "\"trace.id\":\""));
	assert_null(strstr(logged(fd), "\"pillion.codec.schema\":\"none"));
	assert_null(strstr(logged(fd), "secret")); /* ER-06 */
	rig->answer =
		(struct translate_answer){.fields = {"content-type", "application/grpc", NULL},
			.body = "\0\0\0\0\1\xff",
			.body_size = 6,
			.trailers = {"grpc-status", "0", NULL}};
	(void)translate_rig_json(rig, GET, "{}");
	assert_non_null(strstr(logged(fd), "\"log.level\":\"warn\""));
	assert_non_null(strstr(logged(fd), "\"pillion.codec.direction\":\"grpc to json\""));
	(void)translate_rig_json(rig, "/shop.Stock/Nothing", "{}");
	(void)translate_rig_json(rig, "/shop.Stock/Watch", "{}");
	translate_rig_totals(rig);
	assert_int_equal(rig->totals.faults[0][CODEC_FAULT_JSON_TYPE], 1);
	assert_int_equal(rig->totals.faults[0][CODEC_FAULT_UNKNOWN_METHOD], 1);
	assert_int_equal(rig->totals.faults[0][CODEC_FAULT_NOT_OFFERED], 1);
	assert_int_equal(translate_rig_faults(&rig->totals, false), 3);
	assert_int_equal(translate_rig_faults(&rig->totals, true), 1);
	client = rig_client(&rig->rig, "inbound", false);
	for (int i = 0; i < 50; i++) {
		struct rig_request request = {.method = "POST",
			.path = GET,
			.body = "{\"bad\":1}",
			.fields = {"content-type", "application/json", NULL}};

		rig_wait(rig_call(client, &request));
	}
	for (const char *line = logged(fd); (line = strstr(line, "PIL5071")) != NULL; line++) {
		lines++;
	}
	assert_true(lines >= 2 && lines <= 11);
	translate_rig_totals(rig);
	assert_int_equal(rig->totals.faults[0][CODEC_FAULT_JSON_UNKNOWN_FIELD], 50);
	close_rig(rig);
	log_setup(STDERR_FILENO, false, "test");
	close(fd);
}

/* OB-01: only messages beyond 64 KiB are timed. */
static void large_messages_are_timed(void **state)
{
	struct translate_rig *rig = open_rig("grpc", true);
	char *text = test_malloc(100000);

	(void)state;
	translate_rig_schema(rig, TRANSLATE_SCHEMA_READY, true);
	memset(text, 'a', 100000);
	memcpy(text, "{\"sku\":\"", 8);
	memcpy(text + 99997, "\"}", 3);
	assert_int_equal(translate_rig_json(rig, GET, "{}")->head->status, 200);
	translate_rig_totals(rig);
	assert_int_equal(rig->totals.durations.count, 0);
	assert_int_equal(translate_rig_json(rig, GET, text)->head->status, 200);
	translate_rig_totals(rig);
	assert_int_equal(rig->totals.durations.count, 1);
	test_free(text);
	close_rig(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* Before others have logged so much that its lines are folded. */
		cmocka_unit_test(faults_are_counted_and_logged),
		cmocka_unit_test(what_passes_is_not_touched),
		cmocka_unit_test(a_request_waits_for_the_schema),
		cmocka_unit_test(an_empty_request_waits_too),
		cmocka_unit_test(no_schema_came),
		cmocka_unit_test(the_wait_ends),
		cmocka_unit_test(who_waits_may_leave),
		cmocka_unit_test(the_deadline_ends_a_wait),
		cmocka_unit_test(an_answer_is_not_replaced),
		cmocka_unit_test(an_unknown_method_asks_for_a_refresh),
		cmocka_unit_test(an_exchange_keeps_its_schema),
		cmocka_unit_test(an_application_that_hangs_is_given_up),
		cmocka_unit_test(an_application_that_cuts_its_answer),
		cmocka_unit_test(a_client_that_leaves_in_the_middle),
		cmocka_unit_test(another_attempt_translates_anew),
		cmocka_unit_test(small_calls_survive_a_flood),
		cmocka_unit_test(many_calls_leave_nothing_behind),
		cmocka_unit_test(large_messages_are_timed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
