/*
 * Seeded histories: callers come, wait, are served, give up; servers answer late, reset, drain,
 * stop and come back; sets change under everybody's feet. Nothing may be lost or counted twice: at
 * the end all counters are zero and every block is home. A failing seed prints itself.
 */
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "net/listener.h"
#include "net/transport.h"

enum { SERVERS = 4, CALLERS = 40, STEPS = 1000, SEEDS = 10 };

struct history {
	struct fixture *fixture;
	struct rng rng;
	struct server servers[SERVERS];
	struct caller callers[CALLERS];
	bool used[CALLERS];
	struct service *services[2];
	unsigned answered, failed, waited;
};

static const char *const names[2] = {"h1", "h2"};

static unsigned draw(struct history *history, unsigned bound)
{
	return (unsigned)rng_below(&history->rng, bound);
}

static void change_set(struct history *history)
{
	unsigned which = draw(history, 2);
	uint16_t ports[SERVERS];
	struct instance_set *set;
	uint32_t count = 0;

	for (unsigned i = 0; i < SERVERS; i++) {
		if (draw(history, 4) != 0) {
			ports[count++] = history->servers[i].port;
		}
	}
	set = make_set(names[which], ports, count, which ? INSTANCE_SIDECAR : INSTANCE_HTTP1);
	for (uint32_t i = 0; i < count; i++) {
		/* The id belongs to the port, but now and then another process has it. */
		set->instances[i].id[1] = (uint8_t)ports[i];
		set->instances[i].id[2] = (uint8_t)(ports[i] >> 8);
		set->instances[i].id[3] = draw(history, 8) == 0 ? (uint8_t)draw(history, 3) : 0;
		set->instances[i].health = (enum instance_health)(draw(history, 6) % 4 % 3);
		set->instances[i].suspect = draw(history, 5) == 0;
		set->instances[i].weight = draw(history, 6) == 0 ? 0 : 100;
	}
	upstream_update(history->fixture->upstream, set);
	instance_set_unref(set);
}

static void start_caller(struct history *history, unsigned i)
{
	struct caller *caller = &history->callers[i];

	caller_init(caller, history->fixture, history->services[draw(history, 2)]);
	caller->attempt.non_idempotent = draw(history, 3) == 0;
	caller->attempt.later_attempt = draw(history, 5) == 0;
	caller->hold = draw(history, 10) == 0;
	if (draw(history, 5) == 0) {
		caller->attempt.deadline_ms =
			loop_now_ms(history->fixture->loop) + draw(history, 30);
	}
	history->used[i] = true;
	history->waited += caller_start(caller) == ATTEMPT_WAIT ? 1 : 0;
}

static void look_at_caller(struct history *history, unsigned i)
{
	static const enum attempt_class classes[] = {CLASS_F1, CLASS_F3, CLASS_CANCELLED};
	struct caller *caller = &history->callers[i];

	if (caller->done) {
		history->answered++;
		caller_finish(caller, CLASS_OK);
	} else if (caller->reset) {
		(void)attempt_progress(&caller->attempt, draw(history, 2) == 0);
		if (draw(history, 3) == 0) {
			attempt_set_tier(&caller->attempt, TIER_DRAINING);
		}
		caller_finish(caller, CLASS_F1);
	} else if (caller->attempt.stream == NULL &&
		   (caller->started == ATTEMPT_FAILED || caller->ready_calls > 0)) {
		assert_int_not_equal(caller->attempt.failure, REASON_ok);
		history->failed++;
		if (draw(history, 4) == 0 && caller->attempt.instance) {
			caller->ready_calls = 0;
			caller->started = attempt_restart_fresh(&caller->attempt);
			if (caller->started == ATTEMPT_READY) {
				caller_finish(caller, CLASS_CANCELLED);
				history->used[i] = false;
			}
			return;
		}
		caller_finish(caller, CLASS_F0);
		if (draw(history, 2) == 0 && selection_left(&caller->selection)) {
			caller_start(caller); /* the same selection: another instance */
			return;
		}
	} else if (draw(history, 20) == 0) {
		caller_finish(caller, classes[draw(history, 3)]); /* gives up, in any state */
	} else {
		return;
	}
	history->used[i] = false;
}

