/* The broker over a disk that fails: what was answered is kept, what cannot be kept is refused. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "broker/group.h"
#include "fault_disk.h"
#include "live.h"

#define CONFIG                                                                                     \
	"{\"spool\":{\"segment\":\"1MiB\"},\"subscriptions\":[{\"name\":\"s\",\"topic\":\"t\","    \
	"\"group\":\"g\",\"push\":\"/x\"}]}"
#define ACKED	"acked_total{topic=\"t\",group=\"g\"} "
#define BACKLOG "backlog_messages{topic=\"t\",group=\"g\"} "
#define LARGE	200000
#define AT_ONCE 12

struct faulty {
	struct live live;
	struct fault_disk disk;
	char *body;
	unsigned answered; /* with 200 */
};

/* The spool's own disk goes on below the faults, so that files are real. Before the first job, for
 * then the spool is the disk thread's. bytes: its quota, less than a configuration may ask for; 0:
 * as configured. */
static void wrap(struct faulty *faulty, uint64_t bytes)
{
	struct spool *spool = faulty->live.broker->spool;

	fault_disk_init(&faulty->disk, spool->options.disk);
	spool->options.disk = &faulty->disk.disk;
	spool->options.bytes = bytes ? bytes : spool->options.bytes;
}

static const struct spool_numbers *numbers(const struct faulty *faulty)
{
	return spool_thread_numbers(faulty->live.broker->thread);
}

static int publish(struct faulty *faulty, const char *body)
{
	int status = live_status(&faulty->live, "/v1/pub/t", body);

	faulty->answered += status == 200;
	return status;
}

static struct faulty *start_small(uint64_t bytes)
{
	struct faulty *faulty = mem_zalloc(sizeof *faulty);

	faulty->body = mem_zalloc(LARGE + 1);
	memset(faulty->body, 'x', LARGE);
	live_init(&faulty->live, 1);
	live_start(&faulty->live, CONFIG);
	wrap(faulty, bytes);
	assert_int_equal(publish(faulty, "first"), 200);
	LIVE_UNTIL(&faulty->live, atomic_load(&numbers(faulty)->stock));
	return faulty;
}

static struct faulty *start(void)
{
	return start_small(0);
}

/* The same directory under a new process. */
static void restart(struct faulty *faulty)
{
	char directory[128];

	live_stop(&faulty->live);
	fault_disk_fini(&faulty->disk);
	memcpy(directory, faulty->live.directory, sizeof directory);
	buf_fini(&faulty->live.command_json);
	live_init(&faulty->live, 1);
	memcpy(faulty->live.directory, directory, sizeof directory);
	live_start(&faulty->live, CONFIG);
	wrap(faulty, 0);
}

static void stop(struct faulty *faulty)
{
	live_stop(&faulty->live);
	live_fini(&faulty->live);
	fault_disk_fini(&faulty->disk);
	mem_free(faulty->body);
	mem_free(faulty);
}

/* Many at once: more than the current segment holds get their numbers. */
static void publish_at_once(struct faulty *faulty, unsigned *ret_full)
{
	struct live *live = &faulty->live;
	struct rig_call *calls[AT_ONCE];
	struct rig_request request = {.method = "POST",
		.path = "/v1/pub/t",
		.authority = "localhost",
		.body = faulty->body};
	struct topic *topic = topic_find(&live->broker->desks[0], SLICE("t"));
	uint64_t before = topic->last_seq;

	for (unsigned i = 0; i < AT_ONCE; i++) {
		calls[i] = rig_call(live->rig.clients[0], &request);
	}
	LIVE_UNTIL(live, topic->last_seq == before + AT_ONCE);
	fault_disk_hold(&faulty->disk, FAULT_FALLOCATE, false);
	*ret_full = 0;
	for (unsigned i = 0; i < AT_ONCE; i++) {
		LIVE_UNTIL(live, calls[i]->done || calls[i]->reset);
		assert_non_null(calls[i]->head);
		faulty->answered += calls[i]->head->status == 200;
		if (calls[i]->head->status != 200) {
			assert_int_equal(calls[i]->head->status, 507);
			assert_non_null(strstr(buf_string(&calls[i]->body), "spool_full"));
			(*ret_full)++;
		}
	}
}

