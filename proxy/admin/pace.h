/* pace: whether the reader of an answer keeps up with 1 KiB/s over 30 s (AD-05). Pure. Owner: the
 * connection. */
#ifndef PILLION_ADMIN_PACE_H
#define PILLION_ADMIN_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define ADMIN_PACE_MS	 30000
#define ADMIN_PACE_BYTES 30720

struct admin_pace { /* starts zeroed */
	bool waiting;
	uint64_t since_ms;
	uint64_t taken;
};

/* Told now and then how much the peer has taken so far, and whether more waits for it. */
bool admin_pace_too_slow(struct admin_pace *pace, uint64_t now_ms, uint64_t taken, bool waiting);

#endif
