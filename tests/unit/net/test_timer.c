#include "net/timer.h"

#include "base/rng.h"
#include "net/timer_wheel.h"
#include "test_net.h"

#define TIMERS 2000

struct alarm {
	struct timer timer;
	int fired;
	uint64_t fired_ms;
};

static uint64_t now_ms;
static uint64_t last_deadline_ms;
static struct alarm alarms[TIMERS];

static struct alarm *alarm_of(struct timer *timer)
{
	return container_of(timer, struct alarm, timer);
}

static void note(struct timer *timer)
{
	struct alarm *alarm = alarm_of(timer);

	assert_false(timer_armed(timer));
	alarm->fired++;
	alarm->fired_ms = now_ms;
	/* Never early, and in order of the deadlines. */
	assert_true(timer->deadline_ms <= now_ms);
	assert_true(timer->deadline_ms >= last_deadline_ms);
	last_deadline_ms = timer->deadline_ms;
}

static void test_random_deadlines_fire_in_their_millisecond(void **state)
{
	static const uint64_t spans[] = {10, 300, 20000, 1000000, 70000000};
	struct loop *loop = test_loop();
	struct timer_wheel *real = loop_timers(loop);
	uint64_t start = loop_now_ms(loop);
	struct rng rng;
	uint64_t seed;
	int fired = 0;

	(void)state;
	rng_system_bytes(&seed, sizeof(seed));
	print_message("seed %llu\n", (unsigned long long)seed);
	rng_seed(&rng, seed);
	for (int i = 0; i < TIMERS; i++) {
		timer_init(&alarms[i].timer, note);
		alarms[i].fired = 0;
		timer_arm(loop, &alarms[i].timer,
			start + 1 + rng_below(&rng, spans[rng_below(&rng, 5)]));
	}
	/* The wheel says when to look next; nothing may be due in between. */
	last_deadline_ms = 0;
	while (!timer_wheel_empty(real)) {
		uint64_t next = timer_wheel_next(real);

		assert_true(next > now_ms && next != UINT64_MAX);
		now_ms = next;
		timer_wheel_run(real, now_ms);
	}
	for (int i = 0; i < TIMERS; i++) {
		fired += alarms[i].fired;
		assert_int_equal(alarms[i].fired, 1);
		assert_true(alarms[i].fired_ms == alarms[i].timer.deadline_ms);
	}
	assert_int_equal(fired, TIMERS);
	assert_true(timer_wheel_next(real) == UINT64_MAX);
	loop_destroy(loop);
}

static void test_late_looks_fire_all_in_order(void **state)
{
	struct loop *loop = test_loop();
	struct timer_wheel *real = loop_timers(loop);
	uint64_t start = loop_now_ms(loop);
	struct rng rng;
	uint64_t seed;

	(void)state;
	rng_system_bytes(&seed, sizeof(seed));
	print_message("seed %llu\n", (unsigned long long)seed);
	rng_seed(&rng, seed);
	for (int round = 0; round < 20; round++) {
		uint64_t bound;

		for (int i = 0; i < TIMERS; i++) {
			alarms[i].fired = 0;
			timer_init(&alarms[i].timer, note);
			timer_arm(loop, &alarms[i].timer, start + 1 + rng_below(&rng, 100000));
			if (rng_below(&rng, 4) == 0) {
				/* Moved: only the last deadline counts. */
				timer_arm(loop, &alarms[i].timer,
					start + 1 + rng_below(&rng, 100000));
			}
		}
		for (int i = 0; i < TIMERS; i += 7) {
			timer_cancel(&alarms[i].timer);
			timer_cancel(&alarms[i].timer);
		}
		last_deadline_ms = 0;
		for (now_ms = start; now_ms < start + 100000;) {
			now_ms += rng_below(&rng, 30000);
			timer_wheel_run(real, now_ms);
			for (int i = 0; i < TIMERS; i++) {
				bool due = i % 7 != 0 && alarms[i].timer.deadline_ms <= now_ms;

				assert_int_equal(alarms[i].fired, due);
			}
		}
		/* What follows is armed from a wheel that stands somewhere else each time. */
		bound = now_ms + 1 + rng_below(&rng, 1000);
		timer_wheel_run(real, bound);
		start = bound;
	}
	assert_true(timer_wheel_empty(real));
	loop_destroy(loop);
}

