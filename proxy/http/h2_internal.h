/*
 * h2_internal: what the files of the HTTP/2 codec share; nobody else includes it.
 *   h2.c          the codec: receive, produce, timers, failure, drain
 *   h2_session.c  the nghttp2 session: options, settings, counted memory, callbacks
 *   h2_stream.c   life of a stream and the events its owner gets
 *   h2_server.c, h2_client.c   what a received head means on that side
 *   h2_headers.c  fields in and out
 *   h2_send.c     DATA out, turns, what was sent where
 *   h2_budget.c   the token bucket and other counts against floods
 * Callbacks of nghttp2 mark and append only; verdicts are carried out after mem_recv (H2-07).
 */
#ifndef PILLION_HTTP_H2_INTERNAL_H
#define PILLION_HTTP_H2_INTERNAL_H

#include <nghttp2/nghttp2.h>

#include "base/list.h"
#include "http/h2_stream.h"

enum { H2_ENDED_IDS = 64, H2_FIRST_FLIGHT = 128 };

/* Where in the frames of the input we are (h2_budget.c). */
struct h2_scan {
	uint32_t preface_left;
	uint32_t header_size; /* bytes of `header` that came; 9: inside a payload */
	uint8_t header[9];
	uint8_t type;
	uint8_t flags;
	bool pad_next; /* the next byte says how long the padding is */
	uint32_t stream_id;
	uint32_t payload_left;
	uint32_t block_bytes; /* compressed, of the header block under way */
	uint32_t settings_seen;
	uint32_t last_id;   /* server: highest stream id of a HEADERS */
	uint32_t gap_begin; /* ids that were skipped last */
	uint32_t gap_end;
	uint32_t ended_next;
	uint32_t ended[H2_ENDED_IDS]; /* streams that the peer ended or reset lately */
};

struct h2 {
	struct codec codec;
	nghttp2_session *session;
	size_t memory;			       /* bytes nghttp2 holds (H2-06) */
	uint8_t first_flight[H2_FIRST_FLIGHT]; /* what the library said at birth */
	size_t first_flight_size;
	struct list_node streams;
	struct list_node touched;   /* with events for their owners */
	struct list_node turns;	    /* with DATA, waiting for their turn (H2-32) */
	struct list_node flushing;  /* let go, still sending; oldest first */
	struct list_node graveyard; /* freed when no callback is on the stack */
	struct list_node spare;	    /* for the next requests, arena page included */
	unsigned spare_count;
	unsigned ready_count;	     /* streams with DATA or an end to send */
	struct h2_stream *turn;	     /* may send one frame out of order */
	struct block *in_block;	     /* the block that mem_recv reads */
	struct chain *out;	     /* while producing */
	size_t out_limit;	     /* DATA stops when out->size reaches it */
	uint64_t frame_begin;	     /* codec.produced before the frame being sent */
	struct h2_stream *head_sent; /* its head is the frame being sent */
	uint64_t now_ms;
	size_t accepted;	   /* DATA bytes to return to the connection window (B-03) */
	enum h2_error close_error; /* of the GOAWAY, where the word alone does not say it */
	enum reason verdict;	   /* marked by a callback; REASON_ok: none */
	int depth;		   /* receive or produce is on the stack */
	struct h2_stream *block;   /* whose header block is being received */
	struct h2_scan scan;
	/* Budget. */
	uint64_t tokens_milli;
	uint64_t refilled_ms;
	uint64_t ping_free_ms; /* the next PING is free from then on */
	uint64_t window_updates;
	uint64_t pings; /* that followed DATA of ours */
	uint64_t streams_opened;
	uint64_t data_sent;
	uint32_t block_count; /* fields of the block being received */
	uint64_t block_cost;
	/* Deadlines, UINT64_MAX: none. */
	uint64_t settings_deadline_ms;
	uint64_t block_deadline_ms;
	uint64_t drain_deadline_ms;
	uint64_t heard_ms;	/* the last byte of the peer */
	uint64_t ping_sent_ms;	/* H2-37: since then the peer was asked and silent; 0: not asked */
	uint64_t idle_since_ms; /* 0: not looked at yet */
	bool failed;		/* nghttp2 is not called any more */
	bool farewell_sent;
	bool terminating; /* a GOAWAY that ends the session was queued */
	bool drain_final; /* GOAWAY with the true last id was queued */
};

static inline struct h2 *h2_of(const struct codec *codec)
{
	return container_of(codec, struct h2, codec);
}

/* h2.c */
void h2_changed(struct h2 *h2); /* recomputes has_output, tells the connection */
void h2_settle(struct h2 *h2);	/* after a stream went: the ends that wait for the last one */
/* h2_session.c */
void h2_session_create(struct h2 *h2);
/* The word for a stream on which the peer broke the rules. */
enum reason h2_session_broken(const struct h2 *h2);
/* The word for what mem_recv or mem_send returned. */
enum reason h2_session_error(const struct h2 *h2, int code);
/* h2_budget.c */
void h2_budget_init(struct h2 *h2);
void h2_budget_charge(struct h2 *h2);
void h2_budget_block(struct h2 *h2); /* the fields of a new block are counted from 0 */
void h2_budget_malformed(struct h2_stream *stream);
void h2_budget_scan(struct h2 *h2, const uint8_t *bytes, size_t size);
bool h2_budget_field(struct h2 *h2, size_t size);
void h2_budget_reset(struct h2_stream *stream);
void h2_budget_queue(struct h2 *h2);

#endif
