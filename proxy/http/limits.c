#include "http/limits.h"

#include "base/assert.h"

void http_limits_default(struct http_limits *limits)
{
	ASSERT(limits != NULL);
	/* http.md 17; the windows are those of RFC 9113's start values and of H2-03. */
	*limits = (struct http_limits){
		.head_bytes = 64 * 1024,
		.fields = 100,
		.start_line_bytes = 8 * 1024,
		.interim_responses = 8,
		.chunk_ext_bytes = 256,
		.h2_streams = 100,
		.h2_stream_window = 64 * 1024 - 1,
		.h2_connection_window = 1024 * 1024,
		.h2_tokens = 200,
		.h2_refill_per_s = 20,
		.h2_continuations = 8,
		.h2_settings_entries = 32,
		.h2_out_frames = 256,
		.head_timeout_ms = 10 * 1000,
		.idle_timeout_ms = 60 * 1000,
		.h2_idle_timeout_ms = 90 * 1000,
		.interim = true,
	};
}
