/* Two brokers linked over loopback: delivery, results, a subscriber that dies with messages open.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/lane.h"
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
	live_check_law(publisher, "t", "g"); /* BT-40 */
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

/* The publisher's part of the one lane there is. */
static struct lane *only_lane(struct live *publisher)
{
	struct desk *desk = &publisher->broker->desks[0];

	assert_int_equal(desk->lanes.count, 1);
	return desk->lanes.entries[0].value;
}

#define CLASS(word) "redelivered_total{topic=\"t\",group=\"g\",class=\"" word "\"} "

/* B11-04: a peer that answers no PING is lost; its deliveries are SUSPECT and come again. */
static void test_silent_peer(void **state)
{
	struct live publisher, subscriber;

	(void)state;
	start_pair(&publisher, &subscriber);
	publisher.broker->desks[0].link_limits.h2_ping_ms = 100;
	publisher.broker->desks[0].link_limits.h2_ping_wait_ms = 200;
	assert_int_equal(live_status(&publisher, "/v1/pub/t", "one"), 200);
	LIVE_UNTIL(&publisher, live_metric(&publisher, ACKED) == 1);
	/* While it answers PINGs, silence of its lanes means nothing. */
	for (int i = 0; i < 400; i++) {
		live_turn(&publisher);
	}
	assert_int_equal(live_metric(&publisher, "link_errors_total "), 0);
	publisher.other = NULL; /* connected, and still */
	assert_int_equal(live_status(&publisher, "/v1/pub/t", "two"), 200);
	LIVE_UNTIL(&publisher, live_metric(&publisher, "link_errors_total ") >= 1);
	publisher.other = &subscriber;
	LIVE_UNTIL(&publisher, live_metric(&publisher, ACKED) == 2);
	stop_pair(&publisher, &subscriber);
}

/* B11-04: the publisher's guard, when the subscriber's own clock says nothing. */
static void test_guard(void **state)
{
	struct live publisher, subscriber;
	struct lane *lane;

	(void)state;
	start_pair(&publisher, &subscriber);
	assert_int_equal(live_status(&publisher, "/v1/pub/t", "one"), 200);
	LIVE_UNTIL(&publisher, live_metric(&publisher, ACKED) == 1);
	publisher.other = NULL;
	assert_int_equal(live_status(&publisher, "/v1/pub/t", "two"), 200);
	lane = only_lane(&publisher);
	LIVE_UNTIL(&publisher, lane->outstanding == 1 || lane->demanded);
	publisher.other = &subscriber;
	subscriber.rig.origins[0].behave = "/hang";
	LIVE_UNTIL(&publisher, lane->outstanding == 1);
	publisher.other = NULL;
	lane->active_ms -= 15000;
	for (int i = 0; i < 100; i++) {
		live_turn(&publisher);
	}
	assert_int_equal(live_metric(&publisher, CLASS("suspect")), 0);
	lane->active_ms -= 20000;
	LIVE_UNTIL(&publisher, live_metric(&publisher, CLASS("suspect")) == 1);
	assert_int_equal(live_metric(&publisher, DEAD), 0);
	subscriber.rig.origins[0].behave = NULL;
	publisher.other = &subscriber;
	LIVE_UNTIL(&publisher, live_metric(&publisher, ACKED) == 2);
	stop_pair(&publisher, &subscriber);
}

/* As memory that goes bad after the commit: the disk still has the right bytes. */
static void garble(struct live *publisher, uint64_t first, uint64_t last)
{
	struct topic *topic = topic_find(&publisher->broker->desks[0], SLICE("t"));

	for (uint64_t seq = first; seq <= last; seq++) {
		struct topic_entry *entry = topic_at(topic, seq);

		assert_non_null(entry->message);
		entry->message->body.data[0] ^= 1;
	}
}

/* B11-03: a wrong sum costs no attempt and is read again; three in a row cost the link too. */
static void test_garbled(void **state)
{
	for (uint64_t count = 2; count <= 3; count++) {
		struct live publisher, subscriber;
		uint64_t total = count + 1;

		(void)state;
		start_pair(&publisher, &subscriber);
		broker_set_app_ready(subscriber.broker, false);
		for (uint64_t i = 0; i < total; i++) {
			assert_int_equal(live_status(&publisher, "/v1/pub/t", "hello"), 200);
		}
		garble(&publisher, 1, count);
		broker_set_app_ready(subscriber.broker, true);
		LIVE_UNTIL(&publisher, live_metric(&publisher, ACKED) == total);
		assert_int_equal(live_metric(&publisher, CLASS("infra")), count);
		assert_int_equal(subscriber.rig.origins[0].requests, total);
		assert_int_equal(live_metric(&publisher, "link_errors_total "), count == 3);
		assert_int_equal(live_metric(&publisher, DEAD), 0);
		stop_pair(&publisher, &subscriber);
	}
}

/* A member that drained and came back under the same record: the publisher's view never changed. */
static void test_drained_and_back(void **state)
{
	struct live publisher, subscriber;
	struct address mesh;

	(void)state;
	start_pair(&publisher, &subscriber);
	assert_int_equal(live_status(&publisher, "/v1/pub/t", "one"), 200);
	LIVE_UNTIL(&publisher, live_metric(&publisher, ACKED) == 1);
	broker_drain(subscriber.broker);
	LIVE_UNTIL(&publisher, only_lane(&publisher)->drained);
	mesh = subscriber.mesh_address;
	publisher.other = NULL;
	live_stop(&subscriber);
	live_fini(&subscriber);
	live_init_at(&subscriber, 2, &mesh);
	live_start(&subscriber,
		"{\"subscriptions\":[{\"name\":\"far\",\"topic\":\"t\",\"group\":\"g\","
		"\"push\":\"/events\"}]}");
	broker_set_app_ready(subscriber.broker, true);
	publisher.other = &subscriber;
	assert_int_equal(live_status(&publisher, "/v1/pub/t", "two"), 200);
	LIVE_UNTIL(&publisher, live_metric(&publisher, ACKED) == 2);
	stop_pair(&publisher, &subscriber);
}

/* Frames that found nobody are asked for again. */
static void test_lost_frames(void **state)
{
	struct live publisher, subscriber;
	struct lane *lane;

	(void)state;
	start_pair(&publisher, &subscriber);
	assert_int_equal(live_status(&publisher, "/v1/pub/t", "one"), 200);
	LIVE_UNTIL(&publisher, live_metric(&publisher, ACKED) == 1);
	lane = only_lane(&publisher);
	for (int i = 0; i < 2; i++) {
		uint64_t done = live_metric(&publisher, ACKED);

		/* A grant that never came, then an answer to the opening. */
		lane->demanded = true;
		lane->limit = lane->used;
		if (i == 1) {
			lane->state = LANE_OPENING;
			lane->opened_ms -= 4000;
		}
		assert_int_equal(live_status(&publisher, "/v1/pub/t", "more"), 200);
		LIVE_UNTIL(&publisher, live_metric(&publisher, ACKED) == done + 1);
	}
	stop_pair(&publisher, &subscriber);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delivers),
		cmocka_unit_test(test_dead_letter),
		cmocka_unit_test(test_subscriber_restarts),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_silent_peer),
		cmocka_unit_test(test_guard),
		cmocka_unit_test(test_garbled),
		cmocka_unit_test(test_drained_and_back),
		cmocka_unit_test(test_lost_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
