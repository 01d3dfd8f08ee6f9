/* push: what each answer of the application means for its message, over the real data path
 * (BT-20). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "broker/group.h"
#include "broker/lane.h"
#include "broker/member.h"
#include "live.h"

#define CONFIG                                                                                     \
	"{\"subscriptions\":[{\"name\":\"s\",\"topic\":\"t\",\"group\":\"g\",\"push\":\"/x\","     \
	"\"ack_wait\":\"1s\",\"backoff\":[\"10ms\"],\"max_deliver\":3}]}"
#define METRIC(name) name "{topic=\"t\",group=\"g\"} "

struct row {
	const char *behave;
	const char *class;
	unsigned requests; /* made for the first message at least */
	const char *dead;  /* reason of its dead letter, or NULL */
};

static uint64_t answers(struct live *live, const char *class)
{
	char line[100];

	snprintf(line, sizeof line, "answers_total{class=\"%s\"} ", class);
	return live_metric(live, line);
}

static uint64_t dead(struct live *live, const char *reason)
{
	char line[200];

	snprintf(line, sizeof line, "dead_lettered_total{topic=\"t\",group=\"g\",reason=\"%s\"} ",
		reason);
	return live_metric(live, line);
}

/* One message under that behaviour; afterwards the application is well again, and the next message
 * arrives. */
static void check_row(const struct row *row)
{
	struct live live;
	uint64_t acked;

	print_message("%s\n", row->behave);
	live_init(&live, 1);
	live_start(&live, CONFIG);
	live.rig.origins[0].behave = row->behave;
	broker_set_app_ready(live.broker, true);
	assert_int_equal(live_status(&live, "/v1/pub/t", "hello"), 200);
	LIVE_UNTIL(&live, answers(&live, row->class) >= row->requests);
	if (row->dead) {
		LIVE_UNTIL(&live, dead(&live, row->dead) == 1);
		assert_int_equal(live_metric(&live, METRIC("backlog_messages")), 0);
	} else {
		assert_int_equal(
			dead(&live, "status") + dead(&live, "max_deliver") + dead(&live, "poison"),
			0);
	}
	live.rig.origins[0].behave = NULL;
	(void)live_command(&live, "groups-resume", "t/g", NULL, NULL);
	acked = live_metric(&live, METRIC("acked_total"));
	assert_int_equal(live_status(&live, "/v1/pub/t", "after"), 200);
	LIVE_UNTIL(&live, live_metric(&live, METRIC("acked_total")) > acked &&
				  live_metric(&live, METRIC("backlog_messages")) == 0);
	live_check_law(&live, "t", "g");
	live_stop(&live);
	live_fini(&live);
}

static void test_answers(void **state)
{
	static const struct row rows[] = {
		{"/status/200", "ack", 1, NULL}, /* A1 */
		{"/status/202", "ack", 1, NULL}, {"/status/299", "ack", 1, NULL},
		{"/big/100000", "ack", 1, NULL}, /* more than is read costs the connection */
		{"/stream/100000", "ack", 1, NULL},
		{"/cut", "ack", 1, NULL},		  /* the head has decided */
		{"/status/408", "app", 3, "max_deliver"}, /* A4 */
		{"/status/425", "app", 3, "max_deliver"}, {"/status/500", "app", 3, "max_deliver"},
		{"/status/599", "app", 3, "max_deliver"}, {"/status/429", "busy", 1, NULL}, /* A5 */
		{"/status/503", "busy", 1, NULL}, {"/status/400", "dead", 1, "status"},	    /* A6 */
		{"/status/451", "dead", 1, "status"}, {"/status/499", "dead", 1, "status"},
		{"/status/501", "dead", 1, "status"}, {"/status/505", "dead", 1, "status"},
		{"/status/301", "endpoint", 1, NULL}, /* A7, and never followed */
		{"/status/401", "endpoint", 1, NULL}, {"/status/404", "endpoint", 1, NULL},
		{"/status/410", "endpoint", 1, NULL}, {"/status/421", "endpoint", 1, NULL},
		{"/reset", "suspect", 3, "poison"}, /* A9: it had the whole request */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		check_row(&rows[i]);
	}
}

/* A9: no head within ack_wait. The message comes again at once. */
static void test_hang(void **state)
{
	static const struct row row = {"/hang", "suspect", 1, NULL};

	(void)state;
	check_row(&row);
}

