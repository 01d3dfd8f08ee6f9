/* The running broker: publishing, pushing, dead letters and their replay, fetching, a restart. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "broker/group.h"
#include "config/load.h"
#include "live.h"

#define PUSH                                                                                       \
	"{\"subscriptions\":[{\"name\":\"bill\",\"topic\":\"orders.placed\",\"group\":"            \
	"\"billing\","                                                                             \
	"\"push\":\"/events\",\"max_deliver\":2,\"backoff\":[\"10ms\"]}]}"

#define ACKED "acked_total{topic=\"orders.placed\",group=\"billing\"} "
#define DEAD                                                                                       \
	"dead_lettered_total{topic=\"orders.placed\",group=\"billing\",reason=\"max_deliver\"} "
#define BACKLOG "backlog_messages{topic=\"orders.placed\",group=\"billing\"} "

static const char *text(struct rig_call *call)
{
	return buf_string(&call->body);
}

static void test_refusals(void **state)
{
	static const struct {
		const char *path, *name, *value, *reason;
		int status;
	} rows[] = {
		{"/v1/pub/orders.placed", NULL, NULL, NULL, 200},
		{"/v1/pub/orders%2Eplaced?ttl=5s", NULL, NULL, NULL, 200},
		{"/v1/pub/orders..placed", NULL, NULL, "bad_topic", 400},
		{"/v1/pub/orders/placed", NULL, NULL, "bad_topic", 400},
		{"/v1/pub/orders.dlq.g", NULL, NULL, "reserved", 403},
		{"/v1/pub/$x", NULL, NULL, "reserved", 403},
		{"/v1/pub/a", "origin", "http://evil", "cross_site", 403},
		{"/v1/pub/a", "sec-fetch-site", "cross-site", "cross_site", 403},
		{"/v1/pub/a", "content-type", "application/cloudevents+json", "bad_event_format",
			415},
		{"/v1/pub/a", "ce-specversion", "0.3", "bad_event", 400},
		{"/v1/pub/a", "ce-subject", "%zz", "bad_event", 400},
		{"/v1/pub/a", "ce-datacontenttype", "text/plain", "bad_event", 400},
		{"/v1/pub/a", "ce-subject", "%C3%A4", NULL, 200},
		{"/v1/pub/a?id=1", "ce-id", "2", "bad_parameter", 400},
		{"/v1/pub/a?delay=5s", NULL, NULL, "bad_parameter", 400},
		{"/v1/pub/a?ttl=1ms", NULL, NULL, "bad_parameter", 400},
		{"/v1/pub/a?durability=paper", NULL, NULL, "unsupported_durability", 400},
		{"/v1/pub/a", "x-pillion-durability", "os", NULL, 200},
		{"/v1/sub/a/g/peek", NULL, NULL, "bad_parameter", 400},
		{"/v1/sub/a/$g/fetch", NULL, NULL, "reserved", 403},
		{"/v1/sub/a/g%20g/fetch", NULL, NULL, "bad_group", 400},
	};
	struct live live;

	(void)state;
	live_init(&live, 1);
	live_start(&live, "{}");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *fields[8] = {rows[i].name, rows[i].value};
		struct rig_call *call = live_post(&live, rows[i].path, "{}", fields);

		if (!call->head) {
			fprintf(stderr, "row %zu: no head, reset %d %s\n", i, call->reset,
				reason_word(call->why));
		}
		assert_non_null(call->head);
		if (call->head->status != rows[i].status) {
			fprintf(stderr, "row %zu: %d %s\n", i, call->head->status, text(call));
		}
		assert_int_equal(call->head->status, rows[i].status);
		if (rows[i].reason) {
			assert_non_null(strstr(text(call), rows[i].reason));
		}
	}
	live_stop(&live);
	live_fini(&live);
}

static void test_push(void **state)
{
	struct live live;
	struct rig_call *call;

	(void)state;
	live_init(&live, 1);
	live_start(&live, PUSH);
	/* B7-02: nothing is pushed before the application is ready. */
	call = live_post(&live, "/v1/pub/orders.placed?id=a1", "{\"n\":1}", NULL);
	assert_int_equal(call->head->status, 200);
	assert_non_null(strstr(text(call), "\"id\":\"a1\""));
	assert_non_null(strstr(text(call), "\"seq\":1,\"durability\":\"fsync\",\"groups\":1"));
	assert_string_equal(rig_field(call, "x-pillion-durability"), "fsync");
	for (int i = 0; i < 50; i++) {
		live_turn(&live);
	}
	assert_int_equal(live.rig.origins[0].requests, 0);
	broker_set_app_ready(live.broker, true);
	LIVE_UNTIL(&live, live_metric(&live, ACKED) == 1);
	assert_int_equal(live.rig.origins[0].requests, 1);
	for (int i = 0; i < 40; i++) {
		assert_int_equal(live_status(&live, "/v1/pub/orders.placed", "{}"), 200);
	}
	LIVE_UNTIL(&live, live_metric(&live, ACKED) == 41);
	assert_int_equal(live_metric(&live, BACKLOG), 0);
	live_check_law(&live, "orders.placed", "billing");
	live_stop(&live);
	live_fini(&live);
}

