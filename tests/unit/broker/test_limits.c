/* The table of section 12, each row at its limit and one beyond (BT-41). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "broker/group.h"
#include "broker/lane.h"
#include "live.h"

static void start(struct live *live, const char *config)
{
	live_init(live, 1);
	live_start(live, config);
}

static void stop(struct live *live)
{
	live_stop(live);
	live_fini(live);
}

static void check_refused(struct live *live, const char *path, int status, const char *word)
{
	struct rig_call *call = live_post(live, path, "{}", NULL);

	assert_non_null(call->head);
	assert_int_equal(call->head->status, status);
	assert_non_null(strstr(buf_string(&call->body), word));
}

/* L1: publishes that wait for their commit, by number and by bytes. */
static void test_waiting(void **state)
{
	struct live live;
	struct broker *broker;

	(void)state;
	start(&live, "{}");
	broker = live.broker;
	atomic_store(&broker->waiting, DESK_WAITING_MAX);
	check_refused(&live, "/v1/pub/t", 429, "in_flight");
	atomic_store(&broker->waiting, DESK_WAITING_MAX - 1);
	assert_int_equal(live_status(&live, "/v1/pub/t", "x"), 200);
	assert_int_equal(atomic_load(&broker->waiting), DESK_WAITING_MAX - 1);
	atomic_store(&broker->waiting, 0);
	atomic_store(&broker->waiting_bytes, DESK_WAITING_BYTES);
	check_refused(&live, "/v1/pub/t", 429, "in_flight");
	atomic_store(&broker->waiting_bytes, DESK_WAITING_BYTES - 1);
	assert_int_equal(live_status(&live, "/v1/pub/t", "x"), 200);
	assert_int_equal(atomic_load(&broker->waiting_bytes), DESK_WAITING_BYTES - 1);
	atomic_store(&broker->waiting_bytes, 0);
	stop(&live);
}

/* L2: ordinary topics; dead letters do not count among them. */
static void test_topics(void **state)
{
	struct live live;
	struct desk *desk;
	enum reason reason = REASON_ok;
	char name[32];

	(void)state;
	start(&live, "{}");
	desk = &live.broker->desks[0];
	for (unsigned i = 0; i < DESK_TOPICS_MAX; i++) {
		snprintf(name, sizeof name, "t.%u", i);
		assert_non_null(topic_open(desk, slice_from_string(name), &reason));
	}
	assert_null(topic_open(desk, SLICE("one.more"), &reason));
	assert_int_equal(reason, REASON_too_many_topics);
	check_refused(&live, "/v1/pub/one.more", 429, "too_many_topics");
	assert_int_equal(live_status(&live, "/v1/pub/t.9999", "x"), 200);
	assert_non_null(topic_open(desk, SLICE("t.1.dlq.g"), &reason));
	stop(&live);
}

/* The spool knows so many numbers of topics: beyond, the dead letter waits with its message. */
static void test_dead_topics(void **state)
{
	struct live live;
	struct topic *topic;
	struct group *group;
	const char *dead = "dead_lettered_total{topic=\"t\",group=\"g\",reason=\"status\"} ";
	enum reason reason = REASON_ok;

	(void)state;
	start(&live, "{\"subscriptions\":[{\"name\":\"s\",\"topic\":\"t\",\"group\":\"g\","
		     "\"push\":\"/status/422\"}]}");
	topic = topic_open(&live.broker->desks[0], SLICE("t"), &reason);
	group = group_find(topic, SLICE("g"));
	atomic_store(&live.broker->topic_places, SPOOL_TOPICS_MAX);
	check_refused(&live, "/v1/pub/one.more", 429, "too_many_topics");
	assert_int_equal(live_status(&live, "/v1/pub/t", "x"), 200);
	broker_set_app_ready(live.broker, true);
	LIVE_UNTIL(&live, group->heap_count == 1 && group->heap[0]->state == PENDING_DIES);
	assert_int_equal(group->backlog, 1);
	live_check_law(&live, "t", "g");
	/* The last number of all is a good one. */
	atomic_store(&live.broker->topic_places, SPOOL_TOPICS_MAX - 1);
	atomic_store(&live.broker->topic_numbers, SPOOL_TOPICS_MAX - 1);
	group_schedule(group, group->heap[0], 0);
	topic_wake(topic);
	LIVE_UNTIL(&live, live_metric(&live, dead) == 1);
	assert_int_equal(atomic_load(&live.broker->topic_places), SPOOL_TOPICS_MAX);
	live_check_law(&live, "t", "g");
	stop(&live);
}

