#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * Only async-signal-safe enough: one formatted line and abort. The application log is not used,
 * since its lock may be held by the thread that failed.
 */
_Noreturn void assert_failed(
	const char *condition, const char *file, int line, const char *function)
{
	fprintf(stderr, "pillion: assertion failed: %s (%s:%d, %s)\n", condition, file, line,
		function);
	fflush(stderr);
	abort();
}
