/* Two brokers linked over loopback: delivery, results, a subscriber that dies with messages open.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "live.h"

#define ACKED	"acked_total{topic=\"t\",group=\"g\"} "
#define DEAD	"dead_lettered_total{topic=\"t\",group=\"g\",reason=\"max_deliver\"} "
#define BACKLOG "backlog_messages{topic=\"t\",group=\"g\"} "

static void start_pair(struct live *publisher, struct live *subscriber)
{
	char config[512];

	live_init(subscriber, 2);
	live_start(subscriber,
		"{\"subscriptions\":[{\"name\":\"far\",\"topic\":\"t\",\"group\":\"g\","
		"\"push\":\"/events\",\"max_in_flight\":4,\"ack_wait\":\"2s\"}]}");
	broker_set_app_ready(subscriber->broker, true);
	live_init(publisher, 1);
	snprintf(config, sizeof config,
		"{\"members\":[{\"topic\":\"t\",\"group\":\"g\",\"name\":\"far\","
		"\"address\":\"127.0.0.1:%u\"}]}",
		address_port(&subscriber->mesh_address));
	publisher->other = subscriber;
	live_start(publisher, config);
}

static void stop_pair(struct live *publisher, struct live *subscriber)
{
	publisher->other = NULL;
	live_stop(publisher);
	live_stop(subscriber);
	live_fini(publisher);
	live_fini(subscriber);
}

static void test_delivers(void **state)
{
	struct live publisher, subscriber;

	(void)state;
	start_pair(&publisher, &subscriber);
	for (int i = 0; i < 60; i++) {
		assert_int_equal(live_status(&publisher, "/v1/pub/t", "hello"), 200);
	}
	LIVE_UNTIL(&publisher, live_metric(&publisher, ACKED) == 60);
	assert_int_equal(subscriber.rig.origins[0].requests, 60);
	assert_int_equal(live_metric(&publisher, BACKLOG), 0);
	assert_int_equal(live_metric(&publisher, "link_errors_total "), 0);
	stop_pair(&publisher, &subscriber);
}

/* F10 over a link: the answer's text arrives with the dead letter. */
static void test_dead_letter(void **state)
{
	struct live publisher, subscriber;
	const char *json;

	(void)state;
	start_pair(&publisher, &subscriber);
	subscriber.rig.origins[0].behave = "/status/422";
	assert_int_equal(live_status(&publisher, "/v1/pub/t?id=x", "hello"), 200);
	LIVE_UNTIL(
		&publisher, live_metric(&publisher, "dead_lettered_total{topic=\"t\",group=\"g\","
						    "reason=\"status\"} ") == 1);
	json = live_command(&publisher, "dlq", "t/g", NULL, NULL);
	assert_non_null(strstr(json, "\"status\":422"));
	assert_non_null(strstr(json, "no luck"));
	stop_pair(&publisher, &subscriber);
}

/* F2: the subscriber's sidecar goes and comes again; what it had open is delivered once more. */
static void test_subscriber_restarts(void **state)
{
	struct live publisher, subscriber;
	struct address mesh;

	(void)state;
	start_pair(&publisher, &subscriber);
	assert_int_equal(live_status(&publisher, "/v1/pub/t", "one"), 200);
	LIVE_UNTIL(&publisher, live_metric(&publisher, ACKED) == 1);
	mesh = subscriber.mesh_address;
	publisher.other = NULL;
	live_stop(&subscriber);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(live_status(&publisher, "/v1/pub/t", "more"), 200);
	}
	for (int i = 0; i < 50; i++) {
		live_turn(&publisher);
	}
	assert_int_equal(live_metric(&publisher, BACKLOG), 20);
	live_fini(&subscriber);
	live_init_at(&subscriber, 2, &mesh);
	live_start(&subscriber,
		"{\"subscriptions\":[{\"name\":\"far\",\"topic\":\"t\",\"group\":\"g\","
		"\"push\":\"/events\"}]}");
	broker_set_app_ready(subscriber.broker, true);
	publisher.other = &subscriber;
	LIVE_UNTIL(&publisher, live_metric(&publisher, ACKED) == 21);
	assert_int_equal(live_metric(&publisher, BACKLOG), 0);
	assert_int_equal(live_metric(&publisher, DEAD), 0);
	stop_pair(&publisher, &subscriber);
}

/* B13-04: a draining subscriber takes nothing new; the messages wait. */
static void test_drain(void **state)
{
	struct live publisher, subscriber;

	(void)state;
	start_pair(&publisher, &subscriber);
	assert_int_equal(live_status(&publisher, "/v1/pub/t", "one"), 200);
	LIVE_UNTIL(&publisher, live_metric(&publisher, ACKED) == 1);
	broker_drain(subscriber.broker);
	LIVE_UNTIL(&publisher, broker_drained(subscriber.broker));
	for (int i = 0; i < 20; i++) {
		live_turn(&publisher);
	}
	assert_int_equal(live_status(&publisher, "/v1/pub/t", "two"), 200);
	for (int i = 0; i < 50; i++) {
		live_turn(&publisher);
	}
	assert_int_equal(subscriber.rig.origins[0].requests, 1);
	assert_int_equal(live_metric(&publisher, BACKLOG), 1);
	publisher.other = NULL;
	subscriber.other = &publisher;
	assert_int_equal(live_status(&subscriber, "/v1/pub/t", "no"), 503);
	subscriber.other = NULL;
	stop_pair(&publisher, &subscriber);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delivers),
		cmocka_unit_test(test_dead_letter),
		cmocka_unit_test(test_subscriber_restarts),
		cmocka_unit_test(test_drain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