static void test_dead_letter(void **state)
{
	struct live live;
	const char *json;
	int status;

	(void)state;
	live_init(&live, 1);
	live_start(&live, PUSH);
	broker_set_app_ready(live.broker, true);
	live.rig.origins[0].behave = "/status/500";
	assert_int_equal(live_status(&live, "/v1/pub/orders.placed?id=bad", "{\"n\":2}"), 200);
	LIVE_UNTIL(&live, live_metric(&live, "dead_lettered_total{topic=\"orders.placed\",group="
					     "\"billing\",reason=\"max_deliver\"} ") == 1);
	assert_int_equal(live.rig.origins[0].requests, 2);
	json = live_command(&live, "dlq", "orders.placed/billing", NULL, &status);
	assert_int_equal(status, 200);
	assert_non_null(strstr(json, "\"id\":\"bad\",\"reason\":\"max_deliver\",\"status\":500,"
				     "\"attempts\":2"));
	assert_non_null(strstr(json, "\"answer\":\"no luck\""));
	json = live_command(&live, "dlq-show", "orders.placed/billing", "bad", &status);
	assert_non_null(strstr(json, "\"data_base64\":\"eyJuIjoyfQ==\""));
	json = live_command(&live, "groups", NULL, NULL, &status);
	assert_non_null(strstr(json, "\"group\":\"billing\",\"members\":1,\"backlog\":0"));
	assert_non_null(strstr(json, "\"dead_letters\":1"));
	(void)live_command(&live, "dlq-replay", "orders.placed/billing", "none", &status);
	assert_int_equal(status, 404);
	live.rig.origins[0].behave = NULL;
	json = live_command(&live, "dlq-replay", "orders.placed/billing", NULL, &status);
	assert_string_equal(json, "{\"replayed\":1}");
	LIVE_UNTIL(&live, live_metric(&live, ACKED) == 1);
	assert_string_equal(
		live_command(&live, "dlq", "orders.placed/billing", NULL, &status), "[]");
	/* DEAD at once, then dropped by command. */
	live.rig.origins[0].behave = "/status/422";
	assert_int_equal(live_status(&live, "/v1/pub/orders.placed?id=worse", "x"), 200);
	LIVE_UNTIL(&live, live_metric(&live, "dead_lettered_total{topic=\"orders.placed\",group="
					     "\"billing\",reason=\"status\"} ") == 1);
	json = live_command(&live, "dlq-drop", "orders.placed/billing", "worse", &status);
	assert_string_equal(json, "{\"dropped\":1}");
	assert_string_equal(
		live_command(&live, "dlq", "orders.placed/billing", NULL, &status), "[]");
	live_check_law(&live, "orders.placed", "billing");
	live_stop(&live);
	live_fini(&live);
}

static void copy_lease(const char *json, char ret_lease[33])
{
	const char *at = strstr(json, "\"lease\":\"");

	assert_non_null(at);
	memcpy(ret_lease, at + 9, 32);
	ret_lease[32] = '\0';
}