static struct timer victim;
static struct loop *shared_loop;
static int again;

static void cancel_the_other(struct timer *timer)
{
	(void)timer;
	timer_cancel(&victim);
}

static void fail_if_fired(struct timer *timer)
{
	(void)timer;
	fail();
}

static void arm_for_the_past(struct timer *timer)
{
	if (++again < 5) {
		timer_arm(shared_loop, timer, 0);
	}
}

static void test_callbacks_may_cancel_and_arm(void **state)
{
	struct timer canceller;
	struct timer repeating;
	struct loop *loop = test_loop();
	uint64_t deadline = loop_now_ms(loop) + 3;
	int turns = 0;

	(void)state;
	shared_loop = loop;
	timer_init(&canceller, cancel_the_other);
	timer_init(&victim, fail_if_fired);
	timer_arm(loop, &canceller, deadline);
	timer_arm(loop, &victim, deadline);
	TURN_UNTIL(loop, !timer_armed(&canceller));
	assert_false(timer_armed(&victim));
	/* One firing a stage, however far in the past the deadline is; and no sleep between. */
	again = 0;
	timer_init(&repeating, arm_for_the_past);
	timer_arm(loop, &repeating, 0);
	while (again < 5) {
		loop_turn(loop, 10000);
		turns++;
		assert_int_equal(again, turns);
	}
	loop_destroy(loop);
}

static void test_a_loop_sleeps_until_the_next_timer(void **state)
{
	struct loop *loop = test_loop();
	struct alarm alarm = {.fired = 0};
	uint64_t start = clock_monotonic_ms();

	(void)state;
	timer_init(&alarm.timer, note);
	for (uint64_t distance = 1; distance < 700; distance = distance * 3 + 1) {
		uint64_t deadline = loop_now_ms(loop) + distance;
		int turns = 0;

		now_ms = UINT64_MAX;
		last_deadline_ms = 0;
		alarm.fired = 0;
		timer_arm(loop, &alarm.timer, deadline);
		while (alarm.fired == 0) {
			loop_turn(loop, -1);
			turns++;
		}
		assert_true(clock_monotonic_ms() >= deadline);
		/* It slept, and did not spin. */
		assert_true(turns < 40);
	}
	assert_true(clock_monotonic_ms() - start >= 1 + 4 + 13 + 40 + 121 + 364);
	loop_destroy(loop);
}

static void test_deadlines_beyond_the_wheel(void **state)
{
	struct loop *loop = test_loop();
	struct timer_wheel *real = loop_timers(loop);
	uint64_t start = loop_now_ms(loop);
	struct alarm alarm = {.fired = 0};
	int looks = 0;

	(void)state;
	timer_init(&alarm.timer, note);
	/* 200 days; the wheel spans 49. */
	timer_arm(loop, &alarm.timer, start + UINT64_C(17280000000));
	last_deadline_ms = 0;
	while (alarm.fired == 0) {
		now_ms = timer_wheel_next(real);
		timer_wheel_run(real, now_ms);
		assert_true(++looks < 100);
	}
	assert_true(alarm.fired_ms == start + UINT64_C(17280000000));
	loop_destroy(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_deadlines_fire_in_their_millisecond),
		cmocka_unit_test(test_late_looks_fire_all_in_order),
		cmocka_unit_test(test_callbacks_may_cancel_and_arm),
		cmocka_unit_test(test_a_loop_sleeps_until_the_next_timer),
		cmocka_unit_test(test_deadlines_beyond_the_wheel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