/* A8: nobody listens. Nothing is counted, however often it was tried. */
static void test_refused(void **state)
{
	static const char config[] =
		"{\"subscriptions\":[{\"name\":\"s\",\"topic\":\"t\",\"group\":\"g\",\"push\":"
		"\"http://127.0.0.1:1/x\",\"max_deliver\":1}]}";
	struct live live;

	(void)state;
	live_init(&live, 1);
	live_start(&live, config);
	assert_int_equal(live_status(&live, "/v1/pub/t", "hello"), 200);
	LIVE_UNTIL(&live, answers(&live, "infra") >= 3);
	assert_int_equal(live_metric(&live, METRIC("backlog_messages")), 1);
	assert_int_equal(dead(&live, "max_deliver"), 0);
	live_check_law(&live, "t", "g");
	live_stop(&live);
	live_fini(&live);
}

/* B7-08: the command ends the pause where it is kept, at the publisher too. */
static void test_resume(void **state)
{
	struct live live;
	struct lane *lane;

	(void)state;
	live_init(&live, 1);
	live_start(&live, CONFIG);
	live.rig.origins[0].behave = "/status/410";
	broker_set_app_ready(live.broker, true);
	assert_int_equal(live_status(&live, "/v1/pub/t", "hello"), 200);
	lane = live.broker->desks[0].lanes.entries[0].value;
	LIVE_UNTIL(&live, lane->hold_until_ms > loop_now_ms(live.rig.loop) + 3000);
	live.rig.origins[0].behave = NULL;
	(void)live_command(&live, "groups-resume", "t/g", NULL, NULL);
	for (int i = 0; i < 10; i++) {
		live_turn(&live);
	}
	assert_true(lane->hold_until_ms <= loop_now_ms(live.rig.loop));
	LIVE_UNTIL(&live, live_metric(&live, METRIC("acked_total")) == 1);
	live_stop(&live);
	live_fini(&live);
}

/* B9-07: lost numbers hold nothing up, also when they are more than a group's window. */
static void test_wide_gap(void **state)
{
	struct live live;
	struct topic *topic;

	(void)state;
	live_init(&live, 1);
	live_start(&live, CONFIG);
	assert_int_equal(live_status(&live, "/v1/pub/t", "1"), 200);
	topic = topic_find(&live.broker->desks[0], SLICE("t"));
	topic->last_seq += 3 * CURSOR_WINDOW;
	assert_int_equal(live_status(&live, "/v1/pub/t", "2"), 200);
	broker_set_app_ready(live.broker, true);
	LIVE_UNTIL(&live, live_metric(&live, METRIC("acked_total")) == 2);
	assert_int_equal(group_find(topic, SLICE("g"))->cursor.floor, 3 * CURSOR_WINDOW + 2);
	live_check_law(&live, "t", "g");
	live_stop(&live);
	live_fini(&live);
}

/* B4-03: a member that leaves while a delivery is on its way to it; whoever has that name next gets
 * the message. */
static void test_member_leaves(void **state)
{
	struct live live;
	struct desk *desk;
	struct rig_request request = {
		.method = "POST", .path = "/v1/pub/t", .authority = "localhost", .body = "2"};
	struct member *member;
	struct rig_call *call;

	(void)state;
	live_init(&live, 1);
	live_start(&live, CONFIG);
	broker_set_app_ready(live.broker, true);
	assert_int_equal(live_status(&live, "/v1/pub/t", "1"), 200);
	LIVE_UNTIL(&live, live_metric(&live, METRIC("acked_total")) == 1);
	desk = &live.broker->desks[0];
	call = rig_call(live.rig.clients[0], &request);
	LIVE_UNTIL(&live, atomic_load(&live.broker->delivering) == 1);
	member = member_find(desk, SLICE("g"), SLICE("s"));
	assert_int_equal(member->open, 0); /* it is in the mailbox */
	member_destroy(member);
	broker_set_config(live.broker, live.config);
	LIVE_UNTIL(&live, live_metric(&live, METRIC("acked_total")) == 2);
	LIVE_UNTIL(&live, call->done);
	assert_int_equal(live.rig.origins[0].requests, 2);
	assert_int_equal(atomic_load(&live.broker->delivering), 0);
	live_check_law(&live, "t", "g");
	live_stop(&live);
	live_fini(&live);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wide_gap),
		cmocka_unit_test(test_member_leaves),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_hang),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_resume),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