static void test_fetch(void **state)
{
	struct live live;
	struct rig_call *call;
	char lease[33], body[200];

	(void)state;
	live_init(&live, 1);
	live_start(&live, "{}");
	call = live_post(&live, "/v1/sub/t/g/fetch", "{\"max\":10,\"wait\":\"50ms\"}", NULL);
	assert_int_equal(call->head->status, 200);
	assert_string_equal(text(call), "{\"messages\":[]}");
	assert_int_equal(live_status(&live, "/v1/pub/t", "one"), 200);
	call = live_post(&live, "/v1/sub/t/g/fetch", "{\"wait\":\"5s\"}", NULL);
	assert_non_null(strstr(text(call), "\"attempt\":1,\"topic\":\"t\",\"seq\":1"));
	assert_non_null(strstr(text(call), "\"data_base64\":\"b25l\""));
	copy_lease(text(call), lease);
	snprintf(body, sizeof body, "{\"nack\":[{\"lease\":\"%s\",\"delay\":\"0s\"}]}", lease);
	call = live_post(&live, "/v1/sub/t/g/ack", body, NULL);
	assert_non_null(strstr(text(call), "\"status\":\"ok\""));
	call = live_post(&live, "/v1/sub/t/g/fetch", "{\"wait\":\"5s\"}", NULL);
	assert_non_null(strstr(text(call), "\"attempt\":2"));
	copy_lease(text(call), lease);
	/* Of another group, guessed, doubled: nothing is applied. */
	snprintf(body, sizeof body, "{\"ack\":[\"%s\"]}", lease);
	call = live_post(&live, "/v1/sub/t/other/ack", body, NULL);
	assert_non_null(strstr(text(call), "unknown"));
	snprintf(body, sizeof body, "{\"ack\":[\"%s\"],\"extend\":[\"%s\"]}", lease, lease);
	call = live_post(&live, "/v1/sub/t/g/ack", body, NULL);
	assert_non_null(strstr(text(call), "conflict"));
	snprintf(body, sizeof body, "{\"ack\":[\"%s\"]}", lease);
	call = live_post(&live, "/v1/sub/t/g/ack", body, NULL);
	assert_non_null(strstr(text(call), "\"status\":\"ok\""));
	LIVE_UNTIL(&live, live_metric(&live, "acked_total{topic=\"t\",group=\"g\"} ") == 1);
	assert_int_equal(live_status(&live, "/v1/sub/t/g/ack", "{\"ack\":1}"), 400);
	assert_int_equal(live_status(&live, "/v1/sub/t/g/fetch", "{\"max\":0}"), 400);
	live_stop(&live);
	live_fini(&live);
}

/* What was answered is there after the process is gone, for the group that it was counted for. */
static void test_restart(void **state)
{
	struct live live;
	char directory[128];

	(void)state;
	live_init(&live, 1);
	live_start(&live, PUSH);
	for (int i = 0; i < 30; i++) {
		assert_int_equal(live_status(&live, "/v1/pub/orders.placed", "{}"), 200);
	}
	assert_int_equal(live_metric(&live, BACKLOG), 30);
	live_stop(&live);
	memcpy(directory, live.directory, sizeof directory);
	buf_fini(&live.command_json);
	live_init(&live, 1);
	memcpy(live.directory, directory, sizeof directory);
	live_start(&live, PUSH);
	assert_int_equal(live_metric(&live, BACKLOG), 30);
	broker_set_app_ready(live.broker, true);
	LIVE_UNTIL(&live, live_metric(&live, ACKED) == 30);
	assert_int_equal(live.rig.origins[0].requests, 30);
	live_check_law(&live, "orders.placed", "billing");
	live_stop(&live);
	live_fini(&live);
}

/* B4-03, B3-03: a removed subscription leaves its durable group, which keeps what comes; a new one
 * gets it. groups-rm then throws the rest away. */
static void test_reload(void **state)
{
	struct config *none = live_config("{}"), *again = live_config(PUSH);
	struct live live;
	const char *json;
	int status;

	(void)state;
	live_init(&live, 1);
	live_start(&live, PUSH);
	broker_set_app_ready(live.broker, true);
	assert_int_equal(live_status(&live, "/v1/pub/orders.placed", "{}"), 200);
	LIVE_UNTIL(&live, live_metric(&live, ACKED) == 1);
	broker_set_config(live.broker, none);
	config_destroy(none);
	for (int i = 0; i < 10; i++) {
		live_turn(&live);
	}
	assert_int_equal(live_status(&live, "/v1/pub/orders.placed", "{}"), 200);
	for (int i = 0; i < 30; i++) {
		live_turn(&live);
	}
	assert_int_equal(live.rig.origins[0].requests, 1);
	assert_int_equal(live_metric(&live, BACKLOG), 1);
	broker_set_config(live.broker, again);
	config_destroy(again);
	LIVE_UNTIL(&live, live_metric(&live, ACKED) == 2);
	live.rig.origins[0].behave = "/status/503";
	assert_int_equal(live_status(&live, "/v1/pub/orders.placed", "{}"), 200);
	json = live_command(&live, "groups-rm", "orders.placed/billing", NULL, &status);
	assert_int_equal(status, 200);
	assert_string_equal(json, "{\"removed\":1}");
	LIVE_UNTIL(&live, live_metric(&live, BACKLOG) == 0);
	assert_int_equal(live_metric(&live, "dropped_total{topic=\"orders.placed\",group="
					    "\"billing\",reason=\"group_removed\"} "),
		1);
	(void)live_command(&live, "groups-rm", "orders.placed/billing", NULL, &status);
	assert_int_equal(status, 404);
	live_check_law(&live, "orders.placed", "billing");
	live_stop(&live);
	live_fini(&live);
}

