/*
 * test_cli: cmocka with its includes in their order, and a way to see what a command printed.
 */
#ifndef PILLION_TESTS_TEST_CLI_H
#define PILLION_TESTS_TEST_CLI_H

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

#include "cli/command.h"

#define TEST_OUTPUT_MAX 16384

/* Both streams of one command. */
struct capture {
	FILE *files[2];
	int saved[2];
	char out[TEST_OUTPUT_MAX], err[TEST_OUTPUT_MAX];
};

void capture_begin(struct capture *capture);
void capture_end(struct capture *capture);
/* cli_main with words up to a NULL; the verb is the first. */
int capture_run(struct capture *capture, const char *const *words);

#endif
