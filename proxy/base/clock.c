#include "base/clock.h"

#include <string.h>
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

/* `digits` decimal digits with leading zeros. By hand, because each line of the access log has a
 * time and strftime and printf would be a good part of its cost. */
static void clock_put(char *text, unsigned number, size_t digits)
{
	for (size_t i = digits; i > 0; i--) {
		text[i - 1] = (char)('0' + number % 10);
		number /= 10;
	}
	ASSERT(number == 0);
}

void clock_format_wall(uint64_t wall_ms, char ret_text[CLOCK_TEXT_SIZE])
{
	static const char pattern[CLOCK_TEXT_SIZE] = "0000-00-00T00:00:00.000Z";
	/* The last millisecond of the year 9999: beyond it the text would not fit. */
	static const uint64_t wall_max = UINT64_C(253402300799999);
	uint64_t bounded = wall_ms < wall_max ? wall_ms : wall_max;
	time_t seconds = (time_t)(bounded / 1000);
	struct tm utc;
	struct tm *broken = gmtime_r(&seconds, &utc);

	ASSERT(broken != NULL && utc.tm_year >= 70);
	memcpy(ret_text, pattern, sizeof(pattern));
	clock_put(ret_text, (unsigned)utc.tm_year + 1900, 4);
	clock_put(ret_text + 5, (unsigned)utc.tm_mon + 1, 2);
	clock_put(ret_text + 8, (unsigned)utc.tm_mday, 2);
	clock_put(ret_text + 11, (unsigned)utc.tm_hour, 2);
	clock_put(ret_text + 14, (unsigned)utc.tm_min, 2);
	clock_put(ret_text + 17, (unsigned)utc.tm_sec, 2);
	clock_put(ret_text + 20, (unsigned)(bounded % 1000), 3);
}