/* L2: groups of a topic; L3: cursors of the sidecar. A group beyond is ignored here. */
static void test_groups(void **state)
{
	struct live live;
	struct topic *topic, *other;
	enum reason reason = REASON_ok;
	char name[32];
	unsigned before;

	(void)state;
	start(&live, "{}");
	topic = topic_open(&live.broker->desks[0], SLICE("t"), &reason);
	other = topic_open(&live.broker->desks[0], SLICE("u"), &reason);
	for (unsigned i = 0; i < DESK_GROUPS_MAX; i++) {
		snprintf(name, sizeof name, "g%u", i);
		assert_non_null(group_create(topic, name, NULL, NULL));
	}
	assert_null(group_create(topic, "more", NULL, NULL));
	assert_int_equal(topic->group_count, DESK_GROUPS_MAX);
	before = atomic_load(&live.broker->cursors);
	atomic_store(&live.broker->cursors, DESK_CURSORS_MAX - 1);
	assert_non_null(group_create(other, "last", NULL, NULL));
	assert_null(group_create(other, "beyond", NULL, NULL));
	atomic_store(&live.broker->cursors, before + 1);
	stop(&live);
}

/* L2: members of a group; the configuration refuses to name more. */
static void test_members(void **state)
{
	struct live live;
	struct buf config;
	const char *json;

	(void)state;
	buf_init(&config);
	buf_append_string(&config, "{\"members\":[");
	for (unsigned i = 0; i < PLAN_MEMBERS_MAX; i++) {
		buf_appendf(&config,
			"%s{\"topic\":\"t\",\"group\":\"g\",\"name\":\"m\",\"address\":\"10.1.%u.%"
			"u:80\"}",
			i > 0 ? "," : "", i / 250, i % 250 + 1);
	}
	buf_append_string(&config, "]}");
	start(&live, buf_string(&config));
	assert_int_equal(live_status(&live, "/v1/pub/t", "x"), 200);
	json = live_command(&live, "groups", NULL, NULL, NULL);
	assert_non_null(strstr(json, "\"members\":1024,"));
	buf_fini(&config);
	stop(&live);
}

/* L4: links out, and lanes on one. */
static void test_links(void **state)
{
	struct live live;
	struct group *group;
	struct topic *topic;
	enum reason reason = REASON_ok;
	struct plan_member member = {.name = "m", .host = "127.0.0.1", .port = 1, .usable = true};
	struct lane *lane;
	unsigned attached = 0;

	(void)state;
	start(&live, "{}");
	topic = topic_open(&live.broker->desks[0], SLICE("t"), &reason);
	group = group_create(topic, "g", NULL, NULL);
	for (unsigned i = 0; i < DESK_LANES_MAX + 1; i++) {
		memcpy(member.sidecar, &i, sizeof i);
		lane = lane_create(group, &member);
		snprintf(lane->host, sizeof lane->host, "%s", member.host);
		lane->port = member.port;
		attached += link_attach(lane) == 0;
	}
	assert_int_equal(attached, DESK_LANES_MAX);
	assert_int_equal(live.broker->desks[0].links.count, 1);
	stop(&live);
}

/* L6: fetches that wait. */
static void test_waiters(void **state)
{
	struct live live;

	(void)state;
	start(&live, "{}");
	atomic_store(&live.broker->parked, DESK_WAITERS_MAX);
	check_refused(&live, "/v1/sub/t/g/fetch", 429, "waiters");
	assert_int_equal(atomic_load(&live.broker->parked), DESK_WAITERS_MAX);
	atomic_store(&live.broker->parked, DESK_WAITERS_MAX - 1);
	assert_int_equal(live_status(&live, "/v1/sub/t/g/fetch", "{\"wait\":\"10ms\"}"), 200);
	assert_int_equal(atomic_load(&live.broker->parked), DESK_WAITERS_MAX - 1);
	atomic_store(&live.broker->parked, 0);
	stop(&live);
}

/* L7: messages in memory; the rest is read from the disk. */
static void test_memory(void **state)
{
	struct live live;
	struct topic *topic;
	enum reason reason = REASON_ok;
	unsigned kept = 0, count = DESK_CACHE_BYTES / (1 << 20) + 3;

	(void)state;
	start(&live, "{}");
	topic = topic_open(&live.broker->desks[0], SLICE("t"), &reason);
	for (unsigned i = 0; i < count; i++) {
		struct topic_entry entry = {.at = {.seq = i + 1, .length = 1 << 20}};
		struct message *message = message_create();

		memset(buf_reserve(&message->body, 1 << 20), 'x', 1 << 20);
		message->body.size = 1 << 20;
		topic_add(topic, &entry);
		topic_keep(topic, topic_at(topic, i + 1), message);
		message_unref(message);
		assert_true(topic->desk->cache_bytes <= DESK_CACHE_BYTES);
	}
	for (unsigned i = 0; i < count; i++) {
		kept += topic->entries[topic->first + i].message != NULL;
	}
	assert_in_range(kept, 30, 32);
	assert_null(topic->entries[topic->first].message); /* the oldest went */
	stop(&live);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waiting),
		cmocka_unit_test(test_topics),
		cmocka_unit_test(test_dead_topics),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_waiters),
		cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
