#include "http/h2_error.h"

#include "base/assert.h"

enum h2_error h2_error_for_reset(enum reason why)
{
	ASSERT((int)why >= 0 && why < REASON_COUNT);
	if (why == REASON_h2_malformed || why == REASON_upstream_protocol) {
		return H2_PROTOCOL_ERROR;
	}
	if (why == REASON_h2_refused) {
		return H2_REFUSED_STREAM; /* promises that nothing was processed */
	}
	if (why == REASON_upstream_truncated || why == REASON_upstream_reset ||
		why == REASON_upstream_closed || why == REASON_internal_error) {
		return H2_INTERNAL_ERROR;
	}
	/* Peer gone, deadline, slow reader, drain and whatever else makes the exchange pointless.
	 */
	return H2_CANCEL;
}

enum h2_error h2_error_for_close(enum reason why)
{
	ASSERT((int)why >= 0 && why < REASON_COUNT);
	if (why == REASON_h2_flood || why == REASON_h2_memory) {
		return H2_ENHANCE_YOUR_CALM;
	}
	if (why == REASON_h2_settings_timeout) {
		return H2_SETTINGS_TIMEOUT;
	}
	return why == REASON_h2_protocol ? H2_PROTOCOL_ERROR : H2_NO_ERROR;
}
