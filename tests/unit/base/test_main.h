/*
 * test_main: what every test file of this room needs: cmocka with its includes in their order, and
 * a way to see that a programmer error stops the process.
 */
#ifndef PILLION_TESTS_TEST_MAIN_H
#define PILLION_TESTS_TEST_MAIN_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Runs it in a child; true when the child died of an assertion. */
static inline bool test_aborts(void (*run)(void))
{
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		/* The message is expected and would only confuse the reader of the output. */
		if (freopen("/dev/null", "w", stderr) == NULL) {
			_exit(1);
		}
		signal(SIGABRT, SIG_DFL);
		run();
		_exit(0);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

#endif
