/*
 * h1_codec: the inside of the HTTP/1.1 codec, shared by h1.c (table, life of the stream),
 * h1_server.c, h1_client.c, h1_body.c (received bodies) and h1_write.c (heads and bodies out). A
 * connection carries one stream at a time (H1-36, H1-43), which therefore lives inside the codec.
 * One thread.
 */
#ifndef PILLION_HTTP_H1_CODEC_H
#define PILLION_HTTP_H1_CODEC_H

#include "base/buf.h"
#include "http/body_account.h"
#include "http/codec.h"
#include "http/h1_chunked.h"
#include "http/h1_parse.h"
#include "http/h1_scan.h"

enum {
	H1_PIPELINE_BYTES = 16 * 1024, /* waiting behind a request under way (H1-36) */
	H1_TRICKLE_BYTES = 4 * 1024,   /* a partial head up to this is copied together (SN-09) */
	H1_CHUNK_BYTES = 16 * 1024,    /* data of one chunk sent (H1-42) */
	H1_COPY_BYTES = 1024,	       /* shorter spans are copied, not pinned (B-06) */
	H1_HEAD_OUT_BYTES = 128 * 1024 /* longest head sent: every accepted head fits (H2-33) */
};

/* How the end of the body that we send is told. */
enum h1_framing_out {
	H1_OUT_NONE,	/* no body may follow */
	H1_OUT_DISCARD, /* answer to HEAD, 204, 304: what the owner sends is dropped */
	H1_OUT_LENGTH,
	H1_OUT_CHUNKED,
	H1_OUT_CLOSE, /* to HTTP/1.0 */
};

struct h1 {
	struct codec codec;
	struct stream stream;
	uint64_t now_ms;    /* of the last receive */
	uint64_t exchanges; /* finished ones */
	uint64_t deadline_ms;
	bool active;	    /* stream is in use */
	bool released;	    /* its owner let go; only output may be left */
	bool failed;	    /* on_reset was called: nothing more is parsed */
	bool gone;	    /* the peer takes nothing any more */
	bool eof;	    /* codec->in is all that ever comes */
	bool poisoned;	    /* the connection ends with this exchange */
	bool idle;	    /* server: deadline_ms is T-02's, not T-03's */
	unsigned callbacks; /* depth of calls into the owner */

	/* The message that comes in. */
	struct head *reading; /* the head or trailer section being read, or NULL */
	bool head_in;	      /* its (final) head was handed over */
	bool stalled;	      /* bytes wait for credit */
	bool scanning;	      /* a head or trailer section is incomplete */
	struct h1_scan scan;
	struct h1_chunked chunked;
	struct body_account account_in;
	size_t head_size; /* as counted by H1-12; trailers add to it */
	size_t head_fields;
	unsigned interims; /* H1-33 */
	struct chain body; /* on its way to on_body */

	/* The message that goes out. */
	enum h1_framing_out framing;
	struct body_account account_out;
	struct chain pending;  /* heads; before stream.out */
	struct chain trailers; /* written form, after the last chunk */
	bool end_written;
	bool broken_out; /* the owner broke its own promise (MM-06) */

	/* What the request was. */
	enum method method;
	bool http_1_0;
	bool te_trailers;
	bool expects_100;
};

/* h1.c */
/* After any change: want_read, has_output and the like follow from the state. */
void h1_update(struct h1 *h1);
/* Ends the exchange when its owner let go and its output is out. */
void h1_settle(struct h1 *h1);
/* Tells the owner that the message cannot be completed; parses nothing more. */
void h1_fail(struct h1 *h1, enum reason reason);
/* Keeps the first bytes of codec->in for the log (L-02). */
void h1_note_refused(struct h1 *h1);
/* Starts the one stream. */
void h1_begin(struct h1 *h1);
/*
 * One try to read what stands at the front of codec->in as a head or trailer section of that kind;
 * message->head is in the stream's arena. Results as h1_parse_head; the bytes used are dropped.
 */
ssize_t h1_try_head(struct h1 *h1, struct h1_message *message, enum head_kind kind);

/* h1_body.c: reads body bytes while there are any and credit; true: the body ended. */
bool h1_body_read(struct h1 *h1);
/* The body ended by a mark without bytes; hands the end over. */
void h1_body_end(struct h1 *h1);

/* h1_write.c */
/* Lines beside the fields of the head. */
struct h1_head_out {
	const struct head *head;
	bool chunked;
	bool has_length;
	bool close;
	uint64_t length;
};
/* Appends the written form to h1->pending. 0 or -E2BIG. */
MUST_CHECK int h1_write_head(struct h1 *h1, const struct h1_head_out *out);
/* Trailer fields into h1->trailers. 0 or -E2BIG. */
MUST_CHECK int h1_write_trailers(struct h1 *h1, const struct head *trailers);
void h1_write_produce(struct codec *codec, struct chain *out, size_t max);

/* h1_server.c, h1_client.c */
void h1_server_receive(struct h1 *h1);
int h1_server_send_head(struct h1 *h1, const struct head *head, bool end);
void h1_server_continue(struct h1 *h1);
void h1_client_receive(struct h1 *h1);
int h1_client_send_head(struct h1 *h1, const struct head *head, bool end);

static inline struct h1 *h1_of(struct codec *codec)
{
	return container_of(codec, struct h1, codec);
}

#endif
