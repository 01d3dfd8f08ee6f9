/*
 * limits: the part of the configuration's `limits` that a codec needs; plain data, owned by whoever
 * has the codec, read only.
 */
#ifndef PILLION_HTTP_LIMITS_H
#define PILLION_HTTP_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_limits {
	size_t head_bytes, fields, start_line_bytes, interim_responses, chunk_ext_bytes;
	uint32_t h2_streams, h2_stream_window, h2_connection_window;
	uint32_t h2_tokens, h2_refill_per_s, h2_continuations, h2_settings_entries, h2_out_frames;
	uint64_t head_timeout_ms, idle_timeout_ms, h2_idle_timeout_ms;
	/* H2-37, client: a PING after so long without a byte while streams are open, and how long
	 * the answer may take. 0: none. */
	uint64_t h2_ping_ms, h2_ping_wait_ms;
	bool interim; /* forward 1xx */
};
/* Those of http.md 17. */
void http_limits_default(struct http_limits *limits);

#endif
