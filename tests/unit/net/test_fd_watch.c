#include "net/fd_watch.h"

#include "test_net.h"

static int calls;

static void on_readable(struct fd_watch *watch)
{
	char byte;

	calls++;
	/* Stopping inside the callback is allowed: the descriptor said its last word. */
	if (read(watch->fd, &byte, 1) == 0) {
		fd_watch_stop(watch);
	}
}

static void test_readable_until_stopped(void **state)
{
	struct loop *loop = test_loop();
	struct fd_watch watch = {0};
	int fds[2];

	(void)state;
	fd_watch_stop(&watch);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(fd_watch_start(&watch, loop, fds[0], on_readable), 0);
	loop_turn(loop, 0);
	assert_int_equal(calls, 0);
	/* Level-triggered: one call a turn until both bytes are read. */
	assert_int_equal(write(fds[1], "ab", 2), 2);
	TURN_UNTIL(loop, calls == 2);
	close(fds[1]);
	TURN_UNTIL(loop, calls == 3);
	loop_turn(loop, 0);
	assert_int_equal(calls, 3);
	fd_watch_stop(&watch);
	close(fds[0]);
	loop_destroy(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_readable_until_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
