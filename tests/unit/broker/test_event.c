/* message and event: attributes, fields of a request there and back, CloudEvents JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "broker/event.h"

static void test_attributes(void **state)
{
	static const struct {
		const char *name, *value;
		bool good;
	} rows[] = {
		{"id", "a1", true},
		{"id", "again", false},
		{"h:x-tenant", "7", true},
		{"h:x y", "7", false},
		{"h:x\r\ny", "7", false},
		{"Subject", "x", false},
		{"", "x", false},
		{"a-b", "x", false},
		{"abcdefghijklmnopqrstu", "x", false},
		{"subject", "\xc3\xa4", true},
		{"c1", "\xc2\x85", false},
		{"tab", "a\tb", false},
		{"bad", "\xff", false},
		{"empty", "", true},
	};
	struct message *message = message_create();
	char big[MESSAGE_ATTRIBUTE_VALUE_MAX + 2];
	unsigned count = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(message_put(message, slice_from_string(rows[i].name),
					 slice_from_string(rows[i].value)),
			rows[i].good);
		count += rows[i].good;
	}
	memset(big, 'x', sizeof big);
	assert_false(message_put(message, SLICE("big"), slice_make(big, sizeof big - 1)));
	assert_true(message_put(message, SLICE("big"), slice_make(big, sizeof big - 2)));
	count++;
	for (; count < MESSAGE_ATTRIBUTES_MAX; count++) {
		char name[8];

		snprintf(name, sizeof name, "n%u", count);
		assert_true(message_put(message, slice_from_string(name), SLICE("v")));
	}
	assert_false(message_put(message, SLICE("onemore"), SLICE("v")));
	assert_true(slice_equal(message_attribute(message, SLICE("id")), SLICE("a1")));
	/* What a sidecar sends is looked at again, since it becomes header fields. */
	assert_true(message_valid(message));
	record_put_attribute(&message->attributes, SLICE("x"), SLICE("a\r\nb: c"));
	assert_false(message_valid(message));
	message_unref(message);
}

static void test_round(void **state)
{
	struct plan *plan = plan_create();
	struct message *message = message_create();
	struct event_wishes wishes;
	struct arena arena;
	struct head request, pushed;
	const char *text = NULL;
	struct buf json;

	(void)state;
	arena_init(&arena);
	head_init(&request, &arena, HEAD_REQUEST);
	head_add(&request, SLICE("content-type"), SLICE("application/json"));
	head_add(&request, SLICE("content-encoding"), SLICE("gzip"));
	head_add(&request, SLICE("ce-id"), SLICE("a1"));
	head_add(&request, SLICE("ce-subject"), SLICE("\"Euro%20%E2%82%AC\""));
	head_add(&request, SLICE("ce-dlqreason"), SLICE("forged"));
	head_add(&request, SLICE("ce-pilliongroup"), SLICE("forged"));
	head_add(&request, SLICE("traceparent"), SLICE("00-1-2-03"));
	head_add(&request, SLICE("x-pillion-durability"), SLICE("fsync"));
	request.has_query = true;
	request.query = SLICE("key=c%207&ttl=5s");
	assert_int_equal(event_read(&request, plan, message, &wishes, &text), REASON_ok);
	assert_int_equal(wishes.removed, 2);
	assert_int_equal(wishes.ttl_ms, 5000);
	assert_true(wishes.fsync);
	assert_true(slice_equal(
		message_attribute(message, SLICE("subject")), SLICE("Euro \xe2\x82\xac")));
	assert_true(slice_equal(message_attribute(message, SLICE("partitionkey")), SLICE("c 7")));
	assert_null(message_attribute(message, SLICE("pilliongroup")).data);
	message->time_ms = UINT64_C(1767225600000);
	event_fill(message, "web", SLICE("orders.placed"));
	buf_append_string(&message->body, "{\"n\":1}");
	head_init(&pushed, &arena, HEAD_REQUEST);
	event_write(message, &pushed);
	assert_true(slice_equal(
		head_find_name(&pushed, SLICE("ce-subject"))->value, SLICE("Euro%20%E2%82%AC")));
	assert_true(slice_equal(head_find_name(&pushed, SLICE("ce-time"))->value,
		SLICE("2026-01-01T00:00:00.000Z")));
	assert_true(slice_equal(
		head_find_name(&pushed, SLICE("ce-source"))->value, SLICE("//pillion/web")));
	assert_true(slice_equal(head_value(&pushed, TOKEN_content_encoding), SLICE("gzip")));
	assert_true(slice_equal(head_value(&pushed, TOKEN_trace_parent), SLICE("00-1-2-03")));
	buf_init(&json);
	event_print(message, &json);
	assert_non_null(strstr(buf_string(&json), "\"data\":{\"n\":1}}"));
	assert_non_null(strstr(buf_string(&json), "\"type\":\"orders.placed\""));
	/* B7-05: what is no JSON goes as bytes. */
	buf_append_string(&message->body, "]");
	buf_clear(&json);
	event_print(message, &json);
	assert_non_null(strstr(buf_string(&json), "\"data_base64\":\"eyJuIjoxfV0=\""));
	buf_fini(&json);
	message_unref(message);
	plan_unref(plan);
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_round),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
