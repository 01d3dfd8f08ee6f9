/* group_record and plan: registry records there and back, policies by pattern. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "base/assert.h"
#include "base/pbscan.h"
#include "broker/group_record.h"

static void test_group(void **state)
{
	struct plan_group group = {.durable = true,
		.earliest = false,
		.created_ms = 1767225600000,
		.ack_wait_ms = 30000,
		.max_deliver = 16,
		.backoff_ms = {100, 1000},
		.backoff_count = 2};
	struct plan_group again = {.durable = false};
	struct buf value;

	(void)state;
	buf_init(&value);
	group_record_encode(&group, &value);
	pbscan_put_varint(&value, 99, 1); /* of a later version */
	assert_true(group_record_decode(buf_slice(&value), &again));
	assert_true(again.durable && !again.earliest);
	assert_int_equal(again.created_ms, group.created_ms);
	assert_int_equal(again.backoff_count, 2);
	assert_int_equal(again.backoff_ms[1], 1000);
	assert_false(group_record_decode(SLICE("\xff"), &again));
	buf_fini(&value);
}

static void test_member(void **state)
{
	struct group_record_member member = {.host = "10.0.0.5",
					   .port = 7440,
					   .zone = "eu-1",
					   .weight = 250,
					   .state = GROUP_RECORD_DRAINING,
					   .pushed = true,
					   .max_in_flight = 16},
				   again;
	struct buf value;

	(void)state;
	buf_init(&value);
	group_record_encode_member(&member, &value);
	assert_true(group_record_decode_member(buf_slice(&value), &again));
	assert_string_equal(again.host, "10.0.0.5");
	assert_int_equal(again.port, 7440);
	assert_int_equal(again.state, GROUP_RECORD_DRAINING);
	assert_string_equal(again.zone, "eu-1");
	assert_int_equal(again.weight, 250);
	/* B3-09: a state that is not known counts as paused. */
	pbscan_put_varint(&value, 7, 200);
	assert_true(group_record_decode_member(buf_slice(&value), &again));
	assert_int_equal(again.state, GROUP_RECORD_PAUSED);
	assert_false(group_record_decode_member(SLICE(""), &again));
	pbscan_put_varint(&value, 4, 0);
	assert_true(group_record_decode_member(buf_slice(&value), &again));
	assert_int_equal(again.weight, 1);
	pbscan_put_varint(&value, 4, 100000);
	assert_true(group_record_decode_member(buf_slice(&value), &again));
	assert_int_equal(again.weight, 1000);
	/* From a sidecar that says neither. */
	assert_true(group_record_decode_member(SLICE("\x0a\x01h\x10\x07"), &again));
	assert_string_equal(again.zone, "");
	assert_int_equal(again.weight, 100);
	buf_fini(&value);
}

static void test_sets(void **state)
{
	static const struct {
		const char *set, *pattern, *group;
	} rows[] = {
		{"/ps/group/orders.>/billing", "orders.>", "billing"},
		{"/ps/group/a/b", "a", "b"},
		{"/ps/group/a", NULL, NULL},
		{"/ps/group//b", NULL, NULL},
		{"/ps/group/a/", NULL, NULL},
		{"/ps/member/a/b", NULL, NULL},
		{"/ps/group/a/b/c", NULL, NULL},
		{"/ps/group/", NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct slice pattern, group;
		bool good = group_record_parse_set(
			slice_from_string(rows[i].set), SLICE("/ps/group/"), &pattern, &group);

		assert_int_equal(good, rows[i].pattern != NULL);
		if (good) {
			assert_true(slice_equal(pattern, slice_from_string(rows[i].pattern)));
			assert_true(slice_equal(group, slice_from_string(rows[i].group)));
		}
	}
}

static void test_policy(void **state)
{
	static struct plan_policy policies[] = {
		{.pattern = ">", .topic = {.name = ">"}},
		{.pattern = "orders.>", .topic = {.name = "orders.>"}},
		{.pattern = "orders.*", .topic = {.name = "orders.*"}},
		{.pattern = "orders.placed", .topic = {.name = "orders.placed"}},
	};
	struct plan *plan = plan_create();

	(void)state;
	plan->policies = policies;
	plan->policy_count = ARRAY_SIZE(policies);
	plan->fallback.name = "none";
	assert_string_equal(plan_policy(plan, SLICE("orders.placed"))->name, "orders.placed");
	assert_string_equal(plan_policy(plan, SLICE("orders.paid"))->name, "orders.*");
	assert_string_equal(plan_policy(plan, SLICE("orders.a.b"))->name, "orders.>");
	assert_string_equal(plan_policy(plan, SLICE("stock"))->name, ">");
	assert_string_equal(plan_policy(plan, SLICE("stock.dlq.g"))->name, "none");
	plan_unref(plan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_group),
		cmocka_unit_test(test_member),
		cmocka_unit_test(test_sets),
		cmocka_unit_test(test_policy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
