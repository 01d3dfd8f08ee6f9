#include "../base/test_main.h"
#include "http/reply.h"

struct answer {
	struct arena arena;
	struct head head;
	struct buf body;
};

static void answer_build(struct answer *answer, const struct reply *reply)
{
	arena_init(&answer->arena);
	head_init(&answer->head, &answer->arena, HEAD_RESPONSE);
	buf_init(&answer->body);
	reply_build(reply, &answer->head, &answer->body);
}

static void answer_fini(struct answer *answer)
{
	buf_fini(&answer->body);
	arena_fini(&answer->arena);
}

static void assert_field(const struct answer *answer, enum token token, const char *expected)
{
	struct slice value = head_value(&answer->head, token);

	if (!slice_equal(value, slice_from_string(expected))) {
		fail_msg("%.*s: got %.*s, want %s", (int)token_name(token).size,
			(const char *)token_name(token).data, (int)value.size,
			(const char *)value.data, expected);
	}
}

static enum outcome settled(enum reason reason)
{
	enum outcome outcome = reason_info(reason)->outcome;

	return outcome == OUTCOME_BY_PROGRESS ? OUTCOME_UNKNOWN : outcome;
}

/* RE-04, RE-05, RE-07, RE-08 for every word that has a status. */
static void test_every_reason_http(void **state)
{
	(void)state;
	for (int i = 0; i < REASON_COUNT; i++) {
		const struct reason_info *info = reason_info((enum reason)i);
		struct reply reply = {
			.reason = (enum reason)i, .grpc = -1, .outcome = settled((enum reason)i)};
		struct answer answer;
		char expected[1200];

		if (info->http == 0) {
			continue;
		}
		answer_build(&answer, &reply);
		assert_int_equal(answer.head.status, info->http);
		snprintf(expected, sizeof(expected), "%s;code=PIL%04u", info->word, info->pil);
		assert_field(&answer, TOKEN_x_pillion_reason, expected);
		assert_field(&answer, TOKEN_x_pillion_outcome, outcome_word(reply.outcome));
		assert_field(&answer, TOKEN_content_type, "application/json");
		assert_field(&answer, TOKEN_cache_control, "no-store");
		assert_field(&answer, TOKEN_retry_after,
			info->http == 503 || info->http == 429 ? "1"
			: info->http == 507		       ? "5"
							       : "");
		snprintf(expected, sizeof(expected),
			"{\"error\":{\"reason\":\"%s\",\"code\":\"PIL%04u\",\"message\":\"%s\","
			"\"outcome\":\"%s\"}}\n",
			info->word, info->pil, info->text, outcome_word(reply.outcome));
		assert_string_equal(buf_string(&answer.body), expected);
		assert_int_equal(answer.head.body, BODY_LENGTH);
		assert_int_equal(answer.head.length, answer.body.size);
		assert_true(answer.body.size <= 1024);
		assert_int_equal(answer.head.close, reply_closes((enum reason)i));
		answer_fini(&answer);
	}
}

/* RE-06 */
static void test_every_reason_grpc(void **state)
{
	(void)state;
	for (int i = 0; i < REASON_COUNT; i++) {
		const struct reason_info *info = reason_info((enum reason)i);
		struct reply reply = {.reason = (enum reason)i,
			.grpc = -1,
			.outcome = settled((enum reason)i),
			.grpc_client = true,
			.content_type = SLICE("application/grpc+proto")};
		struct answer answer;
		char expected[64];

		if (info->http == 0) {
			continue;
		}
		answer_build(&answer, &reply);
		assert_int_equal(answer.head.status, 200);
		assert_int_equal(answer.head.body, BODY_NONE);
		assert_int_equal(answer.body.size, 0);
		assert_field(&answer, TOKEN_content_type, "application/grpc+proto");
		snprintf(expected, sizeof(expected), "%d", info->grpc != 0 ? info->grpc : 2);
		assert_field(&answer, TOKEN_grpc_status, expected);
		assert_true(slice_starts_with(head_value(&answer.head, TOKEN_grpc_message),
			slice_from_string(info->word)));
		assert_true(head_value(&answer.head, TOKEN_x_pillion_reason).size > 0);
		assert_true(head_value(&answer.head, TOKEN_x_pillion_outcome).size > 0);
		answer_fini(&answer);
	}
}