/* B9-09, B1-03: a disk that is full refuses what it cannot hold, also after numbers were given; no
 * start reports those as lost; cursors still find their place; space that comes back is used. */
static void test_disk_full(void **state)
{
	struct faulty *faulty = start();
	struct live *live = &faulty->live;
	unsigned full;

	(void)state;
	/* The stock is taken, and the next one will not come. */
	fault_disk_hold(&faulty->disk, FAULT_FALLOCATE, true);
	fault_disk_fail(&faulty->disk, FAULT_FALLOCATE, 1, 1000000, ENOSPC);
	while (atomic_load(&numbers(faulty)->stock)) {
		assert_int_equal(publish(faulty, faulty->body), 200);
	}
	publish_at_once(faulty, &full);
	assert_true(full >= 3 && full < AT_ONCE);
	/* From now on no number is given. */
	assert_int_equal(publish(faulty, faulty->body), 507);
	assert_int_equal(live_metric(live, BACKLOG), faulty->answered);
	live_check_law(live, "t", "g");
	LIVE_UNTIL(live, topic_find(&live->broker->desks[0], SLICE("t"))->refused == full);
	restart(faulty);
	assert_int_equal(live->broker->spool->report.lost_messages, 0);
	assert_int_equal(live_metric(live, BACKLOG), faulty->answered);
	broker_set_app_ready(live->broker, true);
	LIVE_UNTIL(live, live_metric(live, ACKED) == faulty->answered);
	assert_int_equal(live->rig.origins[0].requests, faulty->answered);
	live_check_law(live, "t", "g");
	assert_int_equal(publish(faulty, faulty->body), 200);
	LIVE_UNTIL(live, live_metric(live, BACKLOG) == 0);
	stop(faulty);
}

static struct group *only_group(struct faulty *faulty)
{
	struct topic *topic = topic_find(&faulty->live.broker->desks[0], SLICE("t"));

	return LIST_ENTRY(topic->groups.next, struct group, node);
}

/* A cursor that found no place is written again, though nothing new was acknowledged. */
static void check_cursor_again(struct faulty *faulty)
{
	struct group *group = only_group(faulty);
	uint64_t before = group->written_lsn;

	group->writing = true;
	group_wrote(group, group->cursor.floor, 0, false);
	LIVE_UNTIL(&faulty->live, group->written_lsn > before);
}

/* Space that comes back is noticed without anybody's publish. */
static void test_space_returns(void **state)
{
	struct faulty *faulty = start();
	int status = 200;

	(void)state;
	fault_disk_fail(&faulty->disk, FAULT_FALLOCATE, 1, 1000000, ENOSPC);
	for (unsigned i = 0; i < 20 && status == 200; i++) {
		status = publish(faulty, faulty->body);
	}
	assert_int_equal(status, 507);
	assert_false(atomic_load(&numbers(faulty)->failed));
	assert_int_equal(broker_drained(faulty->live.broker), 1);
	/* The cursor of what is acknowledged now is written although messages are refused. */
	broker_set_app_ready(faulty->live.broker, true);
	LIVE_UNTIL(&faulty->live, live_metric(&faulty->live, BACKLOG) == 0);
	LIVE_UNTIL(&faulty->live,
		only_group(faulty)->written_floor == only_group(faulty)->topic->committed_seq);
	assert_int_equal(publish(faulty, faulty->body), 507);
	check_cursor_again(faulty);
	fault_disk_fail(&faulty->disk, FAULT_FALLOCATE, 0, 0, 0);
	LIVE_UNTIL(&faulty->live, atomic_load(&numbers(faulty)->room) > 4 << 20);
	assert_int_equal(publish(faulty, faulty->body), 200);
	live_check_law(&faulty->live, "t", "g");
	stop(faulty);
}

/* What was written for a group that was removed says nothing of a new one of its name: messages go
 * only behind the new one's own cursor. */
