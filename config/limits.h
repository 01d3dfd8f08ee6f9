/*
 * limits: counts, sizes and timers of the request path (http.md 11 and 17), each under the name of
 * its key. Owned by the configuration, read-only; any thread.
 */
#ifndef PILLION_CONFIG_LIMITS_H
#define PILLION_CONFIG_LIMITS_H

#include <stdint.h>

struct config_limits {
	uint64_t head_bytes;
	int fields; /* of one head */
	uint64_t start_line_bytes;
	int interim_responses;
	uint64_t chunk_ext_bytes;
	uint64_t body_bytes; /* 0: off */
	int connections_max; /* per process */
	int exchanges_max;   /* per process */
	int per_source_max;
	int h2_streams;
	uint64_t h2_stream_window;
	uint64_t h2_connection_window;
	int h2_tokens; /* odd frames and malformed streams cost one each */
	int64_t h2_refill_per_min;
	int h2_continuations;
	int h2_settings_entries;
	int h2_out_frames;
	int h1_idle;	    /* per instance and worker */
	int h2_connections; /* per key and worker */
	uint64_t out_bytes; /* per connection */
	uint64_t replay_bytes;
	uint64_t replay_total;
	uint64_t memory; /* 0: not written; else the sum of all memory keys stays below (PIL1240) */

	/* Timers of http.md 11, by the number of their rule. */
	int64_t idle_timeout_ms; /* T-02 */
	int64_t h2_idle_timeout_ms;
	int64_t head_timeout_ms;  /* T-03 */
	int64_t body_gap_ms;	  /* T-05, ordinary requests */
	int64_t response_gap_ms;  /* T-09 */
	int64_t flush_timeout_ms; /* T-10 */
	int64_t stream_idle_ms;	  /* T-05, streaming ones */
	int64_t pool_idle_ms;	  /* T-13 */
	int64_t h2_pool_idle_ms;
};

#endif