static void test_details(void **state)
{
	struct reply reply = {
		.reason = REASON_connect_refused,
		.grpc = -1,
		.outcome = OUTCOME_NOT_PROCESSED,
		.service = SLICE("or\"d\\e\x01rs"),
		.message = SLICE("it said \"no\"\n"),
		.trace_id = SLICE("abc"),
		.event = SLICE("ev"),
		.by = SLICE("o-3f2a91c0"),
		.index = 812,
		.attempts = 3,
		.retry_stop = "none_left",
		.detailed = true,
		.wall_ms = 784111777123ULL,
	};
	struct answer answer;

	(void)state;
	answer_build(&answer, &reply);
	assert_field(&answer, TOKEN_x_pillion_reason,
		"connect_refused;code=PIL5032;service=\"or\\\"d\\\\e?rs\";index=812;attempts=3;"
		"retry=none_left;by=o-3f2a91c0");
	/* The example of RFC 9110 5.6.7. */
	assert_field(&answer, TOKEN_date, "Sun, 06 Nov 1994 08:49:37 GMT");
	assert_string_equal(buf_string(&answer.body),
		"{\"error\":{\"reason\":\"connect_refused\",\"code\":\"PIL5032\",\"message\":"
		"\"it said \\\"no\\\"\\n\",\"service\":\"or\\\"d\\\\e\\u0001rs\","
		"\"outcome\":\"not-processed\",\"id\":\"abc\",\"event\":\"ev\"}}\n");
	answer_fini(&answer);
	/* HEAD: the length, but no body. */
	reply.head_request = true;
	reply.http = 405;
	reply.allow = SLICE("GET, PUT");
	answer_build(&answer, &reply);
	assert_int_equal(answer.head.status, 405);
	assert_int_equal(answer.body.size, 0);
	assert_int_equal(answer.head.body, BODY_NONE);
	assert_true(answer.head.has_declared_length && answer.head.declared_length > 100);
	assert_field(&answer, TOKEN_allow, "GET, PUT");
	answer_fini(&answer);
}

/* The line stays within 1 KiB whatever the caller's texts are. */
static void test_long_texts(void **state)
{
	static uint8_t bytes[2000];
	struct slice text = {bytes, sizeof(bytes)};
	struct reply reply = {.reason = REASON_codec_request,
		.grpc = 0,
		.outcome = OUTCOME_UNKNOWN,
		.service = text,
		.message = text,
		.trace_id = text,
		.event = text};
	struct answer answer;

	(void)state;
	memset(bytes, 1, sizeof(bytes));
	answer_build(&answer, &reply);
	assert_true(answer.body.size > 0 && answer.body.size <= 1024);
	answer_fini(&answer);
	/* A failure never reads as success. */
	reply.grpc_client = true;
	answer_build(&answer, &reply);
	assert_field(&answer, TOKEN_grpc_status, "2");
	assert_true(head_value(&answer.head, TOKEN_grpc_message).size <= 1024);
	answer_fini(&answer);
}

/* G-11 */
static void test_grpc_message(void **state)
{
	static uint8_t bytes[1000];
	struct buf buf;

	(void)state;
	buf_init(&buf);
	reply_grpc_message(&buf, SLICE("a %\n\xc3\xa9~\x7f"));
	assert_string_equal(buf_string(&buf), "a %25%0A%C3%A9~%7F");
	buf_clear(&buf);
	memset(bytes, '%', sizeof(bytes));
	reply_grpc_message(&buf, slice_make(bytes, sizeof(bytes)));
	assert_int_equal(buf.size, 1023);
	buf_fini(&buf);
}

static void test_plain(void **state)
{
	struct arena arena;
	struct head head;

	(void)state;
	arena_init(&arena);
	head_init(&head, &arena, HEAD_RESPONSE);
	reply_plain(&head, 200, SLICE("text/plain"), 5);
	assert_int_equal(head.body, BODY_LENGTH);
	assert_int_equal(head.length, 5);
	assert_true(slice_equal(head_value(&head, TOKEN_content_type), SLICE("text/plain")));
	head_init(&head, &arena, HEAD_RESPONSE);
	reply_plain(&head, 204, SLICE(""), 0);
	assert_int_equal(head.body, BODY_NONE);
	assert_int_equal(head.field_count, 0);
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_reason_http),
		cmocka_unit_test(test_every_reason_grpc),
		cmocka_unit_test(test_details),
		cmocka_unit_test(test_long_texts),
		cmocka_unit_test(test_grpc_message),
		cmocka_unit_test(test_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