static void test_late_cursor(void **state)
{
	struct faulty *faulty = start();
	struct live *live = &faulty->live;
	struct plan_group settings = {.durable = true, .earliest = true};
	struct group *group = only_group(faulty);
	struct topic *topic = group->topic;

	(void)state;
	broker_set_app_ready(live->broker, true);
	LIVE_UNTIL(live, group->durable_floor == 1);
	assert_int_equal(publish(faulty, "second"), 200);
	LIVE_UNTIL(live, group->cursor.floor == 2 && !group->writing);
	broker_set_app_ready(live->broker, false);
	fault_disk_hold(&faulty->disk, FAULT_PWRITEV, true);
	group->dirty = 1; /* also where the tick was faster */
	group_checkpoint(group, true);
	assert_true(group->writing);
	/* The record of the removal would come next, perhaps in another batch. */
	group_destroy(group, COUNTERS_DROP_REMOVED, false);
	group = group_create(topic, "g", &settings, NULL);
	assert_int_equal(group->cursor.floor, 0);
	fault_disk_hold(&faulty->disk, FAULT_PWRITEV, false);
	assert_int_equal(publish(faulty, "third"), 200); /* behind them */
	assert_int_equal(group->written_floor, 0);
	assert_int_equal(group->durable_floor, 0);
	stop(faulty);
}

/* A topic whose first record found no place on a full disk gets its name with the next one. */
static void test_name_refused(void **state)
{
	struct faulty *faulty = mem_zalloc(sizeof *faulty);
	struct live *live = &faulty->live;

	(void)state;
	live_init(live, 1);
	live_start(live, CONFIG);
	wrap(faulty, 0);
	fault_disk_fail(&faulty->disk, FAULT_FALLOCATE, 1, 1000000, ENOSPC);
	assert_int_equal(publish(faulty, "first"), 507);
	fault_disk_fail(&faulty->disk, FAULT_FALLOCATE, 0, 0, 0);
	LIVE_UNTIL(live, publish(faulty, "second") == 200);
	restart(faulty);
	assert_int_equal(live->broker->spool->report.lost_messages, 0);
	assert_int_equal(live_metric(live, BACKLOG), 1);
	broker_set_app_ready(live->broker, true);
	LIVE_UNTIL(live, live_metric(live, ACKED) == 1);
	live_check_law(live, "t", "g");
	stop(faulty);
}

/* B1-08: calls go through the same data path, whatever the spool does. */
static void check_calls(struct faulty *faulty)
{
	struct rig_request request = {.method = "GET", .path = "/"};
	struct rig_call *call;

	rig_service(&faulty->live.rig, "orders", 1, INSTANCE_HTTP1);
	call = rig_call(faulty->live.rig.clients[0], &request);
	LIVE_UNTIL(&faulty->live, call->done || call->reset);
	assert_non_null(call->head);
	assert_int_equal(call->head->status, 200);
}

/* B9-08: the first failed write or sync answers its batch with 502 and turns publishing off; what
 * was answered is delivered all the same, by this process and after a restart. */
static void test_failed(void **state)
{
	static const enum fault_op ops[] = {FAULT_PWRITEV, FAULT_FDATASYNC};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		struct faulty *faulty = start();
		struct live *live = &faulty->live;
		struct rig_call *call;
		unsigned before;

		assert_int_equal(publish(faulty, "second"), 200);
		fault_disk_fail(&faulty->disk, ops[i], 1, 1, EIO);
		call = live_post(live, "/v1/pub/t", "third", NULL);
		assert_int_equal(call->head->status, 502);
		assert_non_null(strstr(buf_string(&call->body), "spool_error"));
		call = live_post(live, "/v1/pub/t", "fourth", NULL);
		assert_int_equal(call->head->status, 503);
		assert_non_null(strstr(buf_string(&call->body), "spool_failed"));
		check_calls(faulty);
		assert_int_equal(live_metric(live, "spool_state "), 2);
		before = live->rig.origins[0].requests;
		broker_set_app_ready(live->broker, true);
		LIVE_UNTIL(live, live_metric(live, ACKED) == 2);
		assert_int_equal(live->rig.origins[0].requests, before + 2);
		live_check_law(live, "t", "g");
		/* Nothing more was marked done on disk, so the next start delivers them again; the
		 * one whose outcome was unknown may come too. */
		restart(faulty);
		assert_in_range(live_metric(live, BACKLOG), 2, 3);
		assert_int_equal(publish(faulty, "fifth"), 200);
		broker_set_app_ready(live->broker, true);
		LIVE_UNTIL(live, live_metric(live, BACKLOG) == 0);
		live_check_law(live, "t", "g");
		stop(faulty);
	}
}

