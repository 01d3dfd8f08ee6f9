#include "control/notify.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"

/* PR-04, without libsystemd: one datagram. Not being watched, or a full queue, is no error of
 * ours. */
void notify_send(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t size;
	int fd;

	ASSERT(state);
	if (!path || (path[0] != '/' && path[0] != '@')) {
		return;
	}
	size = strlen(path);
	if (size >= sizeof address.sun_path) {
		return;
	}
	memcpy(address.sun_path, path, size);
	if (path[0] == '@') {
		address.sun_path[0] = '\0'; /* abstract */
	}
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return;
	}
	/* Whether anybody listens is not our business. */
	(void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + size));
	close(fd);
}

/* systemd pairs RELOADING with the READY that follows by this time; without it the reload is
 * missed. */
void notify_reloading(void)
{
	char text[80];

	(void)snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%llu",
		(unsigned long long)(clock_monotonic_ns() / 1000));
	notify_send(text);
}

/* 0 where systemd does not watch. The unit's WatchdogSec comes in microseconds. */
unsigned notify_watchdog_ms(void)
{
	const char *text = getenv("WATCHDOG_USEC");
	unsigned long long us = text ? strtoull(text, NULL, 10) : 0;

	/* Half of the period, at least a second, so that one late turn is no death. */
	us /= 2000;
	if (us == 0) {
		return 0;
	}
	return us < 1000 ? 1000 : us > 3600000 ? 3600000 : (unsigned)us;
}
