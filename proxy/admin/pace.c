#include "admin/pace.h"

/* Periods follow each other as long as something waits; a reader that has taken all begins anew
 * with the next answer. */
bool admin_pace_too_slow(struct admin_pace *pace, uint64_t now_ms, uint64_t taken, bool waiting)
{
	if (waiting && pace->waiting) {
		if (now_ms - pace->since_ms < ADMIN_PACE_MS) {
			return false;
		}
		if (taken - pace->taken < ADMIN_PACE_BYTES) {
			return true;
		}
	}
	pace->waiting = waiting;
	pace->since_ms = now_ms;
	pace->taken = taken;
	return false;
}