static void disturb_server(struct history *history, struct server *server)
{
	switch (draw(history, 7)) {
	case 0:
		server->hold = !server->hold;
		break;
	case 1:
		server_release(server, server->held_count > 2 ? 2 : server->held_count);
		break;
	case 2:
		if (server->connection_count > 0) {
			connection_close(
				server->connections[0], REASON_shutdown, draw(history, 2) == 0);
		}
		break;
	case 3:
		if (server->connection_count > 0) {
			connection_drain(
				server->connections[draw(history, server->connection_count)]);
		}
		break;
	case 4:
		server->close_after = draw(history, 4) == 0;
		break;
	case 5:
		if (server->listener && draw(history, 3) == 0) {
			listener_destroy(server->listener, false);
			server->listener = NULL;
		} else if (!server->listener) {
			server_start(server, history->fixture);
		}
		break;
	case 6:
		server_release(server, server->held_count);
		break;
	}
}

static void step(struct history *history)
{
	unsigned i = draw(history, CALLERS);
	uint8_t id[16] = {0xaa};

	switch (draw(history, 8)) {
	case 0:
		change_set(history);
		break;
	case 1:
		disturb_server(history, &history->servers[draw(history, SERVERS)]);
		break;
	case 2:
		id[1] = (uint8_t)history->servers[0].port;
		id[2] = (uint8_t)(history->servers[0].port >> 8);
		upstream_apply_verdict(history->fixture->upstream, names[draw(history, 2)], id,
			(enum tier)draw(history, TIER_COUNT));
		break;
	default:
		if (!history->used[i]) {
			start_caller(history, i);
		}
		break;
	}
	for (i = 0; i < CALLERS; i++) {
		if (history->used[i]) {
			look_at_caller(history, i);
		}
	}
	loop_turn(history->fixture->loop, (int)draw(history, 3));
}

static void run_history(struct fixture *fixture, uint64_t seed)
{
	static struct history history;

	memset(&history, 0, sizeof(history));
	history.fixture = fixture;
	rng_seed(&history.rng, seed);
	fixture->policy.active_max = 12;
	fixture->policy.queued_max = 10;
	fixture->policy.connections_max = 8;
	fixture->policy.queue_timeout_ms = 40;
	fixture->policy.connect_timeout_ms = 60;
	fixture->policy.pool_idle_ms = 25;
	fixture->policy.h2_pool_idle_ms = 35;
	fixture->policy.h1_idle = 3;
	fixture->limits.h2_streams = 3;
	for (unsigned i = 0; i < SERVERS; i++) {
		server_start(&history.servers[i], fixture);
	}
	history.services[0] = service_of(fixture, names[0]);
	history.services[1] = service_of(fixture, names[1]);
	for (int i = 0; i < STEPS; i++) {
		step(&history);
		assert_true(service_active(history.services[0]) <= 12);
		assert_true(service_queued(history.services[1]) <= 10 + CALLERS);
	}
	for (unsigned i = 0; i < CALLERS; i++) {
		caller_finish(&history.callers[i], CLASS_CANCELLED);
	}
	for (unsigned i = 0; i < SERVERS; i++) {
		history.servers[i].hold = false;
		server_stop(&history.servers[i]);
	}
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(service_active(history.services[i]), 0);
		assert_int_equal(service_queued(history.services[i]), 0);
	}
	assert_true(history.answered > 0);
	assert_true(history.waited > 0);
}

static void test_histories(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		void *fixture;

		printf("seed %u\n", (unsigned)seed);
		assert_int_equal(fixture_setup(&fixture), 0);
		run_history(fixture, seed);
		assert_int_equal(fixture_teardown(&fixture), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_histories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
