#include "net/end_poll.h"

#include <sys/socket.h>

#include "test_net.h"

static int calls;

static void on_end(struct end_watch *watch)
{
	assert_true(watch->told);
	calls++;
}

static void test_an_end_is_told_once_an_arm(void **state)
{
	struct loop *loop = test_loop();
	struct end_watch watch = {.on_end = on_end};
	int fds[2];

	(void)state;
	calls = 0;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	end_poll_arm(loop_end_poll(loop), &watch, fds[0]);
	/* Bytes are no end. */
	assert_int_equal(write(fds[1], "ab", 2), 2);
	loop_turn(loop, 10);
	assert_int_equal(calls, 0);
	assert_int_equal(shutdown(fds[1], SHUT_WR), 0);
	TURN_UNTIL(loop, calls == 1);
	loop_turn(loop, 10);
	assert_int_equal(calls, 1);
	end_poll_arm(loop_end_poll(loop), &watch, fds[0]);
	TURN_UNTIL(loop, calls == 2);
	end_poll_remove(loop_end_poll(loop), &watch, fds[0]);
	close(fds[1]);
	loop_turn(loop, 10);
	assert_int_equal(calls, 2);
	end_poll_remove(loop_end_poll(loop), &watch, fds[0]);
	close(fds[0]);
	loop_destroy(loop);
}

static struct end_watch pair[2];
static struct loop *pair_loop;
static int pair_fds[2][2];

/* Whichever comes first takes both away. */
static void on_first_end(struct end_watch *watch)
{
	assert_true(watch == &pair[0] || watch == &pair[1]);
	calls++;
	for (int i = 0; i < 2; i++) {
		end_poll_remove(loop_end_poll(pair_loop), &pair[i], pair_fds[i][0]);
	}
}

static void test_a_callback_removes_the_next_watch(void **state)
{
	(void)state;
	calls = 0;
	pair_loop = test_loop();
	for (int i = 0; i < 2; i++) {
		pair[i] = (struct end_watch){.on_end = on_first_end};
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair_fds[i]), 0);
		end_poll_arm(loop_end_poll(pair_loop), &pair[i], pair_fds[i][0]);
		close(pair_fds[i][1]);
	}
	TURN_UNTIL(pair_loop, calls > 0);
	loop_turn(pair_loop, 10);
	assert_int_equal(calls, 1);
	close(pair_fds[0][0]);
	close(pair_fds[1][0]);
	loop_destroy(pair_loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_end_is_told_once_an_arm),
		cmocka_unit_test(test_a_callback_removes_the_next_watch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
