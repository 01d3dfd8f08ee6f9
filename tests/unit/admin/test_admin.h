/*
 * test_admin: what every test file of this room needs: cmocka with its includes in their order.
 */
#ifndef PILLION_TESTS_TEST_ADMIN_H
#define PILLION_TESTS_TEST_ADMIN_H

#include <errno.h>
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

/* Generous: a slow machine must not fail a test. */
#define TEST_WAIT_MS 20000

#endif
