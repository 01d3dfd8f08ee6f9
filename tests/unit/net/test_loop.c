#include "net/loop.h"

#include <pthread.h>
#include <event2/event.h>

#include "base/mem.h"
#include "net/mailbox.h"
#include "net/timer.h"
#include "test_net.h"

static char trace[128];
static struct loop *loop;
static struct task run_task;
static struct task write_task;
static struct timer timer;

static void note(char stage)
{
	size_t size = strlen(trace);

	assert_true(size + 1 < sizeof(trace));
	trace[size] = stage;
	trace[size + 1] = '\0';
}

static int setup(void **state)
{
	(void)state;
	loop = test_loop();
	trace[0] = '\0';
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	loop_destroy(loop);
	return 0;
}

static void dispose(void *object)
{
	(void)object;
	note('G');
}

static void on_run(struct task *task)
{
	(void)task;
	note('R');
	loop_bury(loop, dispose, NULL);
}

static void on_write(struct task *task)
{
	(void)task;
	note('W');
}

static void on_timer(struct timer *fired)
{
	(void)fired;
	note('T');
}

static void on_mail(struct mail *mail)
{
	note('M');
	mem_free(mail);
}

static void on_io(evutil_socket_t fd, short what, void *context)
{
	struct mail *mail = mem_zalloc(sizeof(*mail));
	char byte;

	(void)what;
	(void)context;
	assert_int_equal(read(fd, &byte, 1), 1);
	note('I');
	mail->deliver = on_mail;
	/* Everything is asked for in the wrong order on purpose. */
	loop_queue_write(loop, &write_task);
	timer_arm(loop, &timer, 0);
	loop_queue(loop, &run_task);
	loop_queue(loop, &run_task);
	mailbox_post(loop_mailbox(loop), mail);
}

static void test_stages_of_a_turn(void **state)
{
	int fds[2];
	struct event *event;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	task_init(&run_task, on_run);
	task_init(&write_task, on_write);
	timer_init(&timer, on_timer);
	event = event_new(loop_base(loop), fds[0], EV_READ, on_io, NULL);
	event_add(event, NULL);
	assert_int_equal(write(fds[1], "x", 1), 1);
	loop_turn(loop, 1000);
	assert_string_equal(trace, "IMRWTG");
	loop_turn(loop, 0);
	assert_string_equal(trace, "IMRWTG");
	event_free(event);
	close(fds[0]);
	close(fds[1]);
}

static void queue_itself(struct task *task)
{
	note('r');
	if (strlen(trace) < 6) {
		loop_queue(loop, task);
		loop_queue_write(loop, &write_task);
	}
}

static void test_own_stage_means_next_turn(void **state)
{
	struct task task;
	uint64_t begin = clock_monotonic_ms();

	(void)state;
	task_init(&task, queue_itself);
	task_init(&write_task, on_write);
	loop_queue(loop, &task);
	loop_turn(loop, -1);
	assert_string_equal(trace, "rW");
	/* There is work: the turn does not sleep. */
	loop_turn(loop, -1);
	assert_string_equal(trace, "rWrW");
	loop_turn(loop, -1);
	assert_string_equal(trace, "rWrWrW");
	assert_true(clock_monotonic_ms() - begin < TEST_WAIT_MS);
	loop_turn(loop, -1);
	assert_string_equal(trace, "rWrWrWr");
}

static void test_cancelled_tasks_do_not_run(void **state)
{
	(void)state;
	task_init(&run_task, on_run);
	loop_queue(loop, &run_task);
	task_cancel(&run_task);
	task_cancel(&run_task);
	loop_turn(loop, 0);
	assert_string_equal(trace, "");
}

static void bury_another(void *object)
{
	note('g');
	if (object != NULL) {
		loop_bury(loop, bury_another, NULL);
	}
}

static void test_the_graveyard_is_emptied(void **state)
{
	(void)state;
	for (int i = 0; i < 40; i++) {
		loop_bury(loop, bury_another, loop);
	}
	loop_turn(loop, -1);
	assert_int_equal(strlen(trace), 80);
	loop_bury(loop, bury_another, NULL);
	/* loop_destroy runs what is left: the teardown would leak otherwise. */
}

static void stop(struct mail *mail)
{
	mem_free(mail);
	loop_stop(loop);
}

static void *post_stop(void *context)
{
	struct mail *mail = mem_zalloc(sizeof(*mail));

	usleep(20000);
	mail->deliver = stop;
	mailbox_post(context, mail);
	return NULL;
}

static void test_a_sleeping_loop_is_stopped_by_mail(void **state)
{
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, post_stop, loop_mailbox(loop)), 0);
	loop_run(loop);
	pthread_join(thread, NULL);
}

static void take_long(struct task *task)
{
	(void)task;
	usleep(30000);
}

static void test_time_is_cached_and_turns_are_measured(void **state)
{
	struct task task;
	uint64_t now;

	(void)state;
	loop_turn(loop, 0);
	(void)loop_take_longest_turn_us(loop);
	now = loop_now_ns(loop);
	usleep(2000);
	assert_true(loop_now_ns(loop) == now);
	task_init(&task, take_long);
	loop_queue(loop, &task);
	loop_turn(loop, 0);
	assert_true(loop_now_ns(loop) >= now + 32000000);
	assert_true(loop_now_ms(loop) == loop_now_ns(loop) / 1000000);
	assert_true(loop_take_longest_turn_us(loop) >= 30000);
	assert_int_equal(loop_take_longest_turn_us(loop), 0);
}

static void test_wait_is_bounded(void **state)
{
	uint64_t begin = clock_monotonic_ms();
	int turns = 0;

	(void)state;
	while (clock_monotonic_ms() - begin < 60) {
		loop_turn(loop, 20);
		turns++;
	}
	assert_true(turns <= 6);
	assert_true(clock_monotonic_ms() - begin < TEST_WAIT_MS);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_stages_of_a_turn),
		TEST(test_own_stage_means_next_turn),
		TEST(test_cancelled_tasks_do_not_run),
		TEST(test_the_graveyard_is_emptied),
		TEST(test_a_sleeping_loop_is_stopped_by_mail),
		TEST(test_time_is_cached_and_turns_are_measured),
		TEST(test_wait_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