/* A sector that cannot be read delays its message, then costs it, and nothing else. */
static void test_unreadable(void **state)
{
	struct faulty *faulty = start();
	struct live *live = &faulty->live;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(publish(faulty, "more"), 200);
	}
	restart(faulty); /* nothing is in memory */
	fault_disk_fail(&faulty->disk, FAULT_PREAD, 1, 1000000, EIO);
	broker_set_app_ready(live->broker, true);
	/* Asked again with every tick, not with every turn. */
	for (unsigned i = 0; i < 80; i++) {
		live_turn(live);
	}
	fault_disk_fail(&faulty->disk, FAULT_PREAD, 0, 0, 0);
	LIVE_UNTIL(live, live_metric(live, ACKED) == 4); /* it passed */
	assert_int_equal(
		live_metric(live, "lost_total{topic=\"t\",group=\"g\",reason=\"corrupt\"} "), 0);
	broker_set_app_ready(live->broker, false);
	assert_int_equal(publish(faulty, "gone"), 200);
	topic_forget(topic_find(&live->broker->desks[0], SLICE("t")), 5);
	fault_disk_fail(&faulty->disk, FAULT_PREAD, 1, 1000000, EIO);
	broker_set_app_ready(live->broker, true);
	LIVE_UNTIL(live, live_metric(live, BACKLOG) == 0);
	assert_int_equal(
		live_metric(live, "lost_total{topic=\"t\",group=\"g\",reason=\"corrupt\"} "), 1);
	live_check_law(live, "t", "g");
	stop(faulty);
}

/* B9-09, F8: at the quota publishers are refused, before a number is given; what is settled makes
 * room again, without a command, and nothing that was answered is missing. */
static void test_quota(void **state)
{
	struct faulty *faulty = start_small(UINT64_C(6) << 20);
	struct live *live = &faulty->live;
	struct rig_call *call;
	struct topic *topic = topic_find(&live->broker->desks[0], SLICE("t"));
	unsigned refused = 0;
	int status = 200;

	(void)state;
	for (unsigned i = 0; i < 30 && status == 200; i++) {
		status = publish(faulty, faulty->body);
	}
	assert_int_equal(status, 507);
	call = live_post(live, "/v1/pub/t", faulty->body, NULL);
	assert_non_null(strstr(buf_string(&call->body), "spool_full"));
	assert_in_range(faulty->answered, 12, 22); /* four of six MiB: one is in reserve */
	assert_int_equal(topic->last_seq, faulty->answered);
	assert_int_equal(live_metric(live, BACKLOG), faulty->answered);
	broker_set_app_ready(live->broker, true);
	LIVE_UNTIL(live, live_metric(live, BACKLOG) == 0);
	for (status = 507; status != 200; refused++) {
		/* History goes when room is wanted; the files follow their cursors. */
		assert_true(refused < 25);
		status = publish(faulty, faulty->body);
		for (unsigned i = 0; i < 100; i++) {
			live_turn(live);
		}
	}
	LIVE_UNTIL(live, live_metric(live, ACKED) == faulty->answered);
	live_check_law(live, "t", "g");
	stop(faulty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_disk_full),
		cmocka_unit_test(test_space_returns),
		cmocka_unit_test(test_late_cursor),
		cmocka_unit_test(test_name_refused),
		cmocka_unit_test(test_quota),
		cmocka_unit_test(test_failed),
		cmocka_unit_test(test_unreadable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
