#include "base/clock.h"

#include <stdio.h>
#include <time.h>

#include "base/assert.h"

#define NS_PER_SECOND UINT64_C(1000000000)
#define NS_PER_MS     UINT64_C(1000000)

static uint64_t clock_read_ns(clockid_t clock)
{
	struct timespec now;
	int status = clock_gettime(clock, &now);

	/* The clocks used here exist on every kernel that can run this program. */
	ASSERT(status == 0 && now.tv_sec >= 0);
	return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

uint64_t clock_monotonic_ns(void)
{
	return clock_read_ns(CLOCK_MONOTONIC);
}

uint64_t clock_monotonic_ms(void)
{
	return clock_read_ns(CLOCK_MONOTONIC) / NS_PER_MS;
}

uint64_t clock_boottime_ms(void)
{
	return clock_read_ns(CLOCK_BOOTTIME) / NS_PER_MS;
}

uint64_t clock_wall_ns(void)
{
	return clock_read_ns(CLOCK_REALTIME);
}

uint64_t clock_wall_ms(void)
{
	return clock_read_ns(CLOCK_REALTIME) / NS_PER_MS;
}

void clock_format_wall(uint64_t wall_ms, char ret_text[CLOCK_TEXT_SIZE])
{
	/* The last millisecond of the year 9999: beyond it the text would not fit. */
	static const uint64_t wall_max = UINT64_C(253402300799999);
	uint64_t bounded = wall_ms < wall_max ? wall_ms : wall_max;
	time_t seconds = (time_t)(bounded / 1000);
	struct tm utc;
	struct tm *broken = gmtime_r(&seconds, &utc);
	size_t size;

	ASSERT(broken != NULL);
	size = strftime(ret_text, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &utc);
	ASSERT(size == 19);
	(void)snprintf(ret_text + size, CLOCK_TEXT_SIZE - size, ".%03uZ",
		(unsigned)(bounded % 1000) % 1000U);
}