/* B9-09: at the quota of the topic the publisher is told, or the oldest go and are counted. */
static void test_full(void **state)
{
	static const char *const policies[] = {
		"{\"topics\":{\"t\":{\"bytes\":\"1MiB\"}},\"subscriptions\":[{\"name\":\"s\","
		"\"topic\":\"t\",\"group\":\"g\",\"push\":\"/x\"}]}",
		"{\"topics\":{\"t\":{\"bytes\":\"1MiB\",\"on_full\":\"drop_oldest\"}},"
		"\"subscriptions\":[{\"name\":\"s\",\"topic\":\"t\",\"group\":\"g\","
		"\"push\":\"/x\"}]}",
	};
	char *body = mem_zalloc(300001);

	(void)state;
	memset(body, 'x', 300000);
	for (int i = 0; i < 2; i++) {
		struct live live;
		int status = 0;

		live_init(&live, 1);
		live_start(&live, policies[i]);
		for (int j = 0; j < 6; j++) {
			status = live_status(&live, "/v1/pub/t", body);
		}
		assert_int_equal(status, i == 0 ? 507 : 200);
		if (i == 1) {
			assert_true(
				live_metric(&live, "dropped_total{topic=\"t\",group=\"g\",reason="
						   "\"full\"} ") >= 2);
		}
		live_stop(&live);
		live_fini(&live);
	}
	mem_free(body);
}

/* BT-21 in small: an application that is away, busy or wrong costs no attempt. */
static void test_budget(void **state)
{
	static const char *const behaviours[] = {"/status/503", "/status/404", "/status/429"};
	struct live live;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(behaviours); i++) {
		live_init(&live, 1);
		live_start(&live, PUSH);
		live.rig.origins[0].behave = behaviours[i];
		broker_set_app_ready(live.broker, true);
		assert_int_equal(live_status(&live, "/v1/pub/orders.placed", "{}"), 200);
		LIVE_UNTIL(&live, live.rig.origins[0].requests >= 1);
		for (int turn = 0; turn < 200; turn++) {
			live_turn(&live);
		}
		assert_int_equal(live_metric(&live, BACKLOG), 1);
		assert_int_equal(live_metric(&live, DEAD), 0);
		live.rig.origins[0].behave = NULL;
		(void)live_command(&live, "groups-resume", "orders.placed/billing", NULL, NULL);
		LIVE_UNTIL(&live, live_metric(&live, ACKED) == 1);
		live_stop(&live);
		live_fini(&live);
	}
}

/* After a restart the cursor may have marks above its floor: when the one below them is done, the
 * floor leaps over numbers that dispatch has not looked at yet. */
static void test_marks_above_the_floor(void **state)
{
	struct live live;
	struct group *group;

	(void)state;
	live_init(&live, 1);
	live_start(&live, PUSH);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(live_status(&live, "/v1/pub/orders.placed", "{}"), 200);
	}
	group = group_find(
		topic_find(&live.broker->desks[0], SLICE("orders.placed")), SLICE("billing"));
	for (uint64_t seq = 4; seq >= 1; seq--) {
		assert_int_equal(group->cursor.floor, 0);
		counters_add(&group->counters->acked, 1);
		group_done(group, seq);
	}
	assert_int_equal(group->cursor.floor, 4);
	assert_int_equal(group->next, 1);
	broker_set_app_ready(live.broker, true);
	LIVE_UNTIL(&live, live_metric(&live, BACKLOG) == 0);
	assert_int_equal(live.rig.origins[0].requests, 2);
	assert_int_equal(group->cursor.floor, 6);
	live_check_law(&live, "orders.placed", "billing");
	live_stop(&live);
	live_fini(&live);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_push),
		cmocka_unit_test(test_dead_letter),
		cmocka_unit_test(test_fetch),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_marks_above_the_floor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
