/*
 * test_net: what every test file of this room needs: cmocka with its includes in their order, and a
 * bounded way to turn a loop until something happened.
 */
#ifndef PILLION_TESTS_TEST_NET_H
#define PILLION_TESTS_TEST_NET_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "net/loop.h"

/* Generous: a slow machine must not fail a test. */
#define TEST_WAIT_MS 20000

/* Turns the loop until the condition holds; fails when it never does. */
#define TURN_UNTIL(loop, condition)                                                                \
	do {                                                                                       \
		uint64_t turn_end = clock_monotonic_ms() + TEST_WAIT_MS;                           \
		while (!(condition)) {                                                             \
			assert_true(clock_monotonic_ms() < turn_end);                              \
			loop_turn((loop), 50);                                                     \
		}                                                                                  \
	} while (0)

static inline struct loop *test_loop(void)
{
	struct loop *loop = NULL;

	assert_int_equal(loop_create(&loop), 0);
	return loop;
}

#endif
