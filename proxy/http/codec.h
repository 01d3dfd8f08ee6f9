/*
 * codec: HTTP/1 and HTTP/2, client and server side, behind one table: bytes in -> stream events,
 * streams -> bytes out. A codec owns no socket, no clock, no policy. The connection that owns it
 *   - appends received bytes to codec->in and calls receive (also when codec->again is set);
 *   - calls produce in the write stage while the codec has output and its own queue has room;
 *   - reads only while codec->want_read; closes when codec->closing and all output was written.
 * A stream is one request on one codec, seen from either side. Its owner (an exchange, an endpoint,
 * a client) gets events by stream_ops and lets go of it with stream_reset exactly once.
 * Rule: callbacks only append and mark (MM-13). No codec function may be called from inside a
 * callback of the same codec except credit, send_head, send_more and stream_reset, which also only
 * mark (work is done in receive/produce). One thread.
 */
#ifndef PILLION_HTTP_CODEC_H
#define PILLION_HTTP_CODEC_H

#include "base/chain.h"
#include "base/codes.h"
#include "http/head.h"
#include "http/limits.h"
#include "http/witness.h"

struct codec;
struct stream;

struct stream_ops { /* codec -> owner; none may be NULL */
	/* Request, interim, response or trailers. head lives until stream_reset. */
	void (*on_head)(struct stream *stream, struct head *head, bool end);
	/* Take bytes with chain_move; what is left in `body` is lost. end: a clean end. */
	void (*on_body)(struct stream *stream, struct chain *body, bool end);
	/* n bytes of `out` were handed to the connection's bounded output. */
	void (*on_sent)(struct stream *stream, size_t n);
	/* The other side is gone or broke the protocol: stream_reset by the owner follows; before
	 * it, on a server's HTTP/1, an answer where `why` has a status and none was sent. */
	void (*on_reset)(struct stream *stream, enum reason why);
};

struct stream {
	struct codec *codec;
	const struct stream_ops *ops;
	void *owner;
	struct stream_witness *witness; /* NULL: nobody watches */
	struct arena arena;		/* received heads */
	struct chain out;  /* body bytes to send; the owner appends, then calls send_more */
	uint64_t received; /* body bytes given to on_body */
	uint64_t credited; /* of those, credited back; at most window apart (invariant A) */
	uint64_t sent;	   /* body bytes taken from out */
	uint64_t window;
	uint64_t head_begin; /* codec->produced before and after the sent head; 0 until then: */
	uint64_t head_end;   /* with connection->written they tell mesh.md's F1 from F2 (MT-01) */
	uint32_t h2_error;   /* error code of a received RST_STREAM, for H2-38; 0 otherwise */
	bool ended_in;	     /* the peer ended its direction cleanly */
	bool ended_out;	     /* we ended ours (head, send_more or trailers with end) */
	bool unprocessed;    /* reset by REFUSED_STREAM, or above GOAWAY's last id (C-09) */
	bool head_out;	     /* a final head was sent */
	bool reused;	     /* client: the connection had carried an exchange before (C-11) */
};

enum { CODEC_REFUSED_BYTES = 64 }; /* L-02 */

struct codec_events { /* codec -> connection; none may be NULL */
	/* Server: a request begins. Set stream->ops and stream->owner; on_head follows at once. */
	void (*on_stream)(struct codec *codec, struct stream *stream);
	/* Something to produce, or flags below changed; only marks. */
	void (*on_change)(struct codec *codec);
};

struct codec_ops {
	const char *name;
	/* Parses codec->in. end_of_input: the peer closed its direction. */
	void (*receive)(struct codec *codec, bool end_of_input, uint64_t now_ms);
	/* Appends at most about `max` bytes to out. */
	void (*produce)(struct codec *codec, struct chain *out, size_t max);
	/* Client: a new stream, or NULL when spare_streams is 0. */
	struct stream *(*open)(struct codec *codec);
	/* 0, or -E2BIG: the head cannot be sent at all (H2-33). Trailers: HEAD_TRAILERS, end. */
	int (*send_head)(struct stream *stream, const struct head *head, bool end);
	/* out has more bytes and/or the body ends with them. */
	void (*send_more)(struct stream *stream, bool end);
	void (*credit)(struct stream *stream, size_t bytes);
	/* The owner lets go; an unfinished stream is cut with the code for `why` (H2-38). With
	 * REASON_ok after ended_out nothing is cut: the codec still sends what is queued. */
	void (*reset)(struct stream *stream, enum reason why);
	/* Take no further request after those under way; step 2 of H2 is `final` (D-03, D-06). */
	void (*drain)(struct codec *codec, bool final);
	unsigned (*spare_streams)(const struct codec *codec);
	void (*destroy)(struct codec *codec); /* no stream may have an owner left */
};

struct codec {
	const struct codec_ops *ops;
	const struct codec_events *events;
	void *owner; /* the connection */
	struct block_pool *pool;
	const struct http_limits *limits;
	bool client;
	bool h2;
	struct chain in;	   /* received, not yet parsed */
	uint64_t produced;	   /* bytes ever appended by produce */
	uint64_t next_deadline_ms; /* call receive(codec, false, now) then; UINT64_MAX: none */
	uint32_t streams_active;
	uint32_t streams_flushing; /* of those, H2: let go, and sending what is queued (T-10) */
	enum reason close_reason;  /* why closing */
	bool want_read;
	bool again; /* call receive again this turn though no byte came */
	bool has_output;
	bool closing;	  /* no more streams; close when the output is written */
	bool linger;	  /* H1-39: shutdown, then discard before the close */
	bool draining;	  /* GOAWAY seen or sent: out of the pool */
	bool reusable;	  /* client H1: may take another exchange (C-02) */
	bool close_reset; /* close with RST: a FIN would look like a clean end, or not be seen */
	/* Set by the connection: */
	bool blocked;	  /* the transport is full: what waits, waits for that */
	int input_error;  /* -errno of a failed transport, before receive(end_of_input) */
	uint64_t wall_ms; /* for Date of the codec's own replies (H1); 0: no Date */
	/* For logs and counters (L-02, L-04): */
	enum reason detail; /* which rule the peer broke, beside close_reason */
	uint8_t refused_size;
	uint8_t refused_bytes[CODEC_REFUSED_BYTES]; /* the first bytes that were refused */
	uint64_t unsolicited_bytes;		    /* client H1: bytes nobody asked for (H1-32) */
	uint32_t trailers_dropped;		    /* fields of trailers not passed on */
	uint32_t keep_alive_s; /* client H1: timeout of the last Keep-Alive, 0: none */
};

struct codec_options {
	const struct codec_events *events;
	void *owner;
	struct block_pool *pool;
	const struct http_limits *limits;
	uint64_t now_ms;
	bool client;
};

/* For codecs: what their send_head was given. */
static inline void stream_tell_head(const struct stream *stream, const struct head *head)
{
	if (stream->witness != NULL) {
		stream->witness->on_head(stream->witness, head);
	}
}

/* Shared by both codecs and by owners: */
static inline void stream_reset(struct stream *stream, enum reason why)
{
	if (stream->witness != NULL) {
		stream->witness->on_end(stream->witness, why);
	}
	stream->codec->ops->reset(stream, why);
}

#endif
